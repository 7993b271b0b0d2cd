#define _GNU_SOURCE /* SOCK_CLOEXEC and SOCK_NONBLOCK in socket() */
#include "log.h"
#include "lograte.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
	LINE = 1024,
	GATHERED = 16 * LINE,
	SYSLOG_DAEMON = 3 << 3,
	SYSLOG_HEAD = 32 /* bytes, at most */
};

const char *const log_levels[] = { "error", "warn", "info", "debug", "trace", NULL };

static struct {
	const char *target;
	enum log_level level;
	int fd;	     /* the syslog socket, -1 if there is none */
	bool failed; /* syslog, reported on stderr */
	bool file, syslog;
	bool held;    /* nothing is open yet: lines wait */
	time_t tried; /* when syslog was last looked for */
	enum log_level line_level;
	bool charged;	     /* the line in progress, to the rates */
	size_t line_message; /* where the line goes on behind its time */
	struct text line;
	struct text gathered, console;
	char line_data[LINE], gathered_data[GATHERED], console_data[4 * LINE];
} to;

static void
put_time(struct text *t)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	text_iso_time(t, now.tv_sec > 0 ? (uint64_t)now.tv_sec : 0);
	text_char(t, '.');
	text_padded(t, (uint32_t)now.tv_nsec / 1000000, 3);
	text_char(t, 'Z');
}

/*
 * What stderr is cannot be known, and it must not hold the service up: a pipe that poll
 * finds writable takes PIPE_BUF bytes without waiting.
 */
static void
write_console(const char *data, size_t length)
{
	while (length > 0) {
		struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };
		size_t piece = length < _POSIX_PIPE_BUF ? length : _POSIX_PIPE_BUF;
		int ready = poll(&fd, 1, 0);
		if (ready < 0 && errno == EINTR)
			continue;
		if (ready != 1 || (fd.revents & POLLOUT) == 0)
			return;
		ssize_t n = write(STDERR_FILENO, data, piece);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		data += n;
		length -= (size_t)n;
	}
}

static void
flush_console(void)
{
	write_console(to.console.data, to.console.length);
	to.console.length = 0;
}

/* Reports a failure of the log on stderr, with errno as its reason if that is not 0. */
static void
complain(const char *what)
{
	int error = errno;
	char data[LINE + LOG_PATH];
	struct text t;
	text_init(&t, data, sizeof data);
	put_time(&t);
	text_string(&t, " warn - the log ");
	text_string(&t, to.target);
	text_string(&t, what);
	if (error != 0)
		text_string(&t, text_error(error));
	text_char(&t, '\n');
	flush_console();
	write_console(t.data, t.length);
}

/* Constant, so that the system call filter can tell it by its place. */
static const struct sockaddr_un syslog_address = { .sun_family = AF_UNIX,
						   .sun_path = "/dev/log" };

const void *
log_syslog_address(void)
{
	return &syslog_address;
}

static void
complain_once(const char *what)
{
	if (!to.failed)
		complain(what);
	to.failed = true;
}

static void
open_syslog(void)
{
	struct timespec now;

	/* syslogd may start later than the server: tried once a second. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (to.tried == now.tv_sec + 1)
		return;
	to.tried = now.tv_sec + 1;
	to.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (to.fd < 0)
		complain_once(" (/dev/log) cannot be reached: ");
}

static void flush(void);

void
log_set(const char *target, enum log_level level, size_t most)
{
	if (to.target == NULL)
		to.fd = -1; /* nothing is open yet */
	text_init(&to.gathered, to.gathered_data, sizeof to.gathered_data);
	text_init(&to.console, to.console_data, sizeof to.console_data);
	to.target = target;
	to.level = level;
	to.syslog = strcmp(target, "syslog") == 0;
	to.file = !to.syslog && strcmp(target, "") != 0 && strcmp(target, "-") != 0;
	to.held = true;
	logfile_set(target, most, complain);
}

void
log_seed(const uint32_t key[2])
{
	lograte_start(key);
}

void
log_open(const char *target, enum log_level level, size_t most)
{
	log_set(target, level, most);
	log_reopen();
}

void
log_make(uint32_t user, uint32_t group)
{
	if (to.file)
		logfile_make(user, group);
}

void
log_reopen(void)
{
	if (!to.held)
		flush();
	if (to.fd >= 0)
		close(to.fd);
	to.fd = -1;
	to.failed = false;
	to.held = false;
	to.tried = 0;
	if (to.file)
		logfile_reopen(&to.gathered);
	else if (to.syslog)
		open_syslog();
}

bool
log_wants(enum log_level level)
{
	/* Without a target of its own only stderr is left. */
	bool elsewhere = to.file || to.syslog || strcmp(to.target, "-") == 0;

	return level <= to.level && (elsewhere || level <= LEVEL_INFO);
}

struct text *
log_begin(enum log_level level, struct span peer)
{
	if (!log_wants(level))
		return NULL;
	to.charged = peer.length > 0 && to.level < LEVEL_TRACE;
	if (to.charged && !lograte_charge(peer, level, LINE))
		return NULL;
	to.line_level = level;
	text_init(&to.line, to.line_data, sizeof to.line_data - 1);
	put_time(&to.line);
	text_char(&to.line, ' ');
	to.line_message = to.line.length;
	text_string(&to.line, log_levels[level]);
	text_char(&to.line, ' ');
	if (peer.length > 0)
		text_span(&to.line, peer);
	else
		text_char(&to.line, '-');
	text_char(&to.line, ' ');
	return &to.line;
}

static void
gather(struct text *into, void (*empty)(void))
{
	if (into->size - into->length < to.line.length)
		empty();
	if (into->size - into->length >= to.line.length)
		text_put(into, to.line.data, to.line.length);
	else
		lograte_discard(SLOW_STORAGE, to.line_level);
}

/* As RFC 3164 has it, but for the time, which syslogd knows. */
static void
gather_datagram(void)
{
	static const char severity[] = { 3, 4, 6, 7, 7 };

	if (to.gathered.size - to.gathered.length < LINE + SYSLOG_HEAD)
		flush();
	if (to.gathered.size - to.gathered.length < LINE + SYSLOG_HEAD)
		return;
	text_char(&to.gathered, '<');
	text_number(&to.gathered, (uint64_t)(SYSLOG_DAEMON | severity[to.line_level]));
	text_string(&to.gathered, ">videre[");
	text_number(&to.gathered, (uint64_t)getpid());
	text_string(&to.gathered, "]: ");
	text_put(&to.gathered, to.line.data + to.line_message,
		 to.line.length - to.line_message);
}

void
log_end(void)
{
	bool console_only = !to.file && !to.syslog;

	to.line.data[to.line.length++] = '\n';
	if (to.charged)
		lograte_settle((uint32_t)to.line.length);
	if (to.line_level <= LEVEL_INFO || console_only)
		gather(&to.console, flush_console);
	if (to.syslog)
		gather_datagram();
	else if (to.file)
		gather(&to.gathered, flush);
}

void
log_line(enum log_level level, struct span peer, const char *message)
{
	struct text *t = log_begin(level, peer);

	if (t == NULL)
		return;
	text_string(t, message);
	log_end();
}

/* False if there is no syslogd; one that does not keep up misses lines. */
static bool
send_syslog(const char *line, size_t length)
{
	if (sendto(to.fd, line, length, MSG_NOSIGNAL,
		   (const struct sockaddr *)&syslog_address,
		   sizeof syslog_address) >= 0 ||
	    errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return true;
	complain_once(" (/dev/log) cannot be reached: ");
	return false;
}

/* A datagram a line, without its line feed. */
static void
write_syslog(void)
{
	const char *line = to.gathered.data, *end = line + to.gathered.length;

	if (to.fd < 0)
		open_syslog();
	while (line < end && to.fd >= 0) {
		size_t length =
		    (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) -
			     line);
		if (!send_syslog(line, length)) {
			/* Started anew, it has another socket of that name. */
			close(to.fd);
			to.fd = -1;
			open_syslog();
			if (to.fd >= 0 && !send_syslog(line, length))
				complain_once(" (/dev/log) cannot be written: ");
		}
		line += length + 1;
	}
}

static void
report_discarded(void)
{
	for (unsigned reason = 0; reason < LOGRATE_REASONS; reason++) {
		struct lograte_discarded discarded =
		    lograte_take_discarded((enum lograte_reason)reason);
		if (discarded.lines == 0)
			continue;
		struct text *t =
		    log_begin((enum log_level)discarded.level, (struct span){ 0 });
		if (t == NULL)
			continue;
		text_number(t, discarded.lines);
		text_string(t, " lines discarded: ");
		lograte_put_reason(t, (enum lograte_reason)reason);
		log_end();
	}
}

/* Writes what is gathered, as far as the target takes it without waiting. */
static void
flush(void)
{
	if (to.console.length > 0)
		flush_console();
	if (to.gathered.length == 0 || to.held)
		return;
	if (to.syslog) {
		write_syslog();
		to.gathered.length = 0;
	} else {
		logfile_write(&to.gathered);
	}
}

void
log_flush(void)
{
	flush();
	if (to.gathered.length > 0 || !lograte_report_due())
		return;
	report_discarded();
	flush();
}

bool
log_pending(void)
{
	return lograte_has_discarded() || to.gathered.length > 0;
}

void
log_detach(bool (*confine)(void))
{
	if (!to.file || !logfile_detach())
		return;
	/* The lines so far are the server's to write. */
	to.console.length = 0;
	to.gathered.length = 0;
	if (confine != NULL)
		confine();
	logfile_serve(&to.gathered);
}

void
log_close(void)
{
	flush();
	report_discarded();
	flush();
	if (to.file)
		logfile_finish(&to.gathered);
}
