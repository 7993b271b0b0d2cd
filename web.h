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
	 * Returns 0 if it has handled the whole body.  Once share_over is true, it can
	 * leave the end of the body for a later turn: it returns the length of that part,
	 * and does not answer yet.  It is then called again, with that part as the body
	 * and `again` true.
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
	/* Callbacks for connections after web_upgrade.  Only `received`, `expired`,
	 * `stopping` and `closed` are called. */
	const struct conn_handler *upgraded;
};

struct web_limits {
	uint32_t connections; /* the highest number of a connection: loop_highest */
	uint32_t skipped;     /* maximum size of a body that is skipped, in bytes */
	/* Seconds.  A head, a body and the pause between requests may take twice that. */
	uint32_t heartbeat;
	uint32_t handshake; /* seconds from accept to the end of the first head */
};

enum {
	/* Maximum size of the header fields that a handler adds to an answer, in bytes.
	 * They may repeat two fields of the request. */
	WEB_FIELDS = 2 * HTTP_REPEATED_SIZE + 512,
	/* Bytes of a block that heads and control frames can occupy next to messages. */
	WEB_SLACK = WEB_FIELDS + 1024,
	/* Maximum size of input that is received after a complete body, in bytes. */
	WEB_PIPELINED = 512,
	/* Bytes of a connection's state after web_upgrade. */
	WEB_UPGRADED_SIZE = 56 + 4 * sizeof(size_t)
};

/* Takes the memory (memory.h: called in both passes).  The handler must stay valid. */
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

/* Answers the request.  Does nothing if no request waits for an answer. */
void web_answer(uint32_t conn, const struct web_answer *);
/* Answers 405, or 204 to OPTIONS, with these allowed methods and OPTIONS. */
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
 * The caller must have sent the answer, which is counted as 101.  Returns
 * WEB_UPGRADED_SIZE bytes, aligned for uint64_t, for the state of the protocol.  They are
 * not initialized.
 */
void *web_upgrade(uint32_t conn);
/* Returns the same bytes until the connection ends; NULL if it is not upgraded. */
void *web_upgraded(uint32_t conn);

enum { WEB_STATUSES = 20 };

/* The statuses that are counted, in the order of `answers`. */
extern const uint16_t web_statuses[WEB_STATUSES];

struct web_counters {
	uint64_t requests;
	uint64_t answers[WEB_STATUSES];
};

const struct web_counters *web_count(void);

#endif
