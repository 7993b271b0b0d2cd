#include "admission.h"

#include "conn.h"
#include "json.h"
#include "log.h"
#include "session.h"

enum { LOG_MS = 1000 }; /* minimum time between two lines of one kind */

/* The token of a session's URL.  All zero: the URL has none. */
struct session_token {
	bool is_given;
	enum token_error error; /* of token_read */
	struct token_claims claims;
};

/* The rate limit of log lines about one kind of refusal. */
struct refusal_line {
	uint64_t next;	   /* millisecond from which a refusal is logged */
	uint32_t unlogged; /* refusals since the last line */
};

static struct {
	const struct token_secrets *secrets;
	struct admission_counters counters;
	struct session_token *sessions; /* by number */
	uint32_t key[2];		/* of the hashes of rooms in the log */
	struct refusal_line lines[2];	/* for /ice, for rooms */
} admission;

void
admission_place(struct memory *m, const struct token_secrets *secrets, uint32_t sessions,
		const uint32_t key[2])
{
	admission.secrets = secrets;
	admission.key[0] = key[0];
	admission.key[1] = key[1];
	if (secrets != NULL)
		admission.sessions =
		    memory_take(m, (size_t)sessions + 1, sizeof *admission.sessions);
}

const struct admission_counters *
admission_count(void)
{
	return &admission.counters;
}

void
admission_open(uint32_t session, struct span query)
{
	char data[TOKEN_MAX];

	if (admission.secrets == NULL)
		return;
	struct session_token *s = &admission.sessions[session];
	struct span token = http_parameter(query, "token");
	if (token.data == NULL) {
		/* Write only if necessary: an untouched page of memory costs nothing. */
		if (s->is_given)
			s->is_given = false;
		return;
	}
	s->is_given = true;
	s->error = TOKEN_INVALID;
	if (token.length > sizeof data)
		return;
	token = (struct span){ data, http_unescape(token, data, false) };
	s->error = token_read(admission.secrets, token, &s->claims);
}

/* Checks the token of the session. */
static enum token_error
check_session(uint32_t session, const struct span *room, const struct span *user)
{
	const struct session_token *s = &admission.sessions[session];

	if (!s->is_given)
		return TOKEN_NEEDED;
	return s->error != TOKEN_VALID ? s->error
				       : token_check_claims(admission.secrets, &s->claims,
							    room, user, token_now());
}

/* Checks the token in a packet's Payload.  `value` is JSON. */
static enum token_error
check_value(struct span value, const struct packet *p)
{
	struct token_claims claims;
	char data[TOKEN_MAX];

	if (*value.data != '"')
		return TOKEN_INVALID;
	long length = json_unescape(json_contents(value), data, sizeof data, false);
	return length < 0
		   ? TOKEN_INVALID
		   : token_check(admission.secrets, (struct span){ data, (size_t)length },
				 &p->room, &p->user, token_now(), &claims);
}

void
admission_log_refusal(struct span client, const struct span *room, enum token_error error)
{
	uint64_t now = conn_milliseconds();
	struct refusal_line *line = &admission.lines[room != NULL];
	struct text *t = NULL;

	if (now >= line->next)
		t = log_begin(LEVEL_WARN, client);
	if (t == NULL) {
		line->unlogged++;
		return;
	}
	text_string(t, "refused: ");
	text_string(t, token_errors[error]);
	text_string(t, room != NULL ? " (Tokens): room " : " (Tokens): /ice");
	if (room != NULL)
		text_hashed(t, admission.key, *room);
	if (line->unlogged > 0) {
		text_string(t, ", and ");
		text_number(t, line->unlogged);
		text_string(t, " other refusals since the last line");
	}
	log_end();
	line->next = now + LOG_MS;
	line->unlogged = 0;
}

const char *
admission_check(uint32_t session, const struct packet *p)
{
	if (admission.secrets == NULL)
		return NULL;
	struct span value = packet_payload_member(p, "Token");
	enum token_error error = value.data != NULL
				     ? check_value(value, p)
				     : check_session(session, &p->room, &p->user);
	if (error == TOKEN_VALID) {
		admission.counters.accepted++;
	} else {
		admission.counters.refused[error - 1]++;
		admission_log_refusal(session_peer(session), &p->room, error);
	}
	return token_errors[error];
}

bool
admission_allows_room(uint32_t session, struct span room)
{
	return admission.secrets == NULL ||
	       check_session(session, &room, NULL) == TOKEN_VALID;
}
