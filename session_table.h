/*
 * The table of sessions: their states, the connections that carry them, their counters.
 * A session is known by a number from 1.  Only session_table.c writes the table;
 * receiver.c and session.c read it and change it by the functions below.
 */
#ifndef SESSION_TABLE_H
#define SESSION_TABLE_H

#include "memory.h"
#include "sockjs_frame.h"

/* What receives the messages of sessions.  It calls functions of session.h. */
struct service {
	const char *prefix; /* of its URLs */
	/* True: binary messages of plain WebSockets are passed on as such.  False: they
	 * are text, and must be UTF-8. */
	bool binary;
	bool no_websocket;     /* WebSockets are refused, and /info reports that */
	bool cookie;	       /* sets JSESSIONID, which some load balancers need */
	size_t response_limit; /* bytes of frames in a streaming response; 0: 128 KiB */
	/* A session has begun. */
	void (*opened)(uint32_t session);
	/*
	 * The message may be changed in place, and is valid until the return.  Text is
	 * UTF-8; SockJS clients may also send lone surrogates, three bytes each (WTF-8).
	 */
	void (*message)(uint32_t session, char *data, size_t length, bool binary);
	/*
	 * The session has ended.  Called once for each `opened`, at the end of a turn,
	 * never within session_send or session_close.
	 */
	void (*closed)(uint32_t session);
};

struct session_limits {
	uint32_t connections; /* the highest number of a connection: loop_most */
	uint32_t per_address; /* sessions over HTTP for one address */
	uint32_t message;     /* bytes of a client's message, at most */
	uint32_t reply;	      /* bytes of a service's message, at most: >= message */
	uint32_t heartbeat;   /* seconds */
	uint32_t key[2];      /* random */
};

/*
 * States, and the life of a session's connection:
 *
 * | state   | connection                             | service      | next state | |
 * ------- | -------------------------------------- | ------------ | ------------------- |
 * | FREE    |                                        |              | add: OPEN | | OPEN
 * | the WebSocket; or a receiver (HTTP),   | may send     | close: CLOSING,     | | | or
 * none until the next receiver        |              | end: ENDED          | | CLOSING |
 * HTTP only: none, a Close frame waits   | not notified | settle: CLOSED,     | | | for
 * the next receiver                  |              | end: ENDED          | | CLOSED  |
 * as in CLOSING                          | notified     | end: FREE           | | ENDED
 * | none, the client is gone               | not notified | settle: FREE        |
 *
 * In CLOSING and ENDED a session is in the list that session_settle goes through.  A
 * WebSocket that the server closes goes from OPEN to ENDED.
 */
enum session_state {
	SESSION_FREE,
	SESSION_OPEN,
	SESSION_CLOSING,
	SESSION_CLOSED,
	SESSION_ENDED
};

/* What carries a session: enum transport, or ... */
enum {
	SESSION_PLAIN = TRANSPORT_JSONP + 1, /* a WebSocket without SockJS frames */
	SESSION_TRANSPORTS
};

struct session {
	enum session_state state;
	unsigned transport; /* of its connection, or of the last one */
	/* The connection of the WebSocket, also in ENDED, for the log; or that of the
	 * receiver, 0: none. */
	uint32_t conn;
	uint32_t next;	  /* in the list of ended or of free sessions */
	uint32_t counted; /* entry of the address (addresses.h), 0: it is not counted */
	const struct service *service;
};

/* The table, for reading. */
struct session_table {
	const struct session *sessions; /* by number; number 0 is always FREE */
	const uint32_t *by_conn;	/* the session of a connection, 0: none */
};

/* Why a session over HTTP is refused: */
enum session_refusal {
	SESSION_FULL,  /* as many sessions over HTTP as connections are allowed */
	SESSION_SHARE, /* its address has `per_address` of them */
	SESSION_REFUSALS
};

struct session_counters {
	uint32_t open;	    /* sessions, CLOSING and CLOSED ones included */
	uint32_t over_http; /* of these, over HTTP */
	uint64_t opened, refused[SESSION_REFUSALS];
	/* Connections that carry a session: now, and since the start. */
	uint64_t carriers[SESSION_TRANSPORTS], carriers_ever[SESSION_TRANSPORTS];
	uint64_t messages_in, messages_out;
	uint64_t overflows; /* sessions that ended because their queue was full */
};

/* Takes the memory (memory.h: called in both passes), and returns the table. */
struct session_table session_table_place(struct memory *, const struct session_limits *);

/* The highest number that a session can have, and that one has had. */
uint32_t session_most(const struct session_limits *);
uint32_t session_highest(void);

/* True if the session's transport is HTTP, false for WebSockets. */
bool session_is_http(uint32_t session);

/*
 * Adds a session that `conn` carries.  Returns its number, or 0 if it is refused, which
 * is counted.  WebSockets are not refused: each has a connection.
 */
uint32_t session_add(const struct service *, uint32_t conn, unsigned transport);

/* Binds a session over HTTP to the connection of its next receiver. */
void session_bind(uint32_t session, uint32_t conn, unsigned transport);
/* Unbinds a connection from the session that it carries. */
void session_unbind(uint32_t conn);

/* OPEN becomes CLOSING. */
void session_set_closing(uint32_t session);
/*
 * The client is gone, and needs nothing that is kept for it.  The number of a CLOSED
 * session is free immediately; otherwise after `closed`, at the end of the turn, because
 * the service may be busy with this session.
 */
void session_end(uint32_t session);
/* Calls `closed` for sessions that have ended.  True if there were any. */
bool session_settle(void);

/* Passes a message to the service, and counts it. */
void session_deliver(uint32_t session, char *data, size_t length, bool binary);
/* Count a message to a client, and a full queue. */
void session_count_sent(void);
void session_count_overflow(void);

const struct session_counters *session_count(void);

#endif
