/* SPDX-License-Identifier: MIT */
/* From what the segments are to steps, damage, and how to go on: the table of docs/FORMAT.md. */
#ifndef WALFS_CORE_RECOVERY_DECIDE_H
#define WALFS_CORE_RECOVERY_DECIDE_H

#include "core/recovery/recovery_plan.h"

/* With plan->probes filled, and one at least. Return: 0 or -errno. */
int wal_plan_decide(struct wal_plan *plan);

#endif
