/*
 * WebSocket without a connection: checks opening handshakes, reads frames and messages
 * from clients, and builds the headers of frames from the server.  Sections are those of
 * RFC 6455.
 */
#ifndef WS_H
#define WS_H

#include "http.h"

enum ws_opcode {
	WS_CONTINUATION = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa
};

enum ws_code { /* close codes: section 7.4.1, and the application's from 3000 on */
	       WS_NORMAL = 1000,
	       WS_GOING_AWAY = 1001,
	       WS_PROTOCOL_ERROR = 1002,
	       WS_NO_CODE = 1005, /* never sent: the Close frame had no code */
	       WS_INVALID_DATA = 1007,
	       WS_TOO_BIG = 1009,
	       WS_OVERLOADED = 1013,
	       WS_SOCKJS = 3000, /* violation of the SockJS protocol */
	       WS_REPLACED = 4001
};

enum {
	WS_HEADER = 14,	       /* maximum size of a client's frame header, in bytes */
	WS_SERVER_HEADER = 10, /* the same for a server, which sends no mask */
	WS_CONTROL = 125,      /* maximum payload of a control frame, in bytes */
	WS_ACCEPT = 28	       /* length of a Sec-WebSocket-Accept value, in bytes */
};

/*
 * Checks an opening handshake (section 4.2.1).  If it is valid, returns 101 and writes
 * the response's Sec-WebSocket-Accept value to `accept`.  Otherwise returns the status to
 * reject it with: 400, 405 or 426.
 */
unsigned ws_handshake(const struct http_request *, char accept[WS_ACCEPT]);

struct ws_frame {
	uint64_t length; /* bytes of payload */
	uint8_t opcode;	 /* enum ws_opcode */
	bool fin;
	unsigned char mask[4];
};

enum { WS_MORE = -2, WS_BAD = -1 };

/*
 * Decodes a client's frame header (section 5.2).  Returns its length in bytes; WS_MORE if
 * it is incomplete; WS_BAD if it is invalid.  An invalid header is detected before its
 * mask is received.
 *
 * Invalid are reserved bits, a reserved opcode, a frame without a mask, and a length that
 * is not in its shortest form or has its highest bit set.  A control frame must also be
 * unfragmented and have at most WS_CONTROL bytes of payload.
 */
int ws_header(const unsigned char *data, size_t length, struct ws_frame *);

/*
 * Unmasks `length` bytes of a payload in place (section 5.3).  The first of them is byte
 * `offset` of the payload.  Returns true if all of them are ASCII after unmasking.
 */
bool ws_unmask(unsigned char *data, size_t length, const unsigned char mask[4],
	       size_t offset);

/*
 * Writes the header of an unfragmented, unmasked frame with `length` bytes of payload.
 * Returns the length of the header.
 */
size_t ws_encode_header(unsigned char out[WS_SERVER_HEADER], enum ws_opcode,
			size_t length);

/* Returns true if an endpoint may send this close code (section 7.4, IANA registry). */
bool ws_valid_code(unsigned code);

/*
 * Reads a client's messages in the caller's buffer.  The caller appends received bytes
 * to those that the last ws_finish kept, then runs:
 *
 *     ws_start(ws);
 *     while ((event = ws_next(ws, data, length, &payload)) > WS_NOTHING)
 *         ...
 *     kept = ws_finish(ws, data, length);
 *
 * Payloads are unmasked and fragments joined in place.  A buffer of `max_message` +
 * WS_EXTRA bytes never fills up: it always has space to receive more.
 */
struct ws {
	/* Set by the caller.  All other members are zero at the start. */
	size_t max_message; /* maximum size of a message, in bytes */
	bool binary_utf8;   /* binary messages must be valid UTF-8 too */

	bool in_message; /* a message has begun and is incomplete */
	bool in_frame;	 /* a header has been read, but not its whole payload */
	uint8_t opcode;	 /* enum ws_opcode, of the message */
	struct ws_frame frame;
	size_t payload_read;   /* bytes of the frame's payload read */
	size_t message_start;  /* offset of the message in the buffer */
	size_t message_length; /* bytes of the message read */
	size_t offset;	       /* of the next byte to read */
	struct utf8 utf8;
	enum ws_code code; /* after WS_GOT_CLOSE and WS_FAILED */
};

/* Space that a buffer needs beyond the largest message, in bytes. */
enum { WS_EXTRA = WS_HEADER + WS_CONTROL };

enum ws_event {
	WS_NOTHING, /* nothing is complete: receive more */
	WS_GOT_TEXT,
	WS_GOT_BINARY,
	WS_GOT_PING,
	WS_GOT_PONG,
	WS_GOT_CLOSE, /* `code` is the peer's or WS_NO_CODE, `payload` the reason */
	WS_FAILED     /* invalid input: close with `code` and read no more */
};

void ws_start(struct ws *);
/*
 * Reads on to the next event.  `length` counts all bytes in `data`, kept ones included.
 * `payload` points into `data`; it is valid until the next call or ws_finish.
 */
enum ws_event ws_next(struct ws *, unsigned char *data, size_t length,
		      struct span *payload);
/*
 * Moves the bytes that are still needed to the front of `data`: an incomplete message and
 * unread input.  Returns their number.
 */
size_t ws_finish(struct ws *, unsigned char *data, size_t length);

#endif
