#include "web.h"

#include "accept.h"
#include "client.h"
#include "log.h"
#include "share.h"

#include <string.h>
#include <time.h>

enum {
	CLOSING = 5, /* seconds for the peer's Close after ours */
	MISSED = 2,  /* heartbeats without an answer: the peer is gone */
	/* Bytes that are received of a head; more than it may have, for a 431.  Behind a
	   request in hand no more than that is kept. */
	HEAD_MOST = HTTP_HEAD_SIZE + 1,
	REASON = 123 /* bytes of a Close frame's reason, at most */
};

enum state {
	HEAD,	  /* a request's head is awaited, or has come in part */
	COLLECT,  /* so is the body that the handler wants */
	IN_HAND,  /* the handler owes an answer; requests behind it wait */
	SKIP,	  /* the body of one that has been answered passes by */
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
	bool bodiless;	 /* it is a HEAD: the answer has no body */
	bool old;	 /* it is of HTTP/1.0: no chunks */
	bool chunked;	 /* its body is */
	bool skip;	 /* which is not wanted */
	bool again;	 /* the rest of a body or message waits to be handled */
	bool binary;	 /* and is of a binary message */
	union {
		struct {
			size_t scanned; /* of the head, and in COLLECT its length */
			size_t body;	/* bytes of it that follow the head, decoded */
			uint64_t most;	/* bytes of it that there are, or may be */
			struct http_chunked chunks;
		} http;
		struct {
			struct ws ws;
			size_t rest; /* bytes at the front, with `again` */
		};
	};
};

static struct {
	struct web_limits limits;
	struct web_counters counters;
	const struct web_handler *handler;
	struct channel *channels; /* by connection */
	bool stopping;
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

const uint16_t web_statuses[] = { 101, 200, 204, 304, 400, 403, 404, 405, 406,
				  408, 413, 417, 426, 431, 500, 501, 503, 505 };
const uint16_t web_codes[] = { WS_NORMAL,  WS_PROTOCOL_ERROR, WS_INVALID_DATA,
			       WS_TOO_BIG, WS_SOCKJS,	      WS_REPLACED };

const struct web_counters *
web_count(void)
{
	return &web.counters;
}

static void
count(uint64_t *counts, const uint16_t *numbers, size_t length, unsigned number)
{
	for (size_t i = 0; i < length; i++)
		counts[i] += numbers[i] == number;
}

/*
 * WebSocket
 */

static bool
send_frame(uint32_t conn, enum ws_opcode opcode, const void *data, size_t length)
{
	unsigned char header[WS_SERVER_HEADER];
	const struct span head = { (char *)header,
				   ws_encode_header(header, opcode, length) };

	return conn_send(conn, head, (struct span){ data, length });
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
	count(web.counters.closes, web_codes, WEB_CODES, code);
	send_close(conn, code, (struct span){ reason, strlen(reason) });
	ch->state = FAREWELL;
	conn_deadline(conn, CLOSING);
	web.handler->closed(conn);
}

/* Fails the connection (section 7.1.7): nothing that follows can be understood. */
static void
fail_socket(uint32_t conn, unsigned code, const char *reason)
{
	struct text *t = log_begin(LEVEL_DEBUG, client_name(conn));

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

/*
 * Passes on a message in the connection's block, or its rest.  With `again` set then,
 * `rest` bytes at its end are left for a later turn.
 */
static void
deliver_message(uint32_t conn, struct span message, bool binary)
{
	struct channel *ch = &web.channels[conn];
	size_t rest = web.handler->message(conn, (char *)message.data, message.length,
					   binary, ch->again);

	/* A message that closes its connection ends with it. */
	ch->again = rest > 0 && ch->state == SOCKET;
	if (ch->again) {
		ch->rest = rest;
		ch->binary = binary;
	}
}

/* Returns false when nothing more is to be read. */
static bool
handle_event(uint32_t conn, enum ws_event event, struct span payload)
{
	struct channel *ch = &web.channels[conn];

	switch (event) {
	case WS_GOT_TEXT:
	case WS_GOT_BINARY:
		if (ch->state != SOCKET)
			return true;
		deliver_message(conn, payload, event == WS_GOT_BINARY);
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

/*
 * Reads frames from `data`.  Returns how many bytes are kept, at its front: the rest of a
 * message first, if its handling is not complete.
 */
static size_t
read_frames(uint32_t conn, unsigned char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	struct span payload = { "", 0 };
	enum ws_event event;
	size_t rest = 0;

	ws_start(&ch->ws);
	while ((event = ws_next(&ch->ws, data, length, &payload)) != WS_NOTHING) {
		if (!handle_event(conn, event, payload))
			return 0;
		if (!ch->ws.in_message)
			ch->begun = 0;
		if (ch->again) {
			/* The input moves to the rest's end, from where it is read on. */
			rest = ch->rest;
			memmove(data, payload.data + payload.length - rest, rest);
			ch->ws.offset -= rest;
			break;
		}
		if (ch->ws.offset < length && share_over(conn))
			break;
	}
	return rest + ws_finish(&ch->ws, data + rest, length - rest);
}

static size_t
receive_frames(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	size_t done = 0;

	ch->missed = 0;
	if (ch->again) {
		size_t whole = ch->rest;
		deliver_message(conn, (struct span){ data, whole }, ch->binary);
		if (ch->again) {
			memmove(data, data + whole - ch->rest, length - whole + ch->rest);
			return length - whole + ch->rest;
		}
		done = whole;
	}
	size_t kept = read_frames(conn, (unsigned char *)data + done, length - done);
	if (done > 0 && kept > 0)
		memmove(data, data + done, kept);
	if (ch->again || (!ch->ws.in_message && kept == 0 && !ch->ws.in_frame))
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
		web.counters.silent++;
		log_line(LEVEL_DEBUG, client_name(conn),
			 "closed: no answer to heartbeats");
		web.handler->silent(conn);
		if (ch->state == SOCKET)
			conn_abort(conn);
		return;
	}
	ch->missed++;
	web.handler->heartbeat(conn);
	if (ch->state != SOCKET)
		return;
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
	struct channel *ch = &web.channels[conn];

	ch->state = HEAD;
	ch->idle = true;
	ch->bodiless = false;
	ch->again = false;
	ch->http.scanned = 0;
	accept_unclaim(conn);
	conn_limit_input(conn, HEAD_MOST);
	conn_deadline(conn, 2 * web.limits.heartbeat);
}

/* The answer is out. */
static void
end_request(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];

	if (!ch->keep_alive) {
		hang_up(conn);
	} else if (ch->skip) {
		ch->state = SKIP;
		conn_deadline(conn, 2 * web.limits.heartbeat);
	} else {
		await_request(conn);
	}
	share_resume(conn);
}

/* A clock that has not been set is none (RFC 9110 section 6.6.1). */
static void
put_date(struct text *t)
{
	enum { YEAR_2020 = 1577836800 };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec < YEAR_2020)
		return;
	text_string(t, "Date: ");
	text_http_time(t, (uint64_t)now.tv_sec);
	text_string(t, "\r\n");
}

static void
put_head(struct text *t, unsigned status, const char *type, struct span fields)
{
	count(web.counters.answers, web_statuses, WEB_STATUSES, status);
	text_string(t, "HTTP/1.1 ");
	text_number(t, status);
	text_char(t, ' ');
	text_string(t, http_reason(status));
	text_string(t, "\r\n");
	put_date(t);
	if (type != NULL) {
		text_string(t, "Content-Type: ");
		text_string(t, type);
		text_string(t, "\r\n");
	}
	text_span(t, fields);
}

static void
put_connection(struct text *t, const struct channel *ch)
{
	text_string(t, ch->keep_alive ? "Connection: keep-alive\r\n"
				      : "Connection: close\r\n");
}

void
web_answer(uint32_t conn, const struct web_answer *a)
{
	struct channel *ch = &web.channels[conn];
	bool has_body = a->status != 204 && a->status != 304;
	char data[WEB_SLACK];
	struct text t;

	if (ch->state != IN_HAND)
		return;
	text_init(&t, data, sizeof data);
	put_head(&t, a->status, a->type, a->fields);
	if (has_body) {
		text_string(&t, "Content-Length: ");
		text_number(&t, a->body.length);
		text_string(&t, "\r\n");
	}
	put_connection(&t, ch);
	text_string(&t, "\r\n");
	if (conn_write(conn, t.data, t.length) && has_body && !ch->bodiless)
		conn_write(conn, a->body.data, a->body.length);
	end_request(conn);
}

void
web_not_allowed(uint32_t conn, const char *methods)
{
	char data[64];
	struct text fields;

	text_init(&fields, data, sizeof data);
	text_string(&fields, "Allow: ");
	text_string(&fields, methods);
	text_string(&fields, "\r\n");
	web_answer(conn, &(struct web_answer){ .status = 405,
					       .fields = { fields.data, fields.length },
					       .body = { "", 0 } });
}

void
web_stream(uint32_t conn, const char *type, struct span fields)
{
	struct channel *ch = &web.channels[conn];
	char data[WEB_SLACK];
	struct text t;

	ch->keep_alive = ch->keep_alive && !ch->old;
	text_init(&t, data, sizeof data);
	put_head(&t, 200, type, fields);
	put_connection(&t, ch);
	text_string(&t, ch->old ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
	conn_write(conn, t.data, t.length);
}

bool
web_stream_write(uint32_t conn, const char *data, size_t length)
{
	enum { AROUND = 32 };
	char size[AROUND];
	struct text t;

	if (web.channels[conn].state != IN_HAND)
		return false;
	if (web.channels[conn].old)
		return conn_write(conn, data, length);
	text_init(&t, size, sizeof size);
	unsigned digits = 1;
	while (digits < 8 && length >> (4 * digits) != 0)
		digits++;
	text_hex(&t, (uint32_t)length, digits);
	text_string(&t, "\r\n");
	return conn_write(conn, t.data, t.length) && conn_write(conn, data, length) &&
	       conn_write(conn, "\r\n", 2);
}

void
web_stream_end(uint32_t conn)
{
	if (web.channels[conn].state != IN_HAND)
		return;
	if (!web.channels[conn].old)
		conn_write(conn, "0\r\n\r\n", 5);
	end_request(conn);
}

/* The last answer on a connection. */
static void
refuse_with(uint32_t conn, unsigned status, const char *body)
{
	const struct web_answer a = { .status = status,
				      .type = "text/plain; charset=UTF-8",
				      .fields = { "", 0 },
				      .body = { body, strlen(body) } };

	web.channels[conn].state = IN_HAND;
	web.channels[conn].keep_alive = false;
	web_answer(conn, &a);
}

/* Refuses what cannot be understood, so that the next request cannot be either. */
static void
refuse(uint32_t conn, unsigned status)
{
	refuse_with(conn, status, http_reason(status));
}

static void
refuse_upgrade(uint32_t conn, unsigned status)
{
	static const char use_13[] = "Sec-WebSocket-Version: 13\r\n"
				     "Upgrade: websocket\r\n",
			  text[] = "Not a valid websocket request";
	struct web_answer a = { .status = status,
				.type = "text/plain; charset=UTF-8",
				.fields = { "", 0 },
				.body = { text, sizeof text - 1 } };

	if (status == 426)
		a.fields = (struct span){ use_13, sizeof use_13 - 1 };
	if (status == 405)
		web_not_allowed(conn, "GET");
	else
		web_answer(conn, &a);
}

bool
web_upgrade(uint32_t conn, const struct http_request *r, bool binary, size_t most)
{
	static const char head[] = "HTTP/1.1 101 Switching Protocols\r\n"
				   "Upgrade: websocket\r\n"
				   "Connection: Upgrade\r\n"
				   "Sec-WebSocket-Accept: ";
	char accept[WS_ACCEPT];
	struct channel *ch = &web.channels[conn];
	unsigned status = ws_handshake(r, accept);

	if (status != 101) {
		refuse_upgrade(conn, status);
		return false;
	}
	if (!accept_claim(conn)) {
		refuse(conn, 503);
		return false;
	}
	if (!conn_write(conn, head, sizeof head - 1) ||
	    !conn_write(conn, accept, sizeof accept) || !conn_write(conn, "\r\n\r\n", 4))
		return false;
	count(web.counters.answers, web_statuses, WEB_STATUSES, 101);
	conn_limit_input(conn, SIZE_MAX);
	ch->state = SOCKET;
	ch->again = false;
	ch->begun = 0;
	ch->missed = 0;
	ch->ws = (struct ws){ .most = most, .binary_utf8 = !binary };
	await_frames(conn);
	return true;
}

/* Finds out for which client the request is, if a trusted proxy forwards it. */
static void
identify_client(uint32_t conn, const struct http_request *r)
{
	struct socket_address *client = client_forwarded(conn);

	if (client != NULL)
		http_forwarded(r->fields, client_trusts, client);
}

/* Returns how many bytes at the body's end are left for a later turn. */
static size_t
hand_over(uint32_t conn, const struct http_request *r, struct span body)
{
	struct channel *ch = &web.channels[conn];

	if (web.stopping) {
		refuse_with(conn, 503, "draining\n");
		return 0;
	}
	identify_client(conn, r);
	ch->state = IN_HAND;
	conn_deadline(conn, 0);
	size_t rest = web.handler->request(conn, r, body, ch->again);
	ch->again = rest > 0 && ch->state == IN_HAND;
	return ch->again ? rest : 0;
}

/*
 * The steps of reading requests: each takes from the front of what has come, and returns
 * how much; 0 if it needs more, and then `length` is how much of it is still wanted.
 */

/* A whole head has come; what follows it is the body. */
static size_t
handle_head(uint32_t conn, const char *head, size_t length)
{
	struct channel *ch = &web.channels[conn];
	struct span none = { "", 0 };
	struct http_request r;
	unsigned status = http_parse(head, length, &r);

	web.counters.requests++;
	ch->bodiless = r.method == HTTP_HEAD;
	if (status != 0) {
		refuse(conn, status);
		return length;
	}
	bool has_body = r.chunked || r.length > 0;
	/* A proxy forwards a body as it comes, so its client can keep the connection
	 * busy: it is counted for the client until the body is complete. */
	identify_client(conn, &r);
	if (has_body && !accept_claim(conn)) {
		refuse(conn, 503);
		return length;
	}
	size_t wanted = has_body ? web.handler->wants(&r) : 0;
	ch->old = r.minor == 0;
	ch->chunked = r.chunked;
	ch->http.chunks = (struct http_chunked){ 0 };
	ch->http.body = 0;
	ch->skip = has_body && wanted == 0;
	/* Who waits for 100 Continue may yet send an unwanted body or not (RFC 9110
	 * section 10.1.1), and one that is too long is not worth its skipping. */
	ch->keep_alive = r.keep_alive && !(ch->skip && r.expect) &&
			 r.length <= (wanted > 0 ? wanted : web.limits.message);
	ch->http.most = r.chunked ? (wanted > 0 ? wanted : web.limits.message) : r.length;
	if (wanted == 0 || r.length > wanted) {
		if (wanted > 0)
			none.data = NULL;
		hand_over(conn, &r, none);
		return length;
	}
	ch->state = COLLECT;
	if (!r.chunked)
		conn_limit_input(conn, length + (size_t)r.length + HEAD_MOST);
	else
		conn_limit_input(conn, SIZE_MAX);
	ch->http.scanned = length;
	conn_deadline(conn, 2 * web.limits.heartbeat);
	if (r.expect)
		conn_write(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return 0;
}

static size_t
take_head(uint32_t conn, char *data, size_t *length)
{
	struct channel *ch = &web.channels[conn];
	size_t blank = ch->http.scanned > 1 ? 0 : http_blank(data, *length);

	if (blank > 0) {
		ch->http.scanned = 0;
		return blank;
	}
	if (ch->idle) {
		ch->idle = false;
		conn_deadline(conn, 2 * web.limits.heartbeat);
	}
	long head = http_scan(data, *length, &ch->http.scanned);
	if (head == HTTP_BAD) {
		refuse(conn, 400);
	} else if (head > HTTP_HEAD_SIZE ||
		   (head == HTTP_MORE && *length > HTTP_HEAD_SIZE)) {
		refuse(conn, 431);
	} else if (head != HTTP_MORE) {
		return handle_head(conn, data, (size_t)head);
	}
	return 0;
}

/*
 * Keeps the head and the last `rest` bytes of a body for a later turn, of `used` bytes
 * that they have taken together so far; the next request follows.
 */
static size_t
keep_rest(uint32_t conn, char *data, size_t *length, size_t used, size_t rest)
{
	struct channel *ch = &web.channels[conn];
	size_t kept = ch->http.scanned + rest;

	memmove(data + ch->http.scanned, data + ch->http.scanned + ch->http.body - rest,
		rest);
	memmove(data + kept, data + used, *length - used);
	*length -= used - kept;
	ch->http.body = rest;
	ch->state = COLLECT;
	return 0;
}

/* Hands up the rest of a body, which keep_rest has kept. */
static size_t
handle_again(uint32_t conn, char *data, size_t *length)
{
	struct channel *ch = &web.channels[conn];
	const struct span body = { data + ch->http.scanned, ch->http.body };
	size_t used = ch->http.scanned + ch->http.body;
	struct http_request r;

	http_parse(data, ch->http.scanned, &r);
	size_t rest = hand_over(conn, &r, body);
	return rest == 0 ? used : keep_rest(conn, data, length, used, rest);
}

/* The head is kept before the body, to be read again with it. */
static size_t
collect_body(uint32_t conn, char *data, size_t *length)
{
	struct channel *ch = &web.channels[conn];
	size_t before = ch->http.scanned + ch->http.body, come = *length - before,
	       content = come;
	size_t used = (size_t)ch->http.most - ch->http.body;
	struct http_request r;

	if (ch->again)
		return handle_again(conn, data, length);
	if (ch->chunked) {
		long rest = http_dechunk(&ch->http.chunks, data + before, &content);
		if (rest == HTTP_BAD) {
			refuse(conn, 400);
			return 0;
		}
		used = rest == HTTP_MORE ? come + 1 : come - (size_t)rest;
	} else if (content > used) {
		content = used;
	}
	bool too_much = content > ch->http.most - ch->http.body;
	ch->http.body += content;
	if (!too_much && used > come) {
		*length = before + content;
		return 0;
	}
	struct span body = { data + ch->http.scanned, ch->http.body };
	if (too_much) {
		body = (struct span){ NULL, 0 };
		ch->keep_alive = false;
	}
	/* It has been read before, and was good. */
	http_parse(data, ch->http.scanned, &r);
	accept_unclaim(conn);
	conn_limit_input(conn, HEAD_MOST);
	used = before + (used < come ? used : come);
	size_t rest = hand_over(conn, &r, body);
	return rest == 0 ? used : keep_rest(conn, data, length, used, rest);
}

static size_t
skip_body(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	size_t used = length, content = length;

	if (ch->chunked) {
		long rest = http_dechunk(&ch->http.chunks, data, &content);
		if (rest == HTTP_BAD || content > ch->http.most) {
			/* Its answer is out already. */
			hang_up(conn);
			return length;
		}
		ch->http.most -= content;
		if (rest == HTTP_MORE)
			return length;
		used = length - (size_t)rest;
	} else {
		if (used > ch->http.most)
			used = (size_t)ch->http.most;
		ch->http.most -= used;
		if (ch->http.most > 0)
			return used;
	}
	await_request(conn);
	return used;
}

static size_t
received(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	char *at = data;
	size_t left = length, used = 1;

	if (ch->state == SOCKET)
		return receive_frames(conn, data, length);
	while (left > 0 && used > 0 && ch->state <= SKIP && ch->state != IN_HAND) {
		enum state before = ch->state;
		if (at != data && before == HEAD && share_over(conn))
			break;
		used = before == HEAD	   ? take_head(conn, at, &left)
		       : before == COLLECT ? collect_body(conn, at, &left)
					   : skip_body(conn, at, left);
		at += used;
		left -= used;
		/* A head that stays before its body has not been used up. */
		if (ch->state != before)
			used = 1;
	}
	if (ch->state == SPENT)
		return 0;
	if (at != data && left > 0)
		memmove(data, at, left);
	if (ch->state == SOCKET || ch->state == FAREWELL)
		return receive_frames(conn, data, left);
	return left;
}

static void
opened(uint32_t conn)
{
	web.channels[conn] = (struct channel){ .state = HEAD };
	conn_limit_input(conn, HEAD_MOST);
	log_line(LEVEL_DEBUG, client_name(conn), "connected");
	conn_deadline(conn, web.limits.handshake);
}

static void
expired(uint32_t conn)
{
	switch (web.channels[conn].state) {
	case COLLECT: refuse(conn, 408); break;
	case HEAD:
		/* Who has not begun a request waits for no answer. */
		if (web.channels[conn].http.scanned > 0)
			refuse(conn, 408);
		else
			hang_up(conn);
		break;
	case IN_HAND:
	case SKIP:
	case FAREWELL:
	case SPENT: conn_finish(conn); break;
	case SOCKET: expire_socket(conn); break;
	}
}

static void
stopping(uint32_t conn)
{
	enum state state = web.channels[conn].state;

	web.stopping = true;
	if (state == SOCKET || state == IN_HAND)
		web.handler->stopping(conn);
	/* Who is about to ask for something is still told. */
	if (state == IN_HAND)
		conn_finish(conn);
}

static void
closed(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];
	bool tell = ch->state == SOCKET || ch->state == IN_HAND;

	log_line(LEVEL_DEBUG, client_name(conn), "disconnected");
	ch->state = SPENT;
	if (tell)
		web.handler->closed(conn);
}

static bool
second(void)
{
	return web.handler->second();
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
	.second = second,
	.settle = settle,
};
