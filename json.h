/*
 * A JSON (RFC 8259) reader: one pass, no recursion, no copies.  Values are spans of the
 * caller's text.
 *
 * The reader is strict, with one exception: it accepts a trailing comma before } or ].
 * It overwrites that comma with a space, so that the text is valid JSON afterwards.
 *
 * The text must be valid UTF-8 (utf8_check); the reader does not check that.
 */
#ifndef JSON_H
#define JSON_H

#include "text.h"

enum { JSON_DEPTH = 32 }; /* maximum nesting of objects and arrays */

enum json_error { JSON_NONE, JSON_INVALID, JSON_TOO_DEEP };

struct json {
	char *text;
	size_t length;
	size_t offset;	/* of the next byte; after an error, of the invalid byte */
	unsigned depth; /* number of objects and arrays entered */
	bool first;	/* no item of the innermost one has been read */
	bool strict;	/* reject trailing commas; the caller sets it after json_init */
	enum json_error error; /* once set, every further call fails */
};

/* Starts reading `text`, which stays the caller's and must outlive the spans. */
void json_init(struct json *, char *text, size_t length);

/*
 * Returns the first byte of the next value, which determines its type: { [ " t f n - or a
 * digit.  Any other byte (NUL at the end) means that no value follows.  Does not consume
 * the byte.
 */
char json_kind(struct json *);

/* Reads the next value, nested ones included.  Returns false on an error. */
bool json_value(struct json *, struct span *value);

/*
 * Enters the object (`open` is '{') or array ('[') that comes next.  Returns false, with
 * `error` set, if another value comes next or the nesting is too deep.
 *
 * Then each call of json_key, json_member or json_element reads one item.  At the closing
 * bracket they set `at_end` and return false; on an error they return false with `at_end`
 * not set.  A key is returned without its quotes and still escaped, as json_equal expects
 * it.
 */
bool json_enter(struct json *, char open);
/* Reads a member's key; the caller must read its value next. */
bool json_key(struct json *, struct span *key, bool *at_end);
bool json_member(struct json *, struct span *key, struct span *value, bool *at_end);
bool json_element(struct json *, struct span *value, bool *at_end);

/* Returns true if there was no error and only white space is left. */
bool json_finish(struct json *);

/* Returns a string without its quotes, still escaped. */
struct span json_contents(struct span string);

/* Compares the contents of a string, after unescaping, with an ASCII name. */
bool json_equal(struct span contents, const char *name);

enum { JSON_NO_SPACE = -1, JSON_LONE_SURROGATE = -2 };

/*
 * Unescapes to UTF-8 the contents of a string that the reader has accepted.  Writes at
 * most `size` bytes to `out`, which may be `contents.data`: the result is never longer.
 *
 * An escaped surrogate without its pair is an error.  With `keep_lone` it becomes three
 * bytes instead, as in WTF-8.
 *
 * Returns the length, or JSON_NO_SPACE or JSON_LONE_SURROGATE.
 */
long json_unescape(struct span contents, char *out, size_t size, bool keep_lone);

/*
 * Unescapes a string in place and ends it with NUL.  Its text must be writable.  Returns
 * the string; NULL if the value is not a string, or has control characters or a lone
 * surrogate.
 */
char *json_terminate(struct span value);

/* Returns the number of leading bytes that are ASCII and need no escape in a string. */
size_t json_plain(const char *data, size_t length);

/* Returns the letter of the two-character escape of `c`; NUL if only \u can escape it. */
char json_letter(char c);

/* Adds a text, escaped as the contents of a JSON string, without quotes. */
void json_escape(struct text *, const char *data, size_t length);

#endif
