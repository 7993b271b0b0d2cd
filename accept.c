#include "accept.h"

#include "client.h"
#include "conn.h"
#include "http.h"
#include "log.h"
#include "pollset.h"
#include "report.h"
#include "tls.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
	/* Limits for a listener in a turn, so that a flood does not delay other work. */
	ACCEPTS = 64,	  /* connections */
	ACCEPT_US = 2500, /* microseconds */

	EVICT_LOOKS = 64,   /* connections that evict_one looks at */
	SHORTAGE_MS = 60000 /* minimum time between two log lines about a shortage */
};

struct admission {
	uint32_t counted; /* entry of its address in `addresses`; 0: not counted */
	bool is_answered; /* it is refused, and being answered with 503 */
};

static struct {
	struct accept_limits limits;
	struct accept_counters counters;
	struct admission *admissions; /* by connection */
	struct addresses addresses;
	uint32_t answered;	  /* connections that are being answered with 503 */
	uint32_t evict_looked_at; /* the connection that evict_one looked at last */
	struct address_key proxy; /* accept_note_proxy: the last such address */
	uint64_t shortage_logged; /* millisecond of the last log line; 0: never */
	bool local_proxy_logged;  /* accept_note_proxy has logged a proxy on loopback */
	bool paused;
} accepting;

void
accept_place(struct memory *m, const struct accept_limits *limits)
{
	accepting.limits = *limits;
	accepting.admissions =
	    memory_take(m, (size_t)limits->highest + 1, sizeof *accepting.admissions);
	addresses_place(&accepting.addresses, m, limits->highest + 1, limits->per_address,
			limits->key);
}

const struct accept_counters *
accept_count(void)
{
	return &accepting.counters;
}

int
accept_listen(const uint8_t *address, size_t length, uint16_t port)
{
	struct socket_address at = { .length = (uint8_t)length, .port = port };

	memcpy(at.bytes, address, length);
	int fd = socket_listen(&at);
	if (fd < 0)
		return -1;
	pollset_set_listener(pollset_listener(0) < 0 ? 0 : 1, fd);
	return at.port;
}

void
accept_stop(void)
{
	for (unsigned i = 0; i < POLLSET_LISTENERS; i++) {
		if (pollset_listener(i) >= 0)
			close(pollset_listener(i));
		pollset_set_listener(i, -1);
	}
}

/*
 * Admission
 */

/* True if accept_note_proxy has noted this connection's address. */
static bool
is_proxy(uint32_t conn)
{
	const struct address_key key = client_address_key(conn),
				 *proxy = &accepting.proxy;

	return key.length > 0 && key.length == proxy->length &&
	       memcmp(key.bytes, proxy->bytes, key.length) == 0;
}

/* True if a proxy on this machine, or half of MaxPerAddress, make a note worthwhile. */
static bool
needs_note(uint32_t conn)
{
	uint32_t entry = accepting.admissions[conn].counted;

	if (client_has_proxy(conn))
		return false;
	return entry == 0
		   ? !accepting.local_proxy_logged
		   : accepting.addresses.counts[entry].count >=
			 accepting.limits.per_address - accepting.limits.per_address / 2;
}

void
accept_note_proxy(uint32_t conn, struct span fields)
{
	struct socket_address forwarded = *client_address(conn);

	if (!needs_note(conn) ||
	    (http_forwarded(fields, client_trusts, &forwarded) &&
	     memcmp(forwarded.bytes, client_address(conn)->bytes, forwarded.length) == 0))
		return;
	if (accepting.admissions[conn].counted != 0) {
		accepting.proxy = client_address_key(conn);
		return;
	}
	accepting.local_proxy_logged = true;
	log_line(
	    LEVEL_INFO, client_name(conn),
	    "X-Forwarded-For ignored: a proxy on this machine, whose clients have no "
	    "MaxPerAddress until it is listed (TrustedProxies)");
}

void
accept_report(uint32_t conn, enum accept_refusal why)
{
	report(why == ACCEPT_FULL ? REPORT_FULL
	       : is_proxy(conn)	  ? REPORT_PROXY
				  : REPORT_PER_ADDRESS,
	       client_name(conn), (struct span){ 0 });
}

static void
count_refusal(uint32_t conn, enum accept_refusal why)
{
	accept_report(conn, why);
	accepting.counters.refused[why]++;
	log_line(LEVEL_DEBUG, client_name(conn),
		 why == ACCEPT_FULL
		     ? "refused: too many connections (MaxConnections)"
		     : "refused: too many connections from this address (MaxPerAddress)");
}

/* Returns the answer to a refused connection, valid until the next call. */
static const char *
refusal(uint32_t conn, enum accept_refusal why)
{
	static const char head[] =
	    "HTTP/1.1 503 Service Unavailable\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Connection: close\r\n" HTTP_RETRY_AFTER "Content-Length: ";
	static const char hint[] = " from one address: add it to TrustedProxies if it "
				   "is a proxy of yours";
	static char data[sizeof head + sizeof hint + 64];
	bool hinted = why == ACCEPT_PER_ADDRESS && is_proxy(conn);
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, head);
	text_number(&t,
		    sizeof "Too many connections" - 1 + (hinted ? sizeof hint - 1 : 0));
	text_string(&t, "\r\n\r\nToo many connections");
	text_string(&t, hinted ? hint : "");
	text_char(&t, '\0');
	return data;
}

/* Answers 503 and closes.  With TLS, or if too many are being answered, only closes. */
static void
refuse_connection(uint32_t conn, enum accept_refusal why)
{
	uint32_t max = accepting.limits.highest - accepting.limits.connections;
	bool answered = accepting.answered < max && !tls_enabled();

	count_refusal(conn, why);
	accepting.admissions[conn].is_answered = answered;
	accepting.answered += answered;
	conn_refuse(conn, answered ? refusal(conn, why) : NULL);
}

/* Returns false, and counts nothing, if the client has MaxPerAddress connections. */
static bool
count_for_client(uint32_t conn)
{
	return addresses_add(&accepting.addresses, client_address_key(conn),
			     &accepting.admissions[conn].counted);
}

bool
accept_claim(uint32_t conn)
{
	if (!client_has_proxy(conn) || accepting.admissions[conn].counted != 0 ||
	    count_for_client(conn))
		return true;
	count_refusal(conn, ACCEPT_PER_ADDRESS);
	return false;
}

void
accept_unclaim(uint32_t conn)
{
	struct admission *a = &accepting.admissions[conn];

	if (!client_has_proxy(conn))
		return;
	addresses_remove(&accepting.addresses, a->counted);
	a->counted = 0;
}

static void
admit(int fd, const struct socket_address *peer)
{
	uint32_t conn = conn_add(fd);

	client_begin(conn, peer);
	accepting.admissions[conn] = (struct admission){ 0 };
	if (conn_count()->open >= accepting.limits.connections) {
		refuse_connection(conn, ACCEPT_FULL);
	} else if (!client_has_proxy(conn) && !count_for_client(conn)) {
		refuse_connection(conn, ACCEPT_PER_ADDRESS);
	} else {
		accepting.counters.accepted++;
		conn_let_in(conn);
	}
}

static void
pause_accepting(bool pause)
{
	accepting.paused = pause;
	pollset_watch_listeners(!pause);
}

void
accept_closed(uint32_t conn)
{
	addresses_remove(&accepting.addresses, accepting.admissions[conn].counted);
	accepting.answered -= accepting.admissions[conn].is_answered;
	if (accepting.paused)
		pause_accepting(false);
}

/*
 * Accepting
 */

/* Logs why no connection is accepted, at most once in SHORTAGE_MS. */
static void
log_shortage(int error)
{
	uint64_t now = pollset_now();

	if (accepting.shortage_logged != 0 &&
	    now - accepting.shortage_logged < SHORTAGE_MS)
		return;
	accepting.shortage_logged = now;
	struct text *t = log_begin(LEVEL_WARN, (struct span){ 0 });
	if (t != NULL) {
		text_string(t, "cannot accept: ");
		text_string(t, text_error(error));
		log_end();
	}
}

/*
 * Closes one connection that only waits for its peer's FIN.  Looks at up to EVICT_LOOKS
 * connections, and in the next call at those after them.  Returns false if it finds none.
 */
static bool
evict_one(void)
{
	for (unsigned i = 0; i < EVICT_LOOKS; i++) {
		accepting.evict_looked_at =
		    accepting.evict_looked_at % accepting.limits.highest + 1;
		if (conn_evict(accepting.evict_looked_at))
			return true;
	}
	return false;
}

/* Accepts one connection.  Returns false if accepting must stop for now. */
static bool
accept_one(int listener)
{
	struct socket_address peer;

	/* The number of an evicted connection is free only in the next turn. */
	if (conn_held() == accepting.limits.highest && evict_one())
		return false;
	int fd = socket_accept(listener, &peer, accepting.limits.timeout_s);

	if (fd >= 0 && conn_held() < accepting.limits.highest) {
		admit(fd, &peer);
	} else if (fd >= 0) {
		accepting.counters.refused[ACCEPT_FULL]++;
		report(REPORT_FULL, (struct span){ 0 }, (struct span){ 0 });
		close(fd);
	} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		   errno == ENOMEM) {
		/* The connection stays in the backlog until a descriptor is closed. */
		log_shortage(errno);
		accepting.counters.shortages++;
		pause_accepting(true);
		return false;
	} else {
		/* Any other error means that the connection has already ended. */
		return errno != EAGAIN && errno != EWOULDBLOCK;
	}
	return true;
}

void
accept_ready(int listener)
{
	uint64_t begun = pollset_clock();

	for (unsigned i = 0; i < ACCEPTS && pollset_clock() - begun < ACCEPT_US; i++)
		if (!accept_one(listener))
			return;
}

void
accept_second(void)
{
	if (accepting.paused)
		pause_accepting(false);
}
