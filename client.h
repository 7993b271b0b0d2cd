/*
 * Clients: the address of each connection's peer, or of the client that a trusted proxy
 * names for it.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "socket.h"
#include "source.h"

/* Addresses for connections 1 to `connections`.  The networks of trusted proxies (NULL:
 * none) stay the caller's, and must stay. */
void client_place(struct memory *, uint32_t connections, const struct socket_network *);

/* A new connection has this peer, which is its client for now. */
void client_begin(uint32_t conn, const struct socket_address *peer);

/* Is this address a trusted proxy's? */
bool client_trusts(const struct socket_address *);
/* Is the peer of a connection a trusted proxy? */
bool client_is_forwarded(uint32_t conn);

/*
 * The client's address, for a request to set, where the peer is a trusted proxy; else
 * NULL.  Each call sets it to the proxy's address first.
 */
struct socket_address *client_forwarded(uint32_t conn);

/* The client's address, with the connection's port. */
const struct socket_address *client_address(uint32_t conn);
/* The same as ADDRESS:PORT, for the log; valid until the next call. */
struct span client_name(uint32_t conn);
/* The address that the client counts for. */
struct source client_source(uint32_t conn);

#endif
