/*
 * The secrets in use, from the files that the configuration names: loads them at start
 * and again after SIGHUP.
 */
#ifndef SECRETS_H
#define SECRETS_H

#include "conf.h"
#include "token.h"

/*
 * Loads the files of Tokens and TurnSecret that there are.  On failure returns false and
 * adds the reason to `error`.  The configuration must stay valid; the caller owns it.
 */
bool secrets_load(const struct conf *, struct text *error);

/*
 * At start, before the change to User and the sandbox: logs at level warn which files
 * User can not read.
 */
void secrets_warn(void);

/* Loads the files again.  On failure the secrets in use do not change.  Logs both. */
void secrets_reload(void);

/* Returns the secrets that sign tokens; NULL: no token is needed. */
const struct token_secrets *secrets_of_tokens(void);

/* Returns the key of HMAC-SHA-1 that TurnSecret has; NULL: none. */
const br_hmac_key_context *secrets_of_turn(void);

/*
 * Logs a warning if the file can be read now, by root, but not after the change to User.
 * Each directory on the way counts.  `key` is the configuration key that names the file.
 */
void secrets_check_access(const struct conf *, const char *file, const char *key);

/*
 * Logs that a file was loaded again, at level info; or at warn that it was not, which
 * `error` explains.  `what` names it: "certificate".
 */
void secrets_log_reload(const char *what, bool loaded, const struct text *error);

#endif
