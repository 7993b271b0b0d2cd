#include "ice_server.h"

#include "json.h"
#include "origin.h"
#include "socket.h"

#include <string.h>

/*
 * URLs
 */

enum {
	URL = 300,  /* maximum size of a valid URL, in bytes */
	HOST = 253, /* of its host (RFC 1035 section 2.3.4) */
	SHOWN = 40  /* bytes of a URL or member in an error */
};

/* The bytes that are unreserved in a URI.  Those of a host are the same, without "~". */
static const char unreserved[] =
    "~-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
#define HOST_BYTES (unreserved + 1)
#define DIGITS	   "0123456789"

static bool
is_turn(const char *url)
{
	return *url == 't';
}

/* Returns the length of the host at the start of `s`; 0 if it has invalid bytes. */
static size_t
host_length(const char *s)
{
	struct socket_address address;
	size_t length = strspn(s, HOST_BYTES);

	if (*s == '[') {
		length = strcspn(s, "]");
		struct span inner = { s + 1, length - 1 };
		return s[length] == ']' && memchr(s, ':', length) != NULL &&
			       socket_read_address(inner, &address)
			   ? length + 1
			   : 0;
	}
	return length > HOST ? 0 : length;
}

/* Returns the length of the port at the start of `s`, with its colon; 0 if it is
 * invalid. */
static size_t
port_length(const char *s)
{
	struct span digits = { s + 1, strspn(s + 1, DIGITS) };
	uint64_t port;

	return digits.length <= 5 && text_to_number(digits, UINT16_MAX, &port) && port > 0
		   ? digits.length + 1
		   : 0;
}

/* Returns the length of the scheme of a STUN or TURN URL with its colon, otherwise 0. */
static size_t
scheme_length(const char *url)
{
	static const char *const schemes[] = { "stun:", "stuns:", "turn:", "turns:" };

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			return strlen(schemes[i]);
	return 0;
}

/* Adds the valid parts of a URL.  Returns NULL, or what is wrong.  If `t` is not empty
 * then, it is how to write the URL. */
static const char *
put_url(struct text *t, const char *url)
{
	const char *rest = url + scheme_length(url), *wrong = NULL;

	if (rest == url)
		return " does not begin with stun:, stuns:, turn: or turns:";
	if (strchr(rest, '@') != NULL)
		return " has an @: write an object with urls, username and credential";
	const char *host = rest + strspn(rest, "/");
	size_t length = host_length(host), port = 0;
	if (length > 0 && host[length] == ':' && (port = port_length(host + length)) == 0)
		length = 0;
	const char *query = host + length + port;
	if (length == 0 || (*query != '\0' && strchr("/?", *query) == NULL))
		return " has an invalid host or port";
	if (*host != '[' && (wrong = origin_host_fault(host, length, true)) != NULL)
		return wrong;
	text_put(t, url, (size_t)(rest - url));
	text_put(t, host, length + port);
	if (host != rest || *query == '/')
		wrong = " has slashes";
	query += strcspn(query, "?");
	if (is_turn(url) && (strcmp(query, "?transport=udp") == 0 ||
			     strcmp(query, "?transport=tcp") == 0))
		text_string(t, query);
	else if (*query != '\0')
		wrong = " has a query other than turn's ?transport=udp or ?transport=tcp";
	return wrong;
}

/* Adds a URL that is not valid.  The part before an @ can have a secret, so that only its
 * scheme is shown. */
static void
put_invalid(struct text *t, const char *url)
{
	const char *at = strrchr(url, '@');

	if (at == NULL) {
		text_quoted(t, (struct span){ url, strlen(url) }, SHOWN);
		return;
	}
	text_char(t, '"');
	text_put(t, url, scheme_length(url));
	text_string(t, "...");
	text_escaped(t, at, strlen(at), SHOWN);
	text_char(t, '"');
}

/* Adds what is wrong with a URL, if it is not valid. */
static bool
check_url(const char *url, struct text *fault)
{
	char data[URL];
	struct text t;

	text_init(&t, data, sizeof data);
	const char *wrong = put_url(&t, url);
	if (wrong == NULL)
		return true;
	put_invalid(fault, url);
	text_string(fault, wrong);
	if (t.length > 0) {
		text_string(fault, ", write ");
		text_quoted(fault, (struct span){ data, t.length }, URL);
	}
	return false;
}

/*
 * Reading
 */

static bool
fail(struct text *fault, const char *what, const char *why)
{
	text_string(fault, what);
	text_string(fault, why);
	return false;
}

static bool
read_object(struct ice_server *s, struct span object, struct text *fault)
{
	static const char *const names[] = { "urls", "username", "credential" };
	const char **const values[] = { &s->url, &s->username, &s->credential };
	enum { MEMBERS = 3 };
	struct span key, value;
	struct json j;
	bool at_end;

	json_init(&j, (char *)object.data, object.length);
	json_enter(&j, '{');
	while (json_member(&j, &key, &value, &at_end)) {
		size_t i = 0;
		while (i < MEMBERS && !json_equal(key, names[i]))
			i++;
		if (i == MEMBERS) {
			text_quoted(fault, key, SHOWN);
			return fail(fault, " is unknown", "");
		}
		const char *string = json_terminate(value);
		if (string == NULL || *string == '\0')
			return fail(fault, names[i], " must be one string, not empty");
		*values[i] = string;
	}
	for (size_t i = 0; i < MEMBERS; i++)
		if (*values[i] == NULL)
			return fail(fault, names[i], " is missing");
	if (!check_url(s->url, fault))
		return false;
	return is_turn(s->url) ||
	       fail(fault, "STUN needs no credentials, write the URL alone", "");
}

static bool
read_server(struct ice_server *s, struct span item, struct text *fault)
{
	*s = (struct ice_server){ 0 };
	if (*item.data == '{')
		return read_object(s, item, fault);
	s->url = json_terminate(item);
	if (s->url == NULL)
		return fail(fault, "neither a URL nor an object", "");
	return check_url(s->url, fault);
}

bool
ice_servers_read(struct ice_server servers[ICE_SERVERS_MAX + 1], struct span list,
		 struct text *fault)
{
	size_t count = 0, size = 0;
	struct span item;
	struct json j;
	bool at_end;

	if (*list.data != '[' && *list.data != '{' && *list.data != '"')
		return false;
	text_init(fault, fault->data, fault->size);
	if (*list.data != '[')
		return fail(fault,
			    *list.data == '{' ? ", not an object" : ", not a string", "");
	json_init(&j, (char *)list.data, list.length);
	json_enter(&j, '[');
	while (json_element(&j, &item, &at_end)) {
		struct ice_server *s = &servers[count++];
		text_init(fault, fault->data, fault->size);
		if (count > ICE_SERVERS_MAX)
			return fail(fault, ", not more", "");
		text_string(fault, ": entry ");
		text_number(fault, count);
		text_string(fault, ": ");
		if (!read_server(s, item, fault))
			return false;
		size += strlen(s->url);
		if (s->username != NULL)
			size += strlen(s->username) + strlen(s->credential);
		if (size > ICE_SERVERS_TEXT)
			return fail(fault,
				    "the strings up to here have more than 4096 bytes",
				    "");
	}
	servers[count].url = NULL;
	return true;
}

bool
ice_servers_need_secret(const struct ice_server *servers)
{
	for (; servers->url != NULL; servers++)
		if (is_turn(servers->url) && servers->username == NULL)
			return true;
	return false;
}

/*
 * The answer
 */

static void
put_string(struct text *t, const char *before, const char *string)
{
	text_string(t, before);
	json_escape(t, string, strlen(string));
}

/* Separates an entry from the one before it. */
static void
begin_entry(struct text *t)
{
	if (t->data[t->length - 1] == '}')
		text_char(t, ',');
}

/* Adds an entry without its end, with the STUN or TURN URLs that have no credentials.
 * Returns false if there are none. */
static bool
put_urls(struct text *t, const struct ice_server *servers, bool turn)
{
	bool found = false;

	for (; servers->url != NULL; servers++) {
		if (servers->username != NULL || is_turn(servers->url) != turn)
			continue;
		if (!found)
			begin_entry(t);
		put_string(t, found ? "\",\"" : "{\"urls\":[\"", servers->url);
		found = true;
	}
	text_string(t, found ? "\"]" : "");
	return found;
}

static void
put_credentials(struct text *t, const br_hmac_key_context *secret, uint64_t expires,
		struct span name)
{
	unsigned char mac[br_sha1_SIZE];
	br_hmac_context hmac;

	text_string(t, ",\"username\":\"");
	size_t start = t->length;
	text_number(t, expires);
	text_char(t, ':');
	for (size_t i = 0; i < name.length; i++) {
		const unsigned char c = (unsigned char)name.data[i];
		if (c != '\0' && strchr(unreserved, c) != NULL) {
			text_char(t, name.data[i]);
			continue;
		}
		text_char(t, '%');
		text_hex(t, c, 2);
	}
	br_hmac_init(&hmac, secret, 0);
	br_hmac_update(&hmac, t->data + start, t->length - start);
	br_hmac_out(&hmac, mac);
	text_string(t, "\",\"credential\":\"");
	text_base64(t, BASE64, mac, sizeof mac);
	text_string(t, "\"}");
}

void
ice_servers_put(struct text *t, const struct ice_server *servers,
		const br_hmac_key_context *secret, uint64_t expires, struct span name)
{
	text_string(t, "{\"iceServers\":[");
	if (put_urls(t, servers, false))
		text_char(t, '}');
	if (secret != NULL && put_urls(t, servers, true))
		put_credentials(t, secret, expires, name);
	for (const struct ice_server *s = servers; s->url != NULL; s++) {
		if (s->username == NULL)
			continue;
		begin_entry(t);
		put_string(t, "{\"urls\":[\"", s->url);
		put_string(t, "\"],\"username\":\"", s->username);
		put_string(t, "\",\"credential\":\"", s->credential);
		text_string(t, "\"}");
	}
	text_string(t, "],\"ttl\":");
	text_number(t, ICE_SECONDS);
	text_char(t, '}');
}
