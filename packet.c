#include "packet.h"

#include "json.h"

#include <string.h>

const char *const packet_events[PACKET_EVENTS] = { "connect", "broadcast", "ping",
						   "disconnect" };

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

/* Header, which has been found to be JSON. */
static const char *
read_header(struct packet *p, struct span header)
{
	struct span key, value, event = { 0 }, user = { 0 }, room = { 0 };
	struct json j;
	bool end;

	if (header.data == NULL)
		return "Header is missing";
	/* The packet's text is the session's own, to be changed in place. */
	json_init(&j, (char *)header.data, header.length);
	if (!json_enter(&j, '{'))
		return "Header must be an object";
	while (json_member(&j, &key, &value, &end)) {
		if (json_equal(key, "Event"))
			event = value;
		else if (json_equal(key, "UserId"))
			user = value;
		else if (json_equal(key, "RoomId"))
			room = value;
	}
	bool has_user = read_id(user, 1, p->user_data, &p->user);
	bool has_room = read_id(room, 0, p->room_data, &p->room);
	if (!has_user)
		return "UserId must be a string of 1 to 128 bytes";
	if (!has_room)
		return "RoomId must be a string of 0 to 128 bytes";
	return read_event(p, event);
}

const char *
packet_read(struct packet *p, char *text, size_t length)
{
	struct span key, value, header = { 0 };
	const char *wrong = NULL;
	struct json j;
	bool end;

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
	while (json_member(&j, &key, &value, &end)) {
		if (json_equal(key, "Header"))
			header = value;
		else if (json_equal(key, "Payload"))
			p->payload = value;
	}
	bool whole = json_finish(&j);
	if (whole || header.data != NULL)
		wrong = read_header(p, header);
	return whole ? wrong : bad_json(&j);
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
