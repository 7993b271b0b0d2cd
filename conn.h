/*
 * Connections: listening sockets, the poll() loop, buffers and deadlines.  What the bytes
 * mean is the handler's; a connection is known to it by a number from 1.
 */
#ifndef CONN_H
#define CONN_H

#include "socket.h"
#include "source.h"

#include <signal.h>

/*
 * What stands above.  No callback ever gets a number whose `closed` it has had, until
 * `opened` gives it out anew.
 */
struct conn_handler {
	void (*opened)(uint32_t conn);
	/*
	 * `length` bytes: what the last call kept, and what has come since.  Moves what
	 * it still needs to the front of `data` and returns how much that is; less
	 * than a block, or the connection is closed.  Between two messages or requests
	 * it asks conn_share_over, and returns if so.
	 */
	size_t (*received)(uint32_t conn, char *data, size_t length);
	/* The deadline is over; there is none now. */
	void (*expired)(uint32_t conn);
	/* The server stops: say goodbye, or wait for a last request until it has. */
	void (*stopping)(uint32_t conn);
	/* Nothing more will be read; what conn_finish left unsent still goes out. */
	void (*closed)(uint32_t conn);
	/* Once a second while anybody is connected; true: also if nobody is. */
	bool (*second)(void);
	/* At the end of a turn, before anything is sent, and again until all is settled:
	 * true if it did something. */
	bool (*settle)(void);
};

struct conn_limits {
	uint32_t connections;
	uint32_t per_address; /* loopback excepted; IPv6 by its first 64 bits */
	uint32_t stall; /* seconds that unsent bytes may wait for the peer to read */
	const struct socket_network *proxies; /* who speak for others; NULL: nobody */
};

/* Tables for that many connections; numbers go from 1 to conn_most(limits). */
void conn_place(struct memory *, const struct conn_limits *, const uint32_t key[2]);

/* The highest number there can be: a few over the limit are being turned away. */
uint32_t conn_most(const struct conn_limits *);

/*
 * Listens at an address of 4 or 16 bytes.  Returns the port (the given one, or a free one
 * for 0), or -1 with errno set.
 */
int conn_listen(const uint8_t *address, size_t length, uint16_t port);

/*
 * Serves until all is over after conn_stop.  Signals are let in, with the mask
 * `waiting`, only while it waits; `woken` is called after that.
 */
void conn_run(const struct conn_handler *, const sigset_t *waiting, void (*woken)(void));

/*
 * Stops listening, tells every connection, and ends conn_run when they are gone, or
 * after `grace` milliseconds, when the others are finished.
 */
void conn_stop(uint32_t grace);

/*
 * Queues bytes behind what is unsent; they go out at the end of the turn, or what is
 * large at once.  False if the peer reads too slowly to have them or the connection is
 * closing: then it is, or will be, closed.  conn_send queues a head and what it is the
 * head of.
 */
bool conn_write(uint32_t conn, const void *data, size_t length);
bool conn_send(uint32_t conn, struct span head, struct span body);

/* Sends what is unsent, says so to the peer (FIN), and closes when it has closed too. */
void conn_finish(uint32_t conn);
/* Closes without sending anything more. */
void conn_abort(uint32_t conn);

/*
 * Is the peer still there?  Reads what has come from it, and calls `received`, out of its
 * turn; if it has closed, the connection is closing now.
 */
bool conn_check(uint32_t conn);

/*
 * True if the connection has used up its share of this turn, or is closing.  Then
 * `received` must return; it is called again in a later turn with what it returned, even
 * if nothing more has come.
 */
bool conn_share_over(uint32_t conn);

/*
 * Calls `received` in the next turn with what was kept, if anything was.  Within
 * `received` of this connection it does nothing.
 */
void conn_resume(uint32_t conn);

/*
 * No more is received while `received` keeps this many bytes: the peer has to wait
 * (TCP's flow control).  SIZE_MAX: a block, which is the limit at first.
 */
void conn_limit_input(uint32_t conn, size_t bytes);

/* Calls `expired` in so many seconds, at most one late; 0: never. */
void conn_deadline(uint32_t conn, uint32_t seconds);

/* Monotonic seconds, and milliseconds. */
uint32_t conn_now(void);
uint64_t conn_milliseconds(void);

/* Is this address a trusted proxy's? */
bool conn_trusts(const struct socket_address *);

/*
 * Where the address of a trusted proxy's client is kept, for a request to change: whom
 * the log names, and for whom the connection counts, until the next one.  It is the
 * proxy's own again with each call.  NULL if the peer is no such proxy.
 */
struct socket_address *conn_client(uint32_t conn);

/*
 * Counts a trusted proxy's connection for its client (conn_client) until conn_unclaim or
 * its end, whichever comes first.  A connection is counted once at a time.  False if the
 * client has its share.  Connections of others count from accept to close: these calls
 * do nothing then.
 */
bool conn_claim(uint32_t conn);
void conn_unclaim(uint32_t conn);

/* The client's ADDRESS and the connection's :PORT, for the log; good until the next call.
 */
struct span conn_peer(uint32_t conn);

/* The client's, with the connection's port. */
const struct socket_address *conn_address(uint32_t conn);

/* Whom a connection counts for. */
struct source conn_source(uint32_t conn);

/* Why a connection is refused: */
enum conn_refusal {
	CONN_FULL,  /* there are as many as there may be */
	CONN_SHARE, /* its address has its share */
	CONN_REFUSALS
};

/* Why one is given up: */
enum conn_drop {
	CONN_UNREAD,  /* more waits for its peer to read than there is room for, ... */
	CONN_STALLED, /* ... or for too long */
	CONN_DROPS
};

struct conn_counters {
	uint32_t open; /* connections, without those being turned away or finishing */
	uint64_t accepted, refused[CONN_REFUSALS];
	uint64_t shortages; /* accepting had to wait for descriptors or memory */
	uint64_t bytes_in, bytes_out;
	uint64_t dropped[CONN_DROPS];
	uint64_t turns; /* of the loop */
};

const struct conn_counters *conn_count(void);

#endif
