/* All of the server's memory: one mapping, made at start, and a pool of blocks in it. */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The mapping being divided.  It is gone through twice with the same takes: all zero
 * at first it only counts, and after memory_map it gives the places out.
 */
struct memory {
	char *base; /* NULL while counting */
	size_t used;
	bool overflow; /* more than a size_t holds: memory_map refuses */
};

/*
 * `count` things of `size` bytes, zeroed, aligned to a cache line: NULL while counting.
 * They cost nothing until they are touched.
 */
void *memory_take(struct memory *, size_t count, size_t size);

/*
 * The same, with each thing in whole pages of its own: the n-th is at n times `*stride`
 * bytes.
 */
void *memory_take_pages(struct memory *, size_t count, size_t size, size_t *stride);

/* Maps what has been counted, for the second time through.  False with errno set. */
bool memory_map(struct memory *);

/* The contents are wanted no more: whole pages of it go back to the system. */
void memory_drop(void *start, size_t length);

/* Zeros memory that nothing reads afterwards, which memset may leave undone. */
void memory_wipe(void *, size_t length);

/*
 * A pool of equal blocks, the one given back last taken first, so that a few hot
 * ones serve everybody.  `size` is rounded up to whole pages.
 */
void block_place(struct memory *, uint32_t count, size_t size);
size_t block_size(void);
/* The caller's until given back; contents undefined; NULL if all are taken. */
char *block_take(void);
void block_give(char *block);
uint32_t block_taken(void);

/*
 * Once a second: the pages of blocks that nobody has needed since the last time go back
 * to the system.  True while there is more to give back at the next.
 */
bool block_sweep(void);

#endif
