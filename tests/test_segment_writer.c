/* SPDX-License-Identifier: MIT */
/* core/segment/segment_writer: what it leaves in the file is what the document says. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/fixture_segment_writer.h"

START_TEST(a_time_that_goes_back_is_held_at_the_last_one)
{
	open_started();
	expect();
	append_both(10, 0, TEST_TIME + 500);
	ck_ok(put(10, 0, TEST_TIME + 499));
	oracle_append(&expected, TEST_TIME + 500, 0, text, 10);
	ck_ok(put(10, 0, 0));
	oracle_append(&expected, TEST_TIME + 500, 0, text, 10);
	append_both(10, 0, TEST_TIME + 501);
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

/* Sizes of a first event, so that what is left of block 0 is 0, 8, 16, 24 and more bytes. */
static const uint32_t left_over[] = {0, 8, 16, 24, 32, 40, 88, 96, 2000};

START_TEST(a_block_ends_where_the_next_event_does_not_fit)
{
	const uint32_t left = left_over[_i];

	open_started();
	expect();
	append_both(FIRST_SPACE - 16 - left, 0, TEST_TIME);
	append_both(1, 0, TEST_TIME + 1); /* 24 bytes */
	append_both(left > 48 ? left : 1, 0, TEST_TIME + 2);
	append_both(EVENT_MAX, 0, TEST_TIME + 3);
	append_both(1, 0, TEST_TIME + 4);
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(a_group_fills_what_is_left_of_each_block)
{
	const uint32_t left = left_over[_i];

	open_started();
	expect();
	append_both(FIRST_SPACE - 16 - left, 0, TEST_TIME);
	append_both(EVENT_MAX + 1, 0, TEST_TIME + 1);
	append_both(7, WAL_FLAG_PART, TEST_TIME + 2);
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(a_group_may_go_over_all_blocks_and_end_part)
{
	struct oracle_segment segment;

	open_started();
	expect();
	append_both(3 * EVENT_MAX, WAL_FLAG_PART, TEST_TIME);
	seal_and_compare();
	oracle_decode(expected.bytes, expected.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_NONE);
	ck_assert_uint_eq(segment.event_count, 4);
	ck_assert_uint_eq(segment.events[0].flags, WAL_FLAG_MORE);
	ck_assert_uint_eq(segment.events[1].flags, WAL_FLAG_MORE | WAL_FLAG_CONT);
	ck_assert_uint_eq(segment.events[2].flags, WAL_FLAG_MORE | WAL_FLAG_CONT);
	ck_assert_uint_eq(segment.events[3].flags, WAL_FLAG_CONT | WAL_FLAG_PART);
	ck_assert_uint_eq(segment.payload_bytes, 3 * EVENT_MAX);
	oracle_segment_free(&segment);
	oracle_image_free(&expected);
}
END_TEST

START_TEST(a_segment_can_be_filled_to_its_last_byte)
{
	open_started();
	expect();
	append_both(FIRST_SPACE - 16, 0, TEST_TIME);
	for (uint32_t k = 1; k < BLOCKS; k++)
		append_both(EVENT_MAX, 0, TEST_TIME + k);
	ck_assert_uint_eq(oracle_end(&expected), FILE_BYTES);
	ck_fails(put(1, 0, TEST_TIME), -ENOSPC);
	seal_and_compare();
	ck_assert_uint_eq(file_size(test_path(SEGMENT)), FILE_BYTES);
	oracle_image_free(&expected);
}
END_TEST

START_TEST(what_does_not_fit_changes_nothing)
{
	struct bytes before;

	open_started();
	append(EVENT_MAX, 0);
	append(EVENT_MAX, 0);
	append(EVENT_MAX - 100, 0); /* block 3 has 100 bytes left */
	before = file_read(test_path(SEGMENT));
	ck_fails(put(89, 0, TEST_TIME), -ENOSPC);
	ck_fails(put(EVENT_MAX, 0, TEST_TIME), -ENOSPC);
	ck_fails(put(EVENT_MAX + 1, 0, TEST_TIME), -ENOSPC);
	ck_fails(put(3 * EVENT_MAX, 0, TEST_TIME), -ENOSPC);
	assert_file_is(SEGMENT, before.data, before.size);
	append(80, 0);
	ck_fails(put(1, 0, TEST_TIME), -ENOSPC);
	bytes_free(&before);
}
END_TEST

START_TEST(reckoning_says_exactly_what_append_does)
{
	static const uint32_t sizes[] = {1,
					 8,
					 9,
					 100,
					 1000,
					 EVENT_MAX - 8,
					 EVENT_MAX,
					 EVENT_MAX + 1,
					 2 * EVENT_MAX,
					 2 * EVENT_MAX + 1,
					 3 * EVENT_MAX + 300};
	unsigned seed = 17;

	for (int round = 0; round < 200; round++) {
		char name[WAL_NAME_MAX];
		bool more = true;

		ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
		start();
		while (more) {
			struct wal_append_point point = wal_segment_writer_point(&writer);
			uint32_t size = sizes[(unsigned)rand_r(&seed) % 11];
			uint64_t room = wal_segment_writer_room(&writer, &point);
			int err;

			if (size < 1000)
				size += (unsigned)rand_r(&seed) % 500;
			more = wal_segment_writer_reckon(&writer, size, &point);
			if (room >= wal_segment_worst_cost(TEST_BLOCK, size))
				ck_assert(more);
			err = put(size, 0, TEST_TIME);
			ck_assert_int_eq(err, more ? 0 : -ENOSPC);
			if (more) {
				ck_assert_uint_eq(point.block, writer.start.index);
				ck_assert_uint_eq(point.at, writer.at);
			}
		}
		wal_segment_writer_close(&writer, false);
		wal_segment_name(1, name);
		ck_assert(!file_exists(test_path(name)));
	}
}
END_TEST

START_TEST(the_cost_of_a_batch_covers_the_worst_of_its_records)
{
	static const uint32_t block_sizes[] = {4096, 65536, 16u << 20};

	for (size_t i = 0; i < 3; i++) {
		for (uint32_t size = 1; size <= WAL_FIXED_FRAME_MAX; size += 1 + size / 64)
			ck_assert_uint_ge(wal_segment_worst_batch_cost(1, size),
					  wal_segment_worst_cost(block_sizes[i], size));
	}
	ck_assert_uint_ge(wal_segment_worst_batch_cost(3, 300),
			  3 * wal_segment_worst_cost(4096, 100));
}
END_TEST

START_TEST(the_record_limit_fits_in_a_fresh_segment_behind_a_resume_record)
{
	for (uint32_t blocks = 1; blocks <= BLOCKS; blocks++) {
		const uint64_t bytes = 4096 + (uint64_t)blocks * TEST_BLOCK;
		size_t limit = wal_segment_record_limit(TEST_BLOCK, bytes);
		struct wal_meta_record resume = {.kind = WAL_META_RESUME};

		ck_assert_uint_gt(limit, 900);
		ck_ok(open_shape(1, TEST_BLOCK, bytes));
		start();
		ck_ok(wal_segment_writer_append_meta(&writer, &resume, TEST_TIME));
		ck_ok(put((uint32_t)limit, 0, TEST_TIME));
		wal_segment_writer_close(&writer, false);
	}
	/* half of what is usual, and of the most */
	ck_assert_uint_ge(wal_segment_record_limit(1u << 16, 4096 + (UINT64_C(64) << 20)),
			  31u << 20);
	ck_assert_uint_le(wal_segment_record_limit(1u << 16, 4096 + (UINT64_C(4) << 30)), 1u << 31);
}
END_TEST

START_TEST(a_record_of_megabytes_is_one_event_in_a_block_that_holds_it)
{
	const uint32_t block = 4u << 20;
	const uint64_t bytes = 4096 + 4 * (uint64_t)block;
	const uint32_t sizes[] = {3u << 20, (uint32_t)wal_segment_record_limit(block, bytes),
				  wal_segment_event_limit(block)}; /* all of a block */
	struct wal_append_point point;
	uint8_t *data = calloc(1, 2 * (size_t)block);

	ck_ok(open_shape(1, block, bytes));
	start();
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_le(sizes[i], 2 * block);
		point = wal_segment_writer_point(&writer);
		ck_assert(wal_segment_writer_reckon(&writer, sizes[i], &point));
		ck_ok(wal_segment_writer_append(&writer, data, sizes[i], 0, TEST_TIME));
		ck_assert_uint_eq(writer.start.index, point.block);
		ck_assert_uint_eq(writer.at, point.at);
		ck_assert(i > 0 || writer.next_event == 2);
	}
	free(data);
	wal_segment_writer_close(&writer, false);
}
END_TEST

START_TEST(a_resume_record_uses_the_next_id_and_counts_nowhere)
{
	struct wal_meta_record meta;

	open_started();
	expect();
	append_both(10, 0, TEST_TIME);
	meta = writer.meta;
	meta.kind = WAL_META_RESUME;
	meta.incarnation = 9;
	ck_ok(wal_segment_writer_append_meta(&writer, &meta, TEST_TIME + 5));
	oracle_append_resume(&expected, TEST_TIME + 5, 9);
	append_both(10, 0, TEST_TIME + 6);
	ck_assert_uint_eq(writer.incarnation, 9);
	seal_and_compare();
	oracle_image_free(&expected);
}
END_TEST

#ifdef WAL_CHECKED
START_TEST(an_append_outside_the_data_area_is_our_own_mistake)
{
	open_shape(1, TEST_BLOCK, FILE_BYTES);
	writer.at = writer.data_size + 8;
	wal_segment_writer_append(&writer, text, 8, 0, TEST_TIME);
}
END_TEST
#endif

/* What holds of either way to write. */
static void add_tests(TCase *t)
{
	const int lefts = (int)(sizeof(left_over) / sizeof(left_over[0]));

	tcase_add_test(t, a_time_that_goes_back_is_held_at_the_last_one);
	tcase_add_loop_test(t, a_block_ends_where_the_next_event_does_not_fit, 0, lefts);
	tcase_add_loop_test(t, a_group_fills_what_is_left_of_each_block, 0, lefts);
	tcase_add_test(t, a_group_may_go_over_all_blocks_and_end_part);
	tcase_add_test(t, a_segment_can_be_filled_to_its_last_byte);
	tcase_add_test(t, what_does_not_fit_changes_nothing);
	tcase_add_test(t, reckoning_says_exactly_what_append_does);
	tcase_add_test(t, the_cost_of_a_batch_covers_the_worst_of_its_records);
	tcase_add_test(t, the_record_limit_fits_in_a_fresh_segment_behind_a_resume_record);
	tcase_add_test(t, a_record_of_megabytes_is_one_event_in_a_block_that_holds_it);
	tcase_add_test(t, a_resume_record_uses_the_next_id_and_counts_nowhere);
}

static Suite *segment_writer_suite(void)
{
	Suite *suite = suite_create("segment_writer");
	TCase *t;

	t = mapped_case(suite);
	add_tests(t);
#ifdef WAL_CHECKED
	tcase_add_test_raise_signal(t, an_append_outside_the_data_area_is_our_own_mistake, SIGABRT);
#endif
	t = gathered_case(suite);
	add_tests(t);
	return suite;
}

int main(void)
{
	return test_main(segment_writer_suite());
}
