#include "redirect.h"

#include <string.h>

/* Can the bytes be the start of a request with this method, which ends with a space? */
static bool
can_be(const char *data, size_t length, const char *method)
{
	size_t size = strlen(method);

	return memcmp(data, method, length < size ? length : size) == 0;
}

/* http_parse has checked host and target, but accepts an empty host, and "*". */
static bool
has_url(const struct http_request *r)
{
	return r->host.length > 0 && *r->path.data == '/';
}

/*
 * Without no-store, browsers would keep the redirection without limit (RFC 9110 section
 * 15.4.2), also after TLS is turned off again.
 */
static void
put_redirection(struct text *t, const struct http_request *r)
{
	text_string(t, "HTTP/1.1 301 Moved Permanently\r\n"
		       "Location: https://");
	text_span(t, r->host);
	text_span(t, r->path);
	text_string(t, r->query.length > 0 ? "?" : "");
	text_span(t, r->query);
	text_string(t, "\r\n"
		       "Cache-Control: no-store\r\n"
		       "Content-Length: 0\r\n"
		       "Connection: close\r\n"
		       "\r\n");
	text_char(t, '\0');
}

const char *
redirect_answer(const char *data, size_t length, size_t scanned)
{
	static char answer[HTTP_HEAD_SIZE + 256];
	struct http_request r;
	struct text t;
	long head = HTTP_BAD;

	if (can_be(data, length, "GET ") || can_be(data, length, "HEAD "))
		head = http_scan(data, length, &scanned);
	if (head == HTTP_MORE && length <= HTTP_HEAD_SIZE)
		return NULL;
	if (head < 0 || head > HTTP_HEAD_SIZE ||
	    http_parse(data, (size_t)head, &r) != 0 || !has_url(&r))
		return "HTTP/1.1 400 Bad Request\r\n"
		       "Content-Type: text/plain; charset=UTF-8\r\n"
		       "Content-Length: 36\r\n"
		       "Connection: close\r\n"
		       "\r\n"
		       "This port speaks TLS: use https: URL";
	text_init(&t, answer, sizeof answer);
	put_redirection(&t, &r);
	return answer;
}
