/* SPDX-License-Identifier: MIT */
/*
 * What is known of a segment: read from it once, and then kept.
 */
#ifndef WALFS_CORE_LOG_INFO_H
#define WALFS_CORE_LOG_INFO_H

#include "core/log/log.h"
#include "core/segment/segment_reader.h"

/*
 * Of a damaged segment all that is whole can be read. Lock not held.
 * Return: 0 and a reader; -ENOENT, -ENOMEM, -EMFILE, -ENFILE; another -errno with a fault.
 */
int wal_log_open_finished(struct wal_log *log, uint32_t index, unsigned flags,
			  struct wal_segment_reader **r, struct wal_fault *fault);
/* Of another log? One whose first block is damaged does not say whose it is. */
bool wal_log_is_foreign(const struct wal_log *log, const struct wal_segment_info *info);
struct wal_fault wal_log_foreign_fault(uint32_t index);

#endif
