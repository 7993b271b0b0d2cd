/*
 * json.c accepts RFC 8259, and the extra comma that json.h allows.
 *
 * For CBMC, with any up to BOUND bytes:
 *
 * runs: plain_run finds the first byte that is not plain.  It reads words, without SSE2.
 * Its words borrow by intention: with BORROWS unsigned overflow is not checked.
 *
 * strings, numbers: what skip_string and skip_number accept, and that they stop at the
 * first invalid byte.
 *
 * texts: what json_value and json_finish accept, at any depth, strict or not; the error,
 * its place, and the commas that are blanked.
 *
 * items: json_enter, json_key, and json_element before its value, from any place, at any
 * depth, first or not.  They and the key stay within the bytes.
 *
 * unescape: json_unescape of up to BOUND pieces: a plain byte, a letter's escape or any
 * \u.  Into a buffer of any size and in place, with lone surrogates kept or not.
 *
 * escape: json_escape writes the contents of a string, and json_unescape reverses it.
 * text_hex counts down past zero by intention, as in `runs`.
 *
 * main: all texts of up to 5 of 26 letters, which include most of the grammar's, also
 * read by members and by elements; texts of up to 13 of the letters of one part of the
 * grammar. plain_run, with any byte anywhere in up to 27 bytes, any two neighbours in 21
 * and any three in 19, among four kinds of other bytes.  Any two bytes among 12, escaped
 * and unescaped.
 */
#include "proof.h"

#ifdef BORROWS
#pragma CPROVER check push
#pragma CPROVER check disable "unsigned-overflow"
#endif
#include "text.c"

/*
 * With OUTCOMES, calls of skip_string and skip_number go to string_outcome and
 * number_outcome, which have the results that `strings` and `numbers` prove.  This is
 * simpler for the prover.  The definitions in json.c get other names.
 */
#ifdef OUTCOMES
#define skip_string(j)	   skip_string_##j)
#define skip_string_struct skip_string_itself(struct
#define skip_string_j	   string_outcome(j
#define skip_number(j)	   skip_number_##j)
#define skip_number_struct skip_number_itself(struct
#define skip_number_j	   number_outcome(j
#include "json.h"
static bool string_outcome(struct json *);
static bool number_outcome(struct json *);
#endif
#include "json.c"
#ifdef BORROWS
#pragma CPROVER check pop
#endif

/*
 * RFC 8259, sections 2 to 7, as a machine that reads byte by byte.  A bracket may close
 * where one has just been opened; or after an extra comma, if that is allowed, which is
 * then blanked.
 */
struct machine {
	enum {
		BAD,
		TOO_DEEP,
		VALUE, /* white space and a value, or the closing bracket if it may_close
			*/
		KEY,   /* white space and a member's name, or the same */
		COLON,
		AFTER_VALUE,
		STRING,
		ESCAPE,
		HEX,
		LITERAL,
		MINUS,
		ZERO,
		INTEGER,
		POINT,
		FRACTION,
		E,
		SIGN,
		EXPONENT,
	} state;
	bool with_comma; /* set by the caller: an extra comma is allowed */
	bool may_close;
	bool is_key;	      /* the string is a member's name */
	unsigned digits;      /* missing digits of a \u */
	unsigned literal;     /* offset of the next letter in `literals` */
	unsigned depth, most; /* open brackets, and their limit */
	uint32_t objects;     /* a bit for each depth: an object, not an array */
	uint32_t comma; /* the bit of the last comma's place, if it may be blanked */
	uint32_t blank;
};

static const char literals[] = "true,false,null,";

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* int, frac and exp; BAD where the number does not go on. */
static int
in_number(int state, char c)
{
	bool digit = is_digit(c), e = c == 'e' || c == 'E';

	switch (state) {
	case MINUS: return c == '0' ? ZERO : digit ? INTEGER : BAD;
	case ZERO: return c == '.' ? POINT : e ? E : BAD;
	case INTEGER: return digit ? INTEGER : c == '.' ? POINT : e ? E : BAD;
	case POINT: return digit ? FRACTION : BAD;
	case FRACTION: return digit ? FRACTION : e ? E : BAD;
	case E: return c == '+' || c == '-' ? SIGN : digit ? EXPONENT : BAD;
	default: return digit ? EXPONENT : BAD;
	}
}

static bool
is_number(int state)
{
	return state == ZERO || state == INTEGER || state == FRACTION ||
	       state == EXPONENT;
}

static int
in_string(struct machine *m, char c)
{
	switch (m->state) {
	case STRING:
		if (c == '"')
			return m->is_key ? COLON : AFTER_VALUE;
		return c == '\\' ? ESCAPE : (c & 0xff) < 0x20 ? BAD : STRING;
	case ESCAPE:
		m->digits = 4;
		return c == 'u' ? HEX
		       : c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' ||
			       c == 'n' || c == 'r' || c == 't'
			   ? STRING
			   : BAD;
	default: return !is_hex(c) ? BAD : --m->digits > 0 ? HEX : STRING;
	}
}

static int
open_bracket(struct machine *m, char c)
{
	if (m->depth == m->most)
		return TOO_DEEP;
	m->depth++;
	m->objects = m->objects << 1 | (c == '{');
	m->may_close = true;
	m->comma = 0;
	return c == '{' ? KEY : VALUE;
}

static int
begin_value(struct machine *m, char c)
{
	m->is_key = false;
	switch (c) {
	case '{':
	case '[': return open_bracket(m, c);
	case '"': return STRING;
	case '-': return MINUS;
	case '0': return ZERO;
	case 't': m->literal = 1; return LITERAL;
	case 'f': m->literal = 6; return LITERAL;
	case 'n': m->literal = 12; return LITERAL;
	default: return is_digit(c) ? INTEGER : BAD;
	}
}

static int
close_bracket(struct machine *m)
{
	m->depth--;
	m->objects >>= 1;
	m->blank |= m->comma;
	return AFTER_VALUE;
}

static int
next_state(struct machine *m, size_t place, char c)
{
	bool object = m->objects & 1, closes = m->depth > 0 && c == (object ? '}' : ']');

	switch (m->state) {
	case BAD:
	case TOO_DEEP: return m->state;
	case STRING:
	case ESCAPE:
	case HEX: return in_string(m, c);
	case LITERAL:
		if (c != literals[m->literal])
			return BAD;
		return literals[++m->literal] == ',' ? AFTER_VALUE : LITERAL;
	case VALUE:
		if (is_space(c))
			return VALUE;
		return m->may_close && closes ? close_bracket(m) : begin_value(m, c);
	case KEY:
		if (is_space(c))
			return KEY;
		m->is_key = true;
		return m->may_close && closes ? close_bracket(m)
		       : c == '"'	      ? STRING
					      : BAD;
	case COLON:
		m->may_close = false;
		return is_space(c) ? COLON : c == ':' ? VALUE : BAD;
	case AFTER_VALUE: break;
	default: {
		int state = in_number(m->state, c);
		if (state != BAD || !is_number(m->state))
			return state;
	}
	}
	m->comma = 0;
	if (is_space(c))
		return AFTER_VALUE;
	if (closes)
		return close_bracket(m);
	if (c != ',' || m->depth == 0)
		return BAD;
	m->may_close = m->with_comma;
	m->comma = (uint32_t)1 << place;
	return object ? KEY : VALUE;
}

/* Reads up to 32 bytes as one value and white space on both sides, as far as it goes. */
static size_t
run_machine(struct machine *m, const char *p, size_t length)
{
	size_t at = 0;

	for (size_t i = 0; i < length && m->state > TOO_DEEP; i++) {
		m->state = next_state(m, i, p[i]);
		at += m->state > TOO_DEEP;
	}
	if (m->state > TOO_DEEP &&
	    (m->depth > 0 || (m->state != AFTER_VALUE && !is_number(m->state))))
		m->state = BAD;
	return at;
}

#ifdef __CPROVER__

/* Where in a string that is wanted there is the first byte that is not plain. */
void
runs(void)
{
	char room[BOUND];
	size_t length, at;
	bool ascii;

	assume(length <= BOUND && at < length);
	const char *p = room + BOUND - length;
	size_t run = plain_run(p, length, ascii);
	claim(run <= length);
	int c = p[run < length ? run : at] & 0xff, before = p[at] & 0xff;
	claim(run == length || c < 0x20 || c == '"' || c == '\\' || (ascii && c >= 0x80));
	claim(at >= run || (before >= 0x20 && before != '"' && before != '\\' &&
			    !(ascii && before >= 0x80)));
	reached(run == BOUND && !ascii && (p[at] & 0xff) == 0xff);
	reached(run == BOUND && ascii);
	reached(run == BOUND - 1 && !ascii);
}

static bool
string_outcome(struct json *j)
{
	struct machine m = { .state = VALUE };

	for (size_t i = 0; i < j->length; i++) {
		if (i != j->offset || m.state == BAD || m.state == AFTER_VALUE)
			continue;
		m.state = m.state == VALUE ? j->text[i] == '"' ? STRING : BAD
					   : in_string(&m, j->text[i]);
		j->offset += m.state != BAD;
	}
	return m.state == AFTER_VALUE || fail(j, JSON_INVALID);
}

static bool
number_outcome(struct json *j)
{
	int state = VALUE, next;

	for (size_t i = 0; i < j->length; i++) {
		if (i != j->offset)
			continue;
		char c = j->text[i];
		next = state != VALUE ? in_number(state, c)
		       : c == '-'     ? MINUS
		       : c == '0'     ? ZERO
		       : is_digit(c)  ? INTEGER
				      : BAD;
		if (next != BAD) {
			state = next;
			j->offset++;
		}
	}
	return is_number(state) || fail(j, JSON_INVALID);
}

static void
check_token(char *text, size_t length, bool (*skip)(struct json *),
	    bool (*outcome)(struct json *))
{
	struct json j, expected;

	json_init(&j, text, length);
	expected = j;
	bool good = skip(&j);
	claim(good == outcome(&expected));
	claim(j.offset == expected.offset && j.error == expected.error);
	claim(j.offset <= length);
	reached(good && j.offset == BOUND);
	reached(!good && j.offset == BOUND);
}

#ifndef OUTCOMES
/* Each length by itself, here and below, which is less for the prover to follow. */
static void
check_tokens(bool (*skip)(struct json *), bool (*outcome)(struct json *))
{
	char room[BOUND];
	size_t length;

	for (size_t n = 0; n <= BOUND; n++)
		if (n == length)
			check_token(room + BOUND - n, n, skip, outcome);
}

void
strings(void)
{
	check_tokens(skip_string, string_outcome);
}

void
numbers(void)
{
	check_tokens(skip_number, number_outcome);
}
#endif

static void
check_text(char *text, size_t length, unsigned depth, bool strict)
{
	struct machine m = { .state = VALUE,
			     .most = JSON_DEPTH - depth,
			     .with_comma = !strict };
	char before[BOUND];
	struct span value;
	struct json j;
	size_t i;

	memcpy(before, text, length);
	size_t at = run_machine(&m, text, length);
	json_init(&j, text, length);
	j.depth = depth;
	j.strict = strict;
	bool good = json_value(&j, &value) && json_finish(&j);
	claim(good == (m.state > TOO_DEEP));
	claim(j.error == (good		   ? JSON_NONE
			  : m.state == BAD ? JSON_INVALID
					   : JSON_TOO_DEEP));
	claim(j.offset == at);
	assume(i < length);
	claim(!good || text[i] == (m.blank >> i & 1 ? ' ' : before[i]));
	claim(!good || (value.data >= text && value.length > 0 &&
			value.length <= j.offset - (size_t)(value.data - text)));
	reached(good && length == BOUND && *value.data == '{');
	reached(good && m.blank != 0);
	reached(m.state == TOO_DEEP);
}

void
texts(void)
{
	char room[BOUND];
	size_t length;
	unsigned depth;
	bool strict;

	assume(depth <= JSON_DEPTH);
	for (size_t n = 0; n <= BOUND; n++)
		if (n == length)
			check_text(room + BOUND - n, n, depth, strict);
}

#ifndef OUTCOMES
void
items(void)
{
	char room[BOUND];
	struct span key = { NULL, 0 };
	struct json j;
	bool end = false, good;
	enum { ENTER, KEY_OF_MEMBER, ITEM } call;
	char open;

	assume(j.length <= BOUND && j.offset <= j.length && j.depth <= JSON_DEPTH);
	assume(j.error == JSON_NONE && (call == ENTER || (j.depth > 0 && j.offset > 0)));
	assume(open == '{' || open == '[');
	j.text = room + BOUND - j.length;
	const struct json before = j;
	switch (call) {
	case ENTER: good = json_enter(&j, open); break;
	case KEY_OF_MEMBER: good = json_key(&j, &key, &end); break;
	default: good = enter_item(&j, ']', &end);
	}
	claim(j.offset >= before.offset && j.offset <= j.length &&
	      j.length == before.length);
	claim(j.depth == before.depth + (call == ENTER && good) - end);
	claim(good ? !end && j.error == JSON_NONE : end == (j.error == JSON_NONE));
	if (good && call == KEY_OF_MEMBER)
		claim(key.data > j.text &&
		      key.length < (size_t)(j.text + j.offset - key.data) &&
		      key.data[-1] == '"' && key.data[key.length] == '"');
	reached(call == ENTER && good);
	reached(call == KEY_OF_MEMBER && good && key.length > 0 && !before.first);
	reached(call == KEY_OF_MEMBER && end && !before.first);
	reached(call == ITEM && good);
}
#endif

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

/* A piece of a string's contents: a byte for itself, or an escape of either kind. */
static size_t
put_piece(char *p, unsigned kind, uint32_t *unit)
{
	static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	static const char lower[] = "0123456789abcdef", upper[] = "0123456789ABCDEF";
	uint16_t any;
	bool capitals;
	char c;

	if (kind == 0) {
		assume((c & 0xff) >= 0x20 && c != '"' && c != '\\');
		p[0] = c;
		*unit = c & 0xff;
		return 1;
	}
	p[0] = '\\';
	if (kind == 1) {
		assume(any < sizeof letters - 1);
		p[1] = letters[any];
		*unit = (uint32_t)means[any];
		return 2;
	}
	p[1] = 'u';
	for (unsigned i = 0; i < 4; i++)
		p[2 + i] = (capitals ? upper : lower)[any >> (12 - 4 * i) & 0xf];
	*unit = any;
	return 6;
}

static void
check_pieces(unsigned count, unsigned kinds, bool in_place)
{
	char text[6 * BOUND], out[6 * BOUND];
	unsigned char expected[4 * BOUND];
	uint32_t unit, high = 0;
	size_t n = 0, length = 0, lone = 0, size, at;
	bool keep_lone;

	for (unsigned i = 0; i < count; i++, kinds /= 3) {
		n += put_piece(text + n, kinds % 3, &unit);
		if (kinds % 3 == 0) {
			expected[length++] = (unsigned char)unit;
		} else if (high != 0 && unit >> 10 == 0xdc00 >> 10) {
			length +=
			    put_utf8(0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ff)),
				     expected + length - 3) -
			    3;
			lone--;
			high = 0;
			continue;
		} else {
			length += put_utf8(unit, expected + length);
			lone += unit >> 11 == 0xd800 >> 11;
		}
		high = kinds % 3 == 2 && unit >> 10 == 0xd800 >> 10 ? unit : 0;
	}
	assume(size <= n);
	struct span contents = { text, n };
	char *to = in_place ? text : out;
	long result = json_unescape(contents, to, size, keep_lone);
	claim((result >= 0) == (length <= size && (keep_lone || lone == 0)));
	claim(result != JSON_NO_SPACE || length > size);
	claim(result != JSON_LONE_SURROGATE || (lone > 0 && !keep_lone));
	claim(result < 0 || (size_t)result == length);
	assume(at < length);
	claim(result < 0 || (to[at] & 0xff) == expected[at]);
	reached(result == 3 * BOUND && in_place);
	reached(result == 4 && n == 12);
	reached(result == JSON_NO_SPACE);
	reached(result == JSON_LONE_SURROGATE);
}

void
unescape(void)
{
	unsigned count, kinds;
	bool in_place;

	for (unsigned c = 0, most = 1; c <= BOUND; c++, most *= 3)
		for (unsigned k = 0; k < most; k++)
			if (c == count && k == kinds && in_place)
				check_pieces(c, k, true);
			else if (c == count && k == kinds)
				check_pieces(c, k, false);
}

static void
check_escaped(const char *data, size_t length)
{
	char string[6 * BOUND], back[BOUND];
	struct machine m = { .state = STRING };
	struct text t;
	size_t at;

	text_init(&t, string, sizeof string);
	json_escape(&t, data, length);
	claim(!t.overflow);
	for (size_t i = 0; i < t.length; i++)
		m.state = in_string(&m, string[i]);
	claim(m.state == STRING);
	claim(json_unescape((struct span){ string, t.length }, back, length, false) ==
	      (long)length);
	assume(at < length);
	claim(back[at] == data[at]);
	reached(t.length == sizeof string);
	reached(t.length == BOUND);
}

void
escape(void)
{
	char room[BOUND];
	size_t length;

	for (size_t n = 0; n <= BOUND; n++)
		if (n == length)
			check_escaped(room + BOUND - n, n);
}

#else

#define LETTERS(literal) (literal), sizeof(literal) - 1

static unsigned char *end;

static bool
is_json(const unsigned char *text, size_t length, bool with_comma)
{
	struct machine m = { .state = VALUE,
			     .most = JSON_DEPTH,
			     .with_comma = with_comma };

	run_machine(&m, (const char *)text, length);
	return m.state > TOO_DEEP;
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
	claim(accepted == (j.error == JSON_NONE) && j.offset <= length);
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
	end = guarded_end();
	check_texts(LETTERS("{}[],:\"\\ -+01.eutrfalsn\xc3\x1f\n"), 5, "", "");
	check_texts(LETTERS("{}[],:\"0 "), 7, "", "");
	check_texts(LETTERS("\"\\u0dDgG/ "), 6, "\"", "\"");
	check_texts(LETTERS("\\u09afAFgG"), 6, "\"\\", "0\"");
	check_texts(LETTERS("\",:{}[] k"), 7, "{\"k\":", "}");
	claim(good > 0 && comma > 0 && bad > 0);
	check_depth('[', ']');
	check_runs();
	for (unsigned pair = 0; pair < 65536; pair++)
		check_round_trip(pair);
	printf("texts: %lu valid, %lu but for a comma, %lu not\n", good, comma, bad);
	return 0;
}

#endif
