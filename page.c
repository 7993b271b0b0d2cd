#include "page.h"

#include "conf.h" /* HAVE_PAGE */
#include "tls.h"
#include "web.h"

bool
page_answer_authority(uint32_t conn, const struct http_request *r)
{
	static const char fields[] = "Cache-Control: no-cache\r\n";
	struct web_answer a = { .status = 200,
				.type = "application/x-x509-ca-cert",
				.fields = { fields, sizeof fields - 1 } };

	if (!span_is(r->path, "/ca.crt") || !tls_authority(&a.body))
		return false;
	if (r->method != HTTP_GET && r->method != HTTP_HEAD)
		web_not_allowed(conn, "GET, HEAD");
	else
		web_answer(conn, &a);
	return true;
}

#if HAVE_PAGE
#include "page_data.h" /* generated from index.html and videre.js by the Makefile */

static const char common[] = "Vary: Accept-Encoding\r\n"
			     "Cache-Control: no-cache\r\n"
			     "X-Content-Type-Options: nosniff\r\n";

/*
 * The page connects to its own server only.  The policy still allows all of ws: and wss:,
 * because in some browsers 'self' does not include WebSocket.  Scripts are the page's
 * own, by its hash, and files of the server: the module.  Text from a peer is never
 * markup, for which Trusted Types stand in, so it cannot run as a script.
 */
static const char policy[] =
    "Content-Security-Policy: default-src 'none'; img-src data:; "
    "connect-src 'self' ws: wss:; "
    "script-src 'self' 'sha256-" PAGE_SCRIPT "'; "
    "style-src 'sha256-" PAGE_STYLE "'; "
    "require-trusted-types-for 'script'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

/* Pages of all origins can use the module, and read its Link to the service. */
static const char sharing[] = "Access-Control-Allow-Origin: *\r\n"
			      "Access-Control-Expose-Headers: Link\r\n"
			      "Cross-Origin-Resource-Policy: cross-origin\r\n";

static const struct file {
	const char *path;
	const char *type;
	const char *fields;
	const char *tag;
	struct span data; /* compressed with gzip */
} files[] = {
	{ "/",
	  "text/html; charset=UTF-8",
	  policy,
	  PAGE_TAG,
	  { (const char *)page_data, sizeof page_data } },
	{ "/videre.js",
	  "text/javascript; charset=UTF-8",
	  sharing,
	  MODULE_TAG,
	  { (const char *)module_data, sizeof module_data } },
};

/*
 * Adds a Link to the service and one to the authority, unless they do not fit.  They are
 * relative to the page, since a proxy may serve the page at another path.
 */
static void
put_links(struct text *t, const char *prefix)
{
	size_t length = t->length;
	struct span der;

	text_string(t, "Link: <.");
	text_string(t, prefix);
	text_string(t, "/websocket>; rel=\"service\"\r\n");
	if (tls_authority(&der))
		text_string(t, "Link: <./ca.crt>; rel=\"up\"\r\n");
	if (t->overflow)
		t->length = length;
}

static void
answer_file(uint32_t conn, const struct http_request *r, const struct file *f,
	    const char *prefix)
{
	static const char text[] =
	    "This file is available with the content coding gzip only.\n";
	struct web_answer a = { .status = 406,
				.type = "text/plain; charset=UTF-8",
				.body = { text, sizeof text - 1 } };
	char data[WEB_FIELDS];
	struct text fields;

	text_init(&fields, data, sizeof data);
	text_string(&fields, common);
	text_string(&fields, f->fields);
	if (http_accepts(r->accept_encoding, "gzip")) {
		bool unchanged = http_has_tag(r->if_none_match, f->tag);
		a.status = unchanged ? 304 : 200;
		a.type = unchanged ? NULL : f->type;
		a.body = f->data;
		text_string(&fields, "ETag: ");
		text_string(&fields, f->tag);
		text_string(&fields,
			    unchanged ? "\r\n" : "\r\nContent-Encoding: gzip\r\n");
	}
	put_links(&fields, prefix);
	a.fields = (struct span){ fields.data, fields.length };
	web_answer(conn, &a);
}

bool
page_answer(uint32_t conn, const struct http_request *r, const char *prefix)
{
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		if (!span_is(r->path, files[i].path))
			continue;
		if (r->method != HTTP_GET && r->method != HTTP_HEAD)
			web_not_allowed(conn, "GET, HEAD");
		else
			answer_file(conn, r, &files[i], prefix);
		return true;
	}
	return false;
}

#else

bool
page_answer(uint32_t conn, const struct http_request *r, const char *prefix)
{
	(void)conn;
	(void)r;
	(void)prefix;
	return false;
}

#endif
