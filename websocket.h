/*
 * WebSocket on a connection: the upgrade of a request, messages, heartbeats, the closing
 * handshake.  Sections are those of RFC 6455.
 */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include "web.h"
#include "ws.h"

struct websocket_handler {
	/*
	 * Receives a message.  It may change `data`, which is valid until it returns.
	 * Returns the number of bytes that it leaves for a later turn, and is then called
	 * again, like `request` of struct web_handler.
	 */
	size_t (*message)(uint32_t conn, char *data, size_t length, bool binary,
			  bool again);
	/* Nothing was received for a heartbeat interval: a ping follows. */
	void (*heartbeat)(uint32_t conn);
	/* Nothing was received after two pings.  The handler can call websocket_close;
	 * otherwise the connection is closed without a Close frame. */
	void (*silent)(uint32_t conn);
	/* The server stops: close the WebSocket. */
	void (*stopping)(uint32_t conn);
	/* Called once for each WebSocket: nothing can be sent any more. */
	void (*closed)(uint32_t conn);
};

/* Sets the handler, which must stay valid, and the heartbeat interval in seconds. */
void websocket_start(const struct websocket_handler *, uint32_t heartbeat);

/* For struct web_handler. */
extern const struct conn_handler websocket_conn_handler;

/*
 * Answers a request with 101 if it is a valid opening handshake (section 4.2.1).  Answers
 * with an error if it is invalid, or if the client has too many connections.  Returns
 * true if the connection is a WebSocket now.
 *
 * If `binary` is false, binary messages must be UTF-8 too.  A message of more than `most`
 * bytes closes the WebSocket.
 */
bool websocket_upgrade(uint32_t conn, const struct http_request *, bool binary,
		       size_t most);

/*
 * Answers an opening handshake at a URL without WebSocket with 400 and the path of the
 * service that has this prefix.  Returns false, and does not answer, if the request is
 * none.
 */
bool websocket_misplaced(uint32_t conn, const struct http_request *, const char *prefix);

/* Sends a message.  Returns false if the connection is not a WebSocket, or is closing. */
bool websocket_send(uint32_t conn, const char *data, size_t length, bool binary);

/*
 * Begins the closing handshake (section 7.1.2), and calls `closed` before it returns.
 * Does nothing if the connection is not a WebSocket, or is closing.
 */
void websocket_close(uint32_t conn, unsigned code, const char *reason);

enum { WEBSOCKET_CODES = 6 };

/* The codes of the server's Close frames that are counted, in the order of `closes`. */
extern const uint16_t websocket_codes[WEBSOCKET_CODES];

struct websocket_counters {
	uint64_t closes[WEBSOCKET_CODES]; /* Close frames, except answers to the peer's */
	uint64_t silent;		  /* WebSockets that answered no ping */
};

const struct websocket_counters *websocket_count(void);

#endif
