/* SPDX-License-Identifier: MIT */
/*
 * From recovery's plan to a log that can be written.
 */
#ifndef WALFS_CORE_LOG_START_H
#define WALFS_CORE_LOG_START_H

#include "core/log/log.h"

void wal_log_init_recovery(const struct wal_log *log, struct wal_recovery *rec);
/* Takes over which segments there are and which of them are damaged. Return: 0; -ENOMEM. */
int wal_log_take_segments(struct wal_log *log, const struct wal_recovery *rec);
/* Lock held; dropped now and then. Applies the plan and starts to write. Return: 0 or -errno. */
int wal_log_go_on(struct wal_log *log, struct wal_recovery *rec, struct wal_error *error);
/* What was done of the plan, and is still to be said once there is space. */
void wal_log_owe(struct wal_log *log, const struct wal_recovery *rec);
/* Lock held; dropped now and then. Tries again what had no space. Return: 0, -ENOSPC, -EROFS. */
int wal_log_try_again(struct wal_log *log);

#endif
