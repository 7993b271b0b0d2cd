/*
 * For LD_PRELOAD: makes system calls fail.
 *
 * FAULTS_ODDS     of 1000 calls, how many do less than requested or fail with an error
 *                 that a server must tolerate.  Calls before the first ppoll, that is
 *                 during the start, succeed.
 * FAULTS_SEED     chooses these calls.
 * FAULTS_CONTROL  names a file with a `struct control`.  Each call reads it, so a test
 * can change the faults while the server runs.
 */
#define _GNU_SOURCE /* RTLD_NEXT, accept4, ppoll */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* faults.mjs writes it.  Zero: no fault. */
struct control {
	int64_t realtime, monotonic;	/* seconds to add to the clocks */
	int32_t accept, write, madvise; /* errno of each call; of `write` only to files */
	int32_t signal;			/* raised once, within the next recv */
	int32_t delay; /* milliseconds that each `write` to a file takes */
	int32_t wait;  /* maximum milliseconds of a wait with a limit; 0: no change */
};

static const struct control no_faults;

static struct {
	ssize_t (*recv)(int, void *, size_t, int);
	ssize_t (*send)(int, const void *, size_t, int);
	ssize_t (*read)(int, void *, size_t);
	ssize_t (*write)(int, const void *, size_t);
	ssize_t (*writev)(int, const struct iovec *, int);
	int (*accept4)(int, __SOCKADDR_ARG, socklen_t *, int);
	int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
	int (*poll)(struct pollfd *, nfds_t, int);
	int (*close)(int);
	int (*madvise)(void *, size_t, int);
	int (*clock_gettime)(clockid_t, struct timespec *);
	pid_t (*_Fork)(void);
} real;

static const volatile struct control *control = &no_faults;
static uint32_t odds, chance; /* `chance` is the generator's state */
static int armed;

/* Finds the next definition of a name.  ISO C has no cast from data to function pointers.
 */
static void
resolve(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof found);
}

static uint32_t
number_from(const char *name)
{
	const char *value = getenv(name);

	return value != NULL ? (uint32_t)strtoul(value, NULL, 10) : 0;
}

static void
map_control(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *at = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);

	if (fd < 0 || at == MAP_FAILED)
		abort();
	real.close(fd);
	control = at;
}

__attribute__((constructor)) static void
start(void)
{
	resolve(&real.recv, "recv");
	resolve(&real.send, "send");
	resolve(&real.read, "read");
	resolve(&real.write, "write");
	resolve(&real.writev, "writev");
	resolve(&real.accept4, "accept4");
	resolve(&real.ppoll, "ppoll");
	resolve(&real.poll, "poll");
	resolve(&real.close, "close");
	resolve(&real.madvise, "madvise");
	resolve(&real.clock_gettime, "clock_gettime");
	resolve(&real._Fork, "_Fork");
	odds = number_from("FAULTS_ODDS");
	chance = number_from("FAULTS_SEED") * 2 + 1; /* never 0 */
	if (getenv("FAULTS_CONTROL") != NULL)
		map_control(getenv("FAULTS_CONTROL"));
}

/* Marsaglia's xorshift. */
static uint32_t
next_chance(uint32_t below)
{
	chance ^= chance << 13;
	chance ^= chance >> 17;
	chance ^= chance << 5;
	return chance % below;
}

static int
is_unlucky(void)
{
	return armed && next_chance(1000) < odds;
}

static int
fail(int error)
{
	errno = error;
	return -1;
}

/* Half of the unlucky calls fail with one of two errors, the others get a smaller length.
 */
static int
fails(size_t *length, int with, int or_with)
{
	if (!is_unlucky())
		return 0;
	if (next_chance(2) == 0)
		return fail(next_chance(2) == 0 ? with : or_with);
	if (*length > 1)
		*length = 1 + next_chance(*length < 9 ? (uint32_t)*length - 1 : 8);
	return 0;
}

ssize_t
recv(int fd, void *data, size_t length, int flags)
{
	static int raised;
	int wanted = control->signal;

	if (wanted != raised) {
		raised = wanted;
		raise(wanted);
	}
	return fails(&length, EINTR, EAGAIN) ? -1 : real.recv(fd, data, length, flags);
}

ssize_t
send(int fd, const void *data, size_t length, int flags)
{
	return fails(&length, EINTR, EAGAIN) ? -1 : real.send(fd, data, length, flags);
}

ssize_t
writev(int fd, const struct iovec *pieces, int count)
{
	enum { PIECES = 8 };
	struct iovec cut[PIECES];
	size_t length = 0;

	if (count > PIECES)
		abort();
	for (int i = 0; i < count; i++)
		length += pieces[i].iov_len;
	if (fails(&length, EINTR, EAGAIN))
		return -1;
	for (int i = 0; i < count; i++) {
		cut[i] = pieces[i];
		if (cut[i].iov_len > length)
			cut[i].iov_len = length;
		length -= cut[i].iov_len;
	}
	return real.writev(fd, cut, count);
}

/* Of files only: the server reads sockets with recv. */
ssize_t
read(int fd, void *data, size_t length)
{
	return fails(&length, EINTR, EINTR) ? -1 : real.read(fd, data, length);
}

ssize_t
write(int fd, const void *data, size_t length)
{
	struct stat st;
	bool wrong = control->write != 0 || control->delay > 0;

	if (wrong && fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		/* poll, because the sandbox has no other way to wait. */
		real.poll(NULL, 0, control->delay);
		if (control->write != 0)
			return fail(control->write);
	}
	return fails(&length, EINTR, EINTR) ? -1 : real.write(fd, data, length);
}

int
accept4(int fd, __SOCKADDR_ARG address, socklen_t *size, int flags)
{
	static const int errors[] = { EINTR, EAGAIN, ECONNABORTED, EPROTO };

	if (control->accept != 0)
		return fail(control->accept);
	if (is_unlucky())
		return fail(errors[next_chance(4)]);
	return real.accept4(fd, address, size, flags);
}

/*
 * Hides about half of the ready descriptors.  If none remains, ppoll fails with EINTR: 0
 * would report a timeout.
 */
static int
forget_some(struct pollfd *fds, nfds_t count)
{
	int ready = 0;

	for (nfds_t i = 0; i < count; i++) {
		if (next_chance(2) == 0)
			fds[i].revents = 0;
		ready += fds[i].revents != 0;
	}
	return ready > 0 ? ready : fail(EINTR);
}

int
ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
      const sigset_t *mask)
{
	struct timespec shorter = { .tv_nsec = (long)control->wait * 1000000 };

	armed = 1;
	if (control->wait > 0 && timeout != NULL &&
	    (timeout->tv_sec > 0 || timeout->tv_nsec > shorter.tv_nsec))
		timeout = &shorter;
	if (is_unlucky() && next_chance(2) == 0)
		return fail(next_chance(2) == 0 ? EINTR : ENOMEM);
	int ready = real.ppoll(fds, count, timeout, mask);
	return ready > 0 && is_unlucky() ? forget_some(fds, count) : ready;
}

/* The process that writes the log has calls that fail from its start. */
pid_t
_Fork(void)
{
	pid_t pid = real._Fork();

	if (pid == 0)
		armed = 1;
	return pid;
}

int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
	return is_unlucky() ? fail(EINTR) : real.poll(fds, count, timeout);
}

/* Linux closes the descriptor even if close fails. */
int
close(int fd)
{
	int result = real.close(fd);

	return is_unlucky() ? fail(next_chance(2) == 0 ? EINTR : EIO) : result;
}

int
madvise(void *at, size_t length, int advice)
{
	return control->madvise != 0 ? fail(control->madvise)
				     : real.madvise(at, length, advice);
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int result = real.clock_gettime(clock, now);

	now->tv_sec += clock == CLOCK_REALTIME	  ? control->realtime
		       : clock == CLOCK_MONOTONIC ? control->monotonic
						  : 0;
	return result;
}

/* glibc's reads the clock without a call that could be preloaded. */
time_t
time(time_t *now)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (now != NULL)
		*now = t.tv_sec;
	return t.tv_sec;
}
