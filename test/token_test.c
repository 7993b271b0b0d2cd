/* Tokens: signatures, headers, claims, files of secrets, and tokens that are made. */
#include "secret_file.h"
#include "token.h"
#include "unit.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECRET "0123456789abcdef0123456789abcdef"
#define HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define CLAIMS "{\"exp\":2000,\"room\":\"kitchen\",\"sub\":\"ann\"}"

enum { NOW = 1000 };

/*
 * A clock that replaces the system's.
 */

static int64_t clock_seconds = TEXT_RELEASED;

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	(void)clock;
	*t = (struct timespec){ .tv_sec = clock_seconds, .tv_nsec = 999999999 };
	return 0;
}

/*
 * Tokens of the tests' own
 */

static struct token_secrets secrets;

static int
add_the_secret(void **state)
{
	(void)state;
	memset(&secrets, 0, sizeof secrets);
	token_add_secret(&secrets, SPAN(SECRET));
	return 0;
}

/* Adds a signature of what the text contains. */
static void
sign(struct text *t, const char *secret)
{
	unsigned char mac[br_sha256_SIZE];
	br_hmac_key_context key;
	br_hmac_context hmac;

	br_hmac_key_init(&key, &br_sha256_vtable, secret, strlen(secret));
	br_hmac_init(&hmac, &key, 0);
	br_hmac_update(&hmac, t->data, t->length);
	br_hmac_out(&hmac, mac);
	text_char(t, '.');
	text_base64(t, BASE64URL, mac, sizeof mac);
}

static struct span
make(const char *header, const char *claims, const char *secret)
{
	static char data[65536];
	struct text t;

	text_init(&t, data, sizeof data);
	text_base64(&t, BASE64URL, header, strlen(header));
	text_char(&t, '.');
	text_base64(&t, BASE64URL, claims, strlen(claims));
	sign(&t, secret);
	assert_false(t.overflow);
	return (struct span){ t.data, t.length };
}

/* Checks an exactly sized copy for a room and a user; NULL: any. */
static enum token_error
check_at(struct span token, const char *room, const char *user, uint64_t now,
	 struct token_claims *claims)
{
	struct span r = { 0 }, u = { 0 };
	char *exact = copy(token.data, token.length);

	if (room != NULL)
		r = span(room);
	if (user != NULL)
		u = span(user);
	enum token_error error =
	    token_check(&secrets, (struct span){ exact, token.length },
			room != NULL ? &r : NULL, user != NULL ? &u : NULL, now, claims);
	free(exact);
	return error;
}

static enum token_error
check(struct span token, const char *room, const char *user)
{
	struct token_claims claims;

	return check_at(token, room, user, NOW, &claims);
}

/* Signs these and checks them for the room "kitchen" and the user "ann". */
static enum token_error
check_made(const char *header, const char *claims)
{
	return check(make(header, claims, SECRET), "kitchen", "ann");
}

static void
assert_header(const char *header, enum token_error expected)
{
	enum token_error error = check_made(header, CLAIMS);

	if (error != expected)
		fail_msg("%s: %d", header, (int)error);
}

static void
assert_claims(const char *claims, enum token_error expected)
{
	enum token_error error = check_made(HEADER, claims);

	if (error != expected)
		fail_msg("%s: %d", claims, (int)error);
}

/*
 * Signatures
 */

/* RFC 7515 appendix A.1 */
static const char published[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb29"
    "0Ijp0cnVlfQ"
    ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static const char published_key[] = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
				    "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

static void
the_published_token_is_valid_until_it_expires(void **state)
{
	enum { EXP = 1300819380 };
	char key[64];
	struct token_claims c;
	struct span token = span(published);

	(void)state;
	memset(&secrets, 0, sizeof secrets);
	assert_int_equal(base64_decode(span(published_key), BASE64URL, key, sizeof key),
			 sizeof key);
	token_add_secret(&secrets, (struct span){ key, sizeof key });
	assert_int_equal(check_at(token, "r", "u", EXP - 1, &c), TOKEN_VALID);
	assert_int_equal(c.expires, EXP);
	assert_int_equal(c.not_before, 0);
	assert_null(c.room.data);
	assert_null(c.user.data);
	assert_int_equal(check_at(token, "r", "u", EXP, &c), TOKEN_EXPIRED);
	assert_int_equal(check_at(token, "r", "u", TEXT_RELEASED, &c), TOKEN_EXPIRED);
	assert_int_equal(check_at(token, "r", "u", 0, &c), TOKEN_NO_CLOCK);
	add_the_secret(NULL);
	assert_int_equal(check_at(token, "r", "u", EXP - 1, &c), TOKEN_INVALID);
}

static void
a_token_of_any_secret_is_valid(void **state)
{
	static const char *const list[] = { "a", "another secret", SECRET, "" };
	const char *longest = "a secret of more than one block of SHA-256, which has 64 "
			      "bytes: HMAC hashes it first";

	(void)state;
	assert_int_equal(check(make(HEADER, CLAIMS, "a"), "kitchen", "ann"),
			 TOKEN_INVALID);
	memset(&secrets, 0, sizeof secrets);
	assert_int_equal(check_made(HEADER, CLAIMS), TOKEN_INVALID);
	for (size_t i = 0; i < COUNT(list); i++)
		token_add_secret(&secrets, span(list[i]));
	assert_int_equal(secrets.count, TOKEN_SECRETS_MAX);
	for (size_t i = 0; i < COUNT(list); i++)
		assert_int_equal(check(make(HEADER, CLAIMS, list[i]), "kitchen", "ann"),
				 TOKEN_VALID);
	assert_int_equal(check(make(HEADER, CLAIMS, longest), "kitchen", "ann"),
			 TOKEN_INVALID);
	memset(&secrets, 0, sizeof secrets);
	token_add_secret(&secrets, span(longest));
	assert_int_equal(check(make(HEADER, CLAIMS, longest), "kitchen", "ann"),
			 TOKEN_VALID);
}

static void
no_bit_of_a_token_may_change(void **state)
{
	struct span token = make(HEADER, CLAIMS, SECRET);
	char *changed = copy(token.data, token.length);

	(void)state;
	for (size_t i = 0; i < 8 * token.length; i++) {
		changed[i / 8] ^= (char)(1 << i % 8);
		enum token_error error =
		    check((struct span){ changed, token.length }, "kitchen", "ann");
		if (error != TOKEN_INVALID)
			fail_msg("bit %zu: %d", i, (int)error);
		changed[i / 8] ^= (char)(1 << i % 8);
	}
	free(changed);
}

static void
a_token_that_is_cut_or_extended_is_invalid(void **state)
{
	struct span token = make(HEADER, CLAIMS, SECRET);
	static const char extra[] = ".=A \n\0";
	char longer[1024];

	(void)state;
	assert_int_equal(check((struct span){ token.data, 0 }, "r", "u"), TOKEN_NEEDED);
	assert_int_equal(
	    check((struct span){ token.data, token.length }, "kitchen", "ann"),
	    TOKEN_VALID);
	for (size_t i = 1; i < token.length; i++) {
		assert_int_equal(check((struct span){ token.data, i }, "kitchen", "ann"),
				 TOKEN_INVALID);
		assert_int_equal(check((struct span){ token.data + i, token.length - i },
				       "kitchen", "ann"),
				 TOKEN_INVALID);
	}
	for (size_t i = 0; i < sizeof extra; i++) {
		memcpy(longer, token.data, token.length);
		longer[token.length] = extra[i];
		assert_int_equal(
		    check((struct span){ longer, token.length + 1 }, "kitchen", "ann"),
		    TOKEN_INVALID);
		memcpy(longer + 1, token.data, token.length);
		longer[0] = extra[i];
		assert_int_equal(
		    check((struct span){ longer, token.length + 1 }, "kitchen", "ann"),
		    TOKEN_INVALID);
	}
}

/* The signature covers the text, so it holds for each of these. */
static void
parts_that_are_not_base64url_are_invalid_though_signed(void **state)
{
	static const char *const inputs[] = {
		/* {"alg":"HS256"} and {"exp":2000}, with padding, white space, another
		 * alphabet, unused bits */
		"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9=",
		"eyJhbGciOiJIUzI1NiJ9=.eyJleHAiOjIwMDB9",
		"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9\n",
		" eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9",
		"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDAsIj8iOiI/Pz8ifQ",
		"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDAgfR",
		"eyJhbGciOiJIUzI1NiJ9",
		"eyJhbGciOiJIUzI1NiJ9.",
		".eyJleHAiOjIwMDB9",
		".",
		"..",
		"eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9.",
	};
	char data[256];
	struct text t;

	(void)state;
	text_init(&t, data, sizeof data);
	text_string(&t, "eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9");
	sign(&t, SECRET);
	assert_int_equal(check((struct span){ data, t.length }, "r", "u"), TOKEN_VALID);
	for (size_t i = 0; i < COUNT(inputs); i++) {
		text_init(&t, data, sizeof data);
		text_string(&t, inputs[i]);
		sign(&t, SECRET);
		if (check((struct span){ data, t.length }, "r", "u") != TOKEN_INVALID)
			fail_msg("%s is accepted", inputs[i]);
	}
}

static void
a_token_has_at_most_2048_bytes(void **state)
{
	char claims[3000];

	(void)state;
	for (size_t pad = 1400; pad < 1600; pad++) {
		snprintf(claims, sizeof claims, "{\"exp\":2000,\"x\":\"%0*d\"}", (int)pad,
			 0);
		struct span token = make(HEADER, claims, SECRET);
		assert_int_equal(check(token, "r", "u"),
				 token.length <= 2048 ? TOKEN_VALID : TOKEN_INVALID);
	}
	assert_true(make(HEADER, claims, SECRET).length > 2048);
}

/*
 * Headers
 */

static void
the_algorithm_is_exactly_hs256(void **state)
{
	static const char *const invalid[] = {
		"{\"alg\":\"none\"}",
		"{\"alg\":\"None\"}",
		"{\"alg\":\"\"}",
		"{\"alg\":\"hs256\"}",
		"{\"alg\":\"HS256 \"}",
		"{\"alg\":\"HS2567\"}",
		"{\"alg\":\"HS25\"}",
		"{\"alg\":\"HS384\"}",
		"{\"alg\":\"HS512\"}",
		"{\"alg\":\"RS256\"}",
		"{\"alg\":\"ES256\"}",
		"{\"alg\":\"HS256\\u0000\"}",
		"{\"alg\":null}",
		"{\"alg\":256}",
		"{\"alg\":[\"HS256\"]}",
		"{\"alg\":{\"HS256\":1}}",
		"{\"ALG\":\"HS256\"}",
		"{}",
		"{\"typ\":\"JWT\"}",
		"{\"x\":{\"alg\":\"HS256\"}}",
		"{\"alg\":\"HS256\",\"alg\":\"none\"}",
		"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++)
		assert_header(invalid[i], TOKEN_INVALID);
	assert_header("{\"alg\":\"HS256\"}", TOKEN_VALID);
	assert_header("{\"\\u0061lg\":\"\\u0048S256\"}", TOKEN_VALID);
	assert_header("{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_VALID);
	assert_header(" {\r\n\t\"kid\" : 1 , \"alg\" : \"HS256\" , \"typ\" : [ ] } ",
		      TOKEN_VALID);
}

static void
a_header_with_crit_is_invalid(void **state)
{
	(void)state;
	assert_header("{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", TOKEN_INVALID);
	assert_header("{\"crit\":[],\"alg\":\"HS256\"}", TOKEN_INVALID);
	assert_header("{\"crit\":null,\"alg\":\"HS256\"}", TOKEN_INVALID);
	assert_header("{\"cr\\u0069t\":[\"b64\"],\"b64\":false,\"alg\":\"HS256\"}",
		      TOKEN_INVALID);
	assert_header("{\"x\":{\"crit\":[]},\"alg\":\"HS256\"}", TOKEN_VALID);
}

/* Neither can take the place of the other. */
static const char *const not_objects[] = {
	"", " ", "null", "1", "[]", "\"HS256\"", "{", "}", "{}{}", "{},", "[{}]", "HS256",
	/* not JSON, or a trailing comma */
	"{\"alg\":\"HS256\",\"exp\":2000,}",
	"{\"alg\":\"HS256\",\"exp\":2000,\"x\":[1,]}",
	"{\"alg\":\"HS256\",\"exp\":2000}x", "{'alg':'HS256','exp':2000}",
	"{\"alg\":\"HS256\",\"exp\":2000,\"x\":01}", "{\"alg\":\"HS256\" \"exp\":2000}",
	"\xef\xbb\xbf{\"alg\":\"HS256\",\"exp\":2000}",
	/* not UTF-8 */
	"{\"alg\":\"HS256\",\"exp\":2000,\"x\":\"\xff\"}",
	"{\"alg\":\"HS256\",\"exp\":2000,\"x\":\"\xed\xa0\x80\"}",
	"{\"alg\":\"HS256\",\"exp\":2000} \xc3"
};

static void
header_and_claims_must_be_json_objects(void **state)
{
	char deep[256] = "{\"alg\":\"HS256\",\"exp\":2000,\"x\":";

	(void)state;
	for (size_t i = 0; i < COUNT(not_objects); i++) {
		assert_header(not_objects[i], TOKEN_INVALID);
		assert_claims(not_objects[i], TOKEN_INVALID);
	}
	memset(deep + strlen(deep), '[', 32);
	assert_claims(deep, TOKEN_INVALID);
	assert_header("{\"alg\":\"HS256\",\"exp\":2000}", TOKEN_VALID);
	assert_claims("{\"alg\":\"HS256\",\"exp\":2000}", TOKEN_VALID);
}

/*
 * Claims
 */

static void
exp_is_required_and_the_first_second_that_is_too_late(void **state)
{
	(void)state;
	assert_claims("{\"exp\":1001}", TOKEN_VALID);
	assert_claims("{\"exp\":1000}", TOKEN_EXPIRED);
	assert_claims("{\"exp\":0}", TOKEN_EXPIRED);
	assert_claims("{}", TOKEN_INVALID);
	assert_claims("{\"Exp\":1001}", TOKEN_INVALID);
	assert_claims("{\"x\":{\"exp\":1001}}", TOKEN_INVALID);
	assert_claims("{\"exp\":1,\"exp\":1001}", TOKEN_VALID);
	assert_claims("{\"exp\":1001,\"exp\":1}", TOKEN_EXPIRED);
	assert_claims("{\"exp\":1001,\"\\u0065xp\":1}", TOKEN_EXPIRED);
	assert_claims("{\"exp\":1001,\"exp\":null}", TOKEN_INVALID);
}

static void
nbf_is_the_first_second_that_is_not_too_early(void **state)
{
	(void)state;
	assert_claims("{\"exp\":2000,\"nbf\":1000}", TOKEN_VALID);
	assert_claims("{\"exp\":2000,\"nbf\":0}", TOKEN_VALID);
	assert_claims("{\"exp\":2000,\"nbf\":1001}", TOKEN_NOT_YET);
	assert_claims("{\"nbf\":1001,\"nbf\":1000,\"exp\":2000}", TOKEN_VALID);
	assert_claims("{\"nbf\":1000,\"nbf\":1001,\"exp\":2000}", TOKEN_NOT_YET);
	assert_claims("{\"exp\":1000,\"nbf\":1001}", TOKEN_EXPIRED);
}

static void
times_are_integers_from_0_to_2_to_the_63_minus_1(void **state)
{
	static const char *const invalid[] = { "1e9",
					       "1E9",
					       "2000.0",
					       "2000.5",
					       "-1",
					       "-0",
					       "null",
					       "true",
					       "\"2000\"",
					       "\"\"",
					       "[2000]",
					       "{}",
					       "1e999",
					       "1e-99",
					       "9223372036854775808",
					       "18446744073709551616",
					       "36893488147419103232000000",
					       "-9223372036854775809" };
	char claims[128];

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++) {
		snprintf(claims, sizeof claims, "{\"exp\":%s}", invalid[i]);
		assert_claims(claims, TOKEN_INVALID);
		snprintf(claims, sizeof claims, "{\"exp\":2000,\"nbf\":%s}", invalid[i]);
		assert_claims(claims, TOKEN_INVALID);
	}
	assert_claims("{\"exp\":9223372036854775807}", TOKEN_VALID);
	assert_claims("{\"exp\":9223372036854775807,\"nbf\":9223372036854775807}",
		      TOKEN_NOT_YET);
}

static void
a_room_or_user_that_is_claimed_must_be_the_same(void **state)
{
	(void)state;
	assert_claims("{\"exp\":2000}", TOKEN_VALID);
	assert_claims("{\"exp\":2000,\"room\":\"kitchen\"}", TOKEN_VALID);
	assert_claims("{\"exp\":2000,\"sub\":\"ann\"}", TOKEN_VALID);
	assert_claims(
	    "{\"sub\":\"ann\",\"x\":{\"room\":1},\"room\":\"kitchen\",\"exp\":2000}",
	    TOKEN_VALID);
	assert_claims("{\"exp\":2000,\"room\":\"garden\",\"sub\":\"ann\"}",
		      TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"room\":\"kitchen\",\"sub\":\"bob\"}",
		      TOKEN_OTHER_USER);
	assert_claims("{\"exp\":2000,\"room\":\"garden\",\"sub\":\"bob\"}",
		      TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"room\":\"\"}", TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"sub\":\"\"}", TOKEN_OTHER_USER);
	assert_claims("{\"exp\":2000,\"room\":\"kitchen \"}", TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"room\":\"kitche\"}", TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"room\":\"Kitchen\"}", TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"room\":\"kitchen\\u0000\"}", TOKEN_OTHER_ROOM);
	assert_claims("{\"exp\":2000,\"r\\u006fom\":\"k\\u0069tchen\"}", TOKEN_VALID);
	/* Of duplicates the last one counts. */
	assert_claims("{\"room\":\"garden\",\"room\":\"kitchen\",\"exp\":2000}",
		      TOKEN_VALID);
	assert_claims("{\"room\":\"kitchen\",\"room\":\"garden\",\"exp\":2000}",
		      TOKEN_OTHER_ROOM);
	assert_claims("{\"sub\":\"ann\",\"s\\u0075b\":\"bob\",\"exp\":2000}",
		      TOKEN_OTHER_USER);
}

static void
a_token_for_the_empty_room_is_for_that_alone(void **state)
{
	struct span token = make(HEADER, "{\"exp\":2000,\"room\":\"\"}", SECRET);
	struct span empty = { NULL, 0 };
	struct token_claims c;

	(void)state;
	assert_int_equal(check(token, "", "u"), TOKEN_VALID);
	assert_int_equal(check(token, "r", "u"), TOKEN_OTHER_ROOM);
	assert_int_equal(check(token, NULL, "u"), TOKEN_VALID);
	token = make(HEADER, CLAIMS, SECRET);
	assert_int_equal(check(token, "", "ann"), TOKEN_OTHER_ROOM);
	/* An empty id without memory is an id, not "any". */
	assert_int_equal(token_check(&secrets, token, &empty, NULL, NOW, &c),
			 TOKEN_OTHER_ROOM);
	assert_int_equal(token_check(&secrets, token, NULL, &empty, NOW, &c),
			 TOKEN_OTHER_USER);
}

static void
room_and_sub_are_strings_of_at_most_128_bytes(void **state)
{
	static const char *const invalid[] = { "null",
					       "1",
					       "true",
					       "[\"ann\"]",
					       "{}",
					       "\"\\ud800\"",
					       "\"\\udc00\\ud800\"" };
	char claims[512], id[130];

	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++) {
		snprintf(claims, sizeof claims, "{\"exp\":2000,\"room\":%s}", invalid[i]);
		assert_claims(claims, TOKEN_INVALID);
		snprintf(claims, sizeof claims, "{\"exp\":2000,\"sub\":%s}", invalid[i]);
		assert_claims(claims, TOKEN_INVALID);
	}
	for (size_t length = 127; length <= 129; length++) {
		memset(id, 'x', length);
		id[length] = '\0';
		snprintf(claims, sizeof claims, "{\"exp\":2000,\"room\":\"\\u0078%s\"}",
			 id + 1);
		assert_int_equal(check(make(HEADER, claims, SECRET), id, "u"),
				 length <= 128 ? TOKEN_VALID : TOKEN_INVALID);
		snprintf(claims, sizeof claims, "{\"exp\":2000,\"sub\":\"%s\"}", id);
		assert_int_equal(check(make(HEADER, claims, SECRET), "r", id),
				 length <= 128 ? TOKEN_VALID : TOKEN_INVALID);
	}
}

static void
the_claims_are_unescaped(void **state)
{
	struct token_claims c;
	struct span token = make(HEADER,
				 "{\"nbf\":7,\"sub\":\"\\u00e4\\ud83d\\ude00\\n\","
				 "\"room\":\"\\\"\xe2\x82\xac\",\"exp\":2000}",
				 SECRET);

	(void)state;
	assert_int_equal(check_at(token, NULL, NULL, NOW, &c), TOKEN_VALID);
	assert_span(c.user, "\xc3\xa4\xf0\x9f\x98\x80\n");
	assert_span(c.room, "\"\xe2\x82\xac");
	assert_int_equal(c.expires, 2000);
	assert_int_equal(c.not_before, 7);
	/* They are set for a token that is not valid now. */
	assert_int_equal(check_at(token, "r", "u", 2000, &c), TOKEN_EXPIRED);
	assert_span(c.user, "\xc3\xa4\xf0\x9f\x98\x80\n");
}

static void
without_a_clock_no_token_is_valid(void **state)
{
	struct token_claims c;

	(void)state;
	assert_int_equal(check_at(make(HEADER, CLAIMS, SECRET), NULL, NULL, 0, &c),
			 TOKEN_NO_CLOCK);
	assert_int_equal(check_at(make(HEADER, CLAIMS, "x"), NULL, NULL, 0, &c),
			 TOKEN_INVALID);
	assert_int_equal(check_at(SPAN(""), NULL, NULL, 0, &c), TOKEN_NEEDED);
}

static void
claims_are_valid_while_their_secret_is(void **state)
{
	static const char other[] = "another secret of more than 32 bytes";
	struct token_claims c, d;

	(void)state;
	token_add_secret(&secrets, span(other));
	assert_int_equal(token_read(&secrets, make(HEADER, CLAIMS, SECRET), &c),
			 TOKEN_VALID);
	assert_int_equal(token_read(&secrets, make(HEADER, CLAIMS, other), &d),
			 TOKEN_VALID);
	assert_true(c.signer != d.signer);
	assert_int_equal(token_check_claims(&secrets, &c, NULL, NULL, NOW), TOKEN_VALID);
	/* The secrets are read again, in another order, and without the first one. */
	for (unsigned i = 0; i < 2; i++) {
		memset(&secrets, 0, sizeof secrets);
		token_add_secret(&secrets, span(other));
		if (i == 0)
			token_add_secret(&secrets, SPAN(SECRET));
		assert_int_equal(token_check_claims(&secrets, &c, NULL, NULL, NOW),
				 i == 0 ? TOKEN_VALID : TOKEN_INVALID);
		assert_int_equal(token_check_claims(&secrets, &d, NULL, NULL, NOW),
				 TOKEN_VALID);
	}
	/* A secret that is given twice is one. */
	token_add_secret(&secrets, span(other));
	assert_int_equal(token_read(&secrets, make(HEADER, CLAIMS, other), &c),
			 TOKEN_VALID);
	assert_true(c.signer == d.signer);
	assert_int_equal(token_read(&secrets, SPAN(""), &c), TOKEN_NEEDED);
	assert_int_equal(token_read(&secrets, SPAN("x"), &c), TOKEN_INVALID);
}

static void
a_clock_before_the_release_is_not_set(void **state)
{
	static const int64_t unset[] = { INT64_MIN, -1, 0, 1577836800,
					 TEXT_RELEASED - 1 };

	(void)state;
	for (size_t i = 0; i < COUNT(unset); i++) {
		clock_seconds = unset[i];
		assert_int_equal(token_now(), 0);
	}
	clock_seconds = TEXT_RELEASED;
	assert_int_equal(token_now(), TEXT_RELEASED);
	clock_seconds = INT64_C(1) << 33;
	assert_int_equal(token_now(), INT64_C(1) << 33);
	clock_seconds = TEXT_RELEASED;
}

static void
every_error_has_its_text(void **state)
{
	static const char *const texts[TOKEN_ERRORS] = {
		NULL,
		"token needed",
		"token is not valid",
		"token has expired",
		"token is not valid yet",
		"token is for another room",
		"token is for another user",
		"the server's clock is not set",
	};

	(void)state;
	assert_null(token_errors[TOKEN_VALID]);
	for (size_t i = 1; i < TOKEN_ERRORS; i++)
		assert_string_equal(token_errors[i], texts[i]);
}

/*
 * Files of secrets
 */

static char path[] = "/tmp/videre-token-XXXXXX";

static int
create_file(void **state)
{
	(void)state;
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* Loads the file into `s`, and returns the error without the file's name. */
static const char *
load(struct token_secrets *s, const char *file)
{
	static char data[512];
	struct text error;

	memset(data, 0, sizeof data);
	text_init(&error, data, sizeof data - 1);
	if (token_load(s, file, &error)) {
		assert_int_equal(error.length, 0);
		return NULL;
	}
	assert_false(error.overflow);
	assert_memory_equal(data, file, strlen(file));
	return data + strlen(file);
}

static void
assert_refused(const char *text, size_t length, const char *expected)
{
	struct token_secrets before = secrets;

	write_file(path, text, length);
	const char *error = load(&secrets, path);
	assert_non_null(error);
	assert_string_equal(error, expected);
	assert_memory_equal(&before, &secrets, sizeof secrets);
	assert_int_equal(check_made(HEADER, CLAIMS), TOKEN_VALID);
}

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb!~bb"

static bool
is_valid_by(const char *secret)
{
	return check(make(HEADER, CLAIMS, secret), "kitchen", "ann") == TOKEN_VALID;
}

static void
each_line_is_a_secret(void **state)
{
	static const char *const texts[] = { A "\n" B "\n", A "\n" B, A "\r\n" B "\r\n",
					     "\n\n" A "\n\r\n" B "\n\n",
					     A "\r\n" B "\r" };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		write_file(path, texts[i], strlen(texts[i]));
		assert_null(load(&secrets, path));
		assert_int_equal(secrets.count, 2);
		assert_true(is_valid_by(A));
		assert_true(is_valid_by(B));
		assert_false(is_valid_by(SECRET));
		assert_false(is_valid_by(A "\r"));
	}
	write_file(path, BYTES(A "\n" A "\n" B "\n" SECRET "\n"));
	assert_null(load(&secrets, path));
	assert_true(is_valid_by(SECRET));
	assert_false(is_valid_by("cccccccccccccccccccccccccccccccc"));
}

static void
a_line_that_is_not_a_secret_is_refused_with_its_number(void **state)
{
	static const char short_one[] = ": a secret must have at least 32 bytes",
			  wrong[] = ": a secret must be printable ASCII without spaces";
	char expected[128];

	(void)state;
	snprintf(expected, sizeof expected, ":1%s", short_one);
	assert_refused(BYTES("x\n"), expected);
	assert_refused(BYTES("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"), expected);
	assert_refused(BYTES("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"), expected);
	snprintf(expected, sizeof expected, ":3%s", short_one);
	assert_refused(BYTES(A "\n\nshort\n" B), expected);
	snprintf(expected, sizeof expected, ":2%s", wrong);
	assert_refused(BYTES(A "\n" A " \n"), expected);
	assert_refused(BYTES(A "\n" A "\t" B), expected);
	assert_refused(BYTES(A "\n" A "\0" B), expected);
	assert_refused(BYTES(A "\n" A "\x7f"), expected);
	assert_refused(BYTES(A "\n" A "\xc3\xa4"), expected);
	assert_refused(BYTES(A "\n" A "\r\r\n"), expected);
	snprintf(expected, sizeof expected, ":1%s", wrong);
	assert_refused(BYTES("\xef\xbb\xbf" A), expected);
	assert_refused(BYTES(A "\n" A "\n" A "\n\n" A "\n" A "\n"),
		       ":6: too many secrets, at most 4");
}

static void
a_file_without_secrets_or_too_long_is_refused(void **state)
{
	char longest[SECRET_FILE_MAX + 1];

	(void)state;
	assert_refused(BYTES(""), ": no secret: videre -s makes a file with one");
	assert_refused(BYTES("\n\r\n"), ": no secret: videre -s makes a file with one");
	memset(longest, 'x', sizeof longest);
	assert_refused(longest, sizeof longest, ": longer than 2048 bytes");
	write_file(path, longest, SECRET_FILE_MAX);
	assert_null(load(&secrets, path));
	assert_string_equal(load(&secrets, "/nonexistent"),
			    ": No such file or directory");
	assert_string_equal(load(&secrets, "/tmp"), ": Is a directory");
}

static void
a_file_that_every_user_can_read_or_write_is_refused(void **state)
{
	static const mode_t refused[] = { 0604, 0602, 0606, 0644, 0664, 0666 },
			    accepted[] = { 0600, 0400, 0640, 0660, 0601 };

	(void)state;
	for (size_t i = 0; i < COUNT(refused); i++) {
		write_file(path, BYTES(A));
		assert_int_equal(chmod(path, refused[i]), 0);
		assert_refused(BYTES(A), ": every user can read or write the secrets: "
					 "chmod 640");
	}
	write_file(path, BYTES(A));
	for (size_t i = 0; i < COUNT(accepted); i++) {
		assert_int_equal(chmod(path, accepted[i]), 0);
		assert_null(load(&secrets, path));
	}
	assert_int_equal(chmod(path, 0600), 0);
}

/*
 * Making tokens
 */

static void
a_token_that_is_made_is_valid(void **state)
{
	static const struct {
		const char *room, *user;
	} ids[] = { { NULL, NULL }, { "kitchen", NULL },	  { NULL, "ann" },
		    { "", "ann" },  { "\"\\\n\x01", "\xc3\xa4" }, { "a/b?c", "\x7f" } };
	char data[TOKEN_MAX];
	struct token_claims c;
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(ids); i++) {
		const char *room = ids[i].room, *user = ids[i].user;
		struct span r = span(room != NULL ? room : ""),
			    u = span(user != NULL ? user : "");
		text_init(&t, data, sizeof data);
		token_put(&t, &secrets, room != NULL ? &r : NULL,
			  user != NULL ? &u : NULL, 2000);
		assert_false(t.overflow);
		assert_int_equal(
		    check_at((struct span){ data, t.length }, room, user, 1999, &c),
		    TOKEN_VALID);
		assert_int_equal(c.expires, 2000);
		assert_span(c.room, room);
		assert_span(c.user, user);
	}
}

static void
a_token_that_would_be_too_long_is_not_made(void **state)
{
	char id[PACKET_ID], data[4 * TOKEN_MAX];
	struct span s = { id, sizeof id }, u = { id, 0 };
	struct token_claims c;
	size_t made = 0;
	struct text t;

	(void)state;
	memset(id, '"', sizeof id);
	text_init(&t, data, sizeof data);
	text_string(&t, "before");
	token_put(&t, &secrets, &s, &s, 2000);
	assert_false(t.overflow);
	assert_int_equal(token_check(&secrets, (struct span){ data + 6, t.length - 6 },
				     &s, &s, NOW, &c),
			 TOKEN_VALID);
	/* Each control character makes it longer by some bytes. */
	memset(id, '\x01', sizeof id);
	for (u.length = 0; u.length <= sizeof id; u.length++) {
		text_init(&t, data, sizeof data);
		token_put(&t, &secrets, &s, &u, 2000);
		assert_true(t.overflow || t.length <= TOKEN_MAX);
		made += !t.overflow;
		if (!t.overflow)
			assert_int_equal(token_check(&secrets,
						     (struct span){ data, t.length }, &s,
						     &u, NOW, &c),
					 TOKEN_VALID);
	}
	assert_in_range(made, 100, sizeof id);
	enum { SMALLEST = 97 }; /* of exp alone */
	for (size_t size = 0; size <= SMALLEST; size++) {
		char *exact = allocate(size);
		text_init(&t, exact, size);
		token_put(&t, &secrets, NULL, NULL, 2000);
		assert_int_equal(t.overflow, size < SMALLEST);
		free(exact);
	}
}

/* Runs -t with these arguments.  Returns the output; the status is in `status`. */
static struct span
run_make(char *const *arguments, size_t count, int *status)
{
	static char data[TOKEN_MAX];
	struct text output;

	write_file(path, BYTES(SECRET "\n"));
	text_init(&output, data, sizeof data);
	*status = token_make(path, arguments, count, &output);
	return (struct span){ data, output.length };
}

static void
a_new_token_lasts_a_day_or_as_long_as_it_must(void **state)
{
	char *arguments[] = { "kitchen", "", "315360000" };
	static const uint64_t seconds[] = { 86400, 86400, 86400, 315360000 };
	struct token_claims c;
	int status;

	(void)state;
	for (size_t count = 0; count <= 3; count++) {
		struct span token = run_make(arguments, count, &status);
		assert_int_equal(status, 0);
		assert_int_equal(check_at(token, "kitchen", "ann", TEXT_RELEASED, &c),
				 TOKEN_VALID);
		assert_span(c.room, count > 0 ? "kitchen" : NULL);
		assert_null(c.user.data);
		assert_int_equal(c.expires, TEXT_RELEASED + seconds[count]);
	}
}

static void
invalid_arguments_and_an_unset_clock_make_no_token(void **state)
{
	char id[130] = "", *long_room[] = { id }, *latin[] = { "r", "\xe4" },
	     *cut[] = { "\xc3" };
	char *numbers[] = { "0", "", "-1", "1.5", "315360001", "18446744073709551617" };
	char *controls[] = { NULL, NULL };
	int status;

	(void)state;
	memset(id, 'x', 129);
	assert_same(run_make(long_room, 1, &status),
		    SPAN("ROOM and USER must be UTF-8 of at most 128 bytes"));
	assert_int_equal(status, 1);
	assert_same(run_make(latin, 2, &status),
		    SPAN("ROOM and USER must be UTF-8 of at most 128 bytes"));
	assert_same(run_make(cut, 1, &status),
		    SPAN("ROOM and USER must be UTF-8 of at most 128 bytes"));
	for (size_t i = 0; i < COUNT(numbers); i++) {
		char *arguments[] = { "r", "u", numbers[i] };
		assert_same(run_make(arguments, 3, &status),
			    SPAN("SECONDS must be a whole number from 1 to 315360000"));
		assert_int_equal(status, 1);
	}
	memset(id, '\x01', 128);
	id[128] = '\0';
	controls[0] = controls[1] = id;
	assert_same(run_make(controls, 2, &status),
		    SPAN("ROOM and USER take too much space in a token"));
	assert_int_equal(status, 1);
	clock_seconds = 0;
	assert_same(run_make(NULL, 0, &status),
		    SPAN("the clock is not set: it shows a time before this release"));
	assert_int_equal(status, 1);
	clock_seconds = TEXT_RELEASED;
}

static void
a_new_secret_is_random_and_never_replaces_a_file(void **state)
{
	char name[sizeof path + 4], data[512], text[2][64] = { "", "" };
	struct text output;
	struct stat status;

	(void)state;
	snprintf(name, sizeof name, "%s.new", path);
	for (unsigned i = 0; i < 2; i++) {
		text_init(&output, data, sizeof data);
		mode_t mask = umask(i == 0 ? 0 : 0777);
		assert_int_equal(token_make_secret(name, &output), 0);
		umask(mask);
		assert_int_equal(output.length, 0);
		assert_int_equal(stat(name, &status), 0);
		assert_int_equal(status.st_mode & 07777, 0600);
		assert_int_equal(status.st_size, TOKEN_SECRET_TEXT + 1);
		FILE *file = fopen(name, "r");
		assert_non_null(file);
		assert_int_equal(fread(text[i], 1, 64, file), TOKEN_SECRET_TEXT + 1);
		fclose(file);
		assert_int_equal(text[i][TOKEN_SECRET_TEXT], '\n');
		assert_null(load(&secrets, name));
		assert_int_equal(secrets.count, 1);
		/* A second one is not made there. */
		assert_int_equal(token_make_secret(name, &output), 1);
		assert_same(
		    (struct span){ data + strlen(name), output.length - strlen(name) },
		    SPAN(": File exists"));
		assert_int_equal(stat(name, &status), 0);
		assert_int_equal(status.st_size, TOKEN_SECRET_TEXT + 1);
		assert_int_equal(unlink(name), 0);
	}
	assert_string_not_equal(text[0], text[1]);
}

#define TEST(name) cmocka_unit_test_setup(name, add_the_secret)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_published_token_is_valid_until_it_expires),
		TEST(a_token_of_any_secret_is_valid),
		TEST(no_bit_of_a_token_may_change),
		TEST(a_token_that_is_cut_or_extended_is_invalid),
		TEST(parts_that_are_not_base64url_are_invalid_though_signed),
		TEST(a_token_has_at_most_2048_bytes),
		TEST(the_algorithm_is_exactly_hs256),
		TEST(a_header_with_crit_is_invalid),
		TEST(header_and_claims_must_be_json_objects),
		TEST(exp_is_required_and_the_first_second_that_is_too_late),
		TEST(nbf_is_the_first_second_that_is_not_too_early),
		TEST(times_are_integers_from_0_to_2_to_the_63_minus_1),
		TEST(a_room_or_user_that_is_claimed_must_be_the_same),
		TEST(a_token_for_the_empty_room_is_for_that_alone),
		TEST(room_and_sub_are_strings_of_at_most_128_bytes),
		TEST(the_claims_are_unescaped),
		TEST(without_a_clock_no_token_is_valid),
		TEST(claims_are_valid_while_their_secret_is),
		TEST(a_clock_before_the_release_is_not_set),
		TEST(every_error_has_its_text),
		TEST(each_line_is_a_secret),
		TEST(a_line_that_is_not_a_secret_is_refused_with_its_number),
		TEST(a_file_without_secrets_or_too_long_is_refused),
		TEST(a_file_that_every_user_can_read_or_write_is_refused),
		TEST(a_token_that_is_made_is_valid),
		TEST(a_token_that_would_be_too_long_is_not_made),
		TEST(a_new_token_lasts_a_day_or_as_long_as_it_must),
		TEST(invalid_arguments_and_an_unset_clock_make_no_token),
		TEST(a_new_secret_is_random_and_never_replaces_a_file),
	};

	return cmocka_run_group_tests_name("token", tests, create_file, remove_file);
}
