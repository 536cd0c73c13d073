/* SPDX-License-Identifier: MIT */
/*
 * Removing the oldest sealed segments, where an option says so and never otherwise.
 */
#ifndef WALFS_CORE_LOG_RETENTION_H
#define WALFS_CORE_LOG_RETENTION_H

#include "core/log/log.h"

/* How many segments one step removes at most. */
#define WAL_RETAIN_STEP 64u

enum wal_retained {
	WAL_RETAINED_ALL,  /* nothing was due, or could be removed */
	WAL_RETAINED_SOME, /* what was due is removed */
	WAL_RETAINED_MORE, /* a step was done, and there is more to do */
};

/* Lock not held; one thread at a time. Removes some of what the options say. */
enum wal_retained wal_log_retain(struct wal_log *log);
/* The same with the lock held; dropped meanwhile. */
enum wal_retained wal_log_retain_unlocked(struct wal_log *log);

#endif
