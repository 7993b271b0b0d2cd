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

/*
 * Opens or creates the file with the rights of the process, a second time after the
 * lines; root follows no link to it.
 */
void logfile_reopen(struct text *lines);

/*
 * Starts a process that writes the file from here on, so that slow storage does not hold
 * the server up.  Returns true in that process, which then calls logfile_serve.  Starts
 * none for a FIFO or device, or if it can not fork: the server writes then.  The signals
 * of the server must be blocked, and SIGPIPE ignored.
 */
bool logfile_detach(void);

/* The work of that process: ends with the server, after the last lines.  `input` is
 * empty. */
_Noreturn void logfile_serve(struct text *input);

/*
 * Appends the lines and removes them from the text.  Lines that can not be written are
 * lost, but those that the writer process does not take yet stay.
 */
void logfile_write(struct text *lines);

/* The last lines: waits at most 100 ms for the writer process, which ends after them. */
void logfile_finish(struct text *lines);

#endif
