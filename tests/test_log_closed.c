/* SPDX-License-Identifier: MIT */
/* core/log/closed: segments that wait to be synced and sealed, and who waits for them. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/fixture_log.h"

START_TEST(a_sync_of_the_end_waits_for_the_segments_before_it)
{
	struct wal_log_position p;

	fault.sync_delay_us = 20000;
	open_as_prepared();
	log_put_lines(&handle, 1, 1200); /* in three segments, of which two are closed */
	ck_ok(wal_log_sync(wal));
	wal_log_position(wal, &p);
	ck_assert_uint_eq(p.durable_event, 1200);
	/* Its data: each closed segment was synced by now, once for its events. */
	ck_assert_uint_ge(fault_io_count(&fault, FAULT_OP_FDATASYNC), 3);
	fault.sync_delay_us = 0;
}
END_TEST

static uint64_t count_events(void)
{
	uint32_t indexes[64];
	size_t n = wal_log_segments(wal, 0, indexes, 63);
	uint64_t id = 0;

	indexes[n++] = wal_log_current(wal);
	for (size_t i = 0; i < n; i++) {
		struct wal_segment_reader *reader;
		struct wal_event event;

		ck_ok(wal_log_reader_open(wal, indexes[i], 0, &reader, NULL));
		while (wal_segment_reader_next(reader, &event) == 1)
			ck_assert_uint_eq(event.id, ++id);
		wal_segment_reader_close(reader);
	}
	return id;
}

/* Appends ten lines and rotates, until that fails. Return: the last id. */
static uint64_t rotate_until(int error)
{
	uint64_t id = 0;
	int err = 0;

	for (int i = 0; i < 20 && !err; i++) {
		struct wal_log_position p;
		uint32_t before = wal_log_current(wal);

		wal_log_position(wal, &p);
		log_put_lines(&handle, p.next_event, p.next_event + 9);
		id = p.next_event + 9;
		err = wal_log_rotate(wal);
		if (err == error && wal_log_current(wal) != before)
			err = 0; /* it was rotated, and waits to be sealed */
	}
	ck_assert_int_eq(err, error);
	return id;
}

static const struct {
	unsigned op;
	int error;
} seals[] = {{OP(TRUNCATE), -ENOSPC}, {OP(TRUNCATE), -EDQUOT}};

START_TEST(a_seal_without_space_is_told_once_and_tried_again)
{
	unsigned told;
	uint64_t last;

	handle.options.prepare_segments = 4;
	open_as_prepared();
	fault_io_fail_ops(&fault, seals[_i].op, seals[_i].error, 0);
	last = rotate_until(seals[_i].error);
	ck_assert_uint_eq(stats_now().sealing_segments, 8);
	ck_assert(stats_now().no_space);
	ck_assert_int_eq(stats_now().failed, 0);
	ck_ok(wal_log_sync(wal)); /* durable all the same */
	ck_assert_uint_eq(count_events(), last);
	told = handle.notices.warnings;
	usleep(500000); /* it is tried again each 200 ms, of which nothing is to be seen */
	ck_assert_uint_eq(handle.notices.warnings, told);
	fault_io_reset(&fault);
	wait_until(stats_now().sealing_segments == 0);
	ck_assert(!stats_now().no_space);
	ck_ok(wal_log_rotate(wal));
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_SEALED], 9);
	ck_assert(log_noticed(&handle, "can be sealed again"));
	log_put_lines(&handle, last + 1, last + 10);
	ck_assert_uint_eq(count_events(), last + 10);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(what_had_no_space_to_be_sealed_is_sealed_by_the_next_opening)
{
	open_as_prepared();
	log_put_lines(&handle, 1, 10);
	fault_io_fail_ops(&fault, OP(TRUNCATE), -ENOSPC, 0);
	ck_fails(wal_log_rotate(wal), -ENOSPC);
	log_put_lines(&handle, 11, 20);
	close_log();
	fault_io_reset(&fault);
	open_as_prepared();
	ck_assert_uint_eq(count_events(), 20);
	log_put_lines(&handle, 21, 30);
	ck_assert_uint_eq(count_events(), 30);
	expect_sound_store();
}
END_TEST

START_TEST(a_sync_of_a_seal_that_found_no_space_fails_the_log)
{
	open_as_prepared();
	log_put_lines(&handle, 1, 10);
	wait_until_ready();
	fault_io_fail_ops(&fault, OP(FDATASYNC), -ENOSPC, 0);
	ck_assert_int_lt(wal_log_rotate(wal), 0);
	wait_until(stats_now().failed);
	ck_assert_int_eq(stats_now().failed, -EIO);
	fault_io_reset(&fault);
	ck_fails(wal_log_sync(wal), -EIO);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	ck_assert_int_lt(wal_log_close(handle.log), 0);
	handle.log = NULL;
}
END_TEST

START_TEST(a_failed_sync_of_a_closed_segment_is_never_a_success_later)
{
	struct wal_log_position p;

	open_as_prepared();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_sync(wal));
	wait_until_ready();
	log_put_lines(&handle, 11, 20);
	fault_io_fail_ops(&fault, OP(FDATASYNC), -EIO, 0);
	ck_assert_int_lt(wal_log_rotate(wal), 0);
	fault_io_reset(&fault);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_CLOSED_SYNCS], 1);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_SYNC_ERRORS], 1); /* nobody asked for it */
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_SYNC_REFUSALS], 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_lt(wal_log_sync(wal), 0);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	wal_log_position(wal, &p);
	ck_assert_uint_eq(p.durable_event, 10);
	ck_assert_int_lt(log_close(&handle), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	open_as_prepared(); /* and what the file has is still there */
	wal_log_position(wal, &p);
	ck_assert_uint_eq(p.next_event, 21);
}
END_TEST

/* The header is written when the data is safe. */
START_TEST(a_failed_sealing_is_counted_as_a_failed_sync)
{
	open_as_prepared();
	log_put_lines(&handle, 1, 10);
	wait_until_ready();
	fault_io_fail_ops(&fault, OP(TRUNCATE), -EIO, 0);
	ck_assert_int_lt(wal_log_rotate(wal), 0);
	fault_io_reset(&fault);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_SYNC_ERRORS], 1);
	ck_assert_uint_eq(stats_now().counters[WAL_COUNT_SEALED], 0);
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

static Suite *log_closed_suite(void)
{
	Suite *suite = suite_create("log_closed");
	TCase *t;

	t = log_case(suite, "closed segments", 60);
	tcase_add_test(t, a_sync_of_the_end_waits_for_the_segments_before_it);
	tcase_add_loop_test(t, a_seal_without_space_is_told_once_and_tried_again, 0, 2);
	tcase_add_test(t, what_had_no_space_to_be_sealed_is_sealed_by_the_next_opening);
	tcase_add_test(t, a_sync_of_a_seal_that_found_no_space_fails_the_log);
	tcase_add_test(t, a_failed_sync_of_a_closed_segment_is_never_a_success_later);
	tcase_add_test(t, a_failed_sealing_is_counted_as_a_failed_sync);
	return suite;
}

int main(void)
{
	return test_main(log_closed_suite());
}
