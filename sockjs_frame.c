#include "sockjs_frame.h"

#include "json.h"

#include <string.h>

static void
put_unit(struct text *t, uint32_t unit)
{
	text_string(t, "\\u");
	text_hex(t, unit, 4);
}

/* True for characters of three bytes that old browsers lose or change, and surrogates. */
static bool
is_fragile(uint32_t c)
{
	return (c >= 0x200c && c <= 0x200f) || (c >= 0x2028 && c <= 0x202f) ||
	       (c >= 0x2060 && c <= 0x206f) || c >= 0xfff0 ||
	       (c >= 0xd800 && c <= 0xdfff);
}

/* Returns how many bytes at the front need no escape. */
static size_t
plain_run(const unsigned char *p, size_t length)
{
	size_t n = 0, end;

	do {
		n += json_plain((const char *)p + n, length - n);
		end = n;
		while (n < length && p[n] >= 0x80 && p[n] < 0xe2)
			n++;
	} while (n > end);
	return n;
}

/*
 * Returns the character that begins with a byte of E2 or more; `used` becomes its length.
 * For a truncated character, which valid input does not have, returns 0 and the
 * length 1.
 */
static uint32_t
read_long(const unsigned char *p, size_t length, size_t *used)
{
	*used = *p < 0xf0 ? 3 : 4;
	if (length < *used) {
		*used = 1;
		return 0;
	}
	uint32_t c = *p & (*used == 3 ? 0x0fU : 0x07U);
	for (size_t i = 1; i < *used; i++)
		c = c << 6 | (p[i] & 0x3fU);
	return c;
}

static size_t
put_long(struct text *t, const unsigned char *p, size_t length)
{
	size_t used;
	uint32_t c = read_long(p, length, &used);

	if (used == 4) {
		put_unit(t, 0xd800 + ((c - 0x10000) >> 10 & 0x3ff));
		put_unit(t, 0xdc00 + (c & 0x3ff));
	} else if (used == 3 && is_fragile(c)) {
		put_unit(t, c);
	} else {
		text_put(t, p, used);
	}
	return used;
}

static void
put_short(struct text *t, unsigned char c)
{
	char letter = json_letter((char)c);

	if (letter != '\0')
		text_put(t, (const char[]){ '\\', letter }, 2);
	else
		put_unit(t, c);
}

static void
put_escaped(struct text *t, const char *data, size_t length)
{
	const unsigned char *p = (const unsigned char *)data, *end = p + length;

	while (p < end) {
		size_t plain = plain_run(p, (size_t)(end - p));
		text_put(t, p, plain);
		p += plain;
		if (p == end)
			break;
		if (*p < 0xe2)
			put_short(t, *p++);
		else
			p += put_long(t, p, (size_t)(end - p));
	}
}

void
sockjs_frame_put_string(struct text *t, const char *data, size_t length)
{
	text_char(t, '"');
	put_escaped(t, data, length);
	text_char(t, '"');
}

void
sockjs_frame_put_close(struct text *t, unsigned code, const char *reason)
{
	text_string(t, "c[");
	text_number(t, code);
	text_char(t, ',');
	sockjs_frame_put_string(t, reason, strlen(reason));
	text_char(t, ']');
}

bool
sockjs_frame_is_stream(enum transport transport)
{
	return transport != TRANSPORT_XHR && transport != TRANSPORT_JSONP;
}

static void
put_times(struct text *t, char c, size_t times)
{
	while (times-- > 0)
		text_char(t, c);
}

/*
 * Puts the start of an htmlfile's page.  Old browsers render nothing below 1 KB, so the
 * page is padded to that length, not counting the callback.
 */
static void
put_page(struct text *t, struct span callback)
{
	enum { PADDED = 1023 };
	size_t start = t->length + callback.length;

	text_string(t, "<!doctype html>\n"
		       "<html><head>\n"
		       "  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
		       "  <meta http-equiv=\"Content-Type\" content=\"text/html; "
		       "charset=UTF-8\" />\n"
		       "</head><body><h2>Don't panic!</h2>\n"
		       "  <script>\n"
		       "    document.domain = document.domain;\n"
		       "    var c = parent.");
	text_span(t, callback);
	text_string(t, ";\n"
		       "    c.start();\n"
		       "    function p(d) {c.message(d);};\n"
		       "    window.onload = function() {c.stop();};\n"
		       "  </script>");
	if (t->length - start < PADDED)
		put_times(t, ' ', PADDED - (t->length - start));
	text_string(t, "\r\n\r\n");
}

void
sockjs_frame_put_prelude(struct text *t, enum transport transport, struct span callback)
{
	switch (transport) {
	case TRANSPORT_XHR_STREAMING:
		put_times(t, 'h', SOCKJS_FRAME_PRELUDE - 1);
		text_char(t, '\n');
		break;
	case TRANSPORT_EVENTSOURCE: text_string(t, "\r\n"); break;
	case TRANSPORT_HTMLFILE: put_page(t, callback); break;
	case TRANSPORT_WEBSOCKET:
	case TRANSPORT_XHR:
	case TRANSPORT_JSONP: break;
	}
}

/*
 * Puts a frame as the data of an event.  The client decodes it by decodeURI, so percent
 * signs are escaped.  A frame holds no line breaks, which would end the data.
 */
static void
put_event(struct text *t, struct span frame)
{
	while (frame.length > 0) {
		const char *percent = memchr(frame.data, '%', frame.length);
		size_t plain =
		    percent != NULL ? (size_t)(percent - frame.data) : frame.length;
		text_put(t, frame.data, plain);
		if (percent == NULL)
			break;
		text_string(t, "%25");
		frame.data += plain + 1;
		frame.length -= plain + 1;
	}
}

/*
 * Puts a frame as a string in a script.  Escapes quotes and backslashes, and on a page
 * also "<", which could end the script.
 */
static void
put_quoted(struct text *t, struct span frame, bool on_page)
{
	const char *end = frame.data + frame.length, *p = frame.data;

	text_char(t, '"');
	while (p < end) {
		const char *from = p;
		while (p < end && *p != '"' && *p != '\\' && !(on_page && *p == '<'))
			p++;
		text_put(t, from, (size_t)(p - from));
		if (p == end)
			break;
		if (*p == '<') {
			put_unit(t, '<');
		} else {
			text_char(t, '\\');
			text_char(t, *p);
		}
		p++;
	}
	text_char(t, '"');
}

void
sockjs_frame_put(struct text *t, enum transport transport, struct span callback,
		 struct span frame)
{
	switch (transport) {
	case TRANSPORT_WEBSOCKET: text_span(t, frame); break;
	case TRANSPORT_XHR:
	case TRANSPORT_XHR_STREAMING:
		text_span(t, frame);
		text_char(t, '\n');
		break;
	case TRANSPORT_EVENTSOURCE:
		text_string(t, "data: ");
		put_event(t, frame);
		text_string(t, "\r\n\r\n");
		break;
	case TRANSPORT_HTMLFILE:
		text_string(t, "<script>\np(");
		put_quoted(t, frame, true);
		text_string(t, ");\n</script>\r\n");
		break;
	case TRANSPORT_JSONP:
		text_string(t, "/**/");
		text_span(t, callback);
		text_char(t, '(');
		put_quoted(t, frame, false);
		text_string(t, ");\r\n");
		break;
	}
}

/* Returns how many bytes the wrapping of a transport adds to a byte of a frame. */
static size_t
wrapping_of(enum transport transport, char c)
{
	bool quoted = c == '"' || c == '\\';

	switch (transport) {
	case TRANSPORT_EVENTSOURCE: return c == '%' ? 2 : 0;
	case TRANSPORT_HTMLFILE: return c == '<' ? 5 : quoted;
	case TRANSPORT_JSONP: return quoted;
	default: return 0;
	}
}

size_t
sockjs_frame_fit(enum transport transport, struct span queue, size_t size)
{
	enum { WRAPPED = 6 }; /* bytes that a byte of a frame becomes, at most */
	size_t room = size - SOCKJS_FRAME_OVERHEAD, wrapped = 0, fits = 0;
	bool in_string = false;

	if (queue.length <= room / WRAPPED)
		return queue.length;
	for (size_t i = 0; i < queue.length && wrapped <= room; i++) {
		wrapped += 1 + wrapping_of(transport, queue.data[i]);
		if (queue.data[i] == '\\') {
			wrapped += 1 + wrapping_of(transport, queue.data[++i]);
			continue;
		}
		in_string ^= queue.data[i] == '"';
		if (queue.data[i] == '"' && !in_string && wrapped <= room)
			fits = i + 1;
	}
	return fits > 0 ? fits : queue.length;
}

enum sockjs_payload
sockjs_frame_check_payload(char *data, size_t length, struct span *single)
{
	struct span value, last = { 0 };
	bool end, strings = true;
	size_t count = 0;
	struct json j;

	json_init(&j, data, length);
	j.strict = true;
	if (json_kind(&j) != '[')
		return json_value(&j, &value) && json_finish(&j) ? PAYLOAD_NO_ARRAY
								 : PAYLOAD_BROKEN;
	json_enter(&j, '[');
	for (; json_element(&j, &last, &end); count++)
		strings &= *last.data == '"';
	if (!json_finish(&j) || !strings)
		return PAYLOAD_BROKEN;
	*single = count == 1 ? last : (struct span){ NULL, 0 };
	return count <= SOCKJS_FRAME_MESSAGES ? PAYLOAD_VALID : PAYLOAD_TOO_MANY;
}
