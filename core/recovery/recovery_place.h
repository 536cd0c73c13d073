/* SPDX-License-Identifier: MIT */
/* May recovery work on this directory at all? Rows R59 to R61 of docs/FORMAT.md. */
#ifndef WALFS_CORE_RECOVERY_PLACE_H
#define WALFS_CORE_RECOVERY_PLACE_H

#include "core/recovery/recovery_plan.h"

/* First of all. A copy of a mount, the flags of chattr. Return: 0 or -errno. */
int wal_plan_check_place(struct wal_plan *plan);
/* Last. May the segments be changed that have to be? Return: 0 or -errno. */
int wal_plan_check_steps(struct wal_plan *plan);

#endif
