/* SPDX-License-Identifier: MIT */
/* core/segment/segment_seal: what is synced when, and in which order a segment is sealed. */
#include <errno.h>

#include "tests/fixture_segment_writer.h"

START_TEST(make_durable_syncs_the_file_each_time_and_its_directory_once)
{
	open_started();
	fault_io_reset(&fault);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FDATASYNC, -EIO, 1);
	ck_fails(wal_segment_writer_make_durable(&writer), -EIO);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FSYNC), 0);
	fault_io_reset(&fault);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FSYNC, -EIO, 1);
	ck_fails(wal_segment_writer_make_durable(&writer), -EIO);
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_make_durable(&writer));
	ck_ok(wal_segment_writer_make_durable(&writer));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 2);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FSYNC), 1);
}
END_TEST

START_TEST(flush_partial_writes_the_header_of_the_block_that_is_being_filled)
{
	uint8_t header[64];
	struct bytes file;

	open_started();
	expect();
	for (int round = 0; round < 3; round++) {
		append_both(100, 0, TEST_TIME);
		wal_segment_writer_flush_partial(&writer);
		oracle_block_header(&expected, 0, expected.params.prev_chain, header);
		file = file_read(test_path(SEGMENT));
		ck_assert_mem_eq(file.data + 4096, header, 64);
		bytes_free(&file);
	}
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(flush_syncs_only_when_asked)
{
	open_started();
	append(10, 0);
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_flush(&writer, false));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 0);
	ck_ok(wal_segment_writer_flush(&writer, true));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FDATASYNC, -EIO, 1);
	ck_fails(wal_segment_writer_flush(&writer, true), -EIO);
}
END_TEST

START_TEST(close_syncs_only_when_asked)
{
	open_started();
	append(10, 0);
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_close(&writer, false));
	ck_assert_uint_eq(fault.calls, 0);
	open_existing(NULL);
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_close(&writer, true));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	ck_ok(wal_segment_writer_close(&writer, true)); /* again is nothing */
}
END_TEST

START_TEST(sealing_syncs_the_data_before_the_cut_and_the_seal_after_it)
{
	/* The first one is the block's header, which a mapped segment has by a store. */
	static const enum fault_op order[] = {FAULT_OP_PWRITE, FAULT_OP_FDATASYNC,
					      FAULT_OP_TRUNCATE, FAULT_OP_PWRITE,
					      FAULT_OP_FDATASYNC};
	const uint64_t first = gathers ? 0 : 1;

	for (uint64_t call = first; call <= 4; call++) {
		struct store_decoded decoded;

		remove_tree(test_path(SEGMENT));
		open_started();
		append(EVENT_MAX, 0);
		fault_io_reset(&fault);
		fault.cut_at = call - first + 1;
		ck_fails(wal_segment_writer_seal(&writer, TEST_TIME), -EIO);
		ck_assert_uint_ge(fault_io_count(&fault, order[call]), 1);
		store_decode(test_dir(), 1, &decoded);
		ck_assert_int_eq(decoded.segment.sealed, call == 4);
		ck_assert_uint_eq(decoded.segment.event_count, 1);
		ck_assert_uint_eq(decoded.image.size,
				  call <= 2 ? FILE_BYTES : 4096 + 2 * TEST_BLOCK);
		store_decoded_free(&decoded);
		fault_io_reset(&fault);
	}
	remove_tree(test_path(SEGMENT));
	open_started();
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_seal(&writer, TEST_TIME));
	ck_assert_uint_eq(fault.calls, 5 - first);
}
END_TEST

/* What holds of either way to write. */
static void add_tests(TCase *t)
{
	tcase_add_test(t, make_durable_syncs_the_file_each_time_and_its_directory_once);
	tcase_add_test(t, flush_partial_writes_the_header_of_the_block_that_is_being_filled);
	tcase_add_test(t, flush_syncs_only_when_asked);
	tcase_add_test(t, close_syncs_only_when_asked);
	tcase_add_test(t, sealing_syncs_the_data_before_the_cut_and_the_seal_after_it);
}

static Suite *segment_seal_suite(void)
{
	Suite *suite = suite_create("segment_seal");
	TCase *t;

	t = mapped_case(suite);
	add_tests(t);
	t = gathered_case(suite);
	add_tests(t);
	return suite;
}

int main(void)
{
	return test_main(segment_seal_suite());
}
