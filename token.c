#include "token.h"

#include "entropy.h"
#include "json.h"
#include "memory.h"
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *const token_errors[TOKEN_ERRORS] = {
	[TOKEN_NEEDED] = "token needed",
	[TOKEN_INVALID] = "token is not valid",
	[TOKEN_EXPIRED] = "token has expired",
	[TOKEN_NOT_YET] = "token is not valid yet",
	[TOKEN_OTHER_ROOM] = "token is for another room",
	[TOKEN_OTHER_USER] = "token is for another user",
	[TOKEN_NO_CLOCK] = "the server's clock is not set",
};

/*
 * Secrets
 */

_Static_assert((int)TOKEN_SECRETS_MAX <= (int)SECRET_FILE_SECRETS,
	       "a file can have all secrets");

void
token_add_secret(struct token_secrets *s, struct span secret)
{
	br_hmac_key_init(&s->keys[s->count++], &br_sha256_vtable, secret.data,
			 secret.length);
}

bool
token_load(struct token_secrets *s, const char *file, struct text *error)
{
	const struct secret_file_rule rule = { TOKEN_SECRETS_MAX, TOKEN_SECRET_MIN };
	struct secret_file read;
	bool valid = secret_file_read(&read, file, rule, error);

	if (valid) {
		*s = (struct token_secrets){ 0 };
		for (size_t i = 0; i < read.count; i++)
			token_add_secret(s, read.secrets[i]);
	}
	memory_wipe(&read, sizeof read);
	return valid;
}

/*
 * Checking
 */

static void
compute_mac(const br_hmac_key_context *key, struct span input,
	    unsigned char mac[br_sha256_SIZE])
{
	br_hmac_context hmac;

	br_hmac_init(&hmac, key, 0);
	br_hmac_update(&hmac, input.data, input.length);
	br_hmac_out(&hmac, mac);
}

/* Returns a part of the SHA-256 state after the outer pad; it differs between secrets. */
static uint64_t
key_id(const br_hmac_key_context *key)
{
	uint64_t id;

	memcpy(&id, key->kso, sizeof id);
	return id;
}

/* Compares `mac` with the MAC of every secret, in constant time.  Sets `signer` to the
 * key_id of the secret whose MAC is equal, or to 0. */
static bool
is_signed(const struct token_secrets *s, struct span input,
	  const unsigned char mac[br_sha256_SIZE], uint64_t *signer)
{
	unsigned char expected[br_sha256_SIZE];
	uint32_t valid = 0;

	*signer = 0;
	for (size_t i = 0; i < s->count; i++) {
		uint32_t difference = 0;
		compute_mac(&s->keys[i], input, expected);
		for (size_t j = 0; j < sizeof expected; j++)
			difference |= (uint32_t)(expected[j] ^ mac[j]);
		uint32_t equal = (difference - 1) >> 31;
		valid |= equal;
		*signer |= key_id(&s->keys[i]) & -(uint64_t)equal;
	}
	return valid != 0;
}

/* Moves the part before the next dot from `rest` to `part`, and removes the dot. */
static bool
take_part(struct span *rest, struct span *part)
{
	const char *dot = memchr(rest->data, '.', rest->length);

	if (dot == NULL)
		return false;
	*part = (struct span){ rest->data, (size_t)(dot - rest->data) };
	*rest = (struct span){ dot + 1, rest->length - part->length - 1 };
	return true;
}

/* Splits a token and verifies its signature.  Header and claims stay in base64url. */
static bool
open_token(const struct token_secrets *s, struct span token, struct span *header,
	   struct span *claims, uint64_t *signer)
{
	unsigned char mac[br_sha256_SIZE];
	struct span rest = token;

	if (token.length > TOKEN_MAX || !take_part(&rest, header) ||
	    !take_part(&rest, claims) ||
	    base64_decode(rest, BASE64URL, mac, sizeof mac) != sizeof mac)
		return false;
	token.length -= rest.length + 1;
	return is_signed(s, token, mac, signer);
}

struct member {
	const char *name;
	struct span value; /* JSON; its data is NULL if there is no such member */
};

enum { JSON_MAX = TOKEN_MAX / 4 * 3 }; /* maximum size of header or claims, in bytes */

/* Decodes a JSON object to `text`, and finds the last value of each member. */
static bool
read_object(struct span part, char text[JSON_MAX], struct member *members, size_t count)
{
	struct utf8 utf8 = { 0 };
	struct span key, value;
	struct json j;
	bool at_end;
	long length = base64_decode(part, BASE64URL, text, JSON_MAX);

	if (length < 0 || !utf8_check(&utf8, text, (size_t)length) ||
	    !utf8_complete(&utf8))
		return false;
	json_init(&j, text, (size_t)length);
	j.strict = true;
	if (!json_enter(&j, '{'))
		return false;
	while (json_member(&j, &key, &value, &at_end))
		for (size_t i = 0; i < count; i++)
			if (json_equal(key, members[i].name))
				members[i].value = value;
	return json_finish(&j);
}

static bool
check_header(struct span part)
{
	enum { ALG, CRIT, MEMBERS };
	struct member m[MEMBERS] = { [ALG].name = "alg", [CRIT].name = "crit" };
	char text[JSON_MAX];

	return read_object(part, text, m, MEMBERS) && m[CRIT].value.data == NULL &&
	       m[ALG].value.data != NULL && *m[ALG].value.data == '"' &&
	       json_equal(json_contents(m[ALG].value), "HS256");
}

static bool
read_time(struct span value, uint64_t *time)
{
	return text_to_number(value, INT64_MAX, time);
}

/* Unescapes the string of an optional claim.  The data of `id` is NULL if absent. */
static bool
read_id(struct span value, struct span *id, char data[PACKET_ID])
{
	*id = (struct span){ 0 };
	if (value.data == NULL)
		return true;
	if (*value.data != '"')
		return false;
	long length = json_unescape(json_contents(value), data, PACKET_ID, false);
	if (length < 0)
		return false;
	*id = (struct span){ data, (size_t)length };
	return true;
}

static bool
read_claims(struct span part, struct token_claims *c)
{
	enum { EXP, NBF, ROOM, SUB, MEMBERS };
	struct member m[MEMBERS] = { [EXP].name = "exp",
				     [NBF].name = "nbf",
				     [ROOM].name = "room",
				     [SUB].name = "sub" };
	char text[JSON_MAX];

	c->not_before = 0;
	return read_object(part, text, m, MEMBERS) &&
	       read_time(m[EXP].value, &c->expires) &&
	       (m[NBF].value.data == NULL || read_time(m[NBF].value, &c->not_before)) &&
	       read_id(m[ROOM].value, &c->room, c->room_data) &&
	       read_id(m[SUB].value, &c->user, c->user_data);
}

enum token_error
token_read(const struct token_secrets *s, struct span token, struct token_claims *c)
{
	struct span header, claims;

	if (token.length == 0)
		return TOKEN_NEEDED;
	return open_token(s, token, &header, &claims, &c->signer) &&
		       check_header(header) && read_claims(claims, c)
		   ? TOKEN_VALID
		   : TOKEN_INVALID;
}

static bool
has_key(const struct token_secrets *s, uint64_t id)
{
	for (size_t i = 0; i < s->count; i++)
		if (key_id(&s->keys[i]) == id)
			return true;
	return false;
}

enum token_error
token_check_claims(const struct token_secrets *s, const struct token_claims *c,
		   const struct span *room, const struct span *user, uint64_t now)
{
	if (!has_key(s, c->signer))
		return TOKEN_INVALID;
	if (now == 0)
		return TOKEN_NO_CLOCK;
	if (now >= c->expires)
		return TOKEN_EXPIRED;
	if (now < c->not_before)
		return TOKEN_NOT_YET;
	if (room != NULL && c->room.data != NULL && !span_same(c->room, *room))
		return TOKEN_OTHER_ROOM;
	if (user != NULL && c->user.data != NULL && !span_same(c->user, *user))
		return TOKEN_OTHER_USER;
	return TOKEN_VALID;
}

enum token_error
token_check(const struct token_secrets *s, struct span token, const struct span *room,
	    const struct span *user, uint64_t now, struct token_claims *c)
{
	enum token_error error = token_read(s, token, c);

	return error == TOKEN_VALID ? token_check_claims(s, c, room, user, now) : error;
}

uint64_t
token_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec < TEXT_RELEASED ? 0 : (uint64_t)now.tv_sec;
}

/*
 * Making
 */

static void
put_claim(struct text *t, const char *name, const struct span *value)
{
	if (value == NULL)
		return;
	text_string(t, ",\"");
	text_string(t, name);
	text_string(t, "\":\"");
	json_escape(t, value->data, value->length);
	text_char(t, '"');
}

void
token_put(struct text *t, const struct token_secrets *s, const struct span *room,
	  const struct span *user, uint64_t expires)
{
	unsigned char mac[br_sha256_SIZE];
	char data[JSON_MAX];
	struct text claims;
	size_t start = t->length;

	text_init(&claims, data, sizeof data);
	text_string(&claims, "{\"exp\":");
	text_number(&claims, expires);
	put_claim(&claims, "room", room);
	put_claim(&claims, "sub", user);
	text_char(&claims, '}');
	/* {"alg":"HS256","typ":"JWT"} */
	text_string(t, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.");
	text_base64(t, BASE64URL, data, claims.length);
	compute_mac(&s->keys[0], (struct span){ t->data + start, t->length - start },
		    mac);
	text_char(t, '.');
	text_base64(t, BASE64URL, mac, sizeof mac);
	if (claims.overflow || t->length - start > TOKEN_MAX)
		t->overflow = true;
}

int
token_make_secret(const char *file, struct text *output)
{
	unsigned char random[32];
	char line[TOKEN_SECRET_TEXT + 1];
	struct text t;

	if (!entropy_get(random, sizeof random)) {
		text_string(output, "no random bytes (getrandom, /dev/urandom)");
		return 1;
	}
	text_init(&t, line, sizeof line);
	text_base64(&t, BASE64URL, random, sizeof random);
	text_char(&t, '\n');
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool written = fd >= 0 && fchmod(fd, 0600) == 0;
	if (written) {
		errno = ENOSPC; /* the reason if write is short */
		written = write(fd, line, sizeof line) == sizeof line && fsync(fd) == 0;
	}
	int error = errno;
	memory_wipe(random, sizeof random);
	memory_wipe(line, sizeof line);
	if (fd >= 0) {
		close(fd);
		if (!written)
			unlink(file);
	}
	return written || text_file_error(output, file, text_error(error)) ? 0 : 1;
}

/* Returns false if an argument can not be a UserId or RoomId. */
static bool
read_argument(const char *argument, struct span *id)
{
	struct utf8 utf8 = { 0 };

	*id = (struct span){ argument, strlen(argument) };
	return id->length <= PACKET_ID && utf8_check(&utf8, argument, id->length) &&
	       utf8_complete(&utf8);
}

/* Adds the token.  Returns NULL, or the reason why it can not. */
static const char *
put_token(struct text *t, const struct token_secrets *s, char *const *arguments,
	  size_t count)
{
	struct span ids[2] = { { 0 } };
	const struct span *given[2] = { NULL, NULL };
	uint64_t seconds = TOKEN_SECONDS, now = token_now();

	for (size_t i = 0; i < 2 && i < count; i++) {
		if (!read_argument(arguments[i], &ids[i]))
			return "ROOM and USER must be UTF-8 of at most 128 bytes";
		given[i] = ids[i].length > 0 ? &ids[i] : NULL;
	}
	if (count == 3 &&
	    (!text_to_number((struct span){ arguments[2], strlen(arguments[2]) },
			     TOKEN_SECONDS_MAX, &seconds) ||
	     seconds == 0))
		return "SECONDS must be a whole number from 1 to 315360000";
	if (now == 0)
		return "the clock is not set: it shows a time before this release";
	token_put(t, s, given[0], given[1], now + seconds);
	return t->overflow ? "ROOM and USER take too much space in a token" : NULL;
}

int
token_make(const char *file, char *const *arguments, size_t count, struct text *output)
{
	struct token_secrets secrets = { 0 };
	char data[TOKEN_MAX];
	struct text token;

	if (!token_load(&secrets, file, output))
		return 1;
	text_init(&token, data, sizeof data);
	const char *why = put_token(&token, &secrets, arguments, count);
	memory_wipe(&secrets, sizeof secrets);
	if (why != NULL)
		text_string(output, why);
	else
		text_put(output, data, token.length);
	return why == NULL ? 0 : 1;
}
