#include "ice.h"

#include "admission.h"
#include "client.h"
#include "log.h"
#include "secrets.h"
#include "sockjs.h"
#include "web.h"

#include <string.h>

_Static_assert((int)ICE_TOKEN_NOT_YET == (int)TOKEN_NOT_YET,
	       "the results of a token are in the order of enum token_error");

static struct {
	const struct ice_server *servers;
	bool unset_logged; /* the warning about the clock has been logged */
	struct ice_counters counters;
} ice;

void
ice_start(const struct ice_server *servers)
{
	ice.servers = servers;
}

const struct ice_counters *
ice_count(void)
{
	return &ice.counters;
}

/* Answers with the header fields of every answer and `more`. */
static void
answer(uint32_t conn, const struct http_request *r, unsigned status, const char *more,
       const char *type, struct span body)
{
	char data[WEB_FIELDS];
	struct text fields;

	text_init(&fields, data, sizeof data);
	text_string(&fields, "Cache-Control: no-store\r\n");
	sockjs_put_cors(&fields, r);
	text_string(&fields, more);
	web_answer(conn, &(struct web_answer){ .status = status,
					       .type = type,
					       .fields = { fields.data, fields.length },
					       .body = body });
}

/* Returns the token of a request; empty: none.  Unescapes one of the query to `data`. */
static struct span
find_token(const struct http_request *r, char data[TOKEN_MAX])
{
	struct span token = http_parameter(r->query, "token"), rest = r->authorization;

	if (token.length > TOKEN_MAX)
		return token; /* too long; token_check rejects it */
	if (token.length > 0)
		return (struct span){ data, http_unescape(token, data, false) };
	if (!span_is_nocase(http_take(&rest, ' '), "Bearer"))
		return (struct span){ 0 };
	return http_trim(rest);
}

/* Checks the token if one is needed, otherwise only that the clock is set if credentials
 * need it.  Sets `claims` if there is a valid token. */
static enum token_error
check_request(const struct http_request *r, uint64_t now, struct token_claims *claims)
{
	const struct token_secrets *tokens = secrets_of_tokens();
	char data[TOKEN_MAX];

	if (tokens != NULL)
		return token_check(tokens, find_token(r, data), NULL, NULL, now, claims);
	return now == 0 && secrets_of_turn() != NULL ? TOKEN_NO_CLOCK : TOKEN_VALID;
}

static void
refuse(uint32_t conn, const struct http_request *r, enum token_error error)
{
	const char *why = token_errors[error];
	const bool no_clock = error == TOKEN_NO_CLOCK;

	if (no_clock && !ice.unset_logged)
		log_line(LEVEL_WARN, (struct span){ 0 },
			 "no ICE servers: the clock is not set (TurnSecret, Tokens)");
	ice.unset_logged |= no_clock;
	if (!no_clock)
		admission_log_refusal(client_name(conn), NULL, error);
	answer(conn, r, no_clock ? 503 : 401,
	       no_clock ? "" : "WWW-Authenticate: Bearer\r\n",
	       "text/plain; charset=UTF-8", (struct span){ why, strlen(why) });
}

static void
serve(uint32_t conn, const struct http_request *r)
{
	struct token_claims claims = { 0 };
	uint64_t now = token_now();
	enum token_error error = check_request(r, now, &claims);
	struct span name = { "videre", 6 };
	struct text t;

	/* Room and user are not checked, so the only other errors are ICE_TOKEN_*. */
	ice.counters
	    .results[error == TOKEN_NO_CLOCK ? ICE_NO_CLOCK : (enum ice_result)error]++;
	if (error != TOKEN_VALID) {
		refuse(conn, r, error);
		return;
	}
	ice.unset_logged = false;
	if (claims.user.length > 0)
		name = claims.user;
	text_init(&t, block_take(), block_size());
	ice_servers_put(&t, ice.servers, secrets_of_turn(), now + ICE_SECONDS, name);
	answer(conn, r, 200, "", "application/json", (struct span){ t.data, t.length });
	block_give(t.data);
}

bool
ice_answer(uint32_t conn, const struct http_request *r)
{
	if (!span_is(r->path, "/ice"))
		return false;
	if (r->method == HTTP_GET || r->method == HTTP_HEAD)
		serve(conn, r);
	else if (r->method == HTTP_OPTIONS)
		answer(conn, r, 204,
		       "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
		       "Access-Control-Max-Age: 86400\r\n",
		       NULL, (struct span){ "", 0 });
	else
		web_not_allowed(conn, "GET, HEAD");
	return true;
}
