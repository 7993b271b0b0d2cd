/*
 * Monitoring: answers GET /health, and GET /metrics in Prometheus' text format (version
 * 0.0.4), and logs a summary.  The counters are those of the files that count: their
 * functions are named `*_count`.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include "http.h"

#ifndef VIDERE_VERSION
#define VIDERE_VERSION "0.1.0"
#endif

/*
 * Sets the networks that may request the two paths.  Requests from other networks get the
 * answer of a path that does not exist.  The list stays the caller's, and must stay.
 */
void monitor_start(const struct socket_network *monitors);

/*
 * Answers a request for one of the two paths from one of the networks.  A request from
 * loopback must have an address, localhost or a name of the certificate as its Host.
 * Returns false, and answers nothing, if the request is another one.
 */
bool monitor_answer(uint32_t conn, const struct http_request *);

/* Logs a line of counters, at level info. */
void monitor_log(void);

#endif
