#include "addresses.h"

#include <string.h>

struct address_key
address_key_of(const uint8_t *address, size_t length)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	struct address_key key = { .length = length == 4 ? 4 : 8 };

	if (length == 4 ? address[0] == 127
			: memcmp(address, loopback6, sizeof loopback6) == 0)
		key.length = 0;
	memcpy(key.bytes, address, key.length);
	return key;
}

void
addresses_place(struct addresses *s, struct memory *m, uint32_t max, uint32_t limit,
		const uint32_t key[2])
{
	uint32_t buckets = 1;

	while (buckets < max)
		buckets *= 2;
	*s = (struct addresses){ .mask = buckets - 1,
				 .limit = limit,
				 .key = { key[0], key[1] } };
	s->counts = memory_take(m, (size_t)max + 1, sizeof *s->counts);
	s->buckets = memory_take(m, buckets, sizeof *s->buckets);
}

/*
 * Returns the entry of an address, or 0.  Sets `link` to the chain link that refers to
 * it, or to which a new entry must be appended.
 */
static uint32_t
find(const struct addresses *s, const struct address_key *wanted, uint32_t **link)
{
	*link = &s->buckets[text_hash(s->key, wanted->bytes, wanted->length) & s->mask];
	for (; **link != 0; *link = &s->counts[**link].chain) {
		const struct address_key *found = &s->counts[**link].address;
		if (found->length == wanted->length &&
		    memcmp(found->bytes, wanted->bytes, found->length) == 0)
			break;
	}
	return **link;
}

bool
addresses_add(struct addresses *s, struct address_key address, uint32_t *entry)
{
	uint32_t *link;

	*entry = 0;
	if (address.length == 0)
		return true;
	uint32_t found = find(s, &address, &link);
	if (found != 0 && s->counts[found].count >= s->limit)
		return false;
	if (found == 0) {
		found = s->free;
		if (found != 0)
			s->free = s->counts[found].chain;
		else
			found = ++s->ever_used;
		s->counts[found] = (struct address_count){ .address = address };
		*link = found;
	}
	s->counts[found].count++;
	*entry = found;
	return true;
}

void
addresses_remove(struct addresses *s, uint32_t entry)
{
	struct address_count *c = &s->counts[entry];
	uint32_t *link;

	if (entry == 0 || --c->count > 0)
		return;
	find(s, &c->address, &link);
	*link = c->chain;
	c->chain = s->free;
	s->free = entry;
}
