/* The signaller's packets: {"Header":{"Event","UserId","RoomId"},"Payload"} read,
 * relayed, made. */
#ifndef PACKET_H
#define PACKET_H

#include "text.h"

enum { PACKET_ID = 128 }; /* bytes of a UserId or RoomId, at most */

enum packet_event { CONNECT, BROADCAST, PING, DISCONNECT, PACKET_EVENTS };

extern const char *const packet_events[PACKET_EVENTS + 1]; /* their names, and "error" */

/* A packet as it came.  `text` and `payload` lie in the caller's text, the ids in here.
 */
struct packet {
	struct span text;
	struct span
	    payload;	  /* the value of the last Payload; no data (NULL) without one */
	struct span user; /* the ids without escapes; empty if they could not be read */
	struct span room;
	enum packet_event event;
	char user_data[PACKET_ID];
	char room_data[PACKET_ID];
};

/*
 * Reads a packet, which must be UTF-8 or WTF-8; a comma too many in it becomes a space.
 * Returns NULL, or what is wrong with it, good until the next call; the ids are set
 * all the same where they could be read.
 */
const char *packet_read(struct packet *, char *text, size_t length);

/*
 * Puts the packet's text with another Payload: what the caller puts between these two
 * calls, a JSON value.
 */
void packet_before_payload(struct text *, const struct packet *);
void packet_after_payload(struct text *, const struct packet *);

/* Puts a packet of the server's own; its payload is a string. */
void packet_put(struct text *, const char *event, struct span user, struct span room,
		const char *payload);

/* Puts a user id as a member of a JSON array that stands within a JSON string. */
void packet_put_user(struct text *, struct span user);

enum {
	/* Bytes of what packet_put puts, at most, with a payload of PACKET_REASON bytes,
	   ... */
	PACKET_REASON = 160,
	PACKET_OWN = 2048,
	/* ... and of what packet_put_user puts: \\u0001 is the longest of escapes. */
	PACKET_USER = 7 * PACKET_ID + 4
};

#endif
