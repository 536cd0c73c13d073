/* SPDX-License-Identifier: MIT */
/*
 * The thread that takes a segment from rotation to the end of its life: syncs its
 * data, seals it, and, where a retention option says so, removes it. It also
 * rotates by age. A bounded queue: where sealing cannot keep up, rotation waits.
 */
#ifndef WALFS_CORE_SEGMENT_MAINTAINER_H
#define WALFS_CORE_SEGMENT_MAINTAINER_H

#include <pthread.h>

#include "core/segment/segment_writer.h"

#define WAL_CLOSED_MAX 8u

/* A segment that is closed and not sealed yet. */
struct wal_closed {
	struct wal_segment_writer writer; /* the maintainer's */
	uint64_t closed_ns;
	uint64_t since_ns; /* wal_clock_ns() of the rotation */
	/* The log's lock: */
	bool synced;
	struct wal_tail tail;
	struct wal_segment_info info;
};

struct wal_segment_maintainer {
	pthread_t thread;
	bool running;
	/* All under the log's lock. */
	pthread_cond_t wake;  /* the thread */
	pthread_cond_t moved; /* a segment was synced or sealed, or the log failed */
	struct wal_closed queue[WAL_CLOSED_MAX];
	unsigned count;
	int no_space;	    /* the oldest found none to be sealed, and is tried again; 0: it did */
	bool urgent;	    /* somebody waits for that: try at once */
	uint64_t tried;	    /* seals so far */
	bool retaining;	    /* there is more to be removed */
	bool left_unsealed; /* at the end, for lack of space */
	struct wal_seal_wait *waiting; /* to be told that their segment is sealed */
	bool stop;
};

/* Return: 0 or -errno. */
int wal_segment_maintainer_start(struct wal_log *log);
/* Lock held. There must be room (count < WAL_CLOSED_MAX). */
void wal_segment_maintainer_add(struct wal_log *log, const struct wal_segment_writer *writer,
				uint64_t closed_ns);
/* Lock held. The closed segment with this index, or NULL. */
const struct wal_closed *wal_segment_maintainer_find(const struct wal_log *log, uint32_t index);
/*
 * Lock held. The same, unless it stays as it is for now, because it found no space: its file is
 * about to be cut and is not for reading.
 */
const struct wal_closed *wal_segment_maintainer_sealing(const struct wal_log *log, uint32_t index);
/* Lock held. Is a segment before this one not synced yet? */
bool wal_segment_maintainer_owes(const struct wal_log *log, uint32_t index);
/*
 * Lock held, dropped meanwhile. Waits until the segment is sealed, or has no space for it:
 * each call has that tried anew. Return: 0 (or the log failed); -ENOSPC, -EDQUOT.
 */
int wal_segment_maintainer_wait(struct wal_log *log, uint32_t index);
/* Seals what is left (unless the log failed or has no space), then ends the thread. */
void wal_segment_maintainer_stop(struct wal_log *log);

/* How many segments one step removes at most. */
#define WAL_RETAIN_STEP 64u

enum wal_retained {
	WAL_RETAINED_ALL,  /* nothing was due, or could be removed */
	WAL_RETAINED_SOME, /* what was due is removed */
	WAL_RETAINED_MORE, /* a step was done, and there is more to do */
};

/* retention.c. Removes some of what the options say; lock not held. */
enum wal_retained wal_log_retain(struct wal_log *log);

#endif
