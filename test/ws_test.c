/* The opening handshake, frame headers, masking, and receiving messages. */
#include "ws.h"
#include "unit.h"

/* Parses a request and checks it as a handshake.  Returns the status. */
static unsigned
shake(const char *line, const char *fields, char accept[WS_ACCEPT])
{
	struct http_request r;
	char head[512];
	int length = snprintf(head, sizeof head, "%s\r\nHost: h\r\n%s\r\n", line, fields);

	assert_in_range(length, 4, sizeof head - 1);
	char *p = copy(head, (size_t)length);
	assert_int_equal(http_parse(p, (size_t)length, &r), 0);
	unsigned status = ws_handshake(&r, accept);
	free(p);
	return status;
}

#define GET	"GET /echo/websocket HTTP/1.1"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define NAME	"Sec-WebSocket-Key: "
#define KEY	NAME "dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void
a_valid_handshake_is_accepted_with_the_hash_of_its_key(void **state)
{
	static const struct {
		const char *fields, *accept;
	} cases[] = {
		{ UPGRADE VERSION KEY, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }, /* section 1.3 */
		{ KEY VERSION UPGRADE, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },
		{ "Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\n" VERSION KEY,
		  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },
		{ UPGRADE VERSION "sec-websocket-key:  dGhlIHNhbXBsZSBub25jZQ==\t\r\n",
		  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },
		{ UPGRADE VERSION KEY "Content-Length: 0\r\n",
		  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },
		{ UPGRADE VERSION NAME "x3JJHMbDL1EzLkh9GBhXDw==\r\n",
		  "HSmrc0sMlYUkAGmm5OPpG2HaGWk=" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *accept = malloc(WS_ACCEPT);
		assert_int_equal(shake(GET, cases[i].fields, accept), 101);
		assert_memory_equal(accept, cases[i].accept, WS_ACCEPT);
		free(accept);
	}
}

static void
an_invalid_handshake_is_rejected_with_a_status(void **state)
{
	static const struct {
		const char *line, *fields;
		unsigned status;
	} cases[] = {
		{ "POST / HTTP/1.1", UPGRADE VERSION KEY, 405 },
		{ "OPTIONS / HTTP/1.1", UPGRADE VERSION KEY, 405 },
		{ "HEAD / HTTP/1.1", UPGRADE VERSION KEY, 405 },
		{ "PUT / HTTP/1.1", UPGRADE VERSION KEY, 405 },
		{ "GET / HTTP/1.0", UPGRADE VERSION KEY, 400 },
		{ GET, "", 400 },
		{ GET, "Upgrade: websocket\r\n" VERSION KEY, 400 },
		{ GET, "Connection: Upgrade\r\n" VERSION KEY, 400 },
		{ GET, "Upgrade: h2c\r\nConnection: Upgrade\r\n" VERSION KEY, 400 },
		{ GET, "Upgrade: websocket\r\nConnection: close\r\n" VERSION KEY, 400 },
		{ GET, UPGRADE VERSION KEY "Content-Length: 1\r\n", 400 },
		{ GET, UPGRADE VERSION KEY "Transfer-Encoding: chunked\r\n", 400 },
		{ GET, UPGRADE KEY, 400 },
		{ GET, UPGRADE VERSION, 400 },
		{ GET, UPGRADE VERSION KEY KEY, 400 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: 8\r\n", 426 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: 0\r\n", 426 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: 14\r\n", 426 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: 130\r\n", 426 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: 1\r\n", 426 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: 013\r\n", 426 },
		{ GET, UPGRADE KEY "Sec-WebSocket-Version: x\r\n", 426 },
		{ GET, UPGRADE "Sec-WebSocket-Version: 8\r\n", 426 },
	};
	char accept[WS_ACCEPT];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned status = shake(cases[i].line, cases[i].fields, accept);
		if (status != cases[i].status)
			fail_msg("%u for %s %s", status, cases[i].line, cases[i].fields);
	}
}

static void
a_key_must_be_16_bytes_in_base64(void **state)
{
	static const struct {
		const char *key;
		unsigned status;
	} cases[] = {
		{ "AAAAAAAAAAAAAAAAAAAAAA==", 101 },
		{ "/+/+/+/+/+/+/+/+/+/+/w==", 101 },
		{ "azAZ09+/azAZ09+/azAZ0Q==", 101 },
		{ "dGhlIHNhbXBsZSBub25jZg==", 101 },
		{ "", 400 },
		{ "x", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQ=", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQ===", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQ", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQAA", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQA=", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQ=A", 400 },
		{ "dGhlIHNhbXBsZSBub25=ZQ==", 400 },
		{ "dGhlIHNhbXBsZSBub25-ZQ==", 400 },
		{ "dGhlIHNhbXBsZSBub25_ZQ==", 400 },
		{ "dGhl IHNhbXBsZSBub25ZQ==", 400 },
		{ "dGhlIHNhbXBsZSBub25jZR==", 400 },
		{ "dGhlIHNhbXBsZSBub25jZf==", 400 },
		{ "dGhlIHNhbXBsZSBub25jZ===", 400 },
		{ "dGhlIHNhbXBsZSBub25jZQ==AAAA", 400 },
		{ "dGhlIHNhbXBsZSBub\xc3\xa4jZQ==", 400 },
	};
	char accept[WS_ACCEPT], fields[256];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(fields, sizeof fields, UPGRADE VERSION NAME "%s\r\n",
			 cases[i].key);
		unsigned status = shake(GET, fields, accept);
		if (status != cases[i].status)
			fail_msg("%u for %s", status, cases[i].key);
	}
}

/* Decodes an exactly sized copy of a header. */
static int
decode(const void *data, size_t length, struct ws_frame *f)
{
	unsigned char *p = copy(data, length);
	int n = ws_header(p, length, f);

	free(p);
	return n;
}

/* Headers with the mask 1, 2, 3, 4 at their end. */
static const struct {
	const char *data;
	size_t length;
	bool fin;
	enum ws_opcode opcode;
	uint64_t payload;
} headers[] = {
	{ BYTES("\x81\x80\1\2\3\4"), true, WS_TEXT, 0 },
	{ BYTES("\x81\x85\1\2\3\4"), true, WS_TEXT, 5 },
	{ BYTES("\x01\x85\1\2\3\4"), false, WS_TEXT, 5 },
	{ BYTES("\x80\x85\1\2\3\4"), true, WS_CONTINUATION, 5 },
	{ BYTES("\x00\x85\1\2\3\4"), false, WS_CONTINUATION, 5 },
	{ BYTES("\x82\xfd\1\2\3\4"), true, WS_BINARY, 125 },
	{ BYTES("\x02\x80\1\2\3\4"), false, WS_BINARY, 0 },
	{ BYTES("\x82\xfe\x00\x7e\1\2\3\4"), true, WS_BINARY, 126 },
	{ BYTES("\x82\xfe\x00\x7f\1\2\3\4"), true, WS_BINARY, 127 },
	{ BYTES("\x82\xfe\x01\x00\1\2\3\4"), true, WS_BINARY, 256 },
	{ BYTES("\x81\xfe\xff\xff\1\2\3\4"), true, WS_TEXT, 65535 },
	{ BYTES("\x81\xff\0\0\0\0\0\1\0\0\1\2\3\4"), true, WS_TEXT, 65536 },
	{ BYTES("\x81\xff\0\0\0\1\2\3\4\5\1\2\3\4"), true, WS_TEXT, 0x102030405 },
	{ BYTES("\x01\xff\x7f\xff\xff\xff\xff\xff\xff\xff\1\2\3\4"), false, WS_TEXT,
	  INT64_MAX },
	{ BYTES("\x88\x80\1\2\3\4"), true, WS_CLOSE, 0 },
	{ BYTES("\x89\xfd\1\2\3\4"), true, WS_PING, 125 },
	{ BYTES("\x8a\x81\1\2\3\4"), true, WS_PONG, 1 },
};

static void
a_frame_header_is_decoded(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(headers); i++) {
		struct ws_frame f;
		assert_int_equal(decode(headers[i].data, headers[i].length, &f),
				 headers[i].length);
		assert_int_equal(f.fin, headers[i].fin);
		assert_int_equal(f.opcode, headers[i].opcode);
		assert_true(f.length == headers[i].payload);
		assert_memory_equal(f.mask, "\1\2\3\4", 4);
	}
}

static void
decoding_a_header_ignores_the_payload_after_it(void **state)
{
	struct ws_frame f;

	(void)state;
	assert_int_equal(decode(BYTES("\x81\x85\1\2\3\4hello"), &f), 6);
	assert_int_equal(decode(BYTES("\x82\xfe\x00\x7e\1\2\3\4\x81\x85"), &f), 8);
	assert_memory_equal(f.mask, "\1\2\3\4", 4);
}

static void
a_truncated_header_needs_more_bytes(void **state)
{
	struct ws_frame f;

	(void)state;
	for (size_t i = 0; i < COUNT(headers); i++)
		for (size_t n = 0; n < headers[i].length; n++)
			assert_int_equal(decode(headers[i].data, n, &f), WS_MORE);
}

/* Invalid headers, each up to the byte at which ws_header rejects it. */
static const struct {
	const char *data;
	size_t length;
} invalid_headers[] = {
	{ BYTES("\x81\x00") }, /* no mask */
	{ BYTES("\x81\x05") },
	{ BYTES("\x89\x00") },
	{ BYTES("\x81\x7e") },
	{ BYTES("\x81\x7f") },
	{ BYTES("\x89\xfe") }, /* control frames that are too long */
	{ BYTES("\x88\xff") },
	{ BYTES("\x8a\xfe") },
	{ BYTES("\x81\xfe\x00\x00") }, /* not the shortest form */
	{ BYTES("\x81\xfe\x00\x05") },
	{ BYTES("\x81\xfe\x00\x7d") },
	{ BYTES("\x81\xff\0\0\0\0\0\0\0\0") },
	{ BYTES("\x81\xff\0\0\0\0\0\0\0\x7d") },
	{ BYTES("\x81\xff\0\0\0\0\0\0\0\x7e") },
	{ BYTES("\x81\xff\0\0\0\0\0\0\xff\xff") },
	{ BYTES("\x81\xff\x80\0\0\0\0\0\0\0") }, /* the highest bit set */
	{ BYTES("\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff") },
};

static void
an_invalid_header_is_rejected_before_its_mask(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_headers); i++) {
		struct ws_frame f;
		if (decode(invalid_headers[i].data, invalid_headers[i].length, &f) !=
		    WS_BAD)
			fail_msg("case %zu", i);
		for (size_t n = 0; n < invalid_headers[i].length; n++) {
			int early = decode(invalid_headers[i].data, n, &f);
			assert_true(early == WS_MORE || early == WS_BAD);
		}
	}
}

/* Returns true if a frame may have this first byte. */
static bool
first_byte_is_valid(unsigned byte)
{
	unsigned opcode = byte & 0x0f;
	bool data = opcode <= 2, control = opcode >= 8 && opcode <= 10;

	return (byte & 0x70) == 0 && (data || (control && byte >= 0x80));
}

static void
reserved_bits_and_opcodes_and_fragmented_control_frames_are_rejected(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 0x100; byte++) {
		struct ws_frame f;
		unsigned char header[6] = { (unsigned char)byte, 0x80, 1, 2, 3, 4 };
		bool valid = first_byte_is_valid(byte);
		assert_int_equal(decode(header, 6, &f), valid ? 6 : WS_BAD);
		assert_int_equal(decode(header, 2, &f), valid ? WS_MORE : WS_BAD);
		header[1] = 0;
		assert_int_equal(decode(header, 2, &f), WS_BAD);
	}
}

static void
an_invalid_first_byte_is_rejected_without_the_second(void **state)
{
	(void)state;
	for (unsigned byte = 0; byte < 0x100; byte++) {
		struct ws_frame f;
		unsigned char first = (unsigned char)byte;
		assert_int_equal(decode(&first, 1, &f),
				 first_byte_is_valid(byte) ? WS_MORE : WS_BAD);
	}
}

static void
unmasking_works_at_any_offset_alignment_and_length(void **state)
{
	static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

	(void)state;
	for (size_t length = 0; length <= 40; length++)
		for (size_t align = 0; align < 8; align++)
			for (size_t offset = 0; offset < 12; offset++) {
				unsigned char *p = malloc(align + length + 1);
				for (size_t i = 0; i < align + length; i++)
					p[i] = (unsigned char)(i * 7);
				p = realloc(p, align + length > 0 ? align + length : 1);
				ws_unmask(p + align, length, mask, offset);
				for (size_t i = 0; i < align; i++)
					assert_int_equal(p[i], i * 7);
				for (size_t i = 0; i < length; i++)
					assert_int_equal(p[align + i],
							 (((align + i) * 7) & 0xff) ^
							     mask[(offset + i) % 4]);
				free(p);
			}
}

static void
unmasking_tells_whether_all_bytes_are_ascii(void **state)
{
	static const unsigned char mask[4] = { 0xb7, 0xfa, 0x21, 0x3d };
	unsigned char p[40];

	(void)state;
	for (size_t length = 0; length <= sizeof p; length++)
		for (size_t other = 0; other <= length; other++) {
			for (size_t i = 0; i < length; i++)
				p[i] = (i == other ? 0x80 : 0x7f) ^ mask[i % 4];
			assert_int_equal(ws_unmask(p, length, mask, 0), other == length);
		}
}

static void
masking_twice_restores_the_payload(void **state)
{
	static const unsigned char mask[4] = { 0xff, 0x00, 0x80, 0x01 };
	unsigned char p[] = "the quick brown fox jumps over the lazy dog";

	(void)state;
	ws_unmask(p, 20, mask, 0);
	ws_unmask(p + 20, sizeof p - 20, mask, 20);
	assert_string_not_equal((char *)p, "the quick brown fox jumps over the lazy dog");
	ws_unmask(p, sizeof p, mask, 0);
	assert_string_equal((char *)p, "the quick brown fox jumps over the lazy dog");
}

static void
a_server_header_has_the_shortest_length_and_no_mask(void **state)
{
	static const struct {
		enum ws_opcode opcode;
		size_t length;
		const char *header;
		size_t header_length;
	} cases[] = {
		{ WS_TEXT, 0, BYTES("\x81\x00") },
		{ WS_TEXT, 1, BYTES("\x81\x01") },
		{ WS_TEXT, 125, BYTES("\x81\x7d") },
		{ WS_TEXT, 126, BYTES("\x81\x7e\x00\x7e") },
		{ WS_BINARY, 256, BYTES("\x82\x7e\x01\x00") },
		{ WS_TEXT, 65535, BYTES("\x81\x7e\xff\xff") },
		{ WS_TEXT, 65536, BYTES("\x81\x7f\0\0\0\0\0\1\0\0") },
		{ WS_TEXT, 0x1020304, BYTES("\x81\x7f\0\0\0\0\1\2\3\4") },
		{ WS_CLOSE, 2, BYTES("\x88\x02") },
		{ WS_PING, 0, BYTES("\x89\x00") },
		{ WS_PONG, 125, BYTES("\x8a\x7d") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		unsigned char *out = malloc(WS_SERVER_HEADER);
		assert_int_equal(ws_encode_header(out, cases[i].opcode, cases[i].length),
				 cases[i].header_length);
		assert_memory_equal(out, cases[i].header, cases[i].header_length);
		free(out);
	}
}

static void
only_codes_that_may_be_sent_are_valid(void **state)
{
	(void)state;
	for (unsigned code = 0; code <= 0x10000; code++) {
		bool defined =
		    (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
		bool free_to_use = code >= 3000 && code <= 4999;
		assert_int_equal(ws_valid_code(code), defined || free_to_use);
	}
}

/* The receiving side of a connection: its buffer, and a record of its events. */
struct peer {
	struct ws ws;
	unsigned char *data; /* the bytes that ws_finish kept */
	size_t kept;
	size_t received; /* bytes received until it failed */
	size_t messages;
	size_t last_length; /* of the last payload */
	bool failed;
	struct text log;
	char log_data[1024];
};

static void
peer_init(struct peer *p, size_t most, bool binary_utf8)
{
	*p = (struct peer){ .ws = { .max_message = most, .binary_utf8 = binary_utf8 } };
	text_init(&p->log, p->log_data, sizeof p->log_data);
}

static void
peer_free(struct peer *p)
{
	free(p->data);
	p->data = NULL;
}

static void
note(struct peer *p, enum ws_event event, struct span payload)
{
	static const char *const names[] = { "",     "text",  "binary", "ping",
					     "pong", "close", "failed" };

	text_string(&p->log, names[event]);
	if (event == WS_GOT_CLOSE || event == WS_FAILED) {
		text_char(&p->log, ' ');
		text_number(&p->log, (uint64_t)p->ws.code);
	}
	if (event != WS_FAILED) {
		text_char(&p->log, '(');
		text_escaped(&p->log, payload.data, payload.length, 40);
		text_char(&p->log, ')');
		p->last_length = payload.length;
		p->messages += event == WS_GOT_TEXT || event == WS_GOT_BINARY;
	}
	text_char(&p->log, ' ');
}

/* Receives bytes in one read.  The buffer is exactly as large as its contents. */
static void
receive(struct peer *p, const unsigned char *bytes, size_t length)
{
	size_t all = p->kept + length;
	struct span payload = { 0 };
	enum ws_event event;

	p->data = realloc(p->data, all > 0 ? all : 1);
	assert_non_null(p->data);
	if (length > 0)
		memcpy(p->data + p->kept, bytes, length);
	ws_start(&p->ws);
	while ((event = ws_next(&p->ws, p->data, all, &payload)) > WS_NOTHING) {
		note(p, event, payload);
		p->failed = event == WS_FAILED;
		if (p->failed)
			return;
	}
	p->received += length;
	p->kept = ws_finish(&p->ws, p->data, all);
	assert_true(p->kept < p->ws.max_message + WS_EXTRA);
}

/* Receives bytes in reads of at most `step` bytes, or of what the buffer has space for.
 */
static void
receive_all(struct peer *p, const struct text *sent, size_t from, size_t step)
{
	while (from < sent->length && !p->failed) {
		size_t n = sent->length - from,
		       space = p->ws.max_message + WS_EXTRA - p->kept;
		n = n < step ? n : step;
		n = n < space ? n : space;
		receive(p, (const unsigned char *)sent->data + from, n);
		from += n;
	}
}

static void
assert_log(struct peer *p, const char *expected)
{
	text_char(&p->log, '\0');
	assert_false(p->log.overflow);
	assert_string_equal(p->log_data, expected);
}

/* Adds the header of a client's frame. */
static void
put_header(struct text *t, unsigned first, uint64_t length, const unsigned char mask[4])
{
	unsigned extended = length < 126 ? 0 : length < 65536 ? 2 : 8;

	text_char(t, (char)first);
	text_char(t, (char)(0x80 | (extended == 0 ? length : extended == 2 ? 126 : 127)));
	while (extended-- > 0)
		text_char(t, (char)(length >> (8 * extended) & 0xff));
	text_put(t, mask, 4);
}

/* Adds a client's frame.  Each frame has another mask. */
static void
put_frame(struct text *t, unsigned first, const void *payload, size_t length)
{
	const unsigned char *p = payload;
	unsigned char mask[4] = { 0x37, 0xfa, (unsigned char)(t->length & 0xff), 0x3d };

	put_header(t, first, length, mask);
	for (size_t i = 0; i < length; i++)
		text_char(t, (char)(p[i] ^ mask[i % 4]));
	assert_false(t->overflow);
}

/* A frame: its first byte and its payload.  A NULL payload ends a list of frames. */
struct sent {
	unsigned first;
	const char *payload;
	size_t length;
};

enum { TEXT = 0x81, BINARY = 0x82, CLOSE = 0x88, PING = 0x89, PONG = 0x8a };
enum { FIRST_TEXT = 0x01, FIRST_BINARY = 0x02, MIDDLE = 0x00, LAST = 0x80 };

struct stream {
	struct sent frames[8];
	const char *log;
};

/* The maximum size of a message in all of these tests, in bytes. */
enum { MOST = 10 };

static const struct stream valid_streams[] = {
	{ { { FIRST_TEXT, BYTES("a") }, { LAST, BYTES("123456789") } },
	  "text(a123456789) " },
	{ { { TEXT, BYTES("Hello") } }, "text(Hello) " },
	{ { { TEXT, BYTES("") } }, "text() " },
	{ { { BINARY, BYTES("") } }, "binary() " },
	{ { { BINARY, BYTES("\0\xff\x80") } }, "binary(\\x00\\xff\\x80) " },
	{ { { PING, BYTES("") } }, "ping() " },
	{ { { PING, BYTES("Hello") } }, "ping(Hello) " },
	{ { { PONG, BYTES("\xff\0") } }, "pong(\\xff\\x00) " },
	{ { { TEXT, BYTES("a") }, { TEXT, BYTES("bc") }, { BINARY, BYTES("d") } },
	  "text(a) text(bc) binary(d) " },
	{ { { TEXT, BYTES("") }, { TEXT, BYTES("") }, { TEXT, BYTES("a") } },
	  "text() text() text(a) " },
	{ { { FIRST_TEXT, BYTES("Hel") }, { LAST, BYTES("lo") } }, "text(Hello) " },
	{ { { FIRST_BINARY, BYTES("a") }, { MIDDLE, BYTES("b") }, { LAST, BYTES("c") } },
	  "binary(abc) " },
	{ { { FIRST_TEXT, BYTES("") }, { MIDDLE, BYTES("") }, { LAST, BYTES("") } },
	  "text() " },
	{ { { FIRST_TEXT, BYTES("") }, { MIDDLE, BYTES("ab") }, { LAST, BYTES("") } },
	  "text(ab) " },
	{ { { FIRST_TEXT, BYTES("ab") }, { MIDDLE, BYTES("") }, { LAST, BYTES("c") } },
	  "text(abc) " },
	{ { { FIRST_TEXT, BYTES("ab") }, { PING, BYTES("12") }, { LAST, BYTES("cd") } },
	  "ping(12) text(abcd) " },
	{ { { FIRST_TEXT, BYTES("ab") },
	    { PING, BYTES("1") },
	    { MIDDLE, BYTES("cd") },
	    { PONG, BYTES("a longer one than the message") },
	    { PING, BYTES("") },
	    { LAST, BYTES("ef") },
	    { TEXT, BYTES("gh") } },
	  "ping(1) pong(a longer one than the message) ping() text(abcdef) text(gh) " },
	{ { { FIRST_TEXT, BYTES("") }, { PING, BYTES("x") }, { LAST, BYTES("ab") } },
	  "ping(x) text(ab) " },
	{ { { FIRST_TEXT, BYTES("\xc3") },
	    { PING, BYTES("\xff") },
	    { LAST, BYTES("\xa4") } },
	  "ping(\\xff) text(\\xc3\\xa4) " },
	{ { { FIRST_TEXT, BYTES("\xf0") },
	    { MIDDLE, BYTES("\x9f") },
	    { MIDDLE, BYTES("") },
	    { MIDDLE, BYTES("\x98") },
	    { LAST, BYTES("\x80") } },
	  "text(\\xf0\\x9f\\x98\\x80) " },
	{ { { TEXT, BYTES("0123456789") } }, "text(0123456789) " },
	{ { { FIRST_TEXT, BYTES("01234") },
	    { MIDDLE, BYTES("56789") },
	    { LAST, BYTES("") } },
	  "text(0123456789) " },
	{ { { FIRST_TEXT, BYTES("01234") },
	    { LAST, BYTES("56789") },
	    { TEXT, BYTES("0123456789") } },
	  "text(0123456789) text(0123456789) " },
	{ { { FIRST_BINARY, BYTES("\xc3") }, { LAST, BYTES("") }, { TEXT, BYTES("a") } },
	  "binary(\\xc3) text(a) " },
	{ { { CLOSE, BYTES("") } }, "close 1005() " },
	{ { { CLOSE, BYTES("\x03\xe8") } }, "close 1000() " },
	{ { { CLOSE, BYTES("\x03\xe9going") } }, "close 1001(going) " },
	{ { { CLOSE, BYTES("\x0f\xa1\xc3\xa4") } }, "close 4001(\\xc3\\xa4) " },
	{ { { CLOSE, BYTES("\x0b\xb8") } }, "close 3000() " },
	{ { { CLOSE, BYTES("\x13\x87") } }, "close 4999() " },
	{ { { FIRST_TEXT, BYTES("ab") }, { CLOSE, BYTES("\x03\xe8") } },
	  "close 1000() " },
	{ { { TEXT, BYTES("a") }, { CLOSE, BYTES("\x03\xe8") } },
	  "text(a) close 1000() " },
};

static const struct stream invalid_streams[] = {
	{ { { MIDDLE, BYTES("a") } }, "failed 1002 " },
	{ { { LAST, BYTES("a") } }, "failed 1002 " },
	{ { { LAST, BYTES("") } }, "failed 1002 " },
	{ { { TEXT, BYTES("a") }, { LAST, BYTES("b") } }, "text(a) failed 1002 " },
	{ { { FIRST_TEXT, BYTES("a") }, { LAST, BYTES("b") }, { LAST, BYTES("c") } },
	  "text(ab) failed 1002 " },
	{ { { FIRST_TEXT, BYTES("a") }, { TEXT, BYTES("b") } }, "failed 1002 " },
	{ { { FIRST_TEXT, BYTES("") }, { BINARY, BYTES("b") } }, "failed 1002 " },
	{ { { FIRST_TEXT, BYTES("a") }, { FIRST_TEXT, BYTES("b") } }, "failed 1002 " },
	{ { { FIRST_TEXT, BYTES("a") }, { PING, BYTES("") }, { TEXT, BYTES("b") } },
	  "ping() failed 1002 " },
	{ { { 0xc1, BYTES("a") } }, "failed 1002 " },
	{ { { 0xa1, BYTES("a") } }, "failed 1002 " },
	{ { { 0x91, BYTES("a") } }, "failed 1002 " },
	{ { { 0x83, BYTES("a") } }, "failed 1002 " },
	{ { { 0x8b, BYTES("a") } }, "failed 1002 " },
	{ { { 0x09, BYTES("a") } }, "failed 1002 " },
	{ { { TEXT, BYTES("a") }, { 0xc1, BYTES("a") } }, "text(a) failed 1002 " },
	{ { { TEXT, BYTES("0123456789a") } }, "failed 1009 " },
	{ { { BINARY, BYTES("0123456789a") } }, "failed 1009 " },
	{ { { FIRST_TEXT, BYTES("01234567") }, { LAST, BYTES("89a") } }, "failed 1009 " },
	{ { { FIRST_TEXT, BYTES("0123456789") },
	    { MIDDLE, BYTES("") },
	    { LAST, BYTES("a") } },
	  "failed 1009 " },
	{ { { FIRST_TEXT, BYTES("0123456789") },
	    { PING, BYTES("x") },
	    { MIDDLE, BYTES("a") } },
	  "ping(x) failed 1009 " },
	{ { { TEXT, BYTES("a") }, { TEXT, BYTES("0123456789a") } },
	  "text(a) failed 1009 " },
	{ { { TEXT, BYTES("a\xff") } }, "failed 1007 " },
	{ { { TEXT, BYTES("\xc3") } }, "failed 1007 " },
	{ { { TEXT, BYTES("\xed\xa0\x80") } }, "failed 1007 " },
	{ { { FIRST_TEXT, BYTES("\xe2\x82") }, { LAST, BYTES("") } }, "failed 1007 " },
	{ { { FIRST_TEXT, BYTES("\xe2\x82") }, { LAST, BYTES("a") } }, "failed 1007 " },
	{ { { FIRST_TEXT, BYTES("\xed") }, { MIDDLE, BYTES("\xa0") } }, "failed 1007 " },
	{ { { FIRST_TEXT, BYTES("\xe2") },
	    { PING, BYTES("\x82\xac") },
	    { LAST, BYTES("") } },
	  "ping(\\x82\\xac) failed 1007 " },
	{ { { FIRST_TEXT, BYTES("a") }, { LAST, BYTES("\x80") } }, "failed 1007 " },
	{ { { CLOSE, BYTES("\x03") } }, "failed 1002 " },
	{ { { CLOSE, BYTES("\x00\x00") } }, "failed 1002 " },
	{ { { CLOSE, BYTES("\x03\xe7") } }, "failed 1002 " }, /* 999 */
	{ { { CLOSE, BYTES("\x03\xec") } }, "failed 1002 " }, /* 1004 */
	{ { { CLOSE, BYTES("\x03\xed") } }, "failed 1002 " }, /* 1005 */
	{ { { CLOSE, BYTES("\x03\xee") } }, "failed 1002 " }, /* 1006 */
	{ { { CLOSE, BYTES("\x03\xf7") } }, "failed 1002 " }, /* 1015 */
	{ { { CLOSE, BYTES("\x0b\xb7") } }, "failed 1002 " }, /* 2999 */
	{ { { CLOSE, BYTES("\x13\x88") } }, "failed 1002 " }, /* 5000 */
	{ { { CLOSE, BYTES("\xff\xff") } }, "failed 1002 " },
	{ { { CLOSE, BYTES("\x03\xe8\xff") } }, "failed 1007 " },
	{ { { CLOSE, BYTES("\x03\xe8"
			   "a\xc3") } },
	  "failed 1007 " },
	{ { { CLOSE, BYTES("\x03\xe8\xed\xa0\x80") } }, "failed 1007 " },
	{ { { FIRST_TEXT, BYTES("\xc3") }, { CLOSE, BYTES("\x03\xe8\xa4") } },
	  "failed 1007 " },
};

static void
put_frames(struct text *t, const struct sent frames[8])
{
	for (size_t i = 0; i < 8 && frames[i].payload != NULL; i++)
		put_frame(t, frames[i].first, frames[i].payload, frames[i].length);
}

/* Receives a stream with a first read of one length and later ones of at most another. */
static void
assert_received(const struct text *sent, size_t first, size_t step, const char *log)
{
	struct peer p;
	struct text head = { sent->data, first, first, false };

	peer_init(&p, MOST, false);
	receive_all(&p, &head, 0, sent->length);
	receive_all(&p, sent, first, step);
	assert_log(&p, log);
	peer_free(&p);
}

/* Receives a stream whole, split at every offset, and a few bytes at a time. */
static void
assert_stream(const struct stream *s)
{
	char room[256];
	struct text sent;

	text_init(&sent, room, sizeof room);
	put_frames(&sent, s->frames);
	for (size_t split = 0; split <= sent.length; split++)
		assert_received(&sent, split, sent.length, s->log);
	for (size_t step = 1; step <= 8; step++)
		assert_received(&sent, 0, step, s->log);
}

static void
messages_are_received_at_any_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_streams); i++)
		assert_stream(&valid_streams[i]);
}

static void
protocol_errors_are_detected_at_any_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_streams); i++)
		assert_stream(&invalid_streams[i]);
}

static void
truncated_streams_wait_for_more(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_streams); i++) {
		char room[256];
		struct text sent;
		text_init(&sent, room, sizeof room);
		put_frames(&sent, valid_streams[i].frames);
		for (size_t whole = sent.length; sent.length > 0 && whole > 0; whole--) {
			struct peer p;
			sent.length--;
			peer_init(&p, MOST, false);
			receive_all(&p, &sent, 0, sent.length);
			assert_false(p.failed);
			assert_memory_equal(p.log_data, valid_streams[i].log,
					    p.log.length);
			assert_true(p.log.length < strlen(valid_streams[i].log));
			peer_free(&p);
		}
	}
}

static void
many_messages_can_be_received_in_one_read(void **state)
{
	char room[2048];
	struct text sent;
	struct peer p;

	(void)state;
	text_init(&sent, room, sizeof room);
	for (size_t i = 0; i < COUNT(valid_streams); i++) {
		const struct sent *f = valid_streams[i].frames;
		if (f[0].first == TEXT && f[1].payload == NULL)
			put_frames(&sent, f);
		put_frame(&sent, PING, "p", 1);
	}
	peer_init(&p, MOST, false);
	receive(&p, (unsigned char *)room, sent.length);
	assert_false(p.failed);
	assert_int_equal(p.messages, 3);
	assert_int_equal(p.kept, 0);
	peer_free(&p);
}

/* The bytes are those in RFC 6455 section 5.7. */
static void
the_masked_examples_of_the_rfc_are_received(void **state)
{
	static const char hello[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
				    "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
	struct text sent = { (char *)(uintptr_t)hello, sizeof hello - 1, sizeof hello - 1,
			     false };

	(void)state;
	for (size_t split = 0; split <= sent.length; split++)
		assert_received(&sent, split, sent.length, "text(Hello) pong(Hello) ");
	assert_received(&sent, 0, 1, "text(Hello) pong(Hello) ");
}

static void
the_unmasked_examples_of_the_rfc_are_rejected(void **state)
{
	static const char *const examples[] = { "\x81\x05Hello", "\x01\x03Hel",
						"\x89\x05Hello" };

	(void)state;
	for (size_t i = 0; i < COUNT(examples); i++) {
		size_t length = strlen(examples[i]);
		struct text sent = { (char *)(uintptr_t)examples[i], length, length,
				     false };
		assert_received(&sent, 0, length, "failed 1002 ");
		assert_received(&sent, 0, 1, "failed 1002 ");
	}
}

/* Lengths around the limits of each header form, and 64 KiB as in section 5.7. */
static void
long_messages_are_received_in_reads_of_any_size(void **state)
{
	static const size_t lengths[] = { 125, 126, 127, 65535, 65536 };
	static const size_t steps[] = { 7, 1000, 4096, 100000 };
	char *room = malloc(65536 + WS_HEADER), *payload = malloc(65536);

	(void)state;
	memset(payload, 'a', 65536);
	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct text sent;
		text_init(&sent, room, 65536 + WS_HEADER);
		put_frame(&sent, BINARY, payload, lengths[i]);
		for (size_t k = 0; k < COUNT(steps); k++) {
			struct peer p;
			peer_init(&p, 65536, false);
			receive_all(&p, &sent, 0, steps[k]);
			assert_int_equal(p.messages, 1);
			assert_int_equal(p.last_length, lengths[i]);
			assert_memory_equal(p.log_data, "binary(aaaa", 11);
			peer_free(&p);
		}
	}
	free(payload);
	free(room);
}

/* One letter in each frame, and some control frames between them. */
static void
put_letters(struct text *t, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char letter = (char)('a' + i % 26);
		unsigned first = i == 0 ? FIRST_TEXT : MIDDLE;
		put_frame(t, i + 1 == count ? first | 0x80u : first, &letter, 1);
		if (i % 1000 == 500)
			put_frame(t, PING, "", 0);
	}
}

static void
ten_thousand_fragments_of_one_byte_form_a_message(void **state)
{
	enum { FRAGMENTS = 10000 };
	static const size_t steps[] = { 1, 5, 1000, 1000000 };
	char *room = malloc(8 * (size_t)FRAGMENTS);

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		struct text sent;
		struct peer p;
		text_init(&sent, room, 8 * (size_t)FRAGMENTS);
		put_letters(&sent, FRAGMENTS);
		peer_init(&p, FRAGMENTS, false);
		receive_all(&p, &sent, 0, steps[i]);
		assert_int_equal(p.last_length, FRAGMENTS);
		assert_log(&p, "ping() ping() ping() ping() ping() ping() ping() ping() "
			       "ping() ping() "
			       "text(abcdefghijklmnopqrstuvwxyzabcdefghijklmn...) ");
		peer_free(&p);
	}
	free(room);
}

static void
fragments_keep_their_order_to_the_last_byte(void **state)
{
	enum { FRAGMENTS = 2000 };
	char *room = malloc(8 * (size_t)FRAGMENTS);
	struct ws ws = { .max_message = FRAGMENTS };
	struct span payload;
	struct text sent;

	(void)state;
	text_init(&sent, room, 8 * (size_t)FRAGMENTS);
	put_letters(&sent, FRAGMENTS);
	ws_start(&ws);
	while (ws_next(&ws, (unsigned char *)room, sent.length, &payload) == WS_GOT_PING)
		;
	assert_int_equal(payload.length, FRAGMENTS);
	for (size_t i = 0; i < FRAGMENTS; i++)
		assert_int_equal(payload.data[i], 'a' + i % 26);
	assert_int_equal(ws_finish(&ws, (unsigned char *)room, sent.length), 0);
	free(room);
}

static void
any_number_of_empty_fragments_takes_no_space(void **state)
{
	enum { FRAGMENTS = 10000 };
	char *room = malloc(8 * (size_t)FRAGMENTS);
	struct text sent;
	struct peer p;

	(void)state;
	text_init(&sent, room, 8 * (size_t)FRAGMENTS);
	put_frame(&sent, FIRST_TEXT, "a", 1);
	for (size_t i = 0; i < FRAGMENTS; i++)
		put_frame(&sent, MIDDLE, "", 0);
	peer_init(&p, MOST, false);
	receive_all(&p, &sent, 0, 100);
	assert_int_equal(p.kept, 1);
	sent.length = 0;
	put_frame(&sent, LAST, "b", 1);
	receive_all(&p, &sent, 0, 100);
	assert_log(&p, "text(ab) ");
	peer_free(&p);
	free(room);
}

static void
a_frame_that_is_too_big_is_rejected_at_its_header(void **state)
{
	static const uint64_t lengths[] = {
		MOST + 1, 125, 126, 65535, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
		INT64_MAX
	};
	static const unsigned char mask[4] = { 1, 2, 3, 4 };

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		char room[64];
		struct text sent;
		text_init(&sent, room, sizeof room);
		put_header(&sent, TEXT, lengths[i], mask);
		assert_received(&sent, 0, 1, "failed 1009 ");
		assert_received(&sent, 0, sent.length, "failed 1009 ");
		text_init(&sent, room, sizeof room);
		put_frame(&sent, FIRST_TEXT, "0", 1);
		put_header(&sent, LAST, lengths[i], mask);
		assert_received(&sent, 0, sent.length, "failed 1009 ");
	}
}

static void
fragments_that_exceed_the_limit_together_are_too_big(void **state)
{
	static const unsigned char mask[4] = { 1, 2, 3, 4 };
	char room[64];
	struct text sent;

	(void)state;
	for (uint64_t length = 0; length <= MOST; length++) {
		text_init(&sent, room, sizeof room);
		put_frame(&sent, FIRST_TEXT, "0123", 4);
		put_header(&sent, LAST, length, mask);
		assert_received(&sent, 0, 1,
				length > 6    ? "failed 1009 "
				: length == 0 ? "text(0123) "
					      : "");
	}
}

static void
a_control_frame_may_be_longer_than_the_message_limit(void **state)
{
	char room[256], payload[WS_CONTROL];
	struct text sent;
	struct peer p;

	(void)state;
	memset(payload, 'x', sizeof payload);
	text_init(&sent, room, sizeof room);
	put_frame(&sent, FIRST_TEXT, "0123456789", 10);
	put_frame(&sent, PING, payload, sizeof payload);
	put_frame(&sent, LAST, "", 0);
	peer_init(&p, MOST, false);
	receive_all(&p, &sent, 0, 1);
	assert_log(&p,
		   "ping(xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...) text(0123456789) ");
	peer_free(&p);
}

/* Invalid texts, each with the offset of its first invalid byte in the payload. */
static const struct {
	struct sent frames[8];
	size_t invalid_at;
} invalid_texts[] = {
	{ { { TEXT, BYTES("\xff"
			  "23456789") } },
	  6 },
	{ { { TEXT, BYTES("1\x80"
			  "3456789") } },
	  7 },
	{ { { TEXT, BYTES("12345678\xc0") } }, 14 },
	{ { { TEXT, BYTES("1\xe2(456789") } }, 8 },
	{ { { TEXT, BYTES("1\xed\xa0\x80"
			  "789") } },
	  8 },
	{ { { TEXT, BYTES("\xf4\x90\x80\x80"
			  "56") } },
	  7 },
	{ { { FIRST_TEXT, BYTES("12\xe2") }, { LAST, BYTES("\x82z45") } }, 16 },
	{ { { FIRST_TEXT, BYTES("\xf0") },
	    { MIDDLE, BYTES("\x8f\xbf") },
	    { LAST, BYTES("\xbf") } },
	  13 },
	{ { { FIRST_TEXT, BYTES("\xe2") }, { PING, BYTES("pp") }, { LAST, BYTES("zz") } },
	  21 },
};

static void
a_text_fails_at_its_first_invalid_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_texts); i++) {
		char room[256];
		struct text sent;
		struct peer p;
		text_init(&sent, room, sizeof room);
		put_frames(&sent, invalid_texts[i].frames);
		peer_init(&p, MOST, false);
		receive_all(&p, &sent, 0, 1);
		assert_true(p.failed);
		assert_int_equal(p.ws.code, WS_INVALID_DATA);
		if (p.received != invalid_texts[i].invalid_at)
			fail_msg("case %zu at %zu", i, p.received);
		peer_free(&p);
	}
}

static void
binary_messages_are_checked_if_requested(void **state)
{
	static const struct stream cases[] = {
		{ { { BINARY, BYTES("a\xff") } }, "failed 1007 " },
		{ { { BINARY, BYTES("\xc3") } }, "failed 1007 " },
		{ { { FIRST_BINARY, BYTES("\xc3") }, { LAST, BYTES("") } },
		  "failed 1007 " },
		{ { { FIRST_BINARY, BYTES("\xc3") }, { LAST, BYTES("\xa4") } },
		  "binary(\\xc3\\xa4) " },
		{ { { TEXT, BYTES("\xff") } }, "failed 1007 " },
		{ { { PING, BYTES("\xff") } }, "ping(\\xff) " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t step = 1; step <= 32; step++) {
			char room[256];
			struct text sent;
			struct peer p;
			text_init(&sent, room, sizeof room);
			put_frames(&sent, cases[i].frames);
			peer_init(&p, MOST, true);
			receive_all(&p, &sent, 0, step);
			assert_log(&p, cases[i].log);
			peer_free(&p);
		}
}

static void
a_payload_is_inside_the_buffer(void **state)
{
	char room[64];
	struct ws ws = { .max_message = MOST };
	struct text sent;
	struct span payload;

	(void)state;
	text_init(&sent, room, sizeof room);
	put_frame(&sent, FIRST_TEXT, "ab", 2);
	put_frame(&sent, PING, "p", 1);
	put_frame(&sent, LAST, "cd", 2);
	ws_start(&ws);
	assert_int_equal(ws_next(&ws, (unsigned char *)room, sent.length, &payload),
			 WS_GOT_PING);
	assert_true(payload.data >= room && payload.data < room + sent.length);
	assert_int_equal(ws_next(&ws, (unsigned char *)room, sent.length, &payload),
			 WS_GOT_TEXT);
	assert_true(payload.data >= room && payload.data + 4 <= room + sent.length);
	assert_memory_equal(payload.data, "abcd", 4);
	assert_int_equal(ws_next(&ws, (unsigned char *)room, sent.length, &payload),
			 WS_NOTHING);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_valid_handshake_is_accepted_with_the_hash_of_its_key),
		cmocka_unit_test(an_invalid_handshake_is_rejected_with_a_status),
		cmocka_unit_test(a_key_must_be_16_bytes_in_base64),
		cmocka_unit_test(a_frame_header_is_decoded),
		cmocka_unit_test(decoding_a_header_ignores_the_payload_after_it),
		cmocka_unit_test(a_truncated_header_needs_more_bytes),
		cmocka_unit_test(an_invalid_header_is_rejected_before_its_mask),
		cmocka_unit_test(
		    reserved_bits_and_opcodes_and_fragmented_control_frames_are_rejected),
		cmocka_unit_test(an_invalid_first_byte_is_rejected_without_the_second),
		cmocka_unit_test(unmasking_works_at_any_offset_alignment_and_length),
		cmocka_unit_test(unmasking_tells_whether_all_bytes_are_ascii),
		cmocka_unit_test(masking_twice_restores_the_payload),
		cmocka_unit_test(a_server_header_has_the_shortest_length_and_no_mask),
		cmocka_unit_test(only_codes_that_may_be_sent_are_valid),
		cmocka_unit_test(messages_are_received_at_any_split),
		cmocka_unit_test(protocol_errors_are_detected_at_any_split),
		cmocka_unit_test(truncated_streams_wait_for_more),
		cmocka_unit_test(many_messages_can_be_received_in_one_read),
		cmocka_unit_test(the_masked_examples_of_the_rfc_are_received),
		cmocka_unit_test(the_unmasked_examples_of_the_rfc_are_rejected),
		cmocka_unit_test(long_messages_are_received_in_reads_of_any_size),
		cmocka_unit_test(ten_thousand_fragments_of_one_byte_form_a_message),
		cmocka_unit_test(fragments_keep_their_order_to_the_last_byte),
		cmocka_unit_test(any_number_of_empty_fragments_takes_no_space),
		cmocka_unit_test(a_frame_that_is_too_big_is_rejected_at_its_header),
		cmocka_unit_test(fragments_that_exceed_the_limit_together_are_too_big),
		cmocka_unit_test(a_control_frame_may_be_longer_than_the_message_limit),
		cmocka_unit_test(a_text_fails_at_its_first_invalid_byte),
		cmocka_unit_test(binary_messages_are_checked_if_requested),
		cmocka_unit_test(a_payload_is_inside_the_buffer),
	};

	return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
