/* Decodes values of queries, forms and header fields. */
#include "http.h"

#include <string.h>

size_t
http_unescape(struct span s, char *out, bool plus)
{
	size_t length = 0;

	for (size_t i = 0; i < s.length; i++) {
		char c = s.data[i];
		if (c == '%' && s.length - i > 2 && http_hex_digit(s.data[i + 1]) >= 0 &&
		    http_hex_digit(s.data[i + 2]) >= 0) {
			c = (char)(http_hex_digit(s.data[i + 1]) << 4 |
				   http_hex_digit(s.data[i + 2]));
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		out[length++] = c;
	}
	return length;
}

/* Compares a parameter's name, after unescaping, with `name` (at most 16 bytes). */
static bool
is_named(struct span key, const char *name)
{
	char plain[3 * 16];

	if (key.length > sizeof plain)
		return false;
	size_t length = http_unescape(key, plain, true);
	return span_is((struct span){ plain, length }, name);
}

struct span
http_parameter(struct span query, const char *name)
{
	struct span found = { 0 };

	while (query.length > 0) {
		struct span value = http_take(&query, '&'), key = http_take(&value, '=');
		if (is_named(key, name))
			found = value;
	}
	return found;
}

/* Is it a cookie-value without quotes (RFC 6265 section 4.1.1)? */
static bool
is_cookie_value(struct span value)
{
	for (size_t i = 0; i < value.length; i++)
		if (value.data[i] <= ' ' || value.data[i] >= 0x7f ||
		    strchr("\",;\\", value.data[i]) != NULL)
			return false;
	return value.length > 0;
}

struct span
http_cookie(struct span cookies, const char *name, size_t most)
{
	while (cookies.length > 0) {
		struct span value = http_trim(http_take(&cookies, ';'));
		struct span key = http_trim(http_take(&value, '='));
		value = http_trim(value);
		if (span_is(key, name) && value.length <= most && is_cookie_value(value))
			return value;
	}
	return (struct span){ 0 };
}

bool
http_has_tag(struct span list, const char *tag)
{
	while (list.length > 0) {
		struct span item = http_trim(http_take(&list, ','));
		if (item.length > 2 && memcmp(item.data, "W/", 2) == 0) {
			item.data += 2;
			item.length -= 2;
		}
		if (span_is(item, tag) || span_is(item, "*"))
			return true;
	}
	return false;
}

/* Returns true for the weight "q=0", with or without decimals: not acceptable. */
static bool
is_zero_weight(struct span weight)
{
	struct span value = weight, name = http_trim(http_take(&value, '='));
	size_t zeros = 0;

	value = http_trim(value);
	while (zeros < value.length && strchr("0.", value.data[zeros]) != NULL)
		zeros++;
	return span_is_nocase(name, "q") && zeros > 0 && zeros == value.length;
}

bool
http_accepts(struct span list, const char *coding)
{
	bool others = list.data == NULL;

	while (list.length > 0) {
		struct span weight = http_take(&list, ',');
		struct span name = http_trim(http_take(&weight, ';'));
		if (span_is_nocase(name, coding))
			return !is_zero_weight(weight);
		if (span_is(name, "*"))
			others = !is_zero_weight(weight);
	}
	return others;
}
