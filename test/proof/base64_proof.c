/*
 * Base64 (RFC 4648 section 4) as a handshake writes and reads it, and as PEM has it (RFC
 * 7468 section 3: white space anywhere, "=" only where a group of four ends).
 *
 * safe: a Sec-WebSocket-Accept of all digests; keys of up to BOUND bytes.
 * safe_pem: PEM of up to BOUND bytes into all sizes up to that; what has been decoded is
 * shifted out of `bits` by intention.
 * main: all groups of one to three bytes, encoded and decoded, and each pair of
 * bytes somewhere in 2 to 20; PEM of up to 6 of 12 letters and of up to 9 of 4, into any
 * size; keys with any two neighbouring bytes, and of any length up to 40.
 */
#include "ws.c"
#include "cert.c"
#include "proof.h"

#ifdef __FRAMAC__

void
safe(void)
{
	char one[BOUND], other[BOUND], accept[WS_ACCEPT];
	unsigned char digest[20];

	Frama_C_make_unknown((char *)digest, sizeof digest);
	base64(digest, sizeof digest, accept);
	for (size_t length = 0; length <= BOUND; length++)
		valid_key((struct span){ any_bytes(one, other, BOUND, length), length });
}

void
safe_pem(void)
{
	char one[BOUND], other[BOUND];
	unsigned char out[BOUND];

	for (size_t length = 0; length <= BOUND; length++)
		for (size_t size = 0; size <= length; size++) {
			char *data = any_bytes(one, other, BOUND, length);
			decode_base64((struct span){ data, length }, out + BOUND - size,
				      size);
		}
}

#else

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned char *end;

/* Section 4's table of how 24 bits become four digits. */
static void
check_encoded(const unsigned char *in, size_t length)
{
	char out[40], expected[40];
	unsigned char back[30];
	size_t n = 0;

	for (size_t i = 0; i < length; i += 3, n += 4) {
		unsigned a = in[i], b = i + 1 < length ? in[i + 1] : 0,
			 c = i + 2 < length ? in[i + 2] : 0;
		expected[n] = digits[a / 4];
		expected[n + 1] = digits[a % 4 * 16 + b / 16];
		expected[n + 2] = i + 1 < length ? digits[b % 16 * 4 + c / 64] : '=';
		expected[n + 3] = i + 2 < length ? digits[c % 64] : '=';
	}
	base64(in, length, out);
	claim(memcmp(out, expected, n) == 0);
	claim(decode_base64((struct span){ out, n }, back, length) == (long)length);
	claim(memcmp(back, in, length) == 0);
}

static void
check_groups(void)
{
	for (uint32_t bits = 0; bits < 1U << 24; bits++) {
		unsigned char *p = end - 3;
		p[0] = (unsigned char)(bits >> 16);
		p[1] = (unsigned char)(bits >> 8 & 0xff);
		p[2] = (unsigned char)(bits & 0xff);
		check_encoded(p, 3);
		if (bits < 65536)
			check_encoded(p + 1, 2);
		if (bits < 256)
			check_encoded(p + 2, 1);
	}
	for (size_t length = 2; length <= 20; length++)
		for (uint32_t pair = 0; pair < 65536; pair++) {
			unsigned char *p = end - length;
			size_t at = pair % (length - 1);
			memset(p, 0xa5, length);
			p[at] = (unsigned char)(pair >> 8);
			p[at + 1] = (unsigned char)(pair & 0xff);
			check_encoded(p, length);
		}
}

static bool
is_digit(char c)
{
	return c != '\0' && strchr(digits, c) != NULL;
}

/* How many bytes these are, or -1: groups of four digits, the last with up to two "=". */
static long
expect(const char *p, size_t length)
{
	char group[32];
	size_t n = 0, digit = 0;

	for (size_t i = 0; i < length; i++)
		if (p[i] == '\0' || strchr(" \t\r\n", p[i]) == NULL)
			group[n++] = p[i];
	while (digit < n && is_digit(group[digit]))
		digit++;
	size_t padding = n - digit;
	if (n % 4 != 0 || padding > 2)
		return -1;
	for (size_t i = digit; i < n; i++)
		if (group[i] != '=')
			return -1;
	return (long)(n / 4 * 3 - padding);
}

static unsigned long good, bad;

static void
check_decoded(char *text, size_t length)
{
	unsigned char *out = end, place[32];
	long expected = expect(text, length);
	struct span s = { text, length };

	for (size_t size = length; size-- > 0;) {
		long result = decode_base64(s, out - size, size);
		if (expected < 0)
			claim(result < 0);
		else if ((long)size < expected)
			claim(result == BASE64_TOO_LONG);
		else
			claim(result == expected);
	}
	memcpy(place, text, length);
	s.data = (char *)place;
	claim(decode_base64(s, place, length) == (expected < 0 ? BASE64_BAD : expected));
	*(expected < 0 ? &bad : &good) += 1;
	if (expected < 0)
		return;
	decode_base64((struct span){ text, length }, out - length, length);
	claim(memcmp(place, out - length, (size_t)expected) == 0);
}

static void
check_pem(const char *letters, size_t count, size_t most)
{
	char text[32];

	for (size_t length = 1; length <= most; length++) {
		uint16_t odometer[32] = { 0 };
		while (next_text(odometer, letters, count, length, (unsigned char *)text))
			check_decoded(text, length);
	}
}

/* RFC 6455 section 4.2.1: what base64 makes of some 16 bytes. */
static void
check_key(const char *key, size_t length)
{
	unsigned char bytes[32];
	char again[40];
	struct span s = { key, length };

	bool expected = length == 24 && expect(key, length) == 16;
	for (size_t i = 0; i < length; i++)
		expected = expected && (is_digit(key[i]) || key[i] == '=');
	if (expected) {
		decode_base64(s, bytes, sizeof bytes);
		base64(bytes, 16, again);
		expected =
		    memcmp(again, key, 24) == 0; /* no bits but those of the bytes */
	}
	claim(valid_key(s) == expected);
	*(expected ? &good : &bad) += 1;
}

static void
check_keys(void)
{
	static const char example[] = "dGhlIHNhbXBsZSBub25jZQ==AAAAAAAAAAAAAAAA";

	for (size_t length = 0; length <= 40; length++) {
		char *p = (char *)end - length;
		memcpy(p, example, length);
		check_key(p, length);
	}
	for (size_t at = 0; at + 2 <= 24; at++)
		for (uint32_t pair = 0; pair < 65536; pair++) {
			char *p = (char *)end - 24;
			memcpy(p, example, 24);
			p[at] = (char)(pair >> 8);
			p[at + 1] = (char)(pair & 0xff);
			check_key(p, 24);
		}
}

int
main(void)
{
	static const char letters[] = "AQ/+z9= \n-\0\xc3";
	char every[256];

	end = guarded_end();
	for (size_t i = 0; i < sizeof every; i++)
		every[i] = (char)i;
	check_groups();
	check_pem(every, sizeof every, 2);
	check_pem(letters, sizeof letters - 1, 6);
	check_pem("AQ= x", 4, 9);
	claim(good > 0 && bad > 0);
	good = bad = 0;
	check_keys();
	claim(good > 0 && bad > 0);
	printf(
	    "all groups of up to 3 bytes; PEM of up to 6 of 12 letters; all keys but for "
	    "two bytes: %lu good, %lu not\n",
	    good, bad);
	return 0;
}

#endif
