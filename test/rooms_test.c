/* Joining and leaving rooms, the order of peers, the initiator, the cost of lookups. */
#include "rooms.h"
#include "unit.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Rooms in their own mapping. */
struct fixture {
	struct rooms r;
	uint32_t sessions;
	void *base;
	size_t mapped;
};

static void
place(struct fixture *f, uint32_t sessions, uint32_t key0, uint32_t key1)
{
	const uint32_t key[2] = { key0, key1 };
	struct memory m = { 0 };

	rooms_place(&f->r, &m, sessions, key);
	f->mapped = m.used;
	assert_true(memory_map(&m));
	f->base = m.base;
	f->sessions = sessions;
	rooms_place(&f->r, &m, sessions, key);
	assert_int_equal(m.used, f->mapped);
}

static void
unplace(struct fixture *f)
{
	assert_int_equal(munmap(f->base, f->mapped), 0);
}

/* Returns a different id for each number. */
static struct span
numbered(uint32_t number, char data[16])
{
	int length = snprintf(data, 16, "room-%u", (unsigned)number);

	return (struct span){ data, (size_t)length };
}

static bool
same(struct span a, struct span b)
{
	return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* Asserts that a room has exactly these peers in this order, in both directions. */
static void
assert_peers(const struct rooms *r, uint32_t room, const uint32_t *peers, uint32_t count)
{
	uint32_t previous = 0, peer = r->rooms[room].first;

	for (uint32_t i = 0; i < count; i++) {
		assert_int_equal(peer, peers[i]);
		assert_int_equal(r->peers[peer].room, room);
		assert_int_equal(r->peers[peer].previous, previous);
		previous = peer;
		peer = r->peers[peer].next;
	}
	assert_int_equal(peer, 0);
	assert_int_equal(r->rooms[room].last, previous);
	assert_int_equal(r->rooms[room].count, count);
}

static void
there_are_no_rooms_and_peers_at_first(void **state)
{
	struct fixture f;

	(void)state;
	place(&f, 4, 1, 2);
	assert_int_equal(room_find(&f.r, SPAN("")), 0);
	assert_int_equal(room_find(&f.r, SPAN("a")), 0);
	assert_int_equal(f.r.open, 0);
	assert_int_equal(f.r.present, 0);
	for (uint32_t peer = 1; peer <= 4; peer++)
		assert_int_equal(f.r.peers[peer].room, 0);
	unplace(&f);
}

static void
peers_are_in_the_order_of_joining(void **state)
{
	static const uint32_t all[] = { 3, 1, 4, 2 }, inner[] = { 3, 4, 2 };
	static const uint32_t front[] = { 4, 2 }, back[] = { 4 }, again[] = { 4, 3, 1 };
	struct fixture f;

	(void)state;
	place(&f, 8, 1, 2);
	uint32_t room = room_join(&f.r, 3, span("r"), span("c"));
	assert_int_equal(room_join(&f.r, 1, span("r"), span("a")), room);
	assert_int_equal(room_join(&f.r, 4, span("r"), span("d")), room);
	assert_int_equal(room_join(&f.r, 2, span("r"), span("b")), room);
	assert_peers(&f.r, room, all, 4);
	room_leave(&f.r, 1);
	assert_peers(&f.r, room, inner, 3);
	room_leave(&f.r, 3);
	assert_peers(&f.r, room, front, 2);
	room_leave(&f.r, 2);
	assert_peers(&f.r, room, back, 1);
	room_join(&f.r, 3, span("r"), span("c"));
	room_join(&f.r, 1, span("r"), span("a"));
	assert_peers(&f.r, room, again, 3);
	unplace(&f);
}

static void
the_first_peer_of_a_room_is_its_initiator(void **state)
{
	struct fixture f;

	(void)state;
	place(&f, 8, 1, 2);
	uint32_t room = room_join(&f.r, 5, span("r"), span("a"));
	assert_int_equal(f.r.rooms[room].initiator, 5);
	room_join(&f.r, 6, span("r"), span("b"));
	assert_int_equal(f.r.rooms[room].initiator, 5);
	uint32_t other = room_join(&f.r, 1, span("s"), span("a"));
	assert_int_not_equal(other, room);
	assert_int_equal(f.r.rooms[other].initiator, 1);
	assert_int_equal(f.r.rooms[room].initiator, 5);
	unplace(&f);
}

static void
no_peer_replaces_an_initiator_that_has_left(void **state)
{
	struct fixture f;

	(void)state;
	place(&f, 8, 1, 2);
	uint32_t room = room_join(&f.r, 5, span("r"), span("a"));
	room_join(&f.r, 6, span("r"), span("b"));
	room_join(&f.r, 7, span("r"), span("c"));
	room_leave(&f.r, 5);
	assert_int_equal(f.r.rooms[room].initiator, 0);
	room_join(&f.r, 8, span("r"), span("d"));
	assert_int_equal(f.r.rooms[room].initiator, 0);
	room_join(&f.r, 5, span("r"), span("a"));
	assert_int_equal(f.r.rooms[room].initiator, 0);
	room_leave(&f.r, 6);
	assert_int_equal(f.r.rooms[room].initiator, 0);
	unplace(&f);
}

static void
the_initiator_stays_when_other_peers_leave(void **state)
{
	struct fixture f;

	(void)state;
	place(&f, 8, 1, 2);
	uint32_t room = room_join(&f.r, 2, span("r"), span("a"));
	room_join(&f.r, 1, span("r"), span("b"));
	room_leave(&f.r, 1);
	assert_int_equal(f.r.rooms[room].initiator, 2);
	unplace(&f);
}

static void
a_room_closes_with_its_last_peer_and_can_open_again(void **state)
{
	static const uint32_t peers[] = { 2 };
	struct fixture f;

	(void)state;
	place(&f, 8, 1, 2);
	uint32_t room = room_join(&f.r, 1, span("r"), span("a"));
	room_join(&f.r, 2, span("r"), span("b"));
	room_leave(&f.r, 1);
	assert_int_equal(room_find(&f.r, span("r")), room);
	room_leave(&f.r, 2);
	assert_int_equal(room_find(&f.r, span("r")), 0);
	assert_int_equal(f.r.open, 0);
	assert_int_equal(f.r.present, 0);
	assert_int_equal(f.r.peers[2].room, 0);
	room = room_join(&f.r, 2, span("r"), span("b"));
	assert_peers(&f.r, room, peers, 1);
	assert_int_equal(f.r.rooms[room].initiator, 2);
	unplace(&f);
}

static void
ids_are_compared_byte_by_byte(void **state)
{
	char longest[ROOM_NAME], other[ROOM_NAME];
	struct fixture f;

	(void)state;
	memset(longest, 'x', sizeof longest);
	memset(other, 'x', sizeof other);
	other[ROOM_NAME - 1] = 'y';
	const struct span ids[] = {
		{ "", 0 },
		SPAN("\0"),
		SPAN("\0\0"),
		SPAN("a"),
		SPAN("a\0"),
		SPAN("a\0b"),
		SPAN("a\0c"),
		SPAN("A"),
		SPAN("\xc3\xa4"),
		SPAN("a\xcc\x88"),
		SPAN("__proto__"),
		SPAN("constructor"),
		{ longest, ROOM_NAME },
		{ longest, ROOM_NAME - 1 },
		{ other, ROOM_NAME },
	};
	uint32_t rooms[COUNT(ids)];
	place(&f, COUNT(ids), 1, 2);
	for (uint32_t i = 0; i < COUNT(ids); i++) {
		assert_int_equal(room_find(&f.r, ids[i]), 0);
		rooms[i] = room_join(&f.r, i + 1, ids[i], SPAN("u"));
	}
	for (uint32_t i = 0; i < COUNT(ids); i++) {
		assert_int_equal(room_find(&f.r, ids[i]), rooms[i]);
		assert_int_equal(f.r.rooms[rooms[i]].count, 1);
		assert_same(room_id(&f.r, rooms[i]), ids[i]);
	}
	unplace(&f);
}

static void
users_are_compared_byte_by_byte(void **state)
{
	char longest[ROOM_NAME], other[ROOM_NAME];
	struct fixture f;

	(void)state;
	memset(longest, 'x', sizeof longest);
	memset(other, 'x', sizeof other);
	other[ROOM_NAME - 1] = 'y';
	const struct span users[] = {
		SPAN("\0"),
		SPAN("a"),
		SPAN("a\0"),
		SPAN("a\0b"),
		SPAN("a\0c"),
		SPAN("ab"),
		{ longest, ROOM_NAME },
		{ longest, ROOM_NAME - 1 },
		{ other, ROOM_NAME },
	};
	place(&f, COUNT(users), 1, 2);
	for (uint32_t i = 0; i < COUNT(users); i++) {
		uint32_t room = room_find(&f.r, SPAN("r"));
		assert_true(i == 0 || room_member(&f.r, room, users[i]) == 0);
		room_join(&f.r, i + 1, SPAN("r"), users[i]);
	}
	uint32_t room = room_find(&f.r, SPAN("r"));
	for (uint32_t i = 0; i < COUNT(users); i++) {
		assert_int_equal(room_member(&f.r, room, users[i]), i + 1);
		assert_same(room_user(&f.r, i + 1), users[i]);
	}
	assert_int_equal(room_member(&f.r, room, SPAN("")), 0);
	assert_int_equal(room_member(&f.r, room, SPAN("b")), 0);
	unplace(&f);
}

static void
a_member_is_searched_in_its_room_only(void **state)
{
	struct fixture f;

	(void)state;
	place(&f, 4, 1, 2);
	uint32_t r = room_join(&f.r, 1, span("r"), span("a"));
	uint32_t s = room_join(&f.r, 2, span("s"), span("a"));
	room_join(&f.r, 3, span("s"), span("b"));
	assert_int_equal(room_member(&f.r, r, span("a")), 1);
	assert_int_equal(room_member(&f.r, s, span("a")), 2);
	assert_int_equal(room_member(&f.r, r, span("b")), 0);
	room_leave(&f.r, 2);
	assert_int_equal(room_member(&f.r, s, span("a")), 0);
	unplace(&f);
}

static void
names_are_copied(void **state)
{
	char id[] = "room", user[] = "user";
	struct fixture f;

	(void)state;
	place(&f, 4, 1, 2);
	uint32_t room = room_join(&f.r, 1, span(id), span(user));
	memset(id, '-', sizeof id);
	memset(user, '-', sizeof user);
	assert_same(room_id(&f.r, room), SPAN("room"));
	assert_same(room_user(&f.r, 1), SPAN("user"));
	assert_int_equal(room_find(&f.r, SPAN("room")), room);
	unplace(&f);
}

static void
every_session_can_have_its_own_room(void **state)
{
	static const uint32_t capacities[] = { 1, 2, 3, 64, 1000 };
	struct fixture f;
	char data[16];

	(void)state;
	for (size_t i = 0; i < COUNT(capacities); i++) {
		place(&f, capacities[i], 1, 2);
		for (uint32_t round = 0; round < 3; round++) {
			for (uint32_t n = 1; n <= f.sessions; n++)
				room_join(&f.r, n, numbered(n + round, data), span("u"));
			assert_int_equal(f.r.open, f.sessions);
			assert_int_equal(f.r.present, f.sessions);
			for (uint32_t n = 1; n <= f.sessions; n++) {
				uint32_t room =
				    room_find(&f.r, numbered(n + round, data));
				assert_in_range(room, 1, f.sessions);
				assert_peers(&f.r, room, &n, 1);
			}
			for (uint32_t n = 1; n <= f.sessions; n++)
				room_leave(&f.r, n);
			assert_int_equal(f.r.open, 0);
			assert_int_equal(f.r.ever_used, f.sessions);
		}
		unplace(&f);
	}
}

static void
all_sessions_can_be_in_one_room(void **state)
{
	enum { SESSIONS = 1000 };
	uint32_t peers[SESSIONS];
	struct fixture f;
	char data[16];

	(void)state;
	place(&f, SESSIONS, 1, 2);
	for (uint32_t n = 0; n < SESSIONS; n++) {
		peers[n] = SESSIONS - n;
		room_join(&f.r, peers[n], span("r"), numbered(peers[n], data));
	}
	uint32_t room = room_find(&f.r, span("r"));
	assert_peers(&f.r, room, peers, SESSIONS);
	assert_int_equal(f.r.open, 1);
	assert_int_equal(f.r.present, SESSIONS);
	assert_int_equal(room_member(&f.r, room, numbered(1, data)), 1);
	assert_int_equal(room_member(&f.r, room, numbered(SESSIONS, data)), SESSIONS);
	for (uint32_t n = 1; n <= SESSIONS; n++)
		room_leave(&f.r, n);
	assert_int_equal(room_find(&f.r, span("r")), 0);
	unplace(&f);
}

static void
room_numbers_are_reused(void **state)
{
	struct fixture f;
	char data[16];

	(void)state;
	place(&f, 4, 1, 2);
	for (uint32_t n = 0; n < 1000; n++) {
		uint32_t peer = n % 4 + 1;
		if (n >= 3)
			room_leave(&f.r, (n - 3) % 4 + 1);
		room_join(&f.r, peer, numbered(n, data), span("u"));
		assert_in_range(f.r.ever_used, 1, 3);
		assert_int_equal(f.r.open, n < 3 ? n + 1 : 3);
		for (uint32_t back = 0; back < 3 && back <= n; back++) {
			uint32_t room = room_find(&f.r, numbered(n - back, data));
			assert_int_not_equal(room, 0);
			assert_int_equal(f.r.peers[(n - back) % 4 + 1].room, room);
		}
		if (n >= 3)
			assert_int_equal(room_find(&f.r, numbered(n - 3, data)), 0);
	}
	unplace(&f);
}

/*
 * A simple model: the room id, the user and the time of joining of each session.  It has
 * no lists and no hash table; every query is a linear search.
 */

enum { SESSIONS = 48, IDS = 32, USERS = 24 };

static struct {
	struct {
		bool present;
		unsigned id, user;
		uint32_t joined;
	} sessions[SESSIONS + 1];
	uint32_t initiator[IDS];
	struct span ids[IDS], users[USERS];
	char data[IDS + USERS][ROOM_NAME];
	uint32_t clock;
} model;

static uint32_t seed;

static uint32_t
draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed % below;
}

/*
 * Returns one of some similar names.  They differ only in the last of 128 bytes, in their
 * single byte, or in their number of equal bytes, which is at least `least`.
 */
static void
model_names(struct span *names, char (*data)[ROOM_NAME], unsigned count, unsigned least)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned kind = i % 4, number = i / 4;
		size_t length = kind == 0   ? ROOM_NAME
				: kind == 1 ? 1
					    : least + number + (kind == 2);
		memset(data[i], kind == 3 ? '\0' : 'x', ROOM_NAME);
		if (kind < 2)
			data[i][length - 1] = (char)('a' + number);
		names[i] = (struct span){ data[i], length };
	}
}

static unsigned
model_count(unsigned id)
{
	unsigned count = 0;

	for (uint32_t s = 1; s <= SESSIONS; s++)
		count += model.sessions[s].present && model.sessions[s].id == id;
	return count;
}

/* Returns the peer that joined a room next after a time, or 0. */
static uint32_t
model_next(unsigned id, uint32_t time)
{
	uint32_t next = 0;

	for (uint32_t s = 1; s <= SESSIONS; s++)
		if (model.sessions[s].present && model.sessions[s].id == id &&
		    model.sessions[s].joined > time &&
		    (next == 0 || model.sessions[s].joined < model.sessions[next].joined))
			next = s;
	return next;
}

static uint32_t
model_member(unsigned id, unsigned user)
{
	uint32_t time = 0, s;

	while ((s = model_next(id, time)) != 0 && model.sessions[s].user != user)
		time = model.sessions[s].joined;
	return s;
}

static void
check_room(const struct rooms *r, unsigned id)
{
	uint32_t room = room_find(r, model.ids[id]), peers[SESSIONS], count = 0, time = 0,
		 s;

	while ((s = model_next(id, time)) != 0) {
		peers[count++] = s;
		time = model.sessions[s].joined;
		assert_same(room_user(r, s), model.users[model.sessions[s].user]);
	}
	assert_int_equal(room != 0, count > 0);
	if (room == 0)
		return;
	assert_same(room_id(r, room), model.ids[id]);
	assert_peers(r, room, peers, count);
	assert_int_equal(r->rooms[room].initiator, model.initiator[id]);
}

static void
check_all(const struct rooms *r)
{
	uint32_t open = 0, present = 0, chained = 0, free = 0;

	for (unsigned id = 0; id < IDS; id++) {
		check_room(r, id);
		open += model_count(id) > 0;
		present += model_count(id);
	}
	for (uint32_t s = 1; s <= SESSIONS; s++)
		if (!model.sessions[s].present)
			assert_int_equal(r->peers[s].room, 0);
	for (uint32_t bucket = 0; bucket <= r->mask; bucket++)
		for (uint32_t n = r->buckets[bucket]; n != 0; n = r->rooms[n].chain)
			chained++;
	for (uint32_t n = r->free; n != 0; n = r->rooms[n].chain)
		free++;
	assert_int_equal(r->open, open);
	assert_int_equal(r->present, present);
	assert_int_equal(chained, open);
	assert_int_equal(chained + free, r->ever_used);
}

static void
step(struct rooms *r)
{
	uint32_t s = 1 + draw(SESSIONS);
	unsigned id = draw(IDS), user = draw(USERS);

	if (model.sessions[s].present) {
		id = model.sessions[s].id;
		room_leave(r, s);
		model.sessions[s].present = false;
		if (model.initiator[id] == s)
			model.initiator[id] = 0;
	} else if (model_member(id, user) == 0) {
		uint32_t room = room_join(r, s, model.ids[id], model.users[user]);
		if (model_count(id) == 0)
			model.initiator[id] = s;
		model.sessions[s].present = true;
		model.sessions[s].id = id;
		model.sessions[s].user = user;
		model.sessions[s].joined = ++model.clock;
		assert_int_equal(room_find(r, model.ids[id]), room);
	}
	check_room(r, id);
	id = draw(IDS);
	user = draw(USERS);
	uint32_t room = room_find(r, model.ids[id]);
	assert_int_equal(room != 0, model_count(id) > 0);
	if (room != 0)
		assert_int_equal(room_member(r, room, model.users[user]),
				 model_member(id, user));
}

static void
compare_with_model(bool one_bucket)
{
	const char *wanted = getenv("SEED");
	struct fixture f;

	seed = wanted != NULL ? (uint32_t)strtoul(wanted, NULL, 10)
			      : (uint32_t)time(NULL) * 2654435761U ^ (uint32_t)getpid();
	seed += seed == 0;
	print_message("SEED=%u\n", (unsigned)seed);
	memset(&model, 0, sizeof model);
	model_names(model.ids, model.data, IDS, 0);
	model_names(model.users, model.data + IDS, USERS, 2);
	for (unsigned i = 0; i < IDS; i++)
		for (unsigned k = 0; k < i; k++)
			assert_false(same(model.ids[i], model.ids[k]));
	place(&f, SESSIONS, draw(UINT32_MAX), draw(UINT32_MAX));
	if (one_bucket)
		f.r.mask = 0;
	for (unsigned i = 1; i <= 100000; i++) {
		step(&f.r);
		if (i % 1000 == 0)
			check_all(&f.r);
	}
	unplace(&f);
}

static void
random_joins_and_leaves_agree_with_a_simple_model(void **state)
{
	(void)state;
	compare_with_model(false);
}

static void
random_joins_and_leaves_agree_with_all_ids_in_one_bucket(void **state)
{
	(void)state;
	compare_with_model(true);
}

/*
 * The cost of a lookup: the number of rooms that it examines in its bucket
 */

static void
fill(struct fixture *f, uint32_t rooms)
{
	char data[16];

	for (uint32_t n = 1; n <= rooms; n++)
		room_join(&f->r, n, numbered(n, data), span("u"));
}

/*
 * Returns the number of rooms examined when every room is looked up once.  `longest` is
 * the maximum for one lookup.
 */
static uint32_t
steps_to_all(const struct rooms *r, uint32_t *longest)
{
	uint32_t steps = 0;

	*longest = 0;
	for (uint32_t bucket = 0; bucket <= r->mask; bucket++) {
		uint32_t met = 0;
		for (uint32_t n = r->buckets[bucket]; n != 0; n = r->rooms[n].chain)
			steps += ++met;
		if (met > *longest)
			*longest = met;
	}
	return steps;
}

static void
a_lookup_costs_the_same_with_any_number_of_rooms(void **state)
{
	static const uint32_t sessions[] = { 10, 100, 1000, 10000, 16384, 16385 };
	uint32_t longest;
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < COUNT(sessions); i++) {
		place(&f, sessions[i], 0x01234567, 0x89abcdef);
		fill(&f, 10);
		assert_true(steps_to_all(&f.r, &longest) <= 10 * 2);
		unplace(&f);
		/* There is at least one bucket for each room, so a lookup examines at
		 * most 1.5 rooms on average.  The limit of 2 allows for chance. */
		place(&f, sessions[i], 0x01234567, 0x89abcdef);
		assert_true(f.r.mask >= sessions[i] - 1);
		assert_int_equal(f.r.mask & (f.r.mask + 1), 0);
		fill(&f, sessions[i]);
		assert_true(steps_to_all(&f.r, &longest) <= sessions[i] * 2);
		assert_in_range(longest, 1, 10);
		unplace(&f);
	}
}

static void
ids_are_spread_over_the_buckets_with_any_key(void **state)
{
	enum { ROOMS = 4096 };
	static uint32_t homes[ROOMS];
	uint32_t longest, same_home = 0;
	struct fixture f;
	char data[16];

	(void)state;
	for (uint32_t key = 0; key < 16; key++) {
		place(&f, ROOMS, key, ~key);
		fill(&f, ROOMS);
		assert_true(steps_to_all(&f.r, &longest) <= ROOMS * 2);
		assert_in_range(longest, 1, 12);
		for (uint32_t n = 0; n < ROOMS; n++) {
			uint32_t room = room_find(&f.r, numbered(n + 1, data));
			uint32_t home = f.r.rooms[room].hash & f.r.mask;
			same_home += key > 0 && home == homes[n];
			homes[n] = home;
		}
		unplace(&f);
	}
	/* On average each of the 15 changes of the key leaves one id in its bucket by
	 * chance. */
	assert_in_range(same_home, 0, 15 * 4);
}

static void
both_halves_of_the_key_change_the_hash(void **state)
{
	static const uint32_t keys[][2] = { { 1, 1 }, { 2, 1 }, { 1, 2 } };
	uint32_t hashes[COUNT(keys)];
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < COUNT(keys); i++) {
		place(&f, 16, keys[i][0], keys[i][1]);
		hashes[i] = f.r.rooms[room_join(&f.r, 1, span("r"), span("u"))].hash;
		unplace(&f);
	}
	assert_int_not_equal(hashes[0], hashes[1]);
	assert_int_not_equal(hashes[0], hashes[2]);
	assert_int_not_equal(hashes[1], hashes[2]);
}

static int
by_hash(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* With so many ids, some have the same hash by chance. */
static void
ids_with_the_same_hash_are_distinguished(void **state)
{
	enum { MANY = 400000 };
	static struct {
		uint32_t hash, number;
	} ids[MANY];
	static const uint32_t key[2] = { 1, 2 };
	char data[16], other[16];
	unsigned pairs = 0;
	struct fixture f;

	(void)state;
	for (uint32_t n = 0; n < MANY; n++) {
		struct span id = numbered(n, data);
		ids[n].hash = text_hash(key, id.data, id.length);
		ids[n].number = n;
	}
	qsort(ids, MANY, sizeof ids[0], by_hash);
	place(&f, 2, key[0], key[1]);
	for (uint32_t i = 1; i < MANY; i++) {
		struct span first = numbered(ids[i - 1].number, data);
		struct span second = numbered(ids[i].number, other);
		if (ids[i].hash != ids[i - 1].hash || first.length != second.length)
			continue;
		pairs++;
		uint32_t room = room_join(&f.r, 1, first, span("u"));
		assert_int_equal(room_find(&f.r, second), 0);
		assert_int_not_equal(room_join(&f.r, 2, second, span("u")), room);
		assert_int_equal(room_find(&f.r, first), room);
		room_leave(&f.r, 1);
		assert_int_equal(room_find(&f.r, first), 0);
		assert_int_not_equal(room_find(&f.r, second), 0);
		room_leave(&f.r, 2);
	}
	assert_true(pairs > 0);
	unplace(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_are_no_rooms_and_peers_at_first),
		cmocka_unit_test(peers_are_in_the_order_of_joining),
		cmocka_unit_test(the_first_peer_of_a_room_is_its_initiator),
		cmocka_unit_test(no_peer_replaces_an_initiator_that_has_left),
		cmocka_unit_test(the_initiator_stays_when_other_peers_leave),
		cmocka_unit_test(a_room_closes_with_its_last_peer_and_can_open_again),
		cmocka_unit_test(ids_are_compared_byte_by_byte),
		cmocka_unit_test(users_are_compared_byte_by_byte),
		cmocka_unit_test(a_member_is_searched_in_its_room_only),
		cmocka_unit_test(names_are_copied),
		cmocka_unit_test(every_session_can_have_its_own_room),
		cmocka_unit_test(all_sessions_can_be_in_one_room),
		cmocka_unit_test(room_numbers_are_reused),
		cmocka_unit_test(random_joins_and_leaves_agree_with_a_simple_model),
		cmocka_unit_test(
		    random_joins_and_leaves_agree_with_all_ids_in_one_bucket),
		cmocka_unit_test(a_lookup_costs_the_same_with_any_number_of_rooms),
		cmocka_unit_test(ids_are_spread_over_the_buckets_with_any_key),
		cmocka_unit_test(both_halves_of_the_key_change_the_hash),
		cmocka_unit_test(ids_with_the_same_hash_are_distinguished),
	};

	return cmocka_run_group_tests_name("rooms", tests, NULL, NULL);
}
