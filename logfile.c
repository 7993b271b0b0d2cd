#define _GNU_SOURCE /* S_ISVTX */
#include "logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Its header is stdio.h, of which the server wants nothing else. */
int rename(const char *from, const char *to);

static struct {
	const char *path;
	size_t most, size;
	int fd;	      /* -1: not open */
	bool regular; /* can grow, and move */
	bool follows_links;
	void (*complain)(const char *what);
} file = { .fd = -1 };

void
logfile_set(const char *path, size_t most, void (*complain)(const char *what))
{
	file.path = path;
	file.most = most;
	file.follows_links = geteuid() != 0;
	file.complain = complain;
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
		file.complain(" cannot be given to its user: ");
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

/*
 * Creates the first entry of `rest`, a path within `directory`, if it is missing. Returns
 * it if it is a directory to continue in, else -1.
 */
static int
make_entry(int directory, const char *rest, uint32_t user, uint32_t group)
{
	char name[LOG_PATH + 1];
	size_t length = strcspn(rest, "/");
	const char *next = rest + length + strspn(rest + length, "/");
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
		rest += strspn(rest, "/");
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

void
logfile_open(void)
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
		file.complain(errno == ELOOP && !file.follows_links
				  ? " cannot be opened (root follows no link): "
				  : " cannot be opened: ");
	file.regular = file.fd >= 0 && fstat(file.fd, &st) == 0 && S_ISREG(st.st_mode);
	file.size = file.regular ? (size_t)st.st_size : 0;
}

void
logfile_close(void)
{
	if (file.fd >= 0)
		close(file.fd);
	file.fd = -1;
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
		logfile_close();
		logfile_open();
		return;
	}
	file.complain(" cannot be moved aside: ");
	if (ftruncate(file.fd, 0) == 0)
		file.size = 0;
}

static void
append(const char *data, size_t length)
{
	if (file.regular && file.most > 0 && file.size > 0 &&
	    file.size + length > file.most)
		rotate();
	while (length > 0 && file.fd >= 0) {
		ssize_t n = write(file.fd, data, length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			file.complain(" cannot be written: ");
			return;
		}
		data += n;
		length -= (size_t)n;
		file.size += (size_t)n;
	}
}

void
logfile_write(struct text *lines)
{
	append(lines->data, lines->length);
	lines->length = 0;
}
