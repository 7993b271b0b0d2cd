/*
 * The framing of HTTP/1.1 (RFC 9112): where a head ends (sections 2.1 and 2.2), and the
 * content of a chunked body (section 7.1).
 *
 * For CBMC, with any up to BOUND bytes:
 * heads: the result of http_scan, for two pieces of any size.
 * fronts: the result of http_blank.  http_scan, continued anywhere, stays within the
 * bytes. bodies: the result of http_dechunk, for the whole body. states: from any valid
 * state http_dechunk reaches a valid state, stays within the bytes, and reports no more
 * bytes than it got.  This holds for bodies of any length.
 *
 * main: bodies of up to 6 of 9 letters and then any byte, also after six given
 * beginnings up to 16 bytes in all, decoded as a whole and in two pieces of any size.
 *
 * A chunk size has at most 15 digits.
 */
#include "http.c"
#include "proof.h"

#ifndef __CPROVER__
enum { BOUND = 16 }; /* bytes of a body, at most */
#endif

/* A body, the position that the grammar's rules have reached, and its content so far. */
struct body {
	const char *data;
	size_t length, at;
	char content[BOUND];
	size_t contents;
};

/* CR LF.  Returns 1, HTTP_MORE or HTTP_BAD. */
static long
expect_line_end(struct body *b)
{
	for (size_t i = 0; i < 2; i++, b->at++) {
		if (b->at == b->length)
			return HTTP_MORE;
		if (b->data[b->at] != "\r\n"[i])
			return HTTP_BAD;
	}
	return 1;
}

/* Without a loop: CBMC has enough of them. */
static bool
is_tchar(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= '^' && c <= 'z') || (c >= '#' && c <= '\'') || c == '!' ||
	       c == '*' || c == '+' || c == '-' || c == '.' || c == '|' || c == '~';
}

/* HTAB / SP / VCHAR / obs-text. */
static bool
is_value(char c)
{
	return c == '\t' || (c >= ' ' && c < 0x7f) || (c & 0x80) != 0;
}

/* The byte at the cursor, if there is one. */
static bool
is_at(const struct body *b, char c)
{
	return b->at < b->length && b->data[b->at] == c;
}

static void
skip_space(struct body *b)
{
	while (is_at(b, ' ') || is_at(b, '\t'))
		b->at++;
}

/* 1*tchar, all of it: 1, or what it is instead. */
static long
expect_token(struct body *b)
{
	size_t start = b->at;

	while (b->at < b->length && is_tchar(b->data[b->at]))
		b->at++;
	return b->at == b->length ? HTTP_MORE : b->at > start ? 1 : HTTP_BAD;
}

/* DQUOTE *( qdtext / quoted-pair ) DQUOTE. */
static long
expect_quoted(struct body *b)
{
	for (b->at++; b->at < b->length && b->data[b->at] != '"'; b->at++) {
		if (b->data[b->at] == '\\' && ++b->at == b->length)
			break;
		if (!is_value(b->data[b->at]))
			return HTTP_BAD;
	}
	if (b->at == b->length)
		return HTTP_MORE;
	b->at++;
	return 1;
}

/* *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] ) CRLF */
static long
expect_extensions(struct body *b)
{
	while (b->at < b->length && b->data[b->at] != '\r') {
		skip_space(b);
		if (b->at == b->length)
			return HTTP_MORE;
		if (!is_at(b, ';'))
			return HTTP_BAD;
		b->at++;
		skip_space(b);
		long result = expect_token(b);
		if (result != 1)
			return result;
		size_t end = b->at;
		skip_space(b);
		if (b->at == b->length)
			return HTTP_MORE;
		if (!is_at(b, '=')) {
			b->at = end;
			continue;
		}
		b->at++;
		skip_space(b);
		result = is_at(b, '"') ? expect_quoted(b) : expect_token(b);
		if (result != 1)
			return result;
	}
	return expect_line_end(b);
}

/* [ field-line ] CRLF, field-line = token ":" *( HTAB / SP / VCHAR / obs-text ) */
static long
expect_trailer(struct body *b)
{
	if (b->at < b->length && b->data[b->at] != '\r') {
		long result = expect_token(b);
		if (result != 1)
			return result;
		if (!is_at(b, ':'))
			return HTTP_BAD;
		b->at++;
		while (b->at < b->length && is_value(b->data[b->at]))
			b->at++;
	}
	return expect_line_end(b);
}

/* The value of a hexadecimal digit, or 16. */
static unsigned
worth(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a' + 10);
	return c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10) : 16;
}

/* chunk-size [ chunk-ext ] CRLF */
static long
expect_size(struct body *b, uint64_t *size)
{
	size_t digits = 0;

	for (*size = 0; b->at < b->length; b->at++, digits++) {
		unsigned digit = worth(b->data[b->at]);
		if (digit == 16)
			break;
		if (digits == 15)
			return HTTP_BAD;
		*size = *size * 16 + digit;
	}
	if (b->at == b->length)
		return HTTP_MORE;
	if (digits == 0)
		return HTTP_BAD;
	return expect_extensions(b);
}

/* *chunk last-chunk trailer-section CRLF.  Returns the number of bytes after it. */
static long
expect_body(struct body *b)
{
	uint64_t size;
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
		result = expect_trailer(b);
		if (result == 1 && b->at == line + 2)
			return (long)(b->length - b->at);
	}
	return result;
}

#ifdef __CPROVER__

/* CR and LF occur only as CR LF at the end of a line.  The first empty line ends the
 * head. */
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

void
heads(void)
{
	char head[BOUND];
	size_t length, split, scanned = 0;

	assume(length <= BOUND && split <= length);
	long expected = expect_head(head, length);
	long result = http_scan(head, split, &scanned);
	if (result == HTTP_MORE)
		result = http_scan(head, length, &scanned);
	claim(result == expected);
	claim(result < 0 || scanned == (size_t)result);
	reached(result == BOUND && split == BOUND - 1);
	reached(result > 0 && (size_t)result < length);
	reached(result == HTTP_MORE && split < length && length == BOUND);
	reached(result == HTTP_BAD);
}

void
fronts(void)
{
	char room[BOUND];
	size_t length, at, scanned;

	assume(length <= BOUND && scanned <= length);
	const char *p = room + BOUND - length;
	size_t blank = http_blank(p, length);
	claim(blank <= length && blank % 2 == 0);
	claim(at >= blank || p[at] == "\r\n"[at % 2]);
	claim(length - blank < 2 || p[blank] != '\r' || p[blank + 1] != '\n');
	reached(blank == BOUND);
	reached(blank > 0 && blank < length);
	long result = http_scan(p, length, &scanned);
	claim(scanned <= length && result <= (long)length);
	reached(result == BOUND);
}

void
bodies(void)
{
	char body[BOUND], content[BOUND];
	size_t length, at;
	struct http_chunked h = { 0 };

	assume(length <= BOUND);
	memcpy(content, body, BOUND);
	struct body expected = { .data = body, .length = length };
	long result = expect_body(&expected);
	size_t contents = length;
	claim(http_dechunk(&h, content, &contents) == result);
	if (result != HTTP_BAD) {
		claim(contents == expected.contents);
		claim(at >= contents || content[at] == expected.content[at]);
	}
	reached(result == 0);
	reached(result > 0);
	reached(result == HTTP_BAD);
	reached(result == HTTP_MORE && contents == BOUND - 3);
}

/* A state that is valid between two pieces. */
static bool
is_between(const struct http_chunked *h)
{
	return h->state <= CHUNK_LAST_LF && h->overhead <= CHUNK_OVERHEAD &&
	       h->digits <= 15 && (h->state != CHUNK_DATA || h->left > 0);
}

void
states(void)
{
	char room[BOUND];
	size_t length;
	struct http_chunked h;

	assume(length <= BOUND && is_between(&h));
	size_t content = length;
	long result = http_dechunk(&h, room + BOUND - length, &content);
	claim(content <= length);
	claim(result < 0 || (size_t)result <= length - content);
	claim(result == HTTP_BAD || is_between(&h));
	reached(result == HTTP_MORE && h.left > BOUND);
	reached(result > 0 && content == 0);
	reached(content > 0 && content < length);
	reached(result == HTTP_BAD && h.overhead > CHUNK_OVERHEAD);
}

#else

static unsigned char *end;
static unsigned long good, more, bad;

static unsigned long *
counter(long result)
{
	return result == HTTP_BAD ? &bad : result == HTTP_MORE ? &more : &good;
}

/* Decodes the body in two pieces of every size, and compares their joined content. */
static long
check_body(const char *body, size_t length)
{
	struct body expected = { .data = body, .length = length };
	long result = expect_body(&expected);

	for (size_t split = 0; split <= length; split++) {
		struct http_chunked h = { 0 };
		char content[2 * BOUND];
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

/* Appends each byte to this beginning, and continues after valid letters up to `most`
 * bytes. */
static void
walk(char body[BOUND], size_t length, size_t most)
{
	static const char letters[] = "012aB\r\n; ";

	for (unsigned c = 0; c < 256; c++) {
		body[length] = (char)c;
		long result = check_body(body, length + 1);
		/* After a whole body one byte more, of the next request. */
		if (result != HTTP_BAD && result < 1 && length + 1 < most && c != 0 &&
		    strchr(letters, (int)c) != NULL)
			walk(body, length + 1, most);
	}
}

int
main(void)
{
	char body[BOUND + 1] = "";

	end = guarded_end();
	walk(body, 0, 7);
	memcpy(body, "2\r\n\r\n\r\n", 7);
	walk(body, 7, 12);
	memcpy(body, "1;a\r\nx\r\n0\r\n", 11);
	walk(body, 11, 14);
	memcpy(body, "0;a=\"\\", 6);
	walk(body, 6, 9);
	memcpy(body, "0 ; a = \"b", 10);
	walk(body, 10, 13);
	memcpy(body, "0;a=\"b\"\r\nX:\r\n", 14);
	walk(body, 14, 16);
	memcpy(body, "000000000000", 12);
	walk(body, 12, 16);
	claim(good > 0 && more > 0 && bad > 0);
	printf("chunked bodies of up to 16 bytes: %lu whole, %lu begun, %lu bad\n", good,
	       more, bad);
	return 0;
}

#endif
