/* SPDX-License-Identifier: MIT */
/* fs/workers.c: jobs, and the ends of strands. */
#include "fs/walfs.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "tests/support.h"

static struct walfs_opstats opstats;
static struct walfs_workers workers;

static void begin(void)
{
	ck_ok(walfs_workers_start(&workers, &opstats, NULL));
}

struct counted_job {
	struct walfs_job job; /* the first member */
	unsigned runs_left;
	unsigned runs;
};

static bool run_counted(struct walfs_job *job, void *buffer)
{
	struct counted_job *counted = (struct counted_job *)job;

	(void)buffer;
	counted->runs++;
	return --counted->runs_left == 0;
}

START_TEST(a_job_that_has_not_ended_is_run_again)
{
	struct counted_job once = {.job.run = run_counted, .runs_left = 1};
	struct counted_job again = {.job.run = run_counted, .runs_left = 3};

	walfs_workers_submit(&workers, &once.job, NULL);
	walfs_workers_submit(&workers, &again.job, NULL);
	walfs_workers_stop(&workers);
	ck_assert_uint_eq(once.runs, 1);
	ck_assert_uint_eq(again.runs, 3);
}
END_TEST

struct ended_strand {
	struct walfs_strand strand; /* the first member */
	struct counted_job *job;
	pthread_t ended_in;
	unsigned runs_before;
};

static void note_end(struct walfs_strand *strand)
{
	struct ended_strand *ended = (struct ended_strand *)strand;

	ended->ended_in = pthread_self();
	ended->runs_before = ended->job->runs;
}

/* 0: with a job; 1: without. What a handle ends with may take long, and the loop must not wait. */
START_TEST(a_strand_ends_in_a_worker_after_its_jobs)
{
	struct counted_job job = {.job.run = run_counted, .runs_left = 1};
	struct ended_strand ended = {.job = &job, .ended_in = pthread_self()};

	if (_i == 0)
		walfs_workers_submit(&workers, &job.job, &ended.strand);
	walfs_strand_end(&workers, &ended.strand, note_end);
	walfs_workers_stop(&workers);
	ck_assert(!pthread_equal(ended.ended_in, pthread_self()));
	ck_assert_uint_eq(ended.runs_before, _i == 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("workers");
	TCase *tests = test_case(suite, "workers", 60);

	tcase_add_checked_fixture(tests, begin, NULL);
	tcase_add_test(tests, a_job_that_has_not_ended_is_run_again);
	tcase_add_loop_test(tests, a_strand_ends_in_a_worker_after_its_jobs, 0, 2);
	return test_main(suite);
}
