/* SPDX-License-Identifier: MIT */
/*
 * Requests, counted and timed by kind. A latency goes from the moment the daemon
 * begins to handle a request to its answer: for one that is parked, to the answer
 * of the worker or of the log. The time it waited in the kernel is not in it, nor
 * is the wait for a lock that another holds.
 *
 * The loop's thread and the workers add, without locks; whoever reads gets each
 * value as of some moment meanwhile.
 */
#ifndef WALFS_FS_OPSTATS_H
#define WALFS_FS_OPSTATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include <walfs/wal.h>

/* Any thread. */
static inline uint64_t walfs_clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#define WALFS_OPERATIONS 64 /* the kernel's numbers; 0 is all others */

struct walfs_latency {
	_Atomic uint64_t sum_ns;
	_Atomic uint64_t max_ns;
	_Atomic uint64_t buckets[WAL_LATENCY_BUCKETS];
};

/* A request that is being handled. */
struct walfs_timer {
	uint64_t start_ns;
	unsigned operation;
};

struct walfs_opstats {
	struct walfs_timer now; /* the loop's: what it handles */
	bool parked;		/* likewise: somebody else will answer that */
	struct walfs_latency operations[WALFS_OPERATIONS];
	struct walfs_latency waits; /* for a worker */
};

/* The loop's, around each request; request is what the kernel sent. */
void walfs_opstats_begin(struct walfs_opstats *stats, const void *request);
void walfs_opstats_end(struct walfs_opstats *stats);

/* The loop's: the request is answered elsewhere. Return: what walfs_opstats_answered() needs. */
struct walfs_timer walfs_opstats_park(struct walfs_opstats *stats);
/* A worker took it. Any thread. */
void walfs_opstats_taken(struct walfs_opstats *stats, const struct walfs_timer *timer);
/* It was answered. Any thread. */
void walfs_opstats_answered(struct walfs_opstats *stats, const struct walfs_timer *timer);

/* "write". Return: NULL for a number that has no name. Any thread. */
const char *walfs_operation_name(unsigned operation);
/* Any thread. */
void walfs_latency_read(const struct walfs_latency *latency, struct wal_histogram *histogram);

#endif
