/*
 * Checks of `videre -n` beyond reading the configuration, the certificate, the key and
 * the secrets.  The start uses some of them.
 */
#ifndef CHECK_H
#define CHECK_H

#include "conf.h"
#include "sandbox.h"

/*
 * Tries to access a file with the rights that the server has after its start: those of
 * User if the process is root.  Returns 0 or the errno of the failure.
 */
int check_access(const struct conf *, const char *file, enum sandbox_access);

/* Logs, at level info, if no interface has the address.  Its port is ignored. */
void check_address(const struct socket_address *);

/*
 * Logs, at level info, settings that seldom do what the operator intended.  Logs, at
 * level warn, each step of the start that will fail: listening, the change to User, and
 * opening or rotating Log.
 *
 * Changes and creates nothing, so it can run next to a server with the same
 * configuration.  A port in use is therefore no error: that server may use it.
 */
void check_start(const struct conf *);

/* Logs only the settings, as check_start does; the start calls this one. */
void check_settings(const struct conf *);

#endif
