/* The cipher suites of a TLS engine, and which of BearSSL's implementations it uses. */
#ifndef SUITES_H
#define SUITES_H

#include <bearssl.h>

/* Finds the implementations for this processor.  Call it once, before suites_set. */
void suites_start(void);

/* Sets suites and implementations for a certificate's kind of key: BR_KEYTYPE_RSA or
 * BR_KEYTYPE_EC. */
void suites_set(br_ssl_engine_context *, int key_type);

#endif
