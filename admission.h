/*
 * Decides which sessions may join a room, if Tokens is set.  Keeps the claims of the
 * token in each session's URL, checks tokens in packets, counts the results, and logs
 * refusals.
 */
#ifndef ADMISSION_H
#define ADMISSION_H

#include "memory.h"
#include "packet.h"
#include "token.h"

/*
 * Allocates the tokens of sessions 1 to `sessions`.  Call it before and after memory_map,
 * like memory_take.  Without secrets (NULL) no token is needed and no memory is taken.
 * The secrets belong to the caller and must stay valid; a reload may change them.
 * `key` is the one of rooms_place: it keys the hashes of rooms in the log.
 */
void admission_place(struct memory *, const struct token_secrets *, uint32_t sessions,
		     const uint32_t key[2]);

/*
 * Reads the token of a new session and keeps its claims.  The token is the parameter
 * `token` of `query`, the query of the session's URL, still escaped.  Verifies the
 * signature; later checks only need its secret to be still in use.
 */
void admission_open(uint32_t session, struct span query);

/*
 * Checks the token of a connect packet, for the packet's room and user.  The token is the
 * member Token of the Payload, otherwise the token of the session.  Counts the result,
 * and logs a refusal.  Returns NULL if the session may join, or an error text.
 */
const char *admission_check(uint32_t session, const struct packet *);

/* Returns true if the session's token is valid for a room, or no token is needed. */
bool admission_allows_room(uint32_t session, struct span room);

/*
 * Logs, at level warn, that a token was refused for `room`, or for /ice if it is NULL.
 * The line has a hash of the room, because its name is secret.  Each of the two kinds has
 * at most one line a second; a line reports the number of refusals since the last line.
 */
void admission_log_refusal(struct span client, const struct span *room,
			   enum token_error error);

/* Results of admission_check, while Tokens is set. */
struct admission_counters {
	uint64_t accepted;
	uint64_t refused[TOKEN_ERRORS - 1]; /* by enum token_error, without TOKEN_VALID */
};

const struct admission_counters *admission_count(void);

#endif
