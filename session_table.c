#include "session_table.h"

#include "accept.h"
#include "client.h"
#include "addresses.h"

static struct {
	struct session_counters counters;
	struct session *sessions; /* by number */
	uint32_t *by_conn;	  /* the session of a connection, 0: none */
	uint32_t connections;	  /* also the limit of sessions over HTTP */
	uint32_t highest;	  /* the highest number used so far */
	uint32_t free;		  /* the first of a list, 0: none */
	uint32_t unsettled;	  /* the first of those to notify by `closed`, 0: none */
	struct addresses addresses; /* sessions over HTTP by address */
} table;

uint32_t
session_most(const struct session_limits *limits)
{
	/* A WebSocket on each connection, and as many sessions over HTTP without one. */
	return 2 * limits->connections;
}

uint32_t
session_highest(void)
{
	return table.highest;
}

struct session_table
session_table_place(struct memory *m, const struct session_limits *limits)
{
	table.connections = limits->connections;
	table.by_conn =
	    memory_take(m, (size_t)limits->connections + 1, sizeof *table.by_conn);
	table.sessions =
	    memory_take(m, (size_t)session_most(limits) + 1, sizeof *table.sessions);
	addresses_place(&table.addresses, m, limits->connections, limits->per_address,
			limits->key);
	return (struct session_table){ table.sessions, table.by_conn };
}

const struct session_counters *
session_count(void)
{
	return &table.counters;
}

static bool
is_http(unsigned transport)
{
	return transport != SESSION_PLAIN && transport != TRANSPORT_WEBSOCKET;
}

bool
session_is_http(uint32_t number)
{
	return is_http(table.sessions[number].transport);
}

void
session_bind(uint32_t number, uint32_t conn, unsigned transport)
{
	table.by_conn[conn] = number;
	table.sessions[number].conn = conn;
	table.sessions[number].transport = transport;
	table.counters.carriers[transport]++;
	table.counters.carriers_ever[transport]++;
}

void
session_unbind(uint32_t conn)
{
	uint32_t number = table.by_conn[conn];

	table.counters.carriers[table.sessions[number].transport]--;
	table.by_conn[conn] = 0;
	if (session_is_http(number))
		table.sessions[number].conn = 0;
}

/* Counts a session over HTTP for its address.  False if it is refused. */
static bool
count_http(uint32_t conn, uint32_t *entry)
{
	if (table.counters.over_http >= table.connections) {
		table.counters.refused[SESSION_FULL]++;
		accept_report(conn, ACCEPT_FULL);
		return false;
	}
	if (!addresses_add(&table.addresses, client_address_key(conn), entry)) {
		table.counters.refused[SESSION_PER_ADDRESS]++;
		accept_report(conn, ACCEPT_PER_ADDRESS);
		return false;
	}
	table.counters.over_http++;
	return true;
}

uint32_t
session_add(const struct service *service, uint32_t conn, unsigned transport)
{
	uint32_t number, counted = 0;

	if (is_http(transport) && !count_http(conn, &counted))
		return 0;
	/* WebSockets use at most half of the numbers; so does HTTP: a number is free. */
	if (table.free != 0) {
		number = table.free;
		table.free = table.sessions[number].next;
	} else {
		number = ++table.highest;
	}
	table.sessions[number] = (struct session){ .state = SESSION_OPEN,
						   .counted = counted,
						   .service = service };
	table.counters.open++;
	table.counters.opened++;
	session_bind(number, conn, transport);
	return number;
}

static void
free_session(uint32_t number)
{
	struct session *s = &table.sessions[number];

	table.counters.open--;
	if (session_is_http(number)) {
		table.counters.over_http--;
		addresses_remove(&table.addresses, s->counted);
	}
	s->state = SESSION_FREE;
	s->next = table.free;
	table.free = number;
}

static void
schedule_settle(uint32_t number)
{
	table.sessions[number].next = table.unsettled;
	table.unsettled = number;
}

void
session_set_closing(uint32_t number)
{
	table.sessions[number].state = SESSION_CLOSING;
	schedule_settle(number);
}

void
session_end(uint32_t number)
{
	struct session *s = &table.sessions[number];

	switch (s->state) {
	case SESSION_OPEN:
		schedule_settle(number);
		s->state = SESSION_ENDED;
		break;
	case SESSION_CLOSING: s->state = SESSION_ENDED; break;
	case SESSION_CLOSED: free_session(number); break;
	case SESSION_FREE:
	case SESSION_ENDED: break;
	}
}

bool
session_settle(void)
{
	bool any = table.unsettled != 0;

	while (table.unsettled != 0) {
		uint32_t number = table.unsettled;
		struct session *s = &table.sessions[number];
		table.unsettled = s->next;
		s->service->closed(number);
		if (s->state == SESSION_ENDED)
			free_session(number);
		else
			s->state = SESSION_CLOSED;
	}
	return any;
}

void
session_deliver(uint32_t number, char *data, size_t length, bool binary)
{
	table.counters.messages_in++;
	table.sessions[number].service->message(number, data, length, binary);
}

void
session_count_sent(void)
{
	table.counters.messages_out++;
}

void
session_count_overflow(void)
{
	table.counters.overflows++;
}
