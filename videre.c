/*
 * videre: a WebRTC signalling server.  Starting and stopping, and the signaller: what the
 * packets of two browsers that want to call each other do.
 */
#define _GNU_SOURCE /* prlimit */
#include "cert.h"
#include "conf.h"
#include "packet.h"
#include "page.h"
#include "rate.h"
#include "rooms.h"
#include "sandbox.h"
#include "selfsign.h"
#include "status.h"
#include "tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	GRACE = 700, /* milliseconds from SIGTERM to the end: init kills after a second */
	SPARE_FILES = 16, /* descriptors besides those of connections */
	LOGGED_ID = 40	  /* bytes of an id in the log */
};

/* Pings that name a room in which the sender is not, of one address. */
static const struct rate_limit other_rooms = { .per_second = 10, .burst = 1000 };

static struct conf conf;
static struct rooms rooms;
static struct rate_table askers;

static struct signaller_counters counters;

/*
 * The signaller
 */

static void
count_packet(struct packet_counts *counts, enum packet_event event, size_t length)
{
	counts->packets[event]++;
	counts->bytes[event] += length;
}

static void
send_event(uint32_t session, enum packet_event event, struct span text)
{
	if (session_send(session, text.data, text.length, false))
		count_packet(&counters.out, event, text.length);
}

/* Sends a packet of the server's own; PACKET_EVENTS is an error. */
static void
send_own(uint32_t session, enum packet_event event, struct span user, struct span room,
	 const char *payload)
{
	char data[PACKET_OWN];
	struct text t;

	text_init(&t, data, sizeof data);
	packet_put(&t, packet_events[event], user, room, payload);
	send_event(session, event, (struct span){ t.data, t.length });
}

static void
send_error(uint32_t session, const struct packet *p, enum packet_refusal cause,
	   const char *reason)
{
	struct text *t = log_begin(LEVEL_DEBUG, session_peer(session));

	counters.refused[cause]++;
	if (t != NULL) {
		text_string(t, "error: ");
		text_escaped(t, reason, strlen(reason), 100);
		log_end();
	}
	send_own(session, PACKET_EVENTS, p->user, p->room, reason);
}

static void
log_peer(const char *what, uint32_t session)
{
	struct text *t = log_begin(LEVEL_DEBUG, session_peer(session));
	const struct span user = room_user(&rooms, session);
	const struct span room = room_id(&rooms, rooms.peers[session].room);

	if (t == NULL)
		return;
	text_string(t, what);
	text_string(t, " user ");
	text_quoted(t, user, LOGGED_ID);
	text_string(t, " room ");
	/* To know a room's name is all that it takes to come in. */
	if (log_wants(LEVEL_TRACE))
		text_quoted(t, room, LOGGED_ID);
	else
		text_hashed(t, rooms.key, room);
	log_end();
}

static void
send_room(uint32_t room, uint32_t except, enum packet_event event, struct span text)
{
	uint32_t peer = rooms.rooms[room].first;

	for (; peer != 0; peer = rooms.peers[peer].next)
		if (peer != except)
			send_event(peer, event, text);
}

/* Takes a peer out of its room and tells the others, who have heard nothing of it yet. */
static void
leave_room(uint32_t session)
{
	struct span user = room_user(&rooms, session);
	uint32_t room = rooms.peers[session].room;
	char id[ROOM_NAME];
	size_t length = room_id(&rooms, room).length;
	uint32_t peer = rooms.rooms[room].first;

	log_peer("leaves", session);
	memcpy(id, room_id(&rooms, room).data, length);
	for (; peer != 0; peer = rooms.peers[peer].next)
		if (peer != session)
			send_own(peer, DISCONNECT, user, (struct span){ id, length },
				 "{}");
	room_leave(&rooms, session);
}

/* Is this session the packet's user in the packet's room? */
static bool
is_sender(uint32_t session, const struct packet *p)
{
	uint32_t room = rooms.peers[session].room;

	return room != 0 && span_same(room_id(&rooms, room), p->room) &&
	       span_same(room_user(&rooms, session), p->user);
}

/* The older session of this user gives way (as with MQTT's client ids). */
static void
take_over(uint32_t older)
{
	log_peer("replaced", older);
	leave_room(older);
	session_close(older, WS_REPLACED, "replaced");
}

/* Those who stayed when their initiator left get another before somebody joins them. */
static void
promote(uint32_t room)
{
	struct room *r = &rooms.rooms[room];

	if (r->initiator != 0)
		return;
	r->initiator = r->first;
	send_own(r->first, CONNECT, room_user(&rooms, r->first), room_id(&rooms, room),
		 "true");
}

static void
join_room(uint32_t session, const struct packet *p)
{
	uint32_t room = room_find(&rooms, p->room);

	if (room != 0)
		promote(room);
	room_join(&rooms, session, p->room, p->user);
	log_peer("joins", session);
}

/* The packet with another Payload, in a block of which there is always one for this. */
static void
begin_answer(struct text *t, const struct packet *p)
{
	text_init(t, block_take(), block_size());
	packet_before_payload(t, p);
}

static void
handle_connect(uint32_t session, const struct packet *p)
{
	uint32_t room = room_find(&rooms, p->room);
	uint32_t older = room != 0 ? room_member(&rooms, room, p->user) : 0;
	struct text t;

	if (older != session) {
		bool inside = room != 0 && rooms.peers[session].room == room;
		if (room != 0 && older == 0 && !inside &&
		    rooms.rooms[room].count >= conf.max_peers) {
			send_error(session, p, PACKET_ROOM_FULL, "room is full");
			return;
		}
		if (rooms.peers[session].room != 0)
			leave_room(session);
		if (older != 0)
			take_over(older);
		join_room(session, p);
	}
	room = rooms.peers[session].room;
	begin_answer(&t, p);
	text_string(&t,
		    rooms.rooms[room].initiator == session ? "\"true\"" : "\"false\"");
	packet_after_payload(&t, p);
	send_room(room, 0, CONNECT, (struct span){ t.data, t.length });
	block_give(t.data);
}

/* May a session ask about a room in which it is not?  Names could be tried out so. */
static bool
may_ask(uint32_t session)
{
	const struct source s = session_source(session);

	return s.length == 0 ||
	       rate_take(rate_find(&askers, text_hash(rooms.key, s.bytes, s.length)),
			 &other_rooms, 1, conn_milliseconds());
}

static void
handle_ping(uint32_t session, const struct packet *p)
{
	uint32_t room = room_find(&rooms, p->room);
	uint32_t peer = room != 0 ? rooms.rooms[room].first : 0;
	struct text t;

	if ((room == 0 || rooms.peers[session].room != room) && !may_ask(session)) {
		send_error(session, p, PACKET_TOO_MANY, "too many pings of other rooms");
		return;
	}
	begin_answer(&t, p);
	text_string(&t, "\"[");
	for (bool first = true; peer != 0; peer = rooms.peers[peer].next, first = false) {
		if (!first)
			text_char(&t, ',');
		packet_put_user(&t, room_user(&rooms, peer));
	}
	text_string(&t, "]\"");
	packet_after_payload(&t, p);
	send_event(session, PING, (struct span){ t.data, t.length });
	block_give(t.data);
}

static void
handle_others(uint32_t session, const struct packet *p)
{
	if (!is_sender(session, p)) {
		send_error(session, p, PACKET_NOT_INSIDE, "not in this room");
		return;
	}
	send_room(rooms.peers[session].room, session, p->event, p->text);
	if (p->event == DISCONNECT) {
		log_peer("disconnects", session);
		room_leave(&rooms, session);
	}
}

static void
log_packet(uint32_t session, const char *text, size_t length)
{
	struct text *t = log_begin(LEVEL_TRACE, session_peer(session));

	text_string(t, "packet ");
	text_escaped(t, text, length, 200);
	log_end();
}

static void
on_message(uint32_t session, char *text, size_t length, bool binary)
{
	struct packet p;
	const char *wrong;

	(void)binary; /* read alike */
	if (log_wants(LEVEL_TRACE))
		log_packet(session, text, length);
	wrong = packet_read(&p, text, length);
	if (wrong != NULL) {
		count_packet(&counters.in, PACKET_EVENTS, length);
		send_error(session, &p, PACKET_BAD, wrong);
		return;
	}
	count_packet(&counters.in, p.event, length);
	switch (p.event) {
	case CONNECT: handle_connect(session, &p); break;
	case PING: handle_ping(session, &p); break;
	case BROADCAST:
	case DISCONNECT: handle_others(session, &p); break;
	case PACKET_EVENTS: break;
	}
}

static void
on_opened(uint32_t session)
{
	log_line(LEVEL_DEBUG, session_peer(session), "session opened");
}

static volatile sig_atomic_t stop_signals;

static void
on_closed(uint32_t session)
{
	log_line(LEVEL_DEBUG, session_peer(session), "session closed");
	if (rooms.peers[session].room == 0)
		return;
	/* When the server stops there is nobody left to tell. */
	if (stop_signals > 0)
		room_leave(&rooms, session);
	else
		leave_room(session);
}

/*
 * Signals
 */

static volatile sig_atomic_t reopen_wanted, counters_wanted;

static void
on_signal(int signal)
{
	if (signal == SIGHUP)
		reopen_wanted = 1;
	else if (signal == SIGUSR1)
		counters_wanted = 1;
	else if (stop_signals++ > 0)
		_exit(0);
}

/* The pair in use, and one to load the next into. */
static struct cert certs[2];

/* Loads the files again; if they are bad, what is in use stays. */
static void
renew_cert(void)
{
	static unsigned in_use;
	char data[512];
	struct text error;

	text_init(&error, data, sizeof data);
	if (cert_load(&certs[!in_use], conf.cert, conf.key, &error)) {
		in_use = !in_use;
		tls_renew(&certs[in_use]);
		log_line(LEVEL_INFO, (struct span){ 0 }, "certificate loaded");
		return;
	}
	struct text *t = log_begin(LEVEL_WARN, (struct span){ 0 });
	if (t != NULL) {
		text_string(t, "the old certificate stays: ");
		text_put(t, error.data, error.length);
		log_end();
	}
}

static void
woken(void)
{
	static bool stopping, renew_wanted;

	if (stop_signals > 0 && !stopping) {
		stopping = true;
		log_line(LEVEL_INFO, (struct span){ 0 }, "stopping");
		conn_stop(GRACE);
	}
	if (reopen_wanted) {
		reopen_wanted = 0;
		log_reopen();
		log_line(LEVEL_INFO, (struct span){ 0 }, "log reopened");
		renew_wanted = conf.tls;
	}
	if (renew_wanted && tls_may_renew()) {
		renew_wanted = false;
		renew_cert();
	}
	if (counters_wanted) {
		counters_wanted = 0;
		status_log();
	}
}

/* Signals wait until the loop waits; `waiting` is the mask that lets them in. */
static void
catch_signals(sigset_t *waiting)
{
	static const int caught[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked;

	sigemptyset(&blocked);
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++) {
		sigaddset(&blocked, caught[i]);
		sigaction(caught[i], &action, NULL);
	}
	sigprocmask(SIG_BLOCK, &blocked, waiting);
	for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
		sigdelset(waiting, caught[i]);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
}

/*
 * Starting
 */

static void
print(int fd, struct text *t)
{
	text_char(t, '\n');
	if (write(fd, t->data, t->length) < 0)
		_exit(1);
}

/* Ends the program for a reason that the log has as well. */
static void
fatal(const char *what, const char *why)
{
	struct text *t = log_begin(LEVEL_ERROR, (struct span){ 0 });

	text_string(t, what);
	text_string(t, why);
	log_end();
	log_flush();
	_exit(1);
}

struct options {
	const char *file; /* NULL: none was named */
	const char *port;
	bool check;
};

static const char usage[] =
    "usage: videre [-c FILE] [-n] [-p PORT] [-V] [-h]\n"
    "       videre -k CERT KEY [NAME...]\n"
    "  -c FILE  the configuration (conf.json, if there is one)\n"
    "  -n       check it, and exit\n"
    "  -p PORT  listen there instead (0: any free port)\n"
    "  -k       make a key and a certificate for these names and addresses\n"
    "           (this host's, if there are none), in files of these names\n"
    "  -V       print the version\n"
    "  -h       print this";

static void
print_and_exit(const char *message)
{
	char data[1024];
	struct text t;

	text_init(&t, data, sizeof data - 1);
	text_string(&t, message);
	print(STDOUT_FILENO, &t);
	_exit(0);
}

static void
usage_error(const char *what, const char *argument)
{
	char data[2048];
	struct text t;

	text_init(&t, data, sizeof data - 1);
	text_string(&t, "videre: ");
	text_string(&t, what);
	text_escaped(&t, argument, strlen(argument), 100);
	text_char(&t, '\n');
	text_string(&t, usage);
	print(STDERR_FILENO, &t);
	_exit(1);
}

/* -k CERT KEY [NAME...] */
static void
make_cert(char **arguments)
{
	char data[2048];
	struct text said;
	size_t names = 0;

	if (arguments[0] == NULL || arguments[1] == NULL)
		usage_error("-k takes the names of two files", "");
	while (arguments[2 + names] != NULL)
		names++;
	text_init(&said, data, sizeof data - 1);
	int status =
	    selfsign_make(arguments[0], arguments[1], arguments + 2, names, &said);
	print(status == 0 ? STDOUT_FILENO : STDERR_FILENO, &said);
	_exit(status == 0 ? 0 : 1);
}

static void
read_options(char **argv, struct options *o)
{
	for (argv++; *argv != NULL; argv++) {
		if (**argv != '-' || (*argv)[1] == '\0')
			usage_error("unexpected argument ", *argv);
		for (const char *letter = *argv + 1; *letter != '\0'; letter++) {
			const char *value = letter[1] != '\0' ? letter + 1 : argv[1];
			if (*letter == 'h')
				print_and_exit(usage);
			if (*letter == 'V')
				print_and_exit("videre " VIDERE_VERSION);
			if (*letter == 'k' && letter[1] == '\0')
				make_cert(argv + 1);
			if (*letter == 'n') {
				o->check = true;
				continue;
			}
			if (*letter != 'c' && *letter != 'p')
				usage_error("unknown option ", *argv);
			if (value == NULL)
				usage_error("a value is missing behind ", *argv);
			*(*letter == 'c' ? &o->file : &o->port) = value;
			argv += letter[1] == '\0';
			break;
		}
	}
}

static void
read_conf(const struct options *o, bool *found)
{
	static char data[1024];
	const char *file = o->file != NULL ? o->file : "conf.json";
	struct text error;
	uint64_t port;

	text_init(&error, data, sizeof data - 1);
	conf_default(&conf);
	*found = o->file != NULL || access(file, F_OK) == 0;
	if (*found && !conf_load(&conf, file, &error)) {
		print(STDERR_FILENO, &error);
		_exit(1);
	}
	if (o->port != NULL) {
		if (!text_to_number((struct span){ o->port, strlen(o->port) }, 65535,
				    &port))
			usage_error("-p takes a whole number from 0 to 65535, not ",
				    o->port);
		conf.port = (uint32_t)port;
	}
}

static void
get_random(void *data, size_t length)
{
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, data, length) != (ssize_t)length)
		fatal("/dev/urandom: ", text_error(errno));
	close(fd);
}

static void
listen_at(const uint8_t *address, size_t length, uint16_t *port, bool required)
{
	int bound = conn_listen(address, length, *port);
	int error = errno;
	struct text *t = log_begin(bound < 0 && required ? LEVEL_ERROR : LEVEL_INFO,
				   (struct span){ 0 });

	if (bound >= 0)
		*port = (uint16_t)bound;
	if (t != NULL) {
		text_string(t, bound < 0 ? "cannot listen on " : "listening on ");
		text_string(t, length == 4 ? "" : "[");
		text_address(t, address, length);
		text_string(t, length == 4 ? ":" : "]:");
		text_number(t, *port);
		if (bound < 0) {
			text_string(t, ": ");
			text_string(t, text_error(error));
		}
		log_end();
	}
	if (bound < 0 && required) {
		log_flush();
		_exit(1);
	}
}

static void
open_sockets(void)
{
	uint8_t address[16] = { 0 };
	uint16_t port = (uint16_t)conf.port;

	if (inet_pton(AF_INET, conf.host, address) == 1) {
		listen_at(address, 4, &port, true);
	} else if (inet_pton(AF_INET6, conf.host, address) == 1) {
		listen_at(address, 16, &port, true);
	} else {
		listen_at(address, 4, &port, true);
		/* A kernel may be built without it. */
		listen_at(address, 16, &port, false);
	}
}

static void
drop_root(void)
{
	uint32_t user, group, groups[CONF_GROUPS];

	if (*conf.user == '\0')
		return;
	if (!conf_find_user(conf.user, &user, &group))
		fatal("User: no such user: ", conf.user);
	if (geteuid() == user && getuid() == user)
		return;
	log_give(user, group);
	size_t count = conf_find_groups(conf.user, group, groups);
	if (count > CONF_GROUPS) {
		log_line(LEVEL_WARN, (struct span){ 0 },
			 "groups ignored: User is in more than 64 of /etc/group");
		count = CONF_GROUPS;
	}
	if (!sandbox_become(user, group, groups, count))
		fatal("User: cannot become that user: ", text_error(errno));
}

static void
confine(void)
{
	if (conf.sandbox && !sandbox_enter(log_syslog_address()))
		log_line(
		    LEVEL_INFO, (struct span){ 0 },
		    "no sandbox: this kernel, or this build, has no system call filter");
}

/*
 * getrlimit and setrlimit in one.  For the sake of kernels before 2.6.36, musl's
 * setrlimit brings what changes all threads.
 */
static bool
limit_files(const struct rlimit *limit, struct rlimit *old)
{
#ifdef __linux__
	return prlimit(0, RLIMIT_NOFILE, limit, old) == 0;
#else
	return (old == NULL || getrlimit(RLIMIT_NOFILE, old) == 0) &&
	       (limit == NULL || setrlimit(RLIMIT_NOFILE, limit) == 0);
#endif
}

/* The descriptors that the connections need, as far as the system lets us have them. */
static void
raise_file_limit(void)
{
	struct rlimit limit;
	rlim_t wanted = conf.max_connections + SPARE_FILES;

	if (!limit_files(NULL, &limit) || limit.rlim_cur >= wanted)
		return;
	struct rlimit raised = { wanted,
				 limit.rlim_max < wanted ? wanted : limit.rlim_max };
	if (limit_files(&raised, NULL))
		return;
	/* Only root may raise the hard limit, and not in every container. */
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (!limit_files(&limit, NULL) || limit.rlim_cur < wanted)
		log_line(LEVEL_WARN, (struct span){ 0 },
			 "fewer files may be open than MaxConnections needs (ulimit -n)");
}

/* The largest answer: a ping that lists a full room of the longest ids. */
static uint32_t
largest_reply(void)
{
	enum { AROUND = 32 }; /* the member's name, quotes and brackets */

	return conf.max_packet + conf.max_peers * (PACKET_USER + 1) + AROUND;
}

/* What there is outside of the prefix. */
static bool
serve_elsewhere(uint32_t conn, const struct http_request *r)
{
	return status_answer(conn, r) || (conf.page && page_answer(conn, r, conf.prefix));
}

static void
map_memory(void)
{
	static const struct service service = { .opened = on_opened,
						.message = on_message,
						.closed = on_closed };
	static struct service services[1];
	uint32_t keys[4];
	struct memory memory = { 0 };
	struct conn_limits limits = { conf.max_connections, conf.max_per_address,
				      2 * conf.heartbeat, conf.trusted_proxies };
	struct sockjs_limits sockjs = {
		.session.connections = conn_most(&limits),
		.session.per_address = conf.max_per_address,
		.session.message = conf.max_packet,
		.session.reply = largest_reply(),
		.session.heartbeat = conf.heartbeat,
		.handshake = conf.handshake_timeout,
		.origins = conf.origins,
		.script = conf.sockjs,
		.integrity =
		    strcmp(conf.sockjs, CONF_SOCKJS) == 0 ? CONF_SOCKJS_HASH : NULL,
		.elsewhere = serve_elsewhere,
	};
	/* One to receive and one to send for each connection, and one for a packet in
	 * the making. */
	uint32_t blocks = 2 * conn_most(&limits) + session_blocks(&sockjs.session) + 1;

	services[0] = service;
	services[0].prefix = conf.prefix;
	uint8_t seed[TLS_SEED];
	get_random(keys, sizeof keys);
	get_random(seed, sizeof seed);
	memcpy(sockjs.session.key, keys, sizeof sockjs.session.key);
	for (unsigned pass = 0; pass < 2; pass++) {
		conn_place(&memory, &limits, keys);
		if (conf.tls)
			tls_place(&memory, conn_most(&limits));
		sockjs_place(&memory, &sockjs, services, 1);
		rooms_place(&rooms, &memory, session_most(&sockjs.session), keys + 2);
		block_place(&memory, blocks, session_block(&sockjs.session));
		if (pass == 1)
			break;
		struct text *t = log_begin(LEVEL_INFO, (struct span){ 0 });
		if (t != NULL) {
			text_string(t, "memory: at most ");
			text_number(t, memory.used / 1024);
			text_string(t, " KiB with these limits");
			log_end();
		}
		if (!memory_map(&memory))
			fatal("memory: these limits need more than can be mapped: ",
			      text_error(errno));
	}
	if (conf.tls)
		tls_start(&certs[0], seed);
}

/* A certificate that does not load is never a reason to speak plain text. */
static void
load_cert(void)
{
	char data[512];
	struct text error;

	text_init(&error, data, sizeof data - 1);
	if (!conf.tls)
		return;
	if (*conf.cert == '\0' || *conf.key == '\0')
		text_string(&error, "TLS needs Cert and Key: the names of two PEM files");
	else if (cert_load(&certs[0], conf.cert, conf.key, &error))
		return;
	print(STDERR_FILENO, &error);
	_exit(1);
}

/* Started without them, a client's socket would become what stderr is. */
static void
fill_standard_files(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct options options = { 0 };
	bool found;
	sigset_t waiting;

	fill_standard_files();
	if (argc > 0)
		read_options(argv, &options);
	read_conf(&options, &found);
	load_cert();
	if (options.check)
		print_and_exit("the configuration is good");
	log_open(conf.log, (enum log_level)conf.log_level, conf.log_size);
	log_line(LEVEL_INFO, (struct span){ 0 }, "videre " VIDERE_VERSION " starts");
	if (!found)
		log_line(LEVEL_INFO, (struct span){ 0 },
			 "no conf.json here: built-in defaults");
	raise_file_limit();
	map_memory();
	status_start(conf.monitor, &rooms, &counters);
	catch_signals(&waiting);
	open_sockets();
	drop_root();
	confine();
	log_flush();
	conn_run(&web_conn_handler, &waiting, woken);
	log_line(LEVEL_INFO, (struct span){ 0 }, "stopped");
	log_flush();
	return 0;
}
