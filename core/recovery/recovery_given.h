/* SPDX-License-Identifier: MIT */
/* Ids that were given twice are reported, and not given once more: row R50 of docs/FORMAT.md. */
#ifndef WALFS_CORE_RECOVERY_GIVEN_H
#define WALFS_CORE_RECOVERY_GIVEN_H

#include "core/recovery/recovery_plan.h"

/* The words in which it is reported that a segment begins with ids up to `given`. */
struct wal_fault wal_plan_given_fault(uint32_t index, uint64_t first_event, uint64_t given);
/* Reports it if the ids that a segment begins with are proved already. */
void wal_plan_check_given(struct wal_plan *plan, const struct wal_probe *probe);
/* If the lowest that is examined begins a new chain: what is below it proves ids, too. */
int wal_plan_prove_below(struct wal_plan *plan);

#endif
