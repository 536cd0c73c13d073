/* SPDX-License-Identifier: MIT */
/*
 * The thread that keeps the next segments ready: created under their preparation
 * names, allocated, mapped, prefaulted and synced, so that a rotation only renames
 * one. Where there is no space it says so to who waits, and tries again.
 */
#ifndef WALFS_CORE_SEGMENT_PREPARER_H
#define WALFS_CORE_SEGMENT_PREPARER_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/segment/segment_writer.h"
#include "core/base/telemetry.h"

#define WAL_PREPARE_MAX 8u

struct wal_segment_preparer {
	const struct wal_io *io;
	int dirfd;
	struct wal_telemetry *telemetry;
	atomic_bool by_pwrite; /* how the next ones will be written */
	/* Called when preparing begins to fail (error < 0) and when it works again (0). */
	void (*changed)(void *ctx, uint32_t segment, int err);
	/* Called with the file of each that was made; may be NULL. */
	void (*made)(void *ctx, int fd);
	void *changed_ctx; /* of both */
	pthread_t thread;
	bool running;

	pthread_mutex_t lock;		/* all below */
	pthread_cond_t wake;		/* the thread: there is room, or somebody needs one */
	pthread_cond_t ready;		/* takers: there is one, or an error */
	struct wal_segment_shape shape; /* of the next to prepare */
	struct wal_segment_writer queue[WAL_PREPARE_MAX + 1]; /* one may come back */
	unsigned count;
	unsigned depth;
	int err;	   /* of the last attempt */
	uint64_t attempts; /* so far */
	uint64_t tried_ns; /* when the last one ended; CLOCK_REALTIME */
	bool needed;	   /* somebody waits */
	uint64_t taken_ns; /* when one was last taken; 0: never */
	bool in_bulk;	   /* and that was soon after the one before */
	bool given_up;	   /* nobody will take another */
	bool stop;
};

/* shape: of the first to prepare; depth: how many to keep ready. Return: 0 or -errno. */
int wal_segment_preparer_start(struct wal_segment_preparer *p,
			       const struct wal_segment_shape *shape, unsigned depth);
/* Takes the next segment; never waits. Any thread. Return: 0; -EAGAIN: none is ready, see wait. */
int wal_segment_preparer_take(struct wal_segment_preparer *p, struct wal_segment_writer *w);
/* The one that was taken last could not be used: it is the next again. Any thread. */
void wal_segment_preparer_give_back(struct wal_segment_preparer *p,
				    const struct wal_segment_writer *w);
/* Its file is gone: makes it anew, and those after it. The caller has closed it. Any thread. */
void wal_segment_preparer_make_again(struct wal_segment_preparer *p, uint32_t index);
/*
 * Waits until one is ready, or until an attempt to make one has failed: after -ENOSPC
 * each call has it tried anew, unless one failed just now and nothing says that there is
 * space. Any thread. Return: 0; -ENOSPC, -EDQUOT, -EIO ...; -EROFS if it gave up.
 */
int wal_segment_preparer_wait(struct wal_segment_preparer *p);
/* How many are ready; error (may be NULL) gets that of the last attempt. Any thread. */
unsigned wal_segment_preparer_ready(struct wal_segment_preparer *p, int *err);
/* It runs, and makes no more: the log failed. Any thread. */
void wal_segment_preparer_give_up(struct wal_segment_preparer *p);
/* Ends the thread and removes what was prepared and not taken. */
void wal_segment_preparer_stop(struct wal_segment_preparer *p);

#endif
