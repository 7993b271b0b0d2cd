/* HTTP/1.1 messages (RFC 9112), the server's side: heads, bodies, answers' names. */
#ifndef HTTP_H
#define HTTP_H

#include "socket.h"

enum { HTTP_HEAD_SIZE = 8192 }; /* bytes of a request's head, at most */

enum http_method { HTTP_OTHER, HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS };

/* A request's head.  The spans lie in it; a field that it lacks has no data (NULL). */
struct http_request {
	enum http_method method;
	unsigned minor;	   /* 0 for HTTP/1.0, else 1 */
	bool keep_alive;   /* the client wants the connection kept (section 9.3) */
	bool chunked;	   /* the body comes in chunks, else it has `length` bytes */
	bool expect;	   /* the client waits for 100 Continue */
	bool upgrade;	   /* Connection has the token `upgrade` */
	bool websocket;	   /* Upgrade has the token `websocket` */
	uint64_t length;   /* Content-Length, 0 without one */
	struct span path;  /* as sent, up to the query */
	struct span query; /* behind the `?` */
	struct span host;  /* of the target if it names one, else of the field */
	struct span target_host;
	struct span origin;
	struct span content_type;
	struct span cookie;
	struct span accept_encoding;
	struct span if_none_match;
	struct span cors_headers; /* Access-Control-Request-Headers */
	struct span websocket_key;
	struct span websocket_version;
	struct span fields; /* all of them, line by line */
};

enum { HTTP_MORE = -2, HTTP_BAD = -1 };

/*
 * Looks for the end of a head in what has come so far; `scanned` is 0 at first and then
 * the caller's to keep, so that no byte is looked at twice.  Returns the head's length
 * with its empty line, HTTP_MORE, or HTTP_BAD as soon as there is a bare CR or LF
 * or a NUL.  Empty lines before the request line are not part of it: the caller
 * skips http_blank bytes first.
 */
long http_scan(const char *data, size_t length, size_t *scanned);
/* How many bytes of empty lines (CR LF) stand at the front (RFC 9112 section 2.2). */
size_t http_blank(const char *data, size_t length);

/*
 * Reads a whole head.  Returns 0, or the status that refuses it: 400, 417, 501 or 505;
 * after that nothing is known of where the next request begins.
 */
unsigned http_parse(const char *head, size_t length, struct http_request *);

/*
 * Reads an address as Host and proxies write it: alone, with a port (IPv6 in brackets
 * then), and quoted, as the field Forwarded wants it (RFC 7239 section 6).  The port is
 * checked and then ignored.  False if it is none.
 */
bool http_read_address(struct span, struct socket_address *);

/*
 * Whose request it is that a trusted proxy hands on: `client` holds the proxy's address,
 * and then that of the last hop in X-Forwarded-For (all of its lines are one list) which
 * is not trusted.  Where the list ends before there is one, or has something else than an
 * address, it is the trusted one behind that.  The port stays the connection's own, by
 * which the log's lines of a connection are found.  The fields are a good request's.
 * False if the last hop is something else than an address.
 */
bool http_forwarded(struct span fields, bool (*trusted)(const struct socket_address *),
		    struct socket_address *client);

/* A chunked body (section 7.1) being decoded; all zero at its start. */
struct http_chunked {
	uint64_t left; /* bytes of the present chunk still to come */
	uint16_t
	    overhead; /* bytes of chunk lines and trailers so far, since the last data */
	uint8_t state;
	uint8_t digits;
};

/*
 * Decodes in place: `*length` bytes of body, as they came, become their content at the
 * front of `data`, and `*length` that content's length.  Returns how many bytes at the
 * end of what was given are not the body's any more but the next request's;
 * HTTP_MORE if the body goes on; HTTP_BAD if it is malformed.
 */
long http_dechunk(struct http_chunked *, char *data, size_t *length);

/* Takes what stands before the next `separator`, or all that is left, off the front of
 * `rest`. */
struct span http_take(struct span *rest, char separator);
/* Without white space at either end. */
struct span http_trim(struct span);

/*
 * Undoes percent-encoding (RFC 3986 section 2.1), and with `plus` also "+" for a space,
 * at `out`, which may be the text's own place.  What is not an escape stays.  Returns the
 * length.
 */
size_t http_unescape(struct span, char *out, bool plus);

/* The value of the last parameter of that name in a query or form, still escaped; no data
 * if absent. */
struct span http_parameter(struct span query, const char *name);

/* Does If-None-Match hold this entity tag, quotes and all (RFC 9110 section 13.1.2)? */
bool http_has_tag(struct span list, const char *tag);

/* Does Accept-Encoding, if there is one, allow this coding (section 12.5.3)? */
bool http_accepts(struct span list, const char *coding);

/* The reason phrase of a status that this server sends. */
const char *http_reason(unsigned status);

#endif
