/*
 * Serves the URLs of SockJS (https://github.com/sockjs/sockjs-protocol) below the prefix
 * of each service.
 */
#ifndef SOCKJS_H
#define SOCKJS_H

#include "session.h"

struct sockjs_limits {
	struct session_limits session;
	uint32_t handshake;	    /* seconds from accept to the end of the first head */
	const char *const *origins; /* allowed ones (origin.h) */
	const char *script;	    /* URL of the SockJS client; "": no iframe page */
	const char *integrity;	    /* its hash (W3C SRI), or NULL */
	/* Answers a request for a URL that no service has, and returns true.  If it
	 * returns false, or is NULL, the answer is 404. */
	bool (*unmatched)(uint32_t conn, const struct http_request *);
	/* The same for URLs that pages of all origins can use. */
	bool (*shared)(uint32_t conn, const struct http_request *);
};

/*
 * Takes the memory (memory.h: called in both passes), also for web.c and session.c.  The
 * caller owns the services and the strings of the limits, which must stay valid.
 */
void sockjs_place(struct memory *, const struct sockjs_limits *, const struct service *,
		  size_t count);

/*
 * Adds the header fields that let a page of the request's origin read the answer, with
 * credentials (CORS; WHATWG Fetch).
 */
void sockjs_put_cors(struct text *, const struct http_request *);

#endif
