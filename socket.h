/* Listening and accepted sockets, IP addresses and networks. */
#ifndef SOCKET_H
#define SOCKET_H

#include "text.h"

#include <sys/types.h>

/* An IP address in network byte order and a port in host byte order. */
struct socket_address {
	uint8_t length; /* 4 for IPv4, 16 for IPv6 */
	uint8_t bytes[16];
	uint16_t port;
};

/* An IP network.  In a list, a `length` of 0 marks the end. */
struct socket_network {
	uint8_t length; /* 4 for IPv4, 16 for IPv6 */
	uint8_t bits;	/* length of the prefix */
	uint8_t bytes[16];
};

/*
 * Reads an IP address without brackets or port, and sets the port to 0.  Converts an
 * IPv4-mapped IPv6 address (::ffff:192.0.2.1) to IPv4.  Returns false if the text is not
 * an address.
 */
bool socket_read_address(struct span, struct socket_address *);

/* Returns true if an address is in one of the networks.  NULL is an empty list. */
bool socket_in_networks(const struct socket_address *, const struct socket_network *);

/*
 * Creates a non-blocking socket that listens at an address.  Port 0 is replaced with a
 * free port, also in `address`.  An IPv6 socket accepts IPv6 only.  On Linux the address
 * may be one that no interface has yet.
 *
 * Returns the file descriptor, or -1 with errno set.
 */
int socket_listen(struct socket_address *);

/*
 * Tries whether a program could listen at an address that an interface has, without
 * listening there.  Returns 0 or the errno of the failure.
 */
int socket_try(const struct socket_address *);

/*
 * Accepts a connection as a non-blocking socket with TCP_NODELAY.  On Linux the system
 * ends the connection if sent data is not acknowledged for `timeout_s` seconds.
 *
 * Returns the file descriptor and sets `peer`, or returns -1 with errno set.
 */
int socket_accept(int listener, struct socket_address *peer, uint32_t timeout_s);

/*
 * Writes two spans to a socket, as one: the number of bytes written, or -1 with errno
 * set. SIGPIPE must be ignored.
 *
 * Uses writev, for which the sandbox (sandbox.h) need not look at arguments, as it must
 * for send: at 300 bytes that is 4 % of what a packet costs.
 */
ssize_t socket_write(int fd, struct span, struct span);
/* True if errno says that the call can be repeated later. */
bool socket_would_wait(void);

/*
 * Lists up to `max` addresses of this host's interfaces, loopback included and IPv6
 * link-local addresses excluded.  Does not set the ports.  Returns the number of
 * addresses; 0 if the system can not list them, as on systems other than Linux.
 */
size_t socket_addresses(struct socket_address *, size_t max);

#endif
