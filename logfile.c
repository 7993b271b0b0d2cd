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

/* fork brings 1 KB of locks, which matter to threads only; older C libraries have no
 * other. */
#ifdef __GLIBC__
#if !__GLIBC_PREREQ(2, 34)
#define _Fork fork
#endif
#endif

/* Its header is stdio.h, of which the server wants nothing else. */
int rename(const char *from, const char *to);

enum {
	FILES = 1024, /* descriptors that the server may have at its start */
	FINISH_TRIES = 5,
	FINISH_MS = 10, /* a try to send the last lines */
	END_MS = 50	/* then for the end of the writer process */
};

#define NEVER  SIZE_MAX
#define REOPEN '\0' /* the writer process opens the file again; no line contains it */

static struct {
	const char *path;
	size_t most, size;
	int fd;	  /* -1: not open */
	int feed; /* to the writer process, which has the file open; -1: there is none */
	int end;  /* hangs up when the writer process ends */
	size_t
	    reopen_at; /* of the lines, where the writer process opens the file again */
	bool failed;   /* reported */
	bool regular;  /* can grow, and move */
	bool follows_links;
	void (*complain)(const char *what);
} file = { .fd = -1, .feed = -1, .end = -1, .reopen_at = NEVER };

void
logfile_set(const char *path, size_t most, void (*complain)(const char *what))
{
	file.path = path;
	file.most = most;
	file.follows_links = geteuid() != 0;
	file.complain = complain;
}

/* Reports a failure, until the file is opened again only the first. */
static void
complain(const char *what)
{
	if (!file.failed)
		file.complain(what);
	file.failed = true;
}

/* May somebody else than root have put an entry into this directory? */
static bool
is_shared(const struct stat *st, uint32_t group)
{
	return (st->st_mode & S_IWOTH) != 0 ||
	       (st->st_gid == group && (st->st_mode & S_IWGRP) != 0);
}

static void
give(int fd, uint32_t user, uint32_t group)
{
	if (fchown(fd, user, group) < 0)
		complain(" cannot be given to its user: ");
}

static void
make_file(int directory, const char *name, uint32_t user, uint32_t group)
{
	/* O_EXCL: an existing file keeps its owner, and no link is followed. */
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
	int fd = openat(directory, name, flags, 0640);

	if (fd < 0)
		return;
	give(fd, user, group);
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
 * Creates the first entry of `rest`, a path within `directory`, if it is missing. Returns
 * it if it is a directory to continue in, else -1.
 */
static int
make_entry(int directory, const char *rest, uint32_t user, uint32_t group)
{
	char name[LOG_PATH + 1];
	size_t length = strcspn(rest, "/");
	const char *next = skip_slashes(rest + length);
	bool is_file = rest[length] == '\0', is_last = strchr(next, '/') == NULL;
	struct stat st;

	if (length >= sizeof name || fstat(directory, &st) < 0 || st.st_uid != 0)
		return -1;
	memcpy(name, rest, length);
	name[length] = '\0';
	bool shared = is_shared(&st, group);
	/* Like /tmp: entries of root stay where they are, but new ones are not created.
	 */
	if (shared && (is_file || (st.st_mode & S_ISVTX) == 0))
		return -1;
	if (is_file) {
		make_file(directory, name, user, group);
		return -1;
	}
	bool made = !shared && mkdirat(directory, name, 0755) == 0;
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = openat(directory, name, shared || made ? flags | O_NOFOLLOW : flags);
	if (fd >= 0 && made && is_last)
		give(fd, user, group);
	return fd;
}

void
logfile_make(uint32_t user, uint32_t group)
{
	const char *rest = file.path;
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int directory = open(*rest == '/' ? "/" : ".", flags);

	while (directory >= 0) {
		rest = skip_slashes(rest);
		int next = make_entry(directory, rest, user, group);
		close(directory);
		directory = next;
		rest += strcspn(rest, "/");
	}
	file.follows_links = user != 0;
}

static void
make_directories(void)
{
	char path[LOG_PATH];
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
	/* Whoever may write the directory could lead root to any file. */
	if (!file.follows_links)
		flags |= O_NOFOLLOW;
	file.fd = open(file.path, flags, 0640);
	if (file.fd < 0 && errno == ENOENT) {
		make_directories();
		file.fd = open(file.path, flags, 0640);
	}
	if (file.fd < 0)
		complain(errno == ELOOP && !file.follows_links
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

static void
open_again(void)
{
	close_file();
	file.failed = false;
	open_file();
}

/* A full file moves aside.  A file that can not move is emptied, because it must not
 * grow. */
static void
rotate(void)
{
	char aside[LOG_PATH + 3];
	size_t length = strlen(file.path);

	memcpy(aside, file.path, length);
	memcpy(aside + length, ".1", 3);
	if (rename(file.path, aside) == 0 || errno == ENOENT) {
		close_file();
		open_file();
		return;
	}
	complain(" cannot be moved aside: ");
	if (ftruncate(file.fd, 0) == 0)
		file.size = 0;
}

static void
append(const char *data, size_t length)
{
	if (length > 0 && file.regular && file.most > 0 && file.size > 0 &&
	    file.size + length > file.most)
		rotate();
	while (length > 0 && file.fd >= 0) {
		ssize_t n = write(file.fd, data, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			complain(" cannot be written: ");
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

/* Writes the whole lines of the input; the rest stays.  So no line is cut by a rotation.
 */
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
	while (end > 0 && input->length < input->size && input->data[end - 1] != '\n')
		end--;
	if (end > 0)
		append(input->data, end);
	drop_first(input, end);
}

void
logfile_serve(struct text *input)
{
	struct pollfd fd = { .fd = file.feed, .events = POLLIN };

	for (;;) {
		ssize_t n = read(file.feed, input->data + input->length,
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

/* Keeps stderr and what the writer process needs: no socket of the server stays open. */
static void
close_others(int from, int end)
{
	for (int fd = 0; fd < FILES; fd++)
		if (fd != STDERR_FILENO && fd != file.fd && fd != from && fd != end)
			close(fd);
}

bool
logfile_detach(void)
{
	int feed[2], end[2];

	if (file.fd >= 0 && !file.regular)
		return false;
	if (pipe2(feed, O_CLOEXEC | O_NONBLOCK) < 0)
		return false;
	if (pipe2(end, O_CLOEXEC) < 0) {
		close(feed[0]);
		close(feed[1]);
		return false;
	}
	pid_t pid = _Fork();
	if (pid == 0) {
		close_others(feed[0], end[1]);
#ifdef __linux__
		prctl(PR_SET_NAME, "videre-log");
#endif
		file.feed = feed[0];
		return true;
	}
	close(feed[0]);
	close(end[1]);
	if (pid < 0) {
		close(feed[1]);
		close(end[0]);
		return false;
	}
	close_file();
	file.feed = feed[1];
	file.end = end[0];
	return false;
}

/* A process can not be started again after sandbox_enter. */
static void
write_directly(void)
{
	close(file.feed);
	close(file.end);
	file.feed = -1;
	errno = 0;
	file.complain(" is written by the server from here on: its process has ended");
	open_file();
}

/* Sends what the pipe takes without waiting; the rest stays. */
static void
feed_writer(struct text *lines)
{
	size_t sent = 0;

	while (sent < lines->length || file.reopen_at == sent) {
		bool reopen = file.reopen_at == sent;
		size_t end = file.reopen_at != NEVER ? file.reopen_at : lines->length;
		const char control = REOPEN;
		ssize_t n = reopen ? write(file.feed, &control, 1)
				   : write(file.feed, lines->data + sent, end - sent);
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
	if (file.feed < 0) {
		open_again();
		return;
	}
	file.failed = false;
	file.reopen_at = lines->length;
	feed_writer(lines);
}

void
logfile_write(struct text *lines)
{
	if (file.feed >= 0)
		feed_writer(lines);
	if (file.feed >= 0)
		return;
	append(lines->data, lines->length);
	lines->length = 0;
}

void
logfile_finish(struct text *lines)
{
	struct pollfd fd = { .fd = file.feed, .events = POLLOUT };

	logfile_write(lines);
	for (int i = 0; i < FINISH_TRIES && lines->length > 0; i++)
		if (poll(&fd, 1, FINISH_MS) > 0)
			logfile_write(lines);
	if (file.feed < 0)
		return;
	close(file.feed);
	fd = (struct pollfd){ .fd = file.end };
	poll(&fd, 1, END_MS);
}
