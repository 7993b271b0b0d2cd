/*
 * The whole server, on the network and the clock of network.c.  The input is a script of
 * what its clients do.  A line of it is one of
 *
 *     C+          client C (0 to 7) connects; its previous connection stays open, unused
 *     C>TEXT      sends TEXT
 *     C=TEXT      sends TEXT as a WebSocket message
 *     C#XXTEXT    sends TEXT as a frame whose first byte is XX
 *     C@PATH      requests a WebSocket
 *     C^PATH BODY posts BODY
 *     C|          ends its output (FIN)
 *     C!          aborts (RST)
 *     C_N         reads N bytes more (without a number: without limit)
 *     C,N         the server's next calls on its connection move at most N bytes
 *     .           the server runs until it waits
 *     tN mN       N seconds or milliseconds pass
 *     *N          the previous line again, N times
 *     e f         the next accept fails: no descriptors, or the client is gone
 *     h u k       SIGHUP, SIGUSR1, SIGTERM
 *
 * In TEXT and BODY ~n is CR LF, ~XX a byte, ~~ a tilde.  Two bystanders are in another
 * room.
 *
 * Checks: all output of the server is valid HTTP, WebSocket frames, SockJS frames and
 * packets.  The bystanders receive nothing during the script, and can exchange packets
 * after it.  When the other clients have gone, the server holds nothing of them.
 */
#include "fuzz.h"
#include "json.h"
#include "network.h"

int videre_main(int argc, char **argv);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define main videre_main
#include "../../videre.c"
#undef main

/* The variables of this file are not part of the server's state. */
#pragma clang section bss = "" data = ""

enum {
	PLAYERS = 8, /* the clients of the script */
	CLIENTS = 10,
	FIRST_BYSTANDER = PLAYERS,
	LINES = 600,	  /* executed, at most */
	SECONDS = 100,	  /* that pass, at most */
	LINE_MOST = 8192, /* bytes that a line sends, at most */
	OVER_MS = 8000	  /* after which the server holds nothing of a client */
};

static const char room[] = "a room that nobody else knows of";

struct client {
	unsigned socket; /* 0: it has never connected */
	bool websocket;
	size_t body;	/* bytes of a response's body still to come */
	bool in_chunks; /* of a response */
	unsigned messages;
	size_t last_length;
	char last[1024]; /* the last message */
};

static struct client clients[CLIENTS];
static bool running;
static unsigned lines;
static uint32_t seconds;

static void
reset_state(void)
{
	memory_reset();
	network_reset();
	memset(clients, 0, sizeof clients);
	running = true;
	lines = 0;
	seconds = 0;
}

/* What main does, except options and signals. */
int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	conf_default(&conf);
	conf.log = "/dev/null";
	conf.log_level = LEVEL_TRACE;
	conf.ice_servers[0].url = "stun:example.org";
	conf.ice_servers[1] =
	    (struct ice_server){ "turn:example.org", "user", "\"credential\"" };
	conf.monitor[0].bits = 0; /* all of IPv4 */
	conf.max_connections = 6;
	conf.max_per_address = 3;
	conf.max_peers = 3;
	conf.max_packet = 300;
	conf.heartbeat = 3;
	conf.handshake_timeout = 4;
	CHECK(renewal_load(&conf, NULL) && secrets_load(&conf, NULL));
	network_reset();
	log_open(conf.log, (enum log_level)conf.log_level, 0);
	map_memory();
	monitor_start(conf.monitor);
	ice_start(conf.ice_servers);
	open_sockets();
	log_flush();
	memory_remember();
	return 0;
}

/*
 * What clients receive
 */

/* Valid JSON that begins with `first`, without the extra comma that the server accepts.
 */
static void
check_json(const char *data, size_t length, char first)
{
	char *text = fuzz_copy(data, length);
	struct span value;
	struct json j;

	json_init(&j, text, length);
	j.strict = true;
	CHECK(json_value(&j, &value) && *value.data == first && json_finish(&j));
	free(text);
}

/* Each member of an array of strings is a packet. */
static void
check_messages(const char *data, size_t length)
{
	char *text = fuzz_copy(data, length);
	struct span value;
	struct json j;
	bool end;

	json_init(&j, text, length);
	CHECK(json_enter(&j, '['));
	while (json_element(&j, &value, &end)) {
		struct span contents = json_contents(value);
		char *message = fuzz_copy(contents.data, contents.length);
		long n = json_unescape(contents, message, contents.length, true);
		CHECK(n > 0);
		check_json(message, (size_t)n, '{');
		free(message);
	}
	CHECK(end);
	free(text);
}

/* A packet, or a frame of SockJS. */
static void
check_message(const char *data, size_t length)
{
	struct utf8 utf8 = { 0 };

	CHECK(length > 0 && utf8_check(&utf8, data, length) && utf8_complete(&utf8));
	switch (*data) {
	case 'o':
	case 'h': CHECK(length == 1); break;
	case 'a':
		check_json(data + 1, length - 1, '[');
		check_messages(data + 1, length - 1);
		break;
	case 'c': {
		check_json(data + 1, length - 1, '[');
		unsigned code = (unsigned)strtoul(data + 2, NULL, 10);
		/* 2010 is SockJS's own code. */
		CHECK(code == 2010 || ws_valid_code(code));
		break;
	}
	default: check_json(data, length, '{');
	}
}

static void
send_frame(struct client *c, unsigned first, const char *data, size_t length)
{
	static const char mask[4] = { 0x20, 0x03, 0x00, 0x11 };
	char frame[LINE_MOST + WS_HEADER];
	struct text t;

	CHECK(length <= LINE_MOST);
	text_init(&t, frame, sizeof frame);
	text_char(&t, (char)first);
	if (length < 126) {
		text_char(&t, (char)(0x80 | length));
	} else {
		text_char(&t, (char)(0x80 | 126));
		text_char(&t, (char)(length >> 8));
		text_char(&t, (char)(length & 0xff));
	}
	text_put(&t, mask, sizeof mask);
	for (size_t i = 0; i < length; i++)
		frame[t.length + i] = data[i] ^ mask[i & 3];
	network_send(c->socket, frame, t.length + length);
}

/* Checks a WebSocket frame.  Returns its length, or 0 if it is incomplete. */
static size_t
read_frame(struct client *c, struct span in)
{
	const unsigned char *p = (const unsigned char *)in.data;
	size_t length, header = 2;

	if (in.length < 2)
		return 0;
	CHECK((p[0] & 0xf0) == 0x80 && (p[1] & 0x80) == 0 && p[1] < 127);
	length = p[1];
	if (length == 126) {
		if (in.length < 4)
			return 0;
		header = 4;
		length = (size_t)p[2] << 8 | p[3];
		CHECK(length >= 126);
	}
	if (in.length < header + length)
		return 0;
	const char *data = in.data + header;
	switch (p[0] & 0x0f) {
	case WS_TEXT:
		check_message(data, length);
		c->messages++;
		c->last_length = length < sizeof c->last ? length : sizeof c->last;
		memcpy(c->last, data, c->last_length);
		break;
	case WS_PING:
		if (c >= clients + FIRST_BYSTANDER)
			send_frame(c, 0x80 | WS_PONG, data, length);
		break;
	case WS_PONG: break;
	case WS_CLOSE:
		CHECK(length == 0 ||
		      (length >= 2 &&
		       ws_valid_code((unsigned)p[header] << 8 | p[header + 1])));
		break;
	default: CHECK(false); /* a server sends no other opcode */
	}
	return header + length;
}

/* The value of a field of a head, or NULL. */
static const char *
field(struct span head, const char *name)
{
	const char *found = memmem(head.data, head.length, name, strlen(name));

	return found != NULL ? found + strlen(name) : NULL;
}

static size_t
read_head(struct client *c, struct span in)
{
	struct span head = in;
	const char *end = memmem(in.data, in.length, "\r\n\r\n", 4), *value;

	if (end == NULL)
		return 0;
	head.length = (size_t)(end - in.data) + 4;
	CHECK(head.length > 13 && memcmp(head.data, "HTTP/1.1 ", 9) == 0);
	unsigned status = (unsigned)atoi(head.data + 9);
	CHECK(*http_reason(status) != '\0' || status == 100);
	c->websocket = status == 101;
	if ((value = field(head, "\r\nContent-Length: ")) != NULL)
		c->body = (size_t)atoi(value);
	else if (field(head, "\r\nTransfer-Encoding: chunked\r\n") != NULL)
		c->in_chunks = true;
	else if (status == 200)
		c->body = SIZE_MAX; /* until it closes */
	return head.length;
}

static size_t
read_chunk(struct client *c, struct span in)
{
	char *end;
	const char *line = memmem(in.data, in.length, "\r\n", 2);

	if (line == NULL)
		return 0;
	size_t size = strtoul(in.data, &end, 16);
	CHECK(end == line && end > in.data);
	size_t whole = (size_t)(end - in.data) + 2 + size + 2;
	if (in.length < whole)
		return 0;
	CHECK(memcmp(in.data + whole - 2, "\r\n", 2) == 0);
	const char *data = line + 2;
	/* Streams begin with a prelude, and some wrap their frames. */
	if (size > 2 && (memcmp(data, "a[", 2) == 0 || memcmp(data, "c[", 2) == 0)) {
		CHECK(data[size - 1] == '\n');
		check_message(data, size - 1);
	}
	c->in_chunks = size > 0;
	return whole;
}

static size_t
read_body(struct client *c, struct span in)
{
	size_t n = in.length < c->body ? in.length : c->body;

	/* A response to HEAD has no body. */
	if (c->body < SIZE_MAX && in.length >= 9 &&
	    memcmp(in.data, "HTTP/1.1 ", 9) == 0) {
		c->body = 0;
		return read_head(c, in);
	}
	if (c->body < SIZE_MAX)
		c->body -= n;
	return n;
}

static void
read_client(struct client *c)
{
	size_t used;

	if (c->socket == 0)
		return;
	do {
		struct span in = network_received(c->socket);
		used = in.length == 0 ? 0
		       : c->websocket ? read_frame(c, in)
		       : c->body > 0  ? read_body(c, in)
		       : c->in_chunks ? read_chunk(c, in)
				      : read_head(c, in);
		network_used(c->socket, used);
	} while (used > 0);
}

/*
 * What clients do
 */

/* Runs the server.  The clients read their input at least once a second, and respond. */
static void
run(uint32_t milliseconds)
{
	enum network_state state = NETWORK_BUSY;

	while (running && (milliseconds > 0 || state == NETWORK_BUSY)) {
		uint32_t step = milliseconds < 1000 ? milliseconds : 1000;
		milliseconds -= step;
		state = network_run(&web_conn_handler, on_wakeup, step);
		running = state != NETWORK_STOPPED;
		for (unsigned i = 0; i < CLIENTS; i++)
			read_client(&clients[i]);
	}
}

static void
start_client(unsigned number)
{
	static const uint8_t addresses[][16] = { { 192, 0, 2, 1 },
						 { 0x20, 0x01, 0x0d, 0xb8 },
						 { 127, 0, 0, 1 } };
	struct client *c = &clients[number];
	unsigned from = number < 5 ? 0 : number < PLAYERS ? 1 : 2;

	*c = (struct client){ .socket =
				  network_connect(addresses[from], from == 1 ? 16 : 4) };
}

static void
send_upgrade(struct client *c, struct span path)
{
	static const char fields[] =
	    " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	    "\r\n";

	network_send(c->socket, "GET ", 4);
	network_send(c->socket, path.data, path.length);
	network_send(c->socket, fields, sizeof fields - 1);
}

static void
send_post(struct client *c, struct span text)
{
	char data[128];
	struct text t;
	struct span path = http_take(&text, ' ');

	network_send(c->socket, "POST ", 5);
	network_send(c->socket, path.data, path.length);
	text_init(&t, data, sizeof data);
	text_string(&t, " HTTP/1.1\r\nHost: h\r\nContent-Length: ");
	text_number(&t, text.length);
	text_string(&t, "\r\n\r\n");
	network_send(c->socket, t.data, t.length);
	network_send(c->socket, text.data, text.length);
}

static int
hex(char c)
{
	const char *digits = "0123456789abcdef", *found = strchr(digits, c);

	return c != '\0' && found != NULL ? (int)(found - digits) : -1;
}

/* Takes two hexadecimal digits off the text; without them its first byte. */
static unsigned
hex_byte(struct span *text)
{
	int high = text->length > 0 ? hex(text->data[0]) : -1;
	int low = text->length > 1 ? hex(text->data[1]) : -1;
	size_t used = high < 0 || low < 0 ? text->length > 0 : 2;
	unsigned byte = used == 2   ? (unsigned)(high * 16 + low)
			: used == 1 ? text->data[0] & 0xff
				    : 0;

	text->data += used;
	text->length -= used;
	return byte;
}

static struct span
undo_tildes(struct span text, char out[LINE_MOST])
{
	struct text t;

	text_init(&t, out, LINE_MOST);
	while (text.length > 0) {
		char c = *text.data++;
		text.length--;
		if (c != '~' || text.length == 0) {
			text_char(&t, c);
		} else if (*text.data == 'n') {
			text_string(&t, "\r\n");
			text.data++;
			text.length--;
		} else {
			text_char(&t, (char)hex_byte(&text));
		}
	}
	return (struct span){ out, t.length };
}

static uint32_t
number_of(struct span text, uint32_t otherwise, uint32_t most)
{
	uint64_t number;

	return text_to_number(text, most, &number) ? (uint32_t)number : otherwise;
}

static void
act_client(unsigned number, struct span line)
{
	struct client *c = &clients[number];
	char data[LINE_MOST], op = *line.data;

	line.data++;
	line.length--;
	if (op == '+')
		start_client(number);
	if (c->socket == 0)
		return;
	struct span text = undo_tildes(line, data);
	switch (op) {
	case '>': network_send(c->socket, text.data, text.length); break;
	case '=': send_frame(c, 0x80 | WS_TEXT, text.data, text.length); break;
	case '#': {
		unsigned first = hex_byte(&line);
		text = undo_tildes(line, data);
		send_frame(c, first, text.data, text.length);
		break;
	}
	case '@': send_upgrade(c, text); break;
	case '^': send_post(c, text); break;
	case '|': network_finish(c->socket); break;
	case '!':
		network_abort(c->socket);
		c->socket = 0;
		break;
	case '_':
		network_window(c->socket,
			       line.length == 0 ? SIZE_MAX : number_of(line, 0, 99999));
		break;
	case ',': network_piece(c->socket, number_of(line, 1, 99999) | 1); break;
	}
}

static void
act(struct span line)
{
	struct span rest = { line.data + 1, line.length - 1 };

	switch (*line.data) {
	case '.': run(0); break;
	case 't':
	case 'm': {
		uint32_t n = number_of(rest, 1, 1000);
		uint32_t time = *line.data == 't' ? n * 1000 : n;
		if (seconds + time / 1000 <= SECONDS) {
			seconds += time / 1000;
			run(time);
		}
		break;
	}
	case 'e': network_fail_accept(EMFILE); break;
	case 'f': network_fail_accept(ECONNABORTED); break;
	case 'h': on_signal(SIGHUP); break;
	case 'u': on_signal(SIGUSR1); break;
	case 'k': stop_signals = 1; break;
	default:
		if (*line.data >= '0' && *line.data < '0' + PLAYERS && rest.length > 0)
			act_client((unsigned)(*line.data - '0'), rest);
	}
	if (strchr("huk", *line.data) != NULL)
		network_interrupt();
}

static void
act_script(struct span script)
{
	struct span before = { 0 };

	while (script.length > 0 && running) {
		struct span line = http_take(&script, '\n');
		uint32_t times = 1;
		if (line.length > 0 && *line.data == '*') {
			times = number_of((struct span){ line.data + 1, line.length - 1 },
					  1, 300);
			line = before;
		}
		for (; times > 0 && line.length > 0 && running && lines < LINES;
		     times--) {
			lines++;
			act(line);
		}
		before = line;
	}
}

/*
 * The bystanders, and the checks
 */

static void
send_packet(struct client *c, const char *event, const char *user, const char *payload)
{
	char data[512];
	struct text t;

	text_init(&t, data, sizeof data);
	packet_put(&t, event, span_of(user), span_of(room), payload);
	send_frame(c, 0x80 | WS_TEXT, t.data, t.length);
}

static void
check_last(const struct client *c, unsigned messages, const char *event, const char *user,
	   const char *payload)
{
	char data[512];
	struct text t;

	text_init(&t, data, sizeof data);
	packet_put(&t, event, span_of(user), span_of(room), payload);
	CHECK(c->messages == messages && c->last_length == t.length &&
	      memcmp(c->last, t.data, t.length) == 0);
}

static struct client *const ann = &clients[FIRST_BYSTANDER];
static struct client *const bob = &clients[FIRST_BYSTANDER + 1];

static void
seat_bystanders(void)
{
	start_client(FIRST_BYSTANDER);
	start_client(FIRST_BYSTANDER + 1);
	send_upgrade(ann, span_of("/echo/websocket"));
	send_upgrade(bob, span_of("/echo/websocket"));
	send_packet(ann, "connect", "ann", "");
	run(0);
	send_packet(bob, "connect", "bob", "");
	run(0);
	check_last(ann, 2, "connect", "bob", "false");
	check_last(bob, 1, "connect", "bob", "false");
}

static void
check_bystanders(void)
{
	/* They have received nothing since. */
	check_last(ann, 2, "connect", "bob", "false");
	check_last(bob, 1, "connect", "bob", "false");
	send_packet(ann, "broadcast", "ann", "now");
	run(0);
	check_last(bob, 2, "broadcast", "ann", "now");
	send_packet(bob, "ping", "bob", "");
	run(0);
	check_last(bob, 3, "ping", "bob", "[\"ann\",\"bob\"]");
	send_packet(bob, "broadcast", "bob", "then");
	run(0);
	check_last(ann, 3, "broadcast", "bob", "then");
}

static void
check_left(uint32_t connections, uint32_t open_rooms)
{
	CHECK(conn_count()->open == connections);
	CHECK(session_count()->open == connections && session_count()->over_http == 0);
	CHECK(signaller_rooms()->present == connections &&
	      signaller_rooms()->open == open_rooms);
	CHECK(block_taken() == 0);
}

/* All clients but the bystanders, or all, close their connections: one half by FIN, one
 * by RST. */
static void
leave(bool all)
{
	for (unsigned i = 1; i <= network_count(); i++) {
		if (!all && (i == ann->socket || i == bob->socket))
			continue;
		network_window(i, SIZE_MAX);
		if (i % 2 == 0)
			network_finish(i);
		else
			network_abort(i);
	}
	run(OVER_MS);
	for (unsigned i = 1; i <= network_count(); i++)
		CHECK(network_closed(i) || i == ann->socket || i == bob->socket);
}

/* All places are free again: each address can use its share of connections and sessions.
 */
static void
check_places(void)
{
	static const unsigned numbers[] = { 0, 1, 2, 5 };
	char data[64];
	struct text t;

	for (unsigned i = 0; i < 4; i++) {
		struct client *c = &clients[numbers[i]];
		start_client(numbers[i]);
		if (c->socket == 0)
			return;
		text_init(&t, data, sizeof data);
		text_string(&t, "/echo/0/place");
		text_number(&t, i);
		text_string(&t, "/xhr");
		send_post(c, (struct span){ t.data, t.length });
	}
	run(0);
	CHECK(conn_count()->open == 6 && session_count()->over_http == 4);
	leave(false);
	check_left(2, 1);
}

static void
check_stopped(void)
{
	CHECK(!running);
	CHECK(network_closed(ann->socket) && network_closed(bob->socket));
	CHECK(ann->messages >= 2 && bob->messages >= 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
	reset_state();
	seat_bystanders();
	act_script((struct span){ (const char *)data, length });
	run(0);
	if (stop_signals > 0) {
		run(GRACE_MS + 10);
		check_stopped();
		return 0;
	}
	network_fail_accept(0);
	leave(false);
	check_left(2, 1);
	check_bystanders();
	check_places();
	leave(true);
	check_left(0, 0);
	stop_signals = 1;
	network_interrupt();
	run(10);
	check_stopped();
	return 0;
}
