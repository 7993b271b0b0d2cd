/*
 * Rates: how often something may happen, in all or for each of many addresses, as token
 * buckets in the form of the generic cell rate algorithm (ITU-T I.371).
 */
#ifndef RATE_H
#define RATE_H

#include <stdbool.h>
#include <stdint.h>

/* In units that the caller chooses, such as bytes or packets. */
struct rate_limit {
	uint32_t per_second; /* units in the long run, at least 1 */
	uint32_t burst;	     /* milliseconds' worth of units that may come together */
};

/* One bucket.  All zero: full. */
struct rate_bucket {
	uint64_t full_at; /* millisecond from which the whole burst is available again */
	uint32_t hash;	  /* of what it counts for; used in tables only */
};

/*
 * Takes `amount` units, at most 4,000,000, at `now`, a monotonic time in milliseconds.
 * False, with nothing taken, if the bucket does not hold that many.
 */
bool rate_take(struct rate_bucket *, const struct rate_limit *, uint32_t amount,
	       uint64_t now);

enum { RATE_SETS = 64, RATE_WAYS = 4 };

/* Buckets for many addresses.  All zero: all full. */
struct rate_table {
	struct rate_bucket buckets[RATE_SETS][RATE_WAYS];
};

/*
 * The bucket of this hash, which must be seeded (text_hash).  If it has none, the fullest
 * bucket of its set becomes its own, with what that holds: so all addresses together get
 * at most RATE_SETS * RATE_WAYS times the limit.
 */
struct rate_bucket *rate_find(struct rate_table *, uint32_t hash);

#endif
