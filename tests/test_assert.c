/* SPDX-License-Identifier: MIT */
/* core/base/assert.h: real where WAL_CHECKED is defined, and nothing elsewhere. */
#include "core/base/assert.h"

#include <signal.h>
#include <string.h>

#include "core/base/thread.h"
#include "tests/support.h"

#ifdef WAL_CHECKED
#define CHECKED true
#define WHEN_CHECKED SIGABRT
#else
#define CHECKED false
#define WHEN_CHECKED 0
#endif

static pthread_mutex_t mutex;

static void begin(void)
{
	wal_mutex_init(&mutex);
}

START_TEST(what_holds_is_looked_at_in_a_checked_build_only)
{
	int looked = 0;

	WAL_ASSERT(++looked);
	ck_assert_int_eq(looked, CHECKED);
}
END_TEST

START_TEST(what_does_not_hold_ends_a_checked_build_only)
{
	WAL_ASSERT(1 + 1 == 3);
}
END_TEST

START_TEST(a_mutex_that_the_thread_has_is_locked)
{
	pthread_mutex_lock(&mutex);
	wal_mutex_assert_locked(&mutex);
	pthread_mutex_unlock(&mutex);
}
END_TEST

START_TEST(a_mutex_that_is_free_is_not_locked)
{
	wal_mutex_assert_locked(&mutex);
}
END_TEST

static void *lock_it(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

START_TEST(a_mutex_that_another_thread_has_is_not_locked)
{
	pthread_t thread;

	ck_ok(-pthread_create(&thread, NULL, lock_it, &mutex));
	pthread_join(thread, NULL);
	wal_mutex_assert_locked(&mutex);
}
END_TEST

static Suite *assert_suite(void)
{
	Suite *suite = suite_create("assert");
	TCase *t = test_case(suite, "assert", 20);

	tcase_add_checked_fixture(t, begin, NULL);
	tcase_add_test(t, what_holds_is_looked_at_in_a_checked_build_only);
	tcase_add_test_raise_signal(t, what_does_not_hold_ends_a_checked_build_only, WHEN_CHECKED);
	tcase_add_test(t, a_mutex_that_the_thread_has_is_locked);
	tcase_add_test_raise_signal(t, a_mutex_that_is_free_is_not_locked, WHEN_CHECKED);
	tcase_add_test_raise_signal(t, a_mutex_that_another_thread_has_is_not_locked, WHEN_CHECKED);
	return suite;
}

int main(void)
{
	return test_main(assert_suite());
}
