/* SPDX-License-Identifier: MIT */
/*
 * Group commit: whoever commits takes all who wait, syncs once, and answers them
 * together; whoever comes meanwhile waits for the next. One commits at a time: the
 * committer's own thread (which also syncs at an interval), or the caller of a sync
 * that found nobody at it. That one saves two wake-ups, which cost as much as a
 * disk's write where processors sleep (leader and follower, as in RocksDB's write
 * groups).
 */
#ifndef WALFS_CORE_COMMITTER_H
#define WALFS_CORE_COMMITTER_H

#include "core/log/log.h"

/* Return: 0 or -errno. */
int wal_committer_start(struct wal_log *log, unsigned interval_ms);
/* Answers all who wait, then ends. */
void wal_committer_stop(struct wal_log *log);

#endif
