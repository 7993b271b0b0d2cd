#include "conf.h"

#include "json.h"
#include "origin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#ifndef HAVE_TLS
#define HAVE_TLS 1
#endif

enum kind { FLAG, NUMBER, STRING, LEVEL, ORIGINS, NETWORKS, SERVERS };

static bool valid_host(struct span);
static bool valid_prefix(struct span);
static bool valid_log(struct span);
static bool valid_user(struct span);
static bool valid_url(struct span);

static const struct key {
	const char *name;
	enum kind kind;
	size_t at;	    /* offset in struct conf */
	uint32_t low, high; /* limits of a number; a FLAG with high 0 must be false */
	bool (*valid)(struct span); /* checks a string, or NULL */
	const char *rule;	    /* describes the valid strings, for error texts */
} keys[] = {
	{ "Port", NUMBER, offsetof(struct conf, port), 0, 65535, NULL, NULL },
	{ "TLS", FLAG, offsetof(struct conf, tls), 0, HAVE_TLS, NULL, NULL },
	{ "Cert", STRING, offsetof(struct conf, cert), 0, 0, NULL, NULL },
	{ "Key", STRING, offsetof(struct conf, key), 0, 0, NULL, NULL },
	{ "Tokens", STRING, offsetof(struct conf, tokens), 0, 0, NULL, NULL },
	{ "IceServers", SERVERS, offsetof(struct conf, ice_servers), 0, 0, NULL, NULL },
	{ "TurnSecret", STRING, offsetof(struct conf, turn_secret), 0, 0, NULL, NULL },
	{ "Host", STRING, offsetof(struct conf, host), 0, 0, valid_host,
	  "an IPv4 or IPv6 address, or \"\" for all addresses" },
	{ "Prefix", STRING, offsetof(struct conf, prefix), 0, 0, valid_prefix,
	  "\"\" or a path such as \"/echo\": begins with /, does not end with /, without "
	  "? # < > and space" },
	{ "Page", FLAG, offsetof(struct conf, page), 0, 1, NULL, NULL },
	{ "Log", STRING, offsetof(struct conf, log), 0, 0, valid_log,
	  "a file name of at most 1000 bytes, \"syslog\", \"-\" for stderr, or \"\" for "
	  "no log" },
	{ "LogLevel", LEVEL, offsetof(struct conf, log_level), 0, 0, NULL, NULL },
	{ "LogSize", NUMBER, offsetof(struct conf, log_size), 0, INT32_MAX, NULL, NULL },
	{ "User", STRING, offsetof(struct conf, user), 0, 0, valid_user,
	  "a user of /etc/passwd, or \"\" to keep the user that starts the server" },
	{ "Sandbox", FLAG, offsetof(struct conf, sandbox), 0, 1, NULL, NULL },
	{ "Origins", ORIGINS, offsetof(struct conf, origins), 0, 0, NULL, NULL },
	{ "SockJS", STRING, offsetof(struct conf, sockjs), 0, 0, valid_url,
	  "\"\" or a URL of at most 1000 bytes that begins with http or /" },
	{ "MaxConnections", NUMBER, offsetof(struct conf, max_connections), 1, 100000,
	  NULL, NULL },
	{ "MaxPerAddress", NUMBER, offsetof(struct conf, max_per_address), 1, 100000,
	  NULL, NULL },
	{ "TrustedProxies", NETWORKS, offsetof(struct conf, trusted_proxies), 0, 0, NULL,
	  NULL },
	{ "Monitor", NETWORKS, offsetof(struct conf, monitor), 0, 0, NULL, NULL },
	{ "MaxPeers", NUMBER, offsetof(struct conf, max_peers), 1, 256, NULL, NULL },
	{ "MaxPacket", NUMBER, offsetof(struct conf, max_packet), 1024, 1048576, NULL,
	  NULL },
	{ "Heartbeat", NUMBER, offsetof(struct conf, heartbeat), 1, 3600, NULL, NULL },
	{ "HandshakeTimeout", NUMBER, offsetof(struct conf, handshake_timeout), 1, 3600,
	  NULL, NULL },
};

enum { KEYS = sizeof keys / sizeof *keys };

enum { SHOWN = 40 }; /* maximum size of a name or value in an error, in bytes */

/* What is wrong with the value that is being read, for its error. */
static char fault_data[640];
static struct text fault;

/* The text of the file.  Its strings are unescaped and terminated in place. */
static char file_text[CONF_FILE_MAX + 1];

void
conf_default(struct conf *c)
{
	*c = (struct conf){
		.port = 1111,
		.cert = "",
		.key = "",
		.tokens = "",
		.turn_secret = "",
		.host = "",
		.prefix = "/echo",
		.page = HAVE_PAGE,
		.log = "log/debug.log",
		.log_level = LEVEL_DEBUG,
		.log_size = 1048576,
		.user = "",
		.sandbox = true,
		.sockjs = CONF_SOCKJS,
		.max_connections = 256,
		.max_per_address = 64,
		.monitor = { { 4, 8, { 127 } }, { 16, 128, { [15] = 1 } } },
		.max_peers = 16,
		.max_packet = 65536,
		.heartbeat = 25,
		.handshake_timeout = 10,
	};
}

static bool
valid_host(struct span s)
{
	unsigned char address[16];

	return s.length == 0 || inet_pton(AF_INET, s.data, address) == 1 ||
	       inet_pton(AF_INET6, s.data, address) == 1;
}

static bool
valid_prefix(struct span s)
{
	if (s.length == 0)
		return true;
	for (size_t i = 0; i < s.length; i++)
		if ((unsigned char)s.data[i] <= 0x20 ||
		    strchr("?#<>\x7f", s.data[i]) != NULL)
			return false;
	return s.data[0] == '/' && s.data[s.length - 1] != '/';
}

/*
 * /etc/passwd and /etc/group: lines of fields between colons.  They are read in pieces,
 * because the files and their lines can have any length.
 */

struct lines {
	int fd;
	size_t at, length; /* of `data`: offset of the next byte, bytes present */
	char data[512];
};

/* Returns the next byte, or -1 at the end of the file or after a failure. */
static int
next_byte(struct lines *l)
{
	if (l->at == l->length) {
		ssize_t n = l->fd < 0 ? 0 : read(l->fd, l->data, sizeof l->data);
		if (n <= 0)
			return -1;
		l->at = 0;
		l->length = (size_t)n;
	}
	return (unsigned char)l->data[l->at++];
}

/* A line, compared with the name that is searched for. */
struct line {
	bool named;	/* field 0 is the name */
	bool listed;	/* field 3, a list with commas, contains the name */
	int64_t ids[4]; /* fields 0 to 3 as ids; NO_ID if a field is not an id */
};

enum { NO_ID = -1 };

/* Reads a field and compares it with the name.  Returns the separator after it, or -1 at
 * the end of the file. */
static int
read_field(struct lines *l, const char *name, bool *same, int64_t *id)
{
	size_t length = 0;
	int c;

	*same = true;
	*id = 0;
	while ((c = next_byte(l)) >= 0 && memchr(":,\n", c, 3) == NULL) {
		*same = *same && c != '\0' && (unsigned char)name[length] == c;
		*id = c < '0' || c > '9' || *id == NO_ID ? NO_ID : 10 * *id + c - '0';
		if (*id >= UINT32_MAX) /* (uid_t)-1 is not an id */
			*id = NO_ID;
		length++;
	}
	*same = *same && name[length] == '\0';
	if (length == 0)
		*id = NO_ID;
	return c;
}

/* Reads a line.  Returns false if it was the last one. */
static bool
read_line(struct lines *l, const char *name, struct line *line)
{
	unsigned field = 0;
	int end;

	*line = (struct line){ .ids = { NO_ID, NO_ID, NO_ID, NO_ID } };
	do {
		bool same;
		int64_t id;
		end = read_field(l, name, &same, &id);
		if (field == 0)
			line->named = same;
		if (field == 3)
			line->listed |= same;
		if (field < 4)
			line->ids[field] = id;
		field += end == ':';
	} while (end == ':' || end == ',');
	return end >= 0;
}

/* NAME:PASSWORD:USER:GROUP:... */
bool
conf_find_user(const char *name, uint32_t *user, uint32_t *group)
{
	struct lines l = { .fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC) };
	bool more, found;

	do {
		struct line line;
		more = read_line(&l, name, &line);
		found = line.named && line.ids[2] != NO_ID && line.ids[3] != NO_ID;
		if (found) {
			*user = (uint32_t)line.ids[2];
			*group = (uint32_t)line.ids[3];
		}
	} while (more && !found);
	close(l.fd);
	return found;
}

/* NAME:PASSWORD:GROUP:USER,USER,... */
size_t
conf_find_groups(const char *name, uint32_t group, uint32_t groups[CONF_GROUPS_MAX])
{
	struct lines l = { .fd = open("/etc/group", O_RDONLY | O_CLOEXEC) };
	size_t count = 1;
	bool more;

	groups[0] = group;
	do {
		struct line line;
		more = read_line(&l, name, &line);
		if (!line.listed || line.ids[2] == NO_ID)
			continue;
		if (count < CONF_GROUPS_MAX)
			groups[count] = (uint32_t)line.ids[2];
		count++;
	} while (more);
	close(l.fd);
	return count;
}

static bool
valid_user(struct span s)
{
	uint32_t user, group;

	return s.length == 0 || conf_find_user(s.data, &user, &group);
}

static bool
valid_log(struct span s)
{
	return s.length <= LOG_PATH_MAX;
}

/* The page contains the URL without escapes. */
static bool
valid_url(struct span s)
{
	enum { URL = 1000 }; /* maximum size, in bytes */

	for (size_t i = 0; i < s.length; i++)
		if ((unsigned char)s.data[i] <= 0x20 ||
		    strchr("\"'<>\\\x7f", s.data[i]) != NULL)
			return false;
	return s.length == 0 ||
	       (s.length <= URL && (*s.data == '/' || strncmp(s.data, "http", 4) == 0));
}

static const struct key *
find_key(struct span name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (json_equal(name, keys[i].name))
			return &keys[i];
	return NULL;
}

/* Adds "FILE:LINE: " for a position in the text. */
static void
put_place(struct text *error, const char *file, const char *at)
{
	uint64_t line = 1;

	for (const char *p = file_text; p < at; p++)
		line += *p == '\n';
	text_string(error, file);
	text_char(error, ':');
	text_number(error, line);
	text_string(error, ": ");
}

/* Adds a description of the values that are valid for a key. */
static void
put_rule(struct text *error, const struct key *k)
{
	switch (k->kind) {
	case FLAG:
		text_string(error, k->high > 0 ? "true or false"
					       : "false: TLS is not in this build");
		break;
	case NUMBER:
		text_string(error, "a whole number from ");
		text_number(error, k->low);
		text_string(error, " to ");
		text_number(error, k->high);
		break;
	case STRING:
		text_string(error, k->rule != NULL
				       ? k->rule
				       : "a string without control characters");
		break;
	case LEVEL:
		text_string(error, "one of");
		for (size_t i = 0; log_levels[i] != NULL; i++) {
			text_string(error, i > 0 ? ", " : " ");
			text_string(error, log_levels[i]);
		}
		break;
	case ORIGINS:
		text_string(error, "a list of at most 64 origins such as "
				   "\"https://example.org\"");
		break;
	case NETWORKS:
		text_string(error, "a list of at most 16 addresses or networks");
		break;
	case SERVERS:
		text_string(error, "a list of at most 16 URLs such as "
				   "\"stun:example.org\", or objects with urls, "
				   "username and credential");
		break;
	}
}

static void
begin_fault(const char *text)
{
	text_init(&fault, fault_data, sizeof fault_data);
	text_string(&fault, text);
}

/* Makes a value the fault, before it is read: reading can change it. */
static void
suspect(struct span value)
{
	begin_fault(", not ");
	if (*value.data == '"')
		text_quoted(&fault, json_contents(value), SHOWN);
	else
		text_escaped(&fault, value.data, value.length, SHOWN);
}

static bool
read_strings(const char **strings, size_t max, struct span value)
{
	struct json list;
	struct span item;
	size_t count = 0;
	bool end;

	json_init(&list, file_text + (value.data - file_text), value.length);
	if (!json_enter(&list, '['))
		return false;
	while (json_element(&list, &item, &end)) {
		suspect(item);
		if (count == max) {
			begin_fault(", not more");
			return false;
		}
		if ((strings[count] = json_terminate(item)) == NULL)
			return false;
		count++;
	}
	strings[count] = NULL;
	return true;
}

static bool
read_origins(const char **origins, struct span value)
{
	if (!read_strings(origins, CONF_ORIGINS_MAX, value))
		return false;
	for (size_t i = 0; origins[i] != NULL; i++) {
		begin_fault(": ");
		if (!origin_normalize(file_text + (origins[i] - file_text), &fault))
			return false;
	}
	return true;
}

/*
 * Reads ADDRESS or ADDRESS/BITS.  Also returns false for an IPv4-mapped IPv6 address: its
 * BITS could refer to the IPv4 or to the IPv6 address.
 */
static bool
read_network(struct socket_network *network, const char *string)
{
	const char *slash = strchr(string, '/');
	struct span host = { string,
			     slash != NULL ? (size_t)(slash - string) : strlen(string) };
	struct socket_address address;

	if (!socket_read_address(host, &address) ||
	    (address.length == 4 && memchr(host.data, ':', host.length) != NULL))
		return false;
	uint64_t bits = address.length * 8;
	if (slash != NULL &&
	    !text_to_number((struct span){ slash + 1, strlen(slash + 1) }, bits, &bits))
		return false;
	network->length = address.length;
	network->bits = (uint8_t)bits;
	memcpy(network->bytes, address.bytes, sizeof network->bytes);
	return true;
}

static bool
read_networks(struct socket_network *networks, struct span value)
{
	const char *strings[CONF_NETWORKS_MAX + 1];
	size_t count = 0;

	if (!read_strings(strings, CONF_NETWORKS_MAX, value))
		return false;
	for (; strings[count] != NULL; count++) {
		struct span string = { strings[count], strlen(strings[count]) };
		begin_fault(", not ");
		text_quoted(&fault, string, SHOWN);
		if (!read_network(&networks[count], strings[count]))
			return false;
	}
	networks[count].length = 0;
	return true;
}

static bool
read_level(uint32_t *level, const char *name)
{
	for (uint32_t i = 0; name != NULL && log_levels[i] != NULL; i++)
		if (strcmp(name, log_levels[i]) == 0) {
			*level = i;
			return true;
		}
	return false;
}

static bool
read_value(struct conf *c, const struct key *k, struct span value)
{
	void *place = (char *)c + k->at;
	uint64_t number;

	switch (k->kind) {
	case FLAG:
		*(bool *)place = span_is(value, "true");
		return span_is(value, "false") || (k->high > 0 && span_is(value, "true"));
	case NUMBER:
		if (!text_to_number(value, k->high, &number) || number < k->low)
			return false;
		*(uint32_t *)place = (uint32_t)number;
		return true;
	case STRING: {
		const char *string = json_terminate(value);
		if (string == NULL || (k->valid != NULL && !k->valid((struct span){
							       string, strlen(string) })))
			return false;
		*(const char **)place = string;
		return true;
	}
	case LEVEL: return read_level(place, json_terminate(value));
	case ORIGINS: return read_origins(place, value);
	case NETWORKS: return read_networks(place, value);
	case SERVERS: return ice_servers_read(place, value, &fault);
	}
	return false;
}

static bool
read_member(struct conf *c, const char *file, struct span name, struct span value,
	    uint32_t *seen, struct text *error)
{
	const struct key *k = find_key(name);

	if (k == NULL) {
		put_place(error, file, name.data);
		text_string(error, "unknown key \"");
		text_escaped(error, name.data, name.length, SHOWN);
		text_string(error, "\"; the keys are");
		for (size_t i = 0; i < KEYS; i++) {
			text_string(error, i > 0 ? ", " : " ");
			text_string(error, keys[i].name);
		}
		return false;
	}
	uint32_t bit = UINT32_C(1) << (k - keys);
	bool again = (*seen & bit) != 0;
	*seen |= bit;
	suspect(value);
	if (!again && read_value(c, k, value))
		return true;
	put_place(error, file, name.data);
	text_string(error, k->name);
	text_string(error, again ? " is given twice" : " must be ");
	if (!again) {
		put_rule(error, k);
		text_span(error, (struct span){ fault.data, fault.length });
	}
	return false;
}

/*
 * Reads the file into file_text.  Returns its length, or -1 and sets errno.  A length
 * above CONF_FILE_MAX means that the file is too long.
 */
static ssize_t
read_file(const char *file)
{
	size_t length = 0;
	ssize_t n;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	while ((n = read(fd, file_text + length, sizeof file_text - length)) > 0)
		length += (size_t)n;
	int error = errno;
	close(fd);
	errno = error;
	return n < 0 ? n : (ssize_t)length;
}

static void
put_syntax(struct text *error, const char *file, const struct json *j)
{
	put_place(error, file, file_text + j->offset);
	if (j->error == JSON_TOO_DEEP)
		text_string(error, "nested too deep");
	else if (j->offset == j->length)
		text_string(error, "the file ends too early");
	else {
		text_string(error, "not JSON at \"");
		text_escaped(error, j->text + j->offset,
			     j->length - j->offset < 10 ? j->length - j->offset : 10, 10);
		text_char(error, '"');
	}
}

bool
conf_load(struct conf *c, const char *file, struct text *error)
{
	struct utf8 utf8 = { 0 };
	struct span name, value;
	uint32_t seen = 0;
	struct json j;
	bool end;
	ssize_t length = read_file(file);

	if (length < 0)
		return text_file_error(error, file, text_error(errno));
	if (length > CONF_FILE_MAX)
		return text_file_error(error, file, "longer than 16384 bytes");
	json_init(&j, file_text, (size_t)length);
	/* A byte order mark, which some editors write. */
	if (length >= 3 && memcmp(file_text, "\xef\xbb\xbf", 3) == 0)
		j.offset = 3;
	ssize_t valid = 0;
	while (valid < length && utf8_check(&utf8, file_text + valid, 1))
		valid++;
	if (valid < length || !utf8_complete(&utf8)) {
		put_place(error, file, file_text + valid);
		text_string(error, "not UTF-8");
		return false;
	}
	if (json_enter(&j, '{'))
		while (json_member(&j, &name, &value, &end))
			if (!read_member(c, file, name, value, &seen, error))
				return false;
	if (!json_finish(&j)) {
		put_syntax(error, file, &j);
		return false;
	}
	/* Browsers reject all servers if one for TURN has no credentials. */
	return *c->turn_secret != '\0' || !ice_servers_need_secret(c->ice_servers) ||
	       text_file_error(
		   error, file,
		   "a turn: or turns: URL of IceServers has no credentials: "
		   "set TurnSecret, or write an object with urls, username and "
		   "credential");
}
