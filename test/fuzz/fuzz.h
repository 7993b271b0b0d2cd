/* What the fuzz targets share: failing, and cutting input into pieces. */
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

/* Exactly sized memory, so that the sanitizer sees any access past its end. */
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

/* Takes the first byte of an input off it: it says how the rest is used. */
static inline uint8_t
fuzz_first(const uint8_t **data, size_t *length)
{
	if (*length == 0)
		return 0;
	--*length;
	return *(*data)++;
}

/* A file in memory with this in it; there is one, and this is its name. */
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

/* The sizes of pieces, from 1 and mostly small; all zero but for a seed at first. */
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
