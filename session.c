#include "session.h"

#include "client.h"
#include "json.h"
#include "log.h"
#include "share.h"

#include <string.h>

enum {
	DISCONNECT = 5, /* seconds without a receiver until a session over HTTP is over */
	PEER = 64,	/* bytes of an address and port */
	RESPONSE_LIMIT = 131072,
	QUEUE_START = 2, /* bytes of "a[" */
	STILL_OPEN = 2010
};

enum kind {
	RAW,	/* a plain WebSocket */
	FRAMED, /* SockJS over WebSocket */
	POLLED	/* SockJS over HTTP */
};

enum session_state {
	FREE,
	OPEN,
	CLOSING /* over; a Close may still wait here for the client to fetch it */
};

struct session {
	enum session_state state;
	enum kind kind;
	bool gone;     /* nothing waits for the client any more: to be freed */
	bool told;     /* the service knows that it is over */
	uint32_t conn; /* of the WebSocket, or the receiver; 0: none */
	uint32_t next; /* of those that have ended, or of the free ones */
	const struct service *service;
};

/* The rest of a session over HTTP. */
struct polled {
	struct receiver receiver;
	struct source source;
	uint32_t counted; /* where that is counted, 0: nowhere */
	uint32_t chain;	  /* the next of the same bucket */
	uint32_t since; /* second of the last receiver's end, or of the last heartbeat */
	char *queue;	/* a block, while messages wait: an `a` frame without its end */
	size_t queued;
	unsigned code; /* of the Close */
	char reason[SOCKJS_FRAME_REASON + 1];
	uint8_t id_length;
	uint8_t peer_length;
	char id[SESSION_ID];
	char peer[PEER];
};

static struct {
	struct session_limits limits;
	struct session_counters counters;
	uint32_t *by_conn; /* the session of a WebSocket's or receiver's connection */
	struct session *sessions;
	struct polled *polled; /* by session */
	uint32_t *buckets;     /* of sessions over HTTP */
	uint32_t bucket_mask;
	struct sources sources; /* of these */
	uint32_t fresh, free;
	uint32_t ended; /* the first of those whose service is to be told */
	bool lone_seen; /* half a surrogate pair has come from somebody */
} table;

uint32_t
session_most(const struct session_limits *limits)
{
	/* Those over HTTP may be between two connections. */
	return 2 * limits->connections;
}

uint32_t
session_blocks(const struct session_limits *limits)
{
	enum { IN_USE = 3 }; /* while frames are being made */

	return limits->connections + IN_USE;
}

size_t
session_block(const struct session_limits *limits)
{
	/* The largest message in its largest encoding, or a request that holds it. */
	return (size_t)limits->reply * SOCKJS_FRAME_GROWTH + SOCKJS_FRAME_OVERHEAD +
	       HTTP_HEAD_SIZE + WEB_SLACK;
}

size_t
session_payload(const struct session_limits *limits)
{
	return (size_t)limits->message * SOCKJS_FRAME_GROWTH + SOCKJS_FRAME_OVERHEAD;
}

void
session_place(struct memory *m, const struct session_limits *limits)
{
	size_t sessions = (size_t)session_most(limits) + 1;
	uint32_t buckets = 1;

	while (buckets < limits->connections)
		buckets *= 2;
	table.limits = *limits;
	table.bucket_mask = buckets - 1;
	table.by_conn =
	    memory_take(m, (size_t)limits->connections + 1, sizeof *table.by_conn);
	table.sessions = memory_take(m, sessions, sizeof *table.sessions);
	table.polled = memory_take(m, sessions, sizeof *table.polled);
	table.buckets = memory_take(m, buckets, sizeof *table.buckets);
	sources_place(&table.sources, m, limits->connections, limits->per_address,
		      limits->key);
}

const struct session_counters *
session_count(void)
{
	return &table.counters;
}

struct span
session_peer(uint32_t number)
{
	const struct polled *p = &table.polled[number];

	if (table.sessions[number].kind != POLLED)
		return client_name(table.sessions[number].conn);
	return (struct span){ p->peer, p->peer_length };
}

struct source
session_source(uint32_t number)
{
	if (table.sessions[number].kind != POLLED)
		return client_source(table.sessions[number].conn);
	return table.polled[number].source;
}

/*
 * Sessions
 */

static size_t
carrier_of(uint32_t number)
{
	switch (table.sessions[number].kind) {
	case RAW: return SESSION_PLAIN;
	case FRAMED: return TRANSPORT_WEBSOCKET;
	default: return table.polled[number].receiver.transport;
	}
}

/* A connection begins to carry a session, by any transport. */
static void
carry(uint32_t number, uint32_t conn)
{
	size_t carrier = carrier_of(number);

	table.by_conn[conn] = number;
	table.counters.carriers[carrier]++;
	table.counters.carriers_ever[carrier]++;
}

/* It carries it no more. */
static void
let_go(uint32_t conn)
{
	table.counters.carriers[carrier_of(table.by_conn[conn])]--;
	table.by_conn[conn] = 0;
}

static uint32_t
add_session(const struct service *service, enum kind kind, uint32_t conn)
{
	uint32_t number = table.free;

	/* There are twice as many as connections, half of them for POLLED: one is left.
	 */
	if (number != 0)
		table.free = table.sessions[number].next;
	else
		number = ++table.fresh;
	table.sessions[number] = (struct session){
		.state = OPEN, .kind = kind, .conn = conn, .service = service
	};
	table.counters.open++;
	table.counters.opened++;
	table.counters.polled += kind == POLLED;
	return number;
}

static uint32_t *
find_bucket(struct span id)
{
	return &table.buckets[text_hash(table.limits.key, id.data, id.length) &
			      table.bucket_mask];
}

uint32_t
session_find(const struct service *service, struct span id)
{
	uint32_t number = *find_bucket(id);

	for (; number != 0; number = table.polled[number].chain) {
		const struct polled *p = &table.polled[number];
		if (table.sessions[number].service == service &&
		    p->id_length == id.length && memcmp(p->id, id.data, id.length) == 0)
			break;
	}
	return number;
}

static void
unlink_polled(uint32_t number)
{
	struct polled *p = &table.polled[number];
	struct span id = { p->id, p->id_length };
	uint32_t *link = find_bucket(id);

	while (*link != number)
		link = &table.polled[*link].chain;
	*link = p->chain;
	if (p->queue != NULL)
		block_give(p->queue);
	p->queue = NULL;
}

static void
free_session(uint32_t number)
{
	struct session *s = &table.sessions[number];

	table.counters.open--;
	if (s->kind == POLLED) {
		table.counters.polled--;
		source_remove(&table.sources, table.polled[number].counted);
	}
	s->state = FREE;
	s->next = table.free;
	table.free = number;
}

/*
 * Ends a session.  The service is told at the end of the turn, for it may be busy with
 * this very session.  Unless it is `gone`, a Close stays here for the client to fetch.
 */
static void
end_session(uint32_t number, bool gone)
{
	struct session *s = &table.sessions[number];
	bool told = s->told;

	if (gone && !s->gone) {
		s->gone = true;
		if (s->kind == POLLED)
			unlink_polled(number);
		if (told)
			free_session(number);
	}
	if (s->state != OPEN)
		return;
	s->state = CLOSING;
	s->next = table.ended;
	table.ended = number;
}

bool
session_settle(void)
{
	bool any = table.ended != 0;

	while (table.ended != 0) {
		uint32_t number = table.ended;
		struct session *s = &table.sessions[number];
		table.ended = s->next;
		s->service->closed(number);
		s->told = true;
		if (s->gone)
			free_session(number);
	}
	return any;
}

/*
 * Receivers
 */

static const char *
content_type(enum transport transport)
{
	switch (transport) {
	case TRANSPORT_EVENTSOURCE: return "text/event-stream";
	case TRANSPORT_HTMLFILE: return "text/html; charset=UTF-8";
	default: return "application/javascript; charset=UTF-8";
	}
}

static struct span
callback_of(const struct receiver *r)
{
	return (struct span){ r->callback, r->callback_length };
}

/* Sends a frame in a chunk of its own; false if the connection is closing. */
static bool
send_frame(struct receiver *r, struct span frame)
{
	struct text t;

	text_init(&t, block_take(), block_size());
	sockjs_frame_put(&t, r->transport, callback_of(r), frame);
	bool sent = web_stream_write(r->conn, t.data, t.length);
	r->sent += t.length;
	block_give(t.data);
	return sent;
}

/* Begins a response's stream: what comes before its first frame. */
static void
start_receiver(const struct receiver *r, struct span fields)
{
	struct text t;

	web_stream(r->conn, content_type(r->transport), fields);
	text_init(&t, block_take(), block_size());
	sockjs_frame_put_prelude(&t, r->transport, callback_of(r));
	if (t.length > 0)
		web_stream_write(r->conn, t.data, t.length);
	block_give(t.data);
}

/* The response ends, the session stays; another receiver is to come within a time. */
static void
detach(uint32_t number)
{
	struct session *s = &table.sessions[number];
	uint32_t conn = s->conn;

	s->conn = 0;
	let_go(conn);
	table.polled[number].since = conn_now();
	web_stream_end(conn);
}

/* To the receiver that is attached; where its connection is lost, so will be the session.
 */
static void
send_to(uint32_t number, struct span frame)
{
	struct receiver *r = &table.polled[number].receiver;
	size_t limit = table.sessions[number].service->response_limit;

	if (!send_frame(r, frame))
		return;
	if (!sockjs_frame_is_stream(r->transport) ||
	    r->sent >= (limit > 0 ? limit : RESPONSE_LIMIT))
		detach(number);
}

/* What waits goes out, all in one frame as far as it can. */
static void
flush_queue(uint32_t number)
{
	struct polled *p = &table.polled[number];

	while (p->queue != NULL && table.sessions[number].conn != 0) {
		char *queue = p->queue;
		size_t length = sockjs_frame_fit(p->receiver.transport,
						 (struct span){ queue, p->queued },
						 block_size() - WEB_SLACK);
		bool all = length == p->queued;
		if (all)
			p->queue = NULL;
		queue[length] = ']';
		send_to(number, (struct span){ queue, length + 1 });
		if (all) {
			block_give(queue);
		} else {
			p->queued -= length + 1 - QUEUE_START;
			memmove(queue + QUEUE_START, queue + length + 1,
				p->queued - QUEUE_START);
		}
	}
}

static void
send_close(struct receiver *r, unsigned code, const char *reason)
{
	char data[SOCKJS_FRAME_CLOSE];
	struct text t;

	text_init(&t, data, sizeof data);
	sockjs_frame_put_close(&t, code, reason);
	send_frame(r, (struct span){ t.data, t.length });
	web_stream_end(r->conn);
}

/* What waits, and then the Close; a poll takes one of them at a time. */
static void
serve_closing(uint32_t number)
{
	struct polled *p = &table.polled[number];

	if (p->queue != NULL)
		flush_queue(number);
	if (table.sessions[number].conn == 0)
		return;
	let_go(table.sessions[number].conn);
	table.sessions[number].conn = 0;
	p->since = conn_now();
	send_close(&p->receiver, p->code, p->reason);
}

static void
enqueue(uint32_t number, const char *data, size_t length)
{
	struct polled *p = &table.polled[number];
	struct text t;

	if (p->queue == NULL) {
		p->queue = block_take();
		memcpy(p->queue, "a[", QUEUE_START);
		p->queued = QUEUE_START;
	}
	text_init(&t, p->queue, block_size() - 1);
	t.length = p->queued;
	if (p->queued > QUEUE_START)
		text_char(&t, ',');
	sockjs_frame_put_string(&t, data, length);
	p->queued = t.length;
	if (t.overflow) {
		log_line(LEVEL_WARN, session_peer(number),
			 "closed: it does not fetch what it is sent");
		table.counters.overflows++;
		end_session(number, true);
	}
}

static void
send_polled(uint32_t number, const char *data, size_t length)
{
	const struct polled *p = &table.polled[number];

	enqueue(number, data, length);
	if (table.sessions[number].conn != 0 && p->queue != NULL)
		flush_queue(number);
}

static void
send_framed(uint32_t conn, const char *data, size_t length)
{
	struct text t;

	text_init(&t, block_take(), block_size());
	text_string(&t, "a[");
	sockjs_frame_put_string(&t, data, length);
	text_char(&t, ']');
	web_send(conn, t.data, t.length, false);
	block_give(t.data);
}

/* Half a surrogate pair in the manner of UTF-8. */
static bool
is_lone(const char *p)
{
	return (unsigned char)p[0] == 0xed && (unsigned char)p[1] >= 0xa0;
}

/* What browsers do with halves of pairs that go into a WebSocket: U+FFFD. */
static void
send_raw(uint32_t conn, const char *data, size_t length, bool binary)
{
	if (!table.lone_seen || binary) {
		web_send(conn, data, length, binary);
		return;
	}
	char *copy = block_take();
	memcpy(copy, data, length);
	for (size_t i = 0; i + 2 < length; i++)
		if (is_lone(copy + i))
			memcpy(copy + i, "\xef\xbf\xbd", 3);
	web_send(conn, copy, length, false);
	block_give(copy);
}

bool
session_send(uint32_t number, const char *data, size_t length, bool binary)
{
	const struct session *s = &table.sessions[number];

	if (s->state != OPEN)
		return false;
	table.counters.messages_out++;
	switch (s->kind) {
	case RAW: send_raw(s->conn, data, length, binary); break;
	case FRAMED: send_framed(s->conn, data, length); break;
	case POLLED: send_polled(number, data, length); break;
	}
	return true;
}

static void
close_framed(uint32_t conn, unsigned code, const char *reason)
{
	char data[SOCKJS_FRAME_CLOSE];
	struct text t;

	text_init(&t, data, sizeof data);
	sockjs_frame_put_close(&t, code, reason);
	web_send(conn, t.data, t.length, false);
	web_close(conn, WS_NORMAL, "Normal closure");
}

static void
close_polled(uint32_t number, unsigned code, const char *reason)
{
	struct polled *p = &table.polled[number];
	size_t length = utf8_cut(reason, strlen(reason), SOCKJS_FRAME_REASON);

	p->code = code;
	memcpy(p->reason, reason, length);
	p->reason[length] = '\0';
	end_session(number, false);
	if (table.sessions[number].conn != 0)
		serve_closing(number);
}

void
session_close(uint32_t number, unsigned code, const char *reason)
{
	const struct session *s = &table.sessions[number];

	if (s->state != OPEN)
		return;
	switch (s->kind) {
	case RAW: web_close(s->conn, code, reason); break;
	case FRAMED: close_framed(s->conn, code, reason); break;
	case POLLED: close_polled(number, code, reason); break;
	}
}

/* A session over HTTP for a first receiver, or 0 if there is no place for it. */
static uint32_t
add_polled(const struct service *service, struct span id, uint32_t conn)
{
	uint32_t counted;

	if (table.counters.polled >= table.limits.connections) {
		table.counters.refused[SESSION_FULL]++;
		return 0;
	}
	const struct source source = client_source(conn);
	if (!source_add(&table.sources, source, &counted)) {
		table.counters.refused[SESSION_SHARE]++;
		return 0;
	}
	uint32_t number = add_session(service, POLLED, conn);
	struct polled *p = &table.polled[number];
	struct span peer = client_name(conn);
	uint32_t *bucket = find_bucket(id);
	*p = (struct polled){ .source = source,
			      .counted = counted,
			      .chain = *bucket,
			      .id_length = (uint8_t)id.length,
			      .peer_length = (uint8_t)peer.length };
	memcpy(p->id, id.data, id.length);
	memcpy(p->peer, peer.data, peer.length);
	*bucket = number;
	return number;
}

/* A receiver that may be attached to its session has come. */
static void
attach(uint32_t number, const struct receiver *receiver, struct span fields)
{
	struct session *s = &table.sessions[number];
	struct polled *p = &table.polled[number];
	bool is_new = p->receiver.conn == 0;

	p->receiver = *receiver;
	p->since = conn_now();
	s->conn = receiver->conn;
	carry(number, receiver->conn);
	start_receiver(receiver, fields);
	if (is_new) {
		send_to(number, (struct span){ "o", 1 });
		s->service->opened(number);
	} else if (s->state == CLOSING) {
		serve_closing(number);
	} else if (p->queue != NULL) {
		flush_queue(number);
	}
}

bool
session_attach(const struct service *service, struct span id,
	       const struct receiver *receiver, struct span fields)
{
	uint32_t number = session_find(service, id);
	uint32_t other = number != 0 ? table.sessions[number].conn : 0;

	/* A client that comes back at once may overtake the news that it had gone. */
	if (other != 0 && !share_check(other)) {
		session_closed(other);
		number = other = 0;
	}
	if (number == 0 && (number = add_polled(service, id, receiver->conn)) == 0)
		return false;
	if (other == 0) {
		attach(number, receiver, fields);
		return true;
	}
	/* The one that is attached stays. */
	struct receiver second = *receiver;
	start_receiver(&second, fields);
	send_close(&second, STILL_OPEN, "Another connection still open");
	return true;
}

void
session_open_socket(const struct service *service, uint32_t conn, bool framed)
{
	uint32_t number = add_session(service, framed ? FRAMED : RAW, conn);

	carry(number, conn);
	if (framed)
		web_send(conn, "o", 1, false);
	service->opened(number);
}

/*
 * Payloads: what clients send
 */

static void
note_lone(const char *data, size_t length)
{
	const char *p = data, *end = data + length;

	while (!table.lone_seen && (p = memchr(p, 0xed, (size_t)(end - p))) != NULL) {
		table.lone_seen = end - p > 1 && is_lone(p);
		p++;
	}
}

/* What is not UTF-8 in a request's body becomes U+FFFD; WebSockets have checked it. */
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

/* Hands a message up; false if it is too big, and with that the session is over. */
static bool
hand_up(uint32_t number, struct span string)
{
	const struct session *s = &table.sessions[number];
	struct text repaired = { 0 };
	struct span contents = json_contents(string);

	if (s->kind == POLLED)
		contents = repair(&repaired, contents);
	/* The payload is ours to change. */
	char *data = (char *)contents.data;
	long length = json_unescape(contents, data, contents.length, true);
	bool fits = (size_t)length <= table.limits.message && !repaired.overflow;

	if (fits) {
		note_lone(data, (size_t)length);
		table.counters.messages_in++;
		s->service->message(number, data, (size_t)length, false);
	} else {
		session_close(number, WS_TOO_BIG, "message too big");
	}
	if (repaired.data != NULL)
		block_give(repaired.data);
	return fits;
}

/* What follows the member that was read last, as an array of its own. */
static struct span
rest_of(const struct json *j)
{
	char *at = j->text + j->at, *end = j->text + j->length;

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
	const struct session *s = &table.sessions[number];
	struct span value;
	struct json j;
	bool end;

	*rest = (struct span){ "", 0 };
	if (s->state != OPEN)
		return true;
	if (single.data != NULL)
		return hand_up(number, single);
	json_init(&j, (char *)payload.data, payload.length);
	json_enter(&j, '[');
	while (s->state == OPEN && json_element(&j, &value, &end)) {
		if (!hand_up(number, value))
			return false;
		if (s->state == OPEN && share_over(conn)) {
			*rest = rest_of(&j);
			return true;
		}
	}
	return true;
}

/* An array of strings, a string alone, or nothing.  Returns the length of the rest. */
static size_t
receive_framed(uint32_t number, uint32_t conn, struct span data, bool again)
{
	struct span value, single = { NULL, 0 }, rest = { "", 0 };
	struct json j;

	if (data.length == 0)
		return 0;
	enum sockjs_payload judged =
	    again ? PAYLOAD_VALID
		  : sockjs_frame_check_payload((char *)data.data, data.length, &single);
	if (judged == PAYLOAD_VALID) {
		session_receive(number, conn, data, single, &rest);
		return rest.length;
	}
	if (judged == PAYLOAD_TOO_MANY) {
		session_close(number, WS_TOO_BIG, "too many messages");
		return 0;
	}
	json_init(&j, (char *)data.data, data.length);
	if (judged == PAYLOAD_NO_ARRAY && json_value(&j, &value) && *value.data == '"')
		hand_up(number, value);
	else
		web_close(conn, WS_SOCKJS, "Broken framing.");
	return 0;
}

size_t
session_message(uint32_t conn, char *data, size_t length, bool binary, bool again)
{
	uint32_t number = table.by_conn[conn];
	struct session *s = &table.sessions[number];

	if (s->state != OPEN)
		return 0;
	if (s->kind == FRAMED)
		return receive_framed(number, conn, (struct span){ data, length }, again);
	table.counters.messages_in++;
	s->service->message(number, data, length, binary);
	return 0;
}

void
session_heartbeat(uint32_t conn)
{
	if (table.sessions[table.by_conn[conn]].kind == FRAMED)
		web_send(conn, "h", 1, false);
}

void
session_silent(uint32_t conn)
{
	if (table.sessions[table.by_conn[conn]].kind == FRAMED)
		close_framed(conn, WS_SOCKJS, "No response from heartbeat");
}

void
session_stopping(uint32_t conn)
{
	session_close(table.by_conn[conn], WS_GOING_AWAY, "server stops");
}

/* A WebSocket is over, or a receiver was cut off: so is the session, at once. */
void
session_closed(uint32_t conn)
{
	uint32_t number = table.by_conn[conn];

	if (number == 0)
		return;
	let_go(conn);
	if (table.sessions[number].kind == POLLED)
		table.sessions[number].conn = 0;
	end_session(number, true);
}

/* Heartbeats to those who listen, and an end for those who do not. */
bool
session_second(void)
{
	uint32_t now = conn_now();

	for (uint32_t i = 1; i <= table.fresh && table.counters.polled > 0; i++) {
		const struct session *s = &table.sessions[i];
		struct polled *p = &table.polled[i];
		if (s->state == FREE || s->kind != POLLED || s->gone)
			continue;
		if (s->conn == 0 && now - p->since > DISCONNECT) {
			end_session(i, true);
		} else if (s->conn != 0 && now - p->since >= table.limits.heartbeat) {
			p->since = now;
			send_to(i, (struct span){ "h", 1 });
		}
	}
	return table.counters.polled > 0;
}
