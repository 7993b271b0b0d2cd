/*
 * HTTP and WebSocket on a connection: requests one after another, each answered in its
 * turn, until one becomes a WebSocket.  What they mean is the handler's.
 */
#ifndef WEB_H
#define WEB_H

#include "conn.h"
#include "ws.h"

struct web_handler {
	/* A request's head: to be answered, or upgraded, before the return. */
	void (*request)(uint32_t conn, const struct http_request *);
	/* A message of a WebSocket, which may be changed in place; gone at the return. */
	void (*message)(uint32_t conn, char *data, size_t length, bool binary);
	/* A WebSocket's end, called once for each: nothing more can be sent to it. */
	void (*closed)(uint32_t conn);
	/* As in struct conn_handler. */
	bool (*settle)(void);
};

struct web_limits {
	uint32_t connections; /* as conn_most gives it */
	uint32_t message;     /* bytes of the largest that a client may send */
	uint32_t heartbeat;   /* seconds */
	uint32_t handshake;   /* seconds for a connection's first request */
};

enum {
	/* Bytes of a block that answers' heads and control frames may fill beside
	   messages. */
	WEB_SLACK = 1024
};

void web_place(struct memory *, const struct web_limits *, const struct web_handler *);

/* For conn_run. */
extern const struct conn_handler web_conn_handler;

/*
 * Answers the request in hand: further header fields, each with its CR LF, and a body,
 * which is plain text.
 */
void web_answer(uint32_t conn, unsigned status, const char *fields, const char *body);

/*
 * Makes it a WebSocket if it asks for that in the right way, or answers why it does
 * not.  Without `binary`, binary messages must be UTF-8 like the others.
 */
bool web_upgrade(uint32_t conn, const struct http_request *, bool binary);

/* Sends a message; false if the connection is closing. */
bool web_send(uint32_t conn, const char *data, size_t length, bool binary);

/* Begins the closing handshake (RFC 6455 section 7.1.2); `closed` follows. */
void web_close(uint32_t conn, unsigned code, const char *reason);

struct web_counters {
	uint64_t requests; /* upgrades included */
	uint64_t errors;   /* answered with a status of 400 and above */
};

const struct web_counters *web_count(void);

#endif
