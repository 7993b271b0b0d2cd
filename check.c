#include "check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void
put_user(struct text *t, const struct conf *c)
{
	if (geteuid() != 0 || *c->user == '\0')
		return;
	text_string(t, " as ");
	text_string(t, c->user);
}

int
check_access(const struct conf *c, const char *file, enum sandbox_access access)
{
	uint32_t user, group, groups[CONF_GROUPS_MAX];

	if (geteuid() != 0 || *c->user == '\0' || !conf_find_user(c->user, &user, &group))
		return sandbox_can(file, access) ? 0 : errno;
	size_t count = conf_find_groups(c->user, group, groups);
	if (count > CONF_GROUPS_MAX)
		count = CONF_GROUPS_MAX;
	return sandbox_can_as(file, access, user, group, groups, count);
}

/*
 * Listening
 */

void
check_address(const struct socket_address *address)
{
	struct socket_address any_port = *address;
	struct text *t;

	any_port.port = 0;
	if (socket_try(&any_port) != EADDRNOTAVAIL ||
	    (t = log_begin(LEVEL_INFO, (struct span){ 0 })) == NULL)
		return;
	text_string(t, "no interface has the address ");
	text_host(t, address->bytes, address->length);
	text_string(t, " yet: no client can connect to it (Host)");
	log_end();
}

static void
check_port(const struct conf *c)
{
	static const struct socket_address any = { .length = 4 };
	struct socket_address address = any;
	struct text *t;

	if (*c->host != '\0')
		socket_read_address((struct span){ c->host, strlen(c->host) }, &address);
	check_address(&address);
	address.port = (uint16_t)c->port;
	int error = socket_try(&address);
	if (error == 0 || error == EADDRINUSE || error == EADDRNOTAVAIL ||
	    (t = log_begin(LEVEL_WARN, (struct span){ 0 })) == NULL)
		return;
	text_string(t, "cannot listen on ");
	text_host(t, address.bytes, address.length);
	text_char(t, ':');
	text_number(t, address.port);
	text_string(t, " (Host, Port): ");
	text_string(t, text_error(error));
	log_end();
}

/*
 * Log
 */

/* Replaces a path with its directory. */
static void
to_directory(char *path)
{
	char *slash = strrchr(path, '/');

	if (slash == NULL)
		strcpy(path, ".");
	else
		slash[slash == path] = '\0';
}

/*
 * Tries whether a missing file can be created.  `directory` is the file's; it becomes the
 * nearest directory that exists.  Root creates the file for User if only root can write
 * that directory (logfile.h).  Returns 0 or the errno of the failure.
 */
static int
try_creating(const struct conf *c, char *directory)
{
	struct stat st;

	while (stat(directory, &st) < 0) {
		if (errno != ENOENT || strcmp(directory, ".") == 0)
			return errno;
		to_directory(directory);
	}
	if (geteuid() == 0 && st.st_uid == 0 && (st.st_mode & S_IWOTH) == 0)
		return sandbox_can(directory, SANDBOX_CREATE) ? 0 : errno;
	return check_access(c, directory, SANDBOX_CREATE);
}

static void
log_failure(const struct conf *c, const char *what, int error)
{
	struct text *t = log_begin(LEVEL_WARN, (struct span){ 0 });

	if (t == NULL)
		return;
	text_string(t, "Log ");
	text_string(t, c->log);
	text_string(t, what);
	put_user(t, c);
	text_string(t, ": ");
	text_string(t, text_error(error));
	log_end();
}

/* Returns true if Log is a link and the server stays root, which follows none
 * (logfile.h). */
static bool
is_refused_link(const struct conf *c)
{
	uint32_t user, group;
	struct stat st;

	return geteuid() == 0 && (!conf_find_user(c->user, &user, &group) || user == 0) &&
	       lstat(c->log, &st) == 0 && S_ISLNK(st.st_mode);
}

static void
check_log(const struct conf *c)
{
	char directory[LOG_PATH_MAX + 1];
	struct stat st;

	if (*c->log == '\0' || strcmp(c->log, "-") == 0 || strcmp(c->log, "syslog") == 0)
		return;
	strcpy(directory, c->log);
	to_directory(directory);
	bool has_directory = stat(directory, &st) == 0;
	bool is_refused = is_refused_link(c);
	int error = is_refused ? ELOOP : check_access(c, c->log, SANDBOX_APPEND);
	if (error == ENOENT)
		error = try_creating(c, directory);
	if (error != 0) {
		log_failure(c,
			    is_refused ? " cannot be opened (root follows no link)"
				       : " cannot be opened",
			    error);
		return;
	}
	/* The server creates a missing directory, which then belongs to User. */
	if (c->log_size == 0 || !has_directory ||
	    (stat(c->log, &st) == 0 && !S_ISREG(st.st_mode)))
		return;
	error = check_access(c, directory, SANDBOX_CREATE);
	if (error != 0)
		log_failure(c, " cannot be moved aside (LogSize), so it will be emptied",
			    error);
}

/*
 * Settings
 */

static void
log_setting(bool applies, const char *message)
{
	if (applies)
		log_line(LEVEL_INFO, (struct span){ 0 }, message);
}

/* Logs that Prefix hides one of the server's own URLs: the service answers there. */
static void
check_prefix(const char *prefix)
{
	static const char *const urls[] = { "/ice", "/health", "/metrics", "/ca.crt",
					    "/videre.js" };
	struct text *t;

	for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
		if (strcmp(prefix, urls[i]) != 0 ||
		    (t = log_begin(LEVEL_INFO, (struct span){ 0 })) == NULL)
			continue;
		text_string(t, "no ");
		text_string(t, prefix);
		text_string(t, " of this server: the service is there (Prefix)");
		log_end();
	}
}

void
check_settings(const struct conf *c)
{
	enum { SILENT_S = 60 };

	log_setting(c->page && !HAVE_PAGE, "no page: this build has none (Page)");
	log_setting(
	    c->page && HAVE_PAGE && *c->prefix == '\0',
	    "no page: the service is at / (Prefix), where the page would be (Page)");
	check_prefix(c->prefix);
	log_setting(
	    *c->turn_secret != '\0' && *c->tokens == '\0',
	    "every client that can reach /ice gets TURN credentials (TurnSecret): "
	    "Tokens is not set");
	log_setting(c->tls && strncmp(c->sockjs, "http:", 5) == 0,
		    "browsers block a script of http: in a page of https: (SockJS)");
	log_setting(c->heartbeat > SILENT_S,
		    "proxies and NAT often drop connections that are silent for a minute "
		    "(Heartbeat)");
}

void
check_start(const struct conf *c)
{
	uint32_t user, group;

	check_settings(c);
	log_setting(c->log_level < LEVEL_INFO,
		    "the log will not have what this server reports at level info "
		    "(LogLevel)");
	if (geteuid() != 0 && *c->user != '\0' &&
	    conf_find_user(c->user, &user, &group) && user != geteuid())
		log_line(LEVEL_WARN, (struct span){ 0 },
			 "cannot change to the configured User: only root can");
	check_port(c);
	check_log(c);
}
