/*
 * Reads from and writes to a connection's socket.  With TLS, the data passes through a
 * BearSSL engine (TLS 1.2).  Callers work the same way with TLS and without.
 */
#ifndef TLS_H
#define TLS_H

#include "cert.h"
#include "memory.h"
#include "tls_error.h"

#include <sys/types.h>

enum { TLS_SEED = 32 }; /* bytes */

/*
 * Turns TLS on, and takes the memory of the engines for connections 1 to `connections`
 * (memory.h: called in both passes).
 */
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

/* Sets up the engine of an accepted connection. */
void tls_open(uint32_t conn);
/* Ends the use of the engine.  Sends nothing. */
void tls_close(uint32_t conn);

/*
 * Like recv and send on a non-blocking socket, with their errno.  tls_write may accept
 * bytes that it has not sent yet: see tls_unsent.  tls_read needs room for 5 bytes.  It
 * also fails with one of these:
 *
 * - ECONNABORTED: the client violates TLS
 * - ECONNRESET: the connection ended without close_notify
 */
ssize_t tls_read(uint32_t conn, int fd, void *data, size_t length);
ssize_t tls_write(uint32_t conn, int fd, const void *data, size_t length);

/*
 * Is TLS in use, but not on this connection?  If the first byte does not begin TLS, but
 * plain HTTP for example, tls_read and tls_write use the socket as it is.
 */
bool tls_is_plain(uint32_t conn);

/* Does the current certificate name this DNS name?  False without TLS. */
bool tls_names_host(struct span name);

/* Sets `der` to the authority in the current chain (cert_authority).  Returns false if
 * there is none, or without TLS. */
bool tls_authority(struct span *der);

/* Is TLS in use? */
bool tls_enabled(void);
/*
 * Does the engine hold decrypted data, or the end of the input, that tls_read would
 * return?  poll() does not report these.
 */
bool tls_readable(uint32_t conn);
/* Can tls_read return or receive data?  If not, output must be sent first. */
bool tls_takes_input(uint32_t conn);
/* Has TLS ended, by close_notify in both directions or by a failure? */
bool tls_has_ended(uint32_t conn);
/* Has the socket accepted output since the last call? */
bool tls_progressed(uint32_t conn);
/* Is there accepted output to send?  tls_write with length 0 sends it. */
bool tls_unsent(uint32_t conn);
/* Is the handshake in progress? */
bool tls_in_handshake(uint32_t conn);
/* Has tls_read received anything? */
bool tls_has_begun(uint32_t conn);

/* Ends the output with close_notify, which tls_write with length 0 then sends. */
void tls_finish(uint32_t conn);

/*
 * Call it for an idle connection.  Returns to the system the memory that large records
 * have used in the input buffer.
 */
void tls_release_buffer(uint32_t conn);

/*
 * Call it at each sweep.  Returns to the system the memory of engines that no connection
 * has used since the last call.  Returns true while unused engines still have memory.
 */
bool tls_sweep(void);

/* Counts since the start. */
struct tls_counters {
	uint64_t handshakes;	       /* completed */
	uint64_t resumed;	       /* of `handshakes`: those that resumed a session */
	uint64_t failures[TLS_ERRORS]; /* connections that ended with a TLS error */
};

const struct tls_counters *tls_count(void);

#endif
