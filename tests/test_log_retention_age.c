/* SPDX-License-Identifier: MIT */
/* core/log/retention: the age of segments, and clocks that cannot be believed. */
#include "core/log/log.h"
#include "tests/fixture_log.h"

/*
 * Until the maintainer has looked at the ages, which it does each second: the second look that
 * begins from now on does so when the first is over.
 */
static void wait_for_a_look(void)
{
	uint64_t looks = fault.looks;

	wait_until(fault.looks >= looks + 2);
}

START_TEST(what_is_too_old_is_removed_but_one_sealed_segment_is_kept)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	make_segments(4);
	wait_for_a_look();
	wait_for_segments(4);
	fault_io_let_pass(&fault, 7200 * SECOND);
	wait_for_segments(1);
	ck_assert(file_exists(store_segment_path(test_path(STORE), 4)));
}
END_TEST

/* Three sealed segments, which the maintainer has seen when they were new; kept for an hour. */
static void keep_three_for_an_hour(void)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	make_segments(3);
	wait_for_a_look();
}

START_TEST(age_is_not_believed_across_a_step_of_the_clock)
{
	keep_three_for_an_hour();
	fault_io_set_clock(&fault, TEST_TIME + 315360000 * SECOND, 0); /* ten years ahead */
	wait_for_a_look();
	wait_for_segments(3);
	wait_until(log_noticed(&handle, "the clock was set forward"));
	fault_io_let_pass(&fault, 3000 * SECOND);
	wait_for_a_look();
	wait_for_segments(3);
	fault_io_let_pass(&fault, 700 * SECOND);
	wait_for_segments(1);
}
END_TEST

/* The wrong time is a possible one: the one of the last shutdown. */
START_TEST(a_step_of_the_clock_is_remembered_over_a_mount)
{
	keep_three_for_an_hour();
	fault_io_set_clock(&fault, TEST_TIME + 30 * 86400 * SECOND, 0);
	wait_for_a_look();
	wait_until(file_exists(test_path(STORE "/" WAL_CLOCK_FILE)));
	close_log();
	open_as_prepared();
	wait_for_a_look();
	wait_for_segments(3);
	fault_io_let_pass(&fault, 3700 * SECOND);
	wait_for_segments(1);
}
END_TEST

/* A guest that is halted now and then: each time its clock is set by a little. */
START_TEST(small_steps_of_the_clock_do_not_keep_segments_for_ever)
{
	unsigned i;

	keep_three_for_an_hour();
	for (i = 0; i < 3; i++) {
		fault_io_let_pass(&fault, 1300 * SECOND);
		fault_io_set_clock(&fault, fault.now + 5 * SECOND, 0);
		wait_for_a_look();
	}
	wait_for_segments(1);
}
END_TEST

START_TEST(a_damaged_wal_clock_removes_nothing_that_is_there)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	make_segments(3);
	close_log();
	file_write(test_path(STORE "/" WAL_CLOCK_FILE), "no clock", 8);
	fault_io_let_pass(&fault, 7200 * SECOND);
	open_as_prepared();
	wait_for_a_look();
	wait_for_segments(3);
	wait_until(log_noticed(&handle, "wal.clock: cannot be read: damaged"));
	fault_io_let_pass(&fault, 3700 * SECOND);
	wait_for_segments(1);
}
END_TEST

/* No clock of its own: each boot begins in 1970, until somebody says what time it is. */
START_TEST(what_was_closed_in_1970_is_as_old_as_what_came_after_it)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, 100 * SECOND, 0);
	open_as_prepared();
	make_segments(3);
	close_log();
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	wait_for_a_look();
	wait_for_segments(3); /* nobody knows: not at once */
	log_put_lines(&handle, 31, 40);
	ck_ok(wal_log_rotate(wal)); /* closed now: so they are as old as this at least */
	fault_io_let_pass(&fault, 3000 * SECOND);
	wait_for_a_look();
	wait_for_segments(4);
	fault_io_let_pass(&fault, 700 * SECOND);
	wait_for_segments(1);
}
END_TEST

START_TEST(what_was_closed_in_a_time_to_come_does_not_keep_the_rest_for_ever)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME + 315360000 * SECOND, 0);
	open_as_prepared();
	make_segments(2);
	close_log();
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	log_put_lines(&handle, 21, 30);
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, 31, 40);
	ck_ok(wal_log_rotate(wal));
	wait_for_a_look();
	ck_assert(file_exists(store_segment_path(test_path(STORE), 1)));
	fault_io_let_pass(&fault, 3700 * SECOND);
	wait_for_segments(1);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(a_clock_that_went_back_removes_nothing)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_as_prepared();
	make_segments(3);
	fault_io_set_clock(&fault, TEST_TIME - 100000 * SECOND, 0);
	wait_for_a_look();
	wait_for_segments(3);
}
END_TEST

static Suite *log_retention_age_suite(void)
{
	Suite *suite = suite_create("log_retention_age");
	TCase *t;

	t = log_case(suite, "keeping by age", 60);
	tcase_add_test(t, what_is_too_old_is_removed_but_one_sealed_segment_is_kept);
	tcase_add_test(t, age_is_not_believed_across_a_step_of_the_clock);
	tcase_add_test(t, a_step_of_the_clock_is_remembered_over_a_mount);
	tcase_add_test(t, small_steps_of_the_clock_do_not_keep_segments_for_ever);
	tcase_add_test(t, a_damaged_wal_clock_removes_nothing_that_is_there);
	tcase_add_test(t, what_was_closed_in_1970_is_as_old_as_what_came_after_it);
	tcase_add_test(t, what_was_closed_in_a_time_to_come_does_not_keep_the_rest_for_ever);
	tcase_add_test(t, a_clock_that_went_back_removes_nothing);
	return suite;
}

int main(void)
{
	return test_main(log_retention_age_suite());
}
