/*
 * ws_header implements RFC 6455 section 5.2, ws_unmask section 5.3.  ws_next and
 * ws_finish implement sections 5.4, 5.5 and 8.1, for frames in any pieces.
 *
 * header: any up to BOUND bytes.
 * encoded: a server's header of any length reads back, with a mask, as a client's.
 * codes: any close code.
 * unmask: any up to BOUND bytes, any mask, any offset.
 *
 * begin, next and piece are the steps of an induction over frames in any number of
 * pieces: each keeps the state of the server in agreement with the reference's stream.
 * begin: the initial state.
 * next: any state between two calls of ws_next.  Event, payload and code are the
 * reference's.
 * piece: ws_finish and ws_start.
 * In these states up to BOUND bytes are unread.  BEFORE bytes precede them, any of which
 * may belong to a message, and up to READ bytes of a frame are read.  A call reads up to
 * FRAMES frames of a message.  So a Close has up to BOUND bytes, a message up to BEFORE +
 * BOUND, and no call reads a header of more than six bytes.  The memory ends after BOUND
 * bytes even if fewer are unread.
 *
 * main: all sequences of up to 3 of 42 frames, with payloads of up to 130 bytes, in two
 * pieces of any size.  The input ends where the memory ends.
 */
#include "proof.h"

#ifdef __CPROVER__
#include "text.h"

/* Checks byte by byte, which is simpler for CBMC; utf8_proof.c proves the server's own.
 */
bool
utf8_check(struct utf8 *u, const void *data, size_t length)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < length; i++) {
		unsigned char c = p[i];
		if (u->missing > 0) {
			if (c < u->low || c > u->high)
				return false;
			u->missing--;
			u->low = 0x80;
			u->high = 0xbf;
		} else if (c >= 0x80) {
			if (c < 0xc2 || c > 0xf4)
				return false;
			u->missing = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
			u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
			u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
		}
	}
	return true;
}

bool
utf8_complete(const struct utf8 *u)
{
	return u->missing == 0;
}

/* Moves only towards the front, as ws.c does; CBMC's own memmove is slow. */
static void *
move_bytes(void *to, const void *from, size_t length)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	claim(t <= f);
	for (size_t i = 0; i < length; i++)
		t[i] = f[i];
	return to;
}

#define memmove move_bytes
#endif
#include "ws.c"

#ifdef __CPROVER__
enum {
	BEFORE = 2,	   /* bytes of a message that are gathered, at most */
	READ = 6 + BEFORE, /* bytes of a frame that are read, at most */
	ROOM = BEFORE + READ + BOUND,
	FRAMES = 2 /* of a message that are read at once, at most */
};
#else
enum { ROOM = 512, FRAMES = 4 };
#endif

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
	f->opcode = p[0] & 0x0f;
	f->length = value;
	memcpy(f->mask, p + head, 4);
	return (int)head + 4;
}

/* A client's stream, and the state of the reference in it. */
struct stream {
	size_t most;
	bool binary_utf8;
	const unsigned char *data;
	size_t length, at, gathered;
	bool in_message;
	enum ws_opcode opcode;
	struct utf8 utf8;
	unsigned char message[ROOM], control[ROOM];
};

enum { UNDECIDED = -1 }; /* the message has more than FRAMES frames */

struct outcome {
	int event; /* enum ws_event, or UNDECIDED */
	unsigned code;
	const unsigned char *payload;
	size_t length;
};

static struct outcome
fail_with(unsigned code)
{
	return (struct outcome){ .event = WS_FAILED, .code = code };
}

/* Sections 5.5.1 and 7.4. */
static struct outcome
expect_close(const unsigned char *p, size_t length)
{
	struct utf8 utf8 = { 0 };

	if (length == 0)
		return (struct outcome){ WS_GOT_CLOSE, WS_NO_CODE, p, 0 };
	unsigned code = length < 2 ? 0 : p[0] * 256U + p[1];
	if (!ws_valid_code(code))
		return fail_with(1002);
	if (!utf8_check(&utf8, p + 2, length - 2) || !utf8_complete(&utf8))
		return fail_with(1007);
	return (struct outcome){ WS_GOT_CLOSE, code, p + 2, length - 2 };
}

/* The event of the next whole frames, or the failure of the next frame. */
static struct outcome
expect_event(struct stream *s)
{
	static const struct outcome nothing = { .event = WS_NOTHING };

	for (unsigned frames = 0; frames < FRAMES; frames++) {
		struct ws_frame f;
		int head = expect(s->data + s->at, s->length - s->at, &f);
		if (head < 0)
			return head == WS_BAD ? fail_with(1002) : nothing;
		bool control = f.opcode >= 8;
		if (!control && (f.opcode == 0) != s->in_message)
			return fail_with(1002);
		if (!control && f.opcode != 0) {
			s->opcode = f.opcode;
			s->gathered = 0;
			s->utf8 = (struct utf8){ 0 };
		}
		if (!control && s->gathered + f.length > s->most)
			return fail_with(1009);
		size_t have = s->length - s->at - (size_t)head;
		bool whole = have >= f.length, valid = true;
		size_t length = whole ? (size_t)f.length : have;
		bool checked = !control && (s->opcode == WS_TEXT || s->binary_utf8);
		struct utf8 utf8 = s->utf8;
		for (size_t i = 0; i < length; i++) {
			unsigned char c =
			    s->data[s->at + (size_t)head + i] ^ f.mask[i % 4];
			if (control)
				s->control[i] = c;
			else
				s->message[s->gathered + i] = c;
			valid = valid && (!checked || utf8_check(&utf8, &c, 1));
		}
		if (!valid || (checked && whole && f.fin && !utf8_complete(&utf8)))
			return fail_with(1007);
		if (!whole)
			return nothing;
		s->at += (size_t)head + length;
		if (f.opcode == WS_CLOSE)
			return expect_close(s->control, length);
		if (control)
			return (struct outcome){ f.opcode == WS_PING ? WS_GOT_PING
								     : WS_GOT_PONG,
						 0, s->control, length };
		s->gathered += length;
		s->utf8 = utf8;
		s->in_message = !f.fin;
		if (f.fin)
			return (struct outcome){ s->opcode == WS_TEXT ? WS_GOT_TEXT
								      : WS_GOT_BINARY,
						 0, s->message, s->gathered };
	}
	return (struct outcome){ .event = UNDECIDED };
}

#ifdef __CPROVER__

void
header(void)
{
	unsigned char room[BOUND];
	struct ws_frame seen, expected;
	size_t length, at;

	assume(length <= BOUND && at < 4);
	const unsigned char *p = room + BOUND - length;
	int result = expect(p, length, &expected);
	claim(ws_header(p, length, &seen) == result);
	claim(result < 0 ||
	      (seen.fin == expected.fin && seen.opcode == expected.opcode &&
	       seen.length == expected.length && seen.mask[at] == expected.mask[at]));
	reached(result == WS_BAD);
	reached(result == WS_MORE && length == WS_HEADER - 1);
	reached(result == WS_HEADER && length == BOUND);
	reached(result == 8 && !seen.fin);
}

/* A server's header is a client's header without the mask. */
void
encoded(void)
{
	unsigned char header[WS_HEADER];
	enum ws_opcode opcode;
	struct ws_frame f;
	size_t length;

	assume(opcode == WS_TEXT || opcode == WS_BINARY || opcode == WS_CLOSE ||
	       opcode == WS_PING || opcode == WS_PONG);
	assume(length <= (opcode < WS_CLOSE ? INT64_MAX : WS_CONTROL));
	size_t n = ws_encode_header(header, opcode, length);
	claim(n <= WS_SERVER_HEADER && header[1] < 0x80);
	header[1] |= 0x80;
	claim(ws_header(header, n + 4, &f) == (int)n + 4);
	claim(f.fin && f.opcode == opcode && f.length == length);
	reached(n == 2 && opcode == WS_PONG);
	reached(n == 4);
	reached(n == WS_SERVER_HEADER);
}

void
unmask(void)
{
	unsigned char room[BOUND], before[BOUND], mask[4];
	size_t length, offset, at;

	assume(length <= BOUND && at < length && offset <= SIZE_MAX - BOUND);
	memcpy(before, room, BOUND);
	unsigned char *p = room + BOUND - length;
	bool ascii = ws_unmask(p, length, mask, offset);
	claim(p[at] == (before[BOUND - length + at] ^ mask[(offset + at) % 4]));
	claim(!ascii || p[at] < 0x80);
	reached(ascii && length == BOUND);
	reached(!ascii);
}

/* The message that is in progress, and the frame that is being read. */
struct progress {
	size_t head, taken; /* bytes of that frame's header and payload */
	size_t gathered;
	bool in_message;
	enum ws_opcode opcode;
	struct utf8 utf8;
	struct ws_frame f;
};

/* True if the server's state, with `length` bytes, is the stream's, except for the bytes.
 */
static bool
agree(const struct ws *ws, size_t length, const struct stream *s, struct progress *p)
{
	*p = (struct progress){ .in_message = s->in_message, .opcode = s->opcode };
	if (s->in_message) {
		p->gathered = s->gathered;
		p->utf8 = s->utf8;
	}
	if (ws->max_message != s->most || ws->binary_utf8 != s->binary_utf8)
		return false;
	if (ws->in_frame) {
		int head = expect(s->data + s->at, s->length - s->at, &p->f);
		if (head < 0 || ws->frame.length != p->f.length ||
		    ws->frame.opcode != p->f.opcode || ws->frame.fin != p->f.fin ||
		    ws->frame.mask[0] != p->f.mask[0] ||
		    ws->frame.mask[1] != p->f.mask[1] ||
		    ws->frame.mask[2] != p->f.mask[2] ||
		    ws->frame.mask[3] != p->f.mask[3])
			return false;
		p->head = (size_t)head;
	}
	if (ws->in_frame && p->f.opcode < WS_CLOSE) {
		if ((p->f.opcode == 0) != s->in_message ||
		    p->gathered + p->f.length > s->most ||
		    ws->payload_read >= p->f.length ||
		    ws->payload_read > s->length - s->at - p->head)
			return false;
		if (!s->in_message)
			p->opcode = p->f.opcode;
		p->in_message = true;
		p->taken = ws->payload_read;
		bool checked = p->opcode == WS_TEXT || s->binary_utf8;
		for (size_t i = 0; checked && i < p->taken; i++) {
			unsigned char c = s->data[s->at + p->head + i] ^ p->f.mask[i % 4];
			if (!utf8_check(&p->utf8, &c, 1))
				return false;
		}
	}
	return ws->offset <= length &&
	       length - ws->offset == s->length - s->at - p->head - p->taken &&
	       ws->in_message == p->in_message &&
	       (!p->in_message ||
		(ws->opcode == p->opcode &&
		 ws->message_length == p->gathered + p->taken &&
		 ws->message_start <= ws->offset &&
		 ws->message_length <= ws->offset - ws->message_start &&
		 (p->opcode == WS_TEXT || s->binary_utf8 || p->utf8.missing == 0) &&
		 p->utf8.missing == ws->utf8.missing &&
		 (p->utf8.missing == 0 ||
		  (p->utf8.low == ws->utf8.low && p->utf8.high == ws->utf8.high))));
}

/* A byte of the message that the server has gathered. */
static unsigned char
message_byte(const struct stream *s, const struct progress *p, size_t at)
{
	return at < p->gathered ? s->message[at]
				: s->data[s->at + p->head + at - p->gathered] ^
				      p->f.mask[(at - p->gathered) % 4];
}

/* Assumes any state after whole frames and a part of the present one. */
static void
assume_agreement(struct ws *ws, const unsigned char room[BEFORE + BOUND], size_t unread,
		 unsigned char bytes[READ + BOUND], struct stream *s)
{
	struct progress p;

	memcpy(bytes + READ, room + BEFORE, BOUND);
	assume(unread <= BOUND);
	s->data = bytes;
	s->length = READ + unread;
	assume(s->at <= READ && s->gathered <= BEFORE && s->gathered <= s->most);
	assume(s->opcode == WS_TEXT || s->opcode == WS_BINARY);
	ws->offset = BEFORE;
	assume(agree(ws, BEFORE + unread, s, &p));
	for (size_t i = 0; ws->in_message && i < ws->message_length; i++)
		assume(room[ws->message_start + i] == message_byte(s, &p, i));
}

static void
claim_agreement(const struct ws *ws, const unsigned char *room, size_t length,
		const struct stream *s)
{
	struct progress p;
	size_t at;

	claim(agree(ws, length, s, &p));
	claim(!ws->in_message || at >= ws->message_length ||
	      room[ws->message_start + at] == message_byte(s, &p, at));
	claim(at >= length - ws->offset ||
	      room[ws->offset + at] == s->data[s->length - (length - ws->offset) + at]);
}

void
next(void)
{
	unsigned char bytes[READ + BOUND], room[BEFORE + BOUND];
	size_t unread, at;
	struct span payload;
	struct stream s;
	struct ws ws;

	assume_agreement(&ws, room, unread, bytes, &s);
	size_t length = BEFORE + unread;
	struct outcome expected = expect_event(&s);
	assume(expected.event != UNDECIDED);
	enum ws_event event = ws_next(&ws, room, length, &payload);
	claim((int)event == expected.event);
	claim(event < WS_GOT_CLOSE || ws.code == expected.code);
	if (event > WS_NOTHING && event < WS_FAILED) {
		const unsigned char *p = (const unsigned char *)payload.data;
		claim(payload.length == expected.length);
		claim(at >= payload.length || p[at] == expected.payload[at]);
	}
	if (event < WS_GOT_CLOSE)
		claim_agreement(&ws, room, length, &s);
	reached(event == WS_GOT_CLOSE && ws.code == 1000);
	reached(event == WS_GOT_TEXT && payload.length > BEFORE);
	reached(event == WS_GOT_PING && payload.length > 0 && ws.in_message);
	reached(event == WS_NOTHING && ws.in_frame && ws.frame.length > WS_CONTROL);
	reached(event == WS_FAILED && ws.code == 1002);
	reached(event == WS_FAILED && ws.code == 1007);
	reached(event == WS_FAILED && ws.code == 1009);
}

void
piece(void)
{
	unsigned char bytes[READ + BOUND], room[BEFORE + BOUND];
	size_t unread;
	struct stream s;
	struct ws ws;

	assume_agreement(&ws, room, unread, bytes, &s);
	size_t kept = ws_finish(&ws, room, BEFORE + unread);
	claim(kept <= BEFORE + unread);
	ws_start(&ws);
	claim_agreement(&ws, room, kept, &s);
	reached(kept == BOUND && ws.in_message);
	reached(kept == BEFORE + BOUND);
	reached(kept == 0);
}

void
begin(void)
{
	unsigned char room[BOUND];
	size_t length, most;
	bool binary_utf8;
	struct ws ws = { .max_message = most, .binary_utf8 = binary_utf8 };
	struct stream s = { .most = most, .binary_utf8 = binary_utf8, .data = room };

	assume(length <= BOUND);
	s.length = length;
	ws_start(&ws);
	claim_agreement(&ws, room, length, &s);
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

void
codes(void)
{
	unsigned code;

	claim(ws_valid_code(code) == may_send(code));
	reached(ws_valid_code(code));
	reached(!ws_valid_code(code));
}

#else

static unsigned char *end;

enum { MOST = 131 };

static void
put_length(unsigned char *p, size_t size, uint64_t length)
{
	while (size-- > 0) {
		p[size] = (unsigned char)(length & 0xff);
		length >>= 8;
	}
}

static unsigned long events[WS_FAILED + 1];

/* Compares all events of these bytes. */
static enum ws_event
check_events(struct ws *ws, struct stream *s, unsigned char *data, size_t length)
{
	struct span payload = { "", 0 };
	enum ws_event event;

	do {
		struct outcome expected = expect_event(s);
		event = ws_next(ws, data, length, &payload);
		claim((int)event == expected.event);
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

/* Reads the bytes in two pieces of every size; the first gives all events that it can. */
static void
check_stream(const unsigned char *bytes, size_t length)
{
	for (size_t split = 0; split <= length; split++) {
		struct stream s = { .most = MOST, .data = bytes, .length = split };
		struct ws ws = { .max_message = MOST };
		unsigned char *data = end - split;
		memcpy(data, bytes, split);
		ws_start(&ws);
		if (check_events(&ws, &s, data, split) != WS_NOTHING)
			continue;
		size_t kept = ws_finish(&ws, data, split);
		claim(kept <= MOST + WS_EXTRA);
		memmove(end - (length - split) - kept, data, kept);
		data = end - (length - split) - kept;
		memcpy(data + kept, bytes + split, length - split);
		s.length = length;
		ws_start(&ws);
		check_events(&ws, &s, data, kept + length - split);
	}
}

/* Writes one of 42 frames: six first bytes, with seven payloads each. */
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
	unsigned char bytes[ROOM];

	for (unsigned frames = 0; frames < 42 * 42 * 42; frames++) {
		size_t length = put_frame(bytes, frames % 42);
		length += put_frame(bytes + length, frames / 42 % 42);
		length += put_frame(bytes + length, frames / 42 / 42);
		check_stream(bytes, length);
	}
	for (unsigned i = 0; i <= WS_FAILED; i++)
		claim(events[i] > 0 || i == WS_GOT_PONG);
}

int
main(void)
{
	end = guarded_end();
	check_streams();
	printf("all streams of up to 3 of 42 frames: %lu messages\n",
	       events[WS_GOT_TEXT] + events[WS_GOT_BINARY]);
	return 0;
}

#endif
