#include "rate.h"

bool
rate_take(struct rate_bucket *b, const struct rate_limit *limit, uint32_t amount,
	  uint64_t now)
{
	uint64_t from = b->full_at > now ? b->full_at : now;
	/* Round up, so that no amount is free.  The division is 32-bit on purpose: 64-bit
	 * divisions are slow on 32-bit targets. */
	uint64_t until =
	    from + (amount * 1000 + limit->per_second - 1) / limit->per_second;

	if (until - now > limit->burst_ms)
		return false;
	b->full_at = until;
	return true;
}

struct rate_bucket *
rate_find(struct rate_table *table, uint32_t hash)
{
	struct rate_bucket *set = table->buckets[hash % RATE_SETS], *fullest = set;

	for (unsigned i = 0; i < RATE_WAYS; i++) {
		if (set[i].hash == hash)
			return &set[i];
		if (set[i].full_at < fullest->full_at)
			fullest = &set[i];
	}
	fullest->hash = hash;
	return fullest;
}
