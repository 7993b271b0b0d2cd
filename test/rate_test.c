/* Token buckets: what they hold, how they fill, and how addresses share a table. */
#include "rate.h"
#include "unit.h"

static const struct rate_limit ten = { .per_second = 10, .burst_ms = 1000 };

static void
a_full_bucket_holds_exactly_its_burst(void **state)
{
	struct rate_bucket b = { 0 };

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_true(rate_take(&b, &ten, 1, 5000));
	assert_false(rate_take(&b, &ten, 1, 5000));
	/* A rejected call takes nothing. */
	for (unsigned i = 0; i < 100; i++)
		assert_false(rate_take(&b, &ten, 1, 5099));
	assert_true(rate_take(&b, &ten, 1, 5100));
	assert_false(rate_take(&b, &ten, 1, 5199));
}

static void
a_bucket_fills_with_time_up_to_its_burst(void **state)
{
	struct rate_bucket b = { 0 };

	(void)state;
	assert_true(rate_take(&b, &ten, 10, 1000));
	assert_false(rate_take(&b, &ten, 6, 1500));
	assert_true(rate_take(&b, &ten, 5, 1500));
	assert_false(rate_take(&b, &ten, 11, 1000000));
	assert_true(rate_take(&b, &ten, 10, 1000000));
	assert_false(rate_take(&b, &ten, 1, 1000000));
}

static void
no_amount_is_free(void **state)
{
	static const struct rate_limit fast = { .per_second = 4000, .burst_ms = 1000 };
	struct rate_bucket b = { 0 };
	unsigned taken = 0;

	(void)state;
	while (rate_take(&b, &fast, 1, 7))
		taken++;
	assert_int_equal(taken, 1000);
}

static void
each_hash_has_its_own_bucket(void **state)
{
	static struct rate_table table;

	(void)state;
	for (uint32_t hash = 1; hash <= RATE_SETS * RATE_WAYS; hash++) {
		assert_true(rate_take(rate_find(&table, hash), &ten, 10, 100));
		assert_ptr_equal(rate_find(&table, hash), rate_find(&table, hash));
	}
	for (uint32_t hash = 1; hash <= RATE_SETS * RATE_WAYS; hash++) {
		assert_false(rate_take(rate_find(&table, hash), &ten, 1, 100));
		assert_true(rate_take(rate_find(&table, hash), &ten, 1, 200));
	}
}

static void
many_hashes_get_at_most_what_all_buckets_hold(void **state)
{
	static struct rate_table table;
	unsigned taken = 0;

	(void)state;
	for (uint32_t hash = 1; hash <= 100000; hash++)
		taken += rate_take(rate_find(&table, hash * 2654435761U), &ten, 1, 100);
	assert_in_range(taken, RATE_SETS * RATE_WAYS, 10 * RATE_SETS * RATE_WAYS);
}

static void
a_new_hash_takes_over_the_fullest_bucket(void **state)
{
	static struct rate_table table;

	(void)state;
	for (uint32_t way = 1; way <= RATE_WAYS; way++)
		assert_true(
		    rate_take(rate_find(&table, way * RATE_SETS), &ten, 10 - way, 100));
	assert_false(rate_take(rate_find(&table, 5 * RATE_SETS), &ten, 5, 100));
	assert_true(rate_take(rate_find(&table, 5 * RATE_SETS), &ten, 4, 100));
	assert_true(rate_take(rate_find(&table, RATE_SETS), &ten, 1, 100));
	assert_false(rate_take(rate_find(&table, RATE_SETS), &ten, 1, 100));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_bucket_holds_exactly_its_burst),
		cmocka_unit_test(a_bucket_fills_with_time_up_to_its_burst),
		cmocka_unit_test(no_amount_is_free),
		cmocka_unit_test(each_hash_has_its_own_bucket),
		cmocka_unit_test(many_hashes_get_at_most_what_all_buckets_hold),
		cmocka_unit_test(a_new_hash_takes_over_the_fullest_bucket),
	};

	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
