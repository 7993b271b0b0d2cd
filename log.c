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
	LINE_SIZE = 1024, /* bytes, with the line feed */
	UNWRITTEN_SIZE = 16 * LINE_SIZE,
	CONSOLE_SIZE = 4 * LINE_SIZE,
	SYSLOG_DAEMON = 3 << 3, /* the facility */
	SYSLOG_HEADER_SIZE = 32 /* bytes: `<PRIORITY>videre[PID]: ` */
};

const char *const log_levels[] = { "error", "warn", "info", "debug", "trace", NULL };

static struct {
	const char *target;
	enum log_level level;
	bool to_file, to_syslog;
	bool deferred; /* lines wait for log_reopen, which opens the target */

	int syslog_fd;		 /* -1: not open */
	bool syslog_failed;	 /* reported on stderr */
	time_t syslog_next_open; /* monotonic seconds */

	/* The line in progress. */
	struct text line;
	enum log_level line_level;
	size_t line_level_at; /* offset of the level, after the time */
	bool line_charged;    /* to the rates of its address */

	struct text unwritten; /* lines for the file or for syslog */
	struct text console;   /* lines for stderr */
	char line_data[LINE_SIZE], unwritten_data[UNWRITTEN_SIZE],
	    console_data[CONSOLE_SIZE];
} logger;

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

#ifndef PIPE_BUF
#define PIPE_BUF _POSIX_PIPE_BUF
#endif

/*
 * Writes to stderr without blocking: if poll() reports a pipe as writable, PIPE_BUF bytes
 * fit.  On Linux that is all of `console`, so no line of another process comes in between
 * (pipe(7)).  O_NONBLOCK must not be set, because others share stderr.
 */
static void
write_console(const char *data, size_t length)
{
	while (length > 0) {
		struct pollfd fd = { .fd = STDERR_FILENO, .events = POLLOUT };
		size_t piece = length < PIPE_BUF ? length : PIPE_BUF;
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
	write_console(logger.console.data, logger.console.length);
	logger.console.length = 0;
}

/* Reports on stderr that the log failed.  Adds the reason in errno unless it is 0. */
static void
report_failure(const char *what)
{
	int error = errno;
	char data[LINE_SIZE + LOG_PATH_MAX];
	struct text t;
	text_init(&t, data, sizeof data);
	put_time(&t);
	text_string(&t, " warn - Log ");
	text_string(&t, logger.target);
	text_string(&t, what);
	if (error != 0)
		text_string(&t, text_error(error));
	text_char(&t, '\n');
	flush_console();
	write_console(t.data, t.length);
}

/* In read-only memory: the system call filter compares the pointer. */
static const struct sockaddr_un syslog_address = { .sun_family = AF_UNIX,
						   .sun_path = "/dev/log" };

const void *
log_syslog_address(void)
{
	return &syslog_address;
}

static void
report_syslog_failure(const char *what)
{
	if (!logger.syslog_failed)
		report_failure(what);
	logger.syslog_failed = true;
}

static void
open_syslog(void)
{
	struct timespec now;

	/* syslogd may start later than the server, so retry once a second. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < logger.syslog_next_open)
		return;
	logger.syslog_next_open = now.tv_sec + 1;
	logger.syslog_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (logger.syslog_fd < 0)
		report_syslog_failure(" (/dev/log) cannot be reached: ");
}

static void flush(void);

void
log_configure(const char *target, enum log_level level, size_t max_size)
{
	if (logger.target == NULL)
		logger.syslog_fd = -1;
	text_init(&logger.unwritten, logger.unwritten_data, sizeof logger.unwritten_data);
	text_init(&logger.console, logger.console_data, sizeof logger.console_data);
	logger.target = target;
	logger.level = level;
	logger.to_syslog = strcmp(target, "syslog") == 0;
	logger.to_file =
	    !logger.to_syslog && strcmp(target, "") != 0 && strcmp(target, "-") != 0;
	logger.deferred = true;
	logfile_set(target, max_size, report_failure);
}

void
log_limit_rates(const uint32_t key[2])
{
	lograte_start(key);
}

void
log_open(const char *target, enum log_level level, size_t max_size)
{
	log_configure(target, level, max_size);
	log_reopen();
}

void
log_create_for(uint32_t user, uint32_t group)
{
	if (logger.to_file)
		logfile_create_for(user, group);
}

void
log_reopen(void)
{
	if (!logger.deferred)
		flush();
	if (logger.syslog_fd >= 0)
		close(logger.syslog_fd);
	logger.syslog_fd = -1;
	logger.syslog_failed = false;
	logger.deferred = false;
	logger.syslog_next_open = 0;
	if (logger.to_file)
		logfile_reopen(&logger.unwritten);
	else if (logger.to_syslog)
		open_syslog();
}

bool
log_wants(enum log_level level)
{
	/* With target "", lines below info have no destination. */
	bool wants_all =
	    logger.to_file || logger.to_syslog || strcmp(logger.target, "-") == 0;

	return level <= logger.level && (wants_all || level <= LEVEL_INFO);
}

struct text *
log_begin(enum log_level level, struct span peer)
{
	if (!log_wants(level))
		return NULL;
	logger.line_charged = peer.length > 0 && logger.level < LEVEL_TRACE;
	if (logger.line_charged && !lograte_charge(peer, level, LINE_SIZE))
		return NULL;
	logger.line_level = level;
	text_init(&logger.line, logger.line_data, sizeof logger.line_data - 1);
	put_time(&logger.line);
	text_char(&logger.line, ' ');
	logger.line_level_at = logger.line.length;
	text_string(&logger.line, log_levels[level]);
	text_char(&logger.line, ' ');
	if (peer.length > 0)
		text_span(&logger.line, peer);
	else
		text_char(&logger.line, '-');
	text_char(&logger.line, ' ');
	return &logger.line;
}

static void
append_line(struct text *lines, void (*flush_lines)(void))
{
	if (lines->size - lines->length < logger.line.length)
		flush_lines();
	if (lines->size - lines->length >= logger.line.length)
		text_put(lines, logger.line.data, logger.line.length);
	else
		lograte_discard(SLOW_STORAGE, logger.line_level);
}

/* In the format of RFC 3164, without the time and the host name, which syslogd adds. */
static void
append_datagram(void)
{
	static const char severity[] = { 3, 4, 6, 7, 7 };

	if (logger.unwritten.size - logger.unwritten.length <
	    LINE_SIZE + SYSLOG_HEADER_SIZE)
		flush();
	if (logger.unwritten.size - logger.unwritten.length <
	    LINE_SIZE + SYSLOG_HEADER_SIZE)
		return;
	text_char(&logger.unwritten, '<');
	text_number(&logger.unwritten,
		    (uint64_t)(SYSLOG_DAEMON | severity[logger.line_level]));
	text_string(&logger.unwritten, ">videre[");
	text_number(&logger.unwritten, (uint64_t)getpid());
	text_string(&logger.unwritten, "]: ");
	text_put(&logger.unwritten, logger.line.data + logger.line_level_at,
		 logger.line.length - logger.line_level_at);
}

void
log_end(void)
{
	bool console_only = !logger.to_file && !logger.to_syslog;

	logger.line.data[logger.line.length++] = '\n';
	if (logger.line_charged)
		lograte_settle((uint32_t)logger.line.length);
	if (logger.line_level <= LEVEL_INFO || console_only)
		append_line(&logger.console, flush_console);
	if (logger.to_syslog)
		append_datagram();
	else if (logger.to_file)
		append_line(&logger.unwritten, flush);
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

/* Returns false if syslogd does not run.  Discards the line if its queue is full. */
static bool
send_syslog(const char *line, size_t length)
{
	if (sendto(logger.syslog_fd, line, length, MSG_NOSIGNAL,
		   (const struct sockaddr *)&syslog_address,
		   sizeof syslog_address) >= 0 ||
	    errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return true;
	report_syslog_failure(" (/dev/log) cannot be reached: ");
	return false;
}

/* Sends one datagram per line, without the line feed. */
static void
write_syslog(void)
{
	const char *line = logger.unwritten.data, *end = line + logger.unwritten.length;

	if (logger.syslog_fd < 0)
		open_syslog();
	while (line < end && logger.syslog_fd >= 0) {
		size_t length =
		    (size_t)((const char *)memchr(line, '\n', (size_t)(end - line)) -
			     line);
		if (!send_syslog(line, length)) {
			/* A restarted syslogd has bound another socket to the path. */
			close(logger.syslog_fd);
			logger.syslog_fd = -1;
			open_syslog();
			if (logger.syslog_fd >= 0 && !send_syslog(line, length))
				report_syslog_failure(" (/dev/log) cannot be written: ");
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

/* Writes the lines, as many as fit without blocking. */
static void
flush(void)
{
	if (logger.console.length > 0)
		flush_console();
	if (logger.unwritten.length == 0 || logger.deferred)
		return;
	if (logger.to_syslog) {
		write_syslog();
		logger.unwritten.length = 0;
	} else {
		logfile_write(&logger.unwritten);
	}
}

void
log_flush(void)
{
	flush();
	if (logger.unwritten.length > 0 || !lograte_report_due())
		return;
	report_discarded();
	flush();
}

bool
log_pending(void)
{
	return lograte_has_discarded() || logger.unwritten.length > 0;
}

void
log_start_writer(bool (*confine)(void))
{
	if (!logger.to_file || !logfile_start_writer())
		return;
	/* The server writes the lines that exist already. */
	logger.console.length = 0;
	logger.unwritten.length = 0;
	if (confine != NULL)
		confine();
	logfile_run_writer(&logger.unwritten);
}

void
log_close(void)
{
	flush();
	report_discarded();
	flush();
	if (logger.to_file)
		logfile_close(&logger.unwritten);
}
