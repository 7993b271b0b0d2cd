/*
 * Shares a turn between connections, so that the input of one does not delay the others.
 * Decides which connections' input is handled, in which order, and for how long.
 */
#ifndef SHARE_H
#define SHARE_H

#include "memory.h"

/* Takes the memory for connections 1 to `connections` (memory.h: in both passes). */
void share_place(struct memory *, uint32_t connections);

/*
 * True if the connection has used up its share of this turn, or is closing.  Then its
 * `received` (conn.h) must return.  It is called again in a later turn with the input
 * that it kept, even without new input.
 */
bool share_over(uint32_t conn);

/*
 * Calls `received` in the next turn with the input that it kept, if there is any.  Does
 * nothing within `received` of this connection.
 */
void share_resume(uint32_t conn);

/* Receives input immediately, outside the order of the turn.  Returns false if the
 * connection is closing now, for example because the peer has closed it. */
bool share_receive_now(uint32_t conn);

/*
 * For loop.c
 */

/* A turn begins, in which at most `ready` connections have new input. */
void share_begin(uint32_t ready);
/* Handles events (poll(2)) of a connection. */
void share_serve(uint32_t conn, short events);
/* The time until now does not count towards the budget of this turn. */
void share_skip(void);

/* True if connections with more input than their share wait. */
bool share_has_backlog(void);
/* Serves those connections in the order in which they began to wait, within the turn's
 * budget. */
void share_serve_backlog(void);

/* Returns when the next step of a TLS handshake may begin (pollset_clock); UINT64_MAX: no
 * handshake waits. */
uint64_t share_handshake_at(void);
/* Makes that step if its time has come. */
void share_serve_handshake(void);

/* A connection is closed: its number is free. */
void share_closed(uint32_t conn);

#endif
