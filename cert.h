/*
 * Loads a server's certificate chain and private key from PEM files (RFC 7468) for
 * BearSSL.
 */
#ifndef CERT_H
#define CERT_H

#include "text.h"

#include <bearssl.h>

enum {
	CERT_FILE_MAX = 131072,	  /* maximum size of a PEM file, in bytes */
	CERT_CHAIN_MAX = 65536,	  /* maximum size of a chain as DER, in bytes */
	CERT_COUNT_MAX = 8,	  /* maximum number of certificates in a chain */
	CERT_RSA_BITS_MIN = 2048, /* minimum size of an RSA key, in bits */
	CERT_RSA_BITS_MAX = 4096  /* maximum size of an RSA key, in bits */
};

/*
 * A chain and its private key.  The struct contains pointers into itself, so it must not
 * be moved or copied.  It is large, but loading touches no more of it than the files
 * need.
 */
struct cert {
	br_x509_certificate
	    chain[CERT_COUNT_MAX]; /* the server's certificate is the first */
	size_t count;		   /* 0 if nothing is loaded */
	struct span authority;	   /* the result of cert_authority; NULL: none */
	int key_type;	     /* of the server's key: BR_KEYTYPE_RSA or BR_KEYTYPE_EC */
	int issuer_key_type; /* of the issuer's key, likewise; 0 if it is another type */
	bool key_exposed;    /* the key's file is readable by every user */
	union {
		br_rsa_private_key rsa;
		br_ec_private_key ec;
	} key;				 /* which member: see key_type */
	br_skey_decoder_context decoder; /* contains the numbers to which `key` points */
	unsigned char data[CERT_CHAIN_MAX]; /* the certificates as DER */
};

/*
 * Loads a chain, the server's certificate first, and its private key.  The key must not
 * be encrypted.  It is RSA (PKCS#1 or PKCS#8) or EC with the curve P-256, P-384 or P-521
 * (SEC1 or PKCS#8).
 *
 * Both files may contain other text and other PEM blocks, and may be the same file.  The
 * first of several keys is used.
 *
 * Checks that the key belongs to the first certificate: an RSA key by a test signature,
 * an EC key by computing its public key.  That takes as long as a TLS handshake.  Clients
 * check dates and signatures; this function does not: see cert_validity.
 *
 * On failure returns false with nothing loaded, and adds "FILE: why" to `error`.  No part
 * of the key remains in memory outside the struct.
 */
bool cert_load(struct cert *, const char *cert_file, const char *key_file,
	       struct text *error);

/*
 * Returns true if the first certificate is valid for a DNS name: one of its
 * subjectAltNames matches (RFC 9525 section 6.3).  Case does not matter.  A first label
 * "*" matches any one label.
 */
bool cert_has_name(const struct cert *, struct span name);

/* The time in which a certificate is valid: Unix time, both ends included.  Times before
 * 1970 are 0. */
struct cert_validity {
	uint64_t not_before, not_after;
};

/*
 * Reads the Validity of a certificate of the chain (RFC 5280 section 4.1.2.5); 0 is the
 * server's.  Returns false if there is none, or it cannot be read.
 */
bool cert_validity(const struct cert *, size_t index, struct cert_validity *);

/*
 * Sets `der` to the authority that the chain contains: the last certificate, if it is a
 * CA whose issuer is itself, and not the server's.  Otherwise returns false.  Signatures
 * are not checked.
 */
bool cert_authority(const struct cert *, struct span *der);

/* Unloads the chain and erases the key.  No connection may still use them. */
void cert_wipe(struct cert *);

#endif
