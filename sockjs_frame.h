/*
 * Builds the frames that a SockJS server sends, as each transport wraps and escapes them,
 * and checks the payloads that a client sends.  Source:
 * https://github.com/sockjs/sockjs-protocol.
 *
 * Functions whose name begins with `sockjs_frame_put` append to a text of the caller's
 * (text.h), which records an overflow.
 */
#ifndef SOCKJS_FRAME_H
#define SOCKJS_FRAME_H

#include "text.h"

enum transport {
	TRANSPORT_WEBSOCKET,
	TRANSPORT_XHR,
	TRANSPORT_XHR_STREAMING,
	TRANSPORT_EVENTSOURCE,
	TRANSPORT_HTMLFILE,
	TRANSPORT_JSONP
};

enum {
	SOCKJS_FRAME_CALLBACK = 32, /* bytes of a callback's name, at most */
	SOCKJS_FRAME_REASON = 123,  /* bytes of a Close frame's reason, at most */
	/* Bytes that a byte of a message becomes, at most: quoted twice, \\u0000. */
	SOCKJS_FRAME_GROWTH = 7,
	/* Bytes around a message, at most: brackets, quotes, script tags, callback. */
	SOCKJS_FRAME_OVERHEAD = 128,
	/* Bytes of the longest prelude. */
	SOCKJS_FRAME_PRELUDE = 2049,
	/* Bytes of an unwrapped Close frame, at most. */
	SOCKJS_FRAME_CLOSE =
	    SOCKJS_FRAME_GROWTH * SOCKJS_FRAME_REASON + SOCKJS_FRAME_OVERHEAD,
	/* Messages in a client's payload, at most. */
	SOCKJS_FRAME_MESSAGES = 1024
};

/*
 * Puts a message as a JSON string with its quotes.  The message is UTF-8 that may contain
 * lone surrogates (WTF-8).  Escapes the characters that JSON requires, those that old
 * browsers lose or change, and surrogates.  Hexadecimal digits are lower-case.
 * Characters above U+FFFF become escaped surrogate pairs.
 */
void sockjs_frame_put_string(struct text *, const char *data, size_t length);

/* Puts c[CODE,"REASON"]; the reason has SOCKJS_FRAME_REASON bytes at most. */
void sockjs_frame_put_close(struct text *, unsigned code, const char *reason);

/* True if a response of this transport carries many frames, false if it carries one. */
bool sockjs_frame_is_stream(enum transport);

/* Puts the bytes ahead of a transport's first frame: some for xhr_streaming, eventsource
 * and htmlfile, none for the others. */
void sockjs_frame_put_prelude(struct text *, enum transport, struct span callback);

/* Puts a frame as its transport wraps it. */
void sockjs_frame_put(struct text *, enum transport, struct span callback,
		      struct span frame);

/*
 * Finds how much of an `a` frame fits into `size` bytes when its transport wraps it.
 * `queue` is the frame without its final bracket, with one message at least.  `size` is
 * at least SOCKJS_FRAME_OVERHEAD.  Returns the length of the part of `queue` that ends
 * after the last message that fits.  If not even one fits, returns the whole length.
 */
size_t sockjs_frame_fit(enum transport, struct span queue, size_t size);

enum sockjs_payload {
	PAYLOAD_VALID,
	PAYLOAD_BROKEN,	  /* no JSON, or an array of other values than strings */
	PAYLOAD_NO_ARRAY, /* another JSON value */
	PAYLOAD_TOO_MANY  /* more than SOCKJS_FRAME_MESSAGES strings */
};

/*
 * Checks a client's payload: a JSON array of strings.  If it is valid, sets `single`: to
 * the only string, with its quotes, within the payload; or to NULL data if there is none
 * or more than one.  If it is invalid, the caller must not use `single`.
 */
enum sockjs_payload sockjs_frame_check_payload(char *data, size_t length,
					       struct span *single);

#endif
