/* SPDX-License-Identifier: MIT */
/*
 * Surviving SIGBUS on a mapped segment. The handler puts a page of zeros where
 * the fault was, so that the store which faulted can finish, and marks the
 * mapping; its owner looks at the mark before it believes what it stored. That
 * costs the append path one load and no sigsetjmp.
 *
 * This registry is global: a signal handler has no other way to find out. Of the rest
 * of libwal only the rate of the processor's counter is (core/base/clock.h).
 */
#ifndef WALFS_CORE_GUARD_H
#define WALFS_CORE_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wal_guard {
	_Atomic uintptr_t start; /* 0: free; 1: being changed */
	_Atomic uintptr_t end;
	atomic_bool hit;
};

/* Return: NULL if all slots are taken (the mapping is then unguarded). Any thread. */
struct wal_guard *wal_guard_add(void *start, size_t size);
/* Before the mapping goes away. NULL is fine. Any thread. */
void wal_guard_remove(struct wal_guard *guard);

static inline bool wal_guard_was_hit(const struct wal_guard *guard)
{
	return guard && atomic_load_explicit(&guard->hit, memory_order_relaxed);
}

#endif
