/*
 * The signaller: a service (session.h) that handles packets.  A session joins a room; the
 * other peers of the room, or the one that a packet names, receive its packets.  They are
 * notified when it leaves.
 */
#ifndef SIGNALLER_H
#define SIGNALLER_H

#include "packet.h"
#include "rooms.h"
#include "session.h"
#include "token.h"

struct signaller_limits {
	uint32_t sessions; /* the highest number of a session */
	uint32_t peers;	   /* maximum number in a room */
	uint32_t key[2];   /* random */
	/* The secrets that sign tokens, which may change; NULL: no token is needed. */
	const struct token_secrets *tokens;
};

/* Takes the memory (memory.h: called in both passes). */
void signaller_place(struct memory *, const struct signaller_limits *);

/* The service; its prefix is not set. */
extern const struct service signaller_service;

/*
 * Returns the size of the largest packet that is sent, in bytes, if received packets have
 * at most `packet` bytes.  It is the answer to a ping of a full room whose users have the
 * longest ids.
 */
uint32_t signaller_reply(uint32_t packet, uint32_t peers);

/* The server stops: from here on, peers are not notified of sessions that end. */
void signaller_stop(void);

/* Returns the rooms, for counting. */
const struct rooms *signaller_rooms(void);

/* Packets and their bytes, by event; the last element is "error". */
struct packet_counts {
	uint64_t packets[PACKET_EVENTS + 1];
	uint64_t bytes[PACKET_EVENTS + 1];
};

/* Why a packet is answered with an error: */
enum packet_refusal {
	PACKET_UNREADABLE, /* the packet is invalid; it is counted as "error" */
	PACKET_ROOM_FULL,
	PACKET_NOT_IN_ROOM,    /* the sender is not in the packet's room */
	PACKET_NO_SUCH_PEER,   /* the sender's room has no peer with the id in To */
	PACKET_TOO_MANY_PINGS, /* of other rooms, from the sender's address */
	PACKET_USER_IN_USE,    /* the user has been taken over too often */
	PACKET_TOKEN,	       /* no valid token for the room and the user */
	PACKET_REFUSALS
};

struct signaller_counters {
	struct packet_counts in, out;
	uint64_t refused[PACKET_REFUSALS];
	uint64_t to_one_peer; /* received broadcasts that have a To */
};

const struct signaller_counters *signaller_count(void);

#endif
