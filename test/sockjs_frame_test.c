/* SockJS frames: messages, Close frames, the wrapping of each transport; payloads. */
#include "sockjs_frame.h"
#include "http.h"
#include "json.h"
#include "unit.h"

static const enum transport transports[] = {
	TRANSPORT_WEBSOCKET,   TRANSPORT_XHR,	   TRANSPORT_XHR_STREAMING,
	TRANSPORT_EVENTSOURCE, TRANSPORT_HTMLFILE, TRANSPORT_JSONP,
};

/* A callback's name of SOCKJS_FRAME_CALLBACK bytes. */
static const char longest[] = "_jp.abcdefghijklmnopqrstuvwxyz-0";

/* Encodes a character as UTF-8, or a surrogate as WTF-8.  Returns the length. */
static size_t
encode(uint32_t c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 + c / 0x40);
		out[1] = (char)(0x80 + c % 0x40);
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 + c / 0x1000);
		out[1] = (char)(0x80 + c / 0x40 % 0x40);
		out[2] = (char)(0x80 + c % 0x40);
		return 3;
	}
	out[0] = (char)(0xf0 + c / 0x40000);
	out[1] = (char)(0x80 + c / 0x1000 % 0x40);
	out[2] = (char)(0x80 + c / 0x40 % 0x40);
	out[3] = (char)(0x80 + c % 0x40);
	return 4;
}

/* True for characters that need an escape: \u and four digits, or a shorter one. */
static bool
must_be_escaped(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{ 0x0000, 0x001f }, { 0x200c, 0x200f }, { 0x2028, 0x202f },
		{ 0x2060, 0x206f }, { 0xd800, 0xdfff }, { 0xfff0, 0xffff },
	};

	for (size_t i = 0; i < COUNT(ranges); i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

/* Quotes a character as a message contains it.  Returns the length. */
static size_t
quote(uint32_t c, char out[13])
{
	switch (c) {
	case '"': return (size_t)sprintf(out, "\\\"");
	case '\\': return (size_t)sprintf(out, "\\\\");
	case 0x08: return (size_t)sprintf(out, "\\b");
	case 0x09: return (size_t)sprintf(out, "\\t");
	case 0x0a: return (size_t)sprintf(out, "\\n");
	case 0x0c: return (size_t)sprintf(out, "\\f");
	case 0x0d: return (size_t)sprintf(out, "\\r");
	}
	if (c > 0xffff)
		return (size_t)sprintf(out, "\\u%04x\\u%04x",
				       (unsigned)(0xd7c0 + c / 0x400),
				       (unsigned)(0xdc00 + c % 0x400));
	if (must_be_escaped(c))
		return (size_t)sprintf(out, "\\u%04x", (unsigned)c);
	return encode(c, out);
}

/* Asserts how a message of these characters is quoted, and that a JSON reader restores
 * it. */
static void
assert_quoted(const uint32_t *characters, size_t count)
{
	char message[64], expected[256], seen[256], back[64];
	size_t length = 0, n = 0;
	struct utf8 u = { 0 };
	struct span value;
	struct text t;
	struct json j;

	assert_in_range(count, 1, 16);
	expected[n++] = '"';
	for (size_t i = 0; i < count; i++) {
		length += encode(characters[i], message + length);
		n += quote(characters[i], expected + n);
	}
	expected[n++] = '"';
	char *p = copy(message, length);
	text_init(&t, seen, n);
	sockjs_frame_put_string(&t, p, length);
	free(p);
	assert_false(t.overflow);
	assert_same((struct span){ seen, t.length }, (struct span){ expected, n });
	assert_true(utf8_check(&u, seen, n) && utf8_complete(&u));
	json_init(&j, seen, n);
	assert_true(json_value(&j, &value) && json_finish(&j));
	assert_int_equal(json_unescape(json_contents(value), back, sizeof back, true),
			 length);
	assert_memory_equal(back, message, length);
}

/* Asserts how a character is quoted alone, between others, and next to itself. */
static void
assert_quoted_anywhere(uint32_t c)
{
	const uint32_t cases[][4] = { { c, 'a', 'z' }, { 'a', c, 'z' }, { 'a', 'z', c },
				      { '"', c, 0 },   { 0x2028, c },	{ 0x1f600, c } };

	assert_quoted(&c, 1);
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_quoted(cases[i], i < 3 ? 3 : 2);
	/* Two surrogates may form a pair, which is another character. */
	if (c < 0xd800 || c > 0xdfff)
		assert_quoted((uint32_t[]){ c, c, c }, 3);
}

static void
every_code_unit_is_quoted_by_the_rules(void **state)
{
	(void)state;
	for (uint32_t c = 0; c <= 0xffff; c++)
		assert_quoted_anywhere(c);
}

static void
characters_above_ffff_become_surrogate_pairs(void **state)
{
	static const uint32_t offsets[] = { 0, 1, 0x3ff, 0x400, 0x7fff, 0xfffe, 0xffff };

	(void)state;
	for (uint32_t plane = 1; plane <= 16; plane++)
		for (size_t i = 0; i < COUNT(offsets); i++)
			assert_quoted_anywhere(plane << 16 | offsets[i]);
	for (uint32_t c = 0x10000; c <= 0x10ffff; c += 61)
		assert_quoted(&c, 1);
}

static void
known_messages_are_quoted_to_the_byte(void **state)
{
	static const struct {
		const char *message;
		size_t length;
		const char *quoted;
	} cases[] = {
		{ BYTES(""), "\"\"" },
		{ BYTES("a/b <c> 'd' & %\x7f"), "\"a/b <c> 'd' & %\x7f\"" },
		{ BYTES("\"\\\b\f\n\r\t"), "\"\\\"\\\\\\b\\f\\n\\r\\t\"" },
		{ BYTES("\0\x01\x0b\x1f "), "\"\\u0000\\u0001\\u000b\\u001f \"" },
		{ BYTES("\0"
			"0"),
		  "\"\\u00000\"" },
		{ BYTES("\xc2\xa0\xdf\xbf"), "\"\xc2\xa0\xdf\xbf\"" },
		{ BYTES("\xe2\x80\x8b\xe2\x80\x8c\xe2\x80\x8f\xe2\x80\x90"),
		  "\"\xe2\x80\x8b\\u200c\\u200f\xe2\x80\x90\"" },
		{ BYTES("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xaf\xe2\x80\xb0"),
		  "\"\xe2\x80\xa7\\u2028\\u202f\xe2\x80\xb0\"" },
		{ BYTES("\xe2\x81\x9f\xe2\x81\xa0\xe2\x81\xaf\xe2\x81\xb0"),
		  "\"\xe2\x81\x9f\\u2060\\u206f\xe2\x81\xb0\"" },
		{ BYTES("\xef\xbb\xbf\xef\xbf\xaf\xef\xbf\xb0\xef\xbf\xbd\xef\xbf\xbf"),
		  "\"\xef\xbb\xbf\xef\xbf\xaf\\ufff0\\ufffd\\uffff\"" },
		{ BYTES("\xf0\x9f\x98\x80"), "\"\\ud83d\\ude00\"" },
		{ BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
		  "\"\\ud800\\udc00\\udbff\\udfff\"" },
		{ BYTES("\xed\x9f\xbf\xed\xa0\x80\xed\xbf\xbf\xee\x80\x80"),
		  "\"\xed\x9f\xbf\\ud800\\udfff\xee\x80\x80\"" },
		{ BYTES("\xed\xa0\xbd-\xed\xb8\x80"), "\"\\ud83d-\\ude00\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *p = copy(cases[i].message, cases[i].length), room[128];
		struct text t;
		text_init(&t, room, strlen(cases[i].quoted));
		sockjs_frame_put_string(&t, p, cases[i].length);
		assert_text(&t, cases[i].quoted);
		free(p);
	}
}

/* The server never has such a message.  Reading must still stop at its end. */
static void
a_message_cut_within_a_character_is_read_to_its_end_only(void **state)
{
	static const char *const characters[] = { "\xc3\xa4",	     "\xe2\x80\xa8",
						  "\xe2\x82\xac",    "\xed\xa0\xbd",
						  "\xef\xbf\xbd",    "\xf0\x9f\x98\x80",
						  "\xf4\x8f\xbf\xbf" };
	static const char *const before[] = { "", "a", "\"", "\xe2\x82\xac",
					      "\xf0\x9f\x98\x80" };

	(void)state;
	for (size_t i = 0; i < COUNT(characters); i++)
		for (size_t k = 0; k < COUNT(before); k++)
			for (size_t n = 1; n < strlen(characters[i]); n++) {
				char message[16], room[64];
				struct text t;
				sprintf(message, "%s%.*s", before[k], (int)n,
					characters[i]);
				size_t length = strlen(message);
				char *p = copy(message, length);
				text_init(&t, room, SOCKJS_FRAME_GROWTH * length + 2);
				sockjs_frame_put_string(&t, p, length);
				assert_false(t.overflow);
				assert_true(t.length >= 2);
				assert_int_equal(room[0], '"');
				assert_int_equal(room[t.length - 1], '"');
				free(p);
			}
}

static void
arbitrary_bytes_are_read_within_their_bounds(void **state)
{
	static const unsigned char bytes[] = { 0x00, 'a',  '"',	 '\\', 0x80, 0xbf, 0xc3,
					       0xe1, 0xe2, 0xed, 0xef, 0xf0, 0xf8, 0xff };
	enum { LENGTH = 4 };

	(void)state;
	for (uint32_t choice = 0; choice < 14 * 14 * 14 * 14; choice++) {
		char message[LENGTH], room[SOCKJS_FRAME_GROWTH * LENGTH + 2];
		uint32_t left = choice;
		for (size_t i = 0; i < LENGTH; i++, left /= 14)
			message[i] = (char)bytes[left % 14];
		for (size_t n = 1; n <= LENGTH; n += 3) {
			char *p = copy(message, n);
			struct text t;
			text_init(&t, room, SOCKJS_FRAME_GROWTH * n + 2);
			sockjs_frame_put_string(&t, p, n);
			assert_false(t.overflow);
			free(p);
		}
	}
}

static void
a_close_frame_holds_its_code_and_reason(void **state)
{
	static const struct {
		unsigned code;
		const char *reason, *frame;
	} cases[] = {
		{ 3000, "Go away!", "c[3000,\"Go away!\"]" },
		{ 1000, "Normal closure", "c[1000,\"Normal closure\"]" },
		{ 1002, "Connection interrupted", "c[1002,\"Connection interrupted\"]" },
		{ 2010, "Another connection still open",
		  "c[2010,\"Another connection still open\"]" },
		{ 4999, "", "c[4999,\"\"]" },
		{ 0, "", "c[0,\"\"]" },
		{ 3000, "a \"b\" \\ </c>\n", "c[3000,\"a \\\"b\\\" \\\\ </c>\\n\"]" },
		{ 3000, "\xc3\xa4\xe2\x80\xa8\xf0\x9f\x98\x80",
		  "c[3000,\"\xc3\xa4\\u2028\\ud83d\\ude00\"]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *reason = copy(cases[i].reason, strlen(cases[i].reason) + 1),
		     room[128];
		struct text t;
		text_init(&t, room, strlen(cases[i].frame));
		sockjs_frame_put_close(&t, cases[i].code, reason);
		assert_text(&t, cases[i].frame);
		free(reason);
	}
}

static void
only_polls_end_with_their_frame(void **state)
{
	(void)state;
	assert_true(sockjs_frame_is_stream(TRANSPORT_WEBSOCKET));
	assert_true(sockjs_frame_is_stream(TRANSPORT_XHR_STREAMING));
	assert_true(sockjs_frame_is_stream(TRANSPORT_EVENTSOURCE));
	assert_true(sockjs_frame_is_stream(TRANSPORT_HTMLFILE));
	assert_false(sockjs_frame_is_stream(TRANSPORT_XHR));
	assert_false(sockjs_frame_is_stream(TRANSPORT_JSONP));
}

static void
other_transports_have_no_prelude(void **state)
{
	static const enum transport none[] = { TRANSPORT_WEBSOCKET, TRANSPORT_XHR,
					       TRANSPORT_JSONP };

	(void)state;
	for (size_t i = 0; i < COUNT(none); i++) {
		char room[1];
		struct text t;
		text_init(&t, room, 0);
		sockjs_frame_put_prelude(&t, none[i], span("cb"));
		assert_text(&t, "");
	}
}

static void
an_event_stream_begins_with_an_empty_line(void **state)
{
	char room[2];
	struct text t;

	(void)state;
	text_init(&t, room, sizeof room);
	sockjs_frame_put_prelude(&t, TRANSPORT_EVENTSOURCE, span(""));
	assert_text(&t, "\r\n");
}

static void
an_xhr_stream_begins_with_a_line_of_2048_heartbeats(void **state)
{
	char *room = malloc(2049);
	struct text t;

	(void)state;
	assert_int_equal(SOCKJS_FRAME_PRELUDE, 2049);
	text_init(&t, room, 2049);
	sockjs_frame_put_prelude(&t, TRANSPORT_XHR_STREAMING, span(""));
	assert_false(t.overflow);
	assert_int_equal(t.length, 2049);
	for (size_t i = 0; i < 2048; i++)
		assert_int_equal(room[i], 'h');
	assert_int_equal(room[2048], '\n');
	free(room);
}

/* Writes the page's twelve lines for this callback.  Returns their length. */
static size_t
page(char *out, size_t size, const char *callback)
{
	int length =
	    snprintf(out, size,
		     "<!doctype html>\n"
		     "<html><head>\n"
		     "  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
		     "  <meta http-equiv=\"Content-Type\" content=\"text/html; "
		     "charset=UTF-8\" />\n"
		     "</head><body><h2>Don't panic!</h2>\n"
		     "  <script>\n"
		     "    document.domain = document.domain;\n"
		     "    var c = parent.%s;\n"
		     "    c.start();\n"
		     "    function p(d) {c.message(d);};\n"
		     "    window.onload = function() {c.stop();};\n"
		     "  </script>",
		     callback);

	assert_in_range(length, 1, size - 1);
	return (size_t)length;
}

static void
an_htmlfile_begins_with_a_page_of_more_than_1024_bytes(void **state)
{
	(void)state;
	assert_int_equal(sizeof longest - 1, SOCKJS_FRAME_CALLBACK);
	for (size_t n = 1; n <= SOCKJS_FRAME_CALLBACK; n++) {
		char callback[SOCKJS_FRAME_CALLBACK + 1], lines[1024];
		char *room = malloc(SOCKJS_FRAME_PRELUDE), *name = copy(longest, n);
		struct text t;
		sprintf(callback, "%.*s", (int)n, longest);
		size_t length = page(lines, sizeof lines, callback);
		text_init(&t, room, SOCKJS_FRAME_PRELUDE);
		sockjs_frame_put_prelude(&t, TRANSPORT_HTMLFILE,
					 (struct span){ name, n });
		assert_false(t.overflow);
		assert_true(t.length > 1024);
		assert_same((struct span){ room, length },
			    (struct span){ lines, length });
		for (size_t i = length; i < t.length - 4; i++)
			assert_int_equal(room[i], ' ');
		assert_span((struct span){ room + t.length - 4, 4 }, "\r\n\r\n");
		assert_int_equal(t.length, 1027 + n);
		free(name);
		free(room);
	}
}

/* The text already holds something, such as the head of a response. */
static void
a_prelude_does_not_depend_on_the_text_before_it(void **state)
{
	enum { BEFORE = 700 };

	(void)state;
	for (size_t i = 0; i < COUNT(transports); i++) {
		char alone[SOCKJS_FRAME_PRELUDE], after[BEFORE + SOCKJS_FRAME_PRELUDE];
		struct text t, u;
		text_init(&t, alone, sizeof alone);
		sockjs_frame_put_prelude(&t, transports[i], span("cb"));
		memset(after, '#', BEFORE);
		text_init(&u, after, sizeof after);
		u.length = BEFORE;
		sockjs_frame_put_prelude(&u, transports[i], span("cb"));
		assert_false(t.overflow || u.overflow);
		assert_same((struct span){ after + BEFORE, u.length - BEFORE },
			    (struct span){ alone, t.length });
		assert_int_equal(after[BEFORE - 1], '#');
	}
}

static void
each_transport_wraps_a_frame_in_its_own_way(void **state)
{
	static const struct {
		enum transport transport;
		const char *callback, *frame, *wrapped;
	} cases[] = {
		{ TRANSPORT_WEBSOCKET, "", "o", "o" },
		{ TRANSPORT_WEBSOCKET, "", "a[\"%<\\n\"]", "a[\"%<\\n\"]" },
		{ TRANSPORT_XHR, "", "o", "o\n" },
		{ TRANSPORT_XHR, "", "h", "h\n" },
		{ TRANSPORT_XHR, "", "a[\"x\",\"%\"]", "a[\"x\",\"%\"]\n" },
		{ TRANSPORT_XHR, "cb", "c[3000,\"Go away!\"]", "c[3000,\"Go away!\"]\n" },
		{ TRANSPORT_XHR_STREAMING, "", "o", "o\n" },
		{ TRANSPORT_XHR_STREAMING, "", "a[\"<\\\"\"]", "a[\"<\\\"\"]\n" },
		{ TRANSPORT_EVENTSOURCE, "", "o", "data: o\r\n\r\n" },
		{ TRANSPORT_EVENTSOURCE, "", "a[\"x\"]", "data: a[\"x\"]\r\n\r\n" },
		{ TRANSPORT_EVENTSOURCE, "", "%", "data: %25\r\n\r\n" },
		{ TRANSPORT_EVENTSOURCE, "", "a[\"%41%%\"]",
		  "data: a[\"%2541%25%25\"]\r\n\r\n" },
		{ TRANSPORT_EVENTSOURCE, "cb", "a[\"\\n\\u0000<+:\"]",
		  "data: a[\"\\n\\u0000<+:\"]\r\n\r\n" },
		{ TRANSPORT_HTMLFILE, "cb", "o", "<script>\np(\"o\");\n</script>\r\n" },
		{ TRANSPORT_HTMLFILE, "cb", "a[\"x\"]",
		  "<script>\np(\"a[\\\"x\\\"]\");\n</script>\r\n" },
		{ TRANSPORT_HTMLFILE, "cb", "a[\"\\n\\\"\\\\%\"]",
		  "<script>\np(\"a[\\\"\\\\n\\\\\\\"\\\\\\\\%\\\"]\");\n</script>\r\n" },
		{ TRANSPORT_HTMLFILE, "cb", "a[\"</script><!--\"]",
		  "<script>\np(\"a[\\\"\\u003c/script>\\u003c!--\\\"]\");\n"
		  "</script>\r\n" },
		{ TRANSPORT_HTMLFILE, "cb", "<",
		  "<script>\np(\"\\u003c\");\n</script>\r\n" },
		{ TRANSPORT_JSONP, "cb", "o", "/**/cb(\"o\");\r\n" },
		{ TRANSPORT_JSONP, "_jp.a-0", "a[\"x\"]",
		  "/**/_jp.a-0(\"a[\\\"x\\\"]\");\r\n" },
		{ TRANSPORT_JSONP, "cb", "a[\"\\u2028</script>%\"]",
		  "/**/cb(\"a[\\\"\\\\u2028</script>%\\\"]\");\r\n" },
		{ TRANSPORT_JSONP, "cb", "c[3000,\"Go away!\"]",
		  "/**/cb(\"c[3000,\\\"Go away!\\\"]\");\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct span callback = span(cases[i].callback);
		struct span frame = span(cases[i].frame);
		char *name = copy(callback.data, callback.length);
		char *p = copy(frame.data, frame.length), room[128];
		struct text t;
		callback.data = name;
		frame.data = p;
		text_init(&t, room, strlen(cases[i].wrapped));
		sockjs_frame_put(&t, cases[i].transport, callback, frame);
		assert_text(&t, cases[i].wrapped);
		free(p);
		free(name);
	}
}

/* The bytes before and after a frame, for the callback cb. */
static const char *const around[][2] = {
	[TRANSPORT_WEBSOCKET] = { "", "" },
	[TRANSPORT_XHR] = { "", "\n" },
	[TRANSPORT_XHR_STREAMING] = { "", "\n" },
	[TRANSPORT_EVENTSOURCE] = { "data: ", "\r\n\r\n" },
	[TRANSPORT_HTMLFILE] = { "<script>\np(\"", "\");\n</script>\r\n" },
	[TRANSPORT_JSONP] = { "/**/cb(\"", "\");\r\n" },
};

/* Wraps a frame.  Returns the part between the bytes in `around`. */
static struct span
wrap(enum transport transport, struct span frame, char *room, size_t size)
{
	struct span before = span(around[transport][0]),
		    after = span(around[transport][1]);
	char *p = copy(frame.data, frame.length);
	struct text t;

	text_init(&t, room, size);
	sockjs_frame_put(&t, transport, span("cb"), (struct span){ p, frame.length });
	free(p);
	assert_false(t.overflow);
	assert_true(t.length >= before.length + after.length);
	assert_memory_equal(room, before.data, before.length);
	assert_memory_equal(room + t.length - after.length, after.data, after.length);
	return (struct span){ room + before.length,
			      t.length - before.length - after.length };
}

/* Returns the bytes that replace a byte of a frame, or NULL if it is unchanged. */
static const char *
replacement(enum transport transport, int byte)
{
	bool quoted = transport == TRANSPORT_HTMLFILE || transport == TRANSPORT_JSONP;

	if (byte == '%' && transport == TRANSPORT_EVENTSOURCE)
		return "%25";
	if (byte == '<' && transport == TRANSPORT_HTMLFILE)
		return "\\u003c";
	if (byte == '"' && quoted)
		return "\\\"";
	if (byte == '\\' && quoted)
		return "\\\\";
	return NULL;
}

static void
a_wrapping_changes_only_the_bytes_it_must(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(transports); i++)
		for (int byte = 0x20; byte < 0x100; byte++) {
			char itself[] = { (char)byte, '\0' }, room[64], expected[64];
			char frame[] = "x.yy..z";
			const char *other = replacement(transports[i], byte);
			other = other != NULL ? other : itself;
			frame[1] = frame[4] = frame[5] = (char)byte;
			sprintf(expected, "x%syy%s%sz", other, other, other);
			struct span seen =
			    wrap(transports[i], span(frame), room, sizeof room);
			assert_span(seen, expected);
			seen = wrap(transports[i], span(itself), room, sizeof room);
			assert_span(seen, other);
		}
}

/* Puts a frame with a message of 16 characters from `first` on, without surrogates. */
static void
put_messages(struct text *t, uint32_t first)
{
	char message[64];
	size_t length = 0;

	for (uint32_t c = first; c < first + 16; c++)
		if (c < 0xd800 || c > 0xdfff)
			length += encode(c, message + length);
	text_string(t, "a[");
	sockjs_frame_put_string(t, message, length);
	text_char(t, ']');
	assert_false(t->overflow);
}

static void
a_quoted_frame_is_a_json_string_of_the_frame(void **state)
{
	static const enum transport quoting[] = { TRANSPORT_HTMLFILE, TRANSPORT_JSONP };

	(void)state;
	for (size_t i = 0; i < COUNT(quoting); i++)
		for (uint32_t first = 0; first < 0x20000; first += 16) {
			char frame[256], room[512], back[256];
			struct text t;
			struct json j;
			struct span value;
			text_init(&t, frame, sizeof frame);
			put_messages(&t, first);
			struct span seen =
			    wrap(quoting[i], (struct span){ frame, t.length }, room,
				 sizeof room);
			if (quoting[i] == TRANSPORT_HTMLFILE)
				assert_null(memchr(seen.data, '<', seen.length));
			/* With the quotes around it. */
			json_init(&j, room + (seen.data - room) - 1, seen.length + 2);
			assert_true(json_value(&j, &value) && json_finish(&j));
			assert_int_equal(
			    json_unescape(json_contents(value), back, sizeof back, false),
			    t.length);
			assert_memory_equal(back, frame, t.length);
		}
}

static void
an_event_is_one_line_that_decodes_to_its_frame(void **state)
{
	(void)state;
	for (uint32_t first = 0; first < 0x20000; first += 16) {
		char frame[256], room[512];
		struct text t;
		text_init(&t, frame, sizeof frame);
		put_messages(&t, first);
		struct span seen =
		    wrap(TRANSPORT_EVENTSOURCE, (struct span){ frame, t.length }, room,
			 sizeof room);
		assert_null(memchr(seen.data, '\r', seen.length));
		assert_null(memchr(seen.data, '\n', seen.length));
		assert_null(memchr(seen.data, '\0', seen.length));
		assert_int_equal(http_unescape(seen, room, false), t.length);
		assert_memory_equal(room, frame, t.length);
	}
}

/* Returns the length of a frame with one message, as its transport wraps it. */
static size_t
wrapped_length(enum transport transport, const char *message, size_t length)
{
	static char frame[1 << 14], room[1 << 15];
	struct text t, wrapped;

	text_init(&t, frame, sizeof frame);
	text_string(&t, "a[");
	sockjs_frame_put_string(&t, message, length);
	text_char(&t, ']');
	text_init(&wrapped, room, sizeof room);
	sockjs_frame_put(&wrapped, transport, span(longest),
			 (struct span){ frame, t.length });
	assert_false(t.overflow || wrapped.overflow);
	return wrapped.length;
}

/* Asserts the bound of growth for a message of one repeated character. */
static void
assert_bounded(const char *character, size_t length, size_t times)
{
	char message[2048];

	assert_true(length * times <= sizeof message);
	for (size_t i = 0; i < times; i++)
		memcpy(message + i * length, character, length);
	for (size_t i = 0; i < COUNT(transports); i++) {
		size_t most =
		    SOCKJS_FRAME_GROWTH * length * times + SOCKJS_FRAME_OVERHEAD;
		size_t seen = wrapped_length(transports[i], message, length * times);
		if (seen > most)
			fail_msg("%zu above %zu for %zu times %02x", seen, most, times,
				 (unsigned char)character[0]);
	}
}

static void
a_message_of_one_byte_repeated_grows_within_the_bound(void **state)
{
	(void)state;
	for (int byte = 0; byte < 0x100; byte++) {
		char character = (char)byte;
		assert_bounded(&character, 1, 0);
		assert_bounded(&character, 1, 1);
		assert_bounded(&character, 1, 2);
		assert_bounded(&character, 1, 2048);
	}
}

static void
a_message_of_one_character_repeated_grows_within_the_bound(void **state)
{
	char character[4];

	(void)state;
	for (uint32_t c = 0x80; c <= 0xffff; c++) {
		size_t length = encode(c, character);
		assert_bounded(character, length, 1);
		if (c % 16 == 15 || c % 16 == 0)
			assert_bounded(character, length, 500);
	}
	for (uint32_t plane = 1; plane <= 16; plane++) {
		assert_bounded(character, encode(plane << 16, character), 512);
		assert_bounded(character, encode(plane << 16 | 0xffff, character), 512);
	}
}

/* A quoted escape reaches SOCKJS_FRAME_GROWTH: a lower factor would be wrong. */
static void
a_control_character_grows_by_exactly_the_factor(void **state)
{
	char message[1000] = { 0 };

	(void)state;
	size_t empty = wrapped_length(TRANSPORT_JSONP, message, 0);
	assert_int_equal(wrapped_length(TRANSPORT_JSONP, message, sizeof message),
			 empty + SOCKJS_FRAME_GROWTH * sizeof message);
	assert_int_equal(wrapped_length(TRANSPORT_HTMLFILE, message, sizeof message) -
			     wrapped_length(TRANSPORT_HTMLFILE, message, 0),
			 SOCKJS_FRAME_GROWTH * sizeof message);
}

static void
a_close_frame_grows_within_the_bound(void **state)
{
	static const char *const characters[] = {
		"\x01", "\"", "\\", "<", "%", "\x7f", "\xe2\x80\xa8", "\xf0\x9f\x98\x80"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(characters); i++)
		for (size_t k = 0; k < COUNT(transports); k++)
			for (size_t times = 0; times <= 30; times++) {
				char reason[128] = "", frame[1024], room[2048];
				struct text t, wrapped;
				for (size_t n = 0; n < times; n++)
					strcat(reason, characters[i]);
				text_init(&t, frame, sizeof frame);
				sockjs_frame_put_close(&t, (unsigned)-1, reason);
				text_init(&wrapped, room, sizeof room);
				sockjs_frame_put(&wrapped, transports[k], span(longest),
						 (struct span){ frame, t.length });
				assert_false(t.overflow || wrapped.overflow);
				assert_true(wrapped.length <=
					    SOCKJS_FRAME_GROWTH * strlen(reason) +
						SOCKJS_FRAME_OVERHEAD);
			}
}

/* Puts sample output for a transport. */
typedef void putter(struct text *, enum transport);

static void
put_string(struct text *t, enum transport transport)
{
	(void)transport;
	sockjs_frame_put_string(
	    t, BYTES("a\"\n\0<%\xc3\xa4\xe2\x82\xac\xe2\x80\xa8\xf0\x9f\x98"
		     "\x80z"));
}

static void
put_close(struct text *t, enum transport transport)
{
	(void)transport;
	sockjs_frame_put_close(t, 3000, "Go \"away\"!");
}

static void
put_prelude(struct text *t, enum transport transport)
{
	sockjs_frame_put_prelude(t, transport, span("cb"));
}

static void
put_wrapped(struct text *t, enum transport transport)
{
	sockjs_frame_put(t, transport, span("cb"), span("a[\"<%\\n\\\"\xc3\xa4\",\"\"]"));
}

/* Puts the sample into texts of every size up to its length. */
static void
assert_overflows(putter *put, enum transport transport)
{
	char whole[SOCKJS_FRAME_PRELUDE + 1];
	struct text all;

	text_init(&all, whole, sizeof whole);
	put(&all, transport);
	assert_false(all.overflow);
	for (size_t size = 0; size <= all.length; size++) {
		char *room = allocate(size);
		struct text t;
		text_init(&t, room, size);
		put(&t, transport);
		assert_int_equal(t.overflow, size < all.length);
		assert_true(t.length <= size);
		assert_memory_equal(room, whole, t.length);
		free(room);
	}
}

static void
output_that_does_not_fit_overflows(void **state)
{
	static putter *const putters[] = { put_string, put_close, put_prelude,
					   put_wrapped };

	(void)state;
	for (size_t i = 0; i < COUNT(putters); i++)
		for (size_t k = 0; k < COUNT(transports); k++)
			assert_overflows(putters[i], transports[k]);
}

/* Messages with bytes that no, some or several transports escape. */
static const char *const queued[] = {
	"plain",
	"%%%%%%%%",
	"<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<<",
	"\"\\\"\\",
	"",
	"],[",
	"\x01\x02",
	"%<\"\\",
	"last"
};

/* Puts `queued` as an `a` frame without its final bracket.  Message i ends at ends[i]. */
static void
put_queue(struct text *t, size_t ends[COUNT(queued)])
{
	text_string(t, "a[");
	for (size_t i = 0; i < COUNT(queued); i++) {
		if (i > 0)
			text_char(t, ',');
		sockjs_frame_put_string(t, queued[i], strlen(queued[i]));
		ends[i] = t->length;
	}
}

/* Returns the wrapped length of the queue's first bytes, without the bytes around it. */
static size_t
wrapped_part(enum transport transport, struct span queue, size_t length)
{
	char room[1024];
	struct text t;

	text_init(&t, room, sizeof room);
	sockjs_frame_put(&t, transport, span(longest), (struct span){ "", 0 });
	size_t fixed = t.length;
	t.length = 0;
	sockjs_frame_put(&t, transport, span(longest),
			 (struct span){ queue.data, length });
	assert_false(t.overflow);
	return t.length - fixed;
}

static void
assert_fits(enum transport transport, struct span queue, const size_t *ends, size_t size)
{
	size_t seen = sockjs_frame_fit(transport, queue, size + SOCKJS_FRAME_OVERHEAD);
	size_t i = 0;

	while (i < COUNT(queued) && ends[i] != seen)
		i++;
	assert_in_range(i, 0, COUNT(queued) - 1);
	if (wrapped_part(transport, queue, ends[0]) > size) {
		assert_int_equal(seen, queue.length);
		return;
	}
	assert_true(wrapped_part(transport, queue, seen) <= size);
	if (seen < queue.length)
		assert_true(wrapped_part(transport, queue, ends[i + 1]) > size);
}

static void
a_queue_is_cut_after_the_last_message_that_fits(void **state)
{
	char data[256];
	size_t ends[COUNT(queued)];
	struct text t;

	(void)state;
	text_init(&t, data, sizeof data);
	put_queue(&t, ends);
	assert_false(t.overflow);
	char *p = copy(t.data, t.length);
	for (size_t i = 0; i < COUNT(transports); i++)
		for (size_t size = 0; size < 1024; size++)
			assert_fits(transports[i], (struct span){ p, t.length }, ends,
				    size);
	free(p);
}

static void
a_payload_is_an_array_of_strings(void **state)
{
	static const struct {
		const char *text;
		enum sockjs_payload expected;
		const char *single;
	} cases[] = {
		{ "[\"a\"]", PAYLOAD_VALID, "\"a\"" },
		{ " [ \"\\u0000\" ] ", PAYLOAD_VALID, "\"\\u0000\"" },
		{ "[]", PAYLOAD_VALID, NULL },
		{ "[\"a\",\"b\"]", PAYLOAD_VALID, NULL },
		{ "\"a\"", PAYLOAD_NO_ARRAY, NULL },
		{ "{\"a\":[]}", PAYLOAD_NO_ARRAY, NULL },
		{ "1", PAYLOAD_NO_ARRAY, NULL },
		{ "", PAYLOAD_BROKEN, NULL },
		{ "[", PAYLOAD_BROKEN, NULL },
		{ "[\"a\"", PAYLOAD_BROKEN, NULL },
		{ "[\"a\",]", PAYLOAD_BROKEN, NULL },
		{ "[\"a\"]x", PAYLOAD_BROKEN, NULL },
		{ "[\"a\",1]", PAYLOAD_BROKEN, NULL },
		{ "[[\"a\"]]", PAYLOAD_BROKEN, NULL },
		{ "\"a\" 1", PAYLOAD_BROKEN, NULL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		struct span single = { NULL, 0 };
		char *p = copy(cases[i].text, length);
		assert_int_equal(sockjs_frame_check_payload(p, length, &single),
				 cases[i].expected);
		assert_span(single, cases[i].single);
		free(p);
	}
}

static void
a_payload_has_a_maximum_number_of_messages(void **state)
{
	static char text[3 * (SOCKJS_FRAME_MESSAGES + 1) + 2];

	(void)state;
	for (size_t count = SOCKJS_FRAME_MESSAGES; count <= SOCKJS_FRAME_MESSAGES + 1;
	     count++) {
		struct span single;
		struct text t;
		text_init(&t, text, sizeof text);
		for (size_t i = 0; i < count; i++)
			text_string(&t, i == 0 ? "[\"\"" : ",\"\"");
		text_char(&t, ']');
		assert_false(t.overflow);
		assert_int_equal(sockjs_frame_check_payload(t.data, t.length, &single),
				 count > SOCKJS_FRAME_MESSAGES ? PAYLOAD_TOO_MANY
							       : PAYLOAD_VALID);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_unit_is_quoted_by_the_rules),
		cmocka_unit_test(characters_above_ffff_become_surrogate_pairs),
		cmocka_unit_test(known_messages_are_quoted_to_the_byte),
		cmocka_unit_test(
		    a_message_cut_within_a_character_is_read_to_its_end_only),
		cmocka_unit_test(arbitrary_bytes_are_read_within_their_bounds),
		cmocka_unit_test(a_close_frame_holds_its_code_and_reason),
		cmocka_unit_test(only_polls_end_with_their_frame),
		cmocka_unit_test(other_transports_have_no_prelude),
		cmocka_unit_test(an_event_stream_begins_with_an_empty_line),
		cmocka_unit_test(an_xhr_stream_begins_with_a_line_of_2048_heartbeats),
		cmocka_unit_test(an_htmlfile_begins_with_a_page_of_more_than_1024_bytes),
		cmocka_unit_test(a_prelude_does_not_depend_on_the_text_before_it),
		cmocka_unit_test(each_transport_wraps_a_frame_in_its_own_way),
		cmocka_unit_test(a_wrapping_changes_only_the_bytes_it_must),
		cmocka_unit_test(a_quoted_frame_is_a_json_string_of_the_frame),
		cmocka_unit_test(an_event_is_one_line_that_decodes_to_its_frame),
		cmocka_unit_test(a_message_of_one_byte_repeated_grows_within_the_bound),
		cmocka_unit_test(
		    a_message_of_one_character_repeated_grows_within_the_bound),
		cmocka_unit_test(a_control_character_grows_by_exactly_the_factor),
		cmocka_unit_test(a_close_frame_grows_within_the_bound),
		cmocka_unit_test(output_that_does_not_fit_overflows),
		cmocka_unit_test(a_queue_is_cut_after_the_last_message_that_fits),
		cmocka_unit_test(a_payload_is_an_array_of_strings),
		cmocka_unit_test(a_payload_has_a_maximum_number_of_messages),
	};

	return cmocka_run_group_tests_name("sockjs_frame", tests, NULL, NULL);
}
