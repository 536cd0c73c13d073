/* SPDX-License-Identifier: MIT */
/* core/log/append: events, batches, holds; by one thread and by several. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fixture_log.h"

/* --- appending ------------------------------------------------------------------- */

START_TEST(events_get_ids_times_and_their_bytes)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	fault_io_set_clock(&fault, TEST_TIME, 1000);
	open_log();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(log_put(&handle, "order 17 filled\n"), 1);
	ck_ok(wal_log_reader_open(wal, 1, 0, &reader, NULL));
	for (uint64_t id = 1; id <= 3; id++) {
		static uint64_t last;

		ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
		ck_assert_uint_eq(event.id, id);
		ck_assert_uint_gt(event.timestamp_ns, TEST_TIME - 1);
		ck_assert_uint_gt(event.timestamp_ns, last);
		ck_assert_uint_eq(event.flags, 0);
		last = event.timestamp_ns;
	}
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 0);
	wal_segment_reader_close(reader);
}
END_TEST

START_TEST(a_batch_has_one_time_and_its_order)
{
	struct wal_record records[100];
	struct wal_segment_reader *reader;
	struct wal_event event;
	uint64_t first_ns = 0;
	char bytes[100];

	fault_io_set_clock(&fault, TEST_TIME, 1);
	open_log();
	for (int i = 0; i < 100; i++) {
		bytes[i] = (char)(' ' + i);
		records[i] = (struct wal_record){&bytes[i], 1, i % 2 ? WAL_FLAG_PART : 0};
	}
	ck_assert_int_eq(wal_log_append(wal, records, 100, NULL), 100);
	ck_ok(wal_log_reader_open(wal, 1, 0, &reader, NULL));
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
		ck_assert_int_eq(event.payload[0], ' ' + i);
		ck_assert_uint_eq(event.flags, i % 2 ? WAL_FLAG_PART : 0);
		if (i == 0)
			first_ns = event.timestamp_ns;
		ck_assert_uint_eq(event.timestamp_ns, first_ns);
	}
	wal_segment_reader_close(reader);
}
END_TEST

START_TEST(records_that_cannot_be_are_refused_and_nothing_of_the_batch_is_taken)
{
	size_t limit;
	struct wal_record two[2] = {{"a", 1, 0}, {big, 0, 0}};

	open_log();
	limit = wal_log_record_limit(wal);
	ck_fails(wal_log_append(wal, two, 2, NULL), -EINVAL);
	two[1] = (struct wal_record){big, 1, WAL_FLAG_MORE};
	ck_fails(wal_log_append(wal, two, 2, NULL), -EINVAL);
	two[1] = (struct wal_record){big, (uint32_t)limit + 1, 0};
	ck_fails(wal_log_append(wal, two, 2, NULL), -EMSGSIZE);
	ck_fails(wal_log_append(wal, two, 0, NULL), -EINVAL);
	ck_assert_uint_eq(position().next_event, 1);
	ck_assert_int_eq(put_size((uint32_t)limit), 1);
	ck_assert_uint_le(wal_log_event_limit(wal), limit);
}
END_TEST

START_TEST(a_full_segment_is_sealed_and_the_log_goes_on)
{
	struct store_decoded decoded;
	uint64_t chain;

	open_log();
	log_put_lines(&handle, 1, 1200); /* about 500 fit in one */
	ck_assert_uint_eq(position().segment, 3);
	assert_log_lines(1200);
	close_log();
	chain = 0;
	for (uint32_t i = 1; i <= 3; i++) {
		store_decode(test_path(STORE), i, &decoded);
		ck_kind(decoded.segment.fault, WAL_FAULT_NONE);
		ck_assert_int_eq(decoded.segment.sealed, i < 3);
		if (i > 1)
			ck_assert_uint_eq(decoded.segment.prev_chain, chain);
		chain = decoded.segment.chain;
		/* By the writer; with the ones before, in order by time. */
		ck_assert_uint_eq(decoded.segment.compat, i < 3 ? i << 8 : 0);
		store_decoded_free(&decoded);
	}
}
END_TEST

START_TEST(a_record_larger_than_an_event_is_a_group_in_one_segment)
{
	struct store_decoded decoded;
	uint32_t size;

	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.segment_size = 16 * TEST_BLOCK;
	ck_ok(log_open(&handle));
	wal = handle.log;
	size = (uint32_t)wal_log_record_limit(wal);
	ck_assert_uint_gt(size, wal_log_event_limit(wal));
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(put_size(size - (uint32_t)i * 1000), 1);
	close_log();
	for (uint32_t i = 1; file_exists(store_segment_path(test_path(STORE), i)); i++) {
		store_decode(test_path(STORE), i, &decoded); /* checks groups too */
		ck_kind(decoded.segment.fault, WAL_FAULT_NONE);
		store_decoded_free(&decoded);
	}
}
END_TEST

/* By pwrite, or by stores that no call shows? */
static bool an_append_is_a_pwrite(void)
{
	uint64_t before = fault_io_count(&fault, FAULT_OP_PWRITE);

	log_put(&handle, "line\n");
	return fault_io_count(&fault, FAULT_OP_PWRITE) > before;
}

START_TEST(small_appends_that_are_synced_one_by_one_are_written_by_pwrite)
{
	log_prepare(&handle, test_path("store"), &fault.io);
	handle.options.io_method = WAL_IO_AUTO;
	handle.options.segment_size = 64 * TEST_BLOCK;
	ck_ok(log_open(&handle));
	wal = handle.log;
	ck_assert(!an_append_is_a_pwrite());
	for (int i = 0; i < 20; i++) {
		log_put(&handle, "line\n");
		ck_ok(wal_log_sync(wal));
	}
	ck_assert(an_append_is_a_pwrite());
	/* A segment in which nobody asks for a sync is followed by mapped ones. */
	for (int i = 0; i < 4; i++) {
		log_put(&handle, "line\n");
		ck_ok(wal_log_rotate(wal));
	}
	ck_assert(!an_append_is_a_pwrite());
	ck_ok(log_close(&handle));
	ck_ok(log_open(&handle));
	wal = handle.log;
	ck_assert_uint_eq(position().next_event, 1 + 1 + 20 + 1 + 4 + 1);
}
END_TEST

/* --- holds ----------------------------------------------------------------------- */

/* An attempt to prepare a segment that began before there was space may still fail. */
static void hold_with_space(struct wal_hold *hold, uint32_t size)
{
	int err;

	wait_until((err = wal_log_hold(wal, hold, size)) != -ENOSPC);
	ck_ok(err);
}

START_TEST(what_is_held_cannot_fail_for_lack_of_space)
{
	unsigned seed = 1;

	open_log();
	for (int round = 0; round < 40; round++) {
		struct wal_hold holds[4] = {{0}};
		uint32_t sizes[4];

		fault_io_reset(&fault); /* there is space */
		for (int i = 0; i < 4; i++) {
			sizes[i] = 1 + (unsigned)rand_r(&seed) % 900;
			hold_with_space(&holds[i], sizes[i]);
		}
		/* The disk is full from here on; others append what they can. */
		fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
		while (put_size(1 + (unsigned)rand_r(&seed) % 300) == 1)
			;
		for (int i = 3; i >= 0; i--) {
			struct wal_record record = {big, sizes[i], 0};

			ck_assert_int_eq(wal_log_append(wal, &record, 1, &holds[i]), 1);
			ck_assert_uint_eq(holds[i].cost_bytes, 0);
		}
	}
}
END_TEST

START_TEST(a_hold_covers_the_resume_record_too)
{
	/* Whatever is left in the segment: what can be held can be appended. */
	const uint32_t left = 24 * (unsigned)_i;
	struct wal_hold hold = {0};
	struct wal_record record = {"x", 1, 0};
	pid_t child = fork();
	int status;

	if (child == 0) { /* fills the segment until `left` bytes are left, and dies */
		log_prepare(&handle, test_path(STORE), NULL);
		if (log_open(&handle))
			_exit(1);
		wal = handle.log;
		for (int i = 0; i < 3; i++)
			put_size(3900);
		put_size(3900 - 16 - left);
		_exit(position().segment == 1 ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	open_log();
	ck_ok(wal_log_hold(wal, &hold, 1));
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	ck_assert_int_eq(wal_log_append(wal, &record, 1, &hold), 1);
	ck_assert_uint_eq(hold.cost_bytes, 0);
}
END_TEST

START_TEST(holds_are_bounded_and_can_be_given_back)
{
	struct wal_hold holds[64] = {{0}};
	size_t n = 0;
	int err = 0;

	open_log();
	while (n < 64 && (err = wal_log_hold(wal, &holds[n], 500)) == 0)
		n++;
	ck_assert_int_eq(err, -ENOBUFS);
	ck_assert_uint_eq(holds[n].cost_bytes, 0);
	ck_assert_uint_gt(n, 2);
	ck_ok(wal_log_hold(wal, &holds[0], 0));
	ck_ok(wal_log_hold(wal, &holds[n], 500));
	ck_ok(wal_log_hold(wal, &holds[n], 100)); /* smaller is always possible */
	ck_fails(wal_log_hold(wal, &holds[1], wal_log_record_limit(wal) + 1), -EMSGSIZE);
	for (size_t i = 0; i <= n; i++)
		ck_ok(wal_log_hold(wal, &holds[i], 0));
}
END_TEST

START_TEST(a_hold_is_as_before_when_nothing_was_appended)
{
	struct wal_hold hold = {0};
	struct wal_record bad = {big, 0, 0};
	uint64_t cost;

	open_log();
	ck_ok(wal_log_hold(wal, &hold, 700));
	cost = hold.cost_bytes;
	ck_assert_uint_gt(cost, 700);
	ck_fails(wal_log_append(wal, &bad, 1, &hold), -EINVAL);
	ck_assert_uint_eq(hold.cost_bytes, cost);
}
END_TEST

/* --- several threads ------------------------------------------------------------- */

#define THREADS 6
#define EACH 1500

static void *append_many(void *arg)
{
	int thread = (int)(intptr_t)arg;

	for (int i = 0; i < EACH; i++) {
		char line[64];
		struct wal_record record = {line, 0, 0};

		record.size =
			(uint32_t)snprintf(line, sizeof(line), "thread %d line %d\n", thread, i);
		if (wal_log_append(wal, &record, 1, NULL) != 1)
			return arg;
		if (i % 500 == 499 && wal_log_sync(wal))
			return arg;
	}
	return NULL;
}

START_TEST(events_of_several_threads_are_all_there_once_and_in_each_thread_s_order)
{
	struct wal_segment_reader *reader;
	pthread_t threads[THREADS];
	int next[THREADS] = {0};
	uint64_t id = 1;
	void *failed;

	open_log();
	for (intptr_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, append_many, (void *)i), 0);
	for (int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &failed), 0);
		ck_assert_ptr_null(failed);
	}
	for (uint32_t s = 1; s <= wal_log_current(wal); s++) {
		struct wal_event event;
		int thread;
		int line;

		ck_ok(wal_log_reader_open(wal, s, 0, &reader, NULL));
		for (; wal_segment_reader_next(reader, &event) == 1; id++) {
			char text[64] = "";

			memcpy(text, event.payload, event.size < 63 ? event.size : 63);
			ck_assert_int_eq(sscanf(text, "thread %d line %d\n", &thread, &line), 2);
			ck_assert_uint_eq(event.id, id);
			ck_assert_int_eq(line, next[thread]++);
		}
		wal_segment_reader_close(reader);
	}
	ck_assert_uint_eq(id, THREADS * EACH + 1);
}
END_TEST

static Suite *log_append_suite(void)
{
	Suite *suite = suite_create("log_append");
	TCase *t;

	t = log_case(suite, "appending", 60);
	tcase_add_test(t, events_get_ids_times_and_their_bytes);
	tcase_add_test(t, a_batch_has_one_time_and_its_order);
	tcase_add_test(t, records_that_cannot_be_are_refused_and_nothing_of_the_batch_is_taken);
	tcase_add_test(t, a_full_segment_is_sealed_and_the_log_goes_on);
	tcase_add_test(t, a_record_larger_than_an_event_is_a_group_in_one_segment);
	tcase_add_test(t, small_appends_that_are_synced_one_by_one_are_written_by_pwrite);
	t = log_case(suite, "holds", 60);
	tcase_add_test(t, what_is_held_cannot_fail_for_lack_of_space);
	tcase_add_loop_test(t, a_hold_covers_the_resume_record_too, 0, 12);
	tcase_add_test(t, holds_are_bounded_and_can_be_given_back);
	tcase_add_test(t, a_hold_is_as_before_when_nothing_was_appended);
	t = log_case(suite, "several threads", 60);
	tcase_add_test(t, events_of_several_threads_are_all_there_once_and_in_each_thread_s_order);
	return suite;
}

int main(void)
{
	return test_main(log_append_suite());
}
