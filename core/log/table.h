/* SPDX-License-Identifier: MIT */
/*
 * Which segments there are, and which of them are damaged.
 */
#ifndef WALFS_CORE_LOG_TABLE_H
#define WALFS_CORE_LOG_TABLE_H

#include "core/log/log.h"

/* Lock held. The segment that `current` is; 0: none. */
uint32_t wal_log_current_index(const struct wal_log *log);
/* Lock held, as for all below. Return: 0; -ENOMEM. */
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
