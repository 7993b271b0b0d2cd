#define _GNU_SOURCE /* ppoll */
#include "network.h"

#include "fuzz.h"
#include "socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <time.h>

enum {
	LISTENER = 100000,    /* two descriptors of listeners, never used by the system */
	FIRST = LISTENER + 2, /* the descriptors of connections */
	IDLE_TURNS = 200,     /* turns without progress, after which the input fails */
	/* Microseconds that pass each time the server reads the monotonic clock, and for
	   each line of its log, so that work takes time.  A turn may take TURN at most:
	   its budget, and one or two messages of each connection. */
	READING = 400,
	LOGGING = 200,
	TURN = 60000,
	PIECES = 300, /* calls that move small pieces */
	BUSY = 500,   /* milliseconds that the server may be busy */
	/* Seconds.  The milliseconds modulo 2^32 wrap 20 seconds after the start. */
	START = 4294967 - 20
};

/* Not part of the server's state: it remains between inputs. */
#pragma clang section bss = "" data = ""

struct bytes {
	char *data;
	size_t size, start, end;
};

struct socket {
	struct socket_address peer;
	struct bytes in, out; /* to the server, and from it */
	size_t window, piece;
	unsigned pieces;	      /* calls that `piece` still holds for */
	bool accepted, ended, closed; /* by the server */
	bool finished, aborted;	      /* by the client */
};

static struct socket sockets[NETWORK_SOCKETS];
static unsigned socket_count;
static int accept_error;
static bool interrupted;
static uint64_t now, until; /* milliseconds */
static uint64_t start = (uint64_t)START * 1000;
static uint32_t micro;	    /* microseconds since `now` */
static uint64_t turn_began; /* in microseconds; 0: the server waits */
static unsigned idle_turns;
static jmp_buf waiting;

int __real_close(int fd);
int __real_open(const char *path, int flags, ...);
int __real_clock_gettime(clockid_t, struct timespec *);
int __wrap_close(int fd);
int __wrap_open(const char *path, int flags, ...);
int __wrap_clock_gettime(clockid_t, struct timespec *);
ssize_t __wrap_getrandom(void *, size_t, unsigned);
int __wrap_poll(struct pollfd *, nfds_t, int);
int __wrap_ppoll(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
int __wrap_shutdown(int fd, int how);
int __wrap_socket_accept(int, struct socket_address *, uint32_t);
int __wrap_socket_listen(struct socket_address *);
ssize_t __wrap_recv(int fd, void *data, size_t length, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t length, int flags);
ssize_t __wrap_socket_write(int fd, struct span head, struct span body);

static void
append(struct bytes *b, const void *data, size_t length)
{
	if (b->end + length > b->size) {
		b->size = 2 * (b->end + length);
		b->data = realloc(b->data, b->size);
		CHECK(b->data != NULL);
	}
	if (length > 0)
		memcpy(b->data + b->end, data, length);
	b->end += length;
}

/*
 * The clients' side
 */

void
network_reset(void)
{
	for (unsigned i = 0; i < socket_count; i++) {
		struct socket *s = &sockets[i];
		struct bytes in = { s->in.data, s->in.size, 0, 0 };
		struct bytes out = { s->out.data, s->out.size, 0, 0 };
		*s = (struct socket){ .in = in, .out = out };
	}
	socket_count = 0;
	accept_error = 0;
	interrupted = false;
	now = start;
	micro = 0;
	turn_began = 0;
}

void
network_remember(void)
{
	start = now;
}

unsigned
network_connect(const uint8_t *address, size_t length)
{
	if (socket_count == NETWORK_SOCKETS)
		return 0;
	struct socket *s = &sockets[socket_count++];
	s->peer.length = (uint8_t)length;
	s->peer.port = (uint16_t)(50000 + socket_count);
	memcpy(s->peer.bytes, address, length);
	s->window = SIZE_MAX;
	return socket_count;
}

unsigned
network_count(void)
{
	return socket_count;
}

void
network_send(unsigned socket, const void *data, size_t length)
{
	struct socket *s = &sockets[socket - 1];

	if (!s->finished && !s->aborted && !s->closed)
		append(&s->in, data, length);
}

void
network_finish(unsigned socket)
{
	sockets[socket - 1].finished = true;
}

void
network_abort(unsigned socket)
{
	sockets[socket - 1].aborted = true;
}

void
network_window(unsigned socket, size_t bytes)
{
	sockets[socket - 1].window = bytes;
}

void
network_piece(unsigned socket, size_t bytes)
{
	sockets[socket - 1].piece = bytes;
	sockets[socket - 1].pieces = PIECES;
}

struct span
network_received(unsigned socket)
{
	const struct bytes *out = &sockets[socket - 1].out;

	if (out->start == out->end)
		return (struct span){ "", 0 };
	return (struct span){ out->data + out->start, out->end - out->start };
}

void
network_used(unsigned socket, size_t length)
{
	struct bytes *out = &sockets[socket - 1].out;

	out->start += length;
	if (out->start == out->end)
		out->start = out->end = 0;
}

bool
network_closed(unsigned socket)
{
	return sockets[socket - 1].closed;
}

void
network_fail_accept(int error)
{
	accept_error = error;
}

void
network_interrupt(void)
{
	interrupted = true;
}

enum network_state
network_run(const struct conn_handler *handler, void (*on_wakeup)(void),
	    uint32_t milliseconds)
{
	sigset_t none;

	sigemptyset(&none);
	until = now + milliseconds;
	idle_turns = 0;
	switch (setjmp(waiting)) {
	case NETWORK_WAITS: return NETWORK_WAITS;
	case NETWORK_BUSY: return NETWORK_BUSY;
	}
	loop_run(handler, &none, on_wakeup);
	return NETWORK_STOPPED;
}

/*
 * The server's side
 */

int
__wrap_socket_listen(struct socket_address *address)
{
	address->port = 1111;
	return LISTENER + (address->length == 16);
}

/* The next connection to be accepted, or NULL. */
static struct socket *
backlog(int listener)
{
	size_t length = listener == LISTENER ? 4 : 16;

	for (unsigned i = 0; i < socket_count; i++)
		if (!sockets[i].accepted && sockets[i].peer.length == length)
			return &sockets[i];
	return NULL;
}

int
__wrap_socket_accept(int listener, struct socket_address *peer, uint32_t silence)
{
	struct socket *s = backlog(listener);

	(void)silence;
	errno = s == NULL ? EAGAIN : accept_error;
	idle_turns = 0;
	if (errno != 0) {
		accept_error = 0;
		return -1;
	}
	s->accepted = true;
	*peer = s->peer;
	return FIRST + (int)(s - sockets);
}

/* The connection of a descriptor, which must be open. */
static struct socket *
find(int fd)
{
	CHECK(fd >= FIRST && fd < FIRST + (int)socket_count);
	struct socket *s = &sockets[fd - FIRST];
	CHECK(s->accepted && !s->closed);
	return s;
}

/* How many of `length` bytes the call moves. */
static size_t
take_piece(struct socket *s, size_t length)
{
	if (s->pieces == 0 || length == 0)
		return length;
	s->pieces--;
	return length < s->piece ? length : s->piece;
}

int
__wrap_close(int fd)
{
	if (fd < LISTENER)
		return __real_close(fd);
	if (fd >= FIRST)
		find(fd)->closed = true;
	idle_turns = 0;
	return 0;
}

int
__wrap_shutdown(int fd, int how)
{
	CHECK(how == SHUT_WR);
	find(fd)->ended = true;
	return 0;
}

ssize_t
__wrap_recv(int fd, void *data, size_t length, int flags)
{
	struct socket *s = find(fd);
	size_t n = s->in.end - s->in.start;

	(void)flags;
	CHECK(length > 0);
	n = take_piece(s, n < length ? n : length);
	if (n == 0) {
		errno = s->aborted ? ECONNRESET : EAGAIN;
		return s->finished && !s->aborted ? 0 : -1;
	}
	memcpy(data, s->in.data + s->in.start, n);
	s->in.start += n;
	idle_turns = 0;
	return (ssize_t)n;
}

static ssize_t
write_out(struct socket *s, struct span data)
{
	size_t n = take_piece(s, data.length < s->window ? data.length : s->window);

	CHECK(!s->ended);
	if (s->aborted || (n == 0 && data.length > 0)) {
		errno = s->aborted ? EPIPE : EAGAIN;
		return -1;
	}
	append(&s->out, data.data, n);
	if (s->window != SIZE_MAX)
		s->window -= n;
	idle_turns = 0;
	return (ssize_t)n;
}

ssize_t
__wrap_send(int fd, const void *data, size_t length, int flags)
{
	CHECK((flags & MSG_NOSIGNAL) != 0);
	return write_out(find(fd), (struct span){ data, length });
}

ssize_t
__wrap_socket_write(int fd, struct span head, struct span body)
{
	struct socket *s = find(fd);
	ssize_t first = write_out(s, head);

	if (first < (ssize_t)head.length || body.length == 0)
		return first;
	ssize_t second = write_out(s, body);
	return second < 0 ? first : first + second;
}

/* Random bytes are zeros, so that an input is repeatable. */
int
__wrap_open(const char *path, int flags, ...)
{
	va_list rest;

	va_start(rest, flags);
	int mode = (flags & O_CREAT) != 0 ? va_arg(rest, int) : 0;
	va_end(rest);
	return __real_open(strcmp(path, "/dev/urandom") == 0 ? "/dev/zero" : path, flags,
			   mode);
}

/* Time passes with each call, so that a turn can exceed its budget. */
int
__wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME)
		return __real_clock_gettime(clock, time);
	micro += clock == CLOCK_MONOTONIC ? READING : LOGGING;
	now += micro / 1000;
	micro %= 1000;
	uint64_t seconds = now / 1000;
	if (clock == CLOCK_REALTIME)
		seconds += 1700000000;
	time->tv_sec = (time_t)seconds;
	time->tv_nsec = (long)(now % 1000) * 1000000 + (long)micro * 1000;
	return 0;
}

/* The same bytes each time, so that an input is repeatable. */
ssize_t
__wrap_getrandom(void *data, size_t length, unsigned flags)
{
	(void)flags;
	memset(data, 0x5e, length);
	return (ssize_t)length;
}

/* Only the log calls it, before it writes to stderr; 0 keeps the log off the fuzzer's
 * stderr. */
int
__wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	(void)fds;
	(void)count;
	(void)timeout;
	return 0;
}

static short
events_of(int fd)
{
	if (fd < FIRST)
		return backlog(fd) != NULL ? POLLIN : 0;
	const struct socket *s = find(fd);
	short events = s->in.end > s->in.start || s->finished ? POLLIN : 0;
	if (s->window > 0)
		events |= POLLOUT;
	if (s->aborted)
		events |= POLLIN | POLLOUT | POLLERR | POLLHUP;
	if (s->finished)
		events |= s->ended ? POLLRDHUP | POLLHUP : POLLRDHUP;
	return events;
}

/*
 * A turn takes at least a millisecond.  Where the server would wait, its timeout passes
 * at once.  If that exceeds the time of network_run, longjmp leaves the server, which
 * needs nothing of its stack.
 */
int
__wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
	     const sigset_t *mask)
{
	uint64_t limit = UINT64_MAX / 2;
	int ready = 0;

	(void)mask;
	CHECK(turn_began == 0 || now * 1000 + micro - turn_began <= TURN);
	turn_began = 0;
	now++;
	if (timeout != NULL)
		limit = (uint64_t)timeout->tv_sec * 1000 +
			(uint64_t)timeout->tv_nsec / 1000000;
	for (nfds_t i = 0; i < count; i++) {
		if (fds[i].fd < 0)
			continue;
		fds[i].revents =
		    events_of(fds[i].fd) & (short)(fds[i].events | POLLERR | POLLHUP);
		ready += fds[i].revents != 0;
	}
	CHECK(ready == 0 || ++idle_turns < IDLE_TURNS);
	if (ready > 0 && now > until + BUSY)
		longjmp(waiting, NETWORK_BUSY);
	turn_began = now * 1000 + micro;
	if (ready > 0 || limit == 0)
		return ready;
	turn_began = 0;
	if (interrupted) {
		interrupted = false;
		errno = EINTR;
		return -1;
	}
	if (now + limit <= until) {
		now += limit;
		return 0;
	}
	if (now < until)
		now = until;
	longjmp(waiting, NETWORK_WAITS);
}
