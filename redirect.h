/* Answers plain HTTP on a port for TLS. */
#ifndef REDIRECT_H
#define REDIRECT_H

#include "http.h"

/*
 * Answers the first bytes of a connection.  A GET or HEAD request with a Host gets 301 to
 * the same URL with https.  Anything else gets 400.
 *
 * `data` are the `length` bytes so far; earlier calls have read the first `scanned` of
 * them.  Returns the response, which is valid until the next call.  Returns NULL if more
 * bytes are needed, which is so for at most HTTP_HEAD_SIZE bytes.
 */
const char *redirect_answer(const char *data, size_t length, size_t scanned);

#endif
