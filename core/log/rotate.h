/* SPDX-License-Identifier: MIT */
/*
 * From one segment to the next: beginning one, closing the one before it.
 */
#ifndef WALFS_CORE_LOG_ROTATE_H
#define WALFS_CORE_LOG_ROTATE_H

#include "core/log/log.h"

static inline bool wal_log_is_empty(const struct wal_log *log)
{
	return log->writer.next_event == log->writer.header.first_event_id;
}

static inline bool wal_log_has_stepped_back(const struct wal_log *log, uint64_t now)
{
	return now < log->writer.last_ns && log->writer.last_ns - now > WAL_CLOCK_STEP_NS;
}

/* Lock held, as for all below. META of this log, at this time, of kind START. */
struct wal_meta_record wal_log_meta_record(const struct wal_log *log, uint64_t now);
/* Makes the first active segment of this opening, durably. */
int wal_log_begin_segment(struct wal_log *log, const struct wal_beginning *beginning);
/*
 * Dropped where it has to wait, and then nothing was done.
 * Return: 0; -EAGAIN after waiting: look again; -ENOSPC, -EDQUOT, -EROFS, -EIO ...; the writer
 * may then have a fault that is to be settled.
 */
int wal_log_rotate_once(struct wal_log *log);
/* The same where nobody is appending. */
int wal_log_rotate_and_settle(struct wal_log *log);
/*
 * Dropped where it has to wait. Times are in order within a segment only, so another one has the
 * right time again. A clock that goes to and fro begins a few, and no more. If that is not
 * possible now, the time is held in the old one.
 */
void wal_log_rotate_after_step(struct wal_log *log, bool may_wait);
/* If the active segment is old enough and rotation need not wait. */
void wal_log_rotate_by_age(struct wal_log *log);

#endif
