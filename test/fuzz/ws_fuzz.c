/*
 * WebSocket: frames that arrive in pieces give the same events as frames that arrive
 * whole, and a message in fragments is reassembled.  The first byte seeds the sizes of
 * the pieces.
 */
#include "fuzz.h"
#include "ws.h"

enum { MOST = 300 }; /* bytes of a message */

/* All events, their payloads and codes, as bytes that can be compared. */
struct story {
	char *data;
	size_t length, size;
};

static void
tell(struct story *s, const void *data, size_t length)
{
	if (s->length + length > s->size) {
		s->size = 2 * (s->length + length);
		s->data = realloc(s->data, s->size);
		CHECK(s->data != NULL);
	}
	if (length > 0)
		memcpy(s->data + s->length, data, length);
	s->length += length;
}

/* Returns false after a failure or a Close, which end the input. */
static bool
read_some(struct ws *ws, unsigned char *data, size_t length, struct story *story)
{
	struct span payload = { "", 0 };
	enum ws_event event;

	ws_start(ws);
	while ((event = ws_next(ws, data, length, &payload)) != WS_NOTHING) {
		bool ends = event == WS_FAILED || event == WS_GOT_CLOSE;
		if (event == WS_FAILED)
			payload.length = 0;
		CHECK(payload.length <= MOST);
		tell(story, &event, sizeof event);
		tell(story, &payload.length, sizeof payload.length);
		tell(story, payload.data, payload.length);
		if (ends) {
			CHECK(ws->code == WS_NO_CODE || ws_valid_code(ws->code));
			tell(story, &ws->code, sizeof ws->code);
			return false;
		}
		if (event == WS_GOT_TEXT || (event == WS_GOT_BINARY && ws->binary_utf8)) {
			struct utf8 utf8 = { 0 };
			CHECK(utf8_check(&utf8, payload.data, payload.length) &&
			      utf8_complete(&utf8));
		}
	}
	return true;
}

static struct story
read_whole(struct ws ws, const void *data, size_t length)
{
	unsigned char *copy = fuzz_copy(data, length);
	struct story story = { 0 };

	read_some(&ws, copy, length, &story);
	free(copy);
	return story;
}

/* Reads in pieces, into a buffer of the smallest size that ws.h allows. */
static struct story
read_pieces(struct ws ws, const unsigned char *data, size_t length, uint32_t cuts)
{
	unsigned char *buffer = malloc(MOST + WS_EXTRA);
	struct story story = { 0 };
	size_t kept = 0;

	CHECK(buffer != NULL);
	while (length > 0) {
		size_t room = MOST + WS_EXTRA - kept;
		size_t piece = fuzz_piece(&cuts, length < room ? length : room);
		memcpy(buffer + kept, data, piece);
		data += piece;
		length -= piece;
		if (!read_some(&ws, buffer, kept + piece, &story))
			break;
		size_t now = ws_finish(&ws, buffer, kept + piece);
		CHECK(now <= kept + piece && now < MOST + WS_EXTRA);
		kept = now;
	}
	free(buffer);
	return story;
}

static void
check_stream(struct ws ws, const void *data, size_t length, uint32_t cuts)
{
	struct story whole = read_whole(ws, data, length);
	struct story pieces = read_pieces(ws, data, length, cuts);

	CHECK(whole.length == pieces.length);
	CHECK(whole.length == 0 || memcmp(whole.data, pieces.data, whole.length) == 0);
	free(whole.data);
	free(pieces.data);
}

/* Writes a client's frame, masked byte by byte. */
static void
put_frame(struct text *t, unsigned first, const char *data, size_t length, uint32_t mask)
{
	text_char(t, (char)first);
	if (length < 126) {
		text_char(t, (char)(0x80 | length));
	} else {
		text_char(t, (char)(0x80 | 126));
		text_char(t, (char)(length >> 8));
		text_char(t, (char)(length & 0xff));
	}
	for (unsigned i = 0; i < 4; i++)
		text_char(t, (char)(mask >> 8 * i & 0xff));
	for (size_t i = 0; i < length; i++)
		text_char(t, (char)(data[i] ^ (char)(mask >> 8 * (i & 3) & 0xff)));
}

/* A binary message in fragments, with a ping between each two. */
static void
check_fragments(const char *data, size_t length, uint32_t cuts)
{
	static const char asked[] = "are you there?";
	size_t size = 64 * (length + 1) + 64, at = 0;
	struct ws ws = { .max_message = MOST };
	char *frames = malloc(size);
	struct story expected = { 0 };
	enum ws_event event;
	struct text t;

	if (length > MOST)
		length = MOST;
	CHECK(frames != NULL);
	text_init(&t, frames, size);
	do {
		size_t piece = fuzz_piece(&cuts, length - at);
		bool last = at + piece == length;
		put_frame(&t, (at == 0 ? WS_BINARY : 0U) | (last ? 0x80U : 0U), data + at,
			  piece, cuts * 2654435761U);
		at += piece;
		if (last)
			break;
		event = WS_GOT_PING;
		size_t asked_length = sizeof asked - 1;
		put_frame(&t, 0x80 | WS_PING, asked, asked_length, cuts);
		tell(&expected, &event, sizeof event);
		tell(&expected, &asked_length, sizeof asked_length);
		tell(&expected, asked, asked_length);
	} while (true);
	event = WS_GOT_BINARY;
	tell(&expected, &event, sizeof event);
	tell(&expected, &length, sizeof length);
	tell(&expected, data, length);
	CHECK(!t.overflow);
	struct story story =
	    read_pieces(ws, (const unsigned char *)t.data, t.length, cuts);
	CHECK(story.length == expected.length &&
	      memcmp(story.data, expected.data, story.length) == 0);
	free(story.data);
	free(expected.data);
	free(frames);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	uint32_t cuts = fuzz_first(&data, &length);
	struct ws ws = { .max_message = MOST, .binary_utf8 = (cuts & 1) != 0 };

	check_stream(ws, data, length, cuts);
	check_fragments((const char *)data, length, cuts);
	return 0;
}
