/* Connections of load.c and flood.c: WebSocket, or SockJS over WebSocket, plain or TLS.
 */
#ifndef PEER_H
#define PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The arguments; see load.c and flood.c. */
struct options {
	const char *mode;
	SSL_CTX *tls; /* NULL: plain */
	bool sockjs;
	bool bare;   /* the server reads no packets, so it reports no joins */
	bool resume; /* TLS sessions */
	bool sleeps; /* while there is nothing to do */
	uint16_t port;
	unsigned pid; /* the server's */
	unsigned rooms, peers, bytes, in_flight;
	uint64_t packets; /* to each room, or handshakes */
	uint64_t rate;	  /* packets a second in all; 0: no limit */
};

extern struct options options;

struct peer {
	int fd;
	SSL *ssl;
	struct room *room;
	bool sender;	  /* the only one in its room */
	bool in_array;	  /* within the array of a SockJS frame */
	size_t array_end; /* the end of that array in `in` */
	char *in;
	size_t start, end, size; /* of `in` */
	uint64_t got;		 /* packets received */
	uint64_t queued;	 /* frames to send in all */
	uint64_t written;	 /* frames sent */
	size_t offset;		 /* bytes sent of the next frame */
	bool waits;		 /* until the socket is writable */
};

/* Prints an error and exits. */
_Noreturn void die(const char *format, ...);
/* Zeroed memory; never NULL. */
void *allocate(size_t count, size_t size);

/* Opens a TCP connection to the server, without a handshake.  With SOCK_NONBLOCK, it is
 * open when the socket is writable. */
int peer_connect(int flags);
/* peer_open connects and requests a session; peer_opened waits for it.  Both block. */
void peer_open(struct peer *, unsigned room, unsigned number);
void peer_opened(struct peer *);
/* The parts of these two: sends the request; takes the answer, once it has been read. */
void peer_request(struct peer *, unsigned room, unsigned number);
bool peer_upgraded(struct peer *);

/* Like send. */
ssize_t peer_write(struct peer *, const char *data, size_t length);
/* Writes data that is short enough for the socket's buffer. */
void peer_write_all(struct peer *, const char *data, size_t length);
/* Reads once.  Returns false if no input is available. */
bool peer_read(struct peer *);
/* The next message, valid until the next peer_read; NULL if there is none. */
char *peer_next(struct peer *, size_t *length);
/* Waits for a message that contains `what`. */
void peer_await(struct peer *, const char *what);

/* A text as a client sends it, and as peer_next returns it; the caller frees both. */
char *make_message(const char *text, size_t length, size_t *size);
char *make_answer(const char *text, size_t length, size_t *size);

#endif
