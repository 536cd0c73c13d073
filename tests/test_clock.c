/* SPDX-License-Identifier: MIT */
/* The append path's clocks: what the kernel says, or that carried on by the processor's counter. */
#include <pthread.h>
#include <time.h>

#include "core/base/clock.h"
#include "tests/support.h"

#define THREADS 4
#define LOOKS 50000

static uint64_t kernel_realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* From here on the counter is used, if this machine has one that can be. */
static void measure_rate(void)
{
	const struct timespec longer_than_measured = {.tv_nsec = 20000000};

	wal_clock_realtime_ns();
	nanosleep(&longer_than_measured, NULL); /* what is measured */
	wal_clock_realtime_ns();
}

START_TEST(a_reading_is_carried_on_for_as_long_as_it_counts)
{
	const struct wal_clock_reading reading = {.quick_ns = 1000, .real_ns = TEST_TIME};
	uint64_t real_ns = 0;

	ck_assert(wal_clock_carry_on(&reading, 1000, &real_ns));
	ck_assert_uint_eq(real_ns, TEST_TIME);
	ck_assert(wal_clock_carry_on(&reading, 1000 + WAL_CLOCK_CARRY_NS - 1, &real_ns));
	ck_assert_uint_eq(real_ns, TEST_TIME + WAL_CLOCK_CARRY_NS - 1);
	ck_assert(!wal_clock_carry_on(&reading, 1000 + WAL_CLOCK_CARRY_NS, &real_ns));
}
END_TEST

START_TEST(a_counter_that_jumped_back_carries_nothing_on)
{
	const struct wal_clock_reading reading = {.quick_ns = 1000, .real_ns = TEST_TIME};
	uint64_t real_ns = 0;

	ck_assert(!wal_clock_carry_on(&reading, 999, &real_ns));
	ck_assert(!wal_clock_carry_on(&reading, 0, &real_ns));
}
END_TEST

START_TEST(a_reading_that_was_interrupted_is_not_carried_on)
{
	const struct wal_clock_reading reading = {.quick_ns = 1000, .real_ns = 0};
	uint64_t real_ns = 0;

	ck_assert(!wal_clock_carry_on(&reading, 1000, &real_ns));
}
END_TEST

static void *look_at_realtime(void *unused)
{
	unsigned i;

	(void)unused;
	for (i = 0; i < LOOKS; i++) {
		uint64_t before = kernel_realtime_ns();
		uint64_t ns = wal_clock_realtime_ns();
		uint64_t after = kernel_realtime_ns();

		ck_assert_uint_ge(ns + WAL_CLOCK_CARRY_NS, before);
		ck_assert_uint_le(ns, after + WAL_CLOCK_CARRY_NS);
	}
	return NULL;
}

/* The rate is measured while all of them look. */
START_TEST(in_each_thread_the_time_is_the_kernels)
{
	pthread_t threads[THREADS];
	unsigned i;

	for (i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, look_at_realtime, NULL), 0);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

/* A thousandth, and a microsecond for the readings themselves. */
START_TEST(what_took_long_by_the_kernels_clock_took_as_long_by_the_quick_one)
{
	const struct timespec a_while = {.tv_nsec = 50000000};
	uint64_t kernel[4], quick[2];

	measure_rate();
	kernel[0] = wal_clock_ns();
	quick[0] = wal_clock_quick_ns();
	kernel[1] = wal_clock_ns();
	nanosleep(&a_while, NULL); /* what is measured */
	kernel[2] = wal_clock_ns();
	quick[1] = wal_clock_quick_ns();
	kernel[3] = wal_clock_ns();
	ck_assert_uint_le(quick[1] - quick[0], (kernel[3] - kernel[0]) * 1001 / 1000 + 1000);
	ck_assert_uint_ge(quick[1] - quick[0], (kernel[2] - kernel[1]) * 999 / 1000 - 1000);
}
END_TEST

START_TEST(the_quick_clock_does_not_jump_when_the_counter_takes_over)
{
	uint64_t until = wal_clock_ns() + 50000000, before = wal_clock_quick_ns();

	while (wal_clock_ns() < until) {
		uint64_t quick, after;

		wal_clock_realtime_ns();
		quick = wal_clock_quick_ns();
		after = wal_clock_ns();
		ck_assert_uint_ge(quick + 10000, before);
		ck_assert_uint_le(quick, after + 100000);
		before = quick;
	}
}
END_TEST

START_TEST(nothing_takes_less_than_no_time)
{
	measure_rate();
	ck_assert_uint_eq(wal_clock_quick_since(wal_clock_quick_ns() + 1000000000), 0);
}
END_TEST

static Suite *clock_suite(void)
{
	Suite *suite = suite_create("clock");
	TCase *t = test_case(suite, "clock", 60);

	tcase_add_test(t, a_reading_is_carried_on_for_as_long_as_it_counts);
	tcase_add_test(t, a_counter_that_jumped_back_carries_nothing_on);
	tcase_add_test(t, a_reading_that_was_interrupted_is_not_carried_on);
	tcase_add_test(t, in_each_thread_the_time_is_the_kernels);
	tcase_add_test(t, what_took_long_by_the_kernels_clock_took_as_long_by_the_quick_one);
	tcase_add_test(t, the_quick_clock_does_not_jump_when_the_counter_takes_over);
	tcase_add_test(t, nothing_takes_less_than_no_time);
	return suite;
}

int main(void)
{
	return test_main(clock_suite());
}
