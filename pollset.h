/*
 * The poll set: the descriptors that poll() waits for, and the monotonic clock, which is
 * read after each wait.  A connection is known by its number, from 1.
 */
#ifndef POLLSET_H
#define POLLSET_H

#include "memory.h"

#include <poll.h>
#include <signal.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* FIN is reported only after the input ahead of it is received */
#endif

enum { POLLSET_LISTENERS = 2 };

/* Takes the memory for connections 1 to `connections` (memory.h: in both passes). */
void pollset_place(struct memory *, uint32_t connections);

/* Sets a listening descriptor, 0 to POLLSET_LISTENERS - 1; -1: none. */
void pollset_set_listener(unsigned listener, int fd);
int pollset_listener(unsigned listener);
/* Starts and stops reports of connections that wait to be accepted.  At first: on. */
void pollset_watch_listeners(bool);

/* Add a connection, with the event POLLIN, and remove it. */
void pollset_add(uint32_t conn, int fd);
void pollset_remove(uint32_t conn);
/* Sets the events that poll() reports of a connection. */
void pollset_watch(uint32_t conn, short events);
/* A connection has had an event: it counts as busy for 100 ms. */
void pollset_touch(uint32_t conn);
/* Returns the milliseconds since then. */
uint32_t pollset_rest(uint32_t conn);

/*
 * Waits until a descriptor is ready, a signal arrives that `mask` allows, or the clock
 * (pollset_clock, in microseconds) reaches `until`.  0: does not wait; UINT64_MAX:
 * without limit.  Returns how many descriptors are ready.
 *
 * It may check busy connections only, but checks all descriptors at least every 10 ms.
 */
uint32_t pollset_wait(uint64_t until, const sigset_t *mask);
/* True if the last wait checked all descriptors. */
bool pollset_complete(void);

struct pollset_event {
	uint32_t conn; /* 0: a listener */
	int listener;  /* its descriptor then */
	short events;
};

/* Gets the next ready descriptor of the last wait.  False if there is none. */
bool pollset_next(struct pollset_event *);

/* Iterates over all connections: returns the next one, or 0 after the last one. `*cursor`
 * is 0 at first.  The returned connection may be removed. */
uint32_t pollset_each(uint32_t *cursor);

/* Delivers pending signals that `mask` allows, at most every 10 ms (see pollset.c). */
void pollset_let_signals_in(const sigset_t *mask);

/*
 * The time when the last wait ended, in milliseconds and in seconds; never 0.  Time spent
 * stopped (SIGSTOP, suspend) does not count, and so not towards deadlines either.
 */
uint64_t pollset_now(void);
uint32_t pollset_second(void);
/* Starts the clock. */
void pollset_start(void);

/* CLOCK_MONOTONIC in microseconds: now, and when the last wait ended. */
uint64_t pollset_clock(void);
uint64_t pollset_woken_at(void);

#endif
