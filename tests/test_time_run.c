/* SPDX-License-Identifier: MIT */
/* What a seal says of the order of times, by which a reader searches for one. */
#include "core/base/io.h"
#include "tests/support.h"

#define STORE "store"
#define SECOND UINT64_C(1000000000)

static struct fault_io fault;
static struct test_log_handle handle;
static uint64_t next_event;

static void begin(void)
{
	fault_io_init(&fault);
	fault_io_set_clock(&fault, TEST_TIME, 1000);
	log_open_ok(&handle, test_path(STORE), &fault.io);
	next_event = 1;
}

/* Each of some lines, and sealed. */
static void make_segments(unsigned count)
{
	for (unsigned i = 0; i < count; i++, next_event += 5) {
		log_put_lines(&handle, next_event, next_event + 4);
		ck_ok(wal_log_rotate(handle.log));
	}
}

/* Lets events be of that time from the next one on. */
static void set_clock(uint64_t now_ns)
{
	fault_io_set_clock(&fault, now_ns, 1000);
}

static uint32_t time_run(uint32_t index)
{
	struct store_decoded decoded;
	uint32_t run;

	store_decode(test_path(STORE), index, &decoded);
	run = decoded.segment.compat >> 8;
	store_decoded_free(&decoded);
	return run;
}

static void expect_sound(void)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;

	ck_ok(wal_verify_store(test_path(STORE), &options, &result, NULL));
	ck_assert_uint_eq(result.faults, 0);
}

START_TEST(segments_in_order_are_counted)
{
	begin();
	make_segments(3);
	for (uint32_t i = 1; i <= 3; i++)
		ck_assert_uint_eq(time_run(i), i);
	ck_ok(log_close(&handle));
	expect_sound();
}
END_TEST

START_TEST(counting_goes_on_over_a_mount)
{
	begin();
	make_segments(2);
	ck_ok(log_close(&handle));
	ck_ok(log_open(&handle));
	make_segments(2);
	ck_assert_uint_eq(time_run(4), 4);
	ck_ok(log_close(&handle));
	expect_sound();
}
END_TEST

/* What recovery sealed says nothing; the one after it begins to count. */
START_TEST(what_is_not_known_is_not_said)
{
	begin();
	make_segments(2);
	log_put_lines(&handle, next_event, next_event + 4);
	next_event += 5;
	ck_ok(log_close(&handle));
	handle.options.framing.kind = WAL_FRAME_WRITE; /* so it goes on in another segment */
	ck_ok(log_open(&handle));
	make_segments(2);
	ck_assert_uint_eq(time_run(2), 2);
	ck_assert_uint_eq(time_run(3), 0);
	ck_assert_uint_eq(time_run(4), 1);
	ck_assert_uint_eq(time_run(5), 2);
	ck_ok(log_close(&handle));
	expect_sound();
}
END_TEST

START_TEST(a_clock_that_goes_back_begins_anew)
{
	begin();
	make_segments(2);
	log_put_lines(&handle, next_event, next_event);
	next_event++;
	set_clock(TEST_TIME - 3600 * SECOND);
	make_segments(2); /* 3 closes by itself, with its times before those of 4 */
	ck_assert_uint_eq(time_run(3), 3);
	ck_assert_uint_eq(time_run(4), 1);
	ck_assert_uint_eq(time_run(5), 2);
	ck_ok(log_close(&handle));
	expect_sound();
}
END_TEST

/* Forward nothing is out of order, and back to the right time it is. */
START_TEST(a_clock_that_was_ahead_for_a_while)
{
	begin();
	make_segments(1);
	set_clock(TEST_TIME + 86400 * SECOND);
	make_segments(1);
	set_clock(TEST_TIME + 10 * SECOND);
	make_segments(2);
	ck_assert_uint_eq(time_run(2), 2);
	ck_assert_uint_eq(time_run(4), 1); /* (3 has no event) */
	ck_assert_uint_eq(time_run(5), 2);
	ck_ok(log_close(&handle));
	expect_sound();
}
END_TEST

START_TEST(a_seal_that_says_too_much_is_a_fault)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	struct bytes image;

	begin();
	make_segments(1);
	set_clock(TEST_TIME - 3600 * SECOND);
	make_segments(1);
	ck_ok(log_close(&handle));
	image = file_read(store_segment_path(test_path(STORE), 2));
	oracle_put32(image.data + 512 + 28, 2 << 8);
	oracle_fix_seal_header(image.data);
	file_write(store_segment_path(test_path(STORE), 2), image.data, image.size);
	bytes_free(&image);
	ck_ok(wal_verify_store(test_path(STORE), &options, &result, NULL));
	ck_assert_uint_eq(result.faults, 1);
	ck_kind(result.first.kind, WAL_FAULT_SEQUENCE);
	ck_assert_uint_eq(result.first.segment, 2);
	ck_assert_uint_eq(result.first.offset, 540);
}
END_TEST

static Suite *time_run_suite(void)
{
	Suite *suite = suite_create("time_run");
	TCase *t = test_case(suite, "time run", 30);

	tcase_add_test(t, segments_in_order_are_counted);
	tcase_add_test(t, counting_goes_on_over_a_mount);
	tcase_add_test(t, what_is_not_known_is_not_said);
	tcase_add_test(t, a_clock_that_goes_back_begins_anew);
	tcase_add_test(t, a_clock_that_was_ahead_for_a_while);
	tcase_add_test(t, a_seal_that_says_too_much_is_a_fault);
	return suite;
}

int main(void)
{
	return test_main(time_run_suite());
}
