/*
 * Accepting: the listening sockets, and the limits on connections, in all and from one
 * address.
 */
#ifndef ACCEPT_H
#define ACCEPT_H

#include "memory.h"

struct accept_limits {
	uint32_t connections;
	uint32_t per_address; /* loopback excepted; IPv6 by its first 64 bits */
	uint32_t most;	      /* the highest number: the rest is being refused */
	uint32_t silence;     /* seconds without an acknowledgement: socket_accept */
	uint32_t key[2];      /* random */
};

void accept_place(struct memory *, const struct accept_limits *);

/*
 * Listens at an address of 4 or 16 bytes.  Returns the port (the given one, or a free one
 * for 0), or -1 with errno set.
 */
int accept_listen(const uint8_t *address, size_t length, uint16_t port);
/* Stops listening. */
void accept_stop(void);

/*
 * Counts a trusted proxy's connection for its client (client.h) until accept_unclaim or
 * its end, whichever comes first; claimed again before, it stays as it is.  False if the
 * client has its share.  Other connections count from accept to close: these calls do
 * nothing.
 */
bool accept_claim(uint32_t conn);
void accept_unclaim(uint32_t conn);

/* Why a connection is refused: */
enum accept_refusal {
	ACCEPT_FULL,  /* there are as many as there may be */
	ACCEPT_SHARE, /* its address has its share */
	ACCEPT_REFUSALS
};

struct accept_counters {
	uint64_t accepted, refused[ACCEPT_REFUSALS];
	uint64_t shortages; /* accepting had to wait for descriptors or memory */
};

const struct accept_counters *accept_count(void);

/*
 * For loop.c
 */

/* Connections wait to be accepted by a listener: accepts some of them. */
void accept_ready(int listener);
/* A connection is closed: its number is free. */
void accept_closed(uint32_t conn);
/* Is accepting paused for a shortage?  Then the next accept_second ends that. */
bool accept_paused(void);
/* Once a second. */
void accept_second(void);

#endif
