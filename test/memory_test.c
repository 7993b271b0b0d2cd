/* Dividing the mapping, and the pool of blocks. */
#define _DEFAULT_SOURCE /* mincore */
#include "memory.h"
#include "unit.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CACHE_LINE = 64 };

static size_t
page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Returns the number of resident pages in a range. */
static size_t
resident(const char *start, size_t bytes)
{
	size_t pages = (bytes + page_size() - 1) / page_size(), count = 0;
	unsigned char *there = malloc(pages);

	assert_non_null(there);
	assert_int_equal(mincore((void *)(uintptr_t)start, bytes, there), 0);
	for (size_t i = 0; i < pages; i++)
		count += there[i] & 1;
	free(there);
	return count;
}

/*
 * The mapping
 */

static const struct {
	size_t count, size;
} takes[] = {
	{ 1, 1 },  { 1, 64 },  { 1, 65 },   { 3, 7 },	  { 0, 8 },
	{ 1, 63 }, { 100, 4 }, { 1, 4096 }, { 1000, 24 }, { 1, 1 },
};

static void
counting_returns_no_memory(void **state)
{
	struct memory m = { 0 };
	size_t sum = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(takes); i++) {
		assert_null(memory_take(&m, takes[i].count, takes[i].size));
		sum += takes[i].count * takes[i].size;
		assert_in_range(m.used, sum, sum + i * CACHE_LINE);
	}
	assert_false(m.overflow);
	assert_null(m.base);
}

static void
placing_takes_as_much_as_was_counted(void **state)
{
	char *places[COUNT(takes)];
	struct memory m = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT(takes); i++)
		memory_take(&m, takes[i].count, takes[i].size);
	size_t counted = m.used;
	assert_true(memory_map(&m));
	assert_int_equal(m.used, 0);
	assert_int_equal(resident(m.base, counted), 0);
	for (size_t i = 0; i < COUNT(takes); i++) {
		size_t bytes = takes[i].count * takes[i].size;
		places[i] = memory_take(&m, takes[i].count, takes[i].size);
		assert_non_null(places[i]);
		assert_int_equal((uintptr_t)places[i] % CACHE_LINE, 0);
		assert_true(places[i] >= m.base);
		assert_true(places[i] + bytes <= m.base + counted);
		for (size_t k = 0; k < bytes; k++)
			assert_int_equal(places[i][k], 0);
		memset(places[i], (int)i + 1, bytes);
	}
	assert_int_equal(m.used, counted);
	assert_false(m.overflow);
	/* They do not overlap. */
	for (size_t i = 0; i < COUNT(takes); i++)
		for (size_t k = 0; k < takes[i].count * takes[i].size; k++)
			assert_int_equal(places[i][k], i + 1);
	assert_int_equal(munmap(m.base, counted), 0);
}

static void
assert_rejected(struct memory *m)
{
	assert_true(m->overflow);
	errno = 0;
	assert_false(memory_map(m));
	assert_int_equal(errno, ENOMEM);
	assert_null(m->base);
}

static void
sizes_that_overflow_are_rejected(void **state)
{
	static const struct {
		size_t count, size;
	} huge[] = {
		{ SIZE_MAX, 1 },
		{ SIZE_MAX, 2 },
		{ 1, SIZE_MAX },
		{ SIZE_MAX / 2 + 1, 2 },
		{ (size_t)1 << (sizeof(size_t) * 4), (size_t)1 << (sizeof(size_t) * 4) },
		{ SIZE_MAX / 3, 4 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(huge); i++) {
		struct memory m = { 0 };
		memory_take(&m, 1, 1);
		assert_null(memory_take(&m, huge[i].count, huge[i].size));
		assert_rejected(&m);
	}
}

static void
an_overflow_is_permanent(void **state)
{
	struct memory m = { 0 };

	(void)state;
	memory_take(&m, SIZE_MAX, 2);
	memory_take(&m, 1, 1);
	assert_rejected(&m);
}

static void
a_sum_that_overflows_is_rejected(void **state)
{
	static const size_t rests[] = { 0, 1, CACHE_LINE - 1, CACHE_LINE, 4096 };

	(void)state;
	for (size_t i = 0; i < COUNT(rests); i++) {
		struct memory m = { 0 };
		for (unsigned k = 0; k < 5; k++)
			memory_take(&m, 1,
				    (SIZE_MAX / 2 - rests[i]) / CACHE_LINE * CACHE_LINE);
		memory_take(&m, 1, CACHE_LINE);
		assert_rejected(&m);
	}
	for (size_t i = 0; i < COUNT(rests); i++) {
		struct memory m = { 0 };
		memory_take(&m, 1, SIZE_MAX / 2 - rests[i]);
		memory_take(&m, 1, SIZE_MAX / 2 - CACHE_LINE + 1);
		memory_take(&m, 1, CACHE_LINE);
		assert_rejected(&m);
	}
}

static void
more_than_the_system_can_map_is_rejected(void **state)
{
	struct memory m = { 0 };

	(void)state;
	memory_take(&m, SIZE_MAX / 2 - 4096, 1);
	assert_false(m.overflow);
	errno = 0;
	assert_false(memory_map(&m));
	assert_int_equal(errno, ENOMEM);
}

/*
 * Blocks.  There is only one pool: a fixture places it, and each test returns the blocks
 * that it takes.
 */

enum { BLOCKS = 64, BLOCK = 3 * 4096 + 1 };

static struct memory mapping;

static int
place_blocks(void **state)
{
	struct memory m = { 0 };

	(void)state;
	memory_take(&m, 3, 5);
	block_place(&m, BLOCKS, BLOCK);
	memory_take(&m, 1, 100);
	size_t counted = m.used;
	if (!memory_map(&m))
		return -1;
	memory_take(&m, 3, 5);
	block_place(&m, BLOCKS, BLOCK);
	memory_take(&m, 1, 100);
	mapping = m;
	return m.used == counted && !m.overflow ? 0 : -1;
}

static int
unplace_blocks(void **state)
{
	(void)state;
	return munmap(mapping.base, mapping.used);
}

static void
take_blocks(char **blocks, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		blocks[i] = block_take();
		assert_non_null(blocks[i]);
	}
}

static void
give_blocks(char *const *blocks, unsigned count)
{
	while (count-- > 0)
		block_give(blocks[count]);
}

static void
a_block_consists_of_whole_pages(void **state)
{
	size_t pages = (BLOCK + page_size() - 1) / page_size();

	(void)state;
	assert_int_equal(block_size(), pages * page_size());
	char *block = block_take();
	assert_int_equal((uintptr_t)block % page_size(), 0);
	block_give(block);
}

static void
blocks_do_not_overlap(void **state)
{
	char *blocks[BLOCKS];

	(void)state;
	take_blocks(blocks, BLOCKS);
	for (int i = 0; i < BLOCKS; i++) {
		assert_true(blocks[i] >= mapping.base);
		assert_true(blocks[i] + block_size() <= mapping.base + mapping.used);
		memset(blocks[i], i, block_size());
	}
	for (int i = 0; i < BLOCKS; i++)
		for (size_t k = 0; k < block_size(); k++)
			assert_int_equal((unsigned char)blocks[i][k], i);
	give_blocks(blocks, BLOCKS);
}

static void
no_block_is_returned_when_all_are_taken(void **state)
{
	char *blocks[BLOCKS];

	(void)state;
	take_blocks(blocks, BLOCKS);
	assert_null(block_take());
	assert_null(block_take());
	assert_int_equal(block_taken(), BLOCKS);
	block_give(blocks[17]);
	assert_ptr_equal(block_take(), blocks[17]);
	assert_null(block_take());
	give_blocks(blocks, BLOCKS);
}

static void
the_block_returned_last_is_taken_first(void **state)
{
	char *blocks[8];

	(void)state;
	take_blocks(blocks, 8);
	block_give(blocks[5]);
	block_give(blocks[0]);
	block_give(blocks[3]);
	assert_ptr_equal(block_take(), blocks[3]);
	assert_ptr_equal(block_take(), blocks[0]);
	block_give(blocks[7]);
	assert_ptr_equal(block_take(), blocks[7]);
	assert_ptr_equal(block_take(), blocks[5]);
	give_blocks(blocks, 8);
}

static void
taken_blocks_are_counted(void **state)
{
	char *blocks[10];

	(void)state;
	assert_int_equal(block_taken(), 0);
	for (uint32_t i = 0; i < 10; i++) {
		take_blocks(blocks + i, 1);
		assert_int_equal(block_taken(), i + 1);
	}
	for (uint32_t i = 10; i-- > 0;) {
		block_give(blocks[i]);
		assert_int_equal(block_taken(), i);
	}
}

static size_t
pages_of(char *const *blocks, unsigned count)
{
	size_t pages = 0;

	for (unsigned i = 0; i < count; i++)
		pages += resident(blocks[i], block_size());
	return pages;
}

/* Sweeps until no idle block has pages. */
static void
sweep_all(void)
{
	unsigned sweeps = 0;

	while (block_sweep())
		assert_in_range(++sweeps, 1, 2);
}

static void
pages_unused_since_the_last_sweep_are_freed(void **state)
{
	const size_t pages = block_size() / page_size();
	char *blocks[BLOCKS];

	(void)state;
	sweep_all();
	take_blocks(blocks, BLOCKS);
	for (int i = 0; i < BLOCKS; i++)
		memset(blocks[i], 1, block_size());
	assert_int_equal(pages_of(blocks, BLOCKS), BLOCKS * pages);
	assert_false(block_sweep());
	give_blocks(blocks, BLOCKS);
	/* All blocks have been used since the last sweep. */
	assert_true(block_sweep());
	assert_int_equal(pages_of(blocks, BLOCKS), BLOCKS * pages);
	assert_false(block_sweep());
	assert_int_equal(pages_of(blocks, BLOCKS), 0);
	assert_false(block_sweep());
}

static void
blocks_in_use_between_sweeps_keep_their_pages(void **state)
{
	const size_t pages = block_size() / page_size();
	char *blocks[BLOCKS];

	(void)state;
	take_blocks(blocks, BLOCKS);
	for (int i = 0; i < BLOCKS; i++)
		memset(blocks[i], 1, block_size());
	give_blocks(blocks, BLOCKS);
	assert_true(block_sweep());
	/* Four blocks are used again and again; the others are not. */
	for (unsigned round = 0; round < 3; round++) {
		take_blocks(blocks, 4);
		give_blocks(blocks, 4);
		assert_true(block_sweep());
		assert_int_equal(pages_of(blocks, 4), 4 * pages);
		assert_int_equal(pages_of(blocks + 4, BLOCKS - 4), 0);
	}
	assert_false(block_sweep());
	assert_int_equal(pages_of(blocks, 4), 0);
}

static void
a_swept_block_can_be_used_and_swept_again(void **state)
{
	char *blocks[2];

	(void)state;
	sweep_all();
	for (unsigned round = 0; round < 3; round++) {
		take_blocks(blocks, 2);
		memset(blocks[0], 2, block_size());
		memset(blocks[1], 3, block_size());
		assert_int_equal(blocks[0][0], 2);
		give_blocks(blocks, 2);
		assert_true(block_sweep());
		assert_false(block_sweep());
		assert_int_equal(pages_of(blocks, 2), 0);
	}
}

static void
a_sweep_does_not_change_taken_blocks(void **state)
{
	char *blocks[BLOCKS];

	(void)state;
	take_blocks(blocks, BLOCKS);
	for (int i = 0; i < BLOCKS; i++)
		memset(blocks[i], i + 1, block_size());
	/* Return every second block. */
	for (unsigned i = 0; i < BLOCKS; i += 2)
		block_give(blocks[i]);
	sweep_all();
	for (int i = 1; i < BLOCKS; i += 2)
		for (size_t k = 0; k < block_size(); k++)
			assert_int_equal((unsigned char)blocks[i][k], i + 1);
	for (unsigned i = 0; i < BLOCKS; i += 2)
		assert_int_equal(pages_of(blocks + i, 1), 0);
	for (unsigned i = 1; i < BLOCKS; i += 2)
		block_give(blocks[i]);
	assert_int_equal(block_taken(), 0);
}

/* At the end no idle block has pages. */
static void
taken_blocks_keep_their_contents_in_random_sequences(void **state)
{
	char *blocks[BLOCKS];
	unsigned char marks[BLOCKS];
	uint32_t taken = 0, random = 1;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		random ^= random << 13;
		random ^= random >> 17;
		random ^= random << 5;
		uint32_t which = taken > 0 ? random / 16 % taken : 0;
		if (random % 16 == 0) {
			block_sweep();
		} else if (random % 2 == 0 && taken < BLOCKS) {
			take_blocks(blocks + taken, 1);
			marks[taken] = (unsigned char)random;
			memset(blocks[taken], marks[taken], block_size());
			taken++;
		} else if (taken > 0) {
			for (size_t k = 0; k < block_size(); k += 64)
				assert_int_equal((unsigned char)blocks[which][k],
						 marks[which]);
			block_give(blocks[which]);
			blocks[which] = blocks[--taken];
			marks[which] = marks[taken];
		}
		assert_int_equal(block_taken(), taken);
	}
	give_blocks(blocks, taken);
	sweep_all();
	take_blocks(blocks, BLOCKS);
	assert_int_equal(pages_of(blocks, BLOCKS), 0);
	give_blocks(blocks, BLOCKS);
}

/*
 * Returns true if a pool of `count` blocks of `size` bytes is rejected.  Tries it in a
 * child process, since it changes the pool.
 */
static bool
blocks_rejected(uint32_t count, size_t size)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		struct memory m = { 0 };
		block_place(&m, count, size);
		bool mapped = memory_map(&m);
		_exit(!mapped && errno == ENOMEM && m.overflow ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void
blocks_that_overflow_in_total_are_rejected(void **state)
{
	(void)state;
	assert_true(blocks_rejected(UINT32_MAX, SIZE_MAX / 4));
	assert_true(blocks_rejected(3, SIZE_MAX / 4));
	assert_true(blocks_rejected(1, SIZE_MAX / 2 + 2));
}

/* Rounding up to whole pages must not wrap around. */
static void
a_block_size_that_overflows_when_rounded_is_rejected(void **state)
{
	(void)state;
	assert_true(blocks_rejected(1, SIZE_MAX));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counting_returns_no_memory),
		cmocka_unit_test(placing_takes_as_much_as_was_counted),
		cmocka_unit_test(sizes_that_overflow_are_rejected),
		cmocka_unit_test(an_overflow_is_permanent),
		cmocka_unit_test(a_sum_that_overflows_is_rejected),
		cmocka_unit_test(more_than_the_system_can_map_is_rejected),
		cmocka_unit_test(a_block_consists_of_whole_pages),
		cmocka_unit_test(taken_blocks_are_counted),
		cmocka_unit_test(the_block_returned_last_is_taken_first),
		cmocka_unit_test(blocks_do_not_overlap),
		cmocka_unit_test(no_block_is_returned_when_all_are_taken),
		cmocka_unit_test(pages_unused_since_the_last_sweep_are_freed),
		cmocka_unit_test(blocks_in_use_between_sweeps_keep_their_pages),
		cmocka_unit_test(a_swept_block_can_be_used_and_swept_again),
		cmocka_unit_test(a_sweep_does_not_change_taken_blocks),
		cmocka_unit_test(taken_blocks_keep_their_contents_in_random_sequences),
		cmocka_unit_test(blocks_that_overflow_in_total_are_rejected),
		cmocka_unit_test(a_block_size_that_overflows_when_rounded_is_rejected),
	};

	return cmocka_run_group_tests_name("memory", tests, place_blocks, unplace_blocks);
}
