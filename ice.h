/* The ICE servers at /ice, which a page passes to RTCPeerConnection. */
#ifndef ICE_H
#define ICE_H

#include "http.h"
#include "ice_server.h"

/* Sets the servers.  The caller owns the list, which must stay valid. */
void ice_start(const struct ice_server *servers);

/*
 * Answers a request for /ice with the ICE servers.  If tokens are in use (secrets.h), the
 * request needs one for any room, as `token` in its query or as Authorization: Bearer
 * (RFC 6750 section 2.1); without it the answer is 401.  While the clock is not set, it
 * is 503 if there are tokens or credentials to compute.  Returns false, and answers
 * nothing, if the request has another path.
 */
bool ice_answer(uint32_t conn, const struct http_request *);

/* How requests were answered: 200, 401 for a token, or 503. */
enum ice_result {
	ICE_ANSWERED,
	ICE_TOKEN_NEEDED,
	ICE_TOKEN_INVALID,
	ICE_TOKEN_EXPIRED,
	ICE_TOKEN_EARLY,
	ICE_NO_CLOCK,
	ICE_RESULTS
};

struct ice_counters {
	uint64_t results[ICE_RESULTS];
};

const struct ice_counters *ice_count(void);

#endif
