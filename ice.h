/* Answers /ice with the ICE servers that a page passes to RTCPeerConnection. */
#ifndef ICE_H
#define ICE_H

#include "http.h"
#include "ice_server.h"

/* Sets the servers.  The caller owns the list, which must stay valid. */
void ice_start(const struct ice_server *servers);

/*
 * Answers a request for /ice.  Returns false, and does not answer, if the request has
 * another path.  The status for GET and HEAD:
 *
 * - 200, with the ICE servers.
 * - 401, if Tokens is set and the request has no valid token.  The token may be for any
 *   room and user.  It is the parameter `token` of the query; if that is absent or empty,
 *   it is the one of Authorization: Bearer (RFC 6750 section 2.1).
 * - 503, if the clock is not set and the answer depends on it: a token with a valid
 *   signature must be checked, or TurnSecret is set without Tokens.
 *
 * OPTIONS gets 204, other methods 405.
 */
bool ice_answer(uint32_t conn, const struct http_request *);

/*
 * Results of GET and HEAD: 200, then 401 by cause, then 503.  The values before
 * ICE_NO_CLOCK are those of enum token_error.
 */
enum ice_result {
	ICE_ANSWERED,
	ICE_TOKEN_NEEDED,
	ICE_TOKEN_INVALID,
	ICE_TOKEN_EXPIRED,
	ICE_TOKEN_NOT_YET,
	ICE_NO_CLOCK,
	ICE_RESULTS
};

struct ice_counters {
	uint64_t results[ICE_RESULTS];
};

const struct ice_counters *ice_count(void);

#endif
