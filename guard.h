/*
 * Checks of what clients send, ahead of code of BearSSL 0.6 that does not withstand all
 * of it.
 */
#ifndef GUARD_H
#define GUARD_H

#include <bearssl.h>

/* The one protocol that is negotiated by ALPN. */
#define GUARD_PROTOCOL "http/1.1"

/*
 * A cache of sessions that are resumed only with an ALPN extension that has
 * GUARD_PROTOCOL, or with none.  In a resumption BearSSL does not check for a common
 * protocol, and then writes protocol_names[65534].  A ClientHello with another ALPN
 * extension, with two of them, or in more than one record gets a full handshake; with
 * BR_OPT_FAIL_ON_ALPN_MISMATCH that ends with an alert if there is no common protocol
 * (RFC 7301 section 3.2).  The engine must get each handshake record whole.
 */
struct guard_cache {
	const br_ssl_session_cache_class *vtable;
	br_ssl_session_cache_lru lru;
};

/* As br_ssl_session_cache_lru_init: `store` stays the caller's. */
void guard_cache_init(struct guard_cache *, unsigned char *store, size_t length);

/*
 * BearSSL's default curves for ECDHE, with each client's point checked before it is used.
 * BearSSL computes with uninitialised memory if a point has a wrong length or encoding
 * (RFC 8422 section 5.4).  Such a point, and one that leads to an X25519 secret of zeros
 * (section 5.11), gets a random secret, so that the client's Finished message fails.
 */
extern const br_ec_impl guard_ec;

#endif
