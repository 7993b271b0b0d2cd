/*
 * ws_header is RFC 6455 section 5.2, ws_unmask section 5.3.
 *
 * safe: all headers of up to BOUND bytes; unmasking up to BOUND bytes at all offsets
 * modulo 4.
 * main: all first two bytes, cut anywhere, with all 16-bit lengths and those 64-bit ones
 * that stand on either side of a power of two; up to 34 bytes unmasked with all values of
 * a mask's byte and of a payload's, at all offsets modulo 8, in two pieces anywhere.
 */
#include "ws.c"
#include "proof.h"

#ifdef __FRAMAC__

void
safe(void)
{
	unsigned char room[BOUND], mask[4];
	struct ws_frame f;

	Frama_C_make_unknown((char *)mask, sizeof mask);
	for (size_t length = 0; length <= BOUND; length++) {
		unsigned char *data = room + BOUND - length;
		Frama_C_make_unknown((char *)data, length);
		ws_header(data, length, &f);
		for (size_t offset = 0; offset < 4; offset++)
			ws_unmask(data, length, mask, offset);
	}
}

#else

static unsigned char *end;

/* What section 5.2 says of these bytes, `length` of them at `p`. */
static int
expect(const unsigned char *p, size_t length, struct ws_frame *f)
{
	static const bool known[16] = {
		[0] = true, [1] = true, [2] = true, [8] = true, [9] = true, [10] = true
	};
	uint64_t value = 0;

	if (length == 0)
		return WS_MORE;
	bool control = p[0] & 0x08;
	if (p[0] & 0x70 || !known[p[0] & 0x0f] || (control && p[0] < 0x80))
		return WS_BAD;
	if (length == 1)
		return WS_MORE;
	if (p[1] < 0x80 || (control && p[1] > 0x80 + 125))
		return WS_BAD;
	size_t head = p[1] == 0xfe ? 4 : p[1] == 0xff ? 10 : 2;
	if (length < head)
		return WS_MORE;
	if (head == 2)
		value = p[1] - 0x80U;
	for (size_t i = 2; i < head; i++)
		value = 256 * value + p[i];
	uint64_t least = head == 4 ? 126 : head == 10 ? 65536 : 0;
	if (value < least || value >= UINT64_C(1) << 63)
		return WS_BAD;
	if (length < head + 4)
		return WS_MORE;
	f->fin = p[0] >= 0x80;
	f->opcode = (enum ws_opcode)(p[0] & 0x0f);
	f->length = value;
	memcpy(f->mask, p + head, 4);
	return (int)head + 4;
}

static unsigned long good, bad, more;

/* A header and a byte behind it, cut anywhere. */
static void
check_header(const unsigned char header[15])
{
	for (size_t length = 0; length <= 15; length++) {
		struct ws_frame seen, expected;
		unsigned char *p = end - length;
		memcpy(p, header, length);
		int result = expect(p, length, &expected);
		claim(ws_header(p, length, &seen) == result);
		if (result > 0)
			claim(seen.fin == expected.fin &&
			      seen.opcode == expected.opcode &&
			      seen.length == expected.length &&
			      memcmp(seen.mask, expected.mask, 4) == 0);
		*(result > 0 ? &good : result == WS_BAD ? &bad : &more) += 1;
	}
}

static void
put_length(unsigned char *p, size_t size, uint64_t length)
{
	while (size-- > 0) {
		p[size] = (unsigned char)(length & 0xff);
		length >>= 8;
	}
}

static void
check_headers(void)
{
	unsigned char header[15] = "..........MASK";

	for (unsigned first = 0; first < 65536; first++) {
		unsigned bits = (first & 0x7f) == 127 ? 64 : 1;
		put_length(header, 2, first);
		for (unsigned i = 0; i < 2 * bits; i++) {
			put_length(header + 2, 8, (UINT64_C(1) << i / 2) - i % 2);
			check_header(header);
		}
	}
	for (unsigned opcode = 0; opcode < 16; opcode++)
		for (unsigned length = 0; length < 65536; length++) {
			header[0] = (unsigned char)(0x80 | opcode);
			header[1] = 0xfe;
			put_length(header + 2, 2, length);
			check_header(header);
			header[1] = 0xff;
			put_length(header + 2, 8, length);
			check_header(header);
		}
	claim(good > 0 && bad > 0 && more > 0);
}

/* A server's header is a client's but for the mask. */
static void
check_encoded(enum ws_opcode opcode, size_t length)
{
	unsigned char header[WS_HEADER];
	struct ws_frame f;
	size_t n = ws_encode_header(header, opcode, length);

	claim(n <= WS_SERVER_HEADER && (header[1] & 0x80) == 0);
	header[1] |= 0x80;
	memset(header + n, 0, 4);
	claim(ws_header(header, n + 4, &f) == (int)n + 4);
	claim(f.fin && f.opcode == opcode && f.length == length);
}

static void
check_unmask(size_t length, size_t offset, unsigned seed)
{
	unsigned char mask[4], before[64], *p = end - length;
	size_t split = seed % (length + 1);

	for (size_t i = 0; i < 4; i++)
		mask[i] = (unsigned char)((seed >> 8) + 85 * i);
	for (size_t i = 0; i < length; i++)
		before[i] = (unsigned char)(seed + 37 * i);
	memcpy(p, before, length);
	ws_unmask(p, length, mask, offset);
	for (size_t i = 0; i < length; i++)
		claim(p[i] == (before[i] ^ mask[(offset + i) % 4]));
	ws_unmask(p, split, mask, offset);
	ws_unmask(p + split, length - split, mask, offset + split);
	claim(memcmp(p, before, length) == 0);
}

/* Section 7.4, and the registry that it opens (1012 to 1014). */
static bool
may_send(unsigned code)
{
	switch (code) {
	case 1000:
	case 1001:
	case 1002:
	case 1003:
	case 1007:
	case 1008:
	case 1009:
	case 1010:
	case 1011:
	case 1012:
	case 1013:
	case 1014: return true;
	}
	return code >= 3000 && code < 5000;
}

int
main(void)
{
	end = guarded_end();
	check_headers();
	for (size_t length = 0; length <= 70000; length++)
		check_encoded(WS_TEXT, length);
	for (size_t length = 65536; length < SIZE_MAX / 4; length *= 2)
		check_encoded(WS_BINARY, length), check_encoded(WS_BINARY, length - 1);
	for (size_t length = 0; length <= 34; length++)
		for (size_t offset = 0; offset < 8; offset++)
			for (unsigned seed = 0; seed < 65536; seed++)
				check_unmask(length, offset, seed);
	for (unsigned code = 0; code < 65536; code++)
		claim(ws_valid_code(code) == may_send(code));
	printf("headers: %lu good, %lu bad, %lu cut short; up to 34 bytes unmasked\n",
	       good, bad, more);
	return 0;
}

#endif
