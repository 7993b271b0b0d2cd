#define _GNU_SOURCE /* getpagesize */
#include "status.h"

#include "accept.h"
#include "client.h"
#include "log.h"
#include "loop.h"
#include "signaller.h"
#include "tls.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct {
	const struct socket_network *monitors; /* networks that may ask */
	time_t started;			       /* second, monotonic */
} status;

static time_t
monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

void
status_start(const struct socket_network *monitors)
{
	status.monitors = monitors;
	status.started = monotonic();
}

/*
 * What there is to tell
 */

/* What nobody counts, but is looked up. */
struct present {
	uint64_t one;
	uint64_t uptime; /* seconds */
	uint64_t connections, sessions, over_http, rooms, peers, blocks;
	uint64_t memory; /* bytes, 0: not known */
};

enum owner { PRESENT, ACCEPT, CONN, LOOP, WEB, SESSION, TLS, SIGNALLER, OWNERS };

enum label {
	NONE, /* the family has one sample */
	VERSION,
	REFUSAL,
	DROP,
	STATUS,
	CLOSE,
	TRANSPORT,
	EVENT,
	PACKET_REFUSAL
};

/* A label's name, and its values in the order of what is counted, which is that of ... */
static const char *const labels[] = {
	[VERSION] = "version " VIDERE_VERSION,
	/* ... enum accept_refusal and enum session_refusal, */
	[REFUSAL] = "cause full address",
	/* enum conn_drop, */
	[DROP] = "cause unread stalled",
	/* web_statuses, */
	[STATUS] = "code 101 200 204 304 400 403 404 405 406 408 413 417 426 431 500 501 "
		   "503 505",
	/* web_codes, */
	[CLOSE] = "code 1000 1002 1007 1009 3000 4001",
	/* enum transport and SESSION_PLAIN, */
	[TRANSPORT] = "transport sockjs-websocket xhr xhr-streaming eventsource htmlfile "
		      "jsonp websocket",
	/* packet_events, and enum packet_refusal. */
	[EVENT] = "event connect broadcast ping disconnect error",
	[PACKET_REFUSAL] = "cause unreadable room-full not-in-room too-many-pings",
};

#define AT(owner, type, member)                                                          \
	owner, sizeof((struct type *)NULL)->member / sizeof(uint64_t),                   \
	    offsetof(struct type, member)

/*
 * All of it, the most important first: a line of the log has an end.  A counter's name
 * ends in _total; others are gauges.  Without a pointer, it needs no relocation.
 */
static const struct family {
	char name[50]; /* and behind it, what it means */
	uint8_t label;
	uint8_t owner;
	uint8_t count; /* of samples */
	uint16_t at;   /* place of the first one in what its owner counts */
} families[] = {
	{ "build_info What is running.", VERSION, AT(PRESENT, present, one) },
	{ "connections Connections that are open.", NONE,
	  AT(PRESENT, present, connections) },
	{ "sessions Sessions over any transport.", NONE, AT(PRESENT, present, sessions) },
	{ "sessions_polled Sessions over HTTP.", NONE, AT(PRESENT, present, over_http) },
	{ "rooms Rooms with somebody in them.", NONE, AT(PRESENT, present, rooms) },
	{ "peers Peers in rooms.", NONE, AT(PRESENT, present, peers) },
	{ "blocks Buffers in use.", NONE, AT(PRESENT, present, blocks) },
	{ "transport_connections Connections with a session.", TRANSPORT,
	  AT(SESSION, session_counters, carriers) },
	{ "uptime_seconds Time since the start.", NONE, AT(PRESENT, present, uptime) },
	{ "loop_turns_total Turns of the poll loop.", NONE,
	  AT(LOOP, loop_counters, turns) },
	{ "received_bytes_total Bytes from all connections.", NONE,
	  AT(CONN, conn_counters, bytes_in) },
	{ "sent_bytes_total Bytes to all connections.", NONE,
	  AT(CONN, conn_counters, bytes_out) },
	{ "connections_accepted_total Connections let in.", NONE,
	  AT(ACCEPT, accept_counters, accepted) },
	{ "connections_refused_total Those past a limit.", REFUSAL,
	  AT(ACCEPT, accept_counters, refused) },
	{ "connections_dropped_total Those that do not read.", DROP,
	  AT(CONN, conn_counters, dropped) },
	{ "accept_shortages_total No descriptor or memory.", NONE,
	  AT(ACCEPT, accept_counters, shortages) },
	{ "http_requests_total Requests.", NONE, AT(WEB, web_counters, requests) },
	{ "http_responses_total Responses.", STATUS, AT(WEB, web_counters, answers) },
	{ "websocket_closes_total The server's Close frames.", CLOSE,
	  AT(WEB, web_counters, closes) },
	{ "websockets_silent_total Those without a pong.", NONE,
	  AT(WEB, web_counters, silent) },
	{ "transport_connections_opened_total All so far.", TRANSPORT,
	  AT(SESSION, session_counters, carriers_ever) },
	{ "sessions_opened_total Sessions begun.", NONE,
	  AT(SESSION, session_counters, opened) },
	{ "sessions_refused_total Those past a limit.", REFUSAL,
	  AT(SESSION, session_counters, refused) },
	{ "sessions_dropped_total Those that do not fetch.", NONE,
	  AT(SESSION, session_counters, overflows) },
	{ "packets_received_total In; error is unreadable.", EVENT,
	  AT(SIGNALLER, signaller_counters, in.packets) },
	{ "packets_sent_total Packets out, to all peers.", EVENT,
	  AT(SIGNALLER, signaller_counters, out.packets) },
	{ "packets_refused_total Answered with an error.", PACKET_REFUSAL,
	  AT(SIGNALLER, signaller_counters, refused) },
	{ "packet_received_bytes_total Bytes of packets in.", EVENT,
	  AT(SIGNALLER, signaller_counters, in.bytes) },
	{ "packet_sent_bytes_total Bytes of packets out.", EVENT,
	  AT(SIGNALLER, signaller_counters, out.bytes) },
	{ "tls_handshakes_total Handshakes.", NONE, AT(TLS, tls_counters, handshakes) },
	{ "tls_resumed_total Those that resumed a session.", NONE,
	  AT(TLS, tls_counters, resumed) },
	{ "tls_failures_total Connections that TLS ended.", NONE,
	  AT(TLS, tls_counters, failures) },
	/* The last, to be left out where it is not known. */
	{ "resident_memory_bytes Memory in use.", NONE, AT(PRESENT, present, memory) },
};

enum { FAMILIES = sizeof families / sizeof *families };

/* All at one moment. */
struct view {
	struct present present;
	const void *owners[OWNERS];
	size_t families;
};

/* The bytes of pages that are resident; 0 where there is no /proc. */
static uint64_t
resident(void)
{
	char data[128];
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, data, sizeof data);
	struct span rest = { data, n > 0 ? (size_t)n : 0 };
	uint64_t pages;

	if (fd >= 0)
		close(fd);
	http_take(&rest, ' '); /* those that are mapped */
	return text_to_number(http_take(&rest, ' '), UINT32_MAX, &pages)
		   ? pages * (uint64_t)getpagesize()
		   : 0;
}

static void
look(struct view *v)
{
	v->present = (struct present){
		.one = 1,
		.uptime = (uint64_t)(monotonic() - status.started),
		.connections = conn_count()->open,
		.sessions = session_count()->open,
		.over_http = session_count()->over_http,
		.rooms = signaller_rooms()->open,
		.peers = signaller_rooms()->present,
		.blocks = block_taken(),
		.memory = resident(),
	};
	v->owners[PRESENT] = &v->present;
	v->owners[ACCEPT] = accept_count();
	v->owners[CONN] = conn_count();
	v->owners[LOOP] = loop_count();
	v->owners[WEB] = web_count();
	v->owners[SESSION] = session_count();
	v->owners[TLS] = tls_count();
	v->owners[SIGNALLER] = signaller_count();
	v->families = FAMILIES - (v->present.memory == 0);
}

static const uint64_t *
samples_of(const struct view *v, const struct family *f)
{
	return (const uint64_t *)(const void *)((const char *)v->owners[f->owner] +
						f->at);
}

static struct span
name_of(const struct family *f)
{
	struct span rest = { f->name, strlen(f->name) };

	return http_take(&rest, ' ');
}

/* For a counter's name that is _total. */
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
put_sample(struct text *t, struct span name, struct span label, struct span labelled,
	   uint64_t value)
{
	put_name(t, "", name);
	if (label.length > 0) {
		text_char(t, '{');
		text_span(t, label);
		text_string(t, "=\"");
		text_span(t, labelled);
		text_string(t, "\"}");
	}
	text_char(t, ' ');
	text_number(t, value);
	text_char(t, '\n');
}

static void
put_family(struct text *t, const struct family *f, const uint64_t *samples)
{
	struct span name = name_of(f), values = { "", 0 };

	if (f->label != NONE)
		values = (struct span){ labels[f->label], strlen(labels[f->label]) };
	struct span label = http_take(&values, ' ');
	put_name(t, "# HELP ", (struct span){ f->name, strlen(f->name) });
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
 * A browser on this machine may run a page of a site whose name the site's DNS has
 * changed to loopback (DNS rebinding).  Such a page may read what it requests, but its
 * Host is that name.  Without a Host it is no browser (HTTP/1.0).
 */
static bool
host_allowed(const struct socket_address *client, struct span host)
{
	struct socket_address address;

	if (source_of(client->bytes, client->length).length > 0 || host.length == 0 ||
	    http_read_address(host, &address))
		return true;
	struct span name = http_take(&host, ':');
	if (name.length > 0 && name.data[name.length - 1] == '.')
		name.length--;
	return span_is_nocase(name, "localhost") || tls_names_host(name);
}

/*
 * A proxy that nobody has named as trusted is taken for its client, but says itself that
 * it is not: whom it speaks for has to be welcome as well, and known.
 */
static bool
may_ask(uint32_t conn, const struct http_request *r)
{
	const struct socket_address *client = client_address(conn);
	struct socket_address behind = *client;

	return http_forwarded(r->fields, client_trusts, &behind) &&
	       socket_in_networks(client, status.monitors) &&
	       socket_in_networks(&behind, status.monitors) &&
	       host_allowed(client, r->host);
}

bool
status_answer(uint32_t conn, const struct http_request *r)
{
	bool health = span_is(r->path, "/health");
	struct view v;
	struct text t;

	/* Strangers are not even told that it is here. */
	if ((!health && !span_is(r->path, "/metrics")) || !may_ask(conn, r))
		return false;
	if (r->method != HTTP_GET && r->method != HTTP_HEAD) {
		web_not_allowed(conn, "GET, HEAD");
	} else if (health) {
		answer(conn, "text/plain; charset=utf-8", (struct span){ "ok\n", 3 });
	} else {
		look(&v);
		text_init(&t, block_take(), block_size());
		for (size_t i = 0; i < v.families; i++)
			put_family(&t, &families[i], samples_of(&v, &families[i]));
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
status_log(void)
{
	struct text *t = log_begin(LEVEL_INFO, (struct span){ 0 });
	struct view v;

	if (t == NULL)
		return;
	look(&v);
	text_string(t, "counters:");
	/* But for the first, which does not change. */
	for (const struct family *f = families + 1; f < families + v.families; f++) {
		struct span name = name_of(f);
		uint64_t sum = 0;
		for (size_t i = 0; i < f->count; i++)
			sum += samples_of(&v, f)[i];
		text_char(t, ' ');
		text_put(t, name.data, name.length - suffix_of(name));
		text_char(t, '=');
		text_number(t, sum);
	}
	log_end();
}
