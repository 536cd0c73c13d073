/* SPDX-License-Identifier: MIT */
/*
 * A run of a log on a recorded disk, and the crash points that it passes: one
 * before each persisting call, one after each thing that the run did.
 */
#ifndef WALFS_TESTS_CRASH_RUN_H
#define WALFS_TESTS_CRASH_RUN_H

#include "tests/crash/history.h"

#define RUN_BLOCK 4096u
#define RUN_BLOCKS 6u /* a segment: the smallest that takes groups */
#define RUN_KEEP 2u   /* sealed segments */

struct run {
	struct disk disk;
	struct history *history;
	struct wal_log *log;
	struct rng rng;
	struct wal_log_options options;
	const char *path;
	bool serial; /* waits after each step until no thread has anything left to do */
	bool points_wanted;
	struct crash_point **points;
	size_t point_count;
	size_t point_room;
	size_t points_at_open; /* those before run_recover() had opened the log */
};

/* On what the directory holds. The history is the caller's. */
void run_init(struct run *run, const char *path, struct history *history, uint64_t seed);
/* The same where a process was killed: what it had not synced still is not. */
void run_init_killed(struct run *run, const char *path, const struct crash_point *point,
		     struct history *history, uint64_t seed);
void run_destroy(struct run *run);
void run_forget_points(struct run *run);
/* No more points; the log's threads may be at work. */
void run_end_points(struct run *run);

/* Each returns 0 or the log's error. */
int run_open(struct run *run);
int run_close(struct run *run);
int run_append(struct run *run, uint32_t size);
/* Several records in one call. */
int run_append_some(struct run *run, size_t count, uint32_t size);
/* Holds room for a record, appends another, then the one that was held for. */
int run_append_held(struct run *run, uint32_t size);
int run_sync(struct run *run);
int run_rotate(struct run *run);
/* Waits for what the log's threads do; ends the program if it does not come. */
void run_wait_until(struct run *run, bool (*is_so)(struct run *run), const char *what);
void run_wait_idle(struct run *run);

/*
 * Opens what a crash left and judges it. Return: whether it is as promised; if not,
 * crash_fail() has been told.
 */
bool run_recover(struct run *run, const struct promise *promise, enum crash_kind kind,
		 const char *what, struct judged *judged);
/* Does verify find nothing in the store? Else crash_fail(). */
bool run_is_sound(const char *path, const char *what);

/* Everything a log does: appends of all kinds, syncs, rotations, retention, going on. */
int run_script(struct run *run);
/* A little of it, on a log that is open: after a recovery. */
int run_short_script(struct run *run);

#endif
