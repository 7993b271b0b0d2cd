/* Helpers of all fuzz targets: checks, and cutting input into pieces. */
#ifndef FUZZ_H
#define FUZZ_H

#define _GNU_SOURCE /* memfd_create, memmem */
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

_Noreturn static inline void
fuzz_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

#define CHECK(condition)                                                                 \
	((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

/* A copy in memory of exact size, so that the sanitizer detects any access past its end.
 */
static inline void *
fuzz_copy(const void *data, size_t length)
{
	void *p = malloc(length > 0 ? length : 1);

	CHECK(p != NULL);
	return length > 0 ? memcpy(p, data, length) : p;
}

static inline struct span
span_of(const char *string)
{
	return (struct span){ string, strlen(string) };
}

/* Takes the first byte of an input, which selects how the rest is used; 0 if there is
 * none. */
static inline uint8_t
fuzz_first(const uint8_t **data, size_t *length)
{
	if (*length == 0)
		return 0;
	--*length;
	return *(*data)++;
}

/* Writes a file in memory and returns its name.  There is one file, written again each
 * time. */
static inline const char *
fuzz_file(const void *data, size_t length)
{
	static char name[32];
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	}
	CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, data, length, 0) == (ssize_t)length);
	return name;
}

/* The size of the next piece, 1 to `most` (0 if that is 0), mostly small.  `cuts` is
 * seeded by the caller. */
static inline size_t
fuzz_piece(uint32_t *cuts, size_t most)
{
	static const uint8_t sizes[] = { 1, 1, 2, 3, 5, 13, 64, 255 };
	size_t size;

	*cuts = *cuts * 1664525 + 1013904223;
	size = sizes[*cuts >> 29];
	return size < most ? size : most;
}

#endif
