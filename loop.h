/* The loop.  Each turn waits for events (pollset.h), handles them, and sends output. */
#ifndef LOOP_H
#define LOOP_H

#include "conn.h"
#include "socket.h"

#include <signal.h>

struct loop_limits {
	uint32_t connections;
	uint32_t per_address; /* loopback excepted; IPv6 by its first 64 bits */
	uint32_t stall;	      /* seconds that output may wait without progress */
	const struct socket_network *proxies; /* trusted to report clients; NULL: none */
	uint32_t key[2];		      /* random */
};

/* Returns the highest number of a connection.  It exceeds `connections`, because refused
 * connections are answered. */
uint32_t loop_highest(const struct loop_limits *);

/* Takes the memory of connections: for pollset.c, client.c, conn.c, accept.c and share.c
 * (memory.h: called in both passes). */
void loop_place(struct memory *, const struct loop_limits *);

/*
 * Serves until all connections have ended after loop_stop.  The signal mask is `waiting`
 * while it waits.  Calls `on_wakeup` after each wait, which is one hour at most.
 */
void loop_run(const struct conn_handler *, const sigset_t *waiting,
	      void (*on_wakeup)(void));

/*
 * Stops listening, and calls `stopping` for each connection.  loop_run returns when all
 * have ended, or after `grace` milliseconds; the others are closed then.
 */
void loop_stop(uint32_t grace);

/* Counts since the start. */
struct loop_counters {
	uint64_t turns;
};

const struct loop_counters *loop_count(void);

#endif
