/*
 * Rooms and the peers in them.  A peer is known by the number of its session, from 1;
 * rooms are numbered from 1 as well, and 0 is none.  All costs are the same
 * however many rooms there are; finding a user costs by the peers of its room.
 */
#ifndef ROOMS_H
#define ROOMS_H

#include "memory.h"
#include "text.h"

enum { ROOM_NAME = 128 }; /* bytes of a UserId or RoomId, at most */

struct peer {
	uint32_t room;	   /* 0: in none */
	uint32_t previous; /* in order of joining */
	uint32_t next;
	uint8_t length;
	char user[ROOM_NAME];
};

struct room {
	uint32_t first; /* the peer that has been here longest */
	uint32_t last;
	uint32_t count;
	uint32_t initiator; /* 0 once it has left */
	uint32_t chain;	    /* the next room of the same bucket, or the next free one */
	uint32_t hash;
	uint8_t length;
	char id[ROOM_NAME];
};

struct rooms {
	struct peer *peers; /* by session */
	struct room *rooms;
	uint32_t *buckets;
	uint32_t mask;	  /* buckets, a power of two, less one */
	uint32_t fresh;	  /* rooms above this one have never been used */
	uint32_t free;	  /* the first of those given back */
	uint32_t key[2];  /* seeds the hash, so that nobody can fill one bucket */
	uint32_t open;	  /* rooms */
	uint32_t present; /* peers */
};

/* Tables for sessions 1 to `sessions`; `key` is random. */
void rooms_place(struct rooms *, struct memory *, uint32_t sessions,
		 const uint32_t key[2]);

/* 0 if there is no such room: one without peers does not exist. */
uint32_t room_find(const struct rooms *, struct span id);
/* The peer of that name in a room, or 0. */
uint32_t room_member(const struct rooms *, uint32_t room, struct span user);

/*
 * Puts a peer that is in no room behind the others of one, which is made if it was not
 * there: then the peer is its initiator.  Names are at most ROOM_NAME bytes.
 */
uint32_t room_join(struct rooms *, uint32_t peer, struct span id, struct span user);
/* Takes a peer out of its room, which ends with its last one. */
void room_leave(struct rooms *, uint32_t peer);

struct span room_id(const struct rooms *, uint32_t room);
struct span room_user(const struct rooms *, uint32_t peer);

#endif
