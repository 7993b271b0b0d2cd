/*
 * Sources: the addresses that something comes from, counted, so that one of them cannot
 * take the places of all.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "memory.h"
#include "text.h"

/*
 * Whom an address counts for: an IPv4 address, or the first 64 bits of an IPv6 one, of
 * which one household has all the rest.  Loopback counts for nobody: its length is 0.
 */
struct source {
	uint8_t length;
	uint8_t bytes[8];
};

/* Of an address of 4 or 16 bytes. */
struct source source_of(const uint8_t *address, size_t length);

struct source_count {
	uint32_t count;
	uint32_t chain; /* the next of the same bucket, or the next free one */
	struct source source;
};

/* How many each has. */
struct sources {
	struct source_count *counts;
	uint32_t *buckets;
	uint32_t mask;	 /* buckets, a power of two, less one */
	uint32_t fresh;	 /* entries above this one have never been used */
	uint32_t free;	 /* the first of those given back */
	uint32_t limit;	 /* for one source */
	uint32_t key[2]; /* seeds the hash */
};

/* For at most `most` in all. */
void sources_place(struct sources *, struct memory *, uint32_t most, uint32_t limit,
		   const uint32_t key[2]);

/* One more.  False if the source has its share; `entry` is for source_remove. */
bool source_add(struct sources *, struct source, uint32_t *entry);
void source_remove(struct sources *, uint32_t entry);

#endif
