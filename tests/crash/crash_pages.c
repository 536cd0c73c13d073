/* SPDX-License-Identifier: MIT */
/*
 * Power loss: at each crash point of a run, states in which the disk may be, every
 * one of them if they are few, else a random choice. Each is recovered and judged;
 * at some the run goes on, and the power goes again: during the recovery, or after
 * appends that old bytes must not come back behind.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/format.h"
#include "tests/crash/run.h"

static struct history first_history;
static struct history second_history;

struct tally {
	size_t points;
	size_t states;	      /* of the first crash, no two of a point the same */
	size_t same;	      /* that had been tried at this point */
	size_t second_states; /* of a second crash behind it */
	size_t whole_spaces;  /* points of which every state was tried */
	size_t kills;	      /* with a power loss behind them */
	size_t twice;	      /* recovered a second time */
};

struct effort {
	unsigned whole;		/* a space of so many states is tried whole */
	unsigned states;	/* of a larger one */
	unsigned second_points; /* of a recovery and what follows */
	unsigned second_states; /* of each of these */
	unsigned one_in;	/* so many states have a second crash */
};

/* --- states that were tried ---------------------------------------------------- */

#define SEEN_MAX 2048u

/* Of one point. Small spaces overlap: most sectors that differ are alone in their page. */
struct seen {
	uint64_t sums[SEEN_MAX];
	size_t count;
};

static uint64_t image_sum(const struct image *image)
{
	uint64_t sum = 0;
	unsigned i;

	for (i = 0; i < image->count; i++) {
		const struct image_file *file = &image->files[i];

		sum += XXH3_64bits_withSeed(file->data, file->size,
					    XXH3_64bits(file->name, strlen(file->name)));
	}
	return sum;
}

static bool is_new(struct seen *seen, const struct image *image)
{
	uint64_t sum = image_sum(image);
	size_t i;

	for (i = 0; i < seen->count; i++) {
		if (seen->sums[i] == sum)
			return false;
	}
	if (seen->count < SEEN_MAX)
		seen->sums[seen->count++] = sum;
	return true;
}

/* --- the second crash -------------------------------------------------------- */

/* What the second crash leaves is recovered, judged, and recovered again. */
static void judge_second(const struct image *image, const struct promise *promise, const char *what,
			 struct tally *tally)
{
	const char *path = crash_path("second");
	unsigned failures = crash_failures();
	struct judged judged;
	struct run run;

	image_write(image, path);
	run_init(&run, path, &second_history, 1);
	run_recover(&run, promise, CRASH_POWER, what, &judged);
	if (run.log && run_close(&run))
		crash_fail("%s: does not close", what);
	run_is_sound(path, what);
	run_destroy(&run);
	tally->second_states++;
	if (crash_failures() == failures)
		return;
	image_write(image, path);
	crash_keep(path);
}

static void crash_again(const struct crash_point *point, const char *first_what,
			const struct effort *effort, struct rng *rng, struct tally *tally)
{
	static const uint32_t units[] = {STATE_SECTOR, STATE_PAGE};
	unsigned i;

	for (i = 0; i < effort->second_states; i++) {
		struct state_space space;
		struct image image;
		char what[300];

		state_space_init(&space, point, rng_below(rng, 2) ? STATE_JOURNAL : STATE_ANY_ORDER,
				 units[rng_below(rng, 2)]);
		state_at_random(&space, rng, &image);
		snprintf(what, sizeof(what), "%s; then %s", first_what, point->label);
		judge_second(&image, &point->promise, what, tally);
		image_destroy(&image);
		state_space_destroy(&space);
	}
}

/*
 * All that a recovery found is promised once it has opened the log; while it runs, so
 * much as before. Threads of the log may add points meanwhile.
 */
static void promise_what_was_found(struct run *run, const struct judged *judged, size_t before)
{
	size_t n;

	pthread_mutex_lock(&run->disk.lock);
	history_cut(&second_history, judged);
	for (n = 0; n < run->point_count; n++) {
		struct promise *promise = &run->points[n]->promise;

		promise->begun = promise->returned = judged->records;
		promise->synced = n < run->points_at_open ? before : judged->records;
		promise->incarnation = 0;
	}
	pthread_mutex_unlock(&run->disk.lock);
}

/*
 * Goes on from what was recovered, under another salt: whatever the first life wrote
 * behind the place where the log was cut is now something that never happened.
 */
static void go_on_and_crash(struct run *run, const struct judged *judged, size_t before,
			    const char *what, const struct effort *effort, struct rng *rng,
			    struct tally *tally)
{
	unsigned i;
	int err;

	promise_what_was_found(run, judged, before);
	second_history.salt = rng_next(rng);
	err = run_short_script(run);
	if (err)
		crash_fail("%s: going on: %s", what, strerror(-err));
	run_end_points(run);
	for (i = 0; i < effort->second_points && run->point_count; i++)
		crash_again(run->points[rng_below(rng, run->point_count)], what, effort, rng,
			    tally);
}

/* --- the first crash --------------------------------------------------------- */

/*
 * The process is killed at some call of the recovery, or once that has opened the log:
 * what is recovered from what it left is the same log.
 */
static void recover_twice(const struct run *first_run, const struct judged *first,
			  const char *first_what, struct rng *rng, struct tally *tally)
{
	size_t last = first_run->point_count - 1; /* at the earliest: it is open */
	size_t number = rng_below(rng, 2) ? last : rng_below(rng, last);
	const struct crash_point *point = first_run->points[number];
	struct promise promise = {.begun = first->records,
				  .returned = first->records,
				  .removed = point->promise.removed};
	const char *path = crash_path("twice");
	unsigned failures = crash_failures();
	struct judged again;
	struct image image;
	struct run run;
	char what[300];

	state_killed(point, &image);
	image_write(&image, path);
	run_init(&run, path, first_run->history, 1);
	snprintf(what, sizeof(what), "%s; then killed %s", first_what, point->label);
	if (run_recover(&run, &promise, CRASH_KILLED, what, &again) &&
	    again.next_event != first->next_event)
		crash_fail("%s: next event %" PRIu64 ", before it was %" PRIu64, what,
			   again.next_event, first->next_event);
	if (run.log && run_close(&run))
		crash_fail("%s: does not close", what);
	run_is_sound(path, what);
	run_destroy(&run);
	tally->twice++;
	if (crash_failures() != failures) {
		image_write(&image, path);
		crash_keep(path);
	}
	image_destroy(&image);
}

/* One state in so many has a second crash, a quarter of the others a second recovery. */
enum then { THEN_CLOSE, THEN_RECOVER, THEN_GO_ON };

static enum then what_then(const struct effort *effort, struct rng *rng)
{
	if (rng_below(rng, effort->one_in) == 0)
		return THEN_GO_ON;
	return rng_below(rng, 4) == 0 ? THEN_RECOVER : THEN_CLOSE;
}

static void judge_first(const struct crash_point *point, const struct image *image,
			const char *what, const struct effort *effort, struct rng *rng,
			struct tally *tally)
{
	enum then then = what_then(effort, rng);
	const char *path = crash_path("first");
	unsigned failures = crash_failures();
	struct judged judged;
	struct run run;

	image_write(image, path);
	if (then == THEN_GO_ON)
		memcpy(&second_history, &first_history, sizeof(second_history));
	run_init(&run, path, then == THEN_GO_ON ? &second_history : &first_history, rng_next(rng));
	run.points_wanted = then != THEN_CLOSE;
	tally->states++;
	if (run_recover(&run, &point->promise, CRASH_POWER, what, &judged)) {
		if (then != THEN_GO_ON)
			run_end_points(&run);
		if (then == THEN_RECOVER)
			recover_twice(&run, &judged, what, rng, tally);
		else if (then == THEN_GO_ON)
			go_on_and_crash(&run, &judged, judged.records, what, effort, rng, tally);
	}
	run_end_points(&run);
	if (run.log && run_close(&run))
		crash_fail("%s: does not close", what);
	run_is_sound(path, what);
	run_destroy(&run);
	if (crash_failures() == failures)
		return;
	image_write(image, path);
	crash_keep(path);
}

static void try_space(const struct crash_point *point, struct state_space *space,
		      const struct effort *effort, struct rng *rng, struct tally *tally,
		      struct seen *seen)
{
	bool all = space->states <= effort->whole;
	uint64_t count = all ? space->states : effort->states, i;

	tally->whole_spaces += all;
	for (i = 0; i < count; i++) {
		struct image image;
		char what[200];

		if (all)
			state_by_number(space, i, &image);
		else
			state_at_random(space, rng, &image);
		snprintf(what, sizeof(what), "power lost %s, %s, units of %u, state %" PRIu64,
			 point->label, space->order == STATE_JOURNAL ? "journal" : "any order",
			 space->unit_bytes, i);
		if (is_new(seen, &image))
			judge_first(point, &image, what, effort, rng, tally);
		else
			tally->same++;
		image_destroy(&image);
	}
}

/*
 * The process is killed, the next one goes on with what the page cache has, and only
 * then the power goes: what the first had not synced is durable once the second
 * has opened the log.
 */
static void kill_then_lose_power(const struct crash_point *point, const struct effort *effort,
				 struct rng *rng, struct tally *tally)
{
	struct judged judged;
	struct run run;
	char what[120];

	memcpy(&second_history, &first_history, sizeof(second_history));
	run_init_killed(&run, crash_path("first"), point, &second_history, rng_next(rng));
	run.points_wanted = true;
	snprintf(what, sizeof(what), "killed %s", point->label);
	if (run_recover(&run, &point->promise, CRASH_KILLED, what, &judged))
		go_on_and_crash(&run, &judged, point->promise.synced, what, effort, rng, tally);
	run_end_points(&run);
	if (run.log && run_close(&run))
		crash_fail("%s: does not close", what);
	run_destroy(&run);
	tally->kills++;
}

static void try_point(const struct crash_point *point, const struct effort *effort, struct rng *rng,
		      struct tally *tally)
{
	static const enum state_order orders[] = {STATE_JOURNAL, STATE_ANY_ORDER};
	static const uint32_t units[] = {STATE_SECTOR, STATE_PAGE};
	static struct seen seen;
	unsigned kind;

	tally->points++;
	seen.count = 0;
	for (kind = 0; kind < 4; kind++) {
		struct state_space space;

		state_space_init(&space, point, orders[kind / 2], units[kind % 2]);
		try_space(point, &space, effort, rng, tally, &seen);
		state_space_destroy(&space);
	}
	kill_then_lose_power(point, effort, rng, tally);
}

/* --- cases ------------------------------------------------------------------- */

struct variety {
	const char *sentence;
	bool serial;
	bool strict;
	uint32_t prepared;
	uint32_t keep;
	uint32_t interval_ms;
	unsigned delay_us; /* of the disk */
};

static const struct variety varieties[] = {
	{"threads come to rest after each step", true, false, 1, RUN_KEEP, 0, 0},
	{"threads race", false, false, 2, RUN_KEEP, 0, 300},
	{"wal.meta is told of each sync", false, true, 1, RUN_KEEP, 0, 300},
	{"a slow disk, a sync each millisecond, every segment kept", false, false, 1, 0, 1, 12000},
};

static void lose_power(const struct crash_options *options, const struct variety *variety,
		       const struct effort *effort, uint64_t seed, struct tally *tally)
{
	struct rng rng = {seed};
	struct run run;
	size_t i;
	int err;

	memset(&first_history, 0, sizeof(first_history));
	first_history.salt = seed;
	run_init(&run, crash_fresh("run"), &first_history, seed);
	run.points_wanted = true;
	run.serial = variety->serial;
	run.disk.delay_us = variety->delay_us;
	run.options.meta_strict = variety->strict;
	run.options.prepare_segments = variety->prepared;
	run.options.keep_segments = variety->keep;
	run.options.sync_interval_ms = variety->interval_ms;
	err = run_script(&run);
	if (err)
		crash_fail("the run itself: %s", strerror(-err));
	run_end_points(&run);
	run_close(&run);
	for (i = 0; i < run.point_count; i++)
		try_point(run.points[i], effort, &rng, tally);
	run_destroy(&run);
	(void)options;
}

static void lose_power_case(const struct crash_options *options, const struct variety *variety)
{
	const struct effort quick = {256, 6, 5, 2, 16}, slow = {256, 24, 6, 3, 16};
	unsigned rounds = options->long_run ? 2 : 1, i;
	struct tally tally = {0};

	if (!crash_case(options, variety->sentence))
		return;
	for (i = 0; i < rounds; i++)
		lose_power(options, variety, options->long_run ? &slow : &quick, options->seed + i,
			   &tally);
	crash_case_end("%zu points, %zu of %zu spaces tried whole, %zu states and %zu the same, "
		       "%zu recovered twice, %zu kills before a power loss, %zu states of a second "
		       "crash",
		       tally.points, tally.whole_spaces, 4 * tally.points, tally.states, tally.same,
		       tally.twice, tally.kills, tally.second_states);
}

int main(int argc, char **argv)
{
	struct crash_options options;
	size_t i;

	crash_start(argc, argv, &options);
	for (i = 0; i < sizeof(varieties) / sizeof(varieties[0]); i++)
		lose_power_case(&options, &varieties[i]);
	return crash_end();
}
