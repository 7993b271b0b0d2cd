/*
 * Reports refusals to the operator.  Each kind of refusal has at most one line a minute,
 * at level warn.  The line has the number of refusals since the one before, an example,
 * and the configuration key that changes the limit.
 */
#ifndef REPORT_H
#define REPORT_H

#include "text.h"

enum report_kind {
	REPORT_FULL,	     /* MaxConnections connections or sessions are open */
	REPORT_PER_ADDRESS,  /* an address has MaxPerAddress of them */
	REPORT_PROXY,	     /* the same, and it sends X-Forwarded-For */
	REPORT_MONITOR,	     /* /health or /metrics from an address outside Monitor */
	REPORT_MONITOR_HOST, /* the same from loopback, with the Host of another site */
	REPORT_HEAD,	     /* the head of a request is too large */
	REPORT_HOST,	     /* a Host is no host with an optional port */
	REPORT_ORIGIN,	     /* Origins does not list the Origin */
	REPORT_ROOM_FULL,    /* a room has MaxPeers peers */
	REPORT_REPLACED,     /* a session is closed with 4001 */
	REPORT_USER_IN_USE,  /* a user has been replaced too often */
	REPORT_PATH,   /* a path that a wrong Prefix, Page or SockJS leaves unserved */
	REPORT_PACKET, /* a message is larger than MaxPacket */
	REPORT_KINDS
};

/*
 * Reports a refusal.  `client` is an address with a port; empty: unknown.  `value` is the
 * text at fault; empty: none.  The line escapes it and has at most 64 bytes of it.
 *
 * The first refusal of a kind is logged immediately, and any other one if the kind's last
 * line is a minute old.  The rest are counted, for the next line.
 */
void report(enum report_kind, struct span client, struct span value);

/*
 * Called at each sweep: logs the refusals that have been counted, a minute after the
 * kind's last line.  Returns true while any wait for that.
 */
bool report_second(void);

#endif
