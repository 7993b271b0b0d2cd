/*
 * The interface between a service (struct service) and its sessions.  A session receives
 * and sends whole messages, over a plain WebSocket or any SockJS transport, and the
 * service sees no difference.
 */
#ifndef SESSION_H
#define SESSION_H

#include "session_table.h"
#include "addresses.h"
#include "websocket.h"

/*
 * Sends a message of at most `reply` bytes.  Text must be UTF-8 or WTF-8.  Returns false
 * if the session is closing or has ended.
 */
bool session_send(uint32_t session, const char *data, size_t length, bool binary);

/*
 * A message that several sessions get, and that is framed once for all of them.  The
 * caller sets `message`, as for session_send, and the rest to 0.  After the last
 * session_send_shared, it calls session_shared_end.  Only one such message may be under
 * way, and session_send may not be called meanwhile.
 */
struct session_shared {
	struct span message;
	struct span frame; /* in `block`; NULL: no session has needed it yet */
	char *block;
};

bool session_send_shared(uint32_t session, struct session_shared *);
void session_shared_end(struct session_shared *);

/* Closes a session with a code that ws_valid_code accepts.  Does nothing if it is not
 * open. */
void session_close(uint32_t session, unsigned code, const char *reason);
/* Returns the client's address as text, for the log.  Valid until the next call. */
struct span session_peer(uint32_t session);
/* Returns the address that the client counts for. */
struct address_key session_address_key(uint32_t session);

/* Returns how many blocks (memory.h) sessions hold at most. */
uint32_t session_blocks(const struct session_limits *);
/* Returns how many bytes a block needs. */
size_t session_block(const struct session_limits *);
/* Returns the maximum size of a request's body or a SockJS payload, in bytes.  The
 * largest message fits in any encoding. */
size_t session_payload(const struct session_limits *);
/* Takes the memory (memory.h: called in both passes), also for session_table.c and
 * receiver.c. */
void session_place(struct memory *, const struct session_limits *);

/*
 * For sockjs.c
 */

/* Adds a session on a new WebSocket.  `framed`: messages are in SockJS frames.  `query`
 * is that of its URL. */
void session_open_socket(const struct service *, uint32_t conn, bool framed,
			 struct span query);

/*
 * Delivers the messages of a valid payload, and changes the payload.  `conn` is the
 * connection that has received it; `single` is that of sockjs_frame_check_payload.
 *
 * `rest` becomes a payload of the messages that must wait for a later turn (share_over),
 * within `payload`; it is empty if there are none.  If a message is too big, closes the
 * session and returns false.
 */
bool session_receive(uint32_t session, uint32_t conn, struct span payload,
		     struct span single, struct span *rest);

/* Callbacks of struct websocket_handler, the last two also of struct web_handler. */
size_t session_message(uint32_t conn, char *data, size_t length, bool binary, bool again);
void session_heartbeat(uint32_t conn);
void session_silent(uint32_t conn);
void session_stopping(uint32_t conn);
void session_closed(uint32_t conn);

#endif
