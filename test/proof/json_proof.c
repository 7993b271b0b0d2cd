/*
 * What json.c takes is RFC 8259, and the one comma more that json.h allows.
 *
 * safe: all texts of up to BOUND bytes, read as one value, by members and by elements.
 * safe_words: plain_run, whose words borrow by intention, of all texts of up to BOUND.
 * safe_unescape: json_unescape of all strings of up to BOUND characters, each of them as
 * it is or escaped in either way, to each size and in place.
 * main: all texts of up to 5 of 26 letters, which are most that the grammar names and
 * some that it does not; longer ones, of up to 13, with the letters of one part of it;
 * any two bytes alone, in a string and in an array.  plain_run with any byte anywhere in
 * up to 27, any two neighbours in 21 and any three in 19, among four kinds of others.
 * Each \u escape; each high surrogate with every 17th low one; pairs of those that stand
 * on either side of a limit.
 */
#include "proof.h"

#ifdef __FRAMAC__
#define memcpy	move_bytes
#define memmove move_bytes
#endif
#include "json.c"

#include <limits.h>

#ifdef __FRAMAC__

void
safe(void)
{
	char one[BOUND], other[BOUND];

	for (size_t length = 0; length <= BOUND; length++) {
		struct span key, value;
		struct json j;
		bool end;
		json_init(&j, any_bytes(one, other, BOUND, length), length);
		j.strict = Frama_C_nondet(0, 1);
		if (Frama_C_nondet(0, 1)) {
			json_value(&j, &value);
		} else if (Frama_C_nondet(0, 1)) {
			json_enter(&j, '{');
			while (json_member(&j, &key, &value, &end))
				;
		} else {
			json_enter(&j, '[');
			while (json_element(&j, &value, &end))
				;
		}
		json_finish(&j);
	}
}

/*
 * By the grammar: Eva does not remember what skip_string has seen of bytes that it was
 * not told one by one.
 */
static char *
put_before(char *p, unsigned form)
{
	static const char letters[] = "\"\\/bfnrt", digits[] = "0123456789abcdefABCDEF";

	if (form == 0) {
		*--p = (char)Frama_C_interval(CHAR_MIN, '\\' - 1);
		return p;
	}
	if (form == 1) {
		*--p = (char)Frama_C_interval('\\' + 1, CHAR_MAX);
		return p;
	}
	for (unsigned i = 0; form == 3 && i < 4; i++)
		*--p = digits[Frama_C_interval(0, 21)];
	*--p = form == 3 ? 'u' : letters[Frama_C_interval(0, 7)];
	*--p = '\\';
	return p;
}

void
safe_unescape(void)
{
	char text[6 * BOUND], out[6 * BOUND];

	for (unsigned count = 0, forms = 1; count <= BOUND; count++, forms *= 4)
		for (unsigned form = 0; form < forms; form++) {
			char *p = text + sizeof text;
			for (unsigned i = 0, rest = form; i < count; i++, rest /= 4)
				p = put_before(p, rest % 4);
			size_t length = (size_t)(text + sizeof text - p);
			for (size_t size = 0; size <= length; size++)
				json_unescape((struct span){ p, length },
					      out + sizeof out - size, size,
					      Frama_C_nondet(0, 1));
			json_unescape((struct span){ p, length }, p, length, true);
		}
}

void
safe_words(void)
{
	char one[BOUND], other[BOUND];

	for (size_t length = 0; length <= BOUND; length++) {
		const char *p = any_bytes(one, other, BOUND, length);
		plain_run(p, length, false);
		plain_run(p, length, true);
	}
}

#else

#define LETTERS(literal) (literal), sizeof(literal) - 1

static unsigned char *end;

/*
 * The grammar of RFC 8259, sections 2 to 7, rule by rule.  Each rule takes the place
 * where it begins and returns the one behind it, or NULL; a NUL stands behind the text
 * and is of no rule.
 */
static bool lenient;

static const char *grammar_value(const char *);

static const char *
grammar_space(const char *p)
{
	return p == NULL ? NULL : p + strspn(p, " \t\n\r");
}

static const char *
grammar_digits(const char *p)
{
	size_t digits = strspn(p, "0123456789");

	return digits > 0 ? p + digits : NULL;
}

static const char *
grammar_number(const char *p)
{
	p += *p == '-';
	p = *p == '0' ? p + 1 : grammar_digits(p);
	if (p != NULL && *p == '.')
		p = grammar_digits(p + 1);
	if (p != NULL && (*p == 'e' || *p == 'E'))
		p = grammar_digits(p + 1 + (p[1] == '+' || p[1] == '-'));
	return p;
}

static const char *
grammar_string(const char *p)
{
	if (*p++ != '"')
		return NULL;
	for (; *p != '"'; p++) {
		if ((unsigned char)*p < 0x20)
			return NULL;
		if (*p != '\\')
			continue;
		p++;
		if (*p == 'u' && strspn(p + 1, "0123456789abcdefABCDEF") >= 4)
			p += 4;
		else if (*p == '\0' || strchr("\"\\/bfnrt", *p) == NULL)
			return NULL;
	}
	return p + 1;
}

static const char *
grammar_items(const char *p, char open, char close)
{
	const char *item = grammar_space(p + 1);

	if (*item == close)
		return item + 1;
	for (;;) {
		if (open == '{') {
			item = grammar_space(grammar_string(item));
			if (item == NULL || *item != ':')
				return NULL;
			item = grammar_space(item + 1);
		}
		item = grammar_space(grammar_value(item));
		if (item == NULL)
			return NULL;
		if (*item == close)
			return item + 1;
		if (*item != ',')
			return NULL;
		item = grammar_space(item + 1);
		if (lenient && *item == close)
			return item + 1;
	}
}

static const char *
grammar_value(const char *p)
{
	if (*p == '{')
		return grammar_items(p, '{', '}');
	if (*p == '[')
		return grammar_items(p, '[', ']');
	if (*p == '"')
		return grammar_string(p);
	for (size_t i = 0; i < 3; i++) {
		const char *literal = (const char *[]){ "true", "false", "null" }[i];
		if (strncmp(p, literal, strlen(literal)) == 0)
			return p + strlen(literal);
	}
	return grammar_number(p);
}

static bool
is_json(const unsigned char *text, size_t length, bool with_comma)
{
	char copy[64];

	memcpy(copy, text, length);
	copy[length] = '\0';
	lenient = with_comma;
	return grammar_space(grammar_value(grammar_space(copy))) == copy + length;
}

/* By members or elements to the closing bracket. */
static bool
read_items(struct json *j, char open)
{
	struct span key, value;
	bool closed = false;

	if (!json_enter(j, open))
		return false;
	while (open == '{' ? json_member(j, &key, &value, &closed)
			   : json_element(j, &value, &closed))
		claim(value.length > 0);
	return closed && json_finish(j);
}

static unsigned long good, comma, bad;

static void
check_text(unsigned char *text, size_t length)
{
	unsigned char before[64];
	struct span value;
	struct json j;

	bool valid = is_json(text, length, false);
	bool accepted = valid || is_json(text, length, true);
	memcpy(before, text, length);

	json_init(&j, (char *)text, length);
	j.strict = true;
	claim((json_value(&j, &value) && json_finish(&j)) == valid);
	claim(memcmp(text, before, length) == 0);

	json_init(&j, (char *)text, length);
	claim((json_value(&j, &value) && json_finish(&j)) == accepted);
	claim(accepted == (j.error == JSON_NONE) && j.at <= length);
	*(valid ? &good : accepted ? &comma : &bad) += 1;
	if (valid)
		claim(memcmp(text, before, length) == 0);
	if (accepted && !valid) {
		claim(is_json(text, length, false));
		for (size_t i = 0; i < length; i++)
			claim(text[i] == before[i] ||
			      (before[i] == ',' && text[i] == ' '));
	}
	memcpy(text, before, length);
	char open = accepted ? *value.data : '[';
	if (open != '{' && open != '[')
		return;
	json_init(&j, (char *)text, length);
	claim(read_items(&j, open) == accepted);
	memcpy(text, before, length);
}

/* All texts of up to `most` letters between `before` and `after`. */
static void
check_texts(const char *letters, size_t count, size_t most, const char *before,
	    const char *after)
{
	size_t front = strlen(before), back = strlen(after);

	for (size_t length = 0; length <= most; length++) {
		uint16_t odometer[32] = { 0 };
		unsigned char *p = end - front - length - back;
		memcpy(p, before, front);
		memcpy(p + front + length, after, back);
		while (next_text(odometer, letters, count, length, p + front))
			check_text(p, front + length + back);
	}
}

static void
check_depth(char open, char close)
{
	for (size_t depth = 1; depth <= JSON_DEPTH + 2; depth++) {
		unsigned char *p = end - 2 * depth;
		struct span value;
		struct json j;
		memset(p, open, depth);
		memset(p + depth, close, depth);
		json_init(&j, (char *)p, 2 * depth);
		claim(json_value(&j, &value) == (depth <= JSON_DEPTH));
		claim(depth <= JSON_DEPTH || j.error == JSON_TOO_DEEP);
	}
}

/* The first byte of the wild ones that is not plain; if all are, so is the whole text. */
static size_t
run_of(const unsigned char *p, size_t at, size_t wild, size_t length, bool ascii)
{
	for (size_t n = at; n < at + wild; n++)
		if (p[n] < 0x20 || p[n] == '"' || p[n] == '\\' || (ascii && p[n] >= 0x80))
			return n;
	return length;
}

/* plain_run as its bytes: any `wild` neighbours of a text otherwise of `filler`. */
static void
check_run(size_t length, size_t at, size_t wild, unsigned char filler)
{
	unsigned char *p = end - length;
	bool both = filler < 0x80;

	memset(p, filler, length);
	for (uint32_t bytes = 0; bytes >> 8 * wild == 0; bytes++) {
		for (size_t i = 0; i < wild; i++)
			p[at + i] = (unsigned char)(bytes >> 8 * i & 0xff);
		for (unsigned ascii = 0; ascii <= both; ascii++)
			claim(plain_run((char *)p, length, ascii) ==
			      run_of(p, at, wild, length, ascii));
	}
}

static void
check_runs(void)
{
	for (unsigned i = 0; i < 4; i++) {
		unsigned char filler = (unsigned char)"!~\x80\xff"[i];
		for (size_t length = 1; length <= 27; length++)
			for (size_t at = 0; at < length; at++)
				check_run(length, at, 1, filler);
		for (size_t at = 0; at + 2 <= 21; at++)
			check_run(21, at, 2, filler);
		for (size_t at = 0; at + 3 <= 19; at++)
			check_run(19, at, 3, filler);
	}
}

/* The code point's UTF-8 (RFC 3629 section 3), and of a surrogate what it would be. */
static size_t
put_utf8(uint32_t c, unsigned char out[4])
{
	unsigned char bytes[4][4] = {
		{ c & 0x7f },
		{ 0xc0 | (c >> 6 & 0x1f), 0x80 | (c & 0x3f) },
		{ 0xe0 | (c >> 12 & 0xf), 0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f) },
		{ 0xf0 | (c >> 18 & 7), 0x80 | (c >> 12 & 0x3f), 0x80 | (c >> 6 & 0x3f),
		  0x80 | (c & 0x3f) },
	};
	size_t length = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	memcpy(out, bytes[length - 1], length);
	return length;
}

/* `count` escapes of these UTF-16 code units (section 7), in place and to every size. */
static void
check_escapes(const uint32_t *units, size_t count)
{
	char written[32], out[32];
	unsigned char expected[16];
	size_t length = 0, n = 0;
	bool lone = false;

	for (size_t i = 0; i < count; i++)
		n +=
		    (size_t)sprintf(written + n, i % 2 ? "\\u%04X" : "\\u%04x", units[i]);
	for (size_t i = 0; i < count; i++) {
		uint32_t c = units[i];
		if (c >= 0xd800 && c <= 0xdbff && i + 1 < count &&
		    units[i + 1] >= 0xdc00 && units[i + 1] <= 0xdfff)
			c = 0x10000 + (c - 0xd800) * 0x400 + units[++i] - 0xdc00;
		lone |= c >= 0xd800 && c <= 0xdfff;
		length += put_utf8(c, expected + length);
	}
	char *text = memcpy(end - n, written, n);
	struct span contents = { text, n };
	for (size_t size = 0; size <= n; size++) {
		long result = json_unescape(contents, out, size, true);
		claim(result == (size < length ? JSON_NO_ROOM : (long)length));
		if (result >= 0)
			claim(memcmp(out, expected, length) == 0);
	}
	claim(json_unescape(contents, out, n, false) ==
	      (lone ? JSON_LONE_SURROGATE : (long)length));
	claim(json_unescape(contents, text, n, true) == (long)length);
	claim(memcmp(text, expected, length) == 0);
}

static void
check_unescape(void)
{
	static const uint32_t limits[] = {
		0,	0x7f,	0x80,	0x7ff,	0x800,	0xd7ff,
		0xd800, 0xdbff, 0xdc00, 0xdfff, 0xe000, 0xffff
	};
	uint32_t units[2];

	for (units[0] = 0; units[0] < 0x10000; units[0]++)
		check_escapes(units, 1);
	for (units[0] = 0xd800; units[0] < 0xdc00; units[0]++)
		for (units[1] = 0xdc00; units[1] < 0xe000; units[1] += 0x11)
			check_escapes(units, 2);
	for (size_t i = 0; i < COUNT(limits); i++)
		for (size_t k = 0; k < COUNT(limits); k++) {
			units[0] = limits[i];
			units[1] = limits[k];
			check_escapes(units, 2);
		}
}

/* What is escaped is a string's contents, and is the same again without escapes. */
static void
check_round_trip(unsigned pair)
{
	char data[12] = "abcdefghijk", string[64], back[64];
	struct text t;

	for (size_t at = 0; at + 2 <= sizeof data; at += 5) {
		data[at] = (char)(pair >> 8);
		data[at + 1] = (char)(pair & 0xff);
		text_init(&t, string, sizeof string);
		text_char(&t, '"');
		json_escape(&t, data, sizeof data);
		text_char(&t, '"');
		claim(!t.overflow && is_json((unsigned char *)string, t.length, false));
		struct span contents = json_contents((struct span){ string, t.length });
		claim(json_unescape(contents, back, sizeof back, true) == sizeof data);
		claim(memcmp(back, data, sizeof data) == 0);
	}
}

int
main(void)
{
	char every[256];

	end = guarded_end();
	for (size_t i = 0; i < sizeof every; i++)
		every[i] = (char)i;
	check_texts(every, sizeof every, 2, "", "");
	check_texts(every, sizeof every, 2, "\"", "\"");
	check_texts(every, sizeof every, 2, "[", "]");
	check_texts(LETTERS("{}[],:\"\\ -+01.eutrfalsn\xc3\x1f\n"), 5, "", "");
	check_texts(LETTERS("{}[],:\"0 "), 7, "", "");
	check_texts(LETTERS("0-+1.eE,"), 7, "", "");
	check_texts(LETTERS("0-+1.eE,"), 7, "[", "]");
	check_texts(LETTERS("\"\\u0dDgG/ "), 6, "\"", "\"");
	check_texts(LETTERS("\\u09afAFgG"), 6, "\"\\", "0\"");
	check_texts(LETTERS("\",:{}[] k"), 7, "{\"k\":", "}");
	claim(good > 0 && comma > 0 && bad > 0);
	check_depth('[', ']');
	check_runs();
	check_unescape();
	for (unsigned pair = 0; pair < 65536; pair++)
		check_round_trip(pair);
	printf("texts: %lu valid, %lu but for a comma, %lu not\n", good, comma, bad);
	return 0;
}

#endif
