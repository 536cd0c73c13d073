/* SPDX-License-Identifier: MIT */
/*
 * Counters and latency histograms. A counter is one relaxed atomic add, a latency
 * two clock reads and three adds; nothing here takes a lock. Reading them gives
 * each value as of some moment during the call.
 */
#ifndef WALFS_CORE_TELEMETRY_H
#define WALFS_CORE_TELEMETRY_H

#include <stdatomic.h>
#include <walfs/wal.h>

#include "core/base/clock.h"

struct wal_latency_cells {
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t max_ns;
	_Atomic uint64_t buckets[WAL_LATENCY_BUCKETS];
};

struct wal_telemetry {
	_Atomic uint64_t counters[WAL_COUNTERS];
	struct wal_latency_cells latencies[WAL_LATENCIES];
};

static inline void wal_count(struct wal_telemetry *t, enum wal_counter counter, uint64_t n)
{
	atomic_fetch_add_explicit(&t->counters[counter], n, memory_order_relaxed);
}

/* Where a lock of the caller's keeps all others from adding to this: half the cost. */
static inline void wal_add_owned(_Atomic uint64_t *to, uint64_t n)
{
	uint64_t now = atomic_load_explicit(to, memory_order_relaxed);

	atomic_store_explicit(to, now + n, memory_order_relaxed);
}

static inline void wal_count_owned(struct wal_telemetry *t, enum wal_counter counter, uint64_t n)
{
	wal_add_owned(&t->counters[counter], n);
}

static inline unsigned wal_latency_bucket(uint64_t ns)
{
	unsigned bits = ns <= 128 ? 7 : 64 - (unsigned)__builtin_clzll(ns - 1);

	return bits - 7 < WAL_LATENCY_BUCKETS ? bits - 7 : WAL_LATENCY_BUCKETS - 1;
}

void wal_latency_add(struct wal_telemetry *t, enum wal_latency latency, uint64_t ns);

static inline void wal_latency_add_owned(struct wal_telemetry *t, enum wal_latency latency,
					 uint64_t ns)
{
	struct wal_latency_cells *cells = &t->latencies[latency];

	wal_add_owned(&cells->buckets[wal_latency_bucket(ns)], 1);
	wal_add_owned(&cells->sum_ns, ns);
	if (ns > atomic_load_explicit(&cells->max_ns, memory_order_relaxed))
		atomic_store_explicit(&cells->max_ns, ns, memory_order_relaxed);
}

/* From a wal_clock_ns() until now. */
static inline void wal_latency_since(struct wal_telemetry *t, enum wal_latency latency,
				     uint64_t start_ns)
{
	wal_latency_add(t, latency, wal_clock_ns() - start_ns);
}

/* A check that failed, counted by its layer. */
void wal_count_fault(struct wal_telemetry *t, enum wal_fault_kind kind);

void wal_telemetry_read(const struct wal_telemetry *t, struct wal_stats *stats);

#endif
