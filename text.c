#include "text.h"

#include <errno.h>
#include <string.h>

bool
span_is(struct span s, const char *string)
{
	/* Faster than strlen and memcmp, since most names differ in the first byte. */
	for (size_t i = 0; i < s.length; i++)
		if (string[i] == '\0' || s.data[i] != string[i])
			return false;
	return string[s.length] == '\0';
}

bool
span_same(struct span a, struct span b)
{
	return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

char
text_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool
span_is_nocase(struct span s, const char *string)
{
	if (s.length != strlen(string))
		return false;
	for (size_t i = 0; i < s.length; i++)
		if (text_lower(s.data[i]) != text_lower(string[i]))
			return false;
	return true;
}

bool
span_same_nocase(struct span a, struct span b)
{
	if (a.length != b.length)
		return false;
	for (size_t i = 0; i < a.length; i++)
		if (text_lower(a.data[i]) != text_lower(b.data[i]))
			return false;
	return true;
}

void
text_init(struct text *t, void *data, size_t size)
{
	t->data = data;
	t->size = size;
	t->length = 0;
	t->overflow = false;
}

void
text_put(struct text *t, const void *data, size_t length)
{
	if (t->overflow || length > t->size - t->length) {
		t->overflow = true;
		return;
	}
	if (length > 0)
		memcpy(t->data + t->length, data, length);
	t->length += length;
}

void
text_char(struct text *t, char c)
{
	text_put(t, &c, 1);
}

void
text_string(struct text *t, const char *string)
{
	text_put(t, string, strlen(string));
}

void
text_span(struct text *t, struct span s)
{
	text_put(t, s.data, s.length);
}

/*
 * Divides by 10 with 32-bit divisions only.  On 32-bit targets a 64-bit division is a
 * slow library call.
 */
static uint64_t
divide_by_10(uint64_t number)
{
	uint32_t high = (uint32_t)(number >> 32);
	uint32_t middle = high % 10 << 16 | (uint16_t)(number >> 16);
	uint32_t low = middle % 10 << 16 | (uint16_t)number;

	return ((uint64_t)(high / 10) << 32) + (middle / 10 << 16) + low / 10;
}

void
text_number(struct text *t, uint64_t number)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		uint64_t rest = divide_by_10(number);
		digits[--at] = (char)('0' + (number - 10 * rest));
		number = rest;
	} while (number > 0);
	text_put(t, digits + at, sizeof digits - at);
}

void
text_hex(struct text *t, uint32_t number, unsigned digits)
{
	char hex[8];

	for (unsigned i = digits; i-- > 0; number >>= 4)
		hex[i] = "0123456789abcdef"[number & 0xf];
	text_put(t, hex, digits);
}

void
text_padded(struct text *t, uint32_t number, unsigned digits)
{
	char padded[9];

	for (unsigned i = digits; i-- > 0; number /= 10)
		padded[i] = (char)('0' + number % 10);
	text_put(t, padded, digits);
}

static void
put_escaped(struct text *t, struct span s, size_t max, char extra)
{
	const unsigned char *p = (const unsigned char *)s.data;
	size_t shown = s.length < max ? s.length : max;

	for (size_t i = 0; i < shown; i++) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '\\' && p[i] != extra) {
			text_char(t, (char)p[i]);
		} else {
			text_string(t, "\\x");
			text_hex(t, p[i], 2);
		}
	}
	if (shown < s.length)
		text_string(t, "...");
}

void
text_escaped(struct text *t, const void *data, size_t length, size_t max)
{
	put_escaped(t, (struct span){ data, length }, max, '\\');
}

void
text_quoted(struct text *t, struct span s, size_t max)
{
	text_char(t, '"');
	put_escaped(t, s, max, '"');
	text_char(t, '"');
}

size_t
text_public_length(struct span path)
{
	size_t n = 0;

	for (; n < path.length; n++)
		if (path.data[n] == ';' || path.data[n] == '&' || path.data[n] == '=' ||
		    (path.length - n > 2 && memcmp(path.data + n, "%3", 2) == 0 &&
		     text_lower(path.data[n + 2]) == 'f'))
			break;
	return n;
}

void
text_hashed(struct text *t, const uint32_t key[2], struct span secret)
{
	text_char(t, '~');
	text_hex(t, text_hash(key, secret.data, secret.length), 8);
}

static uint32_t
group(const uint8_t *address, unsigned i)
{
	return (uint32_t)address[2 * i] << 8 | address[2 * i + 1];
}

/* Returns the number of consecutive zero groups from group `at` on. */
static unsigned
zero_groups(const uint8_t *address, unsigned at)
{
	unsigned n = 0;

	while (at + n < 8 && group(address, at + n) == 0)
		n++;
	return n;
}

void
text_address(struct text *t, const uint8_t *address, size_t length)
{
	unsigned best = 8, run = 1;

	if (length == 4) {
		for (unsigned i = 0; i < 4; i++) {
			if (i > 0)
				text_char(t, '.');
			text_number(t, address[i]);
		}
		return;
	}
	for (unsigned i = 0; i < 8; i++)
		if (zero_groups(address, i) > run) {
			best = i;
			run = zero_groups(address, i);
		}
	for (unsigned i = 0; i < 8; i++) {
		if (i == best) {
			text_string(t, "::");
			i += run - 1;
			continue;
		}
		if (i > 0 && i != best + run)
			text_char(t, ':');
		unsigned digits = 4;
		while (digits > 1 && group(address, i) >> (4 * (digits - 1)) == 0)
			digits--;
		text_hex(t, group(address, i), digits);
	}
}

void
text_host(struct text *t, const uint8_t *address, size_t length)
{
	text_string(t, length == 16 ? "[" : "");
	text_address(t, address, length);
	text_string(t, length == 16 ? "]" : "");
}

void
text_base64(struct text *t, enum base64 kind, const void *data, size_t length)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_";
	const unsigned char *p = data;
	char group[4];

	for (size_t i = 0; i < length; i += 3) {
		size_t count = length - i < 3 ? length - i : 3;
		uint32_t bits = 0;
		for (size_t j = 0; j < 3; j++)
			bits = bits << 8 | (j < count ? p[i + j] : 0u);
		for (size_t j = 0; j < 4; j++) {
			uint32_t value = bits >> (18 - 6 * j) & 63;
			if (value >= 62 && kind == BASE64URL)
				value += 2;
			group[j] = j <= count ? digits[value] : '=';
		}
		text_put(t, group, kind == BASE64URL ? count + 1 : sizeof group);
	}
}

int
base64_value(char c, enum base64 kind)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (kind == BASE64URL ? '-' : '+'))
		return 62;
	return c == (kind == BASE64URL ? '_' : '/') ? 63 : -1;
}

long
base64_decode(struct span s, enum base64 kind, void *out, size_t size)
{
	unsigned char *bytes = out;
	size_t length = 0, digits = 0, padding = 0;
	uint32_t bits = 0;   /* that are not yet written, and zeros above them */
	unsigned unused = 0; /* number of those bits */

	for (size_t i = 0; i < s.length; i++) {
		if (kind == BASE64 && memchr(" \t\r\n", s.data[i], 4) != NULL)
			continue;
		if (kind == BASE64 && s.data[i] == '=') {
			padding++;
			continue;
		}
		int value = base64_value(s.data[i], kind);
		if (value < 0 || padding > 0)
			return BASE64_INVALID;
		digits++;
		bits = bits << 6 | (uint32_t)value;
		unused += 6;
		if (unused < 8)
			continue;
		if (length == size)
			return BASE64_TOO_LONG;
		unused -= 8;
		bytes[length++] = (unsigned char)(bits >> unused);
		bits &= (1u << unused) - 1;
	}
	bool valid = kind == BASE64 ? (digits + padding) % 4 == 0 && padding <= 2
				    : unused < 6 && bits == 0;
	return valid ? (long)length : BASE64_INVALID;
}

const char *
text_error(int error)
{
	static const struct {
		uint16_t number;
		char text[30];
	} errors[] = {
		{ EPERM, "Operation not permitted" },
		{ ENOENT, "No such file or directory" },
		{ EIO, "Input/output error" },
		{ ENXIO, "No such device or address" },
		{ ENOMEM, "Cannot allocate memory" },
		{ EACCES, "Permission denied" },
		{ EEXIST, "File exists" },
		{ ENODEV, "No such device" },
		{ ENOTDIR, "Not a directory" },
		{ EISDIR, "Is a directory" },
		{ EINVAL, "Invalid argument" },
		{ ENFILE, "Too many open files in system" },
		{ EMFILE, "Too many open files" },
		{ EFBIG, "File too large" },
		{ ENOSPC, "No space left on device" },
		{ EROFS, "Read-only file system" },
		{ ENAMETOOLONG, "File name too long" },
		{ ELOOP, "Symbolic link loop" },
		{ EDQUOT, "Disk quota exceeded" },
		{ ENOBUFS, "No buffer space available" },
		{ EADDRINUSE, "Address already in use" },
		{ EADDRNOTAVAIL, "Address not available" },
		{ EAFNOSUPPORT, "Address family not supported" },
		{ ECONNREFUSED, "Connection refused" },
	};
	static char other[sizeof "error 2147483647"];
	struct text t;

	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (errors[i].number == error)
			return errors[i].text;
	text_init(&t, other, sizeof other);
	text_string(&t, "error ");
	text_number(&t, (uint32_t)error);
	text_char(&t, '\0');
	return other;
}

struct date {
	uint32_t year, month, day; /* month and day from 1 */
};

/*
 * Converts days since 1970 to a proleptic Gregorian date.  Internally a year begins on 1
 * March, so that the leap day is its last day.  The calendar repeats every 400 years.
 */
static struct date
date_of(uint32_t days)
{
	enum { CYCLE = 146097, BEFORE_1970 = 719468 };
	uint32_t since_0000 = days + BEFORE_1970; /* days since 0000-03-01 */
	uint32_t day = since_0000 % CYCLE;
	uint32_t year = (day - day / 1460 + day / 36524 - day / (CYCLE - 1)) / 365;

	day -= 365 * year + year / 4 - year / 100;
	uint32_t month = (5 * day + 2) / 153;
	struct date date = { .day = day - (153 * month + 2) / 5 + 1 };
	date.month = month < 10 ? month + 3 : month - 9;
	date.year = year + since_0000 / CYCLE * 400 + (date.month <= 2);
	return date;
}

/* Converts seconds to days with a 32-bit division: 86400 is 128 * 675. */
static uint32_t
day_of(uint64_t time)
{
	return (uint32_t)(time >> 7) / 675;
}

static void
put_clock(struct text *t, uint64_t time)
{
	uint32_t second = (uint32_t)(time - (uint64_t)day_of(time) * 86400);

	text_padded(t, second / 3600, 2);
	text_char(t, ':');
	text_padded(t, second / 60 % 60, 2);
	text_char(t, ':');
	text_padded(t, second % 60, 2);
}

bool
text_file_error(struct text *t, const char *file, const char *why)
{
	text_string(t, file);
	text_string(t, ": ");
	text_string(t, why);
	return false;
}

void
text_iso_time(struct text *t, uint64_t time)
{
	struct date date = date_of(day_of(time));

	text_padded(t, date.year, 4);
	text_char(t, '-');
	text_padded(t, date.month, 2);
	text_char(t, '-');
	text_padded(t, date.day, 2);
	text_char(t, 'T');
	put_clock(t, time);
}

void
text_http_time(struct text *t, uint64_t time)
{
	/* 1 January 1970 was a Thursday. */
	static const char days[] = "ThuFriSatSunMonTueWed";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint32_t day = day_of(time);
	struct date date = date_of(day);

	text_put(t, days + 3 * (day % 7), 3);
	text_string(t, ", ");
	text_padded(t, date.day, 2);
	text_char(t, ' ');
	text_put(t, months + 3 * (date.month - 1), 3);
	text_char(t, ' ');
	text_padded(t, date.year, 4);
	text_char(t, ' ');
	put_clock(t, time);
	text_string(t, " GMT");
}

bool
text_to_number(struct span s, uint64_t max, uint64_t *number)
{
	uint64_t n = 0;

	if (s.length == 0)
		return false;
	for (size_t i = 0; i < s.length; i++) {
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
		unsigned digit = (unsigned)(s.data[i] - '0');
		if (digit > max || n > divide_by_10(max - digit))
			return false;
		n = n * 10 + digit;
	}
	*number = n;
	return true;
}

/* Returns the number of leading ASCII bytes.  Reads a word at a time. */
static size_t
ascii_run(const unsigned char *p, size_t length)
{
	const size_t high_bits = SIZE_MAX / 0xff * 0x80;
	size_t n = 0, word;

	while (length - n >= sizeof word) {
		memcpy(&word, p + n, sizeof word);
		if (word & high_bits)
			break;
		n += sizeof word;
	}
	while (n < length && p[n] < 0x80)
		n++;
	return n;
}

bool
utf8_check(struct utf8 *u, const void *data, size_t length)
{
	if (length == 0)
		return true;
	const unsigned char *p = data, *end = p + length;

	while (p < end) {
		if (u->missing > 0) {
			if (*p < u->low || *p > u->high)
				return false;
			p++;
			u->missing--;
			u->low = 0x80;
			u->high = 0xbf;
			continue;
		}
		p += ascii_run(p, (size_t)(end - p));
		if (p == end)
			break;
		unsigned c = *p++;
		if (c < 0xc2 || c > 0xf4)
			return false;
		/* Four lead bytes restrict the second byte, to exclude overlong forms
		 * (E0, F0), surrogates (ED) and code points above U+10FFFF (F4). */
		u->missing = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
		u->low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
		u->high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	}
	return true;
}

bool
utf8_complete(const struct utf8 *u)
{
	return u->missing == 0;
}

void
utf8_repair(struct text *t, const char *data, size_t length)
{
	struct utf8 u = { 0 };
	size_t pending = 0; /* bytes of an incomplete character */

	for (size_t i = 0; i < length; i++) {
		if (utf8_check(&u, data + i, 1)) {
			pending++;
			if (utf8_complete(&u)) {
				text_put(t, data + i + 1 - pending, pending);
				pending = 0;
			}
			continue;
		}
		text_string(t, "\xef\xbf\xbd");
		/* A byte that interrupts a character may start the next one: check it
		 * again. */
		i -= pending > 0;
		pending = 0;
		u = (struct utf8){ 0 };
	}
	if (pending > 0)
		text_string(t, "\xef\xbf\xbd");
}

size_t
utf8_cut(const char *data, size_t length, size_t max)
{
	if (length <= max)
		return length;
	while (max > 0 && ((unsigned char)data[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static uint32_t
rotate(uint32_t x, unsigned bits)
{
	return x << bits | x >> (32 - bits);
}

static void
hash_rounds(uint32_t v[4], unsigned rounds)
{
	while (rounds-- > 0) {
		v[0] += v[1];
		v[1] = rotate(v[1], 5) ^ v[0];
		v[0] = rotate(v[0], 16);
		v[2] += v[3];
		v[3] = rotate(v[3], 8) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 7) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 13) ^ v[2];
		v[2] = rotate(v[2], 16);
	}
}

uint32_t
text_hash(const uint32_t key[2], const void *data, size_t length)
{
	const unsigned char *p = data;
	uint32_t v[4] = { key[0], key[1], 0x6c796765 ^ key[0], 0x74656462 ^ key[1] };
	uint32_t last = (uint32_t)length << 24;
	size_t words = length / 4;

	for (size_t i = 0; i < words; i++, p += 4) {
		uint32_t m = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
			     (uint32_t)p[3] << 24;
		v[3] ^= m;
		hash_rounds(v, 2);
		v[0] ^= m;
	}
	for (size_t i = 0; i < length % 4; i++)
		last |= (uint32_t)p[i] << (8 * i);
	v[3] ^= last;
	hash_rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	hash_rounds(v, 4);
	return v[1] ^ v[3];
}
