/*
 * Limits how many bytes clients can have logged, per address and in total, and counts the
 * lines that the log discards.  Levels are those of log.h: a lower one is more severe.
 */
#ifndef LOGRATE_H
#define LOGRATE_H

#include "text.h"

/* Why a line is discarded. */
enum lograte_reason {
	ADDRESS_RATE, /* its address exceeds its rate */
	TOTAL_RATE,   /* all addresses together exceed theirs */
	SLOW_STORAGE, /* the lines before it are not written yet */
	LOGRATE_REASONS
};

/*
 * Starts to limit; before that, every line is allowed.  `key` is random, so that clients
 * can not choose which addresses share a bucket.
 */
void lograte_start(const uint32_t key[2]);

/*
 * Charges a line to its address and to the total.  All IPv6 addresses with the same first
 * 64 bits count as one.  `peer` is the address with a port, `length` the maximum length
 * of the line in bytes.  Returns false if a rate is exceeded: then nothing is charged,
 * and the line counts as discarded.
 */
bool lograte_charge(struct span peer, unsigned level, uint32_t length);

/* Corrects the last charge to the line's actual length. */
void lograte_settle(uint32_t length);

/* Counts a line as discarded. */
void lograte_discard(enum lograte_reason, unsigned level);

/* Have lines been discarded that are not reported yet? */
bool lograte_has_discarded(void);

/* Is a report of them due?  Returns true at most once a second. */
bool lograte_report_due(void);

struct lograte_discarded {
	uint32_t lines;
	unsigned level; /* of the most severe line */
};

/* Returns what was discarded for a reason since the last call. */
struct lograte_discarded lograte_take_discarded(enum lograte_reason);

/* Appends the reason as text, with the rate that was exceeded. */
void lograte_put_reason(struct text *, enum lograte_reason);

#endif
