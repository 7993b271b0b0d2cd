/*
 * Checks input from clients before it reaches code of BearSSL 0.6 that does not withstand
 * invalid input.
 */
#ifndef GUARD_H
#define GUARD_H

#include <bearssl.h>

/* The only protocol that ALPN can negotiate. */
#define GUARD_PROTOCOL "http/1.1"

/*
 * A session cache.  A ClientHello resumes a session only if it has no ALPN extension, or
 * one that lists GUARD_PROTOCOL.  Without this check BearSSL would write
 * protocol_names[65534] in a resumption without a common protocol.
 *
 * Any other ClientHello leads to a full handshake: one with another ALPN extension, with
 * two of them, or in more than one record.  With BR_OPT_FAIL_ON_ALPN_MISMATCH a full
 * handshake ends with an alert if there is no common protocol (RFC 7301 section 3.2).
 *
 * The engine must receive each handshake record in one piece.
 */
struct guard_cache {
	const br_ssl_session_cache_class *vtable;
	br_ssl_session_cache_lru lru;
};

/* Like br_ssl_session_cache_lru_init: `store` must stay valid; the caller owns it. */
void guard_cache_init(struct guard_cache *, unsigned char *store, size_t length);

/*
 * BearSSL's default curves for ECDHE, with a check of each client's point.  Without it
 * BearSSL computes with uninitialised memory if a point has an invalid length or encoding
 * (RFC 8422 section 5.4).
 *
 * BearSSL uses a random secret if the point is invalid, or if the X25519 secret would be
 * all zeros (section 5.11).  Then the check of the client's Finished message fails.
 */
extern const br_ec_impl guard_ec;

#endif
