#define _GNU_SOURCE /* POLLRDHUP */
#include "conn.h"

#include "client.h"
#include "log.h"
#include "pollset.h"
#include "redirect.h"
#include "socket.h"
#include "tls.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	READ_SIZE = 65536,   /* bytes a turn from one connection, at most */
	FLUSH_SIZE = 131072, /* bytes a turn to one connection, at most */
	LARGE_SIZE = 16384,  /* bytes of a message that is sent without a copy */
	LINGER_S = 2,	     /* from our FIN to the peer's */
	IDLE_MS = 1000,	     /* without an event, before conn_sweep acts on it */
	HELD_MS = 60000	     /* maximum wait for the handshakes of others */
};

/*
 * The states of a connection.  The end of OPEN calls the handler's `closed` once.
 *
 *   state      input      next       event
 *   FREE       none       LINGERING  conn_add
 *   OPEN       delivered  FINISHING  conn_finish, or the peer's FIN
 *                         LINGERING  a failure of TLS
 *                         DOOMED     conn_abort, or an error of the socket
 *   FINISHING  discarded  LINGERING  all output and FIN are sent
 *                         DOOMED     the same, after the peer's FIN
 *   LINGERING  discarded  OPEN       conn_let_in
 *                         DOOMED     the peer's FIN, LINGER_S seconds, or conn_evict
 *   DOOMED     none       FREE       the end of the turn
 */
enum state { FREE, OPEN, FINISHING, LINGERING, DOOMED };

struct conn {
	int fd;
	enum state state;
	uint32_t next;	      /* in the list of changed or of free connections */
	bool is_changed;      /* in the list for conn_settle */
	bool is_full;	      /* the block holds as much input as allowed */
	bool polls_out;	      /* poll() reports POLLOUT */
	bool is_held_back;    /* share.c delays its input */
	bool got_fin;	      /* in FINISHING */
	bool tls_finished;    /* tls_finish has been called */
	bool closed_reported; /* `closed` has been called, or must not be called */
	uint32_t deadline;    /* the second in which it has passed; 0: none */
	uint32_t progress;    /* second in which output was last sent or began to wait */
	uint32_t in_length, in_most; /* bytes of input: present, allowed */
	uint32_t out_start, out_end; /* the unsent bytes in `out` */
	char *in;		     /* blocks; NULL while they would be empty */
	char *out;
};

static struct {
	const struct conn_handler *handler;
	uint32_t stall; /* seconds */
	struct conn_counters counters;
	struct conn *table;
	uint32_t ever_used;  /* the highest number used so far */
	uint32_t first_free; /* of the list of free numbers below that */
	uint32_t held;	     /* numbers in use */
	uint32_t first_changed, last_changed;
} conns;

void
conn_place(struct memory *m, uint32_t connections, uint32_t stall)
{
	conns.stall = stall;
	conns.table = memory_take(m, (size_t)connections + 1, sizeof *conns.table);
}

void
conn_handle_with(const struct conn_handler *handler)
{
	conns.handler = handler;
}

const struct conn_counters *
conn_count(void)
{
	return &conns.counters;
}

uint32_t
conn_held(void)
{
	return conns.held;
}

uint32_t
conn_seconds(void)
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
has_output(uint32_t number)
{
	return conns.table[number].out != NULL || tls_unsent(number);
}

bool
conn_takes_input(uint32_t number)
{
	const struct conn *c = &conns.table[number];

	return c->state == OPEN
		   ? !c->is_full && !c->is_held_back && tls_takes_input(number)
		   : !c->got_fin;
}

/* Sets the events that poll() reports.  While the block is full, or input has been held
 * back for IDLE_MS, only POLLRDHUP reports the peer's FIN (Linux), behind that input. */
static void
watch(uint32_t number)
{
	struct conn *c = &conns.table[number];
	bool held = c->is_held_back && pollset_idle_ms(number) >= IDLE_MS;
	bool deaf = (c->is_full || held) && c->state == OPEN;

	c->polls_out = has_output(number);
	pollset_watch(number,
		      (short)((conn_takes_input(number) ? POLLIN : 0) |
			      (deaf ? POLLRDHUP : 0) | (c->polls_out ? POLLOUT : 0)));
}

static void
set_deadline(struct conn *c, uint32_t seconds)
{
	c->deadline = seconds > 0 ? pollset_second() + seconds + 1 : 0;
}

void
conn_deadline(uint32_t number, uint32_t seconds)
{
	if (conns.table[number].state == OPEN)
		set_deadline(&conns.table[number], seconds);
}

/*
 * Opening and closing
 */

uint32_t
conn_add(int fd)
{
	uint32_t number = conns.first_free;

	if (number != 0)
		conns.first_free = conns.table[number].next;
	else
		number = ++conns.ever_used;
	conns.table[number] = (struct conn){
		.fd = fd,
		.state = LINGERING,
		.in_most = (uint32_t)block_size(),
		.progress = pollset_second(),
	};
	pollset_add(number, fd);
	conns.held++;
	return number;
}

void
conn_let_in(uint32_t number)
{
	conns.table[number].state = OPEN;
	conns.counters.open++;
	tls_open(number);
	conns.handler->opened(number);
}

static void
schedule_settle(uint32_t number)
{
	struct conn *c = &conns.table[number];

	if (c->is_changed)
		return;
	c->is_changed = true;
	c->next = 0;
	if (conns.first_changed != 0)
		conns.table[conns.last_changed].next = number;
	else
		conns.first_changed = number;
	conns.last_changed = number;
}

uint32_t
conn_next_changed(void)
{
	uint32_t number = conns.first_changed;

	if (number == 0)
		return 0;
	conns.first_changed = conns.table[number].next;
	conns.table[number].is_changed = false;
	return number;
}

static void
set_closing(uint32_t number, enum state state)
{
	struct conn *c = &conns.table[number];

	if (c->state == OPEN)
		conns.counters.open--;
	c->state = state;
	c->is_held_back = false;
	c->deadline = 0;
	watch(number);
	schedule_settle(number);
}

void
conn_finish(uint32_t number)
{
	if (conns.table[number].state == OPEN)
		set_closing(number, FINISHING);
}

void
conn_abort(uint32_t number)
{
	if (conns.table[number].state != FREE && conns.table[number].state != DOOMED)
		set_closing(number, DOOMED);
}

/* For a failure or a refusal: sends an answer without TLS, not the output, then FIN. */
static void
linger(uint32_t number, const char *answer)
{
	if (*answer != '\0')
		send(conns.table[number].fd, answer, strlen(answer), MSG_NOSIGNAL);
	shutdown(conns.table[number].fd, SHUT_WR);
	set_closing(number, LINGERING);
	/* Without POLLOUT, which unsent output would cause without end. */
	pollset_watch(number, POLLIN);
	set_deadline(&conns.table[number], LINGER_S);
}

void
conn_refuse(uint32_t number, const char *answer)
{
	conns.table[number].closed_reported = true;
	if (answer == NULL)
		conn_abort(number);
	else
		linger(number, answer);
}

/* Handles errno after a system call.  ETIMEDOUT: TCP_USER_TIMEOUT has passed. */
static void
abort_failed(uint32_t number)
{
	conns.counters.dropped[CONN_STALLED] += errno == ETIMEDOUT;
	conn_abort(number);
}

void
conn_abort_dead(uint32_t number)
{
	char byte;

	if (recv(conns.table[number].fd, &byte, 1, MSG_PEEK) >= 0)
		errno = 0;
	abort_failed(number);
}

/*
 * Sending
 */

/* Sends as much output as the socket accepts, at most FLUSH_SIZE bytes. */
static void
flush(uint32_t number)
{
	struct conn *c = &conns.table[number];
	size_t length = c->out != NULL ? c->out_end - c->out_start : 0;
	ssize_t n = tls_write(number, c->fd, c->out != NULL ? c->out + c->out_start : "",
			      length < FLUSH_SIZE ? length : FLUSH_SIZE);

	if (n < 0 && !socket_would_wait()) {
		abort_failed(number);
		return;
	}
	if (n > 0 || tls_progressed(number))
		c->progress = pollset_second();
	if (n > 0) {
		c->out_start += (uint32_t)n;
		conns.counters.bytes_out += (uint64_t)n;
	}
	if (c->out != NULL && c->out_start == c->out_end) {
		block_give(c->out);
		c->out = NULL;
	}
	/* The events depend on the output, and on the state of TLS. */
	if (c->out != NULL || c->polls_out || tls_enabled())
		watch(number);
	if (c->state == OPEN && tls_has_ended(number))
		conn_finish(number);
}

/* Returns space at the end of the output, or NULL if the connection is closing. */
static char *
reserve(uint32_t number, size_t length)
{
	struct conn *c = &conns.table[number];

	if (c->out != NULL && length > block_size() - c->out_end) {
		/* The socket may accept the output that has accumulated in this turn. */
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
		c->progress = pollset_second();
	}
	if (c->out == NULL || length > block_size() - c->out_end) {
		conns.counters.dropped[CONN_UNREAD]++;
		log_line(LEVEL_WARN, client_name(number),
			 "closed: output buffer full, the client is not reading");
		conn_abort(number);
		return NULL;
	}
	return c->out + c->out_end;
}

bool
conn_send(uint32_t number, struct span head, struct span body)
{
	struct conn *c = &conns.table[number];
	size_t length = head.length + body.length, sent = 0;

	/* If no output waits, a large message is sent immediately: copying it would cost
	 * more than sending it together with others saves. */
	if (c->state == OPEN && body.length >= LARGE_SIZE && c->out == NULL &&
	    !tls_enabled()) {
		ssize_t n = socket_write(c->fd, head, body);
		if (n < 0 && !socket_would_wait())
			abort_failed(number);
		sent = n > 0 ? (size_t)n : 0;
		conns.counters.bytes_out += sent;
	}
	if (sent > 0 && sent == length)
		return true;
	char *room = c->state == OPEN ? reserve(number, length) : NULL;
	if (room == NULL)
		return false;
	if (head.length > 0)
		memcpy(room, head.data, head.length);
	if (body.length > 0)
		memcpy(room + head.length, body.data, body.length);
	c->out_start += (uint32_t)sent;
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
	struct conn *c = &conns.table[number];
	bool full = c->in_length >= c->in_most;

	if (full != c->is_full) {
		c->is_full = full;
		watch(number);
	}
}

void
conn_limit_input(uint32_t number, size_t bytes)
{
	struct conn *c = &conns.table[number];

	c->in_most = (uint32_t)(bytes < block_size() ? bytes : block_size());
	note_full(number);
}

/* Gives the block back, except while it holds an open connection's input. */
static void
release_input(struct conn *c)
{
	if (c->in == NULL || (c->in_length > 0 && c->state == OPEN))
		return;
	block_give(c->in);
	c->in = NULL;
	c->in_length = 0;
}

/* Answers plain HTTP on a TLS port.  Returns the number of bytes that remain. */
static size_t
receive_plain(uint32_t number, size_t length)
{
	size_t scanned = conns.table[number].in_length;
	const char *answer = redirect_answer(conns.table[number].in, length, scanned);

	if (answer == NULL)
		return length;
	log_line(LEVEL_INFO, client_name(number),
		 "rejected: plain HTTP on a TLS port (TLS)");
	conn_write(number, answer, strlen(answer));
	conn_finish(number);
	return 0;
}

/* Delivers the `length` bytes in the block.  The bytes that the handler keeps remain. */
static void
deliver_input(uint32_t number, size_t length)
{
	struct conn *c = &conns.table[number];
	c->in_length = (uint32_t)(tls_is_plain(number)
				      ? receive_plain(number, length)
				      : conns.handler->received(number, c->in, length));
	note_full(number);
	if (c->is_full && c->in_length == block_size())
		conn_abort(number);
	release_input(c);
}

void
conn_discard(uint32_t number)
{
	char junk[4096];

	if (conns.table[number].state == DOOMED)
		return;
	ssize_t n = recv(conns.table[number].fd, junk, sizeof junk, 0);
	if (n == 0 ? conns.table[number].state == LINGERING
		   : n < 0 && !socket_would_wait()) {
		conn_abort(number);
	} else if (n == 0) {
		conns.table[number].got_fin = true;
		watch(number);
	}
}

/* Handles a read that returned `n`: 0 for FIN, or -1 with errno set. */
static void
end_input(uint32_t number, ssize_t n)
{
	struct conn *c = &conns.table[number];

	if (n == 0)
		conn_finish(number);
	else if (errno == ECONNABORTED)
		linger(number, "");
	else if (!socket_would_wait())
		abort_failed(number);
	release_input(c);
	/* The handshake may have produced output. */
	if (has_output(number))
		schedule_settle(number);
}

void
conn_deliver(uint32_t number)
{
	deliver_input(number, conns.table[number].in_length);
}

void
conn_receive(uint32_t number)
{
	struct conn *c = &conns.table[number];

	/* A read of 0 bytes would look like FIN. */
	if (c->is_full)
		return;
	if (c->in == NULL && (c->in = block_take()) == NULL) {
		conn_abort(number);
		return;
	}
	size_t room = c->in_most - c->in_length;
	ssize_t n = tls_read(number, c->fd, c->in + c->in_length,
			     room < READ_SIZE ? room : READ_SIZE);
	if (n > 0) {
		conns.counters.bytes_in += (uint64_t)n;
		deliver_input(number, c->in_length + (size_t)n);
	} else {
		end_input(number, n);
	}
	/* TLS may have sent, or may need to send. */
	if (tls_enabled() && c->state == OPEN)
		watch(number);
}

bool
conn_is_open(uint32_t number)
{
	return conns.table[number].state == OPEN;
}

bool
conn_has_input(uint32_t number)
{
	return conns.table[number].in != NULL;
}

void
conn_hold_back(uint32_t number, bool hold)
{
	struct conn *c = &conns.table[number];

	if (!hold && c->deadline != 0 && !tls_has_begun(number))
		c->deadline += (pollset_idle_ms(number) + 999) / 1000;
	c->is_held_back = hold;
	watch(number);
}

void
conn_writable(uint32_t number)
{
	if (conns.table[number].state != DOOMED && has_output(number))
		schedule_settle(number);
}

/*
 * The end of a turn
 */

static void
free_conn(uint32_t number)
{
	struct conn *c = &conns.table[number];

	release_input(c);
	if (c->out != NULL)
		block_give(c->out);
	tls_close(number);
	pollset_remove(number);
	close(c->fd);
	c->state = FREE;
	c->next = conns.first_free;
	conns.first_free = number;
	conns.held--;
}

bool
conn_evict(uint32_t number)
{
	if (conns.table[number].state != LINGERING)
		return false;
	conn_abort(number);
	return true;
}

bool
conn_settle(uint32_t number)
{
	struct conn *c = &conns.table[number];

	if (c->state != OPEN && !c->closed_reported) {
		c->closed_reported = true;
		conns.handler->closed(number);
	}
	if (c->state != DOOMED && has_output(number))
		flush(number);
	if (c->state == FINISHING && c->out == NULL && !c->tls_finished) {
		c->tls_finished = true;
		tls_finish(number);
		flush(number);
	}
	if (c->state == FINISHING && !has_output(number)) {
		/* Closing with unread input would send RST, which can destroy output
		 * on its way.  So the peer closes first, within LINGER_S. */
		shutdown(c->fd, SHUT_WR);
		c->state = c->got_fin ? DOOMED : LINGERING;
		set_deadline(c, LINGER_S);
	}
	if (c->state != DOOMED || c->is_changed)
		return false;
	free_conn(number);
	return true;
}

uint32_t
conn_sweep(uint32_t number)
{
	struct conn *c = &conns.table[number];
	uint32_t idle = pollset_idle_ms(number), now = pollset_second();
	uint32_t stalls = has_output(number) ? c->progress + conns.stall + 1 : UINT32_MAX;
	bool passed = c->is_held_back && !tls_has_begun(number) ? idle > HELD_MS
								: c->deadline <= now;

	if (idle >= IDLE_MS)
		tls_release_buffer(number);
	if (c->is_held_back)
		watch(number);
	if (stalls <= now) {
		conns.counters.dropped[CONN_STALLED]++;
		conn_abort(number);
		return 1;
	}
	if (c->deadline != 0 && passed) {
		c->deadline = 0;
		if (c->state == OPEN)
			conns.handler->expired(number);
		else
			conn_abort(number);
		/* So that all heartbeats together need one block. */
		if (c->state == OPEN && has_output(number))
			flush(number);
	}
	if (idle < IDLE_MS || c->is_held_back)
		return 1;
	return (c->deadline != 0 && c->deadline < stalls ? c->deadline : stalls) - now;
}

void
conn_close(uint32_t number)
{
	close(conns.table[number].fd);
}
