#include "sockjs.h"

#include "client.h"
#include "log.h"
#include "origin.h"
#include "receiver.h"
#include "report.h"

#include <string.h>
#include <time.h>

enum { YEAR_S = 31536000 };

static struct {
	struct sockjs_limits limits;
	const struct service *services;
	size_t service_count;
	uint32_t info_answers; /* answers to /info so far */
} sockjs;

/* A request, the service and session that its URL names, and the rest of its body. */
struct exchange {
	uint32_t conn;
	const struct http_request *r;
	const struct service *service;
	struct span id;	  /* of the session */
	struct span body; /* NULL data: too large */
	bool again;	  /* `body` is the rest of a body, from an earlier turn */
	size_t rest;	  /* bytes at the end of `body` for a later turn */
};

static const char plain[] = "text/plain; charset=UTF-8";

static void
put_no_cache(struct text *t)
{
	text_string(t,
		    "Cache-Control: no-store, no-cache, no-transform, must-revalidate, "
		    "max-age=0\r\n");
}

/* Puts the header fields that allow caches to keep an answer for a year. */
static void
put_caching(struct text *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	text_string(t, "Cache-Control: public, max-age=");
	text_number(t, YEAR_S);
	text_string(t, "\r\nExpires: ");
	text_http_time(t, (uint64_t)now.tv_sec + YEAR_S);
	text_string(t, "\r\n");
}

static void
put_field(struct text *t, const char *name, struct span value)
{
	text_string(t, name);
	text_string(t, ": ");
	text_span(t, value);
	text_string(t, "\r\n");
}

void
sockjs_put_cors(struct text *t, const struct http_request *r)
{
	if (r->origin.length == 0) {
		text_string(t, "Access-Control-Allow-Origin: *\r\n");
	} else {
		put_field(t, "Access-Control-Allow-Origin", r->origin);
		text_string(t, "Access-Control-Allow-Credentials: true\r\n");
	}
	if (r->cors_headers.length > 0)
		put_field(t, "Access-Control-Allow-Headers", r->cors_headers);
	text_string(t, "Vary: Origin\r\n");
}

static void
put_cookie(struct text *t, const struct exchange *x)
{
	enum { VALUE = 128 }; /* bytes, at most */

	if (!x->service->cookie)
		return;
	struct span value = http_cookie(x->r->cookie, "JSESSIONID", VALUE);
	text_string(t, "Set-Cookie: JSESSIONID=");
	text_span(t, value.data != NULL ? value : (struct span){ "dummy", 5 });
	text_string(t, "; path=/\r\n");
}

static void
answer(uint32_t conn, unsigned status, const char *type, const struct text *fields,
       const char *body)
{
	const struct web_answer a = { .status = status,
				      .type = type,
				      .fields = { fields->data, fields->length },
				      .body = { body, strlen(body) } };

	web_answer(conn, &a);
}

/* Answers with plain text and without further header fields. */
static void
answer_text(uint32_t conn, unsigned status, const char *body)
{
	char none[1];
	struct text fields;

	text_init(&fields, none, 0);
	answer(conn, status, plain, &fields, body);
}

static void
not_found(uint32_t conn)
{
	answer_text(conn, 404, "Not Found");
}

/* True for /iframe*.html, where * is any run of digits, a to z, and "-._". */
static bool
is_iframe(struct span path)
{
	enum { AROUND = 12 }; /* "/iframe" and ".html" */

	if (path.length < AROUND || memcmp(path.data, "/iframe", 7) != 0 ||
	    memcmp(path.data + path.length - 5, ".html", 5) != 0)
		return false;
	for (size_t i = 7; i < path.length - 5; i++)
		if (path.data[i] == '\0' ||
		    strchr("0123456789abcdefghijklmnopqrstuvwxyz-._", path.data[i]) ==
			NULL)
			return false;
	return true;
}

/*
 * Reports a path that is not found, if it ends as those do that a client requests because
 * of a wrong Prefix, or that Page and SockJS can turn off.
 */
static void
report_path(uint32_t conn, struct span path)
{
	size_t at = path.length;

	while (at > 0 && path.data[--at] != '/')
		continue;
	const struct span last = { path.data + at, path.length - at };
	if (span_is(path, "/") || span_is(last, "/info") || span_is(last, "/websocket") ||
	    is_iframe(last))
		report(REPORT_PATH, client_name(conn), path);
}

/* Answers a request that is for no service, or for no URL of one. */
static void
answer_unmatched(uint32_t conn, const struct http_request *r)
{
	if (websocket_misplaced(conn, r, sockjs.services[0].prefix) ||
	    (sockjs.limits.unmatched != NULL && sockjs.limits.unmatched(conn, r)))
		return;
	if (r->method == HTTP_OPTIONS)
		web_not_allowed(conn, "GET, HEAD, POST");
	else {
		report_path(conn, r->path);
		not_found(conn);
	}
}

/* Puts the header fields of answers to scripts; `cors` if other origins may read them. */
static void
put_fields(struct text *t, const struct exchange *x, bool cors)
{
	put_cookie(t, x);
	put_no_cache(t);
	if (cors)
		sockjs_put_cors(t, x->r);
}

static void
answer_options(const struct exchange *x, const char *methods)
{
	char data[WEB_FIELDS];
	struct text fields;

	text_init(&fields, data, sizeof data);
	put_cookie(&fields, x);
	put_caching(&fields);
	sockjs_put_cors(&fields, x->r);
	text_string(&fields, "Access-Control-Allow-Methods: ");
	text_string(&fields, methods);
	text_string(&fields, "\r\nAccess-Control-Max-Age: ");
	text_number(&fields, YEAR_S);
	text_string(&fields, "\r\n");
	answer(x->conn, 204, NULL, &fields, "");
}

static void
answer_info(const struct exchange *x)
{
	static const char type[] = "application/json; charset=UTF-8";
	char data[WEB_FIELDS], json[160];
	struct text fields, t;

	text_init(&fields, data, sizeof data);
	put_no_cache(&fields);
	sockjs_put_cors(&fields, x->r);
	sockjs.info_answers++;
	text_init(&t, json, sizeof json);
	text_string(&t, "{\"websocket\":");
	text_string(&t, x->service->no_websocket ? "false" : "true");
	text_string(&t, ",\"origins\":[\"*:*\"],\"cookie_needed\":");
	text_string(&t, x->service->cookie ? "true" : "false");
	text_string(&t, ",\"entropy\":");
	text_number(&t, text_hash(sockjs.limits.session.key, &sockjs.info_answers,
				  sizeof sockjs.info_answers));
	text_char(&t, '}');
	text_char(&t, '\0');
	answer(x->conn, 200, type, &fields, json);
}

static void
answer_iframe(const struct exchange *x)
{
	static const uint32_t key[2] = { 0 };
	char data[WEB_FIELDS], html[2048], tag_data[16];
	struct text fields, page, tag;

	text_init(&page, html, sizeof html);
	text_string(&page,
		    "<!DOCTYPE html>\n"
		    "<html>\n"
		    "<head>\n"
		    "  <meta http-equiv=\"X-UA-Compatible\" content=\"IE=edge\" />\n"
		    "  <meta http-equiv=\"Content-Type\" content=\"text/html; "
		    "charset=UTF-8\" />\n"
		    "  <script src=\"");
	text_string(&page, sockjs.limits.script);
	if (sockjs.limits.integrity != NULL) {
		text_string(&page, "\" integrity=\"");
		text_string(&page, sockjs.limits.integrity);
		text_string(&page, "\" crossorigin=\"anonymous");
	}
	text_string(
	    &page,
	    "\"></script>\n"
	    "  <script>\n"
	    "    document.domain = document.domain;\n"
	    "    SockJS.bootstrap_iframe();\n"
	    "  </script>\n"
	    "</head>\n"
	    "<body>\n"
	    "  <h2>Don't panic!</h2>\n"
	    "  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>\n"
	    "</body>\n"
	    "</html>");
	text_init(&tag, tag_data, sizeof tag_data);
	text_char(&tag, '"');
	text_hex(&tag, text_hash(key, page.data, page.length), 8);
	text_char(&tag, '"');
	text_init(&fields, data, sizeof data);
	put_caching(&fields);
	put_field(&fields, "ETag", (struct span){ tag.data, tag.length });
	text_char(&tag, '\0');
	text_char(&page, '\0');
	if (http_has_tag(x->r->if_none_match, tag.data))
		answer(x->conn, 304, NULL, &fields, "");
	else
		answer(x->conn, 200, "text/html; charset=UTF-8", &fields, html);
}

/* Reads the callback's name from the query.  Returns NULL, or the text of an error. */
static const char *
read_callback(struct span query, struct receiver *receiver)
{
	struct span name = http_parameter(query, "c");
	char decoded[3 * SOCKJS_FRAME_CALLBACK];

	if (name.length == 0)
		name = http_parameter(query, "callback");
	if (name.length == 0)
		return "\"callback\" parameter required";
	if (name.length > sizeof decoded)
		return "invalid \"callback\" parameter";
	size_t length = http_unescape(name, decoded, true);
	if (length > SOCKJS_FRAME_CALLBACK)
		return "invalid \"callback\" parameter";
	for (size_t i = 0; i < length; i++)
		if (decoded[i] == '\0' || strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij"
						 "klmnopqrstuvwxyz0123456789-_.",
						 decoded[i]) == NULL)
			return "invalid \"callback\" parameter";
	memcpy(receiver->callback, decoded, length);
	receiver->callback_length = length;
	return NULL;
}

/* Answers the request of a receiver, with a response that carries frames. */
static void
serve_receiver(const struct exchange *x, enum transport transport)
{
	bool with_callback =
	    transport == TRANSPORT_HTMLFILE || transport == TRANSPORT_JSONP;
	struct receiver receiver = { .conn = x->conn, .transport = transport };
	struct exchange without_null = *x;
	struct http_request r = *x->r;
	char data[WEB_FIELDS];
	struct text fields;
	const char *wrong;

	text_init(&fields, data, sizeof data);
	/* sockjs-node treats this Origin like none for an EventSource. */
	if (transport == TRANSPORT_EVENTSOURCE && span_is(r.origin, "null"))
		r.origin = (struct span){ 0 };
	without_null.r = &r;
	put_fields(&fields, &without_null, !with_callback);
	if (with_callback && (wrong = read_callback(r.query, &receiver)) != NULL) {
		answer(x->conn, 500, plain, &fields, wrong);
		return;
	}
	if (transport == TRANSPORT_JSONP)
		text_string(&fields, "X-Content-Type-Options: nosniff\r\n");
	if (sockjs_frame_is_stream(transport))
		text_string(&fields, "X-Accel-Buffering: no\r\n");
	if (!receiver_attach(x->service, x->id, &receiver,
			     (struct span){ fields.data, fields.length }, r.query))
		answer(x->conn, 503, plain, &fields, "Too many sessions");
}

/*
 * Finds the payload of a jsonp_send: the whole body if its type is text/plain or missing;
 * in a form the field `d`, which is decoded in place.  Returns false for other types, or
 * without `d`.
 */
static bool
read_form(const struct exchange *x, struct span *payload)
{
	struct span rest = x->r->content_type, type = http_trim(http_take(&rest, ';'));

	*payload = x->body;
	if (type.length == 0 || span_is_nocase(type, "text/plain"))
		return true;
	*payload = http_parameter(x->body, "d");
	if (payload->data == NULL ||
	    !span_is_nocase(type, "application/x-www-form-urlencoded"))
		return false;
	payload->length = http_unescape(*payload, (char *)payload->data, true);
	return true;
}

/* Moves the rest of a payload to the end of its body, as struct web_handler requires. */
static void
keep_rest(struct exchange *x, struct span rest)
{
	char *end = (char *)x->body.data + x->body.length;

	memmove(end - rest.length, rest.data, rest.length);
	x->rest = rest.length;
}

/*
 * Delivers a payload and answers its request.  An invalid payload is
 * answered with its error even if the session does not exist.  While messages wait for a
 * later turn, there is no answer.
 */
static void
accept_payload(struct exchange *x, const struct text *fields, struct span payload,
	       unsigned status, const char *body)
{
	uint32_t number = receiver_find(x->service, x->id);
	enum sockjs_payload checked = PAYLOAD_VALID;
	struct span single = { NULL, 0 }, rest;

	if (payload.length == 0) {
		answer(x->conn, 500, plain, fields, "Payload expected.");
	} else if (!x->again && (checked = sockjs_frame_check_payload(
				     (char *)payload.data, payload.length, &single)) ==
				    PAYLOAD_TOO_MANY) {
		session_close(number, WS_TOO_BIG, "too many messages");
		answer(x->conn, 413, plain, fields, "too many messages");
	} else if (checked != PAYLOAD_VALID) {
		answer(x->conn, 500, plain, fields,
		       checked == PAYLOAD_BROKEN ? "Broken JSON encoding."
						 : "Payload expected.");
	} else if (number == 0) {
		answer(x->conn, 404, plain, fields, "Not Found");
	} else if (!session_receive(number, x->conn, payload, single, &rest)) {
		answer(x->conn, 413, plain, fields, "message too big");
	} else if (rest.length > 0) {
		keep_rest(x, rest);
	} else {
		answer(x->conn, status, plain, fields, body);
	}
}

/* Answers a request that carries a payload from the client. */
static void
serve_sender(struct exchange *x, bool jsonp)
{
	uint32_t number = receiver_find(x->service, x->id);
	struct span payload = x->body;
	char data[WEB_FIELDS];
	struct text fields;

	text_init(&fields, data, sizeof data);
	put_fields(&fields, x, !jsonp);
	if (x->body.data == NULL) {
		report(REPORT_PACKET, client_name(x->conn), (struct span){ 0 });
		if (number != 0)
			session_close(number, WS_TOO_BIG, "message too big");
		answer(x->conn, 413, plain, &fields, "message too big");
		return;
	}
	if (jsonp && !x->again && !read_form(x, &payload))
		payload = (struct span){ "", 0 };
	accept_payload(x, &fields, payload, jsonp ? 200 : 204, jsonp ? "ok" : "");
}

static void
open_socket(const struct exchange *x, bool framed)
{
	size_t limit = framed ? session_payload(&sockjs.limits.session)
			      : sockjs.limits.session.message;

	if (x->service->no_websocket)
		not_found(x->conn);
	else if (websocket_upgrade(x->conn, x->r, !framed && x->service->binary, limit))
		session_open_socket(x->service, x->conn, framed, x->r->query);
}

/* The endpoints of a session. */
static const struct endpoint {
	const char *name;
	enum http_method method;
	bool options;		  /* OPTIONS is allowed too (CORS) */
	enum transport transport; /* of a WebSocket or receiver */
} endpoints[] = {
	{ "websocket", HTTP_GET, false, TRANSPORT_WEBSOCKET },
	{ "xhr", HTTP_POST, true, TRANSPORT_XHR },
	{ "xhr_streaming", HTTP_POST, true, TRANSPORT_XHR_STREAMING },
	{ "eventsource", HTTP_GET, false, TRANSPORT_EVENTSOURCE },
	{ "htmlfile", HTTP_GET, false, TRANSPORT_HTMLFILE },
	{ "jsonp", HTTP_GET, false, TRANSPORT_JSONP },
	{ "xhr_send", HTTP_POST, true, 0 },
	{ "jsonp_send", HTTP_POST, false, 0 },
};

static const struct endpoint *
find_endpoint(struct span name)
{
	for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
		if (span_is(name, endpoints[i].name))
			return &endpoints[i];
	return NULL;
}

/* SockJS allows neither an empty SERVER or SESSION nor a dot in them. */
static bool
is_id(struct span id)
{
	return id.length > 0 && memchr(id.data, '.', id.length) == NULL;
}

/* Serves /SERVER/SESSION/ENDPOINT. */
static void
serve_session(struct exchange *x, struct span path)
{
	http_take(&path, '/');
	struct span server = http_take(&path, '/');
	x->id = http_take(&path, '/');
	const struct endpoint *e = find_endpoint(path);

	if (e == NULL || !is_id(server) || !is_id(x->id) ||
	    x->id.length > RECEIVER_SESSION_ID)
		answer_unmatched(x->conn, x->r);
	else if (e->transport == TRANSPORT_WEBSOCKET && e->method == HTTP_GET)
		open_socket(x, true);
	else if (e->options && x->r->method == HTTP_OPTIONS)
		answer_options(x, "OPTIONS, POST");
	else if (x->r->method != e->method)
		web_not_allowed(x->conn, e->method == HTTP_GET ? "GET" : "POST");
	else if (span_is(path, "xhr_send") || span_is(path, "jsonp_send"))
		serve_sender(x, span_is(path, "jsonp_send"));
	else if (x->body.data == NULL)
		answer_text(x->conn, 413, "Content Too Large");
	else
		serve_receiver(x, e->transport);
}

/* Serves a path below the prefix, still escaped.  Ignores one slash at its end. */
static void
serve(struct exchange *x, struct span path)
{
	enum http_method method = x->r->method;
	bool root = path.length == 0 || span_is(path, "/");

	if (path.length > 0 && path.data[path.length - 1] == '/')
		path.length--;
	if (root || (*sockjs.limits.script != '\0' && is_iframe(path))) {
		if (method != HTTP_GET)
			web_not_allowed(x->conn, "GET");
		else if (!root)
			answer_iframe(x);
		else if (!websocket_misplaced(x->conn, x->r, x->service->prefix))
			answer_text(x->conn, 200, "Welcome to SockJS!\n");
	} else if (span_is(path, "/info")) {
		if (method == HTTP_GET)
			answer_info(x);
		else if (method == HTTP_OPTIONS)
			answer_options(x, "OPTIONS, GET");
		else
			web_not_allowed(x->conn, "GET");
	} else if (span_is(path, "/websocket")) {
		open_socket(x, false);
	} else {
		serve_session(x, path);
	}
}

/* Returns the service with the longest matching prefix, or NULL; `rest` is the path below
 * the prefix. */
static const struct service *
find_service(struct span path, struct span *rest)
{
	const struct service *best = NULL;
	size_t longest = 0;

	for (size_t i = 0; i < sockjs.service_count; i++) {
		const struct service *s = &sockjs.services[i];
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

static void
put_public(struct text *t, struct span path)
{
	enum { MAX = 100 };
	size_t length = text_public_length(path);

	text_escaped(t, path.data, path.length, length < MAX ? length : MAX);
}

/*
 * Puts the path of a request.  Except at level trace, a hash replaces the id of a
 * session: a client that knows the id can take over the session.
 */
static void
put_path(struct text *t, struct span path, struct span below)
{
	http_take(&below, '/');
	http_take(&below, '/');
	struct span id = http_take(&below, '/');
	if (below.length == 0 || id.length == 0 || log_wants(LEVEL_TRACE)) {
		put_public(t, path);
		return;
	}
	put_public(t, (struct span){ path.data, (size_t)(id.data - path.data) });
	text_hashed(t, sockjs.limits.session.key, id);
	text_char(t, '/');
	put_public(t, below);
}

static void
log_request(uint32_t conn, const struct http_request *r, struct span below)
{
	struct text *t = log_begin(LEVEL_DEBUG, client_name(conn));

	if (t == NULL)
		return;
	text_string(t, "requests ");
	put_path(t, r->path, below);
	log_end();
}

static size_t
wants(const struct http_request *r)
{
	struct span rest;

	if (find_service(r->path, &rest) == NULL ||
	    !origin_allowed(sockjs.limits.origins, r->origin))
		return 0;
	return session_payload(&sockjs.limits.session);
}

static size_t
request(uint32_t conn, const struct http_request *r, struct span body, bool again)
{
	struct exchange x = { .conn = conn, .r = r, .body = body, .again = again };
	struct span rest = { "", 0 };

	x.service = find_service(r->path, &rest);
	if (!again)
		log_request(conn, r, rest);
	if (x.service == NULL && sockjs.limits.shared != NULL &&
	    sockjs.limits.shared(conn, r))
		return 0;
	if (!origin_allowed(sockjs.limits.origins, r->origin)) {
		report(REPORT_ORIGIN, client_name(conn), r->origin);
		answer_text(conn, 403, "Origin not allowed");
	} else if (x.service != NULL) {
		serve(&x, rest);
	} else {
		answer_unmatched(conn, r);
	}
	return x.rest;
}

static const struct web_handler web_handler = {
	.wants = wants,
	.request = request,
	.stopping = session_stopping,
	.closed = session_closed,
	.second = receiver_second,
	.settle = session_settle,
	.upgraded = &websocket_conn_handler,
};

static const struct websocket_handler websocket_handler = {
	.message = session_message,
	.heartbeat = session_heartbeat,
	.silent = session_silent,
	.stopping = session_stopping,
	.closed = session_closed,
};

void
sockjs_place(struct memory *m, const struct sockjs_limits *limits,
	     const struct service *services, size_t count)
{
	const struct web_limits web = { limits->session.connections,
					limits->session.message,
					limits->session.heartbeat, limits->handshake };

	sockjs.limits = *limits;
	sockjs.services = services;
	sockjs.service_count = count;
	web_place(m, &web, &web_handler);
	websocket_start(&websocket_handler, limits->session.heartbeat);
	session_place(m, &limits->session);
}
