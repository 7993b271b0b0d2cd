/* Spans, the text builder, numbers, addresses, times, UTF-8, base64 and the hash. */
#include "text.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <time.h>

static void
span_is_compares_all_bytes_and_the_length(void **state)
{
	char *p = copy("Host", 4);

	(void)state;
	assert_true(span_is((struct span){ p, 4 }, "Host"));
	assert_false(span_is((struct span){ p, 4 }, "host"));
	assert_false(span_is((struct span){ p, 4 }, "Hos"));
	assert_false(span_is((struct span){ p, 4 }, "Hosts"));
	assert_true(span_is((struct span){ p, 0 }, ""));
	assert_false(span_is((struct span){ p, 0 }, "H"));
	free(p);
}

static void
nocase_comparison_ignores_the_case_of_ascii_letters_only(void **state)
{
	static const struct {
		const char *left, *right;
		bool same;
	} cases[] = {
		{ "Host", "hOST", true },  { "AZaz", "azAZ", true },
		{ "", "", true },	   { "Host", "Hos", false },
		{ "Hos", "Host", false },  { "@", "`", false },
		{ "[", "{", false },	   { "\xc3\x84", "\xc3\xa4", false },
		{ "1-2", "1-2", true },	   { "-", "\r", false },
		{ "\xe1", "\xc1", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].left);
		char *p = copy(cases[i].left, length);
		struct span left = { p, length };
		if (span_is_nocase(left, cases[i].right) != cases[i].same ||
		    span_same_nocase(left, span(cases[i].right)) != cases[i].same)
			fail_msg("%s, %s", cases[i].left, cases[i].right);
		free(p);
	}
}

static void
puts_append_up_to_the_last_byte(void **state)
{
	char *room = malloc(9);
	struct text t;

	(void)state;
	text_init(&t, room, 9);
	text_put(&t, "ab", 2);
	text_char(&t, 'c');
	text_string(&t, "de");
	text_span(&t, span("fg"));
	text_put(&t, NULL, 0);
	text_span(&t, (struct span){ NULL, 0 });
	text_number(&t, 42);
	assert_text(&t, "abcdefg42");
	free(room);
}

static void
put_string(struct text *t)
{
	text_string(t, "12345");
}

static void
put_span(struct text *t)
{
	text_span(t, span("12345"));
}

static void
put_number(struct text *t)
{
	text_number(t, 12345);
}

static void
put_hex(struct text *t)
{
	text_hex(t, 0x12345, 5);
}

static void
put_padded(struct text *t)
{
	text_padded(t, 12345, 5);
}

/* Asserts that five bytes are not added to a buffer with space for four. */
static void
assert_not_added(void (*put)(struct text *))
{
	char room[5];
	struct text t;

	text_init(&t, room, sizeof room);
	text_char(&t, 'a');
	put(&t);
	assert_true(t.overflow);
	assert_int_equal(t.length, 1);
	assert_int_equal(room[0], 'a');
}

static void
bytes_that_do_not_fit_are_not_added_in_part(void **state)
{
	(void)state;
	assert_not_added(put_string);
	assert_not_added(put_span);
}

static void
a_number_that_does_not_fit_is_not_added_in_part(void **state)
{
	(void)state;
	assert_not_added(put_number);
	assert_not_added(put_padded);
}

static void
hexadecimal_that_does_not_fit_is_not_added_in_part(void **state)
{
	(void)state;
	assert_not_added(put_hex);
}

static void
after_an_overflow_nothing_is_added(void **state)
{
	char *room = malloc(4);
	struct text t;

	(void)state;
	text_init(&t, room, 4);
	text_string(&t, "abc");
	text_string(&t, "de");
	text_char(&t, 'f');
	text_string(&t, "");
	text_number(&t, 1);
	assert_true(t.overflow);
	assert_int_equal(t.length, 3);
	assert_memory_equal(room, "abc", 3);
	free(room);
}

static void
a_length_near_the_largest_overflows(void **state)
{
	char room[4];
	struct text t;

	(void)state;
	text_init(&t, room, sizeof room);
	text_char(&t, 'a');
	text_put(&t, "b", SIZE_MAX);
	assert_true(t.overflow);
	assert_int_equal(t.length, 1);
}

static void
numbers_are_decimal_without_leading_zeros(void **state)
{
	static const struct {
		uint64_t number;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ 100, "100" },
		{ UINT32_MAX, "4294967295" },
		{ (uint64_t)UINT32_MAX + 1, "4294967296" },
		{ UINT64_MAX, "18446744073709551615" },
	};
	char room[32];
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		text_init(&t, room, strlen(cases[i].text));
		text_number(&t, cases[i].number);
		assert_text(&t, cases[i].text);
	}
}

static void
hexadecimal_has_exactly_the_requested_digits(void **state)
{
	static const struct {
		uint32_t number;
		unsigned digits;
		const char *text;
	} cases[] = {
		{ 0, 0, "" },
		{ 0, 1, "0" },
		{ 0xf, 1, "f" },
		{ 0xa, 4, "000a" },
		{ 0x1f, 4, "001f" },
		{ 0x12345, 4, "2345" },
		{ 0xab, 2, "ab" },
		{ UINT32_MAX, 8, "ffffffff" },
		{ 0x89abcdef, 8, "89abcdef" },
	};
	char room[8];
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		text_init(&t, room, cases[i].digits);
		text_hex(&t, cases[i].number, cases[i].digits);
		assert_text(&t, cases[i].text);
	}
}

static void
padded_numbers_have_exactly_the_requested_digits(void **state)
{
	static const struct {
		uint32_t number;
		unsigned digits;
		const char *text;
	} cases[] = {
		{ 0, 1, "0" },	       { 0, 3, "000" },
		{ 7, 2, "07" },	       { 42, 2, "42" },
		{ 5, 9, "000000005" }, { 999999999, 9, "999999999" },
		{ 120, 6, "000120" },
	};
	char room[9];
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		text_init(&t, room, cases[i].digits);
		text_padded(&t, cases[i].number, cases[i].digits);
		assert_text(&t, cases[i].text);
	}
}

static void
bytes_unsafe_in_a_log_are_escaped(void **state)
{
	static const struct {
		const char *data;
		size_t length, max;
		const char *text;
	} cases[] = {
		{ BYTES(""), 10, "" },
		{ BYTES("GET / ~"), 10, "GET / ~" },
		{ BYTES("a\\b"), 10, "a\\x5cb" },
		{ BYTES("a\0b"), 10, "a\\x00b" },
		{ BYTES("\r\n\t\x1b[0m"), 10, "\\x0d\\x0a\\x09\\x1b[0m" },
		{ BYTES("\x1f \x7f"), 10, "\\x1f \\x7f" },
		{ BYTES("\xc3\xa4\xff"), 10, "\\xc3\\xa4\\xff" },
		{ BYTES("abc"), 3, "abc" },
		{ BYTES("abcd"), 3, "abc..." },
		{ BYTES("\n\n"), 1, "\\x0a..." },
		{ BYTES("a"), 0, "..." },
		{ BYTES(""), 0, "" },
	};
	char room[64];
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *data = copy(cases[i].data, cases[i].length);
		text_init(&t, room, sizeof room);
		text_escaped(&t, data, cases[i].length, cases[i].max);
		assert_text(&t, cases[i].text);
		free(data);
	}
}

static void
quotes_in_a_quoted_text_are_escaped(void **state)
{
	char room[64];
	struct text t;

	(void)state;
	text_init(&t, room, sizeof room);
	text_quoted(&t, SPAN("a\" room \"b\\\n"), 20);
	assert_text(&t, "\"a\\x22 room \\x22b\\x5c\\x0a\"");
	text_init(&t, room, sizeof room);
	text_quoted(&t, SPAN("abcd"), 3);
	assert_text(&t, "\"abc...\"");
	text_init(&t, room, sizeof room);
	text_escaped(&t, BYTES("a\"b"), 3);
	assert_text(&t, "a\"b");
}

static void
only_the_hash_of_a_secret_is_added(void **state)
{
	static const uint32_t keys[2][2] = { { 1, 2 }, { 1, 3 } };
	char room[2][16] = { { 0 } };
	struct text t[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		text_init(&t[i], room[i], sizeof room[i]);
		text_hashed(&t[i], keys[i], SPAN("kitchen"));
		assert_int_equal(t[i].length, 9);
		assert_int_equal(room[i][0], '~');
		assert_int_equal(strspn(room[i] + 1, "0123456789abcdef"), 8);
	}
	assert_memory_not_equal(room[0], room[1], 9);
	text_init(&t[1], room[1], sizeof room[1]);
	text_hashed(&t[1], keys[0], SPAN("kitchen"));
	assert_memory_equal(room[0], room[1], 9);
}

static void
an_ipv4_address_is_written_with_dots(void **state)
{
	static const struct {
		uint8_t address[4];
		const char *text;
	} cases[] = {
		{ { 0, 0, 0, 0 }, "0.0.0.0" },
		{ { 127, 0, 0, 1 }, "127.0.0.1" },
		{ { 255, 255, 255, 255 }, "255.255.255.255" },
		{ { 10, 200, 30, 4 }, "10.200.30.4" },
	};
	char room[15];
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *address = copy(cases[i].address, 4);
		text_init(&t, room, sizeof room);
		text_address(&t, (const uint8_t *)address, 4);
		assert_text(&t, cases[i].text);
		free(address);
	}
}

static void
an_ipv6_address_is_written_in_canonical_form(void **state)
{
	static const struct {
		uint16_t groups[8];
		const char *text;
	} cases[] = {
		{ { 0, 0, 0, 0, 0, 0, 0, 0 }, "::" },
		{ { 0, 0, 0, 0, 0, 0, 0, 1 }, "::1" },
		{ { 1, 0, 0, 0, 0, 0, 0, 0 }, "1::" },
		{ { 0, 0, 1, 0, 0, 0, 0, 0 }, "0:0:1::" },
		{ { 0, 0, 0, 0, 0, 1, 0, 0 }, "::1:0:0" },
		{ { 0x2001, 0xdb8, 0, 0, 1, 0, 0, 1 }, "2001:db8::1:0:0:1" },
		{ { 0x2001, 0xdb8, 0, 0, 0, 0, 2, 1 }, "2001:db8::2:1" },
		{ { 0x2001, 0, 0, 1, 0, 0, 0, 1 }, "2001:0:0:1::1" },
		{ { 0x2001, 0xdb8, 0, 1, 1, 1, 1, 1 }, "2001:db8:0:1:1:1:1:1" },
		{ { 0, 1, 2, 3, 4, 5, 6, 7 }, "0:1:2:3:4:5:6:7" },
		{ { 1, 2, 3, 4, 5, 6, 7, 0 }, "1:2:3:4:5:6:7:0" },
		{ { 0, 1, 0, 1, 0, 1, 0, 1 }, "0:1:0:1:0:1:0:1" },
		{ { 0, 0, 1, 1, 0, 0, 1, 1 }, "::1:1:0:0:1:1" },
		{ { 1, 0, 0, 1, 1, 1, 0, 0 }, "1::1:1:1:0:0" },
		{ { 1, 1, 1, 1, 1, 1, 0, 0 }, "1:1:1:1:1:1::" },
		{ { 0xfe80, 0, 0, 0, 0xabcd, 0xef, 0x10, 0xf }, "fe80::abcd:ef:10:f" },
		{ { 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff },
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};
	uint8_t address[16];
	char room[39];
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		for (size_t k = 0; k < 8; k++) {
			address[2 * k] = (uint8_t)(cases[i].groups[k] >> 8);
			address[2 * k + 1] = (uint8_t)(cases[i].groups[k] & 0xff);
		}
		text_init(&t, room, sizeof room);
		text_address(&t, address, sizeof address);
		assert_text(&t, cases[i].text);
	}
}

enum { DAY = 86400, DAYS_TO_2200 = 84006, ISO_LENGTH = 19, HTTP_LENGTH = 29 };

static void
known_times_are_written_in_both_formats(void **state)
{
	static const struct {
		uint64_t time;
		const char *iso, *http;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00", "Thu, 01 Jan 1970 00:00:00 GMT" },
		{ 68212800, "1972-02-29T12:00:00", "Tue, 29 Feb 1972 12:00:00 GMT" },
		{ 784111777, "1994-11-06T08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT" },
		{ 946684799, "1999-12-31T23:59:59", "Fri, 31 Dec 1999 23:59:59 GMT" },
		{ 946684800, "2000-01-01T00:00:00", "Sat, 01 Jan 2000 00:00:00 GMT" },
		{ 951782399, "2000-02-28T23:59:59", "Mon, 28 Feb 2000 23:59:59 GMT" },
		{ 951782400, "2000-02-29T00:00:00", "Tue, 29 Feb 2000 00:00:00 GMT" },
		{ 951868800, "2000-03-01T00:00:00", "Wed, 01 Mar 2000 00:00:00 GMT" },
		{ 978307199, "2000-12-31T23:59:59", "Sun, 31 Dec 2000 23:59:59 GMT" },
		{ 2147483648, "2038-01-19T03:14:08", "Tue, 19 Jan 2038 03:14:08 GMT" },
		{ 4107542399, "2100-02-28T23:59:59", "Sun, 28 Feb 2100 23:59:59 GMT" },
		{ 4107542400, "2100-03-01T00:00:00", "Mon, 01 Mar 2100 00:00:00 GMT" },
		{ 4294967296, "2106-02-07T06:28:16", "Sun, 07 Feb 2106 06:28:16 GMT" },
		{ 7258118399, "2199-12-31T23:59:59", "Tue, 31 Dec 2199 23:59:59 GMT" },
		{ 13574649599, "2400-02-29T23:59:59", "Tue, 29 Feb 2400 23:59:59 GMT" },
		{ 253402300799, "9999-12-31T23:59:59", "Fri, 31 Dec 9999 23:59:59 GMT" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *iso = malloc(ISO_LENGTH), *http = malloc(HTTP_LENGTH);
		struct text t;
		text_init(&t, iso, ISO_LENGTH);
		text_iso_time(&t, cases[i].time);
		assert_text(&t, cases[i].iso);
		text_init(&t, http, HTTP_LENGTH);
		text_http_time(&t, cases[i].time);
		assert_text(&t, cases[i].http);
		free(http);
		free(iso);
	}
}

/* Compares both formats of a time with the C library's. */
static void
assert_same_as_library(uint64_t seconds)
{
	char ours[64], theirs[64];
	time_t time = (time_t)seconds;
	struct tm tm;
	struct text t;

	assert_non_null(gmtime_r(&time, &tm));
	text_init(&t, ours, sizeof ours);
	text_iso_time(&t, seconds);
	size_t length = strftime(theirs, sizeof theirs, "%Y-%m-%dT%H:%M:%S", &tm);
	if (t.length != length || memcmp(ours, theirs, length) != 0)
		fail_msg("%.*s for %s", (int)t.length, ours, theirs);
	text_init(&t, ours, sizeof ours);
	text_http_time(&t, seconds);
	length = strftime(theirs, sizeof theirs, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (t.length != length || memcmp(ours, theirs, length) != 0)
		fail_msg("%.*s for %s", (int)t.length, ours, theirs);
}

static void
every_day_up_to_2199_is_written_as_by_the_c_library(void **state)
{
	(void)state;
	for (uint64_t day = 0; day < DAYS_TO_2200; day++) {
		assert_same_as_library(day * DAY);
		assert_same_as_library(day * DAY + day * 7919 % DAY);
		assert_same_as_library(day * DAY + DAY - 1);
	}
}

static void
every_second_of_a_day_is_written_as_by_the_c_library(void **state)
{
	(void)state;
	for (uint64_t second = 0; second < DAY; second++)
		assert_same_as_library(951782400 + second);
}

static void
a_time_that_does_not_fit_overflows(void **state)
{
	static const struct {
		void (*put)(struct text *, uint64_t);
		const char *text;
	} cases[] = {
		{ text_iso_time, "1994-11-06T08:49:37" },
		{ text_http_time, "Sun, 06 Nov 1994 08:49:37 GMT" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t size = 0; size <= strlen(cases[i].text); size++) {
			char *room = allocate(size);
			struct text t;
			text_init(&t, room, size);
			cases[i].put(&t, 784111777);
			assert_int_equal(t.overflow, size < strlen(cases[i].text));
			assert_true(t.length <= size);
			assert_memory_equal(room, cases[i].text, t.length);
			free(room);
		}
}

static void
digits_up_to_the_limit_are_accepted_as_a_number(void **state)
{
	static const struct {
		const char *text;
		uint64_t max, number;
	} cases[] = {
		{ "0", 0, 0 },
		{ "0", UINT64_MAX, 0 },
		{ "7", 7, 7 },
		{ "007", 7, 7 },
		{ "10", 10, 10 },
		{ "65535", 65535, 65535 },
		{ "9223372036854775807", INT64_MAX, INT64_MAX },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX },
		{ "00000000000000000000000000001", 1, 1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		uint64_t number = 99;
		assert_true(
		    text_to_number((struct span){ p, length }, cases[i].max, &number));
		assert_true(number == cases[i].number);
		free(p);
	}
}

static void
any_other_text_is_rejected_as_a_number(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		uint64_t max;
	} cases[] = {
		{ BYTES(""), 10 },
		{ BYTES("+5"), 10 },
		{ BYTES("-5"), 10 },
		{ BYTES("-0"), 10 },
		{ BYTES(" 5"), 10 },
		{ BYTES("5 "), 10 },
		{ BYTES("5 5"), 100 },
		{ BYTES("0x5"), 100 },
		{ BYTES("5a"), 100 },
		{ BYTES("5.0"), 100 },
		{ BYTES("5\0"), 100 },
		{ BYTES("/"), 100 },
		{ BYTES(":"), 100 },
		{ BYTES("\xb5"), 100 },
		{ BYTES("1"), 0 },
		{ BYTES("8"), 7 },
		{ BYTES("10"), 7 },
		{ BYTES("17"), 7 },
		{ BYTES("11"), 10 },
		{ BYTES("20"), 10 },
		{ BYTES("65536"), 65535 },
		{ BYTES("70000"), 65535 },
		{ BYTES("9223372036854775808"), INT64_MAX },
		{ BYTES("18446744073709551616"), UINT64_MAX },
		{ BYTES("18446744073709551620"), UINT64_MAX },
		{ BYTES("99999999999999999999"), UINT64_MAX },
		{ BYTES("184467440737095516150"), UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *p = copy(cases[i].text, cases[i].length);
		uint64_t number;
		if (text_to_number((struct span){ p, cases[i].length }, cases[i].max,
				   &number))
			fail_msg("%s taken for a number", cases[i].text);
		free(p);
	}
}

/* Invalid texts, each with the offset of its first invalid byte. */
static const struct {
	const char *data;
	size_t length, invalid_at;
} invalid_utf8[] = {
	{ BYTES("\x80"), 0 }, /* continuation bytes without a lead byte */
	{ BYTES("\xbf"), 0 },
	{ BYTES("a\x80z"), 1 },
	{ BYTES("\xc3\xa4\xa4"), 2 },
	{ BYTES("\xe2\x82\xac\x80"), 3 },
	{ BYTES("\xf0\x9f\x98\x80\x80"), 4 },
	{ BYTES("\xc0\x80"), 0 }, /* overlong forms of two bytes */
	{ BYTES("\xc1\xbf"), 0 },
	{ BYTES("\xe0\x80\x80"), 1 }, /* of three bytes */
	{ BYTES("\xe0\x9f\xbf"), 1 },
	{ BYTES("\xf0\x80\x80\x80"), 1 }, /* of four bytes */
	{ BYTES("\xf0\x8f\xbf\xbf"), 1 },
	{ BYTES("\xed\xa0\x80"), 1 }, /* surrogates */
	{ BYTES("\xed\xbf\xbf"), 1 },
	{ BYTES("\xed\xa0\xbd\xed\xb8\x80"), 1 },
	{ BYTES("\xf4\x90\x80\x80"), 1 }, /* above U+10FFFF */
	{ BYTES("\xf5\x80\x80\x80"), 0 },
	{ BYTES("\xf8\x88\x80\x80\x80"), 0 },
	{ BYTES("\xfc\x84\x80\x80\x80\x80"), 0 },
	{ BYTES("\xfe"), 0 },
	{ BYTES("\xff"), 0 },
	{ BYTES("\xc3z"), 1 }, /* incomplete before another character */
	{ BYTES("\xc3\xc3\xa4"), 1 },
	{ BYTES("\xe2\x82z"), 2 },
	{ BYTES("\xe2z"), 1 },
	{ BYTES("\xe2\x82\xe2"), 2 },
	{ BYTES("\xf0\x9f\x98z"), 3 },
	{ BYTES("\xf0\x9f\x98\xff"), 3 },
	{ BYTES("abcdefgh\xff"), 8 },
	{ BYTES("abcdefghijklmno\x80pqrstuvwxyz"), 15 },
	{ BYTES("\xc3\xa4"
		"abcdefghij\xc0"),
	  12 },
};

static const struct {
	const char *data;
	size_t length;
} valid_utf8[] = {
	{ BYTES("") },
	{ BYTES("\0") },
	{ BYTES("\x7f") },
	{ BYTES("\xc2\x80") },
	{ BYTES("\xdf\xbf") },
	{ BYTES("\xe0\xa0\x80") },
	{ BYTES("\xed\x9f\xbf") },
	{ BYTES("\xee\x80\x80") },
	{ BYTES("\xef\xbf\xbf") },
	{ BYTES("\xf0\x90\x80\x80") },
	{ BYTES("\xf3\xbf\xbf\xbf") },
	{ BYTES("\xf4\x8f\xbf\xbf") },
	{ BYTES("Gr\xc3\xbc\xc3\x9f"
		"e, \xe2\x82\xac 5, \xf0\x9f\x98\x80!") },
};

/* Checks an exactly sized copy of a text in one piece. */
static bool
check(struct utf8 *u, const char *data, size_t length)
{
	char *p = copy(data, length);
	bool valid = utf8_check(u, p, length);

	free(p);
	return valid;
}

/* Checks a text in two pieces. */
static bool
check_split(struct utf8 *u, const char *data, size_t length, size_t split)
{
	return check(u, data, split) && check(u, data + split, length - split);
}

/* Checks a text a byte at a time.  Returns the number of valid bytes. */
static size_t
check_bytes(struct utf8 *u, const char *data, size_t length)
{
	size_t n = 0;

	while (n < length && check(u, data + n, 1))
		n++;
	return n;
}

static void
invalid_utf8_is_rejected_whole_and_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_utf8); i++)
		for (size_t split = 0; split <= invalid_utf8[i].length; split++) {
			struct utf8 u = { 0 };
			if (check_split(&u, invalid_utf8[i].data, invalid_utf8[i].length,
					split))
				fail_msg("case %zu split at %zu", i, split);
		}
}

static void
invalid_utf8_is_rejected_at_the_first_invalid_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_utf8); i++) {
		struct utf8 u = { 0 };
		if (check_bytes(&u, invalid_utf8[i].data, invalid_utf8[i].length) !=
		    invalid_utf8[i].invalid_at)
			fail_msg("case %zu", i);
		for (size_t n = 0; n <= invalid_utf8[i].length; n++) {
			u = (struct utf8){ 0 };
			if (check(&u, invalid_utf8[i].data, n) !=
			    (n <= invalid_utf8[i].invalid_at))
				fail_msg("case %zu cut at %zu", i, n);
		}
	}
}

static void
valid_utf8_is_accepted_whole_and_at_every_split(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_utf8); i++) {
		struct utf8 u = { 0 };
		size_t length = valid_utf8[i].length;
		assert_int_equal(check_bytes(&u, valid_utf8[i].data, length), length);
		assert_true(utf8_complete(&u));
		for (size_t split = 0; split <= length; split++) {
			u = (struct utf8){ 0 };
			assert_true(check_split(&u, valid_utf8[i].data, length, split));
			assert_true(utf8_complete(&u));
		}
	}
}

static void
a_truncated_character_is_valid_but_incomplete(void **state)
{
	static const char *const characters[] = { "\xc3\xa4", "\xe2\x82\xac",
						  "\xf0\x9f\x98\x80" };

	(void)state;
	for (size_t i = 0; i < COUNT(characters); i++)
		for (size_t n = 0; n <= strlen(characters[i]); n++) {
			struct utf8 u = { 0 };
			assert_true(check(&u, characters[i], n));
			assert_int_equal(utf8_complete(&u),
					 n == 0 || characters[i][n] == '\0');
		}
}

/* ASCII with one longer character, at every position and every alignment. */
static void
the_utf8_check_does_not_depend_on_alignment(void **state)
{
	static const struct {
		const char *data;
		size_t length;
		bool valid;
	} cases[] = {
		{ BYTES("\xc3\xa4"), true },
		{ BYTES("\xe2\x82\xac"), true },
		{ BYTES("\xf0\x9f\x98\x80"), true },
		{ BYTES("\x80"), false },
		{ BYTES("\xed\xa0\x80"), false },
		{ BYTES("\xff"), false },
		{ BYTES("\x7f"), true },
	};
	enum { LENGTH = 40 };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t align = 0; align < 8; align++)
			for (size_t at = 0; at + cases[i].length <= LENGTH; at++) {
				struct utf8 u = { 0 };
				char *p = malloc(align + LENGTH);
				memset(p, 'a', align + LENGTH);
				memcpy(p + align + at, cases[i].data, cases[i].length);
				bool valid = utf8_check(&u, p + align, LENGTH);
				assert_int_equal(valid, cases[i].valid);
				assert_true(!valid || utf8_complete(&u));
				free(p);
			}
}

enum prefix { PREFIX_INVALID, PREFIX_PART, PREFIX_COMPLETE };

/*
 * Classifies bytes as a character, the start of one, or neither.  Fills in the missing
 * bytes with the lowest and the highest continuation byte, and looks at the code points
 * in that range.
 */
static enum prefix
character_prefix(const unsigned char *p, size_t length, size_t *used)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80		   ? 1
		   : (p[0] & 0xe0) == 0xc0 ? 2
		   : (p[0] & 0xf0) == 0xe0 ? 3
		   : (p[0] & 0xf8) == 0xf0 ? 4
					   : 0;
	uint32_t low, high;

	if (n == 0)
		return PREFIX_INVALID;
	low = high = n == 1 ? p[0] : p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (i < length && (p[i] & 0xc0) != 0x80)
			return PREFIX_INVALID;
		low = low << 6 | (i < length ? p[i] & 0x3fu : 0u);
		high = high << 6 | (i < length ? p[i] & 0x3fu : 0x3fu);
	}
	if (high < least[n] || low > 0x10ffff || (low >= 0xd800 && high <= 0xdfff))
		return PREFIX_INVALID;
	*used = n < length ? n : length;
	return n <= length ? PREFIX_COMPLETE : PREFIX_PART;
}

static enum prefix
text_prefix(const unsigned char *p, size_t length)
{
	enum prefix found = PREFIX_COMPLETE;

	for (size_t used = 0; length > 0 && found == PREFIX_COMPLETE;
	     p += used, length -= used) {
		found = character_prefix(p, length, &used);
		if (found == PREFIX_INVALID)
			break;
	}
	return found;
}

static void
assert_decoded_alike(const unsigned char *p, size_t length)
{
	struct utf8 u = { 0 };
	bool valid = utf8_check(&u, p, length);
	enum prefix seen = !valid	       ? PREFIX_INVALID
			   : utf8_complete(&u) ? PREFIX_COMPLETE
					       : PREFIX_PART;

	if (seen != text_prefix(p, length))
		fail_msg("%zu bytes: %02x %02x %02x %02x", length, p[0], p[1], p[2],
			 p[3]);
}

static void
the_check_of_up_to_three_bytes_agrees_with_a_simple_decoder(void **state)
{
	unsigned char p[4] = { 0 };

	(void)state;
	for (uint32_t a = 0; a < 0x100; a++) {
		p[0] = (unsigned char)a;
		assert_decoded_alike(p, 1);
		for (uint32_t b = 0; b < 0x100; b++) {
			p[1] = (unsigned char)b;
			assert_decoded_alike(p, 2);
			for (uint32_t c = 0; c < 0x100; c++) {
				p[2] = (unsigned char)c;
				assert_decoded_alike(p, 3);
			}
		}
	}
}

static void
the_check_of_four_bytes_agrees_with_a_simple_decoder(void **state)
{
	static const unsigned char edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90,
					       0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0,
					       0xed, 0xf0, 0xf4, 0xff };
	unsigned char p[4];

	(void)state;
	for (uint32_t ab = 0; ab < 0x10000; ab++) {
		p[0] = (unsigned char)(ab >> 8);
		p[1] = (unsigned char)(ab & 0xff);
		for (size_t c = 0; c < sizeof edges; c++)
			for (size_t d = 0; d < sizeof edges; d++) {
				p[2] = edges[c];
				p[3] = edges[d];
				assert_decoded_alike(p, 4);
			}
	}
}

#define LOST "\xef\xbf\xbd" /* U+FFFD */

/*
 * Texts and their repaired forms.  Most of the first ones are from the Unicode Standard,
 * section 3.9, "U+FFFD Substitution of Maximal Subparts".
 */
static const struct {
	const char *data;
	size_t length;
	const char *repaired;
} repairs[] = {
	{ BYTES("\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41"),
	  LOST LOST LOST LOST LOST LOST LOST LOST "A" },
	{ BYTES("\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41"),
	  LOST LOST LOST LOST LOST LOST LOST LOST "A" },
	{ BYTES("\xf4\x91\x92\x93\xff\x41\x80\xbf\x42"),
	  LOST LOST LOST LOST LOST "A" LOST LOST "B" },
	{ BYTES("\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41"), LOST LOST LOST LOST "A" },
	{ BYTES("\xf0\x80\x80\x41"), LOST LOST LOST "A" },
	{ BYTES("\xe2\x82\x41"), LOST "A" },
	{ BYTES("\xed\xa0\x80"), LOST LOST LOST },
	{ BYTES("\xed\xa0\xbd\xed\xb8\x80"), LOST LOST LOST LOST LOST LOST },
	{ BYTES("\xf0\x9f\x98"), LOST },
	{ BYTES("\xf0\x9f"), LOST },
	{ BYTES("\xf0"), LOST },
	{ BYTES("\xe2\x82"), LOST },
	{ BYTES("\xe2"), LOST },
	{ BYTES("\xc3"), LOST },
	{ BYTES("\xc0\xaf"), LOST LOST },
	{ BYTES("\x80"), LOST },
	{ BYTES("\xff\xfe"), LOST LOST },
	{ BYTES("\xfc\x84\x80\x80\x80\x80"), LOST LOST LOST LOST LOST LOST },
	{ BYTES("\xf5\x80\x80\x80"), LOST LOST LOST LOST },
	{ BYTES("\xf4\x90\x80\x80"), LOST LOST LOST LOST },
	{ BYTES("\xe0\x9f\xbf"), LOST LOST LOST },
	{ BYTES("a\x80z"), "a" LOST "z" },
	{ BYTES("\xc3\xa4\xa4"), "\xc3\xa4" LOST },
	{ BYTES("\xe2\x82\xac\x80"), "\xe2\x82\xac" LOST },
	{ BYTES("\xc3\xc3\xa4"),
	  LOST "\xc3\xa4" }, /* incomplete before a valid lead byte */
	{ BYTES("\xf0\x9f\x98\xe2\x82\xac"), LOST "\xe2\x82\xac" },
	{ BYTES("\xf0\x9f\x98\xf0\x9f\x98\x80"), LOST "\xf0\x9f\x98\x80" },
	{ BYTES("\xe2\xe2\x82\xe2\x82\xac"), LOST LOST "\xe2\x82\xac" },
	{ BYTES("\xe2\x82\xff\xc3\xa4"),
	  LOST LOST "\xc3\xa4" }, /* incomplete before an invalid byte */
	{ BYTES("\xf0\x9f\xc0\x80"), LOST LOST LOST },
	{ BYTES("[\"\xff\",\"\xc3\"]"), "[\"" LOST "\",\"" LOST "\"]" },
};

static void
each_invalid_sequence_becomes_one_replacement_character(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(repairs); i++) {
		size_t length = strlen(repairs[i].repaired);
		char *p = copy(repairs[i].data, repairs[i].length),
		     *room = malloc(length);
		struct text t;
		text_init(&t, room, length);
		utf8_repair(&t, p, repairs[i].length);
		if (t.overflow || t.length != length ||
		    memcmp(room, repairs[i].repaired, length) != 0)
			fail_msg("case %zu", i);
		free(room);
		free(p);
	}
}

static void
valid_utf8_is_not_changed_by_a_repair(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_utf8); i++) {
		size_t length = valid_utf8[i].length;
		char *p = copy(valid_utf8[i].data, length), *room = copy(p, length);
		struct text t;
		text_init(&t, room, length);
		memset(room, '#', length);
		utf8_repair(&t, p, length);
		assert_false(t.overflow);
		assert_int_equal(t.length, length);
		assert_memory_equal(room, p, length);
		free(room);
		free(p);
	}
}

static void
a_repair_that_does_not_fit_overflows(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(repairs); i++)
		for (size_t size = 0; size < strlen(repairs[i].repaired); size++) {
			char *room = allocate(size);
			struct utf8 u = { 0 };
			struct text t;
			text_init(&t, room, size);
			utf8_repair(&t, repairs[i].data, repairs[i].length);
			assert_true(t.overflow);
			assert_true(t.length <= size);
			assert_memory_equal(room, repairs[i].repaired, t.length);
			assert_true(utf8_check(&u, room, t.length) && utf8_complete(&u));
			free(room);
		}
}

/*
 * Replaces each invalid sequence: the longest start of a character, or a single byte if
 * there is none.
 */
static size_t
repair_plainly(const unsigned char *p, size_t length, char *out)
{
	size_t used, n = 0;

	for (size_t at = 0; at < length; at += used) {
		enum prefix found = character_prefix(p + at, length - at, &used);
		if (found == PREFIX_COMPLETE) {
			memcpy(out + n, p + at, used);
			n += used;
			continue;
		}
		size_t max = length - at;
		while (max > 1 && character_prefix(p + at, max, &used) != PREFIX_PART)
			max--;
		used = max;
		memcpy(out + n, LOST, 3);
		n += 3;
	}
	return n;
}

static void
assert_repaired_alike(const unsigned char *p, size_t length)
{
	char seen[3 * 5], expected[3 * 5];
	size_t n = repair_plainly(p, length, expected);
	struct utf8 u = { 0 };
	struct text t;

	text_init(&t, seen, 3 * length);
	utf8_repair(&t, (const char *)p, length);
	if (t.overflow || t.length != n || memcmp(seen, expected, n) != 0)
		fail_msg("%zu bytes: %02x %02x %02x %02x %02x", length, p[0], p[1], p[2],
			 p[3], p[4]);
	assert_true(utf8_check(&u, seen, t.length) && utf8_complete(&u));
}

static void
repairs_of_up_to_three_bytes_agree_with_a_simple_decoder(void **state)
{
	static const unsigned char thirds[] = { 0x41, 0x80, 0x9f, 0xa0, 0xbf,
						0xc3, 0xe1, 0xf1, 0xff };
	unsigned char p[5] = { 0 };

	(void)state;
	for (uint32_t ab = 0; ab < 0x10000; ab++) {
		p[0] = (unsigned char)(ab >> 8);
		p[1] = (unsigned char)(ab & 0xff);
		assert_repaired_alike(p, 1);
		assert_repaired_alike(p, 2);
		for (size_t c = 0; c < sizeof thirds; c++) {
			p[2] = thirds[c];
			assert_repaired_alike(p, 3);
		}
	}
}

static void
repairs_of_five_bytes_agree_with_a_simple_decoder(void **state)
{
	static const unsigned char edges[] = { 0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
					       0xbf, 0xc1, 0xc2, 0xe0, 0xe1, 0xed,
					       0xf0, 0xf1, 0xf4, 0xf5 };
	unsigned char p[5];

	(void)state;
	for (uint32_t choice = 0; choice < 0x100000; choice++) {
		for (size_t i = 0; i < sizeof p; i++)
			p[i] = edges[choice >> (4 * i) & 0xf];
		assert_repaired_alike(p, sizeof p);
	}
}

static void
a_cut_keeps_as_many_whole_characters_as_fit(void **state)
{
	static const char text[] =
	    "a\xc3\xa4z\xe2\x82\xac\xf0\x9f\x98\x80\xf0\x9f\x98\x80!";
	static const size_t cuts[] = {
		0, 1, 1, 3, 4, 4, 4, 7, 7, 7, 7, 11, 11, 11, 11, 15
	};
	const size_t length = sizeof text - 1;
	char *p = copy(text, length);

	(void)state;
	assert_int_equal(length, COUNT(cuts));
	for (size_t max = 0; max < length; max++)
		assert_int_equal(utf8_cut(p, length, max), cuts[max]);
	assert_int_equal(utf8_cut(p, length, length), length);
	assert_int_equal(utf8_cut(p, length, length + 1), length);
	assert_int_equal(utf8_cut(p, length, SIZE_MAX), length);
	assert_int_equal(utf8_cut(p, 0, 0), 0);
	free(p);
}

static const uint32_t published_key[2] = { 0x03020100, 0x07060504 };

/*
 * Base64
 */

/* The same bytes in both forms. */
static const struct {
	const char *bytes;
	size_t length;
	const char *padded, *url;
} base64_vectors[] = {
	/* RFC 4648 section 10 */
	{ BYTES(""), "", "" },
	{ BYTES("f"), "Zg==", "Zg" },
	{ BYTES("fo"), "Zm8=", "Zm8" },
	{ BYTES("foo"), "Zm9v", "Zm9v" },
	{ BYTES("foob"), "Zm9vYg==", "Zm9vYg" },
	{ BYTES("fooba"), "Zm9vYmE=", "Zm9vYmE" },
	{ BYTES("foobar"), "Zm9vYmFy", "Zm9vYmFy" },
	/* RFC 7515 appendix C */
	{ BYTES("\x03\xec\xff\xe0\xc1"), "A+z/4ME=", "A-z_4ME" },
	{ BYTES("\xff\xff\xff\xff"), "/////w==", "_____w" },
	{ BYTES("\xfb\xef\xbe\0"), "++++AA==", "----AA" },
};

static long
decode(const char *text, enum base64 kind, void *out, size_t size)
{
	char *exact = copy(text, strlen(text));
	long length =
	    base64_decode((struct span){ exact, strlen(text) }, kind, out, size);

	free(exact);
	return length;
}

static void
base64_has_the_published_values_in_both_forms(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(base64_vectors); i++)
		for (enum base64 kind = BASE64; kind <= BASE64URL; kind++) {
			const char *text = kind == BASE64 ? base64_vectors[i].padded
							  : base64_vectors[i].url;
			size_t length = base64_vectors[i].length;
			char *out = allocate(length), made[16];
			struct text t;
			text_init(&t, made, sizeof made);
			text_base64(&t, kind, base64_vectors[i].bytes, length);
			assert_text(&t, text);
			assert_int_equal(decode(text, kind, out, length), length);
			assert_memory_equal(out, base64_vectors[i].bytes, length);
			if (length > 0)
				assert_int_equal(decode(text, kind, out, length - 1),
						 BASE64_TOO_LONG);
			free(out);
		}
}

static void
base64url_has_one_form_for_each_sequence_of_bytes(void **state)
{
	static const char *const invalid[] = {
		/* padding, white space, the other alphabet, other characters */
		"Zg==", "Zm8=", "Zm9v=", "=", " Zg", "Zg ", "Z g", "Zg\n", "+w", "/w",
		"Z.", "Z\x80", "Zm9\xc3", "Zm9v!",
		/* a digit alone */
		"Z", "Zm9vY",
		/* unused bits that are not zero */
		"Zh", "Zx", "Z_", "Zm9", "Zm-", "Zm9vYh"
	};
	char out[16];

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++)
		if (decode(invalid[i], BASE64URL, out, sizeof out) != BASE64_INVALID)
			fail_msg("%s is accepted", invalid[i]);
	assert_int_equal(base64_decode(SPAN("Zg\0"), BASE64URL, out, sizeof out),
			 BASE64_INVALID);
}

static void
padded_base64_may_contain_white_space(void **state)
{
	static const char *const invalid[] = { "Zg",   "Zg=",	"Zg===",    "Z===",
					       "====", "Zm9v=", "Zm9v====", "Zg==Zg==",
					       "Z=g=", "-w==",	"_w==" };
	char out[16];

	(void)state;
	assert_int_equal(decode(" Zm9\r\n\tvYg = =\n", BASE64, out, sizeof out), 4);
	assert_memory_equal(out, "foob", 4);
	for (size_t i = 0; i < COUNT(invalid); i++)
		if (decode(invalid[i], BASE64, out, sizeof out) != BASE64_INVALID)
			fail_msg("%s is accepted", invalid[i]);
}

static void
base64_is_decoded_in_place(void **state)
{
	char text[] = "Zm9vYmFy";

	(void)state;
	assert_int_equal(base64_decode(span(text), BASE64URL, text, 6), 6);
	assert_memory_equal(text, "foobar", 6);
}

/* Returns the hash of the bytes 00 01 02 ..., `length` of them, exactly sized. */
static uint32_t
hash_of_count(const uint32_t key[2], size_t length)
{
	unsigned char counted[64];

	for (size_t i = 0; i < sizeof counted; i++)
		counted[i] = (unsigned char)i;
	char *p = copy(counted, length);
	uint32_t hash = text_hash(key, p, length);
	free(p);
	return hash;
}

static void
the_hash_has_the_published_values(void **state)
{
	static const unsigned char published[][4] = {
		{ 0xa9, 0x35, 0x9f, 0x5b }, { 0x27, 0x47, 0x5a, 0xb8 },
		{ 0xfa, 0x62, 0xa6, 0x03 }, { 0x8a, 0xfe, 0xe7, 0x04 },
		{ 0x2a, 0x6e, 0x46, 0x89 }, { 0xc5, 0xfa, 0xb6, 0x69 },
		{ 0x58, 0x63, 0xfc, 0x23 }, { 0x8b, 0xcf, 0x63, 0xc5 },
		{ 0xd0, 0xb8, 0x84, 0x8f }, { 0xf8, 0x06, 0xe7, 0x79 },
		{ 0x94, 0xb0, 0x79, 0x34 }, { 0x08, 0x08, 0x30, 0x50 },
		{ 0x57, 0xf0, 0x87, 0x2f }, { 0x77, 0xe6, 0x63, 0xff },
		{ 0xd6, 0xff, 0xf8, 0x7c }, { 0x74, 0xfe, 0x2b, 0x97 },
	};

	(void)state;
	for (size_t n = 0; n < COUNT(published); n++) {
		uint32_t hash = hash_of_count(published_key, n);
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(hash >> (8 * i) & 0xff, published[n][i]);
	}
}

static void
different_keys_give_different_hashes(void **state)
{
	static const uint32_t others[][2] = { { 0x03020101, 0x07060504 },
					      { 0x03020100, 0x87060504 },
					      { 0, 0 } };

	(void)state;
	for (size_t k = 0; k < COUNT(others); k++)
		for (size_t n = 0; n < 64; n++)
			assert_int_not_equal(hash_of_count(others[k], n),
					     hash_of_count(published_key, n));
}

static void
errors_have_the_c_librarys_text_or_a_number(void **state)
{
	/* The C library's text is longer for these. */
	static const struct {
		int error;
		const char *text;
	} shorter[] = {
		{ ELOOP, "Symbolic link loop" },
		{ EADDRNOTAVAIL, "Address not available" },
		{ EAFNOSUPPORT, "Address family not supported" },
	};
	unsigned compared = 0;
	char number[32];

	(void)state;
	for (size_t i = 0; i < COUNT(shorter); i++)
		assert_string_equal(text_error(shorter[i].error), shorter[i].text);
	for (int error = 0; error < 200; error++) {
		if (error == ELOOP || error == EADDRNOTAVAIL || error == EAFNOSUPPORT)
			continue;
		snprintf(number, sizeof number, "error %d", error);
		if (strcmp(text_error(error), number) == 0)
			continue;
		assert_string_equal(text_error(error), strerror(error));
		compared++;
	}
	assert_int_equal(compared, 21);
	assert_string_equal(text_error(ENOENT), "No such file or directory");
	assert_string_equal(text_error(INT_MAX), "error 2147483647");
	assert_string_equal(text_error(0), "error 0");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(span_is_compares_all_bytes_and_the_length),
		cmocka_unit_test(
		    nocase_comparison_ignores_the_case_of_ascii_letters_only),
		cmocka_unit_test(puts_append_up_to_the_last_byte),
		cmocka_unit_test(bytes_that_do_not_fit_are_not_added_in_part),
		cmocka_unit_test(a_number_that_does_not_fit_is_not_added_in_part),
		cmocka_unit_test(hexadecimal_that_does_not_fit_is_not_added_in_part),
		cmocka_unit_test(after_an_overflow_nothing_is_added),
		cmocka_unit_test(a_length_near_the_largest_overflows),
		cmocka_unit_test(numbers_are_decimal_without_leading_zeros),
		cmocka_unit_test(hexadecimal_has_exactly_the_requested_digits),
		cmocka_unit_test(padded_numbers_have_exactly_the_requested_digits),
		cmocka_unit_test(bytes_unsafe_in_a_log_are_escaped),
		cmocka_unit_test(quotes_in_a_quoted_text_are_escaped),
		cmocka_unit_test(only_the_hash_of_a_secret_is_added),
		cmocka_unit_test(an_ipv4_address_is_written_with_dots),
		cmocka_unit_test(an_ipv6_address_is_written_in_canonical_form),
		cmocka_unit_test(errors_have_the_c_librarys_text_or_a_number),
		cmocka_unit_test(known_times_are_written_in_both_formats),
		cmocka_unit_test(every_day_up_to_2199_is_written_as_by_the_c_library),
		cmocka_unit_test(every_second_of_a_day_is_written_as_by_the_c_library),
		cmocka_unit_test(a_time_that_does_not_fit_overflows),
		cmocka_unit_test(digits_up_to_the_limit_are_accepted_as_a_number),
		cmocka_unit_test(any_other_text_is_rejected_as_a_number),
		cmocka_unit_test(invalid_utf8_is_rejected_whole_and_at_every_split),
		cmocka_unit_test(invalid_utf8_is_rejected_at_the_first_invalid_byte),
		cmocka_unit_test(valid_utf8_is_accepted_whole_and_at_every_split),
		cmocka_unit_test(a_truncated_character_is_valid_but_incomplete),
		cmocka_unit_test(the_utf8_check_does_not_depend_on_alignment),
		cmocka_unit_test(
		    the_check_of_up_to_three_bytes_agrees_with_a_simple_decoder),
		cmocka_unit_test(the_check_of_four_bytes_agrees_with_a_simple_decoder),
		cmocka_unit_test(each_invalid_sequence_becomes_one_replacement_character),
		cmocka_unit_test(valid_utf8_is_not_changed_by_a_repair),
		cmocka_unit_test(a_repair_that_does_not_fit_overflows),
		cmocka_unit_test(
		    repairs_of_up_to_three_bytes_agree_with_a_simple_decoder),
		cmocka_unit_test(repairs_of_five_bytes_agree_with_a_simple_decoder),
		cmocka_unit_test(a_cut_keeps_as_many_whole_characters_as_fit),
		cmocka_unit_test(base64_has_the_published_values_in_both_forms),
		cmocka_unit_test(base64url_has_one_form_for_each_sequence_of_bytes),
		cmocka_unit_test(padded_base64_may_contain_white_space),
		cmocka_unit_test(base64_is_decoded_in_place),
		cmocka_unit_test(the_hash_has_the_published_values),
		cmocka_unit_test(different_keys_give_different_hashes),
	};

	return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
