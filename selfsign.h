/* Creates a key and a self-signed certificate, for devices without OpenSSL. */
#ifndef SELFSIGN_H
#define SELFSIGN_H

#include "text.h"

enum {
	SELFSIGN_NAMES_MAX = 32,       /* maximum number of names in a certificate */
	SELFSIGN_NAME_MAX = 253,       /* maximum length of a DNS name, in bytes */
	SELFSIGN_FINGERPRINT_SIZE = 95 /* length of a fingerprint as text, in bytes */
};

/*
 * Creates a P-256 key (SEC1, mode 0600) and a self-signed certificate (mode 0644) in two
 * new files.  Neither file may exist yet.  On failure neither file remains.
 *
 * `names` are `count` DNS names and IP addresses.  If `count` is 0, the names are the
 * host name, localhost and the addresses of the interfaces, except IPv6 link-local ones.
 *
 * Clients accept the certificate, except that no authority has signed it:
 *
 * - Every name is a subjectAltName (RFC 9525).
 * - The certificate is valid for 397 days, starting one day ago.
 * - It is not a CA certificate, so a stolen key can impersonate this server only.
 *
 * If the clock is not set (before 2020), the certificate is valid from 2019 to the end of
 * 2049.  Clients accept that: Apple limits the validity only of certificates that start
 * after June 2019, other clients only that of certificates from public CAs.
 *
 * Returns the exit status of the program.  If it is 0, `output` is the certificate's
 * SHA-256 fingerprint as AA:BB:...; if it is 1, `output` is the reason for the failure.
 */
int selfsign_make(const char *cert_file, const char *key_file, char *const *names,
		  size_t count, struct text *output);

#endif
