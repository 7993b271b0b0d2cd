/*
 * The log: one line per event, `TIME LEVEL ADDRESS MESSAGE`, in a file or to syslog.
 * Lines of level info and above also go to stderr.  Lines are collected, and log_flush
 * writes them once per turn of the loop.  If the log can not be written, one line on
 * stderr reports it, and the server continues.
 */
#ifndef LOG_H
#define LOG_H

#include "logfile.h"

/* The most severe first. */
enum log_level { LEVEL_ERROR, LEVEL_WARN, LEVEL_INFO, LEVEL_DEBUG, LEVEL_TRACE };

extern const char *const log_levels[]; /* their names, with a NULL after the last */

/*
 * Chooses the target and opens it:
 *   "syslog"        the datagram socket /dev/log
 *   "-"             stderr only, with lines of all levels
 *   ""              stderr only
 *   anything else   a file, created with its directories if missing
 * A file that would exceed `max_size` bytes moves to NAME.1 (0: never).  Lines above
 * `level` are ignored.  `target` must stay valid; the caller owns it.
 */
void log_open(const char *target, enum log_level level, size_t max_size);
/* The same, but opens nothing: the first 16 KB of lines wait for log_reopen. */
void log_configure(const char *target, enum log_level level, size_t max_size);
/*
 * Called by root between log_configure and the change to `user`: see logfile_create_for.
 * log_reopen then opens the target with the rights of that user.
 */
void log_create_for(uint32_t user, uint32_t group);
/* Opens the target again: if its file has been moved, a new file begins. */
void log_reopen(void);

/*
 * Limits how many bytes of lines with a peer are logged per second: for each address and
 * in total.  Level trace has no limit.  `key` is random, so that clients can not choose
 * which addresses share a limit.
 */
void log_limit_rates(const uint32_t key[2]);

/*
 * If the target is a file, starts a process that writes it: see logfile_start_writer.
 * That process calls `confine`, if not NULL, and does not return.
 */
void log_start_writer(bool (*confine)(void));

/*
 * Begins a line.  `peer` is an address with a port, or empty.  Returns the text to which
 * the caller appends the message before it calls log_end.  Returns NULL if the level is
 * ignored or a rate is exceeded; then the caller must not call log_end.
 */
struct text *log_begin(enum log_level, struct span peer);
void log_end(void);
/* Logs a line with a constant message. */
void log_line(enum log_level, struct span peer, const char *message);
/* Are lines of this level written anywhere? */
bool log_wants(enum log_level);

/* Writes the lines.  Reports once a second how many were discarded, and why. */
void log_flush(void);
/*
 * Must log_flush be called again?  True while lines are not written, or discarded lines
 * are not reported.
 */
bool log_pending(void);
/* Flushes for the last time; waits at most 100 ms for the process that writes the log. */
void log_close(void);

/* The address (sockaddr_un, in read-only memory) that the log sends datagrams to. */
const void *log_syslog_address(void);

#endif
