/*
 * For LD_PRELOAD: a mapping gets transparent huge pages, as with "always" in
 * /sys/kernel/mm/transparent_hugepage/enabled.
 */
#define _GNU_SOURCE /* MADV_HUGEPAGE, syscall */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

void *
mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	void *start =
	    (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);

	if (start != MAP_FAILED)
		madvise(start, length, MADV_HUGEPAGE);
	return start;
}
