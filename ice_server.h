/*
 * ICE servers: reads IceServers of the configuration, and builds the configuration of an
 * RTCPeerConnection (W3C WebRTC section 4.2).
 */
#ifndef ICE_SERVER_H
#define ICE_SERVER_H

#include "text.h"

#include <bearssl.h>

enum {
	ICE_SERVERS_MAX = 16,	 /* maximum number of servers */
	ICE_SERVERS_TEXT = 4096, /* maximum size of all their strings, in bytes */
	/* Maximum that ice_servers_put adds, in bytes. */
	ICE_SERVERS_JSON = 2 * ICE_SERVERS_TEXT + ICE_SERVERS_MAX * 64 + 1024,
	ICE_NAME = 128,	    /* maximum size of the name of ice_servers_put, in bytes */
	ICE_SECONDS = 86400 /* lifetime of computed credentials */
};

/* A STUN or TURN server.  The strings are in the text of ice_servers_read. */
struct ice_server {
	const char *url;      /* RFC 7064, RFC 7065 */
	const char *username; /* NULL: no credentials, or computed ones */
	const char *credential;
};

/*
 * Reads a JSON list of at most ICE_SERVERS_MAX entries.  An entry is a URL, or an object
 * with urls (one string), username and credential, all required.  `servers` ends with a
 * NULL url.
 *
 * `list` must be a value that the JSON reader has accepted.  Its text must be writable
 * and stay valid: strings are unescaped in place, and the servers point to them.
 *
 * On failure returns false and sets `fault` to the reason, which begins with a colon or
 * a comma.  It never contains a username or credential, not even those of a URL with an
 * @.  If `list` is a number, true, false or null, `fault` does not change.
 */
bool ice_servers_read(struct ice_server servers[ICE_SERVERS_MAX + 1], struct span list,
		      struct text *fault);

/* Returns true if a turn: or turns: URL has no credentials, so needs TurnSecret. */
bool ice_servers_need_secret(const struct ice_server *servers);

/*
 * Adds {"iceServers":[...],"ttl":ICE_SECONDS}.  URLs without credentials become one entry
 * for STUN and one for TURN.  Each server with credentials becomes an entry after them.
 *
 * The entry for TURN has the credentials that coturn computes with use-auth-secret: the
 * username is EXPIRES:NAME, the credential base64(HMAC-SHA-1(secret, username)).  It is
 * omitted without a secret (NULL).
 *
 * `expires` is in seconds since 1970 UTC.  `name` has at most ICE_NAME bytes.  Bytes that
 * are not unreserved in a URI (RFC 3986 section 2.3) are percent-encoded, because coturn
 * rejects spaces, quotes and backslashes.
 */
void ice_servers_put(struct text *, const struct ice_server *servers,
		     const br_hmac_key_context *secret, uint64_t expires,
		     struct span name);

#endif
