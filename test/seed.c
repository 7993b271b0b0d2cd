/*
 * For LD_PRELOAD: the kernel's random bytes are the same at each start.  With SEED=late
 * a getrandom that does not wait fails until one has waited, as before the kernel's
 * generator is ready.
 * SEED=old is a kernel without getrandom, whose /dev/random is not readable at first.
 * Each getrandom reports on stderr whether the sandbox let it through.
 */
#define _GNU_SOURCE /* RTLD_NEXT, syscall */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static int file = -1; /* /dev/urandom, as opened last */

static void
say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(1);
}

static int
is(const char *mode)
{
	const char *seed = getenv("SEED");

	return seed != NULL && strcmp(seed, mode) == 0;
}

/* Finds the next definition of a name.  ISO C has no cast from data to function pointers.
 */
static void
resolve(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof found);
}

ssize_t
getrandom(void *data, size_t length, unsigned flags)
{
	static int waited;

	if (is("old")) {
		errno = ENOSYS;
		return -1;
	}
	if (is("late") && (flags & GRND_NONBLOCK) != 0 && !waited) {
		errno = EAGAIN;
		return -1;
	}
	waited = 1;
	/* A sandbox may refuse it. */
	if (syscall(SYS_getrandom, data, length, flags) < 0) {
		say("seed: refused\n");
		return -1;
	}
	say("seed: given\n");
	memset(data, 0x5e, length);
	return (ssize_t)length;
}

int
open(const char *path, int flags, ...)
{
	int (*next)(const char *, int, ...);
	va_list list;

	va_start(list, flags);
	int mode = (flags & O_CREAT) != 0 ? va_arg(list, int) : 0;
	va_end(list);
	resolve(&next, "open");
	int fd = next(path, flags, mode);
	if (strcmp(path, "/dev/urandom") == 0)
		file = fd;
	return fd;
}

ssize_t
read(int fd, void *data, size_t length)
{
	ssize_t (*next)(int, void *, size_t);

	resolve(&next, "read");
	ssize_t n = next(fd, data, length);
	if (n > 0 && fd == file)
		memset(data, 0x5e, (size_t)n);
	return n;
}

/* For SEED=old: /dev/random is not readable at first. */
int
poll(struct pollfd *fds, nfds_t count, int timeout)
{
	static int waited;
	int (*next)(struct pollfd *, nfds_t, int);

	if (is("old") && timeout == 0 && !waited) {
		waited = 1;
		return 0;
	}
	resolve(&next, "poll");
	return next(fds, count, timeout);
}
