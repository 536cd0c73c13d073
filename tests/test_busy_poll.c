/* SPDX-License-Identifier: MIT */
/* When the daemon polls for its next request, and when it sleeps. */
#include <check.h>
#include <stdlib.h>

#include "fs/busy_poll.h"

#define LIMIT_US 50
#define LIMIT_NS 50000

static struct walfs_busy_poll poll;
static uint64_t now;

static void setup(void)
{
	walfs_busy_poll_init(&poll, LIMIT_US);
	now = 1000000;
}

/* Return: whether it slept without a round before that. */
static bool sleeps_at_once(void)
{
	return !walfs_busy_poll_again(&poll, now);
}

/* A round, if there is one, finds nothing. Return: whether there was one. */
static bool miss(void)
{
	if (sleeps_at_once())
		return false;
	now += LIMIT_NS;
	ck_assert(!walfs_busy_poll_again(&poll, now));
	walfs_busy_poll_end(&poll); /* the request that ended the sleep */
	return true;
}

static void hit(void)
{
	ck_assert(!sleeps_at_once());
	walfs_busy_poll_end(&poll);
}

/* Return: how many sleeps go by until there is a round, which finds nothing. */
static unsigned sleeps_until_miss(void)
{
	unsigned sleeps = 0;

	while (!miss())
		ck_assert_uint_le(++sleeps, 2 * WALFS_BUSY_POLL_SKIPS_MAX);
	return sleeps;
}

START_TEST(without_the_option_it_always_sleeps)
{
	unsigned i;

	walfs_busy_poll_init(&poll, 0);
	for (i = 0; i < 5000; i++) {
		ck_assert(sleeps_at_once());
		walfs_busy_poll_end(&poll);
	}
	ck_assert_uint_eq(poll.found, 0);
	ck_assert_uint_eq(poll.missed, 0);
}
END_TEST

START_TEST(a_round_lasts_until_its_limit)
{
	ck_assert(walfs_busy_poll_again(&poll, now));
	ck_assert(walfs_busy_poll_again(&poll, now + LIMIT_NS - 1));
	ck_assert(!walfs_busy_poll_again(&poll, now + LIMIT_NS));
	ck_assert_uint_eq(poll.missed, 1);
	ck_assert_uint_eq(poll.found, 0);
}
END_TEST

START_TEST(while_rounds_find_requests_there_is_one_before_each_sleep)
{
	unsigned i;

	for (i = 0; i < 5000; i++)
		hit();
	ck_assert_uint_eq(poll.found, 5000);
	ck_assert_uint_eq(poll.missed, 0);
}
END_TEST

START_TEST(each_round_that_finds_nothing_doubles_the_sleeps_to_the_next)
{
	unsigned expected;

	ck_assert_uint_eq(sleeps_until_miss(), 0);
	for (expected = 1; expected <= WALFS_BUSY_POLL_SKIPS_MAX; expected *= 2)
		ck_assert_uint_eq(sleeps_until_miss(), expected);
	ck_assert_uint_eq(sleeps_until_miss(), WALFS_BUSY_POLL_SKIPS_MAX);
	ck_assert_uint_eq(sleeps_until_miss(), WALFS_BUSY_POLL_SKIPS_MAX);
}
END_TEST

START_TEST(it_comes_back_once_rounds_find_requests_again)
{
	unsigned i, sleeps = 0;

	for (i = 0; i < 20; i++)
		sleeps_until_miss();
	for (i = 0; i < 11; i++) {
		while (sleeps_at_once())
			sleeps++;
		walfs_busy_poll_end(&poll);
	}
	ck_assert_uint_le(sleeps, WALFS_BUSY_POLL_SKIPS_MAX);
	hit();
	hit();
}
END_TEST

START_TEST(where_a_third_of_the_rounds_finds_one_it_gives_up)
{
	unsigned i, rounds = 0;

	for (i = 0; i < 30000; i++) {
		if (sleeps_at_once())
			continue;
		rounds++;
		if (rounds % 3) {
			now += LIMIT_NS;
			ck_assert(!walfs_busy_poll_again(&poll, now));
		}
		walfs_busy_poll_end(&poll);
	}
	ck_assert_uint_lt(rounds, 100);
}
END_TEST

START_TEST(a_request_that_was_there_already_is_no_round)
{
	walfs_busy_poll_end(&poll);
	ck_assert_uint_eq(poll.found, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("busy_poll");
	TCase *tests = tcase_create("busy_poll");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, without_the_option_it_always_sleeps);
	tcase_add_test(tests, a_round_lasts_until_its_limit);
	tcase_add_test(tests, while_rounds_find_requests_there_is_one_before_each_sleep);
	tcase_add_test(tests, each_round_that_finds_nothing_doubles_the_sleeps_to_the_next);
	tcase_add_test(tests, it_comes_back_once_rounds_find_requests_again);
	tcase_add_test(tests, where_a_third_of_the_rounds_finds_one_it_gives_up);
	tcase_add_test(tests, a_request_that_was_there_already_is_no_round);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
