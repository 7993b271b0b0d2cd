/*
 * Sharing a turn: which connections' input is handled, in which order and for how long,
 * so that no connection can make the others wait.
 */
#ifndef SHARE_H
#define SHARE_H

#include "memory.h"

/* Tables for connections 1 to `connections`. */
void share_place(struct memory *, uint32_t connections);

/*
 * True if the connection has used up its share of this turn, or is closing.  Then its
 * `received` (conn.h) must return; it is called again in a later turn with what it
 * returned, even if nothing more has come.
 */
bool share_over(uint32_t conn);

/*
 * Calls `received` in the next turn with what it has kept, if anything.  Within
 * `received` of this connection it does nothing.
 */
void share_resume(uint32_t conn);

/*
 * Is the peer still there?  Receives input, out of turn; if the peer has closed, the
 * connection is closing now, and this is false.
 */
bool share_check(uint32_t conn);

/*
 * For loop.c
 */

/* A turn begins: `ready` connections have new input. */
void share_begin(uint32_t ready);
/* Handles events of a connection (poll(2)). */
void share_serve(uint32_t conn, short events);
/* What has been done so far in this turn does not count towards its budget. */
void share_skip(void);

/* Are there connections with more input than they could be served? */
bool share_has_backlog(void);
/* Serves those that wait now, the oldest first, until the turn's budget is used up. */
void share_serve_backlog(void);

/* When the next step of a TLS handshake can be made (pollset_clock); UINT64_MAX: there is
 * none to make. */
uint64_t share_handshake_at(void);
/* Makes it, if it is time. */
void share_serve_handshake(void);

/* A connection is closed: its number is free. */
void share_closed(uint32_t conn);

#endif
