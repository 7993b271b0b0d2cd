/*
 * HTTP/1.1 without a connection: finds and parses heads of requests, and decodes chunked
 * bodies and the values of fields such as X-Forwarded-For.  Sections are those of RFC
 * 9112 if no other RFC is named.
 */
#ifndef HTTP_H
#define HTTP_H

#include "socket.h"

enum {
	HTTP_HEAD_SIZE = 16384, /* maximum size of a request's head, in bytes */
	/* The same of a field that an answer repeats: Origin and
	 * Access-Control-Request-Headers. */
	HTTP_REPEATED_SIZE = 4096
};

enum http_method { HTTP_OTHER, HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_OPTIONS };

/*
 * A parsed request head.  The spans point into the caller's buffer.  The span of an
 * absent field has NULL as its data.
 */
struct http_request {
	enum http_method method;
	unsigned minor;	   /* minor version: 0 for HTTP/1.0, else 1 */
	bool keep_alive;   /* the connection persists (section 9.3) */
	bool chunked;	   /* the body is chunked; if not, it has `length` bytes */
	bool expect;	   /* the client waits for 100 Continue */
	bool upgrade;	   /* Connection contains the token "upgrade" */
	bool websocket;	   /* Upgrade contains the token "websocket" */
	bool bad_host;	   /* the reason for 400: Host is no host with an optional port */
	uint64_t length;   /* Content-Length; 0 if absent */
	struct span path;  /* still escaped, without the query */
	struct span query; /* still escaped, without the "?" */
	struct span host;  /* of the target if it is absolute, else of the Host field */
	struct span target_host; /* of an absolute target only */
	struct span origin;
	struct span authorization;
	struct span content_type;
	struct span cookie;
	struct span accept_encoding;
	struct span if_none_match;
	struct span cors_headers; /* Access-Control-Request-Headers */
	struct span websocket_key;
	struct span websocket_version;
	struct span fields; /* all field lines */
};

enum { HTTP_MORE = -2, HTTP_BAD = -1 };

/*
 * Searches the received bytes for the end of a request head.  The caller must first skip
 * http_blank bytes.
 *
 * `scanned` counts the bytes that earlier calls have examined.  The caller sets it to 0
 * for a new head, and then keeps it between calls.
 *
 * Returns the length of the head, its empty line included; HTTP_MORE if the head is
 * incomplete; HTTP_BAD if it contains NUL, CR without LF, or LF without CR.
 */
long http_scan(const char *data, size_t length, size_t *scanned);
/* Returns the number of bytes in leading empty lines (section 2.2). */
size_t http_blank(const char *data, size_t length);

/*
 * Parses a complete head, as found by http_scan.  Returns 0, or the status to reject it
 * with: 400, 417, 431, 501 or 505.  The caller must then close the connection, since the
 * end of the request is unknown.
 */
unsigned http_parse(const char *head, size_t length, struct http_request *);

/*
 * Reads an IP address in the syntax of Host, X-Forwarded-For or Forwarded (RFC 7239
 * section 6).  It may have a port, and may be a quoted-string.  An IPv6 address with a
 * port must be in brackets.  The port must be valid, but is not returned.  Returns false
 * if the text is not an address.
 */
bool http_read_address(struct span, struct socket_address *);

/*
 * Finds the client's address in the X-Forwarded-For fields of a request that a trusted
 * proxy has forwarded.  `fields` are those of a request that http_parse has accepted.
 *
 * All X-Forwarded-For lines form one list of hops.  The search starts at the end of the
 * list and passes trusted hops.  The first hop that is not trusted is the client.
 *
 * The search also stops at the start of the list and before a hop that is not an address.
 * Then the client is the last trusted hop that it passed.
 *
 * `client` holds the proxy's address at first, and keeps it if the list is empty.  Its
 * port does not change, since the log identifies the connection by it.
 *
 * Returns false, with `client` unchanged, if the hop at the end is not an address.
 */
bool http_forwarded(struct span fields, bool (*trusted)(const struct socket_address *),
		    struct socket_address *client);

/* State of the decoder of a chunked body (section 7.1).  All zero at the start. */
struct http_chunked {
	uint64_t left;	   /* bytes of the current chunk still to receive */
	uint16_t overhead; /* bytes of framing since the last content */
	uint8_t state;
	uint8_t digits; /* number of digits read of the chunk size */
};

/*
 * Decodes the next piece of a chunked body in place.  `*length` is the number of bytes in
 * `data`; it becomes the length of the decoded content at the start of `data`.
 *
 * If the body ends in this piece, returns the number of bytes after the body.  Returns
 * HTTP_MORE if the body continues, or HTTP_BAD if it is malformed.
 */
long http_dechunk(struct http_chunked *, char *data, size_t *length);

/*
 * Removes from the front of `rest` the text before the next `separator`, and that
 * separator.  Without one, removes all of `rest`.  Returns the text.
 */
struct span http_take(struct span *rest, char separator);
/* Removes spaces and tabs at both ends. */
struct span http_trim(struct span);

/* Returns the value of a hexadecimal digit, or -1. */
int http_hex_digit(char c);

/*
 * Decodes percent-encoding (RFC 3986 section 2.1); with `plus`, "+" becomes a space.
 * Writes to `out`, which needs as many bytes as the text and may be its own buffer.
 * Invalid escapes are copied unchanged.  Returns the length of the result.
 */
size_t http_unescape(struct span, char *out, bool plus);

/*
 * Returns the value of a parameter in a query or form, still escaped.  Of several with
 * the same name, the last one counts.  If there is none, the span's data is NULL.
 */
struct span http_parameter(struct span query, const char *name);

/*
 * Returns the first value of a cookie that is valid and has at most `most` bytes, in the
 * value of a Cookie field (RFC 6265 section 4.2.1).  If there is none, the span's data is
 * NULL.
 */
struct span http_cookie(struct span cookies, const char *name, size_t most);

/*
 * Returns true if an If-None-Match value matches an entity tag (RFC 9110 section 13.1.2).
 * `tag` includes the quotes.
 */
bool http_has_tag(struct span list, const char *tag);

/*
 * Returns true if an Accept-Encoding value allows a coding (RFC 9110 section 12.5.3).
 * An absent field (NULL data) allows every coding.
 */
bool http_accepts(struct span list, const char *coding);

/* Returns the reason phrase of a status that this server sends; "" for any other. */
const char *http_reason(unsigned status);

/* A field of each 503: the seconds after which another attempt makes sense (RFC 9110,
 * section 10.2.3). */
#define HTTP_RETRY_AFTER "Retry-After: 5\r\n"

#endif
