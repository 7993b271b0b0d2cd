/*
 * HTTP: input in pieces is read like input that arrives whole, spans lie within the
 * input, and decoding reverses encoding.  The first byte seeds the sizes of the pieces;
 * the rest is a client's input.
 */
#include "fuzz.h"
#include "ws.h"

static void
check_within(struct span s, const char *data, size_t length)
{
	CHECK(s.data == NULL ? s.length == 0
			     : s.data >= data && s.data + s.length <= data + length);
}

/* Trusts half of all proxies, arbitrarily. */
static bool
is_even(const struct socket_address *address)
{
	return address->bytes[0] % 2 == 0;
}

static void
check_client(struct span fields)
{
	struct socket_address client = { .length = 4, .port = 5 };

	http_forwarded(fields, is_even, &client);
	CHECK((client.length == 4 || client.length == 16) && client.port == 5);
}

static void
check_head(const char *data, size_t length)
{
	char *head = fuzz_copy(data, length), accept[WS_ACCEPT];
	struct http_request r;
	unsigned status = http_parse(head, length, &r);

	if (status != 0) {
		CHECK(status >= 400 && *http_reason(status) != '\0');
		free(head);
		return;
	}
	const struct span spans[] = { r.query,
				      r.host,
				      r.target_host,
				      r.origin,
				      r.authorization,
				      r.content_type,
				      r.cookie,
				      r.if_none_match,
				      r.cors_headers,
				      r.websocket_key,
				      r.websocket_version,
				      r.fields };
	for (size_t i = 0; i < sizeof spans / sizeof *spans; i++)
		if (spans[i].length > 0)
			check_within(spans[i], head, length);
	CHECK(r.path.length > 0 && (*r.path.data == '/' || span_is(r.path, "*")));
	CHECK(memchr(r.path.data, ' ', r.path.length) == NULL);
	CHECK(memchr(r.path.data, '?', r.path.length) == NULL);
	/* The end of the body must be unambiguous. */
	CHECK(!r.chunked || (r.length == 0 && r.minor == 1));
	CHECK(r.length <= INT64_MAX);
	check_client(r.fields);
	struct span value = http_parameter(r.query, "callback");
	if (value.length > 0)
		check_within(value, r.query.data, r.query.length);
	status = ws_handshake(&r, accept);
	CHECK(status == 101 || *http_reason(status) != '\0');
	CHECK(status != 101 || accept[WS_ACCEPT - 1] == '=');
	free(head);
}

static void
check_scan(const char *data, size_t length, uint32_t cuts)
{
	size_t whole_scanned = 0, scanned = 0, come = 0;
	long whole = http_scan(data, length, &whole_scanned), found = HTTP_MORE;

	while (come < length && found == HTTP_MORE) {
		come += fuzz_piece(&cuts, length - come);
		char *part = fuzz_copy(data, come);
		found = http_scan(part, come, &scanned);
		CHECK(found <= (long)come && (found != HTTP_MORE || scanned == come));
		free(part);
	}
	CHECK(found == whole);
	if (whole < 0)
		return;
	CHECK(whole >= 4 && memcmp(data + whole - 4, "\r\n\r\n", 4) == 0);
	check_head(data, (size_t)whole);
}

/* Decodes in pieces, and appends each piece's content to `out`. */
static long
dechunk(const char *data, size_t length, uint32_t cuts, char *out, size_t *decoded)
{
	struct http_chunked h = { 0 };
	long rest = HTTP_MORE;

	*decoded = 0;
	while (length > 0 && rest == HTTP_MORE) {
		size_t piece = fuzz_piece(&cuts, length), content = piece;
		char *part = fuzz_copy(data, piece);
		rest = http_dechunk(&h, part, &content);
		CHECK(rest <= (long)piece && content <= piece);
		if (rest != HTTP_BAD) {
			memcpy(out + *decoded, part, content);
			*decoded += content;
		}
		free(part);
		data += piece;
		length -= piece;
	}
	return rest >= 0 ? rest + (long)length : rest;
}

static void
check_chunked(const char *data, size_t length, uint32_t cuts)
{
	struct http_chunked h = { 0 };
	char *whole = fuzz_copy(data, length), *pieces = fuzz_copy(data, length);
	size_t content = length, decoded;
	long rest = http_dechunk(&h, whole, &content);

	CHECK(dechunk(data, length, cuts, pieces, &decoded) == rest);
	if (rest != HTTP_BAD)
		CHECK(decoded == content && memcmp(whole, pieces, content) == 0);
	free(pieces);
	free(whole);
}

/* Encodes the data in chunks, with another request after it, and decodes that. */
static void
check_body(const char *data, size_t length, uint32_t cuts)
{
	static const char next[] = "GET /";
	size_t size = 12 * length + 64, at = 0, decoded;
	char *encoded = malloc(size), *out = malloc(size);
	struct text t;

	CHECK(encoded != NULL && out != NULL);
	text_init(&t, encoded, size);
	while (at < length) {
		size_t piece = fuzz_piece(&cuts, length - at);
		text_hex(&t, (uint32_t)piece, 1 + (cuts >> 8) % 4 + (piece > 15));
		text_string(&t, (cuts & 4096) != 0 ? ";a=b\r\n" : "\r\n");
		text_put(&t, data + at, piece);
		text_string(&t, "\r\n");
		at += piece;
	}
	text_string(&t, "0\r\nTrailer: x\r\n\r\n");
	text_string(&t, next);
	CHECK(!t.overflow);
	CHECK(dechunk(t.data, t.length, cuts, out, &decoded) == sizeof next - 1);
	CHECK(decoded == length && memcmp(out, data, length) == 0);
	free(out);
	free(encoded);
}

static void
check_unescape(const char *data, size_t length)
{
	char *text = fuzz_copy(data, length), *out = fuzz_copy(data, length);
	char *escaped = malloc(3 * length + 1);
	size_t n = http_unescape((struct span){ text, length }, out, true);
	struct text t;

	/* Decoding in place gives the same. */
	CHECK(n <= length &&
	      http_unescape((struct span){ text, length }, text, true) == n &&
	      memcmp(text, out, n) == 0);
	CHECK(escaped != NULL);
	text_init(&t, escaped, 3 * length);
	for (size_t i = 0; i < length; i++) {
		text_char(&t, '%');
		text_hex(&t, (unsigned char)data[i], 2);
	}
	n = http_unescape((struct span){ escaped, t.length }, escaped, false);
	CHECK(n == length && memcmp(escaped, data, length) == 0);
	free(escaped);
	free(out);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	uint32_t cuts = fuzz_first(&data, &length);
	char *text = fuzz_copy(data, length);

	check_scan(text, length, cuts);
	check_chunked(text, length, cuts);
	check_body(text, length, cuts);
	check_unescape(text, length);
	free(text);
	return 0;
}
