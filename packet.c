#include "packet.h"

#include "json.h"

#include <string.h>

const char *const packet_events[] = { "connect", "broadcast", "ping", "disconnect",
				      "error" };

/* A reason of packet_read that is not a constant text. */
static char reason_data[PACKET_REASON];

static const char *
end_reason(struct text *t)
{
	text_char(t, '\0');
	return t->data;
}

static const char *
syntax_error(const struct json *j)
{
	struct text t;

	if (j->error == JSON_TOO_DEEP)
		return "nested too deep";
	text_init(&t, reason_data, sizeof reason_data);
	text_string(&t, "not JSON at byte ");
	text_number(&t, j->offset);
	return end_reason(&t);
}

static bool
read_id(struct span value, size_t least, char data[PACKET_ID], struct span *id)
{
	if (value.data == NULL || *value.data != '"')
		return false;
	long length = json_unescape(json_contents(value), data, PACKET_ID, false);
	struct utf8 utf8 = { 0 };
	/* A packet from SockJS may be WTF-8, but an id must be UTF-8. */
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
	for (p->event = EVENT_CONNECT; p->event < PACKET_EVENTS; p->event++)
		if (json_equal(name, packet_events[p->event]))
			return NULL;
	text_init(&t, reason_data, sizeof reason_data);
	text_string(&t, "unknown Event \"");
	text_put(&t, name.data, utf8_cut(name.data, name.length, 40));
	text_char(&t, '"');
	return end_reason(&t);
}

/* The last Header.  The data of a missing member is NULL. */
struct header {
	bool seen, object;
	struct span event, user, room, to;
};

/* Reads a Header.  Returns false, with `h` unchanged, if it is not valid JSON. */
static bool
scan_header(struct json *j, struct header *h)
{
	struct header scanned = { .seen = true, .object = json_kind(j) == '{' };
	struct span key, value;
	bool valid;

	if (!scanned.object) {
		valid = json_value(j, &value);
	} else {
		json_enter(j, '{');
		/* `valid` becomes true at the closing brace only, not on an error. */
		while (json_member(j, &key, &value, &valid)) {
			if (json_equal(key, "Event"))
				scanned.event = value;
			else if (json_equal(key, "UserId"))
				scanned.user = value;
			else if (json_equal(key, "RoomId"))
				scanned.room = value;
			else if (json_equal(key, "To"))
				scanned.to = value;
		}
	}
	if (valid)
		*h = scanned;
	return valid;
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
	const char *reason = read_event(p, h->event);
	/* In other events, To means nothing and can have any value. */
	if (reason == NULL && p->event == EVENT_BROADCAST && h->to.data != NULL &&
	    !read_id(h->to, 1, p->to_data, &p->to))
		return "To must be a string of 1 to 128 bytes";
	return reason;
}

const char *
packet_read(struct packet *p, char *text, size_t length)
{
	struct header header = { .seen = false };
	struct span key, value;
	struct json j;
	bool at_end, valid = true;

	p->text = (struct span){ text, length };
	p->payload = p->to = (struct span){ 0 };
	p->repeats_payload = false;
	p->user = p->room = (struct span){ "", 0 };
	json_init(&j, text, length);
	if (!json_enter(&j, '{')) {
		/* Distinguish another JSON value from invalid JSON. */
		json_init(&j, text, length);
		if (json_value(&j, &value) && json_finish(&j))
			return "a packet must be an object";
		return syntax_error(&j);
	}
	while (valid && json_key(&j, &key, &at_end)) {
		if (json_equal(key, "Header"))
			valid = scan_header(&j, &header);
		else if ((valid = json_value(&j, &value)) && json_equal(key, "Payload")) {
			p->repeats_payload = p->payload.data != NULL;
			p->payload = value;
		}
	}
	/* Read the ids even if the rest is invalid: the error packet contains them. */
	const char *reason = read_header(p, &header);
	return json_finish(&j) ? reason : syntax_error(&j);
}

struct span
packet_payload_member(const struct packet *p, const char *name)
{
	struct span key, value, found = { 0 };
	struct json j;
	bool at_end;

	/* The caller of packet_read allows changes; valid JSON is not changed. */
	json_init(&j, (char *)p->payload.data, p->payload.length);
	if (p->payload.data == NULL || !json_enter(&j, '{'))
		return found;
	while (json_member(&j, &key, &value, &at_end))
		if (json_equal(key, name))
			found = value;
	return found;
}

/* Returns the offset of the Payload's value; without one, of the packet's last brace. */
static size_t
payload_offset(const struct packet *p)
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
	text_put(t, p->text.data, payload_offset(p));
	/* The comma is valid, since the packet has a Header at least. */
	if (p->payload.data == NULL)
		text_string(t, ",\"Payload\":");
}

void
packet_after_payload(struct text *t, const struct packet *p)
{
	size_t end = payload_offset(p) + p->payload.length;

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
	struct text escaped;

	text_init(&escaped, data, sizeof data);
	json_escape(&escaped, user.data, user.length);
	text_string(t, "\\\"");
	json_escape(t, escaped.data, escaped.length);
	text_string(t, "\\\"");
}
