#include "origin.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

enum {
	ORIGIN = 300, /* maximum size of a normalized origin, in bytes */
	SHOWN = 40    /* bytes of an origin at fault in an error */
};

/* The bytes of a scheme.  Those of a host are the same, without the "+". */
static const char scheme_bytes[] =
    "+-._0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
#define HOST_BYTES (scheme_bytes + 1)

static void
put_lower(struct text *t, const char *data, size_t length)
{
	for (size_t i = 0; i < length; i++)
		text_char(t, text_lower(data[i]));
}

/* Puts the host at the start of `s`.  Returns its length, or 0 if it is invalid. */
static size_t
put_host(struct text *t, const char *s)
{
	char address[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	size_t star = strncmp(s, "*.", 2) == 0 ? 2 : 0;
	size_t length = strspn(s + star, HOST_BYTES);

	if (*s != '[') {
		put_lower(t, s, star + length);
		return length > 0 ? star + length : 0;
	}
	length = strcspn(++s, "]");
	if (s[length] == '\0' || length >= sizeof address)
		return 0;
	memcpy(address, s, length);
	address[length] = '\0';
	if (inet_pton(AF_INET6, address, bytes) != 1)
		return 0;
	text_char(t, '[');
	text_address(t, bytes, sizeof bytes);
	text_char(t, ']');
	return length + 2;
}

const char *
origin_host_fault(const char *host, size_t length, bool has_addresses)
{
	char text[INET_ADDRSTRLEN];
	uint8_t address[4];
	size_t at = length, digits;

	for (size_t i = 0; i < length; i++)
		if (host[i] == '.' && (i == 0 || host[i - 1] == '.'))
			return " has an empty label in its host";
	at -= at > 0 && host[at - 1] == '.';
	while (at > 0 && host[at - 1] != '.')
		at--;
	digits = strspn(host + at, "0123456789");
	if (digits == 1 && host[at] == '0' && text_lower(host[at + 1]) == 'x')
		digits = 2 + strspn(host + at + 2, "0123456789abcdefABCDEF");
	if (at + digits < length - (host[length - 1] == '.') || digits == 0 ||
	    !has_addresses)
		return NULL;
	memcpy(text, host, length < sizeof text ? length : 0);
	text[length < sizeof text ? length : 0] = '\0';
	return inet_pton(AF_INET, text, address) == 1
		   ? NULL
		   : " has a number as last label but is no IPv4 address, write four "
		     "numbers such as 192.0.2.1";
}

/* Puts the port at the start of `s`, if it is not the default of the scheme that `t`
 * begins with.  Returns its length with the colon, or 0 if it is invalid. */
static size_t
put_port(struct text *t, const char *s)
{
	struct span digits = { s + 1, strspn(s + 1, "0123456789") };
	uint64_t port, usual = strncmp(t->data, "https:", 6) == 0  ? 443
			       : strncmp(t->data, "http:", 5) == 0 ? 80
								   : 0;

	if (!text_to_number(digits, UINT16_MAX, &port))
		return 0;
	if (port != usual) {
		text_char(t, ':');
		text_number(t, port);
	}
	return digits.length + 1;
}

/* Puts the normalized origin.  Returns NULL, or what is wrong.  If `t` is not empty then,
 * it is how to write the origin. */
static const char *
put_origin(struct text *t, const char *s)
{
	size_t scheme = strspn(s, scheme_bytes), length;
	const char *wrong = NULL, *fault = NULL;

	if (strcmp(s, "null") == 0) {
		text_string(t, s);
		return NULL;
	}
	if (strcmp(s, "*") == 0)
		return " is not an origin, write [] to allow all";
	if (scheme > 0 && strncmp(s + scheme, "://", 3) == 0) {
		/* The page of a wss: connection has an https: origin. */
		if (strncasecmp(s, "ws://", 5) == 0 || strncasecmp(s, "wss://", 6) == 0) {
			wrong = " is not the origin of a page";
			text_string(t, scheme == 2 ? "http://" : "https://");
		} else {
			put_lower(t, s, scheme + 3);
		}
		s += scheme + 3;
	} else {
		wrong = " has no scheme";
		text_string(t, "https://");
		s += strspn(s, "/");
	}
	length = put_host(t, s);
	if (*s != '[' && length > 0)
		fault = origin_host_fault(s, length, strncmp(t->data, "http", 4) == 0);
	s += length;
	if (length > 0 && *s == ':') {
		length = put_port(t, s);
		s += length;
	}
	if (wrong == NULL && *s != '\0')
		wrong = " has a path";
	if (length == 0 || (*s != '\0' && strchr("/?#", *s) == NULL)) {
		t->length = 0;
		return (unsigned char)*s >= 0x80
			   ? " is not ASCII, write its host in the form xn--..."
			   : " has an invalid host or port";
	}
	if (fault != NULL)
		t->length = 0;
	return fault != NULL ? fault : wrong;
}

bool
origin_normalize(char *origin, struct text *error)
{
	char data[ORIGIN];
	struct text t;

	text_init(&t, data, sizeof data);
	const char *wrong = *origin == '\0' ? " is empty" : put_origin(&t, origin);
	if (t.overflow) {
		t.length = 0;
		wrong = " is too long";
	}
	/* "1::2" for one group of zeros is shorter than its normal form. */
	if (wrong == NULL && t.length > strlen(origin))
		wrong = " is not in the form that browsers send";
	if (wrong == NULL) {
		memcpy(origin, data, t.length);
		origin[t.length] = '\0';
		return true;
	}
	text_quoted(error, (struct span){ origin, strlen(origin) }, SHOWN);
	text_string(error, wrong);
	if (t.length > 0) {
		text_string(error, ", write ");
		text_quoted(error, (struct span){ data, t.length }, ORIGIN);
	}
	return false;
}

/* True if a host's labels, one or more, are in place of the star of a listed origin. */
static bool
matches_star(const char *listed, const char *star, struct span origin)
{
	size_t before = (size_t)(star - listed), after = strlen(star + 1);
	bool dot = true; /* the last byte was a dot, or there is none yet */

	if (origin.length <= before + after || memcmp(origin.data, listed, before) != 0 ||
	    memcmp(origin.data + origin.length - after, star + 1, after) != 0)
		return false;
	for (size_t i = before; i < origin.length - after; i++) {
		char c = origin.data[i];
		if (c == '\0' || strchr(HOST_BYTES, c) == NULL || (c == '.' && dot))
			return false;
		dot = c == '.';
	}
	return !dot;
}

bool
origin_allowed(const char *const *list, struct span origin)
{
	bool allowed = origin.data == NULL || *list == NULL;

	for (; !allowed && *list != NULL; list++) {
		const char *star = strchr(*list, '*');
		allowed = star != NULL ? matches_star(*list, star, origin)
				       : span_is(origin, *list);
	}
	return allowed;
}
