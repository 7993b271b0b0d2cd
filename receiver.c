#include "receiver.h"

#include "client.h"
#include "log.h"
#include "share.h"
#include "web.h"

#include <string.h>

enum {
	RECEIVER_TIMEOUT_S = 5,	 /* without a receiver, after which a session ends */
	PEER = 64,		 /* bytes of an address and port, at most */
	RESPONSE_LIMIT = 131072, /* bytes of frames in a streaming response */
	QUEUE_START = 2,	 /* bytes of "a[" */
	STILL_OPEN = 2010	 /* Close code: another receiver is attached */
};

/* The part of a session that only sessions over HTTP have. */
struct http_session {
	struct receiver receiver; /* the attached or last one */
	struct address_key address_key;
	uint32_t chain; /* the next session of the same bucket */
	/* Second of the receiver's start, end or last heartbeat. */
	uint32_t since;
	char *queue;   /* a block: an `a` frame without its final bracket, or NULL */
	size_t queued; /* bytes in the queue */
	unsigned code; /* of the Close frame */
	char reason[SOCKJS_FRAME_REASON + 1];
	uint8_t id_length;
	uint8_t peer_length;
	char id[RECEIVER_SESSION_ID];
	char peer[PEER];
};

static struct {
	struct session_table table;
	struct http_session *sessions; /* by number */
	uint32_t *buckets;	       /* of sessions, by the hash of their id */
	uint32_t bucket_mask;
	uint32_t heartbeat; /* seconds */
	uint32_t key[2];    /* of the hash */
} receivers;

void
receiver_place(struct memory *m, const struct session_limits *limits,
	       struct session_table table)
{
	uint32_t buckets = 1;

	while (buckets < limits->connections)
		buckets *= 2;
	receivers.table = table;
	receivers.bucket_mask = buckets - 1;
	receivers.heartbeat = limits->heartbeat;
	memcpy(receivers.key, limits->key, sizeof receivers.key);
	receivers.sessions =
	    memory_take(m, (size_t)session_most(limits) + 1, sizeof *receivers.sessions);
	receivers.buckets = memory_take(m, buckets, sizeof *receivers.buckets);
}

struct span
receiver_peer(uint32_t number)
{
	const struct http_session *h = &receivers.sessions[number];

	return (struct span){ h->peer, h->peer_length };
}

struct address_key
receiver_address_key(uint32_t number)
{
	return receivers.sessions[number].address_key;
}

static uint32_t
conn_of(uint32_t number)
{
	return receivers.table.sessions[number].conn;
}

/*
 * Sessions by their id
 */

static uint32_t *
find_bucket(struct span id)
{
	return &receivers.buckets[text_hash(receivers.key, id.data, id.length) &
				  receivers.bucket_mask];
}

uint32_t
receiver_find(const struct service *service, struct span id)
{
	uint32_t number = *find_bucket(id);

	for (; number != 0; number = receivers.sessions[number].chain) {
		const struct http_session *h = &receivers.sessions[number];
		if (receivers.table.sessions[number].service == service &&
		    h->id_length == id.length && memcmp(h->id, id.data, id.length) == 0)
			break;
	}
	return number;
}

/* Adds a session for its first receiver.  Returns 0 if it is refused. */
static uint32_t
add_session(const struct service *service, struct span id,
	    const struct receiver *receiver)
{
	uint32_t number = session_add(service, receiver->conn, receiver->transport);

	if (number == 0)
		return 0;
	struct http_session *h = &receivers.sessions[number];
	struct span peer = client_name(receiver->conn);
	uint32_t *bucket = find_bucket(id);
	*h = (struct http_session){ .address_key = client_address_key(receiver->conn),
				    .chain = *bucket,
				    .id_length = (uint8_t)id.length,
				    .peer_length = (uint8_t)peer.length };
	memcpy(h->id, id.data, id.length);
	memcpy(h->peer, peer.data, peer.length);
	*bucket = number;
	return number;
}

/* Ends a session that has no connection, and discards its queue. */
static void
end_session(uint32_t number)
{
	struct http_session *h = &receivers.sessions[number];
	uint32_t *link = find_bucket((struct span){ h->id, h->id_length });

	while (*link != number)
		link = &receivers.sessions[*link].chain;
	*link = h->chain;
	if (h->queue != NULL)
		block_give(h->queue);
	h->queue = NULL;
	session_end(number);
}

void
receiver_closed(uint32_t conn)
{
	uint32_t number = receivers.table.by_conn[conn];

	if (number == 0)
		return;
	session_unbind(conn);
	end_session(number);
}

/*
 * Responses
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

/* Sends the head of a response, and its prelude. */
static void
start_response(const struct receiver *r, struct span fields)
{
	struct text t;

	web_stream(r->conn, content_type(r->transport), fields);
	text_init(&t, block_take(), block_size());
	sockjs_frame_put_prelude(&t, r->transport, callback_of(r));
	if (t.length > 0)
		web_stream_write(r->conn, t.data, t.length);
	block_give(t.data);
}

/* Sends a frame as one chunk.  False if the connection is closing. */
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

/* Sends a Close frame, and ends the response. */
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

/* Detaches the receiver.  The session waits for another one, for RECEIVER_TIMEOUT_S. */
static void
detach(uint32_t number)
{
	session_unbind(conn_of(number));
	receivers.sessions[number].since = conn_seconds();
}

/*
 * Sends a frame to the attached receiver, and ends the response if that has reached its
 * limit.  If the connection is closing, receiver_closed ends the session later.
 */
static void
send_to_receiver(uint32_t number, struct span frame)
{
	struct receiver *r = &receivers.sessions[number].receiver;
	size_t limit = receivers.table.sessions[number].service->response_limit;

	if (!send_frame(r, frame))
		return;
	if (!sockjs_frame_is_stream(r->transport) ||
	    r->sent >= (limit > 0 ? limit : RESPONSE_LIMIT)) {
		detach(number);
		web_stream_end(r->conn);
	}
}

/*
 * The queue
 */

/* Sends the queue while a receiver is attached, in as few frames as possible. */
static void
flush_queue(uint32_t number)
{
	struct http_session *h = &receivers.sessions[number];

	while (h->queue != NULL && conn_of(number) != 0) {
		char *queue = h->queue;
		size_t length = sockjs_frame_fit(h->receiver.transport,
						 (struct span){ queue, h->queued },
						 block_size() - WEB_SLACK);
		bool all = length == h->queued;
		if (all)
			h->queue = NULL;
		queue[length] = ']';
		send_to_receiver(number, (struct span){ queue, length + 1 });
		if (all) {
			block_give(queue);
		} else {
			h->queued -= length + 1 - QUEUE_START;
			memmove(queue + QUEUE_START, queue + length + 1,
				h->queued - QUEUE_START);
		}
	}
}

static void
enqueue(uint32_t number, const char *data, size_t length)
{
	struct http_session *h = &receivers.sessions[number];
	struct text t;

	if (h->queue == NULL) {
		h->queue = block_take();
		memcpy(h->queue, "a[", QUEUE_START);
		h->queued = QUEUE_START;
	}
	/* One byte is for the final bracket. */
	text_init(&t, h->queue, block_size() - 1);
	t.length = h->queued;
	if (h->queued > QUEUE_START)
		text_char(&t, ',');
	sockjs_frame_put_string(&t, data, length);
	h->queued = t.length;
	if (t.overflow) {
		log_line(LEVEL_WARN, receiver_peer(number),
			 "closed: queue full, the client is not fetching");
		session_count_overflow();
		end_session(number);
	}
}

void
receiver_send(uint32_t number, const char *data, size_t length)
{
	enqueue(number, data, length);
	if (conn_of(number) != 0 && receivers.sessions[number].queue != NULL)
		flush_queue(number);
}

/* Sends the queue, then the Close frame.  xhr and jsonp carry one frame a response, so
 * after a queue the Close frame waits for the next receiver. */
static void
serve_closing(uint32_t number)
{
	struct http_session *h = &receivers.sessions[number];

	if (h->queue != NULL)
		flush_queue(number);
	if (conn_of(number) == 0)
		return;
	detach(number);
	send_close(&h->receiver, h->code, h->reason);
}

void
receiver_close(uint32_t number, unsigned code, const char *reason)
{
	struct http_session *h = &receivers.sessions[number];
	size_t length = utf8_cut(reason, strlen(reason), SOCKJS_FRAME_REASON);

	h->code = code;
	memcpy(h->reason, reason, length);
	h->reason[length] = '\0';
	session_set_closing(number);
	if (conn_of(number) != 0)
		serve_closing(number);
}

/*
 * Receivers
 */

/* Sends to a receiver that is bound to its session. */
static void
serve_receiver(uint32_t number, const struct receiver *receiver, struct span fields,
	       struct span query)
{
	const struct session *s = &receivers.table.sessions[number];
	struct http_session *h = &receivers.sessions[number];
	bool is_new = h->receiver.conn == 0;

	h->receiver = *receiver;
	h->since = conn_seconds();
	start_response(receiver, fields);
	if (is_new) {
		send_to_receiver(number, (struct span){ "o", 1 });
		s->service->opened(number, query);
	} else if (s->state == SESSION_OPEN) {
		flush_queue(number);
	} else {
		serve_closing(number);
	}
}

bool
receiver_attach(const struct service *service, struct span id,
		const struct receiver *receiver, struct span fields, struct span query)
{
	uint32_t number = receiver_find(service, id);
	uint32_t other = number != 0 ? conn_of(number) : 0;

	/* The other connection may be closed, with its FIN not yet read. */
	if (other != 0 && !share_receive_now(other)) {
		receiver_closed(other);
		number = other = 0;
	}
	if (other != 0) {
		struct receiver second = *receiver;
		start_response(&second, fields);
		send_close(&second, STILL_OPEN, "Another connection still open");
		return true;
	}
	if (number != 0)
		session_bind(number, receiver->conn, receiver->transport);
	else if ((number = add_session(service, id, receiver)) == 0)
		return false;
	serve_receiver(number, receiver, fields, query);
	return true;
}

bool
receiver_second(void)
{
	const struct session_counters *counters = session_count();
	uint32_t now = conn_seconds(), highest = session_highest();

	for (uint32_t i = 1; i <= highest && counters->over_http > 0; i++) {
		const struct session *s = &receivers.table.sessions[i];
		struct http_session *h = &receivers.sessions[i];
		if (s->state == SESSION_FREE || s->state == SESSION_ENDED ||
		    !session_is_http(i))
			continue;
		if (s->conn == 0 && now - h->since > RECEIVER_TIMEOUT_S) {
			end_session(i);
		} else if (s->conn != 0 && now - h->since >= receivers.heartbeat) {
			h->since = now;
			send_to_receiver(i, (struct span){ "h", 1 });
		}
	}
	return counters->over_http > 0;
}
