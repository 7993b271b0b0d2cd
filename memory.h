/* The memory of all tables and buffers: one mapping made at start, which contains a pool
 * of blocks. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The mapping while it is divided.  All zero at the start.  The caller makes the same
 * sequence of memory_take calls in two passes.  In the first pass, before memory_map,
 * they only count.  In the second, after it, they return memory.
 */
struct memory {
	char *base;    /* NULL while counting */
	size_t used;   /* bytes taken in this pass */
	bool overflow; /* the total is too large: memory_map fails */
};

/*
 * Takes `count` objects of `size` bytes, zeroed and aligned to a cache line.  Returns
 * NULL while counting.  A page uses no RAM until it is first touched.
 */
void *memory_take(struct memory *, size_t count, size_t size);

/*
 * Like memory_take, but each object starts on a new page: object n, from 0, at byte n *
 * `*stride`.  The stride is `size`, rounded up to whole pages.
 */
void *memory_take_pages(struct memory *, size_t count, size_t size, size_t *stride);

/* Maps the memory that has been counted.  Returns false, with errno set, on failure. */
bool memory_map(struct memory *);

/*
 * Returns to the system the pages that lie wholly in a range.  The contents of the range
 * are undefined afterwards.
 */
void memory_drop(void *start, size_t length);

/* Zeros memory even if nothing reads it later; a compiler may omit such a memset. */
void memory_wipe(void *, size_t length);

/*
 * A pool of `count` blocks of equal size.  `size` is rounded up to whole pages.  The
 * block returned last is taken first, so that few blocks serve a low load.
 *
 * Like memory_take, block_place must be called before and after memory_map.
 */
void block_place(struct memory *, uint32_t count, size_t size);
size_t block_size(void);
/*
 * Takes a block, which the caller owns until block_give.  Its contents are undefined.
 * Returns NULL if all blocks are taken.
 */
char *block_take(void);
void block_give(char *block);
/* Returns the number of taken blocks. */
uint32_t block_taken(void);

/*
 * Returns to the system the pages of blocks that have not been used since the last call.
 * Call it at each sweep.  Returns true if idle blocks still have pages.
 */
bool block_sweep(void);

#endif
