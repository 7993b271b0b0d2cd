#define _GNU_SOURCE /* POLLRDHUP */
#include "conn.h"

#include "client.h"
#include "log.h"
#include "pollset.h"
#include "tls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ = 65536,	/* bytes a turn, of one connection */
	FLUSH = 131072, /* bytes a turn, to one connection */
	LARGE = 16384,	/* bytes of a message that it costs to copy */
	EVICT = 64,	/* connections that conn_evict looks at */
	LINGER_S = 2,	/* for a peer to close after we have */
	RESTS_MS = 1000 /* without an event, after which TLS gives memory back */
};

/*
 * A connection's life.  The handler is told of its end once (closed_told), when it is no
 * longer OPEN.
 *
 *   state      input      next, and what leads there
 *   OPEN       delivered  FINISHING  conn_finish, or FIN of the peer
 *                         LINGERING  a failure of TLS, or plain HTTP instead of it
 *                         DOOMED     conn_abort, or an error of the socket
 *   FINISHING  discarded  LINGERING  all output and FIN are sent
 *                         DOOMED     the same, with the peer's FIN received before
 *   LINGERING  discarded  DOOMED     the peer's FIN, or LINGER_S seconds
 *   DOOMED     none       FREE       the end of the turn
 */
enum state {
	FREE,
	OPEN,	   /* the handler's */
	FINISHING, /* sends what is unsent, then FIN */
	LINGERING, /* FIN is sent; waits for the peer's */
	DOOMED	   /* closed at the end of the turn */
};

struct conn {
	int fd;
	enum state state;
	uint32_t next;	   /* of those to be settled, or of the free ones */
	bool changed;	   /* is to be settled */
	bool full;	   /* its block holds as much input as it may: none is received */
	bool polls_out;	   /* poll() reports when it takes output */
	bool held_back;	   /* no input is received until its turn comes */
	bool ended;	   /* the peer has sent FIN after we began to close */
	bool finished;	   /* TLS has been told that nothing more will be written */
	bool closed_told;  /* the handler knows, or never knew, of it */
	uint32_t deadline; /* millisecond modulo 2^32, 0: none */
	uint32_t moved; /* second in which unsent bytes last went out, or began to wait */
	uint32_t in_length, in_most; /* bytes of input that there are, and may be */
	uint32_t out_start, out_end; /* the unsent bytes in its block */
	char *in;		     /* blocks, held only while they hold something */
	char *out;
};

static struct {
	const struct conn_handler *handler;
	uint32_t stall; /* seconds */
	struct conn_counters counters;

	struct conn *conns;
	uint32_t unused;  /* numbers above this one have never been used */
	uint32_t free;	  /* the first of those given back */
	uint32_t held;	  /* all that are not free */
	uint32_t evicted; /* where conn_evict was last */
	uint32_t first_changed, last_changed;
} table;

void
conn_place(struct memory *m, uint32_t connections, uint32_t stall)
{
	table.stall = stall;
	table.conns = memory_take(m, (size_t)connections + 1, sizeof *table.conns);
}

void
conn_handle_with(const struct conn_handler *handler)
{
	table.handler = handler;
}

const struct conn_counters *
conn_count(void)
{
	return &table.counters;
}

uint32_t
conn_held(void)
{
	return table.held;
}

uint32_t
conn_now(void)
{
	return pollset_second();
}

uint64_t
conn_milliseconds(void)
{
	return pollset_now();
}

/*
 * Events, queues and deadlines
 */

static bool
is_unsent(uint32_t number)
{
	return table.conns[number].out != NULL || tls_unsent(number);
}

bool
conn_takes_input(uint32_t number)
{
	const struct conn *c = &table.conns[number];

	if (c->state != OPEN)
		return !c->ended;
	return !c->full && !c->held_back && tls_takes_input(number);
}

/*
 * Sets the events that poll() reports.  While the input is full the peer's FIN lies
 * behind what is not received: Linux reports it all the same.
 */
static void
watch(uint32_t number)
{
	struct conn *c = &table.conns[number];
	bool full = c->full && c->state == OPEN;

	c->polls_out = is_unsent(number);
	pollset_watch(number,
		      (short)((conn_takes_input(number) ? POLLIN : 0) |
			      (full ? POLLRDHUP : 0) | (c->polls_out ? POLLOUT : 0)));
}

static void
set_deadline(struct conn *c, uint32_t seconds)
{
	/* An odd millisecond is never 0. */
	c->deadline = seconds > 0 ? ((uint32_t)pollset_now() + seconds * 1000) | 1 : 0;
}

static bool
is_late(const struct conn *c)
{
	return c->deadline != 0 && (uint32_t)pollset_now() - c->deadline < UINT32_MAX / 2;
}

void
conn_deadline(uint32_t number, uint32_t seconds)
{
	if (table.conns[number].state == OPEN)
		set_deadline(&table.conns[number], seconds);
}

/*
 * Opening
 */

uint32_t
conn_add(int fd)
{
	uint32_t number = table.free;

	if (number != 0)
		table.free = table.conns[number].next;
	else
		number = ++table.unused;
	table.conns[number] = (struct conn){
		.fd = fd,
		.state = LINGERING,
		.in_most = (uint32_t)block_size(),
		.moved = pollset_second(),
	};
	pollset_add(number, fd);
	table.held++;
	return number;
}

void
conn_let_in(uint32_t number)
{
	table.conns[number].state = OPEN;
	table.counters.open++;
	tls_open(number);
	table.handler->opened(number);
}

void
conn_refuse(uint32_t number, const char *answer)
{
	struct conn *c = &table.conns[number];

	c->closed_told = true;
	if (answer == NULL) {
		conn_abort(number);
		return;
	}
	send(c->fd, answer, strlen(answer), MSG_NOSIGNAL);
	shutdown(c->fd, SHUT_WR);
	set_deadline(c, LINGER_S);
}

/*
 * Closing
 */

static void
schedule_settle(uint32_t number)
{
	struct conn *c = &table.conns[number];

	if (c->changed)
		return;
	c->changed = true;
	c->next = 0;
	if (table.last_changed != 0)
		table.conns[table.last_changed].next = number;
	else
		table.first_changed = number;
	table.last_changed = number;
}

uint32_t
conn_next_changed(void)
{
	uint32_t number = table.first_changed;

	if (number == 0)
		return 0;
	table.first_changed = table.conns[number].next;
	if (table.first_changed == 0)
		table.last_changed = 0;
	table.conns[number].changed = false;
	return number;
}

static void
set_closing(uint32_t number, enum state state)
{
	struct conn *c = &table.conns[number];

	if (c->state == OPEN)
		table.counters.open--;
	c->state = state;
	c->deadline = 0;
	watch(number);
	schedule_settle(number);
}

void
conn_finish(uint32_t number)
{
	if (table.conns[number].state == OPEN)
		set_closing(number, FINISHING);
}

void
conn_abort(uint32_t number)
{
	if (table.conns[number].state != FREE && table.conns[number].state != DOOMED)
		set_closing(number, DOOMED);
}

static bool
would_wait(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

/* After a call that failed: the kernel, too, knows peers that take nothing any more. */
static void
abort_failed(uint32_t number)
{
	table.counters.dropped[CONN_STALLED] += errno == ETIMEDOUT;
	conn_abort(number);
}

/* A connection that is not read from has failed. */
void
conn_abort_dead(uint32_t number)
{
	char byte;

	if (recv(table.conns[number].fd, &byte, 1, MSG_PEEK) < 0 && !would_wait())
		abort_failed(number);
	else
		conn_abort(number);
}

/*
 * Sending
 */

/* Sends what the socket takes, at most FLUSH bytes. */
static void
flush(uint32_t number)
{
	struct conn *c = &table.conns[number];
	size_t length = c->out != NULL ? c->out_end - c->out_start : 0;
	ssize_t n = tls_write(number, c->fd, c->out != NULL ? c->out + c->out_start : "",
			      length < FLUSH ? length : FLUSH);

	if (n < 0 && !would_wait()) {
		abort_failed(number);
		return;
	}
	if (n > 0 || tls_moved(number))
		c->moved = pollset_second();
	if (n > 0) {
		c->out_start += (uint32_t)n;
		table.counters.bytes_out += (uint64_t)n;
	}
	if (c->out != NULL && c->out_start == c->out_end) {
		block_give(c->out);
		c->out = NULL;
	}
	/* The events change with what is unsent, and with what TLS wants. */
	if (c->out != NULL || c->polls_out || tls_used())
		watch(number);
	if (c->state == OPEN && tls_over(number))
		conn_finish(number);
}

/* Room for more in the connection's block; NULL if the connection is closing. */
static char *
reserve(uint32_t number, size_t length)
{
	struct conn *c = &table.conns[number];

	if (c->out != NULL && length > block_size() - c->out_end) {
		/* The socket may take what has gathered in this turn. */
		flush(number);
		if (c->state != OPEN)
			return NULL;
		if (c->out != NULL && c->out_start > 0) {
			c->out_end -= c->out_start;
			memmove(c->out, c->out + c->out_start, c->out_end);
			c->out_start = 0;
		}
	}
	if (c->out == NULL) {
		c->out = block_take();
		c->out_start = c->out_end = 0;
		c->moved = pollset_second();
	}
	if (c->out == NULL || length > block_size() - c->out_end) {
		table.counters.dropped[CONN_UNREAD]++;
		log_line(LEVEL_WARN, client_name(number),
			 "closed: it does not read what it is sent");
		conn_abort(number);
		return NULL;
	}
	return c->out + c->out_end;
}

/* Sends from the front of a span what the socket takes: false if that is not all. */
static bool
send_front(uint32_t number, struct span *s, int more)
{
	ssize_t n = send(table.conns[number].fd, s->data, s->length, MSG_NOSIGNAL | more);

	if (n < 0 && !would_wait())
		abort_failed(number);
	if (n > 0) {
		s->data += n;
		s->length -= (size_t)n;
		table.counters.bytes_out += (uint64_t)n;
	}
	return s->length == 0;
}

bool
conn_send(uint32_t number, struct span head, struct span body)
{
	struct conn *c = &table.conns[number];

	if (c->state != OPEN)
		return false;
	/* What is large goes out at once, if nothing is before it: to copy it would cost
	 * more than to wait for others could save. */
	if (body.length >= LARGE && c->out == NULL && !tls_used() &&
	    send_front(number, &head, MSG_MORE) && send_front(number, &body, 0))
		return true;
	if (c->state != OPEN)
		return false;
	size_t length = head.length + body.length;
	char *room = reserve(number, length);
	if (room == NULL)
		return false;
	if (head.length > 0)
		memcpy(room, head.data, head.length);
	if (body.length > 0)
		memcpy(room + head.length, body.data, body.length);
	c->out_end += (uint32_t)length;
	schedule_settle(number);
	return true;
}

bool
conn_write(uint32_t number, const void *data, size_t length)
{
	return conn_send(number, (struct span){ data, length }, (struct span){ "", 0 });
}

/*
 * Receiving
 */

static void
note_full(uint32_t number)
{
	struct conn *c = &table.conns[number];
	bool full = c->in_length >= c->in_most;

	if (full == c->full)
		return;
	c->full = full;
	watch(number);
}

void
conn_limit_input(uint32_t number, size_t bytes)
{
	struct conn *c = &table.conns[number];

	c->in_most = (uint32_t)(bytes < block_size() ? bytes : block_size());
	note_full(number);
}

static void
drop_input(struct conn *c)
{
	if (c->in != NULL)
		block_give(c->in);
	c->in = NULL;
	c->in_length = 0;
}

/* Hands up `length` bytes of the connection's block, and keeps what is wanted again. */
static void
deliver_input(uint32_t number, size_t length)
{
	struct conn *c = &table.conns[number];

	c->in_length = (uint32_t)table.handler->received(number, c->in, length);
	note_full(number);
	if (c->full && c->in_length == block_size())
		conn_abort(number);
	if (c->in_length == 0 || c->state != OPEN)
		drop_input(c);
}

/* What a closing peer still sends is of no interest; that it closes is. */
void
conn_discard(uint32_t number)
{
	char junk[4096];

	if (table.conns[number].state == DOOMED)
		return;
	ssize_t n = recv(table.conns[number].fd, junk, sizeof junk, 0);

	if (n == 0 ? table.conns[number].state == LINGERING : n < 0 && !would_wait()) {
		conn_abort(number);
	} else if (n == 0) {
		table.conns[number].ended = true;
		watch(number);
	}
}

/* What cannot be answered any more, or not in the way of TLS: the peer is to close. */
static void
end_here(uint32_t number)
{
	shutdown(table.conns[number].fd, SHUT_WR);
	set_closing(number, LINGERING);
	/* Output that is left over is not sent: POLLOUT would be reported without end. */
	pollset_watch(number, POLLIN);
	set_deadline(&table.conns[number], LINGER_S);
}

/* Somebody who speaks plain HTTP to TLS is told in plain HTTP. */
static void
refuse_plain(uint32_t number)
{
	static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
				     "Content-Type: text/plain; charset=UTF-8\r\n"
				     "Content-Length: 36\r\n"
				     "Connection: close\r\n"
				     "\r\n"
				     "This port speaks TLS: use https: URL";

	log_line(LEVEL_DEBUG, client_name(number), "plain HTTP where TLS is spoken");
	send(table.conns[number].fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
	end_here(number);
}

/* A read returned nothing: for FIN (0), or for an error. */
static void
end_input(uint32_t number, int error)
{
	struct conn *c = &table.conns[number];

	errno = error;
	if (error == 0)
		conn_finish(number);
	else if (error == EPROTO)
		refuse_plain(number);
	else if (error == ECONNABORTED)
		end_here(number);
	else if (!would_wait())
		abort_failed(number);
	if (c->in_length == 0 || c->state != OPEN)
		drop_input(c);
	/* The handshake may have produced output. */
	if (is_unsent(number))
		schedule_settle(number);
}

void
conn_deliver(uint32_t number)
{
	deliver_input(number, table.conns[number].in_length);
}

void
conn_receive(uint32_t number)
{
	struct conn *c = &table.conns[number];

	/* An empty read would look like FIN. */
	if (c->full)
		return;
	if (c->in == NULL)
		c->in = block_take();
	if (c->in == NULL) {
		conn_abort(number);
		return;
	}
	size_t room = c->in_most - c->in_length;
	ssize_t n =
	    tls_read(number, c->fd, c->in + c->in_length, room < READ ? room : READ);
	if (n > 0) {
		table.counters.bytes_in += (uint64_t)n;
		deliver_input(number, c->in_length + (size_t)n);
	} else {
		end_input(number, n == 0 ? 0 : errno);
	}
	/* Reading TLS can also send, and so begin or end a wait for POLLOUT. */
	if (tls_used() && c->state == OPEN)
		watch(number);
}

bool
conn_is_open(uint32_t number)
{
	return table.conns[number].state == OPEN;
}

bool
conn_has_input(uint32_t number)
{
	return table.conns[number].in != NULL;
}

void
conn_hold_back(uint32_t number, bool hold)
{
	table.conns[number].held_back = hold;
	watch(number);
}

void
conn_writable(uint32_t number)
{
	if (table.conns[number].state != DOOMED && is_unsent(number))
		schedule_settle(number);
}

/*
 * The end of a turn
 */

static void
free_conn(uint32_t number)
{
	struct conn *c = &table.conns[number];

	drop_input(c);
	if (c->out != NULL)
		block_give(c->out);
	tls_close(number);
	pollset_remove(number);
	close(c->fd);
	c->state = FREE;
	c->next = table.free;
	table.free = number;
	table.held--;
}

bool
conn_evict(void)
{
	/* In turn, so that a search goes on where the last one ended. */
	for (unsigned i = 0; i < EVICT && table.unused > 0; i++) {
		table.evicted = table.evicted % table.unused + 1;
		if (table.conns[table.evicted].state == LINGERING) {
			conn_abort(table.evicted);
			return true;
		}
	}
	return false;
}

bool
conn_settle(uint32_t number)
{
	struct conn *c = &table.conns[number];

	if (c->state != OPEN && !c->closed_told) {
		c->closed_told = true;
		table.handler->closed(number);
	}
	if (c->state != DOOMED && is_unsent(number))
		flush(number);
	if (c->state == FINISHING && c->out == NULL && !c->finished) {
		c->finished = true;
		tls_finish(number);
		flush(number);
	}
	if (c->state == FINISHING && !is_unsent(number)) {
		/* A close with unread bytes would be a reset, which can overtake
		 * what was sent last: so the peer closes first, within a time. */
		shutdown(c->fd, SHUT_WR);
		c->state = c->ended ? DOOMED : LINGERING;
		set_deadline(c, LINGER_S);
	}
	if (c->state != DOOMED || c->changed)
		return false;
	free_conn(number);
	return true;
}

void
conn_sweep(uint32_t number)
{
	struct conn *c = &table.conns[number];

	if (pollset_rest(number) > RESTS_MS)
		tls_rest(number);
	if (is_unsent(number) && pollset_second() - c->moved > table.stall) {
		table.counters.dropped[CONN_STALLED]++;
		conn_abort(number);
	} else if (is_late(c)) {
		c->deadline = 0;
		if (c->state == OPEN)
			table.handler->expired(number);
		else
			conn_abort(number);
	}
}

void
conn_stop(uint32_t number)
{
	if (table.conns[number].state == OPEN)
		table.handler->stopping(number);
}

void
conn_close(uint32_t number)
{
	close(table.conns[number].fd);
}
