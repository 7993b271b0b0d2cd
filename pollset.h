/*
 * The poll set: the descriptors that poll() waits for, and the monotonic clock, which is
 * read after each wait.  Connections are identified by their numbers, from 1.
 */
#ifndef POLLSET_H
#define POLLSET_H

#include "memory.h"

#include <poll.h>
#include <signal.h>

#ifndef POLLRDHUP
#define POLLRDHUP 0 /* FIN is reported only after the input before it is received */
#endif

enum { POLLSET_LISTENERS = 2 };

/* Takes the memory for connections 1 to `connections` (memory.h: in both passes). */
void pollset_place(struct memory *, uint32_t connections);

/* Sets the descriptor of a listener (0 to POLLSET_LISTENERS - 1); -1 means none. */
void pollset_set_listener(unsigned listener, int fd);
int pollset_listener(unsigned listener);
/* Starts or stops waiting for connections to accept.  Initially started. */
void pollset_watch_listeners(bool);

/* Adds a connection, with the event POLLIN, or removes it. */
void pollset_add(uint32_t conn, int fd);
void pollset_remove(uint32_t conn);
/* Sets the events that poll() reports for a connection. */
void pollset_watch(uint32_t conn, short events);
/* Notes an event of a connection, which then counts as busy for 100 ms. */
void pollset_touch(uint32_t conn);
/* Returns the milliseconds since a connection's last event, or since it was added. */
uint32_t pollset_idle_ms(uint32_t conn);

/*
 * Waits until a descriptor is ready, a signal arrives that `mask` allows, or the clock
 * (pollset_clock, in microseconds) reaches `until`, which is at most 3 days ahead; 0
 * means not to wait.  A wait may end before that.  Returns the number of ready
 * descriptors.
 *
 * It may check only busy connections, but every 10 ms it checks all descriptors.
 */
uint32_t pollset_wait(uint64_t until, const sigset_t *mask);
/* Returns true if the last wait checked all descriptors. */
bool pollset_complete(void);

struct pollset_event {
	uint32_t conn; /* 0 for a listener */
	int listener;  /* descriptor of the listener; -1 for a connection */
	short events;
};

/* Gets the next ready descriptor of the last wait.  Returns false if there is none. */
bool pollset_next(struct pollset_event *);

/* Iterates over all connections: returns the next one, or 0 after the last one. `*cursor`
 * is 0 at first.  The returned connection may be removed. */
uint32_t pollset_each(uint32_t *cursor);

/* Delivers pending signals that `mask` allows, at most every 10 ms (see pollset.c). */
void pollset_let_signals_in(const sigset_t *mask);

/*
 * Return the time when the last wait ended, in milliseconds and in seconds; never 0.
 *
 * A wait that ends more than 2 s after its limit counts as 2 s: the process was stopped
 * (SIGSTOP), and has not read what came meanwhile.  Deadlines follow this clock.
 */
uint64_t pollset_now(void);
uint32_t pollset_second(void);
/* Starts the clock.  Call it before the first wait. */
void pollset_start(void);

/* Return CLOCK_MONOTONIC in microseconds: now, and when the last wait ended. */
uint64_t pollset_clock(void);
uint64_t pollset_woken_at(void);

#endif
