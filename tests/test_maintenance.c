/* SPDX-License-Identifier: MIT */
/*
 * What happens to a segment after rotation: synced, sealed, kept or removed; and
 * what a sync of the end has to wait for.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log/log.h"
#include "core/log/maintainer.h"
#include "core/log/retention.h"
#include "core/log/table.h"
#include "tests/support.h"

#define STORE "store"
#define OP(name) (1u << FAULT_OP_##name)
#define SECOND UINT64_C(1000000000)

static struct fault_io fault;
static struct test_log_handle handle;
static struct wal_log *wal;

static void begin(void)
{
	fault_io_init(&fault);
	wal = NULL;
	log_prepare(&handle, test_path(STORE), &fault.io);
}

static void end(void)
{
	if (handle.log)
		log_close(&handle);
	fault_io_destroy(&fault);
}

/* With the options of handle as they are. */
static void open_log(void)
{
	int err = log_open(&handle);

	ck_assert_msg(err == 0, "%s (%s)", strerror(-err), handle.error.text);
	wal = handle.log;
}

/* Keeps the options. */
static void close_log(void)
{
	ck_ok(wal_log_close(handle.log));
	handle.log = NULL;
}

static struct wal_stats stats(void)
{
	static struct wal_stats now;

	wal_log_stats(wal, &now);
	return now;
}

/* Segments of ten lines each, until `count` are finished. */
static void make_segments(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct wal_log_position p;

		wal_log_position(wal, &p);
		log_put_lines(&handle, p.next_event, p.next_event + 9);
		ck_ok(wal_log_rotate(wal));
	}
}

/* Until retention has left exactly these finished segments. */
static void wait_for_segments(size_t count)
{
	uint32_t indexes[64];
	size_t n = 0;

	for (int ms = 0; ms < 5000; ms++) {
		n = wal_log_segments(wal, 0, indexes, 64);
		if (n == count)
			return;
		usleep(1000);
	}
	ck_abort_msg("%zu finished segments, not %zu", n, count);
}

static void expect_sound_store(void)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct wal_error error;

	ck_ok(wal_verify_store(test_path(STORE), &options, &result, &error));
	ck_assert_msg(result.faults == 0, "%s: %s (%s)", result.first_name,
		      wal_fault_kind_name(result.first.kind), result.first.detail);
}

/* --- sealing -------------------------------------------------------------------- */

START_TEST(a_segment_that_was_rotated_is_sealed_in_the_background)
{
	struct wal_segment_info info;

	open_log();
	log_put_lines(&handle, 1, 2000); /* full segments rotate by themselves */
	for (int ms = 0; ms < 5000 && stats().sealing_segments > 0; ms++)
		usleep(1000);
	for (uint32_t i = 1; i < wal_log_current(wal); i++) {
		ck_ok(wal_log_segment_info(wal, i, &info));
		ck_assert_int_eq(info.state, WAL_SEALED);
	}
	ck_assert_uint_ge(stats().counters[WAL_COUNT_SEALED], 3);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_ROTATIONS], wal_log_current(wal) - 1);
	expect_sound_store();
}
END_TEST

START_TEST(a_segment_is_readable_while_it_waits_to_be_sealed)
{
	uint64_t id = 0;

	fault.sync_delay_us = 30000; /* sealing is slow */
	open_log();
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

	open_log();
	log_put_lines(&handle, 1, 10);
	while (stats().ready_segments == 0)
		usleep(1000);
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
	for (int ms = 0; ms < 5000 && askers[0].done + askers[1].done + askers[2].done < 3; ms++)
		usleep(1000);
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

START_TEST(writing_waits_when_too_many_segments_are_unsealed_and_goes_on)
{
	struct wal_stats now;

	fault.sync_delay_us = 3000;
	handle.options.segment_size = TEST_BLOCK;
	handle.options.prepare_segments = 8;
	open_log();
	log_put_lines(&handle, 1, 4000);
	now = stats();
	ck_assert_uint_le(now.sealing_segments, 8);
	ck_assert_uint_eq(now.latencies[WAL_LATENCY_SEAL_WAIT].count,
			  now.counters[WAL_COUNT_SEAL_WAITS]);
	fault.sync_delay_us = 0;
	close_log();
	expect_sound_store();
}
END_TEST

/* Dies without closing, with several segments that were not sealed. */
START_TEST(several_unsealed_segments_are_sealed_by_recovery_and_nothing_is_lost)
{
	struct wal_segment_info info;
	pid_t child = fork();
	int status;

	if (child == 0) {
		handle.options.prepare_segments = 6;
		handle.options.segment_size = TEST_BLOCK;
		if (log_open(&handle))
			_exit(1);
		wal = handle.log;
		for (int ms = 0; ms < 5000 && stats().ready_segments < 6; ms++)
			usleep(1000);
		fault.sync_delay_us = 2000000; /* nothing gets sealed any more */
		log_put_lines(&handle, 1, 500);
		_exit(stats().sealing_segments >= 2 ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	handle.options.segment_size = TEST_BLOCK;
	open_log();
	ck_assert_uint_eq(handle.notices.warnings, 0);
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_SEALED);
	ck_assert(info.sealed_by_recovery);
	log_put_lines(&handle, 501, 510);
	close_log();
	expect_sound_store();
}
END_TEST

/* --- a sync of the end ------------------------------------------------------------- */

START_TEST(a_sync_of_the_end_waits_for_the_segments_before_it)
{
	struct wal_log_position p;

	fault.sync_delay_us = 20000;
	open_log();
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
	open_log();
	fault_io_fail_ops(&fault, seals[_i].op, seals[_i].error, 0);
	last = rotate_until(seals[_i].error);
	ck_assert_uint_eq(stats().sealing_segments, 8);
	ck_assert(stats().no_space);
	ck_assert_int_eq(stats().failed, 0);
	ck_ok(wal_log_sync(wal)); /* durable all the same */
	ck_assert_uint_eq(count_events(), last);
	told = handle.notices.warnings;
	usleep(500000);
	ck_assert_uint_eq(handle.notices.warnings, told);
	fault_io_reset(&fault);
	for (int ms = 0; ms < 5000 && stats().sealing_segments > 0; ms++)
		usleep(1000);
	ck_assert(!stats().no_space);
	ck_ok(wal_log_rotate(wal));
	ck_assert_uint_eq(stats().counters[WAL_COUNT_SEALED], 9);
	ck_assert(log_noticed(&handle, "can be sealed again"));
	log_put_lines(&handle, last + 1, last + 10);
	ck_assert_uint_eq(count_events(), last + 10);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(what_had_no_space_to_be_sealed_is_sealed_by_the_next_opening)
{
	open_log();
	log_put_lines(&handle, 1, 10);
	fault_io_fail_ops(&fault, OP(TRUNCATE), -ENOSPC, 0);
	ck_fails(wal_log_rotate(wal), -ENOSPC);
	log_put_lines(&handle, 11, 20);
	close_log();
	fault_io_reset(&fault);
	open_log();
	ck_assert_uint_eq(count_events(), 20);
	log_put_lines(&handle, 21, 30);
	ck_assert_uint_eq(count_events(), 30);
	expect_sound_store();
}
END_TEST

START_TEST(a_sync_of_a_seal_that_found_no_space_fails_the_log)
{
	open_log();
	log_put_lines(&handle, 1, 10);
	while (stats().ready_segments == 0)
		usleep(1000);
	fault_io_fail_ops(&fault, OP(FDATASYNC), -ENOSPC, 0);
	ck_assert_int_lt(wal_log_rotate(wal), 0);
	for (int ms = 0; ms < 5000 && !stats().failed; ms++)
		usleep(1000);
	ck_assert_int_eq(stats().failed, -EIO);
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

	open_log();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_sync(wal));
	for (int ms = 0; ms < 5000 && stats().ready_segments < 1; ms++)
		usleep(1000);
	log_put_lines(&handle, 11, 20);
	fault_io_fail_ops(&fault, OP(FDATASYNC), -EIO, 0);
	ck_assert_int_lt(wal_log_rotate(wal), 0);
	fault_io_reset(&fault);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_CLOSED_SYNCS], 1);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_SYNC_ERRORS], 1); /* nobody asked for it */
	ck_assert_uint_eq(stats().counters[WAL_COUNT_SYNC_REFUSALS], 0);
	for (int i = 0; i < 3; i++)
		ck_assert_int_lt(wal_log_sync(wal), 0);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	wal_log_position(wal, &p);
	ck_assert_uint_eq(p.durable_event, 10);
	ck_assert_int_lt(log_close(&handle), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	open_log(); /* and what the file has is still there */
	wal_log_position(wal, &p);
	ck_assert_uint_eq(p.next_event, 21);
}
END_TEST

/* The header is written when the data is safe. */
START_TEST(a_failed_sealing_is_counted_as_a_failed_sync)
{
	open_log();
	log_put_lines(&handle, 1, 10);
	for (int ms = 0; ms < 5000 && stats().ready_segments < 2; ms++)
		usleep(1000);
	fault_io_fail_ops(&fault, OP(TRUNCATE), -EIO, 0);
	ck_assert_int_lt(wal_log_rotate(wal), 0);
	fault_io_reset(&fault);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_SYNC_ERRORS], 1);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_SEALED], 0);
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

struct syncer {
	pthread_t thread;
	unsigned number;
	unsigned answers;
};

static void *append_and_sync(void *arg)
{
	struct syncer *syncer = arg;

	for (int i = 0; i < 40; i++) {
		char line[64];
		struct wal_record record = {line, 0, 0};

		record.size = (uint32_t)snprintf(line, sizeof(line), "%u %d\n", syncer->number, i);
		if (wal_log_append(wal, &record, 1, NULL) != 1 || wal_log_sync(wal))
			return arg;
		syncer->answers++;
	}
	return NULL;
}

START_TEST(syncs_of_several_threads_share_the_disk)
{
	struct syncer syncers[8] = {{0}};
	unsigned answers = 0;
	void *failed;

	handle.options.segment_size = 64 * TEST_BLOCK;
	open_log();
	for (int ms = 0; ms < 5000 && stats().ready_segments < 1; ms++)
		usleep(1000);
	fault_io_reset(&fault);
	fault.sync_delay_us = 2000;
	for (unsigned i = 0; i < 8; i++) {
		syncers[i].number = i;
		pthread_create(&syncers[i].thread, NULL, append_and_sync, &syncers[i]);
	}
	for (unsigned i = 0; i < 8; i++) {
		pthread_join(syncers[i].thread, &failed);
		ck_assert_ptr_null(failed);
		answers += syncers[i].answers;
	}
	ck_assert_uint_eq(answers, 320);
	ck_assert_uint_lt(stats().counters[WAL_COUNT_SYNCS], 160);
	ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_FDATASYNC), 180);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_SYNC_REQUESTS], 320);
	fault.sync_delay_us = 0;
}
END_TEST

START_TEST(with_meta_strict_the_position_is_on_disk_before_the_answer)
{
	handle.options.meta_strict = true;
	open_log();
	for (uint64_t id = 1; id <= 20; id++) {
		log_put_lines(&handle, id, id);
		ck_ok(wal_log_sync(wal));
		ck_assert_uint_eq(store_slot(test_path(STORE)).durable_event, id);
	}
}
END_TEST

START_TEST(with_meta_strict_a_position_that_cannot_be_written_is_no_success)
{
	handle.options.meta_strict = true;
	open_log();
	log_put_lines(&handle, 1, 1);
	ck_ok(wal_log_sync(wal));
	log_put_lines(&handle, 2, 2);
	fault_io_fail_ops(&fault, OP(PWRITE), -EIO, 0);
	ck_assert_int_lt(wal_log_sync(wal), 0);
	fault_io_reset(&fault);
	ck_assert_int_lt(wal_log_sync(wal), 0);
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

struct answer {
	struct wal_sync sync; /* first */
	atomic_int error;     /* 1: not yet */
};

static void take_answer(struct wal_sync *sync, int error)
{
	((struct answer *)sync)->error = error;
}

static int sync_of_append(bool of_append)
{
	struct answer answer = {.sync = {.done = take_answer, .of_append = of_append}, .error = 1};

	wal_log_sync_start(wal, &answer.sync);
	while (answer.error == 1)
		usleep(1000);
	return answer.error;
}

/* wal.meta can find no space on a copy-on-write disk. */
static void a_write_is_not_refused_for_space_after_the_fact(int error)
{
	handle.options.meta_strict = true;
	open_log();
	log_put_lines(&handle, 1, 1);
	ck_ok(wal_log_sync(wal));
	log_put_lines(&handle, 2, 2);
	fault_io_fail_ops(&fault, OP(PWRITE), error, 0);
	ck_assert_int_eq(sync_of_append(false), error);
	ck_assert_int_eq(sync_of_append(true), -EIO);
	fault_io_reset(&fault);
	ck_assert_int_eq(sync_of_append(true), 0);
	ck_assert_uint_eq(stats().next_event, 3); /* the second is there once */
}

START_TEST(an_append_that_was_done_never_asks_to_be_tried_again_for_lack_of_space)
{
	a_write_is_not_refused_for_space_after_the_fact(_i ? -EDQUOT : -ENOSPC);
}
END_TEST

/* --- a mapping that failed --------------------------------------------------------------- */

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
	open_log();
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
	open_log();
	log_put_lines(&handle, 1, 2);
	ck_ok(wal_log_sync(wal));
	while (stats().ready_segments < handle.options.prepare_segments)
		usleep(1000);
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

/* --- by age -------------------------------------------------------------------------- */

START_TEST(a_segment_begun_in_a_time_to_come_is_rotated_by_age)
{
	fault_io_set_clock(&fault, TEST_TIME + 1000000 * SECOND, 0);
	handle.options.rotate_age_s = 60;
	open_log();
	log_put_lines(&handle, 1, 3);
	fault_io_set_clock(&fault, TEST_TIME, 0);
	for (int ms = 0; ms < 4000 && wal_log_current(wal) == 1; ms++)
		usleep(1000);
	ck_assert_uint_eq(wal_log_current(wal), 2);
}
END_TEST

/* The maintainer alone has what rotation may wait for: it never waits. */
START_TEST(rotation_by_age_after_a_step_of_the_clock_waits_for_nothing)
{
	fault_io_set_clock(&fault, TEST_TIME + 1000000 * SECOND, 0);
	handle.options.rotate_age_s = 60;
	open_log();
	log_put_lines(&handle, 1, 3);
	while (stats().ready_segments < handle.options.prepare_segments)
		usleep(1000);
	ck_assert_int_eq(unlink(test_path(STORE "/0000000002.wal.new")), 0);
	fault_io_set_clock(&fault, TEST_TIME, 0);
	for (int ms = 0; ms < 8000 && wal_log_current(wal) == 1; ms++)
		usleep(1000);
	ck_assert_uint_eq(wal_log_current(wal), 2);
	ck_assert(log_noticed(&handle, "made again"));
	ck_assert_uint_eq(stats().counters[WAL_COUNT_PREPARE_WAITS], 0);
}
END_TEST

START_TEST(a_segment_that_is_old_enough_is_rotated_unless_it_is_empty)
{
	fault_io_set_clock(&fault, TEST_TIME, 0);
	handle.options.rotate_age_s = 60;
	open_log();
	fault_io_set_clock(&fault, TEST_TIME + 120 * SECOND, 0);
	usleep(1300000);
	ck_assert_uint_eq(wal_log_current(wal), 1); /* nothing in it */
	log_put_lines(&handle, 1, 3);
	for (int ms = 0; ms < 4000 && wal_log_current(wal) == 1; ms++)
		usleep(1000);
	ck_assert_uint_eq(wal_log_current(wal), 2);
}
END_TEST

/* --- retention --------------------------------------------------------------------------- */

/* 0: no segment can be prepared; 1: none can be started. */
START_TEST(rotation_by_age_without_space_waits_and_is_told_once)
{
	struct wal_stats now;
	unsigned told;

	handle.options.rotate_age_s = 60;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	if (_i == 0) {
		while (stats().ready_segments == 0)
			usleep(1000);
		fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
		log_put_lines(&handle, 1, 5);
		ck_ok(wal_log_rotate(wal)); /* into the one that was ready */
	} else {
		fault_io_fail_ops(&fault, OP(RENAME), -ENOSPC, 0);
	}
	log_put_lines(&handle, _i == 0 ? 6 : 1, 10);
	fault_io_set_clock(&fault, TEST_TIME + 120 * SECOND, 0);
	for (int ms = 0; ms < 5000 && !stats().no_space; ms++)
		usleep(1000);
	told = handle.notices.warnings;
	ck_assert_uint_eq(told, 1);
	usleep(2500000); /* it looks twice and more */
	now = stats();
	ck_assert_uint_eq(handle.notices.warnings, told);
	ck_assert_uint_eq(now.counters[WAL_COUNT_PREPARE_WAITS], 0);
	ck_assert(now.no_space);
	fault_io_reset(&fault);
	for (int ms = 0; ms < 5000 &&
			 stats().counters[WAL_COUNT_ROTATIONS] == now.counters[WAL_COUNT_ROTATIONS];
	     ms++)
		usleep(1000);
	ck_assert_uint_gt(stats().counters[WAL_COUNT_ROTATIONS], now.counters[WAL_COUNT_ROTATIONS]);
	log_put_lines(&handle, 11, 20);
	expect_sound_store();
}
END_TEST

START_TEST(nothing_is_removed_unless_an_option_says_so)
{
	open_log();
	make_segments(12);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_REMOVED_SEGMENTS], 0);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_UNLINK), 0);
	wait_for_segments(12);
}
END_TEST

START_TEST(only_so_many_segments_are_kept)
{
	handle.options.keep_segments = 3;
	open_log();
	make_segments(8);
	wait_for_segments(3);
	ck_assert(!file_exists(store_segment_path(test_path(STORE), 5)));
	ck_assert(file_exists(store_segment_path(test_path(STORE), 6)));
	ck_assert_uint_eq(store_slot(test_path(STORE)).first_segment, 6);
	ck_assert_uint_eq(stats().counters[WAL_COUNT_REMOVED_SEGMENTS], 5);
	ck_assert(log_noticed(&handle, "removed"));
	expect_sound_store(); /* what was removed is not missing */
	close_log();
	open_log();
	expect_sound_store();
}
END_TEST

START_TEST(only_so_many_bytes_are_kept)
{
	handle.options.keep_bytes = 3 * (4096 + TEST_BLOCK) + 100;
	open_log();
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
		for (int ms = 0; ms < 3000 && slow_stat == STAT_ASKED; ms++)
			usleep(1000);
		if (slow_stat == STAT_ASKED)
			slow_stat = STAT_OVERDUE;
	}
	return (int)syscall(SYS_newfstatat, dirfd, name, st, flags);
}

START_TEST(nobody_waits_while_retention_asks_how_large_segments_are)
{
	open_log();
	make_segments(5);
	close_log();
	handle.options.keep_bytes = 3 * (4096 + TEST_BLOCK) + 100;
	slow_stat = STAT_SLOW;
	open_log();
	for (int ms = 0; ms < 5000 && slow_stat == STAT_SLOW; ms++)
		usleep(1000);
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

	open_log();
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

START_TEST(what_is_too_old_is_removed_but_one_sealed_segment_is_kept)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	make_segments(4);
	usleep(50000);
	wait_for_segments(4);
	fault_io_let_pass(&fault, 7200 * SECOND);
	wait_for_segments(1);
	ck_assert(file_exists(store_segment_path(test_path(STORE), 4)));
}
END_TEST

/* Until the maintainer has looked at the ages, which it does each second. */
static void wait_for_a_look(void)
{
	usleep(1300000);
}

/* Three sealed segments, which the maintainer has seen when they were new; kept for an hour. */
static void keep_three_for_an_hour(void)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	make_segments(3);
	wait_for_a_look();
}

START_TEST(age_is_not_believed_across_a_step_of_the_clock)
{
	keep_three_for_an_hour();
	fault_io_set_clock(&fault, TEST_TIME + 315360000 * SECOND, 0); /* ten years ahead */
	wait_for_a_look();
	wait_for_segments(3);
	ck_assert(log_noticed(&handle, "the clock was set forward"));
	fault_io_let_pass(&fault, 3000 * SECOND);
	wait_for_a_look();
	wait_for_segments(3);
	fault_io_let_pass(&fault, 700 * SECOND);
	wait_for_segments(1);
}
END_TEST

/* The wrong time is a possible one: the one of the last shutdown. */
START_TEST(a_step_of_the_clock_is_remembered_over_a_mount)
{
	keep_three_for_an_hour();
	fault_io_set_clock(&fault, TEST_TIME + 30 * 86400 * SECOND, 0);
	wait_for_a_look();
	ck_assert(file_exists(test_path(STORE "/" WAL_CLOCK_FILE)));
	close_log();
	open_log();
	wait_for_a_look();
	wait_for_segments(3);
	fault_io_let_pass(&fault, 3700 * SECOND);
	wait_for_segments(1);
}
END_TEST

/* A guest that is halted now and then: each time its clock is set by a little. */
START_TEST(small_steps_of_the_clock_do_not_keep_segments_for_ever)
{
	unsigned i;

	keep_three_for_an_hour();
	for (i = 0; i < 3; i++) {
		fault_io_let_pass(&fault, 1300 * SECOND);
		fault_io_set_clock(&fault, fault.now + 5 * SECOND, 0);
		wait_for_a_look();
	}
	wait_for_segments(1);
}
END_TEST

START_TEST(a_damaged_wal_clock_removes_nothing_that_is_there)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	make_segments(3);
	close_log();
	file_write(test_path(STORE "/" WAL_CLOCK_FILE), "no clock", 8);
	fault_io_let_pass(&fault, 7200 * SECOND);
	open_log();
	wait_for_a_look();
	wait_for_segments(3);
	ck_assert(log_noticed(&handle, "wal.clock: cannot be read: damaged"));
	fault_io_let_pass(&fault, 3700 * SECOND);
	wait_for_segments(1);
}
END_TEST

/* No clock of its own: each boot begins in 1970, until somebody says what time it is. */
START_TEST(what_was_closed_in_1970_is_as_old_as_what_came_after_it)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, 100 * SECOND, 0);
	open_log();
	make_segments(3);
	close_log();
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	wait_for_a_look();
	wait_for_segments(3); /* nobody knows: not at once */
	log_put_lines(&handle, 31, 40);
	ck_ok(wal_log_rotate(wal)); /* closed now: so they are as old as this at least */
	fault_io_let_pass(&fault, 3000 * SECOND);
	wait_for_a_look();
	wait_for_segments(4);
	fault_io_let_pass(&fault, 700 * SECOND);
	wait_for_segments(1);
}
END_TEST

START_TEST(what_was_closed_in_a_time_to_come_does_not_keep_the_rest_for_ever)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME + 315360000 * SECOND, 0);
	open_log();
	make_segments(2);
	close_log();
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	log_put_lines(&handle, 21, 30);
	ck_ok(wal_log_rotate(wal));
	log_put_lines(&handle, 31, 40);
	ck_ok(wal_log_rotate(wal));
	wait_for_a_look();
	ck_assert(file_exists(store_segment_path(test_path(STORE), 1)));
	fault_io_let_pass(&fault, 3700 * SECOND);
	wait_for_segments(1);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(a_clock_that_went_back_removes_nothing)
{
	handle.options.keep_age_s = 3600;
	fault_io_set_clock(&fault, TEST_TIME, 0);
	open_log();
	make_segments(3);
	fault_io_set_clock(&fault, TEST_TIME - 100000 * SECOND, 0);
	usleep(1500000);
	wait_for_segments(3);
}
END_TEST

/* Seals go first, and wal.meta is not written for each: or a backlog would stop the writers. */
START_TEST(a_backlog_of_retention_is_removed_in_steps)
{
	uint64_t writes, names;

	fault.skip_sync = true;
	open_log();
	make_segments(2 * WAL_RETAIN_STEP + 11);
	wal_maintainer_stop(wal); /* all is sealed, and retention is this thread's now */
	ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_ALL);
	ck_ok(wal_log_sync(wal)); /* so that no other thread has a name to sync meanwhile */
	wal->asked.keep_segments = 1;
	for (unsigned left = WAL_RETAIN_STEP + 11; left >= 11; left -= WAL_RETAIN_STEP) {
		writes = stats().counters[WAL_COUNT_META_WRITES];
		names = fault_io_count(&fault, FAULT_OP_FSYNC);
		ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_MORE);
		ck_assert_uint_eq(stats().sealed_segments, left);
		ck_assert_uint_le(stats().counters[WAL_COUNT_META_WRITES] - writes, 2);
		ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_FSYNC) - names, 2);
		/* Durably, before the first of them was removed. */
		ck_assert_uint_eq(store_slot(test_path(STORE)).first_segment,
				  2 * WAL_RETAIN_STEP + 12 - left);
		if (left < WAL_RETAIN_STEP)
			break;
	}
	ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_SOME);
	ck_assert_uint_eq(stats().sealed_segments, 1);
	ck_assert_int_eq(wal_log_retain(wal), WAL_RETAINED_ALL);
	close_log();
	expect_sound_store();
}
END_TEST

START_TEST(a_damaged_segment_is_evidence_and_stays)
{
	open_log();
	make_segments(3);
	close_log();
	file_flip(store_segment_path(test_path(STORE), 2), 4096 + 64 + 100, 1);
	handle.options.keep_segments = 1;
	open_log();
	make_segments(3);
	for (int ms = 0; ms < 3000 && file_exists(store_segment_path(test_path(STORE), 5)); ms++)
		usleep(1000);
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
	open_log();
	make_segments(6);
	wait_for_segments(2);
	ck_assert_int_eq(atomic_load(&unlinks), 4);
	ck_assert_int_eq(atomic_load(&too_early), 0);
}
END_TEST

START_TEST(a_segment_that_cannot_be_removed_is_told_once_and_tried_again_in_a_while)
{
	handle.options.keep_segments = 1;
	open_log();
	fault_io_fail_ops(&fault, OP(UNLINK), -EPERM, 0);
	make_segments(3);
	for (int ms = 0; ms < 3000 && fault.failed == 0; ms++)
		usleep(1000);
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
	open_log();
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
	open_log();
	make_segments(8);
	close_log();
	handle.options.segment_size = 4096 + 16 * TEST_BLOCK; /* it needs a new segment */
	handle.options.keep_segments = (uint32_t)_i;
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 1);
	open_log();
	ck_assert_int_eq(stats().no_space, _i == 0);
	if (_i == 0) {
		ck_assert_uint_eq(stats().counters[WAL_COUNT_REMOVED_SEGMENTS], 0);
		return; /* nothing may be removed */
	}
	ck_assert_uint_ge(stats().counters[WAL_COUNT_REMOVED_SEGMENTS], 7);
	log_put_lines(&handle, 81, 100);
	expect_sound_store();
}
END_TEST

START_TEST(what_need_not_be_kept_is_removed_while_the_disk_stays_full)
{
	open_log();
	make_segments(8);
	close_log();
	handle.options.segment_size = 4096 + 16 * TEST_BLOCK;
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	handle.options.keep_age_s = 3600;
	open_log();
	fault_io_set_clock(&fault, fault.io.now_ns(&fault.io), 0);
	fault_io_let_pass(&fault, 7200 * SECOND);
	ck_fails(log_put(&handle, "never\n"), -ENOSPC);
	ck_assert_uint_ge(stats().counters[WAL_COUNT_REMOVED_SEGMENTS], 7);
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
	open_log();
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
		open_log();
		ck_assert_uint_eq(log_put(&handle, "line\n"), 1);
		close_log();
		expect_sound_store();
		remove_tree(test_path(STORE));
	} while (true);
	ck_assert_uint_gt(call, 30);
}
END_TEST

START_TEST(the_counters_say_what_happened)
{
	struct wal_stats s;

	open_log();
	log_put_lines(&handle, 1, 25);
	ck_ok(wal_log_sync(wal));
	ck_ok(wal_log_rotate(wal));
	ck_fails(wal_log_append(wal, &(struct wal_record){"x", 0, 0}, 1, NULL), -EINVAL);
	ck_fails(wal_log_append(wal, &(struct wal_record){"x", 1u << 25, 0}, 1, NULL), -EMSGSIZE);
	s = stats();
	ck_assert_uint_eq(s.counters[WAL_COUNT_APPENDS], 25);
	ck_assert_uint_eq(s.counters[WAL_COUNT_EVENTS], 25);
	ck_assert_uint_eq(s.counters[WAL_COUNT_PAYLOAD_BYTES], 9 * 8 + 16 * 9);
	ck_assert_uint_eq(s.counters[WAL_COUNT_ROTATIONS], 1);
	ck_assert_uint_eq(s.counters[WAL_COUNT_SEALED], 1);
	ck_assert_uint_eq(s.latencies[WAL_LATENCY_APPEND].count, 25);
	ck_assert_uint_eq(s.counters[WAL_COUNT_CLOSED_SYNCS], 1);
	ck_assert_uint_eq(s.latencies[WAL_LATENCY_CLOSED_SYNC].count, 1);
	ck_assert_uint_eq(s.latencies[WAL_LATENCY_ROTATE].count, 1);
	ck_assert_uint_eq(s.counters[WAL_COUNT_SYNC_ERRORS], 0);
	ck_assert_uint_ge(s.counters[WAL_COUNT_SYNCS], 1);
	ck_assert_uint_eq(s.next_event, 26);
	ck_assert_uint_eq(s.active_segment, 2);
	ck_assert_int_eq(s.failed, 0);
	for (int i = 0; i < WAL_COUNTERS; i++) {
		ck_assert_str_ne(wal_counter_name((enum wal_counter)i), "");
		ck_assert_str_ne(wal_counter_help((enum wal_counter)i), "");
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(wal_counter_name((enum wal_counter)i),
					 wal_counter_name((enum wal_counter)j));
	}
	for (unsigned i = 1; i < WAL_LATENCY_BUCKETS; i++)
		ck_assert_uint_gt(wal_latency_bucket_ns(i), wal_latency_bucket_ns(i - 1));
	ck_assert_uint_eq(wal_latency_bucket_ns(WAL_LATENCY_BUCKETS - 1), UINT64_MAX);
}
END_TEST

static void add_keeping(Suite *suite)
{
	TCase *t = test_case(suite, "keeping", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, rotation_by_age_without_space_waits_and_is_told_once, 0, 2);
	tcase_add_test(t, nothing_is_removed_unless_an_option_says_so);
	tcase_add_test(t, only_so_many_segments_are_kept);
	tcase_add_test(t, only_so_many_bytes_are_kept);
	tcase_add_test(t, nobody_waits_while_retention_asks_how_large_segments_are);
	tcase_add_test(t, files_that_are_gone_are_asked_for_their_size_once);
	tcase_add_test(t, what_is_too_old_is_removed_but_one_sealed_segment_is_kept);
	tcase_add_test(t, age_is_not_believed_across_a_step_of_the_clock);
	tcase_add_test(t, a_step_of_the_clock_is_remembered_over_a_mount);
	tcase_add_test(t, small_steps_of_the_clock_do_not_keep_segments_for_ever);
	tcase_add_test(t, a_damaged_wal_clock_removes_nothing_that_is_there);
	tcase_add_test(t, what_was_closed_in_1970_is_as_old_as_what_came_after_it);
	tcase_add_test(t, what_was_closed_in_a_time_to_come_does_not_keep_the_rest_for_ever);
	tcase_add_test(t, a_clock_that_went_back_removes_nothing);
	tcase_add_test(t, a_backlog_of_retention_is_removed_in_steps);
	tcase_add_test(t, a_damaged_segment_is_evidence_and_stays);
	tcase_add_test(t, wal_meta_knows_what_is_kept_before_a_segment_is_removed);
	tcase_add_loop_test(
		t, on_a_full_disk_what_need_not_be_kept_is_removed_so_that_writing_goes_on, 0, 2);
	tcase_add_test(t, what_need_not_be_kept_is_removed_while_the_disk_stays_full);
	tcase_add_test(t, a_segment_that_cannot_be_removed_is_told_once_and_tried_again_in_a_while);
	tcase_add_test(t, a_segment_that_somebody_removed_keeps_no_other);
	tcase_add_test(t, cut_off_at_any_call_retention_leaves_a_sound_store);
}

static Suite *maintenance_suite(void)
{
	Suite *suite = suite_create("maintenance");
	TCase *t = test_case(suite, "sealing and syncing", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_segment_that_was_rotated_is_sealed_in_the_background);
	tcase_add_test(t, a_segment_is_readable_while_it_waits_to_be_sealed);
	tcase_add_loop_test(t, who_asks_to_be_told_of_a_seal_is_told_once_however_that_ends, 0, 3);
	tcase_add_test(t, writing_waits_when_too_many_segments_are_unsealed_and_goes_on);
	tcase_add_test(t, several_unsealed_segments_are_sealed_by_recovery_and_nothing_is_lost);
	tcase_add_test(t, a_sync_of_the_end_waits_for_the_segments_before_it);
	tcase_add_loop_test(t, a_seal_without_space_is_told_once_and_tried_again, 0, 2);
	tcase_add_test(t, what_had_no_space_to_be_sealed_is_sealed_by_the_next_opening);
	tcase_add_test(t, a_sync_of_a_seal_that_found_no_space_fails_the_log);
	tcase_add_test(t, a_failed_sync_of_a_closed_segment_is_never_a_success_later);
	tcase_add_test(t, a_failed_sealing_is_counted_as_a_failed_sync);
	tcase_add_test(t, syncs_of_several_threads_share_the_disk);
	tcase_add_test(t, with_meta_strict_the_position_is_on_disk_before_the_answer);
	tcase_add_test(t, with_meta_strict_a_position_that_cannot_be_written_is_no_success);
	tcase_add_loop_test(
		t, an_append_that_was_done_never_asks_to_be_tried_again_for_lack_of_space, 0, 2);
	tcase_add_test(t, a_segment_that_is_old_enough_is_rotated_unless_it_is_empty);
	tcase_add_test(t, a_segment_begun_in_a_time_to_come_is_rotated_by_age);
	tcase_add_test(t, rotation_by_age_after_a_step_of_the_clock_waits_for_nothing);
	tcase_add_loop_test(
		t, a_fault_in_the_next_segment_is_no_space_and_writing_goes_on_by_itself, 0, 2);
	tcase_add_loop_test(
		t, a_mapping_that_lost_what_was_synced_fails_the_log_and_gives_no_id_twice, 0, 3);
	tcase_add_test(t, the_counters_say_what_happened);
	add_keeping(suite);
	return suite;
}

int main(void)
{
	return test_main(maintenance_suite());
}
