/* SPDX-License-Identifier: MIT */
/* Messages to the operator. */
#ifndef WALFS_FS_NOTICE_H
#define WALFS_FS_NOTICE_H

#include <stdint.h>

#include <walfs/wal.h>

/*
 * One line to the operator: stderr, or syslog once in the background. Never waits for who
 * reads it once walfs_notice_queue() was called. Any thread.
 */
void walfs_say(enum wal_notice_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* wal_notice_fn. Any thread. */
void walfs_notice(void *ctx, enum wal_notice_level level, const char *said);

/* A message, and when it was given. */
struct walfs_said {
	uint64_t time_ns; /* 0: never */
	char text[512];
};
/* The last that was a warning, and the last that was an error. Any thread. */
void walfs_last_said(struct walfs_said *warning, struct walfs_said *error);
/* How many messages nobody will see, as their reader did not keep up. Any thread. */
uint64_t walfs_notices_dropped(void);
void walfs_notice_start(void);
/* From here on a thread of its own writes messages. Signals are blocked already. */
void walfs_notice_queue(void);
/*
 * From here on to syslog, with what was said so far, once that was written to the terminal or
 * timeout_ms has passed.
 */
void walfs_notice_to_syslog(int timeout_ms);
/* Waits until all is written, at most timeout_ms (< 0: as long as it takes). Nothing follows. */
void walfs_notice_end(int timeout_ms);

#endif
