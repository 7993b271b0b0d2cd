/* The log: the format of its lines, its targets, full files, and failures. */
#define _DEFAULT_SOURCE /* syscall */
#include "log.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY = 65534, PATH = 400, TIME = sizeof "2024-02-29T12:34:56.789Z" - 1 };

static const struct span no_peer;

/*
 * A clock that replaces the system's.
 */

static struct timespec now;
static bool stopped;

int
clock_gettime(clockid_t clock, struct timespec *t)
{
	(void)clock;
	if (!stopped)
		return timespec_get(t, TIME_UTC) == TIME_UTC ? 0 : -1;
	*t = now;
	return 0;
}

static void
stop_clock(void)
{
	stopped = true;
	now = (struct timespec){ .tv_sec = 1709210096, .tv_nsec = 789999999 };
}

#define NOW "2024-02-29T12:34:56.789Z"

/*
 * Each test has its own directory. stderr goes to a file in it.
 */

static char directory[PATH / 2];
static int real_stderr = -1;
static char contents[1 << 20]; /* of the last file that was read */

static const char *
in_directory(const char *name)
{
	static char paths[16][PATH];
	static unsigned next;
	char *path = paths[next++ % COUNT(paths)];

	snprintf(path, PATH, "%s/%s", directory, name);
	return path;
}

static int
begin(void **state)
{
	const char *where = getenv("TMPDIR");

	(void)state;
	snprintf(directory, sizeof directory, "%s/log_test.XXXXXX",
		 where != NULL ? where : "/tmp");
	if (mkdtemp(directory) == NULL || chmod(directory, 0755) < 0)
		return -1;
	int fd = open(in_directory("stderr"), O_WRONLY | O_CREAT | O_APPEND, 0666);
	if (fd < 0)
		return -1;
	real_stderr = dup(STDERR_FILENO);
	stopped = false;
	return real_stderr >= 0 && dup2(fd, STDERR_FILENO) >= 0 ? close(fd) : -1;
}

static int
end(void **state)
{
	char command[PATH];

	(void)state;
	alarm(0);
	/* Closes the test's file. */
	log_flush();
	log_open("", LEVEL_ERROR, 0);
	int failed = dup2(real_stderr, STDERR_FILENO) < 0 || close(real_stderr) < 0;
	snprintf(command, sizeof command, "rm -rf '%s'", directory);
	return failed || system(command) != 0 ? -1 : 0;
}

/* Returns a file's contents as a string, or NULL if there is no file. */
static const char *
read_file(const char *path)
{
	FILE *file = fopen(path, "r");

	if (file == NULL)
		return NULL;
	size_t length = fread(contents, 1, sizeof contents - 1, file);
	fclose(file);
	contents[length] = '\0';
	return contents;
}

static const char *
read_stderr(void)
{
	return read_file(in_directory("stderr"));
}

static void
assert_file(const char *path, const char *expected)
{
	const char *text = read_file(path);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

static void
assert_begin(const char *text, const char *expected)
{
	assert_int_equal(strncmp(text, expected, strlen(expected)), 0);
}

static bool
exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static long
size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (long)st.st_size;
}

static unsigned
occurrences(const char *text, const char *what)
{
	unsigned count = 0;

	while ((text = strstr(text, what)) != NULL) {
		text += strlen(what);
		count++;
	}
	return count;
}

/* Writes a line of exactly `length` bytes, with its line feed, and flushes. */
static void
write_line(char mark, size_t length)
{
	const size_t before = TIME + sizeof " debug - " - 1;
	char message[1024];

	memset(message, mark, sizeof message);
	message[length - before - 1] = '\0';
	log_line(LEVEL_DEBUG, no_peer, message);
	log_flush();
}

/*
 * Lines
 */

static void
a_line_has_time_level_address_and_message(void **state)
{
	const struct span peer = { BYTES("192.0.2.1:8080") },
			  peer6 = { BYTES("2001:db8::1") };
	const char *path = in_directory("a.log");

	(void)state;
	stop_clock();
	log_open(path, LEVEL_TRACE, 0);
	log_line(LEVEL_ERROR, peer, "one");
	log_line(LEVEL_WARN, no_peer, "two words");
	log_line(LEVEL_INFO, peer6, "3");
	log_line(LEVEL_DEBUG, no_peer, "");
	struct text *t = log_begin(LEVEL_TRACE, peer);
	assert_non_null(t);
	text_string(t, "put ");
	text_number(t, 5);
	log_end();
	log_flush();
	assert_file(path, NOW " error 192.0.2.1:8080 one\n" NOW " warn - two words\n" NOW
			      " info 2001:db8::1 3\n" NOW " debug - \n" NOW
			      " trace 192.0.2.1:8080 put 5\n");
}

static void
a_message_is_not_escaped(void **state)
{
	const char *path = in_directory("a.log");

	(void)state;
	stop_clock();
	log_open(path, LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "\"\\x01\\\" \x01\xff\xc3\xa4 %s %n");
	log_flush();
	assert_file(path, NOW " debug - \"\\x01\\\" \x01\xff\xc3\xa4 %s %n\n");
}

static void
assert_time(time_t second, long nanosecond)
{
	char expected[TIME + 1];
	struct tm tm;

	now = (struct timespec){ .tv_sec = second, .tv_nsec = nanosecond };
	assert_non_null(gmtime_r(&second, &tm));
	strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(expected + TIME - 5, 6, ".%03uZ",
		 (unsigned)(nanosecond / 1000000) % 1000);
	struct text *t = log_begin(LEVEL_ERROR, no_peer);
	assert_non_null(t);
	assert_true(t->length > TIME);
	if (memcmp(t->data, expected, TIME) != 0)
		fail_msg("%.*s instead of %s", TIME, t->data, expected);
}

static void
the_time_is_correct_on_every_day(void **state)
{
	(void)state;
	log_open("", LEVEL_ERROR, 0);
	stopped = true;
	/* From 1970 to 2400: every kind of leap year. */
	for (time_t day = 0; day < 157300; day++) {
		assert_time(day * 86400, 0);
		assert_time(day * 86400 + 86399, 999999999);
	}
	for (time_t second = 0; second < 86400; second += 7)
		assert_time(1700000000 + second, second * 11111);
	/* Past 2^31 and 2^32 seconds, and the last second of the year 9999. */
	assert_time(2147483648, 0);
	assert_time(4294967296, 1000000);
	assert_time(253402300799, 0);
}

static void
the_time_is_the_current_time(void **state)
{
	const char *path = in_directory("a.log");
	char early[TIME + 1], late[TIME + 1];
	struct tm tm;

	(void)state;
	time_t second = time(NULL);
	assert_non_null(gmtime_r(&second, &tm));
	strftime(early, sizeof early, "%Y-%m-%dT%H:%M:%S", &tm);
	log_open(path, LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	second = time(NULL) + 1;
	assert_non_null(gmtime_r(&second, &tm));
	strftime(late, sizeof late, "%Y-%m-%dT%H:%M:%S", &tm);
	const char *text = read_file(path);
	assert_non_null(text);
	assert_true(strncmp(early, text, strlen(early)) <= 0);
	assert_true(strncmp(text, late, strlen(late)) <= 0);
}

static void
a_message_that_is_too_long_leaves_a_complete_line(void **state)
{
	const char *path = in_directory("a.log");
	char message[3000];

	(void)state;
	stop_clock();
	log_open(path, LEVEL_DEBUG, 0);
	memset(message, 'x', sizeof message);
	message[sizeof message - 1] = '\0';
	struct text *t = log_begin(LEVEL_DEBUG, no_peer);
	text_string(t, "this part fits, ");
	text_string(t, message);
	text_string(t, "and nothing after it");
	log_end();
	/* All lengths near that of the longest line. */
	for (size_t length = 950; length < 1030; length++) {
		message[length] = '\0';
		log_line(LEVEL_DEBUG, no_peer, message);
		message[length] = 'x';
	}
	log_line(LEVEL_DEBUG, no_peer, "the next");
	log_flush();
	const char *line = read_file(path);
	assert_non_null(line);
	assert_begin(line, NOW " debug - this part fits, \n");
	assert_int_equal(occurrences(line, NOW " debug - "), 82);
	assert_int_equal(occurrences(line, "\n"), 82);
	for (const char *next; (next = strchr(line, '\n')) != NULL; line = next + 1)
		assert_in_range(next - line, TIME, 1024);
	assert_string_equal(line - sizeof "the next", "the next\n");
}

/*
 * Levels and targets
 */

static void
only_the_configured_levels_are_logged(void **state)
{
	const char *path = in_directory("a.log");
	char name[PATH];

	(void)state;
	for (unsigned most = LEVEL_ERROR; most <= LEVEL_TRACE; most++) {
		snprintf(name, sizeof name, "%s.%u", path, most);
		log_open(name, (enum log_level)most, 0);
		for (unsigned level = LEVEL_ERROR; level <= LEVEL_TRACE; level++) {
			assert_int_equal(log_wants((enum log_level)level), level <= most);
			log_line((enum log_level)level, no_peer, "line");
			struct text *t = log_begin((enum log_level)level, no_peer);
			assert_int_equal(t != NULL, level <= most);
		}
		log_flush();
		const char *text = read_file(name);
		assert_int_equal(occurrences(text, "\n"), most + 1);
		for (unsigned level = LEVEL_ERROR; level <= most; level++)
			assert_int_equal(occurrences(text, log_levels[level]), 1);
	}
}

static void
the_levels_have_their_names(void **state)
{
	static const char *const names[] = { "error", "warn", "info", "debug", "trace" };

	(void)state;
	for (size_t i = 0; i < COUNT(names); i++)
		assert_string_equal(log_levels[i], names[i]);
	assert_null(log_levels[COUNT(names)]);
	assert_int_equal(LEVEL_TRACE, COUNT(names) - 1);
}

static void
log_all_levels(void)
{
	for (unsigned level = LEVEL_ERROR; level <= LEVEL_TRACE; level++)
		log_line((enum log_level)level, no_peer, "x");
	log_flush();
}

#define SERIOUS NOW " error - x\n" NOW " warn - x\n" NOW " info - x\n"
#define ALL	SERIOUS NOW " debug - x\n" NOW " trace - x\n"

static void
info_and_above_also_go_to_stderr(void **state)
{
	const char *path = in_directory("a.log");

	(void)state;
	stop_clock();
	log_open(path, LEVEL_TRACE, 0);
	log_all_levels();
	assert_file(path, ALL);
	assert_string_equal(read_stderr(), SERIOUS);
}

static void
a_dash_logs_all_levels_to_stderr(void **state)
{
	(void)state;
	stop_clock();
	log_open("-", LEVEL_TRACE, 10);
	log_all_levels();
	assert_string_equal(read_stderr(), ALL);
	assert_false(exists("-"));
}

static void
an_empty_name_creates_no_file(void **state)
{
	(void)state;
	stop_clock();
	log_open("", LEVEL_TRACE, 10);
	assert_true(log_wants(LEVEL_INFO));
	assert_false(log_wants(LEVEL_DEBUG));
	log_all_levels();
	assert_string_equal(read_stderr(), SERIOUS);
	log_open("", LEVEL_ERROR, 10);
	assert_false(log_wants(LEVEL_WARN));
}

static void
nothing_is_written_before_log_flush(void **state)
{
	const char *path = in_directory("a.log");

	(void)state;
	stop_clock();
	log_open(path, LEVEL_DEBUG, 0);
	log_line(LEVEL_INFO, no_peer, "a");
	log_line(LEVEL_INFO, no_peer, "b");
	assert_file(path, "");
	assert_string_equal(read_stderr(), "");
	log_flush();
	assert_file(path, NOW " info - a\n" NOW " info - b\n");
	assert_string_equal(read_stderr(), NOW " info - a\n" NOW " info - b\n");
	/* Only once. */
	log_flush();
	assert_int_equal(occurrences(read_file(path), "\n"), 2);
}

static void
more_lines_than_fit_the_buffer_are_written_in_order(void **state)
{
	const char *path = in_directory("a.log");
	char message[400];

	(void)state;
	stop_clock();
	log_open(path, LEVEL_INFO, 0);
	for (unsigned i = 0; i < 1000; i++) {
		memset(message, 'a' + (int)(i % 26), i % 390);
		snprintf(message + i % 390, 10, "%u", i);
		log_line(LEVEL_INFO, no_peer, message);
	}
	log_flush();
	for (unsigned where = 0; where < 2; where++) {
		const char *line = where == 0 ? read_file(path) : read_stderr();
		for (unsigned i = 0; i < 1000; i++) {
			assert_begin(line, NOW " info - ");
			line += sizeof NOW " info - " - 1 + i % 390;
			assert_int_equal(strtoul(line, NULL, 10), i);
			line = strchr(line, '\n') + 1;
		}
		assert_string_equal(line, "");
	}
}

/*
 * Files
 */

static void
an_existing_file_is_appended_to(void **state)
{
	const char *path = in_directory("a.log");

	(void)state;
	stop_clock();
	write_file(path, BYTES("before\n"));
	log_open(path, LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	assert_file(path, "before\n" NOW " debug - x\n");
}

static void
missing_directories_are_created(void **state)
{
	const char *path = in_directory("a/bc/d/e.log");
	struct stat st;

	(void)state;
	mode_t mask = umask(0);
	log_open(path, LEVEL_DEBUG, 0);
	umask(mask);
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	assert_int_equal(occurrences(read_file(path), "\n"), 1);
	/* Only the owner and the group can read it. */
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(stat(in_directory("a/bc/d"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_string_equal(read_stderr(), "");
}

static void
a_relative_name_works(void **state)
{
	char before[4096];

	(void)state;
	assert_non_null(getcwd(before, sizeof before));
	assert_int_equal(chdir(directory), 0);
	log_open("log/debug.log", LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	log_open("debug.log", LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	assert_int_equal(chdir(before), 0);
	assert_int_equal(occurrences(read_file(in_directory("log/debug.log")), "\n"), 1);
	assert_int_equal(occurrences(read_file(in_directory("debug.log")), "\n"), 1);
}

/* Returns a path of exactly `length` bytes, in nested directories. */
static char *
long_name(size_t length)
{
	char *path = malloc(length + 1);
	size_t at = strlen(directory);

	assert_non_null(path);
	memcpy(path, directory, at);
	for (; at < length; at++)
		path[at] =
		    (length - at) % 100 == 0 || at == strlen(directory) ? '/' : 'x';
	path[length] = '\0';
	return path;
}

static void
a_name_may_have_1000_bytes(void **state)
{
	char *path = long_name(LOG_PATH_MAX), aside[LOG_PATH_MAX + 3];

	(void)state;
	assert_int_equal(strlen(path), LOG_PATH_MAX);
	snprintf(aside, sizeof aside, "%s.1", path);
	log_open(path, LEVEL_DEBUG, 100);
	write_line('a', 90);
	write_line('b', 90);
	assert_int_equal(size_of(path), 90);
	assert_int_equal(size_of(aside), 90);
	unlink(path);
	log_create_for((uint32_t)getuid(), (uint32_t)getgid());
	assert_int_equal(exists(path), geteuid() == 0);
	assert_string_equal(read_stderr(), "");
	log_open("", LEVEL_ERROR, 0);
	free(path);
}

static void
log_reopen_creates_a_file_that_was_moved(void **state)
{
	const char *path = in_directory("a.log"), *aside = in_directory("b.log");

	(void)state;
	stop_clock();
	log_open(path, LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "a");
	log_flush();
	assert_int_equal(rename(path, aside), 0);
	/* Belongs to the previous file. */
	log_line(LEVEL_DEBUG, no_peer, "b");
	log_reopen();
	log_line(LEVEL_DEBUG, no_peer, "c");
	log_flush();
	assert_file(aside, NOW " debug - a\n" NOW " debug - b\n");
	assert_file(path, NOW " debug - c\n");
}

/* Runs an irreversible function in a child process. Returns its exit status. */
static int
in_child(int (*run)(const char *path), const char *path)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0)
		_exit(run(path));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

enum { NOT_DROPPED = 77 };

static bool
become_nobody(void)
{
	return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

/* Opens the log like a server that root starts for another user. */
static int
open_as_nobody(const char *path)
{
	log_configure(path, LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "early");
	log_create_for(NOBODY, NOBODY);
	if (!become_nobody())
		return NOT_DROPPED;
	log_reopen();
	log_flush();
	return 0;
}

/* Opens a log as nobody in a child process.  Skips the test if that is impossible. */
static void
open_for_nobody(const char *path)
{
	int status;

	if (geteuid() != 0) {
		print_message("only root can become another user\n");
		skip();
	}
	status = in_child(open_as_nobody, path);
	if (status == NOT_DROPPED) {
		print_message("cannot become another user\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void
assert_owner(const char *path, uid_t user)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, user);
}

static void
root_creates_a_file_and_its_directory_for_another_user(void **state)
{
	const char *path = in_directory("a.log"), *deep = in_directory("a/b/c.log");

	(void)state;
	open_for_nobody(path);
	assert_owner(path, NOBODY);
	assert_owner(directory, 0);
	/* A line from before the file existed. */
	assert_int_equal(occurrences(read_file(path), " debug - early\n"), 1);
	open_for_nobody(deep);
	assert_owner(deep, NOBODY);
	assert_owner(in_directory("a/b"), NOBODY);
	assert_owner(in_directory("a"), 0);
	assert_owner(directory, 0);
	/* Targets that are not files create nothing. */
	open_for_nobody("");
	assert_string_equal(read_stderr(), "");
	open_for_nobody("-");
	assert_int_equal(occurrences(read_stderr(), "\n"), 1);
	/* An existing file is appended to. */
	open_for_nobody(path);
	assert_int_equal(occurrences(read_file(path), " debug - early\n"), 2);
}

static void
existing_files_keep_their_owner(void **state)
{
	const char *path = in_directory("a.log"), *deep = in_directory("a/b.log");

	(void)state;
	write_file(path, BYTES("root's\n"));
	assert_int_equal(chmod(path, 0600), 0);
	open_for_nobody(path);
	assert_owner(path, 0);
	assert_file(path, "root's\n");
	assert_int_equal(mkdir(in_directory("a"), 0755), 0);
	open_for_nobody(deep);
	assert_owner(in_directory("a"), 0);
	assert_owner(deep, NOBODY);
	const char *text = read_stderr();
	assert_int_equal(occurrences(text, "\n"), 1);
	assert_non_null(strstr(text, "a.log cannot be opened: Permission denied\n"));
}

/* Links in a directory of nobody lead to a file and to a directory of root. */
static void
root_creates_nothing_through_links_of_another_user(void **state)
{
	const char *theirs = in_directory("theirs"), *secret = in_directory("secret");
	const char *link = in_directory("theirs/a.log");

	(void)state;
	write_file(secret, BYTES("root's\n"));
	assert_int_equal(chmod(secret, 0600), 0);
	assert_int_equal(mkdir(in_directory("private"), 0755), 0);
	assert_int_equal(mkdir(theirs, 0755), 0);
	assert_int_equal(symlink(secret, link), 0);
	assert_int_equal(symlink(in_directory("private"), in_directory("theirs/log")), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(theirs, NOBODY, NOBODY), 0);
	open_for_nobody(link);
	assert_owner(secret, 0);
	assert_file(secret, "root's\n");
	open_for_nobody(in_directory("theirs/log/a.log"));
	assert_false(exists(in_directory("private/a.log")));
	open_for_nobody(in_directory("theirs/log/made/a.log"));
	assert_false(exists(in_directory("private/made")));
	assert_owner(in_directory("private"), 0);
	assert_int_equal(occurrences(read_stderr(), " cannot be opened: "), 3);
	/* The same in a directory that every user may write. */
	assert_int_equal(mkdir(in_directory("all"), 0755), 0);
	assert_int_equal(chmod(in_directory("all"), 01777), 0);
	assert_int_equal(symlink(in_directory("private"), in_directory("all/log")), 0);
	open_for_nobody(in_directory("all/log/a.log"));
	assert_false(exists(in_directory("private/a.log")));
	/* The user itself may create a file there. */
	open_for_nobody(in_directory("all/new/a.log"));
	assert_owner(in_directory("all/new"), NOBODY);
	assert_owner(in_directory("all/new/a.log"), NOBODY);
}

static void
only_root_follows_no_link_to_the_file(void **state)
{
	const char *target = in_directory("target"), *link = in_directory("a.log");
	const char *text;

	(void)state;
	write_file(target, BYTES(""));
	assert_int_equal(symlink(target, link), 0);
	log_open(link, LEVEL_DEBUG, 0);
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	text = read_stderr();
	if (geteuid() != 0) {
		assert_string_equal(text, "");
		assert_int_equal(occurrences(read_file(target), "\n"), 1);
		return;
	}
	assert_int_equal(occurrences(text, "\n"), 1);
	assert_non_null(strstr(text, " cannot be opened (root follows no link): "));
	assert_file(target, "");
	/* A link of root to a file that every user may write. */
	assert_int_equal(chmod(target, 0666), 0);
	open_for_nobody(link);
	assert_int_equal(occurrences(read_file(target), " early\n"), 1);
}

/*
 * Rates
 */

#define A "192.0.2.1:1"
#define B "192.0.2.2:1"

/* Opens a log with a stopped clock and full buckets. */
static const char *
open_limited(enum log_level level)
{
	static const uint32_t key[2] = { 1, 2 };
	static time_t hours;
	const char *path = in_directory("a.log");

	stop_clock();
	now.tv_sec += 3600 * ++hours; /* the buckets are full again */
	log_open(path, level, 0);
	log_limit_rates(key);
	return path;
}

/* Logs lines of 100 bytes. Returns how many were not discarded. */
static unsigned
log_peer(const char *peer, unsigned lines)
{
	const struct span address = { peer, strlen(peer) };
	const size_t before = TIME + sizeof " debug  " - 1 + address.length;
	unsigned logged = 0;

	for (unsigned i = 0; i < lines; i++) {
		struct text *t = log_begin(LEVEL_DEBUG, address);
		if (t == NULL)
			continue;
		for (size_t length = before + 1; length < 100; length++)
			text_char(t, 'x');
		log_end();
		logged++;
	}
	return logged;
}

static void
lines_of_an_address_are_limited(void **state)
{
	const char *path = open_limited(LEVEL_DEBUG);

	(void)state;
	/* Each costs 98 of 32,000 ms, but needs 1000 ms: the cost of the longest line. */
	assert_int_equal(log_peer(A, 1000), (32000 - 1000) / 98 + 1);
	/* All ports share the limit. */
	assert_int_equal(log_peer("192.0.2.1:65535", 10), 0);
	assert_null(log_begin(LEVEL_ERROR, (struct span){ BYTES(A) }));
	/* Other addresses and the server's own lines are not affected. */
	assert_int_equal(log_peer("192.0.2.10:1", 10), 10);
	assert_int_equal(log_peer("[2001:db8::1]:1", 10), 10);
	/* An IPv6 address shares its limit with all of its first 64 bits. */
	assert_int_equal(log_peer("[2001:db8::1]:1", 1000), (32000 - 1000) / 98 + 1 - 10);
	assert_int_equal(log_peer("[2001:db8:0:0:ffff::2]:1", 10), 0);
	assert_int_equal(log_peer("[2001:db8:0:1::1]:1", 10), 10);
	for (unsigned i = 0; i < 1000; i++)
		log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	assert_int_equal(occurrences(read_file(path), " - x\n"), 1000);
	/* The average is 1024 bytes per second. */
	unsigned logged = 0;
	for (unsigned i = 0; i < 100; i++) {
		now.tv_sec++;
		logged += log_peer(A, 20);
	}
	assert_in_range(logged, 1000, 1034);
}

static void
lines_of_all_addresses_are_limited(void **state)
{
	char peer[32];
	unsigned logged = 0, last = 0;

	(void)state;
	open_limited(LEVEL_DEBUG);
	for (unsigned i = 0; i < 100; i++) {
		snprintf(peer, sizeof peer, "10.0.0.%u:1", i);
		last = log_peer(peer, 40);
		logged += last;
	}
	assert_int_equal(logged, (64000 - 250) / 25 + 1);
	assert_int_equal(last, 0);
	/* A line that exceeds the total rate is not charged to its address. */
	now.tv_sec += 20;
	assert_int_equal(log_peer(peer, 300), 300);
}

static void
discarded_lines_are_reported_once_a_second(void **state)
{
	const char *path = open_limited(LEVEL_DEBUG);
	const unsigned logged = log_peer(A, 1000);
	const char *text, *line;
	char expected[200];

	(void)state;
	log_flush();
	snprintf(expected, sizeof expected,
		 " debug - %u lines discarded: 192.0.2.1 exceeds 1024 bytes/s (LogLevel "
		 "\"trace\" has no limit)\n",
		 1000 - logged);
	text = read_file(path);
	line = strstr(text, expected);
	assert_non_null(line);
	assert_int_equal(strlen(line), strlen(expected));
	/* The report has the level of the lines, and so goes to stderr like them. */
	assert_string_equal(read_stderr(), "");
	log_line(LEVEL_WARN, (struct span){ BYTES(A) }, "important");
	log_peer(A, 5);
	now.tv_nsec = 0;
	now.tv_sec++;
	log_flush();
	assert_string_equal(read_stderr(), "");
	now.tv_nsec = 789999999;
	log_flush();
	assert_non_null(strstr(read_stderr(), " warn - 6 lines discarded: 192.0.2.1 "));
	assert_int_equal(occurrences(read_file(path), " discarded: "), 2);
	/* log_close reports the rest, and that there were several addresses. */
	log_peer(A, 30);
	log_peer(B, 1000);
	log_close();
	text = read_file(path);
	assert_int_equal(
	    occurrences(text, " discarded: 192.0.2.1 and others exceed 1024 bytes/s"), 1);
	log_close();
	assert_int_equal(occurrences(read_file(path), " discarded: "), 3);
}

static void
the_total_rate_is_reported_separately(void **state)
{
	const char *path = open_limited(LEVEL_DEBUG);
	char peer[32];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(peer, sizeof peer, "10.0.0.%u:1", i);
		log_peer(peer, 40);
	}
	log_flush();
	const char *text = read_file(path);
	assert_int_equal(occurrences(text, " discarded: "), 1);
	assert_int_equal(occurrences(text, " debug - 1449 lines discarded: all addresses "
					   "together exceed 4096 bytes/s ("),
			 1);
}

static void
level_trace_has_no_limit(void **state)
{
	const char *path = open_limited(LEVEL_TRACE);

	(void)state;
	assert_int_equal(log_peer(A, 10000), 10000);
	log_close();
	assert_int_equal(occurrences(read_file(path), "\n"), 10000);
}

/*
 * Full files
 */

static void
a_full_file_moves_aside(void **state)
{
	const char *path = in_directory("a.log"), *aside = in_directory("a.log.1");
	const char *text;

	(void)state;
	log_open(path, LEVEL_DEBUG, 300);
	write_line('a', 100);
	write_line('b', 100);
	write_line('c', 100);
	/* A file of exactly the limit does not move. */
	assert_int_equal(size_of(path), 300);
	assert_false(exists(aside));
	write_line('d', 100);
	assert_int_equal(size_of(path), 100);
	assert_int_equal(size_of(aside), 300);
	text = read_file(path);
	assert_int_equal(text[98], 'd');
	text = read_file(aside);
	assert_int_equal(text[98], 'a');
	assert_int_equal(text[298], 'c');
	write_line('e', 100);
	write_line('f', 101);
	/* The file moved before is gone. */
	text = read_file(aside);
	assert_int_equal(strlen(text), 200);
	assert_int_equal(text[98], 'd');
	assert_int_equal(text[198], 'e');
	text = read_file(path);
	assert_int_equal(text[99], 'f');
	assert_false(exists(in_directory("a.log.1.1")));
	assert_false(exists(in_directory("a.log.2")));
	assert_string_equal(read_stderr(), "");
}

static void
no_line_is_lost_when_a_file_moves(void **state)
{
	const char *path = in_directory("a.log"), *aside = in_directory("a.log.1");
	char message[20];
	unsigned expected = 0;

	(void)state;
	log_open(path, LEVEL_DEBUG, 2000);
	for (unsigned i = 0; i < 500; i++) {
		snprintf(message, sizeof message, "%u", i);
		log_line(LEVEL_DEBUG, no_peer, message);
		if (i % 3 == 0)
			log_flush();
		assert_true(size_of(path) <= 2000);
		/* The file moved aside continues where the last one ended. */
		if (!exists(aside))
			continue;
		const char *line = read_file(aside);
		for (; *line != '\0'; line = strchr(line, '\n') + 1)
			assert_int_equal(strtoul(line + TIME + 9, NULL, 10), expected++);
		unlink(aside);
	}
	log_flush();
	const char *line = read_file(path);
	for (; *line != '\0'; line = strchr(line, '\n') + 1)
		assert_int_equal(strtoul(line + TIME + 9, NULL, 10), expected++);
	assert_int_equal(expected, 500);
}

static void
existing_contents_count_towards_the_size(void **state)
{
	const char *path = in_directory("a.log"), *aside = in_directory("a.log.1");

	(void)state;
	write_file(path, BYTES("0123456789"));
	log_open(path, LEVEL_DEBUG, 100);
	write_line('a', 91);
	assert_file(aside, "0123456789");
	assert_int_equal(size_of(path), 91);
}

static void
an_empty_file_does_not_move(void **state)
{
	const char *path = in_directory("a.log"), *aside = in_directory("a.log.1");

	(void)state;
	log_open(path, LEVEL_DEBUG, 50);
	write_line('a', 200);
	assert_int_equal(size_of(path), 200);
	assert_false(exists(aside));
	write_line('b', 200);
	assert_int_equal(size_of(path), 200);
	assert_int_equal(size_of(aside), 200);
}

static void
without_a_limit_no_file_moves(void **state)
{
	const char *path = in_directory("a.log");

	(void)state;
	log_open(path, LEVEL_DEBUG, 0);
	for (unsigned i = 0; i < 1000; i++)
		write_line('a', 1000);
	assert_int_equal(size_of(path), 1000000);
	assert_false(exists(in_directory("a.log.1")));
}

static void
a_full_file_that_can_not_move_is_emptied(void **state)
{
	const char *path = in_directory("a.log");
	const char *text;

	(void)state;
	/* A directory is in the way. */
	assert_int_equal(mkdir(in_directory("a.log.1"), 0700), 0);
	log_open(path, LEVEL_DEBUG, 300);
	for (char mark = 'a'; mark <= 'z'; mark++) {
		write_line(mark, 100);
		assert_true(size_of(path) <= 300);
	}
	text = read_file(path);
	assert_int_equal(text[98], 'y');
	assert_int_equal(text[198], 'z');
	assert_int_equal(strlen(text), 200);
	text = read_stderr();
	assert_int_equal(occurrences(text, "\n"), 1);
	assert_non_null(strstr(
	    text,
	    " cannot be moved aside (LogSize), so it is emptied: Is a directory\n"));
}

/* Fills a file as a user who may write it but not its directory. */
static int
fill_as_nobody(const char *path)
{
	if (geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0))
		return NOT_DROPPED;
	int fd = open(path, O_WRONLY);
	if (fd < 0 || access(directory, W_OK) == 0)
		return NOT_DROPPED;
	close(fd);
	log_open(path, LEVEL_DEBUG, 300);
	for (char mark = 'a'; mark <= 'z'; mark++)
		write_line(mark, 100);
	return 0;
}

static void
a_full_file_in_a_read_only_directory_is_emptied(void **state)
{
	const char *path = in_directory("a.log");
	const char *text;

	(void)state;
	write_file(path, BYTES(""));
	if (geteuid() == 0)
		assert_int_equal(chown(path, NOBODY, NOBODY), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(chmod(directory, 0555), 0);
	int status = in_child(fill_as_nobody, path);
	assert_int_equal(chmod(directory, 0755), 0);
	if (status == NOT_DROPPED) {
		print_message("cannot become a user who may not write there\n");
		skip();
	}
	assert_int_equal(status, 0);
	assert_false(exists(in_directory("a.log.1")));
	text = read_file(path);
	assert_int_equal(strlen(text), 200);
	assert_int_equal(text[98], 'y');
	assert_int_equal(text[198], 'z');
	text = read_stderr();
	assert_int_equal(occurrences(text, "\n"), 1);
	assert_non_null(strstr(
	    text,
	    " cannot be moved aside (LogSize), so it is emptied: Permission denied\n"));
}

static void
a_fifo_does_not_move(void **state)
{
	const char *path = in_directory("fifo");
	struct stat st;
	char data[1024];

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	int fd = open(path, O_RDWR | O_NONBLOCK);
	assert_true(fd >= 0);
	log_open(path, LEVEL_DEBUG, 300);
	for (char mark = 'a'; mark <= 'z'; mark++) {
		write_line(mark, 100);
		assert_int_equal(read(fd, data, sizeof data), 100);
		assert_int_equal(data[98], mark);
	}
	close(fd);
	assert_false(exists(in_directory("fifo.1")));
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_string_equal(read_stderr(), "");
}

/*
 * Logs that fail
 */

static void
a_log_that_can_not_be_opened_is_reported_once(void **state)
{
	char expected[2 * PATH];
	const char *path;

	(void)state;
	write_file(in_directory("file"), BYTES(""));
	path = in_directory("file/a.log");
	stop_clock();
	log_open(path, LEVEL_DEBUG, 100);
	snprintf(expected, sizeof expected,
		 NOW " warn - Log %s cannot be opened: Not a directory\n", path);
	assert_string_equal(read_stderr(), expected);
	for (unsigned i = 0; i < 1000; i++) {
		assert_true(log_wants(LEVEL_DEBUG));
		log_line(LEVEL_DEBUG, no_peer,
			 "more lines than the buffer holds, in total");
		if (i % 100 == 0)
			log_flush();
	}
	log_flush();
	assert_string_equal(read_stderr(), expected);
	/* stderr still works. */
	log_line(LEVEL_INFO, no_peer, "x");
	log_flush();
	assert_int_equal(occurrences(read_stderr(), NOW " info - x\n"), 1);
	assert_int_equal(occurrences(read_stderr(), "cannot"), 1);
}

static void
a_log_that_failed_can_be_opened_again(void **state)
{
	const char *path = in_directory("a.log");

	(void)state;
	stop_clock();
	assert_int_equal(mkdir(path, 0700), 0);
	log_open(path, LEVEL_DEBUG, 0);
	assert_non_null(strstr(read_stderr(), " cannot be opened: Is a directory\n"));
	log_reopen();
	/* Each log_reopen reports it again. */
	assert_int_equal(occurrences(read_stderr(), "cannot be opened"), 2);
	assert_int_equal(rmdir(path), 0);
	log_reopen();
	log_line(LEVEL_DEBUG, no_peer, "x");
	log_flush();
	assert_file(path, NOW " debug - x\n");
	assert_int_equal(occurrences(read_stderr(), "\n"), 2);
}

static void
a_log_that_can_not_be_written_is_reported_once(void **state)
{
	(void)state;
	if (access("/dev/full", W_OK) < 0) {
		print_message("there is no /dev/full\n");
		skip();
	}
	log_open("/dev/full", LEVEL_DEBUG, 0);
	assert_string_equal(read_stderr(), "");
	for (unsigned i = 0; i < 100; i++)
		write_line('a', 100);
	const char *text = read_stderr();
	assert_int_equal(occurrences(text, "\n"), 1);
	assert_non_null(strstr(
	    text, " warn - Log /dev/full cannot be written: No space left on device\n"));
}

static void
a_long_name_is_reported_in_full(void **state)
{
	char *path = long_name(LOG_PATH_MAX);

	(void)state;
	/* A file in place of its first directory. */
	char *slash = strchr(path + strlen(directory) + 1, '/');
	*slash = '\0';
	write_file(path, BYTES(""));
	*slash = '/';
	log_open(path, LEVEL_DEBUG, 0);
	const char *text = read_stderr();
	assert_non_null(strstr(text, path));
	assert_non_null(strstr(text, " cannot be opened: Not a directory\n"));
	log_open("", LEVEL_ERROR, 0);
	free(path);
}

/*
 * A target that does not take the lines must not block the server.
 */

static void
a_fifo_without_a_reader_does_not_block(void **state)
{
	const char *path = in_directory("fifo");

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(20);
	log_open(path, LEVEL_DEBUG, 0);
	assert_non_null(strstr(read_stderr(), " cannot be opened: "));
	/* Open, but never read. */
	int fd = open(path, O_RDWR | O_NONBLOCK);
	assert_true(fd >= 0);
	log_reopen();
	for (unsigned i = 0; i < 1000; i++)
		write_line('a', 1000);
	alarm(0);
	close(fd);
	assert_int_equal(occurrences(read_stderr(), " cannot be written: "), 1);
}

static void
a_stderr_without_a_reader_does_not_block(void **state)
{
	const char *path = in_directory("a.log");
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	log_open(path, LEVEL_INFO, 0);
	alarm(20);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	for (unsigned i = 0; i < 10000; i++) {
		log_line(LEVEL_INFO, no_peer, "some words, again and again");
		if (i % 7 == 0)
			log_flush();
	}
	log_flush();
	close(STDERR_FILENO);
	log_line(LEVEL_INFO, no_peer, "without any stderr");
	log_flush();
	/* The sanitizers report on stderr. */
	assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
	alarm(0);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(occurrences(read_file(path), "\n"), 10001);
}

/* Each read returns what was written with one call. */
static void
lines_are_written_whole(void **state)
{
	char message[801], data[8192];
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
	memset(message, 'a', sizeof message - 1);
	message[sizeof message - 1] = '\0';
	log_open("", LEVEL_INFO, 0);
	assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
	for (unsigned i = 0; i < 3; i++)
		log_line(LEVEL_INFO, no_peer, message);
	log_flush();
	assert_true(dup2(real_stderr, STDERR_FILENO) >= 0);
	ssize_t n = read(ends[0], data, sizeof data);
	assert_in_range(n, 3 * sizeof message, sizeof data);
	assert_int_equal(data[n - 1], '\n');
	close(ends[0]);
	close(ends[1]);
}

/*
 * Syslog
 */

static int syslogd = -1;

/* The address of a socket in the test's directory that replaces /dev/log. */
static struct sockaddr_un
syslog_address(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	int length =
	    snprintf(address.sun_path, sizeof address.sun_path, "%s/syslog", directory);
	assert_true(length < (int)sizeof address.sun_path);
	return address;
}

ssize_t
sendto(int fd, const void *data, size_t length, int flags, const struct sockaddr *address,
       socklen_t size)
{
	const struct sockaddr_un there = syslog_address();

	assert_true(size == sizeof there);
	assert_ptr_equal(address, log_syslog_address());
	assert_string_equal(((const struct sockaddr_un *)(const void *)address)->sun_path,
			    "/dev/log");
	return syscall(SYS_sendto, fd, data, length, flags, &there, sizeof there);
}

static void
start_syslogd(void)
{
	const struct sockaddr_un address = syslog_address();

	unlink(address.sun_path);
	syslogd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_true(syslogd >= 0);
	assert_int_equal(bind(syslogd, (const struct sockaddr *)&address, sizeof address),
			 0);
}

static void
stop_syslogd(void)
{
	assert_int_equal(close(syslogd), 0);
	syslogd = -1;
}

/* Receives the next datagram. `priority` is the facility and the severity. */
static void
assert_syslog(unsigned priority, const char *line)
{
	char data[1024], expected[1024];
	ssize_t n = recv(syslogd, data, sizeof data - 1, MSG_DONTWAIT);

	assert_true(n >= 0);
	data[n] = '\0';
	snprintf(expected, sizeof expected, "<%u>videre[%ld]: %s", priority,
		 (long)getpid(), line);
	assert_string_equal(data, expected);
}

static void
assert_syslog_silent(void)
{
	char byte;

	assert_true(recv(syslogd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
}

static void
syslog_receives_one_datagram_per_line(void **state)
{
	enum { DAEMON = 3 * 8 };

	(void)state;
	start_syslogd();
	log_open("syslog", LEVEL_TRACE, 0);
	log_line(LEVEL_ERROR, (struct span){ BYTES("192.0.2.1:8080") }, "one");
	log_line(LEVEL_WARN, no_peer, "two words");
	log_line(LEVEL_INFO, no_peer, "");
	assert_syslog_silent();
	log_flush();
	log_line(LEVEL_DEBUG, no_peer, "3");
	log_line(LEVEL_TRACE, no_peer, "4");
	log_flush();
	assert_syslog(DAEMON + 3, "error 192.0.2.1:8080 one");
	assert_syslog(DAEMON + 4, "warn - two words");
	assert_syslog(DAEMON + 6, "info - ");
	assert_syslog(DAEMON + 7, "debug - 3");
	assert_syslog(DAEMON + 7, "trace - 4");
	assert_syslog_silent();
	stop_syslogd();
}

static void
syslog_does_not_change_the_format_on_stderr(void **state)
{
	(void)state;
	start_syslogd();
	stop_clock();
	log_open("syslog", LEVEL_DEBUG, 0);
	log_line(LEVEL_WARN, no_peer, "line");
	log_flush();
	assert_string_equal(read_stderr(), NOW " warn - line\n");
	stop_syslogd();
}

static void
log_debug(const char *message)
{
	log_line(LEVEL_DEBUG, no_peer, message);
	log_flush();
}

static void
a_syslogd_that_starts_later_is_found_within_a_second(void **state)
{
	(void)state;
	stop_clock();
	log_open("syslog", LEVEL_DEBUG, 0);
	log_debug("lost");
	assert_int_equal(occurrences(read_stderr(), "\n"), 1);
	assert_int_equal(occurrences(read_stderr(), " warn - Log syslog (/dev/log) "), 1);
	start_syslogd();
	log_debug("lost");
	assert_syslog_silent();
	now.tv_sec++;
	log_debug("one");
	assert_syslog(31, "debug - one");
	assert_int_equal(occurrences(read_stderr(), "\n"), 1);
	stop_syslogd();
}

static void
a_restarted_syslogd_misses_no_line(void **state)
{
	(void)state;
	stop_clock();
	start_syslogd();
	log_open("syslog", LEVEL_DEBUG, 0);
	log_debug("one");
	assert_syslog(31, "debug - one");
	stop_syslogd();
	start_syslogd();
	now.tv_sec++;
	log_line(LEVEL_DEBUG, no_peer, "two");
	log_debug("three");
	assert_syslog(31, "debug - two");
	assert_syslog(31, "debug - three");
	assert_string_equal(read_stderr(), "");
	stop_syslogd();
}

static void
the_end_of_syslogd_is_reported_once(void **state)
{
	(void)state;
	stop_clock();
	start_syslogd();
	log_open("syslog", LEVEL_DEBUG, 0);
	stop_syslogd();
	for (int i = 0; i < 3; i++) {
		now.tv_sec++;
		log_debug("lost");
	}
	assert_int_equal(occurrences(read_stderr(), "\n"), 1);
	assert_int_equal(occurrences(read_stderr(), " warn - Log syslog (/dev/log) "), 1);
}

#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		LOG_TEST(a_line_has_time_level_address_and_message),
		LOG_TEST(a_message_is_not_escaped),
		LOG_TEST(the_time_is_correct_on_every_day),
		LOG_TEST(the_time_is_the_current_time),
		LOG_TEST(a_message_that_is_too_long_leaves_a_complete_line),
		LOG_TEST(only_the_configured_levels_are_logged),
		LOG_TEST(the_levels_have_their_names),
		LOG_TEST(info_and_above_also_go_to_stderr),
		LOG_TEST(a_dash_logs_all_levels_to_stderr),
		LOG_TEST(an_empty_name_creates_no_file),
		LOG_TEST(nothing_is_written_before_log_flush),
		LOG_TEST(more_lines_than_fit_the_buffer_are_written_in_order),
		LOG_TEST(an_existing_file_is_appended_to),
		LOG_TEST(missing_directories_are_created),
		LOG_TEST(a_relative_name_works),
		LOG_TEST(a_name_may_have_1000_bytes),
		LOG_TEST(log_reopen_creates_a_file_that_was_moved),
		LOG_TEST(root_creates_a_file_and_its_directory_for_another_user),
		LOG_TEST(existing_files_keep_their_owner),
		LOG_TEST(root_creates_nothing_through_links_of_another_user),
		LOG_TEST(only_root_follows_no_link_to_the_file),
		LOG_TEST(lines_of_an_address_are_limited),
		LOG_TEST(lines_of_all_addresses_are_limited),
		LOG_TEST(discarded_lines_are_reported_once_a_second),
		LOG_TEST(the_total_rate_is_reported_separately),
		LOG_TEST(level_trace_has_no_limit),
		LOG_TEST(a_full_file_moves_aside),
		LOG_TEST(no_line_is_lost_when_a_file_moves),
		LOG_TEST(existing_contents_count_towards_the_size),
		LOG_TEST(an_empty_file_does_not_move),
		LOG_TEST(without_a_limit_no_file_moves),
		LOG_TEST(a_full_file_that_can_not_move_is_emptied),
		LOG_TEST(a_full_file_in_a_read_only_directory_is_emptied),
		LOG_TEST(a_fifo_does_not_move),
		LOG_TEST(a_log_that_can_not_be_opened_is_reported_once),
		LOG_TEST(a_log_that_failed_can_be_opened_again),
		LOG_TEST(a_log_that_can_not_be_written_is_reported_once),
		LOG_TEST(a_long_name_is_reported_in_full),
		LOG_TEST(a_fifo_without_a_reader_does_not_block),
		LOG_TEST(a_stderr_without_a_reader_does_not_block),
		LOG_TEST(lines_are_written_whole),
		LOG_TEST(syslog_receives_one_datagram_per_line),
		LOG_TEST(syslog_does_not_change_the_format_on_stderr),
		LOG_TEST(a_syslogd_that_starts_later_is_found_within_a_second),
		LOG_TEST(a_restarted_syslogd_misses_no_line),
		LOG_TEST(the_end_of_syslogd_is_reported_once),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
