/*
 * SockJS: decodes a request's body, and puts its messages into frames of every transport.
 * A client must read them unchanged.  First byte `d`: the body is a form, with the
 * payload in its field `d`; any other: the body is the payload.
 */
#include "fuzz.h"
#include "http.h"
#include "json.h"
#include "sockjs_frame.h"

static const struct span callback = { "parent.jp", 9 };

/* Decodes a frame that is a string of a script. */
static size_t
unquote(char *text, size_t length)
{
	long n;

	CHECK(length >= 2 && text[0] == '"' && text[length - 1] == '"');
	n = json_unescape((struct span){ text + 1, length - 2 }, text, length, true);
	CHECK(n >= 0);
	return (size_t)n;
}

/* Checks the text's first bytes, and cuts them off. */
static void
take(struct span *text, const char *expected)
{
	size_t length = strlen(expected);

	CHECK(text->length >= length && memcmp(text->data, expected, length) == 0);
	text->data += length;
	text->length -= length;
}

/* Checks the text's last bytes, and cuts them off. */
static void
take_end(struct span *text, const char *expected)
{
	size_t length = strlen(expected);

	CHECK(text->length >= length);
	text->length -= length;
	CHECK(memcmp(text->data + text->length, expected, length) == 0);
}

/* Unwraps a frame as a client does. */
static struct span
unwrap(enum transport transport, char *text, size_t length)
{
	struct span s = { text, length };

	switch (transport) {
	case TRANSPORT_WEBSOCKET: break;
	case TRANSPORT_XHR:
	case TRANSPORT_XHR_STREAMING:
		take_end(&s, "\n");
		CHECK(memchr(s.data, '\n', s.length) == NULL);
		break;
	case TRANSPORT_EVENTSOURCE:
		take(&s, "data: ");
		take_end(&s, "\r\n\r\n");
		CHECK(memchr(s.data, '\n', s.length) == NULL &&
		      memchr(s.data, '\r', s.length) == NULL);
		/* sockjs-client unescapes it. */
		s.length = http_unescape(s, text, false);
		s.data = text;
		break;
	case TRANSPORT_HTMLFILE:
		take(&s, "<script>\np(");
		take_end(&s, ");\n</script>\r\n");
		CHECK(memchr(s.data, '<', s.length) == NULL);
		s.length = unquote((char *)s.data, s.length);
		break;
	case TRANSPORT_JSONP:
		take(&s, "/**/parent.jp(");
		take_end(&s, ");\r\n");
		s.length = unquote((char *)s.data, s.length);
		break;
	}
	return s;
}

/* Wraps and unwraps a frame for each transport. */
static void
check_transports(struct span frame, size_t message)
{
	for (enum transport i = TRANSPORT_WEBSOCKET; i <= TRANSPORT_JSONP; i++) {
		/* The bound that the size of a block relies on. */
		size_t size = message * SOCKJS_FRAME_GROWTH + SOCKJS_FRAME_OVERHEAD;
		struct text t;
		text_init(&t, malloc(size), size);
		CHECK(t.data != NULL);
		sockjs_frame_put(&t, i, callback, frame);
		CHECK(!t.overflow && span_same(unwrap(i, t.data, t.length), frame));
		free(t.data);
	}
}

static void
check_message(const char *data, size_t length)
{
	size_t size = 6 * length + 8;
	struct utf8 utf8 = { 0 };
	struct span value, single;
	struct text t;
	struct json j;
	bool end;

	text_init(&t, malloc(size), size);
	CHECK(t.data != NULL);
	text_string(&t, "a[");
	sockjs_frame_put_string(&t, data, length);
	text_char(&t, ']');
	CHECK(!t.overflow && utf8_check(&utf8, t.data, t.length) && utf8_complete(&utf8));
	check_transports((struct span){ t.data, t.length }, length);
	CHECK(sockjs_frame_check_payload(t.data + 1, t.length - 1, &single) ==
	      PAYLOAD_VALID);
	json_init(&j, t.data + 1, t.length - 1);
	CHECK(json_enter(&j, '[') && json_element(&j, &value, &end));
	CHECK(value.data == single.data && span_same(value, single));
	CHECK(json_unescape(json_contents(value), t.data, length, true) == (long)length);
	CHECK(memcmp(t.data, data, length) == 0);
	free(t.data);
}

static void
check_close(const char *data, size_t length)
{
	char reason[64],
	    frame[SOCKJS_FRAME_GROWTH * sizeof reason + SOCKJS_FRAME_OVERHEAD];
	struct span value;
	struct text t;
	struct json j;

	length = utf8_cut(data, length, sizeof reason - 1);
	memcpy(reason, data, length);
	reason[length] = '\0';
	text_init(&t, frame, sizeof frame);
	sockjs_frame_put_close(&t, 3000, reason);
	CHECK(!t.overflow);
	check_transports((struct span){ t.data, t.length }, length);
	json_init(&j, t.data + 1, t.length - 1);
	j.strict = true;
	CHECK(*t.data == 'c' && json_value(&j, &value) && json_finish(&j));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	bool form = fuzz_first(&data, &length) == 'd';
	char *body = fuzz_copy(data, length);
	struct span payload = { body, length }, value, single;
	struct utf8 utf8 = { 0 };
	struct text t;
	struct json j;
	bool end;

	if (form) {
		payload = http_parameter(payload, "d");
		if (payload.data == NULL)
			payload = (struct span){ body, 0 };
		payload.length = http_unescape(payload, (char *)payload.data, true);
	}
	bool good =
	    utf8_check(&utf8, payload.data, payload.length) && utf8_complete(&utf8);
	text_init(&t, malloc(3 * payload.length + 1), 3 * payload.length);
	CHECK(t.data != NULL);
	utf8_repair(&t, payload.data, payload.length);
	utf8 = (struct utf8){ 0 };
	CHECK(!t.overflow && utf8_check(&utf8, t.data, t.length) && utf8_complete(&utf8));
	CHECK(span_same(payload, (struct span){ t.data, t.length }) == good);
	if (sockjs_frame_check_payload(t.data, t.length, &single) == PAYLOAD_VALID) {
		size_t count = 0;
		json_init(&j, t.data, t.length);
		CHECK(json_enter(&j, '['));
		for (; json_element(&j, &value, &end); count++) {
			/* In place: the parser has passed it. */
			struct span contents = json_contents(value);
			long n = json_unescape(contents, (char *)contents.data,
					       contents.length, true);
			CHECK(n >= 0 && (size_t)n <= contents.length);
			check_message(contents.data, (size_t)n);
		}
		CHECK(end && (single.data != NULL) == (count == 1));
	} else {
		check_message(t.data, t.length);
	}
	check_close(t.data, strnlen(t.data, t.length));
	free(t.data);
	free(body);
	return 0;
}
