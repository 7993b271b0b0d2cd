#define _GNU_SOURCE /* accept4, SOCK_NONBLOCK, TCP_USER_TIMEOUT */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

enum { BACKLOG = 512 }; /* maximum number of connections that wait to be accepted */

bool
socket_read_address(struct span text, struct socket_address *address)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char terminated[INET6_ADDRSTRLEN];

	*address = (struct socket_address){ 0 };
	if (text.length >= sizeof terminated)
		return false;
	memcpy(terminated, text.data, text.length);
	terminated[text.length] = '\0';
	if (inet_pton(AF_INET, terminated, address->bytes) == 1)
		address->length = 4;
	else if (inet_pton(AF_INET6, terminated, address->bytes) == 1)
		address->length = 16;
	if (address->length == 16 && memcmp(address->bytes, mapped, sizeof mapped) == 0) {
		memcpy(address->bytes, address->bytes + sizeof mapped, 4);
		address->length = 4;
	}
	return address->length > 0;
}

static bool
is_in(const struct socket_address *address, const struct socket_network *network)
{
	size_t bytes = network->bits / 8, bits = network->bits % 8;

	return address->length == network->length &&
	       memcmp(address->bytes, network->bytes, bytes) == 0 &&
	       (bits == 0 ||
		(address->bytes[bytes] ^ network->bytes[bytes]) >> (8 - bits) == 0);
}

bool
socket_in_networks(const struct socket_address *address,
		   const struct socket_network *networks)
{
	for (; networks != NULL && networks->length > 0; networks++)
		if (is_in(address, networks))
			return true;
	return false;
}

static socklen_t
to_system(struct sockaddr_storage *to, const struct socket_address *address)
{
	memset(to, 0, sizeof *to);
	if (address->length == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)to;
		in->sin_family = AF_INET;
		in->sin_port = htons(address->port);
		memcpy(&in->sin_addr, address->bytes, 4);
		return sizeof *in;
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(address->port);
	memcpy(&in6->sin6_addr, address->bytes, 16);
	return sizeof *in6;
}

static void
from_system(const struct sockaddr_storage *from, struct socket_address *address)
{
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)from;
		address->length = 4;
		address->port = ntohs(in->sin_port);
		memcpy(address->bytes, &in->sin_addr, 4);
		return;
	}
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)from;
	address->length = 16;
	address->port = ntohs(in6->sin6_port);
	memcpy(address->bytes, &in6->sin6_addr, 16);
}

/*
 * Allows binding to an address that no interface has yet: at boot the server may start
 * before the network.  Without this option the network must be up first.
 */
static void
set_freebind(int fd, bool ipv6)
{
	int on = 1;

#ifdef IP_FREEBIND
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
#endif
#ifdef IPV6_FREEBIND
	if (ipv6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
#endif
	(void)fd;
	(void)ipv6;
	(void)on;
}

static bool
bind_to(int fd, const struct socket_address *address)
{
	int on = 1;
	struct sockaddr_storage system;
	socklen_t size = to_system(&system, address);

	return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
	       (address->length == 4 ||
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
	       bind(fd, (struct sockaddr *)&system, size) == 0;
}

int
socket_try(const struct socket_address *address)
{
	int fd = socket(address->length == 4 ? AF_INET : AF_INET6,
			SOCK_STREAM | SOCK_CLOEXEC, 0);
	int error = fd < 0 || !bind_to(fd, address) ? errno : 0;

	if (fd >= 0)
		close(fd);
	return error;
}

int
socket_listen(struct socket_address *address)
{
	struct sockaddr_storage system;
	socklen_t size = to_system(&system, address);
	int fd = socket(system.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	set_freebind(fd, address->length == 16);
	if (!bind_to(fd, address) || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&system, &size) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	from_system(&system, address);
	return fd;
}

/*
 * Limits the time for which sent data may stay unacknowledged, as after a cable is cut.
 * Systems without TCP_USER_TIMEOUT use their own limit.
 */
static void
set_user_timeout(int fd, uint32_t seconds)
{
#ifdef TCP_USER_TIMEOUT
	unsigned milliseconds = seconds * 1000;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
#else
	(void)fd;
	(void)seconds;
#endif
}

int
socket_accept(int listener, struct socket_address *peer, uint32_t timeout_s)
{
	int on = 1;
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	int fd = accept4(listener, (struct sockaddr *)&from, &size,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	set_user_timeout(fd, timeout_s);
	from_system(&from, peer);
	return fd;
}

ssize_t
socket_write(int fd, struct span head, struct span body)
{
	const struct iovec pieces[] = { { (void *)(uintptr_t)head.data, head.length },
					{ (void *)(uintptr_t)body.data, body.length } };

	return writev(fd, pieces, body.length > 0 ? 2 : 1);
}

bool
socket_would_wait(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

#ifdef __linux__

/*
 * Reads the address of an RTM_NEWADDR message (rtnetlink(7)).  Returns false for other
 * messages and for IPv6 link-local addresses.
 */
static bool
read_address(struct nlmsghdr *message, struct socket_address *address)
{
	struct ifaddrmsg *info = NLMSG_DATA(message);
	size_t size = info->ifa_family == AF_INET ? 4 : 16;
	unsigned left = (unsigned)IFA_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWADDR ||
	    (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return false;
	address->length = 0;
	for (struct rtattr *a = IFA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		/* On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL,
		 * which takes precedence, is this one. */
		if (RTA_PAYLOAD(a) != size ||
		    (a->rta_type != IFA_LOCAL &&
		     (a->rta_type != IFA_ADDRESS || address->length > 0)))
			continue;
		memcpy(address->bytes, RTA_DATA(a), size);
		address->length = (uint8_t)size;
	}
	/* An IPv6 link-local address is useless without its interface. */
	return address->length == 4 ||
	       (address->length == 16 && info->ifa_scope != RT_SCOPE_LINK);
}

static bool
request_addresses(int fd)
{
	struct timeval timeout = { .tv_sec = 1 };
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} request = { .header = { .nlmsg_len = sizeof request,
				  .nlmsg_type = RTM_GETADDR,
				  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		      .body = { .rtgen_family = AF_UNSPEC } };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) == 0 &&
	       send(fd, &request, sizeof request, 0) == (ssize_t)sizeof request;
}

/* Does not use getifaddrs, which calls malloc. */
size_t
socket_addresses(struct socket_address *addresses, size_t max)
{
	_Alignas(struct nlmsghdr) char data[8192];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool more = fd >= 0 && request_addresses(fd);
	size_t count = 0;

	while (more && count < max) {
		ssize_t n = recv(fd, data, sizeof data, 0);
		unsigned left = n > 0 ? (unsigned)n : 0;
		struct nlmsghdr *m = (struct nlmsghdr *)data;
		more = left > 0;
		for (; NLMSG_OK(m, left) && count < max; m = NLMSG_NEXT(m, left)) {
			if (m->nlmsg_type == NLMSG_DONE || m->nlmsg_type == NLMSG_ERROR)
				more = false;
			else if (read_address(m, &addresses[count]))
				count++;
		}
	}
	if (fd >= 0)
		close(fd);
	return count;
}

#else

size_t
socket_addresses(struct socket_address *addresses, size_t max)
{
	(void)addresses;
	(void)max;
	return 0;
}

#endif
