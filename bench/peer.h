/* The load's connections: WebSockets or SockJS over them, plain or TLS. */
#ifndef PEER_H
#define PEER_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the arguments say; see load.c. */
struct options {
	const char *mode;
	SSL_CTX *tls; /* NULL: plain */
	bool sockjs;
	bool bare;   /* the server reads no packets, so nobody is told who joins */
	bool resume; /* TLS sessions */
	uint16_t port;
	unsigned pid; /* the server's */
	unsigned rooms, peers, bytes, in_flight;
	uint64_t packets; /* a room, or handshakes */
	uint64_t rate;	  /* packets a second in all, 0: as fast as they go */
};

extern struct options options;

struct peer {
	int fd;
	SSL *ssl;
	struct room *room;
	bool sender;	  /* the one in its room */
	bool in_array;	  /* of a SockJS frame, which ends at ... */
	size_t array_end; /* ... this byte of `in` */
	char *in;
	size_t start, end, size; /* of `in` */
	uint64_t got;		 /* packets */
	uint64_t queued;	 /* frames to be sent, ... */
	uint64_t written;	 /* ... of which so many have been, ... */
	size_t offset;		 /* ... and so much of the next */
	bool waits;		 /* for room to write */
};

/* Ends the process, saying why. */
_Noreturn void die(const char *format, ...);
/* Zeroed memory, always. */
void *allocate(size_t count, size_t size);

/* A connection to the server, without any handshake. */
int peer_connect(void);
/* Connects and asks for a session, which is there after the other; both block. */
void peer_open(struct peer *, unsigned room, unsigned number);
void peer_opened(struct peer *);

/* As send does it. */
ssize_t peer_write(struct peer *, const char *data, size_t length);
/* What is short enough to go out at once. */
void peer_write_all(struct peer *, const char *data, size_t length);
/* Reads once; false if there is nothing yet. */
bool peer_read(struct peer *);
/* The next message that has come, as long as nothing more is read; NULL if there is none.
 */
char *peer_next(struct peer *, size_t *length);
/* Waits for a message that has `what` in it. */
void peer_await(struct peer *, const char *what);

/* A text as it is sent, and as peer_next gives it back; both the caller's. */
char *make_message(const char *text, size_t length, size_t *size);
char *make_answer(const char *text, size_t length, size_t *size);

#endif
