#include "ws.h"

#include <bearssl.h>
#include <string.h>

/* 16 bytes in base64 are 22 digits and "==".  The last digit has four unused bits. */
static bool
valid_key(struct span key)
{
	if (key.length != 24 || key.data[22] != '=' || key.data[23] != '=')
		return false;
	for (size_t i = 0; i < 22; i++)
		if (base64_value(key.data[i], BASE64) < 0)
			return false;
	return base64_value(key.data[21], BASE64) % 16 == 0;
}

unsigned
ws_handshake(const struct http_request *r, char accept[WS_ACCEPT])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char digest[br_sha1_SIZE];
	br_sha1_context sha1;
	struct text t;

	if (r->method != HTTP_GET)
		return 405;
	if (r->minor == 0 || !r->upgrade || !r->websocket || r->chunked || r->length > 0)
		return 400;
	if (r->websocket_version.data != NULL && !span_is(r->websocket_version, "13"))
		return 426;
	if (r->websocket_version.data == NULL || r->websocket_key.data == NULL ||
	    !valid_key(r->websocket_key))
		return 400;
	br_sha1_init(&sha1);
	br_sha1_update(&sha1, r->websocket_key.data, r->websocket_key.length);
	br_sha1_update(&sha1, guid, sizeof guid - 1);
	br_sha1_out(&sha1, digest);
	text_init(&t, accept, WS_ACCEPT);
	text_base64(&t, BASE64, digest, sizeof digest);
	return 101;
}

int
ws_header(const unsigned char *data, size_t length, struct ws_frame *f)
{
	if (length < 1)
		return WS_MORE;
	unsigned opcode = data[0] & 0x0f;
	bool control = opcode >= WS_CLOSE;
	f->fin = (data[0] & 0x80) != 0;
	f->opcode = (uint8_t)opcode;
	if ((data[0] & 0x70) != 0 || opcode > WS_PONG ||
	    (opcode > WS_BINARY && !control) || (control && !f->fin))
		return WS_BAD;
	if (length < 2)
		return WS_MORE;
	unsigned short_length = data[1] & 0x7f;
	if ((data[1] & 0x80) == 0 || (control && short_length > WS_CONTROL))
		return WS_BAD;
	size_t extended = short_length == 126 ? 2 : short_length == 127 ? 8 : 0;
	if (length < 2 + extended)
		return WS_MORE;
	f->length = extended == 0 ? short_length : 0;
	for (size_t i = 0; i < extended; i++)
		f->length = f->length << 8 | data[2 + i];
	if ((extended == 2 && f->length < 126) || (extended == 8 && f->length < 65536) ||
	    f->length > INT64_MAX)
		return WS_BAD;
	if (length < 2 + extended + sizeof f->mask)
		return WS_MORE;
	memcpy(f->mask, data + 2 + extended, sizeof f->mask);
	return (int)(2 + extended + sizeof f->mask);
}

/* Sixteen bytes, which compilers keep in one register where the processor has such. */
typedef uint32_t words __attribute__((vector_size(16)));

bool
ws_unmask(unsigned char *data, size_t length, const unsigned char mask[4], size_t offset)
{
	const uint32_t high_bits = 0x80808080;
	unsigned char rotated[4];
	uint32_t word, seen = 0;
	size_t i = 0;

	for (size_t k = 0; k < sizeof rotated; k++)
		rotated[k] = mask[(offset + k) & 3];
	memcpy(&word, rotated, sizeof word);
	words bytes, key = { word, word, word, word }, all = { 0 };
	for (; length - i >= sizeof bytes; i += sizeof bytes) {
		memcpy(&bytes, data + i, sizeof bytes);
		bytes ^= key;
		all |= bytes;
		memcpy(data + i, &bytes, sizeof bytes);
	}
	for (; i < length; i++) {
		data[i] ^= rotated[i & 3];
		seen |= data[i];
	}
	return ((seen | all[0] | all[1] | all[2] | all[3]) & high_bits) == 0;
}

size_t
ws_encode_header(unsigned char out[WS_SERVER_HEADER], enum ws_opcode opcode,
		 size_t length)
{
	size_t extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
	uint64_t rest = length;

	out[0] = (unsigned char)(0x80 | opcode);
	out[1] = (unsigned char)(extended == 0 ? length : extended == 2 ? 126 : 127);
	for (size_t i = extended; i > 0; i--, rest >>= 8)
		out[1 + i] = (unsigned char)(rest & 0xff);
	return 2 + extended;
}

bool
ws_valid_code(unsigned code)
{
	return (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) ||
	       (code >= 3000 && code <= 4999);
}

static enum ws_event
ws_failed(struct ws *ws, enum ws_code code)
{
	ws->code = code;
	return WS_FAILED;
}

static bool
is_control(const struct ws_frame *f)
{
	return f->opcode >= WS_CLOSE;
}

void
ws_start(struct ws *ws)
{
	ws->message_start = 0;
	ws->offset = ws->message_length;
}

/* Starts a frame after its header.  Returns false, with `code` set, on an error. */
static bool
begin_frame(struct ws *ws)
{
	struct ws_frame *f = &ws->frame;

	ws->payload_read = 0;
	ws->in_frame = true;
	if (is_control(f))
		return true;
	if ((f->opcode == WS_CONTINUATION) != ws->in_message) {
		ws->code = WS_PROTOCOL_ERROR;
		return false;
	}
	if (!ws->in_message) {
		ws->in_message = true;
		ws->opcode = f->opcode;
		ws->message_length = 0;
		ws->message_start = ws->offset;
		ws->utf8 = (struct utf8){ 0 };
	}
	ws->code = WS_TOO_BIG;
	return f->length <= ws->max_message - ws->message_length;
}

/*
 * Reads the available part of a data frame's payload: unmasks it, checks its UTF-8, and
 * appends it to the message.  Returns false if it is not valid UTF-8.
 */
static bool
read_data(struct ws *ws, unsigned char *data, size_t available)
{
	size_t left = (size_t)ws->frame.length - ws->payload_read;
	size_t n = available < left ? available : left;
	unsigned char *from = data + ws->offset,
		      *to = data + ws->message_start + ws->message_length;

	bool ascii = ws_unmask(from, n, ws->frame.mask, ws->payload_read);
	bool checked = ws->opcode == WS_TEXT || ws->binary_utf8;
	if (checked && !(ascii && utf8_complete(&ws->utf8)) &&
	    !utf8_check(&ws->utf8, from, n))
		return false;
	if (to != from)
		memmove(to, from, n);
	ws->payload_read += n;
	ws->offset += n;
	ws->message_length += n;
	return true;
}

static enum ws_event
got_close(struct ws *ws, const unsigned char *data, size_t length, struct span *reason)
{
	struct utf8 utf8 = { 0 };

	if (length == 0) {
		*reason = (struct span){ "", 0 };
		ws->code = WS_NO_CODE;
		return WS_GOT_CLOSE;
	}
	if (length == 1)
		return ws_failed(ws, WS_PROTOCOL_ERROR);
	unsigned code = (unsigned)data[0] << 8 | data[1];
	if (!ws_valid_code(code))
		return ws_failed(ws, WS_PROTOCOL_ERROR);
	if (!utf8_check(&utf8, data + 2, length - 2) || !utf8_complete(&utf8))
		return ws_failed(ws, WS_INVALID_DATA);
	*reason = (struct span){ (const char *)data + 2, length - 2 };
	ws->code = (enum ws_code)code;
	return WS_GOT_CLOSE;
}

/*
 * Reads a control frame once it is complete.  Until then its payload stays unread input,
 * so it does not affect a fragmented message that it interrupts.
 */
static enum ws_event
read_control(struct ws *ws, unsigned char *data, size_t available, struct span *payload)
{
	size_t n = (size_t)ws->frame.length;
	unsigned char *from = data + ws->offset;

	if (available < n)
		return WS_NOTHING;
	ws_unmask(from, n, ws->frame.mask, 0);
	ws->offset += n;
	ws->in_frame = false;
	*payload = (struct span){ (const char *)from, n };
	if (ws->frame.opcode == WS_CLOSE)
		return got_close(ws, from, n, payload);
	return ws->frame.opcode == WS_PING ? WS_GOT_PING : WS_GOT_PONG;
}

enum ws_event
ws_next(struct ws *ws, unsigned char *data, size_t length, struct span *payload)
{
	for (;;) {
		if (!ws->in_frame) {
			int n =
			    ws_header(data + ws->offset, length - ws->offset, &ws->frame);
			if (n == WS_MORE)
				return WS_NOTHING;
			if (n == WS_BAD)
				return ws_failed(ws, WS_PROTOCOL_ERROR);
			ws->offset += (size_t)n;
			if (!begin_frame(ws))
				return WS_FAILED;
		}
		if (is_control(&ws->frame))
			return read_control(ws, data, length - ws->offset, payload);
		if (!read_data(ws, data, length - ws->offset))
			return ws_failed(ws, WS_INVALID_DATA);
		if (ws->payload_read < ws->frame.length)
			return WS_NOTHING;
		ws->in_frame = false;
		if (!ws->frame.fin)
			continue;
		if (!utf8_complete(&ws->utf8))
			return ws_failed(ws, WS_INVALID_DATA);
		ws->in_message = false;
		*payload = (struct span){ (const char *)data + ws->message_start,
					  ws->message_length };
		return ws->opcode == WS_TEXT ? WS_GOT_TEXT : WS_GOT_BINARY;
	}
}

size_t
ws_finish(struct ws *ws, unsigned char *data, size_t length)
{
	size_t kept = ws->in_message ? ws->message_length : 0;
	size_t rest = length - ws->offset;

	if (kept > 0 && ws->message_start > 0)
		memmove(data, data + ws->message_start, kept);
	if (rest > 0 && ws->offset > kept)
		memmove(data + kept, data + ws->offset, rest);
	ws->message_length = kept;
	return kept + rest;
}
