#define _GNU_SOURCE /* memmem */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 14 }; /* bytes of a frame's header, at most */

_Noreturn void
die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fprintf(stderr, "load %s: ", options.mode);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	ERR_print_errors_fp(stderr);
	exit(1);
}

void *
allocate(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL)
		die("out of memory");
	return memory;
}

/*
 * Reading and writing, as recv and send do it
 */

static ssize_t
tls_result(SSL *ssl, int n)
{
	if (n > 0)
		return n;
	int error = SSL_get_error(ssl, n);
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN
									      : EPROTO;
	return -1;
}

ssize_t
peer_write(struct peer *peer, const char *data, size_t length)
{
	if (peer->ssl == NULL)
		return send(peer->fd, data, length, MSG_NOSIGNAL);
	return tls_result(peer->ssl, SSL_write(peer->ssl, data, (int)length));
}

void
peer_write_all(struct peer *peer, const char *data, size_t length)
{
	if (peer_write(peer, data, length) != (ssize_t)length)
		die("cannot write: %s", strerror(errno));
}

bool
peer_read(struct peer *peer)
{
	if (peer->start == peer->end && !peer->in_array)
		peer->start = peer->end = 0;
	if (peer->end == peer->size) {
		if (peer->start > peer->size / 2) {
			memmove(peer->in, peer->in + peer->start,
				peer->end - peer->start);
			peer->end -= peer->start;
			peer->array_end -= peer->in_array ? peer->start : 0;
			peer->start = 0;
		} else {
			peer->size = peer->size > 0 ? 2 * peer->size : 1024;
			peer->in = realloc(peer->in, peer->size);
			if (peer->in == NULL)
				die("out of memory");
		}
	}
	char *to = peer->in + peer->end;
	size_t room = peer->size - peer->end;
	ssize_t n = peer->ssl == NULL
			? recv(peer->fd, to, room, 0)
			: tls_result(peer->ssl, SSL_read(peer->ssl, to, (int)room));
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0)
		die("the server closed: %s", n < 0 ? strerror(errno) : "end");
	peer->end += (size_t)n;
	return true;
}

/*
 * Frames and messages
 */

/* A client's frame, masked, in new memory. */
static char *
make_frame(unsigned char opcode, const char *payload, size_t length, size_t *size)
{
	static const unsigned char mask[4] = { 0x5a, 0x17, 0xc3, 0x88 };
	unsigned char *frame = allocate(1, length + HEADER);
	size_t at = 2, bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;

	frame[0] = 0x80 | opcode;
	frame[1] = (unsigned char)(0x80 | (bytes == 0 ? length : bytes == 2 ? 126 : 127));
	for (size_t i = bytes; i > 0; i--)
		frame[at++] = (unsigned char)((uint64_t)length >> (8 * (i - 1)));
	memcpy(frame + at, mask, 4);
	at += 4;
	for (size_t i = 0; i < length; i++)
		frame[at++] = (unsigned char)payload[i] ^ mask[i % 4];
	*size = at;
	return (char *)frame;
}

/* Takes a whole frame off the input.  Returns its payload, or NULL. */
static char *
next_frame(struct peer *peer, unsigned *opcode, size_t *length)
{
	const unsigned char *in = (unsigned char *)peer->in + peer->start;
	size_t have = peer->end - peer->start, header = 2, size;

	if (have < 2)
		return NULL;
	size = in[1];
	if (in[0] < 0x80 || size > 127)
		die("a frame that is masked, or not final");
	if (size > 125) {
		header = size == 126 ? 4 : 10;
		if (have < header)
			return NULL;
		size = 0;
		for (size_t i = 2; i < header; i++)
			size = size << 8 | in[i];
	}
	if (have - header < size)
		return NULL;
	*opcode = in[0] & 0xf;
	*length = size;
	char *payload = peer->in + peer->start + header;
	peer->start += header + size;
	return payload;
}

/* Is there an odd number of backslashes before a character? */
static bool
is_escaped(const char *at)
{
	bool escaped = false;

	while (*--at == '\\')
		escaped = !escaped;
	return escaped;
}

/* The next message of a SockJS array, between its quotes. */
static char *
next_element(struct peer *peer, size_t *length)
{
	char *at = peer->in + peer->start, *end = peer->in + peer->array_end;

	if (at == end || *at != '"')
		die("not a SockJS array");
	char *message = ++at;
	while ((at = memchr(at, '"', (size_t)(end - at))) != NULL && is_escaped(at))
		at++;
	if (at == NULL || at + 2 > end)
		die("not a SockJS array");
	*length = (size_t)(at - message);
	peer->in_array = at[1] == ',';
	peer->start = (size_t)(at + 2 - peer->in);
	return message;
}

static void
answer_ping(struct peer *peer, const char *payload, size_t length)
{
	size_t size;

	/* A frame is incomplete; its bytes are a sign of life too. */
	if (peer->offset > 0)
		return;
	char *frame = make_frame(0xa, payload, length, &size);
	peer_write_all(peer, frame, size);
	free(frame);
}

/* The next message, or NULL.  Answers pings, and skips SockJS's heartbeats. */
char *
peer_next(struct peer *peer, size_t *length)
{
	unsigned opcode;
	char *payload;

	if (peer->in_array)
		return next_element(peer, length);
	while ((payload = next_frame(peer, &opcode, length)) != NULL) {
		if (opcode == 0x9) {
			answer_ping(peer, payload, *length);
		} else if (opcode != 0x1) {
			die("a frame with opcode %u", opcode);
		} else if (!options.sockjs) {
			return payload;
		} else if (payload[0] == 'a') {
			peer->in_array = true;
			peer->array_end = peer->start;
			peer->start = (size_t)(payload + 2 - peer->in);
			return next_element(peer, length);
		} else if (payload[0] == 'o') {
			return payload;
		} else if (payload[0] != 'h') {
			die("got %.*s", (int)*length, payload);
		}
	}
	return NULL;
}

void
peer_await(struct peer *peer, const char *what)
{
	size_t length;
	char *message;

	while ((message = peer_next(peer, &length)) == NULL)
		peer_read(peer);
	if (memmem(message, length, what, strlen(what)) == NULL)
		die("waited for %s, got %.*s", what, (int)length, message);
}

/*
 * Sending
 */

/* Escapes the text as the contents of a JSON string. */
static size_t
escape(char *out, const char *text, size_t length)
{
	size_t n = 0;

	for (size_t i = 0; i < length; i++) {
		if (text[i] == '"' || text[i] == '\\')
			out[n++] = '\\';
		out[n++] = text[i];
	}
	return n;
}

char *
make_message(const char *text, size_t length, size_t *size)
{
	if (!options.sockjs)
		return make_frame(0x1, text, length, size);
	char *array = allocate(2, length + 2);
	size_t n = 2 + escape(array + 2, text, length);
	memcpy(array, "[\"", 2);
	memcpy(array + n, "\"]", 2);
	char *frame = make_frame(0x1, array, n + 2, size);
	free(array);
	return frame;
}

char *
make_answer(const char *text, size_t length, size_t *size)
{
	char *answer = allocate(2, length);

	*size = length;
	if (options.sockjs)
		*size = escape(answer, text, length);
	else
		memcpy(answer, text, length);
	return answer;
}

/*
 * Opening
 */

int
peer_connect(int flags)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(options.port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct linger at_once = { .l_onoff = 1 }; /* no port remains in TIME_WAIT */
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | flags, 0);

	if (fd < 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS))
		die("cannot connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	return fd;
}

static const char request[] = "GET /echo/%swebsocket?%u-%u HTTP/1.1\r\n"
			      "Host: localhost\r\n"
			      "Upgrade: websocket\r\n"
			      "Connection: Upgrade\r\n"
			      "Sec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			      "\r\n";

void
peer_request(struct peer *peer, unsigned room, unsigned number)
{
	char text[sizeof request + 128], session[64] = "";
	unsigned process = (unsigned)getpid();

	if (options.sockjs)
		snprintf(session, sizeof session, "0/%u-%u-%u/", process, room, number);
	/* The query names the room for servers that do not read packets. */
	int n = snprintf(text, sizeof text, request, session, process, room);
	peer_write_all(peer, text, (size_t)n);
}

void
peer_open(struct peer *peer, unsigned room, unsigned number)
{
	peer->fd = peer_connect(0);
	if (options.tls) {
		peer->ssl = SSL_new(options.tls);
		SSL_set_fd(peer->ssl, peer->fd);
		if (SSL_connect(peer->ssl) != 1)
			die("cannot shake hands");
	}
	peer_request(peer, room, number);
}

bool
peer_upgraded(struct peer *peer)
{
	char *end = memmem(peer->in, peer->end, "\r\n\r\n", 4);

	if (end == NULL)
		return false;
	if (memcmp(peer->in, "HTTP/1.1 101 ", 13) != 0)
		die("got %.*s", (int)peer->end, peer->in);
	peer->start = (size_t)(end + 4 - peer->in);
	return true;
}

void
peer_opened(struct peer *peer)
{
	do
		peer_read(peer);
	while (!peer_upgraded(peer));
	if (options.sockjs)
		peer_await(peer, "o");
}
