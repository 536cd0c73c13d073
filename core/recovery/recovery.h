/* SPDX-License-Identifier: MIT */
/*
 * What to do with the store that is found at start. Planning only reads; applying
 * changes the store in an order in which it can be cut off anywhere and planned
 * again to the same log. docs/FORMAT.md has the decision table; the row's id
 * stands beside the code that decides it.
 */
#ifndef WALFS_CORE_RECOVERY_H
#define WALFS_CORE_RECOVERY_H

#include "core/format/format.h"
#include "core/base/io.h"
#include "core/store/meta_store.h"
#include "core/segment/segment_writer.h"
#include "core/store/store.h"
#include "core/store/store_view.h"
#include "core/segment/walk.h"

enum wal_step_kind {
	WAL_STEP_REMOVE_PREPARED, /* prepared names of the list */
	WAL_STEP_SET_ASIDE,	  /* rename to .torn-TIME */
	WAL_STEP_SEAL,		  /* keep a copy of the tail, seal at it */
	WAL_STEP_RESEAL,	  /* write a seal again and sync it; cut zeros after it */
};

struct wal_step {
	enum wal_step_kind kind;
	uint32_t index;
	struct wal_file_id file;	  /* SEAL, RESEAL: that was looked at */
	struct wal_tail tail;		  /* SEAL */
	struct wal_segment_header header; /* SEAL, RESEAL */
};

struct wal_damage {
	uint32_t index;
	struct wal_fault fault;
};

/* How a segment that is to be started begins. */
struct wal_beginning {
	uint32_t index;
	uint64_t first_event;
	uint64_t prev_chain;
	uint32_t recovery; /* WAL_META_* bits */
	uint32_t dropped_segments;
	uint64_t dropped_bytes;
};

struct wal_recovery {
	/* Given. */
	const struct wal_io *io;
	int dirfd;
	const char *path;	    /* for messages */
	bool read_only;		    /* look only: any store, whatever is wrong with it */
	bool continue_copy;	    /* R63: it is the store from now on */
	uint32_t block_size;	    /* as asked; 0: as the store has it */
	uint64_t segment_size;	    /* likewise */
	struct wal_framing framing; /* likewise */
	wal_notice_fn *notice;
	void *notice_ctx;
	unsigned read_flags;		   /* WAL_READ_*, of the segments that are looked at */
	const struct wal_store_view *view; /* what was seen, with list; NULL: looks itself */

	/* Found. */
	struct wal_store_list list;
	struct wal_meta meta;	     /* with the parameters to go on with */
	bool has_meta;		     /* D is known */
	struct wal_fault meta_fault; /* R7, R8: the detail is the words for both; or NONE */
	bool meta_is_bad;	     /* wal.meta holds something that is no slot: kept aside */
	uint32_t bits;		     /* WAL_META_* that the next META record has to say */
	bool is_new;		     /* nothing there yet */
	bool clean;
	struct wal_step *steps;
	size_t step_count;
	struct wal_damage *damaged;
	size_t damaged_count;
	uint32_t last_unsealed; /* the last segment if it is not sealed, for a read-only view */

	/* How it goes on: in place in a segment, or with a new one. */
	uint32_t resume; /* 0: a new one */
	struct wal_file_id resume_file;
	struct wal_tail resume_tail;
	struct wal_beginning next;
};

/* Return: 0; -EPROTONOSUPPORT, -ENOTEMPTY, -EINVAL, -EPERM, -EIO, -ENOMEM with error filled in. */
int wal_recovery_plan(struct wal_recovery *rec, struct wal_error *error);

/*
 * Carries the steps out. The list is up to date afterwards.
 * Return: 0; -ENOSPC or -EDQUOT (plan and apply again later); -EROFS, -EIO ...
 */
int wal_recovery_apply(struct wal_recovery *rec, struct wal_error *error);

/*
 * The part of an unsealed segment that is above D and below the tail, which perhaps only the
 * page cache has, is brought to the disk and read back from there; the caller syncs.
 * Return: 0; -ENOSPC, -EDQUOT, -EIO ...
 */
int wal_recovery_make_true(const struct wal_recovery *rec, int fd, uint32_t index,
			   const struct wal_tail *tail);

/*
 * Opens a segment to write to: the file that was looked at, and one that may be written to.
 * Return: a descriptor; -EPERM, -ESTALE with error filled in; or another -errno.
 */
int wal_recovery_open_segment(const struct wal_recovery *rec, uint32_t index,
			      const struct wal_file_id *file, struct wal_error *error);

void wal_recovery_destroy(struct wal_recovery *rec);

/* Return: 1 if only zeros are in the file from an offset on, or nothing; 0; -errno. */
int wal_recovery_is_zero_from(int fd, uint64_t at);

/* One line to the operator. */
void wal_recovery_notice(struct wal_recovery *rec, enum wal_notice_level level, const char *format,
			 ...) __attribute__((format(printf, 3, 4)));

#endif
