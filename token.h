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
 * Secrets, as HMAC keys.  All zero: there are no secrets, so no token is valid.  The
 * first one signs new tokens.
 */
struct token_secrets {
	br_hmac_key_context keys[TOKEN_SECRETS_MAX];
	size_t count;
};

/* Adds a secret of any size.  `count` must be less than TOKEN_SECRETS_MAX. */
void token_add_secret(struct token_secrets *, struct span secret);

/*
 * Replaces the secrets with those of a file (secret_file.h), each of at least
 * TOKEN_SECRET_MIN bytes.  The bytes of a line are the key; they are not decoded.  On
 * failure returns false, adds the reason to `error`, and does not change the secrets.
 */
bool token_load(struct token_secrets *, const char *file, struct text *error);

enum token_error {
	TOKEN_VALID,
	TOKEN_NEEDED, /* there is no token, or it is empty */
	TOKEN_INVALID,
	TOKEN_EXPIRED,
	TOKEN_NOT_YET,
	TOKEN_OTHER_ROOM,
	TOKEN_OTHER_USER,
	TOKEN_NO_CLOCK,
	TOKEN_ERRORS
};

/* Error texts for clients; NULL for TOKEN_VALID. */
extern const char *const token_errors[TOKEN_ERRORS];

/* Claims of a token.  The spans point into the struct, so it must not be copied. */
struct token_claims {
	uint64_t signer;     /* identifies the secret of the signature */
	uint64_t expires;    /* exp, in seconds since 1970 UTC */
	uint64_t not_before; /* nbf, likewise; 0 if there is none */
	struct span room;    /* room, unescaped; its data is NULL for any room */
	struct span user;    /* sub, unescaped; its data is NULL for any user */
	char room_data[PACKET_ID];
	char user_data[PACKET_ID];
};

/*
 * Reads the claims of a token, without comparing them with a room, a user or the time.
 * Returns TOKEN_VALID; TOKEN_NEEDED if the token is empty; or TOKEN_INVALID if its
 * signature, header or claims are not valid.  On failure `claims` is undefined.
 *
 * Compares the signature with the one of every secret, in constant time, before decoding
 * the header or the claims.  Both are JSON objects without trailing commas.  Members may
 * have any order; of duplicates the last one counts.  The header must have "alg": "HS256"
 * and must not have "crit".
 *
 * exp (required) and nbf are integers from 0 to 2^63 - 1, without fraction or exponent.
 * room and sub are strings of at most PACKET_ID bytes.  Any other value of these claims,
 * even null, makes the token invalid.  Other members are ignored.
 */
enum token_error token_read(const struct token_secrets *, struct span token,
			    struct token_claims *claims);

/*
 * Checks claims for a room and a user.  If `room` or `user` is NULL, that claim is not
 * checked.  `now` is the result of token_now.  Returns TOKEN_VALID or the first error in
 * this order:
 *
 * - TOKEN_INVALID: the secret of the signature has been removed.
 * - TOKEN_NO_CLOCK: `now` is 0.
 * - TOKEN_EXPIRED, TOKEN_NOT_YET, TOKEN_OTHER_ROOM, TOKEN_OTHER_USER.
 */
enum token_error token_check_claims(const struct token_secrets *,
				    const struct token_claims *, const struct span *room,
				    const struct span *user, uint64_t now);

/* Calls token_read, and token_check_claims if the token is valid. */
enum token_error token_check(const struct token_secrets *, struct span token,
			     const struct span *room, const struct span *user,
			     uint64_t now, struct token_claims *claims);

/* Returns the seconds since 1970 UTC; 0 if they are less than TEXT_RELEASED: the clock is
 * not set. */
uint64_t token_now(void);

/*
 * Adds a token for a room and a user, which must be valid UTF-8; NULL: any.  `expires` is
 * in seconds since 1970 UTC.  There must be a secret.  Sets `overflow` if the token does
 * not fit, or is longer than TOKEN_MAX.
 */
void token_put(struct text *, const struct token_secrets *, const struct span *room,
	       const struct span *user, uint64_t expires);

/*
 * The commands -s and -t.  Both return the exit status.  If it is 1, they add the reason
 * to `output`.
 */

/* Writes a random secret to a new file with mode 0600.  An existing file is an error. */
int token_make_secret(const char *file, struct text *output);

/*
 * Adds a token signed with the first secret of a file.  There are 0 to 3 `arguments`: a
 * room ("": any), a user ("": any), and the lifetime in seconds (default: TOKEN_SECONDS).
 */
int token_make(const char *file, char *const *arguments, size_t count,
	       struct text *output);

#endif
