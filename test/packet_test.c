/* Reading packets, the reasons for rejecting them, and packets of the server. */
#include "packet.h"
#include "json.h"
#include "unit.h"

/* Reads an exactly sized copy, which the caller must free. */
static const char *
read_copy(struct packet *p, const char *text, size_t length)
{
	return packet_read(p, copy(text, length), length);
}

static void
release(struct packet *p)
{
	free((void *)(uintptr_t)p->text.data);
}

static void
read_valid(struct packet *p, const char *text)
{
	const char *reason = read_copy(p, text, strlen(text));

	if (reason != NULL)
		print_error("%s: %s\n", text, reason);
	assert_null(reason);
}

static void
assert_json(const struct text *t)
{
	char *text = copy(t->data, t->length);
	struct span value;
	struct json j;

	json_init(&j, text, t->length);
	assert_true(json_value(&j, &value));
	assert_true(json_finish(&j));
	/* A strict reader accepts no trailing comma. */
	assert_memory_equal(text, t->data, t->length);
	free(text);
}

/* Writes the packet with another Payload. */
static void
assert_spliced(const struct packet *p, const char *payload, const char *expected)
{
	size_t room = p->text.length + strlen(payload) + sizeof ",\"Payload\":";
	char *data = allocate(room);
	struct text t;

	text_init(&t, data, room);
	packet_before_payload(&t, p);
	text_string(&t, payload);
	packet_after_payload(&t, p);
	assert_text(&t, expected);
	assert_json(&t);
	free(data);
}

/*
 * Valid packets
 */

static const struct {
	const char *text;
	enum packet_event event;
	const char *user, *room, *payload; /* `payload` is NULL if there is none */
} valid_packets[] = {
	/* As the page sends them. */
	{ "{\"Header\":{\"Event\":\"connect\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\":\"\"}",
	  EVENT_CONNECT, "a", "r", "\"\"" },
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"\"},\"Payload\":"
	  "\"\"}",
	  EVENT_PING, "a", "", "\"\"" },
	{ "{\"Header\":{\"Event\":\"broadcast\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\":{\"Type\":\"Ice Offer\",\"IcePacket\":{\"sdp\":\"v=0\\r\\n\"}}}",
	  EVENT_BROADCAST, "a", "r",
	  "{\"Type\":\"Ice Offer\",\"IcePacket\":{\"sdp\":\"v=0\\r\\n\"}}" },
	{ "{\"Header\":{\"Event\":\"disconnect\",\"UserId\":\"a\",\"RoomId\":\"r\"}}",
	  EVENT_DISCONNECT, "a", "r", NULL },
	/* A Payload of any kind. */
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\":null}",
	  EVENT_PING, "a", "r", "null" },
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\":true}",
	  EVENT_PING, "a", "r", "true" },
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\":-1.50e+2}",
	  EVENT_PING, "a", "r", "-1.50e+2" },
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\": [ 1, {} ] }",
	  EVENT_PING, "a", "r", "[ 1, {} ]" },
	/* Any order and white space. */
	{ "\r\n\t { \"Payload\" : 1 , \"Header\" : { \"RoomId\" : \"r\" , \"UserId\" : "
	  "\"a\" ,\n"
	  "\"Event\" : \"ping\" } } \n",
	  EVENT_PING, "a", "r", "1" },
	/* Unknown members, even with known names elsewhere. */
	{ "{\"x\":[{\"Header\":1}],\"Header\":{\"y\":{\"Event\":\"connect\",\"UserId\":"
	  "\"z\"},"
	  "\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\",\"Payload\":9},\"z\":"
	  "null}",
	  EVENT_PING, "a", "r", NULL },
	{ "{\"header\":1,\"HEADER\":2,\"Header "
	  "\":3,\"\":4,\"Header\":{\"event\":1,\"userId\":2,"
	  "\"roomid\":3,\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"payload\":1}",
	  EVENT_PING, "a", "r", NULL },
	{ "{\"Event\":\"connect\",\"UserId\":\"x\",\"RoomId\":\"y\",\"Header\":{"
	  "\"Event\":\"ping\","
	  "\"UserId\":\"a\",\"RoomId\":\"r\"}}",
	  EVENT_PING, "a", "r", NULL },
	/* Duplicate keys: the last one wins. */
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"},"
	  "\"Payload\":1,"
	  "\"Payload\":2,\"Payload\":\"3\",\"x\":4}",
	  EVENT_PING, "a", "r", "\"3\"" },
	{ "{\"Header\":5,\"Header\":{\"Event\":\"connect\",\"UserId\":\"b\",\"RoomId\":"
	  "\"s\"},"
	  "\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"}}",
	  EVENT_PING, "a", "r", NULL },
	{ "{\"Header\":{\"Event\":\"x\",\"UserId\":1,\"RoomId\":[],\"RoomId\":\"q\","
	  "\"UserId\":\"b\","
	  "\"Event\":\"connect\",\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"}}",
	  EVENT_PING, "a", "r", NULL },
	/* Names and ids are unescaped. */
	{ "{\"\\u0048eader\":{\"Ev\\u0065nt\":\"\\u0070ing\",\"User\\u0049d\":"
	  "\"\\u0061\","
	  "\"\\u0052\\u006F\\u006f\\u006dId\":\"\\u0072\"},\"\\u0050ayload\":1}",
	  EVENT_PING, "a", "r", "1" },
	{ "{\"Header\":{\"Event\":"
	  "\"\\u0062\\u0072\\u006f\\u0061\\u0064\\u0063\\u0061\\u0073\\u0074\","
	  "\"UserId\":\"a\",\"RoomId\":\"r\"},\"Payload\":1,\"Payl\\u006fad\":2}",
	  EVENT_BROADCAST, "a", "r", "2" },
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"\\\"\\\\\\/"
	  "\\b\\f\\n\\r\\t\",\"RoomId\":"
	  "\"\\u00e4\\u20AC\\ud83d\\ude00\"}}",
	  EVENT_PING, "\"\\/\b\f\n\r\t", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", NULL },
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"\xc3\xa4\xe2\x82\xac\","
	  "\"RoomId\":\""
	  "\xf0\x9f\x98\x80\"}}",
	  EVENT_PING, "\xc3\xa4\xe2\x82\xac", "\xf0\x9f\x98\x80", NULL },
	/* No name is special. */
	{ "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"constructor\",\"RoomId\":\"__"
	  "proto__\"},"
	  "\"__proto__\":1}",
	  EVENT_PING, "constructor", "__proto__", NULL },
};

static void
valid_packets_are_read(void **state)
{
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(valid_packets); i++) {
		read_valid(&p, valid_packets[i].text);
		assert_int_equal(p.event, valid_packets[i].event);
		assert_span(p.user, valid_packets[i].user);
		assert_span(p.room, valid_packets[i].room);
		if (valid_packets[i].payload != NULL)
			assert_span(p.payload, valid_packets[i].payload);
		else
			assert_null(p.payload.data);
		/* The text is unchanged. */
		assert_span(p.text, valid_packets[i].text);
		release(&p);
	}
}

static void
events_have_names(void **state)
{
	(void)state;
	assert_string_equal(packet_events[EVENT_CONNECT], "connect");
	assert_string_equal(packet_events[EVENT_BROADCAST], "broadcast");
	assert_string_equal(packet_events[EVENT_PING], "ping");
	assert_string_equal(packet_events[EVENT_DISCONNECT], "disconnect");
	assert_string_equal(packet_events[PACKET_EVENTS], "error");
	assert_int_equal(PACKET_EVENTS, 4);
}

static void
a_nul_byte_is_an_ordinary_byte_of_an_id(void **state)
{
	struct packet p;

	(void)state;
	read_valid(&p, "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\\u0000b\","
		       "\"RoomId\":\"\\u0000\"}}");
	assert_same(p.user, SPAN("a\0b"));
	assert_same(p.room, SPAN("\0"));
	release(&p);
	/* An escaped NUL does not end the name of an event. */
	const char *reason = read_copy(&p, BYTES("{\"Header\":{\"Event\":\"ping\\u0000\","
						 "\"UserId\":\"a\",\"RoomId\":\"r\"}}"));
	assert_string_equal(reason, "unknown Event \"ping\\u0000\"");
	release(&p);
	reason =
	    read_copy(&p, BYTES("{\"Header\\u0000\":{\"Event\":\"ping\",\"UserId\":\"a\","
				"\"RoomId\":\"r\"}}"));
	assert_string_equal(reason, "Header is missing");
	release(&p);
}

static void
missing_ids_are_empty_and_not_the_previous_ones(void **state)
{
	struct packet p;

	(void)state;
	read_valid(&p, valid_packets[0].text);
	char *text = copy("{}", 2);
	release(&p);
	assert_string_equal(packet_read(&p, text, 2), "Header is missing");
	assert_span(p.user, "");
	assert_span(p.room, "");
	assert_null(p.payload.data);
	release(&p);
}

/* Reads a packet with these ids, given as the contents of JSON strings. */
static const char *
read_ids(struct packet *p, struct span user, struct span room)
{
	char data[4096];
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"");
	text_span(&t, user);
	text_string(&t, "\",\"RoomId\":\"");
	text_span(&t, room);
	text_string(&t, "\"}}");
	assert_false(t.overflow);
	return read_copy(p, t.data, t.length);
}

static void
an_id_has_at_most_128_bytes(void **state)
{
	/* Escaped characters and their lengths in UTF-8. */
	static const struct {
		const char *written;
		size_t bytes;
	} characters[] = {
		{ "x", 1 },
		{ "\\n", 1 },
		{ "\\u0001", 1 },
		{ "\xc3\xa4", 2 },
		{ "\\u00e4", 2 },
		{ "\\u0000", 1 },
		{ "\\ud83d\\ude00", 4 },
	};
	char data[2048];
	struct packet p;
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(characters); i++) {
		text_init(&t, data, sizeof data);
		for (size_t n = 0; n < PACKET_ID; n += characters[i].bytes)
			text_string(&t, characters[i].written);
		struct span longest = { t.data, t.length };
		assert_null(read_ids(&p, longest, longest));
		assert_int_equal(p.user.length, PACKET_ID);
		assert_int_equal(p.room.length, PACKET_ID);
		assert_memory_equal(p.user.data, p.room.data, PACKET_ID);
		release(&p);
		text_char(&t, 'y');
		struct span longer = { t.data, t.length };
		assert_string_equal(read_ids(&p, longer, longest),
				    "UserId must be a string of 1 to 128 bytes");
		assert_span(p.user, "");
		assert_int_equal(p.room.length, PACKET_ID);
		release(&p);
		assert_string_equal(read_ids(&p, longest, longer),
				    "RoomId must be a string of 0 to 128 bytes");
		assert_int_equal(p.user.length, PACKET_ID);
		assert_span(p.room, "");
		release(&p);
	}
}

static void
an_escaped_lone_surrogate_is_invalid_in_an_id(void **state)
{
	static const char *const halves[] = {
		"\\ud800",	  "\\udfff",	    "a\\ud83d",	       "\\ud83d\\ud83d",
		"\\ude00\\ud83d", "\\ud83d\\u0061", "\\ud83d \\ude00", "\\ud83d\\n",
	};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(halves); i++) {
		struct span half = { halves[i], strlen(halves[i]) };
		assert_string_equal(read_ids(&p, half, SPAN("r")),
				    "UserId must be a string of 1 to 128 bytes");
		assert_span(p.user, "");
		assert_span(p.room, "r");
		release(&p);
		assert_string_equal(read_ids(&p, SPAN("a"), half),
				    "RoomId must be a string of 0 to 128 bytes");
		assert_span(p.user, "a");
		assert_span(p.room, "");
		release(&p);
	}
}

/* Packets from SockJS can contain unescaped lone surrogates. */
static void
an_unescaped_lone_surrogate_is_invalid_in_an_id(void **state)
{
	static const char *const halves[] = { "\xed\xa0\x80", "\xed\xbf\xbf",
					      "a\xed\xa0\xbd",
					      "\xed\xa0\xbd\xed\xb8\x80" };
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(halves); i++) {
		struct span half = { halves[i], strlen(halves[i]) };
		assert_string_equal(read_ids(&p, half, SPAN("r")),
				    "UserId must be a string of 1 to 128 bytes");
		assert_span(p.user, "");
		release(&p);
		assert_string_equal(read_ids(&p, SPAN("a"), half),
				    "RoomId must be a string of 0 to 128 bytes");
		assert_span(p.room, "");
		release(&p);
	}
	/* Other members may contain them: the server only forwards these. */
	read_valid(&p, "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"\xed\x9f\xbf\","
		       "\"RoomId\":\"\"},\"Payload\":\"\xed\xa0\x80\"}");
	assert_span(p.user, "\xed\x9f\xbf");
	assert_span(p.payload, "\"\xed\xa0\x80\"");
	release(&p);
}

/*
 * Invalid packets
 */

#define HEADER "{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"}"
#define USER   "UserId must be a string of 1 to 128 bytes"
#define ROOM   "RoomId must be a string of 0 to 128 bytes"

static const struct {
	const char *text;
	size_t length;
	const char *reason, *user, *room;
} invalid_packets[] = {
	/* Other JSON values. */
	{ BYTES("null"), "a packet must be an object", "", "" },
	{ BYTES("5"), "a packet must be an object", "", "" },
	{ BYTES("[]"), "a packet must be an object", "", "" },
	{ BYTES(" \"{}\" "), "a packet must be an object", "", "" },
	{ BYTES("[{\"Header\":" HEADER "}]"), "a packet must be an object", "", "" },
	/* Invalid JSON. */
	{ BYTES(""), "not JSON at byte 0", "", "" },
	{ BYTES("  "), "not JSON at byte 2", "", "" },
	{ BYTES("x"), "not JSON at byte 0", "", "" },
	{ BYTES("5 5"), "not JSON at byte 2", "", "" },
	{ BYTES("{"), "not JSON at byte 1", "", "" },
	{ BYTES("{} {}"), "not JSON at byte 3", "", "" },
	{ BYTES("{\0}"), "not JSON at byte 1", "", "" },
	{ BYTES("{,}"), "not JSON at byte 1", "", "" },
	{ BYTES("{Header:" HEADER "}"), "not JSON at byte 1", "", "" },
	{ BYTES("{\"a\":1,,\"b\":2}"), "not JSON at byte 7", "", "" },
	{ BYTES("{\"a\":1 \"b\":2}"), "not JSON at byte 7", "", "" },
	{ BYTES("{\"a\":\"\t\"}"), "not JSON at byte 6", "", "" },
	{ BYTES("{\"a\":'b'}"), "not JSON at byte 5", "", "" },
	{ BYTES("\xef\xbb\xbf{\"Header\":" HEADER "}"), "not JSON at byte 0", "", "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\"!"),
	  "not JSON at byte 38", "", "" },
	/* Invalid JSON after the Header, whose ids are still read. */
	{ BYTES("{\"Header\":" HEADER), "not JSON at byte 52", "a", "r" },
	{ BYTES("{\"Header\":" HEADER "}}"), "not JSON at byte 53", "a", "r" },
	{ BYTES("{\"Header\":" HEADER ",\"Payload\":tru}"), "not JSON at byte 66", "a",
	  "r" },
	{ BYTES("{\"Header\":{\"Event\":1,\"UserId\":2,\"RoomId\":\"r\"},5"),
	  "not JSON at byte 46", "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"x\",\"UserId\":\"a\"},5"),
	  "not JSON at byte 37", "a", "" },
	{ BYTES("{\"Header\":7,5"), "not JSON at byte 12", "", "" },
	{ BYTES("{\"Header\":" HEADER ",\"Header\":tru}"), "not JSON at byte 65", "a",
	  "r" },
	{ BYTES("{\"Header\":" HEADER ",\"Header\":{\"UserId\":\"b\""),
	  "not JSON at byte 75", "a", "r" },
	/* The Header. */
	{ BYTES("{}"), "Header is missing", "", "" },
	{ BYTES("{\"Payload\":1}"), "Header is missing", "", "" },
	{ BYTES("{\"header\":" HEADER "}"), "Header is missing", "", "" },
	{ BYTES("{\"Header\":null}"), "Header must be an object", "", "" },
	{ BYTES("{\"Header\":5}"), "Header must be an object", "", "" },
	{ BYTES("{\"Header\":[]}"), "Header must be an object", "", "" },
	{ BYTES("{\"Header\":\"{}\"}"), "Header must be an object", "", "" },
	{ BYTES("{\"Header\":" HEADER ",\"Header\":null}"), "Header must be an object",
	  "", "" },
	/* The ids. */
	{ BYTES("{\"Header\":{}}"), USER, "", "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"RoomId\":\"r\"}}"), USER, "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"\",\"RoomId\":\"r\"}}"),
	  USER, "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":5,\"RoomId\":\"r\"}}"), USER,
	  "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":null,\"RoomId\":\"r\"}}"),
	  USER, "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":{\"a\":\"b\"},\"RoomId\":"
		"\"r\"}}"),
	  USER, "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":[\"a\"],\"RoomId\":\"r\"}}"),
	  USER, "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"UserId\":5,"
		"\"RoomId\":\"r\"}}"),
	  USER, "", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":5,\"RoomId\":5}}"), USER, "",
	  "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\"}}"), ROOM, "a", "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":5}}"), ROOM,
	  "a", "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":null}}"),
	  ROOM, "a", "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":[]}}"), ROOM,
	  "a", "" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\","
		"\"RoomId\":{}}}"),
	  ROOM, "a", "" },
	/* The Event. */
	{ BYTES("{\"Header\":{\"UserId\":\"a\",\"RoomId\":\"r\"}}"), "Event is missing",
	  "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":5,\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "Event must be a string", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":null,\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "Event must be a string", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":[\"ping\"],\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "Event must be a string", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"Connect\",\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "unknown Event \"Connect\"", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"\",\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "unknown Event \"\"", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"pin\",\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "unknown Event \"pin\"", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"pings\",\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "unknown Event \"pings\"", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\" ping\",\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "unknown Event \" ping\"", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"error\",\"UserId\":\"a\",\"RoomId\":\"r\"}}"),
	  "unknown Event \"error\"", "a", "r" },
	{ BYTES("{\"Header\":{\"Event\":\"ping\",\"Event\":\"x\",\"UserId\":\"a\","
		"\"RoomId\":\"r\"}}"),
	  "unknown Event \"x\"", "a", "r" },
	/* The reason is that of the first error.  Valid ids are read. */
	{ BYTES("{\"Header\":{\"Event\":\"x\",\"UserId\":5,\"RoomId\":\"r\"}}"), USER, "",
	  "r" },
	{ BYTES("{\"Header\":{\"UserId\":\"a\",\"RoomId\":5}}"), ROOM, "a", "" },
};

static void
an_invalid_packet_gives_a_reason_and_its_ids(void **state)
{
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(invalid_packets); i++) {
		const char *reason =
		    read_copy(&p, invalid_packets[i].text, invalid_packets[i].length);
		assert_non_null(reason);
		if (strcmp(reason, invalid_packets[i].reason) != 0)
			print_error("%s\n", invalid_packets[i].text);
		assert_string_equal(reason, invalid_packets[i].reason);
		assert_span(p.user, invalid_packets[i].user);
		assert_span(p.room, invalid_packets[i].room);
		release(&p);
	}
}

/*
 * To
 */

#define TO "To must be a string of 1 to 128 bytes"

/* Reads a packet whose Header ends with `members`. */
static const char *
read_members(struct packet *p, const char *event, const char *members)
{
	char data[4096];
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, "{\"Header\":{\"Event\":\"");
	text_string(&t, event);
	text_string(&t, "\",\"UserId\":\"a\",\"RoomId\":\"r\"");
	text_string(&t, members);
	text_string(&t, "}}");
	assert_false(t.overflow);
	return read_copy(p, t.data, t.length);
}

static void
a_broadcast_can_have_a_to(void **state)
{
	static const struct {
		const char *members, *to; /* `to` is NULL if there is none */
	} broadcasts[] = {
		{ "", NULL },
		{ ",\"to\":\"b\",\"TO\":5,\"T\":\"b\",\"To \":\"b\",\"\":\"b\"", NULL },
		{ ",\"To\\u0000\":\"b\",\"x\":{\"To\":5}", NULL },
		{ ",\"To\":\"b\"", "b" },
		{ ",\"To\":\"a\"", "a" },
		{ ",\"\\u0054o\":\"b\"", "b" },
		{ ",\"\\u0054\\u006F\":\"\\u0062\"", "b" },
		{ ",\"To\":\"\\\"\\\\\\/\\n\\u00e4\\ud83d\\ude00\"",
		  "\"\\/\n\xc3\xa4\xf0\x9f\x98\x80" },
		/* Duplicate keys: the last one wins. */
		{ ",\"To\":\"c\",\"To\":\"b\"", "b" },
		{ ",\"To\":5,\"T\\u006f\":\"b\"", "b" },
		{ ",\"To\":\"\",\"x\":[],\"To\":\"b\",\"y\":\"c\"", "b" },
	};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(broadcasts); i++) {
		assert_null(read_members(&p, "broadcast", broadcasts[i].members));
		if (broadcasts[i].to != NULL)
			assert_span(p.to, broadcasts[i].to);
		else
			assert_null(p.to.data);
		release(&p);
	}
	/* NUL is an ordinary byte. */
	assert_null(read_members(&p, "broadcast", ",\"To\":\"b\\u0000\""));
	assert_same(p.to, SPAN("b\0"));
	release(&p);
}

static void
only_the_last_header_has_a_to(void **state)
{
	struct packet p;

	(void)state;
	read_valid(&p, "{\"To\":5,\"Header\":{\"To\":\"b\"},\"Header\":{\"Event\":"
		       "\"broadcast\",\"UserId\":\"a\",\"RoomId\":\"r\"},\"Payload\":{"
		       "\"To\":\"c\"}}");
	assert_null(p.to.data);
	release(&p);
}

static void
an_invalid_to_is_an_error_in_a_broadcast_only(void **state)
{
	static const char *const members[] = {
		",\"To\":\"\"",	       ",\"To\":null",
		",\"To\":5",	       ",\"To\":false",
		",\"To\":[\"b\"]",     ",\"To\":{\"To\":\"b\"}",
		",\"\\u0054o\":5",     ",\"To\":\"b\",\"To\":5",
		",\"To\":\"\\ud800\"", ",\"To\":\"\xed\xa0\x80\"",
	};
	static const char *const others[] = { "connect", "ping", "disconnect" };
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(members); i++) {
		assert_string_equal(read_members(&p, "broadcast", members[i]), TO);
		assert_span(p.user, "a");
		assert_span(p.room, "r");
		assert_null(p.to.data);
		release(&p);
		for (size_t k = 0; k < COUNT(others); k++) {
			assert_null(read_members(&p, others[k], members[i]));
			assert_null(p.to.data);
			release(&p);
		}
	}
	for (size_t k = 0; k < COUNT(others); k++) {
		assert_null(read_members(&p, others[k], ",\"To\":\"b\""));
		assert_null(p.to.data);
		release(&p);
	}
	/* The other members are checked first. */
	assert_string_equal(read_members(&p, "x", ",\"To\":5"), "unknown Event \"x\"");
	release(&p);
	assert_string_equal(read_members(&p, "broadcast", ",\"To\":5,\"UserId\":5"),
			    USER);
	release(&p);
	assert_string_equal(read_members(&p, "broadcast", ",\"To\":5,\"RoomId\":5"),
			    ROOM);
	release(&p);
}

static void
a_to_has_at_most_128_bytes(void **state)
{
	static const char *const characters[] = { "x", "\\u0001", "\xc3\xa4" };
	char data[2048];
	struct packet p;
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(characters); i++) {
		size_t bytes = i == 2 ? 2 : 1;
		text_init(&t, data, sizeof data - 1);
		text_string(&t, ",\"To\":\"");
		for (size_t n = 0; n < PACKET_ID; n += bytes)
			text_string(&t, characters[i]);
		size_t longest = t.length;
		text_string(&t, "\"");
		data[t.length] = '\0';
		assert_null(read_members(&p, "broadcast", data));
		assert_int_equal(p.to.length, PACKET_ID);
		release(&p);
		t.length = longest;
		text_string(&t, "y\"");
		data[t.length] = '\0';
		assert_string_equal(read_members(&p, "broadcast", data), TO);
		release(&p);
	}
}

static void
a_truncated_packet_is_rejected_at_its_end(void **state)
{
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(valid_packets); i++) {
		size_t end = strlen(valid_packets[i].text),
		       space = strspn(valid_packets[i].text, " \r\n\t");
		while (valid_packets[i].text[end - 1] != '}')
			end--;
		for (size_t length = space + 1; length < end; length++) {
			char data[64];
			struct text t;
			text_init(&t, data, sizeof data);
			text_string(&t, "not JSON at byte ");
			text_number(&t, length);
			text_char(&t, '\0');
			assert_string_equal(read_copy(&p, valid_packets[i].text, length),
					    data);
			release(&p);
		}
	}
}

static void
any_wrong_byte_is_handled_safely(void **state)
{
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(valid_packets); i++) {
		size_t length = strlen(valid_packets[i].text);
		for (size_t at = 0; at < length; at++)
			for (int byte = 0; byte < 0x80; byte++) {
				char *text = copy(valid_packets[i].text, length);
				text[at] = (char)byte;
				const char *reason = packet_read(&p, text, length);
				assert_true(reason == NULL ||
					    strlen(reason) < PACKET_REASON);
				if (reason == NULL)
					assert_in_range(p.user.length, 1, PACKET_ID);
				assert_in_range(p.room.length, 0, PACKET_ID);
				release(&p);
			}
	}
}

static const char *
read_event(struct packet *p, const char *event)
{
	char data[4096];
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, "{\"Header\":{\"Event\":\"");
	text_string(&t, event);
	text_string(&t, "\",\"UserId\":\"a\",\"RoomId\":\"r\"}}");
	assert_false(t.overflow);
	return read_copy(p, t.data, t.length);
}

static void
an_unknown_event_is_cut_between_characters(void **state)
{
	/* The reason contains at most 40 bytes of the event. */
	static const struct {
		const char *event, *shown;
	} events[] = {
		{ "1234567890123456789012345678901234567890",
		  "1234567890123456789012345678901234567890" },
		{ "12345678901234567890123456789012345678901",
		  "1234567890123456789012345678901234567890" },
		{ "12345678901234567890123456789012345678\xc3\xa4",
		  "12345678901234567890123456789012345678\xc3\xa4" },
		{ "123456789012345678901234567890123456789\xc3\xa4",
		  "123456789012345678901234567890123456789" },
		{ "1234567890123456789012345678901234567\xf0\x9f\x98\x80",
		  "1234567890123456789012345678901234567" },
	};
	char expected[PACKET_REASON];
	struct packet p;
	struct text t;

	(void)state;
	for (size_t i = 0; i < COUNT(events); i++) {
		text_init(&t, expected, sizeof expected);
		text_string(&t, "unknown Event \"");
		text_string(&t, events[i].shown);
		text_char(&t, '"');
		text_char(&t, '\0');
		assert_string_equal(read_event(&p, events[i].event), expected);
		release(&p);
	}
}

static void
a_very_long_event_is_handled_safely(void **state)
{
	char event[3000];
	struct packet p;

	(void)state;
	memset(event, 'x', sizeof event - 1);
	event[sizeof event - 1] = '\0';
	const char *reason = read_event(&p, event);
	assert_non_null(reason);
	assert_in_range(strlen(reason), 50, PACKET_REASON - 1);
	release(&p);
}

/* Reads a packet whose Payload is a number of nested arrays. */
static const char *
read_nested(struct packet *p, unsigned arrays)
{
	static char data[20000];
	struct text t;

	text_init(&t, data, sizeof data);
	text_string(&t, "{\"Header\":" HEADER ",\"Payload\":");
	for (unsigned i = 0; i < arrays; i++)
		text_char(&t, '[');
	for (unsigned i = 0; i < arrays; i++)
		text_char(&t, ']');
	text_char(&t, '}');
	assert_false(t.overflow);
	return read_copy(p, t.data, t.length);
}

static void
at_most_thirty_two_levels_are_accepted(void **state)
{
	struct packet p;

	(void)state;
	/* The packet itself is the first level. */
	assert_null(read_nested(&p, 31));
	assert_int_equal(p.payload.length, 62);
	release(&p);
	assert_string_equal(read_nested(&p, 32), "nested too deep");
	assert_span(p.user, "a");
	assert_span(p.room, "r");
	release(&p);
	assert_string_equal(read_nested(&p, 5000), "nested too deep");
	release(&p);
	char arrays[33];
	memset(arrays, '[', sizeof arrays);
	assert_string_equal(read_copy(&p, arrays, 33), "nested too deep");
	release(&p);
	assert_string_equal(read_copy(&p, arrays, 32), "not JSON at byte 32");
	release(&p);
}

static void
a_header_can_be_as_deep(void **state)
{
	char data[256];
	struct packet p;
	struct text t;

	(void)state;
	for (unsigned arrays = 30; arrays <= 31; arrays++) {
		text_init(&t, data, sizeof data);
		text_string(&t, "{\"Header\":{\"x\":");
		for (unsigned i = 0; i < arrays; i++)
			text_char(&t, '[');
		for (unsigned i = 0; i < arrays; i++)
			text_char(&t, ']');
		text_string(&t,
			    ",\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\"}}");
		const char *reason = read_copy(&p, t.data, t.length);
		if (arrays == 30)
			assert_null(reason);
		else
			assert_string_equal(reason, "nested too deep");
		release(&p);
	}
}

/*
 * Replacing the Payload
 */

static void
a_payload_is_replaced_in_its_position(void **state)
{
	struct packet p;

	(void)state;
	read_valid(&p, "{\"Header\":" HEADER ",\"Payload\":\"old\"}");
	assert_spliced(&p, "\"true\"", "{\"Header\":" HEADER ",\"Payload\":\"true\"}");
	release(&p);
	read_valid(&p, " {\"Payload\" : {\"a\":[1, 2]} , \"Header\":" HEADER
		       ",\"x\":1.0e1}\n");
	assert_spliced(&p, "\"[]\"",
		       " {\"Payload\" : \"[]\" , \"Header\":" HEADER ",\"x\":1.0e1}\n");
	release(&p);
	read_valid(&p, "{\"Payl\\u006fad\":0,\"Header\":" HEADER "}");
	assert_spliced(&p, "\"[]\"", "{\"Payl\\u006fad\":\"[]\",\"Header\":" HEADER "}");
	release(&p);
}

static void
the_last_of_several_payloads_is_replaced(void **state)
{
	struct packet p;

	(void)state;
	read_valid(&p, "{\"Payload\":1,\"Header\":" HEADER
		       ",\"Payload\":2,\"Payload\":3,\"x\":4}");
	assert_spliced(&p, "\"true\"",
		       "{\"Payload\":1,\"Header\":" HEADER
		       ",\"Payload\":2,\"Payload\":\"true\",\"x\":4}");
	release(&p);
}

static void
a_payload_outside_the_top_level_is_ignored(void **state)
{
	struct packet p;

	(void)state;
	read_valid(&p, "{\"x\":{\"Payload\":1},\"Header\":" HEADER "}");
	assert_spliced(&p, "0",
		       "{\"x\":{\"Payload\":1},\"Header\":" HEADER ",\"Payload\":0}");
	release(&p);
}

static void
a_missing_payload_is_appended(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "{\"Header\":" HEADER "}",
		  "{\"Header\":" HEADER ",\"Payload\":\"true\"}" },
		{ "{\"Header\":" HEADER " }",
		  "{\"Header\":" HEADER " ,\"Payload\":\"true\"}" },
		{ "{\"Header\":" HEADER "} \r\n\t",
		  "{\"Header\":" HEADER ",\"Payload\":\"true\"} \r\n\t" },
		{ "{\"Header\":" HEADER ",}",
		  "{\"Header\":" HEADER " ,\"Payload\":\"true\"}" },
		{ " { \"Header\":" HEADER " , } \n",
		  " { \"Header\":" HEADER "   ,\"Payload\":\"true\"} \n" },
		{ "{\"Header\":" HEADER ",\"x\":\"}\"}",
		  "{\"Header\":" HEADER ",\"x\":\"}\",\"Payload\":\"true\"}" },
	};
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		read_valid(&p, cases[i].text);
		assert_spliced(&p, "\"true\"", cases[i].expected);
		release(&p);
	}
}

static void
a_trailing_comma_is_not_forwarded(void **state)
{
	static const char sent[] =
	    "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\",},"
	    "\"Payload\":{\"a\":[1,2,],\"b\":{\"c\":\",}\",},},}";
	static const char relayed[] =
	    "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\" },"
	    "\"Payload\":{\"a\":[1,2 ],\"b\":{\"c\":\",}\" } } }";
	struct packet p;

	(void)state;
	assert_null(read_copy(&p, BYTES(sent)));
	assert_same(p.text, SPAN(relayed));
	assert_same(p.payload, SPAN("{\"a\":[1,2 ],\"b\":{\"c\":\",}\" } }"));
	assert_spliced(
	    &p, "1",
	    "{\"Header\":{\"Event\":\"ping\",\"UserId\":\"a\",\"RoomId\":\"r\" },"
	    "\"Payload\":1 }");
	release(&p);
}

static void
a_splice_that_does_not_fit_overflows(void **state)
{
	static const char *const texts[] = { "{\"Payload\":1,\"Header\":" HEADER "}",
					     "{\"Header\":" HEADER "}" };
	static const char payload[] = "\"true\"";
	struct packet p;

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		read_valid(&p, texts[i]);
		size_t needed = i == 0 ? p.text.length + sizeof payload - 2
				       : p.text.length + sizeof payload + 10;
		for (size_t size = 0; size <= needed; size++) {
			char *data = allocate(size);
			struct text t;
			text_init(&t, data, size);
			packet_before_payload(&t, &p);
			text_string(&t, payload);
			packet_after_payload(&t, &p);
			assert_int_equal(t.overflow, size < needed);
			free(data);
		}
		release(&p);
	}
}

/*
 * Packets of the server
 */

static void
a_server_packet_is_written(void **state)
{
	static const char expected[] =
	    "{\"Header\":{\"Event\":\"disconnect\",\"UserId\":\"a\\\"\xc3\xa4\","
	    "\"RoomId\":\"\\u0000\"},\"Payload\":\"{}\"}";
	char data[PACKET_PUT];
	struct text t;

	(void)state;
	text_init(&t, data, sizeof data);
	packet_put(&t, "disconnect", SPAN("a\"\xc3\xa4"), SPAN("\0"), "{}");
	assert_text(&t, expected);
	text_init(&t, data, sizeof data);
	packet_put(&t, "error", span(""), span(""), "Header is missing");
	assert_text(&t,
		    "{\"Header\":{\"Event\":\"error\",\"UserId\":\"\",\"RoomId\":\"\"},"
		    "\"Payload\":\"Header is missing\"}");
}

/* Returns an id of consecutive ASCII characters, the first of which is `from`. */
static struct span
ascii_id(char data[PACKET_ID], unsigned from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		data[i] = (char)((from + i) & 0x7f);
	return (struct span){ data, length };
}

static void
any_ids_can_be_read_from_a_server_packet(void **state)
{
	char user_data[PACKET_ID], room_data[PACKET_ID], data[PACKET_PUT];
	struct packet p;
	struct text t;

	(void)state;
	for (unsigned from = 0; from < 0x80; from++) {
		struct span user = ascii_id(user_data, from, 1 + from % PACKET_ID);
		struct span room = ascii_id(room_data, from * 7, PACKET_ID - from);
		text_init(&t, data, sizeof data);
		packet_put(&t, "connect", user, room, "true");
		assert_false(t.overflow);
		assert_null(read_copy(&p, t.data, t.length));
		assert_int_equal(p.event, EVENT_CONNECT);
		assert_same(p.user, user);
		assert_same(p.room, room);
		assert_same(p.payload, SPAN("\"true\""));
		release(&p);
	}
}

static void
the_largest_server_packet_fits(void **state)
{
	static const char *const events[] = { "connect", "broadcast", "disconnect",
					      "error" };
	char id[PACKET_ID], reason[PACKET_REASON + 1], data[PACKET_PUT];
	struct packet p;
	struct text t;

	(void)state;
	memset(id, '\x01', sizeof id);
	/* Escaping at most doubles a reason: its text is from JSON, which contains no
	 * control characters. */
	memset(reason, '\\', PACKET_REASON);
	reason[PACKET_REASON] = '\0';
	for (size_t i = 0; i < COUNT(events); i++) {
		text_init(&t, data, sizeof data);
		packet_put(&t, events[i], (struct span){ id, PACKET_ID },
			   (struct span){ id, PACKET_ID }, reason);
		assert_false(t.overflow);
		assert_json(&t);
	}
	text_init(&t, data, sizeof data);
	packet_put(&t, "connect", (struct span){ id, PACKET_ID },
		   (struct span){ id, PACKET_ID }, "true");
	assert_null(read_copy(&p, t.data, t.length));
	assert_same(p.user, (struct span){ id, PACKET_ID });
	assert_same(p.room, (struct span){ id, PACKET_ID });
	release(&p);
}

static void
every_reason_fits_the_largest_server_packet(void **state)
{
	char event[128], id[PACKET_ID], data[PACKET_PUT];
	struct packet p;
	struct text t;

	(void)state;
	memset(id, '\x01', sizeof id);
	for (unsigned i = 0; i < 60; i += 2)
		memcpy(event + i, i % 4 == 0 ? "\\\\" : "\\\"", 2);
	event[60] = '\0';
	const char *reason = read_event(&p, event);
	assert_non_null(reason);
	text_init(&t, data, sizeof data);
	packet_put(&t, "error", (struct span){ id, PACKET_ID },
		   (struct span){ id, PACKET_ID }, reason);
	assert_false(t.overflow);
	assert_json(&t);
	release(&p);
}

/* Writes a user and reads it like the client, which parses JSON twice. */
static void
assert_user_survives(struct span user)
{
	char *data = allocate(PACKET_PUT_USER), string[PACKET_PUT_USER + 2],
	     once[PACKET_PUT_USER], twice[PACKET_ID];
	struct span value;
	struct text t;
	struct json j;
	long length;

	text_init(&t, data, PACKET_PUT_USER);
	packet_put_user(&t, user);
	assert_false(t.overflow);
	string[0] = '"';
	memcpy(string + 1, t.data, t.length);
	string[t.length + 1] = '"';
	json_init(&j, string, t.length + 2);
	assert_true(json_value(&j, &value));
	assert_true(json_finish(&j));
	length = json_unescape(json_contents(value), once, sizeof once, false);
	assert_true(length > 0);
	json_init(&j, once, (size_t)length);
	assert_true(json_value(&j, &value));
	assert_true(json_finish(&j));
	assert_int_equal(value.data[0], '"');
	length = json_unescape(json_contents(value), twice, sizeof twice, false);
	assert_true(length >= 0);
	assert_same(user, (struct span){ twice, (size_t)length });
	free(data);
}

static void
a_user_in_a_list_survives_reading_twice(void **state)
{
	char id[PACKET_ID];

	(void)state;
	assert_user_survives(SPAN("a"));
	assert_user_survives(SPAN("\0"));
	assert_user_survives(SPAN("\\u0001"));
	assert_user_survives(SPAN("\"],[\""));
	assert_user_survives(SPAN("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\x7f"));
	for (unsigned from = 0; from < 0x80; from++)
		assert_user_survives(ascii_id(id, from, 1 + from));
	for (int byte = 0; byte < 0x80; byte++) {
		memset(id, byte, sizeof id);
		assert_user_survives((struct span){ id, PACKET_ID });
	}
}

static void
a_user_in_a_list_has_escaped_quotes(void **state)
{
	char data[PACKET_PUT_USER];
	struct text t;

	(void)state;
	text_init(&t, data, sizeof data);
	packet_put_user(&t, SPAN("peer1"));
	assert_text(&t, "\\\"peer1\\\"");
	text_init(&t, data, sizeof data);
	packet_put_user(&t, SPAN("\"\\\x01"));
	assert_text(&t, "\\\""
			"\\\\\\\""
			"\\\\\\\\"
			"\\\\u0001"
			"\\\"");
}

static void
the_longest_user_takes_exactly_packet_put_user_bytes(void **state)
{
	char id[PACKET_ID], data[PACKET_PUT_USER];
	struct text t;

	(void)state;
	memset(id, '\x01', sizeof id);
	text_init(&t, data, sizeof data);
	packet_put_user(&t, (struct span){ id, sizeof id });
	assert_false(t.overflow);
	assert_int_equal(t.length, PACKET_PUT_USER);
	text_init(&t, data, sizeof data - 1);
	packet_put_user(&t, (struct span){ id, sizeof id });
	assert_true(t.overflow);
}

/* Asserts the value of the member Token of a Payload. */
static void
assert_member(const char *payload, const char *expected)
{
	char text[512];
	struct packet p;
	int length = snprintf(text, sizeof text,
			      "{\"Header\":{\"Event\":\"connect\",\"UserId\":\"a\","
			      "\"RoomId\":\"r\"}%s%s}",
			      payload != NULL ? ",\"Payload\":" : "",
			      payload != NULL ? payload : "");
	char *exact = copy(text, (size_t)length);

	assert_null(packet_read(&p, exact, (size_t)length));
	assert_span(packet_payload_member(&p, "Token"), expected);
	free(exact);
}

static void
a_member_of_the_payload_is_found(void **state)
{
	(void)state;
	assert_member("{\"Token\":\"x\"}", "\"x\"");
	assert_member("{\"a\":[1,{\"Token\":1}], \"Token\" : [{}] ,}", "[{}]");
	assert_member("{\"Token\":1,\"T\\u006fken\":2}", "2");
	assert_member("{\"token\":1}", NULL);
	assert_member("{\"a\":{\"Token\":1}}", NULL);
	assert_member("{}", NULL);
	assert_member("[\"Token\",1]", NULL);
	assert_member("\"Token\"", NULL);
	assert_member("5", NULL);
	assert_member("null", NULL);
	assert_member(NULL, NULL);
	assert_member("5,\"Payload\":{\"Token\":1}", "1");
	assert_member("{\"Token\":1},\"Payload\":5", NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_packets_are_read),
		cmocka_unit_test(events_have_names),
		cmocka_unit_test(a_nul_byte_is_an_ordinary_byte_of_an_id),
		cmocka_unit_test(missing_ids_are_empty_and_not_the_previous_ones),
		cmocka_unit_test(an_id_has_at_most_128_bytes),
		cmocka_unit_test(an_escaped_lone_surrogate_is_invalid_in_an_id),
		cmocka_unit_test(an_unescaped_lone_surrogate_is_invalid_in_an_id),
		cmocka_unit_test(an_invalid_packet_gives_a_reason_and_its_ids),
		cmocka_unit_test(a_broadcast_can_have_a_to),
		cmocka_unit_test(only_the_last_header_has_a_to),
		cmocka_unit_test(an_invalid_to_is_an_error_in_a_broadcast_only),
		cmocka_unit_test(a_to_has_at_most_128_bytes),
		cmocka_unit_test(a_truncated_packet_is_rejected_at_its_end),
		cmocka_unit_test(any_wrong_byte_is_handled_safely),
		cmocka_unit_test(an_unknown_event_is_cut_between_characters),
		cmocka_unit_test(a_very_long_event_is_handled_safely),
		cmocka_unit_test(at_most_thirty_two_levels_are_accepted),
		cmocka_unit_test(a_header_can_be_as_deep),
		cmocka_unit_test(a_payload_is_replaced_in_its_position),
		cmocka_unit_test(the_last_of_several_payloads_is_replaced),
		cmocka_unit_test(a_payload_outside_the_top_level_is_ignored),
		cmocka_unit_test(a_missing_payload_is_appended),
		cmocka_unit_test(a_member_of_the_payload_is_found),
		cmocka_unit_test(a_trailing_comma_is_not_forwarded),
		cmocka_unit_test(a_splice_that_does_not_fit_overflows),
		cmocka_unit_test(a_server_packet_is_written),
		cmocka_unit_test(any_ids_can_be_read_from_a_server_packet),
		cmocka_unit_test(the_largest_server_packet_fits),
		cmocka_unit_test(every_reason_fits_the_largest_server_packet),
		cmocka_unit_test(a_user_in_a_list_survives_reading_twice),
		cmocka_unit_test(a_user_in_a_list_has_escaped_quotes),
		cmocka_unit_test(the_longest_user_takes_exactly_packet_put_user_bytes),
	};

	return cmocka_run_group_tests_name("packet", tests, NULL, NULL);
}
