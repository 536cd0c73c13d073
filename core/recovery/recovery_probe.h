/* SPDX-License-Identifier: MIT */
/* What each segment is that has to be looked at; reads only. */
#ifndef WALFS_CORE_RECOVERY_PROBE_H
#define WALFS_CORE_RECOVERY_PROBE_H

#include "core/recovery/recovery_plan.h"

/* Fills plan->probes. Return: 0 or -errno, with plan->error set for users. */
int wal_plan_probe(struct wal_plan *plan);
typedef bool wal_plan_is_end(const struct wal_plan *plan, const struct wal_probe *probe);
/*
 * The segments below place i of the list, from the highest down to the first that is an end;
 * *probes, the caller's to free in any case, has them in ascending order. Return: as above.
 */
int wal_plan_probe_down(struct wal_plan *plan, size_t i, wal_plan_is_end *is_end,
			struct wal_probe **probes, size_t *count);
/* Whole blocks of a damaged segment prove that their ids were given. Return: 0 or -errno. */
int wal_plan_prove_by_blocks(struct wal_plan *plan, const struct wal_probe *probe);

#endif
