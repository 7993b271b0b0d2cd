/* The page at "/": a web client for calls through this server; and "/ca.crt". */
#ifndef PAGE_H
#define PAGE_H

#include "http.h"

/*
 * Answers a request for "/ca.crt" with the authority in the certificate chain, as DER.
 * Returns false, and answers nothing, if the request has another path or the chain has
 * no authority.
 */
bool page_answer_authority(uint32_t conn, const struct http_request *);

/*
 * Answers a request for the page.  Link header fields give the page the URL of the
 * service below `prefix`, and the path of the authority, if there is one.  Returns false,
 * and answers nothing, if the request has another path or the build has no page.
 */
bool page_answer(uint32_t conn, const struct http_request *, const char *prefix);

#endif
