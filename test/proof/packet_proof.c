/*
 * packet_before_payload and packet_after_payload replace the Payload of a packet.
 *
 * splice: any text of up to BOUND bytes, with a Payload anywhere or with none and a
 * closing brace; any new Payload of up to BOUND bytes; output of any size.  The output is
 * the text with the new bytes in place of the old, or as its last member, or it
 * overflows.
 *
 * main: all packets of up to 4 of 12 members, some of which spell Header and Payload
 * differently, with white space and an extra comma wherever these are allowed.  The
 * output is valid JSON with the same members in the same order and with the same values,
 * except that the last Payload has the new value.  A packet without one gets it as last
 * member.
 */
#include "json.h"
#include "packet.c"
#include "proof.h"

#ifdef __CPROVER__
#include "text.c"

void *
memcpy(void *to, const void *from, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

void
splice(void)
{
	static const char member[] = ",\"Payload\":";
	char text[BOUND], payload[BOUND], out[2 * BOUND + sizeof member];
	size_t length, start, removed, added, size, at;
	bool has_payload;
	struct packet packet;
	struct text t;

	assume(length <= BOUND && start <= length && removed <= length - start);
	assume(added <= BOUND && size <= sizeof out);
	const char *p = text + BOUND - length;
	packet.text = (struct span){ p, length };
	packet.payload = (struct span){ has_payload ? p + start : NULL, removed };
	if (!has_payload) {
		assume(start < length && removed == 0 && p[start] == '}');
		for (size_t i = 0; i < length; i++)
			assume(i <= start || p[i] != '}');
	}
	text_init(&t, out + sizeof out - size, size);
	packet_before_payload(&t, &packet);
	text_put(&t, payload, added);
	packet_after_payload(&t, &packet);

	size_t named = has_payload ? 0 : sizeof member - 1;
	size_t from = start + named, to = from + added;
	claim(t.overflow == (to + length - start - removed > size));
	claim(t.length <= size);
	claim(t.overflow || t.length == to + length - start - removed);
	assume(at < t.length);
	claim(t.overflow || t.data[at] == (at < start  ? p[at]
					   : at < from ? member[at - start]
					   : at < to   ? payload[at - from]
						       : p[at - to + start + removed]));
	reached(!t.overflow && has_payload && removed > 0 && added == BOUND &&
		start > 0 && start + removed < length);
	reached(!t.overflow && !has_payload && length == BOUND);
	reached(t.overflow);
}

#else

static const char header[] = "{\"Event\":\"ping\",\"UserId\":\"ann\",\"RoomId\":\"}"
			     "\\u007d\",\"x\":[1,{}],\"To\":5}";

/* Members: the key as written, the key without escapes if it matters, and the value. */
static const struct {
	const char *key, *means, *value;
} members[] = {
	{ "Header", "Header", header },
	{ "\\u0048eader", "Header", header },
	{ "Payload", "Payload", "1" },
	{ "Payload", "Payload", "\"\\\"}\"" },
	{ "Payload", "Payload", "{\"Payload\":[{}]}" },
	{ "P\\u0061yload", "Payload", "[]" },
	{ "payload", "payload", "null" },
	{ "Payloa", "Payloa", "{}" },
	{ "Payload\\u0000", "", "-0.5e-7" },
	{ "", "", "\"Payload\"" },
	{ "x", "", "[\"}\",[],{}]" },
	{ "}", "", "true" },
};

static unsigned char *end;
static unsigned long with, without;

/* Compares the output with the chosen members. */
static void
check_members(char *text, size_t length, const unsigned *chosen, size_t count,
	      size_t payload, const char *set)
{
	struct span key, value;
	struct json j;
	bool closed = false;

	json_init(&j, text, length);
	j.strict = true;
	claim(json_enter(&j, '{'));
	for (size_t i = 0; i < count; i++) {
		claim(json_member(&j, &key, &value, &closed));
		claim(span_is(key, members[chosen[i]].key));
		claim(span_is(value, i == payload ? set : members[chosen[i]].value));
	}
	if (payload == count) {
		claim(json_member(&j, &key, &value, &closed));
		claim(span_is(key, "Payload") && span_is(value, set));
	}
	claim(!json_member(&j, &key, &value, &closed) && closed && json_finish(&j));
}

/* `spaced` has a bit for each place with white space, and one for a comma at the end. */
static void
check_packet(const unsigned *chosen, size_t count, unsigned spaced)
{
	static const char set[] = "\"[\\\"ann\\\"]\"";
	static struct packet packet;
	char made[1024], out[1024];
	size_t payload = count;
	bool has_header = false;
	struct text t;

	text_init(&t, made, sizeof made);
	text_string(&t, spaced & 1 ? " \t{\n" : "{");
	for (size_t i = 0; i < count; i++) {
		text_string(&t, i > 0 ? "," : "");
		text_string(&t, spaced & 2 ? " \"" : "\"");
		text_string(&t, members[chosen[i]].key);
		text_string(&t, spaced & 4 ? "\" : " : "\":");
		text_string(&t, members[chosen[i]].value);
		text_string(&t, spaced & 8 ? "\r\n" : "");
		has_header |= strcmp(members[chosen[i]].means, "Header") == 0;
		if (strcmp(members[chosen[i]].means, "Payload") == 0)
			payload = i;
	}
	text_string(&t, spaced & 16 ? ", " : "");
	text_string(&t, spaced & 1 ? "} " : "}");
	claim(!t.overflow);

	char *text = (char *)end - t.length;
	memcpy(text, made, t.length);
	const char *wrong = packet_read(&packet, text, t.length);
	claim((wrong == NULL) == has_header);
	claim((packet.payload.data != NULL) == (payload < count));
	if (wrong != NULL)
		return;
	claim(packet.event == EVENT_PING && span_is(packet.user, "ann") &&
	      span_is(packet.room, "}}") && packet.to.data == NULL);
	text_init(&t, out, sizeof out);
	packet_before_payload(&t, &packet);
	text_string(&t, set);
	packet_after_payload(&t, &packet);
	claim(!t.overflow);
	check_members(out, t.length, chosen, count, payload, set);
	*(payload < count ? &with : &without) += 1;
}

int
main(void)
{
	end = guarded_end();
	for (size_t count = 1; count <= 4; count++) {
		uint16_t odometer[32] = { 0 };
		unsigned char letters[4];
		while (next_text(odometer, "\0\1\2\3\4\5\6\7\10\11\12\13", COUNT(members),
				 count, letters)) {
			unsigned chosen[4];
			for (size_t i = 0; i < count; i++)
				chosen[i] = letters[i];
			for (unsigned spaced = 0; spaced < 32; spaced++)
				check_packet(chosen, count, spaced);
		}
	}
	claim(with > 0 && without > 0);
	printf("packets of up to 4 members of 12: %lu with a Payload, %lu without\n",
	       with, without);
	return 0;
}

#endif
