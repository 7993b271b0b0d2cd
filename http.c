#include "http.h"

#include <string.h>

/*
 * Maximum size of chunk lines and trailers between two pieces of content, in bytes.  The
 * server ignores chunk extensions and trailers; only an attack needs more.
 */
enum { CHUNK_OVERHEAD = 4096 };

long
http_scan(const char *data, size_t length, size_t *scanned)
{
	size_t i = *scanned;

	/* CR and LF occur only as CR LF.  A CR without its LF is detected at the byte
	 * after it. */
	for (; i < length; i++) {
		char c = data[i];
		bool after_return = i > 0 && data[i - 1] == '\r';
		if (c == '\0' || (c == '\n') != after_return)
			return HTTP_BAD;
		if (c == '\n' && i >= 3 && data[i - 2] == '\n') {
			*scanned = i + 1;
			return (long)(i + 1);
		}
	}
	*scanned = i;
	return HTTP_MORE;
}

size_t
http_blank(const char *data, size_t length)
{
	size_t n = 0;

	while (length - n >= 2 && data[n] == '\r' && data[n + 1] == '\n')
		n += 2;
	return n;
}

static bool
is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

int
http_hex_digit(char c)
{
	return c >= '0' && c <= '9'			? c - '0'
	       : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10
							: -1;
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(char c)
{
	return is_alphanumeric(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool
all_token(struct span s)
{
	for (size_t i = 0; i < s.length; i++)
		if (!is_token(s.data[i]))
			return false;
	return s.length > 0;
}

/* HTAB, SP, VCHAR and obs-text, as in field values (RFC 9110 section 5.5). */
static bool
is_text(char c)
{
	return c == '\t' || (c & 0x80) != 0 || (c >= ' ' && c != 0x7f);
}

struct span
http_take(struct span *rest, char separator)
{
	if (rest->length == 0)
		return *rest;
	const char *found = memchr(rest->data, separator, rest->length);
	struct span taken = { rest->data, found != NULL ? (size_t)(found - rest->data)
							: rest->length };
	size_t used = taken.length + (found != NULL);

	rest->data += used;
	rest->length -= used;
	return taken;
}

struct span
http_trim(struct span s)
{
	while (s.length > 0 && (*s.data == ' ' || *s.data == '\t')) {
		s.data++;
		s.length--;
	}
	while (s.length > 0 &&
	       (s.data[s.length - 1] == ' ' || s.data[s.length - 1] == '\t'))
		s.length--;
	return s;
}

/* Returns true if a comma-separated list contains a token, ignoring case. */
static bool
has_token(struct span list, const char *token)
{
	while (list.length > 0)
		if (span_is_nocase(http_trim(http_take(&list, ',')), token))
			return true;
	return false;
}

static bool
starts(struct span s, const char *prefix)
{
	size_t length = strlen(prefix);

	return s.length >= length &&
	       span_is_nocase((struct span){ s.data, length }, prefix);
}

/*
 * Splits "HOST", "HOST:PORT", "[HOST]" or "[HOST]:PORT".  The host of several colons
 * without brackets is the text before the first one.  Returns false if a bracket is not
 * closed, or not followed by the end or a colon.
 */
static bool
split_host(struct span text, struct span *host, struct span *port)
{
	bool in_brackets = text.length > 0 && *text.data == '[';

	*port = text;
	if (!in_brackets) {
		*host = http_take(port, ':');
		return true;
	}
	http_take(port, '[');
	*host = http_take(port, ']');
	return port->data[-1] == ']' && http_take(port, ':').length == 0;
}

/* The port may be empty (RFC 3986 section 3.2.3). */
static bool
valid_port(struct span port)
{
	uint64_t number;

	return port.length == 0 || text_to_number(port, UINT16_MAX, &number);
}

/* reg-name or IPv4address (RFC 3986 section 3.2.2).  A comma would be a list. */
static bool
valid_name(struct span name)
{
	for (size_t i = 0; i < name.length; i++) {
		char c = name.data[i];
		if (is_alphanumeric(c) ||
		    (c != '\0' && strchr("-._~!$&'()*+;=", c) != NULL))
			continue;
		if (c != '%' || name.length - i < 3 ||
		    http_hex_digit(name.data[i + 1]) < 0 ||
		    http_hex_digit(name.data[i + 2]) < 0)
			return false;
		i += 2;
	}
	return name.length > 0;
}

/* Accepts a host with an optional port (RFC 3986 section 3.2), without user information,
 * or an empty text. */
static bool
valid_host(struct span text)
{
	struct socket_address address;
	struct span host, port;

	if (text.length == 0)
		return true;
	if (!split_host(text, &host, &port) || !valid_port(port))
		return false;
	if (*text.data != '[')
		return valid_name(host);
	return memchr(host.data, ':', host.length) != NULL &&
	       socket_read_address(host, &address);
}

/* Accepts the origin, absolute and asterisk forms (section 3.2), of characters that a URI
 * may have (RFC 3986 appendix A). */
static bool
parse_target(struct span target, struct http_request *r)
{
	for (size_t i = 0; i < target.length; i++) {
		unsigned char c = (unsigned char)target.data[i];
		if (c <= ' ' || c >= 0x7f || strchr("\"#<>\\^`{|}", c) != NULL)
			return false;
	}
	if (starts(target, "http://") || starts(target, "https://")) {
		http_take(&target, '/');
		http_take(&target, '/');
		size_t authority = 0;
		while (authority < target.length &&
		       strchr("/?", target.data[authority]) == NULL)
			authority++;
		/* The Host field is then ignored (section 3.2.2). */
		r->target_host = (struct span){ target.data, authority };
		target.data += authority;
		target.length -= authority;
		if (authority == 0 || !valid_host(r->target_host))
			return false;
		if (target.length == 0 || *target.data == '?') {
			r->path = (struct span){ "/", 1 };
			http_take(&target, '?');
			r->query = target;
			return true;
		}
	}
	if (target.length == 0 || (*target.data != '/' && !span_is(target, "*")))
		return false;
	r->path = http_take(&target, '?');
	r->query = target;
	return true;
}

/* Returns false for a method that is not known (RFC 9110 section 15.6.2). */
static bool
find_method(struct span name, enum http_method *method)
{
	static const struct {
		const char *name;
		enum http_method method;
	} methods[] = { { "GET", HTTP_GET },	 { "HEAD", HTTP_HEAD },
			{ "POST", HTTP_POST },	 { "OPTIONS", HTTP_OPTIONS },
			{ "PUT", HTTP_OTHER },	 { "DELETE", HTTP_OTHER },
			{ "PATCH", HTTP_OTHER }, { "TRACE", HTTP_OTHER } };

	for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
		if (span_is(name, methods[i].name)) {
			*method = methods[i].method;
			return true;
		}
	return false;
}

static unsigned
parse_line(struct span line, struct http_request *r)
{
	struct span method = http_take(&line, ' ');
	struct span target = http_take(&line, ' ');

	if (!all_token(method) || line.length != 8 ||
	    memcmp(line.data, "HTTP/", 5) != 0 || line.data[5] < '0' ||
	    line.data[5] > '9' || line.data[6] != '.' || line.data[7] < '0' ||
	    line.data[7] > '9')
		return 400;
	if (line.data[5] != '1')
		return 505;
	if (!find_method(method, &r->method))
		return 501;
	r->minor = line.data[7] != '0';
	r->keep_alive = r->minor == 1;
	return parse_target(target, r) ? 0 : 400;
}

/* Facts that parse_fields checks together after the last field. */
struct seen {
	unsigned hosts, lengths, encodings;
	bool close, keep_alive;
	bool unknown_coding;
};

/*
 * The length of the body is unknown unless the last transfer coding is chunked, and only
 * that one is (section 6.3).  Other codings are not implemented.
 */
static unsigned
parse_codings(struct span list, struct http_request *r, struct seen *seen)
{
	unsigned chunked = 0;
	bool last = false;

	seen->encodings++;
	r->chunked = true;
	seen->unknown_coding |= !span_is_nocase(list, "chunked");
	while (list.length > 0) {
		last = span_is_nocase(http_trim(http_take(&list, ',')), "chunked");
		chunked += last;
	}
	return last && chunked == 1 ? 0 : 400;
}

static unsigned
parse_field(struct span name, struct span value, struct http_request *r,
	    struct seen *seen)
{
	if (span_is_nocase(name, "Host")) {
		r->host = value;
		seen->hosts++;
		r->bad_host = !valid_host(value);
		return r->bad_host ? 400 : 0;
	}
	if (span_is_nocase(name, "Connection")) {
		seen->close |= has_token(value, "close");
		seen->keep_alive |= has_token(value, "keep-alive");
		r->upgrade |= has_token(value, "upgrade");
	} else if (span_is_nocase(name, "Upgrade")) {
		r->websocket |= has_token(value, "websocket");
	} else if (span_is_nocase(name, "Content-Length")) {
		seen->lengths++;
		return text_to_number(value, INT64_MAX, &r->length) ? 0 : 400;
	} else if (span_is_nocase(name, "Transfer-Encoding")) {
		return parse_codings(value, r, seen);
	} else if (span_is_nocase(name, "Expect")) {
		r->expect = span_is_nocase(value, "100-continue");
		return r->expect ? 0 : 417;
	} else if (span_is_nocase(name, "Origin")) {
		r->origin = value;
		return value.length <= HTTP_REPEATED_SIZE ? 0 : 431;
	} else if (span_is_nocase(name, "Authorization")) {
		r->authorization = value;
	} else if (span_is_nocase(name, "Content-Type")) {
		r->content_type = value;
	} else if (span_is_nocase(name, "Cookie")) {
		r->cookie = value;
	} else if (span_is_nocase(name, "Accept-Encoding")) {
		r->accept_encoding = value;
	} else if (span_is_nocase(name, "If-None-Match")) {
		r->if_none_match = value;
	} else if (span_is_nocase(name, "Access-Control-Request-Headers")) {
		r->cors_headers = value;
		return value.length <= HTTP_REPEATED_SIZE ? 0 : 431;
	} else if (span_is_nocase(name, "Sec-WebSocket-Key")) {
		/* More than one is invalid (RFC 6455 section 11.3.1): make it an empty
		 * key, which ws_handshake rejects. */
		r->websocket_key =
		    r->websocket_key.data == NULL ? value : (struct span){ "", 0 };
	} else if (span_is_nocase(name, "Sec-WebSocket-Version")) {
		r->websocket_version = value;
	}
	return 0;
}

static bool
valid_value(struct span value)
{
	for (size_t i = 0; i < value.length; i++)
		if (!is_text(value.data[i]))
			return false;
	return true;
}

static unsigned
parse_fields(struct span rest, struct http_request *r)
{
	struct seen seen = { 0 };

	for (;;) {
		struct span line = http_take(&rest, '\n');
		if (line.length <= 1)
			break;
		line.length--; /* its CR, which http_scan has checked */
		struct span value = line, name = http_take(&value, ':');
		/* This also rejects obs-fold (section 5.2): no name starts with white
		 * space. */
		if (name.length == line.length || !all_token(name) || !valid_value(value))
			return 400;
		unsigned status = parse_field(name, http_trim(value), r, &seen);
		if (status != 0)
			return status;
	}
	if (seen.hosts > 1 || (seen.hosts == 0 && r->minor == 1))
		return 400;
	/* Reject every ambiguity about the end of the body: it allows request smuggling
	 * (section 11.2). */
	if (seen.lengths > 1 || seen.encodings > 1 ||
	    (seen.encodings > 0 && seen.lengths > 0) ||
	    (seen.encodings > 0 && r->minor == 0))
		return 400;
	if (seen.unknown_coding)
		return 501;
	if (r->target_host.data != NULL)
		r->host = r->target_host;
	r->keep_alive = !seen.close && (r->keep_alive || seen.keep_alive);
	r->expect = r->expect && r->minor == 1;
	return 0;
}

unsigned
http_parse(const char *head, size_t length, struct http_request *r)
{
	struct span rest = { head, length };

	*r = (struct http_request){ 0 };
	struct span line = http_take(&rest, '\n');
	if (line.length == 0)
		return 400;
	line.length--;
	r->fields = rest;
	unsigned status = parse_line(line, r);
	return status != 0 ? status : parse_fields(rest, r);
}

bool
http_read_address(struct span hop, struct socket_address *address)
{
	struct span host, port;

	if (hop.length > 1 && *hop.data == '"' && hop.data[hop.length - 1] == '"')
		hop = (struct span){ hop.data + 1, hop.length - 2 };
	if (!split_host(hop, &host, &port))
		return false;
	if (memchr(port.data, ':', port.length) != NULL) {
		host = hop;
		port.length = 0;
	}
	return valid_port(port) && socket_read_address(host, address);
}

/*
 * Reads the list forwards.  Each hop at which the search from the end would stop replaces
 * the result so far.
 */
bool
http_forwarded(struct span fields, bool (*trusted)(const struct socket_address *),
	       struct socket_address *client)
{
	struct socket_address hop, last;
	bool known = false, any = false;

	while (fields.length > 0) {
		struct span list = http_take(&fields, '\n');
		if (!span_is_nocase(http_take(&list, ':'), "X-Forwarded-For"))
			continue;
		list.length--; /* its CR, which http_scan has checked */
		while (list.length > 0) {
			struct span item = http_trim(http_take(&list, ','));
			if (item.length == 0)
				continue; /* RFC 9110 section 5.6.1.2 */
			any = true;
			if (!http_read_address(item, &hop)) {
				known = false;
			} else if (!known || !trusted(&hop)) {
				last = hop;
				known = true;
			}
		}
	}
	if (known) {
		last.port = client->port;
		*client = last;
	}
	return known || !any;
}

enum chunk_state {
	CHUNK_SIZE,
	CHUNK_SIZE_SPACE,      /* before the semicolon of an extension */
	CHUNK_EXTENSION,       /* before its name */
	CHUNK_EXTENSION_NAME,  /* inside it */
	CHUNK_EXTENSION_SPACE, /* after it: before an equals sign or a semicolon */
	CHUNK_VALUE,	       /* before the value of an extension */
	CHUNK_VALUE_TOKEN,
	CHUNK_VALUE_QUOTED,
	CHUNK_VALUE_ESCAPED, /* after the backslash of a quoted-pair */
	CHUNK_VALUE_END,     /* after a quoted value */
	CHUNK_SIZE_END,	     /* at the LF of the size line */
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER,	     /* at the start of a line */
	CHUNK_TRAILER_NAME,  /* inside the name of a field */
	CHUNK_TRAILER_VALUE, /* after its colon */
	CHUNK_TRAILER_LF,
	CHUNK_LAST_LF
};

/*
 * Processes one byte of a chunk's extensions (section 7.1.1, RFC 9110 section 5.6.4) or
 * the first one after its size.  Returns the next state, or -1.
 */
static int
extension_byte(enum chunk_state state, char c)
{
	bool space = c == ' ' || c == '\t';

	switch (state) {
	case CHUNK_EXTENSION:
	case CHUNK_VALUE:
		if (c == '"' && state == CHUNK_VALUE)
			return CHUNK_VALUE_QUOTED;
		return space ? (int)state : is_token(c) ? (int)state + 1 : -1;
	case CHUNK_EXTENSION_NAME:
	case CHUNK_EXTENSION_SPACE:
		if (c == '=')
			return CHUNK_VALUE;
		if (space)
			return CHUNK_EXTENSION_SPACE;
		break;
	case CHUNK_VALUE_QUOTED:
		return c == '"'	    ? CHUNK_VALUE_END
		       : c == '\\'  ? CHUNK_VALUE_ESCAPED
		       : is_text(c) ? CHUNK_VALUE_QUOTED
				    : -1;
	case CHUNK_VALUE_ESCAPED: return is_text(c) ? CHUNK_VALUE_QUOTED : -1;
	default: break;
	}
	if (is_token(c) && (state == CHUNK_EXTENSION_NAME || state == CHUNK_VALUE_TOKEN))
		return (int)state;
	if (c == '\r' && state != CHUNK_SIZE_SPACE && state != CHUNK_EXTENSION_SPACE)
		return CHUNK_SIZE_END;
	return space ? CHUNK_SIZE_SPACE : c == ';' ? CHUNK_EXTENSION : -1;
}

/* Processes one byte that is not content.  Returns the next state, or -1. */
static int
chunk_byte(struct http_chunked *h, char c)
{
	enum chunk_state state = (enum chunk_state)h->state;
	int digit = http_hex_digit(c);

	switch (state) {
	case CHUNK_SIZE:
		if (digit >= 0 && h->digits < 15) {
			h->left = h->left << 4 | (unsigned)digit;
			h->digits++;
			return CHUNK_SIZE;
		}
		return h->digits == 0 || digit >= 0 ? -1 : extension_byte(state, c);
	case CHUNK_SIZE_END:
		h->digits = 0;
		return c != '\n' ? -1 : h->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
	case CHUNK_DATA_CR: return c == '\r' ? CHUNK_DATA_LF : -1;
	case CHUNK_DATA_LF: return c == '\n' ? CHUNK_SIZE : -1;
	case CHUNK_TRAILER:
		return c == '\r' ? CHUNK_LAST_LF : is_token(c) ? CHUNK_TRAILER_NAME : -1;
	case CHUNK_TRAILER_NAME:
		return c == ':' ? CHUNK_TRAILER_VALUE : is_token(c) ? (int)state : -1;
	case CHUNK_TRAILER_VALUE:
		return c == '\r' ? CHUNK_TRAILER_LF : is_text(c) ? (int)state : -1;
	case CHUNK_TRAILER_LF: return c == '\n' ? CHUNK_TRAILER : -1;
	case CHUNK_LAST_LF: return c == '\n' ? CHUNK_SIZE : -1;
	case CHUNK_DATA: return -1;
	default: return extension_byte(state, c);
	}
}

long
http_dechunk(struct http_chunked *h, char *data, size_t *length)
{
	size_t in = 0, out = 0, end = *length;

	while (in < end) {
		if (h->state == CHUNK_DATA) {
			size_t n = end - in;
			if (n > h->left)
				n = (size_t)h->left;
			memmove(data + out, data + in, n);
			in += n;
			out += n;
			h->left -= n;
			h->overhead = 0;
			if (h->left == 0)
				h->state = CHUNK_DATA_CR;
			continue;
		}
		bool last = h->state == CHUNK_LAST_LF;
		int next =
		    ++h->overhead > CHUNK_OVERHEAD ? -1 : chunk_byte(h, data[in++]);
		if (next < 0)
			return HTTP_BAD;
		h->state = (uint8_t)next;
		if (last) {
			*length = out;
			return (long)(end - in);
		}
	}
	*length = out;
	return HTTP_MORE;
}

const char *
http_reason(unsigned status)
{
	switch (status) {
	case 101: return "Switching Protocols";
	case 200: return "OK";
	case 204: return "No Content";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 406: return "Not Acceptable";
	case 408: return "Request Timeout";
	case 413: return "Content Too Large";
	case 414: return "URI Too Long";
	case 417: return "Expectation Failed";
	case 426: return "Upgrade Required";
	case 431: return "Request Header Fields Too Large";
	case 500: return "Internal Server Error";
	case 501: return "Not Implemented";
	case 503: return "Service Unavailable";
	case 505: return "HTTP Version Not Supported";
	}
	return "";
}
