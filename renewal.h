/*
 * The certificate in use: loads it at start and again after SIGHUP, warns of what is
 * wrong with it, and checks its dates once a day.
 */
#ifndef RENEWAL_H
#define RENEWAL_H

#include "cert.h"
#include "conf.h"
#include "tls.h"

/*
 * Loads Cert and Key.  Without TLS does nothing.  On failure returns false and adds the
 * reason to `error`.  The configuration must stay valid; the caller owns it.
 */
bool renewal_load(const struct conf *, struct text *error);

/*
 * At start, before the change to User and the sandbox: logs what is wrong with the
 * certificate or its files, at level warn.  That includes files that User can not read.
 */
void renewal_warn(void);

/* Sets the certificate, and seeds the random generator: see tls_start. */
void renewal_start(const uint8_t seed[TLS_SEED]);

/* Asks for Cert and Key to be loaded again, by renewal_wakeup. */
void renewal_request(void);

/*
 * Call it after each wait of the loop.  Loads the files that were asked for: on failure
 * the certificate in use does not change.  Logs once a day which certificates of the
 * chain have expired, expire within 30 days or are not valid yet.
 */
void renewal_wakeup(void);

/*
 * Adds what the dates of a certificate mean at a time: "expires in 6 days: 2026-12-03".
 * Returns false and adds nothing if it is valid for 30 days more, or the clock is not set
 * (TEXT_RELEASED).  `now` is Unix time.  The text needs 60 bytes of room.
 */
bool renewal_put_dates(struct text *, const struct cert_validity *, uint64_t now);

/* Returns the whole days from `now` until `time`, rounded down: -1 is the day after it.
 */
int32_t renewal_days(uint64_t time, uint64_t now);

/* Counts since the start, except for the first member. */
struct renewal_counters {
	uint64_t not_after; /* of the chain, the earliest: Unix time; 0: unknown */
	uint64_t reloads;   /* after SIGHUP */
	uint64_t failures;  /* to load after SIGHUP */
};

const struct renewal_counters *renewal_count(void);

#endif
