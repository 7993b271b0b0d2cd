/*
 * Services and their sessions: everything below a service's prefix.  A service sees whole
 * messages of sessions, and cannot tell what carries them.  A session is known by
 * a number from 1, used anew once its `closed` has been called.
 */
#ifndef SOCKJS_H
#define SOCKJS_H

#include "conn.h"

struct service {
	const char *prefix;
	/* Binary WebSocket messages are handed up as such; otherwise they are text,
	 * and must be UTF-8. */
	bool binary;
	void (*opened)(uint32_t session);
	/* The message may be changed in place; it is gone when the call returns. */
	void (*message)(uint32_t session, char *data, size_t length, bool binary);
	/* Called once for each `opened`, and never within session_send or session_close.
	 */
	void (*closed)(uint32_t session);
};

struct sockjs_limits {
	uint32_t connections;	    /* as conn_most gives it */
	uint32_t message;	    /* bytes of the largest that a client may send */
	uint32_t reply;		    /* bytes of the largest that a service sends */
	uint32_t heartbeat;	    /* seconds */
	uint32_t handshake;	    /* seconds for a connection's first request */
	const char *const *origins; /* NULL behind the last; none: all are welcome */
};

/* Bytes that a block must have for these limits. */
size_t sockjs_block(const struct sockjs_limits *);
/* Sessions that there can be: numbers go up to it. */
uint32_t sockjs_sessions(const struct sockjs_limits *);
/* The limits, and the services (`count` of them), stay the caller's, and must stay. */
void sockjs_place(struct memory *, const struct sockjs_limits *, const struct service *,
		  size_t count);

/* Sends a message, UTF-8 unless `binary`.  A session that is closing takes no more. */
void session_send(uint32_t session, const char *data, size_t length, bool binary);
/* Ends a session, with a code that ws_valid_code accepts. */
void session_close(uint32_t session, unsigned code, const char *reason);
/* The client's address, for the log; good until the next call. */
struct span session_peer(uint32_t session);

struct sockjs_counters {
	uint32_t open;
	uint64_t messages_in, messages_out;
};

const struct sockjs_counters *sockjs_count(void);

#endif
