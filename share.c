#define _GNU_SOURCE /* POLLRDHUP */
#include "share.h"

#include "conn.h"
#include "pollset.h"
#include "tls.h"

enum {
	BUDGET_US = 5000,    /* of a turn, for all input */
	HEAVY_US = 1000,     /* above this, a connection's next input waits for others */
	LONGEST_US = 1000000 /* a longer step of a handshake counts as this */
};

/* The queues of connections that have input. */
enum queue_name {
	NOT_QUEUED,
	BACKLOG, /* the input exceeded the share of a turn */
	HELLOS,	 /* the first step of the TLS handshake waits */
	BEGUN,	 /* a later step of it waits */
	QUEUES
};

struct queue {
	uint32_t first, last; /* 0: empty */
	uint32_t count;
};

struct share {
	uint32_t after, before; /* neighbours in the queue */
	enum queue_name queue;
	bool has_unread; /* `received` has kept input that it has not read */
	bool is_heavy; /* its last input took more than HEAVY_US, or it has more input */
};

static struct {
	struct share *shares; /* by connection */
	struct queue queues[QUEUES];
	uint32_t served; /* the connection whose `received` runs; 0: none */

	/* Microseconds (pollset_clock): */
	uint64_t turn_begun;
	uint64_t service_begun; /* of the connection that is served */
	uint64_t handshake_at;	/* latest start of the next step of a handshake */
	uint64_t quiet_at;	/* its start if others have no input until then; 0: now */
	uint32_t step;		/* duration of the last step */
	uint32_t share;		/* of one connection in this turn */
	bool is_timed;		/* several connections have input: each is measured */
	bool others;	    /* connections not in a handshake were served in this turn */
	bool prefers_begun; /* the next step is one of BEGUN, if there is any */
} turn;

void
share_place(struct memory *m, uint32_t connections)
{
	turn.shares = memory_take(m, (size_t)connections + 1, sizeof *turn.shares);
}

/*
 * Queues
 */

static void
enqueue(uint32_t conn, enum queue_name name)
{
	struct share *s = &turn.shares[conn];
	struct queue *q = &turn.queues[name];

	if (s->queue != NOT_QUEUED)
		return;
	s->queue = name;
	s->before = q->last;
	s->after = 0;
	*(q->last != 0 ? &turn.shares[q->last].after : &q->first) = conn;
	q->last = conn;
	q->count++;
}

static void
dequeue(uint32_t conn)
{
	struct share *s = &turn.shares[conn];
	struct queue *q = &turn.queues[s->queue];

	if (s->queue == NOT_QUEUED)
		return;
	*(s->before != 0 ? &turn.shares[s->before].after : &q->first) = s->after;
	*(s->after != 0 ? &turn.shares[s->after].before : &q->last) = s->before;
	s->queue = NOT_QUEUED;
	q->count--;
}

void
share_closed(uint32_t conn)
{
	dequeue(conn);
	turn.shares[conn] = (struct share){ 0 };
}

/*
 * Serving
 */

bool
share_over(uint32_t conn)
{
	if (conn_is_open(conn) && pollset_clock() - turn.service_begun < turn.share)
		return false;
	turn.shares[conn].has_unread = true;
	return true;
}

void
share_resume(uint32_t conn)
{
	if (!conn_is_open(conn) || conn == turn.served)
		return;
	turn.shares[conn].has_unread = conn_has_input(conn);
	if (turn.shares[conn].has_unread || tls_readable(conn))
		enqueue(conn, BACKLOG);
}

/*
 * Passes input to `received`: the input that it has kept unread, or the result of one
 * read.  Further input, there or in the TLS engine, waits for the next turn.
 */
static void
serve_input(uint32_t conn)
{
	struct share *s = &turn.shares[conn];
	uint32_t outer = turn.served; /* `received` can call share_receive_now */
	bool unread = s->has_unread && conn_has_input(conn);

	turn.served = conn;
	s->has_unread = false;
	if (unread)
		conn_deliver(conn);
	else
		conn_receive(conn);
	turn.served = outer;
	s->has_unread = s->has_unread && conn_has_input(conn);
	s->is_heavy = (s->has_unread || (tls_readable(conn) && conn_takes_input(conn))) &&
		      conn_is_open(conn);
	if (s->is_heavy)
		enqueue(conn, BACKLOG);
}

/* The same, but also measures the time if other connections have input. */
static void
serve_share(uint32_t conn)
{
	serve_input(conn);
	turn.others = true;
	if (!turn.is_timed)
		return;
	uint64_t now = pollset_clock();
	turn.shares[conn].is_heavy |= now - turn.service_begun > HEAVY_US;
	turn.service_begun = now;
}

void
share_begin(uint32_t ready)
{
	uint32_t all = ready + turn.queues[BACKLOG].count;

	turn.turn_begun = turn.service_begun = pollset_woken_at();
	turn.is_timed = all > 1;
	turn.share = BUDGET_US / (all > 0 ? all : 1);
	turn.others = false;
}

void
share_skip(void)
{
	turn.turn_begun = turn.service_begun = pollset_clock();
}

void
share_serve(uint32_t conn, short events)
{
	const struct share *s = &turn.shares[conn];

	pollset_touch(conn);
	if ((events & POLLOUT) != 0)
		conn_writable(conn);
	if (s->queue == BACKLOG ||
	    (events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) == 0)
		return;
	if (!conn_is_open(conn)) {
		conn_discard(conn);
	} else if ((events & POLLIN) == 0 && !conn_takes_input(conn)) {
		if ((events & (POLLHUP | POLLERR)) != 0)
			conn_abort_dead(conn);
		else
			conn_finish(conn);
	} else if (tls_in_handshake(conn)) {
		enqueue(conn, tls_has_begun(conn) ? BEGUN : HELLOS);
		conn_hold_back(conn, true);
	} else if (s->is_heavy || turn.service_begun - turn.turn_begun > BUDGET_US) {
		enqueue(conn, BACKLOG);
	} else {
		serve_share(conn);
	}
}

bool
share_has_backlog(void)
{
	return turn.queues[BACKLOG].count > 0;
}

void
share_serve_backlog(void)
{
	const struct queue *q = &turn.queues[BACKLOG];

	turn.is_timed = true;
	turn.service_begun = pollset_clock();
	for (uint32_t left = q->count; left > 0 && q->first != 0; left--) {
		uint32_t conn = q->first;
		dequeue(conn);
		pollset_touch(conn);
		if (conn_is_open(conn))
			serve_share(conn);
		if (turn.service_begun - turn.turn_begun > BUDGET_US)
			break;
	}
}

/*
 * TLS handshakes
 *
 * A step of a handshake can cost a private-key operation, and a turn makes one step at
 * most.  After a step, input of other connections delays the next one until there has
 * been none for a quarter of the step's duration, at most for the whole duration.  So
 * others wait for one step at most, and get half of the time if they need it all.
 *
 * First steps and later ones take turns.  If many clients come at the same time, some are
 * in soon while others still wait: with one queue, all would be in at the end, or time
 * out together.
 */

static uint32_t
first_handshake(void)
{
	uint32_t hello = turn.queues[HELLOS].first, begun = turn.queues[BEGUN].first;

	return begun == 0 || (hello != 0 && !turn.prefers_begun) ? hello : begun;
}

uint64_t
share_handshake_at(void)
{
	if (first_handshake() == 0)
		return UINT64_MAX;
	return turn.quiet_at < turn.handshake_at ? turn.quiet_at : turn.handshake_at;
}

void
share_serve_handshake(void)
{
	uint32_t conn = first_handshake();

	if (conn == 0)
		return;
	uint64_t begun = pollset_clock();
	if (turn.others)
		turn.quiet_at = begun + turn.step / 4;
	if (begun < share_handshake_at())
		return;
	turn.prefers_begun = turn.shares[conn].queue == HELLOS;
	dequeue(conn);
	if (!conn_is_open(conn))
		return;
	conn_hold_back(conn, false); /* which counts the wait, up to pollset_touch */
	pollset_touch(conn);
	turn.service_begun = begun;
	serve_input(conn);
	uint64_t end = pollset_clock();
	/* A process that was stopped (SIGSTOP) meanwhile must not pause for an hour. */
	turn.step = end - begun < LONGEST_US ? (uint32_t)(end - begun) : LONGEST_US;
	turn.handshake_at = end + turn.step;
	turn.quiet_at = 0;
}

bool
share_receive_now(uint32_t conn)
{
	if (conn_is_open(conn) && !turn.shares[conn].has_unread && conn_takes_input(conn))
		serve_input(conn);
	return conn_is_open(conn);
}
