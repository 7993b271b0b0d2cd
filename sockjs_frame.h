/*
 * SockJS frames (https://github.com/sockjs/sockjs-protocol): what a server says to a
 * client, and how each transport wraps it.
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
	/* What a byte of a message may become, quoted twice: \\u0000. */
	SOCKJS_FRAME_GROWTH = 7,
	/* Bytes around that: brackets, quotes, script tags, the callback. */
	SOCKJS_FRAME_OVERHEAD = 128,
	/* Bytes of the longest prelude. */
	SOCKJS_FRAME_PRELUDE = 2049
};

/*
 * Puts a message as a JSON string, quotes and all.  Beside what JSON demands it escapes
 * what old browsers lose or change, with lower-case digits, and characters outside the
 * BMP and lone surrogates (WTF-8) as the halves of pairs.
 */
void sockjs_frame_put_string(struct text *, const char *data, size_t length);

/* Puts c[CODE,"REASON"]. */
void sockjs_frame_put_close(struct text *, unsigned code, const char *reason);

/* Does a response of this transport take many frames, or one? */
bool sockjs_frame_is_stream(enum transport);

/* What goes out first on a stream; nothing for the others. */
void sockjs_frame_put_prelude(struct text *, enum transport, struct span callback);

/* Puts a frame as its transport sends it. */
void sockjs_frame_put(struct text *, enum transport, struct span callback,
		      struct span frame);

#endif
