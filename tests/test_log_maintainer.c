/* SPDX-License-Identifier: MIT */
/* core/log/maintainer: what is done besides: segments are sealed, and rotated by age. */
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fixture_log.h"

/* --- sealing --------------------------------------------------------------------- */

START_TEST(a_segment_that_was_rotated_is_sealed_in_the_background)
{
	struct wal_segment_info info;

	open_as_prepared();
	log_put_lines(&handle, 1, 2000); /* full segments rotate by themselves */
	wait_until(stats_now().sealing_segments == 0);
	for (uint32_t i = 1; i < wal_log_current(wal); i++) {
		ck_ok(wal_log_segment_info(wal, i, &info));
		ck_assert_int_eq(info.state, WAL_SEALED);
	}
	ck_assert_uint_ge(stats_now().counters[WAL_COUNT_SEALED], 3);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_ROTATIONS], wal_log_current(wal) - 1);
	expect_sound_store();
}
END_TEST

START_TEST(writing_waits_when_too_many_segments_are_unsealed_and_goes_on)
{
	struct wal_stats now;

	fault.sync_delay_us = 3000;
	handle.options.segment_size = TEST_BLOCK;
	handle.options.prepare_segments = 8;
	open_as_prepared();
	log_put_lines(&handle, 1, 4000);
	now = stats_now();
	ck_assert_uint_le(now.sealing_segments, 8);
	ck_assert_uint_eq(now.latencies[WAL_LATENCY_SEAL_WAIT].count,
			  now.counters[WAL_COUNT_SEAL_WAITS]);
	fault.sync_delay_us = 0;
	close_log();
	expect_sound_store();
}
END_TEST

/* Dies without closing, with several segments that were not sealed. */
START_TEST(several_unsealed_segments_are_sealed_by_recovery_and_nothing_is_lost)
{
	struct wal_segment_info info;
	pid_t child = fork();
	int status;

	if (child == 0) {
		handle.options.prepare_segments = 6;
		handle.options.segment_size = TEST_BLOCK;
		if (log_open(&handle))
			_exit(1);
		wal = handle.log;
		wait_until_ready();
		fault.sync_delay_us = 2000000; /* nothing gets sealed any more */
		log_put_lines(&handle, 1, 500);
		_exit(stats_now().sealing_segments >= 2 ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	handle.options.segment_size = TEST_BLOCK;
	open_as_prepared();
	ck_assert_uint_eq(handle.notices.warnings, 0);
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_SEALED);
	ck_assert(info.sealed_by_recovery);
	log_put_lines(&handle, 501, 510);
	close_log();
	expect_sound_store();
}
END_TEST

/* --- rotation by age ------------------------------------------------------------- */

START_TEST(a_segment_begun_in_a_time_to_come_is_rotated_by_age)
{
	fault_io_set_clock(&fault, TEST_TIME + 1000000 * SECOND, 0);
	handle.options.rotate_age_s = 60;
	open_as_prepared();
	log_put_lines(&handle, 1, 3);
	fault_io_set_clock(&fault, TEST_TIME, 0);
	wait_until(wal_log_current(wal) > 1);
	ck_assert_uint_eq(wal_log_current(wal), 2);
}
END_TEST

/* The maintainer alone has what rotation may wait for: it never waits. */
START_TEST(rotation_by_age_after_a_step_of_the_clock_waits_for_nothing)
{
	fault_io_set_clock(&fault, TEST_TIME + 1000000 * SECOND, 0);
	handle.options.rotate_age_s = 60;
	open_as_prepared();
	log_put_lines(&handle, 1, 3);
	wait_until_ready();
	ck_assert_int_eq(unlink(test_path(STORE "/0000000002.wal.new")), 0);
	fault_io_set_clock(&fault, TEST_TIME, 0);
	wait_until(wal_log_current(wal) > 1);
	ck_assert_uint_eq(wal_log_current(wal), 2);
	ck_assert(log_noticed(&handle, "made again"));
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_PREPARE_WAITS], 0);
}
END_TEST

START_TEST(a_segment_that_is_old_enough_is_rotated_unless_it_is_empty)
{
	fault_io_set_clock(&fault, TEST_TIME, 0);
	handle.options.rotate_age_s = 60;
	open_as_prepared();
	fault_io_set_clock(&fault, TEST_TIME + 120 * SECOND, 0);
	usleep(1300000); /* it looks each second, of which nothing is to be seen */
	ck_assert_uint_eq(wal_log_current(wal), 1); /* nothing in it */
	log_put_lines(&handle, 1, 3);
	wait_until(wal_log_current(wal) > 1);
	ck_assert_uint_eq(wal_log_current(wal), 2);
}
END_TEST

/* 0: no segment can be prepared; 1: none can be started. */
START_TEST(rotation_by_age_without_space_waits_and_is_told_once)
{
	struct wal_stats now;
	unsigned told;

	handle.options.rotate_age_s = 60;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	if (_i == 0) {
		wait_until_ready();
		fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
		log_put_lines(&handle, 1, 5);
		ck_ok(wal_log_rotate(wal)); /* into the one that was ready */
	} else {
		fault_io_fail_ops(&fault, OP(RENAME), -ENOSPC, 0);
	}
	log_put_lines(&handle, _i == 0 ? 6 : 1, 10);
	fault_io_set_clock(&fault, TEST_TIME + 120 * SECOND, 0);
	wait_until(stats_now().no_space);
	told = handle.notices.warnings;
	ck_assert_uint_eq(told, 1);
	usleep(2500000); /* it looks each second: twice and more, and says nothing */
	now = stats_now();
	ck_assert_uint_eq(handle.notices.warnings, told);
	ck_assert_uint_eq(now.counters[WAL_COUNT_PREPARE_WAITS], 0);
	ck_assert(now.no_space);
	fault_io_reset(&fault);
	wait_until(stats_now().counters[WAL_COUNT_ROTATIONS] > now.counters[WAL_COUNT_ROTATIONS]);
	ck_assert_uint_gt(stats_now().counters[WAL_COUNT_ROTATIONS],
			  now.counters[WAL_COUNT_ROTATIONS]);
	log_put_lines(&handle, 11, 20);
	expect_sound_store();
}
END_TEST

static Suite *log_maintainer_suite(void)
{
	Suite *suite = suite_create("log_maintainer");
	TCase *t;

	t = log_case(suite, "sealing", 60);
	tcase_add_test(t, a_segment_that_was_rotated_is_sealed_in_the_background);
	tcase_add_test(t, writing_waits_when_too_many_segments_are_unsealed_and_goes_on);
	tcase_add_test(t, several_unsealed_segments_are_sealed_by_recovery_and_nothing_is_lost);
	t = log_case(suite, "rotation by age", 60);
	tcase_add_test(t, a_segment_begun_in_a_time_to_come_is_rotated_by_age);
	tcase_add_test(t, rotation_by_age_after_a_step_of_the_clock_waits_for_nothing);
	tcase_add_test(t, a_segment_that_is_old_enough_is_rotated_unless_it_is_empty);
	tcase_add_loop_test(t, rotation_by_age_without_space_waits_and_is_told_once, 0, 2);
	return suite;
}

int main(void)
{
	return test_main(log_maintainer_suite());
}
