/* ICE servers: the URLs and lists that are valid, and the answer with its credentials. */
#include "ice_server.h"
#include "unit.h"

static struct ice_server servers[ICE_SERVERS_MAX + 1];
static char *list; /* its text, in exactly sized memory */
static char message[600];

static int
free_list(void **state)
{
	(void)state;
	free(list);
	list = NULL;
	return 0;
}

/* Reads a list.  On failure returns false, with the fault in `message`. */
static bool
read_list(const char *text)
{
	struct text fault;

	free(list);
	list = copy(text, strlen(text));
	memset(servers, 0xff, sizeof servers);
	text_init(&fault, message, sizeof message - 1);
	text_string(&fault, ", not VALUE");
	bool valid =
	    ice_servers_read(servers, (struct span){ list, strlen(text) }, &fault);
	assert_false(fault.overflow);
	message[fault.length] = '\0';
	return valid;
}

static void
read_valid(const char *text)
{
	if (!read_list(text))
		fail_msg("%s: %s", text, message);
}

static void
assert_refused(const char *text, const char *expected)
{
	if (read_list(text))
		fail_msg("%s is accepted", text);
	assert_string_equal(message, expected);
}

/*
 * URLs
 */

static const char a63[] =
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static void
a_url_is_that_of_rfc_7064_or_7065(void **state)
{
	static const char *const valid[] = {
		"stun:example.org",
		"stun:example.org:3478",
		"stuns:example.org:1",
		"stuns:192.0.2.1:65535",
		"turn:example.org",
		"turn:EXAMPLE.org:3478?transport=udp",
		"turn:a_b-c.example?transport=tcp",
		"turns:192.0.2.1?transport=udp",
		"turns:example.org:443?transport=tcp",
		"turn:[2001:db8::1]",
		"turn:[::1]:3478?transport=udp",
		"stun:[::ffff:192.0.2.1]:3478",
		"stun:localhost",
		"stun:1.example",
		"stun:example.org.",
		"stun:0xg",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++) {
		char text[100];
		snprintf(text, sizeof text, "[\"%s\"]", valid[i]);
		read_valid(text);
		assert_string_equal(servers[0].url, valid[i]);
		assert_null(servers[0].username);
		assert_null(servers[0].credential);
		assert_null(servers[1].url);
	}
}

/* Checks what is wrong with each URL; NULL ends them. */
static void
assert_urls_refused(const char *const *urls, const char *wrong)
{
	char text[400], expected[600];

	for (; *urls != NULL; urls++) {
		snprintf(text, sizeof text, "[\"%s\"]", *urls);
		snprintf(expected, sizeof expected, ": entry 1: \"%s\"%s", *urls, wrong);
		assert_refused(text, expected);
	}
}

static void
anything_else_is_no_url(void **state)
{
	static const char *const schemes[] = { "",	   "example.org", "http://a",
					       "STUN:a",   "turn",	  " turn:a",
					       "turnss:a", "stunturn:a",  "TURN:a",
					       NULL };
	static const char *const hosts[] = { "stun:",
					     "turn:?transport=udp",
					     "turn::3478",
					     "turn:a b",
					     "turn:a:",
					     "turn:a:0",
					     "turn:a:00000",
					     "turn:a:65536",
					     "turn:a:000001",
					     "turn:a:-1",
					     "turn:a:80a",
					     "turn:a:18446744073709551617",
					     "turn:2001:db8::1",
					     "turn:[]",
					     "turn:[::1",
					     "turn:[::1]a",
					     "turn:[192.0.2.1]",
					     "turn:[:::]",
					     "turn:[::1%1]",
					     "turn:a#b",
					     "turn:a%20b",
					     "turn:a,b",
					     "turn://",
					     NULL };

	/* The rules of origin.h, after a valid port only. */
	static const char *const numbers[] = {
		"turn:192.0.2.256", "turn:1.2.3",
		"turn:1",	    "turn:1:3478?transport=udp",
		"turn:192.0.2.1.",  "turn:x.1",
		"stun:0x7f.1",	    "stun:a.0X7F:1",
		"stuns://1",	    NULL
	};
	static const char *const empty[] = { "turn:.", "turn:a..b", "stun:.a:3478",
					     "turns:a..", NULL };

	(void)state;
	assert_urls_refused(numbers, " has a number as last label but is no IPv4 "
				     "address, write four numbers such as 192.0.2.1");
	assert_urls_refused(empty, " has an empty label in its host");
	assert_urls_refused(schemes,
			    " does not begin with stun:, stuns:, turn: or turns:");
	assert_urls_refused(hosts, " has an invalid host or port");
}

static void
a_fault_shows_how_to_write_the_url(void **state)
{
	static const char slashes[] = " has slashes, write ",
			  query[] = " has a query other than turn's ?transport=udp or "
				    "?transport=tcp, write ";
	static const struct {
		const char *url, *wrong, *right;
	} cases[] = {
		{ "turn://host", slashes, "turn:host" },
		{ "stuns://[::1]:5349", slashes, "stuns:[::1]:5349" },
		{ "turn:host/", slashes, "turn:host" },
		{ "turn:host:1/a?transport=tcp", slashes, "turn:host:1?transport=tcp" },
		{ "stun:host?transport=udp", query, "stun:host" },
		{ "stuns:host:1?transport=tcp", query, "stuns:host:1" },
		{ "turn:host?transport=UDP", query, "turn:host" },
		{ "turn:host?", query, "turn:host" },
		{ "turns://host?transport=udp&a", query, "turns:host" },
	};
	char wrong[200];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(wrong, sizeof wrong, "%s\"%s\"", cases[i].wrong, cases[i].right);
		assert_urls_refused((const char *const[]){ cases[i].url, NULL }, wrong);
	}
}

/* The part before an @ is that of a password: only a known scheme is shown. */
static void
a_fault_has_no_password(void **state)
{
	static const char at[] =
	    " has an @: write an object with urls, username and credential";
	static const char unknown[] =
	    " does not begin with stun:, stuns:, turn: or turns:";
	static const struct {
		const char *url, *shown, *wrong;
	} cases[] = {
		{ "turn:user:SECRET@host", "turn:...@host", at },
		{ "turns:SECRET@a@host:1?transport=tcp", "turns:...@host:1?transport=tcp",
		  at },
		{ "turn:@", "turn:...@", at },
		{ "TURN:user:SECRET@host", "...@host", unknown },
		{ "user:SECRET@host", "...@host", unknown },
		{ "http://SECRET@host", "...@host", unknown },
	};
	char text[200], expected[300];

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		snprintf(text, sizeof text, "[\"%s\"]", cases[i].url);
		snprintf(expected, sizeof expected, ": entry 1: \"%s\"%s", cases[i].shown,
			 cases[i].wrong);
		assert_refused(text, expected);
		snprintf(text, sizeof text, "\"%s\"", cases[i].url);
		assert_refused(text, ", not a string");
	}
}

static void
the_url_to_write_is_whole(void **state)
{
	char text[400], expected[600];

	(void)state;
	snprintf(text, sizeof text, "[\"turns://%s.%s.%s.%.61s:65535/?transport=udp\"]",
		 a63, a63, a63, a63);
	snprintf(expected, sizeof expected,
		 ": entry 1: \"turns://%.32s...\" has slashes, write "
		 "\"turns:%s.%s.%s.%.61s:65535?transport=udp\"",
		 a63, a63, a63, a63, a63);
	assert_refused(text, expected);
}

static void
a_host_has_253_bytes_at_most(void **state)
{
	char text[400];

	(void)state;
	snprintf(text, sizeof text, "[\"turn:%s.%s.%s.%.61s:65535?transport=udp\"]", a63,
		 a63, a63, a63);
	read_valid(text);
	snprintf(text, sizeof text, "[\"turn:%s.%s.%s.%.62s\"]", a63, a63, a63, a63);
	assert_refused(text, ": entry 1: \"turn:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\" "
			     "has an invalid host or port");
}

/*
 * Lists
 */

static void
an_object_has_credentials(void **state)
{
	(void)state;
	read_valid("[ {\"urls\": \"turn:a\", \"username\": \"\\u0061\\\"\", "
		   "\"credential\": \"\xc3\xa4\\\\\"},\n"
		   "\"stun:b\",{\"cred\\u0065ntial\":\"x\",\"credential\":\"y\","
		   "\"username\":\"z\",\"urls\":\"turns:c:443?transport=tcp\"}, ]");
	assert_string_equal(servers[0].url, "turn:a");
	assert_string_equal(servers[0].username, "a\"");
	assert_string_equal(servers[0].credential, "\xc3\xa4\\");
	assert_string_equal(servers[1].url, "stun:b");
	assert_null(servers[1].username);
	assert_string_equal(servers[2].url, "turns:c:443?transport=tcp");
	assert_string_equal(servers[2].username, "z");
	assert_string_equal(servers[2].credential, "y");
	assert_null(servers[3].url);
	read_valid("[]");
	assert_null(servers[0].url);
}

/* No fault has a secret in it. */
static void
other_lists_are_refused(void **state)
{
	static const char bad_string[] = " must be one string, not empty";
	static const struct {
		const char *text, *fault;
	} cases[] = {
		{ "3", ", not VALUE" },
		{ "null", ", not VALUE" },
		{ "\"stun:a\"", ", not a string" },
		{ "{\"urls\":\"turn:a\",\"username\":\"u\",\"credential\":\"secret\"}",
		  ", not an object" },
		{ "[3]", ": entry 1: neither a URL nor an object" },
		{ "[\"stun:a\",null]", ": entry 2: neither a URL nor an object" },
		{ "[[\"stun:a\"]]", ": entry 1: neither a URL nor an object" },
		{ "[\"stun:a\\n\"]", ": entry 1: neither a URL nor an object" },
		{ "[\"stun:a\\u0000\"]", ": entry 1: neither a URL nor an object" },
		{ "[{}]", ": entry 1: urls is missing" },
		{ "[{\"urls\":\"turn:a\",\"credential\":\"secret\"}]",
		  ": entry 1: username is missing" },
		{ "[\"stun:a\",{\"urls\":\"turn:a\",\"username\":\"u\"}]",
		  ": entry 2: credential is missing" },
		{ "[{\"url\":\"turn:a\",\"username\":\"u\",\"credential\":\"secret\"}]",
		  ": entry 1: \"url\" is unknown" },
		{ "[{\"a\\\"\\n\":\"secret\"}]", ": entry 1: \"a\\x5c\\x22\\x5cn\" is "
						 "unknown" },
		{ "[{\"credential\":\"secret\",\"urls\":\"turn://"
		  "a\",\"username\":\"u\"}]",
		  ": entry 1: \"turn://a\" has slashes, write \"turn:a\"" },
		{ "[{\"credential\":\"secret\",\"urls\":\"stun:a\",\"username\":\"u\"}]",
		  ": entry 1: STUN needs no credentials, write the URL alone" },
	};
	static const char *const values[] = { "\"\"",	   "[\"turn:a\"]", "null", "1",
					      "\"a\\tb\"", "\"\\ud800\"",  "{}" };
	static const char *const names[] = { "urls", "username", "credential" };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		assert_refused(cases[i].text, cases[i].fault);
	for (size_t i = 0; i < COUNT(values); i++)
		for (size_t k = 0; k < COUNT(names); k++) {
			char text[100], fault[100];
			snprintf(text, sizeof text, "[{\"%s\":%s}]", names[k], values[i]);
			snprintf(fault, sizeof fault, ": entry 1: %s%s", names[k],
				 bad_string);
			assert_refused(text, fault);
		}
}

/* Returns a list of `count` entries. */
static const char *
repeated(const char *entry, size_t count)
{
	static char data[10000];
	struct text t;

	text_init(&t, data, sizeof data - 1);
	for (size_t i = 0; i < count; i++) {
		text_char(&t, i == 0 ? '[' : ',');
		text_string(&t, entry);
	}
	text_char(&t, ']');
	assert_false(t.overflow);
	data[t.length] = '\0';
	return data;
}

static void
there_are_16_servers_of_4096_bytes_at_most(void **state)
{
	char entry[400];

	(void)state;
	read_valid(repeated("\"stun:a\"", 16));
	assert_string_equal(servers[15].url, "stun:a");
	assert_null(servers[16].url);
	assert_refused(repeated("\"stun:a\"", 17), ", not more");
	/* 16 times 256 bytes. */
	snprintf(entry, sizeof entry,
		 "{\"urls\":\"turn:%s\",\"username\":\"%s\",\"credential\":\"%s%.62s\"}",
		 a63, a63, a63, a63);
	read_valid(repeated(entry, 16));
	snprintf(entry, sizeof entry,
		 "{\"urls\":\"turn:%s\",\"username\":\"%s\",\"credential\":\"%s%s\"}",
		 a63, a63, a63, a63);
	assert_refused(repeated(entry, 16),
		       ": entry 16: the strings up to here have more than 4096 bytes");
}

static void
a_turn_url_without_credentials_needs_a_secret(void **state)
{
	static const char fixed[] =
	    "[\"stun:a\",{\"urls\":\"turn:a\",\"username\":\"u\",\"credential\":\"c\"}";
	char text[200];

	(void)state;
	read_valid("[]");
	assert_false(ice_servers_need_secret(servers));
	snprintf(text, sizeof text, "%s]", fixed);
	read_valid(text);
	assert_false(ice_servers_need_secret(servers));
	for (unsigned s = 0; s < 2; s++) {
		snprintf(text, sizeof text, "%s,\"turn%s:a\"]", fixed, s > 0 ? "s" : "");
		read_valid(text);
		assert_true(ice_servers_need_secret(servers));
	}
}

/*
 * The answer
 */

#define END "],\"ttl\":86400}"

/* Adds the answer to exactly sized memory; returns it. */
static const char *
put(const char *secret, uint64_t expires, struct span name)
{
	static char result[ICE_SERVERS_JSON + 1];
	br_hmac_key_context key;
	char *data = allocate(ICE_SERVERS_JSON);
	struct text t;

	if (secret != NULL)
		br_hmac_key_init(&key, &br_sha1_vtable, secret, strlen(secret));
	text_init(&t, data, ICE_SERVERS_JSON);
	ice_servers_put(&t, servers, secret != NULL ? &key : NULL, expires, name);
	assert_false(t.overflow);
	memcpy(result, data, t.length);
	result[t.length] = '\0';
	free(data);
	return result;
}

static void
urls_without_credentials_share_an_entry(void **state)
{
	(void)state;
	read_valid("[\"turns:b\",\"stun:a\",\"turn:b\",\"stuns:a\"]");
	/* printf 1700086400:ann | openssl dgst -sha1 -hmac north -binary | base64 */
	assert_string_equal(put("north", 1700086400, SPAN("ann")),
			    "{\"iceServers\":[{\"urls\":[\"stun:a\",\"stuns:a\"]},"
			    "{\"urls\":[\"turns:b\",\"turn:b\"],"
			    "\"username\":\"1700086400:ann\",\"credential\":"
			    "\"7FWQB06tq8mR4TsnapfLHms2f5Y=\"}" END);
	read_valid("[\"stun:a\"]");
	assert_string_equal(put("north", 1, SPAN("ann")),
			    "{\"iceServers\":[{\"urls\":[\"stun:a\"]}" END);
	read_valid("[]");
	assert_string_equal(put("north", 1, SPAN("ann")), "{\"iceServers\":[" END);
	read_valid("[\"turn:a\"]");
	assert_string_equal(put(NULL, 1, SPAN("ann")), "{\"iceServers\":[" END);
}

static void
an_object_is_an_entry_of_its_own(void **state)
{
	static const char text[] =
	    "[{\"urls\":\"turn:a\",\"username\":\"u\\\"\",\"credential\":"
	    "\"\\\\\xc3\xa4\"},"
	    "{\"urls\":\"turn:b\",\"username\":\"u\",\"credential\":\"c\"}";
	static const char entries[] =
	    "{\"urls\":[\"turn:a\"],\"username\":\"u\\\"\",\"credential\":"
	    "\"\\\\\xc3\xa4\"},"
	    "{\"urls\":[\"turn:b\"],\"username\":\"u\",\"credential\":\"c\"}" END;
	char all[400];

	(void)state;
	snprintf(all, sizeof all, "%s]", text);
	read_valid(all);
	const char *answer = put("north", 1, SPAN("ann"));
	assert_memory_equal(answer, "{\"iceServers\":[", 15);
	assert_string_equal(answer + 15, entries);
	snprintf(all, sizeof all, "%s,\"stun:c\"]", text);
	read_valid(all);
	answer = put(NULL, 1, SPAN("ann"));
	assert_memory_equal(answer, "{\"iceServers\":[{\"urls\":[\"stun:c\"]},", 35);
	assert_string_equal(answer + 35, entries);
}

/* coturn rejects some of these bytes. */
static void
other_bytes_of_a_name_are_percent_encoded(void **state)
{
	static const struct {
		const char *name;
		size_t length;
		const char *expected;
	} cases[] = {
		{ BYTES(""), "5:\"" },
		{ BYTES("A-z.0_9~"), "5:A-z.0_9~\"" },
		{ BYTES("a b\"'\\:%@+/"), "5:a%20b%22%27%5c%3a%25%40%2b%2f\"" },
		{ BYTES("\0\x1f\x7f\xc3\xa4"), "5:%00%1f%7f%c3%a4\"" },
	};

	(void)state;
	read_valid("[\"turn:a\"]");
	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *answer =
		    put("x", 5, (struct span){ cases[i].name, cases[i].length });
		const char *username = strstr(answer, "\"username\":\"");
		assert_non_null(username);
		assert_memory_equal(username + 12, cases[i].expected,
				    strlen(cases[i].expected));
	}
}

/* The longest list, each byte of which is escaped, and the longest name. */
static void
the_longest_answer_fits(void **state)
{
	static char text[2 * ICE_SERVERS_TEXT + 1000];
	char name[ICE_NAME];
	struct text t;

	(void)state;
	memset(name, '"', sizeof name);
	text_init(&t, text, sizeof text - 1);
	text_string(&t, "[\"turn:aaa\"");
	for (size_t i = 1; i < ICE_SERVERS_MAX; i++) {
		text_string(
		    &t, ",{\"urls\":\"turn:a\",\"username\":\"\\\"\",\"credential\":\"");
		size_t quotes = i == 1 ? ICE_SERVERS_TEXT - 8 - 14 * 8 - 7 : 1;
		for (size_t k = 0; k < quotes; k++)
			text_string(&t, "\\\"");
		text_string(&t, "\"}");
	}
	text_char(&t, ']');
	assert_false(t.overflow);
	text[t.length] = '\0';
	read_valid(text);
	const char *answer = put("x", UINT64_MAX, (struct span){ name, sizeof name });
	assert_string_equal(answer + strlen(answer) - strlen(END), END);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_url_is_that_of_rfc_7064_or_7065, free_list),
		cmocka_unit_test_teardown(anything_else_is_no_url, free_list),
		cmocka_unit_test_teardown(a_fault_shows_how_to_write_the_url, free_list),
		cmocka_unit_test_teardown(a_fault_has_no_password, free_list),
		cmocka_unit_test_teardown(the_url_to_write_is_whole, free_list),
		cmocka_unit_test_teardown(a_host_has_253_bytes_at_most, free_list),
		cmocka_unit_test_teardown(an_object_has_credentials, free_list),
		cmocka_unit_test_teardown(other_lists_are_refused, free_list),
		cmocka_unit_test_teardown(there_are_16_servers_of_4096_bytes_at_most,
					  free_list),
		cmocka_unit_test_teardown(a_turn_url_without_credentials_needs_a_secret,
					  free_list),
		cmocka_unit_test_teardown(urls_without_credentials_share_an_entry,
					  free_list),
		cmocka_unit_test_teardown(an_object_is_an_entry_of_its_own, free_list),
		cmocka_unit_test_teardown(other_bytes_of_a_name_are_percent_encoded,
					  free_list),
		cmocka_unit_test_teardown(the_longest_answer_fits, free_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
