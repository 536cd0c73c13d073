/* SPDX-License-Identifier: MIT */
/*
 * Whether the active segment is written by mapping or by pwrite.
 */
#ifndef WALFS_CORE_LOG_IO_METHOD_H
#define WALFS_CORE_LOG_IO_METHOD_H

#include "core/log/log.h"

/*
 * Lock held. For this writer and for what is prepared. It can become pwrite at any moment; back
 * only with another segment. Without memory it stays mapped, which is slower at worst.
 */
void wal_log_choose_io(struct wal_log *log, struct wal_segment_writer *w);
/* Lock held. Somebody asked for a sync: that may change how the log is written. */
void wal_log_note_sync(struct wal_log *log);

#endif
