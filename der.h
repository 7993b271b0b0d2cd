/* Writes DER (X.690): the encoding of certificates. */
#ifndef DER_H
#define DER_H

#include "text.h"

enum der_tag {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BIT_STRING = 0x03,
	DER_OCTET_STRING = 0x04,
	DER_OID = 0x06,
	DER_UTF8_STRING = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_GENERALIZED_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	/* Context-specific ones, of RFC 5280 appendix A. */
	DER_KEY_ID = 0x80,     /* [0] of an AuthorityKeyIdentifier */
	DER_EMAIL = 0x81,      /* [1] of a GeneralName: rfc822Name */
	DER_DNS_NAME = 0x82,   /* [2] of a GeneralName */
	DER_URI = 0x86,	       /* [6] of a GeneralName */
	DER_IP_ADDRESS = 0x87, /* [7] of a GeneralName */
	DER_CONTEXT_0 = 0xa0,
	DER_CONTEXT_1 = 0xa1,
	DER_CONTEXT_3 = 0xa3
};

#define DER_YEAR_2050 2524608000U /* its first second, since 1970 */

/*
 * Begins an element of at most 65,535 bytes.  All bytes added until der_close are its
 * content.  Returns the offset of the content, which der_close needs.
 */
size_t der_open(struct text *, enum der_tag);
void der_close(struct text *, size_t start);

/* Adds an element with this content. */
void der_put(struct text *, enum der_tag, const void *content, size_t length);
/* Adds a BIT STRING without unused bits. */
void der_put_bits(struct text *, const void *content, size_t length);
/*
 * Adds a second since 1970.  Years until 2049 have two digits, later ones four (RFC 5280
 * section 4.1.2.5).
 */
void der_put_time(struct text *, uint64_t time);

#endif
