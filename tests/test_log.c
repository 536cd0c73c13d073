/* SPDX-License-Identifier: MIT */
/* The log: appending, holding, rotating, syncing, and what happens when the system fails. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support.h"

#define STORE "store"
#define FILE_BYTES (4096 + 4 * TEST_BLOCK)
#define OP(name) (1u << FAULT_OP_##name)

static struct fault_io fault;
static struct test_log_handle handle;
static struct wal_log *wal;
static char big[64 * TEST_BLOCK];

static void begin(void)
{
	fault_io_init(&fault);
	wal = NULL;
	memset(big, 'b', sizeof(big));
}

static void end(void)
{
	if (handle.log)
		log_close(&handle);
	fault_io_destroy(&fault);
}

/* Until the next segment is ready, so that no thread makes a call that a test counts. */
static void settle(void)
{
	struct wal_stats stats;

	for (int ms = 0; ms < 5000; ms++) {
		wal_log_stats(wal, &stats);
		if (stats.ready_segments >= handle.options.prepare_segments)
			return;
		usleep(1000);
	}
	ck_abort_msg("no segment gets ready");
}

static void open_log(void)
{
	log_open_ok(&handle, test_path(STORE), &fault.io);
	wal = handle.log;
	settle();
}

/* Until the preparer has failed to make a segment ready. */
static void settle_failed(void)
{
	struct wal_stats stats;

	for (int ms = 0; ms < 5000; ms++) {
		wal_log_stats(wal, &stats);
		if (stats.ready_segments == 0 &&
		    (stats.no_space || log_noticed(&handle, "cannot be prepared")))
			return;
		usleep(1000);
	}
	ck_abort_msg("preparing does not fail");
}

/* Where the preparer shall fail at once. */
static void open_log_unsettled(void)
{
	log_open_ok(&handle, test_path(STORE), &fault.io);
	wal = handle.log;
}

static void close_log(void)
{
	ck_ok(log_close(&handle));
	wal = NULL;
}

static struct wal_log_position position(void)
{
	struct wal_log_position p;

	wal_log_position(wal, &p);
	return p;
}

static ssize_t put_size(uint32_t size)
{
	struct wal_record record = {.data = big, .size = size};

	return wal_log_append(wal, &record, 1, NULL);
}

/* Reads the whole log; the lines are event 1 to last. */
static void assert_log_lines(uint64_t last)
{
	uint32_t indexes[64];
	size_t n = wal_log_segments(wal, 0, indexes, 63);
	uint64_t id = 1;

	if (wal_log_current(wal))
		indexes[n++] = wal_log_current(wal);
	for (size_t i = 0; i < n; i++) {
		struct wal_segment_reader *reader;
		struct wal_event event;

		ck_ok(wal_log_reader_open(wal, indexes[i], 0, &reader, NULL));
		for (; wal_segment_reader_next(reader, &event) == 1; id++) {
			char line[32];
			int length = snprintf(line, sizeof(line), "event %llu\n",
					      (unsigned long long)id);

			ck_assert_uint_eq(event.id, id);
			ck_assert_uint_eq(event.size, (unsigned)length);
			ck_assert_mem_eq(event.payload, line, (size_t)length);
		}
		wal_segment_reader_close(reader);
	}
	ck_assert_uint_eq(id, last + 1);
}

/* --- opening -------------------------------------------------------------------- */

START_TEST(a_new_store_is_made_for_its_owner_alone)
{
	struct stat st;

	open_log();
	ck_assert_int_eq(stat(test_path(STORE), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_uint_eq(position().segment, 1);
	ck_assert_uint_eq(position().next_event, 1);
	ck_assert(!wal_log_is_read_only(wal));
}
END_TEST

START_TEST(what_is_made_has_its_mode_whatever_the_umask)
{
	mode_t before = umask(0777);
	struct stat st;

	open_log();
	umask(before);
	ck_assert_int_eq(stat(test_path(STORE), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0700);
	ck_assert_int_eq(stat(test_path(STORE "/wal.meta"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(stat(test_path(STORE "/0000000001.wal"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(two_stores_have_two_uuids)
{
	struct test_log_handle other;
	uint8_t a[16];
	uint8_t b[16];

	open_log();
	log_open_ok(&other, test_path("other"), &fault.io);
	wal_log_uuid(wal, a);
	wal_log_uuid(other.log, b);
	ck_assert_mem_ne(a, b, 16);
	ck_assert_uint_eq(a[6] >> 4, 4); /* RFC 9562: random */
	ck_assert_uint_eq(a[8] >> 6, 2);
	ck_ok(log_close(&other));
}
END_TEST

static const struct {
	const char *name;
	uint32_t block_size;
	uint64_t segment_size;
} bad_options[] = {
	{"no power of two", 5000, 0},
	{"a block too small", 2048, 0},
	{"a block too large", 1u << 25, 0},
	{"a segment without a block", 65536, 4096},
	{"a segment beyond 4 GiB", 0, UINT64_C(1) << 33},
};

START_TEST(options_out_of_range_are_refused_with_a_word)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.block_size = bad_options[_i].block_size;
	handle.options.segment_size = bad_options[_i].segment_size;
	ck_fails(log_open(&handle), -EINVAL);
	ck_assert_str_ne(handle.error.text, "");
	ck_assert_ptr_null(handle.log);
}
END_TEST

START_TEST(a_segment_is_rounded_down_to_whole_blocks)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.segment_size = 3 * TEST_BLOCK + 4095;
	ck_ok(log_open(&handle));
	ck_assert_uint_eq(file_size(store_segment_path(test_path(STORE), 1)),
			  4096 + 3 * TEST_BLOCK);
}
END_TEST

START_TEST(sizes_not_given_are_those_of_the_store)
{
	struct wal_store_info info;

	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.framing = (struct wal_framing){WAL_FRAME_FIXED, 64};
	ck_ok(log_open(&handle));
	ck_ok(log_close(&handle));
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.block_size = 0;
	handle.options.segment_size = 0;
	handle.options.framing = (struct wal_framing){WAL_FRAME_NONE, 0};
	ck_ok(log_open(&handle));
	ck_assert_int_eq(wal_log_framing(handle.log).kind, WAL_FRAME_FIXED);
	ck_assert_uint_eq(wal_log_framing(handle.log).size, 64);
	ck_ok(wal_store_info_read(test_path(STORE), &info, NULL));
	ck_assert_uint_eq(info.block_size, TEST_BLOCK);
	ck_assert_uint_eq(info.segment_size, 4096 + 4 * TEST_BLOCK);
	ck_assert_uint_eq(info.framing.size, 64);
	wal_store_info_destroy(&info);
}
END_TEST

static void expect_no_open(const char *path, int error, const char *word)
{
	struct test_log_handle other;

	log_prepare(&other, path, &fault.io);
	ck_fails(log_open(&other), error);
	ck_assert_int_eq(other.error.code, error);
	ck_assert_msg(strstr(other.error.text, word), "\"%s\" does not say %s", other.error.text,
		      word);
	ck_assert_ptr_null(other.log);
}

START_TEST(what_cannot_be_a_store_is_refused_with_the_way_out)
{
	file_write(test_path("file"), "x", 1);
	expect_no_open(test_path("file"), -ENOTDIR, "file");
	expect_no_open(test_path("no/such"), -ENOENT, "no/such");
	ck_assert_int_eq(mkdir(test_path("full"), 0700), 0);
	file_write(test_path("full/letter"), "x", 1);
	expect_no_open(test_path("full"), -ENOTEMPTY, "full");
}
END_TEST

START_TEST(a_store_that_is_held_names_its_holder)
{
	char holder[64];
	int to_child[2];
	int to_parent[2];
	pid_t child;
	char byte = 0;

	ck_assert_int_eq(pipe(to_child), 0);
	ck_assert_int_eq(pipe(to_parent), 0);
	child = fork();
	if (child == 0) {
		log_prepare(&handle, test_path(STORE), NULL);
		if (log_open(&handle))
			_exit(1);
		if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(2);
		_exit(0);
	}
	ck_assert_int_eq(read(to_parent[0], &byte, 1), 1);
	snprintf(holder, sizeof(holder), "(pid %d)", (int)child);
	expect_no_open(test_path(STORE), -EBUSY, holder);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_fails(log_open(&handle), -EBUSY);
	ck_assert_int_eq(write(to_child[1], &byte, 1), 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	open_log();
}
END_TEST

START_TEST(several_may_look_at_a_store_that_nobody_writes)
{
	struct test_log_handle second;

	open_log();
	log_put_lines(&handle, 1, 10);
	close_log();
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_ok(log_open(&handle));
	log_prepare(&second, test_path(STORE), &fault.io);
	second.options.read_only = true;
	ck_ok(log_open(&second));
	ck_ok(log_close(&second));
	expect_no_open(test_path(STORE), -EBUSY, "(pid");
}
END_TEST

START_TEST(a_read_only_log_takes_nothing_and_changes_nothing)
{
	struct listing before;
	struct listing after;
	struct wal_hold hold = {0};

	open_log();
	log_put_lines(&handle, 1, 400);
	close_log();
	list_dir(test_path(STORE), &before);
	fault_io_reset(&fault);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_ok(log_open(&handle));
	wal = handle.log;
	ck_assert(wal_log_is_read_only(wal));
	assert_log_lines(400);
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	ck_fails(wal_log_hold(wal, &hold, 10), -EROFS);
	ck_fails(wal_log_rotate(wal), -EROFS);
	ck_ok(wal_log_sync(wal));
	close_log();
	ck_assert_uint_eq(fault.calls, 0);
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}
END_TEST

START_TEST(a_read_only_look_at_nothing_is_an_error_and_makes_nothing)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_only = true;
	ck_assert_int_lt(log_open(&handle), 0);
	ck_assert_str_ne(handle.error.text, "");
	log_prepare(&handle, test_path("nowhere"), &fault.io);
	handle.options.read_only = true;
	ck_fails(log_open(&handle), -ENOENT);
	ck_assert(!file_exists(test_path("nowhere")));
	ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

START_TEST(R10_a_read_only_file_system_names_the_option)
{
	open_log();
	log_put_lines(&handle, 1, 10);
	close_log();
	fault_io_fail_ops(&fault, (1u << FAULT_OPS) - 1, -EROFS, 0);
	expect_no_open(test_path(STORE), -EROFS, "ro");
	fault_io_reset(&fault);
}
END_TEST

/* --- appending ------------------------------------------------------------------------- */

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
		ck_assert_uint_eq(decoded.segment.compat, 0); /* by the writer */
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

#define SECOND UINT64_C(1000000000)

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

/* --- rotating ------------------------------------------------------------------------------ */

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

START_TEST(a_finished_segment_is_known_once_it_was_read)
{
	struct wal_segment_info known, info;

	open_log();
	log_put_lines(&handle, 1, 7);
	ck_ok(wal_log_rotate(wal));
	close_log();
	open_log();
	ck_fails(wal_log_segment_known(wal, 1, &known), -EAGAIN);
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_ok(wal_log_segment_known(wal, 1, &known));
	ck_assert_uint_eq(known.last_event, 7);
	ck_assert_uint_eq(known.payload_bytes, info.payload_bytes);
	ck_assert_uint_eq(known.file_bytes, info.file_bytes);
	ck_assert_uint_eq(known.closed_ns, info.closed_ns);
	ck_kind(known.fault.kind, WAL_FAULT_NONE);
	ck_ok(wal_log_segment_known(wal, wal_log_current(wal), &known));
	ck_assert_int_eq(known.state, WAL_ACTIVE);
	ck_fails(wal_log_segment_known(wal, 9, &known), -ENOENT);
}
END_TEST

START_TEST(an_active_segment_is_known_as_it_is_now)
{
	struct wal_segment_info info;

	open_log();
	for (uint64_t id = 1; id <= 200; id++) {
		log_put_lines(&handle, id, id);
		ck_ok(wal_log_segment_info(wal, 1, &info));
		ck_assert_uint_eq(info.last_event, id);
		ck_assert_uint_eq(info.event_count, id);
		ck_assert_uint_eq(info.payload_bytes, position().payload_bytes);
	}
}
END_TEST

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

/* --- holds ------------------------------------------------------------------------------------ */

/* An attempt to prepare a segment that began before there was space may still fail. */
static void hold_with_space(struct wal_hold *hold, uint32_t size)
{
	int err = -ENOSPC;

	for (int ms = 0; ms < 1000 && err == -ENOSPC; ms++) {
		err = wal_log_hold(wal, hold, size);
		if (err)
			usleep(1000);
	}
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

/* --- syncing -------------------------------------------------------------------------------- */

START_TEST(a_sync_makes_everything_before_it_durable)
{
	open_log();
	log_put_lines(&handle, 1, 20);
	ck_assert_uint_eq(position().durable_event, 0);
	fault_io_reset(&fault);
	ck_ok(wal_log_sync(wal));
	ck_assert_uint_eq(position().durable_event, 20);
	ck_assert_uint_ge(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	fault_io_reset(&fault);
	ck_ok(wal_log_sync(wal)); /* nothing new: nothing to do */
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 0);
}
END_TEST

START_TEST(closing_makes_everything_durable_and_says_so)
{
	struct oracle_slot slot;

	open_log();
	log_put_lines(&handle, 1, 20);
	close_log();
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, ORACLE_CLEAN);
	ck_assert_uint_eq(slot.durable_segment, 1);
	ck_assert_uint_eq(slot.durable_event, 20);
	ck_assert_uint_eq(slot.incarnation, 1);
	open_log();
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, 0); /* open: not clean, before the first append */
	ck_assert_uint_eq(slot.incarnation, 1);
}
END_TEST

START_TEST(the_position_on_disk_is_never_ahead_and_soon_there)
{
	struct oracle_slot slot = {0};

	open_log();
	log_put_lines(&handle, 1, 20);
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.durable_event, 0);
	ck_ok(wal_log_sync(wal));
	for (int ms = 0; ms < 1500 && slot.durable_event < 20; ms += 10) {
		usleep(10000);
		slot = store_slot(test_path(STORE));
	}
	ck_assert_uint_eq(slot.durable_event, 20);
}
END_TEST

START_TEST(an_interval_syncs_without_being_asked)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.sync_interval_ms = 20;
	ck_ok(log_open(&handle));
	wal = handle.log;
	log_put_lines(&handle, 1, 5);
	for (int ms = 0; ms < 2000 && position().durable_event < 5; ms += 5)
		usleep(5000);
	ck_assert_uint_eq(position().durable_event, 5);
	fault_io_reset(&fault);
	usleep(200000);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 0); /* nothing was appended */
}
END_TEST

struct counted_sync {
	struct wal_sync sync; /* first */
	atomic_int calls;
	atomic_int error;
};

static void count_done(struct wal_sync *sync, int error)
{
	struct counted_sync *counted = (struct counted_sync *)sync;

	atomic_store(&counted->error, error);
	atomic_fetch_add(&counted->calls, 1);
}

#define SYNCS 64

static void wait_for_syncs(struct counted_sync *syncs)
{
	for (int i = 0; i < SYNCS; i++) {
		for (int ms = 0; ms < 5000 && atomic_load(&syncs[i].calls) == 0; ms++)
			usleep(1000);
		ck_assert_int_eq(atomic_load(&syncs[i].calls), 1);
	}
}

START_TEST(syncs_that_come_while_one_runs_share_the_next)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	fault_io_reset(&fault);
	fault.sync_delay_us = 20000;
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		wal_log_sync_start(wal, &syncs[i].sync);
	}
	wait_for_syncs(syncs);
	for (int i = 0; i < SYNCS; i++)
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	ck_assert_uint_eq(position().durable_event, SYNCS);
	/* The first alone, the rest together; one more for a slow machine, and wal.meta's own. */
	ck_assert_uint_le(fault_io_count(&fault, FAULT_OP_FDATASYNC), 6);
	fault.sync_delay_us = 0;
}
END_TEST

static void *lead_in_thread(void *arg)
{
	wal_log_sync_lead(wal);
	return arg;
}

static void *close_in_thread(void *arg)
{
	close_log();
	return arg;
}

START_TEST(who_joins_first_leads_and_answers_for_all)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		ck_assert_int_eq(wal_log_sync_join(wal, &syncs[i].sync), i == 0);
	}
	/* Nobody else commits meanwhile, however many ask. */
	ck_assert_uint_eq(position().durable_event, 0);
	wal_log_sync_lead(wal);
	for (int i = 0; i < SYNCS; i++) {
		ck_assert_int_eq(atomic_load(&syncs[i].calls), 1);
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	}
	ck_assert_uint_eq(position().durable_event, SYNCS);
	/* The next one finds nobody at it again. */
	log_put(&handle, "line\n");
	ck_assert(wal_log_sync_join(wal, &syncs[0].sync));
	wal_log_sync_lead(wal);
}
END_TEST

static struct wal_stats get_stats(void)
{
	struct wal_stats stats;

	wal_log_stats(wal, &stats);
	return stats;
}

static uint64_t syncs_done(void)
{
	return get_stats().counters[WAL_COUNT_SYNCS];
}

START_TEST(a_sync_of_what_is_durable_already_is_answered_at_once)
{
	static struct counted_sync syncs[2];
	uint64_t before;

	open_log();
	log_put(&handle, "line\n");
	ck_ok(wal_log_sync(wal));
	before = syncs_done();
	syncs[0].sync.done = syncs[1].sync.done = count_done;
	ck_assert(!wal_log_sync_join(wal, &syncs[0].sync));
	wal_log_sync_start(wal, &syncs[1].sync);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(atomic_load(&syncs[i].calls), 1);
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	}
	ck_assert_uint_eq(syncs_done(), before);
}
END_TEST

/* The first sync covers what was appended before it began, whoever asks for that meanwhile. */
START_TEST(who_asks_during_a_sync_that_covers_him_needs_no_other)
{
	static struct counted_sync syncs[3];
	pthread_t leader;
	uint64_t before;

	open_log();
	before = syncs_done();
	log_put_lines(&handle, 1, 2);
	for (int i = 0; i < 3; i++)
		syncs[i].sync.done = count_done;
	fault.sync_delay_us = 300000;
	ck_assert(wal_log_sync_join(wal, &syncs[0].sync));
	ck_assert_int_eq(pthread_create(&leader, NULL, lead_in_thread, NULL), 0);
	while (get_stats().sync_waiters > 0) /* until the leader has taken it, and begins */
		usleep(1000);
	ck_assert(!wal_log_sync_join(wal, &syncs[1].sync));
	log_put_lines(&handle, 3, 3);
	ck_assert(!wal_log_sync_join(wal, &syncs[2].sync));
	ck_assert_int_eq(atomic_load(&syncs[1].calls), 0);
	for (int ms = 0; ms < 5000 && atomic_load(&syncs[1].calls) == 0; ms++)
		usleep(1000);
	ck_assert_int_eq(atomic_load(&syncs[1].calls), 1);
	ck_assert_int_eq(atomic_load(&syncs[1].error), 0);
	ck_assert_int_eq(atomic_load(&syncs[2].calls), 0);
	pthread_join(leader, NULL);
	ck_assert_int_eq(atomic_load(&syncs[2].calls), 1);
	ck_assert_uint_eq(position().durable_event, 3);
	ck_assert_uint_eq(syncs_done(), before + 2);
	fault.sync_delay_us = 0;
}
END_TEST

START_TEST(a_lead_that_is_passed_on_is_taken_up_by_the_logs_own_thread)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		if (wal_log_sync_join(wal, &syncs[i].sync))
			wal_log_sync_pass(wal);
	}
	wait_for_syncs(syncs);
	for (int i = 0; i < SYNCS; i++)
		ck_assert_int_eq(atomic_load(&syncs[i].error), 0);
	ck_assert_uint_eq(position().durable_event, SYNCS);
}
END_TEST

START_TEST(a_lead_that_was_not_taken_up_yet_is_waited_for_at_close)
{
	static struct counted_sync sync;
	pthread_t closer;

	open_log();
	log_put(&handle, "line\n");
	sync.sync.done = count_done;
	ck_assert(wal_log_sync_join(wal, &sync.sync));
	ck_assert_int_eq(pthread_create(&closer, NULL, close_in_thread, NULL), 0);
	usleep(20000);
	ck_assert_int_eq(atomic_load(&sync.calls), 0);
	wal_log_sync_lead(wal);
	pthread_join(closer, NULL);
	ck_assert_int_eq(atomic_load(&sync.calls), 1);
	ck_assert_int_eq(atomic_load(&sync.error), 0);
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

START_TEST(closing_answers_every_sync_that_was_started)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	fault.sync_delay_us = 5000;
	for (int i = 0; i < SYNCS; i++) {
		log_put_lines(&handle, (uint64_t)i + 1, (uint64_t)i + 1);
		syncs[i].sync.done = count_done;
		wal_log_sync_start(wal, &syncs[i].sync);
	}
	close_log();
	wait_for_syncs(syncs);
	fault.sync_delay_us = 0;
}
END_TEST

/* --- several threads ----------------------------------------------------------------------- */

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

static void expect_sound_store(void)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct wal_error error;

	ck_ok(wal_verify_store(test_path(STORE), &options, &result, &error));
	ck_assert_msg(result.faults == 0, "%s: %s (%s)", result.first_name,
		      wal_fault_kind_name(result.first.kind), result.first.detail);
}

/* --- no space -------------------------------------------------------------------------------- */

START_TEST(no_space_for_a_new_store_is_an_error)
{
	fault_io_fail_ops(&fault, OP(ALLOCATE), -ENOSPC, 0);
	expect_no_open(test_path(STORE), -ENOSPC, STORE);
	fault_io_reset(&fault);
	open_log();
	ck_assert_uint_eq(position().next_event, 1);
}
END_TEST

/* Appends lines until one fails. Return: the last id. */
static uint64_t fill_until(int expected)
{
	uint64_t id = position().next_event;
	ssize_t n;

	for (;; id++) {
		char line[32];

		snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)id);
		n = log_put(&handle, line);
		if (n != 1)
			break;
	}
	ck_assert_int_eq(n, expected);
	return id - 1;
}

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

/* A copy-on-write disk may have no space to write into a segment that is all there. */
static void open_gathering(void)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.io_method = WAL_IO_PWRITE;
	ck_ok(log_open(&handle));
	wal = handle.log;
	settle();
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
	for (int ms = 0; ms < 5000 && has_prepared_name(); ms++)
		usleep(1000);
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
	settle();
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
	usleep(250000); /* it does not look for space with every append */
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
	usleep(250000);
	log_put_lines(&handle, 51, 52);
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_EVENTS], 2);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_APPENDS], 2);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_APPEND_ERRORS], 1);
}
END_TEST

static void *look(void *stop)
{
	struct wal_stats stats;

	while (!atomic_load((atomic_bool *)stop))
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
	usleep(20000);
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
		usleep(250000);
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
		usleep(250000);
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
	usleep(250000);
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
	usleep(250000);
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

/* --- faults ---------------------------------------------------------------------------------- */

START_TEST(a_failed_sync_makes_the_log_read_only_and_is_never_a_success_later)
{
	struct oracle_slot slot;
	struct wal_stats stats;

	open_log();
	log_put_lines(&handle, 1, 5);
	ck_ok(wal_log_sync(wal));
	log_put_lines(&handle, 6, 10);
	fault_io_fail_ops(&fault, OP(FDATASYNC), -EIO, 1);
	ck_fails(wal_log_sync(wal), -EIO);
	fault_io_reset(&fault); /* the next fdatasync would say 0 */
	ck_assert_int_lt(wal_log_sync(wal), 0);
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_ERRORS], 1);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_REFUSALS], 2);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_SYNC_REQUESTS], 1);
	ck_assert_str_eq(stats.failure, "0000000001.wal: sync failed: Input/output error");
	ck_fails(log_put(&handle, "no\n"), -EROFS);
	ck_fails(wal_log_rotate(wal), -EROFS);
	ck_assert_uint_eq(position().durable_event, 5);
	ck_assert_uint_gt(handle.notices.warnings, 0);
	assert_log_lines(10); /* still readable */
	ck_assert_int_lt(log_close(&handle), 0);
	slot = store_slot(test_path(STORE));
	ck_assert_uint_eq(slot.flags, 0);
	ck_assert_uint_eq(slot.durable_event, 5); /* what was promised is not forgotten */
	open_log();				  /* mounted again: what the disk has */
	ck_assert_uint_eq(position().next_event, 11);
	ck_assert_uint_eq(store_slot(test_path(STORE)).incarnation, 2);
}
END_TEST

START_TEST(every_sync_of_a_failed_group_fails)
{
	static struct counted_sync syncs[SYNCS];

	open_log();
	fault.sync_delay_us = 20000;
	fault_io_fail_ops(&fault, OP(FDATASYNC), -EIO, 0);
	for (int i = 0; i < SYNCS; i++) {
		log_put(&handle, "line\n");
		syncs[i].sync.done = count_done;
		wal_log_sync_start(wal, &syncs[i].sync);
	}
	wait_for_syncs(syncs);
	for (int i = 0; i < SYNCS; i++)
		ck_assert_int_lt(atomic_load(&syncs[i].error), 0);
	fault.sync_delay_us = 0;
	ck_assert_int_lt(log_close(&handle), 0);
}
END_TEST

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
	settle();
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

START_TEST(a_meta_file_that_cannot_be_written_makes_the_log_read_only)
{
	open_log();
	log_put_lines(&handle, 1, 5);
	fault_io_fail_ops(&fault, OP(PWRITE), -EIO, 0);
	ck_ok(wal_log_sync(wal));
	for (int ms = 0; ms < 3000 && log_put(&handle, "event 6\n") == 1; ms += 10)
		usleep(10000);
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

START_TEST(a_segment_found_damaged_is_damaged_from_then_on)
{
	struct wal_segment_info info;
	struct wal_fault found = {.kind = WAL_FAULT_CHAIN,
				  .segment = 1,
				  .block = 3,
				  .offset = 4711,
				  .detail = "of that kind"};

	open_log();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_rotate(wal));
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_SEALED);
	ck_assert(wal_log_mark_damaged(wal, 1, &found));
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_assert_int_eq(info.state, WAL_DAMAGED);
	ck_kind(info.fault.kind, WAL_FAULT_CHAIN);
	ck_assert_uint_eq(info.fault.segment, 1);
	ck_assert_uint_eq(info.fault.block, 3);
	ck_assert_uint_eq(info.fault.offset, 4711);
	ck_assert_str_eq(info.fault.detail, found.detail);
	found.kind = WAL_FAULT_MAGIC;
	ck_assert(!wal_log_mark_damaged(wal, 1, &found)); /* the first stays */
	ck_ok(wal_log_segment_info(wal, 1, &info));
	ck_kind(info.fault.kind, WAL_FAULT_CHAIN);
}
END_TEST

/* In whichever order and however often they are read. */
START_TEST(each_bad_block_is_news_and_counted_once)
{
	static const uint32_t blocks[] = {7, 3, 4000, WAL_NO_BLOCK, 3, 7, 8, 4000, WAL_NO_BLOCK};
	static const bool is_news[] = {true, true, true, true, false, false, true, false, false};
	struct wal_fault found = {.kind = WAL_FAULT_BLOCK_CHECKSUM, .segment = 1};
	struct wal_stats stats;
	size_t i;

	open_log();
	log_put_lines(&handle, 1, 10);
	ck_ok(wal_log_rotate(wal));
	for (i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		found.block = blocks[i];
		ck_assert(wal_log_mark_damaged(wal, 1, &found) == is_news[i]);
	}
	wal_log_stats(wal, &stats);
	ck_assert_uint_eq(stats.counters[WAL_COUNT_FAULTS_BLOCK], 5);
	ck_assert_uint_eq(stats.damaged_segments, 1);
	ck_assert(!wal_log_mark_damaged(wal, 9, &found)); /* there is none */
}
END_TEST

/* --- any call cut --------------------------------------------------------------------- */

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

static void add_opening(Suite *suite)
{
	TCase *t = test_case(suite, "opening", 30);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_new_store_is_made_for_its_owner_alone);
	tcase_add_test(t, what_is_made_has_its_mode_whatever_the_umask);
	tcase_add_test(t, two_stores_have_two_uuids);
	tcase_add_loop_test(t, options_out_of_range_are_refused_with_a_word, 0,
			    (int)(sizeof(bad_options) / sizeof(bad_options[0])));
	tcase_add_test(t, a_segment_is_rounded_down_to_whole_blocks);
	tcase_add_test(t, sizes_not_given_are_those_of_the_store);
	tcase_add_test(t, what_cannot_be_a_store_is_refused_with_the_way_out);
	tcase_add_test(t, a_store_that_is_held_names_its_holder);
	tcase_add_test(t, several_may_look_at_a_store_that_nobody_writes);
	tcase_add_test(t, a_read_only_log_takes_nothing_and_changes_nothing);
	tcase_add_test(t, a_read_only_look_at_nothing_is_an_error_and_makes_nothing);
	tcase_add_test(t, R10_a_read_only_file_system_names_the_option);
}

static void add_appending(Suite *suite)
{
	TCase *t = test_case(suite, "appending", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, events_get_ids_times_and_their_bytes);
	tcase_add_test(t, a_batch_has_one_time_and_its_order);
	tcase_add_test(t, records_that_cannot_be_are_refused_and_nothing_of_the_batch_is_taken);
	tcase_add_test(t, a_full_segment_is_sealed_and_the_log_goes_on);
	tcase_add_test(t, a_record_larger_than_an_event_is_a_group_in_one_segment);
	tcase_add_test(t, a_clock_that_goes_back_is_held_and_the_next_segment_says_so);
	tcase_add_loop_test(t, R47_a_clock_that_was_set_back_begins_a_segment_with_the_right_time,
			    0, 2);
	tcase_add_test(t, a_clock_that_goes_to_and_fro_begins_few_segments);
	tcase_add_test(t, without_space_for_another_segment_a_clock_that_was_set_back_stops_nobody);
	tcase_add_test(t, rotating_an_empty_segment_does_nothing);
	tcase_add_test(t, rotating_seals_the_segment_and_starts_the_next);
	tcase_add_test(t, a_finished_segment_is_known_once_it_was_read);
	tcase_add_test(t, an_active_segment_is_known_as_it_is_now);
	tcase_add_test(
		t,
		a_reader_sees_what_was_appended_at_its_last_refresh_and_the_end_after_a_rotation);
	tcase_add_test(t, what_is_held_cannot_fail_for_lack_of_space);
	tcase_add_loop_test(t, a_hold_covers_the_resume_record_too, 0, 12);
	tcase_add_test(t, holds_are_bounded_and_can_be_given_back);
	tcase_add_test(t, a_hold_is_as_before_when_nothing_was_appended);
}

static void add_syncing(Suite *suite)
{
	TCase *t = test_case(suite, "syncing", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_sync_makes_everything_before_it_durable);
	tcase_add_test(t, closing_makes_everything_durable_and_says_so);
	tcase_add_test(t, the_position_on_disk_is_never_ahead_and_soon_there);
	tcase_add_test(t, an_interval_syncs_without_being_asked);
	tcase_add_test(t, syncs_that_come_while_one_runs_share_the_next);
	tcase_add_test(t, who_joins_first_leads_and_answers_for_all);
	tcase_add_test(t, a_sync_of_what_is_durable_already_is_answered_at_once);
	tcase_add_test(t, who_asks_during_a_sync_that_covers_him_needs_no_other);
	tcase_add_test(t, a_lead_that_is_passed_on_is_taken_up_by_the_logs_own_thread);
	tcase_add_test(t, a_lead_that_was_not_taken_up_yet_is_waited_for_at_close);
	tcase_add_test(t, small_appends_that_are_synced_one_by_one_are_written_by_pwrite);
	tcase_add_test(t, closing_answers_every_sync_that_was_started);
	tcase_add_test(t, events_of_several_threads_are_all_there_once_and_in_each_thread_s_order);
}

static void add_failing(Suite *suite)
{
	TCase *t = test_case(suite, "failing", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, no_space_for_a_new_store_is_an_error);
	tcase_add_test(t, no_space_at_rotation_is_told_and_writing_goes_on_when_there_is_space);
	tcase_add_loop_test(t, a_batch_that_does_not_fit_is_taken_up_to_the_last_record_that_did, 0,
			    2);
	tcase_add_loop_test(
		t, no_space_to_write_into_a_segment_takes_what_got_in_and_goes_on_by_itself, 0, 2);
	tcase_add_loop_test(t, a_close_is_not_clean_while_parts_of_what_failed_are_behind_the_end,
			    0, 2);
	tcase_add_test(t, what_is_held_is_held_still_where_there_was_no_space_to_write_it);
	tcase_add_test(t, a_resume_record_without_space_is_due_still);
	tcase_add_test(t, after_a_write_that_failed_for_good_what_is_there_can_be_read);
	tcase_add_loop_test(t, no_space_for_the_next_segment_leaves_nothing_half_made, 0, 2);
	tcase_add_loop_test(t, no_space_to_start_a_segment_that_is_ready_is_told_and_tried_again, 0,
			    5);
	tcase_add_test(t, one_attempt_to_start_a_segment_without_space_costs_one_append);
	tcase_add_test(t, R11_a_full_disk_still_opens_and_serves_reads);
	tcase_add_test(t, after_a_start_on_a_full_disk_only_what_was_appended_is_counted);
	tcase_add_loop_test(t, what_recovery_dropped_is_not_forgotten_while_there_is_no_space, 0,
			    3);
	tcase_add_test(t, recovery_is_not_tried_while_it_is_seen_that_there_is_no_space);
	tcase_add_test(t, a_log_can_be_looked_at_while_it_finds_space_again);
	tcase_add_test(t, without_space_for_recovery_a_sync_is_no_success);
	tcase_add_test(t, a_sparse_active_segment_gets_its_blocks_before_it_is_written);
	tcase_add_test(t, a_sparse_active_segment_on_a_full_disk_opens_and_is_readable);
	tcase_add_test(t, a_full_disk_that_never_gets_space_can_be_closed_and_opened_again);
	tcase_add_test(t, a_failed_sync_makes_the_log_read_only_and_is_never_a_success_later);
	tcase_add_test(t, every_sync_of_a_failed_group_fails);
	tcase_add_loop_test(t, a_failed_rotation_never_loses_what_was_appended, 0, 11);
	tcase_add_loop_test(t, a_prepared_file_that_was_removed_is_made_again, 1, 8);
	tcase_add_test(t, a_prepared_file_that_is_gone_again_and_again_fails_the_log);
	tcase_add_test(t, a_directory_that_is_gone_fails_the_log);
	tcase_add_loop_test(t, whatever_the_system_says_callers_are_told_an_io_error, 0, 6);
	tcase_add_loop_test(t, an_error_of_preparing_is_an_io_error_until_it_works, 0, 6);
	tcase_add_loop_test(t, a_file_in_the_way_of_a_segment_is_named_and_left_alone, 0, 2);
	tcase_add_test(t, a_meta_file_that_cannot_be_written_makes_the_log_read_only);
	tcase_add_test(t, a_truncated_active_file_is_an_error_and_the_process_lives);
	tcase_add_test(t, a_sigbus_of_somebody_else_still_kills);
	tcase_add_test(t, a_segment_found_damaged_is_damaged_from_then_on);
	tcase_add_test(t, each_bad_block_is_news_and_counted_once);
	tcase_add_test(t, cut_off_at_any_call_the_log_has_all_that_was_promised);
}

static Suite *log_suite(void)
{
	Suite *suite = suite_create("log");

	add_opening(suite);
	add_appending(suite);
	add_syncing(suite);
	add_failing(suite);
	return suite;
}

int main(void)
{
	return test_main(log_suite());
}
