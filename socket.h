/* Listening sockets and what they accept: all of Linux's and POSIX's ways with addresses.
 */
#ifndef SOCKET_H
#define SOCKET_H

#include "text.h"

/* An IPv4 (4 bytes) or IPv6 (16 bytes) address and a port. */
struct socket_address {
	uint8_t length;
	uint8_t bytes[16];
	uint16_t port;
};

/* The addresses whose first `bits` are these; a list of them ends with a `length` of 0.
 */
struct socket_network {
	uint8_t length;
	uint8_t bits;
	uint8_t bytes[16];
};

/*
 * Reads an address, without brackets or a port, which becomes 0.  An IPv4 one that is
 * written as IPv6 (::ffff:192.0.2.1) is IPv4 from then on.  False if it is none.
 */
bool socket_read_address(struct span, struct socket_address *);

/* Is an address in one of these networks?  NULL: there are none. */
bool socket_in_networks(const struct socket_address *, const struct socket_network *);

/*
 * A socket that listens at an address, and does not block; port 0 becomes a free one.
 * IPv6 sockets take IPv6 only.  No interface needs to have the address yet, where the
 * system can do that.  -1 with errno set.
 */
int socket_listen(struct socket_address *);

/*
 * Accepts a connection, which does not block, sends at once what it is given, and ends if
 * what was sent is not acknowledged for `silence` seconds, where the system can do that.
 * -1 with errno set.
 */
int socket_accept(int listener, struct socket_address *peer, uint32_t silence);

/*
 * The addresses of this host's interfaces, loopback's too but not IPv6's link-local ones,
 * without ports.  Returns how many there are, at most `most`; none where the system
 * cannot be asked.
 */
size_t socket_addresses(struct socket_address *, size_t most);

#endif
