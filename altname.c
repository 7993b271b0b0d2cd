#include "altname.h"

#include "socket.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

/* Adds a name unless it is present already.  Returns false if the list is full. */
static bool
add_name(struct altnames *n, enum der_tag tag, const void *bytes, size_t length)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->names[i].tag == tag && n->names[i].length == length &&
		    memcmp(n->names[i].bytes, bytes, length) == 0)
			return true;
	if (n->count == ALTNAMES_MAX)
		return false;
	struct altname *name = &n->names[n->count++];
	name->tag = tag;
	name->length = length;
	memcpy(name->bytes, bytes, length);
	return true;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/*
 * Checks a label of a DNS name (RFC 1123 section 2.1).  The last label needs a letter,
 * because browsers parse a name as an IPv4 address otherwise.
 */
static bool
valid_label(struct span label, bool last)
{
	bool letter = false;

	for (size_t i = 0; i < label.length; i++) {
		char c = label.data[i];
		if (!is_letter(c) && !is_digit(c) && c != '-')
			return false;
		letter = letter || is_letter(c);
	}
	return label.length >= 1 && label.length <= 63 && *label.data != '-' &&
	       label.data[label.length - 1] != '-' && (letter || !last);
}

static bool
valid_name(const char *name)
{
	if (strlen(name) > ALTNAME_SIZE)
		return false;
	if (name[0] == '*' && name[1] == '.')
		name += 2;
	for (;;) {
		struct span label = { name, strcspn(name, ".") };
		name += label.length;
		if (!valid_label(label, *name == '\0'))
			return false;
		if (*name++ == '\0')
			return true;
	}
}

/* Adds an IP address or a DNS name.  Returns false if the text is neither.  Sets `full`
 * if the list is full. */
static bool
read_name(struct altnames *n, const char *text, bool *full)
{
	unsigned char address[16];
	char lower[ALTNAME_SIZE];
	size_t length = strlen(text);

	if (inet_pton(AF_INET, text, address) == 1) {
		*full = !add_name(n, DER_IP_ADDRESS, address, 4);
	} else if (inet_pton(AF_INET6, text, address) == 1) {
		*full = !add_name(n, DER_IP_ADDRESS, address, 16);
	} else if (valid_name(text)) {
		for (size_t i = 0; i < length; i++)
			lower[i] = text_lower(text[i]);
		*full = !add_name(n, DER_DNS_NAME, lower, length);
	} else {
		return false;
	}
	return true;
}

bool
altnames_read(struct altnames *n, char *const *names, size_t count, struct text *output)
{
	bool full = false;

	for (size_t i = 0; i < count; i++) {
		if (!read_name(n, names[i], &full)) {
			text_char(output, '"');
			text_escaped(output, names[i], strlen(names[i]), 64);
			text_string(output,
				    "\" is neither an IP address nor a DNS name: "
				    "letters, digits, hyphens and dots, at most 253 "
				    "bytes, and *. only in front");
			return false;
		}
		if (full) {
			text_string(output, "more than 32 names");
			return false;
		}
	}
	return true;
}

static void
add_interfaces(struct altnames *n)
{
	struct socket_address addresses[ALTNAMES_MAX];
	size_t count = socket_addresses(addresses, ALTNAMES_MAX);

	for (size_t i = 0; i < count; i++)
		add_name(n, DER_IP_ADDRESS, addresses[i].bytes, addresses[i].length);
}

void
altnames_find(struct altnames *n)
{
	char host[ALTNAME_SIZE + 1] = "";
	bool full;

	/* An unset host name may be an invalid name, such as "(none)": ignore it. */
	if (gethostname(host, sizeof host - 1) == 0)
		read_name(n, host, &full);
	read_name(n, "localhost", &full);
	add_interfaces(n);
}

void
altname_put(struct text *t, const struct altname *name)
{
	if (name->tag == DER_IP_ADDRESS)
		text_address(t, (const uint8_t *)name->bytes, name->length);
	else
		text_put(t, name->bytes, name->length);
}
