/*
 * http_parse implements RFC 9112, sections 3, 5 and 6, for heads that http_scan accepts.
 * http_forwarded evaluates X-Forwarded-For as http.h specifies.
 *
 * For CBMC, with any up to BOUND bytes:
 * targets: what parse_target accepts, and where the target's parts are.
 * versions: what parse_line accepts after a method and a target.
 * lines: what parse_fields accepts as the only field line of an HTTP/1.0 request.  Names
 * longer than BOUND, such as Connection, do not occur.
 * lengths: what parse_field accepts as a Content-Length.
 * long_lengths: the same after the first 15 digits of INT64_MAX.
 * tenths: divide_by_10 of any number, which both of them use.
 * hops: http_read_address, with a socket_read_address that knows few addresses.
 * escapes, tags: http_unescape in place and http_has_tag stay within the text.
 * Conversions are not checked, because http.c and text.c lose signs by intention.
 *
 * main: whole heads, which end where an unreadable page begins and contain all spans of
 * the request.  Targets of up to 3 of 20 letters, and of up to 5 of 9 after "http"; all
 * sequences of up to 3 of 24 fields whose meanings depend on each other; all lists of up
 * to 4 of 13 hops, in one line and in two; and hops of up to 6 of 10 letters.
 */
#include "proof.h"

#ifdef __CPROVER__
#pragma CPROVER check push
#pragma CPROVER check disable "conversion"
#include "http.c"
#include "http_value.c"
#include "text.c"
#pragma CPROVER check pop
#else
#include "http.c"
#include "http_value.c"

#include <strings.h>
#endif

/* True if the span lies in the head.  The path of a target without one is a constant "/".
 */
static bool
is_within(struct span s, const char *head, size_t length)
{
	return s.data == NULL || s.length == 0 || span_is(s, "/") ||
	       (s.data >= head && s.data <= head + length &&
		s.length <= (size_t)(head + length - s.data));
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_one_of(char c, const char *others, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (c == others[i])
			return true;
	return false;
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

/* RFC 3986: unreserved, and sub-delims without the comma. */
static bool
is_name(char c)
{
	return is_digit(c) || is_letter(c) || is_one_of(c, "-._~!$&'()*+;=", 14);
}

/* RFC 3986 appendix A: pchar, "/", "?", and the brackets of an IP-literal. */
static bool
is_uri(char c)
{
	return is_name(c) || is_one_of(c, ",%:@/?[]", 8);
}

/* The stand-in for CBMC has one IPv6 address, "::"; main uses no longer ones. */
static bool
is_ipv6(const char *p, size_t length)
{
	return length == 2 && p[0] == ':' && p[1] == ':';
}

/* [ ( reg-name / "[" IPv6address "]" ) [ ":" port ] ], the port of up to 16 bits. */
static bool
expect_host(const char *p, size_t length)
{
	size_t at = 0;
	uint32_t port = 0;

	if (length > 0 && p[0] == '[') {
		if (length < 4 || !is_ipv6(p + 1, 2) || p[3] != ']')
			return false;
		at = 4;
	} else {
		while (at < length &&
		       (is_name(p[at]) || (p[at] == '%' && length - at > 2 &&
					   is_hex(p[at + 1]) && is_hex(p[at + 2]))))
			at += p[at] == '%' ? 3 : 1;
		if (at == 0)
			return length == 0;
	}
	if (at == length)
		return true;
	if (p[at] != ':')
		return false;
	for (at++; at < length; at++) {
		if (!is_digit(p[at]) || port > UINT16_MAX)
			return false;
		port = port * 10 + (uint32_t)(p[at] - '0');
	}
	return port <= UINT16_MAX;
}

/*
 * Section 3.2: "/..." or "*", or an absolute URL of http, any of them of the characters
 * of URIs.  The lengths of its authority and, up to a query, of its path.
 */
static bool
expect_target(const char *target, size_t length, size_t *authority, size_t *path)
{
	size_t at = 0;

	*authority = *path = 0;
	for (size_t i = 0; i < length; i++)
		if (!is_uri(target[i]))
			return false;
	if (length == 1 && target[0] == '*') {
		*path = 1;
		return true;
	}
	if (length > 0 && target[0] != '/') {
		while (at < length && at < 4 &&
		       (target[at] == "http"[at] || target[at] == "HTTP"[at]))
			at++;
		if (at < 4)
			return false;
		at += at < length && (target[at] == 's' || target[at] == 'S');
		for (size_t i = 0; i < 3; i++, at++)
			if (at == length || target[at] != "://"[i])
				return false;
		while (at + *authority < length && target[at + *authority] != '/' &&
		       target[at + *authority] != '?')
			++*authority;
		if (*authority == 0 || !expect_host(target + at, *authority))
			return false;
		at += *authority;
	}
	while (at + *path < length && target[at + *path] != '?')
		++*path;
	return length > 0;
}

#ifdef __CPROVER__

void
targets(void)
{
	char room[BOUND];
	size_t length, authority, path;
	struct http_request r = { 0 };

	assume(length <= BOUND);
	const char *p = room + BOUND - length;
	bool valid = expect_target(p, length, &authority, &path);
	claim(parse_target((struct span){ p, length }, &r) == valid);
	if (valid) {
		claim(path == 0 ? span_is(r.path, "/") : r.path.length == path);
		claim(r.target_host.length == authority);
		claim(is_within(r.path, p, length));
		claim(is_within(r.target_host, p, length));
		claim(r.query.length == 0 ||
		      (r.query.data > p && r.query.data[-1] == '?' &&
		       r.query.data + r.query.length == p + length));
		claim(authority > 0 || r.path.data == p);
		claim(path == 0 || authority == 0 ||
		      r.target_host.data + authority == r.path.data);
	}
	reached(valid && authority > 0 && path > 0 && r.query.length > 0);
	reached(valid && authority > 0 && path == 0 && r.query.length > 0);
	reached(valid && authority == 0 && r.query.length > 0);
	reached(!valid);
}

void
versions(void)
{
	char line[6 + BOUND] = "GET / ", *version = line + 6;
	size_t length, at;
	struct http_request r = { 0 };

	assume(length <= BOUND);
	for (size_t i = 0; i < BOUND; i++) {
		char any;
		version[i] = any;
	}
	unsigned status = parse_line((struct span){ line, 6 + length }, &r);
	bool form = length == 8 && memcmp(version, "HTTP/", 5) == 0 &&
		    is_digit(version[5]) && version[6] == '.' && is_digit(version[7]);
	claim(status == (!form ? 400 : version[5] != '1' ? 505 : 0));
	claim(status != 0 || r.method == HTTP_GET);
	claim(status != 0 || r.minor == (version[7] != '0'));
	claim(status != 0 || r.keep_alive == (r.minor == 1));
	reached(status == 0 && r.minor == 0);
	reached(status == 505);
	reached(status == 400);
}

/* field-line = token ":" OWS value OWS; a value has no control character but HTAB. */
void
lines(void)
{
	char room[BOUND + 4];
	size_t length, name = 0;
	struct http_request r = { 0 };

	assume(length > 0 && length <= BOUND);
	const char *p = room + BOUND - length;
	for (size_t i = 0; i < BOUND; i++)
		assume(room[i] != '\r' && room[i] != '\n' && room[i] != '\0');
	assume(memcmp(room + BOUND, "\r\n\r\n", 4) == 0);
	while (name < length && (is_digit(p[name]) || is_letter(p[name]) ||
				 is_one_of(p[name], "!#$%&'*+-.^_`|~", 15)))
		name++;
	bool valid = name > 0 && name < length && p[name] == ':';
	for (size_t i = name; i < length; i++)
		valid = valid && ((p[i] & 0x80) != 0 || p[i] == '\t' ||
				  (p[i] >= ' ' && p[i] < 0x7f));
	size_t from = name + 1, to = length;
	while (valid && from < to && (p[from] == ' ' || p[from] == '\t'))
		from++;
	while (valid && from < to && (p[to - 1] == ' ' || p[to - 1] == '\t'))
		to--;
	bool host = valid && span_is_nocase((struct span){ p, name }, "Host");
	bool expect = valid && span_is_nocase((struct span){ p, name }, "Expect");
	if (host && valid)
		valid = expect_host(p + from, to - from);
	unsigned status = parse_fields((struct span){ p, length + 4 }, &r);
	claim(status == (!valid ? 400 : expect ? 417 : 0));
	claim(!valid || !host || (r.host.data == p + from && r.host.length == to - from));
	claim(host || r.host.data == NULL);
	reached(valid && host && r.host.length > 1);
	reached(valid && expect);
	reached(valid && r.cookie.length == 1);
	reached(!valid && host);
	reached(!valid && !host);
}

void
tenths(void)
{
	uint64_t number;

	claim(divide_by_10(number) == number / 10);
	reached(number == UINT64_MAX);
}

/* The number up to INT64_MAX that these digits are. */
static bool
expect_number(const char *p, size_t length, uint64_t *number)
{
	const uint64_t most = INT64_MAX;
	uint64_t n = 0;

	for (size_t i = 0; i < length; i++) {
		if (!is_digit(p[i]))
			return false;
		unsigned digit = (unsigned)(p[i] - '0');
		if (n > most / 10 || (n == most / 10 && digit > most % 10))
			return false;
		n = n * 10 + digit;
	}
	*number = n;
	return length > 0;
}

static bool
check_length(const char *p, size_t length, uint64_t *number)
{
	struct http_request r = { 0 };
	struct seen seen = { 0 };
	bool valid = expect_number(p, length, number);
	unsigned status = parse_field((struct span){ "Content-Length", 14 },
				      (struct span){ p, length }, &r, &seen);

	claim(status == (valid ? 0 : 400));
	claim(!valid || r.length == *number);
	claim(seen.lengths == 1);
	return valid;
}

void
lengths(void)
{
	char room[BOUND];
	size_t length;
	uint64_t number;

	assume(length <= BOUND);
	bool valid = check_length(room + BOUND - length, length, &number);
	reached(valid && length == BOUND && number > 0);
	reached(!valid && length > 0);
}

void
long_lengths(void)
{
	char text[15 + BOUND] = "922337203685477";
	size_t length;
	uint64_t number;

	assume(length <= BOUND);
	for (size_t i = 0; i < BOUND; i++) {
		char any;
		text[15 + i] = any;
	}
	bool valid = check_length(text, 15 + length, &number);
	reached(valid && number == INT64_MAX);
	reached(!valid && length == 4 && text[18] == '8');
}

/* Replaces the server's: a small letter is an address of four bytes, "::" one of sixteen.
 */
bool
socket_read_address(struct span text, struct socket_address *address)
{
	*address = (struct socket_address){ 0 };
	if (text.length == 1 && text.data[0] >= 'a' && text.data[0] <= 'z') {
		address->length = 4;
		address->bytes[0] = (uint8_t)text.data[0];
	} else if (text.length == 2 && text.data[0] == ':' && text.data[1] == ':') {
		address->length = 16;
		address->bytes[0] = ':';
	}
	return address->length > 0;
}

/* ":" and a number of up to 16 bits, which proxies leave out, or nothing. */
static bool
expect_port(const char *p, size_t length)
{
	uint32_t number = 0;

	if (length > 0 && p[0] != ':')
		return false;
	for (size_t i = 1; i < length; i++) {
		if (!is_digit(p[i]) || number > UINT16_MAX)
			return false;
		number = number * 10 + (uint32_t)(p[i] - '0');
	}
	return number <= UINT16_MAX;
}

/* "a", "a:80", "[a]", "[a]:80", "[::]", "[::]:80" or "::", also in quotes: its first
 * byte's value, or 0. */
static uint8_t
expect_hop(const char *p, size_t length)
{
	if (length > 1 && p[0] == '"' && p[length - 1] == '"') {
		p++;
		length -= 2;
	}
	bool six = length == 2 && p[0] == ':' && p[1] == ':';
	if (six)
		return ':';
	if (length > 0 && p[0] >= 'a' && p[0] <= 'z')
		return expect_port(p + 1, length - 1) ? (uint8_t)p[0] : 0;
	if (length < 3 || p[0] != '[')
		return 0;
	six = length > 3 && p[1] == ':' && p[2] == ':';
	if (!six && (p[1] < 'a' || p[1] > 'z'))
		return 0;
	return p[2 + six] == ']' && expect_port(p + 3 + six, length - 3 - six)
		   ? (uint8_t)p[1]
		   : 0;
}

void
hops(void)
{
	char room[BOUND];
	size_t length;
	struct socket_address address;

	assume(length > 0 && length <= BOUND);
	const char *p = room + BOUND - length;
	uint8_t expected = expect_hop(p, length);
	bool seen = http_read_address((struct span){ p, length }, &address);
	claim(seen == (expected != 0));
	claim(!seen || address.bytes[0] == expected);
	claim(!seen || address.length == (expected == ':' ? 16 : 4));
	reached(seen && p[0] == '"' && length == BOUND);
	reached(seen && p[0] == '[' && p[length - 1] != ']' && address.length == 16);
	reached(seen && p[0] == 'a' && length == 7);
	reached(!seen);
}

void
escapes(void)
{
	char room[BOUND];
	size_t length;
	bool plus;

	assume(length <= BOUND);
	char *p = room + BOUND - length;
	size_t plain = http_unescape((struct span){ p, length }, p, plus);
	claim(plain <= length);
	reached(plain + 4 == length);
}

void
tags(void)
{
	char room[BOUND];
	size_t length;

	assume(length <= BOUND);
	bool has = http_has_tag((struct span){ room + BOUND - length, length }, "\"\"");
	reached(has);
	reached(!has && length == BOUND);
}

#else

static unsigned char *end;
static unsigned long good, bad;

/* Parses this head, if http_scan takes it; its status, or 1 if it does not. */
static unsigned
parse(const char *line, const char *fields, struct http_request *r)
{
	size_t front = strlen(line), back = strlen(fields), scanned = 0;
	size_t length = front + back + 4;
	char *head = (char *)end - length;

	memcpy(head, line, front);
	memcpy(head + front, "\r\n", 2);
	memcpy(head + front + 2, fields, back);
	memcpy(head + front + 2 + back, "\r\n", 2);
	if (http_scan(head, length, &scanned) != (long)length)
		return 1;
	unsigned status = http_parse(head, length, r);
	claim(status == 0 || status == 400 || status == 417 || status == 431 ||
	      status == 501 || status == 505);
	const struct span spans[] = { r->path,	 r->query,	   r->host,
				      r->origin, r->target_host,   r->content_type,
				      r->cookie, r->if_none_match, r->cors_headers,
				      r->fields, r->websocket_key, r->websocket_version };
	for (size_t i = 0; i < COUNT(spans); i++)
		claim(is_within(spans[i], head, length));
	*(status == 0 ? &good : &bad) += 1;
	return status;
}

static void
check_target(const char *target)
{
	char line[64];
	struct http_request r;
	size_t authority, path;

	sprintf(line, "GET %s HTTP/1.1", target);
	unsigned status = parse(line, "Host: field\r\n", &r);
	if (status == 1)
		return;
	claim((status == 0) == expect_target(target, strlen(target), &authority, &path));
	if (status != 0)
		return;
	const char *query = strchr(target, '?');
	claim(path == 0 ? span_is(r.path, "/") : r.path.length == path);
	claim(query == NULL ? r.query.length == 0 : span_is(r.query, query + 1));
	claim(authority == 0 ? span_is(r.host, "field") : r.host.length == authority);
}

/* All texts of up to `most` letters after `before`. */
static void
check_texts(const char *letters, size_t most, const char *before,
	    void (*check)(const char *))
{
	char text[32];
	size_t front = strlen(before);

	strcpy(text, before);
	for (size_t length = 0; length <= most; length++) {
		uint16_t odometer[32] = { 0 };
		text[front + length] = '\0';
		while (next_text(odometer, letters, strlen(letters), length,
				 (unsigned char *)text + front))
			check(text);
	}
}

/* Fields whose meanings depend on each other, and what is wrong with them alone. */
static const struct {
	const char *text;
	unsigned status;
	unsigned hosts, lengths, encodings;
	bool close, keep, upgrade, websocket, expect, unknown;
	uint64_t length;
} fields[] = {
	{ "Host: a", .hosts = 1 },
	{ "hOST:", .hosts = 1 },
	{ "Host: a b", .status = 400 },
	{ "Host: u@h", .status = 400 },
	{ "Host: a:b", .status = 400 },
	{ "Content-Length: 5", .lengths = 1, .length = 5 },
	{ "content-length:\t007 ", .lengths = 1, .length = 7 },
	{ "Content-Length: 9223372036854775807", .lengths = 1, .length = INT64_MAX },
	{ "Content-Length: 9223372036854775808", .status = 400 },
	{ "Content-Length: 5, 5", .status = 400 },
	{ "Content-Length: +5", .status = 400 },
	{ "Content-Length:", .status = 400 },
	{ "Content-Length : 5", .status = 400 },
	{ "Transfer-Encoding: Chunked", .encodings = 1 },
	{ "Transfer-Encoding: gzip, chunked", .encodings = 1, .unknown = true },
	{ "Transfer-Encoding: chunked, gzip", .status = 400 },
	{ "Connection: x ,\tClose", .close = true },
	{ "Connection: keep-alive,Upgrade", .keep = true, .upgrade = true },
	{ "Connection: closed, upgrades", .status = 0 },
	{ "Upgrade: h2c, WebSocket", .websocket = true },
	{ "Expect: 100-Continue", .expect = true },
	{ "Expect: 200-ok", .status = 417 },
	{ " folded", .status = 400 },
	{ "X: y", .status = 0 },
};

static void
check_fields(const unsigned *chosen, size_t count, unsigned minor)
{
	unsigned hosts = 0, lengths = 0, encodings = 0, expected = 0;
	bool close = false, keep = minor == 1, upgrade = false, websocket = false;
	bool expect = false, unknown = false;
	uint64_t length = 0;
	char text[256] = "";
	struct http_request r;

	for (size_t i = 0; i < count; i++) {
		strcat(strcat(text, fields[chosen[i]].text), "\r\n");
		hosts += fields[chosen[i]].hosts;
		lengths += fields[chosen[i]].lengths;
		encodings += fields[chosen[i]].encodings;
		close |= fields[chosen[i]].close;
		keep |= fields[chosen[i]].keep;
		upgrade |= fields[chosen[i]].upgrade;
		websocket |= fields[chosen[i]].websocket;
		expect |= fields[chosen[i]].expect;
		unknown |= fields[chosen[i]].unknown;
		length += fields[chosen[i]].length;
		if (expected == 0)
			expected = fields[chosen[i]].status;
	}
	if (expected == 0 && (hosts != minor ? hosts > 1 || minor == 1 : false))
		expected = 400;
	if (expected == 0 && (lengths + encodings > 1 || (encodings > 0 && minor == 0)))
		expected = 400;
	if (expected == 0 && unknown)
		expected = 501;
	claim(parse(minor == 1 ? "POST / HTTP/1.1" : "POST / HTTP/1.0", text, &r) ==
	      expected);
	if (expected == 0)
		claim(r.method == HTTP_POST && r.chunked == (encodings > 0) &&
		      r.length == length && r.keep_alive == (keep && !close) &&
		      r.upgrade == upgrade && r.websocket == websocket &&
		      r.expect == (expect && minor == 1));
}

static void
check_all_fields(void)
{
	for (unsigned i = 0; i < 2 * COUNT(fields) * COUNT(fields) * COUNT(fields); i++) {
		unsigned rest = i / 2, chosen[3];
		for (size_t k = 0; k < 3; k++, rest /= COUNT(fields))
			chosen[k] = rest % COUNT(fields);
		for (size_t count = 0; count <= 3; count++)
			check_fields(chosen, count, i % 2);
	}
}

/* Hops: of trusted proxies, of others (`last` is their address's last byte), of nobody.
 */
static const struct {
	const char *text;
	enum { NOTHING, NOBODY, PROXY, CLIENT } is;
	uint8_t last;
} hops[] = {
	{ "10.0.0.1", PROXY, 1 },
	{ " 10.0.0.2:80\t", PROXY, 2 },
	{ "[::ffff:10.0.0.3]", PROXY, 3 },
	{ "192.0.2.4", CLIENT, 4 },
	{ "2001:db8::5", CLIENT, 5 },
	{ "\"[2001:db8::6]:99\"", CLIENT, 6 },
	{ "", NOTHING, 0 },
	{ "unknown", NOBODY, 0 },
	{ "[::1", NOBODY, 0 },
	{ "\"", NOBODY, 0 },
	{ "192.0.2.4:", CLIENT, 4 },
	{ "192.0.2.4:65536", NOBODY, 0 },
	{ "[::7]x", NOBODY, 0 },
};

static bool
is_proxy(const struct socket_address *address)
{
	return address->length == 4 && address->bytes[0] == 10;
}

/* The fields of a valid request, as http_parse returns them. */
static struct socket_address
ask_forwarded(const char *text)
{
	struct socket_address client = { .length = 4, .bytes = { 10, 9, 9, 9 } };
	struct http_request r;

	client.port = 77;
	unsigned status = parse("GET / HTTP/1.1", text, &r);
	if (status == 0)
		http_forwarded(r.fields, is_proxy, &client);
	claim(client.port == 77 && (client.length == 4 || client.length == 16));
	return client;
}

/* From the right, as http.h says it. */
static void
check_hops(const unsigned *chosen, size_t count, size_t first_line)
{
	uint8_t expected = 9;
	char text[256] = "Host: h\r\nX-Forwarded-For:";

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			strcat(text, i == first_line ? "\r\nx-forwarded-for: " : ",");
		strcat(text, hops[chosen[i]].text);
	}
	strcat(text, "\r\nX: 192.0.2.8\r\n");
	for (size_t i = count; i-- > 0;) {
		if (hops[chosen[i]].is == NOBODY)
			break;
		if (hops[chosen[i]].is != NOTHING)
			expected = hops[chosen[i]].last;
		if (hops[chosen[i]].is == CLIENT)
			break;
	}
	struct socket_address client = ask_forwarded(text);
	claim(client.bytes[client.length - 1] == expected);
}

static void
check_all_hops(void)
{
	for (size_t count = 0; count <= 4; count++) {
		uint16_t odometer[32] = { 0 };
		unsigned char letters[4];
		while (next_text(odometer, "\0\1\2\3\4\5\6\7\10\11\12\13\14", COUNT(hops),
				 count, letters)) {
			unsigned chosen[4];
			for (size_t i = 0; i < count; i++)
				chosen[i] = letters[i];
			for (size_t line = 1; line <= (count > 0 ? count : 1); line++)
				check_hops(chosen, count, line);
		}
	}
}

/* Any text is read within its bounds. */
static void
check_hop(const char *text)
{
	char field[64];

	sprintf(field, "Host: h\r\nX-Forwarded-For:%s\r\n", text);
	ask_forwarded(field);
}

int
main(void)
{
	end = guarded_end();
	check_texts("/?*:#aZ0@%[].-~ \t\x7f\x80\xff", 3, "", check_target);
	check_texts("s:/?#a@[\"", 5, "hTTp", check_target);
	check_all_fields();
	check_all_hops();
	check_texts("[]:\"1.a, \t", 6, "", check_hop);
	claim(good > 0 && bad > 0);
	printf("heads: %lu good, %lu bad\n", good, bad);
	return 0;
}

#endif
