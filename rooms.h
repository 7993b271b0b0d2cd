/*
 * Rooms and their peers.  The number of a peer is that of its session.  Peers and rooms
 * are numbered from 1; 0 means none.
 *
 * Finding a room takes constant time on average.  Finding a user takes time linear in the
 * number of peers in the room.
 */
#ifndef ROOMS_H
#define ROOMS_H

#include "memory.h"
#include "text.h"

enum { ROOM_NAME = 128 }; /* maximum size of a UserId or RoomId, in bytes */

struct peer {
	uint32_t room;	   /* 0 if the peer is in no room */
	uint32_t previous; /* the peer before this one, in the order of joining */
	uint32_t next;	   /* the peer after this one */
	/* Second, modulo 2^16, at which takeovers of the user are unlimited again. */
	uint16_t rested;
	uint8_t length; /* of `user`, in bytes */
	char user[ROOM_NAME];
};

struct room {
	uint32_t first;	    /* the first peer, in the order of joining */
	uint32_t last;	    /* the last peer */
	uint32_t count;	    /* number of peers */
	uint32_t initiator; /* the peer that opened the room; 0 after it has left */
	uint32_t chain;	    /* the next room in the bucket, or in the free list */
	uint32_t hash;	    /* of `id` */
	uint8_t length;	    /* of `id`, in bytes */
	char id[ROOM_NAME];
};

struct rooms {
	struct peer *peers; /* indexed by session number */
	struct room *rooms; /* indexed by room number */
	uint32_t *buckets;  /* the hash table: each bucket's first room */
	uint32_t mask;	    /* number of buckets - 1; that number is a power of two */
	uint32_t ever_used; /* the highest room number used so far */
	uint32_t free;	    /* the first room in the free list */
	uint32_t key[2];    /* of the hash; random, to prevent deliberate collisions */
	uint32_t open;	    /* number of open rooms */
	uint32_t present;   /* number of peers in rooms */
};

/*
 * Allocates the tables for sessions 1 to `sessions`.  `key` must be random.  Call it
 * before and after memory_map, like memory_take.
 */
void rooms_place(struct rooms *, struct memory *, uint32_t sessions,
		 const uint32_t key[2]);

/* Returns the room with this id, or 0.  A room exists only while it has peers. */
uint32_t room_find(const struct rooms *, struct span id);
/* Returns the peer with this user id in a room, or 0. */
uint32_t room_member(const struct rooms *, uint32_t room, struct span user);

/*
 * Adds a peer, which must be in no room, as the last one of a room.  If the room does not
 * exist, opens it, and the peer becomes its initiator.  `id` and `user` have at most
 * ROOM_NAME bytes and are copied.  Returns the room.
 */
uint32_t room_join(struct rooms *, uint32_t peer, struct span id, struct span user);
/* Removes a peer from its room.  Closes the room if it was the last peer. */
void room_leave(struct rooms *, uint32_t peer);

/* These return spans of the tables, valid until the peer leaves or the room closes. */
struct span room_id(const struct rooms *, uint32_t room);
struct span room_user(const struct rooms *, uint32_t peer);

#endif
