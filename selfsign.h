/* Making a key and a self-signed certificate, on a device without OpenSSL. */
#ifndef SELFSIGN_H
#define SELFSIGN_H

#include "text.h"

enum {
	SELFSIGN_NAMES = 32, /* names in a certificate, at most */
	SELFSIGN_NAME = 253, /* bytes of a DNS name, at most */
	SELFSIGN_PRINT = 95  /* bytes of a fingerprint as text */
};

/*
 * Writes a new P-256 key (SEC1, mode 0600) and a self-signed certificate (mode 0644) to
 * files that do not exist yet: both, or neither.  `names` are `count` DNS names and IPv4
 * or IPv6 addresses; without any they are the host's name, localhost, and the addresses
 * of its interfaces, those that are link-local in IPv6 excepted.
 *
 * Browsers take it for what it is, self-signed, and have nothing else against it: every
 * name is a subjectAltName (RFC 6125), and it lasts 397 days, from yesterday.  If the
 * clock has not been set (it is before 2020) it lasts from 2019 to the end of 2049, so
 * that it is good whenever the right time comes; Apple limits how long a certificate may
 * last only if that begins after June 2019, the others only if a public authority signed
 * it.  A certificate for clients to trust is not an authority: whoever steals it can
 * pretend to be this server and no other.
 *
 * Returns the program's exit status: 0, and `said` is the certificate's SHA-256 as
 * AA:BB:...; or 1, and it is what is wrong.
 */
int selfsign_make(const char *cert_file, const char *key_file, char *const *names,
		  size_t count, struct text *said);

#endif
