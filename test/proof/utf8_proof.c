/*
 * utf8_check implements RFC 3629 section 4.
 *
 * ascii: ascii_run counts the ASCII bytes at the front of up to BOUND bytes.
 * pieces: utf8_check accepts what the grammar accepts, and knows how many bytes the last
 * character lacks.  The text has up to BOUND bytes in two pieces of any size, after any
 * number of whole characters.
 */
#include "proof.h"
#include "text.c"

static const struct {
	size_t length;
	struct {
		unsigned char low, high;
	} bytes[4];
} characters[] = {
	{ 1, { { 0x00, 0x7f } } },
	{ 2, { { 0xc2, 0xdf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe1, 0xec }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 3, { { 0xed, 0xed }, { 0x80, 0x9f }, { 0x80, 0xbf } } },
	{ 3, { { 0xee, 0xef }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf0, 0xf0 }, { 0x90, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf1, 0xf3 }, { 0x80, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf4, 0xf4 }, { 0x80, 0x8f }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
};

/*
 * The length of the character that these bytes begin, or 0 if no character does.  All
 * characters with the same first bytes have the same length.
 */
static size_t
begins(const unsigned char *p, size_t length)
{
	for (size_t c = 0; c < COUNT(characters); c++) {
		size_t i = 0;
		while (i < length && i < characters[c].length &&
		       p[i] >= characters[c].bytes[i].low &&
		       p[i] <= characters[c].bytes[i].high)
			i++;
		if (i == length || i == characters[c].length)
			return characters[c].length;
	}
	return 0;
}

/* Accepts characters, the last of which may lack bytes: `more` is how many. */
static bool
expect(const unsigned char *p, size_t length, size_t *more)
{
	size_t at = 0, n;

	while (at < length) {
		n = begins(p + at, length - at);
		if (n == 0)
			return false;
		at += n;
	}
	*more = at - length;
	return true;
}

void
ascii(void)
{
	unsigned char room[BOUND];
	size_t length, at;

	assume(length <= BOUND && at < length);
	const unsigned char *p = room + BOUND - length;
	size_t run = ascii_run(p, length);
	claim(run <= length);
	claim(run == length || p[run] >= 0x80);
	claim(at >= run || p[at] < 0x80);
	reached(run == BOUND);
	reached(run > 0 && run < length);
}

void
pieces(void)
{
	unsigned char room[BOUND];
	size_t length, split, more;
	struct utf8 u;

	assume(length <= BOUND && split <= length && u.missing == 0);
	const unsigned char *p = room + BOUND - length;
	bool valid = expect(p, length, &more);
	claim((utf8_check(&u, p, split) && utf8_check(&u, p + split, length - split)) ==
	      valid);
	claim(!valid || u.missing == more);
	claim(!valid || utf8_complete(&u) == (more == 0));
	reached(valid && more == 0 && length == BOUND && p[0] >= 0xf0);
	reached(valid && more == 3);
	reached(!valid);
}
