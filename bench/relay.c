/*
 * The lower bound of the benchmark: a poll() loop that answers WebSocket handshakes,
 * finds the ends of frames, and forwards each frame to the other connections of the same
 * URL.  It validates nothing.
 */
#define _GNU_SOURCE /* accept4, memmem */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 20000, BUFFER = 1 << 19 };

struct conn {
	int room;	    /* a hash of the URL; 0: no request yet */
	int previous, next; /* a ring of the connections of a room */
	char *kept;	    /* the beginning of a frame */
	size_t kept_length;
	char *unsent;
	size_t unsent_length;
};

static struct pollfd polled[MOST]; /* the listener, then the connections */
static struct conn conns[MOST];	   /* with the same index */
static int used = 1;
static char buffer[BUFFER];

static void
stop(int signal)
{
	(void)signal;
	_exit(0);
}

static void
keep(char **kept, size_t *kept_length, const char *data, size_t length)
{
	*kept = realloc(*kept, *kept_length + length);
	memcpy(*kept + *kept_length, data, length);
	*kept_length += length;
}

static void
send_to(int to, const char *data, size_t length)
{
	struct conn *c = &conns[to];
	ssize_t n = 0;

	if (c->unsent_length == 0)
		n = send(polled[to].fd, data, length, MSG_NOSIGNAL);
	if (n < 0)
		n = 0;
	if ((size_t)n < length) {
		keep(&c->unsent, &c->unsent_length, data + n, length - (size_t)n);
		polled[to].events = POLLIN | POLLOUT;
	}
}

static void
send_unsent(int to)
{
	struct conn *c = &conns[to];
	ssize_t n = send(polled[to].fd, c->unsent, c->unsent_length, MSG_NOSIGNAL);

	if (n <= 0)
		return;
	c->unsent_length -= (size_t)n;
	memmove(c->unsent, c->unsent + n, c->unsent_length);
	if (c->unsent_length == 0) {
		free(c->unsent);
		c->unsent = NULL;
		polled[to].events = POLLIN;
	}
}

static int
hash(const char *text, size_t length)
{
	uint32_t h = 2166136261;

	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char)text[i]) * 16777619;
	return (int)(h >> 1) | 1;
}

static void
enter(int index, int room)
{
	int other;

	for (other = 1; other < used && conns[other].room != room; other++)
		;
	conns[index].room = room;
	if (other == used)
		return;
	conns[index].next = conns[other].next;
	conns[index].previous = other;
	conns[conns[other].next].previous = index;
	conns[other].next = index;
}

/* Answers a request; returns its length, 0 if it is not complete. */
static size_t
shake_hands(int index, const char *data, size_t length)
{
	static const char field[] = "Sec-WebSocket-Key: ";
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char key[24 + 36], digest[20], accept[29];
	char answer[200];
	const char *end = memmem(data, length, "\r\n\r\n", 4);
	const char *at = memmem(data, length, field, sizeof field - 1);

	if (end == NULL || at == NULL)
		return 0;
	memcpy(key, at + sizeof field - 1, 24);
	memcpy(key + 24, guid, 36);
	SHA1(key, sizeof key, digest);
	EVP_EncodeBlock(accept, digest, sizeof digest);
	int n = snprintf(answer, sizeof answer,
			 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
			 "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
			 accept);
	enter(index,
	      hash(data, (size_t)((const char *)memchr(data, '\r', length) - data)));
	send_to(index, answer, (size_t)n);
	return (size_t)(end + 4 - data);
}

/* Returns a frame's length, with its header's in `header`; 0 if it is incomplete. */
static size_t
measure(const unsigned char *data, size_t length, size_t *header)
{
	if (length < 2)
		return 0;
	size_t size = data[1] & 127;
	*header = size < 126 ? 6 : size == 126 ? 8 : 14;
	if (length < *header)
		return 0;
	if (size > 125) {
		size = 0;
		for (size_t i = 2; i < *header - 4; i++)
			size = size << 8 | data[i];
	}
	return size <= length - *header ? *header + size : 0;
}

static void
unmask(unsigned char *data, size_t length, const unsigned char mask[4])
{
	uint64_t both, word;
	size_t i = 0;

	memcpy(&both, mask, 4);
	memcpy((char *)&both + 4, mask, 4);
	for (; i + 8 <= length; i += 8) {
		memcpy(&word, data + i, 8);
		word ^= both;
		memcpy(data + i, &word, 8);
	}
	for (; i < length; i++)
		data[i] ^= mask[i % 4];
}

/* Turns whole frames into a server's, one behind the other at `out`; returns the bytes
 * read. */
static size_t
convert(unsigned char *data, size_t length, unsigned char *out, size_t *out_length)
{
	size_t read = 0, written = 0, size, header;

	while ((size = measure(data + read, length - read, &header)) > 0) {
		unsigned char *frame = data + read;
		unsigned char mask[4];
		memcpy(mask, frame + header - 4, 4);
		unmask(frame + header, size - header, mask);
		frame[1] &= 127;
		memmove(out + written, frame, header - 4);
		memmove(out + written + header - 4, frame + header, size - header);
		read += size;
		written += size - 4;
	}
	*out_length = written;
	return read;
}

/* Moves the last connection into the place of a closed one. */
static void
drop(int index)
{
	struct conn *c = &conns[index];
	int last = --used;

	close(polled[index].fd);
	free(c->kept);
	free(c->unsent);
	conns[c->previous].next = c->next;
	conns[c->next].previous = c->previous;
	if (index == last)
		return;
	polled[index] = polled[last];
	*c = conns[last];
	if (c->next == last)
		c->next = c->previous = index;
	conns[c->previous].next = index;
	conns[c->next].previous = index;
}

static void
receive(int index)
{
	struct conn *c = &conns[index];
	size_t length = c->kept_length, read = 0, written = 0;

	memcpy(buffer, c->kept != NULL ? c->kept : "", length);
	ssize_t n = recv(polled[index].fd, buffer + length, BUFFER - length, 0);
	if (n <= 0) {
		drop(index);
		return;
	}
	length += (size_t)n;
	free(c->kept);
	c->kept = NULL;
	c->kept_length = 0;
	if (c->room == 0)
		read = shake_hands(index, buffer, length);
	if (c->room != 0) {
		unsigned char *frames = (unsigned char *)buffer + read;
		read += convert(frames, length - read, frames, &written);
		for (int to = c->next; to != index && written > 0; to = conns[to].next)
			send_to(to, (char *)frames, written);
	}
	if (read < length)
		keep(&c->kept, &c->kept_length, buffer + read, length - read);
}

static void
accept_all(void)
{
	int on = 1, fd;

	while ((fd = accept4(polled[0].fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (used == MOST) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		conns[used] = (struct conn){ .previous = used, .next = used };
		polled[used++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
}

int
main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	signal(SIGTERM, stop);
	if (bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, 512) != 0)
		return 1;
	getsockname(fd, (struct sockaddr *)&at, &size);
	fprintf(stderr, "relay info - listening on 127.0.0.1:%u\n", ntohs(at.sin_port));
	polled[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
	for (;;) {
		poll(polled, (nfds_t)used, -1);
		for (int i = used - 1; i > 0; i--) {
			if ((polled[i].revents & POLLOUT) != 0)
				send_unsent(i);
			if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
				receive(i);
		}
		if (polled[0].revents != 0)
			accept_all();
	}
}
