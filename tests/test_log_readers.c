/* SPDX-License-Identifier: MIT */
/* core/log/readers: segments are read while they are written, rotated and sealed. */
#include <errno.h>
#include <stdatomic.h>

#include "tests/fixture_log.h"

START_TEST(a_reader_sees_what_was_appended_at_its_last_refresh_and_the_end_after_a_rotation)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	uint64_t seen = 0;

	open_log();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_reader_open(wal, 1, 0, &reader, NULL));
	for (uint64_t last = 10; last <= 300; last += 29) {
		if (last > 10)
			log_put_lines(&handle, last - 28, last);
		ck_ok(wal_log_reader_refresh(wal, reader));
		while (wal_segment_reader_next(reader, &event) == 1)
			ck_assert_uint_eq(event.id, ++seen);
		ck_assert_uint_eq(seen, last);
	}
	log_put_lines(&handle, 301, 310);
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, 311, 320);
	ck_ok(wal_log_reader_refresh(wal, reader));
	while (wal_segment_reader_next(reader, &event) == 1)
		ck_assert_uint_eq(event.id, ++seen);
	ck_assert_uint_eq(seen, 310);
	ck_assert_int_eq(wal_segment_reader_info(reader)->state, WAL_SEALED);
	wal_segment_reader_close(reader);
}
END_TEST

START_TEST(a_segment_is_readable_while_it_waits_to_be_sealed)
{
	uint64_t id = 0;

	fault.sync_delay_us = 30000; /* sealing is slow */
	open_as_prepared();
	log_put_lines(&handle, 1, 1200);
	for (uint32_t i = 1; i <= wal_log_current(wal); i++) {
		struct wal_segment_reader *reader;
		struct wal_event event;

		ck_ok(wal_log_reader_open(wal, i, 0, &reader, NULL));
		while (wal_segment_reader_next(reader, &event) == 1)
			ck_assert_uint_eq(event.id, ++id);
		wal_segment_reader_close(reader);
	}
	ck_assert_uint_eq(id, 1200);
	fault.sync_delay_us = 0;
}
END_TEST

static void count_done(struct wal_seal_wait *wait)
{
	atomic_uint *done = (atomic_uint *)((char *)wait + sizeof(*wait));

	atomic_fetch_add(done, 1);
}

/* How the segment that is waited for leaves the queue; the first: as it should. */
static const struct {
	unsigned op; /* fails */
	int error;
} seal_ends[] = {{0, 0}, {OP(TRUNCATE), -ENOSPC}, {OP(TRUNCATE), -EIO}};

START_TEST(who_asks_to_be_told_of_a_seal_is_told_once_however_that_ends)
{
	struct {
		struct wal_seal_wait wait;
		atomic_uint done;
	} askers[3] = {{.done = 0}};
	struct wal_segment_reader *reader;

	open_as_prepared();
	log_put_lines(&handle, 1, 10);
	wait_until_ready();
	ck_assert(!wal_log_seal_join(wal, 1, &askers[0].wait)); /* active */
	fault.sync_delay_us = 50000;
	fault_io_fail_ops(&fault, seal_ends[_i].op, seal_ends[_i].error, 0);
	while (wal_log_current(wal) == 1)
		ck_assert_int_eq(log_put(&handle, "until it is full\n"), 1);
	ck_assert_int_eq(wal_log_reader_open(wal, 1, WAL_READ_NO_WAIT, &reader, NULL), -EAGAIN);
	ck_assert_ptr_null(reader);
	for (size_t i = 0; i < 3; i++) {
		askers[i].wait.done = count_done;
		ck_assert(wal_log_seal_join(wal, 1, &askers[i].wait));
		ck_assert_uint_eq(askers[i].done, 0);
	}
	wait_until(askers[0].done + askers[1].done + askers[2].done >= 3);
	ck_assert(!wal_log_seal_join(wal, 1, &askers[0].wait));
	ck_ok(wal_log_reader_open(wal, 1, WAL_READ_NO_WAIT, &reader, NULL));
	wal_segment_reader_close(reader);
	fault.sync_delay_us = 0;
	fault_io_reset(&fault);
	ck_assert_int_eq(wal_log_close(handle.log) != 0, seal_ends[_i].error == -EIO);
	handle.log = NULL;
	for (size_t i = 0; i < 3; i++)
		ck_assert_uint_eq(askers[i].done, 1);
}
END_TEST

static Suite *log_readers_suite(void)
{
	Suite *suite = suite_create("log_readers");
	TCase *t;

	t = log_case(suite, "reading", 60);
	tcase_add_test(
		t,
		a_reader_sees_what_was_appended_at_its_last_refresh_and_the_end_after_a_rotation);
	tcase_add_test(t, a_segment_is_readable_while_it_waits_to_be_sealed);
	tcase_add_loop_test(t, who_asks_to_be_told_of_a_seal_is_told_once_however_that_ends, 0, 3);
	return suite;
}

int main(void)
{
	return test_main(log_readers_suite());
}
