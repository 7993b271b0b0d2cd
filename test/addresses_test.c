/* The counts of addresses, and the limit for each. */
#include "addresses.h"
#include "unit.h"

#include <sys/mman.h>

enum { MOST = 1000 };

static const uint32_t key[2] = { 7, 11 };

static void
place(struct addresses *s, struct memory *m, uint32_t limit)
{
	*m = (struct memory){ 0 };
	addresses_place(s, m, MOST, limit, key);
	assert_true(memory_map(m));
	addresses_place(s, m, MOST, limit, key);
}

static struct address_key
ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	const uint8_t bytes[4] = { a, b, c, d };

	return address_key_of(bytes, sizeof bytes);
}

static void
loopback_addresses_are_not_counted(void **state)
{
	const uint8_t six[16] = { [15] = 1 }, other[16] = { [15] = 2 };

	(void)state;
	assert_int_equal(ipv4(127, 0, 0, 1).length, 0);
	assert_int_equal(ipv4(127, 255, 255, 255).length, 0);
	assert_int_equal(ipv4(128, 0, 0, 1).length, 4);
	assert_int_equal(address_key_of(six, sizeof six).length, 0);
	assert_int_equal(address_key_of(other, sizeof other).length, 8);
}

static void
an_ipv6_address_is_counted_by_its_first_64_bits(void **state)
{
	const uint8_t one[16] = { 0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 5 };
	const uint8_t same[16] = { 0x20, 1, 0xd, 0xb8, 1, 2, 3, 4, 6, [15] = 9 };
	const uint8_t other[16] = { 0x20, 1, 0xd, 0xb8, 1, 2, 3, 5, 5 };
	struct addresses s;
	struct memory m;
	uint32_t entry;

	(void)state;
	place(&s, &m, 1);
	assert_true(addresses_add(&s, address_key_of(one, sizeof one), &entry));
	assert_false(addresses_add(&s, address_key_of(same, sizeof same), &entry));
	assert_true(addresses_add(&s, address_key_of(other, sizeof other), &entry));
	munmap(m.base, m.used);
}

static void
loopback_has_no_limit(void **state)
{
	struct addresses s;
	struct memory m;
	uint32_t entry;

	(void)state;
	place(&s, &m, 1);
	for (unsigned i = 0; i < 2 * MOST; i++) {
		assert_true(addresses_add(&s, ipv4(127, 0, 0, 1), &entry));
		assert_int_equal(entry, 0);
	}
	addresses_remove(&s, entry);
	munmap(m.base, m.used);
}

static void
an_address_gets_at_most_its_limit(void **state)
{
	struct addresses s;
	struct memory m;
	uint32_t first, entry;

	(void)state;
	place(&s, &m, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(addresses_add(&s, ipv4(10, 0, 0, 1), &first));
	assert_false(addresses_add(&s, ipv4(10, 0, 0, 1), &entry));
	assert_int_equal(entry, 0);
	assert_true(addresses_add(&s, ipv4(10, 0, 0, 2), &entry));
	addresses_remove(&s, first);
	assert_true(addresses_add(&s, ipv4(10, 0, 0, 1), &entry));
	assert_false(addresses_add(&s, ipv4(10, 0, 0, 1), &entry));
	munmap(m.base, m.used);
}

/* Fills a table, and empties it in the same or the reverse order, several times. */
static void
entries_are_reused(void **state)
{
	uint32_t entries[MOST];
	struct addresses s;
	struct memory m;

	(void)state;
	place(&s, &m, 1);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < MOST; i++)
			assert_true(addresses_add(
			    &s, ipv4(10, (uint8_t)round, (uint8_t)(i >> 8), (uint8_t)i),
			    &entries[i]));
		for (unsigned i = 0; i < MOST; i++)
			addresses_remove(&s, entries[round % 2 == 0 ? i : MOST - 1 - i]);
	}
	assert_int_equal(s.ever_used, MOST);
	for (uint32_t i = 0; i <= s.mask; i++)
		assert_int_equal(s.buckets[i], 0);
	munmap(m.base, m.used);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loopback_addresses_are_not_counted),
		cmocka_unit_test(an_ipv6_address_is_counted_by_its_first_64_bits),
		cmocka_unit_test(loopback_has_no_limit),
		cmocka_unit_test(an_address_gets_at_most_its_limit),
		cmocka_unit_test(entries_are_reused),
	};

	return cmocka_run_group_tests_name("addresses", tests, NULL, NULL);
}
