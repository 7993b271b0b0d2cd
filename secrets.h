/*
 * The secrets in use.  Loads the files that the configuration names, at start and again
 * after SIGHUP.
 */
#ifndef SECRETS_H
#define SECRETS_H

#include "conf.h"
#include "token.h"

/*
 * Loads the files of Tokens and TurnSecret, each if it is set.  On failure returns false
 * and adds the reason to `error`.  The configuration must stay valid; the caller owns it.
 * Call it before any other function here.
 */
bool secrets_load(const struct conf *, struct text *error);

/*
 * Logs, at level warn, each file that User can not read.  Call it before the process
 * becomes User and enters the sandbox.
 */
void secrets_warn(void);

/* Loads the files again, and logs the result for each.  If a file can not be loaded, its
 * previous secrets stay in use. */
void secrets_reload(void);

/* Returns the secrets that sign tokens; NULL: no token is needed. */
const struct token_secrets *secrets_of_tokens(void);

/* Returns the secret of TurnSecret, as a key of HMAC-SHA-1; NULL if it is not set. */
const br_hmac_key_context *secrets_of_turn(void);

/*
 * Logs, at level warn, that User can not read a file, so that SIGHUP will not load it
 * again.  All directories of its path must allow it too.  Does nothing unless the process
 * is root and User is set.  `key` is the configuration key that names the file.
 */
void secrets_check_access(const struct conf *, const char *file, const char *key);

/*
 * Logs that a file was loaded again, at level info, or that it was not, at level warn
 * with the reason in `error`.  `what` names the file in the line: "certificate".
 */
void secrets_log_reload(const char *what, bool loaded, const struct text *error);

#endif
