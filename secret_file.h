/*
 * Reads files of secrets.  Each line is one secret, of printable ASCII characters without
 * spaces.  A line ends with LF or CR LF.  Empty lines are ignored.
 */
#ifndef SECRET_FILE_H
#define SECRET_FILE_H

#include "text.h"

enum {
	SECRET_FILE_MAX = 2048, /* maximum size of a file, in bytes */
	SECRET_FILE_SECRETS = 4 /* maximum number of secrets in any file */
};

/* The secrets of a file.  The spans point into the struct, so it must not be copied. */
struct secret_file {
	struct span secrets[SECRET_FILE_SECRETS];
	size_t count;
	char data[SECRET_FILE_MAX + 1];
};

/* A file must contain 1 to `most` secrets, each of at least `shortest` bytes.  `most` is
 * at most SECRET_FILE_SECRETS. */
struct secret_file_rule {
	uint8_t most, shortest;
};

/*
 * Reads a file.  On failure returns false, and adds "FILE: why" or "FILE:LINE: why" to
 * `error`.  It is an error if every user can read or write the file.  The caller must
 * wipe the struct (memory_wipe), on failure too.
 */
bool secret_file_read(struct secret_file *, const char *file, struct secret_file_rule,
		      struct text *error);

#endif
