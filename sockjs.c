#include "sockjs.h"

#include "log.h"
#include "web.h"

#include <string.h>

enum session_state { SESSION_FREE, SESSION_OPEN, SESSION_ENDED };

struct session {
	enum session_state state;
	uint32_t conn;
	const struct service *service;
	uint32_t next; /* of those that have ended, or of the free ones */
};

static struct {
	struct sockjs_limits limits;
	struct sockjs_counters counters;
	const struct service *services;
	size_t service_count;
	uint32_t *by_conn; /* the session of a WebSocket's connection */
	struct session *sessions;
	uint32_t fresh, free;
	uint32_t ended; /* the first of those whose service is to be told */
} server;

size_t
sockjs_block(const struct sockjs_limits *limits)
{
	size_t two = 2 * ((size_t)limits->message + WS_SERVER_HEADER);
	size_t reply = (size_t)limits->reply + WS_SERVER_HEADER;

	return (two > reply ? two : reply) + HTTP_HEAD_SIZE + WEB_SLACK;
}

uint32_t
sockjs_sessions(const struct sockjs_limits *limits)
{
	return limits->connections;
}

static const struct web_handler web_handler;

void
sockjs_place(struct memory *m, const struct sockjs_limits *limits,
	     const struct service *services, size_t count)
{
	const struct web_limits web = { limits->connections, limits->message,
					limits->heartbeat, limits->handshake };

	web_place(m, &web, &web_handler);
	server.limits = *limits;
	server.services = services;
	server.service_count = count;
	server.by_conn =
	    memory_take(m, (size_t)limits->connections + 1, sizeof *server.by_conn);
	server.sessions =
	    memory_take(m, (size_t)sockjs_sessions(limits) + 1, sizeof *server.sessions);
}

const struct sockjs_counters *
sockjs_count(void)
{
	return &server.counters;
}

/*
 * Sessions
 */

static void
open_session(const struct service *service, uint32_t conn)
{
	uint32_t number = server.free;

	/* There are as many sessions as connections, so one is always left. */
	if (number != 0)
		server.free = server.sessions[number].next;
	else
		number = ++server.fresh;
	server.sessions[number] =
	    (struct session){ .state = SESSION_OPEN, .conn = conn, .service = service };
	server.counters.open++;
	server.by_conn[conn] = number;
	service->opened(number);
}

/* The service is told at the end of the turn: it may be busy with this very session. */
static void
end_session(uint32_t number)
{
	struct session *s = &server.sessions[number];

	if (s->state != SESSION_OPEN)
		return;
	s->state = SESSION_ENDED;
	s->next = server.ended;
	server.ended = number;
}

static bool
settle(void)
{
	bool any = server.ended != 0;

	while (server.ended != 0) {
		uint32_t number = server.ended;
		struct session *s = &server.sessions[number];
		server.ended = s->next;
		s->service->closed(number);
		s->state = SESSION_FREE;
		s->next = server.free;
		server.free = number;
		server.counters.open--;
	}
	return any;
}

struct span
session_peer(uint32_t session)
{
	return conn_peer(server.sessions[session].conn);
}

void
session_send(uint32_t session, const char *data, size_t length, bool binary)
{
	struct session *s = &server.sessions[session];

	if (s->state != SESSION_OPEN)
		return;
	if (web_send(s->conn, data, length, binary))
		server.counters.messages_out++;
}

void
session_close(uint32_t session, unsigned code, const char *reason)
{
	if (server.sessions[session].state == SESSION_OPEN)
		web_close(server.sessions[session].conn, code, reason);
}

/*
 * HTTP
 */

static const struct service *
find_service(struct span path, struct span *rest)
{
	const struct service *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < server.service_count; i++) {
		const struct service *s = &server.services[i];
		size_t length = strlen(s->prefix);
		if ((best == NULL || length > longest) && path.length >= length &&
		    memcmp(path.data, s->prefix, length) == 0 &&
		    (path.length == length || path.data[length] == '/')) {
			best = s;
			longest = length;
		}
	}
	if (best != NULL)
		*rest = (struct span){ path.data + longest, path.length - longest };
	return best;
}

static bool
welcome_origin(struct span origin)
{
	const char *const *o = server.limits.origins;

	if (origin.data == NULL || *o == NULL)
		return true;
	while (*o != NULL && !span_is_nocase(origin, *o))
		o++;
	return *o != NULL;
}

static void
log_request(uint32_t conn, const struct http_request *r)
{
	struct text *t = log_begin(LEVEL_DEBUG, conn_peer(conn));

	if (t == NULL)
		return;
	text_string(t, "requests ");
	text_escaped(t, r->path.data, r->path.length, 100);
	log_end();
}

static void
request(uint32_t conn, const struct http_request *r)
{
	struct span rest;
	const struct service *service = find_service(r->path, &rest);

	log_request(conn, r);
	if (!welcome_origin(r->origin))
		web_answer(conn, 403, "", "Origin not allowed");
	else if (service == NULL ||
		 (!span_is(rest, "/websocket") && !span_is(rest, "/websocket/")))
		web_answer(conn, 404, "", "Not Found");
	else if (web_upgrade(conn, r, service->binary))
		open_session(service, conn);
}

static void
message(uint32_t conn, char *data, size_t length, bool binary)
{
	uint32_t session = server.by_conn[conn];

	if (server.sessions[session].state != SESSION_OPEN)
		return;
	server.counters.messages_in++;
	server.sessions[session].service->message(session, data, length, binary);
}

static void
closed(uint32_t conn)
{
	end_session(server.by_conn[conn]);
}

static const struct web_handler web_handler = {
	.request = request,
	.message = message,
	.closed = closed,
	.settle = settle,
};
