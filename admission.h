/*
 * Which sessions may join a room, if Tokens is set: keeps the token of each session's
 * URL, checks the tokens of packets, counts the checks, and logs refusals.
 */
#ifndef ADMISSION_H
#define ADMISSION_H

#include "memory.h"
#include "packet.h"
#include "token.h"

/*
 * Takes the memory (memory.h: called in both passes) for sessions 1 to `sessions`.  The
 * secrets must stay valid, but can change; NULL: no token is needed.  `key` is that of
 * rooms_place, for the hashes of rooms in the log.
 */
void admission_place(struct memory *, const struct token_secrets *, uint32_t sessions,
		     const uint32_t key[2]);

/*
 * A session begins: keeps the claims of the parameter `token` in the query of its URL,
 * which is still escaped.  The signature is checked only here.
 */
void admission_open(uint32_t session, struct span query);

/*
 * Checks the token of a connect packet, for its room and user: the member Token of its
 * Payload, otherwise the token of the session.  Returns NULL if the session may join, or
 * an error text.
 */
const char *admission_check(uint32_t session, const struct packet *);

/* Returns true if the token of the session is valid for a room. */
bool admission_allows_room(uint32_t session, struct span room);

/*
 * Logs a refusal of a room, whose line has its hash since it is secret; NULL: of /ice.
 * Each of these two kinds has at most one line a second, with the number of the others.
 */
void admission_log_refusal(struct span client, const struct span *room,
			   enum token_error error);

/* Connect packets, while Tokens is set. */
struct admission_counters {
	uint64_t accepted;
	uint64_t refused[TOKEN_ERRORS - 1]; /* by enum token_error, without TOKEN_VALID */
};

const struct admission_counters *admission_count(void);

#endif
