/*
 * A server of the benchmark with libwebsockets: forwards each message to the other
 * connections of the same URL.  Like relay.c it reads no packets.
 */
#include <libwebsockets.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A message, shared by the sessions that have not sent it yet. */
struct message {
	size_t length;
	unsigned users;
	unsigned char data[]; /* after LWS_PRE bytes of the library */
};

struct queued {
	struct queued *next;
	struct message *message;
};

struct session {
	struct lws *wsi;
	struct session *previous, *next; /* a ring of the sessions of a room */
	struct session *older;		 /* a list of all sessions, to find the room */
	struct session *newer;
	struct queued *first, **last;
	struct message *coming;
	char room[64];
};

static struct session *newest;

static void
stop(int signal)
{
	(void)signal;
	_exit(0);
}

static void
release(struct message *message)
{
	if (--message->users == 0)
		free(message);
}

static void
enter(struct session *session, struct lws *wsi)
{
	struct session *other;

	*session = (struct session){ .wsi = wsi, .older = newest };
	session->last = &session->first;
	session->previous = session->next = session;
	lws_hdr_copy_fragment(wsi, session->room, sizeof session->room,
			      WSI_TOKEN_HTTP_URI_ARGS, 0);
	for (other = newest; other != NULL && strcmp(other->room, session->room) != 0;)
		other = other->older;
	if (newest != NULL)
		newest->newer = session;
	newest = session;
	if (other == NULL)
		return;
	session->next = other->next;
	session->previous = other;
	other->next->previous = session;
	other->next = session;
}

static void
leave(struct session *session)
{
	session->previous->next = session->next;
	session->next->previous = session->previous;
	if (session->older != NULL)
		session->older->newer = session->newer;
	if (session->newer != NULL)
		session->newer->older = session->older;
	else
		newest = session->older;
	while (session->first != NULL) {
		struct queued *queued = session->first;
		session->first = queued->next;
		release(queued->message);
		free(queued);
	}
	free(session->coming);
}

static void
relay(struct session *session)
{
	struct message *message = session->coming;

	session->coming = NULL;
	message->users = 1;
	for (struct session *to = session->next; to != session; to = to->next) {
		struct queued *queued = malloc(sizeof *queued);
		*queued = (struct queued){ .message = message };
		message->users++;
		*to->last = queued;
		to->last = &queued->next;
		lws_callback_on_writable(to->wsi);
	}
	release(message);
}

static void
receive(struct session *session, const void *data, size_t length)
{
	size_t before = session->coming != NULL ? session->coming->length : 0;
	struct message *message =
	    realloc(session->coming, sizeof *message + LWS_PRE + before + length);

	message->length = before + length;
	memcpy(message->data + LWS_PRE + before, data, length);
	session->coming = message;
	if (lws_is_final_fragment(session->wsi))
		relay(session);
}

/* Writes as many messages as the socket accepts. */
static int
send_queued(struct session *session)
{
	while (session->first != NULL && !lws_send_pipe_choked(session->wsi)) {
		struct queued *queued = session->first;
		struct message *message = queued->message;
		if (lws_write(session->wsi, message->data + LWS_PRE, message->length,
			      LWS_WRITE_TEXT) < 0)
			return -1;
		session->first = queued->next;
		if (session->first == NULL)
			session->last = &session->first;
		release(message);
		free(queued);
	}
	if (session->first != NULL)
		lws_callback_on_writable(session->wsi);
	return 0;
}

static int
serve(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *data,
      size_t length)
{
	struct session *session = user;

	switch (reason) {
	case LWS_CALLBACK_ESTABLISHED: enter(session, wsi); break;
	case LWS_CALLBACK_RECEIVE: receive(session, data, length); break;
	case LWS_CALLBACK_SERVER_WRITEABLE: return send_queued(session);
	case LWS_CALLBACK_CLOSED: leave(session); break;
	default: break;
	}
	return 0;
}

int
main(int count, char **arguments)
{
	static const struct lws_protocols protocols[] = {
		{ "", serve, sizeof(struct session), 65536, 0, NULL, 0 },
		{ NULL, NULL, 0, 0, 0, NULL, 0 },
	};
	struct lws_context_creation_info info = { .protocols = protocols,
						  .iface = "127.0.0.1",
						  .gid = -1,
						  .uid = -1,
						  .options =
						      LWS_SERVER_OPTION_EXPLICIT_VHOSTS };

	signal(SIGTERM, stop);
	lws_set_log_level(LLL_ERR, NULL);
	if (count == 3) {
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = arguments[1];
		info.ssl_private_key_filepath = arguments[2];
	}
	struct lws_context *context = lws_create_context(&info);
	struct lws_vhost *vhost =
	    context != NULL ? lws_create_vhost(context, &info) : NULL;
	if (vhost == NULL)
		return 1;
	fprintf(stderr, "lws info - listening on 127.0.0.1:%d\n",
		lws_get_vhost_listen_port(vhost));
	while (lws_service(context, 0) >= 0)
		;
	return 1;
}
