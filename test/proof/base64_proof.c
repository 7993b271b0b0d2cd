/*
 * Base64 (RFC 4648 section 4) of a WebSocket handshake and of PEM (RFC 7468 section 3:
 * white space anywhere, "=" only at the end of a group of four), and base64url (RFC 4648
 * section 5) of JWTs (RFC 7515 section 2: only digits).
 *
 * encode: the Sec-WebSocket-Accept of any digest.
 * key: valid_key accepts a text of up to BOUND bytes exactly if it encodes 16 bytes.
 * decode: any text of up to BOUND bytes, into a buffer of any size up to BOUND.
 * in_place: any such text, into its own memory.
 * decode_url: any such text as base64url, into a buffer of any size up to BOUND.
 * round_trip: the encoder returns any valid base64url text of up to BOUND bytes
 * unchanged.
 */
#include "proof.h"
#include "text.c"
#include "ws.c"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static unsigned
value_in(const char *alphabet, char digit)
{
	unsigned n = 0;

	while (n < 64 && alphabet[n] != digit)
		n++;
	return n;
}

static unsigned
value(char digit)
{
	return value_in(digits, digit);
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
	struct text t;
	text_init(&t, out, sizeof out);
	text_base64(&t, BASE64, in, sizeof in);
	claim(!t.overflow && t.length == sizeof out);
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
	long result =
	    base64_decode((struct span){ p, length }, BASE64, out + BOUND - size, size);
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
	long result = base64_decode((struct span){ text, length }, BASE64, p, length);
	claim(result == n);
	claim(n < 0 || at >= (size_t)n || p[at] == expected[at]);
	reached(n == BOUND / 4 * 3 - 1);
	reached(n > 0 && expected[0] == 0x80);
	reached(n < 0);
}

/* The bytes whose bits are those of all digits, and fewer than six zeros. */
static long
expect_url(const char *p, size_t length, unsigned char bytes[BOUND])
{
	uint32_t bits = 0;

	for (size_t i = 0; i < length; i++) {
		unsigned digit = value_in(url_digits, p[i]);
		if (digit == 64)
			return BASE64_INVALID;
		bits = bits % (1 << 18) * 64 + digit;
		if (i % 4 == 1)
			bytes[i / 4 * 3] = bits / 16 % 256;
		if (i % 4 == 2)
			bytes[i / 4 * 3 + 1] = bits / 4 % 256;
		if (i % 4 == 3)
			bytes[i / 4 * 3 + 2] = bits % 256;
	}
	if (length % 4 == 1 || (length % 4 == 2 && bits % 16 != 0) ||
	    (length % 4 == 3 && bits % 4 != 0))
		return BASE64_INVALID;
	return (long)(length / 4 * 3 + (length % 4 > 0 ? length % 4 - 1 : 0));
}

void
decode_url(void)
{
	char room[BOUND];
	unsigned char out[BOUND], expected[BOUND];
	size_t length, size, at;

	assume(length <= BOUND && size <= BOUND);
	const char *p = room + BOUND - length;
	long result = base64_decode((struct span){ p, length }, BASE64URL,
				    out + BOUND - size, size);
	long n = expect_url(p, length, expected);
	if (n < 0)
		claim(result < 0);
	else if ((long)size < n)
		claim(result == BASE64_TOO_LONG);
	else
		claim(result == n);
	claim(result < 0 || at >= (size_t)result ||
	      out[BOUND - size + at] == expected[at]);
	reached(n == 0 && length == 0);
	reached(n == BOUND / 4 * 3 && p[0] == '_');
	reached(n > 0 && result < 0);
	reached(n < 0 && length == BOUND);
}

void
round_trip(void)
{
	char room[BOUND], again[BOUND];
	unsigned char bytes[BOUND];
	size_t length, at;
	struct text t;

	assume(length <= BOUND && at < length);
	const char *p = room + BOUND - length;
	long n =
	    base64_decode((struct span){ p, length }, BASE64URL, bytes, sizeof bytes);
	assume(n >= 0);
	text_init(&t, again, sizeof again);
	text_base64(&t, BASE64URL, bytes, (size_t)n);
	claim(!t.overflow && t.length == length && again[at] == p[at]);
	reached(length == BOUND && p[0] == '-');
}
