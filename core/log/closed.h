/* SPDX-License-Identifier: MIT */
/*
 * The queue of closed segments between rotation, which adds, and the maintainer, which
 * syncs, seals and takes out. All of it with the log's lock held.
 */
#ifndef WALFS_CORE_LOG_CLOSED_H
#define WALFS_CORE_LOG_CLOSED_H

#include "core/log/log.h"

/* There must be room (count < WAL_CLOSED_MAX). */
void wal_closed_add(struct wal_log *log, const struct wal_segment_writer *writer,
		    uint64_t closed_ns);
/* The oldest was sealed, or will not be: takes it out. */
void wal_closed_remove_oldest(struct wal_log *log);
/* The oldest that is not synced, before which all are; or NULL. */
struct wal_closed *wal_closed_first_unsynced(struct wal_closed_queue *q);
/* Whoever waited for a segment that is not about to be sealed any more is called. */
void wal_closed_answer(struct wal_log *log);
/* The closed segment with this index, or NULL. */
const struct wal_closed *wal_closed_find(const struct wal_log *log, uint32_t index);
/*
 * The same, unless it stays as it is for now, because it found no space: its file is
 * about to be cut and is not for reading.
 */
const struct wal_closed *wal_closed_sealing(const struct wal_log *log, uint32_t index);
/* Is a segment before this one not synced yet? */
bool wal_closed_owes(const struct wal_log *log, uint32_t index);
/*
 * Lock dropped meanwhile. Waits until the segment is sealed, or has no space for it: each call
 * has that tried anew. Return: 0 (or the log failed); -ENOSPC, -EDQUOT.
 */
int wal_closed_wait(struct wal_log *log, uint32_t index);
/* Lock dropped while it waits. Returns once no sync uses this segment's descriptor. */
void wal_closed_leave(struct wal_log *log, uint32_t segment);

#endif
