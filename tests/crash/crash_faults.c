/* SPDX-License-Identifier: MIT */
/*
 * Calls that fail: each persisting call of a run in its turn, once or for good. The
 * log goes on as well as it can; then the power goes, and what a sync had answered
 * for must be there. A sync that failed made nothing durable, and what was dirty then
 * stays off the disk even if a later one succeeds, also in the next life: the page cache
 * has it, and what is written there reaches the disk no more.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/crash/run.h"

static struct history history;

struct fault {
	uint64_t at;	/* the first call that fails */
	uint64_t times; /* how many fail; UINT64_MAX: for good */
	unsigned calls; /* a set of 1 << enum disk_call; others go well */
	int error;
	uint64_t seen; /* calls of the set */
	uint64_t failed;
};

static int fail_or_not(void *ctx, struct disk *disk, enum disk_call call, const char *name)
{
	struct fault *fault = ctx;

	(void)name;
	disk_observe(disk);
	if (!(fault->calls & 1u << call))
		return 0;
	fault->seen++;
	if (fault->seen < fault->at || fault->failed >= fault->times)
		return 0;
	fault->failed++;
	return fault->error;
}

/* --- a run that goes on whatever happens ------------------------------------- */

/* A sync that answers "durable" on a log that gave up lies. */
static void sync_honestly(struct run *run, const char *what)
{
	struct wal_stats before;
	int err;

	wal_log_stats(run->log, &before);
	err = run_sync(run);
	if (!err && before.failed)
		crash_fail("%s: a sync succeeded after the log had failed", what);
}

/* What the log says once it has failed, and that it stays so. */
static void failed_logs_are_read_only(struct run *run, const char *what)
{
	struct wal_stats stats;
	int err;

	wal_log_stats(run->log, &stats);
	if (!stats.failed)
		return;
	err = run_append(run, 30);
	if (err != -EROFS)
		crash_fail("%s: an append on a failed log: %s", what, strerror(-err));
	if (run_sync(run) == 0)
		crash_fail("%s: a sync on a failed log succeeded", what);
}

static void go_on(struct run *run, const char *what)
{
	unsigned i;

	for (i = 0; i < 3 && run->log; i++) {
		run_append(run, 50);
		sync_honestly(run, what);
		run_append_some(run, 3, 1300);
		run_rotate(run);
		run->disk.now_ns += UINT64_C(2000000000); /* it may try again */
	}
	if (run->log)
		failed_logs_are_read_only(run, what);
}

/* --- and what the power leaves of it ----------------------------------------- */

static struct crash_point *point_of(struct run *run)
{
	struct crash_point *point;

	pthread_mutex_lock(&run->disk.lock);
	disk_observe(&run->disk);
	point = crash_point_new(&run->disk, "at the end");
	history_before(&history, &point->promise);
	history_after(&history, &point->promise);
	pthread_mutex_unlock(&run->disk.lock);
	return point;
}

/* number 0: only what must be there is; else at random. */
static void lose_power(const struct crash_point *point, unsigned number, const char *what,
		       struct rng *rng)
{
	const char *path = crash_path("after");
	unsigned failures = crash_failures();
	struct state_space space;
	struct judged judged;
	struct image image;
	struct run run;

	state_space_init(&space, point, number % 2 ? STATE_ANY_ORDER : STATE_JOURNAL, STATE_SECTOR);
	if (number == 0)
		state_by_number(&space, 0, &image);
	else
		state_at_random(&space, rng, &image);
	image_write(&image, path);
	run_init(&run, path, &history, 1);
	run_recover(&run, &point->promise, CRASH_POWER, what, &judged);
	if (run.log && run_close(&run))
		crash_fail("%s: does not close", what);
	run_is_sound(path, what);
	run_destroy(&run);
	if (crash_failures() != failures) {
		image_write(&image, path);
		crash_keep(path);
	}
	image_destroy(&image);
	state_space_destroy(&space);
}

/*
 * A life in which a call fails, and another on the same page cache: all that was appended is
 * there, as no power was lost. What it syncs then outlives that. Return: whether there was
 * such a call.
 */
static bool fail_one_call_and_mount_again(struct fault *fault, uint64_t seed, unsigned states,
					  const char *kind)
{
	struct crash_point *point;
	struct promise promise = {0};
	struct rng rng = {seed};
	struct judged judged;
	struct run run;
	char what[160];
	unsigned i;

	memset(&history, 0, sizeof(history));
	history.salt = seed;
	run_init(&run, crash_fresh("run"), &history, seed);
	run.disk.before = fail_or_not;
	run.disk.before_ctx = fault;
	run.options.keep_segments = 0;
	snprintf(what, sizeof(what), "%s, call %" PRIu64 ", seed %" PRIu64, kind, fault->at, seed);
	run_script(&run);
	if (run.log)
		run_close(&run);
	run.disk.before = NULL; /* the device is well again */
	history_before(&history, &promise);
	history_after(&history, &promise);
	if (run_recover(&run, &promise, CRASH_KILLED, what, &judged)) {
		history_cut(&history, &judged);
		history.salt = rng_next(&rng);
		if (run_short_script(&run) || run_sync(&run))
			crash_fail("%s: mounted again, it does not go on", what);
	}
	if (run.log && run_close(&run))
		crash_fail("%s: mounted again, it does not close", what);
	point = point_of(&run);
	for (i = 0; i < states; i++)
		lose_power(point, i, what, &rng);
	crash_point_free(point);
	run_destroy(&run);
	return fault->failed > 0;
}

/* Return: whether there was such a call. */
static bool fail_one_call(struct fault *fault, uint64_t seed, unsigned states, const char *kind)
{
	struct crash_point *point;
	struct rng rng = {seed};
	struct run run;
	char what[160];
	unsigned i;

	memset(&history, 0, sizeof(history));
	history.salt = seed;
	run_init(&run, crash_fresh("run"), &history, seed);
	run.disk.before = fail_or_not;
	run.disk.before_ctx = fault;
	run.options.prepare_segments = 2;
	snprintf(what, sizeof(what), "%s, call %" PRIu64 ", seed %" PRIu64, kind, fault->at, seed);
	if (run_script(&run) && run.log)
		go_on(&run, what);
	point = point_of(&run);
	if (run.log && run_close(&run) == 0) {
		crash_point_free(point);
		point = point_of(&run);
	}
	for (i = 0; i < states; i++)
		lose_power(point, i, what, &rng);
	crash_point_free(point);
	run_destroy(&run);
	return fault->failed > 0;
}

typedef bool fail_one(struct fault *fault, uint64_t seed, unsigned states, const char *kind);

static void fail_each_in(const struct crash_options *options, const char *sentence, fail_one *life,
			 struct fault kind)
{
	unsigned states = options->long_run ? 40 : 4;
	uint64_t at = 1, runs = 0;
	struct fault fault;

	if (!crash_case(options, sentence))
		return;
	do {
		fault = kind;
		fault.at = at++;
		runs++;
	} while (life(&fault, options->seed, states, sentence));
	crash_case_end("%" PRIu64 " runs, %" PRIu64 " states", runs, runs * states);
}

static void fail_each(const struct crash_options *options, const char *sentence, unsigned calls,
		      int error, uint64_t times)
{
	fail_each_in(options, sentence, fail_one_call,
		     (struct fault){.times = times, .calls = calls, .error = error});
}

static void fail_each_and_mount_again(const struct crash_options *options, const char *sentence,
				      unsigned calls, uint64_t times)
{
	fail_each_in(options, sentence, fail_one_call_and_mount_again,
		     (struct fault){.times = times, .calls = calls, .error = -EIO});
}

/* --- no space ---------------------------------------------------------------- */

static bool log_is_whole(struct run *run, const char *what)
{
	struct promise promise = {0};
	struct judged judged;

	run_wait_idle(run);
	history_before(&history, &promise);
	history_after(&history, &promise);
	promise.removed = run->disk.removed;
	return history_judge(&history, run->log, &promise, CRASH_KILLED, what, &judged);
}

/* What waited for space is tried again by and by: wal.meta after half a second. */
static bool has_space(struct run *run)
{
	struct wal_stats stats;

	wal_log_stats(run->log, &stats);
	return !stats.no_space;
}

/* The disk is full from one such call on, until an append said so; then there is space. */
static bool fill_the_disk(uint64_t at, const struct fault *full, uint64_t seed, const char *what)
{
	struct fault fault = {
		.at = at, .times = UINT64_MAX, .calls = full->calls, .error = full->error};
	int error = full->error;
	bool told = false;
	struct run run;
	int err = 0, i;

	memset(&history, 0, sizeof(history));
	history.salt = seed;
	run_init(&run, crash_fresh("run"), &history, seed);
	run.disk.before = fail_or_not;
	run.disk.before_ctx = &fault;
	if (run_open(&run)) {
		run_destroy(&run);
		return true; /* a store that cannot even be made */
	}
	for (i = 0; i < 60 && !told; i++) {
		err = i % 5 == 4 ? run_rotate(&run) : run_append_some(&run, 3, 1200);
		told = err == error;
		if (err && err != error)
			crash_fail("%s, call %" PRIu64 ": %s", what, at, strerror(-err));
	}
	if (told && run_sync(&run))
		crash_fail("%s, call %" PRIu64 ": what fitted cannot be synced", what, at);
	fault.times = 0; /* space again */
	/* An attempt that failed just now ends: its answer counts from that time, for 20 ms. */
	usleep(10000);
	run.disk.now_ns += UINT64_C(2000000000);
	for (i = 0; i < 3; i++) {
		err = i == 1 ? run_rotate(&run) : run_append_some(&run, 3, 1200);
		if (err)
			crash_fail("%s, call %" PRIu64 ": with space again: %s", what, at,
				   strerror(-err));
	}
	run_wait_until(&run, has_space, "the log sees that there is space");
	log_is_whole(&run, what);
	if (run_close(&run))
		crash_fail("%s, call %" PRIu64 ": does not close", what, at);
	run_is_sound(run.path, what);
	run_destroy(&run);
	return told;
}

static void no_space(const struct crash_options *options, const char *sentence, unsigned calls,
		     int error)
{
	const struct fault full = {.calls = calls, .error = error};
	uint64_t at = 1;

	if (!crash_case(options, sentence))
		return;
	while (fill_the_disk(at, &full, options->seed, sentence) && at < 60)
		at++;
	crash_case_end("%" PRIu64 " calls", at);
}

/* A full disk at the start: reads are served, appends fail, then go on. */
static void a_full_disk_opens(const struct crash_options *options)
{
	struct fault fault = {
		.at = 1, .times = UINT64_MAX, .calls = 1u << DISK_ALLOCATE, .error = -ENOSPC};
	struct run run;
	int err;

	if (!crash_case(options, "a store is opened on a full disk, and goes on with space"))
		return;
	memset(&history, 0, sizeof(history));
	run_init(&run, crash_fresh("run"), &history, options->seed);
	if (run_open(&run) || run_append_some(&run, 3, 1000) || run_rotate(&run) || run_close(&run))
		crash_fail("cannot make a store");
	run.options.segment_size = 7 * RUN_BLOCK; /* so that it needs a new segment */
	run.disk.before = fail_or_not;
	run.disk.before_ctx = &fault;
	if (run_open(&run)) {
		crash_fail("does not open");
	} else {
		err = run_append(&run, 100);
		if (err != -ENOSPC)
			crash_fail("append on a full disk: %s", strerror(-err));
		log_is_whole(&run, "on a full disk");
		fault.times = 0;
		run.disk.now_ns += UINT64_C(2000000000);
		err = run_append(&run, 100);
		if (err || run_sync(&run))
			crash_fail("with space again: %s", strerror(-err));
		log_is_whole(&run, "with space again");
		if (run_close(&run))
			crash_fail("does not close");
	}
	run_is_sound(run.path, "at the end");
	run_destroy(&run);
	crash_case_end("%s", "");
}

int main(int argc, char **argv)
{
	const unsigned syncs = 1u << DISK_FDATASYNC | 1u << DISK_FSYNC;
	const unsigned all = (1u << DISK_CALLS) - 1;
	const unsigned taking = 1u << DISK_CREATE | 1u << DISK_ALLOCATE | 1u << DISK_PWRITE;
	struct crash_options options;

	crash_start(argc, argv, &options);
	fail_each(&options, "a sync fails once, then they report success", syncs, -EIO, 1);
	fail_each(&options, "each sync from one on fails", syncs, -EIO, UINT64_MAX);
	fail_each(&options, "one call fails", all, -EIO, 1);
	fail_each(&options, "each call from one on fails", all, -EIO, UINT64_MAX);
	fail_each_and_mount_again(&options, "a sync fails, and the log is mounted again", syncs, 1);
	fail_each_and_mount_again(&options, "syncs fail, and the log is mounted again", syncs,
				  UINT64_MAX);
	fail_each_and_mount_again(&options, "a call fails, and the log is mounted again", all, 1);
	fail_each(&options, "one call finds no space", taking, -ENOSPC, 1);
	no_space(&options, "no space for a segment, then space again", 1u << DISK_ALLOCATE,
		 -ENOSPC);
	no_space(&options, "beyond the quota, then within it again", 1u << DISK_ALLOCATE, -EDQUOT);
	no_space(&options, "no space for headers, seals and wal.meta, then space again",
		 1u << DISK_PWRITE | 1u << DISK_TRUNCATE, -ENOSPC);
	no_space(&options, "no space for new files, then space again", 1u << DISK_CREATE, -ENOSPC);
	no_space(&options, "no space for a segment's name, then space again", 1u << DISK_RENAME,
		 -ENOSPC);
	a_full_disk_opens(&options);
	return crash_end();
}
