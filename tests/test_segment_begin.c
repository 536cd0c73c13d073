/* SPDX-License-Identifier: MIT */
/* core/segment/segment_begin: a segment is made, named, or gone on with. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fixture_segment_writer.h"

/* --- open_new -------------------------------------------------------------- */

START_TEST(open_new_refuses_an_existing_segment)
{
	file_write(test_path(SEGMENT), "mine", 4);
	ck_fails(open_shape(1, TEST_BLOCK, FILE_BYTES), -EEXIST);
	assert_file_is(SEGMENT, (const uint8_t *)"mine", 4);
	ck_assert(!file_exists(test_path(PREPARED)));
}
END_TEST

START_TEST(open_new_leaves_what_has_the_name_of_its_preparation)
{
	file_write(test_path(PREPARED), "mine", 4);
	ck_assert_int_eq(mkdir(test_path(PREPARED "-1"), 0700), 0);
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	assert_file_is(PREPARED, (const uint8_t *)"mine", 4);
	ck_assert_uint_eq(file_size(test_path(PREPARED "-2")), FILE_BYTES);
	start();
	ck_ok(wal_segment_writer_publish(&writer));
	ck_assert_uint_eq(file_size(test_path(SEGMENT)), FILE_BYTES);
	ck_assert(!file_exists(test_path(PREPARED "-2")));
}
END_TEST

START_TEST(open_new_does_not_follow_a_link)
{
	ck_assert_int_eq(symlink("elsewhere", test_path(PREPARED)), 0);
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	ck_assert(file_exists(test_path(PREPARED "-1")));
	ck_assert(!file_exists(test_path("elsewhere")));
}
END_TEST

START_TEST(publish_never_replaces_a_segment)
{
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	start();
	file_write(test_path(SEGMENT), "mine", 4);
	ck_fails(wal_segment_writer_publish(&writer), -EEXIST);
	assert_file_is(SEGMENT, (const uint8_t *)"mine", 4);
}
END_TEST

START_TEST(a_new_segment_is_preallocated_and_not_sparse)
{
	struct stat st;

	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	ck_assert_uint_eq(file_size(test_path(PREPARED)), FILE_BYTES);
	ck_assert_uint_ge(file_blocks(test_path(PREPARED)), FILE_BYTES / 512);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_ALLOCATE), 1);
	ck_assert_int_eq(stat(test_path(PREPARED), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(a_disk_without_space_is_an_error_and_nothing_is_left_behind)
{
	struct listing listing;

	fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -ENOSPC, 1);
	ck_fails(open_shape(1, TEST_BLOCK, FILE_BYTES), -ENOSPC);
	list_dir(test_dir(), &listing);
	ck_assert_uint_eq(listing.count, 0);
}
END_TEST

static const struct {
	uint32_t index;
	uint32_t block_size;
	uint64_t bytes;
} not_shapes[] = {
	{0, 4096, 8192},
	{UINT32_MAX, 4096, 8192},
	{1, 0, 8192},
	{1, 2048, 8192},
	{1, 4097, 8193},
	{1, 12288, 16384},
	{1, 1u << 25, 4096 + (1u << 25)},
	{1, 4096, 4096},
	{1, 4096, 8191},
	{1, 4096, 8193},
	{1, 4096, 0},
	{1, 4096, (UINT64_C(1) << 32) + 4096},
};

START_TEST(a_shape_that_cannot_be_is_refused)
{
	ck_fails(open_shape(not_shapes[_i].index, not_shapes[_i].block_size, not_shapes[_i].bytes),
		 -EINVAL);
	ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

START_TEST(a_new_segment_that_never_got_its_name_is_removed_at_close)
{
	struct listing listing;

	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	start();
	ck_ok(wal_segment_writer_close(&writer, true));
	list_dir(test_dir(), &listing);
	ck_assert_uint_eq(listing.count, 0);
}
END_TEST

START_TEST(a_published_segment_stays_even_without_an_event)
{
	open_started();
	ck_ok(wal_segment_writer_close(&writer, true));
	ck_assert(file_exists(test_path(SEGMENT)));
	ck_assert(!file_exists(test_path(PREPARED)));
}
END_TEST

START_TEST(publish_only_gives_the_name)
{
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	start();
	fault_io_reset(&fault);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_RENAME, -EIO, 1);
	ck_fails(wal_segment_writer_publish(&writer), -EIO);
	ck_assert(!file_exists(test_path(SEGMENT)));
	fault_io_reset(&fault);
	ck_ok(wal_segment_writer_publish(&writer));
	ck_assert_uint_eq(fault.calls, 1);
	ck_assert(file_exists(test_path(SEGMENT)) && !file_exists(test_path(PREPARED)));
}
END_TEST

START_TEST(header_and_segment_record_are_what_the_document_says)
{
	open_started();
	expect();
	assert_same_records();
	oracle_image_free(&expected);
}
END_TEST

/* --- prefault: _i: by the kernel; page by page, as before Linux 5.14 --------------- */

START_TEST(prefault_changes_no_byte)
{
	struct bytes before;

	fault.no_populate = _i;
	open_started();
	append(100, 0);
	append(EVENT_MAX, 0);
	before = file_read(test_path(SEGMENT));
	ck_ok(wal_segment_writer_prefault(&writer));
	assert_file_is(SEGMENT, before.data, before.size);
	bytes_free(&before);
}
END_TEST

START_TEST(prefault_before_start_leaves_zeros)
{
	static const uint8_t zeros[FILE_BYTES];

	fault.no_populate = _i;
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	ck_ok(wal_segment_writer_prefault(&writer));
	assert_file_is(PREPARED, zeros, sizeof(zeros));
}
END_TEST

/* A full copy-on-write disk: a store is SIGBUS, and a pwrite says why, if it is not over. */
START_TEST(prefault_page_by_page_finds_no_space)
{
	static const int errors[] = {-ENOSPC, -EDQUOT, 0};

	fault.no_populate = true;
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	atomic_store(&writer.guard->hit, true);
	if (errors[_i])
		fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, errors[_i], 0);
	ck_fails(wal_segment_writer_prefault(&writer), errors[_i] ? errors[_i] : -ENOSPC);
}
END_TEST

START_TEST(prefault_page_by_page_of_a_file_that_was_cut_is_an_error)
{
	ck_ok(wal_fault_handler_install());
	fault.no_populate = true;
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	file_resize(test_path(PREPARED), 4096);
	ck_fails(wal_segment_writer_prefault(&writer), -EIO);
	ck_assert_uint_eq(file_size(test_path(PREPARED)), 4096);
}
END_TEST

/* _i: after which pwrite of those that begin it there is no space; 0: there is. */
START_TEST(a_fault_before_the_name_is_asked_about_and_the_segment_begun_without_a_mapping)
{
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	atomic_store(&writer.guard->hit, true);
	fault_io_reset(&fault);
	if (_i > 0) {
		fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -ENOSPC, 1);
		fault.fail_after = (uint64_t)_i;
		ck_fails(try_start(), -ENOSPC);
	}
	start();
	ck_assert_ptr_null(writer.map);
	ck_ok(wal_segment_writer_publish(&writer));
	expect();
	append_both(100, 0, TEST_TIME);
	assert_same_records();
	oracle_image_free(&expected);
}
END_TEST

/* --- open_existing ------------------------------------------------------------------- */

/* Appends of all kinds, by number; both to the writer and to the expectation. */
static void append_number(unsigned i)
{
	static const uint32_t sizes[] = {10, 900, 1, 1500, 3900, 5000, 7, 8};

	append_both(sizes[i % 8], i % 5 == 0 ? WAL_FLAG_PART : 0, TEST_TIME + i);
}

START_TEST(open_existing_goes_on_exactly_where_it_ended)
{
	/* Opened again after _i appends, the result is the same as in one go. */
	struct wal_segment_writer before;
	struct wal_tail tail;
	unsigned i;

	open_started();
	expect();
	for (i = 0; i < (unsigned)_i; i++)
		append_number(i);
	before = writer;
	ck_ok(wal_segment_writer_close(&writer, false)); /* headers of full blocks only */
	open_existing(&tail);
	ck_assert_uint_eq(tail.offset, oracle_end(&expected));
	ck_assert_uint_eq(tail.next_event, expected.next_event);
	ck_assert_uint_eq(writer.start.index, before.start.index);
	ck_assert_uint_eq(writer.at, before.at);
	ck_assert_uint_eq(writer.chain, before.chain);
	ck_assert_uint_eq(writer.next_event, before.next_event);
	ck_assert_uint_eq(writer.payload_bytes, before.payload_bytes);
	ck_assert_uint_eq(writer.last_ns, before.last_ns);
	ck_assert_uint_eq(writer.start.event_count, before.start.event_count);
	ck_assert_uint_eq(writer.start.payload_offset, before.start.payload_offset);
	ck_assert_uint_eq(writer.start.first_event_id, before.start.first_event_id);
	for (; i < 8; i++)
		append_number(i);
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(open_existing_needs_no_block_header)
{
	static const uint8_t zeros[64];

	open_started();
	expect();
	for (unsigned i = 0; i < 6; i++)
		append_number(i);
	ck_ok(wal_segment_writer_close(&writer, true));
	for (uint32_t k = 0; k < BLOCKS; k++) {
		if (k % 2 == 0)
			file_patch(test_path(SEGMENT), 4096 + k * TEST_BLOCK, zeros, 64);
	}
	open_existing(NULL);
	append_number(6);
	seal_and_compare(); /* and missing ones have been written */
	oracle_image_free(&expected);
}
END_TEST

static void expect_not_existing(int expected_error)
{
	struct listing before;
	struct listing after;

	list_dir(test_dir(), &before);
	ck_fails(try_existing(1, NULL), expected_error);
	list_dir(test_dir(), &after);
	assert_same_listing(&before, &after);
}

START_TEST(open_existing_refuses_what_cannot_be_gone_on_with_and_leaves_it)
{
	static const uint8_t zeros[FILE_BYTES];

	expect_not_existing(-ENOENT);
	file_write(test_path(SEGMENT), "WALS", 4);
	expect_not_existing(-EUCLEAN);
	file_write(test_path(SEGMENT), zeros, sizeof(zeros));
	expect_not_existing(-EUCLEAN);
	remove_tree(test_path(SEGMENT));
	open_started();
	append(10, 0);
	ck_ok(wal_segment_writer_close(&writer, true));
	file_flip(test_path(SEGMENT), 16, 1); /* header checksum */
	expect_not_existing(-EBADMSG);
	file_flip(test_path(SEGMENT), 16, 1);
	file_flip(test_path(SEGMENT), 4096 + 64 + 16, 1); /* segment record */
	expect_not_existing(-EUCLEAN);
	file_flip(test_path(SEGMENT), 4096 + 64 + 16, 1);
	file_flip(test_path(SEGMENT), FILE_BYTES - 1, 1); /* not zero behind the end */
	expect_not_existing(-EUCLEAN);
	file_flip(test_path(SEGMENT), FILE_BYTES - 1, 1);
	file_flip(test_path(SEGMENT), 100, 1); /* reserved */
	expect_not_existing(-EUCLEAN);
	file_flip(test_path(SEGMENT), 100, 1);
	open_existing(NULL);
	ck_ok(wal_segment_writer_seal(&writer, TEST_TIME));
	expect_not_existing(-EUCLEAN);
}
END_TEST

START_TEST(open_existing_refuses_another_index)
{
	open_started();
	ck_ok(wal_segment_writer_close(&writer, true));
	ck_assert_int_eq(rename(test_path(SEGMENT), test_path("0000000002.wal")), 0);
	ck_fails(try_existing(2, NULL), -EUCLEAN);
}
END_TEST

/* What holds of either way to write. */
static void add_tests(TCase *t)
{
	tcase_add_test(t, open_new_refuses_an_existing_segment);
	tcase_add_test(t, open_new_leaves_what_has_the_name_of_its_preparation);
	tcase_add_test(t, open_new_does_not_follow_a_link);
	tcase_add_test(t, publish_never_replaces_a_segment);
	tcase_add_test(t, a_new_segment_is_preallocated_and_not_sparse);
	tcase_add_test(t, a_disk_without_space_is_an_error_and_nothing_is_left_behind);
	tcase_add_loop_test(t, a_shape_that_cannot_be_is_refused, 0,
			    (int)(sizeof(not_shapes) / sizeof(not_shapes[0])));
	tcase_add_test(t, a_new_segment_that_never_got_its_name_is_removed_at_close);
	tcase_add_test(t, a_published_segment_stays_even_without_an_event);
	tcase_add_test(t, publish_only_gives_the_name);
	tcase_add_test(t, header_and_segment_record_are_what_the_document_says);
	tcase_add_loop_test(t, open_existing_goes_on_exactly_where_it_ended, 0, 9);
	tcase_add_test(t, open_existing_needs_no_block_header);
	tcase_add_test(t, open_existing_refuses_what_cannot_be_gone_on_with_and_leaves_it);
	tcase_add_test(t, open_existing_refuses_another_index);
}

static Suite *segment_begin_suite(void)
{
	Suite *suite = suite_create("segment_begin");
	TCase *t;

	t = mapped_case(suite);
	add_tests(t);
	tcase_add_loop_test(t, prefault_changes_no_byte, 0, 2);
	tcase_add_loop_test(t, prefault_before_start_leaves_zeros, 0, 2);
	tcase_add_loop_test(t, prefault_page_by_page_finds_no_space, 0, 3);
	tcase_add_test(t, prefault_page_by_page_of_a_file_that_was_cut_is_an_error);
	tcase_add_loop_test(
		t, a_fault_before_the_name_is_asked_about_and_the_segment_begun_without_a_mapping,
		0, 4);
	t = gathered_case(suite);
	add_tests(t);
	return suite;
}

int main(void)
{
	return test_main(segment_begin_suite());
}
