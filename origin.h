/*
 * Origins (RFC 6454): checks and normalizes those of the configuration, and compares them
 * with the Origin field of requests.
 */
#ifndef ORIGIN_H
#define ORIGIN_H

#include "text.h"

/*
 * Normalizes an origin of the configuration in place, to the text that browsers send:
 * SCHEME://HOST or SCHEME://HOST:PORT in lower case, without the scheme's default port.
 * HOST may begin with "*.", which stands for one or more labels.  "null" is an origin
 * too.
 *
 * Returns false if it is not an origin, and adds `"VALUE" is ...` and, if that is known,
 * how to write it.
 */
bool origin_normalize(char *origin, struct text *error);

/*
 * Returns what is wrong with a host that is a name or an IPv4 address of at least one
 * byte, or NULL.
 *
 * With `has_addresses`, browsers take the host for an IPv4 address if its last label is a
 * decimal or hexadecimal number (WHATWG URL standard, "ends in a number checker"): it
 * must then be four decimal numbers.  That is so in http, https and URLs of ICE servers.
 */
const char *origin_host_fault(const char *host, size_t length, bool has_addresses);

/*
 * Returns true if a list of normalized origins, ended by NULL, allows the Origin of a
 * request.  An empty list allows all.  No Origin (NULL data) is always allowed.
 */
bool origin_allowed(const char *const *list, struct span origin);

#endif
