/* Reading a configuration file, and the errors of invalid ones. */
#include "conf.h"
#include "unit.h"

#include <sys/stat.h>
#include <unistd.h>

static char directory[256], path[300];
static char message[4096]; /* of the last load */

static int
make_directory(void **state)
{
	const char *where = getenv("TMPDIR");

	(void)state;
	snprintf(directory, sizeof directory, "%s/conf_test.XXXXXX",
		 where != NULL ? where : "/tmp");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/conf.json", directory);
	return 0;
}

static int
remove_directory(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(directory);
}

/* Loads a file on top of the values of `c`; the error text is in `message`. */
static bool
load_file(struct conf *c, const char *file)
{
	struct text error;

	text_init(&error, message, sizeof message - 1);
	bool valid = conf_load(c, file, &error);
	assert_false(error.overflow);
	message[error.length] = '\0';
	assert_int_equal(error.length == 0, valid);
	return valid;
}

static bool
load_bytes(struct conf *c, const char *text, size_t length)
{
	conf_default(c);
	write_file(path, text, length);
	return load_file(c, path);
}

static bool
load(struct conf *c, const char *text)
{
	return load_bytes(c, text, strlen(text));
}

static void
load_valid(struct conf *c, const char *text)
{
	if (!load(c, text))
		fail_msg("%s", message);
}

/* Checks that the message begins with the file and this line; returns the rest. */
static const char *
at_line(unsigned line)
{
	char place[400];
	int length = snprintf(place, sizeof place, "%s:%u: ", path, line);

	if (strncmp(message, place, (size_t)length) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", message, place);
	return message + length;
}

/* The same, but no line is at fault. */
static const char *
without_line(void)
{
	size_t length = strlen(path);

	assert_int_equal(strncmp(message, path, length), 0);
	assert_int_equal(strncmp(message + length, ": ", 2), 0);
	return message + length + 2;
}

static void
assert_refused(const char *text, unsigned line, const char *expected)
{
	struct conf c;

	if (load(&c, text))
		fail_msg("%s is accepted", text);
	assert_string_equal(at_line(line), expected);
}

/* Checks that a message is this rule, then the value at fault. */
static void
assert_rule(const char *seen, const char *rule)
{
	size_t length = strlen(rule);

	if (strncmp(seen, rule, length) != 0 || strncmp(seen + length, ", not ", 6) != 0)
		fail_msg("\"%s\" is not \"%s\" and a value", seen, rule);
}

static void
assert_invalid(const char *text, unsigned line, const char *rule)
{
	struct conf c;

	if (load(&c, text))
		fail_msg("%s is accepted", text);
	assert_rule(at_line(line), rule);
}

static void
assert_origins(const struct conf *c, const char *const *expected)
{
	size_t i = 0;

	for (; expected[i] != NULL; i++) {
		assert_non_null(c->origins[i]);
		assert_string_equal(c->origins[i], expected[i]);
	}
	assert_null(c->origins[i]);
}

static void
assert_networks(const struct socket_network *networks,
		const struct socket_network *expected)
{
	size_t i = 0;

	for (; expected[i].length > 0; i++)
		assert_memory_equal(&networks[i], &expected[i], sizeof *networks);
	assert_int_equal(networks[i].length, 0);
}

static void
assert_defaults(const struct conf *c)
{
	static const char *const no_origins[] = { NULL };
	static const struct socket_network none[] = { { 0 } };
	static const struct socket_network loopback[] = { { 4, 8, { 127 } },
							  { 16, 128, { [15] = 1 } },
							  { 0 } };

	assert_int_equal(c->port, 1111);
	assert_false(c->tls);
	assert_string_equal(c->cert, "");
	assert_string_equal(c->key, "");
	assert_string_equal(c->tokens, "");
	assert_null(c->ice_servers[0].url);
	assert_string_equal(c->turn_secret, "");
	assert_string_equal(c->host, "");
	assert_string_equal(c->prefix, "/echo");
	assert_true(c->page);
	assert_string_equal(c->log, "log/debug.log");
	assert_int_equal(c->log_level, LEVEL_DEBUG);
	assert_int_equal(c->log_size, 1048576);
	assert_string_equal(c->user, "");
	assert_true(c->sandbox);
	assert_origins(c, no_origins);
	assert_string_equal(
	    c->sockjs,
	    "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js");
	assert_int_equal(c->max_connections, 256);
	assert_int_equal(c->max_per_address, 64);
	assert_networks(c->trusted_proxies, none);
	assert_networks(c->monitor, loopback);
	assert_int_equal(c->max_peers, 16);
	assert_int_equal(c->max_packet, 65536);
	assert_int_equal(c->heartbeat, 25);
	assert_int_equal(c->handshake_timeout, 10);
}

static void
an_empty_object_leaves_all_defaults(void **state)
{
	static const char *const texts[] = { "{}", " {\n} \n", "\r\n\t{\r\n}\r\n" };
	struct conf c;

	(void)state;
	memset(&c, 0xff, sizeof c);
	conf_default(&c);
	assert_defaults(&c);
	for (size_t i = 0; i < COUNT(texts); i++) {
		load_valid(&c, texts[i]);
		assert_defaults(&c);
	}
}

/* keys.test.mjs checks that the file has every key. */
static void
the_shipped_file_has_the_defaults(void **state)
{
	struct conf c;

	(void)state;
	memset(&c, 0xff, sizeof c);
	if (!load_file(&c, "conf.json"))
		fail_msg("%s", message);
	assert_defaults(&c);
}

static void
every_key_is_read(void **state)
{
	static const char *const origins[] = { "https://a.example",
					       "https://b.example:8443", NULL };
	static const struct socket_network proxies[] = { { 4, 8, { 10 } }, { 0 } };
	static const struct socket_network monitor[] = { { 4, 32, { 192, 0, 2, 1 } },
							 { 0 } };
	struct conf c;

	(void)state;
	load_valid(
	    &c,
	    "{\n"
	    "\"Port\": 8443, \"TLS\": false, \"Cert\": \"c.pem\", \"Key\": \"k.pem\",\n"
	    "\"Tokens\": \"secrets\", \"TurnSecret\": \"turn\",\n"
	    "\"IceServers\": [\"stun:a\", \"turn:b:1?transport=udp\"],\n"
	    "\"Host\": \"::1\", \"Prefix\": \"/a/b\", \"Page\": false, \"Log\": "
	    "\"syslog\",\n"
	    "\"LogLevel\": \"warn\", \"LogSize\": 1, \"User\": \"nobody\", \"Sandbox\": "
	    "false,\n"
	    "\"Origins\": [\"https://a.example\", \"https://b.example:8443\"],\n"
	    "\"SockJS\": \"/sockjs.js\", \"MaxConnections\": 2, \"MaxPerAddress\": 3, "
	    "\"MaxPeers\": 4,\n"
	    "\"TrustedProxies\": [\"10.0.0.0/8\"], \"Monitor\": [\"192.0.2.1\"],\n"
	    "\"MaxPacket\": 5000, \"Heartbeat\": 6, \"HandshakeTimeout\": 7\n"
	    "}\n");
	assert_int_equal(c.port, 8443);
	assert_false(c.tls);
	assert_string_equal(c.cert, "c.pem");
	assert_string_equal(c.key, "k.pem");
	assert_string_equal(c.tokens, "secrets");
	assert_string_equal(c.turn_secret, "turn");
	assert_string_equal(c.ice_servers[0].url, "stun:a");
	assert_string_equal(c.ice_servers[1].url, "turn:b:1?transport=udp");
	assert_null(c.ice_servers[2].url);
	assert_string_equal(c.host, "::1");
	assert_string_equal(c.prefix, "/a/b");
	assert_false(c.page);
	assert_string_equal(c.log, "syslog");
	assert_int_equal(c.log_level, LEVEL_WARN);
	assert_int_equal(c.log_size, 1);
	assert_string_equal(c.user, "nobody");
	assert_false(c.sandbox);
	assert_origins(&c, origins);
	assert_string_equal(c.sockjs, "/sockjs.js");
	assert_int_equal(c.max_connections, 2);
	assert_int_equal(c.max_per_address, 3);
	assert_networks(c.trusted_proxies, proxies);
	assert_networks(c.monitor, monitor);
	assert_int_equal(c.max_peers, 4);
	assert_int_equal(c.max_packet, 5000);
	assert_int_equal(c.heartbeat, 6);
	assert_int_equal(c.handshake_timeout, 7);
}

static void
a_key_that_is_missing_keeps_its_value(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"Heartbeat\":7}");
	assert_int_equal(c.heartbeat, 7);
	c.heartbeat = 25;
	assert_defaults(&c);
	conf_default(&c);
	c.port = 99;
	write_file(path, BYTES("{\"Heartbeat\":7}"));
	assert_true(load_file(&c, path));
	assert_int_equal(c.port, 99);
}

static void
strings_remain_valid_without_the_file(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"Cert\":\"c.pem\",\"Origins\":[\"x://x\"]}");
	assert_int_equal(unlink(path), 0);
	assert_string_equal(c.cert, "c.pem");
	assert_string_equal(c.origins[0], "x://x");
}

/*
 * Numbers
 */

static const struct {
	const char *name;
	size_t at;
	uint32_t low, high;
} numbers[] = {
	{ "Port", offsetof(struct conf, port), 0, 65535 },
	{ "LogSize", offsetof(struct conf, log_size), 0, 2147483647 },
	{ "MaxConnections", offsetof(struct conf, max_connections), 1, 100000 },
	{ "MaxPerAddress", offsetof(struct conf, max_per_address), 1, 100000 },
	{ "MaxPeers", offsetof(struct conf, max_peers), 1, 256 },
	{ "MaxPacket", offsetof(struct conf, max_packet), 1024, 1048576 },
	{ "Heartbeat", offsetof(struct conf, heartbeat), 1, 3600 },
	{ "HandshakeTimeout", offsetof(struct conf, handshake_timeout), 1, 3600 },
};

static void
assert_number(size_t i, uint32_t number)
{
	struct conf c, defaults;
	char text[100];
	uint32_t seen;

	snprintf(text, sizeof text, "{\"%s\":%u}", numbers[i].name, (unsigned)number);
	load_valid(&c, text);
	memcpy(&seen, (const char *)&c + numbers[i].at, sizeof seen);
	assert_int_equal(seen, number);
	/* No other value has changed. */
	conf_default(&defaults);
	memcpy((char *)&c + numbers[i].at, (const char *)&defaults + numbers[i].at,
	       sizeof seen);
	assert_defaults(&c);
}

static void
assert_number_refused(size_t i, const char *value)
{
	char text[200], rule[200];

	snprintf(text, sizeof text, "{\n\n\"%s\": %s}", numbers[i].name, value);
	snprintf(rule, sizeof rule, "%s must be a whole number from %u to %u",
		 numbers[i].name, (unsigned)numbers[i].low, (unsigned)numbers[i].high);
	assert_invalid(text, 3, rule);
}

static void
a_number_may_be_at_its_limits(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		assert_number(i, numbers[i].low);
		assert_number(i, numbers[i].low + 1);
		assert_number(i, numbers[i].high - 1);
		assert_number(i, numbers[i].high);
	}
}

static void
a_number_past_its_limits_is_refused(void **state)
{
	char value[32];

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		if (numbers[i].low > 0) {
			snprintf(value, sizeof value, "%u", (unsigned)numbers[i].low - 1);
			assert_number_refused(i, value);
		}
		snprintf(value, sizeof value, "%u", (unsigned)numbers[i].high + 1);
		assert_number_refused(i, value);
		/* Valid if they were truncated to 32 or 64 bits. */
		snprintf(value, sizeof value, "%llu", (1ULL << 32) + numbers[i].high);
		assert_number_refused(i, value);
		assert_number_refused(i, "18446744073709552640");
		assert_number_refused(i, "99999999999999999999999999999999");
	}
}

static void
other_values_than_whole_numbers_are_refused(void **state)
{
	static const char *const values[] = {
		"-1",	"-0",	 "2000.0", "2e3", "2000e0", "\"2000\"", "\"\"",
		"true", "false", "null",   "[]",  "[2000]", "{}",	"{\"Port\":2000}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++)
		for (size_t k = 0; k < COUNT(values); k++)
			assert_number_refused(i, values[k]);
}

/*
 * TLS
 */

static void
tls_is_a_flag(void **state)
{
	static const char rule[] = "TLS must be true or false";
	struct conf c;

	(void)state;
	load_valid(&c, "{\"TLS\":false}");
	assert_false(c.tls);
	load_valid(&c, "{\"TLS\":true}");
	assert_true(c.tls);
	assert_invalid("{\n\"TLS\": 0}", 2, rule);
	assert_invalid("{\"TLS\":1}", 1, rule);
	assert_invalid("{\"TLS\":null}", 1, rule);
	assert_invalid("{\"TLS\":\"false\"}", 1, rule);
	assert_invalid("{\"TLS\":\"\"}", 1, rule);
	assert_invalid("{\"TLS\":[false]}", 1, rule);
}

static void
page_is_a_flag(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"Page\":true}");
	assert_true(c.page);
	assert_invalid("{\n\"Page\": \"/\"}", 2, "Page must be true or false");
}

static void
sandbox_is_a_flag(void **state)
{
	static const char rule[] = "Sandbox must be true or false";
	struct conf c;

	(void)state;
	load_valid(&c, "{\"Sandbox\":true}");
	assert_true(c.sandbox);
	assert_invalid("{\n\"Sandbox\": 1}", 2, rule);
	assert_invalid("{\"Sandbox\":\"false\"}", 1, rule);
}

/*
 * Strings
 */

static const struct {
	const char *name;
	size_t at;
	const char *rule;
} strings[] = {
	{ "Cert", offsetof(struct conf, cert), "a string without control characters" },
	{ "Key", offsetof(struct conf, key), "a string without control characters" },
	{ "Tokens", offsetof(struct conf, tokens),
	  "a string without control characters" },
	{ "User", offsetof(struct conf, user),
	  "a user of /etc/passwd, or \"\" to keep the user that starts the server" },
	{ "Host", offsetof(struct conf, host),
	  "an IPv4 or IPv6 address, or \"\" for all addresses" },
	{ "Prefix", offsetof(struct conf, prefix),
	  "\"\" or a path such as \"/echo\": begins with /, does not end with /, without "
	  "? # < > and space" },
	{ "Log", offsetof(struct conf, log),
	  "a file name of at most 1000 bytes, \"syslog\", \"-\" for stderr, or \"\" for "
	  "no log" },
	{ "SockJS", offsetof(struct conf, sockjs),
	  "\"\" or a URL of at most 1000 bytes that begins with http or /" },
};

static size_t
find_string(const char *name)
{
	size_t i = 0;

	while (strcmp(strings[i].name, name) != 0)
		i++;
	return i;
}

/* `written` is a JSON value. */
static void
assert_string(const char *name, const char *written, const char *expected)
{
	size_t i = find_string(name);
	char text[2000];
	const char *seen;
	struct conf c;

	snprintf(text, sizeof text, "{\"%s\":%s}", name, written);
	load_valid(&c, text);
	memcpy(&seen, (const char *)&c + strings[i].at, sizeof seen);
	assert_string_equal(seen, expected);
}

static void
assert_string_refused(const char *name, const char *written)
{
	char text[2000], rule[200];

	snprintf(text, sizeof text, "{\n\"%s\":\n%s}", name, written);
	snprintf(rule, sizeof rule, "%s must be %s", name,
		 strings[find_string(name)].rule);
	assert_invalid(text, 2, rule);
}

/* Checks valid and invalid strings for a key, given without quotes. */
static void
assert_strings(const char *name, const char *const *valid, size_t valid_count,
	       const char *const *invalid, size_t invalid_count)
{
	char written[100];

	for (size_t i = 0; i < valid_count; i++) {
		snprintf(written, sizeof written, "\"%s\"", valid[i]);
		assert_string(name, written, valid[i]);
	}
	for (size_t i = 0; i < invalid_count; i++) {
		snprintf(written, sizeof written, "\"%s\"", invalid[i]);
		assert_string_refused(name, written);
	}
}

static void
a_string_is_unescaped(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_string(strings[i].name, "\"\"", "");
		assert_string(strings[i].name, "\"a b\"", "a b");
		assert_string(strings[i].name,
			      "\"\\\"\\\\\\/\\u0041\\u00e4\\u20ac\\ud83d\\ude00\"",
			      "\"\\/A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
		assert_string(strings[i].name, "\"\xc3\xa4\\u0020\"", "\xc3\xa4 ");
	}
	assert_string("Prefix", "\"\\/echo\"", "/echo");
	assert_string("Host", "\"\\u003a:1\"", "::1");
	assert_string("Log", "\"\\u0073yslog\"", "syslog");
}

static void
other_values_than_strings_are_refused(void **state)
{
	static const char *const values[] = {
		"1", "true", "null", "[]", "[\"a\"]", "{}"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++)
		for (size_t k = 0; k < COUNT(values); k++)
			assert_string_refused(strings[i].name, values[k]);
}

static void
control_characters_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		for (unsigned byte = 0; byte < 0x20; byte++) {
			char value[32];
			snprintf(value, sizeof value, "\"/a\\u%04xb\"", byte);
			assert_string_refused(strings[i].name, value);
		}
		assert_string_refused(strings[i].name, "\"\\n\"");
		assert_string_refused(strings[i].name, "\"\\u0000\"");
	}
}

static void
half_a_surrogate_pair_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		assert_string_refused(strings[i].name, "\"/a\\ud800\"");
		assert_string_refused(strings[i].name, "\"/\\ude00\\ud83d\"");
	}
}

static void
a_user_must_be_in_etc_passwd(void **state)
{
	(void)state;
	assert_string("User", "\"\"", "");
	assert_string("User", "\"root\"", "root");
	assert_string("User", "\"nobody\"", "nobody");
	assert_string_refused("User", "\"nob\"");
	assert_string_refused("User", "\"nobody:x\"");
	assert_string_refused("User", "\"0\"");
}

static void
a_host_is_an_address(void **state)
{
	static const char *const valid[] = { "",	  "0.0.0.0",
					     "127.0.0.1", "255.255.255.255",
					     "::",	  "::1",
					     "fe80::1",	  "::ffff:127.0.0.1" };
	static const char *const invalid[] = { "localhost",    "127.0.0.256", "127.1",
					       "127.0.0.1:80", " ::1",	      "[::1]",
					       ":::",	       "1::2::3",     "*" };

	(void)state;
	assert_strings("Host", valid, COUNT(valid), invalid, COUNT(invalid));
}

static void
a_prefix_is_a_path_or_empty(void **state)
{
	static const char *const valid[] = { "",     "/echo",	 "/e", "/a/b.c-d_e~f",
					     "/%20", "/\xc3\xa4" };
	static const char *const invalid[] = { "/",    "echo",	 "/echo/", "/a b",
					       "/a?b", "/a#",	 " /a",	   "/a ",
					       "//",   "/a\x7f", "/a<",	   "/a>b" };

	(void)state;
	assert_strings("Prefix", valid, COUNT(valid), invalid, COUNT(invalid));
}

/* Returns a JSON string: `text`, filled up with x to `length` bytes. */
static const char *
long_string(const char *text, size_t length)
{
	static char written[2000];

	memset(written, 'x', sizeof written);
	written[0] = '"';
	memcpy(written + 1, text, strlen(text));
	written[length + 1] = '"';
	written[length + 2] = '\0';
	return written;
}

/* Checks that a string that begins with `text` may have 1000 bytes, and no more. */
static void
assert_at_most_1000(const char *name, const char *text)
{
	char expected[1001];

	assert_string_refused(name, long_string(text, 1001));
	memset(expected, 'x', 1000);
	memcpy(expected, text, strlen(text));
	expected[1000] = '\0';
	assert_string(name, long_string(text, 1000), expected);
}

static void
a_log_has_a_name_of_1000_bytes_at_most(void **state)
{
	(void)state;
	assert_string("Log", "\"\"", "");
	assert_string("Log", "\"-\"", "-");
	assert_string("Log", "\"syslog\"", "syslog");
	assert_string("Log", "\"/var/log/videre.log\"", "/var/log/videre.log");
	assert_int_equal(LOG_PATH_MAX, 1000);
	assert_at_most_1000("Log", "");
}

static void
sockjs_is_a_url_that_needs_no_escapes_in_a_page(void **state)
{
	static const char *const valid[] = {
		"/",
		"/a/sockjs.js?x=1&y#z",
		"http://a.example/s.js",
		"https://b",
		"/\xc3\xa4",
		"",
	};
	static const char *const invalid[] = { "sockjs.js", "ftp://a", " /a",	"/a ",
					       "/a b",	    "/a'b",    "/a<b",	"/a>b",
					       "/a\x7f",    "htt",     "/\\\"", "/\\\\",
					       "HTTP://a" };

	(void)state;
	assert_strings("SockJS", valid, COUNT(valid), invalid, COUNT(invalid));
	assert_at_most_1000("SockJS", "/");
	assert_at_most_1000("SockJS", "https://");
}

static void
a_log_level_is_one_of_the_names(void **state)
{
	static const char rule[] =
	    "LogLevel must be one of error, warn, info, debug, trace";
	static const char *const invalid[] = {
		"\"Debug\"", "\"\"", "\"debug \"",  "\"debu\"", "\"all\"",
		"3",	     "null", "[\"debug\"]", "true",	"\"debug\\u0000\""
	};
	char text[100];
	struct conf c;

	(void)state;
	for (uint32_t i = 0; log_levels[i] != NULL; i++) {
		snprintf(text, sizeof text, "{\"LogLevel\":\"%s\"}", log_levels[i]);
		load_valid(&c, text);
		assert_int_equal(c.log_level, i);
	}
	load_valid(&c, "{\"LogLevel\":\"\\u0069nfo\"}");
	assert_int_equal(c.log_level, LEVEL_INFO);
	for (size_t i = 0; i < COUNT(invalid); i++) {
		snprintf(text, sizeof text, "{\n\"LogLevel\":%s}", invalid[i]);
		assert_invalid(text, 2, rule);
	}
}

/*
 * Origins
 */

#define ORIGINS                                                                          \
	"Origins must be a list of at most 64 origins such as \"https://example.org\""

/* Returns a file with `count` origins. */
static const char *
origins_text(unsigned count)
{
	static char data[2000];
	struct text t;

	text_init(&t, data, sizeof data - 1);
	text_string(&t, "{\n\"Origins\":[");
	for (unsigned i = 0; i < count; i++) {
		text_string(&t, i > 0 ? ",\n\"o://" : "\n\"o://");
		text_number(&t, i);
		text_char(&t, '"');
	}
	text_string(&t, "],\n\"Port\":5}");
	data[t.length] = '\0';
	return data;
}

static void
origins_are_64_at_most(void **state)
{
	static const unsigned counts[] = { 0, 1, 2, 63, 64 };
	char expected[16];
	struct conf c;

	(void)state;
	for (size_t i = 0; i < COUNT(counts); i++) {
		load_valid(&c, origins_text(counts[i]));
		assert_int_equal(c.port, 5);
		for (unsigned k = 0; k < counts[i]; k++) {
			snprintf(expected, sizeof expected, "o://%u", k);
			assert_string_equal(c.origins[k], expected);
		}
		assert_null(c.origins[counts[i]]);
	}
	assert_refused(origins_text(65), 2, ORIGINS ", not more");
}

static void
origins_replace_the_previous_list(void **state)
{
	static const char *const origins[] = { "a://a", NULL };
	struct conf c;

	(void)state;
	conf_default(&c);
	for (unsigned i = 0; i < CONF_ORIGINS_MAX; i++)
		c.origins[i] = "before";
	write_file(path, BYTES("{\"Origins\":[\"a://a\"]}"));
	assert_true(load_file(&c, path));
	assert_origins(&c, origins);
	write_file(path, BYTES("{\"Origins\":[]}"));
	assert_true(load_file(&c, path));
	assert_origins(&c, origins + 1);
}

static void
origins_are_strings(void **state)
{
	static const char *const invalid[] = {
		"\"https://a.example\"",
		"1",
		"null",
		"{}",
		"[1]",
		"[null]",
		"[[]]",
		"[\"a\",1]",
		"[\"a\\u0000b\"]",
		"[\"\\n\"]",
		"[\"\\ud800\"]",
	};
	static const char *const escaped[] = { "https://aa", "null", NULL };
	char text[100];
	struct conf c;

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++) {
		snprintf(text, sizeof text, "{\"Origins\":%s}", invalid[i]);
		if (load(&c, text))
			fail_msg("%s is accepted", text);
		assert_rule(at_line(1), ORIGINS);
	}
	load_valid(&c, "{\"Origins\":[\"HTTPS:\\/\\/A\\u0041:443\",\"null\",]}");
	assert_origins(&c, escaped);
}

/*
 * TrustedProxies
 */

static bool
is_trusted(const struct conf *c, const char *text)
{
	struct socket_address address;

	assert_true(socket_read_address(span(text), &address));
	return socket_in_networks(&address, c->trusted_proxies);
}

static void
trusted_proxies_are_addresses_and_networks(void **state)
{
	static const struct {
		const char *list, *in, *out;
	} rows[] = {
		{ "\"127.0.0.1\"", "127.0.0.1", "127.0.0.2" },
		{ "\"10.0.0.0/8\"", "10.255.1.2", "11.0.0.0" },
		{ "\"10.1.2.3/8\"", "10.9.9.9", "9.1.2.3" },
		{ "\"192.168.4.0/22\"", "192.168.7.255", "192.168.8.0" },
		{ "\"192.0.2.6/31\"", "192.0.2.7", "192.0.2.5" },
		{ "\"192.0.2.6/32\"", "192.0.2.6", "192.0.2.7" },
		{ "\"0.0.0.0/0\"", "255.1.2.3", "::1" },
		{ "\"10.0.0.0/8\"", "::ffff:10.1.2.3", "a00::" },
		{ "\"::1\"", "::1", "::2" },
		{ "\"::/0\"", "2001:db8::1", "1.2.3.4" },
		{ "\"fd00::/8\"", "fdff::1", "fc00::1" },
		{ "\"2001:db8:0:fff0::/60\"", "2001:db8:0:ffff::1", "2001:db8:0:ffe0::" },
		{ "\"2001:db8::8/128\"", "2001:db8::8", "2001:db8::9" },
		{ "\"127.0.0.1\",\"fd00::/8\"", "fd00::1", "127.0.0.2" },
	};
	char text[100];
	struct conf c;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(text, sizeof text, "{\"TrustedProxies\":[%s]}", rows[i].list);
		load_valid(&c, text);
		if (!is_trusted(&c, rows[i].in) || is_trusted(&c, rows[i].out))
			fail_msg("%s", rows[i].list);
	}
	conf_default(&c);
	assert_false(is_trusted(&c, "127.0.0.1"));
	assert_true(load_file(&c, path));
	write_file(path, BYTES("{\"TrustedProxies\":[]}"));
	assert_true(load_file(&c, path));
	assert_false(is_trusted(&c, "127.0.0.1"));
}

static void
invalid_networks_and_more_than_16_are_refused(void **state)
{
	static const char *const invalid[] = {
		"\"10.0.0.0/8\"",
		"1",
		"[1]",
		"[\"\"]",
		"[\"/8\"]",
		"[\"proxy\"]",
		"[\"10.0.0\"]",
		"[\"10.0.0.0/\"]",
		"[\"10.0.0.0/33\"]",
		"[\"10.0.0.0/-1\"]",
		"[\"10.0.0.0/8/8\"]",
		"[\"10.0.0.0/255.0.0.0\"]",
		"[\"10.0.0.0 \"]",
		"[\"::1/129\"]",
		"[\"[::1]\"]",
		"[\"fe80::1%lo\"]",
		"[\"::ffff:10.0.0.0/104\"]",
		"[\"::ffff:10.0.0.0/8\"]",
		"[\"1234:1234:1234:1234:1234:1234:123.123.123.1234\"]",
		"[\"127.0.0.1\",\"x\"]",
	};
	char data[500];
	struct text t;
	struct conf c;

	(void)state;
	for (unsigned count = 16; count <= 17; count++) {
		text_init(&t, data, sizeof data - 1);
		text_string(&t, "{\"TrustedProxies\":[");
		for (unsigned i = 0; i < count; i++) {
			text_string(&t, i > 0 ? ",\"10.0.0." : "\"10.0.0.");
			text_number(&t, i);
			text_char(&t, '"');
		}
		text_string(&t, "]}");
		data[t.length] = '\0';
		assert_int_equal(load(&c, data), count == 16);
		assert_true(count > 16 || is_trusted(&c, "10.0.0.15"));
	}
	for (size_t i = 0; i < COUNT(invalid); i++) {
		snprintf(data, sizeof data, "{\"TrustedProxies\":%s}", invalid[i]);
		if (load(&c, data))
			fail_msg("%s is accepted", data);
		assert_rule(at_line(1), "TrustedProxies must be a list of at most 16 "
					"addresses or networks");
	}
}

/*
 * Monitor
 */

static bool
may_monitor(const struct conf *c, const char *text)
{
	struct socket_address address;

	assert_true(socket_read_address(span(text), &address));
	return socket_in_networks(&address, c->monitor);
}

static void
loopback_may_monitor_by_default(void **state)
{
	struct conf c;

	(void)state;
	conf_default(&c);
	assert_true(may_monitor(&c, "127.0.0.1") && may_monitor(&c, "127.255.255.254"));
	assert_true(may_monitor(&c, "::1") && may_monitor(&c, "::ffff:127.0.0.1"));
	assert_false(may_monitor(&c, "126.255.255.255") || may_monitor(&c, "128.0.0.0"));
	assert_false(may_monitor(&c, "::") || may_monitor(&c, "::2"));
	assert_false(may_monitor(&c, "7f00::"));
	load_valid(&c, "{\"Monitor\":[\"192.0.2.0/24\",\"fd00::/8\"]}");
	assert_true(may_monitor(&c, "192.0.2.9") && may_monitor(&c, "fd00::9"));
	assert_false(may_monitor(&c, "127.0.0.1") || may_monitor(&c, "::1"));
	assert_false(is_trusted(&c, "192.0.2.9"));
	load_valid(&c, "{\"Monitor\":[]}");
	assert_false(may_monitor(&c, "127.0.0.1") || may_monitor(&c, "::1"));
	load_valid(&c, "{\"TrustedProxies\":[\"192.0.2.9\"]}");
	assert_false(may_monitor(&c, "192.0.2.9"));
	assert_invalid("{\"Monitor\":\"::1\"}", 1,
		       "Monitor must be a list of at most 16 addresses or networks");
	assert_invalid("{\"Monitor\":[\"::1/129\"]}", 1,
		       "Monitor must be a list of at most 16 addresses or networks");
}

/*
 * ICE servers; ice_test.c has the URLs and objects
 */

#define SERVERS                                                                          \
	"IceServers must be a list of at most 16 URLs such as \"stun:example.org\", or " \
	"objects with urls, username and credential"

static void
ice_servers_are_urls_or_objects(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"IceServers\": [\"stun:\\u0061\", {\"urls\": \"turn:b\", "
		       "\"username\": \"u\", \"credential\": \"c\"}, ]}");
	assert_string_equal(c.ice_servers[0].url, "stun:a");
	assert_string_equal(c.ice_servers[1].url, "turn:b");
	assert_string_equal(c.ice_servers[1].username, "u");
	assert_string_equal(c.ice_servers[1].credential, "c");
	assert_null(c.ice_servers[2].url);
	assert_refused("{\n\"IceServers\":[\"stun:a\",\"turn://host\"]}", 2,
		       SERVERS ": entry 2: \"turn://host\" has slashes, write "
			       "\"turn:host\"");
	assert_refused("{\"IceServers\":\"turn:a:SECRET@b\"}", 1,
		       SERVERS ", not a string");
	assert_refused("{\"IceServers\":{\"credential\":\"secret\"}}", 1,
		       SERVERS ", not an object");
}

/* Whatever the order of the two keys. */
static void
a_turn_url_without_credentials_needs_turn_secret(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"IceServers\":[\"turn:a\"],\"TurnSecret\":\"s\"}");
	load_valid(&c, "{\"TurnSecret\":\"s\",\"IceServers\":[\"turns:a\"]}");
	load_valid(&c, "{\"TurnSecret\":\"s\"}");
	assert_false(load(&c, "{\"TurnSecret\":\"\",\"IceServers\":[\"turn:a\"]}"));
	assert_string_equal(without_line(),
			    "a turn: or turns: URL of IceServers has no credentials: set "
			    "TurnSecret, or write an object with urls, username and "
			    "credential");
}

/*
 * Keys
 */

#define KEYS                                                                             \
	"the keys are Port, TLS, Cert, Key, Tokens, IceServers, TurnSecret, Host, "      \
	"Prefix, Page, Log, LogLevel, "                                                  \
	"LogSize, "                                                                      \
	"User, Sandbox, Origins, SockJS, MaxConnections, MaxPerAddress, "                \
	"TrustedProxies, Monitor, "                                                      \
	"MaxPeers, MaxPacket, Heartbeat, HandshakeTimeout"

static void
an_unknown_key_is_refused(void **state)
{
	(void)state;
	assert_refused("{\n\"port\": 1}", 2, "unknown key \"port\"; " KEYS);
	assert_refused("{\"\": 1}", 1, "unknown key \"\"; " KEYS);
	assert_refused("{\"Port\": 1,\n\n\n \"Ports\":\n {}}", 4,
		       "unknown key \"Ports\"; " KEYS);
	assert_refused("{\"Port\\u0000\": 1}", 1,
		       "unknown key \"Port\\x5cu0000\"; " KEYS);
	assert_refused("{\"Port \": 1}", 1, "unknown key \"Port \"; " KEYS);
	/* Unknown keys are printed escaped and truncated. */
	assert_refused("{\"\xc3\xa4\x7f\": 1}", 1,
		       "unknown key \"\\xc3\\xa4\\x7f\"; " KEYS);
	assert_refused(
	    "{\"12345678901234567890123456789012345678901\": 1}", 1,
	    "unknown key \"1234567890123456789012345678901234567890...\"; " KEYS);
}

static void
a_key_may_have_escapes(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"\\u0050or\\u0074\":7,"
		       "\"\\u004dax\\u0050\\u0065\\u0065\\u0072\\u0073\":8}");
	assert_int_equal(c.port, 7);
	assert_int_equal(c.max_peers, 8);
	assert_invalid("{\"P\\u006frt\":-1}", 1,
		       "Port must be a whole number from 0 to 65535");
}

static void
a_key_given_twice_is_refused(void **state)
{
	(void)state;
	assert_refused("{\"Port\": 1,\n\"Heartbeat\":1,\n\"Port\": 1}", 3,
		       "Port is given twice");
	assert_refused("{\"Port\": 1,\n\"P\\u006frt\": 2}", 2, "Port is given twice");
	assert_refused("{\"Port\": 1,\n\"Port\": \"x\"}", 2, "Port is given twice");
	assert_refused("{\"HandshakeTimeout\":1,\n\"HandshakeTimeout\":1}", 2,
		       "HandshakeTimeout is given twice");
}

/* Duplicate keys are refused within one file only. */
static void
a_second_file_may_have_the_same_keys(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"Port\":1}");
	load_valid(&c, "{\"Port\":2}");
	assert_int_equal(c.port, 2);
}

static void
an_error_is_reported_with_the_line_of_its_key(void **state)
{
	(void)state;
	assert_invalid(
	    "{\n\"Cert\": \"a\",\r\n\"Origins\": [\n\"\\u0041://a\",\n\"b://b\"\n],\n"
	    "\n\"Heartbeat\":\n\n0\n}",
	    8, "Heartbeat must be a whole number from 1 to 3600");
}

static void
an_error_names_the_value(void **state)
{
	static const char port[] = "Port must be a whole number from 0 to 65535, not ";
	static const char proxies[] =
	    "TrustedProxies must be a list of at most 16 addresses or networks, not ";
	static const struct {
		const char *text, *rule, *value;
	} errors[] = {
		{ "{\"Port\":\"abc\"}", port, "\"abc\"" },
		{ "{\"Port\":65536}", port, "65536" },
		{ "{\"Port\": [ 1,\n2 ] }", port, "[ 1,\\x0a2 ]" },
		{ "{\"Port\":\"\xc3\xa4\"}", port, "\"\\xc3\\xa4\"" },
		{ "{\"Port\":\"\"}", port, "\"\"" },
		{ "{\"Port\":\"1234567890123456789012345678901234567890\"}", port,
		  "\"1234567890123456789012345678901234567890\"" },
		{ "{\"Port\":\"12345678901234567890123456789012345678901\"}", port,
		  "\"1234567890123456789012345678901234567890...\"" },
		{ "{\"TLS\":\"yes\"}", "TLS must be true or false, not ", "\"yes\"" },
		{ "{\"TrustedProxies\":\"::1\"}", proxies, "\"::1\"" },
		{ "{\"TrustedProxies\":[\"::1\",2]}", proxies, "2" },
		{ "{\"TrustedProxies\":[\"::1\",\"10.0.0.0/33\",\"::1\"]}", proxies,
		  "\"10.0.0.0/33\"" },
		{ "{\"Origins\":[\"https://a\",null]}", ORIGINS ", not ", "null" },
		{ "{\"Origins\":[\"https://a\",\"https://b/\"]}", ORIGINS ": ",
		  "\"https://b/\" has a path, write \"https://b\"" },
	};
	char expected[300];

	(void)state;
	for (size_t i = 0; i < COUNT(errors); i++) {
		snprintf(expected, sizeof expected, "%s%s", errors[i].rule,
			 errors[i].value);
		assert_refused(errors[i].text, 1, expected);
	}
}

/*
 * Invalid JSON
 */

static void
a_trailing_comma_is_accepted(void **state)
{
	static const char *const origins[] = { "a://a", NULL };
	struct conf c;

	(void)state;
	load_valid(&c, "{\n\"Origins\": [\"a://a\", ],\n\"Port\": 5,\n}\n");
	assert_int_equal(c.port, 5);
	assert_origins(&c, origins);
}

static void
a_syntax_error_is_reported_with_its_line(void **state)
{
	(void)state;
	assert_refused("{\n\"Port\" 5\n}", 2, "not JSON at \"5\\x0a}\"");
	assert_refused("{\n\"Port\": 5\n\"Heartbeat\": 1\n}", 3,
		       "not JSON at \"\"Heartbeat\"");
	assert_refused("{\n\"Port\":\n\n05}", 4, "not JSON at \"5}\"");
	assert_refused("{\nPort: 5\n}", 2, "not JSON at \"Port: 5\\x0a}\"");
	assert_refused("{\n// none\n}", 2, "not JSON at \"// none\\x0a}\"");
	assert_refused("{\n\"Port\": 5,,\n}", 2, "not JSON at \",\\x0a}\"");
	assert_refused("{,}", 1, "not JSON at \",}\"");
	assert_refused("{\"Cert\": \"a\n\"}", 1, "not JSON at \"\\x0a\"}\"");
	assert_refused("{\"Cert\":\n\"a\tb\"}", 2, "not JSON at \"\\x09b\"}\"");
	assert_refused("{\"Cert\":\n\"\\x\"}", 2, "not JSON at \"x\"}\"");
	assert_refused("{}\n\n{}", 3, "not JSON at \"{}\"");
	assert_refused("\xef\xbb\xbf\xef\xbb\xbf{}", 1,
		       "not JSON at \"\\xef\\xbb\\xbf{}\"");
	assert_refused("\n\n123456789012", 3, "not JSON at \"1234567890\"");
}

static void
only_an_object_is_a_configuration(void **state)
{
	static const char *const texts[] = { "[]", "null", "\"Port\"", "1111", "[{}]" };
	struct conf c;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_false(load(&c, texts[i]));
		at_line(1);
	}
}

static void
a_truncated_file_is_refused_with_its_last_line(void **state)
{
	static const char text[] = "{\n\"Port\": 5,\n\"Origins\": [\n\"a://a\", "
				   "\"\\u0041://a\"], \"TLS\": false\n}";
	static const char early[] = "the file ends too early";
	struct conf c;

	(void)state;
	for (size_t length = 0; length < sizeof text - 1; length++) {
		unsigned line = 1;
		for (size_t i = 0; i < length; i++)
			line += text[i] == '\n';
		assert_false(load_bytes(&c, text, length));
		assert_string_equal(at_line(line), early);
	}
	load_valid(&c, text);
	assert_refused("", 1, early);
	assert_refused(" \n\n", 3, early);
}

static void
zero_bytes_are_refused(void **state)
{
	struct conf c;

	(void)state;
	assert_false(load_bytes(&c, BYTES("{\n\"Port\":5}\0")));
	assert_string_equal(at_line(2), "not JSON at \"\\x00\"");
	assert_false(load_bytes(&c, BYTES("{\n\"Cert\":\"a\0b\"}")));
	assert_string_equal(at_line(2), "not JSON at \"\\x00b\"}\"");
	assert_false(load_bytes(&c, BYTES("\0")));
	assert_string_equal(at_line(1), "not JSON at \"\\x00\"");
}

static void
too_many_levels_are_refused(void **state)
{
	char text[200];
	struct text t;
	struct conf c;

	(void)state;
	for (unsigned arrays = 31; arrays <= 32; arrays++) {
		text_init(&t, text, sizeof text);
		text_string(&t, "{\n\"Port\":");
		for (unsigned i = 0; i < arrays; i++)
			text_char(&t, '[');
		for (unsigned i = 0; i < arrays; i++)
			text_char(&t, ']');
		text_char(&t, '}');
		assert_false(load_bytes(&c, t.data, t.length));
		if (arrays == 32)
			assert_string_equal(at_line(2), "nested too deep");
		else
			assert_rule(at_line(2),
				    "Port must be a whole number from 0 to 65535");
	}
}

static void
a_text_that_is_not_utf_8_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} texts[] = {
		{ BYTES("\xff") },
		{ BYTES("{\"Cert\":\"\xe4\"}") },
		{ BYTES("{\"Cert\":\"\xc0\xaf\"}") },
		{ BYTES("{\"Cert\":\"\xed\xa0\x80\"}") },
		{ BYTES("{\"Cert\":\"\xf4\x90\x80\x80\"}") },
		{ BYTES("{\"\x80\":1}") },
		{ BYTES("{}\xe2\x82") },
		{ BYTES("\xff\xfe{\0}\0") },
	};
	struct conf c;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		assert_false(load_bytes(&c, texts[i].text, texts[i].length));
		assert_string_equal(at_line(1), "not UTF-8");
	}
}

static void
invalid_utf_8_is_reported_with_its_line(void **state)
{
	struct conf c;

	(void)state;
	assert_false(load(&c, "{\n\"Port\": 5,\n\"Cert\": \"\xe4\"\n}\n"));
	assert_string_equal(at_line(3), "not UTF-8");
	assert_false(load(&c, "{\n}\n\n\xe2\x82"));
	assert_string_equal(at_line(4), "not UTF-8");
}

/*
 * Files
 */

static void
a_file_of_16384_bytes_is_read_and_a_longer_one_refused(void **state)
{
	static char text[CONF_FILE_MAX + 100];
	struct conf c;

	(void)state;
	assert_int_equal(CONF_FILE_MAX, 16384);
	memset(text, ' ', sizeof text);
	memcpy(text, "{\"Port\":5,", 10);
	text[CONF_FILE_MAX - 1] = '}';
	assert_true(load_bytes(&c, text, CONF_FILE_MAX));
	assert_int_equal(c.port, 5);
	assert_false(load_bytes(&c, text, CONF_FILE_MAX + 1));
	assert_string_equal(without_line(), "longer than 16384 bytes");
	assert_false(load_bytes(&c, text, sizeof text));
	assert_string_equal(without_line(), "longer than 16384 bytes");
}

static void
the_longest_string_is_read(void **state)
{
	static char text[CONF_FILE_MAX], expected[CONF_FILE_MAX];
	const size_t length = CONF_FILE_MAX - (sizeof "{\"Cert\":\"\"}" - 1);
	struct conf c;

	(void)state;
	memset(expected, 'x', length);
	memcpy(text, "{\"Cert\":\"", 9);
	memset(text + 9, 'x', length);
	memcpy(text + CONF_FILE_MAX - 2, "\"}", 2);
	assert_true(load_bytes(&c, text, CONF_FILE_MAX));
	assert_string_equal(c.cert, expected);
}

static void
a_short_file_does_not_see_the_previous_longer_one(void **state)
{
	struct conf c;

	(void)state;
	load_valid(&c, "{\"Port\":5}      ");
	assert_refused("{\"Port\":5", 1, "the file ends too early");
	assert_refused("{\"Port\":5}x", 1, "not JSON at \"x\"");
	load_valid(&c, "{\"Port\":5}");
}

static void
a_missing_file_is_an_error(void **state)
{
	struct conf c;

	(void)state;
	unlink(path);
	conf_default(&c);
	assert_false(load_file(&c, path));
	assert_string_equal(without_line(), "No such file or directory");
	assert_defaults(&c);
}

static void
a_directory_is_an_error(void **state)
{
	struct conf c;

	(void)state;
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	conf_default(&c);
	bool loaded = load_file(&c, path);
	assert_int_equal(rmdir(path), 0);
	assert_false(loaded);
	assert_string_equal(without_line(), "Is a directory");
}

static void
a_fifo_without_a_writer_does_not_block(void **state)
{
	struct conf c;

	(void)state;
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	conf_default(&c);
	alarm(20);
	bool loaded = load_file(&c, path);
	alarm(0);
	assert_false(loaded);
	at_line(1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_object_leaves_all_defaults),
		cmocka_unit_test(the_shipped_file_has_the_defaults),
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(a_key_that_is_missing_keeps_its_value),
		cmocka_unit_test(strings_remain_valid_without_the_file),
		cmocka_unit_test(a_number_may_be_at_its_limits),
		cmocka_unit_test(a_number_past_its_limits_is_refused),
		cmocka_unit_test(other_values_than_whole_numbers_are_refused),
		cmocka_unit_test(tls_is_a_flag),
		cmocka_unit_test(page_is_a_flag),
		cmocka_unit_test(sandbox_is_a_flag),
		cmocka_unit_test(a_string_is_unescaped),
		cmocka_unit_test(other_values_than_strings_are_refused),
		cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(half_a_surrogate_pair_is_refused),
		cmocka_unit_test(a_user_must_be_in_etc_passwd),
		cmocka_unit_test(a_host_is_an_address),
		cmocka_unit_test(a_prefix_is_a_path_or_empty),
		cmocka_unit_test(a_log_has_a_name_of_1000_bytes_at_most),
		cmocka_unit_test(sockjs_is_a_url_that_needs_no_escapes_in_a_page),
		cmocka_unit_test(a_log_level_is_one_of_the_names),
		cmocka_unit_test(origins_are_64_at_most),
		cmocka_unit_test(origins_replace_the_previous_list),
		cmocka_unit_test(origins_are_strings),
		cmocka_unit_test(trusted_proxies_are_addresses_and_networks),
		cmocka_unit_test(invalid_networks_and_more_than_16_are_refused),
		cmocka_unit_test(loopback_may_monitor_by_default),
		cmocka_unit_test(ice_servers_are_urls_or_objects),
		cmocka_unit_test(a_turn_url_without_credentials_needs_turn_secret),
		cmocka_unit_test(an_unknown_key_is_refused),
		cmocka_unit_test(a_key_may_have_escapes),
		cmocka_unit_test(a_key_given_twice_is_refused),
		cmocka_unit_test(a_second_file_may_have_the_same_keys),
		cmocka_unit_test(an_error_is_reported_with_the_line_of_its_key),
		cmocka_unit_test(an_error_names_the_value),
		cmocka_unit_test(a_trailing_comma_is_accepted),
		cmocka_unit_test(a_syntax_error_is_reported_with_its_line),
		cmocka_unit_test(only_an_object_is_a_configuration),
		cmocka_unit_test(a_truncated_file_is_refused_with_its_last_line),
		cmocka_unit_test(zero_bytes_are_refused),
		cmocka_unit_test(too_many_levels_are_refused),
		cmocka_unit_test(a_text_that_is_not_utf_8_is_refused),
		cmocka_unit_test(invalid_utf_8_is_reported_with_its_line),
		cmocka_unit_test(a_file_of_16384_bytes_is_read_and_a_longer_one_refused),
		cmocka_unit_test(the_longest_string_is_read),
		cmocka_unit_test(a_short_file_does_not_see_the_previous_longer_one),
		cmocka_unit_test(a_missing_file_is_an_error),
		cmocka_unit_test(a_directory_is_an_error),
		cmocka_unit_test(a_fifo_without_a_writer_does_not_block),
	};

	return cmocka_run_group_tests_name("conf", tests, make_directory,
					   remove_directory);
}
