/*
 * Confinement: the user that the server runs as, and a filter that allows only the system
 * calls that the started server needs.  Code that an attacker runs in it can use no
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

/*
 * Allows from here on only the system calls of the loop, the log and the certificates:
 *
 * - Any other call fails with EPERM.
 * - No program that is executed gains privileges.
 * - No socket can be connected.
 * - sendto works only to the address `syslog`, a sockaddr_un in read-only memory.
 *
 * Returns false if this kernel or this build has no filter (seccomp(2)); then only the
 * second point holds.
 */
bool sandbox_enter(const void *syslog);

#endif
