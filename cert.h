/*
 * Certificates: a server's chain and private key out of PEM files (RFC 7468), ready for
 * BearSSL.
 */
#ifndef CERT_H
#define CERT_H

#include "text.h"

#include <bearssl.h>

enum {
	CERT_FILE = 131072,  /* bytes of a PEM file, at most */
	CERT_CHAIN = 65536,  /* bytes of a chain in DER, at most */
	CERT_COUNT = 8,	     /* certificates in a chain, at most */
	CERT_RSA_LOW = 2048, /* bits of an RSA key, at least ... */
	CERT_RSA_HIGH = 4096 /* ... and at most */
};

/*
 * A chain and its key.  It points into itself, so it must stay where it was loaded; it is
 * large, and untouched beyond what the files need.
 */
struct cert {
	br_x509_certificate chain[CERT_COUNT]; /* the server's own is the first */
	size_t count;			       /* 0: nothing is loaded */
	int key_type; /* BR_KEYTYPE_RSA or BR_KEYTYPE_EC: of both members of `key` ... */
	int issuer_key_type; /* the same of who signed the first; 0: neither of them */
	bool key_exposed;    /* the key's file is readable by every user */
	union {
		br_rsa_private_key rsa;
		br_ec_private_key ec;
	} key;				 /* ... the one that is there */
	br_skey_decoder_context decoder; /* where the key's numbers lie */
	unsigned char data[CERT_CHAIN];
};

/*
 * Loads a chain, in the order in which it is sent, and its key: RSA as PKCS#1, EC P-256,
 * P-384 or P-521 as SEC1, either as PKCS#8, not encrypted.  There may be other text and
 * other blocks in both files, and both may be the same one; of several keys the first
 * counts.  That the key belongs to the first certificate is proved with a signature,
 * which takes as long as a handshake does; dates and the other certificates' signatures
 * are the clients' to judge.
 *
 * False if something is wrong, with nothing loaded, and `error` says FILE: why.  No
 * buffer but the struct keeps anything of a key.
 */
bool cert_load(struct cert *, const char *cert_file, const char *key_file,
	       struct text *error);

/*
 * Is this DNS name, in any case of letters, one of the server's own certificate
 * (subjectAltName; RFC 9525 section 6.3)?  A first label "*" stands for any one label.
 */
bool cert_names(const struct cert *, struct span name);

/* Forgets a chain and its key, which no connection may be using. */
void cert_wipe(struct cert *);

#endif
