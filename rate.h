/*
 * Rate limits, in total or for each of many addresses: token buckets, implemented as the
 * generic cell rate algorithm (ITU-T I.371).
 */
#ifndef RATE_H
#define RATE_H

#include <stdbool.h>
#include <stdint.h>

/* A limit, in units that the caller chooses, such as bytes or packets. */
struct rate_limit {
	uint32_t per_second; /* average rate in units per second, at least 1 */
	uint32_t burst_ms;   /* capacity, as the time that filling it takes */
};

/* One bucket.  All zero: the bucket is full. */
struct rate_bucket {
	uint64_t full_at; /* monotonic time in ms at which the bucket is full again */
	uint32_t hash;	  /* of the address; used in tables only */
};

/*
 * Takes `amount` units (at most 4,000,000) from a bucket.  `now` is the monotonic time in
 * ms.  Returns false, and takes nothing, if the bucket holds fewer units.
 */
bool rate_take(struct rate_bucket *, const struct rate_limit *, uint32_t amount,
	       uint64_t now);

enum { RATE_SETS = 64, RATE_WAYS = 4 /* buckets of a set */ };

/* Buckets for many addresses: a set-associative cache.  All zero: all are full. */
struct rate_table {
	struct rate_bucket buckets[RATE_SETS][RATE_WAYS];
};

/*
 * Returns the bucket of an address.  `hash` is its keyed hash (text_hash).  An address
 * without a bucket takes over the fullest one of its set, with its contents.  So all
 * addresses together get at most RATE_SETS * RATE_WAYS times the limit.
 */
struct rate_bucket *rate_find(struct rate_table *, uint32_t hash);

#endif
