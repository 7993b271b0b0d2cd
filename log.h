/*
 * The log: one line an event, `TIME LEVEL ADDRESS MESSAGE`, into a file, to syslog, and
 * from level info up also on stderr.  Lines are gathered and written by log_flush,
 * once per turn of the loop.  A log that cannot be written is said once on stderr
 * and stops nothing.
 */
#ifndef LOG_H
#define LOG_H

#include "logfile.h"

enum log_level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG, LEVEL_TRACE };

extern const char *const log_levels[]; /* their names, NULL behind the last */

/*
 * Where to: a file, created with its directory if missing; "" nowhere; "-" stderr only,
 * then all of it; "syslog" the datagram socket /dev/log.  A file of more than `most`
 * bytes moves to NAME.1 (0: never).  `target` stays the caller's, and must stay.
 */
void log_open(const char *target, enum log_level, size_t most);
/* The same, but opens nothing: the first lines, 16 KB of them, wait for log_reopen. */
void log_set(const char *target, enum log_level, size_t most);
/*
 * For root, between log_set and becoming that user: see logfile_make.  After it
 * log_reopen opens the target as the user.
 */
void log_make(uint32_t user, uint32_t group);
/* Opens the target again: a file that was moved stays as it is, and a new one begins. */
void log_reopen(void);

/*
 * Limits from here on the bytes per second of lines that have a peer, for each address
 * and in all, unless the level is trace.  `key` is random, so that no client can choose
 * which addresses share a limit.
 */
void log_seed(const uint32_t key[2]);

/*
 * Starts a process that writes the log from here on if its target is a file: see
 * logfile_detach.
 */
void log_detach(bool (*confine)(void));

/*
 * Begins a line; NULL if the level is not wanted or the peer has exceeded its rate, else
 * the caller puts the message into the text, and ends the line.  `peer` is an address
 * with a port, or empty.
 */
struct text *log_begin(enum log_level, struct span peer);
void log_end(void);
/* A line of just these words. */
void log_line(enum log_level, struct span peer, const char *message);
/* Is this level logged at all? */
bool log_wants(enum log_level);

/* Writes the lines; at most once a second it adds how many were left out, and why. */
void log_flush(void);
/* Are there lines for a next log_flush: a report of lines that were left out, or lines
 * that the file's writer has not taken? */
bool log_pending(void);
/* The last flush, which waits at most 100 ms for the process that writes the log. */
void log_close(void);

/* The address (sockaddr_un, in read-only memory) that the log sends datagrams to. */
const void *log_syslog_address(void);

#endif
