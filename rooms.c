#include "rooms.h"

#include <string.h>

void
rooms_place(struct rooms *r, struct memory *m, uint32_t sessions, const uint32_t key[2])
{
	uint32_t buckets = 1;

	while (buckets < sessions && buckets < UINT32_C(1) << 30)
		buckets *= 2;
	*r = (struct rooms){ .mask = buckets - 1, .key = { key[0], key[1] } };
	r->peers = memory_take(m, (size_t)sessions + 1, sizeof *r->peers);
	r->rooms = memory_take(m, (size_t)sessions + 1, sizeof *r->rooms);
	r->buckets = memory_take(m, buckets, sizeof *r->buckets);
}

struct span
room_id(const struct rooms *r, uint32_t room)
{
	return (struct span){ r->rooms[room].id, r->rooms[room].length };
}

struct span
room_user(const struct rooms *r, uint32_t peer)
{
	return (struct span){ r->peers[peer].user, r->peers[peer].length };
}

static uint32_t
find(const struct rooms *r, struct span id, uint32_t hash)
{
	uint32_t room = r->buckets[hash & r->mask];

	while (room != 0 &&
	       (r->rooms[room].hash != hash || !span_same(room_id(r, room), id)))
		room = r->rooms[room].chain;
	return room;
}

uint32_t
room_find(const struct rooms *r, struct span id)
{
	return find(r, id, text_hash(r->key, id.data, id.length));
}

uint32_t
room_member(const struct rooms *r, uint32_t room, struct span user)
{
	uint32_t peer = r->rooms[room].first;

	while (peer != 0 && !span_same(room_user(r, peer), user))
		peer = r->peers[peer].next;
	return peer;
}

static uint32_t
open_room(struct rooms *r, struct span id, uint32_t hash)
{
	uint32_t number = r->free, *bucket = &r->buckets[hash & r->mask];

	/* The table has as many rooms as sessions, so one is always unused. */
	if (number != 0)
		r->free = r->rooms[number].chain;
	else
		number = ++r->ever_used;
	struct room *room = &r->rooms[number];
	*room =
	    (struct room){ .chain = *bucket, .hash = hash, .length = (uint8_t)id.length };
	memcpy(room->id, id.data, id.length);
	*bucket = number;
	r->open++;
	return number;
}

static void
close_room(struct rooms *r, uint32_t number)
{
	struct room *room = &r->rooms[number];
	uint32_t *link = &r->buckets[room->hash & r->mask];

	while (*link != number)
		link = &r->rooms[*link].chain;
	*link = room->chain;
	room->chain = r->free;
	r->free = number;
	r->open--;
}

uint32_t
room_join(struct rooms *r, uint32_t number, struct span id, struct span user)
{
	uint32_t hash = text_hash(r->key, id.data, id.length), found = find(r, id, hash);
	struct peer *peer = &r->peers[number];

	if (found == 0)
		found = open_room(r, id, hash);
	struct room *room = &r->rooms[found];
	peer->room = found;
	peer->previous = room->last;
	peer->next = 0;
	peer->length = (uint8_t)user.length;
	memcpy(peer->user, user.data, user.length);
	if (room->last != 0) {
		r->peers[room->last].next = number;
	} else {
		room->first = number;
		room->initiator = number;
	}
	room->last = number;
	room->count++;
	r->present++;
	return found;
}

void
room_leave(struct rooms *r, uint32_t number)
{
	struct peer *peer = &r->peers[number];
	struct room *room = &r->rooms[peer->room];

	*(peer->previous != 0 ? &r->peers[peer->previous].next : &room->first) =
	    peer->next;
	*(peer->next != 0 ? &r->peers[peer->next].previous : &room->last) =
	    peer->previous;
	if (room->initiator == number)
		room->initiator = 0;
	if (--room->count == 0)
		close_room(r, peer->room);
	peer->room = 0;
	r->present--;
}
