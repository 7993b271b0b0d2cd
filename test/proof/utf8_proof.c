/*
 * utf8_check is RFC 3629 section 4.
 *
 * safe: all texts of up to BOUND bytes, from each state that a piece before can leave.
 * main: for texts of any length given a byte at a time, by walking through all beginnings
 * of a character; and that a text as a whole, with its words, is judged as its bytes are:
 * texts of up to 27 bytes of ASCII but for any two neighbours, or for any four neighbours
 * of those bytes that stand on either side of a limit.
 */
#include "text.c"
#include "proof.h"

#ifdef __FRAMAC__

void
safe(void)
{
	static const uint8_t lows[] = { 0x80, 0x90, 0xa0 },
			     highs[] = { 0x8f, 0x9f, 0xbf };
	unsigned char room[BOUND];

	for (size_t length = 0; length <= BOUND; length++) {
		unsigned char *text = room + BOUND - length;
		struct utf8 u = { 0 };
		if (Frama_C_nondet(0, 1)) {
			u.more = (uint8_t)Frama_C_interval(1, 3);
			u.low = lows[Frama_C_interval(0, 2)];
			u.high = highs[Frama_C_interval(0, 2)];
		}
		Frama_C_make_unknown((char *)text, length);
		utf8_check(&u, text, length);
		utf8_complete(&u);
	}
}

#else

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

/* The length of the character that begins so, or 0 if none does. */
static size_t
begins(const unsigned char *p, size_t length)
{
	for (size_t c = 0; c < COUNT(characters); c++) {
		size_t i = 0;
		while (i < length && i < characters[c].length &&
		       p[i] >= characters[c].bytes[i].low &&
		       p[i] <= characters[c].bytes[i].high)
			i++;
		if (i == length)
			return characters[c].length;
	}
	return 0;
}

/* All bytes behind these `length`, which begin a character and have led to `state`. */
static unsigned long
walk(unsigned char character[4], size_t length, struct utf8 state)
{
	unsigned long whole = 0;

	for (unsigned c = 0; c < 256; c++) {
		struct utf8 u = state;
		character[length] = (unsigned char)c;
		size_t expected = begins(character, length + 1);
		claim(utf8_check(&u, character + length, 1) == (expected > 0));
		if (expected == 0)
			continue;
		claim(utf8_complete(&u) == (expected == length + 1));
		if (expected > length + 1) {
			whole += walk(character, length + 1, u);
			continue;
		}
		whole++;
		/* One of the two states that main() begins with: so it goes on for ever.
		 */
		claim((u.low == 0 && u.high == 0) || (u.low == 0x80 && u.high == 0xbf));
	}
	return whole;
}

static bool
check_bytes(struct utf8 *u, const unsigned char *p, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!utf8_check(u, p + i, 1))
			return false;
	return true;
}

static unsigned long good, bad;

/* The text at once, and in two pieces around `split`, as its bytes. */
static void
check_whole(const unsigned char *p, size_t length, size_t split)
{
	struct utf8 bytes = { 0 }, whole = { 0 }, pieces = { 0 };
	bool valid = check_bytes(&bytes, p, length);

	claim(utf8_check(&whole, p, length) == valid);
	claim((utf8_check(&pieces, p, split) &&
	       utf8_check(&pieces, p + split, length - split)) == valid);
	if (valid)
		claim(whole.more == bytes.more && pieces.more == bytes.more &&
		      (whole.more == 0 ||
		       (whole.low == bytes.low && whole.high == bytes.high)));
	*(valid ? &good : &bad) += 1;
}

int
main(void)
{
	static const char limits[] =
	    "\x00\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc1\xc2\xdf\xe0"
	    "\xe1\xec\xed\xee\xef\xf0\xf1\xf3\xf4\xf5\xff";
	unsigned char character[4], *end = guarded_end();

	/* Of 0x110000 code points 0x800 are surrogates. */
	claim(walk(character, 0, (struct utf8){ 0 }) == 0x110000 - 0x800);
	claim(walk(character, 0, (struct utf8){ 0, 0x80, 0xbf }) == 0x110000 - 0x800);

	for (size_t length = 2; length <= 27; length++)
		for (size_t at = 0; at + 2 <= length; at++) {
			unsigned char *p = end - length;
			memset(p, 'a', length);
			for (unsigned pair = 0; pair < 65536; pair++) {
				p[at] = (unsigned char)(pair >> 8);
				p[at + 1] = (unsigned char)(pair & 0xff);
				check_whole(p, length, at + 1);
			}
		}
	for (size_t length = 20; length <= 27; length++)
		for (size_t at = 0; at + 4 <= length; at++) {
			uint16_t odometer[32] = { 0 };
			unsigned char *p = end - length;
			memset(p, 'a', length);
			while (next_text(odometer, limits, sizeof limits - 1, 4, p + at))
				check_whole(p, length, at + 1 + at % 3);
		}
	claim(good > 0 && bad > 0);
	printf("any length by bytes; whole texts of up to 27 bytes: %lu valid, %lu not\n",
	       good, bad);
	return 0;
}

#endif
