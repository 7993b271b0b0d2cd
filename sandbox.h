/*
 * Confinement: once started, the server needs few system calls, and whoever took it over
 * would find no others.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Makes the process that user's and group's, with these groups and no others, without a
 * way back.  False, with errno, if it may not.  For a program of one thread.
 */
bool sandbox_become(uint32_t user, uint32_t group, const uint32_t *groups, size_t count);

/*
 * Allows only the system calls of the loop, the log and the certificates from here on;
 * every other call fails with EPERM, and no program that is executed gains rights.  No
 * socket can be connected.  `syslog` is the only address that sendto may be given: a
 * sockaddr_un in read-only memory.  False, with only the gain of rights prevented, if
 * this system or this build has no filter (seccomp(2)).
 */
bool sandbox_enter(const void *syslog);

#endif
