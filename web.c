#include "web.h"

#include "accept.h"
#include "client.h"
#include "log.h"
#include "report.h"
#include "share.h"
#include "tls.h"

#include <string.h>
#include <time.h>

/*
 * The states of a connection.
 *
 *   state     input         next      event
 *   HEAD      head          BODY      the handler wants the request's body
 *                           ANSWER    the request is dispatched without a body
 *                           ENDED     an invalid or refused request, or the timeout
 *   BODY      body          ANSWER    the request is dispatched with its body
 *                           ENDED     an invalid body, or the timeout
 *   ANSWER    not read      BODY      the handler leaves a part of the body for later
 *                           HEAD      the answer is complete
 *                           SKIP      the same, but not the unwanted body
 *                           UPGRADED  web_upgrade
 *                           ENDED     the last answer of the connection is complete
 *   SKIP      dropped       HEAD      the end of the body
 *                           ENDED     an invalid body, or the timeout
 *   UPGRADED  the protocol's
 *   ENDED     dropped
 *
 * Every state also becomes ENDED when the connection ends.
 */
enum state { HEAD, BODY, ANSWER, SKIP, UPGRADED, ENDED };

/* Maximum size of the input that waits in HEAD, or in ANSWER for the next request: one
 * byte more than a head may have, so that a longer head is answered with 431. */
enum { MOST_INPUT = HTTP_HEAD_SIZE + 1 };

struct channel {
	uint8_t state;	     /* enum state */
	bool is_idle;	     /* HEAD, after a request: the next one has not begun */
	bool keep_alive;     /* another request may follow this one */
	uint8_t method;	     /* enum http_method; to HEAD the answer has no body */
	bool is_http_1_0;    /* a streamed answer is not chunked */
	bool is_chunked;     /* the request's body is chunked */
	bool skips_body;     /* the handler does not want the body */
	bool partly_handled; /* a part of the body waits for a later turn */
	union {
		struct {
			size_t head; /* its bytes that http_scan has examined, then all */
			size_t body; /* decoded bytes of the body, after the head */
			/* Size of the body; if chunked, its maximum.  In SKIP without the
			 * bytes that have been skipped. */
			uint64_t most;
			struct http_chunked chunks;
		} http;
		/* In UPGRADED: the state of the protocol. */
		uint64_t upgraded[WEB_UPGRADED_SIZE / sizeof(uint64_t)];
	};
};

static struct {
	struct web_limits limits;
	uint32_t request_timeout; /* seconds, for a head, a body, and between requests */
	struct web_counters counters;
	const struct web_handler *handler;
	struct channel *channels; /* by connection */
	bool stopping;
} web;

const uint16_t web_statuses[] = { 101, 200, 204, 304, 400, 401, 403, 404, 405, 406,
				  408, 413, 414, 417, 426, 431, 500, 501, 503, 505 };

const struct web_counters *
web_count(void)
{
	return &web.counters;
}

void
web_place(struct memory *m, const struct web_limits *limits,
	  const struct web_handler *handler)
{
	web.limits = *limits;
	web.request_timeout = 2 * limits->heartbeat;
	web.handler = handler;
	web.channels =
	    memory_take(m, (size_t)limits->connections + 1, sizeof *web.channels);
}

/*
 * Answers
 */

static void
count_answer(unsigned status)
{
	for (size_t i = 0; i < WEB_STATUSES; i++)
		web.counters.answers[i] += web_statuses[i] == status;
}

static void
end_connection(uint32_t conn)
{
	web.channels[conn].state = ENDED;
	conn_finish(conn);
}

static void
await_request(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];

	ch->state = HEAD;
	ch->is_idle = true;
	ch->method = HTTP_OTHER;
	ch->partly_handled = false;
	ch->http.head = 0;
	accept_unclaim(conn);
	conn_limit_input(conn, MOST_INPUT);
	conn_deadline(conn, web.request_timeout);
}

static void
end_answer(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];

	if (!ch->keep_alive) {
		end_connection(conn);
	} else if (ch->skips_body) {
		ch->state = SKIP;
		conn_deadline(conn, web.request_timeout);
	} else {
		await_request(conn);
	}
	share_resume(conn);
}

/* A server without a clock sends no Date (RFC 9110 section 6.6.1). */
static void
put_date(struct text *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec < TEXT_RELEASED)
		return;
	text_string(t, "Date: ");
	text_http_time(t, (uint64_t)now.tv_sec);
	text_string(t, "\r\n");
}

static void
put_head(struct text *t, unsigned status, const char *type, struct span fields)
{
	count_answer(status);
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
	if (status == 503)
		text_string(t, HTTP_RETRY_AFTER);
	text_span(t, fields);
}

static void
put_connection(struct text *t, const struct channel *ch, unsigned status)
{
	text_string(t, "Connection: ");
	if (status != 426)
		text_string(t, ch->keep_alive ? "keep-alive" : "close");
	else /* for the Upgrade field (RFC 9110 section 7.8) */
		text_string(t, ch->keep_alive ? "upgrade" : "close, upgrade");
	text_string(t, "\r\n");
}

void
web_answer(uint32_t conn, const struct web_answer *a)
{
	struct channel *ch = &web.channels[conn];
	bool has_body = a->status != 204 && a->status != 304;
	char data[WEB_SLACK];
	struct text t;

	if (ch->state != ANSWER)
		return;
	text_init(&t, data, sizeof data);
	put_head(&t, a->status, a->type, a->fields);
	if (has_body) {
		text_string(&t, "Content-Length: ");
		text_number(&t, a->body.length);
		text_string(&t, "\r\n");
	}
	put_connection(&t, ch, a->status);
	text_string(&t, "\r\n");
	if (conn_write(conn, t.data, t.length) && has_body && ch->method != HTTP_HEAD)
		conn_write(conn, a->body.data, a->body.length);
	end_answer(conn);
}

void
web_not_allowed(uint32_t conn, const char *methods)
{
	bool asked = web.channels[conn].method == HTTP_OPTIONS;
	char data[64];
	struct text fields;

	text_init(&fields, data, sizeof data);
	text_string(&fields, "Allow: ");
	text_string(&fields, methods);
	text_string(&fields, ", OPTIONS\r\n");
	web_answer(conn, &(struct web_answer){ .status = asked ? 204 : 405,
					       .fields = { fields.data, fields.length },
					       .body = { "", 0 } });
}

void
web_stream(uint32_t conn, const char *type, struct span fields)
{
	struct channel *ch = &web.channels[conn];
	char data[WEB_SLACK];
	struct text t;

	ch->keep_alive = ch->keep_alive && !ch->is_http_1_0;
	text_init(&t, data, sizeof data);
	put_head(&t, 200, type, fields);
	put_connection(&t, ch, 200);
	text_string(&t, ch->is_http_1_0 ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n");
	conn_write(conn, t.data, t.length);
}

bool
web_stream_write(uint32_t conn, const char *data, size_t length)
{
	char size[16]; /* 8 digits, CR LF */
	struct text t;

	if (web.channels[conn].state != ANSWER)
		return false;
	if (web.channels[conn].is_http_1_0)
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
	if (web.channels[conn].state != ANSWER)
		return;
	if (!web.channels[conn].is_http_1_0)
		conn_write(conn, "0\r\n\r\n", 5);
	end_answer(conn);
}

static void
refuse_with(uint32_t conn, unsigned status, const char *text)
{
	web.channels[conn].state = ANSWER;
	web.channels[conn].keep_alive = false;
	web_answer(conn, &(struct web_answer){ .status = status,
					       .type = "text/plain; charset=UTF-8",
					       .fields = { "", 0 },
					       .body = { text, strlen(text) } });
}

void
web_refuse(uint32_t conn, unsigned status)
{
	refuse_with(conn, status, http_reason(status));
}

void *
web_upgrade(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];

	count_answer(101);
	conn_limit_input(conn, SIZE_MAX);
	ch->state = UPGRADED;
	return ch->upgraded;
}

void *
web_upgraded(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];

	return ch->state == UPGRADED ? ch->upgraded : NULL;
}

/*
 * Requests
 */

/* Calls the handler.  Returns how many bytes at the body's end wait for a later turn. */
static size_t
dispatch_request(uint32_t conn, const struct http_request *r, struct span body)
{
	struct channel *ch = &web.channels[conn];

	if (web.stopping) {
		refuse_with(conn, 503, "draining\n");
		return 0;
	}
	ch->state = ANSWER;
	conn_deadline(conn, 0);
	size_t rest = web.handler->request(conn, r, body, ch->partly_handled);
	ch->partly_handled = rest > 0 && ch->state == ANSWER;
	return ch->partly_handled ? rest : 0;
}

/* Input that the steps of reading have not consumed. */
struct input {
	char *data;
	size_t length;
};

static void
consume(struct input *in, size_t length)
{
	in->data += length;
	in->length -= length;
}

/* Records how to read a request's body and how to answer.  `head` is the head's length,
 * `wanted` the result of the handler's `wants`. */
static void
begin_request(struct channel *ch, const struct http_request *r, size_t head,
	      size_t wanted)
{
	uint64_t most = wanted > 0 ? wanted : web.limits.skipped;

	ch->is_http_1_0 = r->minor == 0;
	ch->is_chunked = r->chunked;
	ch->skips_body = wanted == 0 && (r->chunked || r->length > 0);
	/*
	 * With Expect: 100-continue, the client may send an unwanted body or omit it, so
	 * the start of the next request is unknown (RFC 9110 section 10.1.1).  Skipping a
	 * body that is too long costs more than a new connection.
	 */
	ch->keep_alive =
	    r->keep_alive && !(ch->skips_body && r->expect) && r->length <= most;
	ch->http.head = head;
	ch->http.body = 0;
	ch->http.most = r->chunked ? most : r->length;
	ch->http.chunks = (struct http_chunked){ 0 };
}

/* Refuses a request because of its head, and reports one that is too large. */
static void
refuse_head(uint32_t conn, unsigned status)
{
	if (status == 414 || status == 431)
		report(REPORT_HEAD, client_name(conn), (struct span){ 0 });
	web_refuse(conn, status);
}

/* Handles a complete head of `length` bytes. */
static void
handle_head(uint32_t conn, struct input *in, size_t length)
{
	struct channel *ch = &web.channels[conn];
	struct http_request r;
	unsigned status = http_parse(in->data, length, &r);

	web.counters.requests++;
	ch->method = (uint8_t)r.method;
	if (status != 0) {
		if (r.bad_host)
			report(REPORT_HOST, client_name(conn), r.host);
		refuse_head(conn, status);
		return;
	}
	bool has_body = r.chunked || r.length > 0;
	struct socket_address *client = client_reset_address(conn);
	if (client != NULL)
		http_forwarded(r.fields, client_trusts, client);
	accept_note_proxy(conn, r.fields);
	/* A proxy forwards a body as it arrives, so its client can occupy the connection:
	 * the connection counts for the client until the body is complete. */
	if (has_body && !accept_claim(conn)) {
		web_refuse(conn, 503);
		return;
	}
	size_t wanted = has_body ? web.handler->wants(&r) : 0;
	begin_request(ch, &r, length, wanted);
	if (wanted == 0 || r.length > wanted) {
		dispatch_request(conn, &r, (struct span){ wanted > 0 ? NULL : "", 0 });
		consume(in, length);
		return;
	}
	ch->state = BODY;
	/* A block has this room (session_block): it must not fill, even if the handler
	 * leaves all of the body for a later turn. */
	conn_limit_input(conn, r.chunked ? SIZE_MAX
					 : length + (size_t)r.length + WEB_PIPELINED);
	conn_deadline(conn, web.request_timeout);
	if (r.expect)
		conn_write(conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/*
 * The steps of reading requests.  Each consumes input from the front.  It returns true if
 * the step for the channel's new state can follow, or false if that must wait: for more
 * input, or for a later turn.
 */

static bool
read_head(uint32_t conn, struct input *in)
{
	struct channel *ch = &web.channels[conn];
	size_t blank = ch->http.head > 1 ? 0 : http_blank(in->data, in->length);

	if (blank > 0) {
		ch->http.head = 0;
		consume(in, blank);
		return true;
	}
	if (ch->is_idle) {
		ch->is_idle = false;
		conn_deadline(conn, web.request_timeout);
	}
	long head = http_scan(in->data, in->length, &ch->http.head);
	if (head == HTTP_BAD && *in->data == 0x16) /* a TLS handshake record */
		log_line(LEVEL_INFO, client_name(conn),
			 "rejected: TLS on a plain HTTP port (TLS)");
	if (head == HTTP_BAD)
		web_refuse(conn, 400);
	else if (head > HTTP_HEAD_SIZE ||
		 (head == HTTP_MORE && in->length > HTTP_HEAD_SIZE))
		/* The request line alone is that long if it does not end. */
		refuse_head(conn,
			    memchr(in->data, '\n', HTTP_HEAD_SIZE) != NULL ? 431 : 414);
	else if (head == HTTP_MORE)
		return false;
	else
		handle_head(conn, in, (size_t)head);
	return true;
}

/*
 * Dispatches a request with its body.  They occupy the first `used` bytes of the input;
 * some of these can be framing of chunks.  If the handler leaves a part of the body,
 * keeps that part and the head for a later turn.
 */
static bool
dispatch_body(uint32_t conn, struct input *in, struct span body, size_t used)
{
	struct channel *ch = &web.channels[conn];
	struct http_request r;

	/* The head was valid when it arrived. */
	http_parse(in->data, ch->http.head, &r);
	size_t rest = dispatch_request(conn, &r, body);
	if (rest == 0) {
		consume(in, used);
		return true;
	}
	char *after_head = in->data + ch->http.head;
	memmove(after_head, after_head + ch->http.body - rest, rest);
	memmove(after_head + rest, in->data + used, in->length - used);
	in->length -= used - ch->http.head - rest;
	ch->http.body = rest;
	ch->state = BODY;
	return false;
}

/* The head stays before the body, because dispatch_body parses it again. */
static bool
read_body(uint32_t conn, struct input *in)
{
	struct channel *ch = &web.channels[conn];
	size_t start = ch->http.head + ch->http.body, used = in->length - start;
	size_t content = used, missing = (size_t)ch->http.most - ch->http.body;
	struct span body = { in->data + ch->http.head, ch->http.body };
	bool complete = used >= missing;

	if (ch->partly_handled)
		return dispatch_body(conn, in, body, start);
	if (ch->is_chunked) {
		long after = http_dechunk(&ch->http.chunks, in->data + start, &content);
		if (after == HTTP_BAD) {
			web_refuse(conn, 400);
			return true;
		}
		complete = after != HTTP_MORE;
		used -= complete ? (size_t)after : 0;
	} else if (complete) {
		content = used = missing;
	}
	ch->http.body += content;
	body.length = ch->http.body;
	if (content > missing) {
		body = (struct span){ NULL, 0 };
		ch->keep_alive = false;
	} else if (!complete) {
		in->length = start + content;
		return false;
	}
	accept_unclaim(conn);
	conn_limit_input(conn, MOST_INPUT);
	return dispatch_body(conn, in, body, start + used);
}

static bool
skip_body(uint32_t conn, struct input *in)
{
	struct channel *ch = &web.channels[conn];
	size_t used = in->length, content = used;
	bool complete = used >= ch->http.most;

	if (ch->is_chunked) {
		long after = http_dechunk(&ch->http.chunks, in->data, &content);
		if (after == HTTP_BAD || content > ch->http.most) {
			/* The answer has already been sent. */
			end_connection(conn);
			return true;
		}
		complete = after != HTTP_MORE;
		used -= complete ? (size_t)after : 0;
	} else if (complete) {
		content = used = (size_t)ch->http.most;
	}
	ch->http.most -= content;
	consume(in, used);
	if (complete)
		await_request(conn);
	return complete;
}

/*
 * The connection's callbacks
 */

static size_t
received(uint32_t conn, char *data, size_t length)
{
	struct channel *ch = &web.channels[conn];
	struct input in = { data, length };

	if (ch->state == UPGRADED)
		return web.handler->upgraded->received(conn, data, length);
	bool more = true;
	while (more && in.length > 0 &&
	       !(in.data != data && ch->state == HEAD && share_over(conn)))
		more = ch->state == HEAD   ? read_head(conn, &in)
		       : ch->state == BODY ? read_body(conn, &in)
					   : ch->state == SKIP && skip_body(conn, &in);
	if (ch->state == ENDED)
		return 0;
	if (in.data != data && in.length > 0)
		memmove(data, in.data, in.length);
	return ch->state == UPGRADED
		   ? web.handler->upgraded->received(conn, data, in.length)
		   : in.length;
}

static void
opened(uint32_t conn)
{
	web.channels[conn] = (struct channel){ .state = HEAD };
	conn_limit_input(conn, MOST_INPUT);
	log_line(LEVEL_DEBUG, client_name(conn), "connected");
	conn_deadline(conn, web.limits.handshake);
}

static void
expired(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];
	bool begun = ch->state == BODY || (ch->state == HEAD && ch->http.head > 0);

	if (begun || tls_in_handshake(conn))
		log_line(LEVEL_INFO, client_name(conn),
			 "closed: incomplete request (HandshakeTimeout or Heartbeat)");
	if (ch->state == UPGRADED)
		web.handler->upgraded->expired(conn);
	else if (begun)
		web_refuse(conn, 408);
	else /* No request bytes yet: close silently instead of answering 408. */
		conn_finish(conn);
}

static void
stopping(uint32_t conn)
{
	enum state state = (enum state)web.channels[conn].state;

	/* Other connections stay open: a request that is on its way gets a 503. */
	web.stopping = true;
	if (state == UPGRADED) {
		web.handler->upgraded->stopping(conn);
	} else if (state == ANSWER) {
		web.handler->stopping(conn);
		conn_finish(conn);
	}
}

static void
closed(uint32_t conn)
{
	struct channel *ch = &web.channels[conn];
	enum state state = (enum state)ch->state;

	log_line(LEVEL_DEBUG, client_name(conn), "disconnected");
	if (state == UPGRADED)
		web.handler->upgraded->closed(conn);
	ch->state = ENDED;
	if (state == ANSWER)
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
