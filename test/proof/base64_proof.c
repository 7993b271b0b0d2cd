/*
 * Base64 (RFC 4648 section 4) of a WebSocket handshake and of PEM (RFC 7468 section 3:
 * white space anywhere, "=" only at the end of a group of four).
 *
 * encode: the Sec-WebSocket-Accept of any digest.
 * key: valid_key accepts a text of up to BOUND bytes exactly if it encodes 16 bytes.
 * decode: any text of up to BOUND bytes, into a buffer of any size up to BOUND.
 * in_place: any such text, into its own memory.
 */
#include "proof.h"
#include "text.c"
#include "ws.c"

/* The conversions lose only bits that cert.c has written before. */
#pragma CPROVER check push
#pragma CPROVER check disable "conversion"
#include "cert.c"
#pragma CPROVER check pop

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned
value(char digit)
{
	unsigned n = 0;

	while (n < 64 && digits[n] != digit)
		n++;
	return n;
}

static bool
is_digit(char c)
{
	return value(c) < 64;
}

/* Section 4: 24 bits become four digits. */
void
encode(void)
{
	unsigned char in[20];
	char out[WS_ACCEPT];
	size_t at;

	assume(at < 7);
	base64(in, sizeof in, out);
	unsigned a = in[3 * at], b = in[3 * at + 1], c = at < 6 ? in[3 * at + 2] : 0;
	const char *p = out + 4 * at;
	claim(p[0] == digits[a / 4]);
	claim(p[1] == digits[a % 4 * 16 + b / 16]);
	claim(p[2] == digits[b % 16 * 4 + c / 64]);
	claim(p[3] == (at < 6 ? digits[c % 64] : '='));
	reached(at == 6 && p[0] == '/');
}

/* RFC 6455 section 4.2.1: the encoding of 16 bytes, whose unused bits are zero. */
void
key(void)
{
	char room[BOUND];
	size_t length;

	assume(length <= BOUND);
	char *p = room + BOUND - length;
	bool expected =
	    length == 24 && p[22] == '=' && p[23] == '=' && value(p[21]) % 16 == 0;
	for (size_t i = 0; expected && i < 22; i++)
		expected = is_digit(p[i]);
	bool valid = valid_key((struct span){ p, length });
	claim(valid == expected);
	reached(valid);
	reached(!valid && length == 24 && p[0] == '+');
}

/*
 * Decodes groups of four digits, the last with up to two "=".  Returns how many bytes
 * these are.
 */
static long
expect(const char *p, size_t length, unsigned char bytes[BOUND])
{
	size_t n = 0, padding = 0;
	uint32_t bits = 0;

	for (size_t i = 0; i < length; i++) {
		if (p[i] == ' ' || p[i] == '\t' || p[i] == '\r' || p[i] == '\n')
			continue;
		if (p[i] == '=')
			padding++;
		else if (padding > 0 || !is_digit(p[i]))
			return BASE64_INVALID;
		bits = bits % (1 << 18) * 64 + value(p[i]) % 64;
		n++;
		if (n % 4 == 0) {
			bytes[n / 4 * 3 - 3] = bits / 65536;
			bytes[n / 4 * 3 - 2] = bits / 256 % 256;
			bytes[n / 4 * 3 - 1] = bits % 256;
		}
	}
	if (n % 4 != 0 || padding > 2)
		return BASE64_INVALID;
	return (long)(n / 4 * 3 - padding);
}

void
decode(void)
{
	char room[BOUND];
	unsigned char out[BOUND], expected[BOUND];
	size_t length, size, at;

	assume(length <= BOUND && size <= BOUND);
	const char *p = room + BOUND - length;
	long result = decode_base64((struct span){ p, length }, out + BOUND - size, size);
	long n = expect(p, length, expected);
	if (n < 0)
		claim(result < 0);
	else if ((long)size < n)
		claim(result == BASE64_TOO_LONG);
	else
		claim(result == n);
	claim(result < 0 || at >= (size_t)result ||
	      out[BOUND - size + at] == expected[at]);
	reached(n == 0 && length == BOUND);
	reached(n == BOUND / 4 * 3 - 1);
	reached(n > 0 && result < 0);
	reached(n < 0);
}

void
in_place(void)
{
	unsigned char room[BOUND], expected[BOUND];
	size_t length, at;

	assume(length <= BOUND);
	unsigned char *p = room + BOUND - length;
	const char *text = (const char *)p;
	long n = expect(text, length, expected);
	long result = decode_base64((struct span){ text, length }, p, length);
	claim(result == n);
	claim(n < 0 || at >= (size_t)n || p[at] == expected[at]);
	reached(n == BOUND / 4 * 3 - 1);
	reached(n > 0 && expected[0] == 0x80);
	reached(n < 0);
}
