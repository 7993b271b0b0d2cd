/* The service at a prefix: every URL below it, as SockJS has them. */
#ifndef SOCKJS_H
#define SOCKJS_H

#include "session.h"

struct sockjs_limits {
	struct session_limits session;
	uint32_t handshake;	    /* seconds for a connection's first request */
	const char *const *origins; /* NULL behind the last; none: all are welcome */
	const char *script;	    /* URL of the client's script; "": no iframe page */
	const char *integrity;	    /* its hash (W3C SRI), or NULL */
	/* Answers a request for what no service has; false: there is nothing. */
	bool (*elsewhere)(uint32_t conn, const struct http_request *); /* or NULL */
};

/* The services (`count` of them) stay the caller's, and must stay. */
void sockjs_place(struct memory *, const struct sockjs_limits *, const struct service *,
		  size_t count);

#endif
