/*
 * SockJS sessions over HTTP.  The client receives their frames by receivers: responses
 * that carry one frame (xhr, jsonp) or many, up to a limit (xhr_streaming, eventsource,
 * htmlfile).  Between two receivers messages wait in a queue, and so does the Close
 * frame.
 */
#ifndef RECEIVER_H
#define RECEIVER_H

#include "session_table.h"
#include "addresses.h"

enum { RECEIVER_SESSION_ID = 128 }; /* bytes of a session's id, at most */

/* A response, or the request that asks for it. */
struct receiver {
	uint32_t conn;
	enum transport transport;
	size_t sent; /* bytes of frames in this response */
	size_t callback_length;
	char callback[SOCKJS_FRAME_CALLBACK];
};

/* Takes the memory (memory.h: called in both passes); reads this table. */
void receiver_place(struct memory *, const struct session_limits *, struct session_table);

/* Returns the session over HTTP of this id, or 0.  A number is the session's below. */
uint32_t receiver_find(const struct service *, struct span id);

/*
 * Answers with header fields and frames: attaches the receiver to the session of this id,
 * which is added if there is none.  If another receiver is attached, answers with Close
 * 2010.  Returns false, without an answer, if the session is refused.  Copies all that it
 * keeps.
 */
bool receiver_attach(const struct service *, struct span id, const struct receiver *,
		     struct span fields);

/* Sends a message, or queues it.  If the queue is full, the session ends. */
void receiver_send(uint32_t session, const char *data, size_t length);
/*
 * Closes a session: its Close frame is sent after the queue, or waits for the client.
 * Cuts the reason at SOCKJS_FRAME_REASON bytes.
 */
void receiver_close(uint32_t session, unsigned code, const char *reason);

/* The client's address when the session was added: as text, valid while the session is,
 * and as the address that it counts for. */
struct span receiver_peer(uint32_t session);
struct address_key receiver_address_key(uint32_t session);

/* The connection of a receiver is lost: its session ends.  Ignores other connections. */
void receiver_closed(uint32_t conn);
/*
 * Once a second: sends heartbeats, and ends sessions without a receiver for 5 seconds.
 * True while there are sessions over HTTP.
 */
bool receiver_second(void);

#endif
