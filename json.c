#include "json.h"

#include <string.h>
#if defined __SSE2__
#include <emmintrin.h>
#endif

void
json_init(struct json *j, char *text, size_t length)
{
	*j = (struct json){ .text = text, .length = length };
}

static bool
fail(struct json *j, enum json_error error)
{
	if (j->error == JSON_NONE)
		j->error = error;
	return false;
}

/* Returns the next byte.  At the end it is NUL, which no grammar rule accepts. */
static char
peek(const struct json *j)
{
	return j->offset < j->length ? j->text[j->offset] : '\0';
}

static void
skip_space(struct json *j)
{
	while (j->offset < j->length) {
		char c = j->text[j->offset];
		if (c != ' ' && c != '\n' && c != '\r' && c != '\t')
			break;
		j->offset++;
	}
}

static bool
skip_literal(struct json *j, const char *literal)
{
	for (; *literal != '\0'; literal++, j->offset++)
		if (peek(j) != *literal)
			return fail(j, JSON_INVALID);
	return true;
}

static bool
skip_digits(struct json *j)
{
	if (peek(j) < '0' || peek(j) > '9')
		return fail(j, JSON_INVALID);
	while (peek(j) >= '0' && peek(j) <= '9')
		j->offset++;
	return true;
}

static bool
skip_number(struct json *j)
{
	if (peek(j) == '-')
		j->offset++;
	if (peek(j) == '0')
		j->offset++;
	else if (!skip_digits(j))
		return false;
	if (peek(j) == '.') {
		j->offset++;
		if (!skip_digits(j))
			return false;
	}
	if (peek(j) == 'e' || peek(j) == 'E') {
		j->offset++;
		if (peek(j) == '+' || peek(j) == '-')
			j->offset++;
		return skip_digits(j);
	}
	return true;
}

/* Returns the value of a hexadecimal digit, or -1. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

static bool
skip_escape(struct json *j)
{
	j->offset++;
	switch (peek(j)) {
	case '"':
	case '\\':
	case '/':
	case 'b':
	case 'f':
	case 'n':
	case 'r':
	case 't': j->offset++; return true;
	case 'u': j->offset++; break;
	default: return fail(j, JSON_INVALID);
	}
	for (unsigned i = 0; i < 4; i++, j->offset++)
		if (hex_digit(peek(j)) < 0)
			return fail(j, JSON_INVALID);
	return true;
}

/* Returns true for a byte that needs no escape.  With `ascii`, it must be ASCII too. */
static inline bool
is_plain(char c, bool ascii)
{
	unsigned char byte = (unsigned char)c;

	return byte >= 0x20 && c != '"' && c != '\\' && !(ascii && byte >= 0x80);
}

/* This bit flipped, the quotation mark is 0x20, the control characters stay below that,
 * and all other bytes are above. */
enum { QUOTE_FLIP = '"' ^ 0x20 };

/*
 * first_special(): reads STEP bytes, and returns the index of the first one that is not
 * plain; STEP if all are plain.
 */
#if defined __SSE2__
enum { STEP = sizeof(__m128i) };

static inline size_t
first_special(const char *p, bool ascii)
{
	__m128i bytes = _mm_loadu_si128((const __m128i *)p);
	__m128i flipped = _mm_xor_si128(bytes, _mm_set1_epi8(QUOTE_FLIP)),
		highest = _mm_set1_epi8(0x20);
	__m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
	/* The comparison is signed: a byte that is not ASCII counts as negative. */
	__m128i low = ascii ? _mm_cmpgt_epi8(_mm_set1_epi8(0x21), flipped)
			    : _mm_cmpeq_epi8(_mm_max_epu8(flipped, highest), highest);
	int marks = _mm_movemask_epi8(_mm_or_si128(low, backslash));

	return marks != 0 ? (size_t)__builtin_ctz((unsigned)marks) : STEP;
}
#else
enum { STEP = sizeof(size_t) };

/*
 * Subtracting N from each byte of a word marks the ASCII bytes below N with their top
 * bits.  An XOR turns the bytes equal to a character into 0, which is below 1.  Bytes
 * that are not ASCII are then all marked or all unmarked, as `ascii` says.
 *
 * A borrow can mark a more significant byte by mistake, but the least significant mark
 * is always right.  On little-endian machines that is the first byte in memory.
 * Big-endian machines search for the byte.
 */
static inline size_t
first_special(const char *p, bool ascii)
{
	const size_t ones = SIZE_MAX / 0xff;
	size_t word, at = 0;

	memcpy(&word, p, sizeof word);
	size_t special =
	    ((word ^ ones * QUOTE_FLIP) - ones * 0x21) | ((word ^ ones * '\\') - ones);
	special = (ascii ? special | word : special & ~word) & ones * 0x80;
	if (special == 0)
		return STEP;
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return (size_t)__builtin_ctzl(special) / 8;
	while (is_plain(p[at], ascii))
		at++;
	return at;
}
#endif

static inline size_t
plain_run(const char *p, size_t length, bool ascii)
{
	size_t n = 0;

	for (; length - n >= STEP; n += STEP) {
		size_t at = first_special(p + n, ascii);
		if (at < STEP)
			return n + at;
	}
	while (n < length && is_plain(p[n], ascii))
		n++;
	return n;
}

size_t
json_plain(const char *data, size_t length)
{
	return plain_run(data, length, true);
}

/* Returns true if the escapes of CR and LF are next. */
static bool
at_crlf(const struct json *j)
{
	return j->length - j->offset >= 4 &&
	       memcmp(j->text + j->offset, "\\r\\n", 4) == 0;
}

static bool
skip_string(struct json *j)
{
	if (peek(j) != '"')
		return fail(j, JSON_INVALID);
	j->offset++;
	for (;;) {
		j->offset += plain_run(j->text + j->offset, j->length - j->offset, false);
		if (peek(j) == '"') {
			j->offset++;
			return true;
		}
		if (peek(j) != '\\')
			return fail(j, JSON_INVALID);
		/* Escapes often come in a row; each line of SDP ends with \r\n. */
		while (peek(j) == '\\')
			if (at_crlf(j))
				j->offset += 4;
			else if (!skip_escape(j))
				return false;
	}
}

static bool
skip_colon(struct json *j)
{
	skip_space(j);
	if (peek(j) != ':')
		return fail(j, JSON_INVALID);
	j->offset++;
	skip_space(j);
	return true;
}

static bool
skip_scalar(struct json *j)
{
	switch (peek(j)) {
	case '"': return skip_string(j);
	case 't': return skip_literal(j, "true");
	case 'f': return skip_literal(j, "false");
	case 'n': return skip_literal(j, "null");
	default: return skip_number(j);
	}
}

/*
 * Moves to the next item, or past the closing bracket.  Starts after the opening bracket
 * (`first`) or after an item.  Replaces a trailing comma with a space, or rejects it if
 * the reader is strict.
 */
static bool
next_item(struct json *j, char close, bool first, bool *at_end)
{
	size_t comma = 0;

	*at_end = false;
	skip_space(j);
	if (!first && peek(j) == ',') {
		comma = j->offset++;
		skip_space(j);
	}
	if (peek(j) == close) {
		if (comma > 0 && j->strict)
			return fail(j, JSON_INVALID);
		if (comma > 0)
			j->text[comma] = ' ';
		j->offset++;
		*at_end = true;
		return true;
	}
	return first || comma > 0 || fail(j, JSON_INVALID);
}

/* Skips a value.  `objects` has one bit for each nesting level: 1 for an object. */
static bool
skip_value(struct json *j)
{
	uint32_t objects = 0;
	unsigned depth = j->depth;

	for (;;) {
		char c = peek(j);
		bool first = c == '{' || c == '[', at_end = false;
		if (first) {
			if (depth == JSON_DEPTH)
				return fail(j, JSON_TOO_DEEP);
			depth++;
			objects = objects << 1 | (c == '{');
			j->offset++;
		} else if (!skip_scalar(j)) {
			return false;
		}
		while (depth > j->depth) {
			if (!next_item(j, objects & 1 ? '}' : ']', first, &at_end))
				return false;
			if (!at_end)
				break;
			first = false;
			objects >>= 1;
			depth--;
		}
		if (depth == j->depth)
			return true;
		if ((objects & 1) && !(skip_string(j) && skip_colon(j)))
			return false;
	}
}

char
json_kind(struct json *j)
{
	skip_space(j);
	return peek(j);
}

bool
json_value(struct json *j, struct span *value)
{
	if (j->error != JSON_NONE)
		return false;
	skip_space(j);
	size_t start = j->offset;
	if (!skip_value(j))
		return false;
	value->data = j->text + start;
	value->length = j->offset - start;
	return true;
}

bool
json_enter(struct json *j, char open)
{
	if (j->error != JSON_NONE)
		return false;
	skip_space(j);
	if (peek(j) != open)
		return fail(j, JSON_INVALID);
	if (j->depth == JSON_DEPTH)
		return fail(j, JSON_TOO_DEEP);
	j->offset++;
	j->depth++;
	j->first = true;
	return true;
}

static bool
enter_item(struct json *j, char close, bool *at_end)
{
	*at_end = false;
	if (j->error != JSON_NONE || !next_item(j, close, j->first, at_end))
		return false;
	j->first = false;
	if (*at_end)
		j->depth--;
	return !*at_end;
}

bool
json_key(struct json *j, struct span *key, bool *at_end)
{
	if (!enter_item(j, '}', at_end))
		return false;
	size_t start = j->offset;
	if (!skip_string(j))
		return false;
	*key = json_contents((struct span){ j->text + start, j->offset - start });
	return skip_colon(j);
}

bool
json_member(struct json *j, struct span *key, struct span *value, bool *at_end)
{
	return json_key(j, key, at_end) && json_value(j, value);
}

bool
json_element(struct json *j, struct span *value, bool *at_end)
{
	return enter_item(j, ']', at_end) && json_value(j, value);
}

bool
json_finish(struct json *j)
{
	if (j->error != JSON_NONE)
		return false;
	skip_space(j);
	return j->offset == j->length || fail(j, JSON_INVALID);
}

struct span
json_contents(struct span string)
{
	return (struct span){ string.data + 1, string.length - 2 };
}

/* Returns the UTF-16 code unit that the four digits of a \u escape encode. */
static uint32_t
code_unit(const char *digits)
{
	uint32_t unit = 0;

	for (unsigned i = 0; i < 4; i++)
		unit = unit << 4 | (uint32_t)hex_digit(digits[i]);
	return unit;
}

/* Returns the character that a two-character escape stands for. */
static char
unescaped(char letter)
{
	switch (letter) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return letter;
	}
}

/*
 * Decodes a \u escape, or two that form a surrogate pair.  `p` points to the first u.
 * Returns the code point; sets `used` to the number of bytes from that u on.
 */
static uint32_t
read_escape(const char *p, size_t length, size_t *used)
{
	uint32_t unit = code_unit(p + 1);

	*used = 5;
	if (unit >> 10 == 0xd800 >> 10 && length >= 11 && p[5] == '\\' && p[6] == 'u') {
		uint32_t low = code_unit(p + 7);
		if (low >> 10 == 0xdc00 >> 10) {
			*used = 11;
			return 0x10000 + ((unit & 0x3ff) << 10 | (low & 0x3ff));
		}
	}
	return unit;
}

/* Encodes a code point as UTF-8.  Returns the number of bytes. */
static size_t
encode(uint32_t c, char out[4])
{
	static const uint8_t leads[5] = { 0, 0x00, 0xc0, 0xe0, 0xf0 };
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(leads[n] | c);
	return n;
}

long
json_unescape(struct span contents, char *out, size_t size, bool keep_lone)
{
	const char *p = contents.data, *end = p + contents.length;
	size_t length = 0, used;
	char bytes[4];

	while (p < end) {
		if (*p != '\\') {
			const char *backslash = memchr(p, '\\', (size_t)(end - p));
			size_t plain =
			    (size_t)((backslash != NULL ? backslash : end) - p);
			if (plain > size - length)
				return JSON_NO_SPACE;
			memmove(out + length, p, plain);
			length += plain;
			p += plain;
			continue;
		}
		p++;
		if (*p != 'u') {
			if (length == size)
				return JSON_NO_SPACE;
			out[length++] = unescaped(*p++);
			continue;
		}
		uint32_t c = read_escape(p, (size_t)(end - p), &used);
		p += used;
		if (c >= 0xd800 && c <= 0xdfff && !keep_lone)
			return JSON_LONE_SURROGATE;
		size_t n = encode(c, bytes);
		if (n > size - length)
			return JSON_NO_SPACE;
		memcpy(out + length, bytes, n);
		length += n;
	}
	return (long)length;
}

bool
json_equal(struct span contents, const char *name)
{
	char plain[32];

	if (span_is(contents, name))
		return true;
	if (memchr(contents.data, '\\', contents.length) == NULL)
		return false;
	long length = json_unescape(contents, plain, sizeof plain, false);
	return length >= 0 && span_is((struct span){ plain, (size_t)length }, name);
}

char *
json_terminate(struct span value)
{
	if (*value.data != '"')
		return NULL;
	struct span contents = json_contents(value);
	char *string = (char *)contents.data;
	long length = json_unescape(contents, string, contents.length, false);
	if (length < 0)
		return NULL;
	for (long i = 0; i < length; i++)
		if ((unsigned char)string[i] < 0x20)
			return NULL;
	string[length] = '\0';
	return string;
}

char
json_letter(char c)
{
	switch (c) {
	case '"':
	case '\\': return c;
	case '\b': return 'b';
	case '\f': return 'f';
	case '\n': return 'n';
	case '\r': return 'r';
	case '\t': return 't';
	default: return '\0';
	}
}

void
json_escape(struct text *t, const char *data, size_t length)
{
	while (length > 0) {
		size_t plain = plain_run(data, length, false);
		text_put(t, data, plain);
		data += plain;
		length -= plain;
		if (length == 0)
			break;
		char letter = json_letter(*data);
		text_char(t, '\\');
		if (letter != '\0') {
			text_char(t, letter);
		} else {
			text_char(t, 'u');
			text_hex(t, (unsigned char)*data, 4);
		}
		data++;
		length--;
	}
}
