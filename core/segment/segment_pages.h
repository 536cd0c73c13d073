/* SPDX-License-Identifier: MIT */
/* Where a writer's bytes are: in the mapping of its file, or in one block of memory. */
#ifndef WALFS_CORE_SEGMENT_PAGES_H
#define WALFS_CORE_SEGMENT_PAGES_H

#include "core/segment/segment.h"

/* Maps w->file_bytes of w->fd. Return: 0 or -errno. */
int wal_segment_pages_map(struct wal_segment_writer *w);
/*
 * From here on the file is not mapped: appends are gathered, see write_out(). Called
 * once, when prefault() has done its work. Return: 0; -ENOMEM, and nothing has changed.
 */
int wal_segment_writer_gather(struct wal_segment_writer *w);

/*
 * Puts what was gathered into the file; nothing to do in a mapped segment. An error
 * shows in has_failed().
 */
void wal_segment_writer_write_out(struct wal_segment_writer *w);

/* Neither mapped nor gathered any more; the file stays open. */
void wal_segment_pages_drop(struct wal_segment_writer *w);
/* Moves the append point to the start of this block. */
void wal_segment_pages_begin_block(struct wal_segment_writer *w, uint32_t index);
/* wal_segment_writer_write_out() with the block's header, which was just made. */
void wal_segment_pages_write_block(struct wal_segment_writer *w);

#endif
