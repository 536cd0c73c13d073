/* SPDX-License-Identifier: MIT */
/* core/log/open: what a store is opened as, and what is refused. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fixture_log.h"

START_TEST(a_new_store_is_made_for_its_owner_alone)
{
	struct stat st;

	open_log();
	ck_assert_int_eq(stat(test_path(STORE), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_uint_eq(position().segment, 1);
	ck_assert_uint_eq(position().next_event, 1);
	ck_assert(!wal_log_is_read_only(wal));
}
END_TEST

START_TEST(what_is_made_has_its_mode_whatever_the_umask)
{
	mode_t before = umask(0777);
	struct stat st;

	open_log();
	umask(before);
	ck_assert_int_eq(stat(test_path(STORE), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(test_path(STORE "/wal.meta"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(test_path(STORE "/0000000001.wal"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(two_stores_have_two_uuids)
{
	struct test_log_handle other;
	uint8_t a[16];
	uint8_t b[16];

	open_log();
	log_open_ok(&other, test_path("other"), &fault.io);
	wal_log_uuid(wal, a);
	wal_log_uuid(other.log, b);
	ck_assert_mem_ne(a, b, 16);
	ck_assert_uint_eq(a[6] >> 4, 4); /* RFC 9562: random */
	ck_assert_uint_eq(a[8] >> 6, 2);
	ck_ok(log_close(&other));
}
END_TEST

static const struct {
	const char *name;
	uint32_t block_size;
	uint64_t segment_size;
} bad_options[] = {
	{"no power of two", 5000, 0},
	{"a block too small", 2048, 0},
	{"a block too large", 1u << 25, 0},
	{"a segment without a block", 65536, 4096},
	{"a segment beyond 4 GiB", 0, UINT64_C(1) << 33},
};

START_TEST(options_out_of_range_are_refused_with_a_word)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.block_size = bad_options[_i].block_size;
	handle.options.segment_size = bad_options[_i].segment_size;
	ck_fails(log_open(&handle), -EINVAL);
	ck_assert_str_ne(handle.error.text, "");
	ck_assert_ptr_null(handle.log);
}
END_TEST

START_TEST(a_segment_is_rounded_down_to_whole_blocks)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.segment_size = 3 * TEST_BLOCK + 4095;
	ck_ok(log_open(&handle));
	ck_assert_uint_eq(file_size(store_segment_path(test_path(STORE), 1)),
			  4096 + 3 * TEST_BLOCK);
}
END_TEST

START_TEST(sizes_not_given_are_those_of_the_store)
{
	struct wal_store_info info;

	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.framing = (struct wal_framing){WAL_FRAME_FIXED, 64};
	ck_ok(log_open(&handle));
	ck_ok(log_close(&handle));
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.block_size = 0;
	handle.options.segment_size = 0;
	handle.options.framing = (struct wal_framing){WAL_FRAME_NONE, 0};
	ck_ok(log_open(&handle));
	ck_assert_int_eq(wal_log_framing(handle.log).kind, WAL_FRAME_FIXED);
	ck_assert_uint_eq(wal_log_framing(handle.log).size, 64);
	ck_ok(wal_store_info_read(test_path(STORE), &info, NULL));
	ck_assert_uint_eq(info.block_size, TEST_BLOCK);
	ck_assert_uint_eq(info.segment_size, 4096 + 4 * TEST_BLOCK);
	ck_assert_uint_eq(info.framing.size, 64);
	wal_store_info_destroy(&info);
}
END_TEST

static void expect_no_open(const char *path, int error, const char *word)
{
	struct test_log_handle other;

	log_prepare(&other, path, &fault.io);
	ck_fails(log_open(&other), error);
	ck_assert_int_eq(other.error.code, error);
	ck_assert_msg(strstr(other.error.text, word), "\"%s\" does not say %s", other.error.text,
		      word);
	ck_assert_ptr_null(other.log);
}

START_TEST(what_cannot_be_a_store_is_refused_with_the_way_out)
{
	file_write(test_path("file"), "x", 1);
	expect_no_open(test_path("file"), -ENOTDIR, "file");
	expect_no_open(test_path("no/such"), -ENOENT, "no/such");
	ck_assert_int_eq(mkdir(test_path("full"), 0700), 0);
	file_write(test_path("full/letter"), "x", 1);
	expect_no_open(test_path("full"), -ENOTEMPTY, "full");
}
END_TEST

START_TEST(a_store_that_is_held_names_its_holder)
{
	char holder[64];
	int to_child[2];
	int to_parent[2];
	pid_t child;
	char byte = 0;

	ck_assert_int_eq(pipe(to_child), 0);
	ck_assert_int_eq(pipe(to_parent), 0);
	child = fork();
	if (child == 0) {
		log_prepare(&handle, test_path(STORE), NULL);
		if (log_open(&handle))
			_exit(1);
		if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(2);
		_exit(0);
	}
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	snprintf(holder, sizeof(holder), "(pid %d)", (int)child);
	expect_no_open(test_path(STORE), -EBUSY, holder);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_fails(log_open(&handle), -EBUSY);
	ck_assert_int_eq(write(to_child[1], &byte, 1), 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	open_log();
}
END_TEST

START_TEST(several_may_look_at_a_store_that_nobody_writes)
{
	struct test_log_handle second;

	open_log();
	log_put_lines(&handle, 1, 10);
	close_log();
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_ok(log_open(&handle));
	log_prepare(&second, test_path(STORE), &fault.io);
	second.options.read_only = true;
	ck_ok(log_open(&second));
	ck_ok(log_close(&second));
	expect_no_open(test_path(STORE), -EBUSY, "(pid");
}
END_TEST

START_TEST(a_read_only_log_takes_nothing_and_changes_nothing)
{
	struct listing before;
	struct listing after;
	struct wal_hold hold = {0};

	open_log();
	log_put_lines(&handle, 1, 400);
	close_log();
	list_dir(test_path(STORE), &before);
	fault_io_reset(&fault);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_ok(log_open(&handle));
	wal = handle.log;
	ck_assert(wal_log_is_read_only(wal));
	assert_log_lines(400);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	ck_fails(wal_log_hold(wal, &hold, 10), -EROFS);
	ck_fails(wal_log_rotate(wal), -EROFS);
	ck_ok(wal_log_sync(wal));
	close_log();
	ck_assert_uint_eq(fault.calls, 0);
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}
END_TEST

START_TEST(a_read_only_look_at_nothing_is_an_error_and_makes_nothing)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_assert_int_lt(log_open(&handle), 0);
	ck_assert_str_ne(handle.error.text, "");
	log_prepare(&handle, test_path("nowhere"), &fault.io);
	handle.options.read_only = true;
	ck_fails(log_open(&handle), -ENOENT);
	ck_assert(!file_exists(test_path("nowhere")));
	ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

START_TEST(R10_a_read_only_file_system_names_the_option)
{
	open_log();
	log_put_lines(&handle, 1, 10);
	close_log();
	fault_io_fail_ops(&fault, (1u << FAULT_OPS) - 1, -EROFS, 0);
	expect_no_open(test_path(STORE), -EROFS, "ro");
	fault_io_reset(&fault);
}
END_TEST

START_TEST(no_space_for_a_new_store_is_an_error)
{
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	expect_no_open(test_path(STORE), -ENOSPC, STORE);
	fault_io_reset(&fault);
	open_log();
	ck_assert_uint_eq(position().next_event, 1);
}
END_TEST

static Suite *log_open_suite(void)
{
	Suite *suite = suite_create("log_open");
	TCase *t;

	t = log_case(suite, "opening", 30);
	tcase_add_test(t, a_new_store_is_made_for_its_owner_alone);
	tcase_add_test(t, what_is_made_has_its_mode_whatever_the_umask);
	tcase_add_test(t, two_stores_have_two_uuids);
	tcase_add_loop_test(t, options_out_of_range_are_refused_with_a_word, 0,
			    (int)(sizeof(bad_options) / sizeof(bad_options[0])));
	tcase_add_test(t, a_segment_is_rounded_down_to_whole_blocks);
	tcase_add_test(t, sizes_not_given_are_those_of_the_store);
	tcase_add_test(t, what_cannot_be_a_store_is_refused_with_the_way_out);
	tcase_add_test(t, a_store_that_is_held_names_its_holder);
	tcase_add_test(t, several_may_look_at_a_store_that_nobody_writes);
	tcase_add_test(t, a_read_only_log_takes_nothing_and_changes_nothing);
	tcase_add_test(t, a_read_only_look_at_nothing_is_an_error_and_makes_nothing);
	tcase_add_test(t, R10_a_read_only_file_system_names_the_option);
	tcase_add_test(t, no_space_for_a_new_store_is_an_error);
	return suite;
}

int main(void)
{
	return test_main(log_open_suite());
}
