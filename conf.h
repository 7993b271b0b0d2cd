/* The configuration: reads conf.json on top of the defaults. */
#ifndef CONF_H
#define CONF_H

#include "ice_server.h"
#include "log.h"
#include "socket.h"

/* 0 in a build without the page and the module (make PAGE=0). */
#ifndef HAVE_PAGE
#define HAVE_PAGE 1
#endif

enum {
	CONF_FILE_MAX = 16384,	/* maximum size of a configuration file, in bytes */
	CONF_ORIGINS_MAX = 64,	/* maximum number of members of Origins */
	CONF_NETWORKS_MAX = 16, /* the same for each of TrustedProxies and Monitor */
	CONF_GROUPS_MAX = 64	/* maximum number of groups of a user */
};

struct conf {
	uint32_t port; /* 0: any free port */
	bool tls;
	const char *cert;
	const char *key;
	const char *tokens; /* file of secrets that sign tokens; "": no tokens */
	struct ice_server ice_servers[ICE_SERVERS_MAX + 1]; /* ended by a NULL url */
	const char *turn_secret; /* file with the secret of a TURN server; "": none */
	const char *host;	 /* an address; "": all addresses, IPv4 and IPv6 */
	const char *prefix;
	bool page; /* serve the page at / */
	const char *log;
	uint32_t log_level;
	uint32_t log_size;			   /* bytes; 0: no limit */
	const char *user;			   /* "": do not change the user */
	bool sandbox;				   /* filter system calls */
	const char *origins[CONF_ORIGINS_MAX + 1]; /* ended by NULL (origin.h) */
	/* URL of the SockJS client's script for the iframe page; "": no iframe page. */
	const char *sockjs;
	uint32_t max_connections;
	uint32_t max_per_address; /* connections */
	/* Proxies whose forwarding header fields name the client. */
	struct socket_network trusted_proxies[CONF_NETWORKS_MAX + 1];
	/* Networks that may request /health and /metrics. */
	struct socket_network monitor[CONF_NETWORKS_MAX + 1];
	uint32_t max_peers;	    /* in a room */
	uint32_t max_packet;	    /* bytes */
	uint32_t heartbeat;	    /* seconds */
	uint32_t handshake_timeout; /* seconds */
};

/* The default of SockJS, and that script's hash, which browsers check (W3C SRI). */
#define CONF_SOCKJS "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"
#define CONF_SOCKJS_HASH                                                                 \
	"sha384-svdnwiXBL+Js+yUneJSRFy24NgGiOfDM/vkQl/vCeVrcbYD6yW8EwPr1FnxTEZsR"

/* Sets all defaults. */
void conf_default(struct conf *);

/*
 * Reads a file.  Keys that are not in it keep their values.  On failure returns false,
 * and adds "FILE:LINE: the error" to `error`, or "FILE: the error" if the whole file is
 * at fault.  The error of a value has its key, what is valid, and the value.  The strings
 * are in static memory that the next call overwrites.
 */
bool conf_load(struct conf *, const char *file, struct text *error);

/*
 * Finds a user's ids in /etc/passwd, or returns false.  It avoids getpwnam, which links
 * stdio.
 */
bool conf_find_user(const char *name, uint32_t *user, uint32_t *group);

/*
 * Finds a user's groups: `group` first, then each group of /etc/group that lists the
 * user.  Returns their number.  If it exceeds CONF_GROUPS_MAX, `groups` has only the
 * first CONF_GROUPS_MAX of them.
 */
size_t conf_find_groups(const char *name, uint32_t group,
			uint32_t groups[CONF_GROUPS_MAX]);

#endif
