/*
 * For LD_PRELOAD: on SIGUSR2 the process makes system calls that a server has no reason
 * to make, and writes the result of each to stderr: 0, or errno.  None does harm.
 * FORBIDDEN_PORT is a TCP port on loopback, FORBIDDEN_STREAM and FORBIDDEN_DATAGRAM are
 * paths of UNIX sockets: the services that the process tries to reach.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static char line[1024];

/* Sockets of the kinds that the server has, created before the filter is installed. */
static int tcp[2], unix_stream;

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

static struct sockaddr_un
unix_address(const char *variable)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv(variable);

	snprintf(address.sun_path, sizeof address.sun_path, "%s",
		 path != NULL ? path : "");
	return address;
}

static long
send_to(int fd, int flags, const void *address, size_t size)
{
	return syscall(SYS_sendto, fd, "x", 1, flags | MSG_NOSIGNAL, address, size);
}

/* Calls that would reach other services of the machine. */
static void
try_services(int datagram)
{
	const char *port = getenv("FORBIDDEN_PORT");
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port =
				      htons((uint16_t)atoi(port != NULL ? port : "9")),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_un stream = unix_address("FORBIDDEN_STREAM"),
			   other = unix_address("FORBIDDEN_DATAGRAM");
	static const struct sockaddr_un same_text = { AF_UNIX, "/dev/log" };

	/* A listener that is shut down can connect. */
	shutdown(tcp[0], SHUT_RDWR);
	shutdown(tcp[1], SHUT_RDWR);
	say("connect_tcp", syscall(SYS_connect, tcp[0], &in, sizeof in));
	say("fastopen", send_to(tcp[1], MSG_FASTOPEN, &in, sizeof in));
	say("connect_stream", syscall(SYS_connect, unix_stream, &stream, sizeof stream));
	say("connect_datagram", syscall(SYS_connect, datagram, &other, sizeof other));
	say("send_stream", send_to(datagram, 0, &stream, sizeof stream));
	say("send_datagram", send_to(datagram, 0, &other, sizeof other));
	say("send_copy", send_to(datagram, 0, &same_text, sizeof same_text));
	say("unix_stream", syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0));
	say("unix_seqpacket",
	    syscall(SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	say("unix_raw", syscall(SYS_socket, AF_UNIX, SOCK_RAW, 0));
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
	say("listen", syscall(SYS_listen, unix_stream, 1));
	say("sendmsg", syscall(SYS_sendmsg, local, NULL, 0));
	say("sendmmsg", syscall(SYS_sendmmsg, local, NULL, 1, 0));
	say("oob", send_to(tcp[0], MSG_OOB, NULL, 0));
	say("cork",
	    syscall(SYS_setsockopt, tcp[0], IPPROTO_TCP, TCP_CORK, &one, sizeof one));
	say("ip", syscall(SYS_setsockopt, local, IPPROTO_IP, IP_TOS, &one, sizeof one));
	say("ptrace", syscall(SYS_ptrace, PTRACE_PEEKDATA, 0, NULL, NULL));
	say("kill", syscall(SYS_kill, getpid(), 0));
	say("unlink", syscall(SYS_unlink, ""));
	say("mmap", syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	say("mprotect",
	    syscall(SYS_mprotect, start, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	say("x32", syscall(0x40000000 + SYS_getuid));
	try_services(local);
	strcat(line, "\n");
	close(local);
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		_exit(1);
}

__attribute__((constructor)) static void
catch_signal(void)
{
	for (unsigned i = 0; i < 2; i++) {
		tcp[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (listen(tcp[i], 1) < 0)
			_exit(1);
	}
	unix_stream = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	signal(SIGUSR2, try_all);
}
