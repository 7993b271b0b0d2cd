/*
 * Confinement: once started, the server needs few system calls, and whoever took it over
 * would find no others.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

/*
 * This process is that user's and group's from here on, with no further groups, and
 * cannot go back.  False, with errno, if it may not.  For a program of one thread.
 */
bool sandbox_become(uint32_t user, uint32_t group);

/*
 * Allows only the system calls of the loop, the log and the certificates from here on;
 * every other call fails with EPERM, and no program that is executed gains rights.  No
 * socket can be connected.  `syslog` is the only address that sendto may be given: a
 * sockaddr_un in read-only memory.  False, with only the gain of rights prevented, if
 * this system or this build has no filter (seccomp(2)).
 */
bool sandbox_enter(const void *syslog);

#endif
