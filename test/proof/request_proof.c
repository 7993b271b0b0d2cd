/*
 * What http_parse makes of a head that http_scan has taken is RFC 9112, sections 3, 5 and
 * 6; what http_forwarded makes of its X-Forwarded-For is what http.h says.
 *
 * main: request lines with all targets of up to 5 of 20 letters, and of up to 7 of 9
 * behind "http"; all versions of up to 7 of 8 letters; all field lines of up to 2 bytes
 * and of up to 6 of 9 letters; all sequences of up to 3 of 22 fields that say something
 * together; all lists of up to 4 of 13 hops, in one line and in two, and hops of up to 6
 * of 10 letters.  No span leaves its head, which ends where an unreadable page begins.
 */
#include "http.c"
#include "proof.h"

#include <strings.h>

static unsigned char *end;
static unsigned long good, bad;

/* Does a span lie in the head?  A path may be "/" though the target has none. */
static bool
is_within(struct span s, const char *head, size_t length)
{
	return s.data == NULL || s.length == 0 ||
	       (s.data >= head && s.length <= (size_t)(head + length - s.data)) ||
	       span_is(s, "/");
}

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
	claim(status == 0 || status == 400 || status == 417 || status == 501 ||
	      status == 505);
	const struct span spans[] = { r->path,	 r->query,	   r->host,
				      r->origin, r->target_host,   r->content_type,
				      r->cookie, r->if_none_match, r->cors_headers,
				      r->fields, r->websocket_key, r->websocket_version };
	for (size_t i = 0; i < COUNT(spans); i++)
		claim(is_within(spans[i], head, length));
	*(status == 0 ? &good : &bad) += 1;
	return status;
}

/*
 * Section 3.2: "/..." or "*", or an absolute URL of http, any of them without what no URL
 * has.  The lengths of its authority and, up to a query, of its path.
 */
static bool
expect_target(const char *target, size_t *authority, size_t *path)
{
	static const char hosts[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~!$&'()*+;=%:[]";
	const char *p = target;

	*authority = *path = 0;
	for (size_t i = 0; target[i] != '\0'; i++)
		if (target[i] == '#' || target[i] == 0x7f ||
		    (target[i] >= 0 && target[i] <= ' '))
			return false;
	if (strcmp(target, "*") == 0) {
		*path = 1;
		return true;
	}
	if (strncasecmp(p, "http", 4) == 0) {
		p += p[4] == 's' || p[4] == 'S' ? 5 : 4;
		if (strncmp(p, "://", 3) != 0)
			return false;
		p += 3;
		*authority = strspn(p, hosts);
		p += *authority;
		if (*authority == 0 || (*p != '\0' && *p != '/' && *p != '?'))
			return false;
	} else if (*p != '/') {
		return false;
	}
	*path = strcspn(p, "?");
	return true;
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
	claim((status == 0) == expect_target(target, &authority, &path));
	if (status != 0)
		return;
	const char *query = strchr(target, '?');
	claim(path == 0 ? span_is(r.path, "/") : r.path.length == path);
	claim(query == NULL ? r.query.length == 0 : span_is(r.query, query + 1));
	claim(authority == 0 ? span_is(r.host, "field") : r.host.length == authority);
}

/* All texts of up to `most` letters behind `before`. */
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

static void
check_version(const char *version)
{
	char line[64];
	struct http_request r;

	sprintf(line, "GET / %s", version);
	unsigned status = parse(line, "Host: h\r\n", &r);
	bool form = strlen(version) == 8 && strncmp(version, "HTTP/", 5) == 0 &&
		    version[5] >= '0' && version[5] <= '9' && version[6] == '.' &&
		    version[7] >= '0' && version[7] <= '9';
	claim(status == 1 || status == (!form ? 400 : version[5] != '1' ? 505 : 0));
	if (status == 0)
		claim(r.minor == (version[7] != '0') && r.keep_alive == r.minor);
}

/* field-line = token ":" OWS value OWS; a value has no control character but HTAB. */
static void
check_line(const char *text)
{
	static const char tokens[] =
	    "!#$%&'*+-.^_`|~0123456789"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char fields[64];
	struct http_request r;
	size_t name = strspn(text, tokens);
	bool valid = name > 0 && text[name] == ':';

	for (const char *p = text + name; valid && *p != '\0'; p++)
		valid = (*p & 0x80) != 0 || *p == '\t' || (*p >= ' ' && *p < 0x7f);
	sprintf(fields, "%s\r\nHost: h\r\n", text);
	unsigned status = parse("GET / HTTP/1.1", fields, &r);
	if (status != 1)
		claim(status == (valid ? 0 : 400));
}

/* Fields whose meanings depend on each other, and what is wrong with them alone. */
static const struct {
	const char *text;
	unsigned status;
	unsigned hosts, lengths, encodings;
	bool close, keep, upgrade, websocket, expect;
	uint64_t length;
} fields[] = {
	{ "Host: a", .hosts = 1 },
	{ "hOST:", .hosts = 1 },
	{ "Host: a b", .status = 400 },
	{ "Host: u@h", .status = 400 },
	{ "Content-Length: 5", .lengths = 1, .length = 5 },
	{ "content-length:\t007 ", .lengths = 1, .length = 7 },
	{ "Content-Length: 9223372036854775807", .lengths = 1, .length = INT64_MAX },
	{ "Content-Length: 9223372036854775808", .status = 400 },
	{ "Content-Length: 5, 5", .status = 400 },
	{ "Content-Length: +5", .status = 400 },
	{ "Content-Length:", .status = 400 },
	{ "Content-Length : 5", .status = 400 },
	{ "Transfer-Encoding: Chunked", .encodings = 1 },
	{ "Transfer-Encoding: gzip, chunked", .status = 501 },
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
	bool expect = false;
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
		length += fields[chosen[i]].length;
		if (expected == 0)
			expected = fields[chosen[i]].status;
	}
	if (expected == 0 && (hosts != minor ? hosts > 1 || minor == 1 : false))
		expected = 400;
	if (expected == 0 && (lengths + encodings > 1 || (encodings > 0 && minor == 0)))
		expected = 400;
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

/* The fields of a good request, as it hands them on. */
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

/* Whatever it is, it is read within its bounds. */
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
	char every[256];

	end = guarded_end();
	for (size_t i = 0; i < 255; i++)
		every[i] = (char)(i + 1);
	every[255] = '\0';
	check_texts("/?*:#aZ0@%[].-~ \t\x7f\x80\xff", 5, "", check_target);
	check_texts(every, 2, "/", check_target);
	check_texts("s:/?#a@[\"", 7, "hTTp", check_target);
	check_texts("HTP/1.02", 7, "", check_version);
	check_texts("HTP/1.02", 4, "HTTP/", check_version);
	check_texts(every, 2, "HTTP/1", check_version);
	check_texts(every, 2, "", check_line);
	check_texts(every, 1, "a:", check_line);
	check_texts("a: \t\x01\x7f\xff(/", 6, "", check_line);
	check_all_fields();
	check_all_hops();
	check_texts("[]:\"1.a, \t", 6, "", check_hop);
	claim(good > 0 && bad > 0);
	printf("heads: %lu good, %lu bad\n", good, bad);
	return 0;
}
