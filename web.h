/*
 * HTTP on a connection: requests are received, dispatched and answered one after another,
 * until one upgrades the connection to another protocol.
 */
#ifndef WEB_H
#define WEB_H

#include "conn.h"
#include "http.h"

struct web_handler {
	/* Returns the maximum size of the body that this request may have, in bytes; 0:
	 * the body is discarded. */
	size_t (*wants)(const struct http_request *);
	/*
	 * Receives a request, with its body if `wants` allows it.  If the body is too
	 * big, its data is NULL.  The handler answers, streams or upgrades, within the
	 * call or later.  It may change the body.  Head and body are valid until it
	 * returns.
	 *
	 * Returns 0.  After share_over it can return a number of bytes at the body's end
	 * instead, if it has not answered.  In a later turn it is called again, with
	 * these bytes as the body and with `again` set.
	 */
	size_t (*request)(uint32_t conn, const struct http_request *, struct span body,
			  bool again);
	/* The server stops: complete the answer to this connection's request.  Later
	 * requests are answered with 503. */
	void (*stopping)(uint32_t conn);
	/* The connection has ended before the answer to its request was complete. */
	void (*closed)(uint32_t conn);
	/* As in struct conn_handler. */
	bool (*second)(void);
	bool (*settle)(void);
	/* For connections after web_upgrade: `received`, `expired`, `stopping`, `closed`.
	 */
	const struct conn_handler *upgraded;
};

struct web_limits {
	uint32_t connections; /* the highest number: loop_most */
	uint32_t message;     /* maximum size of a body that is skipped, in bytes */
	uint32_t heartbeat;   /* seconds: half of what a request may take */
	uint32_t handshake;   /* seconds for a connection's first request */
};

enum {
	/* Maximum size of the header fields that a handler adds to an answer, in bytes: a
	 * request's fields may be repeated. */
	WEB_FIELDS = HTTP_HEAD_SIZE + 512,
	/* Bytes of a block that heads and control frames can occupy next to messages. */
	WEB_SLACK = WEB_FIELDS + 1024,
	/* Bytes of a connection's state after web_upgrade. */
	WEB_UPGRADED_SIZE = 64 + 4 * sizeof(size_t)
};

/* Tables for the connections; the handler must stay valid. */
void web_place(struct memory *, const struct web_limits *, const struct web_handler *);

/* For loop_run. */
extern const struct conn_handler web_conn_handler;

/* The answer to a connection's request. */
struct web_answer {
	unsigned status;
	const char *type;   /* Content-Type; NULL: none */
	struct span fields; /* more header fields, each with its CR LF */
	struct span body;
};

/* Answers the request.  Without one, does nothing. */
void web_answer(uint32_t conn, const struct web_answer *);
/* Answers 405 with these allowed methods. */
void web_not_allowed(uint32_t conn, const char *methods);
/* Answers with a status and its reason phrase, and closes the connection. */
void web_refuse(uint32_t conn, unsigned status);

/*
 * Answers with 200 and a body in pieces: each is one chunk, except for HTTP/1.0.
 * web_stream_write returns false if the connection is closing.
 */
void web_stream(uint32_t conn, const char *type, struct span fields);
bool web_stream_write(uint32_t conn, const char *data, size_t length);
void web_stream_end(uint32_t conn);

/*
 * From here on, `upgraded` of struct web_handler gets the connection's input and events.
 * The caller has sent the answer, which is counted as 101.  Returns WEB_UPGRADED_SIZE
 * bytes, aligned for uint64_t, for the state of the protocol.  They are not initialized.
 */
void *web_upgrade(uint32_t conn);
/* Returns the same bytes until the connection ends; NULL if it is not upgraded. */
void *web_upgraded(uint32_t conn);

enum { WEB_STATUSES = 18 };

/* The statuses that are counted, in the order of `answers`. */
extern const uint16_t web_statuses[WEB_STATUSES];

struct web_counters {
	uint64_t requests;
	uint64_t answers[WEB_STATUSES];
};

const struct web_counters *web_count(void);

#endif
