/* Names of the errors that end TLS connections, for the log and for counters. */
#ifndef TLS_ERROR_H
#define TLS_ERROR_H

#include "text.h"

enum { TLS_ERRORS = 16 }; /* names */

/*
 * The names, separated by spaces; the last one is "other".  Those that do not begin with
 * "no_common" are names of alerts (RFC 5246 section 7.2).
 */
extern const char tls_error_names[];

/*
 * Returns the index of the name of an error of BearSSL (br_ssl_engine_last_error).  An
 * alert from the client, and what the server reports with the same alert, have one name.
 */
size_t tls_error_index(int error);

/* Appends the name, with spaces, or the error's number, and whether the client sent it.
 */
void tls_error_put(struct text *, int error);

#endif
