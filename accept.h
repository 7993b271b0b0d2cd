/*
 * Accepts connections from the listening sockets, a limited number each turn.  Refuses
 * those above the limits, in total and for each address.
 */
#ifndef ACCEPT_H
#define ACCEPT_H

#include "memory.h"
#include "text.h"

struct accept_limits {
	uint32_t connections; /* maximum number of accepted connections */
	uint32_t per_address; /* loopback excepted; IPv6 by its first 64 bits */
	uint32_t highest;     /* highest number of a connection, accepted or refused */
	uint32_t timeout_s;   /* of socket_accept */
	uint32_t key[2];      /* of the hash of addresses; random */
};

/* Takes the memory (memory.h: called in both passes). */
void accept_place(struct memory *, const struct accept_limits *);

/*
 * Listens at an address of 4 or 16 bytes; port 0 means a free port.  May be called for
 * up to POLLSET_LISTENERS (pollset.h) addresses.  Returns the port, or -1 with errno set.
 */
int accept_listen(const uint8_t *address, size_t length, uint16_t port);
/* Closes all listeners. */
void accept_stop(void);

/*
 * Counts a trusted proxy's connection for its client (client.h) until accept_unclaim or
 * until it is closed.  A second claim before that changes nothing.  Returns false if the
 * client has `per_address` connections.
 *
 * Other connections count from accept to close.  For these both functions do nothing, and
 * accept_claim returns true.
 */
bool accept_claim(uint32_t conn);
void accept_unclaim(uint32_t conn);

/* Why a connection is refused: */
enum accept_refusal {
	ACCEPT_FULL,	    /* `connections` are open */
	ACCEPT_PER_ADDRESS, /* its address has `per_address` of them */
	ACCEPT_REFUSALS
};

/* Reports that a connection or session of a connection's client is refused (report.h). */
void accept_report(uint32_t conn, enum accept_refusal why);

/*
 * Called with the header fields of each request.  If the connection's address has half of
 * `per_address` connections, and sends X-Forwarded-For without being a trusted proxy,
 * accept_report and the answer 503 then name TrustedProxies for it.  The first such
 * request from loopback is logged.
 *
 * A client can send the field itself, so these texts ask whether it is a proxy.
 */
void accept_note_proxy(uint32_t conn, struct span fields);

struct accept_counters {
	uint64_t accepted, refused[ACCEPT_REFUSALS];
	uint64_t shortages; /* pauses for lack of descriptors or memory */
};

const struct accept_counters *accept_count(void);

/*
 * For loop.c
 */

/* A listener is ready: accepts some of its connections. */
void accept_ready(int listener);
/* A connection is closed: its number is free. */
void accept_closed(uint32_t conn);
/* Called at each sweep: resumes accepting after a shortage. */
void accept_second(void);

#endif
