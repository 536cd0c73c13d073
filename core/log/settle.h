/* SPDX-License-Identifier: MIT */
/*
 * A write into the active segment that failed: for lack of space, or for good.
 */
#ifndef WALFS_CORE_LOG_SETTLE_H
#define WALFS_CORE_LOG_SETTLE_H

#include "core/log/log.h"

/*
 * Lock held. What was appended did not all get into the active segment: goes back to what did.
 * Return: -ENOSPC, -EDQUOT: writing goes on when there is space; -EIO: the log failed.
 * lost_bytes: payload that is not there.
 */
int wal_log_settle(struct wal_log *log, uint64_t *lost_bytes);
/*
 * Lock held. Before the next append, while writing_error is set.
 * Return: 0: there is space; -ENOSPC, -EDQUOT; -EIO: the log failed.
 */
int wal_log_clear(struct wal_log *log);
/* Lock held. Sets writing_error. Reported once each way. */
void wal_log_note_writing(struct wal_log *log, int err);
/* If the store's file system may have no space for what is there: a note. */
void wal_log_tell_copy_on_write(struct wal_log *log);

#endif
