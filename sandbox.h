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
 * From here on only the system calls of the loop, the log and the certificates work;
 * every other fails with EPERM, and no program that is executed gains rights.  False,
 * with nothing changed but the latter, if this system or this build cannot do that
 * (seccomp(2)).
 */
bool sandbox_enter(void);

#endif
