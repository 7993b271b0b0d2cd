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
	HOST = 253, /* maximum size of its host (RFC 1035 section 2.3.4) */
	SHOWN = 40  /* maximum size of a URL or member in an error text */
};

/* The unreserved bytes of a URI (RFC 3986).  A host may have the same without "~". */
static const char unreserved[] =
    "~-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
#define HOST_BYTES (unreserved + 1)
#define DIGITS	   "0123456789"

static bool
is_turn(const char *url)
{
	return *url == 't';
}

/*
 * Returns the length of the host at the start of `s`, which ends before the first byte
 * that a host can not have.  Returns 0 if it is empty or too long, or if a bracketed
 * address is not a valid IPv6 address.
 */
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

/* Returns the length of the port at the start of `s`, its colon included; 0 if it is not
 * valid. */
static size_t
port_length(const char *s)
{
	struct span digits = { s + 1, strspn(s + 1, DIGITS) };
	uint64_t port;

	return digits.length <= 5 && text_to_number(digits, UINT16_MAX, &port) && port > 0
		   ? digits.length + 1
		   : 0;
}

/* Returns the length of a STUN or TURN URL's scheme, its colon included; 0 for others. */
static size_t
scheme_length(const char *url)
{
	static const char *const schemes[] = { "stun:", "stuns:", "turn:", "turns:" };

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			return strlen(schemes[i]);
	return 0;
}

/* Checks a URL.  Returns NULL if it is valid, or the error.  `t` must be empty; with an
 * error it stays so, or gets the corrected URL. */
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

/* Adds a URL that is not valid.  The part before an @ can contain a secret, so only its
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

/* Returns true if a URL is valid.  Otherwise adds the reason to `fault`. */
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

/* Adds a comma if there is an entry before this one. */
static void
begin_entry(struct text *t)
{
	if (t->data[t->length - 1] == '}')
		text_char(t, ',');
}

/* Adds an entry, without its closing brace, for all STUN or TURN URLs without
 * credentials.  Returns false, and adds nothing, if there are none. */
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
