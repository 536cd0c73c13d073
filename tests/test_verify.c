/* SPDX-License-Identifier: MIT */
/* Verifying: each kind of fault, provoked alone, is named with its block and offset. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/states_build.h"

#define SEGMENT "0000000001.wal"
#define DATA(k) (4096 + (k)*TEST_BLOCK + 64)
#define BLOCK_AT(k) (4096 + (k)*TEST_BLOCK)

static struct oracle_image image;
static uint64_t event_offsets[200]; /* of its events, from 0 */

/* What was reported, in order. */
static struct {
	size_t count;
	struct wal_fault faults[64];
	char names[64][64];
} reported;

static void keep_fault(void *ctx, const char *name, const struct wal_fault *fault)
{
	(void)ctx;
	if (reported.count < 64) {
		reported.faults[reported.count] = *fault;
		snprintf(reported.names[reported.count], sizeof(reported.names[0]), "%s", name);
	}
	reported.count++;
}

static const struct wal_verify_options options = {.fault = keep_fault};
static struct wal_verify_result result;

/* 130 lines, a PART, a group and a last line in three blocks, sealed. */
static void build(void)
{
	static char line[5000];
	struct oracle_params params = test_params();
	struct oracle_segment segment;

	oracle_build(&image, &params);
	append_lines(&image, 130); /* 125 in block 0, 5 in block 1 */
	oracle_append(&image, image.last_ns + 1, WAL_FLAG_PART, "part", 4);
	memset(line, 'g', sizeof(line));
	oracle_append_group(&image, image.last_ns + 1, 0, line, sizeof(line));
	oracle_append(&image, image.last_ns + 1, 0, "last\n", 5);
	oracle_seal(&image, image.last_ns + 1, 0);
	ck_assert_uint_eq(image.block, 2);
	oracle_decode(image.bytes, image.size, 1, &segment);
	ck_assert_uint_eq(segment.event_count, 134);
	for (size_t i = 0; i < segment.event_count; i++)
		event_offsets[i] = segment.events[i].file_offset;
	oracle_segment_free(&segment);
}

static void destroy(void)
{
	oracle_image_free(&image);
}

static void verify_file(void)
{
	memset(&reported, 0, sizeof(reported));
	ck_ok(wal_verify_segment(test_dirfd(), SEGMENT, 1, &options, &result));
	ck_assert_uint_eq(result.faults, reported.count);
}

static void verify_image(void)
{
	store_put(test_dir(), &image);
	verify_file();
}

/* --- faults of a segment ----------------------------------------------------- */

static uint64_t event_offset(size_t n)
{
	ck_assert_uint_lt(n, 134);
	return event_offsets[n];
}

static void fix_event(size_t n)
{
	oracle_fix_event(image.bytes + event_offset(n), image.params.prev_chain, 1 + n);
}

static void cut_short(void)
{
	image.size -= 1;
}

static void cut_in_header(void)
{
	image.size = 4095;
}

static void zero_magic(void)
{
	image.bytes[0] = 'w';
	memset(image.bytes + 512, 0, 64);
}

static void newer_version(void)
{
	image.bytes[4] = 9;
	oracle_fix_active_header(image.bytes);
}

static void flip_active(void)
{
	image.bytes[33] ^= 1;
}

static void flip_seal(void)
{
	image.bytes[512 + 40] ^= 1;
}

static void impossible_active(void)
{
	image.bytes[12] = 1; /* block_count of an active header */
	oracle_fix_active_header(image.bytes);
}

static void impossible_seal(void)
{
	image.bytes[512 + 6] = 1;
	oracle_fix_seal_header(image.bytes);
}

static void mismatch_created(void)
{
	image.bytes[512 + 32] ^= 1;
	oracle_fix_seal_header(image.bytes);
}

static void mismatch_first_event(void)
{
	image.bytes[512 + 16] ^= 2;
	oracle_fix_seal_header(image.bytes);
}

static void mismatch_index(void)
{
	image.bytes[512 + 8] ^= 4;
	oracle_fix_seal_header(image.bytes);
}

static void reserved_low(void)
{
	image.bytes[511] = 1;
}

static void reserved_signature(void)
{
	image.bytes[1024] = 1;
}

static void reserved_high(void)
{
	image.bytes[4095] = 1;
}

static void other_index(void)
{
	image.bytes[8] = 2;
	image.bytes[512 + 8] = 2;
	oracle_fix_active_header(image.bytes);
	oracle_fix_seal_header(image.bytes);
}

static void flip_block_header(void)
{
	image.bytes[BLOCK_AT(1) + 60] ^= 1;
}

static void block_flags(void)
{
	image.bytes[BLOCK_AT(1) + 12] = 1;
	oracle_fix_blocks(image.bytes, 1);
}

static void block_index(void)
{
	image.bytes[BLOCK_AT(1) + 24] = 2;
	oracle_fix_blocks(image.bytes, 1);
}

static void block_time(void)
{
	image.bytes[BLOCK_AT(1) + 32] ^= 1;
	oracle_fix_blocks(image.bytes, 1);
}

static void block_checksum(void)
{
	uint8_t *h = image.bytes + BLOCK_AT(1);

	oracle_fix_blocks(image.bytes, 0);
	h[40] ^= 1; /* the data is right, its checksum is not */
	oracle_put64(h + 48, oracle_xxh3(h, 48, oracle_get64(image.bytes + BLOCK_AT(0) + 48)));
	oracle_put64(h + 56, oracle_xxh3(h, 56, image.params.prev_chain));
	oracle_fix_blocks(image.bytes, 2);
}

static void block_chain(void)
{
	uint8_t *h = image.bytes + BLOCK_AT(1);

	h[48] ^= 1;
	oracle_put64(h + 56, oracle_xxh3(h, 56, image.params.prev_chain));
	oracle_fix_blocks(image.bytes, 2); /* goes on from the wrong one */
}

static void event_checksum(void)
{
	image.bytes[event_offset(4) + 16] ^= 1;
	oracle_fix_blocks(image.bytes, 0);
}

static void event_flags(void)
{
	image.bytes[event_offset(4) + 7] = 0x10;
	fix_event(4);
	oracle_fix_blocks(image.bytes, 0);
}

static void event_length(void)
{
	image.bytes[event_offset(4) + 6] = 1; /* 64 KiB more */
	oracle_fix_blocks(image.bytes, 0);
}

static void event_time(void)
{
	uint64_t at = event_offset(4);

	oracle_put64(image.bytes + at + 8, oracle_get64(image.bytes + at + 8) - 5000);
	fix_event(4);
	oracle_fix_blocks(image.bytes, 0);
}

static void cont_without_more(void)
{
	image.bytes[event_offset(4) + 7] = WAL_FLAG_CONT;
	fix_event(4);
	oracle_fix_blocks(image.bytes, 0);
}

static void more_without_cont(void)
{
	image.bytes[event_offset(4) + 7] = WAL_FLAG_MORE;
	fix_event(4);
	oracle_fix_blocks(image.bytes, 0);
}

static void more_at_the_end(void)
{
	image.bytes[event_offset(133) + 7] = WAL_FLAG_MORE;
	fix_event(133);
	oracle_fix_blocks(image.bytes, 0);
}

static void event_padding(void)
{
	image.bytes[event_offset(130) + 16 + 4] = 1; /* "part" and four zeros */
	oracle_fix_blocks(image.bytes, 0);
}

static void block_rest(void)
{
	image.bytes[BLOCK_AT(3) - 1] = 1;
}

static void seal_count(void)
{
	image.bytes[512 + 24] ^= 1;
	oracle_fix_seal_header(image.bytes);
}

static void block_count(void)
{
	image.bytes[BLOCK_AT(2) + 8] ^= 1;
	oracle_fix_blocks(image.bytes, 0);
}

static void block_first_event(void)
{
	/* No event below it fits its id any more. */
	oracle_put64(image.bytes + BLOCK_AT(1), 127);
	oracle_fix_blocks(image.bytes, 0);
}

static void block_payload(void)
{
	image.bytes[BLOCK_AT(1) + 16] ^= 1;
	oracle_fix_blocks(image.bytes, 0);
}

static void resume_first(void)
{
	image.bytes[DATA(0) + 16] = 2;
	oracle_fix_event(image.bytes + DATA(0), image.params.prev_chain, 1);
	oracle_fix_blocks(image.bytes, 0);
}

static void meta_too_long(void)
{
	image.bytes[DATA(0) + 18] = 69;
	oracle_fix_event(image.bytes + DATA(0), image.params.prev_chain, 1);
	oracle_fix_blocks(image.bytes, 0);
}

static void meta_framing(void)
{
	image.bytes[DATA(0) + 16 + 40] = 9;
	oracle_fix_event(image.bytes + DATA(0), image.params.prev_chain, 1);
	oracle_fix_blocks(image.bytes, 0);
}

static void meta_segment_bytes(void)
{
	image.bytes[DATA(0) + 16 + 32] = 1;
	oracle_fix_event(image.bytes + DATA(0), image.params.prev_chain, 1);
	oracle_fix_blocks(image.bytes, 0);
}

#define NONE WAL_NO_BLOCK

static const struct {
	const char *name;
	void (*damage)(void);
	enum wal_fault_kind kind;
	uint32_t block;
	uint64_t offset;
	bool alone; /* it is the only one */
} faults[] = {
	{"cut by a byte", cut_short, WAL_FAULT_TOO_SHORT, NONE, 4096 + 3 * TEST_BLOCK - 1, true},
	{"cut in the header area", cut_in_header, WAL_FAULT_TOO_SHORT, NONE, 4095, true},
	{"no magic", zero_magic, WAL_FAULT_MAGIC, NONE, 0, true},
	{"newer version", newer_version, WAL_FAULT_VERSION, NONE, 4, true},
	{"active header flipped", flip_active, WAL_FAULT_HEADER_CHECKSUM, NONE, 0, true},
	{"seal header flipped", flip_seal, WAL_FAULT_HEADER_CHECKSUM, NONE, 512, true},
	{"active header impossible", impossible_active, WAL_FAULT_HEADER_FIELD, NONE, 0, true},
	{"seal header impossible", impossible_seal, WAL_FAULT_HEADER_FIELD, NONE, 512, true},
	{"headers disagree in time", mismatch_created, WAL_FAULT_HEADER_MISMATCH, NONE, 512, true},
	{"headers disagree in id", mismatch_first_event, WAL_FAULT_HEADER_MISMATCH, NONE, 512,
	 false},
	{"headers disagree in index", mismatch_index, WAL_FAULT_HEADER_MISMATCH, NONE, 512, true},
	{"reserved byte before the seal", reserved_low, WAL_FAULT_RESERVED, NONE, 511, true},
	{"reserved byte of the signature", reserved_signature, WAL_FAULT_RESERVED, NONE, 1024,
	 true},
	{"reserved byte at the end", reserved_high, WAL_FAULT_RESERVED, NONE, 4095, true},
	{"another index", other_index, WAL_FAULT_INDEX, NONE, 8, true},
	{"block header flipped", flip_block_header, WAL_FAULT_BLOCK_HEADER, 1, BLOCK_AT(1), true},
	{"block flags", block_flags, WAL_FAULT_BLOCK_FIELD, 1, BLOCK_AT(1), true},
	{"block index", block_index, WAL_FAULT_BLOCK_FIELD, 1, BLOCK_AT(1), true},
	{"block time", block_time, WAL_FAULT_BLOCK_FIELD, 1, BLOCK_AT(1) + 32, true},
	{"block checksum", block_checksum, WAL_FAULT_BLOCK_CHECKSUM, 1, DATA(1), true},
	{"chained checksum", block_chain, WAL_FAULT_CHAIN, 1, BLOCK_AT(1) + 48, true},
	{"event checksum", event_checksum, WAL_FAULT_EVENT_CHECKSUM, 0, DATA(0) + 88 + 96, true},
	{"event flags", event_flags, WAL_FAULT_EVENT_FIELD, 0, DATA(0) + 88 + 96, true},
	{"event length", event_length, WAL_FAULT_EVENT_FIELD, 0, DATA(0) + 88 + 96, true},
	{"event time", event_time, WAL_FAULT_EVENT_TIME, 0, DATA(0) + 88 + 96, true},
	{"CONT without MORE", cont_without_more, WAL_FAULT_EVENT_GROUP, 0, DATA(0) + 88 + 96, true},
	{"MORE without CONT", more_without_cont, WAL_FAULT_EVENT_GROUP, 0, DATA(0) + 88 + 120,
	 true},
	{"MORE at the end", more_at_the_end, WAL_FAULT_EVENT_GROUP, 2, 0, true},
	{"event padding", event_padding, WAL_FAULT_PADDING, 1, DATA(1) + 160, true},
	{"rest of a block", block_rest, WAL_FAULT_PADDING, 2, 0, true},
	{"count in the seal", seal_count, WAL_FAULT_COUNT, NONE, 512 + 24, true},
	{"count in a block", block_count, WAL_FAULT_COUNT, 2, BLOCK_AT(2) + 8, true},
	{"first id of a block", block_first_event, WAL_FAULT_COUNT, 1, BLOCK_AT(1), false},
	{"payload offset of a block", block_payload, WAL_FAULT_COUNT, 1, BLOCK_AT(1) + 16, false},
	{"first record is RESUME", resume_first, WAL_FAULT_META, 0, DATA(0), false},
	{"first record malformed", meta_too_long, WAL_FAULT_META, 0, DATA(0), false},
	{"framing that is none", meta_framing, WAL_FAULT_META, 0, DATA(0), true},
	{"segment size that is none", meta_segment_bytes, WAL_FAULT_META, 0, DATA(0), true},
};

START_TEST(a_sound_segment_has_no_fault)
{
	verify_image();
	ck_assert_uint_eq(result.faults, 0);
	ck_kind(result.first.kind, WAL_FAULT_NONE);
	ck_assert_uint_eq(result.segments, 1);
	ck_assert_uint_eq(result.blocks, 3);
	ck_assert_uint_eq(result.events, 134);
	ck_assert_uint_eq(result.file_bytes, image.size);
}
END_TEST

START_TEST(each_fault_is_named_with_its_block_and_offset)
{
	const struct wal_fault *first = &reported.faults[0];
	char text[256];

	faults[_i].damage();
	verify_image();
	ck_assert_msg(reported.count > 0, "%s: not found", faults[_i].name);
	wal_fault_format(first, text, sizeof(text));
	ck_assert_msg(first->kind == faults[_i].kind, "%s: %s", faults[_i].name, text);
	ck_assert_msg(first->block == faults[_i].block, "%s: block %u", faults[_i].name,
		      first->block);
	if (faults[_i].offset)
		ck_assert_msg(first->offset == faults[_i].offset, "%s: offset %#llx, not %#llx",
			      faults[_i].name, (unsigned long long)first->offset,
			      (unsigned long long)faults[_i].offset);
	ck_assert_msg(!faults[_i].alone || reported.count == 1, "%s: and also %s", faults[_i].name,
		      wal_fault_kind_name(reported.faults[1].kind));
	ck_assert_uint_eq(first->segment, 1);
	ck_assert_str_eq(reported.names[0], SEGMENT);
	ck_assert_str_eq(result.first_name, SEGMENT);
	ck_kind(result.first.kind, first->kind);
}
END_TEST

START_TEST(the_oracle_finds_each_of_them_too)
{
	struct oracle_segment segment;

	faults[_i].damage();
	oracle_decode(image.bytes, image.size, 1, &segment);
	ck_assert_msg(segment.fault != WAL_FAULT_NONE, "%s: not found", faults[_i].name);
	oracle_segment_free(&segment);
}
END_TEST

START_TEST(a_flipped_byte_of_data_is_a_block_and_an_event_checksum)
{
	image.bytes[DATA(1) + 40] ^= 1;
	verify_image();
	ck_assert_uint_eq(reported.count, 2);
	ck_kind(reported.faults[0].kind, WAL_FAULT_BLOCK_CHECKSUM);
	ck_kind(reported.faults[1].kind, WAL_FAULT_EVENT_CHECKSUM);
	ck_assert_uint_eq(reported.faults[1].offset, DATA(1) + 32);
}
END_TEST

START_TEST(damage_in_two_blocks_is_two_reports)
{
	image.bytes[BLOCK_AT(0) + 3] ^= 1;
	image.bytes[BLOCK_AT(2) + 3] ^= 1;
	verify_image();
	ck_assert_uint_eq(reported.count, 2);
	ck_kind(reported.faults[0].kind, WAL_FAULT_BLOCK_HEADER);
	ck_assert_uint_eq(reported.faults[0].block, 0);
	ck_kind(reported.faults[1].kind, WAL_FAULT_BLOCK_HEADER);
	ck_assert_uint_eq(reported.faults[1].block, 2);
}
END_TEST

START_TEST(a_file_that_is_too_long_says_where_it_should_end)
{
	store_put(test_dir(), &image);
	file_resize(test_path(SEGMENT), image.size + 1);
	verify_file();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_TOO_LONG);
	ck_assert_uint_eq(reported.faults[0].offset, image.size);
}
END_TEST

START_TEST(what_is_no_file_is_said_so)
{
	ck_assert_int_eq(mkfifo(test_path(SEGMENT), 0600), 0);
	verify_file();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_NOT_A_FILE);
}
END_TEST

START_TEST(what_is_not_there_could_not_be_looked_at)
{
	ck_fails(wal_verify_segment(test_dirfd(), SEGMENT, 1, &options, &result), -ENOENT);
}
END_TEST

/* Inside of a block, and as the first record of the next. */
START_TEST(a_meta_record_inside_a_group_is_named)
{
	struct oracle_params params = test_params();
	struct oracle_segment segment;
	uint64_t offset;

	oracle_image_free(&image);
	oracle_build(&image, &params);
	append_lines(&image, 3);
	oracle_append(&image, image.last_ns, WAL_FLAG_MORE, "half", 4);
	if (_i)
		oracle_next_block(&image);
	offset = oracle_end(&image);
	oracle_append_resume(&image, image.last_ns, 2);
	oracle_append(&image, image.last_ns, WAL_FLAG_CONT, "rest\n", 5);
	oracle_seal(&image, image.last_ns, 0);
	verify_image();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_EVENT_GROUP);
	ck_assert_uint_eq(reported.faults[0].offset, offset);
	oracle_decode(image.bytes, image.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_EVENT_GROUP);
	ck_assert_uint_eq(segment.fault_offset, offset);
	oracle_segment_free(&segment);
}
END_TEST

/* FORMAT.md 6: of a RESUME record, log and incarnation are for people. */
START_TEST(log_and_incarnation_of_a_resume_record_are_not_compared)
{
	struct oracle_params params = test_params();
	struct oracle_segment segment;

	oracle_image_free(&image);
	oracle_build(&image, &params);
	append_lines(&image, 3);
	image.params.log[0] ^= 1;
	oracle_append_resume(&image, image.last_ns, 0);
	append_lines(&image, 5);
	oracle_seal(&image, image.last_ns, 0);
	verify_image();
	ck_assert_uint_eq(reported.count, 0);
	oracle_decode(image.bytes, image.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_NONE);
	oracle_segment_free(&segment);
}
END_TEST

/* FORMAT.md 3.2: whatever else the seal says, the active header counts, and they disagree. */
START_TEST(a_seal_with_other_shared_fields_disagrees_with_the_active_header)
{
	static const struct {
		uint32_t offset;
		uint8_t mask;
	} fields[] = {{8, 2}, {16, 2}, {32, 1}, {48, 1}};
	struct oracle_segment segment;

	image.bytes[512 + fields[_i].offset] ^= fields[_i].mask;
	oracle_fix_seal_header(image.bytes);
	verify_image();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_HEADER_MISMATCH);
	oracle_decode(image.bytes, image.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_HEADER_MISMATCH);
	oracle_segment_free(&segment);
}
END_TEST

START_TEST(a_version_in_the_seal_is_not_believed)
{
	struct oracle_segment segment;

	image.bytes[512 + 4] = 9;
	oracle_put64(image.bytes + 512 + 56, oracle_xxh3(image.bytes + 512, 56, 0));
	verify_image();
	ck_kind(reported.faults[0].kind, WAL_FAULT_HEADER_CHECKSUM);
	ck_assert_uint_eq(reported.faults[0].offset, 512);
	oracle_decode(image.bytes, image.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_HEADER_CHECKSUM);
	oracle_segment_free(&segment);
}
END_TEST

START_TEST(an_unsealed_segment_is_sound_up_to_its_last_whole_event)
{
	struct oracle_params params = test_params();

	oracle_image_free(&image);
	oracle_build(&image, &params);
	append_lines(&image, 200);
	verify_image();
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(result.events, 200);
	image.bytes[oracle_end(&image) - 20] ^= 1; /* in event 200 */
	verify_image();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_TAIL);
	ck_assert_uint_eq(reported.faults[0].offset, oracle_end(&image) - 32);
	ck_assert_uint_eq(reported.faults[0].block, 1);
	ck_assert_uint_eq(result.events, 199);
}
END_TEST

/* --- every bit ------------------------------------------------------------------ */

/* A small sealed segment of two blocks; the whole file is 12 KiB. */
static void build_small(void)
{
	struct oracle_params params = test_params();

	oracle_build(&image, &params);
	for (uint64_t id = 1; id <= 6; id++) {
		if (id == 4)
			oracle_next_block(&image);
		append_lines(&image, id);
	}
	oracle_seal(&image, image.last_ns + 1, 0);
	store_put(test_dir(), &image);
}

static uint32_t block_of(uint64_t byte)
{
	return byte < 4096 ? WAL_NO_BLOCK : (uint32_t)((byte - 4096) / TEST_BLOCK);
}

static bool kind_fits(uint64_t byte, enum wal_fault_kind kind)
{
	const uint64_t in_block = (byte - 4096) % TEST_BLOCK;

	if (byte < 4)
		return kind == WAL_FAULT_MAGIC || kind == WAL_FAULT_HEADER_CHECKSUM;
	if (byte < 64)
		return kind == WAL_FAULT_HEADER_CHECKSUM || kind == WAL_FAULT_HEADER_FIELD;
	if (byte >= 512 && byte < 576)
		return kind == WAL_FAULT_HEADER_CHECKSUM || kind == WAL_FAULT_HEADER_FIELD ||
		       kind == WAL_FAULT_MAGIC;
	if (byte < 4096)
		return kind == WAL_FAULT_RESERVED;
	if (in_block < 64)
		return kind == WAL_FAULT_BLOCK_HEADER;
	return kind == WAL_FAULT_BLOCK_CHECKSUM || kind == WAL_FAULT_PADDING;
}

/* The slice of all bits that this run of the loop flips: so that it can use both processors. */
#define SLICES 8

START_TEST(every_flipped_bit_of_a_sealed_segment_is_found_and_named)
{
	const uint64_t size = image.size / SLICES;

	for (uint64_t byte = size * (unsigned)_i; byte < size * (unsigned)(_i + 1); byte++) {
		for (uint32_t bit = 0; bit < 8; bit++) {
			file_flip(test_path(SEGMENT), byte, (uint8_t)(1u << bit));
			verify_file();
			file_flip(test_path(SEGMENT), byte, (uint8_t)(1u << bit));
			ck_assert_msg(reported.count > 0, "byte %#llx bit %u: not found",
				      (unsigned long long)byte, bit);
			ck_assert_msg(kind_fits(byte, reported.faults[0].kind),
				      "byte %#llx bit %u: %s", (unsigned long long)byte, bit,
				      wal_fault_kind_name(reported.faults[0].kind));
			for (size_t i = 0; i < reported.count; i++)
				ck_assert_msg(reported.faults[i].block == block_of(byte),
					      "byte %#llx bit %u: %s in block %u",
					      (unsigned long long)byte, bit,
					      wal_fault_kind_name(reported.faults[i].kind),
					      reported.faults[i].block);
		}
	}
}
END_TEST

/* With the bit flipped, every event of every other block can be read as it is. */
static void assert_neighbours(const struct oracle_segment *truth, uint64_t byte)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	ck_assert_msg(test_reader_open(SEGMENT, 1, &reader, NULL) == 0, "byte %#llx: not opened",
		      (unsigned long long)byte);
	for (size_t i = 0; i < truth->event_count; i++) {
		const struct oracle_event *expected = &truth->events[i];
		int found = wal_segment_reader_seek_event(reader, expected->id);

		if (found == 0)
			found = wal_segment_reader_next(reader, &event);
		if (expected->block == block_of(byte)) {
			ck_assert_msg(found < 0, "byte %#llx: event %llu is handed out",
				      (unsigned long long)byte, (unsigned long long)expected->id);
			continue;
		}
		ck_assert_msg(found == 1 && event.id == expected->id &&
				      event.size == expected->size &&
				      memcmp(event.payload, expected->payload, event.size) == 0,
			      "byte %#llx: event %llu: %d", (unsigned long long)byte,
			      (unsigned long long)expected->id, found);
	}
	wal_segment_reader_close(reader);
}

START_TEST(a_flipped_bit_leaves_every_other_block_readable)
{
	const uint64_t size = image.size / SLICES;
	struct oracle_segment truth;

	oracle_decode(image.bytes, image.size, 1, &truth);
	for (uint64_t byte = size * (unsigned)_i; byte < size * (unsigned)(_i + 1); byte++) {
		uint8_t mask = (uint8_t)(1u << byte * 5 % 8);

		file_flip(test_path(SEGMENT), byte, mask);
		assert_neighbours(&truth, byte);
		file_flip(test_path(SEGMENT), byte, mask);
	}
	oracle_segment_free(&truth);
}
END_TEST

/* --- against the oracle, at random -------------------------------------------------- */

/* Changes something, then makes some layers of checksums right again. */
static void mutate(unsigned *seed, const uint8_t *original)
{
	static const uint32_t hot[] = {4, 6, 7, 8, 512 + 6, 512 + 7, 512 + 12, 512 + 24, 512 + 28};
	unsigned layers = (unsigned)rand_r(seed) % 16;
	size_t n = (unsigned)rand_r(seed) % 134;
	uint64_t at = event_offset(n);
	uint64_t byte;

	switch ((unsigned)rand_r(seed) % 4) {
	case 0:
		byte = hot[(unsigned)rand_r(seed) % 9];
		break;
	case 1:
		byte = BLOCK_AT((unsigned)rand_r(seed) % 3) + (unsigned)rand_r(seed) % 64;
		break;
	case 2:
		byte = at + (unsigned)rand_r(seed) % 32;
		break;
	default:
		byte = DATA(0) + (unsigned)rand_r(seed) % 88;
	}
	image.bytes[byte] = (uint8_t)rand_r(seed);
	if ((layers & 1) && (oracle_get32(image.bytes + at + 4) & 0xffffff) < TEST_BLOCK)
		oracle_fix_event(image.bytes + at, oracle_get64(original + 48), 1 + n);
	if ((layers & 2) && (oracle_get32(image.bytes + DATA(0) + 4) & 0xffffff) < TEST_BLOCK)
		oracle_fix_event(image.bytes + DATA(0), oracle_get64(original + 48), 1);
	if ((layers & 4) && image.bytes[512 + 7] == 12 &&
	    oracle_get32(image.bytes + 512 + 12) == 3 &&
	    oracle_get32(image.bytes + BLOCK_AT(0) + 28) <= TEST_BLOCK - 64 &&
	    oracle_get32(image.bytes + BLOCK_AT(1) + 28) <= TEST_BLOCK - 64 &&
	    oracle_get32(image.bytes + BLOCK_AT(2) + 28) <= TEST_BLOCK - 64)
		oracle_fix_blocks(image.bytes, 0);
	if (layers & 8)
		oracle_fix_active_header(image.bytes);
}

START_TEST(library_and_oracle_agree_on_what_is_valid)
{
	uint8_t *original = malloc(image.size);
	unsigned seed = 1000u * (unsigned)_i + 1;
	size_t invalid = 0;

	memcpy(original, image.bytes, image.size);
	for (int round = 0; round < 1500; round++) {
		struct oracle_segment segment;

		mutate(&seed, original);
		oracle_decode(image.bytes, image.size, 1, &segment);
		verify_image();
		ck_assert_msg((segment.fault == WAL_FAULT_NONE) == (result.faults == 0),
			      "seed %d round %d: the oracle says %s (offset %#llx), the library %s "
			      "(offset %#llx)",
			      _i, round, wal_fault_kind_name(segment.fault),
			      (unsigned long long)segment.fault_offset,
			      wal_fault_kind_name(result.first.kind),
			      (unsigned long long)result.first.offset);
		invalid += segment.fault != WAL_FAULT_NONE;
		oracle_segment_free(&segment);
		memcpy(image.bytes, original, image.size);
	}
	ck_assert_uint_gt(invalid, 500);
	free(original);
}
END_TEST

/* --- a store --------------------------------------------------------------------------- */

static struct oracle_image images[3];

/* Three sealed segments and D at their end. */
static void build_store(void)
{
	struct oracle_params params = test_params();
	struct oracle_slot slot;

	for (size_t i = 0; i < 3; i++) {
		oracle_build(&images[i], &params);
		append_lines(&images[i], 50 * (i + 1));
		oracle_seal(&images[i], images[i].last_ns + 1, 0);
		store_put(test_dir(), &images[i]);
		params = test_params_after(&images[i]);
	}
	slot = test_slot(&images[2]);
	store_put_slot(test_dir(), &slot);
}

static void destroy_store(void)
{
	for (size_t i = 0; i < 3; i++)
		oracle_image_free(&images[i]);
}

static void verify_store(void)
{
	struct wal_error error = {0};
	int err;

	memset(&reported, 0, sizeof(reported));
	err = wal_verify_store(test_dir(), &options, &result, &error);
	ck_assert_msg(err == 0, "%s (%s)", strerror(-err), error.text);
	ck_assert_uint_eq(result.faults, reported.count);
}

static void expect_fault(enum wal_fault_kind kind, uint32_t segment)
{
	for (size_t i = 0; i < reported.count; i++) {
		if (reported.faults[i].kind == kind && reported.faults[i].segment == segment)
			return;
	}
	ck_abort_msg("%s of segment %u is not reported (%zu others, the first: %s of %u)",
		     wal_fault_kind_name(kind), segment, reported.count,
		     wal_fault_kind_name(reported.faults[0].kind), reported.faults[0].segment);
}

START_TEST(a_sound_store_has_no_fault)
{
	verify_store();
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(result.segments, 3);
	ck_assert_uint_eq(result.events, 150);
}
END_TEST

static unsigned noted;
static enum wal_fault_kind note_kinds[16];

static void on_note(void *ctx, const char *name, const struct wal_fault *note)
{
	(void)ctx;
	(void)name;
	note_kinds[noted++] = note->kind;
}

/* Segment 3 unsealed with 8 bytes that are not zero behind event 150; D at event `durable`. */
static void tear_third(uint64_t durable, uint32_t flags)
{
	struct oracle_params params = test_params_after(&images[1]);
	struct oracle_slot slot;

	noted = 0;
	oracle_image_free(&images[2]);
	oracle_build(&images[2], &params);
	append_lines(&images[2], 150);
	slot = test_slot(&images[2]);
	slot.sequence = 30;
	slot.durable_event = durable;
	slot.durable_offset += durable > 150 ? 32 : 0;
	slot.flags = flags;
	store_put_slot(test_dir(), &slot);
	store_put(test_dir(), &images[2]);
	file_patch(store_segment_path(test_dir(), 3), oracle_end(&images[2]) + 100, "torn", 4);
}

static const struct wal_verify_options telling = {.fault = keep_fault, .note = on_note};

static void verify_noting(void)
{
	const struct wal_verify_options noting = {.note = on_note};

	ck_ok(wal_verify_store(test_dir(), &noting, &result, NULL));
	ck_assert_uint_eq(result.notes, noted);
}

START_TEST(a_torn_tail_at_the_durable_position_is_a_note_and_no_fault)
{
	tear_third(150, 0);
	verify_noting();
	ck_assert_uint_eq(noted, 1);
	ck_kind(note_kinds[0], WAL_FAULT_TAIL);
	ck_assert_uint_eq(result.faults, 0);
}
END_TEST

START_TEST(bytes_behind_the_last_event_are_a_fault_where_no_crash_explains_them)
{
	tear_third(_i == 0 ? 151 : 150, _i == 1 ? ORACLE_CLEAN : 0);
	verify_noting();
	ck_assert_uint_eq(noted, 0);
	ck_kind(result.first.kind, _i == 0 ? WAL_FAULT_POSITION : WAL_FAULT_TAIL);
	ck_assert_uint_eq(result.faults, _i == 0 ? 2 : 1);
}
END_TEST

/* R7: the bad one may be newer, and say that the store was opened since. */
START_TEST(clean_in_one_slot_does_not_count_where_the_other_is_bad)
{
	static const uint8_t zeros[ORACLE_SLOT_BYTES];

	tear_third(150, ORACLE_CLEAN);
	if (_i == 0)
		file_patch(test_path("wal.meta"), 4096 + 20, "bad", 3);
	else if (_i == 1)
		file_patch(test_path("wal.meta"), 4096, zeros, sizeof(zeros));
	else
		file_resize(test_path("wal.meta"), 4096);
	verify_noting();
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(noted, 2);
	ck_kind(note_kinds[0], WAL_FAULT_META_FILE);
	ck_kind(note_kinds[1], WAL_FAULT_TAIL);
}
END_TEST

/* The store was made, and its second slot is yet to be written. */
START_TEST(a_slot_that_was_never_written_is_not_missed)
{
	struct oracle_slot slot = test_slot(&images[2]);

	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	slot.sequence = 1;
	store_put_slot(test_dir(), &slot);
	verify_noting();
	ck_assert_uint_eq(result.faults + result.notes, 0);
}
END_TEST

/* The name of a segment whose header did not come to the disk, and a torn tail below it. */
START_TEST(what_recovery_sets_aside_is_a_note)
{
	tear_third(150, 0);
	file_write(store_segment_path(test_dir(), 4), images[2].bytes, _i == 0 ? 0 : 5000);
	if (_i == 2)
		file_write(store_segment_path(test_dir(), 6), "", 0); /* and 5 did not come */
	verify_noting();
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(noted, _i == 2 ? 3 : 2);
}
END_TEST

START_TEST(a_missing_segment_is_named)
{
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 2)), 0);
	verify_store();
	expect_fault(WAL_FAULT_MISSING, 2);
	ck_assert_uint_eq(reported.count, 1);
}
END_TEST

START_TEST(a_missing_last_segment_is_known_from_the_durable_position)
{
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 3)), 0);
	verify_store();
	expect_fault(WAL_FAULT_MISSING, 3);
}
END_TEST

START_TEST(events_below_the_durable_position_that_are_not_there_are_named)
{
	struct oracle_slot slot = test_slot(&images[2]);

	slot.sequence = 20;
	slot.durable_event += 3;
	slot.durable_offset += 96;
	store_put_slot(test_dir(), &slot);
	verify_store();
	expect_fault(WAL_FAULT_POSITION, 3);
}
END_TEST

/* Of the first three, segment _i + 1 has a seal header of zeros: it looks active. */
START_TEST(a_segment_that_is_not_sealed_below_a_sealed_one_is_named)
{
	static const uint8_t none[64];

	file_patch(store_segment_path(test_dir(), (uint32_t)_i + 1), 512, none, sizeof(none));
	verify_store();
	if (_i == 2) { /* the last one may be */
		ck_assert_uint_eq(reported.count, 0);
		return;
	}
	ck_assert_uint_eq(reported.count, 1);
	expect_fault(WAL_FAULT_POSITION, (uint32_t)_i + 1);
	ck_assert_uint_eq(reported.faults[0].offset, oracle_end(&images[_i]));
	ck_assert_str_eq(reported.faults[0].detail, "it is not sealed, and segment 3 is");
}
END_TEST

/* Torn, too: that is no reason to blame the one that continues what is lost of it. */
START_TEST(a_torn_segment_below_a_sealed_one_is_named_and_not_its_neighbour)
{
	static const uint8_t none[64];
	uint64_t last = oracle_end(&images[1]) - 32;

	file_patch(store_segment_path(test_dir(), 2), 512, none, sizeof(none));
	file_flip(store_segment_path(test_dir(), 2), last + 20, 1);
	verify_store();
	expect_fault(WAL_FAULT_TAIL, 2);
	expect_fault(WAL_FAULT_POSITION, 2);
	ck_assert_uint_eq(reported.count, 2);
	ck_assert_uint_eq(reported.faults[1].offset, last);
}
END_TEST

/* Segment 2 sealed or not, and an active segment 3 that begins a new chain without a gap. */
START_TEST(a_new_chain_behind_a_segment_that_is_not_sealed_is_damage_of_that)
{
	static const uint8_t none[64];
	struct oracle_params params = test_params_after(&images[1]);
	struct oracle_slot slot;

	params.prev_chain = oracle_chain_restart(test_log, 3);
	params.recovery = 0x01 /* CHAIN_RESTART */;
	oracle_image_free(&images[2]);
	oracle_build(&images[2], &params);
	append_lines(&images[2], 150);
	store_put(test_dir(), &images[2]);
	slot = test_slot(&images[2]);
	slot.sequence = 30;
	store_put_slot(test_dir(), &slot);
	verify_store();
	ck_assert_uint_eq(reported.count, 0);
	file_patch(store_segment_path(test_dir(), 2), 512, none, sizeof(none));
	verify_store();
	ck_assert_uint_eq(reported.count, 1);
	expect_fault(WAL_FAULT_POSITION, 2);
	ck_assert_str_eq(reported.faults[0].detail,
			 "it is not sealed, and segment 3 begins a new chain");
}
END_TEST

START_TEST(a_segment_that_does_not_continue_the_one_before_is_named)
{
	struct oracle_params params = images[1].params;

	params.prev_chain ^= 1;
	oracle_image_free(&images[1]);
	oracle_build(&images[1], &params);
	append_lines(&images[1], 100);
	oracle_seal(&images[1], images[1].last_ns + 1, 0);
	store_put(test_dir(), &images[1]);
	verify_store();
	expect_fault(WAL_FAULT_SEQUENCE, 2);
	expect_fault(WAL_FAULT_SEQUENCE, 3); /* its chain is that of the old segment 2 */
	ck_assert_uint_eq(reported.count, 2);
}
END_TEST

/* The mount says it in the words of verify. */
static void expect_told_and_gone_on(const struct wal_fault *fault, uint64_t next_event)
{
	struct test_log_handle handle;
	struct wal_log_position position;
	char words[320];

	wal_fault_format(fault, words, sizeof(words));
	log_open_ok(&handle, test_dir(), NULL);
	ck_assert_msg(log_noticed(&handle, words), "nobody is told that it %s", words);
	wal_log_position(handle.log, &position);
	ck_assert_uint_eq(position.next_event, next_event);
	log_put_lines(&handle, next_event, next_event + 9);
	ck_ok(log_close(&handle));
}

/* R50: segment 3 begins a new chain with ids that segment 2 has. */
START_TEST(ids_that_are_given_twice_are_named)
{
	struct oracle_params params = images[2].params;
	struct oracle_slot slot;

	params.prev_chain = oracle_chain_restart(test_log, 3);
	params.recovery = 0x01 /* CHAIN_RESTART */;
	params.first_event = _i == 1 || _i == 2 ? 3 : 90;
	oracle_image_free(&images[2]);
	oracle_build(&images[2], &params);
	append_lines(&images[2], _i == 3 ? 95 : 150);
	oracle_seal(&images[2], images[2].last_ns + 1, 0);
	store_put(test_dir(), &images[2]);
	slot = test_slot(&images[2]);
	slot.sequence = 30;
	store_put_slot(test_dir(), &slot);
	if (_i == 2) /* also where what is between is not known */
		ck_assert_int_eq(unlink(store_segment_path(test_dir(), 2)), 0);
	verify_store();
	expect_fault(WAL_FAULT_SEQUENCE, 3);
	ck_assert_uint_eq(reported.count, _i == 2 ? 2 : 1);
	expect_told_and_gone_on(&reported.faults[reported.count - 1], _i == 3 ? 101 : 151);
	verify_store(); /* what the log began above them is right */
	expect_fault(WAL_FAULT_SEQUENCE, 3);
	ck_assert_uint_eq(reported.count, _i == 2 ? 2 : 1);
}
END_TEST

START_TEST(without_wal_meta_the_end_is_not_anchored)
{
	verify_store();
	ck_assert(result.anchored);
	ck_assert(result.start_anchored);
	ck_assert_uint_eq(result.anchor_event, 150);
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 3)), 0);
	verify_noting();
	ck_assert(!result.anchored);
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_eq(noted, 1);
	ck_kind(note_kinds[0], WAL_FAULT_META_FILE);
}
END_TEST

/* wal.meta knows of segment 1; without it that may have been removed by retention. */
START_TEST(without_wal_meta_a_start_behind_segment_1_is_not_anchored)
{
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 1)), 0);
	verify_store();
	ck_assert(result.start_anchored);
	expect_fault(WAL_FAULT_MISSING, 1);
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	verify_store();
	ck_assert(!result.start_anchored);
	ck_assert_uint_eq(result.faults, 0);
}
END_TEST

/* Cut short, or other bytes: nothing that a crash leaves. */
START_TEST(a_wal_meta_that_holds_something_else_is_a_fault)
{
	file_write(test_path("wal.meta"), "not a slot", 10);
	if (_i == 0)
		file_resize(test_path("wal.meta"), 8192);
	verify_store();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_META_FILE);
	ck_assert_str_eq(reported.names[0], "wal.meta");
	ck_assert_str_eq(reported.faults[0].detail,
			 "damaged; it is rebuilt from the segments"); /* as the mount says */
	ck_assert(!result.anchored);
}
END_TEST

START_TEST(a_wal_meta_that_is_no_file_is_a_fault_in_the_words_of_the_mount)
{
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	ck_assert_int_eq(mkdir(test_path("wal.meta"), 0700), 0);
	verify_store();
	ck_assert_uint_eq(reported.count, 1);
	ck_kind(reported.faults[0].kind, WAL_FAULT_META_FILE);
	ck_assert_str_eq(reported.faults[0].detail,
			 "not a regular file; move it away and mount again");
}
END_TEST

/* D.offset beyond the end, D.event as it is: an event of the active segment is gone. */
START_TEST(a_durable_offset_beyond_the_end_is_named)
{
	struct oracle_slot slot;

	tear_third(150, 0);
	slot = test_slot(&images[2]);
	slot.sequence = 40;
	slot.durable_offset = _i ? UINT64_C(1) << 40 : slot.durable_offset + 8;
	store_put_slot(test_dir(), &slot);
	verify_store();
	expect_fault(WAL_FAULT_POSITION, 3);
}
END_TEST

START_TEST(a_gap_in_the_ids_is_named)
{
	struct oracle_params params = images[2].params;

	params.first_event += 1;
	oracle_image_free(&images[2]);
	oracle_build(&images[2], &params);
	append_lines(&images[2], 151);
	oracle_seal(&images[2], images[2].last_ns + 1, 0);
	store_put(test_dir(), &images[2]);
	verify_store();
	expect_fault(WAL_FAULT_SEQUENCE, 3);
}
END_TEST

START_TEST(a_segment_of_another_log_is_named)
{
	struct oracle_params params = images[2].params;

	memcpy(params.log, test_other_log, 16);
	oracle_image_free(&images[2]);
	oracle_build(&images[2], &params);
	append_lines(&images[2], 150);
	oracle_seal(&images[2], images[2].last_ns + 1, 0);
	store_put(test_dir(), &images[2]);
	verify_store();
	expect_fault(WAL_FAULT_OTHER_LOG, 3);
}
END_TEST

/* What is left of a segment does not say its log, with wal.meta and without. */
START_TEST(a_segment_without_its_first_record_is_of_no_other_log)
{
	file_resize(store_segment_path(test_dir(), 1), 4096 + 1000);
	if (_i == 1)
		ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	verify_store();
	ck_assert_uint_eq(result.faults, 1);
	ck_kind(result.first.kind, WAL_FAULT_TOO_SHORT);
}
END_TEST

START_TEST(swapped_segments_are_both_named)
{
	ck_assert_int_eq(rename(store_segment_path(test_dir(), 1), test_path("swap")), 0);
	ck_assert_int_eq(
		rename(store_segment_path(test_dir(), 2), store_segment_path(test_dir(), 1)), 0);
	ck_assert_int_eq(rename(test_path("swap"), store_segment_path(test_dir(), 2)), 0);
	verify_store();
	expect_fault(WAL_FAULT_INDEX, 1);
	expect_fault(WAL_FAULT_INDEX, 2);
}
END_TEST

START_TEST(what_is_no_store_could_not_be_looked_at)
{
	struct wal_error error;

	ck_assert_int_eq(mkdir(test_path("other"), 0700), 0);
	ck_fails(wal_verify_store(test_path("other"), &options, &result, &error), -ENOTEMPTY);
	ck_fails(wal_verify_store(test_path("nowhere"), &options, &result, &error), -ENOENT);
	file_write(test_path("file"), "x", 1);
	ck_fails(wal_verify_store(test_path("file"), &options, &result, &error), -ENOTDIR);
}
END_TEST

START_TEST(verifying_changes_nothing)
{
	struct listing before;
	struct listing after;

	file_flip(store_segment_path(test_dir(), 2), 5000, 1);
	list_dir(test_dir(), &before);
	verify_store();
	ck_assert_uint_gt(reported.count, 0);
	list_dir(test_dir(), &after);
	assert_same_listing(&before, &after);
}
END_TEST

static struct {
	unsigned calls;
	unsigned segments;
	uint64_t faults;
	bool stop;
	struct wal_verify_progress last;
} seen;

static bool on_progress(void *ctx, const struct wal_verify_progress *progress)
{
	(void)ctx;
	seen.calls++;
	ck_assert_uint_ge(progress->done_bytes, seen.last.done_bytes);
	ck_assert_uint_le(progress->done_bytes, progress->total_bytes);
	seen.last = *progress;
	return !seen.stop;
}

static void on_segment(void *ctx, const char *name, const struct wal_segment_info *info,
		       uint64_t found)
{
	(void)ctx;
	ck_assert_uint_eq(wal_segment_name_parse(name), info->index);
	seen.segments++;
	seen.faults += found;
}

START_TEST(progress_and_segments_are_told_and_it_can_be_stopped)
{
	const struct wal_verify_options told = {.progress = on_progress, .segment = on_segment};
	struct oracle_params params = test_params();

	memset(&seen, 0, sizeof(seen));
	file_flip(store_segment_path(test_dir(), 2), 5000, 1);
	ck_ok(wal_verify_store(test_dir(), &told, &result, NULL));
	ck_assert_uint_eq(seen.segments, 3);
	ck_assert_uint_eq(seen.faults, result.faults);
	/* A segment that is large enough to be told of. */
	params.blocks = 1024;
	oracle_build(&image, &params);
	while (image.block < 1000)
		oracle_append(&image, image.last_ns, 0, images[0].bytes, 4000);
	oracle_seal(&image, image.last_ns, 0);
	store_put(test_dir(), &image);
	ck_ok(wal_verify_segment(test_dirfd(), SEGMENT, 1, &told, &result));
	ck_assert_uint_ge(seen.calls, 2);
	memset(&seen, 0, sizeof(seen));
	seen.stop = true;
	ck_fails(wal_verify_segment(test_dirfd(), SEGMENT, 1, &told, &result), -ECANCELED);
	ck_assert_uint_eq(seen.calls, 1);
	oracle_image_free(&image);
}
END_TEST

/* --- what recovery made ------------------------------------------------------------------- */

START_TEST(a_recovered_store_is_sound_unless_it_was_damaged)
{
	const struct state *state = &states[_i];
	struct test_log_handle handle;
	struct fault_io fault;
	bool damaged = state->damaged || state->untouched || (state->bits & 0x01) ||
		       (state->kept[1].first && !state->damaged) || strcmp(state->row, "R14") == 0;

	fault_io_init(&fault);
	fault.skip_sync = true;
	state->build(test_dir());
	if (state->error)
		return;
	log_open_ok(&handle, test_dir(), &fault.io);
	log_put_lines(&handle, state->next_event, state->next_event + 3);
	ck_ok(wal_log_rotate(handle.log));
	ck_ok(log_close(&handle));
	verify_store();
	if (damaged)
		return; /* kept, and told of: how depends on the damage */
	ck_assert_msg(result.faults == 0, "%s, %s: %s: %s", state->row, state->name,
		      result.first_name, wal_fault_kind_name(result.first.kind));
}
END_TEST

START_TEST(what_looks_like_a_copy_is_told_as_one)
{
	state_copied_while_written(test_dir());
	verify_store();
	ck_kind(result.first.kind, WAL_FAULT_POSITION);
	ck_assert_int_eq(result.hint, WAL_HINT_COPIED_WHILE_WRITTEN);
	/* A bit that flipped is no such thing. */
	remove_tree(test_dir());
	ck_assert_int_eq(mkdir(test_dir(), 0700), 0);
	state_flipped_bit_in_the_active_segment(test_dir());
	verify_store();
	ck_assert_uint_gt(result.faults, 0);
	ck_assert_int_eq(result.hint, WAL_HINT_NONE);
}
END_TEST

START_TEST(a_copy_without_the_last_segments_is_told_as_one)
{
	state_segments_above_are_missing(test_dir());
	verify_store();
	ck_kind(result.first.kind, WAL_FAULT_MISSING);
	ck_assert_int_eq(result.hint, WAL_HINT_COPIED_WHILE_WRITTEN);
}
END_TEST

START_TEST(a_copy_of_a_mount_is_told_as_one)
{
	state_copy_of_a_mount(test_dir());
	verify_store();
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_int_eq(result.hint, WAL_HINT_COPY_OF_A_MOUNT);
}
END_TEST

/* That looks so by its nature. */
START_TEST(a_mount_is_no_copy_of_a_mount)
{
	const struct wal_verify_options of_mount = {.is_mount = true};

	state_copy_of_a_mount(test_dir());
	ck_ok(wal_verify_store(test_dir(), &of_mount, &result, NULL));
	ck_assert_uint_eq(result.faults, 0);
	ck_assert_uint_gt(result.segments, 0);
	ck_assert_int_eq(result.hint, WAL_HINT_NONE);
}
END_TEST

static bool is_row(const struct state *state, const char *rows)
{
	char row[16];

	snprintf(row, sizeof(row), " %s ", state->row);
	return strstr(rows, row);
}

/* Does recovery find that something was lost, or will not have the store at all? */
static bool is_damage(const struct state *state)
{
	return state->damaged || state->untouched || (state->bits & 0x01) || state->kept[1].first ||
	       is_row(state, " R6 R14 R32 R34 R35 R39 R62 ") ||
	       strcmp(state->name, "both slots of wal.meta bad") == 0;
}

/* Does it clear away what a crash left, or go on without wal.meta? */
static bool is_told(const struct state *state)
{
	return state->torn || (state->bits & 0x1a) || is_row(state, " R7 R27 R59 ");
}

/* Verifying and mounting never differ on what is damaged and what a crash explains. */
START_TEST(verify_says_before_what_recovery_does)
{
	const struct state *state = &states[_i];
	struct wal_error error = {0};
	int err;

	if (state->bad_segment)
		return; /* that takes a disk which fails: test_recovery has it */
	state->build(test_dir());
	memset(&reported, 0, sizeof(reported));
	noted = 0;
	err = wal_verify_store(test_dir(), &telling, &result, &error);
	if (is_row(state, " R1 R2 R6 R59 R62 ") && err) {
		ck_assert(err == -ENOTEMPTY || err == -EPROTONOSUPPORT);
		return;
	}
	ck_assert_msg(err == 0, "%s (%s)", strerror(-err), error.text);
	ck_assert_msg(is_damage(state) == (result.faults > 0), "%s, %s: %llu faults, %s: %s (%s)",
		      state->row, state->name, (unsigned long long)result.faults, result.first_name,
		      wal_fault_kind_name(result.first.kind), result.first.detail);
	if (!is_damage(state))
		ck_assert_msg(is_told(state) == (result.notes > 0), "%s, %s: %llu notes",
			      state->row, state->name, (unsigned long long)result.notes);
}
END_TEST

START_TEST(a_store_that_is_being_written_is_sound)
{
	struct test_log_handle handle;
	uint64_t id = 1;

	log_open_ok(&handle, test_dir(), NULL);
	for (int round = 0; round < 40; round++, id += 20) {
		log_put_lines(&handle, id, id + 19);
		verify_store();
		ck_assert_msg(result.faults == 0, "round %d: %s: %s", round, result.first_name,
			      wal_fault_kind_name(result.first.kind));
		ck_assert_uint_eq(result.events, id + 19);
	}
	ck_ok(log_close(&handle));
}
END_TEST

static void add_store_tests(Suite *suite)
{
	TCase *t = test_case(suite, "store", 30);

	tcase_add_checked_fixture(t, build_store, destroy_store);
	tcase_add_test(t, a_sound_store_has_no_fault);
	tcase_add_test(t, a_torn_tail_at_the_durable_position_is_a_note_and_no_fault);
	tcase_add_loop_test(t, bytes_behind_the_last_event_are_a_fault_where_no_crash_explains_them,
			    0, 2);
	tcase_add_loop_test(t, clean_in_one_slot_does_not_count_where_the_other_is_bad, 0, 3);
	tcase_add_test(t, a_slot_that_was_never_written_is_not_missed);
	tcase_add_loop_test(t, what_recovery_sets_aside_is_a_note, 0, 3);
	tcase_add_test(t, a_missing_segment_is_named);
	tcase_add_test(t, a_missing_last_segment_is_known_from_the_durable_position);
	tcase_add_test(t, events_below_the_durable_position_that_are_not_there_are_named);
	tcase_add_test(t, a_segment_that_does_not_continue_the_one_before_is_named);
	tcase_add_loop_test(t, a_segment_that_is_not_sealed_below_a_sealed_one_is_named, 0, 3);
	tcase_add_test(t, a_torn_segment_below_a_sealed_one_is_named_and_not_its_neighbour);
	tcase_add_test(t, a_new_chain_behind_a_segment_that_is_not_sealed_is_damage_of_that);
	tcase_add_test(t, a_gap_in_the_ids_is_named);
	tcase_add_loop_test(t, ids_that_are_given_twice_are_named, 0, 4);
	tcase_add_test(t, without_wal_meta_the_end_is_not_anchored);
	tcase_add_test(t, without_wal_meta_a_start_behind_segment_1_is_not_anchored);
	tcase_add_loop_test(t, a_wal_meta_that_holds_something_else_is_a_fault, 0, 2);
	tcase_add_test(t, a_wal_meta_that_is_no_file_is_a_fault_in_the_words_of_the_mount);
	tcase_add_loop_test(t, a_durable_offset_beyond_the_end_is_named, 0, 2);
	tcase_add_test(t, a_segment_of_another_log_is_named);
	tcase_add_loop_test(t, a_segment_without_its_first_record_is_of_no_other_log, 0, 2);
	tcase_add_test(t, swapped_segments_are_both_named);
	tcase_add_test(t, what_is_no_store_could_not_be_looked_at);
	tcase_add_test(t, verifying_changes_nothing);
	tcase_add_test(t, progress_and_segments_are_told_and_it_can_be_stopped);
	t = test_case(suite, "recovered", 30);
	tcase_add_test(t, what_looks_like_a_copy_is_told_as_one);
	tcase_add_test(t, a_copy_without_the_last_segments_is_told_as_one);
	tcase_add_test(t, a_copy_of_a_mount_is_told_as_one);
	tcase_add_test(t, a_mount_is_no_copy_of_a_mount);
	tcase_add_loop_test(t, a_recovered_store_is_sound_unless_it_was_damaged, 0,
			    (int)state_count);
	tcase_add_loop_test(t, verify_says_before_what_recovery_does, 0, (int)state_count);
	tcase_add_test(t, a_store_that_is_being_written_is_sound);
}

static Suite *verify_suite(void)
{
	const int rows = (int)(sizeof(faults) / sizeof(faults[0]));
	Suite *suite = suite_create("verify");
	TCase *t = test_case(suite, "segment", 60);

	tcase_add_checked_fixture(t, build, destroy);
	tcase_add_test(t, a_sound_segment_has_no_fault);
	tcase_add_loop_test(t, each_fault_is_named_with_its_block_and_offset, 0, rows);
	tcase_add_loop_test(t, the_oracle_finds_each_of_them_too, 0, rows);
	tcase_add_test(t, a_flipped_byte_of_data_is_a_block_and_an_event_checksum);
	tcase_add_test(t, damage_in_two_blocks_is_two_reports);
	tcase_add_test(t, a_file_that_is_too_long_says_where_it_should_end);
	tcase_add_test(t, what_is_no_file_is_said_so);
	tcase_add_test(t, what_is_not_there_could_not_be_looked_at);
	tcase_add_loop_test(t, a_meta_record_inside_a_group_is_named, 0, 2);
	tcase_add_test(t, log_and_incarnation_of_a_resume_record_are_not_compared);
	tcase_add_loop_test(t, a_seal_with_other_shared_fields_disagrees_with_the_active_header, 0,
			    4);
	tcase_add_test(t, a_version_in_the_seal_is_not_believed);
	tcase_add_test(t, an_unsealed_segment_is_sound_up_to_its_last_whole_event);
	tcase_add_loop_test(t, library_and_oracle_agree_on_what_is_valid, 0, 4);
	t = test_case(suite, "every bit", 120);
	tcase_add_checked_fixture(t, build_small, destroy);
	tcase_add_loop_test(t, every_flipped_bit_of_a_sealed_segment_is_found_and_named, 0, SLICES);
	tcase_add_loop_test(t, a_flipped_bit_leaves_every_other_block_readable, 0, SLICES);
	add_store_tests(suite);
	return suite;
}

int main(void)
{
	return test_main(verify_suite());
}
