#include "session.h"

#include "client.h"
#include "json.h"
#include "receiver.h"
#include "report.h"
#include "share.h"

#include <string.h>

static struct {
	struct session_table table;
	uint32_t message;    /* bytes of a client's message, at most */
	bool lone_surrogate; /* a client has sent one since the start */
} messages;

uint32_t
session_blocks(const struct session_limits *limits)
{
	/* Within a turn: a repaired message, the answer to it, a frame of that, and a
	 * copy of it for one session (send_plain). */
	enum { IN_USE = 4 };

	return limits->connections + IN_USE;
}

size_t
session_block(const struct session_limits *limits)
{
	/* Input has a head next to the largest message in its largest encoding, and room
	 * for framing of chunks and what follows.  Output has only WEB_SLACK, but answers
	 * to earlier requests may wait before it. */
	enum { INPUT = HTTP_HEAD_SIZE + 2 * WEB_PIPELINED, OUTPUT = WEB_SLACK + 8192 };

	return (size_t)limits->reply * SOCKJS_FRAME_GROWTH + SOCKJS_FRAME_OVERHEAD +
	       (INPUT > OUTPUT ? INPUT : OUTPUT);
}

size_t
session_payload(const struct session_limits *limits)
{
	return (size_t)limits->message * SOCKJS_FRAME_GROWTH + SOCKJS_FRAME_OVERHEAD;
}

void
session_place(struct memory *m, const struct session_limits *limits)
{
	messages.table = session_table_place(m, limits);
	messages.message = limits->message;
	receiver_place(m, limits, messages.table);
}

struct span
session_peer(uint32_t number)
{
	return session_is_http(number)
		   ? receiver_peer(number)
		   : client_name(messages.table.sessions[number].conn);
}

struct address_key
session_address_key(uint32_t number)
{
	return session_is_http(number)
		   ? receiver_address_key(number)
		   : client_address_key(messages.table.sessions[number].conn);
}

/*
 * Messages to clients
 */

/*
 * The frame begins half a page into its block, which has enough room (session_block).
 * Message and output begin at the start of theirs, and a load waits for an earlier store
 * whose address has the same low 12 bits (4K aliasing).
 */
static void
put_frame(struct session_shared *m)
{
	enum { HALF_PAGE = 2048 };
	struct text t;

	m->block = block_take();
	text_init(&t, m->block + HALF_PAGE, block_size() - HALF_PAGE);
	text_string(&t, "a[");
	sockjs_frame_put_string(&t, m->message.data, m->message.length);
	text_char(&t, ']');
	m->frame = (struct span){ t.data, t.length };
}

static void
send_framed(uint32_t conn, struct session_shared *m)
{
	if (m->frame.data == NULL)
		put_frame(m);
	websocket_send(conn, m->frame.data, m->frame.length, false);
}

/* True for a surrogate as three bytes (WTF-8). */
static bool
is_surrogate(const char *p)
{
	return (unsigned char)p[0] == 0xed && (unsigned char)p[1] >= 0xa0;
}

/* Sends U+FFFD for each lone surrogate, as browsers do in a WebSocket's text. */
static void
send_plain(uint32_t conn, const char *data, size_t length, bool binary)
{
	if (!messages.lone_surrogate || binary) {
		websocket_send(conn, data, length, binary);
		return;
	}
	char *copy = block_take();
	memcpy(copy, data, length);
	for (size_t i = 0; i + 2 < length; i++)
		if (is_surrogate(copy + i))
			memcpy(copy + i, "\xef\xbf\xbd", 3);
	websocket_send(conn, copy, length, false);
	block_give(copy);
}

static bool
send_message(uint32_t number, struct session_shared *m, bool binary)
{
	const struct session *s = &messages.table.sessions[number];
	const struct span message = m->message;

	if (s->state != SESSION_OPEN)
		return false;
	switch (s->transport) {
	case SESSION_PLAIN:
		send_plain(s->conn, message.data, message.length, binary);
		break;
	case TRANSPORT_WEBSOCKET: send_framed(s->conn, m); break;
	default: receiver_send(number, message.data, message.length); break;
	}
	session_count_sent();
	return true;
}

bool
session_send_shared(uint32_t number, struct session_shared *m)
{
	return send_message(number, m, false);
}

void
session_shared_end(struct session_shared *m)
{
	if (m->block != NULL)
		block_give(m->block);
}

bool
session_send(uint32_t number, const char *data, size_t length, bool binary)
{
	struct session_shared m = { .message = { data, length } };
	bool sent = send_message(number, &m, binary);

	session_shared_end(&m);
	return sent;
}

static void
close_framed(uint32_t conn, unsigned code, const char *reason)
{
	char data[SOCKJS_FRAME_CLOSE];
	struct text t;

	text_init(&t, data, sizeof data);
	sockjs_frame_put_close(&t, code, reason);
	websocket_send(conn, t.data, t.length, false);
	websocket_close(conn, WS_NORMAL, "Normal closure");
}

void
session_close(uint32_t number, unsigned code, const char *reason)
{
	const struct session *s = &messages.table.sessions[number];

	if (s->state != SESSION_OPEN)
		return;
	switch (s->transport) {
	case SESSION_PLAIN: websocket_close(s->conn, code, reason); break;
	case TRANSPORT_WEBSOCKET: close_framed(s->conn, code, reason); break;
	default: receiver_close(number, code, reason); break;
	}
}

/*
 * Messages from clients
 */

static void
note_surrogates(const char *data, size_t length)
{
	const char *p = data, *end = data + length;

	while (!messages.lone_surrogate &&
	       (p = memchr(p, 0xed, (size_t)(end - p))) != NULL) {
		messages.lone_surrogate = end - p > 1 && is_surrogate(p);
		p++;
	}
}

/*
 * Returns a string of a request's body, with U+FFFD for each invalid UTF-8 sequence.
 * Text of a WebSocket has been checked already.  If this sets the data of `t`, that is a
 * block, which the caller must give back.
 */
static struct span
repair(struct text *t, struct span contents)
{
	struct utf8 utf8 = { 0 };

	if (utf8_check(&utf8, contents.data, contents.length) && utf8_complete(&utf8))
		return contents;
	text_init(t, block_take(), block_size());
	utf8_repair(t, contents.data, contents.length);
	return (struct span){ t->data, t->length };
}

/* Unescapes a JSON string in place and delivers it.  If it is too big, closes the session
 * and returns false. */
static bool
deliver_message(uint32_t number, struct span string)
{
	struct text repaired = { 0 };
	struct span contents = json_contents(string);

	if (session_is_http(number))
		contents = repair(&repaired, contents);
	/* The caller allows changes of the payload. */
	char *data = (char *)contents.data;
	long length = json_unescape(contents, data, contents.length, true);
	bool fits = (size_t)length <= messages.message && !repaired.overflow;

	if (fits) {
		note_surrogates(data, (size_t)length);
		session_deliver(number, data, (size_t)length, false);
	} else {
		report(REPORT_PACKET, session_peer(number), (struct span){ 0 });
		session_close(number, WS_TOO_BIG, "message too big");
	}
	if (repaired.data != NULL)
		block_give(repaired.data);
	return fits;
}

/* Makes an array, in place, of the elements after the last one that was read.  Empty if
 * there are none. */
static struct span
rest_of(const struct json *j)
{
	char *at = j->text + j->offset, *end = j->text + j->length;

	while (*at != ',' && *at != ']')
		at++;
	if (*at == ']')
		return (struct span){ "", 0 };
	*at = '[';
	return (struct span){ at, (size_t)(end - at) };
}

bool
session_receive(uint32_t number, uint32_t conn, struct span payload, struct span single,
		struct span *rest)
{
	const struct session *s = &messages.table.sessions[number];
	struct span value;
	struct json j;
	bool end;

	*rest = (struct span){ "", 0 };
	if (s->state != SESSION_OPEN)
		return true;
	if (single.data != NULL)
		return deliver_message(number, single);
	json_init(&j, (char *)payload.data, payload.length);
	json_enter(&j, '[');
	while (s->state == SESSION_OPEN && json_element(&j, &value, &end)) {
		if (!deliver_message(number, value))
			return false;
		if (s->state == SESSION_OPEN && share_over(conn)) {
			*rest = rest_of(&j);
			return true;
		}
	}
	return true;
}

/*
 * WebSockets
 */

void
session_open_socket(const struct service *service, uint32_t conn, bool framed,
		    struct span query)
{
	uint32_t number =
	    session_add(service, conn, framed ? TRANSPORT_WEBSOCKET : SESSION_PLAIN);

	if (framed)
		websocket_send(conn, "o", 1, false);
	service->opened(number, query);
}

/* Receives a payload, which may also be one string, or empty.  Returns the length of the
 * rest. */
static size_t
receive_framed(uint32_t number, uint32_t conn, struct span data, bool again)
{
	struct span value, single = { NULL, 0 }, rest = { "", 0 };
	enum sockjs_payload checked = PAYLOAD_VALID;
	struct json j;

	if (data.length == 0)
		return 0;
	if (!again)
		checked =
		    sockjs_frame_check_payload((char *)data.data, data.length, &single);
	if (checked == PAYLOAD_VALID) {
		session_receive(number, conn, data, single, &rest);
		return rest.length;
	}
	if (checked == PAYLOAD_TOO_MANY) {
		session_close(number, WS_TOO_BIG, "too many messages");
		return 0;
	}
	json_init(&j, (char *)data.data, data.length);
	if (checked == PAYLOAD_NO_ARRAY && json_value(&j, &value) && *value.data == '"')
		deliver_message(number, value);
	else
		websocket_close(conn, WS_SOCKJS, "Broken framing.");
	return 0;
}

size_t
session_message(uint32_t conn, char *data, size_t length, bool binary, bool again)
{
	uint32_t number = messages.table.by_conn[conn];
	const struct session *s = &messages.table.sessions[number];

	if (s->state != SESSION_OPEN)
		return 0;
	if (s->transport == TRANSPORT_WEBSOCKET)
		return receive_framed(number, conn, (struct span){ data, length }, again);
	session_deliver(number, data, length, binary);
	return 0;
}

static bool
is_framed(uint32_t conn)
{
	const struct session *s = &messages.table.sessions[messages.table.by_conn[conn]];

	return s->state == SESSION_OPEN && s->transport == TRANSPORT_WEBSOCKET;
}

void
session_heartbeat(uint32_t conn)
{
	if (is_framed(conn))
		websocket_send(conn, "h", 1, false);
}

void
session_silent(uint32_t conn)
{
	if (is_framed(conn))
		close_framed(conn, WS_SOCKJS, "No response from heartbeat");
}

void
session_stopping(uint32_t conn)
{
	session_close(messages.table.by_conn[conn], WS_GOING_AWAY, "server stops");
}

void
session_closed(uint32_t conn)
{
	uint32_t number = messages.table.by_conn[conn];

	if (number == 0)
		return;
	if (session_is_http(number)) {
		receiver_closed(conn);
	} else {
		session_unbind(conn);
		session_end(number);
	}
}
