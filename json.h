/*
 * Reading JSON (RFC 8259) in one pass, without recursion or copies: each value
 * comes as the span of the caller's text that holds it.
 *
 * Strict but for one leniency: a comma behind a value and before } or ] is
 * accepted, and overwritten with a space, so that what has been read is valid
 * JSON afterwards.  The text must be valid UTF-8 (utf8_check); that is not
 * looked at again.
 */
#ifndef JSON_H
#define JSON_H

#include "text.h"

enum { JSON_DEPTH = 32 }; /* objects and arrays within each other, at most */

enum json_error { JSON_NONE, JSON_INVALID, JSON_TOO_DEEP };

struct json {
	char *text;
	size_t length;
	size_t at;	/* the next byte; after an error the one that is wrong */
	unsigned depth; /* objects and arrays entered */
	bool first;	/* nothing of the innermost one has been read */
	bool strict;	/* the caller's to set after json_init: not even that comma */
	enum json_error error; /* stays, and fails all further calls */
};

void json_init(struct json *, char *text, size_t length);

/*
 * The first byte of the next value, which tells its kind: { [ " t f n, or - or a digit;
 * anything else where there is none.
 */
char json_kind(struct json *);

/* The next value, whole and checked to its end.  False on an error. */
bool json_value(struct json *, struct span *value);

/*
 * Goes into the object or array (open: '{' or '[') that comes next.  Then one
 * call a member; at the closing bracket `end` is set and the call is false.
 * A member's key is the span within its quotes, as json_equal takes it.
 */
bool json_enter(struct json *, char open);
bool json_key(struct json *, struct span *key, bool *end); /* its value is still to come */
bool json_member(struct json *, struct span *key, struct span *value, bool *end);
bool json_element(struct json *, struct span *value, bool *end);

/* True if nothing but white space is left. */
bool json_finish(struct json *);

/* A string's contents: its span without the quotes. */
struct span json_contents(struct span string);

/* Compares a string's contents, unescaped, with an ASCII name. */
bool json_equal(struct span contents, const char *name);

enum { JSON_NO_ROOM = -1, JSON_LONE_SURROGATE = -2 };

/*
 * A string's contents without its escapes, as UTF-8, at `out`, which may be
 * the contents' own place: the result is never longer.  Returns its length, or
 * JSON_NO_ROOM if that is above `size`.  Half a surrogate pair is no character:
 * JSON_LONE_SURROGATE, or if `keep_lone` three bytes in the manner of UTF-8 (WTF-8).
 */
long json_unescape(struct span contents, char *out, size_t size, bool keep_lone);

/*
 * How many bytes at the front stand for themselves in a string, and are ASCII: neither
 * quote nor backslash nor control character.
 */
size_t json_plain(const char *data, size_t length);

/* What stands for such a character behind a backslash; NUL: only its number does. */
char json_letter(char c);

/* Adds text as the contents of a JSON string; the quotes are the caller's. */
void json_escape(struct text *, const char *data, size_t length);

#endif
