/* SPDX-License-Identifier: MIT */
/* The whole plan, in order: the place, wal.meta, the segments, the decisions. */
#ifndef WALFS_CORE_RECOVERY_MAKE_H
#define WALFS_CORE_RECOVERY_MAKE_H

#include "core/recovery/recovery_plan.h"

/*
 * The plan, with its probes, for the list in rec. Return: 0 or -errno; error may say more.
 * The probes are the caller's to free.
 */
int wal_plan_make(struct wal_plan *plan);

#endif
