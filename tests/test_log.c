/* SPDX-License-Identifier: MIT */
/* core/log/log: what the system can do to a log as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fixture_log.h"

/* --- failing --------------------------------------------------------------------- */

/* rm -rf, while the log has it open. */
static void remove_store(void)
{
	int dirfd = open(test_path(STORE), O_RDONLY | O_DIRECTORY);
	struct listing listing;

	ck_assert_int_ge(dirfd, 0);
	list_dir(test_path(STORE), &listing);
	for (size_t i = 0; i < listing.count; i++)
		ck_assert_int_eq(unlinkat(dirfd, listing.files[i].name, 0), 0);
	close(dirfd);
	ck_assert_int_eq(rmdir(test_path(STORE)), 0);
}

START_TEST(a_directory_that_is_gone_fails_the_log)
{
	struct wal_stats stats;

	open_log();
	log_put_lines(&handle, 1, 10);
	remove_store();
	ck_fails(wal_log_rotate(wal), -EIO);
	ck_fails(wal_log_sync(wal), -EIO);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	wal_log_stats(wal, &stats);
	ck_assert_int_eq(stats.failed, -EIO);
	ck_assert(log_noticed(&handle, "No such file"));
	assert_log_lines(10); /* the daemon has the file, if nobody else has */
	log_close(&handle);
}
END_TEST

static const int odd_errors[] = {-EPERM, -EACCES, -ENAMETOOLONG, -EFAULT, -ESTALE, -ENXIO};

START_TEST(whatever_the_system_says_callers_are_told_an_io_error)
{
	struct wal_stats stats;

	open_log();
	log_put_lines(&handle, 1, 5);
	if (_i % 2)
		fault_io_fail_ops(&fault, OP(RENAME), odd_errors[_i], 0);
	else
		fault_io_fail_ops(&fault, OP(FDATASYNC), odd_errors[_i], 0);
	ck_fails(_i % 2 ? wal_log_rotate(wal) : wal_log_sync(wal), -EIO);
	ck_fails(wal_log_sync(wal), -EIO);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	wal_log_stats(wal, &stats);
	ck_assert_int_eq(stats.failed, -EIO);
	ck_assert(log_noticed(&handle, strerror(-odd_errors[_i]))); /* where it says why */
	ck_fails(log_close(&handle), -EIO);
}
END_TEST

START_TEST(an_error_of_preparing_is_an_io_error_until_it_works)
{
	uint64_t last;

	open_log();
	fault_io_fail_ops(&fault, OP(CREATE), odd_errors[_i], 0);
	last = fill_until(-EIO);
	ck_fails(wal_log_rotate(wal), -EIO);
	ck_assert(log_noticed(&handle, strerror(-odd_errors[_i])));
	ck_ok(wal_log_sync(wal));
	fault_io_reset(&fault);
	log_put_lines(&handle, last + 1, last + 200);
	assert_log_lines(last + 200);
}
END_TEST

START_TEST(a_meta_file_that_cannot_be_written_makes_the_log_read_only)
{
	open_log();
	log_put_lines(&handle, 1, 5);
	fault_io_fail_ops(&fault, OP(PWRITE), -EIO, 0);
	ck_ok(wal_log_sync(wal));
	wait_until(log_put(&handle, "event 6\n") != 1);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

START_TEST(a_truncated_active_file_is_an_error_and_the_process_lives)
{
	ck_ok(wal_fault_handler_install());
	open_log();
	log_put_lines(&handle, 1, 10);
	file_resize(store_segment_path(test_path(STORE), 1), 4096);
	ck_fails(log_put(&handle, "lost\n"), -EIO);
	ck_fails(log_put(&handle, "lost\n"), -EROFS);
	ck_assert_int_lt(wal_log_sync(wal), 0);
	ck_assert_uint_gt(handle.notices.warnings, 0);
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

START_TEST(a_sigbus_of_somebody_else_still_kills)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		ck_ok(wal_fault_handler_install());
		raise(SIGBUS);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}
END_TEST

/* --- any call cut ---------------------------------------------------------------- */

static void copy_store(void *ctx)
{
	(void)ctx;
	if (file_exists(test_path(STORE)))
		copy_tree(test_path(STORE), test_path("after"));
	else
		ck_assert_int_eq(mkdir(test_path("after"), 0700), 0);
}

static uint64_t promised; /* the last id that a sync answered for */

/* Appends, syncs, rotates, closes; stops at the first error. */
static void live(void)
{
	uint64_t id = 1;

	promised = 0;
	log_prepare(&handle, test_path(STORE), &fault.io);
	if (log_open(&handle))
		return;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++, id++) {
			char line[32];

			snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)id);
			if (log_put(&handle, line) != 1)
				break;
		}
		if (wal_log_sync(handle.log) == 0 && !fault.cut)
			promised = id - 1;
		wal_log_rotate(handle.log);
	}
	log_close(&handle);
}

START_TEST(cut_off_at_any_call_the_log_has_all_that_was_promised)
{
	uint64_t call = 0;
	uint64_t last;

	do {
		fault_io_reset(&fault);
		fault.skip_sync = true;
		fault.cut_at = ++call;
		fault.at_cut = copy_store;
		live();
		if (!fault.cut)
			break;
		fault_io_reset(&fault);
		fault.skip_sync = true;
		remove_tree(test_path(STORE));
		ck_assert_int_eq(rename(test_path("after"), test_path(STORE)), 0);
		open_log_unsettled();
		last = position().next_event - 1;
		ck_assert_uint_ge(last, promised);
		assert_log_lines(last);
		close_log();
		remove_tree(test_path(STORE));
	} while (true);
	ck_assert_uint_gt(call, 30);
}
END_TEST

static Suite *log_suite(void)
{
	Suite *suite = suite_create("log");
	TCase *t;

	t = log_case(suite, "failing", 60);
	tcase_add_test(t, a_directory_that_is_gone_fails_the_log);
	tcase_add_loop_test(t, whatever_the_system_says_callers_are_told_an_io_error, 0, 6);
	tcase_add_loop_test(t, an_error_of_preparing_is_an_io_error_until_it_works, 0, 6);
	tcase_add_test(t, a_meta_file_that_cannot_be_written_makes_the_log_read_only);
	tcase_add_test(t, a_truncated_active_file_is_an_error_and_the_process_lives);
	tcase_add_test(t, a_sigbus_of_somebody_else_still_kills);
	t = log_case(suite, "any call cut", 60);
	tcase_add_test(t, cut_off_at_any_call_the_log_has_all_that_was_promised);
	return suite;
}

int main(void)
{
	return test_main(log_suite());
}
