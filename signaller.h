/*
 * The signaller: a service (session.h) that does what packets ask for.  A session joins a
 * room, its packets go to the other peers of that room, and they are notified when it
 * leaves.
 */
#ifndef SIGNALLER_H
#define SIGNALLER_H

#include "packet.h"
#include "rooms.h"
#include "session.h"

struct signaller_limits {
	uint32_t sessions; /* the highest number of a session */
	uint32_t peers;	   /* in a room, at most */
	uint32_t key[2];   /* random */
};

/* Tables for that many sessions; the first pass only counts (memory.h). */
void signaller_place(struct memory *, const struct signaller_limits *);

/* The service, without its prefix. */
extern const struct service signaller_service;

/* Bytes of the largest packet that is sent, if none above `packet` bytes is received: the
 * answer to a ping of a full room whose users have the longest ids. */
uint32_t signaller_reply(uint32_t packet, uint32_t peers);

/* The server stops: from here on nobody is notified of a session that ends. */
void signaller_stop(void);

/* The rooms, for counting. */
const struct rooms *signaller_rooms(void);

/* Packets and their bytes, by event; the last is "error". */
struct packet_counts {
	uint64_t packets[PACKET_EVENTS + 1];
	uint64_t bytes[PACKET_EVENTS + 1];
};

/* Why a packet is answered with an error: */
enum packet_refusal {
	PACKET_BAD, /* it cannot be read: it is counted as "error" */
	PACKET_ROOM_FULL,
	PACKET_NOT_INSIDE, /* its sender is not in its room */
	PACKET_TOO_MANY,   /* its address asks about other rooms too often */
	PACKET_REFUSALS
};

struct signaller_counters {
	struct packet_counts in, out;
	uint64_t refused[PACKET_REFUSALS];
};

const struct signaller_counters *signaller_count(void);

#endif
