/* SPDX-License-Identifier: MIT */
/*
 * Group commit: one thread makes the log durable. It takes all who wait, syncs
 * once, and answers them together; whoever comes meanwhile waits for the next.
 * With an interval it also syncs by itself.
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
	pthread_cond_t wake;  /* with the log's lock */
	bool stop;	      /* the log's lock, like what follows */
	struct wal_sync *first;
	struct wal_sync **last;
};

/* Return: 0 or -errno. */
int wal_committer_start(struct wal_log *log, unsigned interval_ms);
/* Answers all who wait, then ends. */
void wal_committer_stop(struct wal_log *log);

#endif
