/* SPDX-License-Identifier: MIT */
/* Numbers of inodes: what the kernel is told, and what stat() tells. */
#include "fs/walfs.h"

#include "tests/support.h"

static const uint32_t indexes[] = {0,	       1,	   2,	       16,	   17,
				   0x3ffffffe, 0x3fffffff, 0x40000000, 0x40000001, 0x7fffffff,
				   0x80000000, 0xc0000000, 0xfffffffe};
static const enum walfs_kind of_segments[] = {WALFS_SEALED, WALFS_EVENTS, WALFS_CURRENT};

#define INDEXES (sizeof(indexes) / sizeof(indexes[0]))
#define KINDS (sizeof(of_segments) / sizeof(of_segments[0]))

static bool is_of_segments(enum walfs_kind kind)
{
	return kind == WALFS_SEALED || kind == WALFS_EVENTS || kind == WALFS_CURRENT;
}

START_TEST(a_nodeid_says_what_it_was_made_of)
{
	fuse_ino_t ino;
	size_t i, k;

	for (k = 0; k < KINDS; k++) {
		for (i = 0; i < INDEXES; i++) {
			ino = walfs_ino(of_segments[k], indexes[i], 0xfffffff);
			ck_assert_int_eq(walfs_ino_kind(ino), of_segments[k]);
			ck_assert_uint_eq(walfs_ino_segment(ino), indexes[i]);
			ck_assert_uint_eq(walfs_ino_lookup(ino), 0xfffffff);
		}
	}
	/* a counter that goes beyond its bits begins again, and changes nothing else */
	ck_assert_uint_eq(walfs_ino(WALFS_CURRENT, 7, 0x10000005), walfs_ino(WALFS_CURRENT, 7, 5));
}
END_TEST

START_TEST(st_ino_fits_a_32_bit_program_for_indexes_below_2_to_30)
{
	size_t i, k;

	for (k = 0; k < KINDS; k++)
		for (i = 0; i < INDEXES; i++)
			if (indexes[i] < 1u << 30)
				ck_assert_uint_le(
					walfs_stat_ino(walfs_ino(of_segments[k], indexes[i], 9)),
					UINT32_MAX);
	for (k = 0; k < 16; k++)
		if (!is_of_segments((enum walfs_kind)k))
			ck_assert_uint_le(walfs_stat_ino(walfs_ino((enum walfs_kind)k, 0, 9)),
					  UINT32_MAX);
	ck_assert_uint_le(walfs_stat_ino(FUSE_ROOT_ID), UINT32_MAX);
}
END_TEST

START_TEST(st_ino_is_different_for_whatever_can_be_looked_at)
{
	ino_t all[INDEXES * KINDS + 16];
	size_t count = 0, i, j, k;

	for (k = 0; k < KINDS; k++)
		for (i = 0; i < INDEXES; i++)
			all[count++] = walfs_stat_ino(walfs_ino(of_segments[k], indexes[i], 0));
	for (k = 1; k < 16; k++)
		if (!is_of_segments((enum walfs_kind)k))
			all[count++] = walfs_stat_ino(walfs_ino((enum walfs_kind)k, 0, 3));
	all[count++] = walfs_stat_ino(FUSE_ROOT_ID);
	for (i = 0; i < count; i++)
		for (j = 0; j < i; j++)
			ck_assert_msg(all[i] != all[j], "%zu and %zu are both %ju", j, i,
				      (uintmax_t)all[i]);
}
END_TEST

START_TEST(st_ino_is_the_same_for_each_lookup)
{
	ck_assert_uint_eq(walfs_stat_ino(walfs_ino(WALFS_CURRENT, 5, 1)),
			  walfs_stat_ino(walfs_ino(WALFS_CURRENT, 5, 2)));
	ck_assert_uint_ne(walfs_stat_ino(walfs_ino(WALFS_CURRENT, 5, 1)),
			  walfs_stat_ino(walfs_ino(WALFS_CURRENT, 6, 1)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("node");
	TCase *numbers = test_case(suite, "numbers", 10);

	tcase_add_test(numbers, a_nodeid_says_what_it_was_made_of);
	tcase_add_test(numbers, st_ino_fits_a_32_bit_program_for_indexes_below_2_to_30);
	tcase_add_test(numbers, st_ino_is_different_for_whatever_can_be_looked_at);
	tcase_add_test(numbers, st_ino_is_the_same_for_each_lookup);
	return test_main(suite);
}
