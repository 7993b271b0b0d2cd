/* The loop: turn by turn it waits for events (pollset.h), handles them and sends what
 * came of it. */
#ifndef LOOP_H
#define LOOP_H

#include "conn.h"
#include "socket.h"

#include <signal.h>

struct loop_limits {
	uint32_t connections;
	uint32_t per_address; /* loopback excepted; IPv6 by its first 64 bits */
	uint32_t stall; /* seconds that unsent bytes may wait for the peer to read */
	const struct socket_network *proxies; /* that name their clients; NULL: none */
	uint32_t key[2];		      /* random */
};

/* The highest number of a connection: some above the limit may be in the course of being
 * refused. */
uint32_t loop_most(const struct loop_limits *);

/* Tables for the loop and all files below it. */
void loop_place(struct memory *, const struct loop_limits *);

/*
 * Serves until all connections have ended after loop_stop.  Signals come only while it
 * waits, by the mask `waiting`; `on_wakeup` is called after each wait.
 */
void loop_run(const struct conn_handler *, const sigset_t *waiting,
	      void (*on_wakeup)(void));

/*
 * Stops listening, calls `stopping` for each connection, and ends loop_run when they have
 * ended, or after `grace` milliseconds, in which case the rest is finished then.
 */
void loop_stop(uint32_t grace);

struct loop_counters {
	uint64_t turns;
};

const struct loop_counters *loop_count(void);

#endif
