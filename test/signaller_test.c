/* Effects of packets, without a server.  Sessions are numbers; packets to them are
 * recorded. */
#include "signaller.h"
#include "log.h"
#include "unit.h"

#include <sys/mman.h>

enum { SESSIONS = 20, PEERS = 3, ROOM = 100000 };

static char sent[SESSIONS + 1][ROOM]; /* one message a line, by session */
static size_t lengths[SESSIONS + 1];
static unsigned closed_with[SESSIONS + 1];
static size_t longest;
static uint64_t now = 1000;
static struct address_key address;
static struct session_shared *shared;

bool
session_send(uint32_t session, const char *data, size_t length, bool binary)
{
	assert_false(binary);
	assert_in_range(session, 1, SESSIONS);
	if (closed_with[session] != 0)
		return false;
	assert_true(lengths[session] + length + 1 < ROOM);
	memcpy(sent[session] + lengths[session], data, length);
	lengths[session] += length;
	sent[session][lengths[session]++] = '\n';
	longest = length > longest ? length : longest;
	return true;
}

bool
session_send_shared(uint32_t session, struct session_shared *m)
{
	/* One at a time. */
	assert_true(shared == NULL || shared == m);
	shared = m;
	return session_send(session, m->message.data, m->message.length, false);
}

void
session_shared_end(struct session_shared *m)
{
	assert_true(shared == NULL || shared == m);
	shared = NULL;
}

void
session_close(uint32_t session, unsigned code, const char *reason)
{
	assert_non_null(reason);
	closed_with[session] = code;
}

struct span
session_peer(uint32_t session)
{
	(void)session;
	return SPAN("192.0.2.1:1");
}

struct address_key
session_address_key(uint32_t session)
{
	(void)session;
	return address;
}

uint64_t
conn_milliseconds(void)
{
	return now;
}

uint32_t
conn_seconds(void)
{
	return (uint32_t)(now / 1000);
}

static struct memory memory;
static const struct token_secrets *secrets; /* of signaller_limits */

static int
start(void **state)
{
	const struct signaller_limits limits = { SESSIONS, PEERS, { 3, 5 }, secrets };

	(void)state;
	memory = (struct memory){ 0 };
	signaller_place(&memory, &limits);
	block_place(&memory, 4, 65536);
	assert_true(memory_map(&memory));
	signaller_place(&memory, &limits);
	block_place(&memory, 4, 65536);
	memset(lengths, 0, sizeof lengths);
	memset(closed_with, 0, sizeof closed_with);
	longest = 0;
	address = (struct address_key){ 0 };
	return 0;
}

static int
end(void **state)
{
	(void)state;
	assert_int_equal(block_taken(), 0);
	return munmap(memory.base, memory.used);
}

/* `payload` is JSON. */
static void
receives_payload(uint32_t session, const char *event, const char *user, const char *room,
		 const char *payload)
{
	char text[4096];
	int length = snprintf(text, sizeof text,
			      "{\"Header\":{\"Event\":\"%s\",\"UserId\":\"%s\","
			      "\"RoomId\":\"%s\"},\"Payload\":%s}",
			      event, user, room, payload);

	signaller_service.message(session, text, (size_t)length, false);
}

static void
receives(uint32_t session, const char *event, const char *user, const char *room)
{
	receives_payload(session, event, user, room, "\"{}\"");
}

/* A packet of the user a in the room r, with a To, which is JSON. */
static void
receives_to(uint32_t session, const char *event, const char *to)
{
	char text[1024];
	int length = snprintf(text, sizeof text,
			      "{\"Header\":{\"Event\":\"%s\",\"UserId\":\"a\","
			      "\"RoomId\":\"r\",\"To\":%s},\"Payload\":\"{}\"}",
			      event, to);

	signaller_service.message(session, text, (size_t)length, false);
}

/* Asserts the packets sent to a session since the last call: "EVENT USER PAYLOAD;" for
 * each. */
static void
assert_sent(uint32_t session, const char *expected)
{
	char seen[4096] = "";
	const char *line = sent[session], *stop = line + lengths[session];

	while (line < stop) {
		const char *feed = memchr(line, '\n', (size_t)(stop - line));
		struct packet p;
		char *text = copy(line, (size_t)(feed - line));
		const char *wrong = packet_read(&p, text, (size_t)(feed - line));
		snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s %.*s %.*s;",
			 wrong == NULL ? packet_events[p.event] : "error",
			 (int)p.user.length, p.user.data, (int)p.payload.length,
			 p.payload.data);
		free(text);
		line = feed + 1;
	}
	lengths[session] = 0;
	assert_string_equal(seen, expected);
}

static void
the_first_of_a_room_is_its_initiator(void **state)
{
	(void)state;
	receives(1, "connect", "a", "r");
	assert_sent(1, "connect a \"true\";");
	receives(2, "connect", "b", "r");
	assert_sent(1, "connect b \"false\";");
	assert_sent(2, "connect b \"false\";");
	receives(3, "connect", "c", "other");
	assert_sent(3, "connect c \"true\";");
	assert_sent(1, "");
}

static void
a_broadcast_reaches_the_others_of_its_room(void **state)
{
	(void)state;
	receives(1, "connect", "a", "r");
	receives(2, "connect", "b", "r");
	receives(3, "connect", "c", "other");
	for (uint32_t i = 1; i <= 3; i++)
		lengths[i] = 0;
	receives(1, "broadcast", "a", "r");
	assert_sent(2, "broadcast a \"{}\";");
	receives(1, "broadcast", "a", "other");
	assert_sent(1, "error a \"not in this room\";");
	assert_sent(3, "");
	assert_int_equal(signaller_count()->refused[PACKET_NOT_IN_ROOM], 1);
}

static void
a_broadcast_with_to_reaches_that_peer_alone(void **state)
{
	const struct signaller_counters before = *signaller_count();

	(void)state;
	receives(1, "connect", "a", "r");
	receives(2, "connect", "b", "r");
	receives(3, "connect", "c", "r");
	receives(4, "connect", "d", "other");
	for (uint32_t i = 1; i <= 4; i++)
		lengths[i] = 0;
	receives_to(1, "broadcast", "\"c\"");
	assert_sent(3, "broadcast a \"{}\";");
	/* The sender is a peer like any other. */
	receives_to(1, "broadcast", "\"a\"");
	assert_sent(1, "broadcast a \"{}\";");
	assert_sent(2, "");
	assert_int_equal(signaller_count()->to_one_peer, before.to_one_peer + 2);
	assert_int_equal(signaller_count()->out.packets[EVENT_BROADCAST],
			 before.out.packets[EVENT_BROADCAST] + 2);
	/* d is in another room. */
	receives_to(1, "broadcast", "\"d\"");
	assert_sent(1, "error a \"no such peer\";");
	receives_to(1, "broadcast", "\"A\"");
	assert_sent(1, "error a \"no such peer\";");
	assert_int_equal(signaller_count()->refused[PACKET_NO_SUCH_PEER],
			 before.refused[PACKET_NO_SUCH_PEER] + 2);
	receives_to(1, "broadcast", "5");
	assert_sent(1, "error a \"To must be a string of 1 to 128 bytes\";");
	assert_int_equal(signaller_count()->refused[PACKET_UNREADABLE],
			 before.refused[PACKET_UNREADABLE] + 1);
	assert_int_equal(signaller_count()->to_one_peer, before.to_one_peer + 4);
	/* A peer that has left is not one of the room. */
	signaller_service.closed(3);
	lengths[1] = lengths[2] = 0;
	receives_to(1, "broadcast", "\"c\"");
	assert_sent(1, "error a \"no such peer\";");
	for (uint32_t i = 2; i <= 4; i++)
		assert_sent(i, "");
}

static void
to_means_nothing_in_other_events(void **state)
{
	(void)state;
	receives(2, "connect", "b", "r");
	receives(3, "connect", "c", "r");
	lengths[2] = lengths[3] = 0;
	for (unsigned i = 0; i < 2; i++) {
		const char *to = i == 0 ? "\"b\"" : "5";
		receives_to(1, "connect", to);
		for (uint32_t each = 1; each <= 3; each++)
			assert_sent(each, "connect a \"false\";");
		receives_to(1, "ping", to);
		assert_sent(1, "ping a \"[\\\"b\\\",\\\"c\\\",\\\"a\\\"]\";");
		receives_to(1, "disconnect", to);
		assert_sent(1, "");
		assert_sent(2, "disconnect a \"{}\";");
		assert_sent(3, "disconnect a \"{}\";");
	}
}

static void
a_session_that_ends_leaves_its_room(void **state)
{
	(void)state;
	receives(1, "connect", "a", "r");
	receives(2, "connect", "b", "r");
	lengths[1] = lengths[2] = 0;
	signaller_service.closed(1);
	assert_sent(1, "");
	assert_sent(2, "disconnect a \"{}\";");
	/* When the next peer joins, the first one left is the initiator. */
	receives(3, "connect", "c", "r");
	assert_sent(2, "connect b \"true\";connect c \"false\";");
	assert_int_equal(signaller_rooms()->present, 2);
	signaller_service.closed(2);
	signaller_service.closed(3);
	assert_int_equal(signaller_rooms()->open, 0);
}

static void
a_new_session_of_a_user_replaces_the_previous_one(void **state)
{
	(void)state;
	receives(1, "connect", "a", "r");
	receives(2, "connect", "b", "r");
	lengths[1] = lengths[2] = 0;
	receives(3, "connect", "a", "r");
	assert_int_equal(closed_with[1], 4001);
	assert_sent(1, "");
	assert_sent(2, "disconnect a \"{}\";connect b \"true\";connect a \"false\";");
	lengths[3] = 0;
	signaller_service.closed(1);
	assert_sent(2, "");
	assert_sent(3, "");
}

/* Asserts that a session's connect as "a" in "r" takes over a session, or is refused. */
static void
assert_takeover(uint32_t session, uint32_t previous, bool allowed)
{
	closed_with[previous] = 0;
	lengths[session] = 0;
	receives(session, "connect", "a", "r");
	assert_int_equal(closed_with[previous], allowed ? 4001 : 0);
	assert_sent(session,
		    allowed ? "connect a \"false\";" : "error a \"user is in use\";");
	if (allowed)
		signaller_service.closed(previous);
	closed_with[previous] = 0;
}

/* Session 3 joins as "b".  Sessions 1 and 2 take over "a" from each other; 2 is the last.
 */
static void
take_over_three_times(void)
{
	receives(3, "connect", "b", "r");
	receives(1, "connect", "a", "r");
	assert_takeover(2, 1, true);
	assert_takeover(1, 2, true);
	assert_takeover(2, 1, true);
}

static void
a_user_is_taken_over_three_times_in_ten_seconds(void **state)
{
	uint64_t refused = signaller_count()->refused[PACKET_USER_IN_USE];

	(void)state;
	now += 1000 - now % 1000; /* whole seconds count */
	receives(3, "connect", "b", "r");
	receives(1, "connect", "a", "r");
	assert_takeover(2, 1, true);
	now += 100;
	assert_takeover(1, 2, true);
	now += 100;
	assert_takeover(2, 1, true);
	/* The room is not told of what is refused. */
	lengths[3] = 0;
	assert_takeover(1, 2, false);
	now += 9799;
	assert_takeover(1, 2, false);
	assert_sent(3, "");
	assert_int_equal(signaller_count()->refused[PACKET_USER_IN_USE] - refused, 2);
	/* Then there may be one each ten seconds. */
	now += 1;
	assert_takeover(1, 2, true);
	now += 9999;
	assert_takeover(2, 1, false);
	now += 1;
	assert_takeover(2, 1, true);
	assert_takeover(1, 2, false);
}

static void
a_refused_takeover_changes_nothing(void **state)
{
	(void)state;
	take_over_three_times();
	receives(4, "connect", "c", "other");
	assert_takeover(4, 2, false);
	/* It is still in the other room, and as its user can connect again. */
	receives(4, "ping", "c", "other");
	assert_sent(4, "ping c \"[\\\"c\\\"]\";");
	lengths[2] = 0;
	receives(2, "connect", "a", "r");
	assert_sent(2, "connect a \"false\";");
	/* Other users are not affected. */
	receives(5, "connect", "b", "r");
	assert_int_equal(closed_with[3], 4001);
}

static void
takeovers_are_forgotten_when_a_user_leaves(void **state)
{
	(void)state;
	take_over_three_times();
	/* The same number joins as another session. */
	signaller_service.closed(2);
	receives(2, "connect", "a", "r");
	assert_takeover(1, 2, true);
}

static void
takeovers_long_ago_do_not_count(void **state)
{
	static const uint64_t later[] = { 40, 3600, 32767, 32768, 65000 };

	(void)state;
	for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
		take_over_three_times();
		now += later[i] * 1000;
		assert_takeover(1, 2, true);
		assert_takeover(2, 1, true);
		assert_takeover(1, 2, true);
		assert_takeover(2, 1, false);
		signaller_service.closed(1);
		signaller_service.closed(3);
	}
}

static void
takeovers_of_other_users_do_not_count(void **state)
{
	char user[8] = "u";

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		user[1] = (char)('a' + i % 26);
		user[2] = (char)('a' + i / 26 % 26);
		user[3] = (char)('a' + i / 676);
		receives(3, "connect", user, user);
		receives(4, "connect", user, user);
		assert_int_equal(closed_with[3], 4001);
		signaller_service.closed(3);
		signaller_service.closed(4);
		closed_with[3] = 0;
	}
	receives(3, "connect", "b", "r");
	receives(1, "connect", "a", "r");
	assert_takeover(2, 1, true);
}

static void
a_full_room_rejects_a_new_user(void **state)
{
	(void)state;
	receives(1, "connect", "a", "r");
	receives(2, "connect", "b", "r");
	receives(3, "connect", "c", "r");
	receives(4, "connect", "d", "r");
	assert_sent(4, "error d \"room is full\";");
	lengths[3] = 0;
	receives(3, "connect", "d", "r");
	assert_sent(3, "connect d \"false\";");
}

static void
other_rooms_can_be_pinged_ten_times_a_second(void **state)
{
	(void)state;
	address = (struct address_key){ .length = 4, .bytes = { 192, 0, 2, 1 } };
	receives(1, "connect", "a", "own");
	lengths[1] = 0;
	for (unsigned i = 0; i < 10; i++) {
		receives(1, "ping", "a", "r");
		assert_sent(1, "ping a \"[]\";");
	}
	receives(1, "ping", "a", "r");
	assert_sent(1, "error a \"too many pings of other rooms\";");
	receives(2, "ping", "a", "own");
	assert_sent(2, "error a \"too many pings of other rooms\";");
	receives(1, "ping", "a", "own");
	assert_sent(1, "ping a \"[\\\"a\\\"]\";");
	address.bytes[3]++;
	receives(2, "ping", "a", "r");
	assert_sent(2, "ping a \"[]\";");
	address.bytes[3]--;
	now += 100;
	receives(1, "ping", "a", "r");
	assert_sent(1, "ping a \"[]\";");
	/* Loopback has no limit. */
	address.length = 0;
	for (unsigned i = 0; i < 30; i++)
		receives(2, "ping", "a", "r");
	assert_int_equal(signaller_count()->refused[PACKET_TOO_MANY_PINGS], 2);
}

static void
no_packet_is_longer_than_signaller_reply(void **state)
{
	enum { ID = 128, UNIT = 2 };
	char user[ID * 6 + 1] = "", room[ID * 6 + 1] = "";
	size_t received = 0;

	(void)state;
	for (unsigned i = 0; i < ID - 1; i++) {
		strcat(user, "\\u0001");
		strcat(room, "\\u0001");
	}
	for (uint32_t i = 1; i <= PEERS; i++) {
		char named[sizeof user + UNIT];
		snprintf(named, sizeof named, "%s%u", user, i);
		char text[4096];
		int length = snprintf(text, sizeof text,
				      "{\"Header\":{\"Event\":\"connect\",\"UserId\":"
				      "\"%s\",\"RoomId\":\"%s\"}}",
				      named, room);
		signaller_service.message(i, text, (size_t)length, false);
		length = snprintf(text, sizeof text,
				  "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"%s\","
				  "\"RoomId\":\"%s\"}}",
				  named, room);
		received = (size_t)length;
		signaller_service.message(i, text, received, false);
		for (uint32_t each = 1; each <= PEERS; each++)
			lengths[each] = 0;
	}
	assert_in_range(longest, received + PEERS * 127 * 7,
			signaller_reply((uint32_t)received, PEERS));
}

/* Sends a connect with this token in its Payload. */
static void
receives_token(uint32_t session, const char *user, const char *room, const char *token)
{
	char payload[3072];

	snprintf(payload, sizeof payload, "{\"Token\":\"%s\"}", token);
	receives_payload(session, "connect", user, room, payload);
}

static struct token_secrets one_secret;

static int
start_with_tokens(void **state)
{
	one_secret = (struct token_secrets){ 0 };
	token_add_secret(&one_secret, SPAN("0123456789abcdef0123456789abcdef"));
	secrets = &one_secret;
	return start(state);
}

static int
end_with_tokens(void **state)
{
	secrets = NULL;
	return end(state);
}

/* Returns a token for a room and a user, valid until the next call. */
static const char *
made(const char *room, const char *user)
{
	static char data[TOKEN_MAX + 1];
	struct span r = span(room), u = span(user);
	struct text t;

	text_init(&t, data, TOKEN_MAX);
	token_put(&t, secrets, &r, &u, token_now() + 1000);
	data[t.length] = '\0';
	return data;
}

static void
opens(uint32_t session, const char *token)
{
	char query[TOKEN_MAX + 16];
	int length = snprintf(query, sizeof query, "token=%s", token);

	signaller_service.opened(session, (struct span){ query, (size_t)length });
}

static void
a_connect_needs_a_token(void **state)
{
	uint64_t refused = signaller_count()->refused[PACKET_TOKEN];

	(void)state;
	opens(1, "");
	opens(2, made("r", "b"));
	receives(1, "connect", "a", "r");
	assert_sent(1, "error a \"token needed\";");
	receives_token(1, "a", "r", made("r", "a"));
	assert_sent(1, "connect a \"true\";");
	/* The Payload is replaced, so that no peer gets the token. */
	receives(2, "connect", "b", "r");
	assert_sent(1, "connect b \"false\";");
	assert_sent(2, "connect b \"false\";");
	/* A refused connect changes nothing. */
	receives(1, "connect", "a", "other");
	assert_sent(1, "error a \"token needed\";");
	receives(2, "connect", "a", "r");
	assert_sent(2, "error a \"token is for another user\";");
	receives(2, "connect", "b", "other");
	assert_sent(2, "error b \"token is for another room\";");
	assert_int_equal(closed_with[1], 0);
	assert_int_equal(signaller_count()->refused[PACKET_TOKEN], refused + 4);
	receives(1, "broadcast", "a", "r");
	assert_sent(2, "broadcast a \"{}\";");
	assert_sent(1, "");
	/* The user of the token can take over. */
	receives_token(3, "a", "r", made("r", "a"));
	assert_int_equal(closed_with[1], 4001);
	assert_sent(3, "connect a \"false\";");
}

static void
a_full_room_is_not_known_without_a_token(void **state)
{
	(void)state;
	for (uint32_t i = 1; i <= PEERS; i++) {
		const char user[] = { (char)('a' + i), '\0' };
		receives_token(i, user, "r", made("r", user));
	}
	opens(9, "");
	receives(9, "connect", "x", "r");
	assert_sent(9, "error x \"token needed\";");
	receives_token(9, "x", "r", made("r", "x"));
	assert_sent(9, "error x \"room is full\";");
}

static void
a_ping_of_another_room_needs_a_token_for_it(void **state)
{
	uint64_t refused = signaller_count()->refused[PACKET_NOT_IN_ROOM];

	(void)state;
	opens(1, "");
	opens(2, made("r", "b"));
	receives_token(1, "a", "r", made("r", "a"));
	lengths[1] = 0;
	/* The sender's own room needs none. */
	receives(1, "ping", "a", "r");
	assert_sent(1, "ping a \"[\\\"a\\\"]\";");
	receives(1, "ping", "a", "other");
	assert_sent(1, "error a \"not in this room\";");
	/* The token of another user of the room suffices. */
	receives(2, "ping", "x", "r");
	assert_sent(2, "ping x \"[\\\"a\\\"]\";");
	receives(2, "ping", "b", "other");
	assert_sent(2, "error b \"not in this room\";");
	assert_int_equal(signaller_count()->refused[PACKET_NOT_IN_ROOM], refused + 2);
}

static void
pings_of_another_room_have_a_limit_without_a_token_too(void **state)
{
	(void)state;
	address = (struct address_key){ .length = 4, .bytes = { 192, 0, 2, 10 } };
	opens(1, "");
	opens(2, made("r", "b"));
	for (unsigned i = 0; i < 10; i++) {
		receives(1, "ping", "a", "r");
		assert_sent(1, "error a \"not in this room\";");
	}
	receives(1, "ping", "a", "r");
	assert_sent(1, "error a \"too many pings of other rooms\";");
	receives(2, "ping", "b", "r");
	assert_sent(2, "error b \"too many pings of other rooms\";");
}

static void
receives_text(uint32_t session, const char *text)
{
	char data[1024];

	strcpy(data, text);
	signaller_service.message(session, data, strlen(data), false);
}

#define HEADER(event)                                                                    \
	"\"Header\":{\"Event\":\"" event "\",\"UserId\":\"a\",\"RoomId\":\"r\"}"

/* The answer to all peers would have the first one. */
static void
a_connect_with_two_payloads_is_refused(void **state)
{
	static const char *const texts[] = {
		"{" HEADER("connect") ",\"Payload\":{\"Token\":\"x\"},\"Payload\":1}",
		"{\"Payload\":1,\"x\":[]," HEADER("connect") ",\"\\u0050ayload\":2}",
		"{\"Payload\":1,\"Payload\":2,\"Payload\":3," HEADER("connect") "}",
	};
	uint64_t refused = signaller_count()->refused[PACKET_UNREADABLE];

	(void)state;
	opens(1, made("r", "a"));
	opens(2, made("r", "b"));
	receives(2, "connect", "b", "r");
	lengths[2] = 0;
	for (size_t i = 0; i < COUNT(texts); i++) {
		receives_text(1, texts[i]);
		assert_sent(1, "error a \"Payload is given twice\";");
	}
	assert_sent(2, "");
	assert_int_equal(signaller_count()->refused[PACKET_UNREADABLE],
			 refused + COUNT(texts));
	/* Other members, or those of a Payload, can be given twice. */
	receives_text(1, "{\"x\":1,\"x\":2," HEADER(
			     "connect") ",\"Payload\":{\"Payload\":1,\"Payload\":2}}");
	assert_sent(1, "connect a \"false\";");
	receives_text(1, "{" HEADER("ping") ",\"Payload\":1,\"Payload\":2}");
	assert_sent(1, "ping a \"[\\\"b\\\",\\\"a\\\"]\";");
}

static void
without_tokens_a_connect_can_have_two_payloads(void **state)
{
	(void)state;
	receives_text(1, "{" HEADER("connect") ",\"Payload\":1,\"Payload\":2}");
	assert_sent(1, "connect a \"true\";");
}

static void
a_stopping_server_notifies_no_peer(void **state)
{
	(void)state;
	receives(1, "connect", "a", "r");
	receives(2, "connect", "b", "r");
	lengths[1] = lengths[2] = 0;
	signaller_stop();
	signaller_service.closed(1);
	assert_sent(2, "");
	assert_int_equal(signaller_rooms()->present, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
#define WITH_TOKENS(name)                                                                \
	cmocka_unit_test_setup_teardown(name, start_with_tokens, end_with_tokens)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_first_of_a_room_is_its_initiator),
		TEST(a_broadcast_reaches_the_others_of_its_room),
		TEST(a_broadcast_with_to_reaches_that_peer_alone),
		TEST(to_means_nothing_in_other_events),
		TEST(a_session_that_ends_leaves_its_room),
		TEST(a_new_session_of_a_user_replaces_the_previous_one),
		TEST(a_user_is_taken_over_three_times_in_ten_seconds),
		TEST(a_refused_takeover_changes_nothing),
		TEST(takeovers_are_forgotten_when_a_user_leaves),
		TEST(takeovers_long_ago_do_not_count),
		TEST(takeovers_of_other_users_do_not_count),
		TEST(a_full_room_rejects_a_new_user),
		TEST(other_rooms_can_be_pinged_ten_times_a_second),
		TEST(no_packet_is_longer_than_signaller_reply),
		WITH_TOKENS(a_connect_needs_a_token),
		WITH_TOKENS(a_full_room_is_not_known_without_a_token),
		WITH_TOKENS(a_ping_of_another_room_needs_a_token_for_it),
		WITH_TOKENS(pings_of_another_room_have_a_limit_without_a_token_too),
		WITH_TOKENS(a_connect_with_two_payloads_is_refused),
		TEST(without_tokens_a_connect_can_have_two_payloads),
		/* The last one, because no test starts the signaller again. */
		TEST(a_stopping_server_notifies_no_peer),
	};

	log_open("", LEVEL_ERROR, 0);
	return cmocka_run_group_tests_name("signaller", tests, NULL, NULL);
}
