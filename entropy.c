#include "entropy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <unistd.h>

/* Returns false if getrandom would wait (EAGAIN) or does not exist. */
static bool
get(void *data, size_t length, unsigned flags)
{
	ssize_t n;

	do
		n = getrandom(data, length, flags);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)length;
}

/*
 * Waits at most `timeout_ms` (-1: no limit) until the generator has a seed.  Returns
 * false if it has none by then.
 */
static bool
wait_for_seed(int timeout_ms)
{
	struct pollfd random = { .fd = open("/dev/random", O_RDONLY | O_CLOEXEC),
				 .events = POLLIN };
	int ready = 1;

	/* Without this file there is no way to wait for the seed. */
	if (random.fd < 0)
		return true;
	do
		ready = poll(&random, 1, timeout_ms);
	while (ready < 0 && errno == EINTR);
	close(random.fd);
	return ready != 0;
}

static bool
read_urandom(void *data, size_t length)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	ssize_t n = read(fd, data, length);
	int error = n < 0 ? errno : EIO;
	close(fd);
	errno = error;
	return n == (ssize_t)length;
}

bool
entropy_ready(void)
{
	unsigned char byte;

	return get(&byte, sizeof byte, GRND_NONBLOCK) ||
	       (errno != EAGAIN && wait_for_seed(0));
}

bool
entropy_get(void *data, size_t length)
{
	return get(data, length, 0) || (wait_for_seed(-1) && read_urandom(data, length));
}

bool
entropy_try(void *data, size_t length)
{
	return get(data, length, GRND_NONBLOCK) ||
	       (errno != EAGAIN && wait_for_seed(0) && read_urandom(data, length));
}
