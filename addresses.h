/*
 * Counts objects, such as connections or sessions, by their client's address, and limits
 * the number for each address.  IPv6 counts by its first 64 bits.
 */
#ifndef ADDRESSES_H
#define ADDRESSES_H

#include "memory.h"
#include "text.h"

/*
 * The part of an address that identifies a client: a whole IPv4 address, or the first 64
 * bits of an IPv6 address, since a client can usually choose the other bits.  Loopback
 * addresses have a length of 0 and are not counted.
 */
struct address_key {
	uint8_t length;
	uint8_t bytes[8];
};

/* Returns the key of an address of 4 or 16 bytes. */
struct address_key address_key_of(const uint8_t *address, size_t length);

struct address_count {
	uint32_t count;
	uint32_t chain; /* the next entry in the bucket, or in the free list */
	struct address_key address;
};

/* A hash table of counts.  Entries are numbered from 1; 0 means none. */
struct addresses {
	struct address_count *counts; /* indexed by entry */
	uint32_t *buckets;	      /* each bucket's first entry */
	uint32_t mask;	    /* number of buckets - 1; that number is a power of two */
	uint32_t ever_used; /* the highest entry used so far */
	uint32_t free;	    /* the first entry in the free list */
	uint32_t limit;	    /* maximum count of one address */
	uint32_t key[2];    /* of the hash */
};

/*
 * Allocates a table for at most `max` objects in total, and at most `limit` from one
 * address.  `key` must be random.  Call it before and after memory_map, like memory_take.
 */
void addresses_place(struct addresses *, struct memory *, uint32_t max, uint32_t limit,
		     const uint32_t key[2]);

/*
 * Counts one more object.  Sets `entry`, which addresses_remove needs later; 0 means not
 * counted.  Returns false, and counts nothing, if the address has reached the limit.  The
 * caller must not add more than `max` objects in total.
 */
bool addresses_add(struct addresses *, struct address_key, uint32_t *entry);
/* Counts one object less.  Does nothing if `entry` is 0. */
void addresses_remove(struct addresses *, uint32_t entry);

#endif
