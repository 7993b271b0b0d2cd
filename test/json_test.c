/* The JSON grammar, walking values, and the escapes of strings. */
#include "json.h"
#include "unit.h"

/* Returns true for a single valid JSON text.  Leaves the error and its offset in `j`. */
static bool
read_all(struct json *j, char *text, size_t length)
{
	struct span value;

	json_init(j, text, length);
	return json_value(j, &value) && json_finish(j);
}

/* The same for an exactly sized copy. */
static bool
read_copy(struct json *j, const char *text, size_t length)
{
	char *p = copy(text, length);
	bool valid = read_all(j, p, length);

	free(p);
	return valid;
}

static const struct {
	const char *text;
	size_t length;
} valid_texts[] = {
	{ BYTES("null") },
	{ BYTES("true") },
	{ BYTES("false") },
	{ BYTES(" \t\r\n null \t\r\n ") },
	{ BYTES("0") },
	{ BYTES("-0") },
	{ BYTES("-0.0") },
	{ BYTES("10") },
	{ BYTES("-123") },
	{ BYTES("1234567890") },
	{ BYTES("0.5") },
	{ BYTES("1.000") },
	{ BYTES("0e0") },
	{ BYTES("0e+1") },
	{ BYTES("0E1") },
	{ BYTES("1e5") },
	{ BYTES("1E+2") },
	{ BYTES("1e-2") },
	{ BYTES("123.456e-789") },
	{ BYTES("1e00") },
	{ BYTES("100000000000000000000000000000000000000000000000000") },
	{ BYTES("\"\"") },
	{ BYTES("\"a\"") },
	{ BYTES("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"") },
	{ BYTES("\"\\u0000\\u001f\\uABCD\\uabcd\\uFfFf\"") },
	{ BYTES("\"a=1\\r\\nb=2\\r\\n\\r\\n\"") },
	{ BYTES("\"\\r\\t\\n\\r\\r\\n\\r\\\"\"") },
	{ BYTES("\"\\ud83d\\ude00\"") },
	{ BYTES("\"\\ud800\"") },
	{ BYTES("\"\x7f\"") },
	{ BYTES("\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"") },
	{ BYTES("\"/* no comment */ // ,] ,}\"") },
	{ BYTES("\"a long enough string to be read by words \\\\ and more of it\"") },
	{ BYTES("[]") },
	{ BYTES("[ \n]") },
	{ BYTES("{}") },
	{ BYTES("{ \t}") },
	{ BYTES("[1]") },
	{ BYTES("[1,2,3]") },
	{ BYTES(" [ 1 , \"2\" , [ 3 ] , { } , null ] ") },
	{ BYTES("[[],[[]],{}]") },
	{ BYTES("[-1,true,false,null,0.1,\"\"]") },
	{ BYTES("{\"a\":1}") },
	{ BYTES("{\"\":\"\"}") },
	{ BYTES("{\"a\":1,\"a\":2}") },
	{ BYTES("{ \"a\" : { \"b\" : [ ] } , \"c\" : -0e-0 }") },
	{ BYTES("{\"\\u0061\\\"\":[{\"x\":{}},{}]}") },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"\"},"
		"\"Payload\":\"{}\"}") },
};

/* Invalid texts, each with the offset of its first invalid byte. */
static const struct {
	const char *text;
	size_t length, at;
} invalid_texts[] = {
	{ BYTES(""), 0 },
	{ BYTES(" "), 1 },
	{ BYTES("\0"), 0 },
	{ BYTES("\xef\xbb\xbf{}"), 0 }, /* a byte order mark */
	{ BYTES("\xef\xbb\xbf"), 0 },
	{ BYTES("\f1"), 0 }, /* other white space */
	{ BYTES("\v1"), 0 },
	{ BYTES("\xc2\xa0"
		"1"),
	  0 },
	{ BYTES("1\f"), 1 },
	{ BYTES("nul"), 3 }, /* literals */
	{ BYTES("t"), 1 },
	{ BYTES("fals"), 4 },
	{ BYTES("nulL"), 3 },
	{ BYTES("True"), 0 },
	{ BYTES("nullx"), 4 },
	{ BYTES("truefalse"), 4 },
	{ BYTES("tru\0"), 3 },
	{ BYTES("true\0"), 4 },
	{ BYTES("NaN"), 0 },
	{ BYTES("nan"), 1 },
	{ BYTES("Infinity"), 0 },
	{ BYTES("-Infinity"), 1 },
	{ BYTES("undefined"), 0 },
	{ BYTES("-"), 1 }, /* numbers */
	{ BYTES("--1"), 1 },
	{ BYTES("- 1"), 1 },
	{ BYTES("-a"), 1 },
	{ BYTES("+1"), 0 },
	{ BYTES("01"), 1 },
	{ BYTES("-01"), 2 },
	{ BYTES("00"), 1 },
	{ BYTES("1."), 2 },
	{ BYTES("1.e5"), 2 },
	{ BYTES(".5"), 0 },
	{ BYTES("-.5"), 1 },
	{ BYTES("1..2"), 2 },
	{ BYTES("1.2.3"), 3 },
	{ BYTES("1e"), 2 },
	{ BYTES("1e+"), 3 },
	{ BYTES("1E-"), 3 },
	{ BYTES("1e+-1"), 3 },
	{ BYTES("1e1.5"), 3 },
	{ BYTES("1e5e5"), 3 },
	{ BYTES("0x10"), 1 },
	{ BYTES("1 000"), 2 },
	{ BYTES("1a"), 1 },
	{ BYTES("1-1"), 1 },
	{ BYTES("\xef\xbc\x91"), 0 }, /* a full-width 1 */
	{ BYTES("\""), 1 },	      /* strings */
	{ BYTES("\"a"), 2 },
	{ BYTES("\"\\"), 2 },
	{ BYTES("\"\\\""), 3 },
	{ BYTES("\"\\\\\\\""), 5 },
	{ BYTES("\"\\x00\""), 2 },
	{ BYTES("\"\\a\""), 2 },
	{ BYTES("\"\\'\""), 2 },
	{ BYTES("\"\\U0041\""), 2 },
	{ BYTES("\"\\N\""), 2 },
	{ BYTES("\"\\ n\""), 2 },
	{ BYTES("\"\\r\\x\""), 4 },
	{ BYTES("\"\\r\\"), 4 },
	{ BYTES("\"\\r\\n"), 5 },
	{ BYTES("\"\\0\""), 2 },
	{ BYTES("\"\\\0\""), 2 },
	{ BYTES("\"\\\n\""), 2 },
	{ BYTES("\"\\\xc3\xa4\""), 2 },
	{ BYTES("\"\\u\""), 3 },
	{ BYTES("\"\\u123\""), 6 },
	{ BYTES("\"\\u12G4\""), 5 },
	{ BYTES("\"\\u 123\""), 3 },
	{ BYTES("\"\\u+123\""), 3 },
	{ BYTES("\"\\u00`0\""), 5 },
	{ BYTES("\"\\u00@0\""), 5 },
	{ BYTES("\"\\u00g0\""), 5 },
	{ BYTES("\"\\u00/0\""), 5 },
	{ BYTES("\"\\u00:0\""), 5 },
	{ BYTES("\"\\u"), 3 },
	{ BYTES("\"\\u004"), 6 },
	{ BYTES("\"\\ud83d\\u\""), 9 },
	{ BYTES("\"a\nb\""), 2 },
	{ BYTES("\"a\tb\""), 2 },
	{ BYTES("\"\0\""), 1 },
	{ BYTES("\"abcdefghijkl\x1f\""), 13 },
	{ BYTES("'a'"), 0 },
	{ BYTES("a"), 0 },
	{ BYTES("\\u0022a\""), 0 },
	{ BYTES("\"a\"b"), 3 },
	{ BYTES("["), 1 }, /* arrays */
	{ BYTES("]"), 0 },
	{ BYTES("[1"), 2 },
	{ BYTES("[1,"), 3 },
	{ BYTES("[,]"), 1 },
	{ BYTES("[ ,]"), 2 },
	{ BYTES("[,1]"), 1 },
	{ BYTES("[1,,]"), 3 },
	{ BYTES("[1,,2]"), 3 },
	{ BYTES("[1, ,]"), 4 },
	{ BYTES("[1,],"), 4 },
	{ BYTES("[1 2]"), 3 },
	{ BYTES("[1:2]"), 2 },
	{ BYTES("[\"a\" \"b\"]"), 5 },
	{ BYTES("[\"a\":1]"), 4 },
	{ BYTES("[[],,]"), 4 },
	{ BYTES("[[,]]"), 2 },
	{ BYTES("[1}"), 2 },
	{ BYTES("[}"), 1 },
	{ BYTES("[[]"), 3 },
	{ BYTES("[]]"), 2 },
	{ BYTES("[1\0]"), 2 },
	{ BYTES("[1]\0"), 3 },
	{ BYTES("[1]x"), 3 },
	{ BYTES("[/**/]"), 1 },
	{ BYTES("[1;2]"), 2 },
	{ BYTES("[*]"), 1 },
	{ BYTES("[<null>]"), 1 },
	{ BYTES("{"), 1 }, /* objects */
	{ BYTES("}"), 0 },
	{ BYTES("{,}"), 1 },
	{ BYTES("{,\"a\":1}"), 1 },
	{ BYTES("{\"a\":1,,}"), 7 },
	{ BYTES("{\"a\":1,,\"b\":2}"), 7 },
	{ BYTES("{\"a\"}"), 4 },
	{ BYTES("{\"a\",}"), 4 },
	{ BYTES("{\"a\":}"), 5 },
	{ BYTES("{\"a\":,}"), 5 },
	{ BYTES("{\"a\"::1}"), 5 },
	{ BYTES("{\"a\" 1}"), 5 },
	{ BYTES("{:1}"), 1 },
	{ BYTES("{1:1}"), 1 },
	{ BYTES("{a:1}"), 1 },
	{ BYTES("{'a':1}"), 1 },
	{ BYTES("{null:1}"), 1 },
	{ BYTES("{[]:1}"), 1 },
	{ BYTES("{\"a\":1"), 6 },
	{ BYTES("{\"a\":1,"), 7 },
	{ BYTES("{\"a\":1 \"b\":2}"), 7 },
	{ BYTES("{\"a\":1,1}"), 7 },
	{ BYTES("{\"a\":1,\"b\"}"), 10 },
	{ BYTES("{\"a\":1]"), 6 },
	{ BYTES("{]"), 1 },
	{ BYTES("{\"a\":[}"), 6 },
	{ BYTES("{\"a\":1}}"), 7 },
	{ BYTES("{\"a\":1}#"), 7 },
	{ BYTES("{\"a\\x\":1}"), 4 },
	{ BYTES("{\"a\n\":1}"), 3 },
	{ BYTES("{\"a\":1 2}"), 7 },
	{ BYTES("[{\"a\":1},{2}]"), 10 },
	{ BYTES("1 2"), 2 }, /* two texts */
	{ BYTES("{}{}"), 2 },
	{ BYTES("[][]"), 2 },
	{ BYTES("[],"), 2 },
	{ BYTES("1,"), 1 },
	{ BYTES(",1"), 0 },
	{ BYTES("\"a\",\"b\""), 3 },
	{ BYTES(","), 0 },
	{ BYTES(":"), 0 },
	{ BYTES("// 1\n1"), 0 },
	{ BYTES("1 // 1"), 2 },
};

static void
valid_texts_are_accepted_and_unchanged(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_texts); i++) {
		struct json j;
		char *p = copy(valid_texts[i].text, valid_texts[i].length);
		if (!read_all(&j, p, valid_texts[i].length))
			fail_msg("rejected at %zu: %s", j.offset, valid_texts[i].text);
		assert_int_equal(j.error, JSON_NONE);
		assert_int_equal(j.offset, valid_texts[i].length);
		assert_memory_equal(p, valid_texts[i].text, valid_texts[i].length);
		free(p);
	}
}

static void
invalid_texts_are_rejected_at_the_first_invalid_byte(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_texts); i++) {
		struct json j;
		if (read_copy(&j, invalid_texts[i].text, invalid_texts[i].length))
			fail_msg("case %zu accepted: %s", i, invalid_texts[i].text);
		assert_int_equal(j.error, JSON_INVALID);
		if (j.offset != invalid_texts[i].at)
			fail_msg("case %zu at %zu: %s", i, j.offset,
				 invalid_texts[i].text);
	}
}

/* The same texts one level deeper: no error is lost on the way out. */
static void
texts_invalid_alone_are_invalid_in_an_array(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid_texts); i++) {
		char room[128];
		struct text t;
		struct json j;
		text_init(&t, room, sizeof room);
		text_string(&t, "[0,[");
		text_put(&t, invalid_texts[i].text, invalid_texts[i].length);
		text_string(&t, "],\"\"]");
		assert_false(t.overflow);
		/* In an array, some of these texts are valid. */
		bool list =
		    memchr(invalid_texts[i].text, ',', invalid_texts[i].length) != NULL ||
		    strchr(" ]}", invalid_texts[i].text[0]) != NULL;
		if (!list && read_copy(&j, room, t.length))
			fail_msg("case %zu accepted: %s", i, invalid_texts[i].text);
	}
}

static void
a_truncated_text_is_rejected_at_its_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_texts); i++) {
		struct json j;
		size_t length = valid_texts[i].length;
		bool delimited = strchr("-0123456789 ", valid_texts[i].text[0]) == NULL;
		for (size_t n = 0; n < length; n++) {
			bool valid = read_copy(&j, valid_texts[i].text, n);
			assert_true(j.offset <= n);
			if (delimited && (valid || j.offset != n))
				fail_msg("cut at %zu: %s", n, valid_texts[i].text);
		}
	}
}

static void
any_wrong_byte_is_handled_safely(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_texts); i++)
		for (size_t at = 0; at < valid_texts[i].length; at++)
			for (int byte = 0; byte < 0x100; byte++) {
				struct json j;
				char *p =
				    copy(valid_texts[i].text, valid_texts[i].length);
				p[at] = (char)byte;
				bool valid = read_all(&j, p, valid_texts[i].length);
				assert_int_equal(valid, j.error == JSON_NONE);
				assert_true(j.offset <= valid_texts[i].length);
				assert_true(!valid ||
					    read_all(&j, p, valid_texts[i].length));
				free(p);
			}
}

/* Tests every position, since the reader examines a word at a time. */
static void
every_byte_of_a_string_is_checked(void **state)
{
	static const char fills[] = {
		'x', '!', '#', '[', ']', ' ', '\x7f', '\x80', '\xff'
	};
	enum { LENGTH = 24 };

	(void)state;
	for (size_t fill = 0; fill < sizeof fills; fill++)
		for (size_t at = 1; at <= LENGTH; at++)
			for (int byte = 0; byte < 0x100; byte++) {
				char text[LENGTH + 2];
				struct json j;
				memset(text, fills[fill], sizeof text);
				text[0] = text[LENGTH + 1] = '"';
				text[at] = (char)byte;
				bool valid = read_copy(&j, text, sizeof text);
				bool plain = byte >= 0x20 && byte != '"' && byte != '\\';
				assert_int_equal(valid, plain);
				assert_true(byte >= 0x20 || j.offset == at);
			}
}

static void
a_value_excludes_the_white_space_around_it(void **state)
{
	static const char *const values[] = {
		"{\"a\" : [ 1 ] }", "[ 1, 2 ]", "\"a\\\" b\"", "-1.5e+3", "true", "null"
	};

	(void)state;
	for (size_t i = 0; i < COUNT(values); i++) {
		char room[64];
		struct text t;
		struct json j;
		struct span value;
		text_init(&t, room, sizeof room);
		text_string(&t, " \t\r\n");
		text_string(&t, values[i]);
		text_string(&t, "\n ");
		json_init(&j, room, t.length);
		assert_true(json_value(&j, &value));
		assert_ptr_equal(value.data, room + 4);
		assert_span(value, values[i]);
		assert_true(json_finish(&j));
	}
}

static void
an_error_is_permanent(void **state)
{
	char text[] = "[1 2]";
	struct json j;
	struct span key, value;
	bool end = true;

	(void)state;
	json_init(&j, text, sizeof text - 1);
	assert_false(json_value(&j, &value));
	assert_int_equal(j.offset, 3);
	assert_false(json_value(&j, &value));
	assert_false(json_enter(&j, '['));
	assert_false(json_element(&j, &value, &end));
	assert_false(end);
	end = true;
	assert_false(json_member(&j, &key, &value, &end));
	assert_false(end);
	assert_false(json_finish(&j));
	assert_int_equal(j.error, JSON_INVALID);
	assert_int_equal(j.offset, 3);
}

static void
a_trailing_comma_becomes_a_space(void **state)
{
	static const struct {
		const char *text, *after;
	} cases[] = {
		{ "[1,]", "[1 ]" },
		{ "[1 , ]", "[1   ]" },
		{ "[1\n,\t]", "[1\n \t]" },
		{ "[1,2,]", "[1,2 ]" },
		{ "[\"a\",]", "[\"a\" ]" },
		{ "[null,]", "[null ]" },
		{ "[-1.5e3,]", "[-1.5e3 ]" },
		{ "[[],]", "[[] ]" },
		{ "[[1,],]", "[[1 ] ]" },
		{ "[[1,],2]", "[[1 ],2]" },
		{ "[{},]", "[{} ]" },
		{ "{\"a\":1,}", "{\"a\":1 }" },
		{ "{\"a\":1 , }", "{\"a\":1   }" },
		{ "{\"a\":\"b\",}", "{\"a\":\"b\" }" },
		{ "{\"a\":{\"b\":2,},}", "{\"a\":{\"b\":2 } }" },
		{ "{\"a\":[1,],\"b\":{\"c\":[{\"d\":0,},],},}",
		  "{\"a\":[1 ],\"b\":{\"c\":[{\"d\":0 } ] } }" },
		{ " {\"a\":[[[[1,],],],],} ", " {\"a\":[[[[1 ] ] ] ] } " },
		{ "[\",]\",\",}\",]", "[\",]\",\",}\" ]" },
		{ "{\",}\":\",]\",}", "{\",}\":\",]\" }" },
		{ "[\"\\\",]\",]", "[\"\\\",]\" ]" },
		{ "[\",\"]", "[\",\"]" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct json j;
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		if (!read_all(&j, p, length))
			fail_msg("rejected at %zu: %s", j.offset, cases[i].text);
		assert_span((struct span){ p, length }, cases[i].after);
		free(p);
	}
}

/* The same with a strict reader. */
static bool
read_strictly(struct json *j, char *text, size_t length)
{
	struct span value;

	json_init(j, text, length);
	j->strict = true;
	return json_value(j, &value) && json_finish(j);
}

/* A strict reader differs for trailing commas only. */
static void
a_strict_reader_accepts_and_rejects_the_same_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid_texts); i++) {
		struct json j;
		char *p = copy(valid_texts[i].text, valid_texts[i].length);
		if (!read_strictly(&j, p, valid_texts[i].length))
			fail_msg("rejected at %zu: %s", j.offset, valid_texts[i].text);
		assert_int_equal(j.error, JSON_NONE);
		assert_memory_equal(p, valid_texts[i].text, valid_texts[i].length);
		free(p);
	}
	for (size_t i = 0; i < COUNT(invalid_texts); i++) {
		struct json j;
		char *p = copy(invalid_texts[i].text, invalid_texts[i].length);
		assert_false(read_strictly(&j, p, invalid_texts[i].length));
		assert_int_equal(j.error, JSON_INVALID);
		assert_true(j.offset <= invalid_texts[i].at);
		assert_memory_equal(p, invalid_texts[i].text, invalid_texts[i].length);
		free(p);
	}
}

static void
a_strict_reader_rejects_a_trailing_comma_and_keeps_it(void **state)
{
	static const struct {
		const char *text;
		size_t at; /* offset of the bracket after the comma */
	} cases[] = {
		{ "[1,]", 3 },
		{ "[1 , ]", 5 },
		{ "[1\n,\t]", 5 },
		{ "[1,2,]", 5 },
		{ "[\"a\",]", 5 },
		{ "[\",]\",]", 6 },
		{ "[[],]", 4 },
		{ "[[1,],2]", 4 },
		{ "[[1],[2,]]", 8 },
		{ "[{},]", 4 },
		{ "{\"a\":1,}", 7 },
		{ "{\"a\":1 , }", 9 },
		{ "{\"a\":[1,]}", 8 },
		{ "{\"a\":{\"b\":2,}}", 12 },
		{ "{\"a\":{\"b\":2},}", 13 },
		{ " [1,] ", 4 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct json j;
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		if (read_strictly(&j, p, length))
			fail_msg("accepted: %s", cases[i].text);
		assert_int_equal(j.error, JSON_INVALID);
		if (j.offset != cases[i].at)
			fail_msg("at %zu: %s", j.offset, cases[i].text);
		assert_span((struct span){ p, length }, cases[i].text);
		free(p);
	}
}

/* Writes `depth` nested brackets, the kinds alternating, around a value. */
static void
put_nested(struct text *t, size_t depth, const char *kinds, const char *value,
	   const char *after)
{
	size_t count = strlen(kinds);

	for (size_t i = 0; i < depth; i++)
		text_string(t, kinds[i % count] == '[' ? "[" : "{\"a\":");
	text_string(t, value);
	for (size_t i = depth; i-- > 0;) {
		text_string(t, after);
		text_char(t, kinds[i % count] == '[' ? ']' : '}');
	}
}

static const char *const kinds[] = { "[", "{", "[{", "{[", "[[{", "{{[" };

static void
trailing_commas_become_spaces_at_every_depth(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++)
		for (size_t depth = 1; depth <= JSON_DEPTH; depth++) {
			char with[512], blanked[512];
			struct text t, after;
			struct json j;
			text_init(&t, with, sizeof with);
			text_init(&after, blanked, sizeof blanked);
			put_nested(&t, depth, kinds[k], "\",\"", ",");
			put_nested(&after, depth, kinds[k], "\",\"", " ");
			assert_true(read_all(&j, with, t.length));
			assert_memory_equal(with, blanked, t.length);
		}
}

/* Returns the `nth` space of a text, counted from 0. */
static char *
nth_space(char *p, size_t nth)
{
	while (*p != ' ' || nth-- > 0)
		p++;
	return p;
}

/* One trailing comma among all the brackets, at each position in turn. */
static void
a_strict_reader_rejects_a_trailing_comma_at_every_depth(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++)
		for (size_t depth = 1; depth <= JSON_DEPTH; depth++)
			for (size_t at = 0; at < depth; at++) {
				char room[512], before[512];
				struct text t;
				struct json j;
				text_init(&t, room, sizeof room);
				put_nested(&t, depth, kinds[k], "0", " ");
				assert_true(read_strictly(&j, room, t.length));
				char *comma = nth_space(room, at);
				*comma = ',';
				memcpy(before, room, t.length);
				assert_false(read_strictly(&j, room, t.length));
				assert_int_equal(j.error, JSON_INVALID);
				assert_int_equal(j.offset, comma + 1 - room);
				assert_memory_equal(room, before, t.length);
				assert_true(read_all(&j, room, t.length));
				assert_int_equal(*comma, ' ');
			}
}

static void
a_reader_is_not_strict_by_default(void **state)
{
	char text[] = "[1,]";
	struct json j;
	struct span value;

	(void)state;
	memset(&j, 0xff, sizeof j);
	json_init(&j, text, sizeof text - 1);
	assert_false(j.strict);
	assert_true(json_value(&j, &value));
	assert_string_equal(text, "[1 ]");
}

static void
at_most_thirty_two_levels_are_accepted(void **state)
{
	(void)state;
	for (size_t k = 0; k < COUNT(kinds); k++) {
		static const char *const values[] = { "0", "" };
		char room[512];
		struct text t;
		struct json j;
		for (size_t v = 0; v < COUNT(values); v++) {
			bool empty = *values[v] == '\0';
			if (empty && strchr(kinds[k], '{') != NULL)
				continue;
			text_init(&t, room, sizeof room);
			put_nested(&t, 32, kinds[k], values[v], "");
			assert_true(read_copy(&j, room, t.length));
			text_init(&t, room, sizeof room);
			put_nested(&t, 33, kinds[k], values[v], "");
			assert_false(read_copy(&j, room, t.length));
			assert_int_equal(j.error, JSON_TOO_DEEP);
		}
	}
}

static void
the_offset_is_that_of_the_bracket_too_deep(void **state)
{
	char room[128];
	struct text t;
	struct json j;

	(void)state;
	text_init(&t, room, sizeof room);
	text_string(&t, "[[], ");
	put_nested(&t, 32, "[", "", "");
	assert_false(read_copy(&j, room, t.length));
	assert_int_equal(j.error, JSON_TOO_DEEP);
	assert_int_equal(j.offset, 5 + 31);
}

static void
entered_levels_count_towards_the_depth(void **state)
{
	(void)state;
	for (size_t deep = 31; deep <= 32; deep++) {
		char room[128];
		struct text t;
		struct json j;
		struct span value;
		bool end;
		text_init(&t, room, sizeof room);
		text_char(&t, '[');
		put_nested(&t, deep, "[", "", "");
		text_char(&t, ']');
		json_init(&j, room, t.length);
		assert_true(json_enter(&j, '['));
		assert_int_equal(json_element(&j, &value, &end), deep == 31);
		assert_int_equal(j.error, deep == 31 ? JSON_NONE : JSON_TOO_DEEP);
	}
}

static void
at_most_thirty_two_levels_can_be_entered(void **state)
{
	char text[33];
	struct json j;
	struct span value;
	bool end;

	(void)state;
	memset(text, '[', sizeof text);
	json_init(&j, text, sizeof text);
	for (unsigned i = 0; i < 32; i++)
		assert_true(json_enter(&j, '['));
	assert_false(json_enter(&j, '['));
	assert_int_equal(j.error, JSON_TOO_DEEP);
	assert_int_equal(j.offset, 32);
	text[32] = '1';
	json_init(&j, text, sizeof text);
	for (unsigned i = 0; i < 32; i++)
		assert_true(json_enter(&j, '['));
	assert_true(json_element(&j, &value, &end));
	assert_span(value, "1");
}

static void
five_thousand_nested_arrays_are_too_deep(void **state)
{
	enum { DEPTH = 5000 };
	char *p = malloc(2 * (size_t)DEPTH);
	struct json j;

	(void)state;
	memset(p, '[', DEPTH);
	memset(p + DEPTH, ']', DEPTH);
	assert_false(read_all(&j, p, 2 * (size_t)DEPTH));
	assert_int_equal(j.error, JSON_TOO_DEEP);
	assert_int_equal(j.offset, JSON_DEPTH);
	assert_false(read_all(&j, p, DEPTH));
	assert_int_equal(j.error, JSON_TOO_DEEP);
	free(p);
}

static void
five_thousand_adjacent_arrays_are_accepted(void **state)
{
	enum { ARRAYS = 5000 };
	char *p = malloc(3 * (size_t)ARRAYS + 1);
	struct json j;

	(void)state;
	for (size_t i = 0; i < ARRAYS; i++)
		memcpy(p + 3 * i, i == 0 ? "[[]" : ",[]", 3);
	p[3 * (size_t)ARRAYS] = ']';
	assert_true(read_all(&j, p, 3 * (size_t)ARRAYS + 1));
	free(p);
}

/* Walks an object and adds its members as key=value.  Returns true at its end. */
static bool
walk_members(struct json *j, struct text *t)
{
	struct span key, value;
	bool end = false;

	while (json_member(j, &key, &value, &end)) {
		text_span(t, key);
		text_char(t, '=');
		text_span(t, value);
		text_char(t, ';');
	}
	return end;
}

static void
members_are_returned_one_by_one_in_order(void **state)
{
	static const struct {
		const char *text, *members;
	} cases[] = {
		{ "{}", "" },
		{ " { } ", "" },
		{ "{\"a\":1}", "a=1;" },
		{ "{\"a\":1,}", "a=1;" },
		{ " { \"a\" : 1 , \"b\" : [ 2 , 3 ] , } ", "a=1;b=[ 2 , 3 ];" },
		{ "{\"a\":1,\"b\":2,\"a\":3}", "a=1;b=2;a=3;" },
		{ "{\"\":{\"\":{}},\"x\\\"y\":\"}\"}", "={\"\":{}};x\\\"y=\"}\";" },
		{ "{\"a\":[1,],\"b\":{\"c\":0,},}", "a=[1 ];b={\"c\":0 };" },
		{ "{\"a\":true,\"b\":false,\"c\":null,\"d\":-1e5}",
		  "a=true;b=false;c=null;d=-1e5;" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length), room[128];
		struct text t;
		struct json j;
		text_init(&t, room, sizeof room);
		json_init(&j, p, length);
		assert_true(json_enter(&j, '{'));
		assert_true(walk_members(&j, &t));
		assert_true(json_finish(&j));
		assert_int_equal(j.depth, 0);
		assert_text(&t, cases[i].members);
		free(p);
	}
}

static void
a_walk_stops_at_an_invalid_member(void **state)
{
	static const struct {
		const char *text;
		size_t at;
	} cases[] = {
		{ "{", 1 },	      { "{,}", 1 },
		{ "{1:1}", 1 },	      { "{\"a\"}", 4 },
		{ "{\"a\":}", 5 },    { "{\"a\":1", 6 },
		{ "{\"a\":1,,}", 7 }, { "{\"a\":1 \"b\":2}", 7 },
		{ "{\"a\":1]", 6 },   { "{\"a\":01}", 6 },
		{ "{\"a\":[}", 6 },   { "{\"a\":1,\"b", 9 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length), room[128];
		struct text t;
		struct json j;
		text_init(&t, room, sizeof room);
		json_init(&j, p, length);
		assert_true(json_enter(&j, '{'));
		assert_false(walk_members(&j, &t));
		assert_int_equal(j.error, JSON_INVALID);
		if (j.offset != cases[i].at)
			fail_msg("at %zu: %s", j.offset, cases[i].text);
		free(p);
	}
}

static void
elements_are_returned_one_by_one_in_order(void **state)
{
	static const struct {
		const char *text, *elements;
	} cases[] = {
		{ "[]", "" },
		{ "[ ]", "" },
		{ "[1]", "1;" },
		{ "[1,]", "1;" },
		{ " [ 1 , [ 2 ] , {\"a\":3} ] ", "1;[ 2 ];{\"a\":3};" },
		{ "[\"a,b\",\"]\",]", "\"a,b\";\"]\";" },
		{ "[[[]],[]]", "[[]];[];" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length), room[128];
		struct span value;
		struct text t;
		struct json j;
		bool end;
		text_init(&t, room, sizeof room);
		json_init(&j, p, length);
		assert_true(json_enter(&j, '['));
		while (json_element(&j, &value, &end)) {
			text_span(&t, value);
			text_char(&t, ';');
		}
		assert_true(end);
		assert_true(json_finish(&j));
		assert_text(&t, cases[i].elements);
		free(p);
	}
}

static void
a_walk_replaces_a_trailing_comma_with_a_space(void **state)
{
	char object[] = "{\"a\":1,}", array[] = "[1,]";
	struct span key, value;
	struct json j;
	bool end;

	(void)state;
	json_init(&j, object, sizeof object - 1);
	assert_true(json_enter(&j, '{'));
	assert_true(json_member(&j, &key, &value, &end));
	assert_false(json_member(&j, &key, &value, &end));
	assert_true(end);
	assert_string_equal(object, "{\"a\":1 }");
	json_init(&j, array, sizeof array - 1);
	assert_true(json_enter(&j, '['));
	assert_true(json_element(&j, &value, &end));
	assert_false(json_element(&j, &value, &end));
	assert_true(end);
	assert_string_equal(array, "[1 ]");
}

static void
a_strict_walk_stops_at_a_trailing_comma(void **state)
{
	char object[] = "{\"a\":1,}", array[] = "[1,]", inner[] = "[[1,]]";
	struct span key, value;
	struct json j;
	bool end;

	(void)state;
	json_init(&j, object, sizeof object - 1);
	j.strict = true;
	assert_true(json_enter(&j, '{'));
	assert_true(json_member(&j, &key, &value, &end));
	assert_false(json_member(&j, &key, &value, &end));
	assert_false(end);
	assert_int_equal(j.error, JSON_INVALID);
	assert_false(json_finish(&j));
	assert_string_equal(object, "{\"a\":1,}");
	json_init(&j, array, sizeof array - 1);
	j.strict = true;
	assert_true(json_enter(&j, '['));
	assert_true(json_element(&j, &value, &end));
	assert_false(json_element(&j, &value, &end));
	assert_false(end);
	assert_int_equal(j.error, JSON_INVALID);
	assert_string_equal(array, "[1,]");
	json_init(&j, inner, sizeof inner - 1);
	j.strict = true;
	assert_true(json_enter(&j, '['));
	assert_false(json_element(&j, &value, &end));
	assert_false(end);
	assert_int_equal(j.error, JSON_INVALID);
	assert_string_equal(inner, "[[1,]]");
}

static void
a_value_can_be_walked_by_another_reader(void **state)
{
	char text[] =
	    "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\"},\"Payload\":[{\"x\":1}]}";
	char room[64];
	struct span key, value;
	struct text t;
	struct json outer, inner;
	bool end;

	(void)state;
	text_init(&t, room, sizeof room);
	json_init(&outer, text, sizeof text - 1);
	assert_true(json_enter(&outer, '{'));
	assert_true(json_member(&outer, &key, &value, &end));
	assert_span(key, "Header");
	json_init(&inner, text + (value.data - text), value.length);
	assert_true(json_enter(&inner, '{'));
	assert_true(walk_members(&inner, &t));
	assert_true(json_finish(&inner));
	assert_text(&t, "Event=\"ping\";UserId=\"a\";");
	assert_true(json_member(&outer, &key, &value, &end));
	assert_span(key, "Payload");
	assert_span(value, "[{\"x\":1}]");
	assert_false(json_member(&outer, &key, &value, &end));
	assert_true(end);
}

static void
after_an_entered_inner_array_the_outer_one_continues(void **state)
{
	char text[] = "[[1,2],3]";
	struct span value;
	struct json j;
	bool end;

	(void)state;
	json_init(&j, text, sizeof text - 1);
	assert_true(json_enter(&j, '['));
	assert_true(json_enter(&j, '['));
	assert_true(json_element(&j, &value, &end));
	assert_true(json_element(&j, &value, &end));
	assert_span(value, "2");
	assert_false(json_element(&j, &value, &end));
	assert_true(end);
	assert_true(json_element(&j, &value, &end));
	assert_span(value, "3");
	assert_false(json_element(&j, &value, &end));
	assert_true(end);
	assert_true(json_finish(&j));
}

static void
only_the_requested_bracket_is_entered(void **state)
{
	static const struct {
		const char *text;
		char open;
		size_t at;
	} cases[] = {
		{ " [1]", '{', 1 },  { "{}", '[', 0 }, { "1", '{', 0 },
		{ "\"{\"", '{', 0 }, { "", '{', 0 },   { "  ", '[', 2 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		struct json j;
		json_init(&j, p, length);
		assert_false(json_enter(&j, cases[i].open));
		assert_int_equal(j.error, JSON_INVALID);
		assert_int_equal(j.offset, cases[i].at);
		free(p);
	}
}

static void
contents_are_the_string_without_its_quotes(void **state)
{
	(void)state;
	assert_span(json_contents(SPAN("\"a b\"")), "a b");
	assert_span(json_contents(SPAN("\"\"")), "");
	assert_span(json_contents(SPAN("\"\\\"\"")), "\\\"");
}

static void
names_are_compared_after_unescaping(void **state)
{
	static const struct {
		const char *contents, *name;
		bool equal;
	} cases[] = {
		{ "", "", true },
		{ "UserId", "UserId", true },
		{ "User\\u0049d", "UserId", true },
		{ "User\\u0049D", "UserId", false },
		{ "\\u0055\\u0073\\u0065\\u0072\\u0049\\u0064", "UserId", true },
		{ "\\u006a\\u006A", "jj", true },
		{ "a\\/b\\\\c\\\"", "a/b\\c\"", true },
		{ "\\b\\f\\n\\r\\t", "\b\f\n\r\t", true },
		{ "UserI", "UserId", false },
		{ "UserIdx", "UserId", false },
		{ "UserId\\u0000", "UserId", false },
		{ "\\u0000", "", false },
		{ "\\u0055ser", "UserId", false },
		{ "\\u0055serIdx", "UserId", false },
		{ "userid", "UserId", false },
		{ "", "UserId", false },
		{ "UserId", "", false },
		{ "UserId\\ud800", "UserId", false },
		{ "\\udc00", "UserId", false },
		{ "UserId, and so on for longer than any name is \\n", "UserId", false },
		{ "\\u0055serId, and so on for longer than any name", "UserId", false },
		{ "\\u005f_a_name_of_thirty_two_bytes____",
		  "__a_name_of_thirty_two_bytes____", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].contents);
		char *p = copy(cases[i].contents, length);
		if (json_equal((struct span){ p, length }, cases[i].name) !=
		    cases[i].equal)
			fail_msg("%s, %s", cases[i].contents, cases[i].name);
		free(p);
	}
}

/*
 * Contents, their values, and their values with keep_lone.  `value` is NULL for contents
 * with a lone surrogate.
 */
static const struct {
	const char *contents, *value;
	size_t value_length;
	const char *kept;
	size_t kept_length;
} escapes[] = {
	{ "", BYTES(""), BYTES("") },
	{ "plain", BYTES("plain"), BYTES("plain") },
	{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", BYTES("\"\\/\b\f\n\r\t"),
	  BYTES("\"\\/\b\f\n\r\t") },
	{ "a\\nb\\nc", BYTES("a\nb\nc"), BYTES("a\nb\nc") },
	{ "\\\\n\\\\u0041", BYTES("\\n\\u0041"), BYTES("\\n\\u0041") },
	{ "\\u0000", BYTES("\0"), BYTES("\0") },
	{ "\\u0041\\u007f", BYTES("A\x7f"), BYTES("A\x7f") },
	{ "\\u0080\\u07ff", BYTES("\xc2\x80\xdf\xbf"), BYTES("\xc2\x80\xdf\xbf") },
	{ "\\u0800\\uffff", BYTES("\xe0\xa0\x80\xef\xbf\xbf"),
	  BYTES("\xe0\xa0\x80\xef\xbf\xbf") },
	{ "\\uD7FF\\ue000", BYTES("\xed\x9f\xbf\xee\x80\x80"),
	  BYTES("\xed\x9f\xbf\xee\x80\x80") },
	{ "\\uabCD", BYTES("\xea\xaf\x8d"), BYTES("\xea\xaf\x8d") },
	{ "\\ud83d\\ude00", BYTES("\xf0\x9f\x98\x80"), BYTES("\xf0\x9f\x98\x80") },
	{ "\\uD800\\uDC00", BYTES("\xf0\x90\x80\x80"), BYTES("\xf0\x90\x80\x80") },
	{ "\\udbff\\udfff", BYTES("\xf4\x8f\xbf\xbf"), BYTES("\xf4\x8f\xbf\xbf") },
	{ "\xc3\xa4\\u00e4\xe2\x82\xac", BYTES("\xc3\xa4\xc3\xa4\xe2\x82\xac"),
	  BYTES("\xc3\xa4\xc3\xa4\xe2\x82\xac") },
	{ "\\ud83d", NULL, 0, BYTES("\xed\xa0\xbd") },
	{ "\\ude00", NULL, 0, BYTES("\xed\xb8\x80") },
	{ "\\ud800x", NULL, 0, BYTES("\xed\xa0\x80x") },
	{ "x\\udfff", NULL, 0, BYTES("x\xed\xbf\xbf") },
	{ "\\ude00\\ud83d", NULL, 0, BYTES("\xed\xb8\x80\xed\xa0\xbd") },
	{ "\\ud83dxude00", NULL, 0, BYTES("\xed\xa0\xbdxude00") },
	{ "\\ud83d\\ud83d", NULL, 0, BYTES("\xed\xa0\xbd\xed\xa0\xbd") },
	{ "\\ud83d\\ud83d\\ude00", NULL, 0, BYTES("\xed\xa0\xbd\xf0\x9f\x98\x80") },
	{ "\\ud83d\\u0041", NULL, 0,
	  BYTES("\xed\xa0\xbd"
		"A") },
	{ "\\ud83d\\n", NULL, 0, BYTES("\xed\xa0\xbd\n") },
	{ "\\ud83d\\\\ude00", NULL, 0, BYTES("\xed\xa0\xbd\\ude00") },
	{ "\\ud83dude00", NULL, 0, BYTES("\xed\xa0\xbdude00") },
	{ "\\ud83d \\ude00", NULL, 0, BYTES("\xed\xa0\xbd \xed\xb8\x80") },
	{ "\\udbff\\ue000", NULL, 0, BYTES("\xed\xaf\xbf\xee\x80\x80") },
};

/* Unescapes to an exactly sized buffer, and compares. */
static void
assert_unescaped(const char *contents, bool keep_lone, const char *expected,
		 size_t length)
{
	char *p = copy(contents, strlen(contents)), *out = allocate(length);
	struct span s = { p, strlen(contents) };

	assert_int_equal(json_unescape(s, out, length, keep_lone), length);
	assert_memory_equal(out, expected, length);
	free(out);
	free(p);
}

static void
escapes_become_the_characters_that_they_stand_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(escapes); i++)
		if (escapes[i].value != NULL)
			assert_unescaped(escapes[i].contents, false, escapes[i].value,
					 escapes[i].value_length);
}

static void
a_lone_surrogate_is_kept_if_requested(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(escapes); i++)
		assert_unescaped(escapes[i].contents, true, escapes[i].kept,
				 escapes[i].kept_length);
}

static void
a_lone_surrogate_is_an_error_otherwise(void **state)
{
	char out[64];

	(void)state;
	for (size_t i = 0; i < COUNT(escapes); i++) {
		size_t length = strlen(escapes[i].contents);
		char *p = copy(escapes[i].contents, length);
		long n =
		    json_unescape((struct span){ p, length }, out, sizeof out, false);
		assert_int_equal(n == JSON_LONE_SURROGATE, escapes[i].value == NULL);
		free(p);
	}
}

static void
contents_can_be_unescaped_in_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(escapes); i++) {
		size_t length = strlen(escapes[i].contents);
		char *p = copy(escapes[i].contents, length);
		assert_int_equal(
		    json_unescape((struct span){ p, length }, p, length, true),
		    escapes[i].kept_length);
		assert_memory_equal(p, escapes[i].kept, escapes[i].kept_length);
		free(p);
	}
}

static void
a_string_is_terminated_in_place(void **state)
{
	static const char *const refused[] = { "3",	      "null",	      "[\"a\"]",
					       "{}",	      "\"a\\u0000\"", "\"\\n\"",
					       "\"\\u001f\"", "\"\\ud800\"" };
	static const struct {
		const char *text, *expected;
	} cases[] = { { "\"\"", "" },
		      { "\"ab\"", "ab" },
		      { "\"\\u0041\\\"\x7f\"", "A\"\x7f" } };

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t length = strlen(cases[i].text);
		char *p = copy(cases[i].text, length);
		char *string = json_terminate((struct span){ p, length });
		assert_ptr_equal(string, p + 1);
		assert_string_equal(string, cases[i].expected);
		free(p);
	}
	for (size_t i = 0; i < COUNT(refused); i++) {
		char *p = copy(refused[i], strlen(refused[i]));
		assert_null(json_terminate((struct span){ p, strlen(refused[i]) }));
		free(p);
	}
}

static void
a_buffer_that_is_too_small_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(escapes); i++)
		for (size_t size = 0; size < escapes[i].kept_length; size++) {
			size_t length = strlen(escapes[i].contents);
			char *p = copy(escapes[i].contents, length),
			     *out = allocate(size);
			assert_int_equal(
			    json_unescape((struct span){ p, length }, out, size, true),
			    JSON_NO_SPACE);
			free(out);
			free(p);
		}
}

static void
only_necessary_escapes_are_written(void **state)
{
	static const struct {
		const char *data;
		size_t length;
		const char *escaped;
	} cases[] = {
		{ BYTES(""), "" },
		{ BYTES("a/b'c \x7f"), "a/b'c \x7f" },
		{ BYTES("\"\\\b\f\n\r\t"), "\\\"\\\\\\b\\f\\n\\r\\t" },
		{ BYTES("\0\x01\x0b\x1f"), "\\u0000\\u0001\\u000b\\u001f" },
		{ BYTES("[\"peer1\",\"peer2\"]"), "[\\\"peer1\\\",\\\"peer2\\\"]" },
		{ BYTES("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
		  "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" },
		{ BYTES("\0"
			"0"),
		  "\\u00000" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		char *p = copy(cases[i].data, cases[i].length), room[64];
		struct text t;
		text_init(&t, room, sizeof room);
		json_escape(&t, p, cases[i].length);
		assert_text(&t, cases[i].escaped);
		free(p);
	}
}

/* Escapes, reads the string as JSON, unescapes, and compares. */
static void
assert_round_trip(const char *data, size_t length)
{
	char *p = copy(data, length), *back = copy(data, length), room[256];
	struct text t;
	struct json j;
	struct span value;

	text_init(&t, room, sizeof room);
	text_char(&t, '"');
	json_escape(&t, p, length);
	text_char(&t, '"');
	assert_false(t.overflow);
	json_init(&j, room, t.length);
	assert_true(json_value(&j, &value) && json_finish(&j));
	memset(back, '#', length);
	assert_int_equal(json_unescape(json_contents(value), back, length, false),
			 length);
	assert_memory_equal(back, data, length);
	free(back);
	free(p);
}

static void
any_ascii_bytes_survive_escaping_and_unescaping(void **state)
{
	enum { LENGTH = 20 };

	(void)state;
	for (int byte = 0; byte < 0x80; byte++)
		for (size_t at = 0; at < LENGTH; at++) {
			char data[LENGTH];
			memset(data, 'x', sizeof data);
			data[at] = (char)byte;
			assert_round_trip(data, sizeof data);
			memset(data, byte, sizeof data);
			assert_round_trip(data, at);
		}
}

static void
any_utf8_survives_escaping_and_unescaping(void **state)
{
	static const char *const texts[] = {
		"\xc2\x80\xdf\xbf",
		"\xe0\xa0\x80\xef\xbf\xbf",
		"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf",
		"x\n\xc3\xa4\"\xe2\x82\xac\\\xf0\x9f\x98\x80",
		"\xe2\x80\xa8\xe2\x80\xa9",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_round_trip(texts[i], strlen(texts[i]));
}

static void
an_escape_that_does_not_fit_overflows(void **state)
{
	static const char data[] = "abc\"def\nghi\x01";
	const size_t escaped = sizeof "abc\\\"def\\nghi\\u0001" - 1;

	(void)state;
	for (size_t size = 0; size <= escaped; size++) {
		char *room = allocate(size);
		struct text t;
		text_init(&t, room, size);
		json_escape(&t, data, sizeof data - 1);
		assert_int_equal(t.overflow, size < escaped);
		free(room);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_texts_are_accepted_and_unchanged),
		cmocka_unit_test(invalid_texts_are_rejected_at_the_first_invalid_byte),
		cmocka_unit_test(texts_invalid_alone_are_invalid_in_an_array),
		cmocka_unit_test(a_truncated_text_is_rejected_at_its_end),
		cmocka_unit_test(any_wrong_byte_is_handled_safely),
		cmocka_unit_test(every_byte_of_a_string_is_checked),
		cmocka_unit_test(a_value_excludes_the_white_space_around_it),
		cmocka_unit_test(an_error_is_permanent),
		cmocka_unit_test(a_trailing_comma_becomes_a_space),
		cmocka_unit_test(a_strict_reader_accepts_and_rejects_the_same_texts),
		cmocka_unit_test(a_strict_reader_rejects_a_trailing_comma_and_keeps_it),
		cmocka_unit_test(trailing_commas_become_spaces_at_every_depth),
		cmocka_unit_test(a_strict_reader_rejects_a_trailing_comma_at_every_depth),
		cmocka_unit_test(a_reader_is_not_strict_by_default),
		cmocka_unit_test(at_most_thirty_two_levels_are_accepted),
		cmocka_unit_test(the_offset_is_that_of_the_bracket_too_deep),
		cmocka_unit_test(entered_levels_count_towards_the_depth),
		cmocka_unit_test(at_most_thirty_two_levels_can_be_entered),
		cmocka_unit_test(five_thousand_nested_arrays_are_too_deep),
		cmocka_unit_test(five_thousand_adjacent_arrays_are_accepted),
		cmocka_unit_test(members_are_returned_one_by_one_in_order),
		cmocka_unit_test(a_walk_stops_at_an_invalid_member),
		cmocka_unit_test(elements_are_returned_one_by_one_in_order),
		cmocka_unit_test(a_walk_replaces_a_trailing_comma_with_a_space),
		cmocka_unit_test(a_strict_walk_stops_at_a_trailing_comma),
		cmocka_unit_test(a_value_can_be_walked_by_another_reader),
		cmocka_unit_test(after_an_entered_inner_array_the_outer_one_continues),
		cmocka_unit_test(only_the_requested_bracket_is_entered),
		cmocka_unit_test(contents_are_the_string_without_its_quotes),
		cmocka_unit_test(names_are_compared_after_unescaping),
		cmocka_unit_test(escapes_become_the_characters_that_they_stand_for),
		cmocka_unit_test(a_lone_surrogate_is_kept_if_requested),
		cmocka_unit_test(a_lone_surrogate_is_an_error_otherwise),
		cmocka_unit_test(contents_can_be_unescaped_in_place),
		cmocka_unit_test(a_string_is_terminated_in_place),
		cmocka_unit_test(a_buffer_that_is_too_small_is_an_error),
		cmocka_unit_test(only_necessary_escapes_are_written),
		cmocka_unit_test(any_ascii_bytes_survive_escaping_and_unescaping),
		cmocka_unit_test(any_utf8_survives_escaping_and_unescaping),
		cmocka_unit_test(an_escape_that_does_not_fit_overflows),
	};

	return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
