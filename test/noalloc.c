/*
 * For LD_PRELOAD: once the server has started, that is from the first ppoll on, each
 * allocation fails and is reported on stderr.
 */
#define _GNU_SOURCE /* RTLD_NEXT, ppoll, reallocarray */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EARLY = 4096 }; /* bytes for allocations of dlsym itself */

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*memalign)(size_t, size_t);
	void (*free)(void *);
	int (*ppoll)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
} real;

static alignas(max_align_t) char early[EARLY];
static size_t early_used;
static int resolving, armed;

static void
say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		_exit(1);
}

/* Finds the next definition of a name.  ISO C has no cast from data to function pointers.
 */
static void
resolve(void *function, const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof found);
}

static void
resolve_all(void)
{
	if (real.ppoll != NULL || resolving)
		return;
	resolving = 1;
	resolve(&real.malloc, "malloc");
	resolve(&real.calloc, "calloc");
	resolve(&real.realloc, "realloc");
	resolve(&real.memalign, "memalign");
	resolve(&real.free, "free");
	resolve(&real.ppoll, "ppoll");
	resolving = 0;
}

/* Allocates zeroed memory: no byte is handed out twice. */
static void *
take_early(size_t size)
{
	size_t start = early_used;

	if (size > EARLY - start)
		return NULL;
	early_used = start + (size + alignof(max_align_t) - 1) / alignof(max_align_t) *
				 alignof(max_align_t);
	return early + start;
}

static int
is_early(const void *memory)
{
	uintptr_t at = (uintptr_t)memory, start = (uintptr_t)early;

	return at >= start && at < start + EARLY;
}

/* Returns 1 if the allocation must fail, after reporting it. */
static int
denied(const char *line)
{
	resolve_all();
	if (!armed)
		return 0;
	say(line);
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	if (denied("noalloc: malloc\n"))
		return NULL;
	return resolving ? take_early(size) : real.malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	if (denied("noalloc: calloc\n"))
		return NULL;
	if (!resolving)
		return real.calloc(count, size);
	return size > 0 && count > EARLY / size ? NULL : take_early(count * size);
}

void *
realloc(void *memory, size_t size)
{
	if (denied("noalloc: realloc\n"))
		return NULL;
	if (!resolving && !is_early(memory))
		return real.realloc(memory, size);
	return NULL; /* dlsym does not call realloc */
}

void *
reallocarray(void *memory, size_t count, size_t size)
{
	if (size > 0 && count > SIZE_MAX / size) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(memory, count * size);
}

void *
memalign(size_t alignment, size_t size)
{
	return denied("noalloc: memalign\n") ? NULL : real.memalign(alignment, size);
}

void *
aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int
posix_memalign(void **memory, size_t alignment, size_t size)
{
	*memory = memalign(alignment, size);
	return *memory == NULL ? ENOMEM : 0;
}

void
free(void *memory)
{
	resolve_all();
	if (memory != NULL && !resolving && !is_early(memory))
		real.free(memory);
}

int
ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout,
      const sigset_t *mask)
{
	resolve_all();
	if (!armed)
		say("noalloc: armed\n");
	armed = 1;
	return real.ppoll(fds, count, timeout, mask);
}
