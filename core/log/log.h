/* SPDX-License-Identifier: MIT */
/*
 * The log behind <walfs/wal.h>: one lock orders appends, rotation and what is
 * known of the segments. Nobody holds it while waiting for a disk, but for the
 * rename of a rotation and for recovery.
 */
#ifndef WALFS_CORE_LOG_H
#define WALFS_CORE_LOG_H

#include <pthread.h>

#include "core/base/shared_files.h"
#include "core/log/committer.h"
#include "core/store/meta_coordinator.h"
#include "core/recovery/recovery.h"
#include "core/log/segment_maintainer.h"
#include "core/segment/segment_preparer.h"
#include "core/segment/segment_writer.h"
#include "core/base/telemetry.h"

/* What was read of a segment, its bad blocks: made and read in log_segments.c only. */
struct wal_known_info;
struct wal_told_blocks;

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
	char *fault_detail;	     /* may be NULL */
	struct wal_told_blocks *told; /* NULL: none */
	struct wal_known_info *info; /* NULL: not read yet */
	uint64_t bytes;		     /* of the file, once sized; 0: there is none, or an error */
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
	int error;
	uint64_t retry_ns; /* wal_clock_ns() */
};

struct wal_log {
	const struct wal_io *io;
	char *path;
	int dirfd;
	struct wal_shared_files files; /* of readers; has a lock of its own */
	bool read_only;		      /* asked for */
	struct wal_log_options asked; /* for recovery; path is the one above */

	pthread_mutex_t lock; /* everything below, but for the two threads' own */
	struct wal_meta meta; /* parameters and UUID; constant after open */
	size_t record_limit;  /* what they allow; takes divisions to find out */
	struct wal_segment_writer writer;
	bool writing;	       /* writer is open */
	uint64_t step_due_ns;	/* from when on a clock that was set back begins a segment */
	uint64_t step_pause_ns; /* how long that was put off the last time */
	int writing_error;     /* of the last write into the segment: no space; 0: it went well */
	int failed;	       /* the error that made the log read-only; 0: none */
	char failure[WAL_FAILURE_TEXT]; /* and what failed, where */
	bool pending;	       /* recovery, or the first segment, had no space */
	struct wal_owed owed;  /* what the part of it that was done has to say */
	uint64_t needed_bytes; /* what it takes at least; 0: not known */
	bool retrying;	       /* somebody is at it */
	uint64_t retry_ns;     /* when to try that again; CLOCK_REALTIME */
	uint32_t made_again;   /* its prepared file was removed once; 0: none */
	int starting_error;    /* of the last attempt to begin a segment that was ready; 0: none */
	bool resume_due;       /* META(RESUME) goes before the next event */
	uint32_t resume_bits;
	uint32_t view_current;	       /* not writing: the segment that `current` shows */
	uint64_t held_bytes;	       /* room promised to holds */
	struct wal_durable asked_up_to; /* where the last sync that somebody asked for ended */
	unsigned small_syncs;	       /* that ended soon behind the one before, of late */
	struct wal_log_entry *entries; /* sorted by index */
	size_t entry_count;
	size_t entry_room;
	uint32_t damaged_count; /* of entries */
	struct wal_durable durable;

	struct wal_retention_failure retention_failure; /* the maintainer's, and what follows */
	uint64_t age_looked_ns;	    /* passed_ns() when age was looked at; 0: not yet */
	uint64_t age_real_ns;	    /* and the time of day then */
	uint32_t age_floor_segment; /* the active one when the clock was set forward, */
	uint64_t age_floor_ns;	    /* and that time */
	struct wal_telemetry telemetry;			/* needs no lock */
	struct wal_committer committer;
	struct wal_segment_preparer preparer;
	struct wal_segment_maintainer maintainer;
	struct wal_meta_coordinator coordinator;
	bool coordinator_open;
	bool meta_no_space; /* wal.meta waits for space */
};

/* log_open.c; lock held. Tries again what had no space. Return: 0, -ENOSPC ... */
int wal_log_try_again(struct wal_log *log);
/* log.c; lock held. No append from here on. what: "sync"; of which segment. */
void wal_log_fail(struct wal_log *log, uint32_t segment, const char *what, int error);
void wal_log_notice(struct wal_log *log, enum wal_notice_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/*
 * log_settle.c; lock held. What was appended did not all get into the active segment: goes back
 * to what did. Return: -ENOSPC, -EDQUOT: writing goes on when there is space; -EIO: the log
 * failed. lost_bytes: payload that is not there.
 */
int wal_log_settle(struct wal_log *log, uint64_t *lost_bytes);
/*
 * log_settle.c; lock held. Before the next append, while writing_error is set.
 * Return: 0: there is space; -ENOSPC, -EDQUOT; -EIO: the log failed.
 */
int wal_log_clear(struct wal_log *log);
/* log_settle.c; lock held. Sets writing_error. Told once each way. */
void wal_log_note_writing(struct wal_log *log, int error);
/* log_settle.c. If the store's file system may have no space for what is there: a note. */
void wal_log_tell_copy_on_write(struct wal_log *log);
/* log.c; lock held. The append point as a durable position. */
struct wal_durable wal_log_end(const struct wal_log *log);
/* log.c; lock held. Everything up to here is on the disk. */
void wal_log_set_durable(struct wal_log *log, const struct wal_durable *durable);
/* log.c; lock held. The end was just made durable; whatever D was said to be before. */
void wal_log_take_durable(struct wal_log *log);
/* log.c; lock held. Makes the first active segment of this opening, durably. */
int wal_log_begin_segment(struct wal_log *log, const struct wal_beginning *beginning);
/* log.c; lock held. Rotates if the active segment is old enough and rotation need not wait. */
void wal_log_rotate_by_age(struct wal_log *log);
/*
 * log.c; lock held. By mapping or by pwrite, for this writer and for what is prepared. It
 * can become pwrite at any moment; back only with another segment. Without memory it
 * stays mapped, which is slower at worst.
 */
void wal_log_choose_io(struct wal_log *log, struct wal_segment_writer *w);
/* log.c; lock held. Somebody asked for a sync: that may change how the log is written. */
void wal_log_note_sync(struct wal_log *log);
/* log_segments.c. What is known of a segment that is being written. */
void wal_log_writer_info(const struct wal_segment_writer *w, struct wal_segment_info *info);

/* log_segments.c; lock held. The segment that `current` is; 0: none. */
uint32_t wal_log_current_index(const struct wal_log *log);
int wal_log_add_entry(struct wal_log *log, uint32_t index);
/* The next wal_log_add_entry() does not fail. Return: 0; -ENOMEM. */
int wal_log_reserve_entry(struct wal_log *log);
struct wal_log_entry *wal_log_find_entry(struct wal_log *log, uint32_t index);
/* Marks it as damaged. Return: whether that is news of this block, or of a fault in none. */
bool wal_log_damage_entry(struct wal_log *log, struct wal_log_entry *entry,
			  const struct wal_fault *fault);
/* indexes: ascending. */
void wal_log_remove_entries(struct wal_log *log, const uint32_t *indexes, size_t count);
void wal_log_clear_entries(struct wal_log *log);

#endif
