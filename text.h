/* Spans of text, a bounded text builder, conversions, UTF-8 and hashing. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A range of bytes in another owner's memory.  Not NUL-terminated. */
struct span {
	const char *data;
	size_t length;
};

bool span_is(struct span, const char *string);
bool span_same(struct span, struct span);
/* Returns the small letter of an ASCII capital, and any other byte unchanged. */
char text_lower(char);
/* These two ignore the case of ASCII letters. */
bool span_is_nocase(struct span, const char *string);
bool span_same_nocase(struct span, struct span);

/*
 * Builds a text in the caller's buffer.  It is never NUL-terminated.
 *
 * Data that does not fit sets `overflow`, and every later call adds nothing.  So a series
 * of calls needs only one check, at its end.
 *
 * The functions up to text_padded add all of their data or nothing.  Others may add a
 * part before they set `overflow`.
 */
struct text {
	char *data;
	size_t size;   /* bytes in the buffer */
	size_t length; /* bytes written */
	bool overflow;
};

void text_init(struct text *, void *data, size_t size);
void text_put(struct text *, const void *data, size_t length);
void text_char(struct text *, char);
void text_string(struct text *, const char *string);
void text_span(struct text *, struct span);
void text_number(struct text *, uint64_t);
/* Adds exactly `digits` (1 to 8) lower-case hexadecimal digits. */
void text_hex(struct text *, uint32_t, unsigned digits);
/* Adds exactly `digits` (1 to 9) decimal digits, with leading zeros. */
void text_padded(struct text *, uint32_t, unsigned digits);
/*
 * Adds untrusted bytes in a form that is safe in one line of a log.  Printable ASCII
 * except the backslash is unchanged; any other byte becomes \xHH.  A text of more than
 * `max` bytes is cut there, and "..." added.
 */
void text_escaped(struct text *, const void *data, size_t length, size_t max);
/* Like text_escaped, but in quotation marks; those in the text become \x22. */
void text_quoted(struct text *, struct span, size_t max);
/*
 * Returns the length of a path up to its first "%3f" (in any case), ";", "&" or "=".  The
 * rest can be parameters with a secret, and must not be logged.
 */
size_t text_public_length(struct span path);
/* Adds a keyed hash of a secret, to log it safely: "~" and 8 hexadecimal digits. */
void text_hashed(struct text *, const uint32_t key[2], struct span);
/* Adds an IPv4 (4 bytes) or IPv6 (16 bytes, RFC 5952) address. */
void text_address(struct text *, const uint8_t *address, size_t length);
/* The same, with an IPv6 address in brackets, as before a port (RFC 3986 section 3.2.2).
 */
void text_host(struct text *, const uint8_t *address, size_t length);

/*
 * The two forms of base64 (RFC 4648).  BASE64 (section 4) has + and / and is padded;
 * BASE64URL (section 5) has - and _ and, as JWTs have it, no padding.
 */
enum base64 { BASE64, BASE64URL };

void text_base64(struct text *, enum base64, const void *data, size_t length);

/* Returns the value of a digit, 0 to 63; -1 if the character is not a digit. */
int base64_value(char c, enum base64);

enum { BASE64_INVALID = -1, BASE64_TOO_LONG = -2 };

/*
 * Decodes base64 to `out`, which has `size` bytes and may be the memory of the text.
 * Returns the number of bytes, BASE64_INVALID or BASE64_TOO_LONG.
 *
 * BASE64 may contain white space anywhere, as in PEM files, and ignores the unused bits
 * of the last digit.  In BASE64URL these bits must be zero and every character a digit:
 * each sequence of bytes has exactly one valid form.
 */
long base64_decode(struct span, enum base64, void *out, size_t size);

/*
 * Returns the message of an errno value, for the errors that the server can meet.  For
 * any other value it is "error N", which the next such call overwrites.  strerror is not
 * used: it would link the messages of all errors.
 */
const char *text_error(int error);
/* Adds "FILE: why".  Always returns false. */
bool text_file_error(struct text *, const char *file, const char *why);

/*
 * The release of this version, in seconds since 1970 UTC.  A clock that shows an earlier
 * time is not set, as on devices without a battery.
 */
enum { TEXT_RELEASED = 1793491200 }; /* 2026-11-01 */

/* These two take a time in seconds since 1970 UTC. */

/* Adds it in ISO 8601 format: 1994-11-06T08:49:37. */
void text_iso_time(struct text *, uint64_t);
/* Adds it as an HTTP date (RFC 9110 section 5.6.7): Sun, 06 Nov 1994 08:49:37 GMT. */
void text_http_time(struct text *, uint64_t);

/*
 * Reads a decimal number of at most `max`.  Returns false for an empty span, a larger
 * number, or any byte that is not a digit; `*number` is then unchanged.
 */
bool text_to_number(struct span, uint64_t max, uint64_t *number);

/*
 * State of a UTF-8 check (RFC 3629) between two pieces of a text.  All zero at the start.
 * Overlong forms, surrogates and code points above U+10FFFF are invalid.
 */
struct utf8 {
	uint8_t missing;   /* bytes that the current character still needs */
	uint8_t low, high; /* bounds of its next byte */
};

/* Checks the next piece.  Returns false as soon as a byte makes the text invalid. */
bool utf8_check(struct utf8 *, const void *data, size_t length);
/* Returns true if the text may end here: not inside a character. */
bool utf8_complete(const struct utf8 *);
/*
 * Adds a text with U+FFFD in place of each invalid sequence, as browsers decode it
 * (WHATWG Encoding).
 */
void utf8_repair(struct text *, const char *data, size_t length);
/* Returns the largest length of at most `max` that splits no character of valid UTF-8. */
size_t utf8_cut(const char *data, size_t length, size_t max);

/*
 * HalfSipHash-2-4 (Aumasson and Bernstein).  A client that does not know the key can not
 * produce collisions on purpose.
 */
uint32_t text_hash(const uint32_t key[2], const void *data, size_t length);

#endif
