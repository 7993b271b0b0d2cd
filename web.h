/*
 * HTTP and WebSocket on a connection: requests one after another, each answered in its
 * turn, until one becomes a WebSocket.  What they mean is the handler's.
 */
#ifndef WEB_H
#define WEB_H

#include "conn.h"
#include "ws.h"

struct web_handler {
	/* How many bytes of this request's body it wants to read, at most; 0: none. */
	size_t (*wants)(const struct http_request *);
	/*
	 * A request, with its body if that is wanted: no data (NULL) if there was too
	 * much of it.  To be answered, upgraded or streamed to, now or later.  The head
	 * and the body, which may be changed in place, are gone at the return.
	 *
	 * Returns 0, or after share_over how many bytes at the body's end are still
	 * to be handled, without an answer so far.  Then it is called in a later turn
	 * with these as the body, and `again`.
	 */
	size_t (*request)(uint32_t conn, const struct http_request *, struct span body,
			  bool again);
	/*
	 * A message of a WebSocket, which may be changed in place; gone at the return.
	 * Returns the same as `request`.
	 */
	size_t (*message)(uint32_t conn, char *data, size_t length, bool binary,
			  bool again);
	/* A WebSocket has been silent for a heartbeat, and is being pinged. */
	void (*heartbeat)(uint32_t conn);
	/* It has answered none of two heartbeats: it may be closed with words of the
	 * handler's own, or is closed without. */
	void (*silent)(uint32_t conn);
	/* The server stops: a WebSocket or an answer that is owed is to be ended.  What
	 * is asked for after that is answered with 503. */
	void (*stopping)(uint32_t conn);
	/* A WebSocket's end, or that of a connection that was owed an answer, once for
	 * each: nothing more can be sent to it. */
	void (*closed)(uint32_t conn);
	/* As in struct conn_handler. */
	bool (*second)(void);
	bool (*settle)(void);
};

struct web_limits {
	uint32_t connections; /* as loop_most gives it */
	uint32_t message;     /* bytes of the largest that a client may send */
	uint32_t heartbeat;   /* seconds */
	uint32_t handshake;   /* seconds for a connection's first request */
};

enum {
	/* Bytes of header fields that an answer may have besides the usual: an echo of
	 * what a request may hold, ... */
	WEB_FIELDS = HTTP_HEAD_SIZE + 512,
	/* ... and those of a block that heads and control frames may fill beside
	   messages. */
	WEB_SLACK = WEB_FIELDS + 1024
};

void web_place(struct memory *, const struct web_limits *, const struct web_handler *);

/* For conn_run. */
extern const struct conn_handler web_conn_handler;

/* Answers the request in hand. */
struct web_answer {
	unsigned status;
	const char *type;   /* Content-Type, NULL: none */
	struct span fields; /* more of them, each with its CR LF */
	struct span body;
};

void web_answer(uint32_t conn, const struct web_answer *);
/* Answers 405, with the methods that there are. */
void web_not_allowed(uint32_t conn, const char *methods);

/*
 * Answers it bit by bit: 200 and the head, pieces that each go out in one chunk (HTTP/1.0
 * has none), and the end.
 */
void web_stream(uint32_t conn, const char *type, struct span fields);
bool web_stream_write(uint32_t conn, const char *data, size_t length);
void web_stream_end(uint32_t conn);

/*
 * Makes it a WebSocket if it asks for that in the right way, or answers why it does
 * not.  Without `binary`, binary messages must be UTF-8 like the others; a message of
 * more than `most` bytes ends it.
 */
bool web_upgrade(uint32_t conn, const struct http_request *, bool binary, size_t most);

/* Sends a message; false if the connection is closing. */
bool web_send(uint32_t conn, const char *data, size_t length, bool binary);

/* Begins the closing handshake (RFC 6455 section 7.1.2); `closed` is called within it. */
void web_close(uint32_t conn, unsigned code, const char *reason);

enum { WEB_STATUSES = 18, WEB_CODES = 6 };

/* The statuses of answers, and the codes of a server's Close frames, as they are counted;
 * at its end nobody counts any more. */
extern const uint16_t web_statuses[WEB_STATUSES], web_codes[WEB_CODES];

struct web_counters {
	uint64_t requests; /* upgrades included */
	uint64_t answers[WEB_STATUSES], closes[WEB_CODES];
	uint64_t silent; /* WebSockets that answered no heartbeat */
};

const struct web_counters *web_count(void);

#endif
