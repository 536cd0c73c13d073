/* SPDX-License-Identifier: MIT */
/*
 * All that shares the log's one lock: the types of this room, and what each of its files uses.
 * Nobody holds the lock while waiting for a disk, but for the rename of a rotation and for
 * recovery. Who calls whom, from the bottom: log | table closed io_method settle stats | info
 * committer rotate | readers retention | maintainer | start | append open.
 */
#ifndef WALFS_CORE_LOG_H
#define WALFS_CORE_LOG_H

#include <pthread.h>

#include "core/base/shared_files.h"
#include "core/base/telemetry.h"
#include "core/base/thread.h"
#include "core/recovery/recovery.h"
#include "core/segment/segment_preparer.h"
#include "core/segment/segment_writer.h"
#include "core/store/clock_steps.h"
#include "core/store/meta_coordinator.h"

/* What was read of a segment: info.c knows its inside. Its bad blocks: table.c does. */
struct wal_known_info;
struct wal_reported_blocks;

/*
 * A segment of the log, and what was read of it so far. There may be a hundred
 * thousand of them: what only a damaged one has is kept elsewhere.
 */
struct wal_log_entry {
	uint32_t index;
	bool settled; /* recovery went past it: it is sealed, or will never be */
	bool sized;   /* retention asked for its file's size, whatever the answer was: bytes */
	bool damaged; /* found by recovery, a read or a check; why: */
	enum wal_fault_kind fault;
	uint32_t fault_block;
	uint64_t fault_offset;
	char *fault_detail;		      /* may be NULL */
	struct wal_reported_blocks *reported; /* NULL: none */
	struct wal_known_info *info;	      /* NULL: not read yet */
	uint64_t bytes; /* of the file, once sized; 0: there is none, or an error */
};

/*
 * What recovery found and may have done already, where it then had no space for a segment
 * to say it in: a plan that is made later does not find it any more.
 */
struct wal_owed {
	uint32_t bits; /* WAL_META_* */
	uint32_t dropped_segments;
	uint64_t dropped_bytes;
};

/* Retention could not remove a segment. */
struct wal_retention_failure {
	uint32_t segment; /* 0: none */
	int err;
	uint64_t retry_ns; /* wal_clock_ns() */
};

/* The segments that there are: table.c. */
struct wal_log_table {
	struct wal_log_entry *entries; /* sorted by index */
	size_t count;
	size_t room;
	uint32_t damaged; /* how many */
};

/* Recovery, or the first segment, had no space: start.c tries again. */
struct wal_log_pending {
	bool due;
	bool retrying;	       /* somebody is at it */
	uint64_t retry_ns;     /* when to try that again; CLOCK_REALTIME */
	uint64_t needed_bytes; /* what it takes at least; 0: not known */
	struct wal_owed owed;  /* what the part of it that was done has to say */
};

/* By which syncs were asked for: io_method.c chooses between mapping and pwrite. */
struct wal_log_io_method {
	struct wal_durable asked_up_to; /* where the last sync that somebody asked for ended */
	unsigned small_syncs;		/* that ended soon after the one before, of late */
};

/* The segment that is to come: rotate.c. */
struct wal_log_next {
	uint64_t step_due_ns;	/* from when on a clock that was set back begins a segment */
	uint64_t step_pause_ns; /* how long that was put off the last time */
	uint32_t made_again;	/* its prepared file was removed once; 0: none */
	int starting_error;	/* of the last attempt to begin a segment that was ready; 0: none */
};

/* A segment that is closed and not sealed yet. */
struct wal_closed {
	struct wal_segment_writer writer; /* the maintainer's, without the lock */
	uint64_t closed_ns;
	uint64_t since_ns; /* wal_clock_ns() of the rotation */
	bool synced;
	struct wal_tail tail;
	struct wal_segment_info info;
};

/* A clock that is off by more than this, either way, was set. */
#define WAL_CLOCK_STEP_NS UINT64_C(1000000000)

#define WAL_CLOSED_MAX 8u

/* Closed segments, the oldest first. Where sealing cannot keep up, rotation waits: closed.c. */
struct wal_closed_queue {
	pthread_cond_t wake;  /* the maintainer: there is something to do */
	pthread_cond_t moved; /* a segment was synced or sealed, or the log failed */
	struct wal_closed queue[WAL_CLOSED_MAX];
	unsigned count;
	int no_space;	/* the oldest found none to be sealed, and is tried again; 0: it did */
	bool urgent;	/* somebody waits for that: try at once */
	uint64_t tried; /* seals so far */
	struct wal_seal_wait *waiting; /* to be answered when their segment is sealed */
};

/* The thread that syncs, seals and removes: maintainer.c. */
struct wal_maintainer {
	pthread_t thread;
	bool running;
	bool stop;
	bool retaining;			/* there is more to be removed */
	bool left_unsealed;		/* at the end, for lack of space */
	struct wal_segment_info sealed; /* the last one; the thread's own */
};

/* Group commit: committer.c. */
struct wal_committer {
	pthread_t thread;
	bool running;
	unsigned interval_ms; /* 0: only when asked; constant */
	pthread_cond_t wake;  /* the thread, and who waits for it to end */
	bool stop;
	bool busy;	  /* somebody commits, or is about to */
	uint32_t syncing; /* the segment whose descriptor is in use; 0: none */
	struct wal_sync *first;
	struct wal_sync **last;
	uint32_t waiting; /* how many */
};

struct wal_log {
	/* --- set up by opening, then constant ------------------------------------------- */
	const struct wal_io *io;
	char *path;
	int dirfd;
	bool read_only;		      /* asked for */
	struct wal_log_options asked; /* for recovery; path is the one above */
	size_t record_limit;	      /* what the parameters allow; takes divisions to find out */

	pthread_mutex_t lock;
	/* --- protected by it ------------------------------------------------------------ */
	struct wal_meta meta; /* parameters and UUID: constant after recovery */

	/* The end of the log. */
	struct wal_segment_writer writer;
	bool writing;	   /* writer is open */
	int writing_error; /* of the last write into the segment: no space; 0: it went well */
	bool resume_due;   /* META(RESUME) goes before the next event */
	uint32_t resume_bits;
	uint32_t view_current;	    /* not writing: the segment that `current` shows */
	uint64_t held_bytes;	    /* room promised to holds */
	struct wal_durable durable; /* D; the coordinator writes it to wal.meta later */
	bool meta_no_space;	    /* wal.meta waits for space */

	int failed;			/* the error that made the log read-only; 0: none */
	char failure[WAL_FAILURE_TEXT]; /* and what failed, where */

	struct wal_log_io_method io_method;
	struct wal_log_next next;
	struct wal_log_pending pending;
	struct wal_log_table table;
	struct wal_closed_queue closed;
	struct wal_maintainer maintainer;
	struct wal_committer committer;

	/* --- retention's: of the maintainer's thread, of start.c before there is one ------ */
	struct wal_retention_failure retention_failure;
	uint64_t age_looked_ns; /* passed_ns() when age was looked at; 0: not yet */
	uint64_t age_real_ns;	/* and the time of day then */
	struct wal_clock_steps clock_steps;
	bool clock_unsaved; /* wal.clock is to be written */
	int clock_error;    /* of the last attempt */

	/* --- the preparer's thread's: start.c ---------------------------------------------- */
	bool owner_said; /* that what is made cannot be given to the store's owner */

	/* --- each with a lock of its own, or atomic --------------------------------------- */
	struct wal_segment_preparer preparer;
	struct wal_meta_coordinator coordinator;
	bool coordinator_open;	       /* set while opening, or under the log's lock */
	struct wal_shared_files files; /* of readers */
	struct wal_telemetry telemetry;
};

/* What "lock held" says of a function: real in checked builds (core/base/assert.h). */
static inline void wal_log_assert_locked(const struct wal_log *log)
{
	wal_mutex_assert_locked((pthread_mutex_t *)(uintptr_t)&log->lock);
}

void wal_log_notice(struct wal_log *log, enum wal_notice_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Lock held. No append from here on. what: "sync"; of which segment. */
void wal_log_fail(struct wal_log *log, uint32_t segment, const char *what, int err);
/* Lock held. The append point as a durable position. */
struct wal_durable wal_log_end(const struct wal_log *log);
/* Lock held. Everything up to here is on the disk. */
void wal_log_set_durable(struct wal_log *log, const struct wal_durable *durable);
/* Lock held. The end was just made durable; whatever D was said to be before. */
void wal_log_take_durable(struct wal_log *log);

#endif
