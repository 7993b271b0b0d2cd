/* The subjectAltNames of a certificate that is created: DNS names and IP addresses. */
#ifndef ALTNAME_H
#define ALTNAME_H

#include "der.h"

enum {
	ALTNAMES_MAX = 32, /* maximum number of names in a certificate */
	ALTNAME_SIZE = 253 /* maximum length of a DNS name, in bytes */
};

struct altname {
	enum der_tag tag; /* DER_DNS_NAME or DER_IP_ADDRESS */
	size_t length;
	char bytes[ALTNAME_SIZE]; /* a DNS name in lower case, or 4 or 16 bytes */
};

/* All zero at first. */
struct altnames {
	size_t count;
	struct altname names[ALTNAMES_MAX];
};

/*
 * Adds `count` names that a user has entered, each once.  A DNS name can begin with "*.".
 * On failure returns false and appends the reason to `output`.
 */
bool altnames_read(struct altnames *, char *const *names, size_t count,
		   struct text *output);

/*
 * Adds the host name, localhost and the addresses of the interfaces, except IPv6
 * link-local ones, as many as fit.
 */
void altnames_find(struct altnames *);

/* Appends a name as text. */
void altname_put(struct text *, const struct altname *);

#endif
