/* SPDX-License-Identifier: MIT */
/* core/segment_preparer: the next segments are ready before they are needed. */
#include "core/segment/segment_preparer.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support.h"

#define FILE_BYTES (4096 + 4 * TEST_BLOCK)

static struct fault_io fault;
static struct wal_telemetry telemetry;
static struct wal_segment_preparer preparer;

static void begin(void)
{
	fault_io_init(&fault);
	memset(&preparer, 0, sizeof(preparer));
	memset(&telemetry, 0, sizeof(telemetry));
	preparer.io = &fault.io;
	preparer.dirfd = test_dirfd();
	preparer.telemetry = &telemetry;
}

static void end(void)
{
	wal_segment_preparer_stop(&preparer);
	fault_io_destroy(&fault);
}

static void start(uint32_t index, unsigned depth)
{
	const struct wal_segment_shape shape = {index, TEST_BLOCK, FILE_BYTES};

	ck_ok(wal_segment_preparer_start(&preparer, &shape, depth));
}

static void wait_for_ready(unsigned count)
{
	wait_until(wal_segment_preparer_ready(&preparer, NULL) == count);
}

static size_t prepared_files(void)
{
	struct listing listing;

	list_dir(test_dir(), &listing);
	return listing_count(&listing, ".wal.new");
}

START_TEST(as_many_as_asked_are_made_ready_and_no_more)
{
	start(5, 3);
	wait_for_ready(3);
	usleep(20000); /* for one too many, which is not to be seen */
	ck_assert_uint_eq(wal_segment_preparer_ready(&preparer, NULL), 3);
	ck_assert_uint_eq(prepared_files(), 3);
	ck_assert(file_exists(test_path("0000000005.wal.new")));
	ck_assert(file_exists(test_path("0000000007.wal.new")));
}
END_TEST

START_TEST(what_is_ready_is_preallocated_synced_and_zero)
{
	static const uint8_t zeros[FILE_BYTES];
	struct bytes bytes;

	start(1, 1);
	wait_for_ready(1);
	bytes = file_read(test_path("0000000001.wal.new"));
	ck_assert_uint_eq(bytes.size, FILE_BYTES);
	ck_assert_mem_eq(bytes.data, zeros, FILE_BYTES);
	ck_assert_uint_ge(file_blocks(test_path("0000000001.wal.new")), FILE_BYTES / 512);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	bytes_free(&bytes);
}
END_TEST

START_TEST(they_are_taken_in_order_and_others_take_their_place)
{
	start(1, 2);
	for (uint32_t index = 1; index <= 10; index++) {
		struct wal_segment_writer w;

		ck_ok(wal_segment_preparer_wait(&preparer));
		ck_ok(wal_segment_preparer_take(&preparer, &w));
		ck_assert_uint_eq(w.header.index, index);
		ck_assert_uint_eq(w.file_bytes, FILE_BYTES);
		ck_ok(wal_segment_writer_close(&w, false)); /* never published: removed */
	}
	wait_for_ready(2);
	ck_assert_uint_eq(prepared_files(), 2);
}
END_TEST

START_TEST(taking_never_waits)
{
	struct wal_segment_writer w;

	fault_io_fail_ops(&fault, 1u << FAULT_OP_CREATE, -EIO, 0);
	start(1, 1);
	ck_fails(wal_segment_preparer_take(&preparer, &w), -EAGAIN);
}
END_TEST

static const enum fault_op failing[] = {FAULT_OP_CREATE, FAULT_OP_ALLOCATE, FAULT_OP_FDATASYNC};

START_TEST(no_space_is_told_to_who_waits)
{
	fault_io_fail_ops(&fault, 1u << failing[_i], -ENOSPC, 0);
	start(1, 2);
	for (int i = 0; i < 3; i++)
		ck_fails(wal_segment_preparer_wait(&preparer), -ENOSPC);
	ck_assert_uint_ge(fault.failed, 3); /* each had it tried anew */
	ck_assert_uint_eq(wal_segment_preparer_ready(&preparer, NULL), 0);
	fault_io_reset(&fault);
	/* An attempt that began before there was space may still be told of. */
	wait_until(wal_segment_preparer_wait(&preparer) == 0);
	wait_for_ready(2);
	ck_assert(file_exists(test_path("0000000001.wal.new")));
}
END_TEST

START_TEST(without_space_for_a_whole_segment_nothing_is_begun)
{
	fault.free_bytes = FILE_BYTES - 1;
	start(1, 2);
	for (int i = 0; i < 3; i++)
		ck_fails(wal_segment_preparer_wait(&preparer), -ENOSPC);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_CREATE), 0);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_ALLOCATE), 0);
	fault.free_bytes = 2 * FILE_BYTES;
	ck_ok(wal_segment_preparer_wait(&preparer)); /* at once, however young the answer is */
	wait_for_ready(2);
}
END_TEST

/* 0: it is seen that there is no space; 1: a quota cannot be seen. */
START_TEST(an_answer_that_is_young_is_not_asked_for_again)
{
	uint64_t attempts;

	fault_io_set_clock(&fault, TEST_TIME, 0);
	fault.free_bytes = _i == 0 ? 0 : UINT64_MAX;
	if (_i == 1)
		fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -EDQUOT, 0);
	start(1, 1);
	ck_fails(wal_segment_preparer_wait(&preparer), _i == 0 ? -ENOSPC : -EDQUOT);
	pthread_mutex_lock(&preparer.lock);
	attempts = preparer.attempts;
	pthread_mutex_unlock(&preparer.lock);
	for (int i = 0; i < 1000; i++)
		ck_fails(wal_segment_preparer_wait(&preparer), _i == 0 ? -ENOSPC : -EDQUOT);
	pthread_mutex_lock(&preparer.lock);
	ck_assert_uint_le(preparer.attempts, attempts + 10); /* its own, now and then */
	attempts = preparer.attempts;
	pthread_mutex_unlock(&preparer.lock);
	fault_io_set_clock(&fault, TEST_TIME + 1000000000, 0);
	ck_fails(wal_segment_preparer_wait(&preparer), _i == 0 ? -ENOSPC : -EDQUOT);
	pthread_mutex_lock(&preparer.lock);
	ck_assert_uint_gt(preparer.attempts, attempts);
	pthread_mutex_unlock(&preparer.lock);
}
END_TEST

START_TEST(nothing_half_made_stays)
{
	fault_io_fail_ops(&fault, 1u << failing[_i], -ENOSPC, 0);
	start(1, 2);
	for (int i = 0; i < 3; i++)
		ck_fails(wal_segment_preparer_wait(&preparer), -ENOSPC);
	wal_segment_preparer_stop(&preparer); /* until then another attempt may be under way */
	ck_assert_uint_eq(prepared_files(), 0);
}
END_TEST

START_TEST(it_is_tried_again_though_nobody_waits)
{
	fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -ENOSPC, 1);
	start(1, 1);
	wait_for_ready(1);
	ck_assert_uint_eq(fault.failed, 1);
}
END_TEST

START_TEST(one_that_gave_up_tries_no_more_and_keeps_nobody_waiting)
{
	fault_io_fail_ops(&fault, 1u << FAULT_OP_CREATE, -ENOSPC, 0);
	start(1, 2);
	ck_fails(wal_segment_preparer_wait(&preparer), -ENOSPC);
	wal_segment_preparer_give_up(&preparer);
	wait_until(wal_segment_preparer_wait(&preparer) == -EROFS);
	fault_io_reset(&fault);
	for (int i = 0; i < 3; i++)
		ck_fails(wal_segment_preparer_wait(&preparer), -EROFS);
	ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_CREATE), 1); /* one was under way */
}
END_TEST

static struct {
	unsigned calls;
	int errors[8];
} changes;

static void on_change(void *ctx, uint32_t segment, int error)
{
	(void)ctx;
	ck_assert_uint_eq(segment, 1);
	if (changes.calls < 8)
		changes.errors[changes.calls] = error;
	changes.calls++;
}

START_TEST(a_change_is_told_once_each_way)
{
	memset(&changes, 0, sizeof(changes));
	preparer.changed = on_change;
	fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -EDQUOT, 3);
	start(1, 1);
	while (wal_segment_preparer_wait(&preparer))
		;
	wait_for_ready(1);
	wal_segment_preparer_stop(&preparer);
	ck_assert_uint_eq(changes.calls, 2);
	ck_assert_int_eq(changes.errors[0], -EDQUOT);
	ck_assert_int_eq(changes.errors[1], 0);
}
END_TEST

START_TEST(a_file_that_is_in_the_way_is_left_alone_and_stops_nothing)
{
	struct bytes bytes;

	file_write(test_path("0000000002.wal.new"), "mine", 4);
	start(1, 3);
	wait_for_ready(3);
	bytes = file_read(test_path("0000000002.wal.new"));
	ck_assert_uint_eq(bytes.size, 4);
	bytes_free(&bytes);
	ck_assert(file_exists(test_path("0000000002.wal.new-1")));
}
END_TEST

START_TEST(stopping_removes_what_was_not_taken)
{
	struct listing listing;

	start(1, 4);
	wait_for_ready(4);
	wal_segment_preparer_stop(&preparer);
	list_dir(test_dir(), &listing);
	ck_assert_uint_eq(listing.count, 0);
	wal_segment_preparer_stop(&preparer); /* again is nothing */
}
END_TEST

START_TEST(stopping_at_any_moment_leaves_nothing_behind)
{
	struct listing listing;

	for (unsigned i = 0; i < 50; i++) {
		start(1, 2);
		usleep(i * 37 % 500); /* the moment, which is what is tested */
		wal_segment_preparer_stop(&preparer);
		list_dir(test_dir(), &listing);
		ck_assert_uint_eq(listing.count, 0);
	}
}
END_TEST

static Suite *segment_preparer_suite(void)
{
	Suite *suite = suite_create("segment_preparer");
	TCase *t = test_case(suite, "segment_preparer", 30);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, as_many_as_asked_are_made_ready_and_no_more);
	tcase_add_test(t, what_is_ready_is_preallocated_synced_and_zero);
	tcase_add_test(t, they_are_taken_in_order_and_others_take_their_place);
	tcase_add_test(t, taking_never_waits);
	tcase_add_loop_test(t, no_space_is_told_to_who_waits, 0, 3);
	tcase_add_test(t, without_space_for_a_whole_segment_nothing_is_begun);
	tcase_add_loop_test(t, an_answer_that_is_young_is_not_asked_for_again, 0, 2);
	tcase_add_loop_test(t, nothing_half_made_stays, 0, 3);
	tcase_add_test(t, it_is_tried_again_though_nobody_waits);
	tcase_add_test(t, one_that_gave_up_tries_no_more_and_keeps_nobody_waiting);
	tcase_add_test(t, a_change_is_told_once_each_way);
	tcase_add_test(t, a_file_that_is_in_the_way_is_left_alone_and_stops_nothing);
	tcase_add_test(t, stopping_removes_what_was_not_taken);
	tcase_add_test(t, stopping_at_any_moment_leaves_nothing_behind);
	return suite;
}

int main(void)
{
	return test_main(segment_preparer_suite());
}
