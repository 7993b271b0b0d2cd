/* WebSocket (RFC 6455), the server's side: handshake, frames in, frames out. */
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

enum ws_code { /* section 7.4.1, and this protocol's own */
	       WS_NORMAL = 1000,
	       WS_GOING_AWAY = 1001,
	       WS_PROTOCOL_ERROR = 1002,
	       WS_NO_CODE = 1005, /* never sent: the peer's Close had no code */
	       WS_INVALID_DATA = 1007,
	       WS_TOO_BIG = 1009,
	       WS_OVERLOADED = 1013,
	       WS_SOCKJS = 3000, /* SockJS servers' for what breaks its rules */
	       WS_REPLACED = 4001
};

enum {
	WS_HEADER = 14,	       /* bytes of a client's frame header, at most */
	WS_SERVER_HEADER = 10, /* of a server's, which has no mask */
	WS_CONTROL = 125,      /* payload bytes of a control frame, at most */
	WS_ACCEPT = 28	       /* bytes of a Sec-WebSocket-Accept */
};

/*
 * Judges an opening handshake (section 4.2.1): 101 if it is good, with the answer's
 * Sec-WebSocket-Accept at `accept`; else the status that refuses it, 400, 405 or 426.
 */
unsigned ws_handshake(const struct http_request *, char accept[WS_ACCEPT]);

struct ws_frame {
	uint64_t length; /* of the payload */
	enum ws_opcode opcode;
	bool fin;
	unsigned char mask[4];
};

enum { WS_MORE = -2, WS_BAD = -1 };

/*
 * Decodes a client's frame header (section 5.2).  Returns its length, WS_MORE, or WS_BAD,
 * as soon as it can be known: reserved bits or opcodes, no mask, a length that is not
 * in its shortest form, a control frame that is long or fragmented.
 */
int ws_header(const unsigned char *data, size_t length, struct ws_frame *);

/*
 * Takes the mask (section 5.3) off `length` bytes, the first of which is the
 * payload's byte number `offset`.  True if all of them are ASCII then.
 */
bool ws_unmask(unsigned char *data, size_t length, const unsigned char mask[4],
	       size_t offset);

/* Writes a server's frame header, final and without a mask; returns its length. */
size_t ws_encode_header(unsigned char out[WS_SERVER_HEADER], enum ws_opcode,
			size_t length);

/* May an endpoint send this code (section 7.4)? */
bool ws_valid_code(unsigned code);

/*
 * What a client sends, taken apart where it lies.  The caller's buffer begins with
 * what the last ws_finish left there, and what has come since follows it.
 *
 *     ws_start(ws);
 *     while ((event = ws_next(ws, data, length, &payload)) > WS_NOTHING)
 *         ...
 *     kept = ws_finish(ws, data, length);
 *
 * Payloads are unmasked and fragments put together in place, so a buffer of WS_ROOM
 * bytes over the largest message always lets the reading go on.
 */
struct ws {
	size_t most;	  /* the largest message taken, in bytes: the caller's to set */
	bool binary_utf8; /* binary messages must be UTF-8 as well: the caller's to set */

	bool in_message; /* a message has begun and is not complete */
	bool in_frame;	 /* a frame's header has been read, its payload not wholly */
	enum ws_opcode opcode; /* the message's */
	struct ws_frame frame;
	size_t taken;	 /* bytes of the frame's payload taken */
	size_t start;	 /* where the message begins in the buffer, ... */
	size_t gathered; /* ... and how many bytes of it there are */
	size_t at;	 /* the next byte to read */
	struct utf8 utf8;
	enum ws_code code; /* after WS_FAILED: what to close with */
};

enum { WS_ROOM = WS_HEADER + WS_CONTROL };

enum ws_event {
	WS_NOTHING, /* all that has come has been read */
	WS_GOT_TEXT,
	WS_GOT_BINARY,
	WS_GOT_PING,
	WS_GOT_PONG,
	WS_GOT_CLOSE, /* `code` is the peer's or WS_NO_CODE, the payload its reason */
	WS_FAILED     /* the peer broke the rules: nothing more can be read */
};

void ws_start(struct ws *);
/* The payload lies in `data` until ws_finish or the next call. */
enum ws_event ws_next(struct ws *, unsigned char *data, size_t length,
		      struct span *payload);
/* Moves what is still needed to the front of `data`; returns how much that is. */
size_t ws_finish(struct ws *, unsigned char *data, size_t length);

#endif
