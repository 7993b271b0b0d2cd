/*
 * What the proofs share.  Each *_proof.c is about one kind of input and the server's own
 * source, and says its bounds.  It holds
 *
 * functions for CBMC, which follows all inputs at once: what is not initialized in them
 * is anything.  There is none within the bound with which a claim does not hold, an
 * access leaves its object, a loop goes on, an integer overflows (unsigned ones unless
 * that is the intention) or loses bits in a conversion.  What is said to be reached is:
 * no proof is one of nothing.
 *
 * main(), where more can be had so, compiled and run: for each input of a stated set, one
 * by one.  The inputs end where an unreadable page begins.
 *
 * What the code says is held against a reference that is written here from the RFC's
 * grammar.
 */
#ifndef PROOF_H
#define PROOF_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#ifdef __CPROVER__

/* It reads no intrinsics; json.c has another way without. */
#undef __SSE2__

#define claim(condition)  __CPROVER_assert((condition), #condition)
#define assume(condition) __CPROVER_assume(condition)

#ifdef REACHED
#define reached(condition) __CPROVER_cover(condition)
#else
#define reached(condition) ((void)0)
#endif

/* It has none of its own. */
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

/* The end of a writable page, with an unreadable one behind it. */
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
 * All texts of `length` (at most 31) of the `count` letters, one after the other.  Begins
 * with an `odometer` of zeros; false behind the last one.
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
