/* Which sessions may join a room by which token, and what is counted and logged. */
#include "admission.h"
#include "log.h"
#include "session.h"
#include "unit.h"

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FIRST  "the-first-secret-has-some-39-characters"
#define SECOND "the-second-secret-has-some-40-characters"

enum { SESSIONS = 4, EXP = 2000000000 };

static uint64_t milliseconds = 5000; /* of conn_milliseconds */
static int64_t seconds;		     /* of the system's clock */

uint64_t
conn_milliseconds(void)
{
	return milliseconds;
}

struct span
session_peer(uint32_t session)
{
	(void)session;
	return SPAN("192.0.2.1:1");
}

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	(void)clock;
	*t = (struct timespec){ .tv_sec = seconds };
	return 0;
}

static struct token_secrets secrets;
static struct memory memory;

static void
place(void)
{
	static const uint32_t key[2] = { 3, 5 };

	memory = (struct memory){ 0 };
	admission_place(&memory, &secrets, SESSIONS, key);
	assert_true(memory_map(&memory));
	admission_place(&memory, &secrets, SESSIONS, key);
}

static int
start(void **state)
{
	(void)state;
	secrets = (struct token_secrets){ 0 };
	token_add_secret(&secrets, SPAN(FIRST));
	seconds = EXP - 1;
	milliseconds += 10000; /* later than the last line of the test before */
	place();
	return 0;
}

static int
end(void **state)
{
	(void)state;
	return munmap(memory.base, memory.used);
}

/* Returns a token; NULL: any room, any user.  Valid until the second call after. */
static const char *
made(const char *room, const char *user, uint64_t expires)
{
	static char data[2][TOKEN_MAX + 1];
	static unsigned next;
	struct span r = { 0 }, u = { 0 };
	struct text t;

	next ^= 1;
	if (room != NULL)
		r = span(room);
	if (user != NULL)
		u = span(user);
	text_init(&t, data[next], TOKEN_MAX);
	token_put(&t, &secrets, room != NULL ? &r : NULL, user != NULL ? &u : NULL,
		  expires);
	assert_false(t.overflow);
	data[next][t.length] = '\0';
	return data[next];
}

/* Opens a session.  `before` comes before the token in the query. */
static void
opens(uint32_t session, const char *before, const char *token)
{
	char data[8192];
	int length = snprintf(data, sizeof data, "%s%s", before, token);
	char *exact = copy(data, (size_t)length);

	admission_open(session, (struct span){ exact, (size_t)length });
	free(exact); /* nothing points to it */
}

/* Checks a connect of ann in the kitchen with this Payload, and returns the answer. */
static const char *
connects(uint32_t session, const char *payload)
{
	char text[16384];
	struct packet p;
	int length = snprintf(text, sizeof text,
			      "{\"Header\":{\"Event\":\"connect\",\"UserId\":\"ann\","
			      "\"RoomId\":\"kitchen\"},\"Payload\":%s}",
			      payload);
	char *exact = copy(text, (size_t)length);

	assert_null(packet_read(&p, exact, (size_t)length));
	const char *reason = admission_check(session, &p);
	assert_memory_equal(exact, text, (size_t)length);
	free(exact);
	return reason != NULL ? reason : "accepted";
}

/* The same with a token in the Payload. */
static const char *
connects_with(uint32_t session, const char *token)
{
	char payload[8192];

	snprintf(payload, sizeof payload, "{\"Token\":\"%s\"}", token);
	return connects(session, payload);
}

/* Asserts the answer for a token in the query, and for the same in a Payload. */
static void
assert_answer(const char *token, const char *expected)
{
	opens(1, "token=", token);
	assert_string_equal(connects(1, "\"{}\""), expected);
	assert_string_equal(connects(1, "{}"), expected);
	opens(1, "", "");
	assert_string_equal(connects_with(1, token), expected);
	assert_string_equal(connects(1, "\"{}\""), "token needed");
}

static void
every_error_is_that_of_the_token(void **state)
{
	char invalid[TOKEN_MAX + 2];

	(void)state;
	assert_answer(made("kitchen", "ann", EXP), "accepted");
	assert_answer(made("kitchen", NULL, EXP), "accepted");
	assert_answer(made(NULL, NULL, EXP), "accepted");
	assert_answer("", "token needed");
	assert_answer("x", "token is not valid");
	memset(invalid, 'x', sizeof invalid);
	invalid[TOKEN_MAX + 1] = '\0';
	assert_answer(invalid, "token is not valid");
	assert_answer(made("kitchen", "ann", EXP - 1), "token has expired");
	assert_answer(made("garden", "ann", EXP), "token is for another room");
	assert_answer(made("kitchen", "bob", EXP), "token is for another user");
	seconds = 0;
	assert_answer(made("kitchen", "ann", EXP), "the server's clock is not set");
}

static void
without_secrets_no_token_is_needed(void **state)
{
	static const uint32_t key[2] = { 0 };
	struct memory none = { 0 };

	(void)state;
	admission_place(&none, NULL, SESSIONS, key);
	assert_int_equal(none.used, 0);
	opens(1, "token=", "x");
	assert_string_equal(connects(1, "{\"Token\":5}"), "accepted");
	assert_true(admission_allows_room(1, SPAN("garden")));
}

static void
only_a_string_in_an_object_is_the_token_of_a_payload(void **state)
{
	const char *token = made(NULL, NULL, EXP);
	char payload[8192];

	(void)state;
	opens(1, "token=", token);
	opens(2, "", "");
	static const char *const invalid[] = {
		"{\"Token\":5}",
		"{\"Token\":null}",
		"{\"Token\":[]}",
		"{\"Token\":\"\\ud800\"}",
	};
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_string_equal(connects(1, invalid[i]), "token is not valid");
	assert_string_equal(connects(1, "{\"Token\":\"\"}"), "token needed");
	static const char *const others[] = { "5",
					      "null",
					      "[\"Token\"]",
					      "{\"token\":\"x\"}",
					      "{\"x\":{\"Token\":\"x\"}}",
					      "\"{\\\"Token\\\":\\\"x\\\"}\"" };
	for (size_t i = 0; i < COUNT(others); i++) {
		assert_string_equal(connects(1, others[i]), "accepted");
		assert_string_equal(connects(2, others[i]), "token needed");
	}
	/* Names and values are unescaped, and the last one counts. */
	snprintf(payload, sizeof payload,
		 "{\"Token\":5,\"x\":[{}],\"\\u0054oken\":\"\\u00%x%s\"}",
		 (unsigned)token[0], token + 1);
	assert_string_equal(connects(2, payload), "accepted");
	snprintf(payload, sizeof payload, "{\"Token\":\"%s\",\"Token\":5}", token);
	assert_string_equal(connects(2, payload), "token is not valid");
}

static void
the_token_of_a_payload_counts_first_and_for_that_packet_alone(void **state)
{
	(void)state;
	opens(1, "token=", made("kitchen", NULL, EXP));
	assert_string_equal(connects_with(1, made("garden", NULL, EXP)),
			    "token is for another room");
	assert_string_equal(connects(1, "{}"), "accepted");
	opens(1, "token=", made("garden", NULL, EXP));
	assert_string_equal(connects_with(1, made("kitchen", NULL, EXP)), "accepted");
	assert_string_equal(connects(1, "{}"), "token is for another room");
}

static void
the_last_token_of_a_query_counts_and_is_unescaped(void **state)
{
	const char *token = made("kitchen", "ann", EXP);
	char escaped[3 * TOKEN_MAX] = "";

	(void)state;
	opens(1, "c=callback&token=x&token=", token);
	assert_string_equal(connects(1, "{}"), "accepted");
	opens(1, "Token=", token);
	assert_string_equal(connects(1, "{}"), "token needed");
	opens(1, "atoken=", token);
	assert_string_equal(connects(1, "{}"), "token needed");
	for (size_t i = 0; token[i] != '\0'; i++)
		sprintf(escaped + 3 * i, "%%%02X", (unsigned char)token[i]);
	opens(1, "token=", escaped);
	assert_string_equal(connects(1, "{}"), "accepted");
}

static void
the_token_of_a_session_is_not_that_of_another(void **state)
{
	(void)state;
	opens(SESSIONS, "token=", made("kitchen", NULL, EXP));
	opens(1, "token=", made("garden", NULL, EXP));
	assert_string_equal(connects(SESSIONS, "{}"), "accepted");
	assert_string_equal(connects(1, "{}"), "token is for another room");
	assert_string_equal(connects(2, "{}"), "token needed");
	/* Nor of the next session with the same number. */
	opens(SESSIONS, "", "");
	assert_string_equal(connects(SESSIONS, "{}"), "token needed");
	opens(SESSIONS, "token=", "x");
	assert_string_equal(connects(SESSIONS, "{}"), "token is not valid");
}

static void
the_token_of_a_session_is_checked_at_each_connect(void **state)
{
	(void)state;
	seconds = 0;
	opens(1, "token=", made(NULL, NULL, EXP));
	assert_string_equal(connects(1, "{}"), "the server's clock is not set");
	seconds = EXP - 1;
	assert_string_equal(connects(1, "{}"), "accepted");
	seconds = EXP;
	assert_string_equal(connects(1, "{}"), "token has expired");
}

static void
a_session_loses_its_token_with_the_secret_that_signed_it(void **state)
{
	const char *token = made(NULL, NULL, EXP);

	(void)state;
	opens(1, "token=", token);
	/* Rotated: a new first secret. */
	struct token_secrets previous = secrets;
	secrets = (struct token_secrets){ 0 };
	token_add_secret(&secrets, SPAN(SECOND));
	secrets.keys[secrets.count++] = previous.keys[0];
	opens(2, "token=", made(NULL, NULL, EXP));
	for (uint32_t session = 1; session <= 2; session++) {
		assert_string_equal(connects(session, "{}"), "accepted");
		assert_true(admission_allows_room(session, SPAN("garden")));
	}
	/* The previous one is removed. */
	secrets.count = 1;
	assert_string_equal(connects(1, "{}"), "token is not valid");
	assert_string_equal(connects_with(1, token), "token is not valid");
	assert_false(admission_allows_room(1, SPAN("garden")));
	assert_string_equal(connects(2, "{}"), "accepted");
}

static void
a_room_is_allowed_to_any_user_of_its_token(void **state)
{
	(void)state;
	opens(1, "token=", made("kitchen", "bob", EXP));
	assert_true(admission_allows_room(1, SPAN("kitchen")));
	assert_false(admission_allows_room(1, SPAN("garden")));
	seconds = EXP;
	assert_false(admission_allows_room(1, SPAN("kitchen")));
	assert_false(admission_allows_room(2, SPAN("kitchen")));
}

static void
connects_are_counted_by_cause(void **state)
{
	const struct admission_counters before = *admission_count();

	(void)state;
	every_error_is_that_of_the_token(NULL);
	/* Three accepted; each assert_answer has three connects, and one without token.
	 */
	assert_int_equal(admission_count()->accepted, before.accepted + 9);
	const uint64_t expected[] = {
		[TOKEN_NEEDED - 1] = 13,    [TOKEN_INVALID - 1] = 6,
		[TOKEN_EXPIRED - 1] = 3,    [TOKEN_OTHER_ROOM - 1] = 3,
		[TOKEN_OTHER_USER - 1] = 3, [TOKEN_NO_CLOCK - 1] = 3,
	};
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(admission_count()->refused[i] - before.refused[i],
				 expected[i]);
}

static void
a_refusal_is_logged_at_most_once_a_second(void **state)
{
	char name[] = "/tmp/admission_test_XXXXXX", text[4096] = "";
	int fd = mkstemp(name);

	(void)state;
	assert_return_code(fd, 0);
	/* The refusals of other tests are in a line to stderr. */
	log_open("", LEVEL_WARN, 0);
	connects(1, "{}");
	log_flush();
	milliseconds += 1000;
	log_open(name, LEVEL_WARN, 0);
	assert_string_equal(connects(1, "{}"), "token needed");
	assert_string_equal(connects(1, "{\"Token\":5}"), "token is not valid");
	/* Those of /ice have lines and a number of their own. */
	admission_log_refusal(SPAN("192.0.2.2:2"), NULL, TOKEN_EXPIRED);
	for (unsigned i = 0; i < 3; i++)
		admission_log_refusal(SPAN("192.0.2.2:2"), NULL, TOKEN_NEEDED);
	milliseconds += 999;
	assert_string_equal(connects(1, "{\"Token\":5}"), "token is not valid");
	milliseconds += 1;
	assert_string_equal(connects_with(1, made(NULL, "ann", 1)), "token has expired");
	milliseconds += 1000;
	assert_string_equal(connects_with(1, made(NULL, "ann", EXP)), "accepted");
	assert_string_equal(connects(1, "{}"), "token needed");
	admission_log_refusal(SPAN("192.0.2.2:2"), NULL, TOKEN_NEEDED);
	log_flush();
	log_open("", LEVEL_ERROR, 0);
	assert_in_range(read(fd, text, sizeof text - 1), 1, sizeof text - 1);
	close(fd);
	unlink(name);
	static const char *const lines[] = {
		" warn 192.0.2.1:1 refused: token needed (Tokens): room ~",
		" warn 192.0.2.2:2 refused: token has expired (Tokens): /ice",
		" warn 192.0.2.1:1 refused: token has expired (Tokens): room ~",
		" warn 192.0.2.1:1 refused: token needed (Tokens): room ~",
		" warn 192.0.2.2:2 refused: token needed (Tokens): /ice",
	};
	static const char *const ends[] = {
		"",
		"",
		", and 2 other refusals since the last line",
		"",
		", and 3 other refusals since the last line",
	};
	char *line = strtok(text, "\n");
	for (size_t i = 0; i < COUNT(lines); i++, line = strtok(NULL, "\n")) {
		assert_non_null(line);
		char *at = strstr(line, lines[i]);
		assert_non_null(at);
		/* A room's hash has 8 digits. */
		size_t hash = strchr(lines[i], '~') != NULL ? 8 : 0;
		assert_string_equal(at + strlen(lines[i]) + hash, ends[i]);
	}
	assert_null(line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_error_is_that_of_the_token),
		TEST(without_secrets_no_token_is_needed),
		TEST(only_a_string_in_an_object_is_the_token_of_a_payload),
		TEST(the_token_of_a_payload_counts_first_and_for_that_packet_alone),
		TEST(the_last_token_of_a_query_counts_and_is_unescaped),
		TEST(the_token_of_a_session_is_not_that_of_another),
		TEST(the_token_of_a_session_is_checked_at_each_connect),
		TEST(a_session_loses_its_token_with_the_secret_that_signed_it),
		TEST(a_room_is_allowed_to_any_user_of_its_token),
		TEST(connects_are_counted_by_cause),
		TEST(a_refusal_is_logged_at_most_once_a_second),
	};

	log_open("", LEVEL_ERROR, 0);
	return cmocka_run_group_tests_name("admission", tests, NULL, NULL);
}
