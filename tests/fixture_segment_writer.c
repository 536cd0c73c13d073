/* SPDX-License-Identifier: MIT */
/* Segment writers: see the header. */
#include "tests/fixture_segment_writer.h"

#include <string.h>

#include "core/store/store.h"

struct fault_io fault;
struct wal_segment_writer writer;
uint8_t text[FILE_BYTES];
bool gathers;
struct oracle_image expected;

static void begin(void)
{
	fault_io_init(&fault);
	writer.fd = -1;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 26);
}

static void begin_gathered(void)
{
	begin();
	gathers = true;
}

static void end(void)
{
	wal_segment_writer_close(&writer, false);
	fault_io_destroy(&fault);
}

TCase *mapped_case(Suite *suite)
{
	TCase *t = test_case(suite, "mapped", 30);

	tcase_add_checked_fixture(t, begin, end);
	return t;
}

TCase *gathered_case(Suite *suite)
{
	TCase *t = test_case(suite, "gathered", 30);

	tcase_add_checked_fixture(t, begin_gathered, end);
	return t;
}

int open_shape(uint32_t index, uint32_t block_size, uint64_t bytes)
{
	const struct wal_segment_shape shape = {index, block_size, bytes};
	int err = wal_segment_writer_open_new(&writer, &fault.io, test_dirfd(), &shape);

	if (!err && gathers)
		ck_ok(wal_segment_writer_gather(&writer));
	return err;
}

int try_existing(uint32_t index, struct wal_tail *tail)
{
	struct wal_segment_file file = {.dirfd = test_dirfd(), .index = index};
	char name[WAL_NAME_MAX];

	wal_segment_name(index, name);
	file.fd = wal_store_open_to_write(&fault.io, test_dirfd(), name, NULL, NULL);
	return file.fd < 0 ? file.fd
			   : wal_segment_writer_open_existing(&writer, &fault.io, &file, tail);
}

void open_existing(struct wal_tail *tail)
{
	ck_ok(try_existing(1, tail));
	if (gathers)
		ck_ok(wal_segment_writer_gather(&writer));
}

int put(uint32_t size, uint32_t flags, uint64_t time_ns)
{
	int err = wal_segment_writer_append(&writer, text, size, flags, time_ns);

	wal_segment_writer_write_out(&writer);
	return err;
}

int try_start(void)
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

void start(void)
{
	ck_ok(try_start());
}

void open_started(void)
{
	ck_ok(open_shape(1, TEST_BLOCK, FILE_BYTES));
	start();
	ck_ok(wal_segment_writer_publish(&writer));
}

void append(uint32_t size, uint32_t flags)
{
	ck_ok(put(size, flags, TEST_TIME));
}

void expect(void)
{
	struct oracle_params params = test_params();

	oracle_build(&expected, &params);
}

void append_both(uint32_t size, uint32_t flags, uint64_t time_ns)
{
	ck_ok(put(size, flags, time_ns));
	if (size > EVENT_MAX)
		oracle_append_group(&expected, time_ns, flags, text, size);
	else
		oracle_append(&expected, time_ns, flags, text, size);
}

void assert_file_is(const char *name, const uint8_t *bytes, size_t size)
{
	struct bytes file = file_read(test_path(name));

	ck_assert_uint_eq(file.size, size);
	for (size_t i = 0; i < size; i++)
		ck_assert_msg(file.data[i] == bytes[i], "byte %#zx: %02x, not %02x", i,
			      file.data[i], bytes[i]);
	bytes_free(&file);
}

void assert_same_records(void)
{
	struct bytes file = file_read(test_path(SEGMENT));

	for (uint32_t k = 0; k < BLOCKS; k++)
		memcpy(expected.bytes + 4096 + k * TEST_BLOCK, file.data + 4096 + k * TEST_BLOCK,
		       64);
	bytes_free(&file);
	assert_file_is(SEGMENT, expected.bytes, expected.size);
}

void seal_and_compare(void)
{
	ck_ok(wal_segment_writer_seal(&writer, TEST_TIME + 99));
	oracle_seal(&expected, TEST_TIME + 99, 0);
	assert_file_is(SEGMENT, expected.bytes, expected.size);
}
