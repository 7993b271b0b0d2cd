#include "packet.h"

#include "json.h"

#include <string.h>

const char *const packet_events[] = { "connect", "broadcast", "ping", "disconnect",
				      "error" };

/* Why a packet is refused; for reasons that are not constant. */
static char reason_data[PACKET_REASON];

static const char *
end_reason(struct text *t)
{
	text_char(t, '\0');
	return t->data;
}

static const char *
bad_json(const struct json *j)
{
	struct text t;

	if (j->error == JSON_TOO_DEEP)
		return "nested too deep";
	text_init(&t, reason_data, sizeof reason_data);
	text_string(&t, "not JSON at byte ");
	text_number(&t, j->at);
	return end_reason(&t);
}

static bool
read_id(struct span value, size_t least, char data[PACKET_ID], struct span *id)
{
	if (value.data == NULL || *value.data != '"')
		return false;
	long length = json_unescape(json_contents(value), data, PACKET_ID, false);
	struct utf8 utf8 = { 0 };
	/* What came over SockJS may hold half a surrogate pair unescaped. */
	if (length < (long)least || !utf8_check(&utf8, data, (size_t)length))
		return false;
	*id = (struct span){ data, (size_t)length };
	return true;
}

static const char *
read_event(struct packet *p, struct span value)
{
	struct text t;

	if (value.data == NULL)
		return "Event is missing";
	if (*value.data != '"')
		return "Event must be a string";
	struct span name = json_contents(value);
	for (p->event = CONNECT; p->event < PACKET_EVENTS; p->event++)
		if (json_equal(name, packet_events[p->event]))
			return NULL;
	text_init(&t, reason_data, sizeof reason_data);
	text_string(&t, "unknown Event \"");
	text_put(&t, name.data, utf8_cut(name.data, name.length, 40));
	text_char(&t, '"');
	return end_reason(&t);
}

/* What there is of the last Header; of its members the last ones. */
struct header {
	bool seen, object;
	struct span event, user, room; /* whole values, no data where there is none */
};

/* False if it is not JSON, and then what came of it does not count. */
static bool
scan_header(struct json *j, struct header *h)
{
	struct header scanned = { .seen = true, .object = json_kind(j) == '{' };
	struct span key, value;
	bool good;

	if (!scanned.object) {
		good = json_value(j, &value);
	} else {
		json_enter(j, '{');
		while (json_member(j, &key, &value, &good)) {
			if (json_equal(key, "Event"))
				scanned.event = value;
			else if (json_equal(key, "UserId"))
				scanned.user = value;
			else if (json_equal(key, "RoomId"))
				scanned.room = value;
		}
	}
	if (good)
		*h = scanned;
	return good;
}

static const char *
read_header(struct packet *p, const struct header *h)
{
	if (!h->seen)
		return "Header is missing";
	if (!h->object)
		return "Header must be an object";
	bool has_user = read_id(h->user, 1, p->user_data, &p->user);
	bool has_room = read_id(h->room, 0, p->room_data, &p->room);
	if (!has_user)
		return "UserId must be a string of 1 to 128 bytes";
	if (!has_room)
		return "RoomId must be a string of 0 to 128 bytes";
	return read_event(p, h->event);
}

const char *
packet_read(struct packet *p, char *text, size_t length)
{
	struct header header = { .seen = false };
	struct span key, value;
	struct json j;
	bool end, good = true;

	p->text = (struct span){ text, length };
	p->payload = (struct span){ 0 };
	p->user = p->room = (struct span){ "", 0 };
	json_init(&j, text, length);
	if (!json_enter(&j, '{')) {
		/* Another kind of value, or none at all? */
		json_init(&j, text, length);
		if (json_value(&j, &value) && json_finish(&j))
			return "a packet must be an object";
		return bad_json(&j);
	}
	while (good && json_key(&j, &key, &end)) {
		if (json_equal(key, "Header"))
			good = scan_header(&j, &header);
		else if ((good = json_value(&j, &value)) && json_equal(key, "Payload"))
			p->payload = value;
	}
	/* The ids are good for an answer, if nothing else is. */
	const char *wrong = read_header(p, &header);
	return json_finish(&j) ? wrong : bad_json(&j);
}

/* Where the Payload is; without one, the brace that closes the packet. */
static size_t
payload_at(const struct packet *p)
{
	if (p->payload.data != NULL)
		return (size_t)(p->payload.data - p->text.data);
	size_t length = p->text.length;
	while (p->text.data[length - 1] != '}')
		length--;
	return length - 1;
}

void
packet_before_payload(struct text *t, const struct packet *p)
{
	text_put(t, p->text.data, payload_at(p));
	/* Behind its last member: there is one, the Header. */
	if (p->payload.data == NULL)
		text_string(t, ",\"Payload\":");
}

void
packet_after_payload(struct text *t, const struct packet *p)
{
	size_t end = payload_at(p) + p->payload.length;

	text_put(t, p->text.data + end, p->text.length - end);
}

static void
put_member(struct text *t, const char *name, struct span value)
{
	text_string(t, name);
	json_escape(t, value.data, value.length);
}

void
packet_put(struct text *t, const char *event, struct span user, struct span room,
	   const char *payload)
{
	text_string(t, "{\"Header\":{\"Event\":\"");
	text_string(t, event);
	put_member(t, "\",\"UserId\":\"", user);
	put_member(t, "\",\"RoomId\":\"", room);
	put_member(t, "\"},\"Payload\":\"", (struct span){ payload, strlen(payload) });
	text_string(t, "\"}");
}

void
packet_put_user(struct text *t, struct span user)
{
	char data[6 * PACKET_ID];
	struct text once;

	text_init(&once, data, sizeof data);
	json_escape(&once, user.data, user.length);
	text_string(t, "\\\"");
	json_escape(t, once.data, once.length);
	text_string(t, "\\\"");
}
