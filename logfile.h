/*
 * The file of the log: created without trusting its directory, appended to, and moved
 * aside when it is full.
 */
#ifndef LOGFILE_H
#define LOGFILE_H

#include "text.h"

enum { LOG_PATH = 1000 }; /* bytes of a file's name, at most */

/*
 * Chooses the file; opens nothing.  A file of more than `most` bytes moves to NAME.1
 * (0: never).  `complain` receives what went wrong, and errno has the reason.  `path`
 * stays the caller's, and must stay.
 */
void logfile_set(const char *path, size_t most, void (*complain)(const char *what));

/*
 * Root's part, before the process becomes `user`: creates the directories and the file
 * that this user can not create, and gives the file and its directory to the user, if
 * new. Does nothing where others than root may write, because links there can lead
 * anywhere.
 */
void logfile_make(uint32_t user, uint32_t group);

/* Opens or creates the file with the rights of the process; root follows no link to it.
 */
void logfile_open(void);
void logfile_close(void);

/* Appends the lines and empties the text.  Lines that can not be written are lost. */
void logfile_write(struct text *lines);

#endif
