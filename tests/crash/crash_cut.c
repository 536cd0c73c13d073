/* SPDX-License-Identifier: MIT */
/*
 * A process that is killed before its 1st, 2nd, 3rd ... persisting call, and
 * again before each call of the recovery that follows. The page cache survives.
 *
 * The log's threads make the order of the calls vary from run to run. So nothing is
 * run again up to its Nth call: one run keeps what a kill before each of its calls
 * would leave, and each of that is recovered. One case waits after each step until
 * the threads are at rest, others let them race, several times.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/run.h"

static struct history history;

struct tally {
	size_t points;
	size_t recoveries;
	size_t cut_recoveries;
};

/* A second recovery of what the first left: the same log. */
static void recover_again(const struct crash_point *point, const struct judged *first,
			  const char *what)
{
	struct promise promise = {.begun = first->records,
				  .returned = first->records,
				  .removed = point->promise.removed};
	const char *path = crash_path("again");
	struct judged judged;
	struct image image;
	struct run run;

	state_killed(point, &image);
	image_write(&image, path);
	image_destroy(&image);
	run_init(&run, path, &history, 1);
	if (run_recover(&run, &promise, CRASH_KILLED, what, &judged) &&
	    judged.next_event != first->next_event)
		crash_fail("%s: next event %" PRIu64 ", before it was %" PRIu64, what,
			   judged.next_event, first->next_event);
	if (run.log)
		run_close(&run);
	if (!run_is_sound(path, what))
		crash_keep(path);
	run_destroy(&run);
}

/* every: cut the recovery at each of its calls, too; otherwise at a few. */
static void cut_here(const struct crash_point *point, bool every, struct rng *rng,
		     struct tally *tally)
{
	const char *path = crash_path("cut");
	struct judged judged;
	struct image image;
	unsigned before = crash_failures();
	struct run run;
	char what[200];
	size_t i;

	state_killed(point, &image);
	image_write(&image, path);
	run_init(&run, path, &history, rng_next(rng));
	run.points_wanted = true;
	snprintf(what, sizeof(what), "killed %s", point->label);
	tally->recoveries++;
	if (run_recover(&run, &point->promise, CRASH_KILLED, what, &judged)) {
		run_end_points(&run);
		for (i = 0; i < run.point_count; i++) {
			if (!every && rng_below(rng, run.point_count) >= 3)
				continue;
			snprintf(what, sizeof(what), "killed %s, then in recovery %s", point->label,
				 run.points[i]->label);
			recover_again(run.points[i], &judged, what);
			tally->cut_recoveries++;
		}
	}
	run_end_points(&run);
	if (run.log && run_close(&run))
		crash_fail("%s: does not close", point->label);
	run_is_sound(path, point->label);
	if (crash_failures() != before) {
		image_write(&image, path);
		crash_keep(path);
	}
	image_destroy(&image);
	run_destroy(&run);
}

static void prepare(struct run *run, const char *path, uint64_t seed)
{
	memset(&history, 0, sizeof(history));
	history.salt = seed;
	run_init(run, path, &history, seed);
	run->points_wanted = true;
}

static void cut_everywhere(struct run *run, bool every, struct tally *tally)
{
	struct rng rng = run->rng;
	int err = run_script(run);
	size_t i;

	if (err)
		crash_fail("the run itself: %s", strerror(-err));
	run_end_points(run);
	if (run->log)
		run_close(run);
	tally->points += run->point_count;
	for (i = 0; i < run->point_count; i++)
		cut_here(run->points[i], every, &rng, tally);
}

static void end(const struct tally *tally)
{
	crash_case_end("%zu points, %zu recoveries, %zu of cut recoveries", tally->points,
		       tally->recoveries, tally->cut_recoveries);
}

static void cut_a_serial_run(const struct crash_options *options)
{
	struct tally tally = {0};
	struct run run;

	if (!crash_case(options, "a run that lets its threads come to rest after each step"))
		return;
	prepare(&run, crash_fresh("run"), options->seed);
	run.serial = true;
	cut_everywhere(&run, options->long_run, &tally);
	run_destroy(&run);
	end(&tally);
}

static void cut_a_racing_run(const struct crash_options *options, const char *sentence, bool strict,
			     uint32_t prepared, uint32_t keep)
{
	unsigned rounds = options->long_run ? 20 : 2, i;
	struct tally tally = {0};
	struct run run;

	if (!crash_case(options, sentence))
		return;
	for (i = 0; i < rounds; i++) {
		prepare(&run, crash_fresh("run"), options->seed + i);
		run.disk.delay_us = 300;
		run.options.meta_strict = strict;
		run.options.prepare_segments = prepared;
		run.options.keep_segments = keep;
		run.options.sync_interval_ms = i % 2;
		cut_everywhere(&run, options->long_run, &tally);
		run_destroy(&run);
	}
	end(&tally);
}

int main(int argc, char **argv)
{
	struct crash_options options;

	crash_start(argc, argv, &options);
	cut_a_serial_run(&options);
	cut_a_racing_run(&options, "a run of racing threads", false, 2, RUN_KEEP);
	cut_a_racing_run(&options, "a run that tells wal.meta of each sync", true, 1, RUN_KEEP);
	cut_a_racing_run(&options, "a run that keeps every segment", false, 1, 0);
	return crash_end();
}
