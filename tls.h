/*
 * Reads from and writes to a connection's socket, through a BearSSL engine (TLS 1.2) if
 * TLS is in use.  The callers are the same for both.
 */
#ifndef TLS_H
#define TLS_H

#include "cert.h"
#include "memory.h"

#include <sys/types.h>

enum { TLS_SEED = 32 }; /* bytes */

/* Turns TLS on, and reserves engines for connections 1 to `connections`. */
void tls_place(struct memory *, uint32_t connections);
/*
 * Sets the certificate and seeds the random generator.  The certificate must stay valid;
 * the caller owns it.
 */
void tls_start(const struct cert *, const uint8_t seed[TLS_SEED]);
/*
 * Sets another certificate for new handshakes.  A handshake in progress keeps the
 * previous one, which must stay valid until tls_may_renew returns true again.  Call it
 * only if tls_may_renew returns true, so that at most two certificates are in use.
 */
void tls_renew(const struct cert *);
bool tls_may_renew(void);

/* Takes an engine for an accepted connection, and returns it. */
void tls_open(uint32_t conn);
void tls_close(uint32_t conn);

/*
 * Like recv and send on a non-blocking socket, with their errno.  tls_read also fails
 * with EPROTO         the client speaks plain HTTP ECONNABORTED   the client violates TLS
 *   ECONNRESET     the connection ended without close_notify
 * tls_write may accept bytes that it has not sent yet: see tls_unsent.
 */
ssize_t tls_read(uint32_t conn, int fd, void *data, size_t length);
ssize_t tls_write(uint32_t conn, int fd, const void *data, size_t length);

/* Does the current certificate name this DNS name?  False without TLS. */
bool tls_names_host(struct span name);

/* Is TLS in use? */
bool tls_enabled(void);
/* Is there decrypted data, or the end, to read?  poll() does not report these. */
bool tls_readable(uint32_t conn);
/* Would tls_read receive from the socket?  If not, output must be sent first. */
bool tls_takes_input(uint32_t conn);
/* Has the engine closed, after close_notify in both directions or after a failure? */
bool tls_has_ended(uint32_t conn);
/* Has the socket taken output since the last call? */
bool tls_progressed(uint32_t conn);
/* Is there accepted output to send?  tls_write with length 0 sends it. */
bool tls_unsent(uint32_t conn);
/* Is the handshake in progress? */
bool tls_in_handshake(uint32_t conn);

/* Ends the output.  tls_write with length 0 then sends close_notify. */
void tls_finish(uint32_t conn);

/* Call it for an idle connection.  Returns the memory of a large record to the system. */
void tls_release_buffer(uint32_t conn);

/*
 * Call it once a second.  Returns memory to the system: that of engines that have been
 * unused since the last call.  Returns true if the next call may have more to return.
 */
bool tls_sweep(void);

struct tls_counters {
	uint64_t handshakes; /* completed */
	uint64_t resumed;    /* of `handshakes`: those that resumed a session */
	uint64_t failures;   /* connections that ended with a TLS error */
};

const struct tls_counters *tls_count(void);

#endif
