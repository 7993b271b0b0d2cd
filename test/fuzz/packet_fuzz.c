/*
 * JSON and packets: json.c accepts exactly what a plain implementation of RFC 8259
 * accepts. The packets that the server makes of an accepted packet are valid JSON, and
 * have the same event, user and room when they are read again.
 */
#include "fuzz.h"
#include "json.h"
#include "packet.h"

/*
 * The grammar of RFC 8259, by recursion and byte by byte.
 */

struct reader {
	const char *p, *end;
	bool lenient;
	unsigned depth;
};

static bool read_value(struct reader *r);

static bool
take(struct reader *r, char c)
{
	if (r->p == r->end || *r->p != c)
		return false;
	r->p++;
	return true;
}

static void
pass_space(struct reader *r)
{
	while (take(r, ' ') || take(r, '\t') || take(r, '\n') || take(r, '\r'))
		;
}

static bool
take_any(struct reader *r, const char *set)
{
	for (; *set != '\0'; set++)
		if (take(r, *set))
			return true;
	return false;
}

static bool
read_digits(struct reader *r)
{
	if (!take_any(r, "0123456789"))
		return false;
	while (take_any(r, "0123456789"))
		;
	return true;
}

static bool
read_number(struct reader *r)
{
	take(r, '-');
	if (!take(r, '0') && !read_digits(r))
		return false;
	if (take(r, '.') && !read_digits(r))
		return false;
	if (!take_any(r, "eE"))
		return true;
	take_any(r, "+-");
	return read_digits(r);
}

static bool
read_string(struct reader *r)
{
	if (!take(r, '"'))
		return false;
	while (r->p < r->end) {
		if (take(r, '"'))
			return true;
		if ((unsigned char)*r->p < 0x20)
			return false;
		if (!take(r, '\\')) {
			r->p++;
			continue;
		}
		if (take_any(r, "\"\\/bfnrt"))
			continue;
		if (!take(r, 'u'))
			return false;
		for (unsigned i = 0; i < 4; i++)
			if (!take_any(r, "0123456789abcdefABCDEF"))
				return false;
	}
	return false;
}

static bool
read_members(struct reader *r, bool object, char close)
{
	pass_space(r);
	if (take(r, close))
		return true;
	do {
		pass_space(r);
		if (object) {
			if (!read_string(r))
				return false;
			pass_space(r);
			if (!take(r, ':'))
				return false;
		}
		if (!read_value(r))
			return false;
		pass_space(r);
		if (take(r, close))
			return true;
		if (!take(r, ','))
			return false;
		pass_space(r);
	} while (!r->lenient || !take(r, close));
	return true;
}

static bool
read_value(struct reader *r)
{
	static const char *const literals[] = { "true", "false", "null" };
	bool object;

	pass_space(r);
	if (r->p == r->end)
		return false;
	object = *r->p == '{';
	if (take_any(r, "{[")) {
		if (++r->depth > JSON_DEPTH ||
		    !read_members(r, object, object ? '}' : ']'))
			return false;
		r->depth--;
		return true;
	}
	if (*r->p == '"')
		return read_string(r);
	for (size_t i = 0; i < 3; i++) {
		size_t length = strlen(literals[i]);
		if ((size_t)(r->end - r->p) >= length &&
		    memcmp(r->p, literals[i], length) == 0) {
			r->p += length;
			return true;
		}
	}
	return read_number(r);
}

static bool
is_json(const char *text, size_t length, bool lenient)
{
	struct reader r = { .p = text, .end = text + length, .lenient = lenient };

	if (!read_value(&r))
		return false;
	pass_space(&r);
	return r.p == r.end;
}

static void
check_json(const char *data, size_t length, bool strict)
{
	char *text = fuzz_copy(data, length);
	struct span value;
	struct json j;

	json_init(&j, text, length);
	j.strict = strict;
	bool good = json_value(&j, &value) && json_finish(&j);
	CHECK(good == is_json(data, length, !strict));
	CHECK(j.offset <= length && (good || j.error != JSON_NONE));
	/* The text is valid, with its extra commas blanked. */
	CHECK(!good || is_json(text, length, false));
	CHECK(!strict || memcmp(text, data, length) == 0);
	free(text);
}

/* Escaping and unescaping give the same text. */
static void
check_escaped(const char *data, size_t length)
{
	struct text t;

	text_init(&t, malloc(6 * length + 2), 6 * length + 2);
	CHECK(t.data != NULL);
	text_char(&t, '"');
	json_escape(&t, data, length);
	text_char(&t, '"');
	CHECK(!t.overflow && is_json(t.data, t.length, false));
	CHECK(json_unescape((struct span){ t.data + 1, t.length - 2 }, t.data, length,
			    false) == (long)length);
	CHECK(memcmp(t.data, data, length) == 0);
	free(t.data);
}

static void
check_same(const struct packet *a, const struct packet *b)
{
	CHECK(a->event == b->event && span_same(a->user, b->user) &&
	      span_same(a->room, b->room));
	CHECK((a->to.data == NULL) == (b->to.data == NULL));
	CHECK(a->to.data == NULL || span_same(a->to, b->to));
}

/* Replaces the Payload, reads the packet again, and compares. */
static void
check_splice(const struct packet *p, const char *payload)
{
	size_t size = p->text.length + strlen(payload) + sizeof ",\"Payload\":";
	struct text first, second;
	struct packet spliced;

	text_init(&first, malloc(size), size);
	text_init(&second, malloc(size), size);
	CHECK(first.data != NULL && second.data != NULL);
	packet_before_payload(&first, p);
	text_string(&first, payload);
	packet_after_payload(&first, p);
	CHECK(!first.overflow && is_json(first.data, first.length, false));
	CHECK(packet_read(&spliced, first.data, first.length) == NULL);
	check_same(&spliced, p);
	CHECK(span_is(spliced.payload, payload));
	packet_before_payload(&second, &spliced);
	text_string(&second, payload);
	packet_after_payload(&second, &spliced);
	CHECK(span_same((struct span){ first.data, first.length },
			(struct span){ second.data, second.length }));
	free(first.data);
	free(second.data);
}

/* The list of users that answers a ping. */
static void
check_users(const struct packet *p)
{
	char payload[2 * PACKET_PUT_USER + 8], list[2 * PACKET_PUT_USER], id[PACKET_ID];
	struct span value;
	struct text t;
	struct json j;
	bool end;

	text_init(&t, payload, sizeof payload - 1);
	text_string(&t, "\"[");
	packet_put_user(&t, p->user);
	text_char(&t, ',');
	packet_put_user(&t, p->user);
	text_string(&t, "]\"");
	CHECK(!t.overflow);
	payload[t.length] = '\0';
	check_splice(p, payload);
	long length = json_unescape(json_contents((struct span){ payload, t.length }),
				    list, sizeof list, false);
	CHECK(length > 0 && is_json(list, (size_t)length, false));
	json_init(&j, list, (size_t)length);
	CHECK(json_enter(&j, '['));
	for (unsigned i = 0; i < 2; i++) {
		CHECK(json_element(&j, &value, &end));
		long n = json_unescape(json_contents(value), id, sizeof id, false);
		CHECK(n > 0 && span_same((struct span){ id, (size_t)n }, p->user));
	}
	CHECK(!json_element(&j, &value, &end) && end);
}

/* Checks a packet that the server makes itself about this one. */
static void
check_own(const struct packet *p, const char *event, const char *payload)
{
	char data[PACKET_PUT];
	struct packet own;
	struct text t;

	text_init(&t, data, sizeof data);
	packet_put(&t, event, p->user, p->room, payload);
	CHECK(!t.overflow && is_json(t.data, t.length, false));
	if (p->user.length == 0 || strcmp(event, "disconnect") != 0)
		return;
	CHECK(packet_read(&own, t.data, t.length) == NULL);
	CHECK(own.event == EVENT_DISCONNECT && span_same(own.user, p->user) &&
	      span_same(own.room, p->room));
}

/* Finds the last member with this name, in an object that is valid JSON. */
static bool
last_member(struct span object, const char *name, struct span *found)
{
	char *text = fuzz_copy(object.data, object.length);
	struct span key, value;
	struct json j;
	bool end = false, has = false;

	json_init(&j, text, object.length);
	CHECK(json_enter(&j, '{'));
	while (json_member(&j, &key, &value, &end))
		if (json_equal(key, name)) {
			*found = (struct span){ object.data + (value.data - text),
						value.length };
			has = true;
		}
	CHECK(end);
	free(text);
	return has;
}

/* Looks To up in the text: a packet has one if it is a broadcast with a valid To. */
static void
check_to(const struct packet *p, const char *wrong)
{
	static const char reason[] = "To must be a string of 1 to 128 bytes";
	bool rejected = wrong != NULL && strcmp(wrong, reason) == 0;
	struct span header, to;
	struct utf8 utf8 = { 0 };
	char id[PACKET_ID];
	long length = 0;

	if (wrong != NULL && !rejected)
		return;
	CHECK(!rejected || p->to.data == NULL);
	CHECK(last_member(p->text, "Header", &header));
	if (p->event != EVENT_BROADCAST || !last_member(header, "To", &to)) {
		CHECK(!rejected && p->to.data == NULL);
		return;
	}
	if (*to.data == '"')
		length = json_unescape(json_contents(to), id, sizeof id, false);
	if (length > 0 && !utf8_check(&utf8, id, (size_t)length))
		length = 0;
	CHECK(rejected == (length <= 0));
	CHECK(rejected || span_same(p->to, (struct span){ id, (size_t)length }));
}

/* Looks a member of the Payload up in the text. */
static void
check_member(const struct packet *p)
{
	struct span found = packet_payload_member(p, "Token"), value = { 0 };

	if (p->payload.data != NULL && *p->payload.data == '{')
		last_member(p->payload, "Token", &value);
	CHECK(found.data == value.data && found.length == value.length);
}

static void
check_packet(const char *data, size_t length)
{
	char *text = fuzz_copy(data, length);
	struct packet p, again;
	const char *wrong = packet_read(&p, text, length);

	CHECK(p.user.length <= PACKET_ID && p.room.length <= PACKET_ID);
	check_to(&p, wrong);
	if (wrong != NULL) {
		CHECK(strlen(wrong) < PACKET_REASON);
		check_own(&p, "error", wrong);
		free(text);
		return;
	}
	CHECK(p.user.length > 0 && p.event < PACKET_EVENTS);
	CHECK(span_same(p.text, (struct span){ text, length }));
	CHECK(is_json(text, length, false));
	char *read = fuzz_copy(text, length);
	CHECK(packet_read(&again, read, length) == NULL);
	CHECK(memcmp(read, text, length) == 0);
	check_same(&again, &p);
	CHECK((again.payload.data == NULL) == (p.payload.data == NULL) &&
	      again.payload.length == p.payload.length);
	check_member(&p);
	check_splice(&p, "\"true\"");
	check_users(&p);
	check_own(&p, "disconnect", "{}");
	check_own(&p, "error", "no");
	free(read);
	free(text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	struct text t;

	/* json.c and packet.c get valid UTF-8 only. */
	text_init(&t, malloc(3 * length + 1), 3 * length);
	CHECK(t.data != NULL);
	utf8_repair(&t, (const char *)data, length);
	CHECK(!t.overflow);
	check_json(t.data, t.length, false);
	check_json(t.data, t.length, true);
	check_escaped(t.data, t.length);
	check_packet(t.data, t.length);
	free(t.data);
	return 0;
}
