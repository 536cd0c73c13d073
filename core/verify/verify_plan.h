/* SPDX-License-Identifier: MIT */
/*
 * What a mount would decide about a store, for who only verifies it: the recovery plan of
 * one moment, made without the lock and confirmed by a second look.
 */
#ifndef WALFS_CORE_VERIFY_PLAN_H
#define WALFS_CORE_VERIFY_PLAN_H

#include "core/recovery/recovery_plan.h"
#include "core/store/store_view.h"

struct wal_store_plan {
	struct wal_store_view view; /* its list is rec's */
	struct wal_recovery rec;
	struct wal_plan plan;
	/* false: a segment has a newer format, so no mount decides anything; no probes */
	bool made;
};

/* Return: 0; -errno, with error filled in. Destroy it in both cases. */
int wal_store_plan_make(struct wal_store_plan *p, int dirfd, const char *path, unsigned flags,
			struct wal_error *error);
void wal_store_plan_destroy(struct wal_store_plan *p);

/* What was examined of a segment; NULL: it was not, as it lies below. */
const struct wal_probe *wal_store_plan_probe(const struct wal_store_plan *p, uint32_t index);
/* Why recovery finds it damaged; NULL: it does not. */
const struct wal_fault *wal_store_plan_damage(const struct wal_store_plan *p, uint32_t index);
bool wal_store_plan_sets_aside(const struct wal_store_plan *p, uint32_t index);
/* Bytes behind its events that recovery cuts off an unsealed one. */
uint64_t wal_store_plan_torn(const struct wal_store_plan *p, const struct wal_probe *probe);

#endif
