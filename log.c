#define _GNU_SOURCE /* SOCK_CLOEXEC and SOCK_NONBLOCK in socket() */
#include "log.h"
#include "rate.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/*
 * What clients can have logged, in bytes: the burst holds a busy minute, and at the rate
 * of one address a log of the default LogSize reaches back half an hour.  The rate of all
 * is 350 MB a day: flash of 128 MB is erased three times.
 */
static const struct rate_limit per_address = {
	.per_second = 1024, .burst = 32000, /* 32 KB */
};
static const struct rate_limit in_all = {
	.per_second = 4096, .burst = 64000, /* 256 KB */
};

enum {
	REPORT_MS = 1000, /* between reports of lines that were left out */
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
	size_t line_message; /* where the line goes on behind its time */
	struct text line;
	struct text gathered, console;
	char line_data[LINE], gathered_data[GATHERED], console_data[4 * LINE];
} to;

enum reason { ADDRESS_RATE, COMMON_RATE, SLOW_STORAGE, REASONS };

static struct {
	bool enabled;
	uint32_t key[2];
	struct rate_table addresses;
	struct rate_bucket common;
	/* of the line in progress: its address, and the buckets before it was charged */
	struct rate_bucket *address, address_before, common_before;
	uint64_t now;	   /* milliseconds, monotonic, at the begin of that line */
	uint64_t reported; /* when lines were last reported as left out */
	struct {
		uint32_t lines;
		enum log_level level; /* the most severe of them */
	} left_out[REASONS];
	char first[64]; /* the first address that exceeded its rate */
	size_t first_length;
	bool several;
} rate;

void
log_seed(const uint32_t key[2])
{
	memcpy(rate.key, key, sizeof rate.key);
	rate.enabled = true;
}

static uint64_t
read_milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void
leave_out(enum reason reason, enum log_level level)
{
	if (rate.left_out[reason].lines++ == 0 || level < rate.left_out[reason].level)
		rate.left_out[reason].level = level;
}

static void
note_address(struct span address)
{
	if (rate.left_out[ADDRESS_RATE].lines == 0) {
		rate.first_length = address.length < sizeof rate.first
					? address.length
					: sizeof rate.first;
		memcpy(rate.first, address.data, rate.first_length);
		rate.several = false;
	} else if (!span_same(address, (struct span){ rate.first, rate.first_length })) {
		rate.several = true;
	}
}

/*
 * Charges the longest line, whose length is not known yet; see settle_charge.  False if
 * a rate is exceeded.
 */
static bool
charge(enum log_level level, struct span peer)
{
	struct span address = peer;

	/* Without the port. */
	while (address.length > 0 && address.data[--address.length] != ':')
		continue;
	rate.now = read_milliseconds();
	rate.address =
	    rate_find(&rate.addresses, text_hash(rate.key, address.data, address.length));
	rate.address_before = *rate.address;
	rate.common_before = rate.common;
	if (!rate_take(rate.address, &per_address, LINE, rate.now)) {
		note_address(address);
		leave_out(ADDRESS_RATE, level);
		return false;
	}
	if (!rate_take(&rate.common, &in_all, LINE, rate.now)) {
		*rate.address = rate.address_before;
		leave_out(COMMON_RATE, level);
		return false;
	}
	return true;
}

/* Charges the length of the finished line instead. */
static void
settle_charge(void)
{
	uint32_t length = (uint32_t)to.line.length;

	if (rate.address == NULL)
		return;
	*rate.address = rate.address_before;
	rate.common = rate.common_before;
	rate_take(rate.address, &per_address, length, rate.now);
	rate_take(&rate.common, &in_all, length, rate.now);
}

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
	rate.address = NULL;
	if (peer.length > 0 && rate.enabled && to.level < LEVEL_TRACE &&
	    !charge(level, peer))
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
		leave_out(SLOW_STORAGE, to.line_level);
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
	settle_charge();
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

static bool
has_left_out(void)
{
	uint32_t lines = 0;

	for (unsigned reason = 0; reason < REASONS; reason++)
		lines |= rate.left_out[reason].lines;
	return lines > 0;
}

static void
put_reason(struct text *t, enum reason reason)
{
	if (reason == SLOW_STORAGE) {
		text_string(t, "the log cannot be written as fast");
		return;
	}
	if (reason == COMMON_RATE)
		text_string(t, "all addresses together exceed ");
	else {
		text_put(t, rate.first, rate.first_length);
		text_string(t, rate.several ? " and others exceed " : " exceeds ");
	}
	text_number(t,
		    reason == COMMON_RATE ? in_all.per_second : per_address.per_second);
	text_string(t, " bytes/s (LogLevel \"trace\" has no limit)");
}

static void
report_left_out(void)
{
	for (unsigned reason = 0; reason < REASONS; reason++) {
		uint32_t lines = rate.left_out[reason].lines;
		if (lines == 0)
			continue;
		struct text *t =
		    log_begin(rate.left_out[reason].level, (struct span){ 0 });
		rate.left_out[reason].lines = 0;
		if (t == NULL)
			continue;
		text_number(t, lines);
		text_string(t, " lines left out: ");
		put_reason(t, (enum reason)reason);
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
	if (!has_left_out() || to.gathered.length > 0)
		return;
	uint64_t now = read_milliseconds();
	if (now - rate.reported < REPORT_MS)
		return;
	rate.reported = now;
	report_left_out();
	flush();
}

bool
log_pending(void)
{
	return has_left_out() || to.gathered.length > 0;
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
	report_left_out();
	flush();
	if (to.file)
		logfile_finish(&to.gathered);
}
