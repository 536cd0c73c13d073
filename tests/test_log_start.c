/* SPDX-License-Identifier: MIT */
/* core/log/start: a log that is opened on a full disk, and goes on once there is space. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/fixture_log.h"

/* It does not look for space with every append, but after a while: which passes here. */
static void let_retry_be_due(void)
{
	fault_io_set_clock(&fault, fault.io.now_ns(&fault.io), 0);
	fault_io_let_pass(&fault, SECOND);
}

START_TEST(R11_a_full_disk_still_opens_and_serves_reads)
{
	open_log();
	log_put_lines(&handle, 1, 50);
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, 51, 60);
	close_log();
	file_flip(store_segment_path(test_path(STORE), 2), 4096 + 4000, 1); /* a torn tail */
	fault_io_fail_ops(&fault, OP(ALLOCATE) | OP(PWRITE), -ENOSPC, 0);
	open_log_unsettled();
	ck_assert_uint_gt(handle.notices.warnings, 0);
	assert_log_lines(60);
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	fault_io_reset(&fault);
	let_retry_be_due();
	log_put_lines(&handle, 61, 70);
	assert_log_lines(70);
	ck_assert_uint_eq(position().segment, 3);
}
END_TEST

START_TEST(after_a_start_on_a_full_disk_only_what_was_appended_is_counted)
{
	struct wal_stats stats;

	open_log();
	log_put_lines(&handle, 1, 50);
	ck_ok(wal_log_rotate(wal));
	close_log();
	ck_assert_int_eq(unlink(store_segment_path(test_path(STORE), 2)), 0);
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	open_log_unsettled();
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	fault_io_reset(&fault);
	let_retry_be_due();
	log_put_lines(&handle, 51, 52);
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_EVENTS], 2);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_APPENDS], 2);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_APPEND_ERRORS], 1);
}
END_TEST

static atomic_uint looks;

static void *look(void *stop)
{
	struct wal_stats stats;

	for (; !atomic_load((atomic_bool *)stop); atomic_fetch_add(&looks, 1))
		wal_log_stats(wal, &stats);
	return NULL;
}

/* For the thread sanitizer, above all. */
START_TEST(a_log_can_be_looked_at_while_it_finds_space_again)
{
	atomic_bool stop = false;
	pthread_t thread;

	open_log();
	log_put_lines(&handle, 1, 50);
	ck_ok(wal_log_rotate(wal));
	close_log();
	ck_assert_int_eq(unlink(store_segment_path(test_path(STORE), 2)), 0);
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 1);
	open_log_unsettled();
	ck_assert_int_eq(pthread_create(&thread, NULL, look, &stop), 0);
	wait_until(atomic_load(&looks) > 0);
	log_put_lines(&handle, 51, 60);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_log_lines(60);
}
END_TEST

/* The segment's record, as it is on the disk. */
static struct wal_segment_info segment_info(uint32_t index)
{
	struct wal_segment_info info;

	ck_ok(wal_log_segment_info(wal, index, &info));
	return info;
}

START_TEST(what_recovery_dropped_is_not_forgotten_while_there_is_no_space)
{
	struct wal_segment_info info;
	struct wal_stats stats;

	open_log();
	log_put_lines(&handle, 1, 50);
	close_log();
	file_flip(store_segment_path(test_path(STORE), 1), 4096 + 4000, 1); /* a torn tail */
	if (_i == 1)
		ck_assert_int_eq(unlink(test_path(STORE "/wal.meta")), 0);
	/* The tail is cut and the segment sealed; the next one finds no space. */
	fault_io_fail_ops(&fault, _i == 2 ? OP(RENAME) : OP(ALLOCATE), -ENOSPC, 0);
	fault.fail_after = _i == 1; /* wal.meta is made */
	open_log_unsettled();
	for (int i = 0; i < 2; i++) {
		ck_fails(log_put(&handle, "never\n"), -ENOSPC);
		let_retry_be_due();
	}
	fault_io_reset(&fault);
	log_put_lines(&handle, 51, 60);
	info = segment_info(2);
	ck_assert_uint_ne(info.recovery & WAL_RECOVERY_TAIL_DROPPED, 0);
	ck_assert_int_eq((info.recovery & WAL_RECOVERY_POSITION_LOST) != 0, _i == 1);
	ck_assert_uint_gt(info.dropped_bytes, 0);
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_DROPPED_BYTES], info.dropped_bytes);
	assert_log_lines(60);
}
END_TEST

START_TEST(recovery_is_not_tried_while_it_is_seen_that_there_is_no_space)
{
	uint64_t calls;

	open_log();
	log_put_lines(&handle, 1, 50);
	ck_ok(wal_log_rotate(wal));
	close_log();
	ck_assert_int_eq(unlink(store_segment_path(test_path(STORE), 2)), 0);
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	open_log_unsettled();
	calls = fault.calls;
	fault.free_bytes = FILE_BYTES - 1;
	for (int i = 0; i < 3; i++) {
		ck_fails(log_put(&handle, "never\n"), -ENOSPC);
		let_retry_be_due();
	}
	ck_assert_uint_eq(fault.calls, calls); /* not even a file was made */
	fault_io_reset(&fault);
	fault.free_bytes = FILE_BYTES;
	log_put_lines(&handle, 51, 60);
	assert_log_lines(60);
}
END_TEST

START_TEST(without_space_for_recovery_a_sync_is_no_success)
{
	open_log();
	log_put_lines(&handle, 1, 50);
	close_log();
	file_flip(store_segment_path(test_path(STORE), 1), 4096 + 4000, 1); /* a torn tail */
	fault_io_fail_ops(&fault, OP(ALLOCATE) | OP(PWRITE), -ENOSPC, 0);
	open_log_unsettled();
	ck_fails(wal_log_sync(wal), -ENOSPC);
	fault_io_reset(&fault);
	let_retry_be_due();
	log_put_lines(&handle, 51, 51);
	ck_ok(wal_log_sync(wal));
	ck_assert_uint_eq(position().durable_event, 51);
}
END_TEST

/* As cp leaves it that skips zeros: the size is right, the blocks are not there. */
static void make_sparse(uint32_t index)
{
	const char *path = store_segment_path(test_path(STORE), index);
	struct bytes bytes = file_read(path);

	ck_assert_int_eq(unlink(path), 0);
	file_write(path, bytes.data, 4096 + TEST_BLOCK);
	file_resize(path, bytes.size);
	ck_assert_uint_lt(file_blocks(path), bytes.size / 512);
	bytes_free(&bytes);
}

START_TEST(a_sparse_active_segment_gets_its_blocks_before_it_is_written)
{
	const char *path;

	open_log();
	log_put_lines(&handle, 1, 50);
	close_log();
	make_sparse(1);
	open_log();
	path = store_segment_path(test_path(STORE), 1);
	ck_assert_uint_ge(file_blocks(path), file_size(path) / 512);
	log_put_lines(&handle, 51, 300);
	assert_log_lines(300);
}
END_TEST

START_TEST(a_sparse_active_segment_on_a_full_disk_opens_and_is_readable)
{
	open_log();
	log_put_lines(&handle, 1, 50);
	close_log();
	make_sparse(1);
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	open_log_unsettled();
	assert_log_lines(50);
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	fault_io_reset(&fault);
	let_retry_be_due();
	log_put_lines(&handle, 51, 60);
	assert_log_lines(60);
}
END_TEST

START_TEST(a_full_disk_that_never_gets_space_can_be_closed_and_opened_again)
{
	open_log();
	log_put_lines(&handle, 1, 50);
	ck_ok(wal_log_rotate(wal));
	close_log();
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	ck_assert_int_eq(unlink(store_segment_path(test_path(STORE), 2)), 0);
	open_log_unsettled();
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	log_close(&handle);
	fault_io_reset(&fault);
	open_log();
	log_put_lines(&handle, 51, 60);
}
END_TEST

static Suite *log_start_suite(void)
{
	Suite *suite = suite_create("log_start");
	TCase *t;

	t = log_case(suite, "a full disk", 60);
	tcase_add_test(t, R11_a_full_disk_still_opens_and_serves_reads);
	tcase_add_test(t, after_a_start_on_a_full_disk_only_what_was_appended_is_counted);
	tcase_add_test(t, a_log_can_be_looked_at_while_it_finds_space_again);
	tcase_add_loop_test(t, what_recovery_dropped_is_not_forgotten_while_there_is_no_space, 0,
			    3);
	tcase_add_test(t, recovery_is_not_tried_while_it_is_seen_that_there_is_no_space);
	tcase_add_test(t, without_space_for_recovery_a_sync_is_no_success);
	tcase_add_test(t, a_sparse_active_segment_gets_its_blocks_before_it_is_written);
	tcase_add_test(t, a_sparse_active_segment_on_a_full_disk_opens_and_is_readable);
	tcase_add_test(t, a_full_disk_that_never_gets_space_can_be_closed_and_opened_again);
	return suite;
}

int main(void)
{
	return test_main(log_start_suite());
}
