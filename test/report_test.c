/* When refusals are logged, and how.  The clock and the log are the test's own. */
#include "report.h"
#include "conn.h"
#include "log.h"
#include "unit.h"

static uint64_t now = 5000;
static bool ignored; /* the log ignores the level */
static char lines[4096];
static size_t length;
static struct text line;

uint64_t
conn_milliseconds(void)
{
	return now;
}

struct text *
log_begin(enum log_level level, struct span peer)
{
	assert_int_equal(level, LEVEL_WARN);
	assert_int_equal(peer.length, 0);
	text_init(&line, lines + length, sizeof lines - 1 - length);
	return ignored ? NULL : &line;
}

void
log_end(void)
{
	text_char(&line, '\n');
	assert_false(line.overflow);
	length += line.length;
}

/* Asserts the lines that have been logged since the last call. */
static void
assert_logged(const char *expected)
{
	lines[length] = '\0';
	assert_string_equal(lines, expected);
	length = 0;
}

#define FULL "refused: too many connections or sessions (MaxConnections): "
#define ROOM "refused: room is full (MaxPeers): "

static const struct span no_value;

static int
begin(void **state)
{
	(void)state;
	/* The lines of earlier tests are too old to count. */
	now += 1000000;
	report_second();
	now += 1000000;
	length = 0;
	return 0;
}

static void
the_first_refusal_is_logged_immediately(void **state)
{
	(void)state;
	report(REPORT_FULL, SPAN("192.0.2.1:1"), no_value);
	assert_logged(FULL "1 in the last minute, such as 192.0.2.1:1\n");
	assert_false(report_second());
	assert_logged("");
}

static void
later_refusals_are_logged_after_a_minute(void **state)
{
	(void)state;
	report(REPORT_ROOM_FULL, SPAN("192.0.2.1:1"), SPAN("a"));
	assert_logged(ROOM "1 in the last minute, such as 192.0.2.1:1 with \"a\"\n");
	now += 1;
	for (unsigned i = 0; i < 1000; i++)
		report(REPORT_ROOM_FULL, SPAN("192.0.2.1:2"), SPAN("b"));
	report(REPORT_ROOM_FULL, SPAN("192.0.2.2:3"), SPAN("c"));
	assert_true(report_second());
	now += 59998;
	assert_true(report_second());
	assert_logged("");
	now += 1;
	assert_false(report_second());
	assert_logged(ROOM "1001 in the last minute, such as 192.0.2.2:3 with \"c\"\n");
	now += 60000;
	assert_false(report_second());
	assert_logged("");
}

static void
a_refusal_a_minute_later_is_logged_immediately(void **state)
{
	(void)state;
	report(REPORT_FULL, SPAN("192.0.2.1:1"), no_value);
	length = 0;
	now += 60000;
	report(REPORT_FULL, SPAN("192.0.2.1:2"), no_value);
	assert_logged(FULL "1 in the last minute, such as 192.0.2.1:2\n");
	now += 59999;
	report(REPORT_FULL, SPAN("192.0.2.1:3"), no_value);
	assert_logged("");
}

static void
kinds_do_not_delay_each_other(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < REPORT_KINDS; kind++) {
		report((enum report_kind)kind, SPAN("192.0.2.1:1"), no_value);
		lines[length] = '\0';
		assert_non_null(strstr(lines, " 1 in the last minute, "));
		length = 0;
	}
}

static void
a_value_is_escaped_and_cut(void **state)
{
	char value[65];

	(void)state;
	report(REPORT_ROOM_FULL, SPAN("192.0.2.1:1"), SPAN("\"\n\xff"));
	assert_logged(ROOM "1 in the last minute, such as 192.0.2.1:1 with "
			   "\"\\x22\\x0a\\xff\"\n");
	now += 60000;
	memset(value, 'x', sizeof value);
	report(REPORT_ROOM_FULL, SPAN("192.0.2.1:1"), (struct span){ value, 64 });
	assert_logged(ROOM "1 in the last minute, such as 192.0.2.1:1 with "
			   "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"\n");
	now += 60000;
	report(REPORT_ROOM_FULL, SPAN("192.0.2.1:1"), (struct span){ value, 65 });
	assert_logged(ROOM "1 in the last minute, such as 192.0.2.1:1 with "
			   "\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			   "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"...\n");
}

static void
a_path_is_cut_before_parameters(void **state)
{
	static const char *const paths[] = { "/a%3ftoken=x/info", "/a%3Fb/info",
					     "/a;b=c/info", "/a&b/info", "/a=b/info" };

	(void)state;
	for (size_t i = 0; i < COUNT(paths); i++) {
		report(REPORT_PATH, SPAN("192.0.2.1:1"), span(paths[i]));
		lines[length] = '\0';
		assert_non_null(strstr(lines, " such as 192.0.2.1:1 with \"/a\"...\n"));
		length = 0;
		now += 60000;
	}
	report(REPORT_PATH, SPAN("192.0.2.1:1"), SPAN("/a%3e/info"));
	lines[length] = '\0';
	assert_non_null(strstr(lines, " with \"/a%3e/info\"\n"));
	length = 0;
	now += 60000;
	/* An origin is no path. */
	report(REPORT_ORIGIN, SPAN("192.0.2.1:1"), SPAN("a=b"));
	lines[length] = '\0';
	assert_non_null(strstr(lines, " with \"a=b\"\n"));
	length = 0;
}

static void
a_refusal_without_a_client_keeps_the_example(void **state)
{
	(void)state;
	report(REPORT_FULL, no_value, no_value);
	assert_logged(FULL "1 in the last minute\n");
	report(REPORT_FULL, SPAN("192.0.2.1:1"), no_value);
	report(REPORT_FULL, no_value, no_value);
	now += 60000;
	assert_false(report_second());
	assert_logged(FULL "2 in the last minute, such as 192.0.2.1:1\n");
}

static void
an_ignored_level_ends_the_waiting(void **state)
{
	(void)state;
	ignored = true;
	report(REPORT_FULL, SPAN("192.0.2.1:1"), no_value);
	report(REPORT_FULL, SPAN("192.0.2.1:1"), no_value);
	assert_true(report_second());
	now += 60000;
	assert_false(report_second());
	ignored = false;
	assert_logged("");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_first_refusal_is_logged_immediately, begin),
		cmocka_unit_test_setup(later_refusals_are_logged_after_a_minute, begin),
		cmocka_unit_test_setup(a_refusal_a_minute_later_is_logged_immediately,
				       begin),
		cmocka_unit_test_setup(kinds_do_not_delay_each_other, begin),
		cmocka_unit_test_setup(a_value_is_escaped_and_cut, begin),
		cmocka_unit_test_setup(a_path_is_cut_before_parameters, begin),
		cmocka_unit_test_setup(a_refusal_without_a_client_keeps_the_example,
				       begin),
		cmocka_unit_test_setup(an_ignored_level_ends_the_waiting, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
