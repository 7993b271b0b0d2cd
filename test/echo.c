/*
 * The services that conformance suites of SockJS and WebSocket expect, on the server's
 * own objects.  Each echoes its messages, but /close closes each session when it opens.
 */
#include "accept.h"
#include "log.h"
#include "loop.h"
#include "sockjs.h"

#include <string.h>
#include <unistd.h>

enum {
	CONNECTIONS = 256,
	MESSAGE = 1048576, /* bytes */
	HANDSHAKE_S = 25,
	GRACE_MS = 500,
	RESPONSE_LIMIT = 4096, /* bytes of a stream */
	GO_AWAY = 3000	       /* close code */
};

static volatile sig_atomic_t stop_wanted;

static void
on_signal(int signal)
{
	(void)signal;
	stop_wanted = 1;
}

static void
on_wakeup(void)
{
	static bool stopping;

	if (stop_wanted && !stopping)
		loop_stop(GRACE_MS);
	stopping = stop_wanted;
}

static void
ignore(uint32_t session)
{
	(void)session;
}

static void
ignore_opened(uint32_t session, struct span query)
{
	(void)session;
	(void)query;
}

static void
echo(uint32_t session, char *data, size_t length, bool binary)
{
	session_send(session, data, length, binary);
}

static void
go_away(uint32_t session, struct span query)
{
	(void)query;
	session_close(session, GO_AWAY, "Go away!");
}

static const struct service services[] = {
	{ .prefix = "/echo",
	  .binary = true,
	  .response_limit = RESPONSE_LIMIT,
	  .opened = ignore_opened,
	  .message = echo,
	  .closed = ignore },
	{ .prefix = "/close",
	  .binary = true,
	  .opened = go_away,
	  .message = echo,
	  .closed = ignore },
	{ .prefix = "/disabled_websocket_echo",
	  .no_websocket = true,
	  .opened = ignore_opened,
	  .message = echo,
	  .closed = ignore },
	{ .prefix = "/cookie_needed_echo",
	  .binary = true,
	  .cookie = true,
	  .opened = ignore_opened,
	  .message = echo,
	  .closed = ignore },
};

static bool
place_all(uint32_t heartbeat)
{
	static const char *const no_origins[] = { NULL };
	const struct loop_limits limits = {
		.connections = CONNECTIONS,
		.per_address = CONNECTIONS,
		.stall = 2 * heartbeat,
		.key = { 1, 2 }, /* only tests connect */
	};
	const uint32_t most = loop_highest(&limits);
	struct sockjs_limits sockjs = {
		.session.connections = most,
		.session.per_address = CONNECTIONS,
		.session.message = MESSAGE,
		.session.reply = MESSAGE,
		.session.heartbeat = heartbeat,
		.handshake = HANDSHAKE_S,
		.origins = no_origins,
		.script = "/sockjs.min.js",
	};
	uint32_t blocks = 2 * most + session_blocks(&sockjs.session);
	struct memory memory = { 0 };

	for (unsigned pass = 0; pass < 2; pass++) {
		loop_place(&memory, &limits);
		sockjs_place(&memory, &sockjs, services,
			     sizeof services / sizeof *services);
		block_place(&memory, blocks, session_block(&sockjs.session));
		if (pass == 0 && !memory_map(&memory))
			return false;
	}
	return true;
}

static bool
read_number(const char *argument, uint64_t most, uint64_t *number)
{
	return text_to_number((struct span){ argument, strlen(argument) }, most, number);
}

int
main(int argc, char **argv)
{
	static const uint8_t loopback[4] = { 127, 0, 0, 1 };
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t blocked, waiting;
	uint64_t port, heartbeat = 25;

	if (argc < 2 || argc > 3 || !read_number(argv[1], 65535, &port) ||
	    (argc == 3 && !read_number(argv[2], 3600, &heartbeat))) {
		static const char usage[] = "usage: test/echo PORT [HEARTBEAT]\n";
		return write(STDERR_FILENO, usage, sizeof usage - 1) < 0 ? 2 : 1;
	}
	log_open("-", LEVEL_INFO, 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &waiting);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL); /* see socket_write */
	int bound = place_all((uint32_t)heartbeat)
			? accept_listen(loopback, sizeof loopback, (uint16_t)port)
			: -1;
	struct text *t = log_begin(LEVEL_INFO, (struct span){ 0 });
	text_string(t, bound < 0 ? "cannot listen on 127.0.0.1:"
				 : "listening on 127.0.0.1:");
	text_number(t, bound < 0 ? port : (uint64_t)bound);
	log_end();
	log_flush();
	if (bound < 0)
		return 1;
	loop_run(&web_conn_handler, &waiting, on_wakeup);
	return 0;
}
