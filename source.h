/*
 * Counts objects, such as connections, by the client address that they belong to, and
 * limits the number for each address.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "memory.h"
#include "text.h"

/*
 * The part of an address that identifies a client: a whole IPv4 address, or the first 64
 * bits of an IPv6 address, since one household usually has the rest.  Loopback addresses
 * have a length of 0 and are not counted.
 */
struct source {
	uint8_t length;
	uint8_t bytes[8];
};

/* Returns the source of an address of 4 or 16 bytes. */
struct source source_of(const uint8_t *address, size_t length);

struct source_count {
	uint32_t count;
	uint32_t chain; /* the next entry in the bucket, or in the free list */
	struct source source;
};

/* A hash table of counts.  Entries are numbered from 1; 0 means none. */
struct sources {
	struct source_count *counts; /* indexed by entry */
	uint32_t *buckets;
	uint32_t mask;	    /* number of buckets - 1; that number is a power of two */
	uint32_t ever_used; /* the highest entry used so far */
	uint32_t free;	    /* the first entry in the free list */
	uint32_t limit;	    /* maximum count of one source */
	uint32_t key[2];    /* of the hash */
};

/*
 * Allocates a table for at most `max` objects in total, and at most `limit` from one
 * source.  `key` must be random.  Call it before and after memory_map, like memory_take.
 */
void sources_place(struct sources *, struct memory *, uint32_t max, uint32_t limit,
		   const uint32_t key[2]);

/*
 * Counts one more object.  Sets `entry` to what source_remove needs later.  Returns
 * false, and counts nothing, if the source has reached the limit.  The caller must not
 * add more objects in total than the table is for.
 */
bool source_add(struct sources *, struct source, uint32_t *entry);
/* Counts one object less. */
void source_remove(struct sources *, uint32_t entry);

#endif
