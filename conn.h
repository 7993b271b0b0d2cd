/*
 * Connections: buffers, sending, receiving, deadlines, closing.  A connection is known by
 * its number, from 1.  The handler interprets the bytes.
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
	 * Receives `length` bytes: those that the last call kept, then new input.  Moves
	 * the bytes that it needs again to the front of `data` and returns their number.
	 * If they fill a block, the connection is closed.  Between two messages or
	 * requests it must call share_over (share.h), and return if that is true.
	 */
	size_t (*received)(uint32_t conn, char *data, size_t length);
	/* The deadline has passed, and is no longer set. */
	void (*expired)(uint32_t conn);
	/* The server stops.  Connections that stay open are closed when it ends. */
	void (*stopping)(uint32_t conn);
	/* The connection takes no more output.  After conn_finish it still sends the
	 * output so far. */
	void (*closed)(uint32_t conn);
	/* Called at each sweep: 1 to 2 s after an event, and when a deadline has passed.
	 * If it returns true, the next sweep follows in a second. */
	bool (*second)(void);
	/* Called at the end of a turn, before output is sent, until it returns false.
	 * Returns true if it has changed anything. */
	bool (*settle)(void);
};

/*
 * Takes the memory for connections 1 to `connections` (memory.h: called in both passes).
 * A connection is aborted if its output makes no progress for `stall` seconds.
 */
void conn_place(struct memory *, uint32_t connections, uint32_t stall);

/*
 * Queues output, which is sent at the end of the turn; large output may be sent
 * immediately.  conn_send queues a header and a body.  Returns false if the connection is
 * closing.  A client that does not read its output in time is disconnected.
 */
bool conn_write(uint32_t conn, const void *data, size_t length);
bool conn_send(uint32_t conn, struct span head, struct span body);

/* Sends the output, then FIN, and closes when the peer has closed too. */
void conn_finish(uint32_t conn);
/* Closes at the end of the turn, without sending anything. */
void conn_abort(uint32_t conn);

/*
 * Receives nothing while `received` keeps this many bytes, so that the peer must wait
 * (TCP flow control).  The limit is at most the size of a block, which is the default.
 */
void conn_limit_input(uint32_t conn, size_t bytes);

/* Calls `expired` in so many seconds, at most one second late.  0: never. */
void conn_deadline(uint32_t conn, uint32_t seconds);

/* The clock of pollset.h (pollset_now), in seconds and in milliseconds. */
uint32_t conn_seconds(void);
uint64_t conn_milliseconds(void);

/* Why a connection is aborted, if it is counted. */
enum conn_drop {
	CONN_UNREAD,  /* its output fills a block */
	CONN_STALLED, /* its output makes no progress for `stall` seconds */
	CONN_DROPS
};

/* Counts since the start, except `open`. */
struct conn_counters {
	uint32_t open; /* connections now, except refused and closing ones */
	uint64_t bytes_in, bytes_out;
	uint64_t dropped[CONN_DROPS];
};

const struct conn_counters *conn_count(void);

/*
 * For accept.c
 */

/* Adds a connection, which owns the descriptor.  There must be a free number.  One of the
 * next two functions must follow. */
uint32_t conn_add(int fd);
/* Passes the connection to the handler. */
void conn_let_in(uint32_t conn);
/* Closes the connection after sending `answer`; NULL: without an answer. */
void conn_refuse(uint32_t conn, const char *answer);
/* Returns how many numbers are in use. */
uint32_t conn_held(void);
/* Closes the connection at the end of the turn if it only waits for its peer's FIN.
 * Otherwise returns false. */
bool conn_evict(uint32_t conn);

/*
 * For share.c
 */

/* True until the connection begins to close. */
bool conn_is_open(uint32_t conn);
/* True if input is received: not while the block is full, while the input is held back,
 * or while TLS must send first. */
bool conn_takes_input(uint32_t conn);
/* True if a block holds input. */
bool conn_has_input(uint32_t conn);
/* Receives once, and passes the input to `received`. */
void conn_receive(uint32_t conn);
/* Passes the kept input to `received` again. */
void conn_deliver(uint32_t conn);
/* For a connection that is closing: receives and discards input, and handles FIN. */
void conn_discard(uint32_t conn);
/* Aborts a connection after POLLERR or POLLHUP, and counts the cause. */
void conn_abort_dead(uint32_t conn);
/* The socket accepts output, which is sent at the end of the turn. */
void conn_writable(uint32_t conn);
/* Stops receiving input, or starts again.  The deadline does not count while input is
 * held back before the first byte of a TLS handshake, up to a minute. */
void conn_hold_back(uint32_t conn, bool hold);

/*
 * For loop.c
 */

void conn_handle_with(const struct conn_handler *);
/* Returns the next connection whose state or output has changed; 0: none. */
uint32_t conn_next_changed(void);
/* Sends output, and closes if that is due.  True if the number is free now. */
bool conn_settle(uint32_t conn);
/* Checks the timeouts.  Returns in how many seconds they must be checked again, if the
 * connection has no event before. */
uint32_t conn_sweep(uint32_t conn);
/* Closes the descriptor before the program ends. */
void conn_close(uint32_t conn);

#endif
