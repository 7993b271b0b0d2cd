#include "websocket.h"

#include "accept.h"
#include "client.h"
#include "log.h"
#include "report.h"
#include "share.h"

#include <string.h>

/*
 * The state of a WebSocket.  Messages are delivered until a Close frame is sent; then
 * close_sent is true, and input is read for the peer's Close only.
 *
 *   close_sent  event                                       what follows
 *   false       websocket_close                             Close, then the peer's Close
 *               the peer's Close                            Close, conn_finish
 *               invalid input, a message takes too long     Close, conn_finish
 *               MOST_MISSED heartbeats without an answer    conn_abort
 *   true        the peer's Close, invalid input,            conn_finish
 *               CLOSE_TIMEOUT_S seconds
 */
struct websocket {
	bool close_sent;
	bool binary;		   /* `rest` is of a binary message */
	uint8_t missed_heartbeats; /* pings since the last input */
	uint32_t begun; /* second in which the incomplete message began; 0: none */
	size_t rest;	/* bytes of a message to deliver in a later turn; 0: none */
	struct ws ws;
};

_Static_assert(sizeof(struct websocket) <= WEB_UPGRADED_SIZE,
	       "struct websocket must fit into a channel");

enum {
	CLOSE_TIMEOUT_S = 5, /* from our Close frame to the peer's */
	MOST_MISSED = 2,     /* maximum of missed_heartbeats */
	GRID_S = 3,	     /* long heartbeats are due in every third second */
	REASON_SIZE = 123    /* maximum size of a Close frame's reason, in bytes */
};

static struct {
	const struct websocket_handler *handler;
	struct websocket_counters counters;
	uint32_t heartbeat; /* seconds */
} sockets;

void
websocket_start(const struct websocket_handler *handler, uint32_t heartbeat)
{
	sockets.handler = handler;
	sockets.heartbeat = heartbeat;
}

const uint16_t websocket_codes[] = { WS_NORMAL,	 WS_PROTOCOL_ERROR, WS_INVALID_DATA,
				     WS_TOO_BIG, WS_SOCKJS,	    WS_REPLACED };

const struct websocket_counters *
websocket_count(void)
{
	return &sockets.counters;
}

/*
 * Sending
 */

static bool
send_frame(uint32_t conn, enum ws_opcode opcode, const void *data, size_t length)
{
	unsigned char header[WS_SERVER_HEADER];
	const struct span head = { (char *)header,
				   ws_encode_header(header, opcode, length) };

	return conn_send(conn, head, (struct span){ data, length });
}

bool
websocket_send(uint32_t conn, const char *data, size_t length, bool binary)
{
	const struct websocket *s = web_upgraded(conn);

	return s != NULL && !s->close_sent &&
	       send_frame(conn, binary ? WS_BINARY : WS_TEXT, data, length);
}

static void
send_close(uint32_t conn, unsigned code, struct span reason)
{
	unsigned char payload[2 + REASON_SIZE];
	size_t length = utf8_cut(reason.data, reason.length, REASON_SIZE);

	payload[0] = (unsigned char)(code >> 8);
	payload[1] = (unsigned char)(code & 0xff);
	memcpy(payload + 2, reason.data, length);
	send_frame(conn, WS_CLOSE, payload, code == WS_NO_CODE ? 0 : 2 + length);
}

static void
close_socket(uint32_t conn, struct websocket *s, unsigned code, const char *reason)
{
	if (s->close_sent)
		return;
	for (size_t i = 0; i < WEBSOCKET_CODES; i++)
		sockets.counters.closes[i] += websocket_codes[i] == code;
	send_close(conn, code, (struct span){ reason, strlen(reason) });
	s->close_sent = true;
	conn_deadline(conn, CLOSE_TIMEOUT_S);
	sockets.handler->closed(conn);
}

void
websocket_close(uint32_t conn, unsigned code, const char *reason)
{
	struct websocket *s = web_upgraded(conn);

	if (s != NULL)
		close_socket(conn, s, code, reason);
}

/* Fails the connection (section 7.1.7) without waiting for the peer's Close frame. */
static void
fail(uint32_t conn, struct websocket *s, unsigned code, const char *reason)
{
	struct text *t = log_begin(LEVEL_DEBUG, client_name(conn));

	if (t != NULL) {
		text_string(t, "websocket failed: ");
		text_string(t, reason);
		log_end();
	}
	if (code == WS_TOO_BIG)
		report(REPORT_PACKET, client_name(conn), (struct span){ 0 });
	close_socket(conn, s, code, reason);
	conn_finish(conn);
}

/*
 * Deadlines
 */

/* Sets the deadline: the next heartbeat, or the end of a message that takes too long. */
static void
await_frames(uint32_t conn, struct websocket *s)
{
	uint32_t heartbeat = sockets.heartbeat, left = heartbeat;

	if (s->begun != 0) {
		uint32_t passed = conn_seconds() - s->begun;
		if (passed >= 2 * heartbeat) {
			fail(conn, s, WS_PROTOCOL_ERROR, "message took too long");
			return;
		}
		if (2 * heartbeat - passed < left)
			left = 2 * heartbeat - passed;
	} else if (heartbeat >= 8 * GRID_S) {
		/* So that many are due in the same second, and an idle server seldom
		 * wakes up. */
		left -= (conn_seconds() + heartbeat) % GRID_S;
	}
	conn_deadline(conn, left);
}

static void
expired(uint32_t conn)
{
	struct websocket *s = web_upgraded(conn);

	if (s->close_sent) {
		conn_finish(conn);
		return;
	}
	if (s->missed_heartbeats == MOST_MISSED) {
		sockets.counters.silent++;
		log_line(LEVEL_INFO, client_name(conn),
			 "closed: no answer to heartbeats (Heartbeat)");
		sockets.handler->silent(conn);
		if (!s->close_sent)
			conn_abort(conn);
		return;
	}
	s->missed_heartbeats++;
	sockets.handler->heartbeat(conn);
	if (s->close_sent)
		return;
	send_frame(conn, WS_PING, "", 0);
	await_frames(conn, s);
}

/*
 * Receiving
 */

/*
 * Delivers a message, or the rest of one.  If the handler leaves part of it for a later
 * turn, `rest` is the length of that part, at the end of the message.
 */
static void
deliver_message(uint32_t conn, struct websocket *s, struct span message, bool binary)
{
	size_t rest = sockets.handler->message(conn, (char *)message.data, message.length,
					       binary, s->rest > 0);

	/* The handler can close the WebSocket, which drops the rest. */
	s->rest = s->close_sent ? 0 : rest;
	s->binary = binary;
}

static const char *
failure_reason(enum ws_code code)
{
	return code == WS_TOO_BIG	 ? "message too big"
	       : code == WS_INVALID_DATA ? "not UTF-8"
					 : "protocol error";
}

/* Returns false if no further input may be read. */
static bool
handle_event(uint32_t conn, struct websocket *s, enum ws_event event, struct span payload)
{
	switch (event) {
	case WS_GOT_TEXT:
	case WS_GOT_BINARY:
		if (!s->close_sent)
			deliver_message(conn, s, payload, event == WS_GOT_BINARY);
		return true;
	case WS_GOT_PING:
		return s->close_sent ||
		       send_frame(conn, WS_PONG, payload.data, payload.length);
	case WS_GOT_CLOSE:
		if (!s->close_sent) {
			send_close(conn, s->ws.code, payload);
			s->close_sent = true;
			sockets.handler->closed(conn);
		}
		conn_finish(conn);
		return false;
	case WS_FAILED:
		fail(conn, s, s->ws.code, failure_reason(s->ws.code));
		return false;
	case WS_GOT_PONG:
	case WS_NOTHING: break;
	}
	return true;
}

/*
 * Reads frames.  Returns how many bytes at the front of `data` must be kept: first
 * `rest`, then input that has not been read.
 */
static size_t
read_frames(uint32_t conn, struct websocket *s, unsigned char *data, size_t length)
{
	struct span payload = { "", 0 };
	enum ws_event event;
	size_t rest = 0;

	ws_start(&s->ws);
	while ((event = ws_next(&s->ws, data, length, &payload)) != WS_NOTHING) {
		if (!handle_event(conn, s, event, payload))
			return 0;
		if (!s->ws.in_message)
			s->begun = 0;
		if (s->rest > 0) {
			/* From here on, the offset counts from data + rest. */
			rest = s->rest;
			memmove(data, payload.data + payload.length - rest, rest);
			s->ws.offset -= rest;
			break;
		}
		if (s->ws.offset < length && share_over(conn))
			break;
	}
	return rest + ws_finish(&s->ws, data + rest, length - rest);
}

static size_t
received(uint32_t conn, char *data, size_t length)
{
	struct websocket *s = web_upgraded(conn);
	size_t done = 0;

	s->missed_heartbeats = 0;
	if (s->rest > 0) {
		size_t whole = s->rest;
		deliver_message(conn, s, (struct span){ data, whole }, s->binary);
		if (s->rest > 0) {
			memmove(data, data + whole - s->rest, length - whole + s->rest);
			return length - whole + s->rest;
		}
		done = whole;
	}
	size_t kept = read_frames(conn, s, (unsigned char *)data + done, length - done);
	if (done > 0 && kept > 0)
		memmove(data, data + done, kept);
	if (s->rest > 0 || (!s->ws.in_message && kept == 0 && !s->ws.in_frame))
		s->begun = 0;
	else if (s->begun == 0)
		s->begun = conn_seconds();
	if (!s->close_sent)
		await_frames(conn, s);
	return kept;
}

static void
stopping(uint32_t conn)
{
	const struct websocket *s = web_upgraded(conn);

	if (!s->close_sent)
		sockets.handler->stopping(conn);
}

static void
closed(uint32_t conn)
{
	struct websocket *s = web_upgraded(conn);

	if (s->close_sent)
		return;
	s->close_sent = true;
	sockets.handler->closed(conn);
}

const struct conn_handler websocket_conn_handler = {
	.received = received,
	.expired = expired,
	.stopping = stopping,
	.closed = closed,
};

/*
 * Upgrading
 */

static void
answer_text(uint32_t conn, unsigned status, const char *fields, struct span body)
{
	web_answer(conn, &(struct web_answer){ .status = status,
					       .type = "text/plain; charset=UTF-8",
					       .fields = { fields, strlen(fields) },
					       .body = body });
}

static void
refuse_upgrade(uint32_t conn, unsigned status)
{
	static const char text[] = "Not a valid websocket request";

	if (status == 405)
		web_not_allowed(conn, "GET");
	else
		answer_text(conn, status,
			    status == 426 ? "Sec-WebSocket-Version: 13\r\n"
					    "Upgrade: websocket\r\n"
					  : "",
			    (struct span){ text, sizeof text - 1 });
}

bool
websocket_misplaced(uint32_t conn, const struct http_request *r, const char *prefix)
{
	char data[256];
	struct text t;

	if (r->method != HTTP_GET || !r->upgrade || !r->websocket)
		return false;
	report(REPORT_PATH, client_name(conn), r->path);
	text_init(&t, data, sizeof data);
	text_string(&t, "WebSocket is at ");
	text_string(&t, prefix);
	text_string(&t, "/websocket\n");
	/* A longer prefix is left out: half a path would be wrong. */
	answer_text(conn, 400, "", (struct span){ t.data, t.overflow ? 0 : t.length });
	return true;
}

bool
websocket_upgrade(uint32_t conn, const struct http_request *r, bool binary, size_t most)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "Upgrade: websocket\r\n"
				   "Connection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: ";
	char accept[WS_ACCEPT];
	unsigned status = ws_handshake(r, accept);

	if (status != 101) {
		refuse_upgrade(conn, status);
		return false;
	}
	if (!accept_claim(conn)) {
		web_refuse(conn, 503);
		return false;
	}
	if (!conn_write(conn, head, sizeof head - 1) ||
	    !conn_write(conn, accept, sizeof accept) || !conn_write(conn, "\r\n\r\n", 4))
		return false;
	struct websocket *s = web_upgrade(conn);
	*s = (struct websocket){ .ws = { .max_message = most, .binary_utf8 = !binary } };
	await_frames(conn, s);
	return true;
}
