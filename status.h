/*
 * How the server is, for those who watch it: GET /health, GET /metrics in Prometheus'
 * text format (version 0.0.4), and a line of the log.  What is told is counted by whom it
 * is about.
 */
#ifndef STATUS_H
#define STATUS_H

#include "packet.h"
#include "rooms.h"
#include "sockjs.h"

#ifndef VIDERE_VERSION
#define VIDERE_VERSION "0.1.0"
#endif

/* Packets and their bytes, by event; the last is "error". */
struct packet_counts {
	uint64_t packets[PACKET_EVENTS + 1];
	uint64_t bytes[PACKET_EVENTS + 1];
};

/* Why a packet is answered with an error: */
enum packet_refusal {
	PACKET_BAD, /* it cannot be read: it is an "error" that came in */
	PACKET_ROOM_FULL,
	PACKET_NOT_INSIDE, /* its sender is not in its room */
	PACKET_TOO_MANY,   /* its address asks about other rooms too often */
	PACKET_REFUSALS
};

struct signaller_counters {
	struct packet_counts in, out;
	uint64_t refused[PACKET_REFUSALS];
};

/*
 * `who` may ask; the others are answered as if there were nothing.  All three stay the
 * caller's, and must stay.
 */
void status_start(const struct socket_network *who, const struct rooms *,
		  const struct signaller_counters *);

/*
 * Answers a request for one of the two paths from one of those.  From loopback its Host
 * must be an address, localhost or a name of the certificate.  False: not answered.
 */
bool status_answer(uint32_t conn, const struct http_request *);

/* Logs a line of counters. */
void status_log(void);

#endif
