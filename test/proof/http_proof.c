/*
 * The framing of HTTP/1.1 (RFC 9112): where a head ends (sections 2.1 and 2.2), and what
 * a chunked body holds (section 7.1).
 *
 * safe: http_scan and http_blank of all that may come, up to BOUND bytes.
 * safe_chunked: http_dechunk of up to BOUND bytes, in each state and with each number of
 * bytes left in a chunk up to BOUND + 1.
 * main: all heads of up to 9 of 6 letters, scanned in two pieces anywhere; all bytes
 * behind all beginnings of a chunked body of up to 6 of 9 letters, and of up to 15 behind
 * three beginnings that are given, decoded at once and in two pieces.
 *
 * Of a chunk's extension and of a trailer only its end counts, so any byte but CR, LF and
 * NUL is taken there; a chunk's size has at most 15 digits.
 */
#include "http.c"
#include "proof.h"

#ifdef __FRAMAC__

void
safe(void)
{
	char one[BOUND], other[BOUND];

	for (size_t length = 0; length <= BOUND; length++) {
		char *data = any_bytes(one, other, BOUND, length);
		size_t scanned = 0;
		http_blank(data, length);
		http_scan(data, length, &scanned);
	}
}

void
safe_chunked(void)
{
	char one[BOUND], other[BOUND];

	for (size_t length = 0; length <= BOUND; length++)
		for (uint8_t state = 0; state <= CHUNK_LAST_LF; state++)
			for (size_t left = 0; left <= BOUND + 1; left++) {
				char *data = any_bytes(one, other, BOUND, length);
				size_t content = length;
				struct http_chunked h = { .left = left, .state = state };
				h.digits = (uint8_t)Frama_C_interval(0, 15);
				h.overhead =
				    (uint16_t)Frama_C_interval(0, CHUNK_OVERHEAD);
				http_dechunk(&h, data, &content);
			}
}

#else

static unsigned char *end;
static unsigned long good, more, bad;

static unsigned long *
counter(long result)
{
	return result == HTTP_BAD ? &bad : result == HTTP_MORE ? &more : &good;
}

/* Lines end with CR LF, which stand nowhere else; the first empty one ends the head. */
static long
expect_head(const char *p, size_t length)
{
	size_t line = 0;

	for (size_t i = 0; i < length; i++) {
		if (p[i] == '\0' || p[i] == '\n')
			return HTTP_BAD;
		if (p[i] != '\r')
			continue;
		if (++i == length)
			return HTTP_MORE;
		if (p[i] != '\n')
			return HTTP_BAD;
		if (i - 1 == line && line > 0)
			return (long)(i + 1);
		line = i + 1;
	}
	return HTTP_MORE;
}

static void
check_heads(void)
{
	for (size_t length = 0; length <= 9; length++) {
		uint16_t odometer[32] = { 0 };
		unsigned char *p = end - length;
		while (next_text(odometer, "\r\n\0a:\xff", 6, length, p)) {
			const char *head = (const char *)p;
			long expected = expect_head(head, length);
			for (size_t split = 0; split <= length; split++) {
				size_t scanned = 0;
				long result = http_scan(head, split, &scanned);
				if (result == HTTP_MORE)
					result = http_scan(head, length, &scanned);
				claim(result == expected);
			}
			size_t blank = http_blank(head, length);
			for (size_t i = 0; i < blank; i++)
				claim(head[i] == "\r\n"[i % 2]);
			claim(blank % 2 == 0 &&
			      (length - blank < 2 || head[blank] != '\r' ||
			       head[blank + 1] != '\n'));
			*counter(expected) += 1;
		}
	}
	claim(good > 0 && more > 0 && bad > 0);
}

enum { BODY = 16 }; /* bytes of a body, at most */

/* A cursor that the grammar's rules move over a body. */
struct body {
	const char *data;
	size_t length, at;
	char content[BODY];
	size_t contents;
};

/* Any text (an extension's, a trailer's) up to CR LF: 1, or what it is instead. */
static long
expect_line_end(struct body *b)
{
	while (b->at < b->length && b->data[b->at] != '\r') {
		if (b->data[b->at] == '\n' || b->data[b->at] == '\0')
			return HTTP_BAD;
		b->at++;
	}
	if (b->length - b->at < 2)
		return HTTP_MORE;
	b->at += 2;
	return b->data[b->at - 1] == '\n' ? 1 : HTTP_BAD;
}

/* chunk-size [ chunk-ext ] CRLF; the latter is BWS ";" and so on. */
static long
expect_size(struct body *b, size_t *size)
{
	static const char hexadecimal[] = "0123456789abcdef0123456789ABCDEF";
	size_t digits = 0;

	for (*size = 0; b->at < b->length; b->at++, digits++) {
		const char *digit = memchr(hexadecimal, b->data[b->at], 32);
		if (digit == NULL)
			break;
		*size = *size * 16 + (size_t)(digit - hexadecimal) % 16;
	}
	if (digits > 15)
		return HTTP_BAD;
	if (b->at == b->length)
		return HTTP_MORE;
	if (digits == 0)
		return HTTP_BAD;
	if (b->data[b->at] != '\r') {
		while (b->at < b->length &&
		       (b->data[b->at] == ' ' || b->data[b->at] == '\t'))
			b->at++;
		if (b->at < b->length && b->data[b->at] != ';')
			return HTTP_BAD;
	}
	return expect_line_end(b);
}

/* *chunk last-chunk trailer-section CRLF: how many bytes are behind it. */
static long
expect_body(struct body *b)
{
	size_t size;
	long result;

	while ((result = expect_size(b, &size)) == 1 && size > 0) {
		for (; size > 0; size--) {
			if (b->at == b->length)
				return HTTP_MORE;
			b->content[b->contents++] = b->data[b->at++];
		}
		if (b->at < b->length && b->data[b->at] != '\r')
			return HTTP_BAD;
		if (b->length - b->at < 2)
			return HTTP_MORE;
		if (b->data[b->at + 1] != '\n')
			return HTTP_BAD;
		b->at += 2;
	}
	while (result == 1) {
		size_t line = b->at;
		result = expect_line_end(b);
		if (result == 1 && b->at == line + 2)
			return (long)(b->length - b->at);
	}
	return result;
}

/* The body at once and in two pieces, whose contents are put together. */
static long
check_body(const char *body, size_t length)
{
	struct body expected = { .data = body, .length = length };
	long result = expect_body(&expected);

	for (size_t split = 0; split <= length; split++) {
		struct http_chunked h = { 0 };
		char content[2 * BODY];
		size_t n = split, contents = 0;
		char *p = (char *)end - split;
		memcpy(p, body, split);
		long seen = http_dechunk(&h, p, &n);
		if (seen == HTTP_BAD) {
			claim(result == HTTP_BAD);
			continue;
		}
		memcpy(content, p, n);
		contents = n;
		if (seen >= 0) {
			seen += (long)(length - split);
		} else {
			n = length - split;
			p = (char *)end - n;
			memcpy(p, body + split, n);
			seen = http_dechunk(&h, p, &n);
			if (seen != HTTP_BAD) {
				memcpy(content + contents, p, n);
				contents += n;
			}
		}
		claim(seen == result);
		if (result != HTTP_BAD)
			claim(contents == expected.contents &&
			      memcmp(content, expected.content, contents) == 0);
	}
	*counter(result) += 1;
	return result;
}

/* All bytes behind this beginning, and on from those letters that may stand there. */
static void
walk(char body[BODY], size_t length, size_t most)
{
	static const char letters[] = "012aB\r\n; ";

	for (unsigned c = 0; c < 256; c++) {
		body[length] = (char)c;
		long result = check_body(body, length + 1);
		/* Behind a whole body one byte more, the next request's. */
		if (result != HTTP_BAD && result < 1 && length + 1 < most && c != 0 &&
		    strchr(letters, (int)c) != NULL)
			walk(body, length + 1, most);
	}
}

int
main(void)
{
	char body[BODY + 1] = "";

	end = guarded_end();
	check_heads();
	good = more = bad = 0;
	walk(body, 0, 7);
	memcpy(body, "2\r\n\r\n\r\n", 7);
	walk(body, 7, 12);
	memcpy(body, "1;a\r\nx\r\n0\r\n", 11);
	walk(body, 11, 14);
	memcpy(body, "000000000000", 12);
	walk(body, 12, 16);
	claim(good > 0 && more > 0 && bad > 0);
	printf(
	    "heads of up to 9 letters; chunked bodies of up to 16: %lu whole, %lu begun, "
	    "%lu bad\n",
	    good, more, bad);
	return 0;
}

#endif
