#define _GNU_SOURCE /* pipe2, S_ISVTX */
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

/* fork links 1 KB of locks, which only threads need.  Older C libraries lack _Fork. */
#ifdef __GLIBC__
#if !__GLIBC_PREREQ(2, 34)
#define _Fork fork
#endif
#endif

/* Declared in stdio.h, which the server does not use. */
int rename(const char *from, const char *to);

enum {
	MAX_FDS = 1024,	 /* file descriptors that the server can have at its start */
	CLOSE_TRIES = 5, /* to send the last lines, each after CLOSE_TRY_MS at most */
	CLOSE_TRY_MS = 10,
	EXIT_WAIT_MS = 50 /* for the writer process to exit, after the tries */
};

#define NEVER  SIZE_MAX
#define REOPEN '\0' /* makes the writer process open the file again; in no line */

static struct {
	const char *path;
	size_t max_size;      /* 0: no limit */
	bool left_to_another; /* another program rotates; max_size is larger */
	size_t size;	      /* after the last write; another program may truncate it */
	int fd;		      /* -1: not open */
	/* Pipe of lines: the write end, in the writer process the read end; -1: none. */
	int writer_fd;
	int exit_fd;	  /* pipe whose other end closes when the writer process exits */
	size_t reopen_at; /* offset in the lines where REOPEN must be sent, or NEVER */
	bool failed;	  /* reported */
	bool regular;	  /* a regular file, which can grow and move */
	bool follows_links;
	void (*report)(const char *failure);
} file = { .fd = -1, .writer_fd = -1, .exit_fd = -1, .reopen_at = NEVER };

void
logfile_set(const char *path, size_t max_size, void (*report)(const char *failure))
{
	file.path = path;
	file.max_size = max_size;
	file.follows_links = geteuid() != 0;
	file.report = report;
}

/* Reports only the first failure until the file is opened again. */
static void
report_once(const char *failure)
{
	if (!file.failed)
		file.report(failure);
	file.failed = true;
}

/* Can users other than root have created entries in this directory? */
static bool
is_shared(const struct stat *st, uint32_t group)
{
	return (st->st_mode & S_IWOTH) != 0 ||
	       (st->st_gid == group && (st->st_mode & S_IWGRP) != 0);
}

static void
give_to_user(int fd, uint32_t user, uint32_t group)
{
	if (fchown(fd, user, group) < 0)
		report_once(" cannot be given to its user: ");
}

static void
create_file(int directory, const char *name, uint32_t user, uint32_t group)
{
	/* O_EXCL: an existing file keeps its owner, and no link is followed. */
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int fd = openat(directory, name, flags, 0640);

	if (fd < 0)
		return;
	give_to_user(fd, user, group);
	close(fd);
}

static const char *
skip_slashes(const char *path)
{
	while (*path == '/')
		path++;
	return path;
}

/*
 * Creates the first component of `rest`, a path within `directory`, if it is missing.
 * Returns its file descriptor if it is a directory to continue in, else -1.
 */
static int
create_entry(int directory, const char *rest, uint32_t user, uint32_t group)
{
	char name[LOG_PATH_MAX + 1];
	size_t length = strcspn(rest, "/");
	const char *next = skip_slashes(rest + length);
	bool is_file = rest[length] == '\0', is_last = strchr(next, '/') == NULL;
	struct stat st;

	if (length >= sizeof name || fstat(directory, &st) < 0 || st.st_uid != 0)
		return -1;
	memcpy(name, rest, length);
	name[length] = '\0';
	bool shared = is_shared(&st, group);
	/* In a sticky directory such as /tmp only root can replace root's entries. */
	if (shared && (is_file || (st.st_mode & S_ISVTX) == 0))
		return -1;
	if (is_file) {
		create_file(directory, name, user, group);
		return -1;
	}
	bool created = !shared && mkdirat(directory, name, 0755) == 0;
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = openat(directory, name, shared || created ? flags | O_NOFOLLOW : flags);
	if (fd >= 0 && created && is_last)
		give_to_user(fd, user, group);
	return fd;
}

void
logfile_create_for(uint32_t user, uint32_t group)
{
	const char *rest = file.path;
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int directory = open(*rest == '/' ? "/" : ".", flags);

	while (directory >= 0) {
		rest = skip_slashes(rest);
		int next = create_entry(directory, rest, user, group);
		close(directory);
		directory = next;
		rest += strcspn(rest, "/");
	}
	file.follows_links = user != 0;
}

static void
create_directories(void)
{
	char path[LOG_PATH_MAX];
	size_t length = strlen(file.path);

	for (size_t i = 1; i < length && i < sizeof path; i++) {
		if (file.path[i] != '/')
			continue;
		memcpy(path, file.path, i);
		path[i] = '\0';
		mkdir(path, 0755);
	}
}

static void
open_file(void)
{
	struct stat st;

	/* O_NONBLOCK: a FIFO without a reader must not hold up the start. */
	int flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	/* A user with write access to the directory could link to any file of root. */
	if (!file.follows_links)
		flags |= O_NOFOLLOW;
	file.fd = open(file.path, flags, 0640);
	if (file.fd < 0 && errno == ENOENT) {
		create_directories();
		file.fd = open(file.path, flags, 0640);
	}
	if (file.fd < 0)
		report_once(errno == ELOOP && !file.follows_links
				? " cannot be opened (root follows no link): "
				: " cannot be opened: ");
	file.regular = file.fd >= 0 && fstat(file.fd, &st) == 0 && S_ISREG(st.st_mode);
	file.size = file.regular ? (size_t)st.st_size : 0;
}

static void
close_file(void)
{
	if (file.fd >= 0)
		close(file.fd);
	file.fd = -1;
}

/*
 * Another program has rotated the file: together they would overwrite each other's files.
 * A larger limit remains, for the case that it was done once by hand.
 */
static void
leave_rotation(void)
{
	enum { FACTOR = 8 };

	if (file.max_size == 0 || file.left_to_another)
		return;
	file.left_to_another = true;
	file.max_size =
	    file.max_size > SIZE_MAX / FACTOR ? SIZE_MAX : FACTOR * file.max_size;
	errno = 0;
	file.report(" is rotated by another program: LogSize applies at 8 times its "
		    "value");
}

/* Returns true if `path` is now another file than the open one, or none. */
static bool
is_moved(void)
{
	struct stat here, there;

	if (!file.regular || fstat(file.fd, &here) < 0 || here.st_nlink == 0)
		return false;
	if (stat(file.path, &there) < 0)
		return errno == ENOENT;
	return here.st_ino != there.st_ino || here.st_dev != there.st_dev;
}

static void
open_again(void)
{
	int old = file.fd;

	file.failed = false;
	if (old >= 0 && is_moved())
		leave_rotation();
	close_file();
	open_file();
}

/* Moves a full file aside.  If that fails, empties it, so that it does not grow. */
static void
rotate(void)
{
	char aside[LOG_PATH_MAX + 3];
	size_t length = strlen(file.path);

	if (is_moved()) {
		leave_rotation();
		return;
	}
	memcpy(aside, file.path, length);
	memcpy(aside + length, ".1", 3);
	if (rename(file.path, aside) == 0 || errno == ENOENT) {
		close_file();
		open_file();
		return;
	}
	report_once(" cannot be moved aside (LogSize), so it is emptied: ");
	if (ftruncate(file.fd, 0) == 0)
		file.size = 0;
}

static void
append(const char *data, size_t length)
{
	struct stat st;

	if (length > 0 && file.regular && file.max_size > 0 && fstat(file.fd, &st) == 0) {
		if ((size_t)st.st_size < file.size)
			leave_rotation();
		file.size = (size_t)st.st_size;
		if (file.max_size > 0 && file.size > 0 &&
		    file.size + length > file.max_size)
			rotate();
	}
	while (length > 0 && file.fd >= 0) {
		ssize_t n = write(file.fd, data, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			report_once(" cannot be written: ");
			return;
		}
		data += n;
		length -= (size_t)n;
		file.size += (size_t)n;
	}
}

/* Removes the first bytes of the lines. */
static void
drop_first(struct text *lines, size_t length)
{
	lines->length -= length;
	memmove(lines->data, lines->data + length, lines->length);
}

/*
 * The writer process
 */

/* Writes only complete lines, so that no rotation cuts a line.  The rest stays. */
static void
write_input(struct text *input)
{
	const char *reopen;
	size_t end = input->length;

	while ((reopen = memchr(input->data, REOPEN, input->length)) != NULL) {
		end = (size_t)(reopen - input->data);
		append(input->data, end);
		open_again();
		drop_first(input, end + 1);
		end = input->length;
	}
	while (end > 0 && input->data[end - 1] != '\n')
		end--;
	/* No line is that long, but the input must not stay full. */
	if (end == 0 && input->length == input->size)
		end = input->length;
	if (end > 0)
		append(input->data, end);
	drop_first(input, end);
}

void
logfile_run_writer(struct text *input)
{
	struct pollfd fd = { .fd = file.writer_fd, .events = POLLIN };

	for (;;) {
		ssize_t n = read(file.writer_fd, input->data + input->length,
				 input->size - input->length);
		if (n > 0) {
			input->length += (size_t)n;
			write_input(input);
		} else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			poll(&fd, 1, -1);
		} else {
			_exit(0);
		}
	}
}

/* Closes all file descriptors except those of the writer process, such as sockets. */
static void
close_others(int lines_fd, int exit_fd)
{
	for (int fd = 0; fd < MAX_FDS; fd++)
		if (fd != STDERR_FILENO && fd != file.fd && fd != lines_fd &&
		    fd != exit_fd)
			close(fd);
}

bool
logfile_start_writer(void)
{
	int lines[2], alive[2];

	if (file.fd >= 0 && !file.regular)
		return false;
	if (pipe2(lines, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	if (pipe2(alive, O_CLOEXEC) < 0) {
		close(lines[0]);
		close(lines[1]);
		return false;
	}
	pid_t pid = _Fork();
	if (pid == 0) {
		close_others(lines[0], alive[1]);
#ifdef __linux__
		prctl(PR_SET_NAME, "videre-log");
#endif
		file.writer_fd = lines[0];
		return true;
	}
	close(lines[0]);
	close(alive[1]);
	if (pid < 0) {
		close(lines[1]);
		close(alive[0]);
		return false;
	}
	close_file();
	file.writer_fd = lines[1];
	file.exit_fd = alive[0];
	return false;
}

/* The sandbox does not allow another writer process, so the server writes. */
static void
write_directly(void)
{
	close(file.writer_fd);
	close(file.exit_fd);
	file.writer_fd = -1;
	errno = 0;
	file.report(" is now written by the server itself: the writer process has ended");
	open_file();
}

/* Sends as many lines as the pipe takes without blocking.  The rest stays. */
static void
send_to_writer(struct text *lines)
{
	size_t sent = 0;

	while (sent < lines->length || file.reopen_at == sent) {
		bool reopen = file.reopen_at == sent;
		size_t end = file.reopen_at != NEVER ? file.reopen_at : lines->length;
		const char control = REOPEN;
		ssize_t n = reopen
				? write(file.writer_fd, &control, 1)
				: write(file.writer_fd, lines->data + sent, end - sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			write_directly();
		if (n <= 0)
			break;
		if (reopen)
			file.reopen_at = NEVER;
		else
			sent += (size_t)n;
	}
	drop_first(lines, sent);
	if (file.reopen_at != NEVER)
		file.reopen_at -= sent;
}

void
logfile_reopen(struct text *lines)
{
	if (file.writer_fd < 0) {
		open_again();
		return;
	}
	file.failed = false;
	file.reopen_at = lines->length;
	send_to_writer(lines);
}

void
logfile_write(struct text *lines)
{
	if (file.writer_fd >= 0)
		send_to_writer(lines);
	if (file.writer_fd >= 0)
		return;
	append(lines->data, lines->length);
	lines->length = 0;
}

void
logfile_close(struct text *lines)
{
	struct pollfd fd = { .fd = file.writer_fd, .events = POLLOUT };

	logfile_write(lines);
	for (int i = 0; i < CLOSE_TRIES && lines->length > 0; i++)
		if (poll(&fd, 1, CLOSE_TRY_MS) > 0)
			logfile_write(lines);
	if (file.writer_fd < 0)
		return;
	close(file.writer_fd);
	fd = (struct pollfd){ .fd = file.exit_fd };
	poll(&fd, 1, EXIT_WAIT_MS);
}
