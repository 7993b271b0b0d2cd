/* Origins of the configuration, normalized, and those of requests, compared with them. */
#include "origin.h"
#include "unit.h"

static char message[600];

/* Normalizes a copy in exactly sized memory.  Returns it, or NULL with the error in
 * `message`. */
static char *
normalized(const char *text)
{
	char *origin = copy(text, strlen(text) + 1);
	struct text error;

	text_init(&error, message, sizeof message - 1);
	bool valid = origin_normalize(origin, &error);
	assert_false(error.overflow);
	assert_int_equal(error.length == 0, valid);
	message[error.length] = '\0';
	if (valid)
		return origin;
	assert_string_equal(origin, text);
	free(origin);
	return NULL;
}

static void
assert_normalized(const char *text, const char *expected)
{
	char *origin = normalized(text);

	if (origin == NULL)
		fail_msg("%s", message);
	assert_string_equal(origin, expected);
	free(origin);
}

static void
assert_error(const char *text, const char *expected)
{
	char *origin = normalized(text);

	if (origin != NULL)
		fail_msg("%s is accepted as %s", text, origin);
	assert_string_equal(message, expected);
}

static void
an_origin_becomes_what_browsers_send(void **state)
{
	(void)state;
	assert_normalized("null", "null");
	assert_normalized("https://example.org", "https://example.org");
	assert_normalized("HTTPS://Example.ORG", "https://example.org");
	assert_normalized("https://a_b-c.example.", "https://a_b-c.example.");
	assert_normalized("https://a:443", "https://a");
	assert_normalized("https://a:0443", "https://a");
	assert_normalized("https://a:80", "https://a:80");
	assert_normalized("http://a:80", "http://a");
	assert_normalized("HTTP://a:80", "http://a");
	assert_normalized("http://a:443", "http://a:443");
	assert_normalized("http://127.0.0.1:8080", "http://127.0.0.1:8080");
	assert_normalized("https://a:65535", "https://a:65535");
	assert_normalized("https://xn--bcher-kva.example",
			  "https://xn--bcher-kva.example");
	assert_normalized("capacitor://localhost", "capacitor://localhost");
	assert_normalized("chrome-extension://abc", "chrome-extension://abc");
	assert_normalized("https://*.Example.org:443", "https://*.example.org");
}

static void
an_ipv6_host_is_in_brackets(void **state)
{
	(void)state;
	assert_normalized("http://[::1]", "http://[::1]");
	assert_normalized("http://[::1]:8080", "http://[::1]:8080");
	assert_normalized("https://[2001:DB8:0:0::1]:443", "https://[2001:db8::1]");
	assert_normalized("http://[::ffff:192.0.2.1]", "http://[::ffff:c000:201]");
	assert_error("http://[1::3:4:5:6:7:8]",
		     "\"http://[1::3:4:5:6:7:8]\" is not in the form that browsers send, "
		     "write \"http://[1:0:3:4:5:6:7:8]\"");
	static const char *const invalid[] = { "http://::1",	 "http://[::1",
					       "http://[]",	 "http://[1.2.3.4]",
					       "http://[::1]x",	 "http://[fe80::1%eth0]",
					       "http://[*.a]",	 "http://[::g]",
					       "http://[:: ::]", "http://[::1]]" };
	for (size_t i = 0; i < COUNT(invalid); i++) {
		assert_null(normalized(invalid[i]));
		assert_non_null(strstr(message, " has an invalid host or port"));
	}
}

static void
an_error_shows_how_to_write_the_origin(void **state)
{
	(void)state;
	assert_error("https://a/", "\"https://a/\" has a path, write \"https://a\"");
	assert_error("HTTPS://A:443/b?c",
		     "\"HTTPS://A:443/b?c\" has a path, write \"https://a\"");
	assert_error("https://a?b", "\"https://a?b\" has a path, write \"https://a\"");
	assert_error("https://a#b", "\"https://a#b\" has a path, write \"https://a\"");
	assert_error("example.org",
		     "\"example.org\" has no scheme, write \"https://example.org\"");
	assert_error("//example.org/",
		     "\"//example.org/\" has no scheme, write \"https://example.org\"");
	assert_error("wss://Example.org/",
		     "\"wss://Example.org/\" is not the origin of a "
		     "page, write \"https://example.org\"");
	assert_error("WS://a:80", "\"WS://a:80\" is not the origin of a page, write "
				  "\"http://a\"");
	assert_error(
	    "localhost:8080",
	    "\"localhost:8080\" has no scheme, write \"https://localhost:8080\"");
	assert_error("*", "\"*\" is not an origin, write [] to allow all");
	assert_error("", "\"\" is empty");
	assert_error(
	    "https://b\xc3\xbc"
	    "cher.example",
	    "\"https://b\\xc3\\xbccher.example\" is not ASCII, write its host in "
	    "the form xn--...");
}

static void
anything_else_is_no_origin(void **state)
{
	static const char *const invalid[] = {
		"https://",
		"https:///",
		"https:// a",
		"https://a b",
		"https://a,https://b",
		"https://user@a",
		"https://a:",
		"https://a:x",
		"https://a:-1",
		"https://a:65536",
		"https://a:99999999999999999999",
		"https://a:1x",
		"https://*",
		"https://*.",
		"https://*a.example",
		"https://a.*.example",
		"https://a\\b",
		"://a",
		" ",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++) {
		char *origin = normalized(invalid[i]);
		if (origin != NULL)
			fail_msg("%s is accepted", invalid[i]);
	}
}

/* Browsers send an IPv4 address as four decimal numbers, and no name with these. */
static void
a_host_is_one_that_browsers_send(void **state)
{
	static const char *const empty[] = {
		"https://a..b", "https://.a", "https://a..",
		"https://.",	"a..b",	      "https://*..a"
	};
	static const char *const numbers[] = {
		"https://1.2.3",
		"https://1.2.3.4.5",
		"https://256.1.1.1",
		"https://1",
		"https://01.2.3.4",
		"https://0x7f.0.0.1",
		"https://0x7f",
		"https://0x",
		"http://a.0X1f",
		"http://1.2.3.4.",
		"https://a.example.1",
		"https://*.1",
		"http://1.2.3.4.5:8080",
		"1.2.3",
		"http://1234567890.12345678901234567890",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(empty); i++) {
		assert_null(normalized(empty[i]));
		assert_non_null(strstr(message, "\" has an empty label in its host"));
	}
	for (size_t i = 0; i < COUNT(numbers); i++) {
		assert_null(normalized(numbers[i]));
		assert_non_null(strstr(message, " no IPv4 address, write four numbers "
						"such as 192.0.2.1"));
	}
	assert_normalized("http://192.0.2.1:8080", "http://192.0.2.1:8080");
	assert_error(
	    "https://1.\xc3\xbc",
	    "\"https://1.\\xc3\\xbc\" is not ASCII, write its host in the form xn--...");
	assert_normalized("o://1.2", "o://1.2");
	assert_normalized("https://0xg", "https://0xg");
	assert_normalized("https://1.a", "https://1.a");
	assert_normalized("https://a.1b", "https://a.1b");
	assert_normalized("https://1.2.3.4.example.", "https://1.2.3.4.example.");
}

static void
an_origin_has_a_maximum_size(void **state)
{
	char text[400];

	(void)state;
	memset(text, 'a', sizeof text);
	memcpy(text, "https://", 8);
	text[300] = '\0';
	assert_normalized(text, text);
	text[300] = 'a';
	text[301] = '\0';
	assert_null(normalized(text));
	assert_non_null(strstr(message, "aaa...\" is too long"));
	/* The error is bounded, also with a way to write it. */
	text[290] = '/';
	assert_null(normalized(text));
	assert_non_null(strstr(message, "aaa...\" has a path, write \"https://aaa"));
	/* What to write is not cut. */
	text[291] = '\0';
	assert_null(normalized(text));
	text[290] = '\0';
	assert_string_equal(strstr(message, "write \"") + 7 + 290, "\"");
	assert_memory_equal(strstr(message, "write \"") + 7, text, 290);
}

static bool
allowed(const char *listed, const char *origin)
{
	const char *const list[] = { "https://other.example", listed, NULL };
	char *text = copy(origin, strlen(origin));
	bool result = origin_allowed(list, (struct span){ text, strlen(origin) });

	free(text);
	return result;
}

static void
an_origin_is_compared_as_a_whole(void **state)
{
	(void)state;
	assert_true(allowed("https://a.example", "https://a.example"));
	assert_true(allowed("https://a.example", "https://other.example"));
	assert_true(allowed("null", "null"));
	assert_false(allowed("https://a.example", "null"));
	assert_false(allowed("https://a.example", ""));
	assert_false(allowed("https://a.example", "https://a.example:444"));
	assert_false(allowed("https://a.example", "https://a.exampl"));
	assert_false(allowed("https://a.example", "http://a.example"));
}

static void
a_star_is_one_or_more_labels(void **state)
{
	static const char listed[] = "https://*.a.example:8443";

	(void)state;
	assert_true(allowed(listed, "https://b.a.example:8443"));
	assert_true(allowed(listed, "https://c-1.b_2.a.example:8443"));
	assert_false(allowed(listed, "https://a.example:8443"));
	assert_false(allowed(listed, "https://.a.example:8443"));
	assert_false(allowed(listed, "https://b..a.example:8443"));
	assert_false(allowed(listed, "https://.b.a.example:8443"));
	assert_false(allowed(listed, "https://b.a.example"));
	assert_false(allowed(listed, "http://b.a.example:8443"));
	assert_false(allowed(listed, "https://ba.example:8443"));
	assert_false(allowed(listed, "https://evil.example/.a.example:8443"));
	assert_false(allowed(listed, "https://evil.example:1.a.example:8443"));
	assert_false(allowed(listed, "https://evil@b.a.example:8443"));
	assert_false(allowed(listed, "https://*.a.example:8443"));
}

static void
no_list_and_no_origin_allow_all(void **state)
{
	static const char *const none[] = { NULL };
	static const char *const one[] = { "https://a.example", NULL };

	(void)state;
	assert_true(origin_allowed(none, SPAN("https://b.example")));
	assert_true(origin_allowed(one, (struct span){ NULL, 0 }));
	assert_false(origin_allowed(one, SPAN("https://b.example")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_origin_becomes_what_browsers_send),
		cmocka_unit_test(an_ipv6_host_is_in_brackets),
		cmocka_unit_test(an_error_shows_how_to_write_the_origin),
		cmocka_unit_test(anything_else_is_no_origin),
		cmocka_unit_test(a_host_is_one_that_browsers_send),
		cmocka_unit_test(an_origin_has_a_maximum_size),
		cmocka_unit_test(an_origin_is_compared_as_a_whole),
		cmocka_unit_test(a_star_is_one_or_more_labels),
		cmocka_unit_test(no_list_and_no_origin_allow_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
