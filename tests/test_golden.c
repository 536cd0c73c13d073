/* SPDX-License-Identifier: MIT */
/*
 * tests/golden/0000000001.wal is the segment that section 11 of docs/FORMAT.md
 * shows. Document, file, oracle and library must agree on every byte of it.
 * After a change of the golden segment: WALFS_GOLDEN_DUMP=FILE tests/test_golden
 * writes the text for the document into FILE.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/segment/segment_writer.h"
#include "tests/support.h"

#define CREATED UINT64_C(1795341662000000000) /* 2026-11-22T10:01:02Z */
#define CLOSED (CREATED + UINT64_C(60000000000))
#define BLOCKS 4u
#define WRITER_VERSION 0x000100u

static struct bytes golden;
static char filler[4500];

static const struct {
	uint64_t timestamp_ns;
	uint32_t flags;
	uint32_t size;
	const char *text; /* NULL: filler, and a newline at the end */
} records[] = {
	{CREATED + 17, 0, 16, "order 17 filled\n"},
	{CREATED + 1000000017, WAL_FLAG_PART, 20, "order 18 is not comp"},
	{CREATED + 2000000000, 0, 4500, NULL},
	{CREATED + 2000000000, 0, 1, "\n"},
	{CREATED + 3500000000, 0, 3500, NULL},
	{CREATED + 3600000000, 0, 21, "order 19 filled at 1\n"},
};
#define RECORDS (sizeof(records) / sizeof(records[0]))

static const char *record_text(size_t i)
{
	uint32_t size = records[i].size;

	if (records[i].text)
		return records[i].text;
	for (uint32_t k = 0; k < size - 1; k++)
		filler[k] = "0123456789abcdef"[k % 16];
	filler[size - 1] = '\n';
	return filler;
}

static void load(void)
{
	golden = file_read(source_path("tests/golden/0000000001.wal"));
	ck_assert_uint_eq(golden.size, 4096 + 3 * TEST_BLOCK);
}

static void unload(void)
{
	bytes_free(&golden);
}

/* Names the first byte that differs. */
static void assert_golden(const uint8_t *bytes, size_t size)
{
	ck_assert_uint_eq(size, golden.size);
	for (size_t i = 0; i < size; i++)
		ck_assert_msg(bytes[i] == golden.data[i], "byte %#zx: %02x, golden has %02x", i,
			      bytes[i], golden.data[i]);
}

/* What is between the markers in the document. */
static char *document_dump(struct bytes *document)
{
	char *start;
	char *end;

	*document = file_read(source_path("docs/FORMAT.md"));
	document->data[document->size] = '\0';
	start = strstr((char *)document->data, "```golden\n");
	ck_assert_ptr_nonnull(start);
	start += strlen("```golden\n");
	end = strstr(start, "```\n");
	ck_assert_ptr_nonnull(end);
	*end = '\0';
	return start;
}

static char *dump_of_file(void)
{
	const char *copy = getenv("WALFS_GOLDEN_DUMP");
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	oracle_dump(out, golden.data, golden.size);
	fclose(out);
	if (copy && *copy)
		file_write(copy, text, size);
	return text;
}

START_TEST(the_document_shows_the_file)
{
	struct bytes document;
	char *text = dump_of_file();
	char *expected = text;
	char *shown = document_dump(&document);

	for (size_t line = 1; *expected || *shown; line++) {
		size_t n = strcspn(expected, "\n");

		ck_assert_msg(n == strcspn(shown, "\n") && strncmp(expected, shown, n) == 0,
			      "line %zu of the dump in the document: \"%.*s\", not \"%.*s\"", line,
			      (int)strcspn(shown, "\n"), shown, (int)n, expected);
		expected += n + (expected[n] == '\n');
		shown += n + (shown[n] == '\n');
	}
	bytes_free(&document);
	free(text);
}
END_TEST

/* "OFFSET  HEX ..." puts bytes, "OFFSET  00 x N" zeros, "*" repeats the row before. */
static uint64_t put_line(const char *line, uint8_t *image, uint64_t at)
{
	char *end;
	uint64_t offset = strtoull(line, &end, 16);
	unsigned long zeros;

	/* After a "*" the row before fills up to this offset. */
	for (; at < offset; at++)
		image[at] = image[at - 16];
	ck_assert_uint_eq(at, offset);
	if (sscanf(end, "  00 x %lu", &zeros) == 1) {
		memset(image + offset, 0, zeros);
		return offset + zeros;
	}
	for (end += 2; end[0] != ' ' && end[2] == ' '; end += 3)
		image[at++] = (uint8_t)strtoul(end, NULL, 16);
	return at;
}

START_TEST(the_file_can_be_made_again_from_the_document_alone)
{
	uint8_t *image = calloc(1, golden.size + 64);
	struct bytes document;
	char *save = NULL;
	uint64_t at = 0;

	for (char *line = strtok_r(document_dump(&document), "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		if (strstr(line, "  end"))
			break;
		if (line[0] == '0')
			at = put_line(line, image, at);
		ck_assert_uint_le(at, golden.size);
	}
	assert_golden(image, at);
	free(image);
	bytes_free(&document);
}
END_TEST

START_TEST(the_oracle_finds_it_valid_and_builds_it_again)
{
	struct oracle_params params = test_params();
	struct oracle_segment segment;
	struct oracle_image image;

	oracle_decode(golden.data, golden.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_NONE);
	ck_assert(segment.sealed && segment.readable);
	ck_assert_uint_eq(segment.event_count, 7);
	ck_assert_uint_eq(segment.block_count, 3);
	oracle_segment_free(&segment);

	params.created_ns = CREATED;
	params.writer_version = WRITER_VERSION;
	oracle_build(&image, &params);
	for (size_t i = 0; i < RECORDS; i++) {
		if (records[i].size > TEST_BLOCK - 80)
			oracle_append_group(&image, records[i].timestamp_ns, records[i].flags,
					    record_text(i), records[i].size);
		else
			oracle_append(&image, records[i].timestamp_ns, records[i].flags,
				      record_text(i), records[i].size);
	}
	oracle_seal(&image, CLOSED, 0);
	assert_golden(image.bytes, image.size);
	oracle_image_free(&image);
}
END_TEST

START_TEST(the_writer_writes_it_byte_for_byte)
{
	const struct wal_segment_shape shape = {1, TEST_BLOCK, 4096 + BLOCKS * TEST_BLOCK};
	struct wal_meta_record meta = {
		.kind = WAL_META_SEGMENT,
		.writer_version = WRITER_VERSION,
		.incarnation = 1,
		.segment_bytes = 4096 + BLOCKS * TEST_BLOCK,
		.framing = {WAL_FRAME_LINE, 0},
	};
	struct wal_segment_writer writer;
	struct bytes written;

	memcpy(meta.log, test_log, 16);
	ck_ok(wal_segment_writer_open_new(&writer, &wal_io_system, test_dirfd(), &shape));
	ck_ok(wal_segment_writer_prefault(&writer));
	ck_ok(wal_segment_writer_start(&writer, 1, oracle_chain_start(test_log), CREATED, &meta));
	ck_ok(wal_segment_writer_publish(&writer));
	for (size_t i = 0; i < RECORDS; i++)
		ck_ok(wal_segment_writer_append(&writer, record_text(i), records[i].size,
						records[i].flags, records[i].timestamp_ns));
	ck_ok(wal_segment_writer_seal(&writer, CLOSED));
	written = file_read(test_path("0000000001.wal"));
	assert_golden(written.data, written.size);
	bytes_free(&written);
}
END_TEST

static int open_golden_dir(void)
{
	int fd = open(source_path("tests/golden"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

START_TEST(the_verifier_finds_it_sound)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	int fd = open_golden_dir();

	ck_ok(wal_verify_segment(fd, "0000000001.wal", 1, &options, &result));
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(result.segments, 1);
	ck_assert_uint_eq(result.blocks, 3);
	ck_assert_uint_eq(result.events, 7);
	ck_assert_uint_eq(result.payload_bytes, 16 + 20 + 4500 + 1 + 3500 + 21);
	ck_assert_uint_eq(result.file_bytes, golden.size);
	close(fd);
}
END_TEST

START_TEST(the_reader_reads_what_was_put_in)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	size_t done = 0; /* of record i, when it is a group */
	size_t i = 0;
	int fd = open_golden_dir();

	ck_ok(wal_segment_reader_open(
		&(struct wal_segment_source){.dirfd = fd, .name = "0000000001.wal", .index = 1},
		&reader, NULL));
	for (uint64_t id = 1; id <= 7; id++) {
		ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
		ck_assert_uint_eq(event.id, id);
		ck_assert_uint_eq(event.timestamp_ns, records[i].timestamp_ns);
		ck_assert_mem_eq(event.payload, record_text(i) + done, event.size);
		ck_assert_uint_eq((event.flags & WAL_FLAG_CONT) != 0, done > 0);
		done += event.size;
		if (event.flags & WAL_FLAG_MORE)
			continue;
		ck_assert_uint_eq(done, records[i].size);
		ck_assert_uint_eq(event.flags & WAL_FLAG_PART, records[i].flags);
		done = 0;
		i++;
	}
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 0);
	wal_segment_reader_close(reader);
	close(fd);
}
END_TEST

static Suite *golden_suite(void)
{
	Suite *suite = suite_create("golden");
	TCase *t = test_case(suite, "golden", 20);

	tcase_add_checked_fixture(t, load, unload);
	tcase_add_test(t, the_document_shows_the_file);
	tcase_add_test(t, the_file_can_be_made_again_from_the_document_alone);
	tcase_add_test(t, the_oracle_finds_it_valid_and_builds_it_again);
	tcase_add_test(t, the_writer_writes_it_byte_for_byte);
	tcase_add_test(t, the_verifier_finds_it_sound);
	tcase_add_test(t, the_reader_reads_what_was_put_in);
	return suite;
}

int main(void)
{
	return test_main(golden_suite());
}
