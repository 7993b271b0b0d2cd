/* Helpers of all unit tests: cmocka, memory of exact size, and assertions about spans. */
#ifndef UNIT_H
#define UNIT_H

#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array)   (sizeof(array) / sizeof(array)[0])
#define BYTES(literal) (literal), sizeof(literal) - 1
#define SPAN(literal)  ((struct span){ BYTES(literal) })

/* Memory of exactly this size, so that the sanitizer detects any access past its end. */
static inline void *
allocate(size_t size)
{
	void *p = malloc(size > 0 ? size : 1);

	assert_non_null(p);
	return p;
}

/* The same, with a copy of the data. */
static inline void *
copy(const void *data, size_t length)
{
	return memcpy(allocate(length), data, length);
}

static inline void
write_file(const char *path, const char *text, size_t length)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

static inline struct span
span(const char *string)
{
	return (struct span){ string, strlen(string) };
}

static inline void
assert_same(struct span seen, struct span expected)
{
	char message[1024] = "";
	struct text t;

	assert_non_null(seen.data);
	if (seen.length == expected.length &&
	    memcmp(seen.data, expected.data, seen.length) == 0)
		return;
	text_init(&t, message, sizeof message - 1);
	text_escaped(&t, seen.data, seen.length, 100);
	text_string(&t, " for ");
	text_escaped(&t, expected.data, expected.length, 100);
	fail_msg("%s", message);
}

/* NULL expects the span of an absent value: no data, length 0. */
static inline void
assert_span(struct span seen, const char *expected)
{
	if (expected != NULL) {
		assert_same(seen, span(expected));
		return;
	}
	assert_null(seen.data);
	assert_int_equal(seen.length, 0);
}

static inline void
assert_text(const struct text *t, const char *expected)
{
	assert_false(t->overflow);
	assert_same((struct span){ t->data, t->length }, span(expected));
}

#endif
