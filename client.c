#include "client.h"

struct client {
	bool proxy; /* the peer is a trusted one */
	struct socket_address peer;
	struct socket_address named; /* the peer, or the client that it names */
};

static struct {
	struct client *clients; /* by connection */
	const struct socket_network *proxies;
} table;

void
client_place(struct memory *m, uint32_t connections, const struct socket_network *proxies)
{
	table.proxies = proxies;
	table.clients = memory_take(m, (size_t)connections + 1, sizeof *table.clients);
}

bool
client_trusts(const struct socket_address *address)
{
	return socket_in_networks(address, table.proxies);
}

void
client_begin(uint32_t conn, const struct socket_address *peer)
{
	table.clients[conn] = (struct client){ client_trusts(peer), *peer, *peer };
}

bool
client_is_forwarded(uint32_t conn)
{
	return table.clients[conn].proxy;
}

struct socket_address *
client_forwarded(uint32_t conn)
{
	struct client *c = &table.clients[conn];

	c->named = c->peer;
	return c->proxy ? &c->named : NULL;
}

const struct socket_address *
client_address(uint32_t conn)
{
	return &table.clients[conn].named;
}

struct span
client_name(uint32_t conn)
{
	static char data[64];
	const struct socket_address *named = &table.clients[conn].named;
	bool brackets = named->length == 16;
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, brackets ? "[" : "");
	text_address(&t, named->bytes, named->length);
	text_string(&t, brackets ? "]:" : ":");
	text_number(&t, named->port);
	return (struct span){ data, t.length };
}

struct source
client_source(uint32_t conn)
{
	const struct socket_address *named = &table.clients[conn].named;

	return source_of(named->bytes, named->length);
}
