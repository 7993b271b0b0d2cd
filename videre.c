/* A WebRTC signalling server: options, configuration, signals, starting and stopping. */
#define _GNU_SOURCE /* prlimit */
#include "accept.h"
#include "check.h"
#include "conf.h"
#include "entropy.h"
#include "ice.h"
#include "loop.h"
#include "monitor.h"
#include "page.h"
#include "renewal.h"
#include "sandbox.h"
#include "secrets.h"
#include "authority.h"
#include "signaller.h"
#include "sockjs.h"
#include "tls.h"
#include "token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	/* Time from SIGTERM to the exit, in milliseconds.  busybox init sends SIGKILL
	 * after a second. */
	GRACE_MS = 700,
	SPARE_FILES = 16 /* file descriptors that are not connections */
};

static struct conf conf;

/*
 * Signals
 */

static volatile sig_atomic_t stop_signals, reopen_wanted, counters_wanted;

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

/* Acts on signals; the loop calls it after each wait. */
static void
on_wakeup(void)
{
	static bool stopping;

	if (stop_signals > 0 && !stopping) {
		stopping = true;
		log_line(LEVEL_INFO, (struct span){ 0 }, "stopping");
		signaller_stop();
		loop_stop(GRACE_MS);
	}
	if (reopen_wanted) {
		reopen_wanted = 0;
		log_reopen();
		log_line(LEVEL_INFO, (struct span){ 0 }, "log reopened");
		renewal_request();
		secrets_reload();
	}
	renewal_wakeup();
	if (counters_wanted) {
		counters_wanted = 0;
		monitor_log();
	}
}

/*
 * Blocks the signals that are handled.  Sets `waiting` to the mask that unblocks them,
 * for the time in which the loop waits.
 */
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
	/* The process that writes the log must not become a zombie: the server never
	 * calls wait(). */
	sigaction(SIGCHLD, &action, NULL);
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

/*
 * Prepares the log, which only root can do, and changes to User irreversibly.  Returns
 * false and sets errno if the user is unknown or the change is not permitted.
 */
static bool
become_user(void)
{
	uint32_t user, group, groups[CONF_GROUPS_MAX];

	if (*conf.user == '\0')
		return true;
	if (!conf_find_user(conf.user, &user, &group)) {
		errno = ENOENT;
		return false;
	}
	if (geteuid() == user && getuid() == user)
		return true;
	log_create_for(user, group);
	size_t count = conf_find_groups(conf.user, group, groups);
	if (count > CONF_GROUPS_MAX) {
		log_line(LEVEL_WARN, (struct span){ 0 },
			 "groups ignored: User is in more than 64 groups of /etc/group");
		count = CONF_GROUPS_MAX;
	}
	return sandbox_become(user, group, groups, count);
}

/* Ends the program.  Root must not open a log that belongs to another user. */
static void
fail(void)
{
	if (become_user())
		log_reopen();
	log_flush();
	_exit(1);
}

/* Logs an error and ends the program. */
static void
fatal(const char *what, const char *why)
{
	struct text *t = log_begin(LEVEL_ERROR, (struct span){ 0 });

	text_string(t, what);
	text_string(t, why);
	log_end();
	fail();
}

struct options {
	const char
	    *file; /* NULL: no -c; after read_conf the file that was read, if any */
	const char *port; /* NULL: no -p */
	bool check;
};

static const char usage[] =
    "usage: videre [-c FILE] [-n] [-p PORT] [-V] [-h]\n"
    "       videre -k CERT KEY [NAME...]\n"
    "       videre -s FILE\n"
    "       videre -t FILE [ROOM [USER [SECONDS]]]\n"
    "  -c FILE  read the configuration from FILE (default: conf.json, if it exists)\n"
    "  -n       check the configuration and exit\n"
    "  -p PORT  listen on PORT instead of the configured port (0: any free port)\n"
    "  -k       create a private key and a certificate with its authority in two new\n"
    "           files, for these host names and addresses (default: of this host)\n"
    "  -s FILE  create a secret that signs tokens, in a new file\n"
    "  -t       print a token, signed with the first secret of FILE, that is valid in\n"
    "           ROOM for USER (default, and \"\": any) for SECONDS (default: 86400)\n"
    "  -V       print the version and exit (or --version)\n"
    "  -h       print this help and exit (or --help)";

static const char defaults[] = "no conf.json in this directory: using the defaults";

static void
print_and_exit(const char *message, const char *file)
{
	char data[2048];
	struct text t;

	text_init(&t, data, sizeof data - 1);
	text_string(&t, message);
	text_string(&t, file);
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

/* -k CERT KEY [NAME...], -s FILE, or -t FILE [ROOM [USER [SECONDS]]] */
static void
run_command(char letter, char **arguments)
{
	char data[AUTHORITY_OUTPUT_SIZE + TOKEN_MAX];
	struct text output;
	size_t count = 0;
	int status;

	while (arguments[count] != NULL)
		count++;
	if (letter == 'k' && count < 2)
		usage_error("option -k needs two file names: CERT KEY", "");
	if (letter != 'k' && (count < 1 || count > (letter == 's' ? 1 : 4)))
		usage_error("wrong number of arguments: -", (char[]){ letter, '\0' });
	text_init(&output, data, sizeof data - 1);
	if (letter == 'k')
		status = authority_issue(arguments[0], arguments[1], arguments + 2,
					 count - 2, &output);
	else if (letter == 's')
		status = token_make_secret(arguments[0], &output);
	else
		status = token_make(arguments[0], arguments + 1, count - 1, &output);
	if (output.length > 0)
		print(status == 0 ? STDOUT_FILENO : STDERR_FILENO, &output);
	_exit(status);
}

static void
read_options(char **argv, struct options *o)
{
	for (argv++; *argv != NULL; argv++) {
		if (**argv != '-' || (*argv)[1] == '\0')
			usage_error("unexpected argument: ", *argv);
		if (strcmp(*argv, "--help") == 0)
			*argv = "-h";
		if (strcmp(*argv, "--version") == 0)
			*argv = "-V";
		for (const char *letter = *argv + 1; *letter != '\0'; letter++) {
			const char *value = letter[1] != '\0' ? letter + 1 : argv[1];
			if (*letter == 'h')
				print_and_exit(usage, "");
			if (*letter == 'V')
				print_and_exit("videre " VIDERE_VERSION, "");
			if (strchr("kst", *letter) != NULL && letter[1] == '\0')
				run_command(*letter, argv + 1);
			if (*letter == 'n') {
				o->check = true;
				continue;
			}
			if (*letter != 'c' && *letter != 'p')
				usage_error("unknown option: ", *argv);
			if (value == NULL)
				usage_error("option needs a value: ", *argv);
			*(*letter == 'c' ? &o->file : &o->port) = value;
			argv += letter[1] == '\0';
			break;
		}
	}
}

static void
read_conf(struct options *o)
{
	static char data[1024];
	const char *file = o->file != NULL ? o->file : "conf.json";
	struct text error;
	uint64_t port;

	text_init(&error, data, sizeof data - 1);
	conf_default(&conf);
	if (o->file == NULL && access(file, F_OK) == 0)
		o->file = file;
	if (o->file != NULL && !conf_load(&conf, file, &error)) {
		print(STDERR_FILENO, &error);
		_exit(1);
	}
	if (o->port != NULL) {
		if (!text_to_number((struct span){ o->port, strlen(o->port) }, 65535,
				    &port))
			usage_error(
			    "option -p must be a whole number from 0 to 65535, not ",
			    o->port);
		conf.port = (uint32_t)port;
	}
}

/* Logs the start, and which configuration holds. */
static void
log_start(const char *file)
{
	struct text *t = log_begin(LEVEL_INFO, (struct span){ 0 });

	if (t == NULL)
		return;
	text_string(t, "videre " VIDERE_VERSION " starts: ");
	text_string(t, file != NULL ? "configuration " : defaults);
	text_string(t, file != NULL ? file : "");
	log_end();
}

static void
get_random(void *data, size_t length)
{
	if (!entropy_ready()) {
		log_line(
		    LEVEL_WARN, (struct span){ 0 },
		    "waiting: the kernel's random number generator is not seeded yet");
		log_flush();
	}
	if (!entropy_get(data, length))
		fatal("no random bytes from getrandom or /dev/urandom: ",
		      text_error(errno));
}

static void
listen_at(const uint8_t *address, size_t length, uint16_t *port, bool required)
{
	int bound = accept_listen(address, length, *port);
	int error = errno;
	struct text *t = log_begin(bound < 0 && required ? LEVEL_ERROR : LEVEL_INFO,
				   (struct span){ 0 });

	if (bound >= 0)
		*port = (uint16_t)bound;
	if (t != NULL) {
		text_string(t, bound < 0 ? "cannot listen on " : "listening on ");
		text_host(t, address, length);
		text_char(t, ':');
		text_number(t, *port);
		if (bound < 0) {
			text_string(t, " (Host, Port): ");
			text_string(t, text_error(error));
		}
		log_end();
	}
	if (bound < 0 && required)
		fail();
	struct socket_address at = { .length = (uint8_t)length };
	memcpy(at.bytes, address, length);
	if (bound >= 0)
		check_address(&at);
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
		/* Some kernels have no IPv6. */
		listen_at(address, 16, &port, false);
	}
}

static void
drop_root(void)
{
	if (!become_user())
		fatal("cannot change to the configured User: ", text_error(errno));
	log_reopen();
}

static bool
enter_sandbox(void)
{
	return sandbox_enter(log_syslog_address());
}

static void
confine(void)
{
	if (conf.sandbox && !enter_sandbox())
		log_line(LEVEL_INFO, (struct span){ 0 },
			 "no sandbox: this kernel or build has no system call filter "
			 "(Sandbox)");
}

/*
 * The same as getrlimit and setrlimit.  It avoids musl's setrlimit, which links code for
 * processes with threads, needed before Linux 2.6.36.
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

static void
log_few_files(rlim_t wanted, rlim_t allowed)
{
	struct text *t = log_begin(LEVEL_WARN, (struct span){ 0 });

	if (t == NULL)
		return;
	text_string(t, "too few file descriptors for MaxConnections: ");
	text_number(t, wanted);
	text_string(t, " needed, ulimit -Hn allows ");
	text_number(t, allowed);
	log_end();
}

/* Raises the limit for file descriptors to the number that MaxConnections needs, as far
 * as the system permits. */
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
	/* Only root can raise the hard limit, and not in every container. */
	rlim_t before = limit.rlim_cur;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (!limit_files(&limit, NULL))
		log_few_files(wanted, before);
	else if (limit.rlim_cur < wanted)
		log_few_files(wanted, limit.rlim_cur);
}

/* Answers a request for the module.  Pages of an origin that Origins does not allow get
 * it too: it tells their users so. */
static bool
answer_shared(uint32_t conn, const struct http_request *r)
{
	return conf.page && span_is(r->path, "/videre.js") &&
	       page_answer(conn, r, conf.prefix);
}

/* Answers a request for a URL outside the prefix.  Returns false, and
 * answers nothing, if there is no such URL. */
static bool
answer_unmatched(uint32_t conn, const struct http_request *r)
{
	return monitor_answer(conn, r) || ice_answer(conn, r) ||
	       page_answer_authority(conn, r) ||
	       (conf.page && page_answer(conn, r, conf.prefix));
}

static void
map_memory(void)
{
	static struct service services[1];
	uint32_t keys[4];
	struct memory memory = { 0 };
	struct loop_limits limits = {
		.connections = conf.max_connections,
		.per_address = conf.max_per_address,
		.stall = 2 * conf.heartbeat,
		.proxies = conf.trusted_proxies,
	};
	const uint32_t connections = loop_highest(&limits);
	struct sockjs_limits sockjs = {
		.session.connections = connections,
		.session.per_address = conf.max_per_address,
		.session.message = conf.max_packet,
		.session.reply = signaller_reply(conf.max_packet, conf.max_peers),
		.session.heartbeat = conf.heartbeat,
		.handshake = conf.handshake_timeout,
		.origins = conf.origins,
		.script = conf.sockjs,
		.integrity =
		    strcmp(conf.sockjs, CONF_SOCKJS) == 0 ? CONF_SOCKJS_HASH : NULL,
		.unmatched = answer_unmatched,
		.shared = answer_shared,
	};
	struct signaller_limits signaller = {
		.sessions = session_most(&sockjs.session),
		.peers = conf.max_peers,
		.tokens = secrets_of_tokens(),
	};
	/* For each connection an input and an output block, those of the sessions, and
	 * one for the packet that is being built. */
	uint32_t blocks = 2 * connections + session_blocks(&sockjs.session) + 1;

	services[0] = signaller_service;
	services[0].prefix = conf.prefix;
	uint8_t seed[TLS_SEED];
	get_random(keys, sizeof keys);
	get_random(seed, sizeof seed);
	log_limit_rates(keys);
	memcpy(limits.key, keys, sizeof limits.key);
	memcpy(sockjs.session.key, keys, sizeof sockjs.session.key);
	memcpy(signaller.key, keys + 2, sizeof signaller.key);
	for (unsigned pass = 0; pass < 2; pass++) {
		loop_place(&memory, &limits);
		if (conf.tls)
			tls_place(&memory, connections);
		sockjs_place(&memory, &sockjs, services, 1);
		signaller_place(&memory, &signaller);
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
			fatal(
			    "memory: cannot map what MaxConnections and MaxPacket need: ",
			    text_error(errno));
	}
	if (conf.tls)
		renewal_start(seed);
	monitor_set_limits(&(struct monitor_limits){
	    .connections = conf.max_connections,
	    .per_address = conf.max_per_address,
	    .sessions = signaller.sessions,
	    .peers = conf.max_peers,
	    .packet_bytes = conf.max_packet,
	    .head_bytes = HTTP_HEAD_SIZE,
	});
}

/* Loads certificate and secrets, or ends the program: there is no insecure fallback. */
static void
load_files(void)
{
	char data[512];
	struct text error;

	text_init(&error, data, sizeof data - 1);
	if (renewal_load(&conf, &error) && secrets_load(&conf, &error))
		return;
	print(STDERR_FILENO, &error);
	_exit(1);
}

/* The end of -n: warnings and hints go to stderr. */
static void
end_check(const char *file)
{
	log_configure("", LEVEL_INFO, 0);
	renewal_warn();
	secrets_warn();
	raise_file_limit();
	check_start(&conf);
	log_flush();
	print_and_exit("the configuration is valid: ", file != NULL ? file : defaults);
}

/*
 * Opens descriptors 0 to 2 if they are closed.  Otherwise a client's socket could get
 * number 2, and the client receive all output to stderr.
 */
static void
fill_standard_files(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd >= 0)
		close(fd);
}

/*
 * A write to a terminal that takes no more (Ctrl-S) blocks even after POLLOUT.  The
 * terminal is opened again, because O_NONBLOCK applies to all programs that share stderr.
 */
static void
unblock_terminal(void)
{
	struct stat status;

	if (fstat(STDERR_FILENO, &status) != 0 || !S_ISCHR(status.st_mode))
		return;
	int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0 && dup2(fd, STDERR_FILENO) >= 0)
		close(fd);
}

int
main(int argc, char **argv)
{
	struct options options = { 0 };
	sigset_t waiting;

	fill_standard_files();
	if (argc > 0)
		read_options(argv, &options);
	read_conf(&options);
	load_files();
	if (options.check)
		end_check(options.file);
	unblock_terminal();
	log_configure(conf.log, (enum log_level)conf.log_level, conf.log_size);
	log_start(options.file);
	renewal_warn();
	secrets_warn();
	check_settings(&conf);
	if (*conf.tokens != '\0')
		log_line(LEVEL_INFO, (struct span){ 0 },
			 "each connect needs a token: Tokens is set");
	raise_file_limit();
	map_memory();
	monitor_start(conf.monitor);
	ice_start(conf.ice_servers);
	catch_signals(&waiting);
	open_sockets();
	drop_root();
	log_start_writer(conf.sandbox ? enter_sandbox : NULL);
	confine();
	log_flush();
	loop_run(&web_conn_handler, &waiting, on_wakeup);
	log_line(LEVEL_INFO, (struct span){ 0 }, "stopped");
	log_close();
	return 0;
}
