#include "web.h"

#include "log.h"

#include <string.h>

enum {
	CLOSING = 5, /* seconds for the peer's Close after ours */
	MISSED = 2,  /* heartbeats without an answer: the peer is gone */
	REASON = 123 /* bytes of a Close frame's reason, at most */
};

enum state {
	HEAD,	  /* a request's head is awaited, or has come in part */
	BODY,	  /* the body of one that has been answered is skipped */
	SOCKET,	  /* a WebSocket */
	FAREWELL, /* we sent Close, and wait for the peer's */
	SPENT	  /* the last answer is out: nothing more is read */
};

/* What a connection carries. */
struct channel {
	enum state state;
	uint32_t begun;	 /* second in which the present message began, 0: none has */
	uint8_t missed;	 /* heartbeats */
	bool idle;	 /* kept alive, it waits for its next request */
	bool keep_alive; /* the request in hand allows a next one */
	bool chunked;	 /* its body is */
	union {
		struct {
			size_t scanned; /* of the head */
			uint64_t left;	/* bytes of the body */
			struct http_chunked chunks;
		} http;
		struct ws ws;
	};
};

static struct {
	struct web_limits limits;
	struct web_counters counters;
	const struct web_handler *handler;
	struct channel *channels; /* by connection */
} web;

void
web_place(struct memory *m, const struct web_limits *limits,
	  const struct web_handler *handler)
{
	web.limits = *limits;
	web.handler = handler;
	web.channels =
	    memory_take(m, (size_t)limits->connections + 1, sizeof *web.channels);
}

const struct web_counters *
web_count(void)
{
	return &web.counters;
}

/*
 * WebSocket
 */

static bool
send_frame(uint32_t conn, enum ws_opcode opcode, const void *data, size_t length)
{
	unsigned char *room =
	    (unsigned char *)conn_reserve(conn, WS_SERVER_HEADER + length);

	if (room == NULL)
		return false;
	size_t header = ws_encode_header(room, opcode, length);
	if (length > 0)
		memcpy(room + header, data, length);
	conn_commit(conn, header + length);
	return true;
}

static void
send_close(uint32_t conn, unsigned code, struct span reason)
{
	unsigned char payload[2 + REASON];
	size_t length = utf8_cut(reason.data, reason.length, REASON);

	payload[0] = (unsigned char)(code >> 8);
	payload[1] = (unsigned char)(code & 0xff);
	memcpy(payload + 2, reason.data, length);
	send_frame(conn, WS_CLOSE, payload, code == WS_NO_CODE ? 0 : 2 + length);
}

void
web_close(uint32_t conn, unsigned code, const char *reason)
{
	struct channel *ch = &web.channels[conn];

	if (ch->state != SOCKET)
		return;
	send_close(conn, code, (struct span){ reason, strlen(reason) });
	ch->state = FAREWELL;
	conn_deadline(conn, CLOSING);
	web.handler->closed(conn);
}

/* Fails the connection (section 7.1.7): nothing that follows can be understood. */
static void
fail_socket(uint32_t conn, unsigned code, const char *reason)
{
	struct text *t = log_begin(LEVEL_DEBUG, conn_peer(conn));

	if (t != NULL) {
		text_string(t, "websocket failed: ");
		text_string(t, reason);
		log_end();
	}
	web_close(conn, code, reason);
	conn_finish(conn);
}

static const char *
failure(enum ws_code code)
{
	return code == WS_TOO_BIG	 ? "message too big"
	       : code == WS_INVALID_DATA ? "not UTF-8"
					 : "protocol error";
}

/* Returns false when nothing more is to be read. */
static bool
handle_event(uint32_t conn, enum ws_event event, struct span payload)
{
	struct channel *ch = &web.channels[conn];

	switch (event) {
	case WS_GOT_TEXT:
	case WS_GOT_BINARY:
		ch->begun = 0;
		if (ch->state != SOCKET)
			return true;
		/* The payload lies in the connection's own block. */
		web.handler->message(conn, (char *)payload.data, payload.length,
				     event == WS_GOT_BINARY);
		return true;
	case WS_GOT_PING:
		return ch->state != SOCKET ||
		       send_frame(conn, WS_PONG, payload.data, payload.length);
	case WS_GOT_CLOSE:
		if (ch->state == SOCKET) {
			send_close(conn, ch->ws.code, payload);
			ch->state = FAREWELL;
			web.handler->closed(conn);
		}
		conn_finish(conn);
		return false;
	case WS_FAILED:
		fail_socket(conn, ch->ws.code, failure(ch->ws.code));
		return false;
	case WS_GOT_PONG:
	case WS_NOTHING: break;
	}
	return true;
}

/* The next heartbeat, or the end of a message that takes too long. */
static void
await_frames(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];
	uint32_t heartbeat = web.limits.heartbeat, left = heartbeat;

	if (ch->begun != 0) {
		uint32_t passed = conn_now() - ch->begun;
		if (passed >= 2 * heartbeat) {
			fail_socket(conn, WS_PROTOCOL_ERROR, "message took too long");
			return;
		}
		left = 2 * heartbeat - passed;
	}
	conn_deadline(conn, left < heartbeat ? left : heartbeat);
}

static size_t
receive_frames(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	unsigned char *bytes = (unsigned char *)data;
	struct span payload = { "", 0 };
	enum ws_event event;

	ch->missed = 0;
	ws_start(&ch->ws);
	while ((event = ws_next(&ch->ws, bytes, length, &payload)) != WS_NOTHING)
		if (!handle_event(conn, event, payload))
			return 0;
	size_t kept = ws_finish(&ch->ws, bytes, length);
	if (!ch->ws.in_message && kept == 0 && !ch->ws.in_frame)
		ch->begun = 0;
	else if (ch->begun == 0)
		ch->begun = conn_now();
	if (ch->state == SOCKET)
		await_frames(conn);
	return kept;
}

bool
web_send(uint32_t conn, const char *data, size_t length, bool binary)
{
	return web.channels[conn].state == SOCKET &&
	       send_frame(conn, binary ? WS_BINARY : WS_TEXT, data, length);
}

static void
expire_socket(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];

	if (ch->missed == MISSED) {
		log_line(LEVEL_DEBUG, conn_peer(conn), "closed: no answer to heartbeats");
		conn_abort(conn);
		return;
	}
	ch->missed++;
	send_frame(conn, WS_PING, "", 0);
	await_frames(conn);
}

/*
 * HTTP
 */

static void
hang_up(uint32_t conn)
{
	web.channels[conn].state = SPENT;
	conn_finish(conn);
}

/* Between requests; the next one's first byte starts the time anew. */
static void
await_request(uint32_t conn)
{
	web.channels[conn].state = HEAD;
	web.channels[conn].idle = true;
	conn_deadline(conn, 2 * web.limits.heartbeat);
}

/*
 * Answers a request.  Where it cannot be known where the next one begins, or a body is
 * too much to skip, keep_alive is off and the connection ends.
 */
void
web_answer(uint32_t conn, unsigned status, const char *fields, const char *body)
{
	char data[WEB_SLACK];
	struct text t;

	web.counters.errors += status >= 400;
	text_init(&t, data, sizeof data);
	text_string(&t, "HTTP/1.1 ");
	text_number(&t, status);
	text_char(&t, ' ');
	text_string(&t, http_reason(status));
	text_string(&t,
		    "\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: ");
	text_number(&t, strlen(body));
	text_string(&t, "\r\n");
	text_string(&t, fields);
	text_string(&t, web.channels[conn].keep_alive ? "Connection: keep-alive\r\n\r\n"
						      : "Connection: close\r\n\r\n");
	text_string(&t, body);
	conn_write(conn, t.data, t.length);
	if (!web.channels[conn].keep_alive)
		hang_up(conn);
}

static void
refuse(uint32_t conn, unsigned status)
{
	web.channels[conn].keep_alive = false;
	web_answer(conn, status, "", http_reason(status));
}

bool
web_upgrade(uint32_t conn, const struct http_request *r, bool binary)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "Upgrade: websocket\r\n"
				   "Connection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: ";
	char accept[WS_ACCEPT];
	struct channel *ch = &web.channels[conn];
	unsigned status = ws_handshake(r, accept);

	switch (status) {
	case 101: break;
	case 405: web_answer(conn, status, "Allow: GET\r\n", ""); return false;
	case 426:
		web_answer(conn, status,
			   "Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n",
			   "WebSocket version 13 is spoken here");
		return false;
	default:
		web_answer(conn, status, "", "Not a valid websocket request");
		return false;
	}
	if (!conn_write(conn, head, sizeof head - 1) ||
	    !conn_write(conn, accept, sizeof accept) || !conn_write(conn, "\r\n\r\n", 4))
		return false;
	ch->state = SOCKET;
	ch->begun = 0;
	ch->missed = 0;
	ch->ws = (struct ws){ .most = web.limits.message, .binary_utf8 = !binary };
	await_frames(conn);
	return true;
}

/* A whole head has come; what follows it is the body. */
static void
handle_head(uint32_t conn, const char *head, size_t length)
{
	struct channel *ch = &web.channels[conn];
	struct http_request r;
	unsigned status = http_parse(head, length, &r);

	web.counters.requests++;
	if (status != 0) {
		refuse(conn, status);
		return;
	}
	/* Who waits for 100 Continue may yet send the body or not (RFC 9110 section
	 * 10.1.1), and who sends more than we would ever take need not go on. */
	ch->keep_alive = r.keep_alive && !r.expect && r.length <= web.limits.message;
	ch->http.left = r.length;
	ch->http.chunks = (struct http_chunked){ 0 };
	ch->http.scanned = 0;
	ch->chunked = r.chunked;
	if (r.chunked || r.length > 0) {
		ch->state = BODY;
		conn_deadline(conn, 2 * web.limits.heartbeat);
	} else {
		await_request(conn);
	}
	web.handler->request(conn, &r);
}

/* Skips what there is of a body; returns how much of `length` follows it. */
static size_t
skip_body(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];

	if (ch->chunked) {
		size_t content = length;
		long rest = http_dechunk(&ch->http.chunks, data, &content);
		ch->http.left += content;
		if (rest == HTTP_BAD || ch->http.left > web.limits.message) {
			/* Its answer is out already. */
			hang_up(conn);
			return 0;
		}
		if (rest == HTTP_MORE)
			return 0;
		await_request(conn);
		return (size_t)rest;
	}
	size_t n = length < ch->http.left ? length : (size_t)ch->http.left;
	ch->http.left -= n;
	if (ch->http.left == 0)
		await_request(conn);
	return length - n;
}

/* Takes a head if it is all there; returns how much of `length` is left. */
static size_t
take_head(uint32_t conn, char *data, size_t length, bool *more)
{
	struct channel *ch = &web.channels[conn];
	size_t blank = ch->http.scanned > 1 ? 0 : http_blank(data, length);

	if (blank > 0) {
		ch->http.scanned = 0;
		data += blank;
		length -= blank;
	}
	if (ch->idle && length > 0) {
		ch->idle = false;
		conn_deadline(conn, 2 * web.limits.heartbeat);
	}
	long head = http_scan(data, length, &ch->http.scanned);
	if (head > HTTP_HEAD_SIZE || (head == HTTP_MORE && length > HTTP_HEAD_SIZE)) {
		refuse(conn, 431);
		return 0;
	}
	if (head == HTTP_BAD) {
		refuse(conn, 400);
		return 0;
	}
	if (head == HTTP_MORE) {
		*more = true;
		return length;
	}
	handle_head(conn, data, (size_t)head);
	return length - (size_t)head;
}

static size_t
received(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	size_t left = length;
	bool more = false;

	while (left > 0 && !more && (ch->state == HEAD || ch->state == BODY)) {
		char *at = data + length - left;
		left = ch->state == HEAD ? take_head(conn, at, left, &more)
					 : skip_body(conn, at, left);
	}
	if (ch->state == SPENT)
		return 0;
	if (left > 0 && left < length)
		memmove(data, data + length - left, left);
	if (ch->state == SOCKET || ch->state == FAREWELL)
		return receive_frames(conn, data, left);
	return left;
}

static void
opened(uint32_t conn)
{
	web.channels[conn] = (struct channel){ .state = HEAD };
	log_line(LEVEL_DEBUG, conn_peer(conn), "connected");
	conn_deadline(conn, web.limits.handshake);
}

static void
expired(uint32_t conn)
{
	switch (web.channels[conn].state) {
	case HEAD:
		/* Who has not begun a request waits for no answer. */
		if (web.channels[conn].http.scanned > 0)
			refuse(conn, 408);
		else
			conn_finish(conn);
		break;
	case BODY:
	case FAREWELL:
	case SPENT: conn_finish(conn); break;
	case SOCKET: expire_socket(conn); break;
	}
}

static void
stopping(uint32_t conn)
{
	if (web.channels[conn].state == SOCKET)
		web_close(conn, WS_GOING_AWAY, "server stops");
	else
		conn_finish(conn);
}

static void
closed(uint32_t conn)
{
	log_line(LEVEL_DEBUG, conn_peer(conn), "disconnected");
	if (web.channels[conn].state == SOCKET)
		web.handler->closed(conn);
}

static bool
settle(void)
{
	return web.handler->settle();
}

const struct conn_handler web_conn_handler = {
	.opened = opened,
	.received = received,
	.expired = expired,
	.stopping = stopping,
	.closed = closed,
	.settle = settle,
};
