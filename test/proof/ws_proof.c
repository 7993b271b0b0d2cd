/*
 * ws_header is RFC 6455 section 5.2, ws_unmask section 5.3; ws_next and ws_finish make of
 * frames what sections 5.4, 5.5 and 8.1 do, however they come in pieces.
 *
 * safe: all headers of up to BOUND bytes; unmasking up to BOUND bytes at all offsets
 * modulo 4.
 * safe_stream: a frame of six kinds, with a payload of none, of BOUND bytes or of more
 * than come, whatever is in it and in the mask, cut in two anywhere, where a message may
 * have one byte and where it may have many.
 * main: all sequences of up to 3 of 42 frames, in two pieces anywhere; all first two
 * bytes, cut anywhere, with all 16-bit lengths and those 64-bit ones that stand on either
 * side of a power of two; up to 34 bytes unmasked with all values of a mask's byte and of
 * a payload's, at all offsets modulo 8, in two pieces anywhere.
 */
#include "proof.h"

#ifdef __FRAMAC__
#define memcpy	move_bytes
#define memmove move_bytes
#include "text.c"
#endif
#include "ws.c"

#ifdef __FRAMAC__

enum { STREAM = BOUND + 8 }; /* a frame with its header */

void
safe(void)
{
	unsigned char room[BOUND], mask[4];
	struct ws_frame f;

	Frama_C_make_unknown((char *)mask, sizeof mask);
	for (size_t length = 0; length <= BOUND; length++) {
		unsigned char *data = room + BOUND - length;
		Frama_C_make_unknown((char *)data, length);
		ws_header(data, length, &f);
		for (size_t offset = 0; offset < 4; offset++)
			ws_unmask(data, length, mask, offset);
	}
}

/* Puts a frame's header, of any mask; what follows it is any payload. */
static size_t
put_frame(unsigned char *p, unsigned first, unsigned length)
{
	size_t head = length < 126 ? 2 : 4;

	p[0] = (unsigned char)first;
	p[1] = (unsigned char)(0x80 | length);
	return head + 4 + (length < 126 ? length : BOUND);
}

static void
read_pieces(const unsigned char *bytes, size_t length, size_t split, size_t most)
{
	unsigned char rooms[2][STREAM], *kept = rooms[0];
	struct ws ws = { .most = most, .binary_utf8 = Frama_C_nondet(0, 1) };
	enum ws_event event = WS_NOTHING;
	struct span payload;
	size_t left = 0;

	for (unsigned piece = 0; piece < 2 && event == WS_NOTHING; piece++) {
		size_t n = piece == 0 ? split : length - split;
		unsigned char *data = rooms[piece] + STREAM - left - n;
		memcpy(data, kept, left);
		memcpy(data + left, bytes + piece * split, n);
		ws_start(&ws);
		do
			event = ws_next(&ws, data, left + n, &payload);
		while (event > WS_NOTHING && event < WS_GOT_CLOSE);
		if (event == WS_NOTHING)
			left = ws_finish(&ws, data, left + n);
		kept = data;
	}
}

void
safe_stream(void)
{
	static const unsigned char firsts[] = { 0x00, 0x80, 0x01, 0x82, 0x88, 0x89 };
	static const unsigned lengths[] = { 0, BOUND, 126 };
	unsigned char bytes[STREAM];

	for (size_t i = 0; i < 3 * sizeof firsts; i++) {
		Frama_C_make_unknown((char *)bytes, sizeof bytes);
		size_t length = put_frame(bytes, firsts[i / 3], lengths[i % 3]);
		for (size_t split = 0; split <= length; split++) {
			read_pieces(bytes, length, split, 1);
			read_pieces(bytes, length, split, 70000);
		}
	}
}

#else

static unsigned char *end;

/* What section 5.2 says of these bytes, `length` of them at `p`. */
static int
expect(const unsigned char *p, size_t length, struct ws_frame *f)
{
	static const bool known[16] = {
		[0] = true, [1] = true, [2] = true, [8] = true, [9] = true, [10] = true
	};
	uint64_t value = 0;

	if (length == 0)
		return WS_MORE;
	bool control = p[0] & 0x08;
	if (p[0] & 0x70 || !known[p[0] & 0x0f] || (control && p[0] < 0x80))
		return WS_BAD;
	if (length == 1)
		return WS_MORE;
	if (p[1] < 0x80 || (control && p[1] > 0x80 + 125))
		return WS_BAD;
	size_t head = p[1] == 0xfe ? 4 : p[1] == 0xff ? 10 : 2;
	if (length < head)
		return WS_MORE;
	if (head == 2)
		value = p[1] - 0x80U;
	for (size_t i = 2; i < head; i++)
		value = 256 * value + p[i];
	uint64_t least = head == 4 ? 126 : head == 10 ? 65536 : 0;
	if (value < least || value >= UINT64_C(1) << 63)
		return WS_BAD;
	if (length < head + 4)
		return WS_MORE;
	f->fin = p[0] >= 0x80;
	f->opcode = (enum ws_opcode)(p[0] & 0x0f);
	f->length = value;
	memcpy(f->mask, p + head, 4);
	return (int)head + 4;
}

static unsigned long good, bad, more;

/* A header and a byte behind it, cut anywhere. */
static void
check_header(const unsigned char header[15])
{
	for (size_t length = 0; length <= 15; length++) {
		struct ws_frame seen, expected;
		unsigned char *p = end - length;
		memcpy(p, header, length);
		int result = expect(p, length, &expected);
		claim(ws_header(p, length, &seen) == result);
		if (result > 0)
			claim(seen.fin == expected.fin &&
			      seen.opcode == expected.opcode &&
			      seen.length == expected.length &&
			      memcmp(seen.mask, expected.mask, 4) == 0);
		*(result > 0 ? &good : result == WS_BAD ? &bad : &more) += 1;
	}
}

static void
put_length(unsigned char *p, size_t size, uint64_t length)
{
	while (size-- > 0) {
		p[size] = (unsigned char)(length & 0xff);
		length >>= 8;
	}
}

static void
check_headers(void)
{
	unsigned char header[15] = "..........MASK";

	for (unsigned first = 0; first < 65536; first++) {
		unsigned bits = (first & 0x7f) == 127 ? 64 : 1;
		put_length(header, 2, first);
		for (unsigned i = 0; i < 2 * bits; i++) {
			put_length(header + 2, 8, (UINT64_C(1) << i / 2) - i % 2);
			check_header(header);
		}
	}
	for (unsigned opcode = 0; opcode < 16; opcode++)
		for (unsigned length = 0; length < 65536; length++) {
			header[0] = (unsigned char)(0x80 | opcode);
			header[1] = 0xfe;
			put_length(header + 2, 2, length);
			check_header(header);
			header[1] = 0xff;
			put_length(header + 2, 8, length);
			check_header(header);
		}
	claim(good > 0 && bad > 0 && more > 0);
}

/* A server's header is a client's but for the mask. */
static void
check_encoded(enum ws_opcode opcode, size_t length)
{
	unsigned char header[WS_HEADER];
	struct ws_frame f;
	size_t n = ws_encode_header(header, opcode, length);

	claim(n <= WS_SERVER_HEADER && (header[1] & 0x80) == 0);
	header[1] |= 0x80;
	memset(header + n, 0, 4);
	claim(ws_header(header, n + 4, &f) == (int)n + 4);
	claim(f.fin && f.opcode == opcode && f.length == length);
}

static void
check_unmask(size_t length, size_t offset, unsigned seed)
{
	unsigned char mask[4], before[64], *p = end - length;
	size_t split = seed % (length + 1);

	for (size_t i = 0; i < 4; i++)
		mask[i] = (unsigned char)((seed >> 8) + 85 * i);
	for (size_t i = 0; i < length; i++)
		before[i] = (unsigned char)(seed + 37 * i);
	memcpy(p, before, length);
	ws_unmask(p, length, mask, offset);
	for (size_t i = 0; i < length; i++)
		claim(p[i] == (before[i] ^ mask[(offset + i) % 4]));
	ws_unmask(p, split, mask, offset);
	ws_unmask(p + split, length - split, mask, offset + split);
	claim(memcmp(p, before, length) == 0);
}

/* A client's stream as a whole, and how far it is understood. */
struct stream {
	const unsigned char *data;
	size_t length, at, gathered;
	bool in_message;
	enum ws_opcode opcode;
	unsigned char message[512];
};

struct heard {
	enum ws_event event;
	unsigned code;
	size_t length;
	unsigned char payload[512];
};

enum { MOST = 131 };

static struct heard
fail_with(unsigned code)
{
	return (struct heard){ .event = WS_FAILED, .code = code };
}

static bool
is_utf8(const unsigned char *text, size_t length, bool whole)
{
	struct utf8 utf8 = { 0 };

	return utf8_check(&utf8, text, length) && (!whole || utf8_complete(&utf8));
}

/* Sections 5.5.1 and 7.4. */
static struct heard
expect_close(const struct heard *frame)
{
	const unsigned char *p = frame->payload;
	struct heard close = { .event = WS_GOT_CLOSE, .code = WS_NO_CODE };

	if (frame->length == 0)
		return close;
	close.code = frame->length < 2 ? 0 : p[0] * 256U + p[1];
	if (!ws_valid_code(close.code))
		return fail_with(1002);
	close.length = frame->length - 2;
	memcpy(close.payload, p + 2, close.length);
	return is_utf8(p + 2, close.length, true) ? close : fail_with(1007);
}

/* What the next frames that are whole say, or what is wrong with one that is not. */
static struct heard
expect_event(struct stream *s)
{
	for (;;) {
		struct heard frame = { .event = WS_NOTHING };
		struct ws_frame f;
		int head = expect(s->data + s->at, s->length - s->at, &f);
		if (head < 0)
			return head == WS_BAD ? fail_with(1002) : frame;
		bool control = f.opcode >= 8;
		if (!control && (f.opcode == 0) != s->in_message)
			return fail_with(1002);
		if (!control && f.opcode != 0) {
			s->opcode = f.opcode;
			s->gathered = 0;
		}
		if (!control && s->gathered + f.length > MOST)
			return fail_with(1009);
		size_t have = s->length - s->at - (size_t)head;
		bool whole = have >= f.length;
		frame.length = whole ? f.length : have;
		for (size_t i = 0; i < frame.length; i++)
			frame.payload[i] = s->data[s->at + head + i] ^ f.mask[i % 4];
		if (!control) {
			memcpy(s->message + s->gathered, frame.payload, frame.length);
			size_t length = s->gathered + frame.length;
			if (s->opcode == WS_TEXT &&
			    !is_utf8(s->message, length, f.fin && whole))
				return fail_with(1007);
		}
		if (!whole)
			return (struct heard){ .event = WS_NOTHING };
		s->at += (size_t)head + frame.length;
		if (control && f.opcode == WS_CLOSE)
			return expect_close(&frame);
		if (control) {
			frame.event = f.opcode == WS_PING ? WS_GOT_PING : WS_GOT_PONG;
			return frame;
		}
		s->gathered += frame.length;
		s->in_message = !f.fin;
		if (!f.fin)
			continue;
		frame.event = s->opcode == WS_TEXT ? WS_GOT_TEXT : WS_GOT_BINARY;
		frame.length = s->gathered;
		memcpy(frame.payload, s->message, s->gathered);
		return frame;
	}
}

static unsigned long events[WS_FAILED + 1];

/* All that is to be heard of these bytes, one event after the other. */
static enum ws_event
check_events(struct ws *ws, struct stream *s, unsigned char *data, size_t length)
{
	struct span payload = { "", 0 };
	enum ws_event event;

	do {
		struct heard expected = expect_event(s);
		event = ws_next(ws, data, length, &payload);
		claim(event == expected.event);
		events[event]++;
		if (event == WS_GOT_CLOSE || event == WS_FAILED)
			claim(ws->code == expected.code);
		if (event == WS_NOTHING || event == WS_FAILED)
			break;
		claim(payload.length == expected.length &&
		      memcmp(payload.data, expected.payload, payload.length) == 0);
	} while (event != WS_GOT_CLOSE);
	return event;
}

/* In two pieces: behind the first all is said that can be said of it. */
static void
check_stream(const unsigned char *bytes, size_t length)
{
	for (size_t split = 0; split <= length; split++) {
		struct stream s = { .data = bytes, .length = split };
		struct ws ws = { .most = MOST };
		unsigned char *data = end - split;
		memcpy(data, bytes, split);
		ws_start(&ws);
		if (check_events(&ws, &s, data, split) != WS_NOTHING)
			continue;
		size_t kept = ws_finish(&ws, data, split);
		claim(kept <= MOST + WS_ROOM);
		memmove(end - (length - split) - kept, data, kept);
		data = end - (length - split) - kept;
		memcpy(data + kept, bytes + split, length - split);
		s.length = length;
		ws_start(&ws);
		check_events(&ws, &s, data, kept + length - split);
	}
}

/* A frame of 42: six kinds, with seven payloads each. */
static size_t
put_frame(unsigned char *p, unsigned number)
{
	static const unsigned char firsts[] = { 0x00, 0x80, 0x01, 0x82, 0x88, 0x89 };
	static const struct span payloads[] = { { "", 0 },	    { "a", 1 },
						{ "\xc3", 1 },	    { "\xa9", 1 },
						{ "\x03\xe8k", 3 }, { "\x03\xed\xff", 3 },
						{ NULL, 130 } };
	static const unsigned char mask[4] = { 0x5a, 0x00, 0xff, 0x81 };
	struct span payload = payloads[number % 7];
	size_t head = payload.length < 126 ? 2 : 4;

	p[0] = firsts[number / 7];
	if (p[0] >= 0x88 && payload.length > WS_CONTROL)
		payload.length = WS_CONTROL, head = 2;
	p[1] = (unsigned char)(0x80 | (head == 2 ? payload.length : 126));
	if (head == 4)
		put_length(p + 2, 2, payload.length);
	memcpy(p + head, mask, sizeof mask);
	for (size_t i = 0; i < payload.length; i++)
		p[head + 4 + i] =
		    (unsigned char)(mask[i % 4] ^ (payload.data ? payload.data[i] : 'x'));
	return head + 4 + payload.length;
}

static void
check_streams(void)
{
	unsigned char bytes[512];

	for (unsigned frames = 0; frames < 42 * 42 * 42; frames++) {
		size_t length = put_frame(bytes, frames % 42);
		length += put_frame(bytes + length, frames / 42 % 42);
		length += put_frame(bytes + length, frames / 42 / 42);
		check_stream(bytes, length);
	}
	for (unsigned i = 0; i <= WS_FAILED; i++)
		claim(events[i] > 0 || i == WS_GOT_PONG);
}

/* Section 7.4, and the registry that it opens (1012 to 1014). */
static bool
may_send(unsigned code)
{
	switch (code) {
	case 1000:
	case 1001:
	case 1002:
	case 1003:
	case 1007:
	case 1008:
	case 1009:
	case 1010:
	case 1011:
	case 1012:
	case 1013:
	case 1014: return true;
	}
	return code >= 3000 && code < 5000;
}

int
main(void)
{
	end = guarded_end();
	check_headers();
	for (size_t length = 0; length <= 70000; length++)
		check_encoded(WS_TEXT, length);
	for (size_t length = 65536; length < SIZE_MAX / 4; length *= 2)
		check_encoded(WS_BINARY, length), check_encoded(WS_BINARY, length - 1);
	for (size_t length = 0; length <= 34; length++)
		for (size_t offset = 0; offset < 8; offset++)
			for (unsigned seed = 0; seed < 65536; seed++)
				check_unmask(length, offset, seed);
	check_streams();
	for (unsigned code = 0; code < 65536; code++)
		claim(ws_valid_code(code) == may_send(code));
	printf("headers: %lu good, %lu bad, %lu cut short; up to 34 bytes unmasked; "
	       "%lu messages in frames\n",
	       good, bad, more, events[WS_GOT_TEXT] + events[WS_GOT_BINARY]);
	return 0;
}

#endif
