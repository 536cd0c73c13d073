/* SPDX-License-Identifier: MIT */
/*
 * core/log/settle: what was appended where there was no space to write it, or where a
 * mapping failed.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log/log.h"
#include "tests/fixture_log.h"

/* --- no space to write ----------------------------------------------------------- */

/* A copy-on-write disk may have no space to write into a segment that is all there. */
static void open_gathering(void)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.io_method = WAL_IO_PWRITE;
	ck_ok(log_open(&handle));
	wal = handle.log;
	wait_until_ready();
}

/* Event 1 to count, in one call. */
static ssize_t put_lines_at_once(uint64_t first, size_t count)
{
	struct wal_record records[64];
	static char lines[64][32];

	for (size_t i = 0; i < count; i++) {
		int length = snprintf(lines[i], sizeof(lines[i]), "event %llu\n",
				      (unsigned long long)(first + i));

		records[i] = (struct wal_record){lines[i], (uint32_t)length, 0};
	}
	return wal_log_append(wal, records, count, NULL);
}

START_TEST(no_space_to_write_into_a_segment_takes_what_got_in_and_goes_on_by_itself)
{
	uint32_t segment;
	ssize_t taken;

	open_gathering();
	log_put_lines(&handle, 1, 10);
	fault_io_fail_ops(&fault, OP(PWRITE), -ENOSPC, 0);
	fault.fail_half = _i;
	taken = put_lines_at_once(11, 60);
	if (_i) { /* short: to the end of the last event that fitted */
		ck_assert_int_gt(taken, 20);
		ck_assert_int_lt(taken, 40);
	} else {
		ck_assert_int_eq(taken, -ENOSPC);
		taken = 0;
	}
	fault.fail_half = false;
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	ck_fails(wal_log_rotate(wal), -ENOSPC);
	ck_assert(log_noticed(&handle, "no space to write into it"));
	assert_log_lines(10 + (uint64_t)taken);
	ck_ok(wal_log_sync(wal));
	fault_io_reset(&fault);
	log_put_lines(&handle, 11 + (uint64_t)taken, 700);
	segment = position().segment;
	ck_assert_uint_gt(segment, 1);
	ck_ok(wal_log_sync(wal));
	close_log();
	open_log();
	assert_log_lines(700);				/* and "never" is not there */
	ck_assert_uint_eq(position().segment, segment); /* no tail was cut */
}
END_TEST

/* _i: no space to the end; or it comes back in time. */
START_TEST(a_close_is_not_clean_while_parts_of_what_failed_are_behind_the_end)
{
	struct oracle_slot slot;

	open_gathering();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_sync(wal));
	fault_io_fail_ops(&fault, OP(PWRITE), -ENOSPC, 1);
	fault.fail_half = true;
	ck_fails(log_put(&handle, "a line of which half gets into the file\n"), -ENOSPC);
	fault_io_reset(&fault);
	if (_i == 0)
		fault_io_fail_ops(&fault, OP(PWRITE), -ENOSPC, 1);
	ck_ok(log_close(&handle));
	ck_assert_uint_eq(fault.failed, _i == 0);
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, _i == 0 ? 0 : ORACLE_CLEAN);
	ck_assert_uint_eq(slot.durable_event, 10);
	expect_sound_store();
	open_log();
	assert_log_lines(10);
	ck_assert_uint_eq(store_slot(test_path(STORE)).incarnation, _i == 0 ? 2 : 1);
}
END_TEST

START_TEST(what_is_held_is_held_still_where_there_was_no_space_to_write_it)
{
	struct wal_record record = {"event 1\n", 8, 0};
	struct wal_hold hold = {0};
	struct wal_stats before, after;
	uint64_t cost;

	open_gathering();
	ck_ok(wal_log_hold(wal, &hold, 700));
	cost = hold.cost_bytes;
	wal_log_stats(wal, &before);
	fault_io_fail_ops(&fault, OP(PWRITE), -EDQUOT, 0);
	ck_fails(wal_log_append(wal, &record, 1, &hold), -EDQUOT);
	wal_log_stats(wal, &after);
	ck_assert_uint_eq(after.held_bytes, before.held_bytes);
	ck_assert_uint_eq(hold.cost_bytes, cost);
	ck_assert(after.no_space);
	fault_io_reset(&fault);
	ck_assert_int_eq(wal_log_append(wal, &record, 1, &hold), 1);
	wal_log_stats(wal, &after);
	ck_assert_uint_eq(after.held_bytes, 0);
	ck_assert(!after.no_space);
	assert_log_lines(1);
}
END_TEST

/* What ends without a close: the next opening says so in front of its first event. */
START_TEST(a_resume_record_without_space_is_due_still)
{
	struct store_decoded decoded;
	pid_t child = fork();
	int status;

	if (child == 0) {
		log_prepare(&handle, test_path(STORE), NULL);
		_exit(log_open(&handle) || log_put(&handle, "event 1\n") != 1);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	open_gathering();
	fault_io_fail_ops(&fault, OP(PWRITE), -ENOSPC, 0);
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	store_decode(test_path(STORE), 1, &decoded);
	ck_assert_uint_eq(decoded.segment.resumes, 0);
	store_decoded_free(&decoded);
	fault_io_reset(&fault);
	log_put_lines(&handle, 2, 3);
	close_log();
	store_decode(test_path(STORE), 1, &decoded);
	ck_assert_uint_eq(decoded.segment.resumes, 1);
	ck_assert_uint_eq(decoded.segment.resume.incarnation, 2);
	store_decoded_free(&decoded);
	open_log();
	assert_log_lines(3);
}
END_TEST

/* A segment is not called damaged for what a write did not get into it. */
START_TEST(after_a_write_that_failed_for_good_what_is_there_can_be_read)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	open_gathering();
	log_put_lines(&handle, 1, 10);
	fault_io_fail_ops(&fault, OP(PWRITE), -EIO, 0);
	ck_fails(log_put(&handle, "never\n"), -EIO);
	ck_fails(log_put(&handle, "never\n"), -EROFS);
	ck_ok(wal_log_reader_open(wal, 1, 0, &reader, NULL));
	for (uint64_t id = 1; id <= 10; id++)
		ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 0);
	wal_segment_reader_close(reader);
}
END_TEST

/* --- a mapping that failed ------------------------------------------------------- */

/* An event that a sync made durable is not whole any more. */
static void break_event_2(void)
{
	const char *path = store_segment_path(test_path(STORE), 1);
	struct bytes b = file_read(path);
	uint8_t *at = memmem(b.data, b.size, "event 2\n", 8);

	ck_assert_ptr_nonnull(at);
	file_flip(path, (uint64_t)(at - b.data), 0xff);
	free(b.data);
}

/* _i: what finds the fault. */
START_TEST(a_mapping_that_lost_what_was_synced_fails_the_log_and_gives_no_id_twice)
{
	struct wal_log_position p;

	handle.options.io_method = WAL_IO_MAPPING;
	open_as_prepared();
	log_put_lines(&handle, 1, 2);
	ck_ok(wal_log_sync(wal));
	break_event_2();
	atomic_store(&wal->writer.guard->hit, true);
	if (_i == 2) {
		ck_fails(wal_log_close(handle.log), -EIO);
		handle.log = NULL;
		ck_assert_uint_eq(store_slot(test_path(STORE)).flags, 0);
		return;
	}
	if (_i == 0)
		ck_fails(log_put(&handle, "event 3\n"), -EIO);
	else
		ck_fails(wal_log_rotate(wal), -EIO);
	ck_fails(log_put(&handle, "event 3\n"), -EROFS);
	wal_log_position(wal, &p);
	ck_assert_uint_ge(p.next_event, 3);
	ck_assert_uint_eq(p.durable_event, 2);
	ck_assert(log_noticed(&handle, "its mapping failed"));
	ck_fails(wal_log_close(handle.log), -EIO);
	handle.log = NULL;
}
END_TEST

/* A copy-on-write disk is full at the first store into the next segment. _i: still, or not. */
START_TEST(a_fault_in_the_next_segment_is_no_space_and_writing_goes_on_by_itself)
{
	handle.options.io_method = WAL_IO_MAPPING;
	open_as_prepared();
	log_put_lines(&handle, 1, 2);
	ck_ok(wal_log_sync(wal));
	wait_until_ready();
	atomic_store(&wal->preparer.queue[0].guard->hit, true);
	if (_i == 0) {
		fault_io_reset(&fault);
		fault_io_fail_ops(&fault, OP(PWRITE), -ENOSPC, 0);
		fault.fail_after = 1; /* of two: the header, and the question */
		ck_fails(wal_log_rotate(wal), -ENOSPC);
		log_put_lines(&handle, 3, 4); /* there is room in the old one */
		fault_io_reset(&fault);
	}
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, _i ? 3 : 5, 6);
	ck_assert_uint_eq(wal_log_current(wal), 2);
	ck_ok(wal_log_sync(wal));
	close_log();
	expect_sound_store();
}
END_TEST

static Suite *log_settle_suite(void)
{
	Suite *suite = suite_create("log_settle");
	TCase *t;

	t = log_case(suite, "no space to write", 60);
	tcase_add_loop_test(
		t, no_space_to_write_into_a_segment_takes_what_got_in_and_goes_on_by_itself, 0, 2);
	tcase_add_loop_test(t, a_close_is_not_clean_while_parts_of_what_failed_are_behind_the_end,
			    0, 2);
	tcase_add_test(t, what_is_held_is_held_still_where_there_was_no_space_to_write_it);
	tcase_add_test(t, a_resume_record_without_space_is_due_still);
	tcase_add_test(t, after_a_write_that_failed_for_good_what_is_there_can_be_read);
	t = log_case(suite, "a mapping that failed", 60);
	tcase_add_loop_test(
		t, a_mapping_that_lost_what_was_synced_fails_the_log_and_gives_no_id_twice, 0, 3);
	tcase_add_loop_test(
		t, a_fault_in_the_next_segment_is_no_space_and_writing_goes_on_by_itself, 0, 2);
	return suite;
}

int main(void)
{
	return test_main(log_settle_suite());
}
