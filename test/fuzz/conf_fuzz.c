/* The configuration: the values of an accepted file are within their limits. */
#include "fuzz.h"
#include "conf.h"

static bool
is_between(uint32_t value, uint32_t low, uint32_t high)
{
	return low <= value && value <= high;
}

static void
check_networks(const struct socket_network *networks)
{
	size_t count = 0;

	for (; networks[count].length > 0 && count <= CONF_NETWORKS_MAX; count++)
		CHECK((networks[count].length == 4 || networks[count].length == 16) &&
		      networks[count].bits <= networks[count].length * 8);
	CHECK(count <= CONF_NETWORKS_MAX);
}

static void
check_servers(const struct ice_server *s)
{
	static char data[ICE_SERVERS_JSON];
	br_hmac_key_context key;
	struct text t;

	for (size_t i = 0; s[i].url != NULL; i++) {
		CHECK(i < ICE_SERVERS_MAX);
		CHECK(strpbrk(s[i].url, "\"/@ ") == NULL);
		CHECK((s[i].username == NULL) == (s[i].credential == NULL));
	}
	br_hmac_key_init(&key, &br_sha1_vtable, "", 0);
	text_init(&t, data, sizeof data);
	ice_servers_put(&t, s, &key, UINT64_MAX, (struct span){ "videre", 6 });
	CHECK(!t.overflow);
}

static void
check_conf(const struct conf *c)
{
	const char *const strings[] = { c->cert,	c->key,	 c->tokens,
					c->turn_secret, c->host, c->prefix,
					c->log,		c->user, c->sockjs };
	size_t origins = 0;

	for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
		CHECK(strings[i] != NULL && strlen(strings[i]) <= CONF_FILE_MAX);
	CHECK(is_between(c->port, 0, 65535));
	CHECK(is_between(c->log_level, LEVEL_ERROR, LEVEL_TRACE));
	CHECK(is_between(c->log_size, 0, INT32_MAX));
	CHECK(is_between(c->max_connections, 1, 100000));
	CHECK(is_between(c->max_per_address, 1, 100000));
	CHECK(is_between(c->max_peers, 1, 256));
	CHECK(is_between(c->max_packet, 1024, 1048576));
	CHECK(is_between(c->heartbeat, 1, 3600));
	CHECK(is_between(c->handshake_timeout, 1, 3600));
	size_t prefix = strlen(c->prefix);
	CHECK(prefix == 0 || (c->prefix[0] == '/' && c->prefix[prefix - 1] != '/' &&
			      strpbrk(c->prefix, " ?#\r\n") == NULL));
	CHECK(strlen(c->log) <= LOG_PATH_MAX && strlen(c->sockjs) <= 1000);
	while (c->origins[origins] != NULL && origins <= CONF_ORIGINS_MAX)
		CHECK(strlen(c->origins[origins++]) <= CONF_FILE_MAX);
	CHECK(origins <= CONF_ORIGINS_MAX);
	check_servers(c->ice_servers);
	check_networks(c->trusted_proxies);
	check_networks(c->monitor);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	const char *file = fuzz_file(data, length);
	char said[1024], said_again[1024];
	struct text error, error_again;
	struct conf c, again;

	text_init(&error, said, sizeof said);
	text_init(&error_again, said_again, sizeof said_again);
	conf_default(&c);
	conf_default(&again);
	bool good = conf_load(&c, file, &error);
	if (good)
		check_conf(&c);
	uint32_t port = c.port, connections = c.max_connections;
	CHECK(conf_load(&again, file, &error_again) == good);
	CHECK(span_same((struct span){ error.data, error.length },
			(struct span){ error_again.data, error_again.length }));
	CHECK(again.port == port && again.max_connections == connections);
	if (good) {
		CHECK(error.length == 0);
		check_conf(&again);
		return 0;
	}
	/* The error names the file, and is one line. */
	CHECK(!error.overflow && error.length > strlen(file) + 1);
	CHECK(memcmp(error.data, file, strlen(file)) == 0);
	for (size_t i = 0; i < error.length; i++)
		CHECK(error.data[i] >= ' ' && error.data[i] < 0x7f);
	return 0;
}
