/* SPDX-License-Identifier: MIT */
/*
 * The walk of an unsealed segment: from its first record to the last that can be
 * reached without a hole, believing event checksums and ids alone. Block headers
 * are recomputed, never read. docs/FORMAT.md, "The walk".
 */
#ifndef WALFS_CORE_WALK_H
#define WALFS_CORE_WALK_H

#include "core/format/record.h"

/* Where appending goes on, and everything a writer needs to go on there. */
struct wal_tail {
	uint32_t block;	 /* the block that the last record is in */
	uint32_t at;	 /* in its data area: after the last record */
	uint64_t offset; /* the same in the file */
	uint64_t next_event;
	uint64_t payload_bytes;
	uint64_t last_ns; /* of the last record, META included */
	uint32_t event_count;
	uint64_t chain;		       /* of the block before this one */
	struct wal_block_header start; /* this block so far; its checksums are not set */
	struct wal_meta_record meta;   /* META(SEGMENT) */
	uint64_t incarnation;	       /* of the last META */
	uint64_t nonzero_end;	       /* after the last byte that is not zero; offset if all are */
	enum wal_fault_kind stop;      /* why the walk ended there; EVENT_FIELD at zeros too */
	uint64_t data_checksum;	       /* of this block's data area up to `at`; a walk's only */
};

struct wal_walk_source {
	int fd;
	uint64_t file_bytes;
	const struct wal_segment_header *header; /* the active one */
	void *ctx;
	/* Each finished block in order, with its recomputed header; NULL: not wanted. */
	int (*block)(void *ctx, const struct wal_block_header *header,
		     const struct wal_disk_block_header *disk, const uint8_t *stored);
};

/*
 * Walks, then looks for bytes that are not zero after the tail. Where a daemon is
 * appending meanwhile, what it appended is walked too.
 * Return: 0 (tail->event_count may be 0); -EUCLEAN if not even META(SEGMENT) is there
 * (tail->stop says why); -EIO, if tail->block cannot be read; -ENOMEM, or what block()
 * returned.
 */
int wal_walk(const struct wal_walk_source *source, struct wal_tail *tail);

/*
 * Goes on from the tail that a walk of this file ended with, and reads nothing before its
 * block. What has no end yet is left to the next call; nonzero_end is at least the tail's.
 * Return: 0; -ESTALE if the block does not hold what it held up to the tail; -EIO, -ENOMEM, or
 * what block() returned. On error the tail stays as it is.
 */
int wal_walk_on(const struct wal_walk_source *source, struct wal_tail *tail);

/*
 * Does it end as a file that was copied while it was written: with zeros? (And not with a
 * record that is there and does not hold.)
 */
static inline bool wal_tail_is_copied(const struct wal_tail *tail)
{
	return tail->nonzero_end == tail->offset || tail->stop == WAL_FAULT_EVENT_FIELD;
}

#endif
