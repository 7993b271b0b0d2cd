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
 * Sends a message of at most `reply` bytes, in the form that struct service gives.
 * Returns false if the session is closing or has ended.
 */
bool session_send(uint32_t session, const char *data, size_t length, bool binary);
/* Closes a session with a code that ws_valid_code accepts; ignored if it is not open. */
void session_close(uint32_t session, unsigned code, const char *reason);
/* The client's address as text, for the log; valid until the next call. */
struct span session_peer(uint32_t session);
/* The address that the client counts for. */
struct address_key session_address_key(uint32_t session);

/* How many blocks (memory.h) sessions hold at most, and the bytes that a block needs. */
uint32_t session_blocks(const struct session_limits *);
size_t session_block(const struct session_limits *);
/* Bytes of a request's body or a SockJS payload that hold the largest message. */
size_t session_payload(const struct session_limits *);
/* Takes the memory (memory.h: called in both passes), also that of the files below. */
void session_place(struct memory *, const struct session_limits *);

/*
 * For sockjs.c
 */

/* Adds a session on a connection that is a WebSocket now: with SockJS frames, or plain.
 */
void session_open_socket(const struct service *, uint32_t conn, bool framed);

/*
 * Delivers the messages of a valid payload, which is changed.  `conn` is the connection
 * that it came on, `single` is that of sockjs_frame_check_payload.  Returns false if a
 * message was too big: the session is closed then.  `rest` becomes the payload of the
 * messages that must wait for a later turn (share_over), within `payload`, or empty.
 */
bool session_receive(uint32_t session, uint32_t conn, struct span payload,
		     struct span single, struct span *rest);

/* Callbacks of struct websocket_handler, and two of struct web_handler. */
size_t session_message(uint32_t conn, char *data, size_t length, bool binary, bool again);
void session_heartbeat(uint32_t conn);
void session_silent(uint32_t conn);
void session_stopping(uint32_t conn);
void session_closed(uint32_t conn);

#endif
