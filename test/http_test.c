/* Scanning and parsing request heads, decoding chunked bodies, field values. */
#include "http.h"
#include "unit.h"

/*
 * Scans a head that is received in two pieces and then `step` bytes at a time.  Returns
 * the result of the last call, and in `seen` the number of bytes received by then.
 */
static long
scan(const char *text, size_t length, size_t first, size_t step, size_t *seen)
{
	size_t scanned = 0;

	for (size_t n = first;; n = n + step < length ? n + step : length) {
		char *p = copy(text, n);
		long end = http_scan(p, n, &scanned);
		free(p);
		*seen = n;
		if (end == HTTP_MORE)
			assert_int_equal(scanned, n);
		else if (end > 0)
			assert_int_equal(scanned, end);
		if (end != HTTP_MORE || n == length)
			return end;
	}
}

static const struct {
	const char *text;
	size_t length;
	const char *rest;
} heads[] = {
	{ BYTES("GET / HTTP/1.1\r\n\r\n"), "" },
	{ BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "" },
	{ BYTES("G\r\n\r\n"), "" },
	{ BYTES("GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
	  "GET / HTTP/1.1\r\n\r\n" },
	{ BYTES("POST / HTTP/1.1\r\n\r\n\0\n\r"), "\0\n\r" },
	{ BYTES("GET / HTTP/1.1\r\n\r\n\r\n"), "\r\n" },
};

static size_t
head_length(size_t i)
{
	const char *p = strstr(heads[i].text, "\r\n\r\n");

	return (size_t)(p - heads[i].text) + 4;
}

static void
a_head_ends_after_its_empty_line(void **state)
{
	size_t seen;

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++) {
		size_t length = heads[i].length, end = head_length(i);
		assert_int_equal(scan(heads[i].text, length, length, 1, &seen), end);
		assert_int_equal(scan(heads[i].text, length, 0, 1, &seen), end);
		assert_int_equal(seen, end);
	}
}

static void
a_head_is_found_at_every_split(void **state)
{
	size_t seen;

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++)
		for (size_t first = 0; first <= heads[i].length; first++)
			assert_int_equal(scan(heads[i].text, heads[i].length, first,
					      heads[i].length, &seen),
					 head_length(i));
}

static void
an_incomplete_head_needs_more_bytes(void **state)
{
	size_t seen;

	(void)state;
	for (size_t i = 0; i < COUNT(heads); i++)
		for (size_t n = 0; n < head_length(i); n++) {
			assert_int_equal(scan(heads[i].text, n, n, 1, &seen), HTTP_MORE);
			assert_int_equal(scan(heads[i].text, n, 0, 1, &seen), HTTP_MORE);
		}
}

/* Invalid heads, each with the number of bytes after which it is known to be invalid. */
static const struct {
	const char *text;
	size_t length, known;
} invalid_heads[] = {
	{ BYTES("\n"), 1 },
	{ BYTES("GET / HTTP/1.1\n"), 15 },
	{ BYTES("GET / HTTP/1.1\n\n"), 15 },
	{ BYTES("GET /\r HTTP/1.1\r\n"), 7 },
	{ BYTES("GET / HTTP/1.1\r\r\n"), 16 },
	{ BYTES("GET / HTTP/1.1\r\n\n"), 17 },
	{ BYTES("GET / HTTP/1.1\r\n\rx"), 18 },
	{ BYTES("GET / HTTP/1.1\r\n\r\r\n"), 18 },
	{ BYTES("A\r\nB: c\nD: e\r\n\r\n"), 8 },
	{ BYTES("A\r\nB: c\rD: e\r\n\r\n"), 9 },
	{ BYTES("\0"), 1 },
	{ BYTES("GET /\0 HTTP/1.1\r\n\r\n"), 6 },
	{ BYTES("A\r\nB: \0\r\n\r\n"), 7 },
	{ BYTES("A\r\0\n"), 3 },
	{ BYTES("A\r\n\0"), 4 },
};

static void
a_bare_cr_or_lf_or_a_nul_is_rejected_when_scanned(void **state)
{
	size_t seen;

	(void)state;
	for (size_t i = 0; i < COUNT(invalid_heads); i++) {
		size_t length = invalid_heads[i].length;
		assert_int_equal(scan(invalid_heads[i].text, length, 0, 1, &seen),
				 HTTP_BAD);
		if (seen != invalid_heads[i].known)
			fail_msg("case %zu known at %zu", i, seen);
		for (size_t first = 0; first <= length; first++)
			assert_int_equal(
			    scan(invalid_heads[i].text, length, first, length, &seen),
			    HTTP_BAD);
	}
}

static void
scanned_bytes_are_not_examined_again(void **state)
{
	char head[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	size_t scanned = 0;

	(void)state;
	assert_int_equal(http_scan(head, 10, &scanned), HTTP_MORE);
	memset(head, '\0', 5);
	assert_int_equal(http_scan(head, 20, &scanned), HTTP_MORE);
	memset(head, '\0', 17);
	assert_int_equal(http_scan(head, sizeof head - 1, &scanned), sizeof head - 1);
}

static void
blank_bytes_are_leading_empty_lines(void **state)
{
	static const struct {
		const char *text;
		size_t blank;
	} cases[] = {
		{ "", 0 },	   { "\r", 0 },	    { "\n", 0 },     { "\r\n", 2 },
		{ "\r\n\r\n", 4 }, { "\r\n\r", 2 }, { "\r\nG", 2 },  { "G\r\n", 0 },
		{ "\r\r\n", 0 },   { "\n\r\n", 0 }, { "\r\n\n", 2 }, { " \r\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		assert_int_equal(http_blank(p, length), cases[i].blank);
		free(p);
	}
}

/* The last parsed head.  It must stay, since a request's spans point into it. */
static char *last_head;

static int
drop_last_head(void **state)
{
	(void)state;
	free(last_head);
	last_head = NULL;
	return 0;
}

/* Parses a request with a request line and fields. */
static unsigned
parse(const char *line, const char *fields, struct http_request *r)
{
	char head[512];
	int length = snprintf(head, sizeof head, "%s\r\n%s\r\n", line, fields);

	assert_in_range(length, 4, sizeof head - 1);
	free(last_head);
	last_head = copy(head, (size_t)length);
	return http_parse(last_head, (size_t)length, r);
}

/* The same with a Host field before the others. */
static unsigned
parse_hosted(const char *line, const char *fields, struct http_request *r)
{
	char all[256];

	snprintf(all, sizeof all, "Host: h\r\n%s", fields);
	return parse(line, all, r);
}

static void
assert_line_status(const char *line, unsigned status)
{
	struct http_request r;
	unsigned seen = parse_hosted(line, "", &r);

	if (seen != status)
		fail_msg("%u for %s", seen, line);
}

/* Asserts the status of a POST request with a version, fields and a Host field. */
static void
assert_fields_status(unsigned minor, const char *fields, unsigned status)
{
	struct http_request r;
	const char *line = minor == 0 ? "POST / HTTP/1.0" : "POST / HTTP/1.1";
	unsigned seen = parse_hosted(line, fields, &r);

	if (seen != status)
		fail_msg("%u for %s", seen, fields);
}

static void
methods_are_compared_whole_and_with_case(void **state)
{
	static const struct {
		const char *line;
		enum http_method method;
	} cases[] = {
		{ "GET / HTTP/1.1", HTTP_GET },
		{ "POST / HTTP/1.1", HTTP_POST },
		{ "OPTIONS / HTTP/1.1", HTTP_OPTIONS },
		{ "HEAD / HTTP/1.1", HTTP_HEAD },
		{ "PUT / HTTP/1.1", HTTP_OTHER },
		{ "DELETE / HTTP/1.1", HTTP_OTHER },
		{ "PATCH / HTTP/1.1", HTTP_OTHER },
		{ "TRACE / HTTP/1.1", HTTP_OTHER },
	};
	static const char *const unknown[] = {
		"head / HTTP/1.1",	  "HEADS / HTTP/1.1", "get / HTTP/1.1",
		"GETS / HTTP/1.1",	  "GE / HTTP/1.1",    "M-SEARCH / HTTP/1.1",
		"CONNECT h:443 HTTP/1.1", "BREW <> HTTP/1.0",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		assert_int_equal(parse_hosted(cases[i].line, "", &r), 0);
		assert_int_equal(r.method, cases[i].method);
	}
	for (size_t i = 0; i < COUNT(unknown); i++)
		assert_line_status(unknown[i], 501);
}

static void
a_malformed_request_line_is_rejected(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"GET",
		"GET /",
		"GET  / HTTP/1.1",
		"GET /  HTTP/1.1",
		"GET / HTTP/1.1 ",
		" GET / HTTP/1.1",
		"GET\t/ HTTP/1.1",
		"GET /\tHTTP/1.1",
		"GET / x HTTP/1.1",
		" / HTTP/1.1",
		"G@T / HTTP/1.1",
		"G\xc3\x84T / HTTP/1.1",
		"GET: / HTTP/1.1",
		"GET  HTTP/1.1",
		"GET HTTP/1.1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_line_status(lines[i], 400);
}

static void
an_empty_head_is_rejected(void **state)
{
	struct http_request r;
	char *p = copy("\r\n\r\n", 4);

	(void)state;
	assert_int_equal(http_parse(p, 0, &r), 400);
	assert_int_equal(http_parse(p, 2, &r), 400);
	assert_int_equal(http_parse(p, 4, &r), 400);
	free(p);
}

static void
every_version_1_is_accepted(void **state)
{
	static const struct {
		const char *line;
		unsigned minor;
	} cases[] = {
		{ "GET / HTTP/1.0", 0 },
		{ "GET / HTTP/1.1", 1 },
		{ "GET / HTTP/1.2", 1 },
		{ "GET / HTTP/1.9", 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		assert_int_equal(parse_hosted(cases[i].line, "", &r), 0);
		assert_int_equal(r.minor, cases[i].minor);
	}
}

static void
other_versions_are_not_supported(void **state)
{
	(void)state;
	assert_line_status("GET / HTTP/2.0", 505);
	assert_line_status("GET / HTTP/0.9", 505);
	assert_line_status("GET / HTTP/3.0", 505);
	assert_line_status("PRI * HTTP/2.0", 505);
	assert_line_status("GET / HTTP/9.9", 505);
}

static void
a_malformed_version_is_rejected(void **state)
{
	static const char *const lines[] = {
		"GET / http/1.1",  "GET / Http/1.1", "GET / HTTP/1.10", "GET / HTTP/11.1",
		"GET / HTTP/1",	   "GET / HTTP/1.",  "GET / HTTP/.1",	"GET / HTTP/1,1",
		"GET / HTTP/a.1",  "GET / HTTP/1.a", "GET / HTTP 1.1",	"GET / HTTPS/1.1",
		"GET / HTTP/+1.1", "GET / HTTP/1.:", "GET / HTTP/:.1",	"GET / XTTP/1.1",
		"GET / HTTP/1./",  "GET / HTTP//.1",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(lines); i++)
		assert_line_status(lines[i], 400);
}

/* Parses a GET request for a target, and asserts its path and query. */
static void
assert_target(const char *target, const char *path, const char *query)
{
	struct http_request r;
	char line[256];

	snprintf(line, sizeof line, "GET %s HTTP/1.1", target);
	assert_int_equal(parse_hosted(line, "", &r), 0);
	assert_span(r.path, path);
	assert_span(r.query, query);
}

static void
the_origin_form_has_a_path_and_a_query(void **state)
{
	(void)state;
	assert_target("/", "/", "");
	assert_target("/echo/websocket", "/echo/websocket", "");
	assert_target("/echo?t=1", "/echo", "t=1");
	assert_target("/?", "/", "");
	assert_target("/?a?b", "/", "a?b");
	assert_target("/a?/b", "/a", "/b");
	assert_target("//double", "//double", "");
	assert_target("/%2e%2E/%00?%20", "/%2e%2E/%00", "%20");
	assert_target("/a?u=http://h/", "/a", "u=http://h/");
	assert_target("/http://h/a", "/http://h/a", "");
}

static void
the_asterisk_form_is_accepted(void **state)
{
	struct http_request r;

	(void)state;
	assert_int_equal(parse("OPTIONS * HTTP/1.1", "Host: h\r\n", &r), 0);
	assert_span(r.path, "*");
	assert_line_status("OPTIONS *a HTTP/1.1", 400);
	assert_line_status("OPTIONS ** HTTP/1.1", 400);
	assert_line_status("OPTIONS */ HTTP/1.1", 400);
	assert_line_status("OPTIONS *?a HTTP/1.1", 400);
}

static void
the_absolute_form_has_a_path_and_a_query(void **state)
{
	(void)state;
	assert_target("http://h/echo", "/echo", "");
	assert_target("https://h/echo?a=b", "/echo", "a=b");
	assert_target("HTTP://H:8080/echo/info", "/echo/info", "");
	assert_target("hTTpS://[::1]:8080/", "/", "");
	assert_target("http://h", "/", "");
	assert_target("http://h//a", "//a", "");
	assert_target("http://h/a?b/c?d", "/a", "b/c?d");
}

static void
the_absolute_form_may_have_a_query_without_a_path(void **state)
{
	(void)state;
	assert_target("http://h?a=b", "/", "a=b");
	assert_target("http://h?a/b", "/", "a/b");
}

static void
the_absolute_form_must_have_a_host(void **state)
{
	(void)state;
	assert_line_status("GET http:///echo HTTP/1.1", 400);
	assert_line_status("GET http:// HTTP/1.1", 400);
}

/* RFC 9112 section 3.2.2. */
static void
the_absolute_form_overrides_the_host_field(void **state)
{
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET http://other:81/ HTTP/1.1", "Host: h\r\n", &r), 0);
	assert_span(r.host, "other:81");
}

static void
other_targets_are_rejected(void **state)
{
	static const char *const targets[] = {
		"echo",	      "?a",	    "h:443",   "h",	      "http:/h/",
		"http:h/",    "ftp://h/",   "ws://h/", "httpx://h/",  "http",
		"/a#b",	      "/#",	    "#",       "/?a#b",	      "http://h/#a",
		"http://h#/", "/a\tb",	    "/\x7f",   "/\x01",	      "/a\x1f?b",
		"/?\x1b",     "\\",	    "../",     "http://:80/", "http://h:x/",
		"http://[/",  "http://h%/",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(targets); i++) {
		char line[64];
		snprintf(line, sizeof line, "GET %s HTTP/1.1", targets[i]);
		assert_line_status(line, 400);
	}
}

/* RFC 3986 appendix A. */
static void
a_target_has_only_characters_of_uris(void **state)
{
	static const char unreserved[] = "ABCXYZabcxyz0189-._~",
			  reserved[] = ":/?[]@!$&'()*+,;=";

	(void)state;
	for (int byte = 1; byte < 0x100; byte++) {
		char path[] = "GET /a_b HTTP/1.1", query[] = "GET /?a_b HTTP/1.1";
		if (byte == '\r' || byte == '\n')
			continue;
		path[6] = query[7] = (char)byte;
		bool letter = (byte >= '0' && byte <= '9') ||
			      (byte >= 'A' && byte <= 'Z') ||
			      (byte >= 'a' && byte <= 'z');
		bool valid = letter || byte == '%' || strchr(unreserved, byte) != NULL ||
			     strchr(reserved, byte) != NULL;
		assert_line_status(path, valid ? 0 : 400);
		assert_line_status(query, valid ? 0 : 400);
	}
}

static void
a_connection_persists_according_to_version_and_field(void **state)
{
	static const struct {
		unsigned minor;
		const char *fields;
		bool keep_alive;
	} cases[] = {
		{ 1, "", true },
		{ 0, "", false },
		{ 1, "Connection: close\r\n", false },
		{ 0, "Connection: close\r\n", false },
		{ 1, "Connection: keep-alive\r\n", true },
		{ 0, "Connection: keep-alive\r\n", true },
		{ 0, "connection: Keep-Alive\r\n", true },
		{ 1, "CONNECTION: CLOSE\r\n", false },
		{ 1, "Connection: keep-alive, close\r\n", false },
		{ 0, "Connection: close, keep-alive\r\n", false },
		{ 1, "Connection: close\r\nConnection: keep-alive\r\n", false },
		{ 0, "Connection: x\r\nConnection: keep-alive\r\n", true },
		{ 0, "Connection: x, Keep-Alive\r\n", true },
		{ 0, "Connection: not-keep-alive\r\n", false },
		{ 1, "Connection: closed\r\n", true },
		{ 1, "Connection: not close\r\n", true },
		{ 1, "Connection: x,close,y\r\n", false },
		{ 1, "Connection: ,, \t close\t ,\r\n", false },
		{ 1, "Connection:\r\n", true },
		{ 1, "Connection: Upgrade\r\n", true },
		{ 0, "Proxy-Connection: keep-alive\r\n", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		const char *line =
		    cases[i].minor == 0 ? "GET / HTTP/1.0" : "GET / HTTP/1.1";
		assert_int_equal(parse_hosted(line, cases[i].fields, &r), 0);
		if (r.keep_alive != cases[i].keep_alive)
			fail_msg("1.%u %s", cases[i].minor, cases[i].fields);
	}
}

static void
upgrade_tokens_are_found_in_lists(void **state)
{
	static const struct {
		const char *fields;
		bool upgrade, websocket;
	} cases[] = {
		{ "Connection: Upgrade\r\nUpgrade: websocket\r\n", true, true },
		{ "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", true,
		  true },
		{ "Connection: keep-alive\r\nConnection: upgrade\r\n", true, false },
		{ "Connection: upgrade\r\nConnection: keep-alive\r\n", true, false },
		{ "Upgrade: h2c, websocket\r\n", false, true },
		{ "Upgrade: websocket\r\nUpgrade: h2c\r\n", false, true },
		{ "Connection: UPGRADE,x\r\n", true, false },
		{ "Connection: upgrades\r\nUpgrade: websockets\r\n", false, false },
		{ "Connection: up grade\r\nUpgrade: web\r\n", false, false },
		{ "Connection: \"upgrade\"\r\nUpgrade: x websocket\r\n", false, false },
		{ "Connection: websocket\r\nUpgrade: upgrade\r\n", false, false },
		{ "", false, false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		assert_int_equal(parse_hosted("GET / HTTP/1.1", cases[i].fields, &r), 0);
		if (r.upgrade != cases[i].upgrade || r.websocket != cases[i].websocket)
			fail_msg("%s", cases[i].fields);
	}
}

static void
http_1_1_requires_exactly_one_host(void **state)
{
	static const struct {
		const char *line, *fields;
		unsigned status;
	} cases[] = {
		{ "GET / HTTP/1.1", "Host: h\r\n", 0 },
		{ "GET / HTTP/1.1", "Host:\r\n", 0 },
		{ "GET / HTTP/1.1", "Host: \r\n", 0 },
		{ "GET / HTTP/1.1", "", 400 },
		{ "GET / HTTP/1.1", "Hosts: h\r\n", 400 },
		{ "GET http://h/ HTTP/1.1", "", 400 },
		{ "GET / HTTP/1.0", "", 0 },
		{ "GET / HTTP/1.0", "Host: h\r\n", 0 },
		{ "GET / HTTP/1.1", "Host: h\r\nHost: h\r\n", 400 },
		{ "GET / HTTP/1.1", "Host: a\r\nhost: b\r\n", 400 },
		{ "GET / HTTP/1.1", "Host: a\r\nHost:\r\n", 400 },
		{ "GET / HTTP/1.0", "Host: a\r\nHost: b\r\n", 400 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		if (parse(cases[i].line, cases[i].fields, &r) != cases[i].status)
			fail_msg("%s, %s", cases[i].line, cases[i].fields);
	}
}

/* Asserts the status of a request with this Host field. */
static void
assert_host_status(const char *host, unsigned status)
{
	struct http_request r;
	char fields[128];

	snprintf(fields, sizeof fields, "Host: %s\r\n", host);
	unsigned seen = parse("GET / HTTP/1.1", fields, &r);
	if (seen != status)
		fail_msg("%u for %s", seen, host);
	if (status == 0)
		assert_span(r.host, host);
}

static void
a_host_is_a_name_or_address_with_an_optional_port(void **state)
{
	static const char *const valid[] = { "example.org",
					     "example.org:8443",
					     "127.0.0.1:80",
					     "[::1]",
					     "[2001:db8::1]:443",
					     "a_b-c~d",
					     "x%20y",
					     "xn--nxasmq6b",
					     "a:",
					     "a:0",
					     "a:65535",
					     "[::1]:",
					     "[::ffff:10.0.0.1]",
					     "999.1",
					     "%C3%a4.org:1",
					     "!$&'()*+;=" };
	static const char *const invalid[] = {
		"a b",	     "a/b",	 "u@h",	    "a\tb",	 "a?b",	       "a\\b",
		"\"a\"",     "<a>",	 "{a}",	    "a, b",	 "a,b",	       "h:80/",
		"\xc3\xa4",  "http://h", "h h",	    "a:b:c",	 "[",	       "a:xyz",
		"a%zz",	     ":80",	 ":",	    "a:-1",	 "a:65536",    "a:8 0",
		"a%",	     "a%2",	 "a%g0",    "[]",	 "[::1",       "::1]",
		"::1",	     "[::1]x",	 "[::1]]",  "[a]",	 "[10.0.0.1]", "[::g]",
		"[::1%25e]", "a[::1]",	 "[::1]:x", "[::1]:1:1", "]",	       "a]",
		"[[::1]]"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++)
		assert_host_status(valid[i], 0);
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_host_status(invalid[i], 400);
}

/* Token characters that a host must not contain (RFC 3986 section 3.2.2). */
static void
some_token_characters_are_invalid_in_a_host(void **state)
{
	(void)state;
	assert_host_status("a#b", 400);
	assert_host_status("a^b", 400);
	assert_host_status("a`b", 400);
	assert_host_status("a|b", 400);
}

static void
the_fields_of_a_handshake_are_kept(void **state)
{
	static const char *const fields = "HOST:h:80\r\n"
					  "origin: \t https://example.org \t\r\n"
					  "sec-websocket-key:a:b=\r\n"
					  "Sec-WebSocket-Version: 13\r\n"
					  "X-Origin: other\r\n"
					  "Cookie: a=\"b c\"; d\r\n";
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET /a?b HTTP/1.1", fields, &r), 0);
	assert_span(r.host, "h:80");
	assert_span(r.origin, "https://example.org");
	assert_span(r.websocket_key, "a:b=");
	assert_span(r.websocket_version, "13");
	assert_true(r.path.data == last_head + 4);
	assert_true(r.host.data > last_head && r.host.data < last_head + 512);
}

static void
an_absent_field_has_no_data(void **state)
{
	struct http_request r;

	(void)state;
	memset(&r, 0xff, sizeof r);
	assert_int_equal(parse("GET / HTTP/1.0", "", &r), 0);
	assert_span(r.host, NULL);
	assert_span(r.origin, NULL);
	assert_span(r.websocket_key, NULL);
	assert_span(r.websocket_version, NULL);
	assert_true(r.length == 0);
	assert_false(r.chunked || r.expect || r.upgrade || r.websocket || r.keep_alive);
}

static void
an_empty_field_has_data_of_length_zero(void **state)
{
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET / HTTP/1.1", "Host:\r\nOrigin:  \t\r\n", &r), 0);
	assert_span(r.host, "");
	assert_span(r.origin, "");
}

/* The fields that are kept unchanged: their names and their members. */
static const struct {
	const char *name;
	size_t place;
} kept[] = {
	{ "Authorization", offsetof(struct http_request, authorization) },
	{ "Content-Type", offsetof(struct http_request, content_type) },
	{ "Cookie", offsetof(struct http_request, cookie) },
	{ "Accept-Encoding", offsetof(struct http_request, accept_encoding) },
	{ "If-None-Match", offsetof(struct http_request, if_none_match) },
	{ "Access-Control-Request-Headers", offsetof(struct http_request, cors_headers) },
	{ "Origin", offsetof(struct http_request, origin) },
	{ "Sec-WebSocket-Key", offsetof(struct http_request, websocket_key) },
	{ "Sec-WebSocket-Version", offsetof(struct http_request, websocket_version) },
};

/* Asserts that one of these members has this value, and that the others have no data. */
static void
assert_kept_alone(const struct http_request *r, size_t which, const char *value)
{
	for (size_t i = 0; i < COUNT(kept); i++) {
		struct span s;
		memcpy(&s, (const char *)r + kept[i].place, sizeof s);
		assert_span(s, i == which ? value : NULL);
	}
}

static void
each_field_has_its_own_member(void **state)
{
	static const struct {
		const char *sent, *value;
	} cases[] = {
		{ ":text/plain", "text/plain" },
		{ ": \t a=\"b c\"; d \t", "a=\"b c\"; d" },
		{ ": W/\"1\", \"2\"", "W/\"1\", \"2\"" },
		{ ": a:b,\xc3\xa4", "a:b,\xc3\xa4" },
		{ ":", "" }, /* a field without a value is present */
		{ ": \t ", "" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(kept); i++)
		for (size_t k = 0; k < COUNT(cases); k++) {
			struct http_request r;
			char fields[128];
			snprintf(fields, sizeof fields, "Host: h\r\n%s%s\r\n",
				 kept[i].name, cases[k].sent);
			memset(&r, 0xff, sizeof r);
			assert_int_equal(parse("HEAD / HTTP/1.1", fields, &r), 0);
			assert_int_equal(r.method, HTTP_HEAD);
			assert_kept_alone(&r, i, cases[k].value);
		}
}

static void
field_names_are_compared_whole_and_without_case(void **state)
{
	static const char *const known = "cONTENT-tYPE: a\r\nCOOKIE: b\r\n"
					 "if-none-match: c\r\n"
					 "access-control-request-headers: d\r\n";
	static const char *const others = "Content-Types: a\r\nX-Cookie: b\r\n"
					  "Cookie2: b\r\nIf-Match: c\r\n"
					  "Access-Control-Request-Method: d\r\n"
					  "Access-Control-Request-Header: d\r\n";
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET / HTTP/1.0", known, &r), 0);
	assert_span(r.content_type, "a");
	assert_span(r.cookie, "b");
	assert_span(r.if_none_match, "c");
	assert_span(r.cors_headers, "d");
	assert_int_equal(parse("GET / HTTP/1.0", others, &r), 0);
	assert_kept_alone(&r, COUNT(kept), NULL);
}

static void
a_repeated_key_is_invalid(void **state)
{
	static const char *const fields =
	    "Host: h\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET / HTTP/1.1", fields, &r), 0);
	assert_span(r.websocket_key, "");
}

static void
a_field_name_is_a_token_followed_by_a_colon(void **state)
{
	static const char *const invalid[] = {
		"X : y\r\n",	"X\t: y\r\n",	": y\r\n",	" : y\r\n",
		" X: y\r\n",	"\tX: y\r\n",	"X\r\n",	"X y\r\n",
		"X y: z\r\n",	"X(y): z\r\n",	"X/y: z\r\n",	"X@y: z\r\n",
		"\"X\": y\r\n", "X\x01: y\r\n", "X\x7f: y\r\n", "X\xc3\xa4: y\r\n",
		"X;: y\r\n",	"X=: y\r\n",	"[X]: y\r\n",	"X,: y\r\n",
		"X{: y\r\n",	"X\\: y\r\n",	"X?: y\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_fields_status(1, invalid[i], 400);
	assert_fields_status(1, "!#$%&'*+-.^_`|~09azAZ: y\r\n", 0);
	assert_fields_status(1, "X:y\r\n", 0);
	assert_fields_status(1, "X:\r\n", 0);
	assert_fields_status(1, "X::\r\n", 0);
}

static void
a_folded_line_is_rejected(void **state)
{
	(void)state;
	assert_fields_status(1, "X: a\r\n b\r\n", 400);
	assert_fields_status(1, "X: a\r\n\tb: c\r\n", 400);
	assert_fields_status(1, "X: a\r\n \r\n", 400);
}

static void
a_field_line_without_a_name_is_rejected(void **state)
{
	struct http_request r;

	(void)state;
	assert_int_equal(parse("GET / HTTP/1.1", " X: y\r\nHost: h\r\n", &r), 400);
}

static void
a_value_has_no_control_characters_except_tabs(void **state)
{
	(void)state;
	for (int byte = 1; byte < 0x100; byte++) {
		char fields[] = "X: a_b\r\n";
		if (byte == '\r' || byte == '\n')
			continue;
		fields[4] = (char)byte;
		bool control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
		assert_fields_status(1, fields, control ? 400 : 0);
	}
}

static void
a_content_length_is_one_decimal_number(void **state)
{
	static const struct {
		const char *value;
		unsigned status;
		uint64_t length;
	} cases[] = {
		{ "0", 0, 0 },
		{ "5", 0, 5 },
		{ "  5\t ", 0, 5 },
		{ "0005", 0, 5 },
		{ "65536", 0, 65536 },
		{ "4294967296", 0, (uint64_t)1 << 32 },
		{ "9223372036854775807", 0, INT64_MAX },
		{ "9223372036854775808", 400, 0 },
		{ "18446744073709551615", 400, 0 },
		{ "18446744073709551621", 400, 0 },
		{ "99999999999999999999999999", 400, 0 },
		{ "", 400, 0 },
		{ "+5", 400, 0 },
		{ "-5", 400, 0 },
		{ "-0", 400, 0 },
		{ "5 5", 400, 0 },
		{ "5,5", 400, 0 },
		{ "5, 5", 400, 0 },
		{ "5,6", 400, 0 },
		{ "0x5", 400, 0 },
		{ "5.0", 400, 0 },
		{ "5e1", 400, 0 },
		{ "five", 400, 0 },
		{ "\"5\"", 400, 0 },
		{ "5;", 400, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		char fields[128];
		snprintf(fields, sizeof fields, "Host: h\r\nContent-Length:%s\r\n",
			 cases[i].value);
		if (parse("POST / HTTP/1.1", fields, &r) != cases[i].status)
			fail_msg("%s", cases[i].value);
		assert_true(cases[i].status != 0 || r.length == cases[i].length);
	}
}

static void
two_content_lengths_are_rejected(void **state)
{
	(void)state;
	assert_fields_status(1, "Content-Length: 5\r\nContent-Length: 6\r\n", 400);
	assert_fields_status(1, "Content-Length: 5\r\nContent-Length: 5\r\n", 400);
	assert_fields_status(1, "Content-Length: 0\r\ncontent-length: 0\r\n", 400);
	assert_fields_status(0, "Content-Length: 5\r\nContent-Length: 5\r\n", 400);
}

static void
a_content_length_with_chunks_is_rejected(void **state)
{
	(void)state;
	assert_fields_status(1, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
			     400);
	assert_fields_status(1, "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
			     400);
	assert_fields_status(1, "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
			     400);
}

static void
chunked_is_the_only_transfer_coding(void **state)
{
	static const char *const valid[] = { "chunked", "Chunked", "CHUNKED",
					     " \tchunked " };
	static const char *const unknown[] = { "gzip, chunked", "gzip,Chunked",
					       "x;y=z , chunked", ",chunked" };
	static const char *const unclear[] = {
		"gzip",
		"identity",
		"xchunked",
		"chunkedx",
		"chunked, gzip",
		"chunked, chunked",
		"chunked;q=1",
		"chunked, x, chunked",
		"",
		"gzip, chunked;x=y",
		"gzip, \"chunked\"",
	};
	struct http_request r;
	char fields[128];

	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++) {
		snprintf(fields, sizeof fields, "Host: h\r\nTransfer-Encoding:%s\r\n",
			 valid[i]);
		assert_int_equal(parse("POST / HTTP/1.1", fields, &r), 0);
		assert_true(r.chunked);
	}
	for (size_t i = 0; i < COUNT(unknown); i++) {
		snprintf(fields, sizeof fields, "Transfer-Encoding: %s\r\n", unknown[i]);
		assert_fields_status(1, fields, 501);
		assert_fields_status(0, fields, 400);
	}
	for (size_t i = 0; i < COUNT(unclear); i++) {
		snprintf(fields, sizeof fields, "Transfer-Encoding: %s\r\n", unclear[i]);
		assert_fields_status(1, fields, 400);
	}
}

/* The whole list would be on several lines. */
static void
a_folded_transfer_coding_is_rejected(void **state)
{
	(void)state;
	assert_fields_status(1, "Transfer-Encoding: gzip, chunked\r\n , x\r\n", 400);
	assert_fields_status(1, "Transfer-Encoding: gzip,\r\n chunked\r\n", 400);
	assert_fields_status(1, "Transfer-Encoding:\r\n chunked\r\n", 400);
	assert_fields_status(1, "Transfer-Encoding: chunked\r\n\t\r\n", 400);
}

/* The status is 400 or 501.  Either way no bytes are read as a body. */
static void
ambiguous_transfer_codings_are_rejected(void **state)
{
	static const char *const fields[] = {
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
		"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
		"Transfer-Encoding: chunked, chunked\r\n",
		"Transfer-Encoding: chunked, gzip\r\n",
		"Transfer-Encoding: chunked;q=1\r\n",
		"Transfer-Encoding: \"chunked\"\r\n",
		"Transfer-Encoding:\r\n",
		"Transfer-Encoding: ,chunked\r\n",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(fields); i++) {
		struct http_request r;
		unsigned status = parse_hosted("POST / HTTP/1.1", fields[i], &r);
		if (status != 400 && status != 501)
			fail_msg("%u for %s", status, fields[i]);
	}
}

static void
repeated_chunked_is_rejected(void **state)
{
	(void)state;
	assert_fields_status(
	    1, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400);
}

static void
chunks_are_rejected_in_http_1_0(void **state)
{
	(void)state;
	assert_fields_status(0, "Transfer-Encoding: chunked\r\n", 400);
	assert_fields_status(0, "Content-Length: 5\r\n", 0);
}

static void
the_only_expectation_is_continue(void **state)
{
	static const struct {
		const char *line, *fields;
		unsigned status;
		bool expect;
	} cases[] = {
		{ "POST / HTTP/1.1", "Host: h\r\nExpect: 100-continue\r\n", 0, true },
		{ "POST / HTTP/1.1", "Host: h\r\nexpect: 100-Continue\r\n", 0, true },
		{ "POST / HTTP/1.1", "Host: h\r\n", 0, false },
		{ "POST / HTTP/1.0", "Host: h\r\nExpect: 100-continue\r\n", 0, false },
		{ "POST / HTTP/1.1", "Host: h\r\nExpect: 200-ok\r\n", 417, false },
		{ "POST / HTTP/1.1", "Host: h\r\nExpect: 100-continues\r\n", 417, false },
		{ "POST / HTTP/1.1", "Host: h\r\nExpect: 100-continue, x\r\n", 417,
		  false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct http_request r;
		unsigned status = parse(cases[i].line, cases[i].fields, &r);
		assert_int_equal(status, cases[i].status);
		assert_true(status != 0 || r.expect == cases[i].expect);
	}
}

static void
a_truncated_head_is_read_within_its_bounds(void **state)
{
	static const char head[] =
	    "GET http://h/a?b HTTP/1.1\r\nHost: h:80\r\nConnection: a,\r\n"
	    "Content-Length: 5\r\nSec-WebSocket-Key: x\r\nX:\r\n\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof head; n++) {
		struct http_request r;
		char *p = copy(head, n);
		http_parse(p, n, &r);
		free(p);
	}
}

/* The result of decoding: the content, and the return value of the last call (`end`). */
struct body {
	char content[16384];
	size_t length;
	long end;
	size_t received; /* bytes received when it ended */
};

/* Decodes a body in a first piece of one length and later ones of another. */
static void
dechunk(struct body *b, const char *text, size_t length, size_t first, size_t step)
{
	struct http_chunked h = { 0 };
	size_t n = first < length ? first : length;

	b->length = b->received = 0;
	do {
		char *p = copy(text + b->received, n);
		size_t decoded = n;
		b->end = http_dechunk(&h, p, &decoded);
		b->received += n;
		if (b->end != HTTP_BAD) {
			assert_true(decoded <= n &&
				    b->length + decoded <= sizeof b->content);
			memcpy(b->content + b->length, p, decoded);
			b->length += decoded;
		}
		free(p);
		n = length - b->received < step ? length - b->received : step;
	} while (b->end == HTTP_MORE && n > 0);
}

static const struct {
	const char *text;
	size_t length;
	const char *content;
	size_t rest;
} bodies[] = {
	{ BYTES("0\r\n\r\n"), "", 0 },
	{ BYTES("5\r\nhello\r\n0\r\n\r\n"), "hello", 0 },
	{ BYTES("1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n"), "abcdef", 0 },
	{ BYTES("a\r\n0123456789\r\n0\r\n\r\n"), "0123456789", 0 },
	{ BYTES("A\r\n0123456789\r\n0\r\n\r\n"), "0123456789", 0 },
	{ BYTES("1F\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\n"),
	  "0123456789abcdef0123456789abcde", 0 },
	{ BYTES("1f\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\n"),
	  "0123456789abcdef0123456789abcde", 0 },
	{ BYTES("0005\r\nhello\r\n000\r\n\r\n"), "hello", 0 },
	{ BYTES("000000000000005\r\nhello\r\n000000000000000\r\n\r\n"), "hello", 0 },
	{ BYTES("5;a\r\nhello\r\n0;b=c\r\n\r\n"), "hello", 0 },
	{ BYTES("5;a=\"b;c 5\"\r\nhello\r\n0\r\n\r\n"), "hello", 0 },
	{ BYTES("5 ;a\r\nhello\r\n0\t;b\r\n\r\n"), "hello", 0 },
	{ BYTES("5;a=b;c;d=\"e\"\r\nhello\r\n0; a = b ;\tc\r\n\r\n"), "hello", 0 },
	{ BYTES("5;a=\"\" ;b\r\nhello\r\n0;a=\"\t\\\"\\\\\xc3\xa4\"\r\n\r\n"), "hello",
	  0 },
	{ BYTES("0\r\nX:\r\nY: \t\xc3\xa4\"\r\n\r\n"), "", 0 },
	{ BYTES("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n", 0 },
	{ BYTES("5\r\n0\r\n\r\n\r\n0\r\n\r\n"), "0\r\n\r\n", 0 },
	{ BYTES("1\r\na\r\n0\r\nX: y\r\n\r\n"), "a", 0 },
	{ BYTES("1\r\na\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n"), "a", 0 },
	{ BYTES("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), "a", 16 },
	{ BYTES("0\r\n\r\n\r\n"), "", 2 },
	{ BYTES("0\r\nX: y\r\n\r\n5\r\nhello"), "", 8 },
	{ BYTES("0\r\n\r\n0\r\n\r\n"), "", 5 },
};

static void
assert_body(const struct body *b, size_t i)
{
	if (b->end < 0)
		fail_msg("%ld for case %zu", b->end, i);
	assert_int_equal(bodies[i].length - b->received + (size_t)b->end, bodies[i].rest);
	assert_int_equal(b->length, strlen(bodies[i].content));
	assert_memory_equal(b->content, bodies[i].content, b->length);
}

static void
a_chunked_body_is_decoded_and_the_rest_kept(void **state)
{
	struct body b;

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		dechunk(&b, bodies[i].text, bodies[i].length, bodies[i].length, 1);
		assert_body(&b, i);
		assert_int_equal(b.end, bodies[i].rest);
	}
}

static void
a_chunked_body_is_decoded_at_any_split(void **state)
{
	struct body b;

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		size_t length = bodies[i].length;
		dechunk(&b, bodies[i].text, length, 0, 1);
		assert_body(&b, i);
		assert_int_equal(b.end, 0);
		for (size_t first = 0; first <= length; first++) {
			dechunk(&b, bodies[i].text, length, first, length);
			assert_body(&b, i);
		}
	}
}

static void
a_chunked_body_continues_until_its_last_byte(void **state)
{
	struct body b;

	(void)state;
	for (size_t i = 0; i < COUNT(bodies); i++)
		for (size_t n = 0; n < bodies[i].length - bodies[i].rest; n++) {
			dechunk(&b, bodies[i].text, n, n, 1);
			assert_int_equal(b.end, HTTP_MORE);
			assert_memory_equal(b.content, bodies[i].content, b.length);
		}
}

static const struct {
	const char *text;
	size_t length;
} malformed_bodies[] = {
	{ BYTES("\r\n") },
	{ BYTES("\n") },
	{ BYTES(" 5\r\nhello") },
	{ BYTES("g\r\n") },
	{ BYTES("/\r\n") },
	{ BYTES(":\r\n") },
	{ BYTES("@\r\n") },
	{ BYTES("`\r\n") },
	{ BYTES("0x5\r\nhello") },
	{ BYTES("5h\r\nhello") },
	{ BYTES("+5\r\nhello") },
	{ BYTES("-5\r\nhello") },
	{ BYTES("-0\r\n\r\n") },
	{ BYTES(";a\r\n\r\n") },
	{ BYTES("5,\r\nhello") },
	{ BYTES("5\0\r\nhello") },
	{ BYTES("5\nhello") },
	{ BYTES("5\rhello") },
	{ BYTES("5\r\r\nhello") },
	{ BYTES("5;\r\nhello") },
	{ BYTES("5;a;\r\nhello") },
	{ BYTES("5;;a\r\nhello") },
	{ BYTES("5;a \r\nhello") },
	{ BYTES("5;a b\r\nhello") },
	{ BYTES("5;=b\r\nhello") },
	{ BYTES("5;a=\r\nhello") },
	{ BYTES("5;a=;b\r\nhello") },
	{ BYTES("5;a=b=c\r\nhello") },
	{ BYTES("5;a=b c\r\nhello") },
	{ BYTES("5;a=b\"c\"\r\nhello") },
	{ BYTES("5;a=\"b\r\nhello") },
	{ BYTES("5;a=\"b\"c\r\nhello") },
	{ BYTES("5;a=\"b\"\"\r\nhello") },
	{ BYTES("5;a=\"\\\x01\"\r\nhello") },
	{ BYTES("5;a=\"\x7f\"\r\nhello") },
	{ BYTES("5;\"a\"\r\nhello") },
	{ BYTES("5;a/b\r\nhello") },
	{ BYTES("5;\xc3\xa4\r\nhello") },
	{ BYTES("0\r\nX\r\n\r\n") },
	{ BYTES("0\r\n: x\r\n\r\n") },
	{ BYTES("0\r\nX : y\r\n\r\n") },
	{ BYTES("0\r\n X: y\r\n\r\n") },
	{ BYTES("0\r\nX: y\r\n z\r\n\r\n") },
	{ BYTES("0\r\nX: \x01\r\n\r\n") },
	{ BYTES("0\r\nX: \x7f\r\n\r\n") },
	{ BYTES("0\r\nX/: y\r\n\r\n") },
	{ BYTES("5;a\nhello") },
	{ BYTES("5;a\rb\r\nhello") },
	{ BYTES("5;a\0\r\nhello") },
	{ BYTES("5\r\nhello\n") },
	{ BYTES("5\r\nhello0\r\n\r\n") },
	{ BYTES("5\r\nhello!\r\n") },
	{ BYTES("5\r\nhello\rx") },
	{ BYTES("5\r\nhello\r\n\r\n") },
	{ BYTES("0\n") },
	{ BYTES("0\r\n\n") },
	{ BYTES("0\r\n\r\r") },
	{ BYTES("0\r\nX: y\n") },
	{ BYTES("0\r\nX: y\rZ") },
	{ BYTES("0\r\nX: \0\r\n\r\n") },
	{ BYTES("0\r\n\0") },
	{ BYTES("fffffffffffffffff\r\n") },
	{ BYTES("10000000000000000\r\n") },
	{ BYTES("10000000000000005\r\nhello\r\n0\r\n\r\n") },
	{ BYTES("ffffffffffffffffffffffffffffffff\r\n") },
};

static void
a_malformed_chunked_body_is_rejected_at_any_split(void **state)
{
	struct body b;

	(void)state;
	for (size_t i = 0; i < COUNT(malformed_bodies); i++) {
		size_t length = malformed_bodies[i].length;
		dechunk(&b, malformed_bodies[i].text, length, 0, 1);
		if (b.end != HTTP_BAD)
			fail_msg("%ld for case %zu", b.end, i);
		for (size_t first = 0; first <= length; first++) {
			dechunk(&b, malformed_bodies[i].text, length, first, length);
			assert_int_equal(b.end, HTTP_BAD);
		}
	}
}

/* An extension begins with a semicolon (RFC 9112 section 7.1.1). */
static void
only_an_extension_may_follow_a_chunk_size(void **state)
{
	static const char *const texts[] = { "5 5\r\nhello", "5 x\r\nhello",
					     "5\tx;a\r\nhello" };
	struct body b;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		dechunk(&b, texts[i], strlen(texts[i]), strlen(texts[i]), 1);
		if (b.end != HTTP_BAD)
			fail_msg("%ld for %s", b.end, texts[i]);
	}
}

static void
a_chunk_can_have_the_largest_size(void **state)
{
	static const char text[] = "fffffffffffffff\r\nabc";
	struct http_chunked h = { 0 };
	size_t length = sizeof text - 1;
	char *p = copy(text, length);

	(void)state;
	assert_int_equal(http_dechunk(&h, p, &length), HTTP_MORE);
	assert_int_equal(length, 3);
	assert_memory_equal(p, "abc", 3);
	assert_true(h.left == 0xfffffffffffffff - 3);
	free(p);
}

/* Decodes a body with `overhead` bytes between `before` and `after`. */
static long
end_with_overhead(const char *before, size_t overhead, const char *after, size_t step)
{
	size_t length = strlen(before) + overhead + strlen(after);
	char *p = malloc(length);
	struct body b;

	assert_non_null(p);
	memcpy(p, before, strlen(before));
	memset(p + strlen(before), 'x', overhead);
	memcpy(p + strlen(before) + overhead, after, strlen(after));
	dechunk(&b, p, length, step, step);
	free(p);
	return b.end;
}

static void
endless_extensions_and_trailers_are_rejected(void **state)
{
	static const size_t steps[] = { 1, 1000, 70000 };

	(void)state;
	for (size_t i = 0; i < COUNT(steps); i++) {
		size_t step = steps[i];
		assert_int_equal(
		    end_with_overhead("5;", 1000, "\r\nhello\r\n0\r\n\r\n", step), 0);
		assert_int_equal(end_with_overhead("0\r\nX: ", 1000, "\r\n\r\n", step),
				 0);
		assert_int_equal(end_with_overhead("5;", HTTP_HEAD_SIZE, "", step),
				 HTTP_BAD);
		assert_int_equal(end_with_overhead("5;", 70000, "", step), HTTP_BAD);
		assert_int_equal(end_with_overhead("0\r\nX: ", HTTP_HEAD_SIZE, "", step),
				 HTTP_BAD);
		assert_int_equal(end_with_overhead("0\r\nX: ", 70000, "", step),
				 HTTP_BAD);
	}
}

static void
many_short_trailers_are_rejected_too(void **state)
{
	size_t length = 3 + 4 * (size_t)HTTP_HEAD_SIZE;
	char *p = malloc(length);
	struct body b;

	(void)state;
	memcpy(p, "0\r\n", 3);
	for (size_t at = 3; at < length; at += 4)
		memcpy(p + at, "X:\r\n", 4);
	dechunk(&b, p, length, length, length);
	assert_int_equal(b.end, HTTP_BAD);
	dechunk(&b, p, length, 1, 1);
	assert_int_equal(b.end, HTTP_BAD);
	free(p);
}

/* Content between chunk lines resets the count of overhead. */
static void
any_number_of_small_chunks_is_accepted(void **state)
{
	enum { CHUNKS = 10000 };
	size_t length = 6 * (size_t)CHUNKS + 5;
	char *p = malloc(length);
	struct body b;

	(void)state;
	for (size_t i = 0; i < CHUNKS; i++)
		memcpy(p + 6 * i, i % 2 == 0 ? "1\r\na\r\n" : "1\r\nb\r\n", 6);
	memcpy(p + 6 * (size_t)CHUNKS, "0\r\n\r\n", 5);
	dechunk(&b, p, length, length, length);
	assert_int_equal(b.end, 0);
	assert_int_equal(b.length, CHUNKS);
	assert_memory_equal(b.content, "abababab", 8);
	dechunk(&b, p, length, 7, 7);
	assert_int_equal(b.length, CHUNKS);
	free(p);
}

static void
a_list_is_taken_item_by_item(void **state)
{
	static const struct {
		const char *text;
		char separator;
		const char *pieces[4];
		size_t count;
	} cases[] = {
		{ "a", ',', { "a" }, 1 },
		{ "a,b", ',', { "a", "b" }, 2 },
		{ "ab,,cd", ',', { "ab", "", "cd" }, 3 },
		{ ",a", ',', { "", "a" }, 2 },
		{ "a,", ',', { "a" }, 1 }, /* no empty item after the separator */
		{ ",", ',', { "" }, 1 },
		{ ",,", ',', { "", "" }, 2 },
		{ "a,b;c", ';', { "a,b", "c" }, 2 },
		{ " a , b ", ',', { " a ", " b " }, 2 },
		{ "a\xff"
		  "b\xff",
		  '\xff',
		  { "a", "b" },
		  2 },
		{ "", ',', { NULL }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text), count = 0;
		char *p = copy(cases[i].text, length);
		struct span rest = { p, length };
		for (; rest.length > 0; count++) {
			struct span piece = http_take(&rest, cases[i].separator);
			assert_true(count < cases[i].count);
			assert_span(piece, cases[i].pieces[count]);
			assert_ptr_equal(rest.data + rest.length, p + length);
		}
		assert_int_equal(count, cases[i].count);
		assert_span(http_take(&rest, cases[i].separator), "");
		assert_int_equal(rest.length, 0);
		free(p);
	}
}

/* An absent field is an empty span. */
static void
nothing_is_taken_from_an_absent_field(void **state)
{
	struct span rest = { 0 };

	(void)state;
	assert_span(http_take(&rest, ';'), NULL);
	assert_span(rest, NULL);
	assert_span(http_trim(rest), NULL);
	assert_span(http_parameter(rest, "c"), NULL);
	assert_int_equal(http_unescape(rest, NULL, true), 0);
}

static void
white_space_is_trimmed_at_the_ends_only(void **state)
{
	static const struct {
		const char *text, *trimmed;
	} cases[] = {
		{ "", "" },
		{ " ", "" },
		{ "\t \t", "" },
		{ "a", "a" },
		{ " a", "a" },
		{ "a\t", "a" },
		{ " \t a b \t ", "a b" },
		{ "\ta\tb\t", "a\tb" },
		{ "\r\na\n", "\r\na\n" },
		{ "\x0b"
		  "a\x0c",
		  "\x0b"
		  "a\x0c" },
		{ "\xa0"
		  "a\xa0",
		  "\xa0"
		  "a\xa0" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		assert_span(http_trim((struct span){ p, length }), cases[i].trimmed);
		free(p);
	}
}

/* Unescapes to an exactly sized buffer and in place, and compares. */
static void
assert_unescaped(const char *text, size_t length, bool plus, const char *expected,
		 size_t expected_length)
{
	char *p = copy(text, length), *out = malloc(expected_length + 1);

	size_t n = http_unescape((struct span){ p, length }, out, plus);
	if (n != expected_length || memcmp(out, expected, n) != 0)
		fail_msg("%zu bytes for %s", n, text);
	assert_memory_equal(p, text, length);
	assert_int_equal(http_unescape((struct span){ p, length }, p, plus), n);
	assert_memory_equal(p, expected, n);
	free(out);
	free(p);
}

static void
percent_escapes_are_decoded_and_the_rest_kept(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *expected;
		size_t expected_length;
	} cases[] = {
		{ BYTES(""), BYTES("") },
		{ BYTES("plain"), BYTES("plain") },
		{ BYTES("%41"), BYTES("A") },
		{ BYTES("a%20b%20"), BYTES("a b ") },
		{ BYTES("%63allback"), BYTES("callback") },
		{ BYTES("%c3%A4"), BYTES("\xc3\xa4") },
		{ BYTES("%fF%Ff"), BYTES("\xff\xff") },
		{ BYTES("%00"), BYTES("\0") },
		{ BYTES("a%00b"), BYTES("a\0b") },
		{ BYTES("%0d%0a"), BYTES("\r\n") },
		{ BYTES("%2b"), BYTES("+") },
		{ BYTES("%26%3D"), BYTES("&=") },
		{ BYTES("%2541"), BYTES("%41") }, /* decoded once only */
		{ BYTES("%25"), BYTES("%") },
		{ BYTES("%"), BYTES("%") }, /* truncated */
		{ BYTES("%4"), BYTES("%4") },
		{ BYTES("a%"), BYTES("a%") },
		{ BYTES("%41%"), BYTES("A%") },
		{ BYTES("%41%4"), BYTES("A%4") },
		{ BYTES("%zz"), BYTES("%zz") }, /* not hexadecimal */
		{ BYTES("%4g"), BYTES("%4g") },
		{ BYTES("%g4"), BYTES("%g4") },
		{ BYTES("%%41"), BYTES("%A") },
		{ BYTES("%4%41"), BYTES("%4A") },
		{ BYTES("%%%"), BYTES("%%%") },
		{ BYTES("% 41"), BYTES("% 41") },
		{ BYTES("%-1"), BYTES("%-1") },
		{ BYTES("%0x41"), BYTES("%0x41") },
		{ BYTES("%u0041"), BYTES("%u0041") },
		{ BYTES("\0%41\0"), BYTES("\0A\0") },
		{ BYTES("\xc3\xa4\xff"), BYTES("\xc3\xa4\xff") },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		assert_unescaped(cases[i].text, cases[i].length, false, cases[i].expected,
				 cases[i].expected_length);
		assert_unescaped(cases[i].text, cases[i].length, true, cases[i].expected,
				 cases[i].expected_length);
	}
}

static void
a_plus_is_a_space_in_a_form_only(void **state)
{
	static const struct {
		const char *text, *plain, *form;
	} cases[] = {
		{ "+", "+", " " },	     { "a+b++c", "a+b++c", "a b  c" },
		{ "%2B+%2b", "+++", "+ +" }, { "%+41", "%+41", "% 41" },
		{ "%4+1", "%4+1", "%4 1" },  { "%20+", " +", "  " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		assert_unescaped(cases[i].text, length, false, cases[i].plain,
				 strlen(cases[i].plain));
		assert_unescaped(cases[i].text, length, true, cases[i].form,
				 strlen(cases[i].form));
	}
}

static void
percent_signs_without_two_digits_are_kept(void **state)
{
	static const char digits[] = "0123456789abcdefABCDEF";

	(void)state;
	for (unsigned both = 0; both < 0x10000; both++) {
		char text[3] = { '%', (char)(both >> 8), (char)(both & 0xff) }, out[3];
		const char *high = memchr(digits, text[1], sizeof digits - 1);
		const char *low = memchr(digits, text[2], sizeof digits - 1);
		struct span s = { text, sizeof text };
		size_t length = http_unescape(s, out, false);
		if (high == NULL || low == NULL) {
			assert_int_equal(length, 3);
			assert_memory_equal(out, text, 3);
			continue;
		}
		long upper = high - digits, lower = low - digits;
		upper -= upper > 15 ? 6 : 0;
		lower -= lower > 15 ? 6 : 0;
		assert_int_equal(length, 1);
		assert_int_equal((unsigned char)out[0], 16 * upper + lower);
	}
}

static void
a_parameter_is_the_last_one_of_its_name(void **state)
{
	static const struct {
		const char *query, *name, *value;
	} cases[] = {
		{ "", "c", NULL },
		{ "c=1", "c", "1" },
		{ "a=0&c=1&b=2", "c", "1" },
		{ "c=1&c=2", "c", "2" },
		{ "c=1&c=2&d=3", "c", "2" },
		{ "c=1&c=", "c", "" },
		{ "c=1&c", "c", "" },
		{ "c=&c=1", "c", "1" },
		{ "c=", "c", "" },
		{ "c=&a=1", "c", "" },
		{ "c", "c", "" },
		{ "a&c&b", "c", "" },
		{ "d=1", "c", NULL },
		{ "callback=1", "c", NULL },
		{ "c=1", "callback", NULL },
		{ "cc=1&cd=2", "c", NULL },
		{ "cc=1&c=2&ccc=3", "c", "2" },
		{ "ac=1", "c", NULL },
		{ "C=1", "c", NULL },
		{ " c=1", "c", NULL },
		{ "c =1", "c", NULL },
		{ "%63=1", "c", "1" }, /* names can be escaped too */
		{ "%63%61llbac%6B=1", "callback", "1" },
		{ "%63%61%6c%6c%62%61%63%6b=1", "callback", "1" },
		{ "c=1&%63=%63", "c", "%63" },
		{ "%2563=1", "c", NULL },
		{ "%6=1", "c", NULL },
		{ "c%00=1", "c", NULL },
		{ "c+=1", "c", NULL },
		{ "%63%3d1", "c", NULL },
		{ "+d=1", " d", "1" },
		{ "a%26c=1", "c", NULL },
		{ "a_name_of_sixteen=1&a_name_of_sixtee", "a_name_of_sixtee", "" },
		{ "c_________________________________________________=1", "c", NULL },
		{ "%63%63%63%63%63%63%63%63%63%63%63%63%63%63%63%63%63=1", "c", NULL },
		{ "d=c", "c", NULL },
		{ "d=c=1", "c", NULL },
		{ "d=1;c=2", "c", NULL },
		{ "c=a=b", "c", "a=b" },
		{ "c==", "c", "=" },
		{ "&&c=1&&", "c", "1" },
		{ "&", "c", NULL },
		{ "=1", "c", NULL },
		{ "=", "c", NULL },
		{ "c=%41+b%26d=2", "c", "%41+b%26d=2" },
		{ "c=a?b/;d", "c", "a?b/;d" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].query);
		char *p = copy(cases[i].query, length);
		struct span s = http_parameter((struct span){ p, length }, cases[i].name);
		if ((s.data == NULL) != (cases[i].value == NULL))
			fail_msg("%s in %s", cases[i].name, cases[i].query);
		assert_span(s, cases[i].value);
		assert_true(s.data == NULL ||
			    (s.data >= p && s.data + s.length <= p + length));
		free(p);
	}
}

static void
a_coding_is_accepted_according_to_the_field(void **state)
{
	static const struct {
		const char *list; /* NULL: the field is absent */
		bool accepted;
	} rows[] = {
		{ NULL, true },
		{ "", false },
		{ "gzip", true },
		{ "GZip", true },
		{ "deflate, gzip, br", true },
		{ "br,gzip", true },
		{ "gzip;q=1", true },
		{ "gzip ; q=0.001", true },
		{ "gzip;q=0", false },
		{ "gzip;q=0.", false },
		{ "gzip; Q=0.000", false },
		{ "gzip;q", true }, /* not a weight */
		{ "gzip;q=", true },
		{ "gzip;p=0", true },
		{ "*", true },
		{ "*;q=0", false },
		{ "br, *;q=0.5", true },
		/* "*" does not include codings that the list names. */
		{ "gzip;q=0, *", false },
		{ "*;q=0, gzip", true },
		{ "identity", false },
		{ "deflate, br;q=1", false },
		{ "xgzip", false },
		{ "gzip2", false },
		{ ",", false },
		{ " , gzip", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *list = rows[i].list;
		size_t length = list != NULL ? strlen(list) : 0;
		char *p = list != NULL ? copy(list, length) : NULL;
		if (http_accepts((struct span){ p, length }, "gzip") != rows[i].accepted)
			fail_msg("%s", list);
		free(p);
	}
}

static void
a_tag_is_found_in_a_list(void **state)
{
	static const struct {
		const char *list;
		bool found;
	} rows[] = {
		{ "\"a\"", true },
		{ "W/\"a\"", true },
		{ "\"b\", \"a\"", true },
		{ "\"a\",\"b\"", true },
		{ "*", true },
		{ "\"b\",W/\"a\"", true },
		{ "", false },
		{ "a", false },
		{ "\"b\"", false },
		{ "\"aa\"", false },
		{ "w/\"a\"", false },
		{ "W/", false },
		{ "\"b\",,\"c\"", false },
		{ "\"A\"", false },
		{ "W/W/\"a\"", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t length = strlen(rows[i].list);
		char *p = copy(rows[i].list, length);
		if (http_has_tag((struct span){ p, length }, "\"a\"") != rows[i].found)
			fail_msg("%s", rows[i].list);
		free(p);
	}
}

static void
each_status_that_the_server_sends_has_a_reason(void **state)
{
	static const struct {
		unsigned status;
		const char *reason;
	} cases[] = {
		{ 101, "Switching Protocols" },
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 417, "Expectation Failed" },
		{ 426, "Upgrade Required" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_string_equal(http_reason(cases[i].status), cases[i].reason);
	assert_non_null(http_reason(999));
}

/*
 * Clients of proxies
 */

/* In 10.0.0.0/8 and fd00::/8. */
static bool
is_proxy(const struct socket_address *a)
{
	return a->bytes[0] == (a->length == 4 ? 10 : 0xfd);
}

/* Asserts the client of a request with these fields from the proxy 10.9.9.9:99. */
static void
assert_client(const char *fields, const char *expected)
{
	struct socket_address client = { .length = 4,
					 .bytes = { 10, 9, 9, 9 },
					 .port = 99 };
	char seen[64], wanted[64];
	struct http_request r;
	struct text t;

	assert_int_equal(parse_hosted("GET / HTTP/1.1", fields, &r), 0);
	http_forwarded(r.fields, is_proxy, &client);
	text_init(&t, seen, sizeof seen - 1);
	text_address(&t, client.bytes, client.length);
	text_char(&t, ' ');
	text_number(&t, client.port);
	seen[t.length] = '\0';
	snprintf(wanted, sizeof wanted, "%s 99", expected);
	if (strcmp(seen, wanted) != 0)
		fail_msg("%s for %s of %s", seen, wanted, fields);
}

static void
the_client_is_the_last_untrusted_hop(void **state)
{
	static const struct {
		const char *fields, *client;
	} rows[] = {
		{ "", "10.9.9.9" },
		{ "Forwarded: for=1.1.1.1\r\nX-Forwarded: 1.1.1.1\r\n", "10.9.9.9" },
		{ "X-Forwarded-For:\r\n", "10.9.9.9" },
		{ "X-Forwarded-For: 1.1.1.1\r\n", "1.1.1.1" },
		{ "x-forwarded-for:1.1.1.1\r\n", "1.1.1.1" },
		{ "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\n", "2.2.2.2" },
		{ "X-Forwarded-For: 10.1.1.1, 2.2.2.2\r\n", "2.2.2.2" },
		{ "X-Forwarded-For: 1.1.1.1,2.2.2.2 ,\t10.1.1.1,fd00::1\r\n", "2.2.2.2" },
		{ "X-Forwarded-For: 10.1.1.1, 10.2.2.2\r\n", "10.1.1.1" },
		{ "X-Forwarded-For: ,1.1.1.1, ,10.1.1.1, \r\n", "1.1.1.1" },
		/* Several lines form one list. */
		{ "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", "2.2.2.2" },
		{ "X-Forwarded-For: 1.1.1.1\r\nA: b\r\nX-Forwarded-For: 10.1.1.1\r\n",
		  "1.1.1.1" },
		/* A hop that is not an address hides all hops before it. */
		{ "X-Forwarded-For: x\r\n", "10.9.9.9" },
		{ "X-Forwarded-For: 1.1.1.1, x\r\n", "10.9.9.9" },
		{ "X-Forwarded-For: x, 1.1.1.1\r\n", "1.1.1.1" },
		{ "X-Forwarded-For: 1.1.1.1, x, 10.1.1.1, 10.2.2.2\r\n", "10.1.1.1" },
		{ "X-Forwarded-For: x, 1.1.1.1, 10.1.1.1\r\n", "1.1.1.1" },
		{ "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: x\r\n", "10.9.9.9" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_client(rows[i].fields, rows[i].client);
}

static void
a_hop_is_an_address_with_or_without_a_port(void **state)
{
	static const struct {
		const char *hop, *client;
	} rows[] = {
		{ "1.2.3.4:5678", "1.2.3.4" },
		{ "\"1.2.3.4\"", "1.2.3.4" },
		{ "\"1.2.3.4:65535\"", "1.2.3.4" },
		{ "2001:db8::1", "2001:db8::1" },
		{ "[2001:db8::1]", "2001:db8::1" },
		{ "[2001:DB8::1]:4711", "2001:db8::1" },
		{ "\"[2001:db8::1]:4711\"", "2001:db8::1" },
		{ "::ffff:1.2.3.4", "1.2.3.4" },
		{ "[::ffff:102:304]:5", "1.2.3.4" },
		{ "::ffff:10.1.1.1, 1.1.1.1, ::ffff:10.2.2.2", "1.1.1.1" },
		{ "1111:1111:1111:1111:1111:1111:111.111.111.111",
		  "1111:1111:1111:1111:1111:1111:6f6f:6f6f" },
	};
	static const char *const invalid[] = {
		"unknown",
		"_hidden",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"1.2.3.4:x",
		"1.2.3.4:65536",
		"1.2.3.4:-1",
		"1.2.3.4 5.6.7.8",
		"1.2.3.4:5:6",
		"\"1.2.3.4",
		"1.2.3.4\"",
		"\"\"",
		"\"",
		"[",
		"[]",
		"[2001:db8::1",
		"2001:db8::1]",
		"[2001:db8::1]x",
		"[2001:db8::1]x:1",
		"[2001:db8::1]:x",
		"2001:db8::g",
		"fe80::1%lo",
		":",
		"for=1.2.3.4",
		"1111:1111:1111:1111:1111:1111:111.111.111.1111",
	};
	char fields[200];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(fields, sizeof fields, "X-Forwarded-For: %s\r\n", rows[i].hop);
		assert_client(fields, rows[i].client);
	}
	for (size_t i = 0; i < COUNT(invalid); i++) {
		snprintf(fields, sizeof fields, "X-Forwarded-For: 1.1.1.1, %s\r\n",
			 invalid[i]);
		assert_client(fields, "10.9.9.9");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_ends_after_its_empty_line),
		cmocka_unit_test(a_head_is_found_at_every_split),
		cmocka_unit_test(an_incomplete_head_needs_more_bytes),
		cmocka_unit_test(a_bare_cr_or_lf_or_a_nul_is_rejected_when_scanned),
		cmocka_unit_test(scanned_bytes_are_not_examined_again),
		cmocka_unit_test(blank_bytes_are_leading_empty_lines),
		cmocka_unit_test(methods_are_compared_whole_and_with_case),
		cmocka_unit_test(a_malformed_request_line_is_rejected),
		cmocka_unit_test(an_empty_head_is_rejected),
		cmocka_unit_test(every_version_1_is_accepted),
		cmocka_unit_test(other_versions_are_not_supported),
		cmocka_unit_test(a_malformed_version_is_rejected),
		cmocka_unit_test(the_origin_form_has_a_path_and_a_query),
		cmocka_unit_test(the_asterisk_form_is_accepted),
		cmocka_unit_test(the_absolute_form_has_a_path_and_a_query),
		cmocka_unit_test(the_absolute_form_may_have_a_query_without_a_path),
		cmocka_unit_test(the_absolute_form_must_have_a_host),
		cmocka_unit_test(the_absolute_form_overrides_the_host_field),
		cmocka_unit_test(other_targets_are_rejected),
		cmocka_unit_test(a_target_has_only_characters_of_uris),
		cmocka_unit_test(a_connection_persists_according_to_version_and_field),
		cmocka_unit_test(upgrade_tokens_are_found_in_lists),
		cmocka_unit_test(http_1_1_requires_exactly_one_host),
		cmocka_unit_test(a_host_is_a_name_or_address_with_an_optional_port),
		cmocka_unit_test(some_token_characters_are_invalid_in_a_host),
		cmocka_unit_test(the_fields_of_a_handshake_are_kept),
		cmocka_unit_test(an_absent_field_has_no_data),
		cmocka_unit_test(an_empty_field_has_data_of_length_zero),
		cmocka_unit_test(each_field_has_its_own_member),
		cmocka_unit_test(field_names_are_compared_whole_and_without_case),
		cmocka_unit_test(a_repeated_key_is_invalid),
		cmocka_unit_test(a_field_name_is_a_token_followed_by_a_colon),
		cmocka_unit_test(a_folded_line_is_rejected),
		cmocka_unit_test(a_field_line_without_a_name_is_rejected),
		cmocka_unit_test(a_value_has_no_control_characters_except_tabs),
		cmocka_unit_test(a_content_length_is_one_decimal_number),
		cmocka_unit_test(two_content_lengths_are_rejected),
		cmocka_unit_test(a_content_length_with_chunks_is_rejected),
		cmocka_unit_test(chunked_is_the_only_transfer_coding),
		cmocka_unit_test(ambiguous_transfer_codings_are_rejected),
		cmocka_unit_test(a_folded_transfer_coding_is_rejected),
		cmocka_unit_test(repeated_chunked_is_rejected),
		cmocka_unit_test(chunks_are_rejected_in_http_1_0),
		cmocka_unit_test(the_only_expectation_is_continue),
		cmocka_unit_test(a_truncated_head_is_read_within_its_bounds),
		cmocka_unit_test(a_chunked_body_is_decoded_and_the_rest_kept),
		cmocka_unit_test(a_chunked_body_is_decoded_at_any_split),
		cmocka_unit_test(a_chunked_body_continues_until_its_last_byte),
		cmocka_unit_test(a_malformed_chunked_body_is_rejected_at_any_split),
		cmocka_unit_test(only_an_extension_may_follow_a_chunk_size),
		cmocka_unit_test(a_chunk_can_have_the_largest_size),
		cmocka_unit_test(endless_extensions_and_trailers_are_rejected),
		cmocka_unit_test(many_short_trailers_are_rejected_too),
		cmocka_unit_test(any_number_of_small_chunks_is_accepted),
		cmocka_unit_test(a_list_is_taken_item_by_item),
		cmocka_unit_test(nothing_is_taken_from_an_absent_field),
		cmocka_unit_test(white_space_is_trimmed_at_the_ends_only),
		cmocka_unit_test(percent_escapes_are_decoded_and_the_rest_kept),
		cmocka_unit_test(a_plus_is_a_space_in_a_form_only),
		cmocka_unit_test(percent_signs_without_two_digits_are_kept),
		cmocka_unit_test(a_parameter_is_the_last_one_of_its_name),
		cmocka_unit_test(a_coding_is_accepted_according_to_the_field),
		cmocka_unit_test(a_tag_is_found_in_a_list),
		cmocka_unit_test(each_status_that_the_server_sends_has_a_reason),
		cmocka_unit_test(the_client_is_the_last_untrusted_hop),
		cmocka_unit_test(a_hop_is_an_address_with_or_without_a_port),
	};

	return cmocka_run_group_tests_name("http", tests, NULL, drop_last_head);
}
