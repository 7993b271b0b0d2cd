#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads the whole file to `data`.  Sets `length` to its size. */
static bool
read_file(struct secret_file *s, const char *file, size_t *length, struct text *error)
{
	struct stat status;
	ssize_t n;
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*length = 0;
	if (fd < 0)
		return text_file_error(error, file, text_error(errno));
	bool known = fstat(fd, &status) == 0;
	while ((n = read(fd, s->data + *length, sizeof s->data - *length)) > 0)
		*length += (size_t)n;
	int read_error = errno;
	close(fd);
	if (n < 0)
		return text_file_error(error, file, text_error(read_error));
	if (!known || (status.st_mode & (S_IROTH | S_IWOTH)) != 0)
		return text_file_error(
		    error, file, "every user can read or write the secrets: chmod 640");
	return *length <= SECRET_FILE_MAX ||
	       text_file_error(error, file, "longer than 2048 bytes");
}

/* Removes the next line from `rest`.  Returns it without LF or CR LF. */
static struct span
take_line(struct span *rest)
{
	const char *end = memchr(rest->data, '\n', rest->length);
	size_t length = end != NULL ? (size_t)(end - rest->data) : rest->length;
	struct span line = { rest->data, length };

	length += end != NULL;
	*rest = (struct span){ rest->data + length, rest->length - length };
	if (line.length > 0 && line.data[line.length - 1] == '\r')
		line.length--;
	return line;
}

static bool
is_secret(struct span line)
{
	for (size_t i = 0; i < line.length; i++)
		if (line.data[i] <= ' ' || line.data[i] > '~')
			return false;
	return true;
}

/* Adds "FILE:LINE: ", the reason, the number if it is not 0, and the unit.  Always
 * returns false. */
static bool
fail(struct text *error, const char *file, unsigned line, const char *why,
     unsigned number, const char *unit)
{
	text_string(error, file);
	text_char(error, ':');
	text_number(error, line);
	text_string(error, ": ");
	text_string(error, why);
	if (number > 0)
		text_number(error, number);
	text_string(error, unit);
	return false;
}

bool
secret_file_read(struct secret_file *s, const char *file, struct secret_file_rule rule,
		 struct text *error)
{
	struct span rest = { s->data, 0 };

	s->count = 0;
	if (!read_file(s, file, &rest.length, error))
		return false;
	for (unsigned number = 1; rest.length > 0; number++) {
		struct span line = take_line(&rest);
		if (line.length == 0)
			continue;
		if (s->count == rule.most)
			return fail(error, file, number, "too many secrets, at most ",
				    rule.most, "");
		if (!is_secret(line))
			return fail(error, file, number,
				    "a secret must be printable ASCII without spaces", 0,
				    "");
		if (line.length < rule.shortest)
			return fail(error, file, number, "a secret must have at least ",
				    rule.shortest, " bytes");
		s->secrets[s->count++] = line;
	}
	return s->count > 0 ||
	       text_file_error(error, file, "no secret: videre -s makes a file with one");
}
