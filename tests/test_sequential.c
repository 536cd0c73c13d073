/* SPDX-License-Identifier: MIT */
/* Where an open file without O_APPEND may go on. */
#include "fs/sequential.h"

#include "tests/support.h"

#define INO 7
#define OTHER_INO 8

static struct walfs_sequential all;
static struct walfs_writer *writer;

static void setup(void)
{
	walfs_sequential_init(&all);
	writer = walfs_sequential_add(&all, INO, 1, 10);
	ck_assert_ptr_nonnull(writer);
}

static void teardown(void)
{
	walfs_sequential_remove(&all, writer);
	walfs_sequential_destroy(&all);
}

static bool goes_on(uint64_t offset)
{
	return walfs_sequential_goes_on(&all, writer, offset);
}

START_TEST(it_goes_on_at_the_end_that_there_was_at_its_open)
{
	ck_assert(goes_on(10));
	ck_assert(!goes_on(0) && !goes_on(9) && !goes_on(11) && !goes_on(UINT64_MAX - 1));
}
END_TEST

START_TEST(it_goes_on_where_its_last_write_ended_and_nowhere_before)
{
	walfs_sequential_tell(&all, INO, 1, 20);
	walfs_sequential_tell(&all, INO, 0, 30);
	ck_assert(goes_on(10) && goes_on(20) && goes_on(30));
	walfs_sequential_wrote(&all, writer, 25);
	ck_assert(goes_on(25));
	ck_assert(!goes_on(10) && !goes_on(20) && !goes_on(30));
	/* a shorter `current`, after a rotation */
	walfs_sequential_tell(&all, INO, 1, 5);
	ck_assert(goes_on(5) && goes_on(25));
}
END_TEST

START_TEST(of_what_it_sought_only_the_last_counts)
{
	walfs_sequential_tell(&all, INO, 1, 20);
	walfs_sequential_tell(&all, INO, 1, 21);
	ck_assert(goes_on(21) && !goes_on(20));
}
END_TEST

START_TEST(of_many_sizes_the_first_four_and_the_last_four_count)
{
	uint64_t size;

	for (size = 11; size <= 100; size++) {
		walfs_sequential_tell(&all, INO, 0, size);
		walfs_sequential_tell(&all, INO, 0, size); /* again is nothing new */
	}
	for (size = 0; size <= 200; size++)
		ck_assert_int_eq(goes_on(size),
				 (size >= 10 && size <= 13) || (size >= 97 && size <= 100));
}
END_TEST

START_TEST(a_size_is_told_to_those_who_have_the_inode_open)
{
	struct walfs_writer *same = walfs_sequential_add(&all, INO, 2, 1);
	struct walfs_writer *other = walfs_sequential_add(&all, OTHER_INO, 3, 2);

	walfs_sequential_tell(&all, INO, 0, 40);
	walfs_sequential_tell(&all, INO, 2, 50);
	ck_assert(goes_on(40) && !goes_on(50));
	ck_assert(walfs_sequential_goes_on(&all, same, 40));
	ck_assert(walfs_sequential_goes_on(&all, same, 50));
	ck_assert(!walfs_sequential_goes_on(&all, other, 40));
	walfs_sequential_wrote(&all, same, 60);
	ck_assert(goes_on(40));
	walfs_sequential_remove(&all, same);
	walfs_sequential_remove(&all, other);
	walfs_sequential_tell(&all, OTHER_INO, 0, 70); /* nobody */
	ck_assert(!goes_on(70));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sequential");
	TCase *ends = test_case(suite, "ends", 10);

	tcase_add_checked_fixture(ends, setup, teardown);
	tcase_add_test(ends, it_goes_on_at_the_end_that_there_was_at_its_open);
	tcase_add_test(ends, it_goes_on_where_its_last_write_ended_and_nowhere_before);
	tcase_add_test(ends, of_what_it_sought_only_the_last_counts);
	tcase_add_test(ends, of_many_sizes_the_first_four_and_the_last_four_count);
	tcase_add_test(ends, a_size_is_told_to_those_who_have_the_inode_open);
	return test_main(suite);
}
