/*
 * Builds the frames that a SockJS server sends, as each transport wraps and escapes them,
 * and reads the payloads that a client sends.  Source:
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
 * Puts a message as a JSON string with its quotes.  Escapes what JSON demands, code units
 * that old browsers lose or change, and surrogates, with lower-case digits.  Characters
 * above U+FFFF become surrogate pairs.  Input: UTF-8, also with lone surrogates (WTF-8).
 */
void sockjs_frame_put_string(struct text *, const char *data, size_t length);

/* Puts c[CODE,"REASON"]; the reason has SOCKJS_FRAME_REASON bytes at most. */
void sockjs_frame_put_close(struct text *, unsigned code, const char *reason);

/* True if a response of this transport carries many frames, false if it carries one. */
bool sockjs_frame_is_stream(enum transport);

/* Puts the bytes ahead of a stream's first frame; none for other transports. */
void sockjs_frame_put_prelude(struct text *, enum transport, struct span callback);

/* Puts a frame as its transport wraps it. */
void sockjs_frame_put(struct text *, enum transport, struct span callback,
		      struct span frame);

/*
 * Finds how much of an `a` frame fits into `size` bytes when its transport wraps it.
 * `queue` is the frame without its final bracket, with one message at least.  Returns a
 * length that ends after a message: of all messages, or of as many as fit.  If not even
 * one fits, returns the whole length.
 */
size_t sockjs_frame_fit(enum transport, struct span queue, size_t size);

enum sockjs_payload {
	PAYLOAD_VALID,
	PAYLOAD_BROKEN,	  /* no JSON, or an array of other values than strings */
	PAYLOAD_NO_ARRAY, /* another JSON value */
	PAYLOAD_TOO_MANY  /* more than SOCKJS_FRAME_MESSAGES strings */
};

/*
 * Checks a client's payload: a JSON array of strings.  If it is valid and holds exactly
 * one string, `single` is that string within the payload; otherwise its data is NULL.
 */
enum sockjs_payload sockjs_frame_check_payload(char *data, size_t length,
					       struct span *single);

#endif
