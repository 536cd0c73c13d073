/* SPDX-License-Identifier: MIT */
#include "tests/crash/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/store/meta_store.h"

#define WAIT_SECONDS 60 /* machines are loaded: for what never comes */

/* --- points ------------------------------------------------------------------ */

static void keep_point(struct run *run, const struct promise *before, const char *label)
{
	struct crash_point *point = crash_point_new(&run->disk, label);
	uint32_t removed = point->promise.removed;

	if (run->point_count == run->point_room) {
		run->point_room = run->point_room ? run->point_room * 2 : 64;
		run->points = realloc(run->points, run->point_room * sizeof(*run->points));
		if (!run->points)
			crash_die("no memory");
	}
	point->promise = *before;
	point->promise.removed = removed;
	history_after(run->history, &point->promise);
	run->points[run->point_count++] = point;
}

/* What was promised is read before the files are looked at, what was begun after. */
static int before_call(void *ctx, struct disk *disk, enum disk_call call, const char *name)
{
	struct run *run = ctx;
	struct promise promise = {0};
	char label[80];

	if (!run->points_wanted)
		return 0;
	history_before(run->history, &promise);
	disk_observe(disk);
	snprintf(label, sizeof(label), "before call %llu, %s %.40s",
		 (unsigned long long)disk->calls, disk_call_name(call), name);
	keep_point(run, &promise, label);
	return 0;
}

static void after_step(struct run *run, const char *step)
{
	struct promise promise = {0};
	char label[80];

	if (run->serial)
		run_wait_idle(run);
	if (!run->points_wanted)
		return;
	pthread_mutex_lock(&run->disk.lock);
	history_before(run->history, &promise);
	disk_observe(&run->disk);
	snprintf(label, sizeof(label), "after %s, call %llu", step,
		 (unsigned long long)run->disk.calls);
	keep_point(run, &promise, label);
	pthread_mutex_unlock(&run->disk.lock);
}

void run_forget_points(struct run *run)
{
	size_t i;

	for (i = 0; i < run->point_count; i++)
		crash_point_free(run->points[i]);
	run->point_count = 0;
}

void run_end_points(struct run *run)
{
	pthread_mutex_lock(&run->disk.lock);
	run->points_wanted = false;
	pthread_mutex_unlock(&run->disk.lock);
}

/* --- the run ----------------------------------------------------------------- */

static void init(struct run *run, const char *path, struct history *history, uint64_t seed)
{
	run->disk.before = before_call;
	run->disk.before_ctx = run;
	run->history = history;
	run->path = path;
	run->rng.state = seed;
	run->options = (struct wal_log_options){
		.io = &run->disk.io,
		.path = path,
		.block_size = RUN_BLOCK,
		.segment_size = RUN_BLOCKS * RUN_BLOCK,
		.framing = {.kind = WAL_FRAME_LINE},
		.keep_segments = RUN_KEEP,
		.prepare_segments = 1,
		.io_method = crash_pwrites() ? WAL_IO_PWRITE : WAL_IO_MAPPING,
	};
}

void run_init(struct run *run, const char *path, struct history *history, uint64_t seed)
{
	memset(run, 0, sizeof(*run));
	disk_init(&run->disk, path);
	init(run, path, history, seed);
}

void run_init_killed(struct run *run, const char *path, const struct crash_point *point,
		     struct history *history, uint64_t seed)
{
	memset(run, 0, sizeof(*run));
	state_killed_on_disk(point, path, &run->disk);
	init(run, path, history, seed);
}

void run_destroy(struct run *run)
{
	run_forget_points(run);
	free(run->points);
	disk_destroy(&run->disk);
}

static bool is_idle(struct run *run)
{
	struct wal_stats stats;

	wal_log_stats(run->log, &stats);
	return stats.failed || stats.no_space ||
	       (stats.ready_segments >= run->options.prepare_segments &&
		stats.sealing_segments == 0 && stats.sync_waiters == 0 &&
		(!run->options.keep_segments ||
		 stats.sealed_segments <= run->options.keep_segments + stats.damaged_segments));
}

void run_wait_until(struct run *run, bool (*is_so)(struct run *run), const char *what)
{
	const time_t end = time(NULL) + WAIT_SECONDS;

	while (!is_so(run)) {
		if (time(NULL) > end)
			crash_die("waited for %d seconds for this: %s", WAIT_SECONDS, what);
		usleep(50); /* the poll interval */
	}
}

void run_wait_idle(struct run *run)
{
	if (run->log)
		run_wait_until(run, is_idle, "the log comes to rest");
}

int run_open(struct run *run)
{
	struct wal_error error;
	int err = wal_log_open(&run->options, &run->log, &error);

	if (err) {
		run->log = NULL;
		return err;
	}
	after_step(run, "open");
	return 0;
}

int run_close(struct run *run)
{
	size_t all = run->history->returned;
	int err = wal_log_close(run->log);

	run->log = NULL;
	if (err)
		return err;
	run->history->synced = all;
	after_step(run, "close");
	return 0;
}

static void begin_record(struct run *run, size_t number, uint64_t first_event, uint32_t size,
			 uint32_t flags)
{
	if (number >= HISTORY_MAX)
		crash_die("more than %u records in one run", HISTORY_MAX);
	run->history->records[number] = (struct record){.first_event = first_event,
							.salt = run->history->salt,
							.size = size,
							.flags = flags};
}

static uint64_t events_of(struct run *run, uint64_t before)
{
	struct wal_log_position position;

	wal_log_position(run->log, &position);
	return position.next_event - before;
}

static void begin(struct run *run)
{
	struct wal_stats stats;

	wal_log_stats(run->log, &stats);
	run->history->incarnation = stats.incarnation;
}

/*
 * A mapping that failed may have taken what the call says it did not; the log is
 * read-only then. Any other failure has taken nothing, and appending may go on.
 */
static bool may_be_there(const struct run *run, ssize_t n)
{
	struct wal_stats stats;

	if (n != -EIO)
		return false;
	wal_log_stats(run->log, &stats);
	return stats.failed != 0;
}

/* One record that is a single event or a group. */
static int append(struct run *run, uint32_t size, struct wal_hold *hold)
{
	static uint8_t bytes[WAL_FIXED_FRAME_MAX];
	struct history *history = run->history;
	size_t number = history->begun;
	struct wal_log_position position;
	struct wal_record record = {.data = bytes, .size = size};
	ssize_t n;

	wal_log_position(run->log, &position);
	record.flags = number % 7 == 3 ? WAL_FLAG_PART : 0;
	begin_record(run, number, position.next_event, size, record.flags);
	history_bytes(history, number, bytes);
	begin(run);
	history->begun = number + 1;
	n = wal_log_append(run->log, &record, 1, hold);
	if (n == 1) {
		history->returned = number + 1;
		return 0;
	}
	if (!may_be_there(run, n))
		history->begun = number;
	return n < 0 ? (int)n : -EPROTO;
}

int run_append(struct run *run, uint32_t size)
{
	int err = append(run, size, NULL);

	after_step(run, "append");
	return err;
}

/* All of one size that no group is made of: then their ids are known ahead. */
int run_append_some(struct run *run, size_t count, uint32_t size)
{
	static uint8_t bytes[16][4096];
	struct history *history = run->history;
	struct wal_record records[16];
	size_t number = history->begun, i;
	struct wal_log_position position;
	ssize_t n;

	wal_log_position(run->log, &position);
	for (i = 0; i < count; i++) {
		begin_record(run, number + i, position.next_event + i, size, 0);
		history_bytes(history, number + i, bytes[i]);
		records[i] = (struct wal_record){.data = bytes[i], .size = size};
	}
	begin(run);
	history->begun = number + count;
	n = wal_log_append(run->log, records, count, NULL);
	if (!may_be_there(run, n))
		history->begun = number + (n > 0 ? (size_t)n : 0);
	if (n > 0)
		history->returned = number + (size_t)n;
	if (n > 0 && events_of(run, position.next_event) != (uint64_t)n)
		crash_fail("%zd records became other ids", n);
	after_step(run, "append of several");
	return n < 0 ? (int)n : n < (ssize_t)count ? -ENOSPC : 0;
}

int run_append_held(struct run *run, uint32_t size)
{
	struct wal_hold hold = {0};
	int err = wal_log_hold(run->log, &hold, size);

	if (err)
		return err;
	err = append(run, 200, NULL);
	after_step(run, "append beside a hold");
	if (!err)
		err = append(run, size, &hold);
	if (err)
		wal_log_hold(run->log, &hold, 0);
	after_step(run, "append of what was held");
	return err;
}

int run_sync(struct run *run)
{
	size_t all = run->history->returned;
	int err = wal_log_sync(run->log);

	if (!err && all > run->history->synced)
		run->history->synced = all;
	after_step(run, "sync");
	return err;
}

int run_rotate(struct run *run)
{
	int err = wal_log_rotate(run->log);

	after_step(run, "rotate");
	return err;
}

/* --- scripts ----------------------------------------------------------------- */

static uint32_t some_size(struct run *run)
{
	static const uint32_t sizes[] = {1, 8, 9, 24, 60, 100, 333, 500, 900, 1500};

	return sizes[rng_below(&run->rng, sizeof(sizes) / sizeof(sizes[0]))];
}

static int append_various(struct run *run, unsigned count)
{
	int err = 0;

	while (count-- > 0 && !err)
		err = run_append(run, some_size(run));
	return err;
}

/* More than a segment takes, so that the log rotates by itself. */
static int fill_a_segment(struct run *run)
{
	uint32_t start = wal_log_current(run->log);
	int err = 0;

	while (!err && wal_log_current(run->log) == start)
		err = run_append_some(run, 3, 1300);
	return err;
}

static int first_life(struct run *run)
{
	int err = run_open(run);

	err = err ? err : append_various(run, 4);
	err = err ? err : run_sync(run);
	err = err ? err : run_append(run, 6000); /* a group over a block's end */
	err = err ? err : run_append_held(run, 700);
	err = err ? err : run_rotate(run);
	err = err ? err : append_various(run, 3);
	err = err ? err : run_append(run, 7900);
	err = err ? err : fill_a_segment(run);
	err = err ? err : run_sync(run);
	err = err ? err : append_various(run, 2);
	err = err ? err : run_append(run, 7000);
	err = err ? err : fill_a_segment(run);
	err = err ? err : append_various(run, 2);
	return err ? err : run_close(run);
}

static int second_life(struct run *run)
{
	int err = run_open(run);

	err = err ? err : run_append_some(run, 5, 40);
	err = err ? err : run_sync(run);
	err = err ? err : append_various(run, 2);
	err = err ? err : fill_a_segment(run);
	err = err ? err : append_various(run, 2);
	err = err ? err : run_rotate(run);
	err = err ? err : run_append(run, 5000);
	err = err ? err : run_sync(run);
	return err ? err : append_various(run, 3);
}

int run_script(struct run *run)
{
	int err = first_life(run);

	err = err ? err : second_life(run);
	return err;
}

int run_short_script(struct run *run)
{
	int err = append_various(run, 1 + (unsigned)rng_below(&run->rng, 3));

	if (!err && rng_below(&run->rng, 4) == 0)
		err = run_append(run, 5000);
	if (!err)
		err = run_sync(run);
	if (!err)
		err = append_various(run, 1 + (unsigned)rng_below(&run->rng, 3));
	if (!err && rng_below(&run->rng, 4) == 0)
		err = run_rotate(run);
	return err ? err : run_append(run, 700);
}

/* --- recovering -------------------------------------------------------------- */

/* As the disk has it, not the page cache. */
static bool was_clean(struct run *run)
{
	int dirfd = open(run->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct wal_meta_slots slots;
	struct wal_meta meta;
	bool clean = wal_meta_read_by(&run->disk.io, dirfd, &meta, &slots) == 0 && meta.clean;

	close(dirfd);
	return clean;
}

/* "Closed in order" means that nothing is missing; otherwise the incarnation grows. */
static bool judge_incarnation(const struct judged *judged, const struct promise *promise,
			      bool clean, const char *what)
{
	if (clean && judged->records < promise->begun)
		crash_fail("%s: marked clean, but %zu of %zu records are there", what,
			   judged->records, promise->begun);
	else if (!clean && judged->incarnation <= promise->incarnation)
		crash_fail("%s: incarnation %llu did not grow", what,
			   (unsigned long long)judged->incarnation);
	else
		return true;
	return false;
}

static bool no_fault(const char *path, int not_an_error, const char *what)
{
	struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct wal_error error = {0};
	char fault[320] = "";
	int err = wal_verify_store(path, &options, &result, &error);

	if (err ? err == not_an_error : !result.faults)
		return true;
	wal_fault_format(&result.first, fault, sizeof(fault));
	crash_fail("%s: verify: %s%s: %s", what, err ? error.text : "", result.first_name, fault);
	return false;
}

bool run_is_sound(const char *path, const char *what)
{
	return no_fault(path, 0, what);
}

/* No crash leaves what verify calls damage; before anything was made, it is no store. */
static bool is_explained(const char *path, const char *what)
{
	char when[300];

	snprintf(when, sizeof(when), "%s, before recovery", what);
	return no_fault(path, -ENOTEMPTY, when);
}

bool run_recover(struct run *run, const struct promise *promise, enum crash_kind kind,
		 const char *what, struct judged *judged)
{
	bool clean = was_clean(run);
	struct wal_error error;
	int err;

	if (!is_explained(run->path, what))
		return false;
	run->disk.removed = promise->removed;
	/* What retention removed at the start would be missing to the judge. */
	run->options.keep_segments = 0;
	err = wal_log_open(&run->options, &run->log, &error);
	pthread_mutex_lock(&run->disk.lock);
	run->points_at_open = run->point_count;
	pthread_mutex_unlock(&run->disk.lock);
	if (err) {
		run->log = NULL;
		crash_fail("%s: does not open: %s", what, error.text);
		return false;
	}
	if (!history_judge(run->history, run->log, promise, kind, what, judged) ||
	    !judge_incarnation(judged, promise, clean, what))
		return false;
	after_step(run, "recovery");
	return true;
}
