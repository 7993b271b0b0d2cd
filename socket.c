#define _GNU_SOURCE /* accept4, SOCK_NONBLOCK, TCP_USER_TIMEOUT */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

enum { BACKLOG = 512 };

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
 * An address that no interface has yet: at boot the network may come up after us.  A
 * system that cannot do that has it the other way round.
 */
static void
allow_absent(int fd, bool six)
{
	int on = 1;

#ifdef IP_FREEBIND
	setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
#endif
#ifdef IPV6_FREEBIND
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
#endif
	(void)fd;
	(void)six;
	(void)on;
}

int
socket_listen(struct socket_address *address)
{
	int on = 1;
	struct sockaddr_storage at;
	socklen_t size = to_system(&at, address);
	int fd = socket(at.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	allow_absent(fd, address->length == 16);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    (address->length == 16 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0) ||
	    bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	from_system(&at, address);
	return fd;
}

/*
 * A peer behind a cut cable does not answer; Linux ends a connection that has had bytes
 * unacknowledged for so long, others after their own time.
 */
static void
limit_silence(int fd, uint32_t seconds)
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
socket_accept(int listener, struct socket_address *peer, uint32_t silence)
{
	int on = 1;
	struct sockaddr_storage from;
	socklen_t size = sizeof from;
	int fd = accept4(listener, (struct sockaddr *)&from, &size,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	limit_silence(fd, silence);
	from_system(&from, peer);
	return fd;
}

#ifdef __linux__

/* The address that an RTM_NEWADDR message tells (rtnetlink(7)).  False if there is none.
 */
static bool
read_address(struct nlmsghdr *message, struct socket_address *address)
{
	struct ifaddrmsg *about = NLMSG_DATA(message);
	size_t size = about->ifa_family == AF_INET ? 4 : 16;
	unsigned left = (unsigned)IFA_PAYLOAD(message);

	if (message->nlmsg_type != RTM_NEWADDR ||
	    (about->ifa_family != AF_INET && about->ifa_family != AF_INET6))
		return false;
	address->length = 0;
	for (struct rtattr *a = IFA_RTA(about); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		/* IFA_ADDRESS is the other end's where there is an IFA_LOCAL. */
		if (RTA_PAYLOAD(a) != size ||
		    (a->rta_type != IFA_LOCAL &&
		     (a->rta_type != IFA_ADDRESS || address->length > 0)))
			continue;
		memcpy(address->bytes, RTA_DATA(a), size);
		address->length = (uint8_t)size;
	}
	/* An fe80:: address says nothing without its interface. */
	return address->length == 4 ||
	       (address->length == 16 && about->ifa_scope != RT_SCOPE_LINK);
}

static bool
ask_for_addresses(int fd)
{
	struct timeval patience = { .tv_sec = 1 };
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} question = { .header = { .nlmsg_len = sizeof question,
				   .nlmsg_type = RTM_GETADDR,
				   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		       .body = { .rtgen_family = AF_UNSPEC } };

	return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
	       send(fd, &question, sizeof question, 0) == (ssize_t)sizeof question;
}

/* getifaddrs would bring malloc with it. */
size_t
socket_addresses(struct socket_address *addresses, size_t most)
{
	_Alignas(struct nlmsghdr) char data[8192];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool more = fd >= 0 && ask_for_addresses(fd);
	size_t count = 0;

	while (more && count < most) {
		ssize_t n = recv(fd, data, sizeof data, 0);
		unsigned left = n > 0 ? (unsigned)n : 0;
		struct nlmsghdr *m = (struct nlmsghdr *)data;
		more = left > 0;
		for (; NLMSG_OK(m, left) && count < most; m = NLMSG_NEXT(m, left)) {
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
socket_addresses(struct socket_address *addresses, size_t most)
{
	(void)addresses;
	(void)most;
	return 0;
}

#endif
