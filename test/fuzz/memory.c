/*
 * Replaces the server's memory.c: each table and each block is a separate allocation, so
 * that the sanitizer detects accesses outside of it and after it was given back.
 */
#include "fuzz.h"
#include "memory.h"
#include "network.h"

enum { TABLES = 32, BLOCKS = 256 };

/* Not part of the server's state: it remains between inputs. */
#pragma clang section bss = "" data = ""

static struct {
	char *data, *first; /* `first` is its contents when the server had started */
	size_t length;
} tables[TABLES];

static size_t table_count;
static char *blocks[BLOCKS]; /* those taken */
static uint32_t block_count, taken;
static size_t size_of_block;

void *
memory_take(struct memory *m, size_t count, size_t size)
{
	m->used += count * size;
	if (m->base == NULL)
		return NULL;
	CHECK(table_count < TABLES);
	tables[table_count].length = count * size;
	tables[table_count].data = calloc(count, size);
	return tables[table_count++].data;
}

void *
memory_take_pages(struct memory *m, size_t count, size_t size, size_t *stride)
{
	*stride = size;
	return memory_take(m, count, size);
}

bool
memory_map(struct memory *m)
{
	static char mapped;

	m->base = &mapped;
	m->used = 0;
	return true;
}

void
memory_drop(void *start, size_t length)
{
	memset(start, 0xd0, length);
}

void
memory_wipe(void *data, size_t length)
{
	memset(data, 0, length);
}

void
block_place(struct memory *m, uint32_t count, size_t size)
{
	(void)m;
	CHECK(count <= BLOCKS);
	block_count = count;
	size_of_block = size;
}

size_t
block_size(void)
{
	return size_of_block;
}

char *
block_take(void)
{
	if (taken == block_count)
		return NULL;
	return blocks[taken++] = malloc(size_of_block);
}

void
block_give(char *block)
{
	uint32_t i = 0;

	while (i < taken && blocks[i] != block)
		i++;
	CHECK(i < taken);
	blocks[i] = blocks[--taken];
	free(block);
}

uint32_t
block_taken(void)
{
	return taken;
}

bool
block_sweep(void)
{
	return false;
}

/*
 * The server's variables.  The sanitizer poisons the gaps between them, so the copy is
 * made without it.
 */

extern char __start_state_bss[], __stop_state_bss[], __start_state_data[],
    __stop_state_data[];
static char *first_bss, *first_data;

__attribute__((no_sanitize("address", "undefined", "coverage"), no_builtin)) static void
copy_words(char *to, const char *from, size_t length)
{
	const uint64_t *in = (const uint64_t *)(const void *)from;
	uint64_t *out = (uint64_t *)(void *)to;

	for (size_t i = 0; i < length / sizeof *in; i++)
		out[i] = in[i];
}

void
memory_remember(void)
{
	size_t bss = (size_t)(__stop_state_bss - __start_state_bss);
	size_t data = (size_t)(__stop_state_data - __start_state_data);

	first_bss = malloc(bss);
	first_data = malloc(data);
	CHECK(first_bss != NULL && first_data != NULL);
	copy_words(first_bss, __start_state_bss, bss);
	copy_words(first_data, __start_state_data, data);
	for (size_t i = 0; i < table_count; i++)
		tables[i].first = fuzz_copy(tables[i].data, tables[i].length);
}

void
memory_reset(void)
{
	copy_words(__start_state_bss, first_bss,
		   (size_t)(__stop_state_bss - __start_state_bss));
	copy_words(__start_state_data, first_data,
		   (size_t)(__stop_state_data - __start_state_data));
	while (taken > 0)
		free(blocks[--taken]);
	for (size_t i = 0; i < table_count; i++)
		memcpy(tables[i].data, tables[i].first, tables[i].length);
}
