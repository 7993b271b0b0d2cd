#include "signaller.h"

#include "admission.h"
#include "log.h"
#include "rate.h"
#include "report.h"

#include <string.h>

enum {
	LOGGED_ID = 40, /* maximum size of an id in the log, in bytes */
	TAKEOVERS = 3,	/* of a user, that can follow each other */
	TAKEOVER_S = 10 /* seconds after which one more is possible */
};

/* Limits an address's pings of rooms that the sender is not in. */
static const struct rate_limit other_rooms = { .per_second = 10, .burst_ms = 1000 };
static struct {
	struct signaller_limits limits;
	struct signaller_counters counters;
	struct rooms rooms;
	struct rate_table pings; /* of other rooms, by address */
	bool stopping;
} signaller;

void
signaller_place(struct memory *m, const struct signaller_limits *limits)
{
	signaller.limits = *limits;
	rooms_place(&signaller.rooms, m, limits->sessions, limits->key);
	admission_place(m, limits->tokens, limits->sessions, limits->key);
}

uint32_t
signaller_reply(uint32_t packet, uint32_t peers)
{
	enum { PAYLOAD = 32 }; /* bytes for the name Payload, quotes and brackets */

	return packet + peers * (PACKET_PUT_USER + 1) + PAYLOAD;
}

void
signaller_stop(void)
{
	signaller.stopping = true;
}

const struct rooms *
signaller_rooms(void)
{
	return &signaller.rooms;
}

const struct signaller_counters *
signaller_count(void)
{
	return &signaller.counters;
}

static void
count_packet(struct packet_counts *counts, enum packet_event event, size_t length)
{
	counts->packets[event]++;
	counts->bytes[event] += length;
}

static void
send_event(uint32_t session, enum packet_event event, struct span text)
{
	if (session_send(session, text.data, text.length, false))
		count_packet(&signaller.counters.out, event, text.length);
}

/* Sends a packet of the server itself.  The event PACKET_EVENTS is an error. */
static void
send_own(uint32_t session, enum packet_event event, struct span user, struct span room,
	 const char *payload)
{
	char data[PACKET_PUT];
	struct text t;

	text_init(&t, data, sizeof data);
	packet_put(&t, packet_events[event], user, room, payload);
	send_event(session, event, (struct span){ t.data, t.length });
}

static void
send_error(uint32_t session, const struct packet *p, enum packet_refusal cause,
	   const char *reason)
{
	struct text *t = log_begin(LEVEL_DEBUG, session_peer(session));

	signaller.counters.refused[cause]++;
	if (t != NULL) {
		text_string(t, "packet rejected: ");
		text_escaped(t, reason, strlen(reason), 100);
		log_end();
	}
	send_own(session, PACKET_EVENTS, p->user, p->room, reason);
}

static void
log_peer(const char *what, uint32_t session)
{
	struct text *t = log_begin(LEVEL_DEBUG, session_peer(session));
	const struct span user = room_user(&signaller.rooms, session);
	const struct span room =
	    room_id(&signaller.rooms, signaller.rooms.peers[session].room);

	if (t == NULL)
		return;
	text_string(t, what);
	text_string(t, ": user ");
	text_quoted(t, user, LOGGED_ID);
	text_string(t, ", room ");
	/* A room's name is secret: it is all that a client needs to join. */
	if (log_wants(LEVEL_TRACE))
		text_quoted(t, room, LOGGED_ID);
	else
		text_hashed(t, signaller.rooms.key, room);
	log_end();
}

static void
send_room(uint32_t room, uint32_t except, enum packet_event event, struct span text)
{
	uint32_t peer = signaller.rooms.rooms[room].first;
	struct session_shared shared = { .message = text };

	for (; peer != 0; peer = signaller.rooms.peers[peer].next)
		if (peer != except && session_send_shared(peer, &shared))
			count_packet(&signaller.counters.out, event, text.length);
	session_shared_end(&shared);
}

/* Removes a peer from its room and notifies the other peers. */
static void
leave_room(uint32_t session)
{
	uint32_t room = signaller.rooms.peers[session].room;
	char data[PACKET_PUT];
	struct text t;

	log_peer("peer left", session);
	text_init(&t, data, sizeof data);
	packet_put(&t, packet_events[EVENT_DISCONNECT],
		   room_user(&signaller.rooms, session), room_id(&signaller.rooms, room),
		   "{}");
	send_room(room, session, EVENT_DISCONNECT, (struct span){ t.data, t.length });
	room_leave(&signaller.rooms, session);
}

/* Returns true if the session is the packet's user in the packet's room. */
static bool
is_sender(uint32_t session, const struct packet *p)
{
	uint32_t room = signaller.rooms.peers[session].room;

	return room != 0 && span_same(room_id(&signaller.rooms, room), p->room) &&
	       span_same(room_user(&signaller.rooms, session), p->user);
}

/* A room's name is secret: the report has its hash. */
static void
report_full(uint32_t session, struct span room)
{
	char data[16];
	struct text t;

	text_init(&t, data, sizeof data);
	text_hashed(&t, signaller.rooms.key, room);
	report(REPORT_ROOM_FULL, session_peer(session), (struct span){ data, t.length });
}

/*
 * Returns true if the user of a peer may be taken over, and sets `rested` for its
 * successor.  The limit ends the exchange of two clients with one id that both connect
 * again immediately.  It is a token bucket of TAKEOVERS tokens, as in rate.c, in 16 bits
 * for each peer.
 */
static bool
may_replace(uint32_t previous, uint16_t now, uint16_t *rested)
{
	uint16_t wait = (uint16_t)(signaller.rooms.peers[previous].rested - now);

	if (wait > TAKEOVERS * TAKEOVER_S) /* it has passed */
		wait = 0;
	*rested = (uint16_t)(now + wait + TAKEOVER_S);
	return wait <= (TAKEOVERS - 1) * TAKEOVER_S;
}

/* Closes the previous session of a user, as MQTT does for a client id. */
static void
replace_session(uint32_t previous, uint32_t session)
{
	report(REPORT_REPLACED, session_peer(session),
	       room_user(&signaller.rooms, previous));
	log_peer("peer replaced", previous);
	leave_room(previous);
	session_close(previous, WS_REPLACED, "replaced");
}

/* Appoints the next initiator before a peer joins, if the previous one has left. */
static void
appoint_initiator(uint32_t room)
{
	struct room *r = &signaller.rooms.rooms[room];

	if (r->initiator != 0)
		return;
	r->initiator = r->first;
	send_own(r->first, EVENT_CONNECT, room_user(&signaller.rooms, r->first),
		 room_id(&signaller.rooms, room), "true");
}

static void
join_room(uint32_t session, const struct packet *p)
{
	uint32_t room = room_find(&signaller.rooms, p->room);

	if (room != 0)
		appoint_initiator(room);
	room_join(&signaller.rooms, session, p->room, p->user);
	log_peer("peer joined", session);
}

/* Begins a copy of the packet with another Payload, in a block that the caller gives
 * back. */
static void
begin_answer(struct text *t, const struct packet *p)
{
	text_init(t, block_take(), block_size());
	packet_before_payload(t, p);
}

/* Returns false, and answers with an error, if no token allows a connect. */
static bool
may_join(uint32_t session, const struct packet *p)
{
	const char *reason = admission_check(session, p);

	if (reason != NULL)
		send_error(session, p, PACKET_TOKEN, reason);
	return reason == NULL;
}

static void
handle_connect(uint32_t session, const struct packet *p)
{
	uint32_t room = room_find(&signaller.rooms, p->room);
	uint32_t previous = room != 0 ? room_member(&signaller.rooms, room, p->user) : 0;
	const uint16_t now = (uint16_t)conn_seconds();
	uint16_t rested = now;
	struct text t;

	if (!may_join(session, p))
		return;
	if (previous != session) {
		bool inside = room != 0 && signaller.rooms.peers[session].room == room;
		if (room != 0 && previous == 0 && !inside &&
		    signaller.rooms.rooms[room].count >= signaller.limits.peers) {
			report_full(session, p->room);
			send_error(session, p, PACKET_ROOM_FULL, "room is full");
			return;
		}
		if (previous != 0 && !may_replace(previous, now, &rested)) {
			report(REPORT_USER_IN_USE, session_peer(session), p->user);
			send_error(session, p, PACKET_USER_IN_USE, "user is in use");
			return;
		}
		if (signaller.rooms.peers[session].room != 0)
			leave_room(session);
		if (previous != 0)
			replace_session(previous, session);
		join_room(session, p);
		signaller.rooms.peers[session].rested = rested;
	}
	room = signaller.rooms.peers[session].room;
	begin_answer(&t, p);
	text_string(&t, signaller.rooms.rooms[room].initiator == session ? "\"true\""
									 : "\"false\"");
	packet_after_payload(&t, p);
	send_room(room, 0, EVENT_CONNECT, (struct span){ t.data, t.length });
	block_give(t.data);
}

/*
 * Returns true if a session may ping a room that it is not in.  The limit keeps clients
 * from guessing the names of rooms.
 */
static bool
may_ping(uint32_t session)
{
	const struct address_key s = session_address_key(session);

	return s.length == 0 ||
	       rate_take(rate_find(&signaller.pings,
				   text_hash(signaller.rooms.key, s.bytes, s.length)),
			 &other_rooms, 1, conn_milliseconds());
}

static void
handle_ping(uint32_t session, const struct packet *p)
{
	uint32_t room = room_find(&signaller.rooms, p->room);
	uint32_t peer = room != 0 ? signaller.rooms.rooms[room].first : 0;
	bool inside = room != 0 && signaller.rooms.peers[session].room == room;
	struct text t;

	if (!inside && !may_ping(session)) {
		send_error(session, p, PACKET_TOO_MANY_PINGS,
			   "too many pings of other rooms");
		return;
	}
	if (!inside && !admission_allows_room(session, p->room)) {
		send_error(session, p, PACKET_NOT_IN_ROOM, "not in this room");
		return;
	}
	begin_answer(&t, p);
	text_string(&t, "\"[");
	for (bool first = true; peer != 0;
	     peer = signaller.rooms.peers[peer].next, first = false) {
		if (!first)
			text_char(&t, ',');
		packet_put_user(&t, room_user(&signaller.rooms, peer));
	}
	text_string(&t, "]\"");
	packet_after_payload(&t, p);
	send_event(session, EVENT_PING, (struct span){ t.data, t.length });
	block_give(t.data);
}

/* Sends a broadcast that has a To to that peer alone, which can be the sender itself. */
static void
send_to_peer(uint32_t session, const struct packet *p)
{
	uint32_t room = signaller.rooms.peers[session].room;
	uint32_t peer = room_member(&signaller.rooms, room, p->to);

	if (peer == 0)
		send_error(session, p, PACKET_NO_SUCH_PEER, "no such peer");
	else
		send_event(peer, p->event, p->text);
}

static void
handle_member(uint32_t session, const struct packet *p)
{
	if (!is_sender(session, p)) {
		send_error(session, p, PACKET_NOT_IN_ROOM, "not in this room");
		return;
	}
	if (p->to.data != NULL) {
		send_to_peer(session, p);
		return;
	}
	send_room(signaller.rooms.peers[session].room, session, p->event, p->text);
	if (p->event == EVENT_DISCONNECT) {
		log_peer("peer disconnected", session);
		room_leave(&signaller.rooms, session);
	}
}

static void
log_packet(uint32_t session, const char *text, size_t length)
{
	struct text *t = log_begin(LEVEL_TRACE, session_peer(session));

	text_string(t, "packet ");
	text_escaped(t, text, length, 200);
	log_end();
}

/* Logs a packet without its text, which can hold a token anywhere. */
static void
log_header(uint32_t session, const struct packet *p, bool is_read)
{
	struct text *t = log_begin(LEVEL_TRACE, session_peer(session));

	text_string(t, "packet ");
	text_string(t, is_read ? packet_events[p->event] : "unreadable");
	text_string(t, ", ");
	text_number(t, p->text.length);
	text_string(t, " bytes: user ");
	text_quoted(t, p->user, LOGGED_ID);
	text_string(t, ", room ");
	text_quoted(t, p->room, LOGGED_ID);
	log_end();
}

static void
on_message(uint32_t session, char *text, size_t length, bool binary)
{
	bool is_traced = log_wants(LEVEL_TRACE),
	     has_tokens = signaller.limits.tokens != NULL;
	struct packet p;
	const char *reason;

	(void)binary; /* both kinds are packets */
	if (is_traced && !has_tokens)
		log_packet(session, text, length);
	reason = packet_read(&p, text, length);
	/* The answer replaces only the last Payload: peers would get the token of
	 * another. */
	if (reason == NULL && has_tokens && p.event == EVENT_CONNECT && p.repeats_payload)
		reason = "Payload is given twice";
	if (is_traced && has_tokens)
		log_header(session, &p, reason == NULL);
	if (reason != NULL) {
		count_packet(&signaller.counters.in, PACKET_EVENTS, length);
		send_error(session, &p, PACKET_UNREADABLE, reason);
		return;
	}
	count_packet(&signaller.counters.in, p.event, length);
	if (p.to.data != NULL)
		signaller.counters.to_one_peer++;
	switch (p.event) {
	case EVENT_CONNECT: handle_connect(session, &p); break;
	case EVENT_PING: handle_ping(session, &p); break;
	case EVENT_BROADCAST:
	case EVENT_DISCONNECT: handle_member(session, &p); break;
	case PACKET_EVENTS: break;
	}
}

static void
on_opened(uint32_t session, struct span query)
{
	admission_open(session, query);
	log_line(LEVEL_DEBUG, session_peer(session), "session opened");
}

static void
on_closed(uint32_t session)
{
	log_line(LEVEL_DEBUG, session_peer(session), "session closed");
	if (signaller.rooms.peers[session].room == 0)
		return;
	if (signaller.stopping)
		room_leave(&signaller.rooms, session);
	else
		leave_room(session);
}

const struct service signaller_service = {
	.opened = on_opened,
	.message = on_message,
	.closed = on_closed,
};
