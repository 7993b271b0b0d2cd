/*
 * Connections: their buffers, sending, receiving, deadlines and closing.  What the bytes
 * mean is the handler's business; it knows a connection by its number, from 1.
 */
#ifndef CONN_H
#define CONN_H

#include "memory.h"
#include "text.h"

/*
 * The layer above.  After `closed`, a number is not passed to any callback until `opened`
 * reuses it.
 */
struct conn_handler {
	void (*opened)(uint32_t conn);
	/*
	 * `length` bytes: what the last call kept, and the input since.  Moves what it
	 * still needs to the front of `data` and returns how much that is; less than a
	 * block, or the connection is closed.  Between two messages or requests it asks
	 * share_over (share.h), and returns if that is true.
	 */
	size_t (*received)(uint32_t conn, char *data, size_t length);
	/* The deadline has passed; the connection has none now. */
	void (*expired)(uint32_t conn);
	/* The server stops: close, or wait for a last request until the server ends. */
	void (*stopping)(uint32_t conn);
	/* No more input; what conn_finish left unsent still goes out. */
	void (*closed)(uint32_t conn);
	/* Once a second while there are connections; true: also without any. */
	bool (*second)(void);
	/* At the end of a turn, before anything is sent, and again until all is settled:
	 * true if it did something. */
	bool (*settle)(void);
};

/*
 * Tables for connections 1 to `connections`.  One whose peer reads nothing for `stall`
 * seconds while bytes are unsent is aborted.
 */
void conn_place(struct memory *, uint32_t connections, uint32_t stall);

/*
 * Queues bytes after what is unsent; they go out at the end of the turn, or immediately
 * if they are many.  False if the peer reads too slowly or the connection is closing:
 * then it is, or will be, closed.  conn_send queues a header and a body.
 */
bool conn_write(uint32_t conn, const void *data, size_t length);
bool conn_send(uint32_t conn, struct span head, struct span body);

/* Sends what is unsent, then FIN, and closes when the peer has closed too. */
void conn_finish(uint32_t conn);
/* Closes without sending anything more. */
void conn_abort(uint32_t conn);

/*
 * No more is received while `received` keeps this many bytes: the peer has to wait
 * (TCP's flow control).  SIZE_MAX: a block, which is the limit at first.
 */
void conn_limit_input(uint32_t conn, size_t bytes);

/* Calls `expired` in so many seconds, at most one late; 0: never. */
void conn_deadline(uint32_t conn, uint32_t seconds);

/* Monotonic seconds, and milliseconds (pollset_now). */
uint32_t conn_now(void);
uint64_t conn_milliseconds(void);

/* Why a connection is aborted: */
enum conn_drop {
	CONN_UNREAD,  /* its unsent bytes fill a block ... */
	CONN_STALLED, /* ... or have waited too long */
	CONN_DROPS
};

struct conn_counters {
	uint32_t open; /* connections, except those that are refused or finishing */
	uint64_t bytes_in, bytes_out;
	uint64_t dropped[CONN_DROPS];
};

const struct conn_counters *conn_count(void);

/*
 * For accept.c
 */

/* Adds a connection on an accepted descriptor, which it owns from here on.  There must be
 * a number left. */
uint32_t conn_add(int fd);
/* It is let in: the handler gets it. */
void conn_let_in(uint32_t conn);
/* It is refused, with an answer or (NULL) without, and closed. */
void conn_refuse(uint32_t conn, const char *answer);
/* Connections that have a number. */
uint32_t conn_held(void);
/* Closes one that only waits for its peer's FIN, at the end of the turn.  False if there
 * was none among those it looked at. */
bool conn_evict(void);

/*
 * For share.c
 */

bool conn_is_open(uint32_t conn);
/* Is input wanted?  Not while its block is full, or TLS has to send first. */
bool conn_takes_input(uint32_t conn);
/* Does a block hold input of it? */
bool conn_has_input(uint32_t conn);
/* Receives once, and passes the input on. */
void conn_receive(uint32_t conn);
/* Passes on again what `received` has kept. */
void conn_deliver(uint32_t conn);
/* Receives what a closing peer still sends, and its FIN. */
void conn_discard(uint32_t conn);
/* Aborts a connection that is not received from and has failed. */
void conn_abort_dead(uint32_t conn);
/* Its socket takes output: what is unsent is sent at the end of the turn. */
void conn_writable(uint32_t conn);
/* Receives nothing until its turn comes. */
void conn_hold_back(uint32_t conn, bool);

/*
 * For loop.c
 */

void conn_handle_with(const struct conn_handler *);
/* The next connection whose state or output has changed, 0: none. */
uint32_t conn_next_changed(void);
/* Sends its output, and closes it if that is due.  True if its number is free now. */
bool conn_settle(uint32_t conn);
/* Once a second: its timeouts. */
void conn_sweep(uint32_t conn);
/* The server stops: calls `stopping`. */
void conn_stop(uint32_t conn);
/* Closes its descriptor; the program ends. */
void conn_close(uint32_t conn);

#endif
