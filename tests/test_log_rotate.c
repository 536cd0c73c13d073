/* SPDX-License-Identifier: MIT */
/* core/log/rotate: the next segment, and what keeps a log from it. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/fixture_log.h"

/* --- rotating -------------------------------------------------------------------- */

START_TEST(rotating_an_empty_segment_does_nothing)
{
	open_log();
	fault_io_reset(&fault);
	ck_ok(wal_log_rotate(wal));
	ck_assert_uint_eq(position().segment, 1);
	ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

START_TEST(rotating_seals_the_segment_and_starts_the_next)
{
	struct wal_segment_info info;
	uint32_t indexes[4];

	open_log();
	log_put_lines(&handle, 1, 7);
	ck_ok(wal_log_rotate(wal));
	ck_assert_uint_eq(wal_log_current(wal), 2);
	ck_assert_uint_eq(wal_log_segments(wal, 0, indexes, 4), 1);
	ck_assert_uint_eq(indexes[0], 1);
	ck_assert_uint_eq(wal_log_segments(wal, 1, indexes, 4), 0);
	ck_assert(wal_log_has_segment(wal, 1) && wal_log_has_segment(wal, 2));
	ck_assert(!wal_log_has_segment(wal, 3));
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_SEALED);
	ck_assert_uint_eq(info.first_event, 1);
	ck_assert_uint_eq(info.last_event, 7);
	ck_assert_uint_eq(info.block_count, 1);
	ck_assert_uint_eq(info.file_bytes, 4096 + TEST_BLOCK);
	ck_assert(!info.sealed_by_recovery);
	ck_ok(wal_log_segment_info(wal, 2, &info));
	ck_assert_int_eq(info.state, WAL_ACTIVE);
	ck_assert_uint_eq(info.first_event, 8);
	ck_assert_uint_eq(info.last_event, 7);
	ck_fails(wal_log_segment_info(wal, 3, &info), -ENOENT);
	ck_assert_uint_eq(position().durable_event, 7); /* rotating syncs what is before it */
}
END_TEST

/* --- clock ----------------------------------------------------------------------- */

START_TEST(a_clock_that_goes_back_is_held_and_the_next_segment_says_so)
{
	struct store_decoded decoded;

	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	log_put_lines(&handle, 1, 1);
	fault_io_set_clock(&fault, TEST_TIME - 5000, 0);
	log_put_lines(&handle, 2, 2);
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, 3, 3);
	close_log();
	store_decode(test_path(STORE), 1, &decoded);
	ck_assert_uint_eq(decoded.segment.events[1].timestamp_ns, TEST_TIME);
	store_decoded_free(&decoded);
	store_decode(test_path(STORE), 2, &decoded);
	ck_assert_uint_eq(decoded.segment.meta.recovery, 0x04); /* CLOCK_STEPPED */
	ck_assert_uint_eq(decoded.segment.meta.clock_step_ns, 5000);
	store_decoded_free(&decoded);
}
END_TEST

/* R47, and closed_ns */
START_TEST(R47_a_clock_that_was_set_back_begins_a_segment_with_the_right_time)
{
	struct store_decoded decoded;

	fault_io_set_clock(&fault, TEST_TIME + 1000 * SECOND, 0);
	open_log();
	if (_i)
		log_put_lines(&handle, 1, 1);
	close_log();
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	log_put_lines(&handle, 1 + (uint64_t)_i, 3);
	ck_assert_uint_eq(position().segment, 2);
	ck_ok(wal_log_sync(wal));
	assert_log_lines(3);
	close_log();
	store_decode(test_path(STORE), 1, &decoded);
	ck_assert_uint_eq(decoded.segment.closed_ns, TEST_TIME + 1000 * SECOND);
	store_decoded_free(&decoded);
	store_decode(test_path(STORE), 2, &decoded);
	ck_assert_uint_eq(decoded.segment.events[0].timestamp_ns, TEST_TIME);
	ck_assert_uint_eq(decoded.segment.meta.recovery, 0x04); /* CLOCK_STEPPED */
	ck_assert_uint_eq(decoded.segment.meta.clock_step_ns, 1000 * SECOND);
	store_decoded_free(&decoded);
}
END_TEST

START_TEST(a_clock_that_goes_to_and_fro_begins_few_segments)
{
	open_log();
	for (uint64_t id = 1; id <= 200; id++) {
		fault_io_set_clock(&fault, TEST_TIME + id % 2 * 100 * SECOND, 0);
		log_put_lines(&handle, id, id);
	}
	ck_assert_uint_eq(position().segment, 2);
	assert_log_lines(200);
}
END_TEST

START_TEST(without_space_for_another_segment_a_clock_that_was_set_back_stops_nobody)
{
	fault_io_set_clock(&fault, TEST_TIME + 1000 * SECOND, 0);
	open_log();
	log_put_lines(&handle, 1, 1);
	fault_io_fail_ops(&fault, OP(RENAME), -ENOSPC, 0);
	fault_io_set_clock(&fault, TEST_TIME, 0);
	log_put_lines(&handle, 2, 10);
	ck_assert_uint_eq(position().segment, 1);
	fault_io_reset(&fault);
	assert_log_lines(10);
}
END_TEST

/* --- no space for the next ------------------------------------------------------- */

START_TEST(no_space_at_rotation_is_told_and_writing_goes_on_when_there_is_space)
{
	uint32_t segment;
	uint64_t last;

	open_log();
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	last = fill_until(-ENOSPC); /* into the segment that was ready, too */
	segment = position().segment;
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	ck_assert_uint_eq(position().segment, segment);
	assert_log_lines(last);
	ck_ok(wal_log_sync(wal));
	ck_assert_uint_eq(position().durable_event, last);
	fault_io_reset(&fault);
	log_put_lines(&handle, last + 1, last + 100);
	ck_assert_uint_eq(position().segment, segment + 1);
	assert_log_lines(last + 100); /* and "never" is not there */
	ck_assert(log_noticed(&handle, "No space left"));
}
END_TEST

static const struct {
	unsigned op;
	int error;
} next_segment_errors[] = {{OP(ALLOCATE), -ENOSPC}, {OP(CREATE), -EIO}};

/* Until the preparer has failed to make a segment ready. */
static void settle_failed(void)
{
	wait_until(stats_now().ready_segments == 0 &&
		   (stats_now().no_space || log_noticed(&handle, "cannot be prepared")));
}

START_TEST(a_batch_that_does_not_fit_is_taken_up_to_the_last_record_that_did)
{
	struct wal_record records[3];
	struct wal_hold hold = {0};
	uint64_t next;

	open_log();
	fault_io_fail_ops(&fault, next_segment_errors[_i].op, next_segment_errors[_i].error, 0);
	while (position().segment == 1) /* the one that is ready is used up */
		ck_assert_int_eq(put_size(3900), 1);
	settle_failed();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(put_size(3900), 1);
	for (int i = 0; i < 3; i++)
		records[i] = (struct wal_record){big, 1900, 0};
	next = position().next_event;
	ck_assert_int_eq(wal_log_append(wal, records, 3, &hold), 2);
	ck_fails(wal_log_append(wal, records + 2, 1, &hold), next_segment_errors[_i].error);
	ck_assert_uint_eq(position().next_event, next + 2);
}
END_TEST

static const enum fault_op no_space_ops[] = {FAULT_OP_CREATE, FAULT_OP_ALLOCATE};

/* By name alone: an attempt to prepare one may be under way, and end meanwhile. */
static bool has_prepared_name(void)
{
	DIR *dir = opendir(test_path(STORE));
	struct dirent *entry;
	bool found = false;

	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)))
		found = found || strstr(entry->d_name, ".new");
	closedir(dir);
	return found;
}

START_TEST(no_space_for_the_next_segment_leaves_nothing_half_made)
{
	uint64_t last;

	open_log();
	fault_io_fail_ops(&fault, 1u << no_space_ops[_i], -ENOSPC, 0);
	last = fill_until(-ENOSPC);
	wait_until(!has_prepared_name());
	ck_assert(!has_prepared_name());
	ck_fails(wal_log_rotate(wal), -ENOSPC);
	fault_io_reset(&fault);
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, last + 1, last + 10);
	assert_log_lines(last + 10);
}
END_TEST

static const struct {
	unsigned op;
	int error;
	enum wal_io_method io_method;
} starts[] = {
	{OP(RENAME), -ENOSPC, WAL_IO_MAPPING}, {OP(RENAME), -EDQUOT, WAL_IO_MAPPING},
	{OP(RENAME), -ENOSPC, WAL_IO_PWRITE},  {OP(PWRITE), -ENOSPC, WAL_IO_MAPPING},
	{OP(PWRITE), -EDQUOT, WAL_IO_MAPPING},
};

/* A directory can need a block for a name, and a file that shares blocks one for its header. */
START_TEST(no_space_to_start_a_segment_that_is_ready_is_told_and_tried_again)
{
	struct wal_segment_info info;

	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.io_method = starts[_i].io_method;
	ck_ok(log_open(&handle));
	wal = handle.log;
	wait_until_ready();
	log_put_lines(&handle, 1, 50);
	fault_io_fail_ops(&fault, starts[_i].op, starts[_i].error, 0);
	for (int i = 0; i < 3; i++)
		ck_fails(wal_log_rotate(wal), starts[_i].error);
	ck_assert_uint_ge(fault.failed, 3);
	log_put_lines(&handle, 51, 60); /* the old one goes on */
	fault_io_reset(&fault);
	ck_ok(wal_log_rotate(wal));
	ck_assert_uint_eq(position().segment, 2);
	log_put_lines(&handle, 61, 70);
	assert_log_lines(70);
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_uint_eq(info.event_count, 60);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(one_attempt_to_start_a_segment_without_space_costs_one_append)
{
	uint64_t last;

	open_log();
	fault_io_fail_ops(&fault, OP(RENAME), -EDQUOT, 1);
	last = fill_until(-EDQUOT);
	ck_assert_uint_eq(position().segment, 1);
	log_put_lines(&handle, last + 1, last + 300);
	assert_log_lines(last + 300);
	close_log();
	expect_sound_store();
}
END_TEST

/* --- the next is not to be had --------------------------------------------------- */

START_TEST(a_failed_rotation_never_loses_what_was_appended)
{
	/* Call number _i + 1 from a rotation on fails; the threads' calls are among them. */
	open_log();
	log_put_lines(&handle, 1, 50);
	ck_ok(wal_log_sync(wal));
	fault_io_reset(&fault);
	fault.fail_at = (uint64_t)_i + 1;
	fault.fail_errno = -EIO;
	wal_log_rotate(wal);
	assert_log_lines(50);
	log_close(&handle);
	ck_assert_uint_eq(fault.failed, 1);
	fault_io_reset(&fault);
	open_log();
	ck_assert_uint_eq(position().next_event, 51);
	assert_log_lines(50);
	log_put_lines(&handle, 51, 60);
	assert_log_lines(60);
}
END_TEST

static const char *prepared_path(uint32_t index)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s.new", store_segment_path(test_path(STORE), index));
	return path;
}

START_TEST(a_prepared_file_that_was_removed_is_made_again)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.prepare_segments = 3;
	ck_ok(log_open(&handle));
	wal = handle.log;
	wait_until_ready();
	log_put_lines(&handle, 1, 10);
	for (int i = 2; i <= 4; i++) /* some, or all, or just a later one */
		if (_i & 1 << (i - 2))
			ck_assert_int_eq(unlink(prepared_path((uint32_t)i)), 0);
	for (int i = 1; i <= 6; i++) {
		ck_ok(wal_log_rotate(wal));
		log_put_lines(&handle, 10 * (uint64_t)i + 1, 10 * (uint64_t)i + 10);
	}
	ck_assert_uint_eq(position().segment, 7);
	assert_log_lines(70);
	ck_assert(log_noticed(&handle, "made again"));
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(a_prepared_file_that_is_gone_again_and_again_fails_the_log)
{
	open_log();
	log_put_lines(&handle, 1, 10);
	fault_io_fail_ops(&fault, OP(RENAME), -ENOENT, 0);
	ck_fails(wal_log_rotate(wal), -EIO);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	assert_log_lines(10);
	ck_fails(log_close(&handle), -EIO);
}
END_TEST

START_TEST(a_file_in_the_way_of_a_segment_is_named_and_left_alone)
{
	const char *path;
	struct bytes bytes;
	uint64_t last;

	open_log();
	/* 0: one that is ready already; 1: one that is not. */
	path = store_segment_path(test_path(STORE), _i == 0 ? 2 : 5);
	file_write(path, "mine", 4);
	last = fill_until(-EIO);
	ck_fails(wal_log_rotate(wal), -EIO);
	ck_assert(log_noticed(&handle, _i == 0 ? "0000000002.wal" : "0000000005.wal"));
	ck_ok(wal_log_sync(wal)); /* what is there is durable, and the log has not failed */
	bytes = file_read(path);
	ck_assert_uint_eq(bytes.size, 4);
	bytes_free(&bytes);
	ck_assert_int_eq(unlink(path), 0);
	log_put_lines(&handle, last + 1, last + 200);
	assert_log_lines(last + 200);
	close_log();
	expect_sound_store();
}
END_TEST

static Suite *log_rotate_suite(void)
{
	Suite *suite = suite_create("log_rotate");
	TCase *t;

	t = log_case(suite, "rotating", 60);
	tcase_add_test(t, rotating_an_empty_segment_does_nothing);
	tcase_add_test(t, rotating_seals_the_segment_and_starts_the_next);
	t = log_case(suite, "clock", 60);
	tcase_add_test(t, a_clock_that_goes_back_is_held_and_the_next_segment_says_so);
	tcase_add_loop_test(t, R47_a_clock_that_was_set_back_begins_a_segment_with_the_right_time,
			    0, 2);
	tcase_add_test(t, a_clock_that_goes_to_and_fro_begins_few_segments);
	tcase_add_test(t, without_space_for_another_segment_a_clock_that_was_set_back_stops_nobody);
	t = log_case(suite, "no space for the next", 60);
	tcase_add_test(t, no_space_at_rotation_is_told_and_writing_goes_on_when_there_is_space);
	tcase_add_loop_test(t, a_batch_that_does_not_fit_is_taken_up_to_the_last_record_that_did, 0,
			    2);
	tcase_add_loop_test(t, no_space_for_the_next_segment_leaves_nothing_half_made, 0, 2);
	tcase_add_loop_test(t, no_space_to_start_a_segment_that_is_ready_is_told_and_tried_again, 0,
			    5);
	tcase_add_test(t, one_attempt_to_start_a_segment_without_space_costs_one_append);
	t = log_case(suite, "the next is not to be had", 60);
	tcase_add_loop_test(t, a_failed_rotation_never_loses_what_was_appended, 0, 11);
	tcase_add_loop_test(t, a_prepared_file_that_was_removed_is_made_again, 1, 8);
	tcase_add_test(t, a_prepared_file_that_is_gone_again_and_again_fails_the_log);
	tcase_add_loop_test(t, a_file_in_the_way_of_a_segment_is_named_and_left_alone, 0, 2);
	return suite;
}

int main(void)
{
	return test_main(log_rotate_suite());
}
