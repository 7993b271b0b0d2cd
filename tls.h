/*
 * What a connection reads from and writes to: its socket, or BearSSL's engine (TLS 1.2)
 * on top of it.  Above this file nobody can tell the difference.
 */
#ifndef TLS_H
#define TLS_H

#include "cert.h"
#include "memory.h"

#include <sys/types.h>

enum { TLS_SEED = 32 }; /* bytes of random */

/*
 * Everything from here on is TLS: engines for connections 1 to `connections`, with a
 * certificate that stays the caller's and must stay.
 */
void tls_place(struct memory *, uint32_t connections);
void tls_start(const struct cert *, const uint8_t seed[TLS_SEED]);
/*
 * New handshakes use another certificate; those under way keep theirs, until whose end
 * tls_may_renew is false: then the one before must stay, and there is no place for a
 * third.
 */
void tls_renew(const struct cert *);
bool tls_may_renew(void);

/* A connection has been accepted, and is closed. */
void tls_open(uint32_t conn);
void tls_close(uint32_t conn);

/*
 * As recv and send on a socket that does not block, with errno as theirs.  Besides, a
 * read fails with EPROTO where a client speaks plain HTTP to TLS, with ECONNABORTED where
 * it breaks the rules of TLS, and with ECONNRESET where the
 * connection ends without close_notify.  A write may take bytes that are not sent yet.
 */
ssize_t tls_read(uint32_t conn, int fd, void *data, size_t length);
ssize_t tls_write(uint32_t conn, int fd, const void *data, size_t length);

/* Is this DNS name one of the present certificate's?  False without TLS. */
bool tls_names_host(struct span name);

/* Is it all TLS? */
bool tls_used(void);
/* Is there anything to read, the end too, that poll() does not know of? */
bool tls_readable(uint32_t conn);
/* Would a read take what the socket has?  Else something has to be sent first. */
bool tls_takes_input(uint32_t conn);
/* Has the engine closed: for close_notify in both ways, or for a failure? */
bool tls_over(uint32_t conn);
/* Has anything gone out since this was last asked? */
bool tls_moved(uint32_t conn);
/* Are there bytes that were taken but not sent?  tls_write with none sends on. */
bool tls_unsent(uint32_t conn);
/* Is the handshake still going on? */
bool tls_in_handshake(uint32_t conn);

/* Nothing more will be written: says so to the peer, by tls_write with no bytes. */
void tls_finish(uint32_t conn);

/* Nothing has come for a while: gives back the memory of a large record. */
void tls_rest(uint32_t conn);

/*
 * Once a second: the memory of engines that no connection has had since the last time
 * goes back to the system.  True while there is more to give back at the next.
 */
bool tls_sweep(void);

struct tls_counters {
	uint64_t handshakes; /* completed, ... */
	uint64_t resumed;    /* ... and of these, of an earlier session */
	uint64_t failures;   /* connections that ended for what TLS found wrong */
};

const struct tls_counters *tls_count(void);

#endif
