#include "source.h"

#include <string.h>

struct source
source_of(const uint8_t *address, size_t length)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	struct source s = { .length = length == 4 ? 4 : 8 };

	if (length == 4 ? address[0] == 127
			: memcmp(address, loopback6, sizeof loopback6) == 0)
		s.length = 0;
	memcpy(s.bytes, address, s.length);
	return s;
}

void
sources_place(struct sources *s, struct memory *m, uint32_t max, uint32_t limit,
	      const uint32_t key[2])
{
	uint32_t buckets = 1;

	while (buckets < max)
		buckets *= 2;
	*s = (struct sources){ .mask = buckets - 1,
			       .limit = limit,
			       .key = { key[0], key[1] } };
	s->counts = memory_take(m, (size_t)max + 1, sizeof *s->counts);
	s->buckets = memory_take(m, buckets, sizeof *s->buckets);
}

/*
 * Returns the entry of a source, or 0.  Sets `link` to the chain link that refers to it,
 * or to which a new entry must be appended.
 */
static uint32_t
find(const struct sources *s, const struct source *wanted, uint32_t **link)
{
	*link = &s->buckets[text_hash(s->key, wanted->bytes, wanted->length) & s->mask];
	for (; **link != 0; *link = &s->counts[**link].chain) {
		const struct source *found = &s->counts[**link].source;
		if (found->length == wanted->length &&
		    memcmp(found->bytes, wanted->bytes, found->length) == 0)
			break;
	}
	return **link;
}

bool
source_add(struct sources *s, struct source source, uint32_t *entry)
{
	uint32_t *link;

	*entry = 0;
	if (source.length == 0)
		return true;
	uint32_t found = find(s, &source, &link);
	if (found != 0 && s->counts[found].count >= s->limit)
		return false;
	if (found == 0) {
		found = s->free;
		if (found != 0)
			s->free = s->counts[found].chain;
		else
			found = ++s->ever_used;
		s->counts[found] = (struct source_count){ .source = source };
		*link = found;
	}
	s->counts[found].count++;
	*entry = found;
	return true;
}

void
source_remove(struct sources *s, uint32_t entry)
{
	struct source_count *c = &s->counts[entry];
	uint32_t *link;

	if (entry == 0 || --c->count > 0)
		return;
	find(s, &c->source, &link);
	*link = c->chain;
	c->chain = s->free;
	s->free = entry;
}
