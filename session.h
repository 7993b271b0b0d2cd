/*
 * Sessions: what services talk to, over a plain WebSocket or any SockJS transport.  A
 * service sees whole messages, and cannot tell what carries them.  A session is known by
 * a number from 1, used anew once its `closed` has been called.
 */
#ifndef SESSION_H
#define SESSION_H

#include "sockjs_frame.h"
#include "source.h"
#include "web.h"

struct service {
	const char *prefix; /* of its URLs */
	/* Binary messages of plain WebSockets are handed up as such; otherwise they
	 * are text, and must be UTF-8. */
	bool binary;
	bool no_websocket;     /* SockJS clients are told so, and find none */
	bool cookie;	       /* sets JSESSIONID, for balancers that want it */
	size_t response_limit; /* bytes of a streaming response, 0: 128 KiB */
	void (*opened)(uint32_t session);
	/*
	 * The message may be changed in place; it is gone when the call returns.  Text is
	 * UTF-8, but for halves of surrogate pairs that SockJS clients may send, three
	 * bytes each in the manner of UTF-8 (WTF-8).
	 */
	void (*message)(uint32_t session, char *data, size_t length, bool binary);
	/* Called once for each `opened`, and never within session_send or session_close.
	 */
	void (*closed)(uint32_t session);
};

/* Sends a message.  False if the session is closing, and takes no more. */
bool session_send(uint32_t session, const char *data, size_t length, bool binary);
/* Ends a session, with a code that ws_valid_code accepts. */
void session_close(uint32_t session, unsigned code, const char *reason);
/* The client's address, for the log; good until the next call. */
struct span session_peer(uint32_t session);
/* The address that it counts for. */
struct source session_source(uint32_t session);

struct session_limits {
	uint32_t connections; /* as loop_most gives it */
	uint32_t per_address; /* sessions over HTTP of one address */
	uint32_t message;     /* bytes of the largest that a client may send */
	uint32_t reply;	      /* bytes of the largest that a service sends: >= message */
	uint32_t heartbeat;   /* seconds */
	uint32_t key[2];      /* random */
};

/* Numbers go up to it. */
uint32_t session_most(const struct session_limits *);
/* How many blocks sessions may hold, and how large these must be. */
uint32_t session_blocks(const struct session_limits *);
size_t session_block(const struct session_limits *);
/* Bytes of a request's body or a framed message that hold the largest message. */
size_t session_payload(const struct session_limits *);
void session_place(struct memory *, const struct session_limits *);

/* Why a session over HTTP is refused: */
enum session_refusal {
	SESSION_FULL,  /* there are as many as there may be */
	SESSION_SHARE, /* its address has its share */
	SESSION_REFUSALS
};

/* What carries a session, besides enum transport: */
enum {
	SESSION_PLAIN = TRANSPORT_JSONP + 1, /* a WebSocket without SockJS's frames */
	SESSION_CARRIERS
};

struct session_counters {
	uint32_t open; /* sessions, with those that only keep a Close for their client */
	uint32_t polled; /* of these, over HTTP */
	uint64_t opened, refused[SESSION_REFUSALS];
	/* Connections that carry one, now and ever. */
	uint64_t carriers[SESSION_CARRIERS], carriers_ever[SESSION_CARRIERS];
	uint64_t messages_in, messages_out;
	uint64_t overflows; /* closed because nobody fetched what waited for them */
};

const struct session_counters *session_count(void);

/*
 * For sockjs.c, which finds out what a request wants.
 */

enum { SESSION_ID = 128 }; /* bytes of a session's id, at most */

/* Begins a session on a connection that has become a WebSocket: plain, or with SockJS
 * frames. */
void session_open_socket(const struct service *, uint32_t conn, bool framed);

/* The session over HTTP of this id, or 0. */
uint32_t session_find(const struct service *, struct span id);

/* Where frames go: a response that streams, or takes just one. */
struct receiver {
	uint32_t conn;
	enum transport transport;
	size_t sent; /* bytes of frames in this response */
	size_t callback_length;
	char callback[SOCKJS_FRAME_CALLBACK];
};

/*
 * Answers a receiver with what its session has, which is made if there was none: with
 * header fields, and frames from then on.  False if there is no place for a new session.
 */
bool session_attach(const struct service *, struct span id, const struct receiver *,
		    struct span fields);

/*
 * Hands up the messages of a valid payload that came on `conn`, which is changed.  False
 * if one was too big: then the session is closed.  After share_over `rest` is the
 * part that is left, within the payload and itself a valid one; else it is empty.
 */
bool session_receive(uint32_t session, uint32_t conn, struct span payload,
		     struct span single, struct span *rest);

/* As in struct web_handler. */
size_t session_message(uint32_t conn, char *data, size_t length, bool binary, bool again);
void session_heartbeat(uint32_t conn);
void session_silent(uint32_t conn);
void session_stopping(uint32_t conn);
void session_closed(uint32_t conn);
bool session_second(void);
bool session_settle(void);

#endif
