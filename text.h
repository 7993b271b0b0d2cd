/* Text: spans of it, building it within a bound, checking it, hashing it. */
#ifndef TEXT_H
#define TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that somebody else owns; not terminated. */
struct span {
	const char *data;
	size_t length;
};

bool span_is(struct span, const char *string);
bool span_same(struct span, struct span);
/* The same for ASCII without regard to case. */
bool span_is_nocase(struct span, const char *string);
bool span_same_nocase(struct span, struct span);

/*
 * A text being built in memory of the caller's.  What does not fit is left out
 * whole and sets `overflow`, which stays set, and nothing is added after it: so
 * a series of puts needs one check at its end.  Never terminated.
 */
struct text {
	char *data;
	size_t size;   /* bytes there is room for */
	size_t length; /* bytes written */
	bool overflow;
};

void text_init(struct text *, void *data, size_t size);
void text_put(struct text *, const void *data, size_t length);
void text_char(struct text *, char);
void text_string(struct text *, const char *string);
void text_span(struct text *, struct span);
void text_number(struct text *, uint64_t);
/* Lower-case hexadecimal, exactly `digits` (at most 8) of it. */
void text_hex(struct text *, uint32_t, unsigned digits);
/* Decimal with leading zeros, exactly `digits` (at most 9) of it. */
void text_padded(struct text *, uint32_t, unsigned digits);
/*
 * What a stranger sent, fit for one line of a log: printable ASCII save the
 * backslash stays, all else becomes \xHH; past `most` bytes it is cut with "...".
 */
void text_escaped(struct text *, const void *data, size_t length, size_t most);
/* The same in quotes; the ones within become \x22. */
void text_quoted(struct text *, struct span, size_t most);
/* A secret in place of which its hash is logged: ~ and 8 hexadecimal digits. */
void text_hashed(struct text *, const uint32_t key[2], struct span);
/* An IPv4 (4 bytes) or IPv6 (16 bytes, RFC 5952) address. */
void text_address(struct text *, const uint8_t *address, size_t length);

/*
 * What an errno means, for those that the server meets; any other is "error N", which
 * lasts until the next such call.  strerror would bring every one there is.
 */
const char *text_error(int error);

/* A moment, in seconds since 1970 UTC: as ISO 8601, 1994-11-06T08:49:37, ... */
void text_iso_time(struct text *, uint64_t);
/* ... and as in HTTP (RFC 9110 section 5.6.7), Sun, 06 Nov 1994 08:49:37 GMT. */
void text_http_time(struct text *, uint64_t);

/*
 * Decimal digits only, at most `most`.  False for anything else: signs, spaces,
 * an empty text, a number above `most`.
 */
bool text_to_number(struct span, uint64_t most, uint64_t *number);

/*
 * Where a check of UTF-8 (RFC 3629: shortest forms, no surrogates, nothing above
 * U+10FFFF) stands between two pieces of a text; all zero at its start.
 */
struct utf8 {
	uint8_t more;	   /* bytes that the present character still lacks */
	uint8_t low, high; /* what its next byte may be */
};

/* False at the first byte that no continuation can make valid. */
bool utf8_check(struct utf8 *, const void *data, size_t length);
/* True where the text may end: not within a character. */
bool utf8_complete(const struct utf8 *);
/* The text with U+FFFD for each part that is no UTF-8, as browsers read it (WHATWG
 * Encoding). */
void utf8_repair(struct text *, const char *data, size_t length);
/* The longest length of at most `most` that does not cut a character of valid UTF-8. */
size_t utf8_cut(const char *data, size_t length, size_t most);

/*
 * HalfSipHash-2-4 (Aumasson and Bernstein): a hash that a client who does not
 * know the key cannot make collide.
 */
uint32_t text_hash(const uint32_t key[2], const void *data, size_t length);

#endif
