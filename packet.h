/*
 * Reads and builds the signaller's packets, which are JSON:
 *
 *     {"Header":{"Event":...,"UserId":...,"RoomId":...},"Payload":...}
 */
#ifndef PACKET_H
#define PACKET_H

#include "text.h"

enum { PACKET_ID = 128 }; /* maximum size of a UserId, RoomId or To, in bytes */

enum packet_event {
	EVENT_CONNECT,
	EVENT_BROADCAST,
	EVENT_PING,
	EVENT_DISCONNECT,
	PACKET_EVENTS
};

/* The names of the events, and "error", which only the server sends. */
extern const char *const packet_events[PACKET_EVENTS + 1];

/*
 * A received packet.  `text` and `payload` point into the caller's text; `user`,
 * `room` and `to` point into the struct, so it must not be copied.
 */
struct packet {
	struct span text;
	struct span payload; /* JSON value; its data is NULL if there is no Payload */
	struct span user;    /* UserId, unescaped; empty if it is missing or invalid */
	struct span room;    /* RoomId, likewise */
	struct span to; /* To of a broadcast, unescaped; its data is NULL without one */
	enum packet_event event;
	bool repeats_payload; /* has more than one Payload */
	char user_data[PACKET_ID];
	char room_data[PACKET_ID];
	char to_data[PACKET_ID];
};

/*
 * Reads a packet.  `text` must be valid UTF-8 or WTF-8.  A trailing comma is accepted and
 * overwritten with a space.  Of duplicate keys, the last one counts.
 *
 * Returns NULL, or why the packet is invalid; the next call overwrites that text.  The
 * ids are set even then, as far as they are valid, for an error packet.
 */
const char *packet_read(struct packet *, char *text, size_t length);

/*
 * Returns a member's value, which is JSON, of the Payload of a packet that packet_read
 * has accepted.  Its data is NULL if there is no such member, or the Payload is no
 * object.
 */
struct span packet_payload_member(const struct packet *, const char *name);

/*
 * Adds a copy of a packet with another Payload.  The caller adds the new value, which is
 * JSON, between these two calls.
 */
void packet_before_payload(struct text *, const struct packet *);
void packet_after_payload(struct text *, const struct packet *);

/*
 * Adds a packet from the server.  Escapes the ids and `payload`, which becomes a string.
 */
void packet_put(struct text *, const char *event, struct span user, struct span room,
		const char *payload);

/* Adds a user id as an element of a JSON array that is itself inside a JSON string. */
void packet_put_user(struct text *, struct span user);

enum {
	PACKET_REASON = 160, /* maximum size of a reason of packet_read, with its NUL */
	/* Maximum that packet_put adds if `payload` has at most PACKET_REASON bytes and
	 * no control characters. */
	PACKET_PUT = 2048,
	/* Maximum that packet_put_user adds.  The longest escape of a byte is \\u0001. */
	PACKET_PUT_USER = 7 * PACKET_ID + 4
};

#endif
