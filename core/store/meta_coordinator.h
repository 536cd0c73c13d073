/* SPDX-License-Identifier: MIT */
/*
 * The thread that persists D, the durable position: within a second of its
 * publication, never before what it says is durable. Publishing costs a short
 * lock and no system call but a wake-up now and then.
 */
#ifndef WALFS_CORE_META_COORDINATOR_H
#define WALFS_CORE_META_COORDINATOR_H

#include <pthread.h>

#include "core/store/meta_store.h"
#include "core/base/telemetry.h"

struct wal_meta_coordinator {
	struct wal_meta_store store; /* the thread's, once it runs */
	pthread_t thread;
	bool running;
	/* In the thread: an error that ends it; no space (error < 0), and space again (0). */
	void (*failed)(void *ctx, int err);
	void (*space_changed)(void *ctx, int err);
	void *ctx;

	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_cond_t wrote;
	struct wal_meta meta; /* lock, like what follows: what is written next */
	bool dirty;
	bool urgent;		/* somebody waits: do not gather */
	uint64_t wanted;	/* flushes asked for */
	uint64_t written;	/* and done */
	uint64_t tried;		/* or tried, without space */
	int no_space;		/* what the last one found; 0: it was written */
	int err;		/* of the write that ended the thread */
	uint32_t first_written; /* what the last write said of meta.first_segment */
	bool stop;
	struct wal_telemetry *telemetry;
};

/*
 * Opens wal.meta and writes meta at once. Return: 0 or -errno; then nothing is open. why: as
 * of wal_meta_store_open().
 */
int wal_meta_coordinator_init(struct wal_meta_coordinator *mc, const struct wal_io *io, int dirfd,
			      const struct wal_meta *meta, struct wal_error *why);
/* Return: 0 or -errno. */
int wal_meta_coordinator_start(struct wal_meta_coordinator *mc);
/* A later position; any thread. */
void wal_meta_coordinator_publish(struct wal_meta_coordinator *mc,
				  const struct wal_durable *durable);
/*
 * Waits until what is published is on the disk. Any thread.
 * Return: 0; -ENOSPC, -EDQUOT: later, perhaps; or -errno.
 */
int wal_meta_coordinator_flush(struct wal_meta_coordinator *mc);
/* Segments below this one are gone; on the disk when it returns. Return: 0 or -errno. */
int wal_meta_coordinator_set_first(struct wal_meta_coordinator *mc, uint32_t first_segment);
/*
 * Ends the thread, writes once more (clean: the log was closed in order) unless
 * skip_write or a write failed, and closes. Return: 0, or the error of that write.
 */
int wal_meta_coordinator_stop(struct wal_meta_coordinator *mc, bool clean, bool skip_write);

#endif
