#define _GNU_SOURCE /* MADV_DONTNEED, setgroups, system calls by number */
#include "sandbox.h"

#include <grp.h>
#include <unistd.h>

#ifdef __linux__

#include <sys/syscall.h>

/* Some architectures had 16 bits for a user once, and those calls still. */
#ifdef SYS_setuid32
#define CALL(name) SYS_##name##32
#else
#define CALL(name) SYS_##name
#endif

/* Linux changes a thread, and this is the only one; libc brings what changes all. */
bool
sandbox_become(uint32_t user, uint32_t group)
{
	return syscall(CALL(setgroups), 0, NULL) == 0 &&
	       syscall(CALL(setgid), group) == 0 && syscall(CALL(setuid), user) == 0;
}

#else

bool
sandbox_become(uint32_t user, uint32_t group)
{
	return setgroups(0, NULL) == 0 && setgid(group) == 0 && setuid(user) == 0;
}

#endif

/* 0 leaves it out: sanitizers make system calls of their own. */
#ifndef HAVE_SANDBOX
#define HAVE_SANDBOX 1
#endif

#if defined __linux__ && HAVE_SANDBOX

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <link.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/*
 * The numbers mean what they should in one calling convention only, of those that a
 * kernel may have: x86_64 refuses the calls of i386 so.  Those of x32 have bits that no
 * number here has.
 */
#if defined __x86_64__ && !defined __ILP32__
#define ARCH AUDIT_ARCH_X86_64
#elif defined __i386__
#define ARCH AUDIT_ARCH_I386
#elif defined __aarch64__ && defined __AARCH64EL__
#define ARCH AUDIT_ARCH_AARCH64
#elif defined __ARM_EABI__ && defined __ARMEL__
#define ARCH AUDIT_ARCH_ARM
#elif defined __mips__ && _MIPS_SIM == _ABIO32 && defined __MIPSEB__
#define ARCH AUDIT_ARCH_MIPS
#elif defined __mips__ && _MIPS_SIM == _ABIO32
#define ARCH AUDIT_ARCH_MIPSEL
#elif defined __powerpc__ && !defined __powerpc64__
#define ARCH AUDIT_ARCH_PPC
#elif defined __riscv && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#endif

#endif

#ifdef ARCH

/*
 * Those that may be made in any way, the most frequent first.  Which one a function of
 * libc makes differs by library, architecture and age of the kernel, so there are several
 * for some.
 */
static const uint16_t calls[] = {
	SYS_ppoll,
#ifdef SYS_ppoll_time64
	SYS_ppoll_time64,
#endif
	SYS_recvfrom,
	SYS_sendto,
#ifdef SYS_recv
	SYS_recv,
	SYS_send,
#endif
#ifdef __i386__
	/* Before Linux 4.3, and for glibc, the way to all of a socket's calls.  What is
	 * asked of it lies in memory, where a filter cannot look. */
	SYS_socketcall,
#endif
/* where the vDSO has no clock */
#ifdef SYS_clock_gettime
	SYS_clock_gettime,
#endif
#ifdef SYS_clock_gettime32
	SYS_clock_gettime32, /* musl's name for it where time_t is longer */
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64,
#endif
	SYS_write,
	SYS_rt_sigprocmask,
	SYS_accept4,
	SYS_shutdown,
	SYS_close,
	/* signals */
	SYS_rt_sigreturn,
#ifdef SYS_sigreturn
	SYS_sigreturn,
#endif
	SYS_getpid,
/* files */
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_open
	SYS_open,
#endif
	SYS_openat,
	SYS_read,
	SYS_fstat,
#ifdef SYS_fstat64
	SYS_fstat64,
#endif
#ifdef SYS_fstatat64
	SYS_fstatat64,
#endif
#ifdef SYS_newfstatat
	SYS_newfstatat,
#endif
#ifdef SYS_statx
	SYS_statx,
#endif
	SYS_ftruncate,
#ifdef SYS_ftruncate64
	SYS_ftruncate64,
#endif
#ifdef SYS_rename
	SYS_rename,
#endif
#ifdef SYS_renameat
	SYS_renameat,
#endif
#ifdef SYS_renameat2
	SYS_renameat2,
#endif
#ifdef SYS_mkdir
	SYS_mkdir,
#endif
	SYS_mkdirat,
	/* the log's socket */
	SYS_connect,
	/* A heap that must not grow could not be told from one that did. */
	SYS_brk,
	SYS_exit,
	SYS_exit_group,
};

/* Those that may be made only with this argument. */
static const struct {
	uint16_t call;
	uint8_t argument, value;
} limited[] = {
	{ SYS_socket, 0, AF_UNIX }, /* the log's */
	{ SYS_setsockopt, 1, IPPROTO_TCP }, { SYS_madvise, 2, MADV_DONTNEED },
	{ SYS_fcntl, 1, F_SETFD }, /* of musl's open() */
#ifdef SYS_fcntl64
	{ SYS_fcntl64, 1, F_SETFD },
#endif
};

enum {
	CALLS = sizeof calls / sizeof *calls,
	LIMITED = sizeof limited / sizeof *limited,
	LENGTH = 3 + CALLS + 3 * LIMITED + 2,
	DENY = LENGTH - 2,
	ALLOW = LENGTH - 1
};

static const struct sock_filter deny =
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
static const struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

_Static_assert(LENGTH <= UINT8_MAX, "jumps reach the end");

static struct sock_filter
load(size_t offset)
{
	return (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset);
}

/* The low half of an argument, as the kernel reads those that are int. */
static struct sock_filter
load_argument(unsigned argument)
{
	const bool big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

	return load(offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) +
		    (big_endian ? sizeof(uint32_t) : 0));
}

/* At `at`: if it is this value, to `then`, else to `otherwise`. */
static struct sock_filter
compare(uint32_t value, size_t at, size_t then, size_t otherwise)
{
	return (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value,
					    (uint8_t)(then - at - 1),
					    (uint8_t)(otherwise - at - 1));
}

/* The program's own first bytes, by ld. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/*
 * What nobody writes any more once a program has been relocated, such as tables of
 * functions. The dynamic linker has seen to it; the start of musl's static programs does
 * not.
 */
static void
protect_relocated(void)
{
	const uintptr_t page = (uintptr_t)getpagesize(),
			program = (uintptr_t)&__ehdr_start;
	const ElfW(Phdr) *p = (const ElfW(Phdr) *)(program + __ehdr_start.e_phoff);

	for (unsigned i = 0; i < __ehdr_start.e_phnum; i++, p++) {
		uintptr_t start =
		    p->p_vaddr + (__ehdr_start.e_type == ET_DYN ? program : 0);
		uintptr_t first = start / page * page,
			  end = (start + p->p_memsz) / page * page;
		if (p->p_type == PT_GNU_RELRO && first < end)
			mprotect((void *)first, end - first, PROT_READ);
	}
}

bool
sandbox_enter(void)
{
	struct sock_filter filter[LENGTH];
	struct sock_fprog program = { LENGTH, filter };
	size_t at = 0;

	protect_relocated();
	filter[at++] = load(offsetof(struct seccomp_data, arch));
	filter[at] = compare(ARCH, at, at + 1, DENY);
	at++;
	filter[at++] = load(offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < CALLS; i++, at++)
		filter[at] = compare(calls[i], at, ALLOW, at + 1);
	for (size_t i = 0; i < LIMITED; i++, at += 3) {
		filter[at] = compare(limited[i].call, at, at + 1, at + 3);
		filter[at + 1] = load_argument(limited[i].argument);
		filter[at + 2] = compare(limited[i].value, at + 2, ALLOW, DENY);
	}
	filter[DENY] = deny;
	filter[ALLOW] = allow;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#else

bool
sandbox_enter(void)
{
	return false;
}

#endif
