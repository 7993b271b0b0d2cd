/*
 * The benchmark's load on one server.  Peers are WebSockets or SockJS over WebSocket,
 * plain or TLS.
 *
 *     load relay      sends packets in each room; the next when all other peers have one
 *     load join       moves each connection from room to room
 *     load handshake  makes TLS 1.2 handshakes only
 *     load reconnect  opens a room; then a client for each other one connects, over TLS
 *     load hold       opens rooms, prints {}, and waits for the end of its input
 *
 * Prints a JSON object with the processor time in nanoseconds of the server (`cpu`) and
 * of this process (`own`), and the server's clock ticks in user space and in the kernel.
 *
 * The load never sleeps, because the server would pay for waking it: a large part of its
 * time, which depends on the load.
 *
 *     -p PORT  -P PID      of the server
 *     -t  -j  -b           TLS; SockJS; a bare server, which reads no packets
 *     -r ROOMS  -m PEERS   the number of rooms, and of peers in each
 *     -n PACKETS  -s SIZE  packets to each room (or handshakes), and bytes of each
 *     -k IN_FLIGHT         packets of a room that may be under way
 *     -R RATE              packets a second in all, instead of -k; with `reconnect`, of
 *                          the room that stays
 *     -e                   resume TLS sessions
 *     -g GROUPS            of the key exchange, as SSL_CTX_set1_groups_list takes them
 *     -w                   sleep while there is nothing to do, as programs do
 */
#define _GNU_SOURCE /* epoll_pwait2, memmem */
#include "peer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	RING = 4096,   /* packets of a room that may be under way */
	EVENTS = 256,  /* of one epoll_wait, at most */
	BATCH = 64,    /* rooms that open at a time */
	SHAKING = 16,  /* handshakes at a time */
	PACKET = 256,  /* bytes of a packet without its body, at most */
	PATIENCE = 120 /* seconds for a run */
};

static const uint64_t NEVER = UINT64_MAX;

struct room {
	struct peer *peers;
	/* What is sent and what it should come as: one after the other, in turn. */
	char *frames[2], *answers[2];
	size_t frame_length[2], answer_length[2];
	uint64_t sent, done;
	uint64_t *sent_at; /* nanosecond, of the packets under way */
	unsigned *missing; /* receivers that have not got the packet */
};

struct options options = {
	.rooms = 1, .peers = 2, .bytes = 300, .in_flight = 1, .packets = 1
};

static struct room *rooms;
static int events;
static uint32_t *latencies; /* nanoseconds */
static uint64_t deliveries;

static uint64_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Processor time of all threads of the server, in nanoseconds. */
static uint64_t
server_cpu(void)
{
	char path[320];
	uint64_t sum = 0;

	if (options.pid == 0)
		return 0;
	snprintf(path, sizeof path, "/proc/%u/task", options.pid);
	DIR *tasks = opendir(path);
	if (tasks == NULL)
		die("no process %u", options.pid);
	for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
		unsigned long long spent;
		snprintf(path, sizeof path, "/proc/%u/task/%s/schedstat", options.pid,
			 task->d_name);
		FILE *file = task->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (file == NULL)
			continue;
		if (fscanf(file, "%llu", &spent) == 1)
			sum += spent;
		fclose(file);
	}
	closedir(tasks);
	return sum;
}

/* Its time in user space and in the kernel, in clock ticks. */
static void
server_ticks(unsigned long long *user, unsigned long long *kernel)
{
	char path[32], line[512];

	*user = *kernel = 0;
	if (options.pid == 0)
		return;
	snprintf(path, sizeof path, "/proc/%u/stat", options.pid);
	FILE *file = fopen(path, "r");
	if (file == NULL || fgets(line, sizeof line, file) == NULL)
		die("no process %u", options.pid);
	fclose(file);
	/* Fields 14 and 15: see proc(5).  The second field, in brackets, can have spaces.
	 */
	const char *end = strrchr(line, ')');
	if (end == NULL || sscanf(end,
				  ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				  "%llu %llu",
				  user, kernel) != 2)
		die("cannot read %s", path);
}

static uint64_t
own_cpu(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static struct {
	uint64_t start, cpu, own;
	unsigned long long user, kernel;
} before;

static void
start_measuring(void)
{
	server_ticks(&before.user, &before.kernel);
	before.own = own_cpu();
	before.cpu = server_cpu();
	before.start = now();
}

/* Prints an object without its end. */
static void
print_measured(uint64_t number)
{
	unsigned long long user, kernel;
	uint64_t took = now() - before.start, cpu = server_cpu() - before.cpu,
		 own = own_cpu() - before.own;

	server_ticks(&user, &kernel);
	printf("{\"deliveries\":%llu,\"seconds\":%.6f,\"cpu\":%llu,\"user\":%llu,"
	       "\"kernel\":%llu,\"own\":%llu",
	       (unsigned long long)number, (double)took / 1e9, (unsigned long long)cpu,
	       user - before.user, kernel - before.kernel, (unsigned long long)own);
}

/*
 * Packets
 */

/* Rooms of one process are none of another's; `variant` 1 is a second one of the same
 * number. */
static int
write_packet(char *out, const char *event, unsigned peer, unsigned room, unsigned variant,
	     const char *payload)
{
	return snprintf(out, PACKET,
			"{\"Header\":{\"Event\":\"%s\",\"UserId\":\"peer-%u\","
			"\"RoomId\":\"%u-%u-%u\"},\"Payload\":%s",
			event, peer, (unsigned)getpid(), room, variant, payload);
}

/* A broadcast of that many bytes, such as an offer with its lines, escaped, is. */
static size_t
write_offer(char *out, unsigned room)
{
	static const char line[] =
	    "a=candidate:1467250027 1 udp 2122260223 192.168.0.196 46243 "
	    "typ host generation 0\\r\\n";
	static const char end[] = "\"}}}";
	size_t last = options.bytes - (sizeof end - 1);
	size_t n = (size_t)write_packet(out, "broadcast", 0, room, 0,
					"{\"Type\":\"Ice Offer\",\"IcePacket\":{\"type\":"
					"\"offer\",\"sdp\":\"");

	if (n > last)
		die("a packet has at least %zu bytes", n + sizeof end - 1);
	for (; n + sizeof line - 1 <= last; n += sizeof line - 1)
		memcpy(out + n, line, sizeof line - 1);
	memset(out + n, 'x', last - n);
	memcpy(out + last, end, sizeof end - 1);
	return options.bytes;
}

static void
prepare_room(struct room *room, unsigned number)
{
	char *text = allocate(1, options.bytes + PACKET);
	bool join = strcmp(options.mode, "join") == 0;

	for (unsigned i = 0; i < 2; i++) {
		size_t n = join ? (size_t)write_packet(text, "connect", 0, number, 1 - i,
						       "\"{}\"}")
				: write_offer(text, number);
		room->frames[i] = make_message(text, n, &room->frame_length[i]);
		if (join)
			n = (size_t)write_packet(text, "connect", 0, number, 1 - i,
						 "\"true\"}");
		room->answers[i] = make_answer(text, n, &room->answer_length[i]);
	}
	room->sent_at = allocate(RING, sizeof *room->sent_at);
	room->missing = allocate(RING, sizeof *room->missing);
	free(text);
}

/*
 * Opening
 */

static void
watch(int operation, int fd, uint32_t what, void *data)
{
	struct epoll_event event = { .events = what, .data.ptr = data };

	if (epoll_ctl(events, operation, fd, &event) != 0)
		die("epoll_ctl: %s", strerror(errno));
}

static void
send_connect(struct peer *peer, unsigned room, unsigned number)
{
	char text[PACKET];
	size_t size;
	int n = write_packet(text, "connect", number, room, 0, "\"{}\"}");
	char *frame = make_message(text, (size_t)n, &size);

	peer_write_all(peer, frame, size);
	free(frame);
}

/*
 * Opens BATCH rooms at a time, and the peers of each in order, so that the order of joins
 * is known.  A bare server passes a connect packet on like any other.  It too must get
 * one of each peer: the kernel acknowledges packets in another way to a socket that has
 * not sent any, which would make its server a fifth cheaper.
 */
static void
open_rooms(unsigned first, unsigned end)
{
	for (unsigned i = first; i < end; i++)
		rooms[i].peers = allocate(options.peers, sizeof *rooms[i].peers);
	for (unsigned number = 0; number < options.peers; number++) {
		for (unsigned i = first; i < end; i++)
			peer_open(&rooms[i].peers[number], i, number);
		for (unsigned i = first; i < end; i++)
			peer_opened(&rooms[i].peers[number]);
		for (unsigned i = first; i < end; i++)
			send_connect(&rooms[i].peers[number], i, number);
		for (unsigned i = first; i < end && !options.bare; i++)
			peer_await(&rooms[i].peers[number], "connect");
	}
}

/* Waits until each peer has been notified of all later joins. */
static void
start_room(struct room *room)
{
	for (unsigned number = 0; number < options.peers; number++) {
		struct peer *peer = &room->peers[number];
		peer->room = room;
		peer->sender = number == 0;
		for (unsigned later = number + 1; later < options.peers; later++)
			peer_await(peer, "connect");
		fcntl(peer->fd, F_SETFL, O_NONBLOCK);
		watch(EPOLL_CTL_ADD, peer->fd, EPOLLIN, peer);
	}
}

/*
 * Running
 */

static void
flush(struct peer *peer)
{
	while (peer->queued > peer->written) {
		unsigned which = peer->written % 2;
		size_t left = peer->room->frame_length[which] - peer->offset;
		ssize_t n =
		    peer_write(peer, peer->room->frames[which] + peer->offset, left);
		if (n <= 0 && errno != EAGAIN)
			die("cannot write: %s", strerror(errno));
		if (n <= 0)
			break;
		peer->offset += (size_t)n;
		if ((size_t)n == left) {
			peer->written++;
			peer->offset = 0;
		}
	}
	bool waits = peer->queued > peer->written;
	if (waits != peer->waits)
		watch(EPOLL_CTL_MOD, peer->fd, EPOLLIN | (waits ? EPOLLOUT : 0), peer);
	peer->waits = waits;
}

static unsigned
receivers(void)
{
	return options.peers > 1 ? options.peers - 1 : 1;
}

static void
send_packet(struct room *room, uint64_t at)
{
	room->sent_at[room->sent % RING] = at;
	room->missing[room->sent % RING] = receivers();
	room->sent++;
	room->peers[0].queued++;
}

/* Sends as many packets as may be under way. */
static void
send_more(struct room *room)
{
	if (options.rate > 0)
		return;
	while (room->sent < options.packets &&
	       room->sent - room->done < options.in_flight)
		send_packet(room, now());
	flush(&room->peers[0]);
}

static void
take_message(struct peer *peer, const char *message, size_t length, uint64_t at)
{
	struct room *room = peer->room;
	uint64_t number = peer->got++;
	unsigned which = number % 2;

	if (number >= room->sent || (peer->sender && options.peers > 1) ||
	    length != room->answer_length[which] ||
	    memcmp(message, room->answers[which], length) != 0)
		die("got %.*s", length < 500 ? (int)length : 500, message);
	uint64_t took = at - room->sent_at[number % RING];
	latencies[deliveries++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
	if (--room->missing[number % RING] == 0)
		room->done++;
}

static void
serve(struct peer *peer, uint32_t what)
{
	char *message;
	size_t length;
	uint64_t done = peer->room->done;

	if ((what & EPOLLOUT) != 0)
		flush(peer);
	if ((what & ~(uint32_t)EPOLLOUT) == 0)
		return;
	while (peer_read(peer)) {
		uint64_t at = now();
		while ((message = peer_next(peer, &length)) != NULL)
			take_message(peer, message, length, at);
		if (peer->ssl == NULL)
			break;
	}
	if (peer->room->done > done)
		send_more(peer->room);
}

/* Waits until a time at the latest.  Without -w this does not sleep. */
static int
wait_for_events(struct epoll_event ready[EVENTS], uint64_t until)
{
	uint64_t at = now(), left = until > at ? until - at : 0;
	struct timespec time = { .tv_sec = (time_t)(left / 1000000000),
				 .tv_nsec = (long)(left % 1000000000) };

	if (!options.sleeps)
		return epoll_wait(events, ready, EVENTS, 0);
	return epoll_pwait2(events, ready, EVENTS, until != NEVER ? &time : NULL, NULL);
}

static void
turn(uint64_t until)
{
	struct epoll_event ready[EVENTS];
	int n = wait_for_events(ready, until);

	for (int i = 0; i < n; i++)
		serve(ready[i].data.ptr, ready[i].events);
}

/* Sends at a fixed rate.  A late packet counts from the time when it was due. */
static void
send_at_rate(uint64_t total)
{
	uint64_t number = 0;

	while (number < total) {
		uint64_t at = before.start + number * 1000000000 / options.rate;
		if (now() < at) {
			turn(at);
			continue;
		}
		struct room *room = &rooms[number++ % options.rooms];
		while (room->sent - room->done == RING)
			turn(NEVER);
		send_packet(room, at);
		flush(&room->peers[0]);
	}
}

static int
compare_latencies(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void
run(void)
{
	uint64_t total = options.packets * options.rooms, expected = total * receivers();

	latencies = allocate(expected, sizeof *latencies);
	for (unsigned i = 0; i < options.rooms; i++)
		prepare_room(&rooms[i], i);
	start_measuring();
	if (options.rate > 0)
		send_at_rate(total);
	for (unsigned i = 0; i < options.rooms; i++)
		send_more(&rooms[i]);
	while (deliveries < expected)
		turn(NEVER);
	print_measured(expected);
	qsort(latencies, expected, sizeof *latencies, compare_latencies);
	printf(",\"p50\":%u,\"p99\":%u,\"p999\":%u}\n", latencies[expected / 2],
	       latencies[expected * 99 / 100], latencies[expected * 999 / 1000]);
}

/*
 * Handshakes
 */

/* Events have `data`, or the SSL if that is NULL. */
static SSL *
start_handshake(SSL_SESSION *session, void *data)
{
	SSL *ssl = SSL_new(options.tls);
	int fd = peer_connect(SOCK_NONBLOCK);

	SSL_set_fd(ssl, fd);
	if (session != NULL)
		SSL_set_session(ssl, session);
	/* By edges: the first tells that it may begin. */
	watch(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLOUT | EPOLLET, data != NULL ? data : ssl);
	return ssl;
}

static void
end_handshake(SSL *ssl)
{
	/* Else the library takes its session for broken. */
	SSL_set_quiet_shutdown(ssl, 1);
	SSL_shutdown(ssl);
	close(SSL_get_fd(ssl));
	SSL_free(ssl);
}

/* Returns true once the handshake is complete. */
static bool
go_on_with_handshake(SSL *ssl)
{
	int n = SSL_connect(ssl);

	if (n != 1 && SSL_get_error(ssl, n) != SSL_ERROR_WANT_READ)
		die("a handshake failed");
	return n == 1;
}

static SSL_SESSION *
first_session(const char **cipher)
{
	SSL *ssl = start_handshake(NULL, NULL);
	struct epoll_event ready;

	do
		epoll_wait(events, &ready, 1, -1);
	while (!go_on_with_handshake(ssl));
	*cipher = SSL_get_cipher(ssl);
	SSL_SESSION *session = SSL_get1_session(ssl);
	end_handshake(ssl);
	return session;
}

static void
shake_hands(void)
{
	struct epoll_event ready[EVENTS];
	uint64_t started = 0, done = 0, resumed = 0;
	const char *cipher;
	SSL_SESSION *session = first_session(&cipher);

	if (!options.resume)
		session = NULL;
	start_measuring();
	for (; started < SHAKING && started < options.packets; started++)
		start_handshake(session, NULL);
	while (done < options.packets) {
		int n = wait_for_events(ready, NEVER);
		for (int i = 0; i < n; i++) {
			SSL *ssl = ready[i].data.ptr;
			if (!go_on_with_handshake(ssl))
				continue;
			done++;
			resumed += (unsigned)SSL_session_reused(ssl);
			end_handshake(ssl);
			if (started < options.packets) {
				start_handshake(session, NULL);
				started++;
			}
		}
	}
	print_measured(done);
	printf(",\"cipher\":\"%s\"}\n", cipher);
	if (resumed != (options.resume ? done : 0))
		die("%llu of %llu were resumed", (unsigned long long)resumed,
		    (unsigned long long)done);
}

/*
 * Reconnecting: all clients at the same time, while room 0 exchanges packets.
 */

struct client {
	struct peer peer; /* without a room */
	unsigned number;  /* of the room that it joins alone */
	enum { SHAKING_HANDS, UPGRADING, JOINING, JOINED } state;
	uint64_t joined; /* nanosecond */
};

static void
start_client(struct client *client, unsigned number, SSL_SESSION *session)
{
	client->number = number;
	client->peer.ssl = start_handshake(session, client);
	client->peer.fd = SSL_get_fd(client->peer.ssl);
}

/* Does what the client can do without waiting. */
static void
go_on_with_client(struct client *client)
{
	struct peer *peer = &client->peer;
	char *message;
	size_t length;

	if (client->state == SHAKING_HANDS && go_on_with_handshake(peer->ssl)) {
		peer_request(peer, client->number, 0);
		client->state = UPGRADING;
	}
	if (client->state == SHAKING_HANDS)
		return;
	while (peer_read(peer))
		;
	if (client->state == UPGRADING && peer_upgraded(peer)) {
		send_connect(peer, client->number, 0);
		client->state = JOINING;
	}
	/* This also answers pings. */
	while (client->state >= JOINING && (message = peer_next(peer, &length)) != NULL) {
		if (client->state == JOINED ||
		    memmem(message, length, "\"true\"", 6) == NULL)
			die("got %.*s", (int)length, message);
		client->state = JOINED;
		client->joined = now();
	}
}

static int
compare_joins(const void *a, const void *b)
{
	const struct client *x = a, *y = b;

	return (x->joined > y->joined) - (x->joined < y->joined);
}

static void
reconnect(void)
{
	unsigned count = options.rooms - 1, started = 0, joined = 0;
	struct client *clients = allocate(count, sizeof *clients);
	struct epoll_event ready[EVENTS];
	const char *cipher;
	SSL_SESSION *session = options.resume ? first_session(&cipher) : NULL;

	prepare_room(&rooms[0], 0);
	latencies = allocate(PATIENCE * options.rate, sizeof *latencies);
	start_measuring();
	uint64_t next = before.start;
	while (joined < count || rooms[0].done < rooms[0].sent) {
		if (joined < count && now() >= next) {
			send_packet(&rooms[0], now());
			flush(&rooms[0].peers[0]);
			next += 1000000000 / options.rate;
		}
		/* A few at a time, so that room 0 does not wait for this process. */
		for (unsigned i = 0; i < SHAKING && started < count; i++, started++)
			start_client(&clients[started], started + 1, session);
		int n = wait_for_events(ready, started < count ? 0 : next);
		for (int i = 0; i < n; i++) {
			struct client *client = ready[i].data.ptr;
			if (client->peer.room != NULL) {
				serve(&client->peer, ready[i].events);
				continue;
			}
			bool was_joined = client->state == JOINED;
			go_on_with_client(client);
			joined += !was_joined && client->state == JOINED;
		}
	}
	print_measured(count);
	qsort(clients, count, sizeof *clients, compare_joins);
	qsort(latencies, deliveries, sizeof *latencies, compare_latencies);
	printf(",\"half\":%.6f,\"p50\":%u,\"longest\":%u}\n",
	       (double)(clients[count / 2].joined - before.start) / 1e9,
	       latencies[deliveries / 2], latencies[deliveries - 1]);
}

/*
 * Holding
 */

static void
hold(void)
{
	struct epoll_event ready;
	uint64_t cpu = server_cpu(), start = now();

	puts("{}");
	fflush(stdout);
	alarm(0);
	watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, NULL);
	while (epoll_wait(events, &ready, 1, -1) == 1 && ready.data.ptr != NULL)
		serve(ready.data.ptr, ready.events);
	printf("{\"seconds\":%.6f,\"cpu\":%llu}\n", (double)(now() - start) / 1e9,
	       (unsigned long long)(server_cpu() - cpu));
}

/* TLS 1.2 for all servers: videre has no other version. */
static SSL_CTX *
tls_context(const char *groups)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION);
	if (SSL_CTX_set1_groups_list(tls, groups) != 1)
		die("unknown groups: %s", groups);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return tls;
}

static void
read_options(int count, char **arguments)
{
	bool secure = false;
	const char *groups = "X25519:P-256";
	int option;

	options.mode = count > 1 ? arguments[1] : "";
	optind = 2;
	while ((option = getopt(count, arguments, "tjbewp:P:r:m:s:k:n:R:g:")) != -1) {
		unsigned number =
		    optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
		switch (option) {
		case 't': secure = true; break;
		case 'j': options.sockjs = true; break;
		case 'b': options.bare = true; break;
		case 'e': options.resume = true; break;
		case 'w': options.sleeps = true; break;
		case 'g': groups = optarg; break;
		case 'p': options.port = (uint16_t)number; break;
		case 'P': options.pid = number; break;
		case 'r': options.rooms = number; break;
		case 'm': options.peers = number; break;
		case 's': options.bytes = number; break;
		case 'k': options.in_flight = number; break;
		case 'n': options.packets = number; break;
		case 'R': options.rate = number; break;
		default: die("see load.c for its options");
		}
	}
	if (secure)
		options.tls = tls_context(groups);
	if (options.in_flight > RING || options.rooms == 0 || options.peers == 0)
		die("a number is out of range");
}

int
main(int count, char **arguments)
{
	read_options(count, arguments);
	alarm(PATIENCE);
	events = epoll_create1(0);
	if (strcmp(options.mode, "handshake") == 0) {
		shake_hands();
		return 0;
	}
	bool reconnects = strcmp(options.mode, "reconnect") == 0;
	unsigned opened = reconnects ? 1 : options.rooms;
	rooms = allocate(options.rooms, sizeof *rooms);
	for (unsigned i = 0; i < opened; i += BATCH)
		open_rooms(i, i + BATCH < opened ? i + BATCH : opened);
	for (unsigned i = 0; i < opened; i++)
		start_room(&rooms[i]);
	if (reconnects)
		reconnect();
	else if (strcmp(options.mode, "hold") == 0)
		hold();
	else
		run();
	return 0;
}
