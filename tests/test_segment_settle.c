/* SPDX-License-Identifier: MIT */
/* core/segment/segment_settle: no space to overwrite what is there. */
#include <errno.h>

#include "core/segment/segment_reader.h"
#include "tests/fixture_segment_writer.h"

/* In batches of three: within a block, over a block's end, and a group over three blocks. */
static const uint32_t batches[][3] = {{100, 200, 300},
				      {1500, 1500, 500},
				      {40, 6000, 30},
				      {700, 50, 8}};

/* What anybody else finds in the file is what the writer would go on behind. */
static void assert_file_has_what_was_settled(void)
{
	struct wal_segment_reader *r;

	ck_ok(test_reader_open(SEGMENT, 1, &r, NULL));
	ck_assert_uint_eq(wal_segment_reader_info(r)->last_event, writer.next_event - 1);
	ck_assert_uint_eq(wal_segment_reader_info(r)->payload_bytes, writer.payload_bytes);
	wal_segment_reader_close(r);
}

/* Return: how many of the batch's records are in the segment. */
static size_t append_batch(const uint32_t *sizes, size_t count)
{
	uint64_t lost_bytes;
	size_t done = 0;

	while (done < count &&
	       wal_segment_writer_append(&writer, text, sizes[done], 0, TEST_TIME) == 0)
		done++;
	wal_segment_writer_write_out(&writer);
	if (!wal_segment_writer_has_failed(&writer))
		return done;
	ck_fails(wal_segment_writer_settle(&writer, &lost_bytes), -ENOSPC);
	for (; lost_bytes > 0; lost_bytes -= sizes[done])
		done--;
	ck_assert(!wal_segment_writer_has_failed(&writer));
	assert_file_has_what_was_settled();
	ck_ok(wal_segment_writer_flush(&writer, true));
	ck_ok(wal_segment_writer_clear(&writer));
	assert_file_has_what_was_settled();
	return done;
}

/* _i: the pwrite that finds no space, nothing of it written or half. */
START_TEST(where_there_was_no_space_the_file_says_what_is_in_the_segment)
{
	open_started();
	expect();
	fault_io_reset(&fault);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -ENOSPC, 1);
	fault.fail_after = (uint64_t)_i / 2;
	fault.fail_half = _i % 2;
	for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
		for (size_t done = 0; done < 3;) {
			size_t n = append_batch(batches[b] + done, 3 - done);

			for (; n > 0; n--, done++) {
				if (batches[b][done] > EVENT_MAX)
					oracle_append_group(&expected, TEST_TIME, 0, text,
							    batches[b][done]);
				else
					oracle_append(&expected, TEST_TIME, 0, text,
						      batches[b][done]);
			}
		}
	}
	ck_assert_uint_eq(fault.failed, 1);
	assert_same_records();
	oracle_image_free(&expected);
}
END_TEST

START_TEST(a_header_without_space_is_written_later)
{
	uint64_t lost_bytes;

	open_started();
	append(100, 0);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -EDQUOT, 1);
	wal_segment_writer_finish(&writer);
	ck_fails(wal_segment_writer_settle(&writer, &lost_bytes), -EDQUOT);
	ck_assert_uint_eq(lost_bytes, 0);
	ck_assert_uint_eq(writer.leftover_end, 0);
	append(100, 0);
	ck_ok(wal_segment_writer_seal(&writer, TEST_TIME));
}
END_TEST

START_TEST(without_space_for_a_header_a_segment_is_closed_in_order)
{
	open_started();
	append(100, 0);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -ENOSPC, 0);
	ck_ok(wal_segment_writer_close(&writer, true));
	open_existing(NULL);
	ck_assert_uint_eq(writer.next_event, 2);
}
END_TEST

START_TEST(what_the_file_lost_meanwhile_is_no_lack_of_space)
{
	uint64_t lost_bytes;

	open_started();
	append(100, 0);
	file_resize(test_path(SEGMENT), 4096);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -ENOSPC, 1);
	ck_ok(put(100, 0, TEST_TIME));
	ck_fails(wal_segment_writer_settle(&writer, &lost_bytes), -EIO);
}
END_TEST

static Suite *segment_settle_suite(void)
{
	Suite *suite = suite_create("segment_settle");
	TCase *t;

	t = gathered_case(suite);
	tcase_add_loop_test(t, where_there_was_no_space_the_file_says_what_is_in_the_segment, 0,
			    16);
	tcase_add_test(t, a_header_without_space_is_written_later);
	tcase_add_test(t, without_space_for_a_header_a_segment_is_closed_in_order);
	tcase_add_test(t, what_the_file_lost_meanwhile_is_no_lack_of_space);
	return suite;
}

int main(void)
{
	return test_main(segment_settle_suite());
}
