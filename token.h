/*
 * Tokens, which allow a user to join a room: JWTs (RFC 7519) in compact form (RFC 7515),
 * signed with HS256 (RFC 7518 section 3.2) and one of a few secrets.
 */
#ifndef TOKEN_H
#define TOKEN_H

#include "packet.h"

#include <bearssl.h>

enum {
	TOKEN_MAX = 2048,	      /* maximum size of a token, in bytes */
	TOKEN_SECRETS_MAX = 4,	      /* maximum number of secrets in a file */
	TOKEN_SECRET_MIN = 32,	      /* minimum size of a secret in a file, in bytes */
	TOKEN_SECRET_TEXT = 43,	      /* size of a new secret, in bytes */
	TOKEN_SECONDS = 86400,	      /* default lifetime of a new token */
	TOKEN_SECONDS_MAX = 315360000 /* maximum lifetime of a new token: 10 years */
};

/*
 * Secrets, in the form that HMAC needs.  All zero: no secret, and no token is valid.  The
 * first one signs new tokens.
 */
struct token_secrets {
	br_hmac_key_context keys[TOKEN_SECRETS_MAX];
	size_t count;
};

/* Adds a secret of any size.  There must be fewer than TOKEN_SECRETS_MAX. */
void token_add_secret(struct token_secrets *, struct span secret);

/*
 * Reads secrets from a file (secret_file.h), each of at least TOKEN_SECRET_MIN bytes.
 * These bytes are the key; they are not decoded.  On failure returns false, adds the
 * reason to `error`, and does not change the secrets.
 */
bool token_load(struct token_secrets *, const char *file, struct text *error);

enum token_error {
	TOKEN_VALID,
	TOKEN_NEEDED, /* the token is empty */
	TOKEN_INVALID,
	TOKEN_EXPIRED,
	TOKEN_NOT_YET,
	TOKEN_OTHER_ROOM,
	TOKEN_OTHER_USER,
	TOKEN_NO_CLOCK,
	TOKEN_ERRORS
};

/* Error texts for clients; that of TOKEN_VALID is NULL. */
extern const char *const token_errors[TOKEN_ERRORS];

/* Claims of a token.  The spans point into the struct, so it must not be copied. */
struct token_claims {
	uint64_t signer;     /* identifies the secret that signed them */
	uint64_t expires;    /* exp, in seconds since 1970 UTC */
	uint64_t not_before; /* nbf; 0 if there is none */
	struct span room;    /* room, unescaped; its data is NULL if there is none: any */
	struct span user;    /* sub, likewise */
	char room_data[PACKET_ID];
	char user_data[PACKET_ID];
};

/*
 * Reads the claims of a token.  Returns TOKEN_VALID; or TOKEN_NEEDED or TOKEN_INVALID if
 * the token has no valid signature or no valid claims: `claims` is then undefined.
 *
 * The signature is compared with that of every secret, in constant time, before anything
 * else is read.  Header and claims are JSON objects without trailing commas, whatever the
 * order of their members; of duplicates the last one counts.  The header needs "alg":
 * "HS256" and must not have "crit".
 *
 * exp (required) and nbf are integers from 0 to 2^63 - 1, without fraction or exponent.
 * room and sub are strings of at most PACKET_ID bytes.  Any other value, even null, makes
 * the token invalid.  Other members are ignored.
 */
enum token_error token_read(const struct token_secrets *, struct span token,
			    struct token_claims *claims);

/*
 * Checks claims for a room and a user; NULL: any room, any user.  `now` is token_now().
 * Returns TOKEN_VALID or the first error in this order:
 *
 * - TOKEN_INVALID: the secret that signed the claims has been removed.
 * - TOKEN_NO_CLOCK: `now` is 0.
 * - TOKEN_EXPIRED, TOKEN_NOT_YET, TOKEN_OTHER_ROOM, TOKEN_OTHER_USER.
 */
enum token_error token_check_claims(const struct token_secrets *,
				    const struct token_claims *, const struct span *room,
				    const struct span *user, uint64_t now);

/* Both. */
enum token_error token_check(const struct token_secrets *, struct span token,
			     const struct span *room, const struct span *user,
			     uint64_t now, struct token_claims *claims);

/* Returns the seconds since 1970 UTC; 0 if the clock is not set (TEXT_RELEASED). */
uint64_t token_now(void);

/*
 * Adds a token for a room and a user, which must be valid UTF-8; NULL: any.  There must
 * be a secret.  Sets `overflow` if it does not fit, or is longer than TOKEN_MAX.
 */
void token_put(struct text *, const struct token_secrets *, const struct span *room,
	       const struct span *user, uint64_t expires);

/*
 * These two are the commands -s and -t.  They return the exit status; if it is 1,
 * `output` is the reason.
 */

/* Writes a new random secret to a new file with mode 0600.  Adds no output. */
int token_make_secret(const char *file, struct text *output);

/*
 * Adds a token signed with the first secret of a file.  The `count` arguments are at most
 * a room ("": any), a user ("": any), and the lifetime in seconds (TOKEN_SECONDS).
 */
int token_make(const char *file, char *const *arguments, size_t count,
	       struct text *output);

#endif
