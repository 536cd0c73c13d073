/* SPDX-License-Identifier: MIT */
/* core/segment_writer: what it leaves in the file is what the document says. */
#include "core/segment/segment_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/segment_reader.h"
#include "core/store/store.h"
#include "tests/support.h"

#define BLOCKS 4u
#define FILE_BYTES (4096 + BLOCKS * TEST_BLOCK)
#define SPACE (TEST_BLOCK - 64u)  /* a block's data area */
#define FIRST_SPACE (SPACE - 88u) /* of block 0, behind the segment record */
#define EVENT_MAX (SPACE - 16u)
#define SEGMENT "0000000001.wal"
#define PREPARED "0000000001.wal.new"

static struct fault_io fault;
static struct wal_segment_writer writer;
static uint8_t text[FILE_BYTES];
/* Everything is done twice: in a mapped segment, and in one that is written by pwrite. */
static bool gathers;

static void begin(void)
{
	fault_io_init(&fault);
	writer.fd = -1;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 26);
}

static void begin_gathering(void)
{
	begin();
	gathers = true;
}

static void end(void)
{
	wal_segment_writer_close(&writer, false);
	fault_io_destroy(&fault);
}

static int open_shape(uint32_t index, uint32_t block_size, uint64_t bytes)
{
	const struct wal_segment_shape shape = {index, block_size, bytes};
	int err = wal_segment_writer_open_new(&writer, &fault.io, test_dirfd(), &shape);

	if (!err && gathers)
		ck_ok(wal_segment_writer_gather(&writer));
	return err;
}

static int try_existing(uint32_t index, struct wal_tail *tail)
{
	struct wal_segment_file file = {.dirfd = test_dirfd(), .index = index};
	char name[WAL_NAME_MAX];

	wal_segment_name(index, name);
	file.fd = wal_store_open_to_write(&fault.io, test_dirfd(), name, NULL, NULL);
	return file.fd < 0 ? file.fd
			   : wal_segment_writer_open_existing(&writer, &fault.io, &file, tail);
}

static void open_existing(struct wal_tail *tail)
{
	ck_ok(try_existing(1, tail));
	if (gathers)
		ck_ok(wal_segment_writer_gather(&writer));
}

static int put(uint32_t size, uint32_t flags, uint64_t time_ns)
{
	int err = wal_segment_writer_append(&writer, text, size, flags, time_ns);

	wal_segment_writer_write_out(&writer);
	return err;
}

static int try_start(void)
{
	struct wal_meta_record meta = {
		.writer_version = WAL_WRITER_VERSION,
		.incarnation = 1,
		.segment_bytes = FILE_BYTES,
		.framing = {WAL_FRAME_LINE, 0},
	};

	memcpy(meta.log, test_log, 16);
	return wal_segment_writer_start(&writer, 1, oracle_chain_start(test_log), TEST_TIME, &meta);
}

static void start(void)
{
	ck_ok(try_start());
}

static void open_started(void)
{
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	start();
	ck_ok(wal_segment_writer_publish(&writer));
}

static void append(uint32_t size, uint32_t flags)
{
	ck_ok(put(size, flags, TEST_TIME));
}

/* The image that the oracle makes of the same calls; compared with the file. */
static struct oracle_image expected;

static void expect(void)
{
	struct oracle_params params = test_params();

	oracle_build(&expected, &params);
}

/* The same record for both. */
static void append_both(uint32_t size, uint32_t flags, uint64_t time_ns)
{
	ck_ok(put(size, flags, time_ns));
	if (size > EVENT_MAX)
		oracle_append_group(&expected, time_ns, flags, text, size);
	else
		oracle_append(&expected, time_ns, flags, text, size);
}

static void assert_file_is(const char *name, const uint8_t *bytes, size_t size)
{
	struct bytes file = file_read(test_path(name));

	ck_assert_uint_eq(file.size, size);
	for (size_t i = 0; i < size; i++)
		ck_assert_msg(file.data[i] == bytes[i], "byte %#zx: %02x, not %02x", i,
			      file.data[i], bytes[i]);
	bytes_free(&file);
}

/* Block headers of an unsealed segment are hints: those of the image are those of the file. */
static void assert_same_records(void)
{
	struct bytes file = file_read(test_path(SEGMENT));

	for (uint32_t k = 0; k < BLOCKS; k++)
		memcpy(expected.bytes + 4096 + k * TEST_BLOCK, file.data + 4096 + k * TEST_BLOCK,
		       64);
	bytes_free(&file);
	assert_file_is(SEGMENT, expected.bytes, expected.size);
}

static void seal_and_compare(void)
{
	ck_ok(wal_segment_writer_seal(&writer, TEST_TIME + 99));
	oracle_seal(&expected, TEST_TIME + 99, 0);
	assert_file_is(SEGMENT, expected.bytes, expected.size);
}

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

START_TEST(header_and_segment_record_are_what_the_document_says)
{
	open_started();
	expect();
	assert_same_records();
	oracle_image_free(&expected);
}
END_TEST

/* --- touch ---------------------------------------------------------------------- */

START_TEST(touch_changes_no_byte)
{
	struct bytes before;

	open_started();
	append(100, 0);
	append(EVENT_MAX, 0);
	before = file_read(test_path(SEGMENT));
	ck_ok(wal_segment_writer_prefault(&writer));
	assert_file_is(SEGMENT, before.data, before.size);
	bytes_free(&before);
}
END_TEST

START_TEST(touch_before_start_leaves_zeros)
{
	static const uint8_t zeros[FILE_BYTES];

	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	ck_ok(wal_segment_writer_prefault(&writer));
	assert_file_is(PREPARED, zeros, sizeof(zeros));
}
END_TEST

/* --- append ---------------------------------------------------------------------- */

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

/* --- flush and close --------------------------------------------------------------- */

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

/* --- gathering ------------------------------------------------------------------- */

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

/* --- no space to overwrite what is there ---------------------------------------------- */

/* In batches of three: within a block, over a block's end, and a group over three blocks. */
static const uint32_t batches[][3] = {{100, 200, 300},
				      {1500, 1500, 500},
				      {40, 6000, 30},
				      {700, 50, 8}};

/* What anybody else finds in the file is what the writer would go on behind. */
static void assert_file_has_what_was_settled(void)
{
	struct wal_segment_reader *r;

	ck_ok(wal_segment_reader_open(&fault.io, test_dirfd(), SEGMENT, 1, 0, &r, NULL));
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

/* What holds of either way to write. */
static void add_tests(TCase *t)
{
	const int lefts = (int)(sizeof(left_over) / sizeof(left_over[0]));

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
	tcase_add_test(t, make_durable_syncs_the_file_each_time_and_its_directory_once);
	tcase_add_test(t, header_and_segment_record_are_what_the_document_says);
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
	tcase_add_test(t, flush_partial_writes_the_header_of_the_block_that_is_being_filled);
	tcase_add_test(t, flush_syncs_only_when_asked);
	tcase_add_test(t, close_syncs_only_when_asked);
	tcase_add_test(t, sealing_syncs_the_data_before_the_cut_and_the_seal_after_it);
	tcase_add_loop_test(t, open_existing_goes_on_exactly_where_it_ended, 0, 9);
	tcase_add_test(t, open_existing_needs_no_block_header);
	tcase_add_test(t, open_existing_refuses_what_cannot_be_gone_on_with_and_leaves_it);
	tcase_add_test(t, open_existing_refuses_another_index);
}

#ifdef WAL_CHECKED
START_TEST(an_append_outside_the_data_area_is_our_own_mistake)
{
	open_shape(1, TEST_BLOCK, FILE_BYTES);
	writer.at = writer.data_size + 8;
	wal_segment_writer_append(&writer, text, 8, 0, TEST_TIME);
}
END_TEST
#endif

static Suite *segment_writer_suite(void)
{
	Suite *suite = suite_create("segment_writer");
	TCase *t = test_case(suite, "mapped", 30);

	tcase_add_checked_fixture(t, begin, end);
	add_tests(t);
#ifdef WAL_CHECKED
	tcase_add_test_raise_signal(t, an_append_outside_the_data_area_is_our_own_mistake, SIGABRT);
#endif
	tcase_add_test(t, touch_changes_no_byte);
	tcase_add_test(t, touch_before_start_leaves_zeros);
	tcase_add_test(t, an_event_is_in_the_file_at_once_and_without_a_system_call);
	tcase_add_test(t, a_mapping_that_lost_its_file_is_an_error_and_the_process_lives);
	tcase_add_loop_test(
		t, a_fault_before_the_name_is_asked_about_and_the_segment_begun_without_a_mapping,
		0, 4);
	t = test_case(suite, "gathered", 30);
	tcase_add_checked_fixture(t, begin_gathering, end);
	add_tests(t);
	tcase_add_test(t, what_was_gathered_is_in_the_file_after_one_pwrite);
	tcase_add_test(t, a_full_block_is_written_with_its_header_at_once);
	tcase_add_test(t, a_pwrite_that_fails_is_a_fault_and_the_last_one);
	tcase_add_loop_test(t, where_there_was_no_space_the_file_says_what_is_in_the_segment, 0,
			    16);
	tcase_add_test(t, a_header_without_space_is_written_later);
	tcase_add_test(t, without_space_for_a_header_a_segment_is_closed_in_order);
	tcase_add_test(t, what_the_file_lost_meanwhile_is_no_lack_of_space);
	return suite;
}

int main(void)
{
	return test_main(segment_writer_suite());
}
