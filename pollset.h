/*
 * The poll set: the descriptors that poll() waits for, and the monotonic clock, which is
 * read when a wait ends.  A connection is known by its number, from 1.
 */
#ifndef POLLSET_H
#define POLLSET_H

#include "memory.h"

#include <poll.h>
#include <signal.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* a FIN is not reported before the input ahead of it is received */
#endif

enum { POLLSET_LISTENERS = 2 };

/* Tables for connections 1 to `connections`. */
void pollset_place(struct memory *, uint32_t connections);

/* Sets a listening descriptor, 0 to POLLSET_LISTENERS - 1; -1: none. */
void pollset_set_listener(unsigned listener, int fd);
int pollset_listener(unsigned listener);
/* Shall poll() report connections that wait to be accepted?  At first it does. */
void pollset_watch_listeners(bool);

/* Adds a connection, for POLLIN, and removes it. */
void pollset_add(uint32_t conn, int fd);
void pollset_remove(uint32_t conn);
/* Sets the events that poll() reports of a connection. */
void pollset_watch(uint32_t conn, short events);
/* Something happened on a connection: it counts as busy for a while. */
void pollset_touch(uint32_t conn);
/* Milliseconds since that. */
uint32_t pollset_rest(uint32_t conn);

/*
 * Waits until something is ready, or a signal that `mask` lets in comes, or the clock
 * (pollset_clock) reaches `until`, a number of microseconds; 0: does not wait,
 * UINT64_MAX: without limit.  Returns how many descriptors are ready.  Those that were
 * busy lately may be the only ones that it looks at, but it looks at all of them every 10
 * ms.
 */
uint32_t pollset_wait(uint64_t until, const sigset_t *mask);
/* Did the last wait look at all descriptors? */
bool pollset_complete(void);

struct pollset_event {
	uint32_t conn; /* 0: a listener */
	int listener;  /* its descriptor then */
	short events;
};

/* The next ready descriptor of the last wait; false after the last one. */
bool pollset_next(struct pollset_event *);

/* Goes through all connections: the one after `*cursor`, which is 0 at first, or 0.  The
 * connection may be removed meanwhile. */
uint32_t pollset_each(uint32_t *cursor);

/* Lets pending signals in, at most every 10 ms: see pollset.c. */
void pollset_let_signals_in(const sigset_t *mask);

/*
 * The time when the last wait ended, in milliseconds and in seconds, from 1.  Time that
 * the process or the machine spent stopped (SIGSTOP, suspend) is left out, so that it
 * does not count towards deadlines.
 */
uint64_t pollset_now(void);
uint32_t pollset_second(void);
/* Starts the clock. */
void pollset_start(void);

/* CLOCK_MONOTONIC as it is now, in microseconds, and as it was when the last wait ended.
 */
uint64_t pollset_clock(void);
uint64_t pollset_woken_at(void);

#endif
