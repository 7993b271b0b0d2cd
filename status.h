/*
 * How the server is, for those who watch it: GET /health, GET /metrics in Prometheus'
 * text format (version 0.0.4), and a line of the log.  What is told is counted by whom it
 * is about.
 */
#ifndef STATUS_H
#define STATUS_H

#include "http.h"

#ifndef VIDERE_VERSION
#define VIDERE_VERSION "0.1.0"
#endif

/*
 * Networks that may ask; other requests are answered as if there were nothing.  The list
 * stays the caller's, and must stay.
 */
void status_start(const struct socket_network *monitors);

/*
 * Answers a request for one of the two paths from one of those.  From loopback its Host
 * must be an address, localhost or a name of the certificate.  False: not answered.
 */
bool status_answer(uint32_t conn, const struct http_request *);

/* Logs a line of counters. */
void status_log(void);

#endif
