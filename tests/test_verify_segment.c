/* SPDX-License-Identifier: MIT */
/* Verifying a segment: odd ones, every bit of one flipped, and against the oracle at random. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fixture_verify.h"

START_TEST(a_sound_segment_has_no_fault)
{
	verify_segment_image();
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_kind(verify_result.first.kind, WAL_FAULT_NONE);
	ck_assert_uint_eq(verify_result.segments, 1);
	ck_assert_uint_eq(verify_result.blocks, 3);
	ck_assert_uint_eq(verify_result.events, 134);
	ck_assert_uint_eq(verify_result.file_bytes, verify_image.size);
}
END_TEST

START_TEST(a_flipped_byte_of_data_is_a_block_and_an_event_checksum)
{
	verify_image.bytes[DATA(1) + 40] ^= 1;
	verify_segment_image();
	ck_assert_uint_eq(verify_reported.count, 2);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_BLOCK_CHECKSUM);
	ck_kind(verify_reported.faults[1].kind, WAL_FAULT_EVENT_CHECKSUM);
	ck_assert_uint_eq(verify_reported.faults[1].offset, DATA(1) + 32);
}
END_TEST

START_TEST(damage_in_two_blocks_is_two_reports)
{
	verify_image.bytes[BLOCK_AT(0) + 3] ^= 1;
	verify_image.bytes[BLOCK_AT(2) + 3] ^= 1;
	verify_segment_image();
	ck_assert_uint_eq(verify_reported.count, 2);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_BLOCK_HEADER);
	ck_assert_uint_eq(verify_reported.faults[0].block, 0);
	ck_kind(verify_reported.faults[1].kind, WAL_FAULT_BLOCK_HEADER);
	ck_assert_uint_eq(verify_reported.faults[1].block, 2);
}
END_TEST

START_TEST(a_file_that_is_too_long_says_where_it_should_end)
{
	store_put(test_dir(), &verify_image);
	file_resize(test_path(SEGMENT), verify_image.size + 1);
	verify_segment_file();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_TOO_LONG);
	ck_assert_uint_eq(verify_reported.faults[0].offset, verify_image.size);
}
END_TEST

START_TEST(what_is_no_file_is_said_so)
{
	ck_assert_int_eq(mkfifo(test_path(SEGMENT), 0600), 0);
	verify_segment_file();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_NOT_A_FILE);
}
END_TEST

START_TEST(what_is_not_there_could_not_be_looked_at)
{
	ck_fails(wal_verify_segment(test_dirfd(), SEGMENT, 1, &verify_reporting, &verify_result),
		 -ENOENT);
}
END_TEST

/* Inside of a block, and as the first record of the next. */
START_TEST(a_meta_record_inside_a_group_is_named)
{
	struct oracle_params params = test_params();
	struct oracle_segment segment;
	uint64_t offset;

	oracle_image_free(&verify_image);
	oracle_build(&verify_image, &params);
	append_lines(&verify_image, 3);
	oracle_append(&verify_image, verify_image.last_ns, WAL_FLAG_MORE, "half", 4);
	if (_i)
		oracle_next_block(&verify_image);
	offset = oracle_end(&verify_image);
	oracle_append_resume(&verify_image, verify_image.last_ns, 2);
	oracle_append(&verify_image, verify_image.last_ns, WAL_FLAG_CONT, "rest\n", 5);
	oracle_seal(&verify_image, verify_image.last_ns, 0);
	verify_segment_image();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_EVENT_GROUP);
	ck_assert_uint_eq(verify_reported.faults[0].offset, offset);
	oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
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

	oracle_image_free(&verify_image);
	oracle_build(&verify_image, &params);
	append_lines(&verify_image, 3);
	verify_image.params.log[0] ^= 1;
	oracle_append_resume(&verify_image, verify_image.last_ns, 0);
	append_lines(&verify_image, 5);
	oracle_seal(&verify_image, verify_image.last_ns, 0);
	verify_segment_image();
	ck_assert_uint_eq(verify_reported.count, 0);
	oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
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

	verify_image.bytes[512 + fields[_i].offset] ^= fields[_i].mask;
	oracle_fix_seal_header(verify_image.bytes);
	verify_segment_image();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_HEADER_MISMATCH);
	oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_HEADER_MISMATCH);
	oracle_segment_free(&segment);
}
END_TEST

START_TEST(a_version_in_the_seal_is_not_believed)
{
	struct oracle_segment segment;

	verify_image.bytes[512 + 4] = 9;
	oracle_put64(verify_image.bytes + 512 + 56, oracle_xxh3(verify_image.bytes + 512, 56, 0));
	verify_segment_image();
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_HEADER_CHECKSUM);
	ck_assert_uint_eq(verify_reported.faults[0].offset, 512);
	oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
	ck_kind(segment.fault, WAL_FAULT_HEADER_CHECKSUM);
	oracle_segment_free(&segment);
}
END_TEST

START_TEST(an_unsealed_segment_is_sound_up_to_its_last_whole_event)
{
	struct oracle_params params = test_params();

	oracle_image_free(&verify_image);
	oracle_build(&verify_image, &params);
	append_lines(&verify_image, 200);
	verify_segment_image();
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_uint_eq(verify_result.events, 200);
	verify_image.bytes[oracle_end(&verify_image) - 20] ^= 1; /* in event 200 */
	verify_segment_image();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_TAIL);
	ck_assert_uint_eq(verify_reported.faults[0].offset, oracle_end(&verify_image) - 32);
	ck_assert_uint_eq(verify_reported.faults[0].block, 1);
	ck_assert_uint_eq(verify_result.events, 199);
}
END_TEST

/* --- every bit ------------------------------------------------------------------ */

/* A small sealed segment of two blocks; the whole file is 12 KiB. */
static void build_small(void)
{
	struct oracle_params params = test_params();

	oracle_build(&verify_image, &params);
	for (uint64_t id = 1; id <= 6; id++) {
		if (id == 4)
			oracle_next_block(&verify_image);
		append_lines(&verify_image, id);
	}
	oracle_seal(&verify_image, verify_image.last_ns + 1, 0);
	store_put(test_dir(), &verify_image);
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
	const uint64_t size = verify_image.size / SLICES;

	for (uint64_t byte = size * (unsigned)_i; byte < size * (unsigned)(_i + 1); byte++) {
		for (uint32_t bit = 0; bit < 8; bit++) {
			file_flip(test_path(SEGMENT), byte, (uint8_t)(1u << bit));
			verify_segment_file();
			file_flip(test_path(SEGMENT), byte, (uint8_t)(1u << bit));
			ck_holds(verify_reported.count > 0, "byte %#llx bit %u: not found",
				 (unsigned long long)byte, bit);
			ck_holds(kind_fits(byte, verify_reported.faults[0].kind),
				 "byte %#llx bit %u: %s", (unsigned long long)byte, bit,
				 wal_fault_kind_name(verify_reported.faults[0].kind));
			for (size_t i = 0; i < verify_reported.count; i++)
				ck_holds(verify_reported.faults[i].block == block_of(byte),
					 "byte %#llx bit %u: %s in block %u",
					 (unsigned long long)byte, bit,
					 wal_fault_kind_name(verify_reported.faults[i].kind),
					 verify_reported.faults[i].block);
		}
	}
}
END_TEST

/* With the bit flipped, every event of every other block can be read as it is. */
static void assert_neighbours(const struct oracle_segment *truth, uint64_t byte)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	ck_holds(test_reader_open(SEGMENT, 1, &reader, NULL) == 0, "byte %#llx: not opened",
		 (unsigned long long)byte);
	for (size_t i = 0; i < truth->event_count; i++) {
		const struct oracle_event *expected = &truth->events[i];
		int found = wal_segment_reader_seek_event(reader, expected->id);

		if (found == 0)
			found = wal_segment_reader_next(reader, &event);
		if (expected->block == block_of(byte)) {
			ck_holds(found < 0, "byte %#llx: event %llu is handed out",
				 (unsigned long long)byte, (unsigned long long)expected->id);
			continue;
		}
		ck_holds(found == 1 && event.id == expected->id && event.size == expected->size &&
				 memcmp(event.payload, expected->payload, event.size) == 0,
			 "byte %#llx: event %llu: %d", (unsigned long long)byte,
			 (unsigned long long)expected->id, found);
	}
	wal_segment_reader_close(reader);
}

START_TEST(a_flipped_bit_leaves_every_other_block_readable)
{
	const uint64_t size = verify_image.size / SLICES;
	struct oracle_segment truth;

	oracle_decode(verify_image.bytes, verify_image.size, 1, &truth);
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
	uint64_t at = verify_event_offset(n);
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
	verify_image.bytes[byte] = (uint8_t)rand_r(seed);
	if ((layers & 1) && (oracle_get32(verify_image.bytes + at + 4) & 0xffffff) < TEST_BLOCK)
		oracle_fix_event(verify_image.bytes + at, oracle_get64(original + 48), 1 + n);
	if ((layers & 2) &&
	    (oracle_get32(verify_image.bytes + DATA(0) + 4) & 0xffffff) < TEST_BLOCK)
		oracle_fix_event(verify_image.bytes + DATA(0), oracle_get64(original + 48), 1);
	if ((layers & 4) && verify_image.bytes[512 + 7] == 12 &&
	    oracle_get32(verify_image.bytes + 512 + 12) == 3 &&
	    oracle_get32(verify_image.bytes + BLOCK_AT(0) + 28) <= TEST_BLOCK - 64 &&
	    oracle_get32(verify_image.bytes + BLOCK_AT(1) + 28) <= TEST_BLOCK - 64 &&
	    oracle_get32(verify_image.bytes + BLOCK_AT(2) + 28) <= TEST_BLOCK - 64)
		oracle_fix_blocks(verify_image.bytes, 0);
	if (layers & 8)
		oracle_fix_active_header(verify_image.bytes);
}

START_TEST(library_and_oracle_agree_on_what_is_valid)
{
	uint8_t *original = malloc(verify_image.size);
	unsigned seed = 1000u * (unsigned)_i + 1;
	size_t invalid = 0;

	memcpy(original, verify_image.bytes, verify_image.size);
	for (int round = 0; round < 1500; round++) {
		struct oracle_segment segment;

		mutate(&seed, original);
		oracle_decode(verify_image.bytes, verify_image.size, 1, &segment);
		verify_segment_image();
		ck_holds((segment.fault == WAL_FAULT_NONE) == (verify_result.faults == 0),
			 "seed %d round %d: the oracle says %s (offset %#llx), the library %s "
			 "(offset %#llx)",
			 _i, round, wal_fault_kind_name(segment.fault),
			 (unsigned long long)segment.fault_offset,
			 wal_fault_kind_name(verify_result.first.kind),
			 (unsigned long long)verify_result.first.offset);
		invalid += segment.fault != WAL_FAULT_NONE;
		oracle_segment_free(&segment);
		memcpy(verify_image.bytes, original, verify_image.size);
	}
	ck_assert_uint_gt(invalid, 500);
	free(original);
}
END_TEST

static Suite *verify_segment_suite(void)
{
	Suite *suite = suite_create("verify_segment");
	TCase *t = test_case(suite, "segment", 60);

	tcase_add_checked_fixture(t, verify_build_segment, verify_destroy_segment);
	tcase_add_test(t, a_sound_segment_has_no_fault);
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
	tcase_add_checked_fixture(t, build_small, verify_destroy_segment);
	tcase_add_loop_test(t, every_flipped_bit_of_a_sealed_segment_is_found_and_named, 0, SLICES);
	tcase_add_loop_test(t, a_flipped_bit_leaves_every_other_block_readable, 0, SLICES);
	return suite;
}

int main(void)
{
	return test_main_in_memory(verify_segment_suite());
}
