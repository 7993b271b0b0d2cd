/*
 * Shared by all proofs.  Each *_proof.c includes the server's own source and proves it
 * for one kind of input, up to the bounds that its first comment states.  Results are
 * compared with a reference that the file implements from the RFC's grammar.
 *
 * A file has functions for CBMC, which follows all inputs at once: a variable without an
 * initializer has any value.  Within the bound there is no input with which
 *
 * - a claim does not hold,
 * - an access leaves its object,
 * - a loop exceeds its bound,
 * - an integer overflows (an unsigned one only where that is not intended),
 * - a conversion loses bits.
 *
 * Each condition in reached() is true for some input, so that no proof is empty.
 *
 * Some files have a main(), which is compiled and run for larger inputs: each of a stated
 * set, one by one.  The inputs end where an unreadable page begins.
 */
#ifndef PROOF_H
#define PROOF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#ifdef __CPROVER__

/* CBMC has no SSE2 intrinsics; json.c has other code without them. */
#undef __SSE2__

#define claim(condition)  __CPROVER_assert((condition), #condition)
#define assume(condition) __CPROVER_assume(condition)

#ifdef REACHED
#define reached(condition) __CPROVER_cover(condition)
#else
#define reached(condition) ((void)0)
#endif

/* CBMC has no memchr. */
void *
memchr(const void *data, int c, size_t length)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < length; i++)
		if (p[i] == (c & 0xff))
			return (void *)(p + i);
	return NULL;
}

#else

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define claim(condition)                                                                 \
	((condition) ? (void)0 : claim_failed(#condition, __FILE__, __LINE__))

static inline void
claim_failed(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
	exit(1);
}

/* Returns the end of a writable page, after which an unreadable page begins. */
static inline unsigned char *
guarded_end(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int zero = fileno(tmpfile());

	claim(ftruncate(zero, (off_t)(2 * page)) == 0);
	unsigned char *p =
	    mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	claim(p != MAP_FAILED && mprotect(p + page, page, PROT_NONE) == 0);
	return p + page;
}

/*
 * Writes the next text of `length` (at most 31) of the `count` letters.  `odometer` is
 * all zero before the first.  Returns false after the last.
 */
static inline bool
next_text(uint16_t odometer[32], const char *letters, size_t count, size_t length,
	  unsigned char *text)
{
	if (odometer[31] == 0) {
		odometer[31] = 1;
		memset(text, letters[0], length);
		return true;
	}
	for (size_t i = length; i-- > 0;) {
		if (++odometer[i] < count) {
			text[i] = (unsigned char)letters[odometer[i]];
			return true;
		}
		odometer[i] = 0;
		text[i] = (unsigned char)letters[0];
	}
	return false;
}

#endif
#endif
