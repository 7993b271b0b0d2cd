/* The states, numbers and counters of sessions. */
#include "session_table.h"
#include "client.h"
#include "log.h"
#include "unit.h"

#include <sys/mman.h>

enum { CONNECTIONS = 3, PER_ADDRESS = 2 };

static struct session_table table;
static unsigned messages, closed;
static uint32_t last_closed;
/* The session that on_closed ends, 0: none. */
static uint32_t end_within;

static void
on_message(uint32_t session, char *data, size_t length, bool binary)
{
	(void)session, (void)data, (void)length, (void)binary;
	messages++;
}

static void
on_closed(uint32_t session)
{
	closed++;
	last_closed = session;
	if (end_within != 0)
		session_end(end_within);
	end_within = 0;
}

static const struct service service = { .prefix = "/test",
					.message = on_message,
					.closed = on_closed };

static int
place(void **state)
{
	static const struct session_limits limits = { .connections = CONNECTIONS,
						      .per_address = PER_ADDRESS,
						      .key = { 1, 2 } };
	struct memory *m = allocate(sizeof *m);

	log_open("", LEVEL_ERROR, 0);
	*m = (struct memory){ 0 };
	*state = m;
	for (unsigned pass = 0; pass < 2; pass++) {
		client_place(m, CONNECTIONS, NULL);
		table = session_table_place(m, &limits);
		if (pass == 0)
			assert_true(memory_map(m));
	}
	/* The first two connections have the same address. */
	for (uint32_t conn = 1; conn <= CONNECTIONS; conn++) {
		const struct socket_address peer = {
			.length = 4, .bytes = { 192, 0, 2, conn < 3 ? 1 : 2 }
		};
		client_begin(conn, &peer);
	}
	return 0;
}

static int
unmap(void **state)
{
	struct memory *m = *state;

	munmap(m->base, m->used);
	free(m);
	return 0;
}

static int
begin(void **state)
{
	(void)state;
	closed = messages = 0;
	last_closed = 0;
	return 0;
}

/* Asserts a session's state, and how often `closed` has been called. */
static void
assert_state(uint32_t session, enum session_state expected, unsigned times)
{
	assert_int_equal(table.sessions[session].state, expected);
	assert_int_equal(closed, times);
}

static void
assert_open(uint32_t sessions, uint32_t over_http)
{
	assert_int_equal(session_count()->open, sessions);
	assert_int_equal(session_count()->over_http, over_http);
}

static uint32_t
add(uint32_t conn, unsigned transport)
{
	uint32_t session = session_add(&service, conn, transport);

	assert_int_not_equal(session, 0);
	assert_state(session, SESSION_OPEN, closed);
	assert_int_equal(table.by_conn[conn], session);
	assert_int_equal(table.sessions[session].conn, conn);
	return session;
}

/* A session over HTTP without a receiver. */
static uint32_t
add_detached(uint32_t conn)
{
	uint32_t session = add(conn, TRANSPORT_XHR);

	session_unbind(conn);
	assert_int_equal(table.by_conn[conn], 0);
	assert_int_equal(table.sessions[session].conn, 0);
	return session;
}

static void
a_websocket_ends_with_its_connection(void **state)
{
	uint32_t session = add(1, SESSION_PLAIN);

	(void)state;
	assert_false(session_is_http(session));
	assert_open(1, 0);
	session_unbind(1);
	session_end(session);
	assert_state(session, SESSION_ENDED, 0);
	/* The log still needs its address. */
	assert_int_equal(table.sessions[session].conn, 1);
	session_end(session);
	assert_true(session_settle());
	assert_state(session, SESSION_FREE, 1);
	assert_int_equal(last_closed, session);
	assert_open(0, 0);
	assert_false(session_settle());
}

static void
an_open_session_over_http_ends(void **state)
{
	uint32_t session = add_detached(1);

	(void)state;
	assert_true(session_is_http(session));
	session_end(session);
	assert_state(session, SESSION_ENDED, 0);
	assert_open(1, 1);
	assert_true(session_settle());
	assert_state(session, SESSION_FREE, 1);
	assert_open(0, 0);
}

static void
a_closed_session_stays_until_its_client_is_gone(void **state)
{
	uint32_t session = add_detached(1);

	(void)state;
	session_set_closing(session);
	assert_state(session, SESSION_CLOSING, 0);
	assert_true(session_settle());
	assert_state(session, SESSION_CLOSED, 1);
	assert_false(session_settle());
	assert_open(1, 1);
	session_end(session);
	assert_state(session, SESSION_FREE, 1);
	assert_open(0, 0);
	assert_false(session_settle());
}

static void
a_client_can_be_gone_before_the_service_is_notified(void **state)
{
	uint32_t session = add_detached(1);

	(void)state;
	session_set_closing(session);
	session_end(session);
	assert_state(session, SESSION_ENDED, 0);
	assert_true(session_settle());
	assert_state(session, SESSION_FREE, 1);
	assert_false(session_settle());
	assert_open(0, 0);
}

static void
a_session_can_end_while_its_service_is_notified(void **state)
{
	uint32_t session = add_detached(1);

	(void)state;
	session_set_closing(session);
	end_within = session;
	assert_true(session_settle());
	assert_state(session, SESSION_FREE, 1);
	assert_open(0, 0);
}

static void
a_service_is_notified_of_a_session_that_it_ends_in_closed(void **state)
{
	uint32_t first = add_detached(1), second = add(2, TRANSPORT_WEBSOCKET);

	(void)state;
	session_end(first);
	session_unbind(2);
	end_within = second;
	assert_true(session_settle());
	assert_state(first, SESSION_FREE, 2);
	assert_state(second, SESSION_FREE, 2);
	assert_open(0, 0);
}

static void
numbers_are_reused_and_have_a_bound(void **state)
{
	uint32_t sessions[2 * CONNECTIONS];

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < CONNECTIONS; i++) {
			sessions[i] = add_detached(i + 1);
			sessions[CONNECTIONS + i] = add(i + 1, SESSION_PLAIN);
			session_unbind(i + 1);
		}
		assert_int_equal(session_highest(), 2 * CONNECTIONS);
		for (uint32_t i = 0; i < 2 * CONNECTIONS; i++)
			session_end(sessions[i]);
		assert_true(session_settle());
		assert_open(0, 0);
	}
}

static void
sessions_over_http_have_two_limits(void **state)
{
	const struct session_counters *c = session_count();
	uint64_t full = c->refused[SESSION_FULL], share = c->refused[SESSION_PER_ADDRESS];
	uint32_t sessions[CONNECTIONS] = { add_detached(1), add_detached(2) };

	(void)state;
	assert_int_equal(session_add(&service, 1, TRANSPORT_XHR), 0);
	assert_int_equal(c->refused[SESSION_PER_ADDRESS], share + 1);
	sessions[2] = add_detached(3);
	assert_int_equal(session_add(&service, 3, TRANSPORT_XHR), 0);
	assert_int_equal(c->refused[SESSION_FULL], full + 1);
	/* Both limits count sessions until their service is notified. */
	session_end(sessions[0]);
	assert_int_equal(session_add(&service, 1, TRANSPORT_XHR), 0);
	assert_int_equal(c->refused[SESSION_FULL], full + 2);
	session_end(sessions[2]);
	assert_true(session_settle());
	sessions[0] = add_detached(1);
	assert_int_equal(session_add(&service, 1, TRANSPORT_XHR), 0);
	assert_int_equal(c->refused[SESSION_PER_ADDRESS], share + 2);
	session_end(sessions[0]);
	session_end(sessions[1]);
	assert_true(session_settle());
	assert_open(0, 0);
}

static void
carriers_and_messages_are_counted(void **state)
{
	const struct session_counters *c = session_count();
	const struct session_counters before = *c;
	uint32_t session = add(1, TRANSPORT_XHR);
	char text[] = "text";

	(void)state;
	assert_int_equal(c->carriers[TRANSPORT_XHR], 1);
	session_unbind(1);
	assert_int_equal(c->carriers[TRANSPORT_XHR], 0);
	session_bind(session, 2, TRANSPORT_JSONP);
	assert_int_equal(table.by_conn[2], session);
	assert_int_equal(c->carriers[TRANSPORT_JSONP], 1);
	session_deliver(session, text, 4, false);
	assert_int_equal(messages, 1);
	session_count_sent();
	session_count_overflow();
	session_unbind(2);
	session_end(session);
	assert_true(session_settle());
	assert_int_equal(c->carriers[TRANSPORT_JSONP], 0);
	assert_int_equal(c->carriers_ever[TRANSPORT_XHR],
			 before.carriers_ever[TRANSPORT_XHR] + 1);
	assert_int_equal(c->carriers_ever[TRANSPORT_JSONP],
			 before.carriers_ever[TRANSPORT_JSONP] + 1);
	assert_int_equal(c->opened, before.opened + 1);
	assert_int_equal(c->messages_in, before.messages_in + 1);
	assert_int_equal(c->messages_out, before.messages_out + 1);
	assert_int_equal(c->overflows, before.overflows + 1);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_websocket_ends_with_its_connection),
		TEST(an_open_session_over_http_ends),
		TEST(a_closed_session_stays_until_its_client_is_gone),
		TEST(a_client_can_be_gone_before_the_service_is_notified),
		TEST(a_session_can_end_while_its_service_is_notified),
		TEST(a_service_is_notified_of_a_session_that_it_ends_in_closed),
		TEST(numbers_are_reused_and_have_a_bound),
		TEST(sessions_over_http_have_two_limits),
		TEST(carriers_and_messages_are_counted),
	};

	return cmocka_run_group_tests_name("session_table", tests, place, unmap);
}
