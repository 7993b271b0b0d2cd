/*
 * For LD_PRELOAD: on SIGUSR2 the process makes system calls that a server has no business
 * to make, none of which does harm, and tells on stderr what each came to: 0, or errno.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static char line[1024];

static void
say(const char *name, long result)
{
	size_t length = strlen(line);

	snprintf(line + length, sizeof line - length, " %s=%d", name,
		 result < 0 ? errno : 0);
}

static long
fork_once(void)
{
	long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		syscall(SYS_exit_group, 0);
	return pid;
}

static void
try_all(int number)
{
	int one = 1, local = (int)syscall(SYS_socket, AF_UNIX, SOCK_DGRAM, 0);
	static char page[8192];
	void *start = page + 4096 - (unsigned long)page % 4096;

	(void)number;
	strcpy(line, "forbidden:");
	say("unix", local);
	say("getpid", syscall(SYS_getpid));
	say("execve", syscall(SYS_execve, "", NULL, NULL));
	say("fork", fork_once());
	say("inet", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
	say("netlink", syscall(SYS_socket, AF_NETLINK, SOCK_RAW, 0));
	say("bind", syscall(SYS_bind, local, NULL, 0));
	say("ip", syscall(SYS_setsockopt, local, IPPROTO_IP, IP_TOS, &one, sizeof one));
	say("ptrace", syscall(SYS_ptrace, PTRACE_PEEKDATA, 0, NULL, NULL));
	say("kill", syscall(SYS_kill, getpid(), 0));
	say("unlink", syscall(SYS_unlink, ""));
	say("mmap", syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	say("mprotect",
	    syscall(SYS_mprotect, start, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	say("x32", syscall(0x40000000 + SYS_getuid));
	strcat(line, "\n");
	close(local);
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		_exit(1);
}

__attribute__((constructor)) static void
catch_signal(void)
{
	signal(SIGUSR2, try_all);
}
