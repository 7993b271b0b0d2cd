/*
 * What the dates of a certificate mean at a time.  renewal.test.mjs shows when a server
 * logs it.
 */
#include "renewal.h"
#include "unit.h"

enum { DAY = 86400 };

/* 2036-12-03 12:00:00 */
static const uint64_t end = UINT64_C(2111918400);

/* Returns the text for a certificate of 90 days, or "" for none. */
static const char *
text_at(uint64_t now)
{
	static char data[61];
	struct cert_validity v = { end - 90 * DAY, end };
	struct text t;

	text_init(&t, data, sizeof data - 1);
	bool added = renewal_put_dates(&t, &v, now);
	assert_false(t.overflow);
	assert_int_equal(added, t.length > 0);
	data[t.length] = '\0';
	return data;
}

static void
a_certificate_is_at_fault_from_30_days_before_its_end(void **state)
{
	(void)state;
	assert_string_equal(text_at(end - 90 * DAY), "");
	assert_string_equal(text_at(end - 30 * DAY), "");
	assert_string_equal(text_at(end - 30 * DAY + 1),
			    "expires in 29 days: 2036-12-03");
	assert_string_equal(text_at(end - 6 * DAY), "expires in 6 days: 2036-12-03");
	assert_string_equal(text_at(end - 2 * DAY + 1), "expires in 1 day: 2036-12-03");
	assert_string_equal(text_at(end - DAY), "expires in 1 day: 2036-12-03");
	assert_string_equal(text_at(end - DAY + 1),
			    "expires in less than a day: 2036-12-03");
	assert_string_equal(text_at(end), "expires in less than a day: 2036-12-03");
}

static void
an_expired_certificate_is_at_fault(void **state)
{
	(void)state;
	assert_string_equal(text_at(end + 1), "expired less than a day ago: 2036-12-03");
	assert_string_equal(text_at(end + DAY),
			    "expired less than a day ago: 2036-12-03");
	assert_string_equal(text_at(end + DAY + 1), "expired 1 day ago: 2036-12-03");
	assert_string_equal(text_at(end + 1000 * DAY + 1),
			    "expired 1000 days ago: 2036-12-03");
}

static void
a_certificate_that_is_not_valid_yet_is_at_fault(void **state)
{
	(void)state;
	assert_string_equal(text_at(end - 90 * DAY - 1),
			    "not valid before 2036-09-04, less than a day from now");
	assert_string_equal(text_at(end - 91 * DAY),
			    "not valid before 2036-09-04, 1 day from now");
	assert_string_equal(text_at(end - 100 * DAY),
			    "not valid before 2036-09-04, 10 days from now");
}

static void
a_clock_that_is_not_set_shows_nothing(void **state)
{
	(void)state;
	assert_string_equal(text_at(0), "");
	assert_string_equal(text_at(TEXT_RELEASED - 1), "");
	assert_string_equal(text_at(TEXT_RELEASED),
			    "not valid before 2036-09-04, 3595 days from now");
}

static void
the_longest_text_has_room(void **state)
{
	struct cert_validity v = { UINT64_C(253402300799), UINT64_C(253402300799) };
	char data[60];
	struct text t;

	(void)state;
	text_init(&t, data, sizeof data);
	assert_true(renewal_put_dates(&t, &v, TEXT_RELEASED));
	assert_false(t.overflow);
	v = (struct cert_validity){ 0 };
	text_init(&t, data, sizeof data);
	assert_true(renewal_put_dates(&t, &v, UINT64_C(253402300799)));
	assert_false(t.overflow);
}

/* A line is logged when this number changes. */
static void
the_number_of_days_changes_once_a_day(void **state)
{
	int32_t last = renewal_days(end, end - 40 * DAY);
	unsigned changes = 0;

	(void)state;
	assert_int_equal(last, 40);
	for (uint64_t now = end - 40 * DAY; now < end + 40 * DAY; now += 3600) {
		int32_t days = renewal_days(end, now);
		assert_in_range(last - days, 0, 1);
		changes += (unsigned)(last - days);
		last = days;
	}
	assert_int_equal(changes, 80);
	assert_int_equal(renewal_days(end, end), 0);
	assert_int_equal(renewal_days(end, end + 1), -1);
	assert_int_equal(renewal_days(end, end + DAY), -1);
	assert_int_equal(renewal_days(end, end + DAY + 1), -2);
	assert_int_equal(renewal_days(0, UINT64_C(253402300799)), -2932897);
	assert_int_equal(renewal_days(UINT64_C(253402300799), 0), 2932896);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_is_at_fault_from_30_days_before_its_end),
		cmocka_unit_test(an_expired_certificate_is_at_fault),
		cmocka_unit_test(a_certificate_that_is_not_valid_yet_is_at_fault),
		cmocka_unit_test(a_clock_that_is_not_set_shows_nothing),
		cmocka_unit_test(the_longest_text_has_room),
		cmocka_unit_test(the_number_of_days_changes_once_a_day),
	};

	return cmocka_run_group_tests_name("renewal", tests, NULL, NULL);
}
