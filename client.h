/*
 * Keeps the client's address of each connection: the peer's, or the one that a trusted
 * proxy has forwarded.  http_forwarded (http.h) reads the latter from the request.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "socket.h"
#include "addresses.h"

/*
 * Takes the memory for connections 1 to `connections` (memory.h: called in both passes).
 * The list of trusted proxies' networks (NULL: none) must stay valid.
 */
void client_place(struct memory *, uint32_t connections, const struct socket_network *);

/* Sets the peer of a new connection, which is its client at first. */
void client_begin(uint32_t conn, const struct socket_address *peer);

/* True if this address is a trusted proxy's. */
bool client_trusts(const struct socket_address *);
/* True if the peer of a connection is a trusted proxy. */
bool client_has_proxy(uint32_t conn);

/*
 * Resets the client's address to the peer's.  Returns it, for the caller to change, if
 * the peer is a trusted proxy; otherwise NULL.
 */
struct socket_address *client_reset_address(uint32_t conn);

/* Returns the client's address, with the port of the connection. */
const struct socket_address *client_address(uint32_t conn);
/* Returns it as ADDRESS:PORT, for the log.  Valid until the next call. */
struct span client_name(uint32_t conn);
/* Returns the key under which the client's address is counted (addresses.h). */
struct address_key client_address_key(uint32_t conn);

#endif
