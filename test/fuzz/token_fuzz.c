/*
 * Tokens.  The first byte of the input says what the rest is:
 *
 * 'f': a file of secrets.
 * 's': header and claims, separated by a line feed, of a token that is signed here.
 * others: a token.  It is valid only if its signature is.
 */
#include "fuzz.h"
#include "secret_file.h"
#include "token.h"

#include <bearssl.h>
#include <sys/stat.h>

enum { NOW = 1800000000 };

/* With the second one, the corpus has signed tokens. */
static const char *const keys[] = { "another secret",
				    "0123456789abcdef0123456789abcdef" };

enum { KEYS = sizeof keys / sizeof *keys };

/* Adds the signature of a text. */
static void
sign(struct text *t, struct span input, const char *secret)
{
	unsigned char mac[br_sha256_SIZE];
	br_hmac_key_context key;
	br_hmac_context hmac;

	br_hmac_key_init(&key, &br_sha256_vtable, secret, strlen(secret));
	br_hmac_init(&hmac, &key, 0);
	br_hmac_update(&hmac, input.data, input.length);
	br_hmac_out(&hmac, mac);
	text_base64(t, BASE64URL, mac, sizeof mac);
}

/* The bytes after the last dot are a signature of those before it. */
static bool
is_signed(struct span token)
{
	size_t dot = token.length;
	bool found = false;

	while (dot > 0 && token.data[dot - 1] != '.')
		dot--;
	if (dot == 0)
		return false;
	for (size_t i = 0; i < KEYS; i++) {
		char end[64];
		struct text t;
		text_init(&t, end, sizeof end);
		sign(&t, (struct span){ token.data, dot - 1 }, keys[i]);
		found |= span_same((struct span){ token.data + dot, token.length - dot },
				   (struct span){ end, t.length });
	}
	return found;
}

static bool
is_valid_text(struct span s)
{
	struct utf8 utf8 = { 0 };

	return s.length <= PACKET_ID && utf8_check(&utf8, s.data, s.length) &&
	       utf8_complete(&utf8);
}

static void
check_token(const struct token_secrets *secrets, struct span token)
{
	struct span room = span_of("kitchen"), user = span_of("ann");
	struct token_claims c, any;
	enum token_error error = token_check(secrets, token, &room, &user, NOW, &c);

	CHECK(error < TOKEN_ERRORS && error != TOKEN_NO_CLOCK);
	CHECK((error == TOKEN_NEEDED) == (token.length == 0));
	if (error == TOKEN_NEEDED || error == TOKEN_INVALID)
		return;
	CHECK(token.length <= TOKEN_MAX && is_signed(token));
	CHECK(c.room.data == NULL || is_valid_text(c.room));
	CHECK(c.user.data == NULL || is_valid_text(c.user));
	if (error == TOKEN_VALID)
		CHECK(c.expires > NOW && c.not_before <= NOW &&
		      (c.room.data == NULL || span_is(c.room, "kitchen")) &&
		      (c.user.data == NULL || span_is(c.user, "ann")));
	enum token_error without = token_check(secrets, token, NULL, NULL, NOW, &any);
	CHECK(without != TOKEN_OTHER_ROOM && without != TOKEN_OTHER_USER);
	CHECK((without == TOKEN_VALID) ==
	      (error == TOKEN_VALID || error == TOKEN_OTHER_ROOM ||
	       error == TOKEN_OTHER_USER));
	CHECK(token_check(secrets, token, NULL, NULL, 0, &any) == TOKEN_NO_CLOCK);
	/* What is claimed can be claimed again. */
	char data[TOKEN_MAX];
	struct text t;
	text_init(&t, data, sizeof data);
	token_put(&t, secrets, c.room.data != NULL ? &c.room : NULL,
		  c.user.data != NULL ? &c.user : NULL, c.expires);
	if (t.overflow)
		return;
	uint64_t before = c.expires > 0 ? c.expires - 1 : 0;
	CHECK(token_check(secrets, (struct span){ data, t.length }, &c.room, &c.user,
			  before, &any) == (before > 0 ? TOKEN_VALID : TOKEN_NO_CLOCK));
}

static void
check_signed(const struct token_secrets *secrets, const uint8_t *data, size_t length)
{
	const uint8_t *end = memchr(data, '\n', length);
	size_t header = end != NULL ? (size_t)(end - data) : length;
	size_t claims = end != NULL ? length - header - 1 : 0;
	struct text t;

	text_init(&t, malloc(2 * length + 64), 2 * length + 64);
	CHECK(t.data != NULL);
	text_base64(&t, BASE64URL, data, header);
	text_char(&t, '.');
	text_base64(&t, BASE64URL, data + length - claims, claims);
	struct span input = { t.data, t.length };
	text_char(&t, '.');
	sign(&t, input, keys[1]);
	CHECK(!t.overflow && is_signed((struct span){ t.data, t.length }));
	char *exact = fuzz_copy(t.data, t.length);
	check_token(secrets, (struct span){ exact, t.length });
	free(exact);
	free(t.data);
}

static void
check_file(const uint8_t *data, size_t length)
{
	const char *file = fuzz_file(data, length);
	struct token_secrets secrets = { 0 };
	char said[512];
	struct text error;

	CHECK(chmod(file, 0600) == 0);
	text_init(&error, said, sizeof said);
	if (token_load(&secrets, file, &error)) {
		CHECK(error.length == 0 && length <= SECRET_FILE_MAX);
		CHECK(secrets.count > 0 && secrets.count <= TOKEN_SECRETS_MAX);
		return;
	}
	CHECK(secrets.count == 0 && !error.overflow);
	CHECK(error.length > strlen(file) + 1 && memcmp(said, file, strlen(file)) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	static struct token_secrets secrets;
	uint8_t kind = fuzz_first(&data, &length);

	while (secrets.count < KEYS)
		token_add_secret(&secrets, span_of(keys[secrets.count]));
	if (kind == 'f') {
		check_file(data, length);
	} else if (kind == 's') {
		check_signed(&secrets, data, length);
	} else {
		void *exact = fuzz_copy(data, length);
		check_token(&secrets, (struct span){ exact, length });
		free(exact);
	}
	return 0;
}
