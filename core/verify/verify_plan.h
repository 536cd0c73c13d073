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
bool wal_store_plan_sets_aside(const struct wal_store_plan *p, uint32_t index);
/*
 * What is done about one that was examined, and in what words it is reported. Return: false if it
 * is taken as it is.
 */
bool wal_store_plan_verdict(const struct wal_store_plan *p, const struct wal_probe *probe,
			    struct wal_verdict *verdict);
/* The same of wal.meta. What a crash, or a copy without it, leaves is a note. */
bool wal_store_plan_meta_verdict(const struct wal_store_plan *p, struct wal_verdict *verdict);
/* Segments below it are sealed, if they are not damaged; 0: not known. */
uint32_t wal_store_plan_sealed_to(const struct wal_store_plan *p);
/* What may explain its faults. */
enum wal_hint wal_store_plan_hint(const struct wal_store_plan *p);

#endif
