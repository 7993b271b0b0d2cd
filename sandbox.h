/*
 * Confinement: the user that the server runs as, and a filter that allows only the system
 * calls that the server needs after its start.  Code that an attacker injects can make no
 * others.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Changes the process to this user and group and to exactly these groups, irreversibly.
 * On failure returns false and sets errno.  Only for a program of one thread.
 */
bool sandbox_become(uint32_t user, uint32_t group, const uint32_t *groups, size_t count);

enum sandbox_access {
	SANDBOX_READ,	/* opens a file for reading */
	SANDBOX_APPEND, /* opens a file that exists for appending */
	SANDBOX_CREATE	/* creates and renames files in a directory */
};

/* Tries to access a file or directory, changing nothing.  On failure returns false and
 * sets errno. */
bool sandbox_can(const char *file, enum sandbox_access);

/*
 * The same as another user, in a process of its own.  Returns 0 or the errno of the
 * failure.  Sets SIGCHLD to its default.
 */
int sandbox_can_as(const char *file, enum sandbox_access, uint32_t user, uint32_t group,
		   const uint32_t *groups, size_t count);

/*
 * Allows only the system calls of the loop, the log and the certificates from now on:
 *
 * - Any other call fails with EPERM.
 * - A program that is executed gains no privileges.
 * - No socket can be connected.
 * - sendto works only to the address `syslog`, a sockaddr_un in read-only memory.
 *
 * Returns false without a filter (seccomp(2)).  If the kernel has none, only the second
 * point holds; if this build has none, no point holds.
 */
bool sandbox_enter(const void *syslog);

#endif
