/*
 * The header and the claims of a token (RFC 7515, RFC 7519), after its signature.
 *
 * times: read_time of any up to BOUND bytes accepts exactly digits, and returns their
 * number.  The maximum has more digits than the prover can follow: see token_test.c.
 *
 * claims: read_claims of any JSON object with up to 3 members, in any order and also
 * repeated, whose values are any up to BOUND bytes, each in its own place.  It accepts
 * the object exactly if the last exp is a whole number, the last nbf too or absent, and
 * the last room and sub are strings that fit into PACKET_ID bytes, or absent.  The claims
 * are these values, within the struct.
 *
 * header: check_header likewise.  The last alg is the string HS256, and there is no crit.
 *
 * checks: token_check_claims of any claims, secrets and time, with ids of up to 4 bytes,
 * returns the first error in the order of token.h.
 *
 * In claims and header, the decoders that other files prove return anything that these
 * allow: base64_decode, utf8_check, utf8_complete and the functions of json.h.
 */
#include "proof.h"

/* divide_by_10 takes the halves of a number by conversion. */
#pragma CPROVER check push
#pragma CPROVER check disable "conversion"
#include "text.c"
#pragma CPROVER check pop

#define base64_decode any_base64
#define utf8_check    any_utf8
#define utf8_complete any_complete
#define json_init     any_init
#define json_enter    any_enter
#define json_member   any_member
#define json_finish   any_finish
#define json_contents any_contents
#define json_equal    any_equal
#define json_unescape any_unescape

long any_base64(struct span, enum base64, void *, size_t);
bool any_utf8(struct utf8 *, const void *, size_t);
bool any_complete(const struct utf8 *);

#include "token.c"

enum { ITEMS = 3 };
enum name { EXP, NBF, ROOM, SUB, ALG, CRIT, OTHER, NAMES };

/* The names of members differ in their first letters. */
static const char initials[] = "enrsac-";

static struct token_claims got;

/* The object that is being read. */
static struct {
	bool valid; /* base64url, UTF-8 and JSON so far */
	unsigned items;
	unsigned key;		 /* of the current member */
	struct span last[NAMES]; /* of each name the last value */
	bool is_string[NAMES], is_time[NAMES];
	uint64_t time[NAMES];
	bool is_hs256;	 /* what alg is */
	long room, user; /* results of json_unescape */
} object;

static bool
any_result(void)
{
	bool result;

	object.valid = object.valid && result;
	return result;
}

long
any_base64(struct span part, enum base64 kind, void *out, size_t size)
{
	long length;

	(void)part;
	claim(kind == BASE64URL && size == JSON_MAX && __CPROVER_w_ok(out, size));
	assume(length >= BASE64_TOO_LONG && length <= (long)size);
	object.valid = length >= 0;
	return length;
}

bool
any_utf8(struct utf8 *utf8, const void *data, size_t length)
{
	(void)utf8;
	claim(__CPROVER_r_ok(data, length));
	return any_result();
}

bool
any_complete(const struct utf8 *utf8)
{
	(void)utf8;
	return any_result();
}

void
any_init(struct json *j, char *text, size_t length)
{
	*j = (struct json){ .text = text, .length = length };
}

bool
any_enter(struct json *j, char open)
{
	claim(open == '{' && j->strict);
	return any_result();
}

bool
any_member(struct json *j, struct span *key, struct span *value, bool *at_end)
{
	size_t length;
	unsigned name;
	bool more;

	claim(object.valid);
	if (!more || object.items == ITEMS)
		return false;
	assume(name < NAMES);
	assume(length > 0 && length <= BOUND);
	assume(j->length >= ITEMS * BOUND);
	object.key = name;
	*key = (struct span){ j->text, 0 };
	*value = (struct span){ j->text + BOUND * object.items++, length };
	object.last[name] = *value;
	(void)at_end;
	return true;
}

/* Digits, of which the significant ones are at most those of 2^63 - 1. */
static bool
is_time(struct span value, uint64_t *time)
{
	static const char most[] = "9223372036854775807";
	enum { DIGITS = sizeof most - 1 };
	size_t zeros = 0, digits;
	int order = 0;

	*time = 0;
	for (size_t i = 0; i < value.length; i++)
		if (value.data[i] < '0' || value.data[i] > '9')
			return false;
	while (zeros < value.length && value.data[zeros] == '0')
		zeros++;
	digits = value.length - zeros;
	if (value.length == 0 || digits > DIGITS)
		return false;
	for (size_t i = 0; i < digits; i++) {
		char c = value.data[zeros + i];
		*time = 10 * *time + (uint64_t)(c - '0');
		if (order == 0)
			order = c - most[i];
	}
	return digits < DIGITS || order <= 0;
}

/* The text is read here, because it is a variable of the function under proof. */
bool
any_finish(struct json *j)
{
	(void)j;
	for (size_t i = 0; i < NAMES; i++) {
		object.is_string[i] =
		    object.last[i].data != NULL && *object.last[i].data == '"';
		object.is_time[i] = object.last[i].data != NULL && i <= NBF &&
				    is_time(object.last[i], &object.time[i]);
	}
	return any_result();
}

struct span
any_contents(struct span string)
{
	claim(*string.data == '"');
	return string;
}

/* Only a key has no bytes. */
bool
any_equal(struct span contents, const char *name)
{
	if (contents.length == 0)
		return *name == initials[object.key];
	claim(contents.data == object.last[ALG].data && memcmp(name, "HS256", 6) == 0);
	return object.is_hs256;
}

long
any_unescape(struct span contents, char *out, size_t size, bool keep_lone)
{
	bool is_room = out == got.room_data;
	long length;

	claim(size == PACKET_ID && !keep_lone);
	claim(is_room || out == got.user_data);
	claim(contents.data == object.last[is_room ? ROOM : SUB].data);
	assume(length >= JSON_LONE_SURROGATE && length <= PACKET_ID);
	*(is_room ? &object.room : &object.user) = length;
	return length;
}

static bool
is_id(enum name name, long length)
{
	return object.last[name].data == NULL || (object.is_string[name] && length >= 0);
}

static void
check_id(enum name name, struct span id, const char *data, long length)
{
	if (object.last[name].data == NULL)
		claim(id.data == NULL);
	else
		claim(id.data == data && id.length == (size_t)length &&
		      id.length <= PACKET_ID);
}

void
times(void)
{
	char room[BOUND];
	uint64_t time, expected;
	size_t length;

	assume(length <= BOUND);
	struct span value = { room + BOUND - length, length };
	bool valid = read_time(value, &time);
	claim(valid == is_time(value, &expected));
	claim(!valid || (time == expected && time <= INT64_MAX));
	reached(valid && length == BOUND && value.data[0] == '9');
	reached(!valid && length == BOUND && value.data[0] == '9');
}

void
claims(void)
{
	const struct span part = { NULL, 0 };
	bool valid = read_claims(part, &got);
	bool has_nbf = object.last[NBF].data != NULL;

	claim(valid ==
	      (object.valid && object.is_time[EXP] && (!has_nbf || object.is_time[NBF]) &&
	       is_id(ROOM, object.room) && is_id(SUB, object.user)));
	if (!valid)
		return;
	claim(got.expires == object.time[EXP] && got.expires <= INT64_MAX);
	claim(got.not_before == (has_nbf ? object.time[NBF] : 0));
	check_id(ROOM, got.room, got.room_data, object.room);
	check_id(SUB, got.user, got.user_data, object.user);
	reached(has_nbf && got.room.data != NULL && got.user.data == NULL);
	reached(got.room.length == PACKET_ID && got.user.length == 0 &&
		got.user.data != NULL);
	reached(object.items == ITEMS && !has_nbf && got.room.data == NULL &&
		got.user.data == NULL);
}

void
header(void)
{
	const struct span part = { NULL, 0 };
	bool is_hs256;

	object.is_hs256 = is_hs256;
	bool valid = check_header(part);
	claim(valid == (object.valid && object.is_string[ALG] && is_hs256 &&
			object.last[CRIT].data == NULL));
	reached(valid && object.items == ITEMS);
	reached(!valid && object.last[CRIT].data != NULL && object.is_string[ALG]);
}

/* Returns NULL, or an id of up to 4 bytes. */
static const struct span *
any_id(struct span *id, const char bytes[4])
{
	bool is_given;
	size_t length;

	assume(length <= 4);
	*id = (struct span){ bytes, length };
	return is_given ? id : NULL;
}

static bool
is_other(const struct span *claimed, const struct span *id)
{
	bool other = false;

	if (claimed == NULL || id == NULL)
		return false;
	for (size_t i = 0; i < 4; i++)
		other |= i < id->length && i < claimed->length &&
			 id->data[i] != claimed->data[i];
	return other || id->length != claimed->length;
}

void
checks(void)
{
	static struct token_secrets secrets;
	char bytes[4][4];
	struct span ids[4], none = { NULL, 0 };
	uint64_t now, expires, not_before, signer;
	bool is_known = false;
	size_t count;

	assume(count <= TOKEN_SECRETS_MAX);
	secrets.count = count;
	got.signer = signer;
	for (size_t i = 0; i < TOKEN_SECRETS_MAX; i++) {
		uint64_t id;
		memcpy(secrets.keys[i].kso, &id, sizeof id);
		is_known |= i < count && id == got.signer;
	}
	const struct span *room = any_id(&ids[0], bytes[0]),
			  *user = any_id(&ids[1], bytes[1]);
	const struct span *of = any_id(&ids[2], bytes[2]),
			  *sub = any_id(&ids[3], bytes[3]);
	got.room = of != NULL ? *of : none;
	got.user = sub != NULL ? *sub : none;
	got.expires = expires;
	got.not_before = not_before;
	enum token_error error = token_check_claims(&secrets, &got, room, user, now);
	enum token_error expected = !is_known		  ? TOKEN_INVALID
				    : now == 0		  ? TOKEN_NO_CLOCK
				    : now >= expires	  ? TOKEN_EXPIRED
				    : now < not_before	  ? TOKEN_NOT_YET
				    : is_other(of, room)  ? TOKEN_OTHER_ROOM
				    : is_other(sub, user) ? TOKEN_OTHER_USER
							  : TOKEN_VALID;
	claim(error == expected);
	reached(error == TOKEN_VALID && of != NULL && room != NULL && sub == NULL);
	reached(error == TOKEN_OTHER_USER && user->length == 4);
}
