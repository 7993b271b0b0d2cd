/*
 * SockJS sessions over HTTP.  The client receives their frames by receivers: responses
 * that carry one frame (xhr, jsonp) or many, up to a limit (xhr_streaming, eventsource,
 * htmlfile).  Between two receivers, messages wait in a queue; the Close frame waits
 * after it.
 */
#ifndef RECEIVER_H
#define RECEIVER_H

#include "session_table.h"
#include "addresses.h"

enum { RECEIVER_SESSION_ID = 128 }; /* bytes of a session's id, at most */

/* A request for frames, and its response. */
struct receiver {
	uint32_t conn;
	enum transport transport;
	size_t sent; /* bytes of frames in this response */
	size_t callback_length;
	char callback[SOCKJS_FRAME_CALLBACK];
};

/* Takes the memory (memory.h: called in both passes).  Keeps the table. */
void receiver_place(struct memory *, const struct session_limits *, struct session_table);

/* Returns the number of the session over HTTP with this id, or 0. */
uint32_t receiver_find(const struct service *, struct span id);

/*
 * Attaches a receiver to the session with this id, and answers with these header fields
 * and with frames.  Adds the session if it does not exist; its service gets `query`.  If
 * another receiver is attached, answers with Close 2010 instead.  Returns false, without
 * an answer, if the session is refused.  Copies all that it keeps.
 */
bool receiver_attach(const struct service *, struct span id, const struct receiver *,
		     struct span fields, struct span query);

/* Sends a message, or queues it.  If the queue is full, the session ends. */
void receiver_send(uint32_t session, const char *data, size_t length);
/*
 * Closes a session: its Close frame is sent after the queue, or waits for the next
 * receiver.  Cuts the reason at SOCKJS_FRAME_REASON bytes.
 */
void receiver_close(uint32_t session, unsigned code, const char *reason);

/* Returns the client's address and port when the session was added, as text.  Valid while
 * the session is. */
struct span receiver_peer(uint32_t session);
/* Returns the address that the session counts for. */
struct address_key receiver_address_key(uint32_t session);

/* The connection of a receiver is lost: its session ends.  Ignores other connections. */
void receiver_closed(uint32_t conn);
/*
 * Called at each sweep: sends heartbeats, and ends sessions that have had no receiver for
 * 5 seconds.  True while there are sessions over HTTP.
 */
bool receiver_second(void);

#endif
