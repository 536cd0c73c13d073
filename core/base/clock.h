/* SPDX-License-Identifier: MIT */
/*
 * What time it is, for the append path: a clock_gettime() costs as much as all the rest
 * of an append. Where the kernel itself tells the time by the processor's time stamp
 * counter, that is read directly, and the kernel is asked only every few microseconds, once
 * the counter's rate is known: 10 ms after the first wal_clock_realtime_ns(). (The idea is
 * that of the kernel's own vDSO, of DPDK's rte_cycles and others.) Everywhere else each of
 * these is a clock_gettime(). Any thread.
 */
#ifndef WALFS_CORE_CLOCK_H
#define WALFS_CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* For how long after it was asked for it the kernel's time is carried on. */
#define WAL_CLOCK_CARRY_NS 16384u

/* CLOCK_MONOTONIC, from the kernel: for deadlines. */
uint64_t wal_clock_ns(void);

/*
 * The same at a third of the price, for how long something took: it may jump where a
 * machine is suspended or moved, so nothing may wait by it.
 */
uint64_t wal_clock_quick_ns(void);

/* From a wal_clock_quick_ns() until now; 0 if the clock jumped back. */
static inline uint64_t wal_clock_quick_since(uint64_t start_ns)
{
	uint64_t now_ns = wal_clock_quick_ns();

	return now_ns > start_ns ? now_ns - start_ns : 0;
}

/*
 * CLOCK_REALTIME, at most WAL_CLOCK_CARRY_NS old: it follows a clock that was set within
 * that time, whatever the counter does.
 */
uint64_t wal_clock_realtime_ns(void);

/* The kernel's time as it was read, and when. Shown here to be tested. */
struct wal_clock_reading {
	uint64_t quick_ns;
	uint64_t real_ns; /* 0: none that can be carried on */
};

static inline bool wal_clock_carry_on(const struct wal_clock_reading *reading, uint64_t quick_ns,
				      uint64_t *real_ns)
{
	uint64_t passed = quick_ns - reading->quick_ns; /* enormous if it jumped back */

	if (passed >= WAL_CLOCK_CARRY_NS || reading->real_ns == 0)
		return false;
	*real_ns = reading->real_ns + passed;
	return true;
}

#endif
