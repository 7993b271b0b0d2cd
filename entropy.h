/* Random bytes of the kernel's generator, which may have no seed shortly after a boot. */
#ifndef ENTROPY_H
#define ENTROPY_H

#include <stdbool.h>
#include <stddef.h>

enum { ENTROPY_MAX = 256 }; /* maximum number of bytes in one call */

/* Returns true if entropy_get would not wait for the generator's seed. */
bool entropy_ready(void);

/*
 * Fills `data` with at most ENTROPY_MAX bytes; waits until the generator has its seed.
 * Where getrandom does not work (Linux before 3.17, some sandboxes), it waits for
 * /dev/random and reads /dev/urandom.  Returns false, with errno set, if that fails.
 */
bool entropy_get(void *data, size_t length);

/* Like entropy_get, but returns false, errno undefined, instead of waiting. */
bool entropy_try(void *data, size_t length);

#endif
