/* What `videre -n` tries, beyond reading the configuration and the certificate. */
#ifndef CHECK_H
#define CHECK_H

#include "conf.h"
#include "sandbox.h"

/*
 * Tries to access a file as the server will after its start: as User if that will be
 * another user.  Returns 0 or the errno of the failure.
 */
int check_access(const struct conf *, const char *file, enum sandbox_access);

/* Logs, at level info, an address of Host that no interface has. */
void check_address(const struct socket_address *);

/*
 * Logs settings that seldom do what was intended, at level info, and what will fail at
 * the start, at level warn: listening, changing to User, and writing Log.
 *
 * It changes and creates nothing, so a server can run with the same configuration.  For
 * this reason a port in use is not an error: the running server uses it.
 */
void check_start(const struct conf *);

/* The settings only. */
void check_settings(const struct conf *);

#endif
