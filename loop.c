#include "loop.h"

#include "accept.h"
#include "client.h"
#include "log.h"
#include "pollset.h"
#include "report.h"
#include "share.h"
#include "tls.h"

enum {
	REFUSED = 8, /* maximum number of refused connections that are being answered */
	EVENT_S = 2, /* from an event to a sweep: the earliest deadline that it can set */
	DATES_S = 3600, /* the longest wait: on_wakeup checks dates of certificates */
	FLUSH_MS = 100	/* the end of `grace`, in which open connections are closed */
};

static struct {
	const struct conn_handler *handler;
	struct loop_counters counters;
	uint32_t next_sweep; /* second, as pollset_second */
	uint64_t stop_at;    /* millisecond, as pollset_now; 0: not stopping */
} loop;

uint32_t
loop_highest(const struct loop_limits *limits)
{
	return limits->connections + REFUSED;
}

void
loop_place(struct memory *m, const struct loop_limits *limits)
{
	const struct accept_limits accept = {
		.connections = limits->connections,
		.per_address = limits->per_address,
		.highest = loop_highest(limits),
		.timeout_s = limits->stall,
		.key = { limits->key[0], limits->key[1] },
	};

	pollset_place(m, accept.highest);
	client_place(m, accept.highest, limits->proxies);
	conn_place(m, accept.highest, limits->stall);
	accept_place(m, &accept);
	share_place(m, accept.highest);
}

const struct loop_counters *
loop_count(void)
{
	return &loop.counters;
}

/* Makes the next sweep due in so many seconds, at most. */
static void
sweep_within(uint32_t seconds)
{
	if (pollset_second() + seconds < loop.next_sweep)
		loop.next_sweep = pollset_second() + seconds;
}

/*
 * Sends the output of the turn, and closes connections.  Repeats this until nothing
 * changes, because a closed connection ends a session, which others are notified of.
 */
static void
settle(void)
{
	uint32_t conn = 0;

	while (loop.handler->settle() || (conn = conn_next_changed()) != 0) {
		sweep_within(EVENT_S);
		for (; conn != 0; conn = conn_next_changed())
			if (conn_settle(conn)) {
				share_closed(conn);
				accept_closed(conn);
			}
	}
}

static void
sweep(void)
{
	uint32_t cursor = 0, conn, next = DATES_S;

	while ((conn = pollset_each(&cursor)) != 0) {
		uint32_t seconds = conn_sweep(conn);
		next = seconds < next ? seconds : next;
	}
	accept_second();
	bool more = loop.handler->second();
	more |= tls_sweep();
	more |= report_second();
	more |= log_pending();
	more |= block_sweep();
	if (more)
		next = 1;
	loop.next_sweep = pollset_second() + next;
}

/* Returns the time until which there is nothing to do, for pollset_wait. */
static uint64_t
idle_until(void)
{
	uint64_t now = pollset_now(), until = (uint64_t)loop.next_sweep * 1000;

	if (share_has_backlog())
		return 0;
	if (loop.stop_at != 0 && loop.stop_at < until)
		until = loop.stop_at;
	until = pollset_woken_at() + (until > now ? (until - now) * 1000 : 0);
	uint64_t handshake = share_handshake_at();
	return handshake < until ? handshake : until;
}

static void
handle_events(void)
{
	struct pollset_event e;

	while (pollset_next(&e)) {
		if (e.conn != 0) {
			share_serve(e.conn, e.events);
		} else if (loop.stop_at == 0) {
			accept_ready(e.listener);
			share_skip();
		}
	}
}

/*
 * First serves connections with new input.  Then, if there is a backlog, sends the output
 * and serves connections whose input exceeded their share.
 */
static void
take_turn(const sigset_t *waiting, void (*on_wakeup)(void))
{
	uint32_t ready = pollset_wait(idle_until(), waiting);

	loop.counters.turns++;
	sweep_within(EVENT_S);
	pollset_let_signals_in(waiting);
	on_wakeup();
	share_begin(ready);
	handle_events();
	if (share_has_backlog()) {
		settle();
		share_serve_backlog();
	}
	share_serve_handshake();
	/* Check timeouts only after all pending input has been read. */
	if (pollset_second() >= loop.next_sweep && pollset_complete())
		sweep();
	settle();
	log_flush();
}

static void
run(const sigset_t *waiting, void (*on_wakeup)(void))
{
	while (loop.stop_at == 0 || (conn_held() > 0 && pollset_now() < loop.stop_at))
		take_turn(waiting, on_wakeup);
}

void
loop_run(const struct conn_handler *handler, const sigset_t *waiting,
	 void (*on_wakeup)(void))
{
	uint32_t cursor = 0, conn;

	loop.handler = handler;
	conn_handle_with(handler);
	pollset_start();
	run(waiting, on_wakeup);
	while ((conn = pollset_each(&cursor)) != 0)
		conn_finish(conn);
	settle();
	loop.stop_at += FLUSH_MS;
	run(waiting, on_wakeup);
	for (cursor = 0; (conn = pollset_each(&cursor)) != 0;)
		conn_close(conn);
}

void
loop_stop(uint32_t grace)
{
	uint32_t cursor = 0, conn;

	loop.stop_at = pollset_now() + (grace > FLUSH_MS ? grace - FLUSH_MS : 0);
	accept_stop();
	while ((conn = pollset_each(&cursor)) != 0)
		if (conn_is_open(conn))
			loop.handler->stopping(conn);
}
