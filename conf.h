/* The configuration: what conf.json may say, and what holds where it is silent. */
#ifndef CONF_H
#define CONF_H

#include "log.h"
#include "socket.h"

enum {
	CONF_FILE = 16384,  /* bytes of a configuration file, at most */
	CONF_ORIGINS = 64,  /* members of Origins, at most, ... */
	CONF_NETWORKS = 16, /* ... and of TrustedProxies and of Monitor */
	CONF_GROUPS = 64    /* of a user, at most */
};

struct conf {
	uint32_t port; /* 0: any free one */
	bool tls;
	const char *cert;
	const char *key;
	const char *host; /* an address; "": all, of IPv4 and IPv6 */
	const char *prefix;
	bool page; /* is served at / */
	const char *log;
	uint32_t log_level;
	uint32_t log_size;		       /* bytes, 0: no limit */
	const char *user;		       /* "": the one that started it */
	bool sandbox;			       /* only the system calls that are needed */
	const char *origins[CONF_ORIGINS + 1]; /* NULL behind the last */
	const char
	    *sockjs; /* URL of the client's script, for the iframe page; "": no page */
	uint32_t max_connections;
	uint32_t max_per_address;
	struct socket_network trusted_proxies[CONF_NETWORKS + 1];
	/* Who may ask how it is. */
	struct socket_network monitor[CONF_NETWORKS + 1];
	uint32_t max_peers;	    /* in a room */
	uint32_t max_packet;	    /* bytes */
	uint32_t heartbeat;	    /* seconds */
	uint32_t handshake_timeout; /* seconds */
};

/* The default of SockJS, and what a browser checks the script against (W3C SRI). */
#define CONF_SOCKJS "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"
#define CONF_SOCKJS_HASH                                                                 \
	"sha384-svdnwiXBL+Js+yUneJSRFy24NgGiOfDM/vkQl/vCeVrcbYD6yW8EwPr1FnxTEZsR"

/* All defaults. */
void conf_default(struct conf *);

/*
 * Reads a file on top of what is there.  False if something is wrong, and then says what
 * in `error`: FILE:LINE: what, and what would be right.  Strings that were read stay in
 * memory of this file's own, so there is one configuration.
 */
bool conf_load(struct conf *, const char *file, struct text *error);

/* A user's numbers in /etc/passwd; getpwnam would bring stdio with it. */
bool conf_find_user(const char *name, uint32_t *user, uint32_t *group);

/*
 * A user's groups: `group` first, then those that list it in /etc/group.  Returns how
 * many there are: above CONF_GROUPS, the last ones are left out of `groups`.
 */
size_t conf_find_groups(const char *name, uint32_t group, uint32_t groups[CONF_GROUPS]);

#endif
