/* How connections share a turn, with a simulated clock and simulated connections. */
#define _GNU_SOURCE /* POLLRDHUP */
#include "share.h"
#include "conn.h"
#include "pollset.h"
#include "tls.h"
#include "unit.h"

#include <sys/mman.h>

enum { CONNS = 100, BUDGET = 5000 };

static struct {
	uint64_t clock, woken_at; /* microseconds */
	struct conn_state {
		bool closed, full, readable, in_handshake, begun, held_back, resumes;
		unsigned messages; /* in its block, not handled yet */
		unsigned unread;   /* in the socket: the next read returns them */
		unsigned cost;	   /* of handling one, in microseconds */
		unsigned handled;
	} conns[CONNS + 1];
	char order[4096]; /* the connections that were served, one byte each */
	size_t served;
} world;

uint64_t
pollset_clock(void)
{
	return world.clock;
}

uint64_t
pollset_woken_at(void)
{
	return world.woken_at;
}

void
pollset_touch(uint32_t conn)
{
	assert_in_range(conn, 1, CONNS);
}

bool
conn_is_open(uint32_t conn)
{
	return !world.conns[conn].closed;
}

bool
conn_takes_input(uint32_t conn)
{
	return !world.conns[conn].full && !world.conns[conn].held_back;
}

bool
conn_has_input(uint32_t conn)
{
	return world.conns[conn].messages > 0;
}

/* Handles messages like the layer above: at least one, then more until share_over. */
void
conn_deliver(uint32_t conn)
{
	struct conn_state *c = &world.conns[conn];

	world.order[world.served++] = (char)conn;
	while (c->messages > 0) {
		c->handled++;
		if (c->resumes)
			share_resume(conn);
		c->messages--;
		world.clock += c->cost;
		if (c->messages > 0 && share_over(conn))
			break;
	}
}

void
conn_receive(uint32_t conn)
{
	world.conns[conn].begun = true;
	world.conns[conn].messages += world.conns[conn].unread;
	world.conns[conn].unread = 0;
	conn_deliver(conn);
}

void
conn_discard(uint32_t conn)
{
	assert_true(world.conns[conn].closed);
}

void
conn_abort_dead(uint32_t conn)
{
	world.conns[conn].closed = true;
}

void
conn_finish(uint32_t conn)
{
	world.conns[conn].closed = true;
}

void
conn_writable(uint32_t conn)
{
	(void)conn;
}

void
conn_hold_back(uint32_t conn, bool hold)
{
	world.conns[conn].held_back = hold;
}

bool
tls_readable(uint32_t conn)
{
	return world.conns[conn].readable;
}

bool
tls_in_handshake(uint32_t conn)
{
	return world.conns[conn].in_handshake;
}

bool
tls_has_begun(uint32_t conn)
{
	return world.conns[conn].begun;
}

static struct memory memory;

static int
start(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	world.clock = 1000000;
	memory = (struct memory){ 0 };
	share_place(&memory, CONNS);
	assert_true(memory_map(&memory));
	share_place(&memory, CONNS);
	return 0;
}

static int
end(void **state)
{
	(void)state;
	for (uint32_t conn = 1; conn <= CONNS; conn++)
		share_closed(conn);
	assert_false(share_has_backlog());
	assert_true(share_handshake_at() == UINT64_MAX);
	return munmap(memory.base, memory.used);
}

/* Puts messages into the socket of each connection from `first` to `last`. */
static void
put_messages(uint32_t first, uint32_t last, unsigned messages, unsigned cost)
{
	for (uint32_t conn = first; conn <= last; conn++) {
		world.conns[conn].unread = messages;
		world.conns[conn].cost = cost;
	}
}

/* Takes a turn like loop.c.  Returns its duration in microseconds. */
static uint64_t
take_turn(void)
{
	uint32_t ready = 0;

	world.served = 0;
	world.woken_at = world.clock;
	for (uint32_t conn = 1; conn <= CONNS; conn++)
		ready += world.conns[conn].unread > 0 || world.conns[conn].in_handshake;
	share_begin(ready);
	for (uint32_t conn = 1; conn <= CONNS; conn++)
		if (world.conns[conn].unread > 0 || world.conns[conn].in_handshake)
			share_serve(conn, POLLIN);
	if (share_has_backlog())
		share_serve_backlog();
	share_serve_handshake();
	return world.clock - world.woken_at;
}

static void
a_turn_takes_at_most_its_budget_and_one_message_of_each(void **state)
{
	(void)state;
	put_messages(1, 50, 1000, 20);
	for (unsigned i = 0; i < 20; i++)
		assert_in_range(take_turn(), BUDGET / 2, 2 * BUDGET + 50 * 20);
	/* None gets much less than the others. */
	for (uint32_t conn = 1; conn <= 50; conn++)
		assert_in_range(world.conns[conn].handled, 10, 1000);
}

static void
expensive_messages_are_spread_over_turns(void **state)
{
	(void)state;
	put_messages(1, 60, 1, 2000);
	assert_in_range(take_turn(), BUDGET, BUDGET + 2 * 2000);
	for (unsigned i = 0; i < 30; i++)
		assert_in_range(take_turn(), 0, BUDGET + 2 * 2000);
	for (uint32_t conn = 1; conn <= 60; conn++)
		assert_int_equal(world.conns[conn].handled, 1);
}

static void
new_input_is_served_before_the_backlog(void **state)
{
	(void)state;
	put_messages(1, 50, 1000, 20);
	take_turn();
	assert_true(share_has_backlog());
	put_messages(99, 99, 1, 10);
	take_turn();
	assert_int_equal(world.order[0], 99);
	assert_int_equal(world.conns[99].handled, 1);
	/* Except input of a connection whose last input took long. */
	put_messages(98, 98, 1, 1100);
	take_turn();
	assert_int_equal(world.order[0], 98);
	put_messages(97, 98, 1, 10);
	take_turn();
	assert_int_equal(world.order[0], 97);
	assert_true(world.order[1] != 98);
}

static void
the_backlog_is_served_in_order(void **state)
{
	char before;

	(void)state;
	put_messages(1, 50, 1000, 2000);
	take_turn();
	for (unsigned turn = 0; turn < 100; turn++) {
		before = world.order[world.served - 1];
		take_turn();
		assert_int_equal(world.order[0], before % 50 + 1);
	}
}

static void
a_single_connection_has_the_whole_budget(void **state)
{
	(void)state;
	put_messages(7, 7, 1000, 10);
	assert_in_range(take_turn(), BUDGET, 2 * BUDGET + 10);
	assert_in_range(world.conns[7].handled, BUDGET / 10, 2 * BUDGET / 10 + 1);
	while (share_has_backlog())
		take_turn();
	assert_int_equal(world.conns[7].handled, 1000);
}

static void
a_connection_that_closes_leaves_the_queue(void **state)
{
	(void)state;
	put_messages(1, 3, 1000, 3000);
	take_turn();
	world.conns[2].closed = true;
	unsigned handled = world.conns[2].handled;
	for (unsigned i = 0; i < 5; i++)
		take_turn();
	assert_int_equal(world.conns[2].handled, handled);
	share_closed(2);
	/* The same while it is queued.  Its number is used again, without input. */
	world.conns[3].closed = true;
	share_closed(3);
	world.conns[2] = world.conns[3] = (struct conn_state){ 0 };
	for (unsigned i = 0; i < 5; i++) {
		take_turn();
		assert_null(memchr(world.order, 2, world.served));
		assert_null(memchr(world.order, 3, world.served));
	}
}

static void
a_connection_is_not_resumed_within_received(void **state)
{
	(void)state;
	world.conns[4].resumes = true;
	put_messages(4, 4, 1, 10);
	take_turn();
	assert_int_equal(world.conns[4].handled, 1);
	assert_int_equal(world.served, 1);
	assert_false(share_has_backlog());
}

static void
kept_input_is_resumed_in_the_next_turn(void **state)
{
	(void)state;
	world.conns[5].messages = 3;
	share_resume(5);
	assert_int_equal(world.conns[5].handled, 0);
	take_turn();
	assert_int_equal(world.conns[5].handled, 3);
	share_resume(5);
	assert_false(share_has_backlog());
	world.conns[5].readable = true;
	share_resume(5);
	assert_true(share_has_backlog());
	world.conns[5].readable = false;
	take_turn();
}

/* Handshakes of which each step takes `cost` microseconds. */
static void
put_handshakes(uint32_t first, uint32_t last, unsigned cost)
{
	for (uint32_t conn = first; conn <= last; conn++)
		world.conns[conn] = (struct conn_state){ .in_handshake = true,
							 .messages = 1,
							 .cost = cost };
}

static void
a_turn_makes_one_step_of_a_handshake(void **state)
{
	(void)state;
	put_handshakes(1, 3, 8000);
	for (char conn = 1; conn <= 3; conn++) {
		take_turn();
		assert_int_equal(world.served, 1);
		assert_int_equal(world.order[0], conn);
		world.conns[(int)conn].in_handshake = false;
		assert_true(share_handshake_at() <= world.clock || conn == 3);
	}
	assert_true(share_handshake_at() == UINT64_MAX);
}

static void
input_of_others_delays_the_next_step(void **state)
{
	(void)state;
	put_handshakes(1, 3, 8000);
	take_turn();
	world.conns[1].in_handshake = false;
	assert_true(world.conns[2].held_back);
	uint64_t end = world.clock;
	/* Until they have been quiet for a quarter of a step, */
	put_messages(9, 9, 1, 100);
	take_turn();
	assert_int_equal(world.served, 1);
	assert_int_equal(world.order[0], 9);
	assert_true(share_handshake_at() == world.clock + 2000);
	world.clock += 1999;
	take_turn();
	assert_int_equal(world.served, 0);
	world.clock += 1;
	take_turn();
	assert_int_equal(world.order[0], 2);
	world.conns[2].in_handshake = false;
	/* and at most as long as the step was. */
	end = world.clock;
	while (world.clock < end + 8000) {
		put_messages(9, 9, 1, 100);
		take_turn();
		assert_int_equal(world.order[0], 9);
		assert_true(world.served == 1 || world.clock >= end + 8000);
	}
	assert_int_equal(world.order[1], 3);
}

static void
a_step_that_took_an_hour_delays_by_a_second(void **state)
{
	(void)state;
	put_handshakes(1, 2, 3600u * 1000000); /* SIGSTOP */
	take_turn();
	uint64_t end = world.clock;
	while (world.served == 0 || world.order[world.served - 1] != 2) {
		put_messages(9, 9, 1, 100000);
		take_turn();
		assert_true(world.order[0] == 9 && world.clock < end + 4000u * 1000000);
		if (world.served == 1)
			assert_true(world.clock < end + 1000000);
	}
}

static void
first_and_later_steps_of_handshakes_take_turns(void **state)
{
	static const char order[] = { 1, 1, 2, 1, 3, 2, 4, 1, 3, 2 };

	(void)state;
	put_handshakes(1, 4, 1000);
	for (size_t i = 0; i < sizeof order; i++) {
		take_turn();
		assert_int_equal(world.served, 1);
		assert_int_equal(world.order[0], order[i]);
		/* The next message of the handshake. */
		world.conns[(int)order[i]].messages = 1;
	}
	/* A number that is used again begins with a first step. */
	world.conns[1].closed = true;
	share_closed(1);
	put_handshakes(1, 1, 1000);
	take_turn();
	assert_int_equal(world.order[0], 1);
	take_turn();
	assert_int_equal(world.order[0], 4);
}

static void
a_closed_peer_is_detected_while_no_input_is_received(void **state)
{
	(void)state;
	world.conns[1].full = world.conns[2].full = world.conns[3].full = true;
	share_begin(3);
	share_serve(1, POLLRDHUP);
	share_serve(2, POLLERR | POLLHUP);
	share_serve(3, POLLOUT);
	assert_true(world.conns[1].closed);
	assert_true(world.conns[2].closed);
	assert_false(world.conns[3].closed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_turn_takes_at_most_its_budget_and_one_message_of_each),
		TEST(expensive_messages_are_spread_over_turns),
		TEST(new_input_is_served_before_the_backlog),
		TEST(the_backlog_is_served_in_order),
		TEST(a_single_connection_has_the_whole_budget),
		TEST(a_connection_that_closes_leaves_the_queue),
		TEST(a_connection_is_not_resumed_within_received),
		TEST(kept_input_is_resumed_in_the_next_turn),
		TEST(a_turn_makes_one_step_of_a_handshake),
		TEST(input_of_others_delays_the_next_step),
		TEST(a_step_that_took_an_hour_delays_by_a_second),
		TEST(first_and_later_steps_of_handshakes_take_turns),
		TEST(a_closed_peer_is_detected_while_no_input_is_received),
	};

	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
