/* The page at "/": a web client for calls through this server. */
#ifndef PAGE_H
#define PAGE_H

#include "http.h"

/*
 * Answers a request for the page.  A Link header field gives the page the URL of the
 * service below `prefix`.  Returns false, and answers nothing, if the request has another
 * path.
 */
bool page_answer(uint32_t conn, const struct http_request *, const char *prefix);

#endif
