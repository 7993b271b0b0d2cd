#define _GNU_SOURCE /* getpagesize */
#include "monitor.h"

#include "accept.h"
#include "admission.h"
#include "client.h"
#include "ice.h"
#include "log.h"
#include "loop.h"
#include "renewal.h"
#include "report.h"
#include "signaller.h"
#include "tls.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	const struct socket_network *monitors; /* networks that may read the metrics */
	struct monitor_limits limits;
	time_t started; /* second, monotonic */
} monitor;

static time_t
monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void
monitor_start(const struct socket_network *monitors)
{
	monitor.monitors = monitors;
	monitor.started = monotonic();
}

void
monitor_set_limits(const struct monitor_limits *limits)
{
	monitor.limits = *limits;
}

/*
 * Metrics
 */

/* Gauges that no struct of counters holds as a uint64_t.  take_snapshot sets them. */
struct gauges {
	uint64_t one;
	uint64_t uptime; /* seconds */
	uint64_t connections, sessions, over_http, rooms, peers, blocks;
	uint64_t memory; /* bytes; 0 if unknown */
	struct monitor_limits limits;
};

enum owner {
	GAUGES,
	ACCEPT,
	CONN,
	LOOP,
	WEB,
	WEBSOCKET,
	SESSION,
	TLS,
	CERTIFICATE, /* unknown without TLS */
	SIGNALLER,
	ICE,
	ADMISSION,
	OWNERS
};

enum label {
	NONE, /* the family has one sample */
	VERSION,
	LIMIT,
	REFUSAL,
	DROP,
	STATUS,
	CLOSE,
	TRANSPORT,
	EVENT,
	PACKET_REFUSAL,
	ICE_RESULT,
	TOKEN,
	TLS_ERROR
};

/*
 * For each label its name, then its values in the order of the counters.  Strings that
 * follow each other need no pointers, and so no relocations at start.
 */
static const char labels[] =
    "\0\0"
    "version\0" VIDERE_VERSION "\0"
    /* struct monitor_limits */
    "of\0connections per_address sessions peers packet_bytes head_bytes\0"
    /* enum accept_refusal and enum session_refusal */
    "cause\0full address\0"
    /* enum conn_drop */
    "cause\0unread stalled\0"
    /* web_statuses */
    "code\0"
    "101 200 204 304 400 401 403 404 405 406 408 413 414 417 426 431 500 501 503 505\0"
    /* websocket_codes */
    "code\0"
    "1000 1002 1007 1009 3000 4001\0"
    /* enum transport and SESSION_PLAIN */
    "transport\0sockjs-websocket xhr xhr-streaming eventsource htmlfile jsonp websocket\0"
    /* packet_events */
    "event\0connect broadcast ping disconnect error\0"
    /* enum packet_refusal */
    "cause\0unreadable room-full not-in-room no-such-peer too-many-pings user-in-use "
    "token\0"
    /* enum ice_result */
    "result\0"
    "answered token-needed token-invalid token-expired token-early no-clock\0"
    /* enum token_error without TOKEN_VALID */
    "cause\0needed invalid expired early other-room other-user no-clock\0"
    "error"; /* its values: tls_error_names */

/*
 * The families: name, help text, label, and the samples' owner, struct and member.  A
 * name that ends in _total is a counter; any other name is a gauge.  The most important
 * come first, because a line of the log has a maximum length.
 */
/* clang-format off */
#define FAMILIES(X) \
	X("build_info", "Always 1; the label is the version that is running.", \
	  VERSION, GAUGES, gauges, one) \
	X("limit", "Maximum number or size; peers: in a room.", \
	  LIMIT, GAUGES, gauges, limits) \
	X("connections", "Open connections, without those being refused or closed.", \
	  NONE, GAUGES, gauges, connections) \
	X("sessions", "Sessions over any transport, including those that are closing.", \
	  NONE, GAUGES, gauges, sessions) \
	X("sessions_polled", "Sessions over HTTP, including those that are closing.", \
	  NONE, GAUGES, gauges, over_http) \
	X("rooms", "Rooms with at least one peer.", \
	  NONE, GAUGES, gauges, rooms) \
	X("peers", "Peers in all rooms.", \
	  NONE, GAUGES, gauges, peers) \
	X("blocks", "Buffers in use, of the pool that all connections share.", \
	  NONE, GAUGES, gauges, blocks) \
	X("transport_connections", "Open connections that carry a session, by transport.", \
	  TRANSPORT, SESSION, session_counters, carriers) \
	X("uptime_seconds", "Seconds since the server started.", \
	  NONE, GAUGES, gauges, uptime) \
	X("loop_turns_total", "Turns of the poll loop.", \
	  NONE, LOOP, loop_counters, turns) \
	X("received_bytes_total", "Bytes received on all connections, after TLS decryption.", \
	  NONE, CONN, conn_counters, bytes_in) \
	X("sent_bytes_total", "Bytes sent on all connections, before TLS encryption.", \
	  NONE, CONN, conn_counters, bytes_out) \
	X("connections_accepted_total", "Connections accepted, without those refused.", \
	  NONE, ACCEPT, accept_counters, accepted) \
	X("connections_refused_total", \
	  "Connections refused because MaxConnections or MaxPerAddress was reached.", \
	  REFUSAL, ACCEPT, accept_counters, refused) \
	X("connections_dropped_total", \
	  "Connections closed because the client did not read what was sent.", \
	  DROP, CONN, conn_counters, dropped) \
	X("accept_shortages_total", \
	  "Pauses in accepting because file descriptors or memory ran out.", \
	  NONE, ACCEPT, accept_counters, shortages) \
	X("http_requests_total", "Request heads received, including upgrades.", \
	  NONE, WEB, web_counters, requests) \
	X("http_responses_total", \
	  "Responses by status code, without those sent before a request is read.", \
	  STATUS, WEB, web_counters, answers) \
	X("websocket_closes_total", \
	  "WebSockets that the server closed first, by the code of its Close frame.", \
	  CLOSE, WEBSOCKET, websocket_counters, closes) \
	X("websockets_silent_total", \
	  "WebSockets closed because the client answered no ping.", \
	  NONE, WEBSOCKET, websocket_counters, silent) \
	X("transport_connections_opened_total", \
	  "Connections that have carried a session, by transport.", \
	  TRANSPORT, SESSION, session_counters, carriers_ever) \
	X("sessions_opened_total", "Sessions opened over any transport.", \
	  NONE, SESSION, session_counters, opened) \
	X("sessions_refused_total", \
	  "Sessions over HTTP refused because MaxConnections or MaxPerAddress was reached.", \
	  REFUSAL, SESSION, session_counters, refused) \
	X("sessions_dropped_total", \
	  "Sessions over HTTP closed because the client did not fetch its messages.", \
	  NONE, SESSION, session_counters, overflows) \
	X("packets_received_total", "Packets received, by event; error is an unreadable one.", \
	  EVENT, SIGNALLER, signaller_counters, in.packets) \
	X("broadcasts_to_one_peer_total", "Broadcasts received that have a To.", \
	  NONE, SIGNALLER, signaller_counters, to_one_peer) \
	X("packets_sent_total", "Packets sent, by event, counted once for each receiver.", \
	  EVENT, SIGNALLER, signaller_counters, out.packets) \
	X("packets_refused_total", "Packets answered with an error packet, by cause.", \
	  PACKET_REFUSAL, SIGNALLER, signaller_counters, refused) \
	X("tokens_accepted_total", "Connect packets accepted with a token.", \
	  NONE, ADMISSION, admission_counters, accepted) \
	X("tokens_refused_total", "Connect packets refused without a valid token, by cause.", \
	  TOKEN, ADMISSION, admission_counters, refused) \
	X("packet_received_bytes_total", "Bytes of received packets, by event, without frames.", \
	  EVENT, SIGNALLER, signaller_counters, in.bytes) \
	X("packet_sent_bytes_total", "Bytes of sent packets, by event, without frames.", \
	  EVENT, SIGNALLER, signaller_counters, out.bytes) \
	X("ice_requests_total", "Requests for /ice with GET or HEAD, by result.", \
	  ICE_RESULT, ICE, ice_counters, results) \
	X("tls_handshakes_total", "TLS handshakes completed.", \
	  NONE, TLS, tls_counters, handshakes) \
	X("tls_resumed_total", "TLS handshakes that resumed an earlier session.", \
	  NONE, TLS, tls_counters, resumed) \
	X("tls_failures_total", "Connections that ended because of a TLS error, by its name.", \
	  TLS_ERROR, TLS, tls_counters, failures) \
	X("certificate_not_after_seconds", \
	  "Unix time of the earliest expiry among the certificates of the chain.", \
	  NONE, CERTIFICATE, renewal_counters, not_after) \
	X("certificate_reloads_total", "Certificates loaded after SIGHUP.", \
	  NONE, CERTIFICATE, renewal_counters, reloads) \
	X("certificate_reload_failures_total", \
	  "Certificates that could not be loaded after SIGHUP.", \
	  NONE, CERTIFICATE, renewal_counters, failures) \
	/* The last one, because it is omitted if it is unknown. */ \
	X("resident_memory_bytes", "Resident memory of the process.", \
	  NONE, GAUGES, gauges, memory)

/* For each family its name, then its help text. */
#define TEXTS(name, help, label, owner, type, member) name "\0" help "\0"

#define COUNT_OF(type, member) (sizeof((struct type *)NULL)->member / sizeof(uint64_t))

#define FAMILY(name, help, label, owner, type, member) \
	{ label, owner, COUNT_OF(type, member), offsetof(struct type, member) },

/* Maximum size of a family in a report.  The label in it is the longest one. */
#define LENGTH(name, help, label, owner, type, member) \
	+ sizeof "# HELP videre_ \n# TYPE videre_ counter\n" name name help \
	+ COUNT_OF(type, member) * (sizeof "videre_ 18446744073709551615\n" name + \
		(label == NONE ? 0 : sizeof "{transport=\"sockjs-websocket\"}"))

#define FITS(name, help, label, owner, type, member) \
	_Static_assert(sizeof name <= NAME && sizeof help <= HELP, name ": text too long");
/* clang-format on */

static const char texts[] = FAMILIES(TEXTS);

static const struct family {
	uint8_t label;
	uint8_t owner;
	uint8_t count; /* of samples */
	uint16_t at;   /* offset of the first sample in the owner's counters */
} families[] = { FAMILIES(FAMILY) };

enum {
	COUNT = sizeof families / sizeof *families,
	NAME = 40, /* maximum size of a name, in bytes */
	HELP = 90, /* maximum size of a help text, in bytes */
	/* Maximum size of a report, in bytes.  It fits into the smallest block next to
	 * the head of its response (session_block). */
	BODY = 8192 + 1024 * SOCKJS_FRAME_GROWTH
};

FAMILIES(FITS)
_Static_assert(0 FAMILIES(LENGTH) + sizeof VIDERE_VERSION <= BODY,
	       "all families together are too long for a block");

/* All metrics at one moment. */
struct snapshot {
	struct gauges gauges;
	const void *owners[OWNERS];
	size_t families; /* how many of them, from the first, have known values */
};

/* Returns the bytes of resident memory, or 0 if /proc is not mounted. */
static uint64_t
resident_memory(void)
{
	char data[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, data, sizeof data);
	struct span rest = { data, n > 0 ? (size_t)n : 0 };
	uint64_t pages;

	if (fd >= 0)
		close(fd);
	http_take(&rest, ' '); /* mapped pages */
	return text_to_number(http_take(&rest, ' '), UINT32_MAX, &pages)
		   ? pages * (uint64_t)getpagesize()
		   : 0;
}

static void
take_snapshot(struct snapshot *s)
{
	s->gauges = (struct gauges){
		.one = 1,
		.uptime = (uint64_t)(monotonic() - monitor.started),
		.connections = conn_count()->open,
		.sessions = session_count()->open,
		.over_http = session_count()->over_http,
		.rooms = signaller_rooms()->open,
		.peers = signaller_rooms()->present,
		.blocks = block_taken(),
		.memory = resident_memory(),
		.limits = monitor.limits,
	};
	s->owners[GAUGES] = &s->gauges;
	s->owners[ACCEPT] = accept_count();
	s->owners[CONN] = conn_count();
	s->owners[LOOP] = loop_count();
	s->owners[WEB] = web_count();
	s->owners[WEBSOCKET] = websocket_count();
	s->owners[SESSION] = session_count();
	s->owners[TLS] = tls_count();
	s->owners[CERTIFICATE] = renewal_count();
	s->owners[SIGNALLER] = signaller_count();
	s->owners[ICE] = ice_count();
	s->owners[ADMISSION] = admission_count();
	s->families = COUNT - (s->gauges.memory == 0);
}

static bool
is_known(const struct family *f)
{
	return f->owner != CERTIFICATE || tls_enabled();
}

static const uint64_t *
samples_of(const struct snapshot *s, const struct family *f)
{
	const char *owner = s->owners[f->owner];

	return (const uint64_t *)(const void *)(owner + f->at);
}

/* Returns one of several strings that follow each other, each with its NUL. */
static struct span
string_at(const char *strings, size_t index)
{
	for (; index > 0; index--)
		strings += strlen(strings) + 1;
	return (struct span){ strings, strlen(strings) };
}

/* Returns the length of _total at the end of a counter's name; 0 for a gauge. */
static size_t
suffix_of(struct span name)
{
	static const char suffix[] = "_total";
	const size_t length = sizeof suffix - 1;

	return name.length > length &&
		       memcmp(name.data + name.length - length, suffix, length) == 0
		   ? length
		   : 0;
}

static void
put_name(struct text *t, const char *before, struct span name)
{
	text_string(t, before);
	text_string(t, "videre_");
	text_span(t, name);
}

static void
put_sample(struct text *t, struct span name, struct span label, struct span value,
	   uint64_t sample)
{
	put_name(t, "", name);
	if (label.length > 0) {
		text_char(t, '{');
		text_span(t, label);
		text_string(t, "=\"");
		text_span(t, value);
		text_string(t, "\"}");
	}
	text_char(t, ' ');
	text_number(t, sample);
	text_char(t, '\n');
}

static void
put_family(struct text *t, const struct snapshot *s, size_t index)
{
	const struct family *f = &families[index];
	const uint64_t *samples = samples_of(s, f);
	struct span name = string_at(texts, 2 * index);
	struct span label = string_at(labels, 2 * (size_t)f->label);
	struct span values = f->label == TLS_ERROR
				 ? string_at(tls_error_names, 0)
				 : string_at(labels, 2 * (size_t)f->label + 1);

	put_name(t, "# HELP ", name);
	text_char(t, ' ');
	text_span(t, string_at(texts, 2 * index + 1));
	put_name(t, "\n# TYPE ", name);
	text_string(t, suffix_of(name) > 0 ? " counter\n" : " gauge\n");
	for (size_t i = 0; i < f->count; i++)
		put_sample(t, name, label, http_take(&values, ' '), samples[i]);
}

/*
 * Requests
 */

static void
answer(uint32_t conn, const char *type, struct span body)
{
	static const char fields[] = "Cache-Control: no-store\r\n";
	const struct web_answer a = { .status = 200,
				      .type = type,
				      .fields = { fields, sizeof fields - 1 },
				      .body = body };

	web_answer(conn, &a);
}

/*
 * Checks the Host of a request from loopback against DNS rebinding: a page of any site
 * can read this server's responses if that site's DNS points its name to loopback.  The
 * Host is then that name.  A request without a Host is HTTP/1.0 and not from a browser.
 */
static bool
host_allowed(const struct socket_address *client, struct span host)
{
	struct socket_address address;

	if (address_key_of(client->bytes, client->length).length > 0 ||
	    host.length == 0 || http_read_address(host, &address))
		return true;
	struct span name = http_take(&host, ':');
	if (name.length > 0 && name.data[name.length - 1] == '.')
		name.length--;
	return span_is_nocase(name, "localhost") || tls_names_host(name);
}

/* Reports a request for an address that `monitors` lacks. */
static void
report_address(uint32_t conn, const struct socket_address *address)
{
	char data[64];
	struct text t;

	text_init(&t, data, sizeof data);
	text_address(&t, address->bytes, address->length);
	report(REPORT_MONITOR, client_name(conn), (struct span){ data, t.length });
}

/*
 * A proxy that TrustedProxies does not list counts as the client.  Its forwarding header
 * fields show that it is a proxy: the client that they name must be allowed too.
 */
static bool
client_allowed(uint32_t conn, const struct http_request *r)
{
	const struct socket_address *client = client_address(conn);
	struct socket_address forwarded = *client;
	bool known = http_forwarded(r->fields, client_trusts, &forwarded);

	if (!socket_in_networks(client, monitor.monitors))
		report_address(conn, client);
	else if (!known)
		report(REPORT_MONITOR, client_name(conn),
		       (struct span){ "X-Forwarded-For", 15 });
	else if (!socket_in_networks(&forwarded, monitor.monitors))
		report_address(conn, &forwarded);
	else if (!host_allowed(client, r->host))
		report(REPORT_MONITOR_HOST, client_name(conn), r->host);
	else
		return true;
	return false;
}

bool
monitor_answer(uint32_t conn, const struct http_request *r)
{
	bool health = span_is(r->path, "/health");
	struct snapshot s;
	struct text t;

	/* Other clients must not learn that the path exists. */
	if ((!health && !span_is(r->path, "/metrics")) || !client_allowed(conn, r))
		return false;
	if (r->method != HTTP_GET && r->method != HTTP_HEAD) {
		web_not_allowed(conn, "GET, HEAD");
	} else if (health) {
		answer(conn, "text/plain; charset=utf-8", (struct span){ "ok\n", 3 });
	} else {
		take_snapshot(&s);
		text_init(&t, block_take(), block_size());
		for (size_t i = 0; i < s.families; i++)
			if (is_known(&families[i]))
				put_family(&t, &s, i);
		answer(conn, "text/plain; version=0.0.4; charset=utf-8",
		       (struct span){ t.data, t.length });
		block_give(t.data);
	}
	return true;
}

/*
 * The log
 */

void
monitor_log(void)
{
	struct text *t = log_begin(LEVEL_INFO, (struct span){ 0 });
	struct snapshot s;

	if (t == NULL)
		return;
	take_snapshot(&s);
	text_string(t, "counters:");
	/* The first two families, build_info and limit, never change. */
	for (size_t i = 2; i < s.families; i++) {
		struct span name = string_at(texts, 2 * i);
		uint64_t sum = 0;
		if (!is_known(&families[i]))
			continue;
		for (size_t k = 0; k < families[i].count; k++)
			sum += samples_of(&s, &families[i])[k];
		text_char(t, ' ');
		text_put(t, name.data, name.length - suffix_of(name));
		text_char(t, '=');
		text_number(t, sum);
	}
	log_end();
}
