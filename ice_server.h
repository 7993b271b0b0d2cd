/*
 * ICE servers: checks those of the configuration, and builds what a page passes to
 * RTCPeerConnection (W3C WebRTC section 4.2).
 */
#ifndef ICE_SERVER_H
#define ICE_SERVER_H

#include "text.h"

#include <bearssl.h>

enum {
	ICE_SERVERS_MAX = 16,	 /* maximum number of servers */
	ICE_SERVERS_TEXT = 4096, /* maximum size of all their strings, in bytes */
	/* Maximum size of what ice_servers_put adds, in bytes. */
	ICE_SERVERS_JSON = 2 * ICE_SERVERS_TEXT + ICE_SERVERS_MAX * 64 + 1024,
	ICE_NAME = 128,	    /* maximum size of the name in a username, in bytes */
	ICE_SECONDS = 86400 /* lifetime of a credential */
};

/* A STUN or TURN server.  Strings are in the caller's memory. */
struct ice_server {
	const char *url;      /* RFC 7064, RFC 7065 */
	const char *username; /* NULL: none, or those of TurnSecret */
	const char *credential;
};

/*
 * Reads a JSON list of at most ICE_SERVERS_MAX URLs, or objects with urls (one string),
 * username and credential.  The list ends with a NULL url.  The text of `list` must be
 * writable: its strings are unescaped in place, and the servers point to them.
 *
 * On failure returns false and sets `fault` to the reason, which begins with ": " or ", "
 * and has no username and no credential, also of a URL with an @.  If `list` is no list,
 * object or string, it does not change `fault`.
 */
bool ice_servers_read(struct ice_server servers[ICE_SERVERS_MAX + 1], struct span list,
		      struct text *fault);

/* Returns true if a turn: or turns: URL has no credentials. */
bool ice_servers_need_secret(const struct ice_server *servers);

/*
 * Adds {"iceServers":[...],"ttl":ICE_SECONDS}.  URLs without credentials become one entry
 * for STUN and one for TURN.
 *
 * The one for TURN has the credentials that coturn computes with use-auth-secret: the
 * username is EXPIRES:NAME, the credential base64(HMAC-SHA-1(secret, username)).
 * `expires` is in seconds since 1970 UTC.  `name` has at most ICE_NAME bytes; those that
 * are not unreserved in a URI (RFC 3986 section 2.3) are percent-encoded, because coturn
 * rejects spaces, quotes and backslashes.  Without a secret (NULL) the entry is omitted.
 */
void ice_servers_put(struct text *, const struct ice_server *servers,
		     const br_hmac_key_context *secret, uint64_t expires,
		     struct span name);

#endif
