/* SPDX-License-Identifier: MIT */
/* Values whose length was asked for before they are. */
#include "fs/probes.h"

#include <string.h>

#include "tests/support.h"

static struct walfs_probes probes;
static char text[WALFS_VALUE_MAX];
static const uint64_t now = 5000000000;
static const int events, chain; /* attributes */
static const struct walfs_probe_key key = {.thread = 7, .file = 1, .attribute = &events};

static void setup(void)
{
	walfs_probes_init(&probes);
	memset(text, 'x', sizeof(text));
}

static void teardown(void)
{
	walfs_probes_destroy(&probes);
}

START_TEST(who_asks_for_as_many_bytes_as_told_gets_what_was_true_then)
{
	walfs_probes_note(&probes, &key, "99", 2, now);
	ck_assert(walfs_probes_take(&probes, &key, text, 2, now + WALFS_PROBE_NS - 1));
	ck_assert_mem_eq(text, "99x", 3);
}
END_TEST

START_TEST(only_once)
{
	walfs_probes_note(&probes, &key, "99", 2, now);
	ck_assert(walfs_probes_take(&probes, &key, text, 2, now));
	ck_assert(!walfs_probes_take(&probes, &key, text, 2, now));
}
END_TEST

START_TEST(another_size_is_no_answer_to_it)
{
	walfs_probes_note(&probes, &key, "99", 2, now);
	ck_assert(!walfs_probes_take(&probes, &key, text, 100, now));
	ck_assert(!walfs_probes_take(&probes, &key, text, 2, now)); /* that is over */
	ck_assert_mem_eq(text, "xxx", 3);
}
END_TEST

START_TEST(a_second_later_it_is_forgotten)
{
	walfs_probes_note(&probes, &key, "99", 2, now);
	ck_assert(!walfs_probes_take(&probes, &key, text, 2, now + WALFS_PROBE_NS));
}
END_TEST

START_TEST(the_last_question_counts)
{
	walfs_probes_note(&probes, &key, "99", 2, now);
	walfs_probes_note(&probes, &key, "100", 3, now + 1);
	ck_assert(walfs_probes_take(&probes, &key, text, 3, now + 2));
	ck_assert_mem_eq(text, "100x", 4);
}
END_TEST

START_TEST(another_thread_file_or_attribute_is_another_question)
{
	const struct walfs_probe_key others[] = {
		{.thread = 8, .file = 1, .attribute = &events},
		{.thread = 7, .file = 2, .attribute = &events},
		{.thread = 7, .file = 1, .attribute = &chain},
	};
	size_t i;

	walfs_probes_note(&probes, &key, "99", 2, now);
	for (i = 0; i < 3; i++)
		ck_assert(!walfs_probes_take(&probes, &others[i], text, 2, now));
	ck_assert(walfs_probes_take(&probes, &key, text, 2, now));
}
END_TEST

START_TEST(as_many_threads_as_there_is_room_for_are_answered)
{
	struct walfs_probe_key of = key;
	uint64_t i;

	for (i = 0; i <= WALFS_PROBES; i++) {
		of.thread = i;
		walfs_probes_note(&probes, &of, "99", 2, now);
	}
	of.thread = 0; /* the oldest made room */
	ck_assert(!walfs_probes_take(&probes, &of, text, 2, now));
	for (i = 1; i <= WALFS_PROBES; i++) {
		of.thread = i;
		ck_assert(walfs_probes_take(&probes, &of, text, 2, now));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("probes");
	TCase *values = test_case(suite, "values", 10);

	tcase_add_checked_fixture(values, setup, teardown);
	tcase_add_test(values, who_asks_for_as_many_bytes_as_told_gets_what_was_true_then);
	tcase_add_test(values, only_once);
	tcase_add_test(values, another_size_is_no_answer_to_it);
	tcase_add_test(values, a_second_later_it_is_forgotten);
	tcase_add_test(values, the_last_question_counts);
	tcase_add_test(values, another_thread_file_or_attribute_is_another_question);
	tcase_add_test(values, as_many_threads_as_there_is_room_for_are_answered);
	return test_main(suite);
}
