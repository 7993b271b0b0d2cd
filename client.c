#include "client.h"

struct client {
	bool has_proxy; /* the peer is a trusted proxy */
	struct socket_address peer;
	struct socket_address address; /* the peer's, or the one that it reports */
};

static struct {
	struct client *table; /* by connection */
	const struct socket_network *proxies;
} clients;

void
client_place(struct memory *m, uint32_t connections, const struct socket_network *proxies)
{
	clients.proxies = proxies;
	clients.table = memory_take(m, (size_t)connections + 1, sizeof *clients.table);
}

bool
client_trusts(const struct socket_address *address)
{
	return socket_in_networks(address, clients.proxies);
}

void
client_begin(uint32_t conn, const struct socket_address *peer)
{
	clients.table[conn] = (struct client){ client_trusts(peer), *peer, *peer };
}

bool
client_has_proxy(uint32_t conn)
{
	return clients.table[conn].has_proxy;
}

struct socket_address *
client_reset_address(uint32_t conn)
{
	struct client *c = &clients.table[conn];

	c->address = c->peer;
	return c->has_proxy ? &c->address : NULL;
}

const struct socket_address *
client_address(uint32_t conn)
{
	return &clients.table[conn].address;
}

struct span
client_name(uint32_t conn)
{
	static char data[64];
	const struct socket_address *address = &clients.table[conn].address;
	struct text t;

	text_init(&t, data, sizeof data);
	text_host(&t, address->bytes, address->length);
	text_char(&t, ':');
	text_number(&t, address->port);
	return (struct span){ data, t.length };
}

struct address_key
client_address_key(uint32_t conn)
{
	const struct socket_address *address = &clients.table[conn].address;

	return address_key_of(address->bytes, address->length);
}
