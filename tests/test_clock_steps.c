/* SPDX-License-Identifier: MIT */
/* How much older a set clock makes what was closed before: not at all. */
#include <errno.h>

#include "core/store/clock_steps.h"
#include "core/store/store.h"
#include "tests/support.h"

static struct wal_clock_steps steps;

static void setup(void)
{
	steps = (struct wal_clock_steps){.count = 0};
}

static void add(uint32_t segment, uint64_t before, uint64_t after)
{
	struct wal_clock_step step = {segment, before, after, after - before};

	wal_clock_steps_add(&steps, &step);
}

START_TEST(what_was_closed_before_moves_with_the_clock)
{
	add(3, 100, 1100);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 2, 90), 1090);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 3, 100), 1100);
	/* closed after it: by another clock, or in another segment */
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 3, 101), 101);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 4, 90), 90);
}
END_TEST

START_TEST(steps_add_up_in_their_order)
{
	add(3, 100, 1100);
	add(5, 1200, 2200);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 2, 90), 2090);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 4, 1150), 2150);
}
END_TEST

START_TEST(a_clock_that_is_set_back_takes_the_step_back)
{
	add(3, 100, 1100);
	add(4, 1200, 9200);
	wal_clock_steps_take_back(&steps, 7000);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 2, 90), 2090);
	wal_clock_steps_take_back(&steps, 1500);
	ck_assert_uint_eq(steps.count, 1);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 2, 90), 590);
	wal_clock_steps_take_back(&steps, 5000);
	ck_assert_uint_eq(steps.count, 0);
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 2, 90), 90);
}
END_TEST

START_TEST(too_many_steps_make_nothing_older)
{
	uint64_t clock = 1000;
	unsigned i;

	for (i = 0; i < 3 * WAL_CLOCK_STEPS_MAX; i++) {
		add(i + 1, clock, clock + 50);
		clock += 60;
	}
	ck_assert_uint_eq(steps.count, WAL_CLOCK_STEPS_MAX);
	/* closed before all of them: all are added */
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, 1, 900), 900 + 50 * i);
	/* closed after the last: none is */
	ck_assert_uint_eq(wal_clock_steps_apply(&steps, i, clock), clock);
}
END_TEST

START_TEST(steps_of_segments_that_are_gone_are_forgotten)
{
	add(3, 100, 1100);
	add(5, 1200, 2200);
	wal_clock_steps_forget(&steps, 4);
	ck_assert_uint_eq(steps.count, 1);
	ck_assert_uint_eq(steps.steps[0].segment, 5);
}
END_TEST

START_TEST(what_was_written_is_read)
{
	struct wal_clock_steps again;
	struct wal_error why = {0};

	ck_ok(wal_clock_steps_read(test_dirfd(), &again));
	ck_assert_uint_eq(again.count, 0);
	add(3, 100, 1100);
	ck_ok(wal_clock_steps_write(&wal_io_system, test_dirfd(), &steps, &why));
	add(5, 1200, 2300);
	ck_ok(wal_clock_steps_write(&wal_io_system, test_dirfd(), &steps, &why));
	ck_ok(wal_clock_steps_read(test_dirfd(), &again));
	ck_assert_uint_eq(again.count, 2);
	ck_assert_uint_eq(again.steps[0].segment, 3);
	ck_assert_uint_eq(again.steps[1].before_ns, 1200);
	ck_assert_uint_eq(again.steps[1].after_ns, 2300);
	ck_assert_uint_eq(again.steps[1].step_ns, 1100);
}
END_TEST

START_TEST(a_byte_that_is_wrong_is_seen)
{
	const char *path = test_path(WAL_CLOCK_FILE);
	struct wal_error why = {0};
	uint64_t at;

	add(3, 100, 1100);
	ck_ok(wal_clock_steps_write(&wal_io_system, test_dirfd(), &steps, &why));
	for (at = 0; at < sizeof(struct wal_disk_clock); at++) {
		file_flip(path, at, 0x10);
		ck_assert_int_eq(wal_clock_steps_read(test_dirfd(), &steps), -EUCLEAN);
		file_flip(path, at, 0x10);
	}
	ck_ok(wal_clock_steps_read(test_dirfd(), &steps));
	file_resize(path, 100);
	ck_assert_int_eq(wal_clock_steps_read(test_dirfd(), &steps), -EUCLEAN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock_steps");
	TCase *t = test_case(suite, "steps", 10);

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, what_was_closed_before_moves_with_the_clock);
	tcase_add_test(t, steps_add_up_in_their_order);
	tcase_add_test(t, a_clock_that_is_set_back_takes_the_step_back);
	tcase_add_test(t, too_many_steps_make_nothing_older);
	tcase_add_test(t, steps_of_segments_that_are_gone_are_forgotten);
	tcase_add_test(t, what_was_written_is_read);
	tcase_add_test(t, a_byte_that_is_wrong_is_seen);
	return test_main(suite);
}
