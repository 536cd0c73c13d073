/* SPDX-License-Identifier: MIT */
/* A log under test: see the header. */
#include "tests/fixture_log.h"

#include <string.h>

struct fault_io fault;
struct test_log_handle handle;
struct wal_log *wal;
char big[64 * TEST_BLOCK];

static void begin(void)
{
	fault_io_init(&fault);
	wal = NULL;
	memset(big, 'b', sizeof(big));
	log_prepare(&handle, test_path(STORE), &fault.io);
}

static void end(void)
{
	if (handle.log)
		log_close(&handle);
	fault_io_destroy(&fault);
}

TCase *log_case(Suite *suite, const char *name, double timeout_s)
{
	TCase *t = test_case(suite, name, timeout_s);

	tcase_add_checked_fixture(t, begin, end);
	return t;
}

struct wal_stats stats_now(void)
{
	static struct wal_stats stats;

	wal_log_stats(wal, &stats);
	return stats;
}

void wait_until_ready(void)
{
	wait_until(stats_now().ready_segments >= handle.options.prepare_segments);
}

void open_log(void)
{
	log_open_ok(&handle, test_path(STORE), &fault.io);
	wal = handle.log;
	wait_until_ready();
}

void open_log_unsettled(void)
{
	log_open_ok(&handle, test_path(STORE), &fault.io);
	wal = handle.log;
}

void open_as_prepared(void)
{
	int err = log_open(&handle);

	ck_assert_msg(err == 0, "%s (%s)", strerror(-err), handle.error.text);
	wal = handle.log;
}

void close_log(void)
{
	ck_ok(wal_log_close(handle.log));
	handle.log = NULL;
	wal = NULL;
}

struct wal_log_position position(void)
{
	struct wal_log_position p;

	wal_log_position(wal, &p);
	return p;
}

ssize_t put_size(uint32_t size)
{
	struct wal_record record = {.data = big, .size = size};

	return wal_log_append(wal, &record, 1, NULL);
}

uint64_t fill_until(int expected)
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

void make_segments(uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct wal_log_position p;

		wal_log_position(wal, &p);
		log_put_lines(&handle, p.next_event, p.next_event + 9);
		ck_ok(wal_log_rotate(wal));
	}
}

void wait_for_segments(size_t count)
{
	uint32_t indexes[64];

	wait_until(wal_log_segments(wal, 0, indexes, 64) == count);
}

void assert_log_lines(uint64_t last)
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

void expect_sound_store(void)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct wal_error error;

	ck_ok(wal_verify_store(test_path(STORE), &options, &result, &error));
	ck_assert_msg(result.faults == 0, "%s: %s (%s)", result.first_name,
		      wal_fault_kind_name(result.first.kind), result.first.detail);
}
