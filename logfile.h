/*
 * The log file.  Other users may have write access to its directory, so root follows no
 * link there.  A full file moves to NAME.1.
 */
#ifndef LOGFILE_H
#define LOGFILE_H

#include "text.h"

enum { LOG_PATH_MAX = 1000 }; /* bytes of the longest path */

/*
 * Chooses the file, and opens nothing.  A file that would exceed `max_size` bytes moves
 * to NAME.1 (0: never).  `report` receives each failure, with its reason in errno. `path`
 * must stay valid; the caller owns it.
 */
void logfile_set(const char *path, size_t max_size, void (*report)(const char *failure));

/*
 * Called by root before the process becomes `user`.  Creates the missing directories and
 * the file; a new file and its new directory belong to the user.  Creates nothing in
 * directories that users other than root may write: links there can lead anywhere.
 */
void logfile_create_for(uint32_t user, uint32_t group);

/*
 * Opens or creates the file with the rights of the process; root follows no link to it.
 * If a file is open, `lines` still go to it.
 */
void logfile_reopen(struct text *lines);

/*
 * Starts a process that writes the file, so that slow storage does not block the server.
 * Returns true in that process, which then calls logfile_run_writer, else false.  Starts
 * none if the file is a FIFO or a device.  Without that process the server writes.
 * The signals of the server must be blocked, and SIGPIPE ignored.
 */
bool logfile_start_writer(void);

/*
 * Runs the writer process.  It exits after the server, when it has written the last
 * lines. `input` is an empty buffer.
 */
_Noreturn void logfile_run_writer(struct text *input);

/*
 * Writes the lines and removes them from the text.  Lines that the writer process does
 * not take yet stay.  Lines that can not be written are lost.
 */
void logfile_write(struct text *lines);

/* Writes the last lines and ends the writer process.  Waits at most 100 ms for both. */
void logfile_close(struct text *lines);

#endif
