/* SPDX-License-Identifier: MIT */
/* core/log/retention: what is removed, in which order, and what stays. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/log/log.h"
#include "core/log/maintainer.h"
#include "core/log/retention.h"
#include "core/log/table.h"
#include "tests/fixture_log.h"

START_TEST(nothing_is_removed_unless_an_option_says_so)
{
	open_as_prepared();
	make_segments(12);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_REMOVED_SEGMENTS], 0);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_UNLINK), 0);
	wait_for_segments(12);
}
END_TEST

START_TEST(only_so_many_segments_are_kept)
{
	handle.options.keep_segments = 3;
	open_as_prepared();
	make_segments(8);
	wait_for_segments(3);
	ck_assert(!file_exists(store_segment_path(test_path(STORE), 5)));
	ck_assert(file_exists(store_segment_path(test_path(STORE), 6)));
	ck_assert_uint_eq(store_slot(test_path(STORE)).first_segment, 6);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_REMOVED_SEGMENTS], 5);
	ck_assert(log_noticed(&handle, "removed"));
	expect_sound_store(); /* what was removed is not missing */
	close_log();
	open_as_prepared();
	expect_sound_store();
}
END_TEST

START_TEST(only_so_many_bytes_are_kept)
{
	handle.options.keep_bytes = 3 * (4096 + TEST_BLOCK) + 100;
	open_as_prepared();
	make_segments(8); /* each of one block */
	wait_for_segments(3);
	expect_sound_store();
}
END_TEST

/* A disk that takes long to say how large segment 1 is. */
static enum { STAT_QUICK, STAT_SLOW, STAT_ASKED, STAT_OVERDUE } _Atomic slow_stat;

/* In front of libc's, for this whole program. */
int fstatat64(int dirfd, const char *restrict name, struct stat64 *restrict st, int flags);

int fstatat64(int dirfd, const char *restrict name, struct stat64 *restrict st, int flags)
{
	if (slow_stat == STAT_SLOW && strcmp(name, "0000000001.wal") == 0) {
		slow_stat = STAT_ASKED;
		/* In a thread of the log: nothing may be asserted here. */
		for (int ms = 0; ms < 3000 && slow_stat == STAT_ASKED; ms++)
			usleep(1000);
		if (slow_stat == STAT_ASKED)
			slow_stat = STAT_OVERDUE;
	}
	return (int)syscall(SYS_newfstatat, dirfd, name, st, flags);
}

START_TEST(nobody_waits_while_retention_asks_how_large_segments_are)
{
	open_as_prepared();
	make_segments(5);
	close_log();
	handle.options.keep_bytes = 3 * (4096 + TEST_BLOCK) + 100;
	slow_stat = STAT_SLOW;
	open_as_prepared();
	wait_until(slow_stat != STAT_SLOW);
	log_put_lines(&handle, 51, 60);
	ck_assert_int_eq(slow_stat, STAT_ASKED); /* and not answered yet */
	slow_stat = STAT_QUICK;
	wait_for_segments(3);
	close_log();
	expect_sound_store();
}
END_TEST

/* More of them than a step asks for the size of: the maintainer would never be done. */
START_TEST(files_that_are_gone_are_asked_for_their_size_once)
{
	const uint32_t gone = 2500;
	unsigned steps = 0;

	open_as_prepared();
	make_segments(3);
	wal_maintainer_stop(wal);
	for (uint32_t i = 0; i < gone; i++) {
		ck_ok(wal_log_add_entry(wal, 1000 + i));
		wal_log_find_entry(wal, 1000 + i)->settled = true;
	}
	wal->asked.keep_bytes = UINT64_C(1) << 40;
	while (wal_log_retain(wal) == WAL_RETAINED_MORE)
		ck_assert_uint_lt(++steps, 5);
	ck_assert(file_exists(store_segment_path(test_path(STORE), 1)));
}
END_TEST

/* Seals go first, and wal.meta is not written for each: or a backlog would stop the writers. */
START_TEST(a_backlog_of_retention_is_removed_in_steps)
{
	uint64_t writes, names;

	fault.skip_sync = true;
	open_as_prepared();
	make_segments(2 * WAL_RETAIN_STEP + 11);
	wal_maintainer_stop(wal); /* all is sealed, and retention is this thread's now */
	ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_ALL);
	ck_ok(wal_log_sync(wal)); /* so that no other thread has a name to sync meanwhile */
	wal->asked.keep_segments = 1;
	for (unsigned left = WAL_RETAIN_STEP + 11; left >= 11; left -= WAL_RETAIN_STEP) {
		writes = stats_now().counters[WAL_COUNT_META_WRITES];
		names = fault_io_count(&fault, FAULT_OP_FSYNC);
		ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_MORE);
		ck_assert_uint_eq(stats_now().sealed_segments, left);
		ck_assert_uint_le(stats_now().counters[WAL_COUNT_META_WRITES] - writes, 2);
		ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_FSYNC) - names, 2);
		/* Durably, before the first of them was removed. */
		ck_assert_uint_eq(store_slot(test_path(STORE)).first_segment,
				  2 * WAL_RETAIN_STEP + 12 - left);
		if (left < WAL_RETAIN_STEP)
			break;
	}
	ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_SOME);
	ck_assert_uint_eq(stats_now().sealed_segments, 1);
	ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_ALL);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(a_damaged_segment_is_evidence_and_stays)
{
	open_as_prepared();
	make_segments(3);
	close_log();
	file_flip(store_segment_path(test_path(STORE), 2), 4096 + 64 + 100, 1);
	handle.options.keep_segments = 1;
	open_as_prepared();
	make_segments(3);
	wait_until(!file_exists(store_segment_path(test_path(STORE), 5)));
	ck_assert(!file_exists(store_segment_path(test_path(STORE), 1)));
	ck_assert(file_exists(store_segment_path(test_path(STORE), 2)));
	ck_assert(!file_exists(store_segment_path(test_path(STORE), 3)));
	ck_assert(file_exists(store_segment_path(test_path(STORE), 6)));
}
END_TEST

/* At each unlink of a segment wal.meta on the disk knows already that it is not kept. */
static atomic_int unlinks;
static atomic_int too_early;
static struct wal_io watching;

static int watch_unlink(const struct wal_io *io, int dirfd, const char *name)
{
	uint32_t index = wal_segment_name_parse(name);

	(void)io;
	if (index) {
		atomic_fetch_add(&unlinks, 1);
		if (store_slot(test_path(STORE)).first_segment <= index)
			atomic_fetch_add(&too_early, 1);
	}
	return wal_io_system.unlink(&wal_io_system, dirfd, name);
}

START_TEST(wal_meta_knows_what_is_kept_before_a_segment_is_removed)
{
	watching = wal_io_system;
	watching.unlink = watch_unlink;
	handle.options.io = &watching;
	handle.options.keep_segments = 2;
	open_as_prepared();
	make_segments(6);
	wait_for_segments(2);
	ck_assert_int_eq(atomic_load(&unlinks), 4);
	ck_assert_int_eq(atomic_load(&too_early), 0);
}
END_TEST

START_TEST(a_segment_that_cannot_be_removed_is_told_once_and_tried_again_in_a_while)
{
	handle.options.keep_segments = 1;
	open_as_prepared();
	fault_io_fail_ops(&fault, OP(UNLINK), -EPERM, 0);
	make_segments(3);
	wait_until(fault.failed > 0);
	make_segments(3);
	ck_assert_uint_eq(fault.failed, 1); /* though it was looked at three times more */
	ck_assert_uint_eq(handle.notices.warnings, 1);
	ck_assert(file_exists(store_segment_path(test_path(STORE), 1)));
	/* Time passes, and it is the same. */
	wal_maintainer_stop(wal);
	wal->retention_failure.retry_ns = 0;
	wal_log_retain(wal);
	ck_assert_uint_eq(fault.failed, 2);
	ck_assert_uint_eq(handle.notices.warnings, 1);
	fault_io_reset(&fault);
	wal->retention_failure.retry_ns = 0;
	wal_log_retain(wal);
	wait_for_segments(1);
	expect_sound_store();
}
END_TEST

START_TEST(a_segment_that_somebody_removed_keeps_no_other)
{
	struct wal_segment_info info;

	handle.options.keep_segments = 2;
	open_as_prepared();
	make_segments(2);
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(unlink(store_segment_path(test_path(STORE), 1)), 0);
	make_segments(4);
	wait_for_segments(2);
	ck_assert_uint_eq(handle.notices.warnings, 0);
}
END_TEST

static void copy_store(void *ctx)
{
	(void)ctx;
	if (file_exists(test_path(STORE)))
		copy_tree(test_path(STORE), test_path("after"));
	else
		ck_abort_msg("the store is gone");
}

/*
 * The rotating thread and recovery are not the only ones that need space to go on: here
 * each segment that is removed gives some back.
 */
START_TEST(on_a_full_disk_what_need_not_be_kept_is_removed_so_that_writing_goes_on)
{
	open_as_prepared();
	make_segments(8);
	close_log();
	handle.options.segment_size = 4096 + 16 * TEST_BLOCK; /* it needs a new segment */
	handle.options.keep_segments = (uint32_t)_i;
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 1);
	open_as_prepared();
	ck_assert_int_eq(stats_now().no_space, _i == 0);
	if (_i == 0) {
		ck_assert_uint_eq(stats_now().counters[WAL_COUNT_REMOVED_SEGMENTS], 0);
		return; /* nothing may be removed */
	}
	ck_assert_uint_ge(stats_now().counters[WAL_COUNT_REMOVED_SEGMENTS], 7);
	log_put_lines(&handle, 81, 100);
	expect_sound_store();
}
END_TEST

START_TEST(what_need_not_be_kept_is_removed_while_the_disk_stays_full)
{
	open_as_prepared();
	make_segments(8);
	close_log();
	handle.options.segment_size = 4096 + 16 * TEST_BLOCK;
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	handle.options.keep_age_s = 3600;
	open_as_prepared();
	fault_io_set_clock(&fault, fault.io.now_ns(&fault.io), 0);
	fault_io_let_pass(&fault, 7200 * SECOND);
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	ck_assert_uint_ge(stats_now().counters[WAL_COUNT_REMOVED_SEGMENTS], 7);
	fault_io_reset(&fault);
	fault_io_let_pass(&fault, SECOND);
	log_put_lines(&handle, 81, 100);
	expect_sound_store();
}
END_TEST

START_TEST(cut_off_at_any_call_retention_leaves_a_sound_store)
{
	uint64_t call = 0;
	bool cut;

	handle.options.keep_segments = 1;
	fault.skip_sync = true;
	open_as_prepared();
	make_segments(1);
	close_log();
	ck_assert_int_eq(rename(test_path(STORE), test_path("origin")), 0);
	do {
		copy_tree(test_path("origin"), test_path(STORE));
		fault_io_reset(&fault);
		fault.cut_at = ++call;
		fault.at_cut = copy_store;
		if (log_open(&handle) == 0) {
			wal = handle.log;
			for (int i = 0; i < 2; i++) {
				log_put(&handle, "line\n");
				wal_log_rotate(wal);
			}
			wal_log_close(wal);
		}
		handle.log = NULL;
		cut = fault.cut;
		fault_io_reset(&fault);
		remove_tree(test_path(STORE));
		if (!cut)
			break;
		ck_assert_int_eq(rename(test_path("after"), test_path(STORE)), 0);
		open_as_prepared();
		ck_assert_uint_eq(log_put(&handle, "line\n"), 1);
		close_log();
		expect_sound_store();
		remove_tree(test_path(STORE));
	} while (true);
	ck_assert_uint_gt(call, 30);
}
END_TEST

static Suite *log_retention_suite(void)
{
	Suite *suite = suite_create("log_retention");
	TCase *t;

	t = log_case(suite, "keeping", 60);
	tcase_add_test(t, nothing_is_removed_unless_an_option_says_so);
	tcase_add_test(t, only_so_many_segments_are_kept);
	tcase_add_test(t, only_so_many_bytes_are_kept);
	tcase_add_test(t, nobody_waits_while_retention_asks_how_large_segments_are);
	tcase_add_test(t, files_that_are_gone_are_asked_for_their_size_once);
	tcase_add_test(t, a_backlog_of_retention_is_removed_in_steps);
	tcase_add_test(t, a_damaged_segment_is_evidence_and_stays);
	tcase_add_test(t, wal_meta_knows_what_is_kept_before_a_segment_is_removed);
	tcase_add_test(t, a_segment_that_cannot_be_removed_is_told_once_and_tried_again_in_a_while);
	tcase_add_test(t, a_segment_that_somebody_removed_keeps_no_other);
	tcase_add_loop_test(
		t, on_a_full_disk_what_need_not_be_kept_is_removed_so_that_writing_goes_on, 0, 2);
	tcase_add_test(t, what_need_not_be_kept_is_removed_while_the_disk_stays_full);
	tcase_add_test(t, cut_off_at_any_call_retention_leaves_a_sound_store);
	return suite;
}

int main(void)
{
	return test_main(log_retention_suite());
}
