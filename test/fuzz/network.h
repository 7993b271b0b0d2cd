/*
 * A network and a clock in memory, which replace socket.c and system calls (ld --wrap).
 * The fuzzer decides what clients do and how much time passes; nothing waits.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include "loop.h"

enum { NETWORK_SOCKETS = 64 }; /* connections in one input, at most */

/* Removes all connections, and sets the clock to its first time. */
void network_reset(void);
/* From now on network_reset sets the clock to the present time. */
void network_remember(void);

/*
 * Runs the server until
 *
 *     NETWORK_WAITS    it waits, and the milliseconds have passed
 *     NETWORK_BUSY     it is busy long after that: clients should read and respond
 *     NETWORK_STOPPED  loop_run has returned
 *
 * A server that is busy without progress fails the input.
 */
enum network_state { NETWORK_STOPPED, NETWORK_WAITS, NETWORK_BUSY };
enum network_state network_run(const struct conn_handler *, void (*on_wakeup)(void),
			       uint32_t milliseconds);

/*
 * A client connects, from an address of 4 or 16 bytes.  Returns its number, or 0 after
 * NETWORK_SOCKETS.
 */
unsigned network_connect(const uint8_t *address, size_t length);
/* The number of connections so far: they are 1 to this. */
unsigned network_count(void);
/* The client sends bytes, ends its output (FIN), or aborts (RST). */
void network_send(unsigned socket, const void *data, size_t length);
void network_finish(unsigned socket);
void network_abort(unsigned socket);
/* The client reads so many bytes more; initially without limit. */
void network_window(unsigned socket, size_t bytes);
/* The server's next calls move at most so many bytes each. */
void network_piece(unsigned socket, size_t bytes);
/* The server's output that is not used yet; and the removal of bytes from its front. */
struct span network_received(unsigned socket);
void network_used(unsigned socket, size_t length);
/* True once the server has closed the connection. */
bool network_closed(unsigned socket);

/* The next accept fails with this errno (0: none does); the next wait with EINTR. */
void network_fail_accept(int error);
void network_interrupt(void);

/* Saves the server's tables and variables, and restores them; in memory.c. */
void memory_remember(void);
void memory_reset(void);

#endif
