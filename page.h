/* The page at /: a client of this server, to call somebody with no other. */
#ifndef PAGE_H
#define PAGE_H

#include "http.h"

/*
 * Answers a request for the page, which is told the prefix of the service that it is to
 * talk to; false if the request is for something else.
 */
bool page_answer(uint32_t conn, const struct http_request *, const char *prefix);

#endif
