/* SPDX-License-Identifier: MIT */
/* core/segment/segment_pages: how records get into the file, by stores or by pwrite. */
#include <errno.h>

#include "tests/fixture_segment_writer.h"

/* --- mapped ---------------------------------------------------------------------- */

START_TEST(an_event_is_in_the_file_at_once_and_without_a_system_call)
{
	open_started();
	expect();
	fault_io_reset(&fault);
	for (uint32_t size = 1; size <= 64; size++)
		append_both(size, size % 3 == 0 ? WAL_FLAG_PART : 0, TEST_TIME + size);
	ck_assert_uint_eq(fault.calls, 0);
	assert_same_records();
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(a_mapping_that_lost_its_file_is_an_error_and_the_process_lives)
{
	ck_ok(wal_fault_handler_install());
	open_started();
	append(100, 0);
	file_resize(test_path(SEGMENT), 4096);
	ck_assert(!wal_segment_writer_has_failed(&writer));
	put(EVENT_MAX, 0, TEST_TIME);
	ck_assert(wal_segment_writer_has_failed(&writer));
	ck_fails(wal_segment_writer_flush(&writer, true), -EIO);
	ck_assert_int_lt(wal_segment_writer_seal(&writer, TEST_TIME), 0);
}
END_TEST

/* --- gathered -------------------------------------------------------------------- */

START_TEST(what_was_gathered_is_in_the_file_after_one_pwrite)
{
	open_started();
	expect();
	fault_io_reset(&fault);
	for (int i = 0; i < 5; i++) {
		ck_ok(wal_segment_writer_append(&writer, text, 100, 0, TEST_TIME));
		oracle_append(&expected, TEST_TIME, 0, text, 100);
	}
	ck_assert_uint_eq(fault.calls, 0);
	wal_segment_writer_write_out(&writer);
	wal_segment_writer_write_out(&writer); /* nothing is left to write */
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_PWRITE), 1);
	assert_same_records();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(a_full_block_is_written_with_its_header_at_once)
{
	open_started();
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_append(&writer, text, EVENT_MAX, 0, TEST_TIME));
	/* Block 0, of which the file has the segment record: its header. */
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_PWRITE), 1);
	ck_ok(wal_segment_writer_append(&writer, text, EVENT_MAX, 0, TEST_TIME));
	/* Block 1, whole. */
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_PWRITE), 2);
}
END_TEST

START_TEST(a_pwrite_that_fails_is_a_fault_and_the_last_one)
{
	open_started();
	fault_io_reset(&fault);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -EIO, 1);
	ck_ok(put(10, 0, TEST_TIME));
	ck_assert(wal_segment_writer_has_failed(&writer));
	ck_ok(put(10, 0, TEST_TIME));
	ck_assert_uint_eq(fault.failed, 1);
	ck_fails(wal_segment_writer_flush(&writer, true), -EIO);
	ck_fails(wal_segment_writer_close(&writer, true), -EIO);
	ck_assert(file_exists(test_path(SEGMENT)));
}
END_TEST

static Suite *segment_pages_suite(void)
{
	Suite *suite = suite_create("segment_pages");
	TCase *t;

	t = mapped_case(suite);
	tcase_add_test(t, an_event_is_in_the_file_at_once_and_without_a_system_call);
	tcase_add_test(t, a_mapping_that_lost_its_file_is_an_error_and_the_process_lives);
	t = gathered_case(suite);
	tcase_add_test(t, what_was_gathered_is_in_the_file_after_one_pwrite);
	tcase_add_test(t, a_full_block_is_written_with_its_header_at_once);
	tcase_add_test(t, a_pwrite_that_fails_is_a_fault_and_the_last_one);
	return suite;
}

int main(void)
{
	return test_main(segment_pages_suite());
}
