/*
 * Serves the URLs of SockJS (https://github.com/sockjs/sockjs-protocol) below the prefix
 * of each service.
 */
#ifndef SOCKJS_H
#define SOCKJS_H

#include "session.h"

struct sockjs_limits {
	struct session_limits session;
	uint32_t handshake;	    /* seconds for a connection's first request */
	const char *const *origins; /* allowed ones, ended by NULL; empty: all */
	const char *script;	    /* URL of the client's script; "": no iframe page */
	const char *integrity;	    /* its hash (W3C SRI), or NULL */
	/* Answers a request for a URL that no service has, or returns false: 404.  NULL:
	 * 404 for all of them. */
	bool (*unmatched)(uint32_t conn, const struct http_request *);
};

/*
 * Takes the memory (memory.h: called in both passes), also that of the files below.  The
 * services and what the limits point to stay the caller's, and must stay.
 */
void sockjs_place(struct memory *, const struct sockjs_limits *, const struct service *,
		  size_t count);

#endif
