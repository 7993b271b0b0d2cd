/*
 * A network and a clock that are in memory only, in place of socket.c and of the system's
 * calls (ld --wrap): what clients do and how much time passes is the fuzzer's to say, and
 * nothing is ever waited for.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "loop.h"

enum { NETWORK_SOCKETS = 64 }; /* connections in one input, at most */

/* No connections, and the clock as at first. */
void network_reset(void);
/* network_reset sets the clock to the present time from here on. */
void network_remember(void);

/*
 * Runs the server until it waits and so many milliseconds have passed, or it has been
 * busy for long beyond that and clients should answer it, or it has stopped.  A server
 * that is busy without doing anything fails the input.
 */
enum network_state { NETWORK_STOPPED, NETWORK_WAITS, NETWORK_BUSY };
enum network_state network_run(const struct conn_handler *, void (*woken)(void),
			       uint32_t milliseconds);

/* A client connects, from an address of 4 or 16 bytes; 0 if there have been too many. */
unsigned network_connect(const uint8_t *address, size_t length);
/* Connections are numbered from 1 to this. */
unsigned network_count(void);
/* It sends, and sends no more (FIN), or is gone (RST). */
void network_send(unsigned socket, const void *data, size_t length);
void network_finish(unsigned socket);
void network_abort(unsigned socket);
/* It takes so many bytes more, at first as many as come ... */
void network_window(unsigned socket, size_t bytes);
/* ... and the server's next calls move at most so many each. */
void network_piece(unsigned socket, size_t bytes);
/* What has come from the server, all that is left of it; and less of that. */
struct span network_received(unsigned socket);
void network_used(unsigned socket, size_t length);
/* Has the server closed it? */
bool network_closed(unsigned socket);

/* The next call of these fails, with errno. */
void network_fail_accept(int error);
void network_interrupt(void);

/* The tables and variables of the server as they are now, and back to that; in memory.c.
 */
void memory_remember(void);
void memory_reset(void);

#endif
