/* Random bytes of the kernel's generator, which has no seed for a while after some boots.
 */
#ifndef ENTROPY_H
#define ENTROPY_H

#include <stdbool.h>
#include <stddef.h>

enum { ENTROPY_MOST = 256 }; /* bytes in one call */

/* Would entropy_get return without waiting for the generator's seed? */
bool entropy_ready(void);

/*
 * Fills `data` with at most ENTROPY_MOST bytes; waits until the generator has its seed.
 * Kernels before Linux 3.17, and sandboxes without getrandom, have /dev/random to wait
 * for and /dev/urandom to read.  False with errno set.
 */
bool entropy_get(void *data, size_t length);

/* The same, but false where it would wait. */
bool entropy_try(void *data, size_t length);

#endif
