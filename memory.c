#define _GNU_SOURCE /* MAP_ANONYMOUS, madvise, getpagesize */
#include "memory.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

enum { CACHE_LINE = 64 };

static void *
take_bytes(struct memory *m, size_t bytes, size_t alignment)
{
	size_t start = (m->used + alignment - 1) / alignment * alignment;

	if (start < m->used || start > SIZE_MAX / 2 || bytes > SIZE_MAX / 2 - start) {
		m->overflow = true;
		return NULL;
	}
	m->used = start + bytes;
	return m->base != NULL ? m->base + start : NULL;
}

void *
memory_take(struct memory *m, size_t count, size_t size)
{
	if (count > SIZE_MAX / 2 / size) {
		m->overflow = true;
		return NULL;
	}
	return take_bytes(m, count * size, CACHE_LINE);
}

void *
memory_take_pages(struct memory *m, size_t count, size_t size, size_t *stride)
{
	size_t page = (size_t)getpagesize();

	*stride = (size + page - 1) / page * page;
	if (size > SIZE_MAX / 2 || (count > 0 && *stride > SIZE_MAX / 2 / count)) {
		m->overflow = true;
		return NULL;
	}
	return take_bytes(m, count * *stride, page);
}

bool
memory_map(struct memory *m)
{
	/* The worst case may exceed the machine's RAM, so reserve nothing.  The server
	 * logs the worst case at start. */
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

	if (m->overflow) {
		errno = ENOMEM;
		return false;
	}
	void *base = mmap(NULL, m->used, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (base == MAP_FAILED)
		return false;
#ifdef MADV_NOHUGEPAGE
	/* A touched byte would use 2 MB. */
	madvise(base, m->used, MADV_NOHUGEPAGE);
#endif
	m->base = base;
	m->used = 0;
	return true;
}

/* MADV_DONTNEED frees private pages on Linux only.  Other systems keep the pages. */
void
memory_drop(void *start, size_t length)
{
#ifdef __linux__
	uintptr_t page = (uintptr_t)getpagesize();
	uintptr_t first = ((uintptr_t)start + page - 1) / page * page;
	uintptr_t end = ((uintptr_t)start + length) / page * page;
	if (first < end)
		madvise((char *)start + (first - (uintptr_t)start), end - first,
			MADV_DONTNEED);
#else
	(void)start;
	(void)length;
#endif
}

void
memory_wipe(void *data, size_t length)
{
	volatile unsigned char *p = data;

	while (length-- > 0)
		*p++ = 0;
}

static struct {
	char *blocks;
	uint32_t *idle;	     /* a stack of the indices of blocks that were given back */
	uint32_t idle_count; /* blocks on that stack */
	uint32_t count;
	uint32_t ever_taken; /* blocks that have been taken at least once */
	uint32_t idle_min;   /* minimum of idle_count since the last sweep */
	uint32_t trimmed;    /* blocks without pages, at the bottom of that stack */
	size_t size;
} pool;

void
block_place(struct memory *m, uint32_t count, size_t size)
{
	pool.count = count;
	pool.idle = memory_take(m, count, sizeof *pool.idle);
	pool.blocks = memory_take_pages(m, count, size, &pool.size);
}

size_t
block_size(void)
{
	return pool.size;
}

char *
block_take(void)
{
	if (pool.idle_count == 0)
		return pool.ever_taken < pool.count
			   ? pool.blocks + pool.size * pool.ever_taken++
			   : NULL;
	pool.idle_count--;
	if (pool.idle_min > pool.idle_count)
		pool.idle_min = pool.idle_count;
	if (pool.trimmed > pool.idle_count)
		pool.trimmed = pool.idle_count;
	return pool.blocks + pool.size * pool.idle[pool.idle_count];
}

void
block_give(char *block)
{
	pool.idle[pool.idle_count++] =
	    (uint32_t)((size_t)(block - pool.blocks) / pool.size);
}

uint32_t
block_taken(void)
{
	return pool.ever_taken - pool.idle_count;
}

bool
block_sweep(void)
{
	for (; pool.trimmed < pool.idle_min; pool.trimmed++)
		memory_drop(pool.blocks + pool.size * pool.idle[pool.trimmed], pool.size);
	pool.idle_min = pool.idle_count;
	return pool.trimmed < pool.idle_count;
}
