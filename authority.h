/*
 * Creates a key and a certificate for a server, for devices without OpenSSL, and the
 * authority that signs it, which phones and browsers can install.
 */
#ifndef AUTHORITY_H
#define AUTHORITY_H

#include "altname.h"

/* Size that any output fits into, in bytes. */
enum { AUTHORITY_OUTPUT_SIZE = ALTNAMES_MAX * (ALTNAME_SIZE + 1) + 512 };

/*
 * Creates two new files: a P-256 key (SEC1, mode 0600), and its certificate followed by
 * that of its authority (mode 0644).  Neither file may exist yet.  On failure neither
 * file remains.
 *
 * `names` are `count` DNS names and IP addresses.  If `count` is 0, altnames_find finds
 * them.
 *
 * The certificate has every name as a subjectAltName (RFC 9525).  It is not a CA
 * certificate, so a stolen key can impersonate this server only.
 *
 * The authority has signed only that certificate: its key is erased and not written.
 * Critical name constraints (RFC 5280 section 4.2.1.10) restrict it to the names, and to
 * those below the DNS names.
 *
 * Both are valid for 825 days, starting one day ago: Apple's limit for servers.  If the
 * clock is not set (TEXT_RELEASED), they are valid from 2019 to the end of 2049.  Clients
 * accept that: Apple limits the validity only of certificates that start after June 2019,
 * other clients only that of certificates from public CAs.
 *
 * Returns the exit status of the program.  If it is 0, `output` is the names, the SHA-256
 * fingerprints as AA:BB:..., and how to install the authority, on several lines; if it is
 * 1, `output` is the reason for the failure.
 */
int authority_issue(const char *cert_file, const char *key_file, char *const *names,
		    size_t count, struct text *output);

#endif
