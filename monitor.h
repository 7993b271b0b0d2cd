/*
 * Monitoring: answers GET /health, and GET /metrics in Prometheus' text format (version
 * 0.0.4), and logs a summary.  Each file counts its own events; its function `*_count`
 * returns the counters.
 */
#ifndef MONITOR_H
#define MONITOR_H

#include "http.h"

#ifndef VIDERE_VERSION
#define VIDERE_VERSION "0.1.0"
#endif

/*
 * Sets the networks that may request the two paths.  Requests from other networks get the
 * answer of a path that does not exist.  The caller owns the list, which must stay valid.
 */
void monitor_start(const struct socket_network *monitors);

/* The limits that the metrics name, in the order of the label. */
struct monitor_limits {
	uint64_t connections, per_address, sessions, peers, packet_bytes, head_bytes;
};

/* Sets the limits for the metrics.  They must be set before the first request. */
void monitor_set_limits(const struct monitor_limits *);

/*
 * Answers a request for one of the two paths from one of the networks.  The Host of a
 * request from loopback must be an address, localhost, a name of the certificate, or
 * absent.  Returns false, and answers nothing, for any other request.
 */
bool monitor_answer(uint32_t conn, const struct http_request *);

/* Logs a line of counters, at level info. */
void monitor_log(void);

#endif
