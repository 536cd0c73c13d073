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

#include <pthread.h>
#include <stdbool.h>
#include <walfs/wal.h>

struct wal_committer {
	pthread_t thread;
	bool running;
	unsigned interval_ms; /* 0: only when asked */
	pthread_cond_t wake;  /* with the log's lock: the thread, and who waits for it to end */
	bool stop;	      /* the log's lock, like what follows */
	bool busy;	      /* somebody commits, or is about to */
	uint32_t syncing;     /* the segment whose descriptor is in use; 0: none */
	struct wal_sync *first;
	struct wal_sync **last;
	uint32_t waiting; /* how many */
};

/* Return: 0 or -errno. */
int wal_committer_start(struct wal_log *log, unsigned interval_ms);
/* Answers all who wait, then ends. */
void wal_committer_stop(struct wal_log *log);
/* Lock held, dropped while it waits. Returns once this segment may be closed. */
void wal_committer_leave(struct wal_log *log, uint32_t segment);

#endif
