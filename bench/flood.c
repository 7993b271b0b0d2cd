/*
 * Attacks a signalling server, and measures how long two other peers wait meanwhile: see
 * attacks.mjs.
 *
 *   flood watch -p PORT [-t]
 *   flood attack -p PORT [-t] [-s SIZE] [-R RATE]
 *
 *     -t       TLS
 *     -s SIZE  bytes of application data in a TLS record, at most
 *     -R RATE  connections a second, at most; default: no limit
 *
 * `watch` exchanges packets until its standard input ends, waits for the packets under
 * way, and prints a line of JSON.  `attack` reads connections from its standard input,
 * each as a line
 *
 *   conn FLAGS OPENING HEAD BODY REPEATS MARKER
 *
 * with the lengths of four texts, which follow it.  It opens the connections one after
 * the other, each until MARKER comes in; prints "ready" and floods until its standard
 * input ends.  A connection writes OPENING once, then HEAD and REPEATS times BODY, again
 * and again.  Flags:
 *
 *   1  pauses after OPENING and the BODYs; when no connection has made progress for
 * IDLE_MS, goes on 2  the same, in turn with those s  reads at the end of such a pause
 * only c  resets the connection after OPENING, and after MARKER's first byte if there is
 * one
 *   -  none
 */
#define _GNU_SOURCE /* memmem */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS = 1024,  /* at most */
	IDLE_MS = 200,	     /* without progress, after which pauses end */
	TURN = 262144,	     /* bytes that a connection writes or reads in a turn */
	OUTPUT = 32768,	     /* bytes of TLS records that are kept for one send */
	SETUP = 1048576,     /* bytes of answers until MARKER */
	SMALL_BUFFER = 4096, /* SO_RCVBUF of a slow reader */
	PERIOD_NS = 5000000, /* between two packets of the watch */
	PACKETS = 262144,    /* that the watch sends, at most */
	DRAIN_MS = 20000     /* for the packets under way at its end */
};

struct options options = { .bytes = 16384 };

static uint64_t
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/*
 * Watch
 */

static struct peer pair[2];
static uint64_t sent_at[PACKETS], waits[PACKETS];
static unsigned sent, received;

/* Gives the watch priority over the attacker on their shared processor.  Returns how. */
static const char *
raise_priority(void)
{
	struct sched_param parameter = { .sched_priority = 1 };

	if (sched_setscheduler(0, SCHED_FIFO, &parameter) == 0)
		return "SCHED_FIFO";
	return setpriority(PRIO_PROCESS, 0, -10) == 0 ? "nice -10" : "none";
}

static void
send_text(struct peer *peer, const char *event, unsigned user, unsigned payload)
{
	char text[256];
	size_t size;
	int n = snprintf(text, sizeof text,
			 "{\"Header\":{\"Event\":\"%s\",\"UserId\":\"%u\","
			 "\"RoomId\":\"bystanders\"},\"Payload\":%u}",
			 event, user, payload);
	char *frame = make_message(text, (size_t)n, &size);

	peer_write_all(peer, frame, size);
	free(frame);
}

/* Packets go to the second peer and to the first in turn; each peer gets them in order.
 */
static void
receive_packets(unsigned receiver)
{
	static unsigned expected[2] = { 1, 0 };
	static const char key[] = "\"Payload\":";
	char *message;
	size_t length;

	while (peer_read(&pair[receiver])) {
		uint64_t at = now();
		while ((message = peer_next(&pair[receiver], &length)) != NULL) {
			char *payload = memmem(message, length, key, sizeof key - 1);
			unsigned number = expected[receiver];
			if (payload == NULL ||
			    strtoul(payload + sizeof key - 1, NULL, 10) != number)
				die("lost packet %u", number);
			waits[received++] = at - sent_at[number];
			expected[receiver] += 2;
		}
		if (pair[receiver].ssl == NULL)
			break;
	}
}

static int
compare_waits(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void
watch(void)
{
	const char *priority = raise_priority();

	for (unsigned i = 0; i < 2; i++) {
		peer_open(&pair[i], 0, i);
		peer_opened(&pair[i]);
		send_text(&pair[i], "connect", i, 0);
		peer_await(&pair[i], "connect");
	}
	peer_await(&pair[0], "connect");
	for (unsigned i = 0; i < 2; i++)
		fcntl(pair[i].fd, F_SETFL, O_NONBLOCK);
	puts("ready");
	fflush(stdout);
	struct pollfd polled[] = { { .fd = pair[0].fd, .events = POLLIN },
				   { .fd = pair[1].fd, .events = POLLIN },
				   { .fd = STDIN_FILENO, .events = POLLIN } };
	uint64_t due = now(), end = 0;
	while (end == 0 || (received < sent && now() < end)) {
		uint64_t at = now();
		if (end == 0 && at >= due && sent < PACKETS) {
			sent_at[sent] = at;
			send_text(&pair[sent % 2], "broadcast", sent % 2, sent);
			sent++;
			due = at - due > PERIOD_NS ? at + PERIOD_NS : due + PERIOD_NS;
			continue;
		}
		uint64_t left = end == 0 ? due - at : end - at;
		struct timespec timeout = { (time_t)(left / 1000000000),
					    (long)(left % 1000000000) };
		ppoll(polled, end == 0 ? 3 : 2, &timeout, NULL);
		for (unsigned i = 0; i < 2; i++)
			if (polled[i].revents != 0)
				receive_packets(i);
		if (end == 0 && polled[2].revents != 0)
			end = now() + (uint64_t)DRAIN_MS * 1000000;
	}
	qsort(waits, received, sizeof *waits, compare_waits);
	printf(
	    "{\"sent\":%u,\"lost\":%u,\"priority\":\"%s\",\"median\":%.3f,\"p99\":%.3f,"
	    "\"worst\":%.3f}\n",
	    sent, sent - received, priority, (double)waits[received / 2] / 1e6,
	    (double)waits[received * 99ULL / 100] / 1e6,
	    (double)waits[received > 0 ? received - 1 : 0] / 1e6);
}

/*
 * Attack
 */

enum part { OPENING, HEAD, BODY, PAUSE };

struct text {
	char *data;
	size_t length;
};

struct attacker {
	struct text texts[3]; /* by part */
	unsigned repeats;     /* of BODY */
	struct text marker;
	unsigned pauses; /* 1 or 2: until the end of pauses of this kind */
	bool slow, churns;
	int fd; /* -1: to be opened */
	SSL *ssl;
	BIO *out; /* records to be sent */
	enum part part;
	size_t offset;	   /* in it */
	unsigned repeated; /* BODY */
	bool stuck;	   /* TLS must read before it can write */
};

static struct attacker attackers[CONNECTIONS];
static struct pollfd polled[CONNECTIONS + 1];
static unsigned count;
static uint64_t opened, closed, written, got, releases;

static void
open_attacker(struct attacker *a)
{
	a->fd = peer_connect(0);
	int small = SMALL_BUFFER;

	if (a->slow)
		setsockopt(a->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	fcntl(a->fd, F_SETFL, O_NONBLOCK);
	a->part = OPENING;
	a->offset = 0;
	a->stuck = false;
	opened++;
	if (options.tls == NULL)
		return;
	a->ssl = SSL_new(options.tls);
	a->out = BIO_new(BIO_s_mem());
	SSL_set_bio(a->ssl, BIO_new_socket(a->fd, BIO_NOCLOSE), a->out);
	SSL_set_connect_state(a->ssl);
}

/* With a reset: peer_connect sets SO_LINGER. */
static void
close_attacker(struct attacker *a)
{
	SSL_free(a->ssl);
	close(a->fd);
	a->ssl = NULL;
	a->fd = -1;
}

/* Moves to the next part that has bytes. */
static void
skip_empty(struct attacker *a)
{
	while (a->part != PAUSE && a->offset == a->texts[a->part].length) {
		a->offset = 0;
		if (a->part == OPENING) {
			a->part = a->pauses > 0 || a->churns ? PAUSE : HEAD;
		} else if (a->part == HEAD) {
			a->part = a->repeats > 0 ? BODY : PAUSE;
			a->repeated = 0;
		} else if (++a->repeated >= a->repeats) {
			a->part = a->pauses > 0 ? PAUSE : HEAD;
		}
	}
}

static bool
has_output(struct attacker *a)
{
	skip_empty(a);
	return a->part != PAUSE || (a->ssl != NULL && BIO_ctrl_pending(a->out) > 0);
}

/* Writes the next bytes into TLS records. */
static void
encrypt(struct attacker *a)
{
	while (skip_empty(a), a->part != PAUSE && BIO_ctrl_pending(a->out) < OUTPUT) {
		size_t left = a->texts[a->part].length - a->offset;
		int n = SSL_write(a->ssl, a->texts[a->part].data + a->offset,
				  (int)(left < options.bytes ? left : options.bytes));
		a->stuck = n <= 0;
		if (n <= 0)
			return;
		a->offset += (size_t)n;
	}
}

/* Sends once.  Returns what send does. */
static ssize_t
send_some(struct attacker *a)
{
	static char sink[OUTPUT];
	char *data;

	if (a->ssl == NULL) {
		ssize_t n = send(a->fd, a->texts[a->part].data + a->offset,
				 a->texts[a->part].length - a->offset, MSG_NOSIGNAL);
		a->offset += n > 0 ? (size_t)n : 0;
		return n;
	}
	encrypt(a);
	long pending = BIO_get_mem_data(a->out, &data);
	if (pending == 0) {
		errno = EAGAIN;
		return -1;
	}
	ssize_t n = send(a->fd, data, (size_t)pending, MSG_NOSIGNAL);
	for (ssize_t left = n; left > 0;)
		left -= BIO_read(a->out, sink, left < OUTPUT ? (int)left : OUTPUT);
	return n;
}

/* Reads once.  Returns what recv does. */
static ssize_t
read_some(struct attacker *a, char *to, size_t room)
{
	if (a->ssl == NULL)
		return recv(a->fd, to, room, 0);
	int n = SSL_read(a->ssl, to, (int)room);
	a->stuck = false;
	if (n > 0)
		return n;
	int error = SSL_get_error(a->ssl, n);
	errno = error == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
	return error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

/* The end of a connection that the server closed. */
static void
note_closed(struct attacker *a)
{
	closed++;
	close_attacker(a);
}

static void
write_attacker(struct attacker *a)
{
	ssize_t n;

	for (size_t sum = 0; sum < TURN && has_output(a); sum += (size_t)n) {
		n = send_some(a);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			note_closed(a);
			return;
		}
		written += (uint64_t)n;
	}
	if (a->churns && !has_output(a) && a->marker.length == 0)
		close_attacker(a);
}

static void
read_attacker(struct attacker *a, size_t most)
{
	static char sink[65536];
	ssize_t n;

	for (size_t sum = 0; sum < most; sum += (size_t)n) {
		n = read_some(a, sink, sizeof sink);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			note_closed(a);
			return;
		}
		got += (uint64_t)n;
		if (a->churns) {
			close_attacker(a);
			return;
		}
	}
}

/* Opens a connection and waits for its marker. */
static void
set_up(struct attacker *a)
{
	static char in[SETUP];
	size_t length = 0;

	open_attacker(a);
	while (memmem(in, length, a->marker.data, a->marker.length) == NULL) {
		struct pollfd one = { .fd = a->fd, .events = POLLIN };
		/* No further than OPENING. */
		while (a->part == OPENING && a->offset < a->texts[OPENING].length &&
		       send_some(a) > 0)
			;
		poll(&one, 1, -1);
		ssize_t n = read_some(a, in + length, sizeof in - length);
		if (n == 0 || (n < 0 && errno != EAGAIN) || length == sizeof in)
			die("no %s in %.*s", a->marker.data, (int)length, in);
		length += n > 0 ? (size_t)n : 0;
	}
}

/* Ends all pauses of one kind, in turn. */
static void
release(void)
{
	unsigned kind = releases++ % 2 + 1;

	for (unsigned i = 0; i < count; i++) {
		struct attacker *a = &attackers[i];
		if (a->fd < 0 || a->pauses != kind)
			continue;
		if (a->slow)
			read_attacker(a, SIZE_MAX);
		if (a->fd < 0 || has_output(a))
			continue;
		a->part = HEAD;
		a->offset = 0;
		write_attacker(a);
	}
}

/* Reopens what has closed.  Returns milliseconds until the next may be, or -1. */
static int
reopen(void)
{
	static uint64_t due;
	uint64_t at = now();

	for (unsigned i = 0; i < count; i++) {
		if (attackers[i].fd >= 0)
			continue;
		if (options.rate > 0 && at < due)
			return (int)((due - at) / 1000000 + 1);
		open_attacker(&attackers[i]);
		if (options.rate > 0)
			due = (due + 1000000000 > at ? due : at) +
			      1000000000 / options.rate;
	}
	return -1;
}

static void
flood(void)
{
	polled[count] = (struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN };
	while (polled[count].revents == 0) {
		int wait = reopen();
		for (unsigned i = 0; i < count; i++) {
			struct attacker *a = &attackers[i];
			bool writes = a->fd >= 0 && !a->stuck && has_output(a);
			polled[i] = (struct pollfd){
				.fd = a->fd,
				.events = (short)((a->slow ? 0 : POLLIN) |
						  (writes || (a->churns &&
							      a->marker.length == 0)
						       ? POLLOUT
						       : 0))
			};
		}
		int n = poll(polled, count + 1, wait >= 0 ? wait : IDLE_MS);
		if (n == 0 && wait < 0)
			release();
		for (unsigned i = 0; i < count && n > 0; i++) {
			struct attacker *a = &attackers[i];
			if ((polled[i].revents & (POLLIN | POLLERR | POLLHUP)) != 0)
				read_attacker(a, TURN);
			if (a->fd >= 0 && (polled[i].revents & POLLOUT) != 0)
				write_attacker(a);
		}
	}
}

static struct text
read_text(size_t length)
{
	struct text text = { allocate(1, length + 1), length };

	if (fread(text.data, 1, length, stdin) != length)
		die("a text ends early");
	return text;
}

static void
attack(void)
{
	char flags[8];
	size_t lengths[3], marker;
	struct attacker *a = attackers;

	for (; count < CONNECTIONS &&
	       scanf("conn %7s %zu %zu %zu %u %zu", flags, &lengths[0], &lengths[1],
		     &lengths[2], &a->repeats, &marker) == 6 &&
	       getchar() == '\n';
	     count++, a++) {
		for (unsigned i = 0; i < 3; i++)
			a->texts[i] = read_text(lengths[i]);
		a->marker = read_text(marker);
		a->pauses = strchr(flags, '1') != NULL	 ? 1
			    : strchr(flags, '2') != NULL ? 2
							 : 0;
		a->slow = strchr(flags, 's') != NULL;
		a->churns = strchr(flags, 'c') != NULL;
		a->fd = -1;
	}
	for (unsigned i = 0; i < count; i++)
		if (!attackers[i].churns)
			set_up(&attackers[i]);
	puts("ready");
	fflush(stdout);
	flood();
	printf("{\"opened\":%llu,\"closed\":%llu,\"written\":%llu,\"read\":%llu,"
	       "\"releases\":%llu}\n",
	       (unsigned long long)opened, (unsigned long long)closed,
	       (unsigned long long)written, (unsigned long long)got,
	       (unsigned long long)releases);
}

static SSL_CTX *
tls_context(void)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_max_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return tls;
}

int
main(int argc, char **argv)
{
	int option;

	options.mode = argc > 1 ? argv[1] : "";
	optind = 2;
	while ((option = getopt(argc, argv, "tp:s:R:")) != -1) {
		unsigned number =
		    optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
		switch (option) {
		case 't': options.tls = tls_context(); break;
		case 'p': options.port = (uint16_t)number; break;
		case 's': options.bytes = number; break;
		case 'R': options.rate = number; break;
		default: die("see flood.c for its options");
		}
	}
	if (strcmp(options.mode, "watch") == 0)
		watch();
	else
		attack();
	return 0;
}
