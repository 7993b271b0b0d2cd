/* Listening sockets and what they accept: all of Linux's and POSIX's ways with addresses.
 */
#ifndef SOCKET_H
#define SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An IPv4 (4 bytes) or IPv6 (16 bytes) address and a port. */
struct socket_address {
	uint8_t length;
	uint8_t bytes[16];
	uint16_t port;
};

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
 * The addresses of this host's interfaces, loopback's too, without ports.  Returns how
 * many there are, at most `most`; none where the system cannot be asked.
 */
size_t socket_addresses(struct socket_address *, size_t most);

#endif
