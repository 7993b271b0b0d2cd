#define _GNU_SOURCE /* ppoll */
#include "conn.h"

#include "log.h"
#include "tls.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* elsewhere it is noticed when something is sent */
#endif

enum {
	LISTENERS = 2,	   /* IPv4 and IPv6 */
	TURNED_AWAY = 8,   /* places besides the limit, to refuse a connection politely */
	ACCEPTS = 64,	   /* a turn, so that a flood does not hold up those inside */
	READ = 65536,	   /* bytes a turn, of one connection */
	FLUSH = 131072,	   /* bytes a turn, to one connection */
	BUDGET = 5000,	   /* microseconds of a turn for all input */
	LONGEST = 1000000, /* microseconds that a step of a handshake is taken to last */
	LARGE = 16384,	   /* bytes of a message that it costs to copy */
	LINGER = 2,	   /* seconds for a peer to close after we have */
	FAREWELL = 100,	   /* milliseconds of the stop's for those who stay until then */
	RESTS = 1000,	  /* milliseconds without a byte after which a connection rests */
	SHORTAGE = 60000, /* milliseconds between words about it */
	SIGNALS = 10,	  /* milliseconds within which signals are let in */
	FULL_POLL = 10,	  /* milliseconds within which everybody is polled */
	MANY = 256, /* connections, which cost more to poll than a short wait does */
	STAYS_BUSY = 100, /* milliseconds after a byte that a connection is "busy" */
	PAUSE = 2000	  /* milliseconds, more than any wait: the server was stopped */
};

enum state {
	FREE,
	OPEN,	   /* the handler's */
	FINISHING, /* sends what is unsent, then FIN; what comes is thrown away */
	LINGERING, /* FIN is sent; waits for the peer's */
	DOOMED	   /* closed at the end of the turn */
};

/* Connections that have input, in the order in which they are served. */
enum queue_name {
	NOT_QUEUED,
	BACKLOG,    /* had more input than their share of a turn */
	HANDSHAKES, /* each waits for a step of its TLS handshake */
	QUEUES
};

struct queue {
	uint32_t first, last; /* 0: empty */
	uint32_t count;
};

struct conn {
	int fd;
	enum state state;
	uint32_t slot;		/* in `polled` */
	uint32_t next;		/* of those to be settled, or of the free ones */
	uint32_t after, before; /* neighbours in its queue */
	enum queue_name queue;
	bool listed;	   /* is to be settled */
	bool unread;	   /* its block holds input that the handler has not looked at */
	bool heavy;	   /* took more than its share when it was last served */
	bool full;	   /* its block holds as much input as it may: none is received */
	bool ended;	   /* the peer has sent FIN after we began to close */
	bool turned_away;  /* takes one of the places for that */
	bool finished;	   /* TLS has been told that nothing more will be written */
	bool closed_told;  /* the handler knows, or never knew, of it */
	bool proxy;	   /* the peer is one that is trusted */
	uint32_t counted;  /* where its address is counted, 0: nowhere */
	uint32_t deadline; /* millisecond modulo 2^32, 0: none */
	uint32_t moved; /* second in which unsent bytes last went out or began to wait */
	uint32_t busy;	/* millisecond of the last event, modulo 2^32 */
	uint32_t in_length, in_most; /* bytes of input that there are, and may be */
	uint32_t out_start, out_end; /* the unsent bytes of its block */
	char *in;		     /* blocks, held only while they hold something */
	char *out;
	struct socket_address peer;
	struct socket_address client; /* the peer, or whom it speaks for */
};

static struct {
	const struct conn_handler *handler;
	struct conn_limits limits;
	struct conn_counters counters;

	struct conn *conns;
	uint32_t fresh; /* numbers above this one have never been used */
	uint32_t free;	/* the first of those given back */
	uint32_t held;	/* all that are not free */

	/* Listeners in their fixed slots, then those connections that are busy, then
	 * the others. */
	struct pollfd *polled;
	uint32_t *owners; /* the connection of each slot */
	uint32_t used;
	uint32_t busy_end;

	uint32_t settle_first, settle_last;

	struct sources sources;

	uint64_t now;	  /* milliseconds, monotonic, without those when it was stopped */
	uint32_t second;  /* the same in seconds */
	uint64_t stopped; /* milliseconds that do not count */
	uint64_t next_sweep;
	uint64_t last_full_poll;
	uint64_t stop_at; /* 0: not stopping */
	bool accept_paused;
	uint64_t shortage_said; /* when, 0: never */
	uint64_t signals_let_in;
	uint32_t turned_away; /* connections that are being refused */

	/* All in microseconds, monotonic. */
	uint64_t begun;	       /* when the connection in service began to be served */
	uint64_t handshake_at; /* when the next step of a handshake may be made */
	uint32_t share;	       /* what a connection may use of this turn */
	bool timed;	 /* more than one connection has input: shares are measured */
	uint32_t ready;	 /* descriptors that poll() reported */
	uint32_t served; /* the connection whose input the handler has, 0: none */
	struct queue queues[QUEUES];
	uint64_t refused_said; /* how many had been when that was last logged */
	bool sweep_on; /* there is something to sweep even with nobody connected */
} loop = { .used = LISTENERS, .busy_end = LISTENERS };

uint32_t
conn_most(const struct conn_limits *limits)
{
	return limits->connections + TURNED_AWAY;
}

void
conn_place(struct memory *m, const struct conn_limits *limits, const uint32_t key[2])
{
	size_t most = (size_t)conn_most(limits) + 1;

	loop.limits = *limits;
	loop.conns = memory_take(m, most, sizeof *loop.conns);
	loop.polled = memory_take(m, most + LISTENERS, sizeof *loop.polled);
	loop.owners = memory_take(m, most + LISTENERS, sizeof *loop.owners);
	sources_place(&loop.sources, m, (uint32_t)most, limits->per_address, key);
	if (m->base != NULL)
		for (unsigned i = 0; i < LISTENERS; i++)
			loop.polled[i] = (struct pollfd){ .fd = -1, .events = POLLIN };
}

const struct conn_counters *
conn_count(void)
{
	return &loop.counters;
}

uint32_t
conn_now(void)
{
	return loop.second;
}

uint64_t
conn_milliseconds(void)
{
	return loop.now;
}

static uint64_t
microseconds(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint32_t)time->tv_nsec / 1000;
}

static uint64_t
read_microseconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return microseconds(&time);
}

/*
 * After SIGSTOP nobody is late for the time in which nobody was heard: it does not count,
 * as that of a suspended machine does not.
 */
static void
read_clock(void)
{
	struct timespec time;

	/* Ahead of zero, which stands for "never". */
	clock_gettime(CLOCK_MONOTONIC, &time);
	uint64_t now = ((uint64_t)time.tv_sec + 1) * 1000 +
		       (uint32_t)time.tv_nsec / 1000000 - loop.stopped;
	if (loop.now != 0 && now - loop.now > PAUSE) {
		loop.stopped += now - loop.now - PAUSE;
		now = loop.now + PAUSE;
	}
	/* No division of 64 bits, which 32-bit machines have in a library only. */
	if (loop.now == 0)
		loop.second = (uint32_t)time.tv_sec + 1;
	while ((uint64_t)loop.second * 1000 + 1000 <= now)
		loop.second++;
	loop.now = now;
	loop.begun = microseconds(&time);
}

struct span
conn_peer(uint32_t number)
{
	static char data[64];
	const struct socket_address *client = &loop.conns[number].client;
	bool brackets = client->length == 16;
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, brackets ? "[" : "");
	text_address(&t, client->bytes, client->length);
	text_string(&t, brackets ? "]:" : ":");
	text_number(&t, client->port);
	return (struct span){ data, t.length };
}

/*
 * Listening
 */

int
conn_listen(const uint8_t *address, size_t length, uint16_t port)
{
	struct socket_address at = { .length = (uint8_t)length, .port = port };
	unsigned slot = loop.polled[0].fd < 0 ? 0 : 1;

	memcpy(at.bytes, address, length);
	int fd = socket_listen(&at);
	if (fd < 0)
		return -1;
	loop.polled[slot].fd = fd;
	return at.port;
}

const struct socket_address *
conn_address(uint32_t number)
{
	return &loop.conns[number].client;
}

struct source
conn_source(uint32_t number)
{
	const struct socket_address *client = &loop.conns[number].client;

	return source_of(client->bytes, client->length);
}

static bool
is_unsent(uint32_t number)
{
	return loop.conns[number].out != NULL || tls_unsent(number);
}

static bool
takes_input(uint32_t number)
{
	const struct conn *c = &loop.conns[number];

	if (c->state != OPEN)
		return !c->ended;
	return !c->full && c->queue != HANDSHAKES && tls_takes_input(number);
}

/*
 * Sets the events that poll() reports.  While the input is full the peer's FIN lies
 * behind what is not received: Linux reports it all the same.
 */
static void
watch(uint32_t number)
{
	const struct conn *c = &loop.conns[number];
	bool full = c->full && c->state == OPEN;

	loop.polled[c->slot].events =
	    (short)((takes_input(number) ? POLLIN : 0) | (full ? POLLRDHUP : 0) |
		    (is_unsent(number) ? POLLOUT : 0));
}

/*
 * Queues
 */

static void
enqueue(uint32_t number, enum queue_name name)
{
	struct conn *c = &loop.conns[number];
	struct queue *q = &loop.queues[name];

	if (c->queue != NOT_QUEUED)
		return;
	c->queue = name;
	c->before = q->last;
	c->after = 0;
	*(q->last != 0 ? &loop.conns[q->last].after : &q->first) = number;
	q->last = number;
	q->count++;
}

static void
dequeue(uint32_t number)
{
	struct conn *c = &loop.conns[number];
	struct queue *q = &loop.queues[c->queue];

	if (c->queue == NOT_QUEUED)
		return;
	*(c->before != 0 ? &loop.conns[c->before].after : &q->first) = c->after;
	*(c->after != 0 ? &loop.conns[c->after].before : &q->last) = c->before;
	c->queue = NOT_QUEUED;
	q->count--;
}

static void
set_deadline(struct conn *c, uint32_t seconds)
{
	/* An odd millisecond is never 0. */
	c->deadline = seconds > 0 ? ((uint32_t)loop.now + seconds * 1000) | 1 : 0;
}

static bool
is_late(const struct conn *c)
{
	return c->deadline != 0 && (uint32_t)loop.now - c->deadline < UINT32_MAX / 2;
}

static uint32_t
add_conn(int fd, const struct socket_address *peer)
{
	uint32_t number = loop.free;

	if (number != 0)
		loop.free = loop.conns[number].next;
	else
		number = ++loop.fresh;
	struct conn *c = &loop.conns[number];
	*c = (struct conn){ .fd = fd,
			    .state = LINGERING,
			    .slot = loop.used++,
			    .busy = (uint32_t)loop.now,
			    .in_most = UINT32_MAX,
			    .moved = loop.second };
	c->peer = c->client = *peer;
	loop.polled[c->slot] = (struct pollfd){ .fd = fd, .events = POLLIN };
	loop.owners[c->slot] = number;
	loop.held++;
	return number;
}

static void
count_refusal(uint32_t number, enum conn_refusal why)
{
	loop.counters.refused[why]++;
	log_line(LEVEL_DEBUG, conn_peer(number),
		 why == CONN_FULL ? "refused: too many connections"
				  : "refused: too many connections from this address");
}

/*
 * Tells a newcomer that there is no room, and hangs up as a polite server does; past a
 * few at a time just hangs up, for they must not take the places of others.
 */
static void
turn_away(uint32_t number, enum conn_refusal why)
{
	static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\n"
				     "Content-Type: text/plain; charset=UTF-8\r\n"
				     "Content-Length: 20\r\n"
				     "Connection: close\r\n"
				     "\r\n"
				     "Too many connections";
	struct conn *c = &loop.conns[number];

	count_refusal(number, why);
	c->closed_told = true;
	if (loop.turned_away == TURNED_AWAY || tls_used()) {
		conn_abort(number);
		return;
	}
	c->turned_away = true;
	loop.turned_away++;
	send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
	shutdown(c->fd, SHUT_WR);
	c->state = LINGERING;
	set_deadline(c, LINGER);
}

bool
conn_trusts(const struct socket_address *address)
{
	return socket_in_networks(address, loop.limits.proxies);
}

struct socket_address *
conn_client(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	c->client = c->peer;
	return c->proxy ? &c->client : NULL;
}

/* False if its address has its share. */
static bool
count_in(uint32_t number)
{
	return source_add(&loop.sources, conn_source(number),
			  &loop.conns[number].counted);
}

bool
conn_claim(uint32_t number)
{
	if (!loop.conns[number].proxy || loop.conns[number].counted != 0 ||
	    count_in(number))
		return true;
	count_refusal(number, CONN_SHARE);
	return false;
}

void
conn_unclaim(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	if (!c->proxy)
		return;
	source_remove(&loop.sources, c->counted);
	c->counted = 0;
}

static void
admit(int fd, const struct socket_address *peer)
{
	uint32_t number = add_conn(fd, peer);
	struct conn *c = &loop.conns[number];

	c->proxy = conn_trusts(peer);
	if (loop.counters.open >= loop.limits.connections) {
		turn_away(number, CONN_FULL);
	} else if (!c->proxy && !count_in(number)) {
		turn_away(number, CONN_SHARE);
	} else {
		c->state = OPEN;
		loop.counters.accepted++;
		loop.counters.open++;
		tls_open(number);
		loop.handler->opened(number);
	}
}

static void
pause_accepting(bool pause)
{
	loop.accept_paused = pause;
	for (unsigned i = 0; i < LISTENERS; i++)
		loop.polled[i].events = pause ? 0 : POLLIN;
}

/* Why nobody is accepted: said once in a while, however often somebody leaves. */
static void
say_shortage(void)
{
	int error = errno;

	if (loop.shortage_said != 0 && loop.now - loop.shortage_said < SHORTAGE)
		return;
	loop.shortage_said = loop.now;
	struct text *t = log_begin(LEVEL_WARN, (struct span){ 0 });
	if (t != NULL) {
		text_string(t, "cannot accept: ");
		text_string(t, text_error(error));
		log_end();
	}
}

static void
accept_ready(int listener)
{
	uint64_t begun = read_microseconds();

	for (unsigned i = 0; i < ACCEPTS && read_microseconds() - begun < BUDGET; i++) {
		struct socket_address peer;
		int fd = socket_accept(listener, &peer, loop.limits.stall);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			       errno == ENOMEM)) {
			/* It stays in the backlog until something closes. */
			loop.counters.shortages++;
			say_shortage();
			pause_accepting(true);
			return;
		}
		if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (fd < 0)
			continue; /* that one is gone already */
		if (loop.held < conn_most(&loop.limits)) {
			admit(fd, &peer);
		} else {
			loop.counters.refused[CONN_FULL]++;
			close(fd);
		}
	}
}

/*
 * Sending and closing
 */

static void
list(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	if (c->listed)
		return;
	c->listed = true;
	c->next = 0;
	if (loop.settle_last != 0)
		loop.conns[loop.settle_last].next = number;
	else
		loop.settle_first = number;
	loop.settle_last = number;
}

static void
leave(uint32_t number, enum state state)
{
	struct conn *c = &loop.conns[number];

	if (c->state == OPEN)
		loop.counters.open--;
	c->state = state;
	c->deadline = 0;
	dequeue(number);
	list(number);
}

void
conn_finish(uint32_t number)
{
	if (loop.conns[number].state == OPEN)
		leave(number, FINISHING);
}

void
conn_abort(uint32_t number)
{
	if (loop.conns[number].state != FREE && loop.conns[number].state != DOOMED)
		leave(number, DOOMED);
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
	loop.counters.dropped[CONN_STALLED] += errno == ETIMEDOUT;
	conn_abort(number);
}

/* A connection that is not read from has failed. */
static void
abort_dead(uint32_t number)
{
	char byte;

	if (recv(loop.conns[number].fd, &byte, 1, MSG_PEEK) < 0 && !would_wait())
		abort_failed(number);
	else
		conn_abort(number);
}

/* Sends what the socket takes, at most FLUSH bytes. */
static void
flush(uint32_t number)
{
	struct conn *c = &loop.conns[number];
	size_t length = c->out != NULL ? c->out_end - c->out_start : 0;
	ssize_t n = tls_write(number, c->fd, c->out != NULL ? c->out + c->out_start : "",
			      length < FLUSH ? length : FLUSH);

	if (n < 0 && !would_wait()) {
		abort_failed(number);
		return;
	}
	if (n > 0 || tls_moved(number))
		c->moved = loop.second;
	if (n > 0) {
		c->out_start += (uint32_t)n;
		loop.counters.bytes_out += (uint64_t)n;
	}
	if (c->out != NULL && c->out_start == c->out_end) {
		block_give(c->out);
		c->out = NULL;
	}
	watch(number);
	if (c->state == OPEN && tls_over(number))
		conn_finish(number);
}

/* Room for more in the connection's block; NULL if the connection is closing. */
static char *
reserve(uint32_t number, size_t length)
{
	struct conn *c = &loop.conns[number];

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
		c->moved = loop.second;
	}
	if (c->out == NULL || length > block_size() - c->out_end) {
		loop.counters.dropped[CONN_UNREAD]++;
		log_line(LEVEL_WARN, conn_peer(number),
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
	ssize_t n = send(loop.conns[number].fd, s->data, s->length, MSG_NOSIGNAL | more);

	if (n < 0 && !would_wait())
		abort_failed(number);
	if (n > 0) {
		s->data += n;
		s->length -= (size_t)n;
		loop.counters.bytes_out += (uint64_t)n;
	}
	return s->length == 0;
}

bool
conn_send(uint32_t number, struct span head, struct span body)
{
	struct conn *c = &loop.conns[number];

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
	list(number);
	return true;
}

bool
conn_write(uint32_t number, const void *data, size_t length)
{
	return conn_send(number, (struct span){ data, length }, (struct span){ "", 0 });
}

bool
conn_share_over(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	if (c->state == OPEN && read_microseconds() - loop.begun < loop.share)
		return false;
	c->unread = true;
	return true;
}

void
conn_resume(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	if (c->state != OPEN || number == loop.served)
		return;
	c->unread = c->in != NULL;
	if (c->unread || tls_readable(number))
		enqueue(number, BACKLOG);
}

static void
note_full(uint32_t number)
{
	struct conn *c = &loop.conns[number];
	bool full = c->in_length >= c->in_most;

	if (full == c->full)
		return;
	c->full = full;
	watch(number);
}

void
conn_limit_input(uint32_t number, size_t bytes)
{
	struct conn *c = &loop.conns[number];

	c->in_most = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
	if (number != loop.served)
		note_full(number);
}

void
conn_deadline(uint32_t number, uint32_t seconds)
{
	if (loop.conns[number].state == OPEN)
		set_deadline(&loop.conns[number], seconds);
}

/*
 * Settling, at the end of a turn
 */

static void
move_slot(uint32_t from, uint32_t to)
{
	loop.polled[to] = loop.polled[from];
	loop.owners[to] = loop.owners[from];
	loop.conns[loop.owners[to]].slot = to;
}

static void
swap_slots(uint32_t a, uint32_t b)
{
	struct pollfd polled = loop.polled[a];
	uint32_t owner = loop.owners[a];

	if (a == b)
		return;
	move_slot(b, a);
	loop.polled[b] = polled;
	loop.owners[b] = owner;
	loop.conns[owner].slot = b;
}

static void
drop_input(struct conn *c)
{
	if (c->in != NULL)
		block_give(c->in);
	c->in = NULL;
	c->in_length = 0;
	c->unread = false;
}

static void
free_conn(uint32_t number)
{
	struct conn *c = &loop.conns[number];
	uint32_t hole = c->slot;

	drop_input(c);
	if (c->out != NULL)
		block_give(c->out);
	source_remove(&loop.sources, c->counted);
	tls_close(number);
	close(c->fd);
	if (hole < loop.busy_end) {
		swap_slots(hole, --loop.busy_end);
		hole = loop.busy_end;
	}
	swap_slots(hole, --loop.used);
	c->state = FREE;
	c->next = loop.free;
	loop.free = number;
	loop.held--;
	loop.turned_away -= c->turned_away;
	loop.sweep_on = true;
	if (loop.accept_paused)
		pause_accepting(false);
}

/* Hands up `length` bytes of the connection's block, and keeps what is wanted again. */
static void
hand_up(uint32_t number, size_t length)
{
	struct conn *c = &loop.conns[number];
	uint32_t outer = loop.served; /* conn_check can be called within */

	loop.served = number;
	c->unread = false;
	c->in_length = (uint32_t)loop.handler->received(number, c->in, length);
	loop.served = outer;
	if (c->in_length == block_size())
		conn_abort(number);
	if (c->in_length == 0 || c->state != OPEN)
		drop_input(c);
	note_full(number);
}

static void
settle_conn(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	if (c->state != OPEN && !c->closed_told) {
		c->closed_told = true;
		loop.handler->closed(number);
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
		set_deadline(c, LINGER);
	}
	if (c->state == DOOMED && !c->listed)
		free_conn(number);
}

static void
settle(void)
{
	while (loop.handler->settle() || loop.settle_first != 0)
		while (loop.settle_first != 0) {
			uint32_t number = loop.settle_first;
			loop.settle_first = loop.conns[number].next;
			if (loop.settle_first == 0)
				loop.settle_last = 0;
			loop.conns[number].listed = false;
			settle_conn(number);
		}
}

/*
 * Receiving
 */

/* What a closing peer still sends is of no interest; that it closes is. */
static void
discard(uint32_t number)
{
	char junk[4096];
	ssize_t n = recv(loop.conns[number].fd, junk, sizeof junk, 0);

	if (n == 0 ? loop.conns[number].state == LINGERING : n < 0 && !would_wait()) {
		conn_abort(number);
	} else if (n == 0) {
		loop.conns[number].ended = true;
		watch(number);
	}
}

/* What cannot be answered any more, or not in the way of TLS: the peer is to close. */
static void
end_here(uint32_t number)
{
	shutdown(loop.conns[number].fd, SHUT_WR);
	leave(number, LINGERING);
	/* Output that is left over is not sent: POLLOUT would be reported without end. */
	loop.polled[loop.conns[number].slot].events = POLLIN;
	set_deadline(&loop.conns[number], LINGER);
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

	log_line(LEVEL_DEBUG, conn_peer(number), "plain HTTP where TLS is spoken");
	send(loop.conns[number].fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
	end_here(number);
}

static void
receive(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	if (c->in == NULL)
		c->in = block_take();
	if (c->in == NULL) {
		conn_abort(number);
		return;
	}
	size_t most = c->in_most < block_size() ? c->in_most : block_size();
	size_t room = most > c->in_length ? most - c->in_length : 0;
	ssize_t n =
	    tls_read(number, c->fd, c->in + c->in_length, room < READ ? room : READ);
	if (n > 0) {
		loop.counters.bytes_in += (uint64_t)n;
		hand_up(number, c->in_length + (size_t)n);
		return;
	}
	if (n == 0)
		conn_finish(number);
	else if (errno == EPROTO)
		refuse_plain(number);
	else if (errno == ECONNABORTED)
		end_here(number);
	else if (!would_wait())
		abort_failed(number);
	if (c->in_length == 0 || c->state != OPEN)
		drop_input(c);
	/* The handshake may have produced output. */
	if (is_unsent(number))
		list(number);
}

/*
 * Gives the handler the connection's next input: the rest of what it has been given, or
 * what one read returns.  What remains, for the handler or in the TLS engine, waits for
 * the next turn.
 */
static void
serve_input(uint32_t number)
{
	struct conn *c = &loop.conns[number];

	c->busy = (uint32_t)loop.now;
	if (c->unread)
		hand_up(number, c->in_length);
	else
		receive(number);
	if (c->state == OPEN &&
	    (c->unread || (tls_readable(number) && takes_input(number))))
		enqueue(number, BACKLOG);
}

/* The same, measured where others wait. */
static void
serve_share(uint32_t number)
{
	serve_input(number);
	if (!loop.timed)
		return;
	uint64_t now = read_microseconds();
	loop.conns[number].heavy = now - loop.begun > loop.share;
	loop.begun = now;
}

/* Serves the connections that were waiting when it began, until the budget is used up. */
static void
serve_backlog(uint64_t begun)
{
	struct queue *q = &loop.queues[BACKLOG];

	loop.timed = true;
	loop.begun = read_microseconds();
	for (uint32_t left = q->count; left > 0 && q->first != 0; left--) {
		uint32_t number = q->first;
		dequeue(number);
		serve_share(number);
		if (loop.begun - begun > BUDGET)
			break;
	}
}

/*
 * A handshake costs private-key operations.  A turn makes one step at most, and after a
 * step there is none for as long as it took: so other connections wait for one operation,
 * and get at least half of the time.
 */
static void
go_on_with_handshake(void)
{
	uint32_t number = loop.queues[HANDSHAKES].first;
	uint64_t begun = number != 0 ? read_microseconds() : 0;

	if (number == 0 || begun < loop.handshake_at)
		return;
	dequeue(number);
	loop.begun = begun;
	loop.share = BUDGET;
	serve_input(number);
	watch(number);
	uint64_t end = read_microseconds();
	/* A stopped process makes no step of an hour. */
	loop.handshake_at = end + (end - begun < LONGEST ? end - begun : LONGEST);
}

bool
conn_check(uint32_t number)
{
	const struct conn *c = &loop.conns[number];

	if (c->state == OPEN && !c->unread && takes_input(number))
		serve_input(number);
	return c->state == OPEN;
}

static void
serve(uint32_t slot, short events)
{
	uint32_t number = loop.owners[slot];
	struct conn *c = &loop.conns[number];

	c->busy = (uint32_t)loop.now;
	if (slot >= loop.busy_end)
		swap_slots(slot, loop.busy_end++);
	if ((events & POLLOUT) != 0 && c->state != DOOMED && is_unsent(number))
		list(number);
	if (c->state == DOOMED)
		return;
	if ((events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) == 0)
		return;
	if (c->state != OPEN) {
		discard(number);
	} else if (c->queue == BACKLOG) {
		return;
	} else if (!takes_input(number)) {
		if ((events & (POLLHUP | POLLERR)) != 0)
			abort_dead(number);
		else if ((events & POLLRDHUP) != 0)
			conn_finish(number);
	} else if (tls_in_handshake(number)) {
		enqueue(number, HANDSHAKES);
		watch(number);
	} else if (c->heavy) {
		enqueue(number, BACKLOG);
	} else {
		serve_share(number);
	}
}

/*
 * The loop
 */

static void
say_refusals(void)
{
	uint64_t refused =
	    loop.counters.refused[CONN_FULL] + loop.counters.refused[CONN_SHARE];
	struct text *t;

	if (refused == loop.refused_said)
		return;
	if ((t = log_begin(LEVEL_WARN, (struct span){ 0 })) != NULL) {
		text_string(t, "refused connections: ");
		text_number(t, refused - loop.refused_said);
		log_end();
	}
	loop.refused_said = refused;
}

static void
sweep(void)
{
	for (uint32_t slot = LISTENERS; slot < loop.used; slot++) {
		uint32_t number = loop.owners[slot];
		struct conn *c = &loop.conns[number];
		if ((uint32_t)loop.now - c->busy > RESTS)
			tls_rest(number);
		if (is_unsent(number) && loop.second - c->moved > loop.limits.stall) {
			loop.counters.dropped[CONN_STALLED]++;
			conn_abort(number);
		} else if (is_late(c)) {
			c->deadline = 0;
			if (c->state == OPEN)
				loop.handler->expired(number);
			else
				conn_abort(number);
		}
	}
	if (loop.accept_paused)
		pause_accepting(false);
	say_refusals();
	bool handler_on = loop.handler->second();
	loop.sweep_on = block_sweep() || handler_on;
}

/* Those that have had nothing for a while go to the back. */
static void
demote(void)
{
	for (uint32_t slot = LISTENERS; slot < loop.busy_end;) {
		const struct conn *c = &loop.conns[loop.owners[slot]];
		if ((uint32_t)loop.now - c->busy > STAYS_BUSY)
			swap_slots(slot, --loop.busy_end);
		else
			slot++;
	}
}

/* How long there is nothing to do, in microseconds; -1: without limit. */
static long
idle_time(void)
{
	uint64_t until = loop.next_sweep;

	if (loop.queues[BACKLOG].count > 0)
		return 0;
	if (loop.stop_at != 0 && loop.stop_at < until)
		until = loop.stop_at;
	else if (loop.held == 0 && !loop.sweep_on && !loop.accept_paused &&
		 loop.stop_at == 0)
		return -1;
	long left = until > loop.now ? (long)(until - loop.now) * 1000 : 0;
	if (loop.queues[HANDSHAKES].count == 0)
		return left;
	long pause =
	    loop.handshake_at > loop.begun ? (long)(loop.handshake_at - loop.begun) : 0;
	return pause < left ? pause : left;
}

static int
wait_for(uint32_t count, long idle, const sigset_t *mask)
{
	struct timespec time = { idle / 1000000, idle % 1000000 * 1000 };

	return ppoll(loop.polled, count, idle < 0 ? NULL : &time, mask);
}

/*
 * Waits for events; returns how many slots to look at.  poll() costs by the descriptor,
 * so while the few busy ones keep the server busy only they are asked, and everybody once
 * in a while: if there are many, also where the busy ones pause until then.
 */
static uint32_t
wait_for_events(const sigset_t *mask)
{
	uint64_t since = loop.now - loop.last_full_poll;
	long idle = idle_time(), rest = (FULL_POLL - (long)since) * 1000;
	int n = 0;

	if (loop.busy_end > LISTENERS && loop.busy_end < loop.used / 2 &&
	    since < FULL_POLL) {
		if (loop.used <= MANY)
			rest = 0;
		n = wait_for(loop.busy_end, idle < rest ? idle : rest, mask);
		read_clock();
		/* A signal, or input that waits, comes before the idle connections. */
		if (n != 0 || idle == 0) {
			loop.ready = n > 0 ? (uint32_t)n : 0;
			return n > 0 ? loop.busy_end : 0;
		}
		idle = idle_time();
	}
	demote();
	n = wait_for(loop.used, idle, mask);
	read_clock();
	if (n >= 0)
		loop.last_full_poll = loop.now;
	loop.ready = n > 0 ? (uint32_t)n : 0;
	return n > 0 ? loop.used : 0;
}

/*
 * Linux does not deliver a signal while it finds something ready, so those who keep it
 * busy would keep signals out.
 */
static void
let_signals_in(const sigset_t *waiting)
{
	sigset_t blocked;

	if (loop.now - loop.signals_let_in < SIGNALS)
		return;
	loop.signals_let_in = loop.now;
	sigprocmask(SIG_SETMASK, waiting, &blocked);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
}

/* Serves the slots for which poll() has reported something. */
static void
serve_slots(uint32_t slots)
{
	for (uint32_t slot = 0; slot < slots; slot++) {
		short events = loop.polled[slot].revents;
		loop.polled[slot].revents = 0;
		if (events == 0)
			continue;
		if (slot >= LISTENERS) {
			serve(slot, events);
		} else if (loop.stop_at == 0) {
			accept_ready(loop.polled[slot].fd);
			loop.begun = read_microseconds();
		}
	}
}

/*
 * A turn: connections with new input come first, and what they caused is sent; then come
 * those that had more than their share, in the order in which they began to wait.
 */
static void
turn(const sigset_t *waiting, void (*woken)(void))
{
	uint32_t slots = wait_for_events(waiting);
	uint32_t all = loop.ready + loop.queues[BACKLOG].count;
	uint64_t begun = loop.begun;

	loop.counters.turns++;
	let_signals_in(waiting);
	woken();
	loop.timed = all > 1;
	loop.share = BUDGET / (all > 0 ? all : 1);
	serve_slots(slots);
	if (loop.queues[BACKLOG].count > 0) {
		settle();
		serve_backlog(begun);
	}
	go_on_with_handshake();
	/* Check timeouts only after all pending input has been read. */
	if (loop.now >= loop.next_sweep && loop.last_full_poll == loop.now) {
		loop.next_sweep = loop.now + 1000;
		sweep();
	}
	settle();
	log_flush();
}

static void
run(const sigset_t *waiting, void (*woken)(void))
{
	while (loop.stop_at == 0 || (loop.held > 0 && loop.now < loop.stop_at))
		turn(waiting, woken);
}

void
conn_run(const struct conn_handler *handler, const sigset_t *waiting, void (*woken)(void))
{
	loop.handler = handler;
	read_clock();
	run(waiting, woken);
	/* To those who have had nothing to hear so far. */
	for (uint32_t slot = LISTENERS; slot < loop.used; slot++)
		conn_finish(loop.owners[slot]);
	settle();
	loop.stop_at += FAREWELL;
	run(waiting, woken);
	for (uint32_t slot = LISTENERS; slot < loop.used; slot++)
		close(loop.polled[slot].fd);
}

void
conn_stop(uint32_t grace)
{
	loop.stop_at = loop.now + (grace > FAREWELL ? grace - FAREWELL : 0);
	for (unsigned i = 0; i < LISTENERS; i++) {
		if (loop.polled[i].fd >= 0)
			close(loop.polled[i].fd);
		loop.polled[i].fd = -1;
	}
	for (uint32_t slot = LISTENERS; slot < loop.used; slot++)
		if (loop.conns[loop.owners[slot]].state == OPEN)
			loop.handler->stopping(loop.owners[slot]);
}
