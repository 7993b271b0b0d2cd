#define _GNU_SOURCE /* MADV_DONTNEED, setgroups, system calls by number */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* As in logfile.c. */
#ifdef __GLIBC__
#if !__GLIBC_PREREQ(2, 34)
#define _Fork fork
#endif
#endif

#ifdef __linux__

#include <sys/syscall.h>

/* On architectures that once had 16-bit user ids, the plain calls still take these. */
#ifdef SYS_setuid32
#define CALL(name) SYS_##name##32
#else
#define CALL(name) SYS_##name
#endif

/* These system calls change one thread, and there is only one.  The functions of libc
 * link code that changes all threads. */
bool
sandbox_become(uint32_t user, uint32_t group, const uint32_t *groups, size_t count)
{
	return syscall(CALL(setgroups), count, groups) == 0 &&
	       syscall(CALL(setgid), group) == 0 && syscall(CALL(setuid), user) == 0;
}

#else

bool
sandbox_become(uint32_t user, uint32_t group, const uint32_t *groups, size_t count)
{
	_Static_assert(sizeof(gid_t) == sizeof *groups, "groups is an array of gid_t");
	return setgroups((int)count, groups) == 0 && setgid(group) == 0 &&
	       setuid(user) == 0;
}

#endif

bool
sandbox_can(const char *file, enum sandbox_access access_to)
{
	if (access_to == SANDBOX_CREATE)
		return access(file, W_OK | X_OK) == 0;
	int fd = open(file, (access_to == SANDBOX_READ ? O_RDONLY : O_WRONLY | O_APPEND) |
				O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

int
sandbox_can_as(const char *file, enum sandbox_access access_to, uint32_t user,
	       uint32_t group, const uint32_t *groups, size_t count)
{
	const struct sigaction action = { .sa_handler = SIG_DFL };
	int status;

	/* A parent may have left it ignored; then there would be no status. */
	sigaction(SIGCHLD, &action, NULL);
	pid_t pid = _Fork();
	if (pid == 0) {
		bool failed = !sandbox_become(user, group, groups, count) ||
			      !sandbox_can(file, access_to);
		_exit(failed ? errno : 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status)
		   ? WEXITSTATUS(status)
		   : 0;
}

/* 0 leaves the filter out: sanitizers need other system calls. */
#ifndef HAVE_SANDBOX
#define HAVE_SANDBOX 1
#endif

#if defined __linux__ && HAVE_SANDBOX

#include <linux/audit.h>
#include <linux/filter.h>
#include <link.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/*
 * The filter allows one calling convention, because the same number means another call in
 * another convention: an x86_64 program can not make calls of i386.  Calls of x32 have a
 * bit set that no number here has.
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
 * Calls that are allowed with any arguments, the most frequent first.  Some functions of
 * libc have several calls here: the one they use depends on the library, the architecture
 * and the kernel.
 */
static const uint16_t calls[] = {
	SYS_ppoll,
#ifdef SYS_ppoll_time64
	SYS_ppoll_time64,
#endif
	SYS_recvfrom,
#ifdef SYS_recv
	SYS_recv,
#endif
/* clocks, on kernels whose vDSO has none */
#ifdef SYS_clock_gettime
	SYS_clock_gettime,
#endif
#ifdef SYS_clock_gettime32
	SYS_clock_gettime32, /* musl's name where time_t has 64 bits */
#endif
#ifdef SYS_clock_gettime64
	SYS_clock_gettime64,
#endif
	SYS_writev,
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
#ifdef SYS_getrandom
	SYS_getrandom,
#endif
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
#ifdef SYS_stat
	SYS_stat, /* musl's stat on x86_64 */
#endif
#ifdef SYS_stat64
	SYS_stat64,
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
	/* libc would take the error code of brk for a new break, and so for success. */
	SYS_brk,
	SYS_exit,
	SYS_exit_group,
};

/*
 * A condition on 32 bits of an argument: its bits of `mask` equal `value`.  Conditions on
 * the same call are tested in order.  One that is `enough` allows the call if it holds.
 * Any other refuses the call if it does not hold.  After the last one the call is
 * allowed.
 */
struct condition {
	uint16_t call;
	uint8_t word; /* of the arguments: LOW(n) or HIGH(n) */
	bool enough;
	uint32_t mask, value;
};

#define LOW(argument)  (2 * (argument))
#define HIGH(argument) (2 * (argument) + 1)
#define ALL	       UINT32_MAX
#define SEND_FLAGS     (MSG_NOSIGNAL | MSG_MORE | MSG_DONTWAIT)
#define SOCKET_FLAGS   (SOCK_CLOEXEC | SOCK_NONBLOCK)

enum {
	CALLS = sizeof calls / sizeof *calls,
	CONDITIONS = 16,		    /* maximum number */
	LENGTH = 8 + CALLS + 6 * CONDITIONS /* maximum number of instructions */
};

_Static_assert(CALLS < UINT8_MAX, "a jump over all calls fits into 8 bits");

struct program {
	struct sock_filter filter[LENGTH];
	unsigned short length;
};

static void
put(struct program *p, struct sock_filter instruction)
{
	p->filter[p->length++] = instruction;
}

static void
put_load(struct program *p, size_t offset)
{
	put(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Skips `then` instructions if the loaded value equals `value`, else `otherwise`. */
static void
put_compare(struct program *p, uint32_t value, size_t then, size_t otherwise)
{
	put(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value,
					    (uint8_t)then, (uint8_t)otherwise));
}

static void
put_return(struct program *p, bool allowed)
{
	put(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
					    allowed ? SECCOMP_RET_ALLOW
						    : SECCOMP_RET_ERRNO | EPERM));
}

static void
put_condition(struct program *p, const struct condition *c)
{
	const unsigned swap = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;

	put_load(p, offsetof(struct seccomp_data, args) +
			(c->word ^ swap) * sizeof(uint32_t));
	put(p, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, c->mask));
	put_compare(p, c->value, c->enough ? 0 : 1, c->enough ? 1 : 0);
	put_return(p, c->enough);
}

/*
 * Tests arguments.  The kernel reads an `int` from the low half of an argument, so the
 * conditions test only that half.
 *
 * - sendto: the flags exclude MSG_FASTOPEN, which connects a TCP socket.  The kernel
 *   ignores the address if its length is 0; otherwise it must be syslog's.
 * - socket: a datagram socket can not reach a stream service.
 * - setsockopt: TCP_ULP and other options load kernel modules.
 */
static void
put_conditions(struct program *p, const void *syslog)
{
	const uint64_t address = (uintptr_t)syslog;
	const struct condition conditions[] = {
		{ SYS_sendto, LOW(3), false, ~(uint32_t)SEND_FLAGS, 0 },
		{ SYS_sendto, LOW(5), true, ALL, 0 },
		{ SYS_sendto, LOW(4), false, ALL, (uint32_t)address },
		{ SYS_sendto, HIGH(4), false, ALL, (uint32_t)(address >> 32) },
#ifdef SYS_send
		{ SYS_send, LOW(3), false, ~(uint32_t)SEND_FLAGS, 0 },
#endif
		{ SYS_madvise, LOW(2), false, ALL, MADV_DONTNEED },
		{ SYS_setsockopt, LOW(1), false, ALL, IPPROTO_TCP },
		{ SYS_setsockopt, LOW(2), true, ALL, TCP_NODELAY },
		{ SYS_setsockopt, LOW(2), false, ALL, TCP_USER_TIMEOUT },
		{ SYS_socket, LOW(0), false, ALL, AF_UNIX },
		{ SYS_socket, LOW(1), false, ~(uint32_t)SOCKET_FLAGS, SOCK_DGRAM },
		{ SYS_fcntl, LOW(1), false, ALL, F_SETFD }, /* of musl's open() */
#ifdef SYS_fcntl64
		{ SYS_fcntl64, LOW(1), false, ALL, F_SETFD },
#endif
	};
	const size_t count = sizeof conditions / sizeof *conditions;

	_Static_assert(sizeof conditions / sizeof *conditions <= CONDITIONS,
		       "CONDITIONS is the maximum");
	for (size_t i = 0, end; i < count; i = end) {
		for (end = i; end < count && conditions[end].call == conditions[i].call;)
			end++;
		put_compare(p, conditions[i].call, 0, 4 * (end - i) + 1);
		for (size_t j = i; j < end; j++)
			put_condition(p, &conditions[j]);
		put_return(p, true);
	}
}

#ifdef __i386__

/*
 * Allows socketcall, which makes any call on sockets, where it is needed.  Its arguments
 * are in memory, which a filter can not read.  glibc needs it; musl needs it only before
 * Linux 4.3, which has no separate calls.
 */
static void
put_socketcall(struct program *p)
{
#ifndef __GLIBC__
	if (syscall(SYS_socket, -1, 0, 0) >= 0 || errno != ENOSYS)
		return;
#endif
	put_compare(p, SYS_socketcall, 0, 1);
	put_return(p, true);
}

#else

static void
put_socketcall(struct program *p)
{
	(void)p;
}

#endif

/* The ELF header of this program, a symbol of ld. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/*
 * Makes the RELRO segment read-only: constants that have been relocated, such as tables
 * of functions.  The dynamic linker does that; the start code of musl's static programs
 * does not.
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
sandbox_enter(const void *syslog)
{
	struct program p = { .length = 0 };

	protect_relocated();
	put_load(&p, offsetof(struct seccomp_data, arch));
	put_compare(&p, ARCH, 1, 0);
	put_return(&p, false);
	put_load(&p, offsetof(struct seccomp_data, nr));
	put_conditions(&p, syslog);
	put_socketcall(&p);
	for (size_t i = 0; i < CALLS; i++)
		put_compare(&p, calls[i], CALLS - i, 0);
	put_return(&p, false);
	put_return(&p, true);
	struct sock_fprog program = { p.length, p.filter };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

#else

bool
sandbox_enter(const void *syslog)
{
	(void)syslog;
	return false;
}

#endif
