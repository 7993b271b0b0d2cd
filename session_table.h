/*
 * The table of sessions: their states, the connections that carry them, their counters.
 * A session is known by a number from 1.  Only session_table.c writes the table;
 * receiver.c and session.c read it and change it by the functions below.
 */
#ifndef SESSION_TABLE_H
#define SESSION_TABLE_H

#include "memory.h"
#include "sockjs_frame.h"

/* Receives the messages of sessions, and calls the functions of session.h. */
struct service {
	const char *prefix; /* of its URLs */
	/* True: binary messages of plain WebSockets may be any bytes.  False: they must
	 * be UTF-8, like text. */
	bool binary;
	bool no_websocket;     /* WebSockets are refused, and /info reports that */
	bool cookie;	       /* sets JSESSIONID, which some load balancers need */
	size_t response_limit; /* bytes of frames in a streaming response; 0: 128 KiB */
	/* A session has been opened.  `query` is that of the URL that opened it, still
	 * escaped, and valid until the return. */
	void (*opened)(uint32_t session, struct span query);
	/*
	 * The message may be changed in place, and is valid until the return.  Text is
	 * UTF-8; SockJS clients may also send lone surrogates, three bytes each (WTF-8).
	 */
	void (*message)(uint32_t session, char *data, size_t length, bool binary);
	/*
	 * The session is closed: no message follows, and none can be sent.  Called once
	 * for each `opened`, at the end of a turn, never within session_send or
	 * session_close.
	 */
	void (*closed)(uint32_t session);
};

struct session_limits {
	uint32_t connections; /* the highest number of a connection: loop_highest */
	uint32_t per_address; /* maximum sessions over HTTP of one address */
	uint32_t message;     /* bytes of a client's message, at most */
	uint32_t reply;	      /* bytes of a service's message, at most: >= message */
	uint32_t heartbeat;   /* seconds */
	uint32_t key[2];      /* random */
};

/*
 * The states of a session.
 *
 *   state    connection                    service       next     event
 *   FREE                                                 OPEN     session_add
 *   OPEN     the WebSocket; over HTTP      may send      CLOSING  session_set_closing
 *            a receiver, or none                         ENDED    session_end
 *   CLOSING  none: the Close frame waits   not notified  CLOSED   session_settle
 *            for the next receiver                       ENDED    session_end
 *   CLOSED   as in CLOSING                 notified      FREE     session_end
 *   ENDED    none: the client is gone      not notified  FREE     session_settle
 *
 * Only sessions over HTTP become CLOSING and CLOSED.  A WebSocket that the server closes
 * goes from OPEN to ENDED.  session_settle goes through a list of the sessions in CLOSING
 * and ENDED, and notifies their services by `closed`.
 */
enum session_state {
	SESSION_FREE,
	SESSION_OPEN,
	SESSION_CLOSING,
	SESSION_CLOSED,
	SESSION_ENDED
};

/* Values of a session's transport: those of enum transport, and: */
enum {
	SESSION_PLAIN = TRANSPORT_JSONP + 1, /* a WebSocket without SockJS frames */
	SESSION_TRANSPORTS
};

struct session {
	enum session_state state;
	unsigned transport; /* of its connection, or of the last one */
	/* The connection of the WebSocket, which stays in ENDED for the log; or that of
	 * the receiver, 0: none. */
	uint32_t conn;
	uint32_t next;	  /* in the list of unsettled or of free sessions */
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
	SESSION_FULL,	     /* `connections` sessions over HTTP are open */
	SESSION_PER_ADDRESS, /* its address has `per_address` of them */
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

/* Returns the highest number that a session can have. */
uint32_t session_most(const struct session_limits *);
/* Returns the highest number that a session has had. */
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

/* Makes an OPEN session over HTTP CLOSING. */
void session_set_closing(uint32_t session);
/*
 * Ends a session whose client is gone.  The number of a CLOSED session is free
 * immediately.  Otherwise it is free after `closed`, at the end of the turn, because the
 * service may be using the session now.
 */
void session_end(uint32_t session);
/* Calls `closed` for CLOSING and ENDED sessions.  True if there were any. */
bool session_settle(void);

/* Passes a message to the service, and counts it. */
void session_deliver(uint32_t session, char *data, size_t length, bool binary);
/* Counts a message to a client. */
void session_count_sent(void);
/* Counts a session that ends because its queue is full. */
void session_count_overflow(void);

const struct session_counters *session_count(void);

#endif
