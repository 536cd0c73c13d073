/* SPDX-License-Identifier: MIT */
/* core/segment_salvage: of a block that does not hold, the events that prove themselves. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/segment/segment_reader.h"
#include "tests/support.h"

#define SEGMENT "0000000001.wal"
#define EVENT_MAX (TEST_BLOCK - 64u - 16u)

static struct oracle_image image;
static struct oracle_segment truth;
static struct wal_segment_reader *reader;
static struct wal_fault fault;
static uint8_t *kept; /* the image as it was */

/* Which events of the truth came out, and as what. */
enum outcome { LEFT_OUT, WHOLE, MARKED };
static enum outcome outcomes[256];
static unsigned told; /* faults */

/* Five blocks: events of many sizes, a group over two blocks, an extension, a RESUME record. */
static void fill_image(void)
{
	static uint8_t text[3 * TEST_BLOCK];
	struct oracle_params params = test_params();
	uint64_t now = TEST_TIME;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 23);
	params.blocks = 8;
	params.first_event = 100;
	oracle_build(&image, &params);
	for (unsigned i = 0; i < 60; i++)
		oracle_append(&image, now += i * 1000, 0, text + i, 1 + i * 3);
	oracle_append(&image, now, 0x40, "\3\0extpayload", 12);
	oracle_append_group(&image, now + 5, 0, text, 2 * EVENT_MAX);
	oracle_append_resume(&image, now + 6, 2);
	for (unsigned i = 0; i < 40; i++)
		oracle_append(&image, now + 7 + i, 0, text + i, 100);
}

static void note_truth(void)
{
	oracle_decode(image.bytes, image.size, 1, &truth);
	ck_kind(truth.fault, WAL_FAULT_NONE);
	ck_assert_uint_lt(truth.event_count, sizeof(outcomes) / sizeof(outcomes[0]));
	kept = malloc(image.size);
	memcpy(kept, image.bytes, image.size);
}

static void begin_sealed(void)
{
	fill_image();
	oracle_seal(&image, TEST_TIME + UINT64_C(1000000000), 0);
	note_truth();
}

static void begin_unsealed(void)
{
	fill_image();
	oracle_write_block_headers(&image, image.block);
	note_truth();
}

static void end(void)
{
	wal_segment_reader_close(reader);
	reader = NULL;
	oracle_segment_free(&truth);
	oracle_image_free(&image);
	free(kept);
}

static void take(const struct wal_event *event, bool damaged)
{
	const struct oracle_event *expected;

	ck_assert_uint_ge(event->id, truth.first_event);
	ck_assert_uint_lt(event->id, truth.next_event);
	expected = &truth.events[event->id - truth.first_event];
	ck_assert_uint_eq(event->timestamp_ns, expected->timestamp_ns);
	ck_assert_uint_eq(event->flags, expected->flags & 0x07);
	ck_assert_uint_eq(event->file_offset, expected->file_offset);
	ck_assert_uint_eq(event->size, expected->size);
	ck_assert_mem_eq(event->payload, expected->payload, expected->size);
	ck_assert_uint_eq(event->payload_offset,
			  damaged ? WAL_NO_OFFSET : expected->payload_offset);
	outcomes[event->id - truth.first_event] = damaged ? MARKED : WHOLE;
}

/* Reads what is at SEGMENT now. Every event that comes is one of the truth, in order. */
static void read_salvaged(void)
{
	struct wal_event event;
	uint64_t last_id = 0;
	bool damaged;
	int result;

	memset(outcomes, 0, sizeof(outcomes));
	told = 0;
	ck_ok(test_reader_open(SEGMENT, 1, &reader, &fault));
	wal_segment_reader_salvage(reader);
	while ((result = wal_segment_reader_next_salvaged(reader, &event, &damaged))) {
		if (result < 0) {
			ck_assert_uint_lt(told++, truth.block_count);
			ck_assert_int_ne(wal_segment_reader_fault(reader)->kind, WAL_FAULT_NONE);
			continue;
		}
		ck_assert_uint_gt(event.id, last_id);
		last_id = event.id;
		take(&event, damaged);
	}
	ck_assert_int_eq(wal_segment_reader_next_salvaged(reader, &event, &damaged), 0);
	wal_segment_reader_close(reader);
	reader = NULL;
}

static void read_changed(void)
{
	store_put(test_dir(), &image);
	read_salvaged();
}

static bool has_changed(uint64_t offset, size_t size)
{
	return memcmp(image.bytes + offset, kept + offset, size) != 0;
}

/* Of the changed blocks all is marked but what the change hit; of others nothing is. */
static void assert_outcomes(const char *what)
{
	unsigned changed = 0;

	for (uint32_t k = 0; k < truth.block_count; k++)
		changed += has_changed(WAL_HEADER_AREA + k * TEST_BLOCK, TEST_BLOCK);
	for (size_t i = 0; i < truth.event_count; i++) {
		const struct oracle_event *event = &truth.events[i];
		bool hit = has_changed(event->file_offset, event->span);
		enum outcome expected = hit ? LEFT_OUT : MARKED;

		if (!has_changed(WAL_HEADER_AREA + event->block * TEST_BLOCK, TEST_BLOCK))
			expected = WHOLE;
		ck_assert_msg(outcomes[i] == expected, "%s: event %" PRIu64 " is %d, not %d", what,
			      event->id, outcomes[i], expected);
	}
	ck_assert_uint_eq(told, changed);
}

static void restore(void)
{
	memcpy(image.bytes, kept, image.size);
}

START_TEST(one_bad_byte_costs_the_event_that_it_is_in_and_no_other)
{
	for (uint64_t at = WAL_HEADER_AREA; at < image.size; at += at % 9 + 1) {
		char what[48];

		image.bytes[at] ^= (uint8_t)(1u << at % 8);
		snprintf(what, sizeof(what), "bit %u of byte %" PRIu64, (unsigned)(at % 8), at);
		read_changed();
		assert_outcomes(what);
		restore();
	}
}
END_TEST

START_TEST(bytes_that_are_zero_or_noise_cost_the_events_that_they_are_in)
{
	static const uint64_t sizes[] = {64, 512, 1000, 4096, 5000, 2 * 4096};
	unsigned seed = 7;

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (uint64_t at = WAL_HEADER_AREA; at + sizes[s] < image.size; at += 264) {
			char what[48];

			for (size_t i = 0; i < sizes[s]; i++)
				image.bytes[at + i] = at % 16 ? (uint8_t)rand_r(&seed) : 0;
			snprintf(what, sizeof(what), "%" PRIu64 " bytes at %" PRIu64, sizes[s], at);
			read_changed();
			assert_outcomes(what);
			restore();
		}
	}
}
END_TEST

START_TEST(blocks_whose_headers_are_all_lost_give_all_their_events)
{
	for (uint32_t k = 0; k < truth.block_count; k++)
		memset(image.bytes + WAL_HEADER_AREA + k * TEST_BLOCK, 0x5a, 64);
	read_changed();
	for (size_t i = 0; i < truth.event_count; i++)
		ck_assert_int_eq(outcomes[i], MARKED);
	ck_assert_uint_eq(told, truth.block_count);
}
END_TEST

START_TEST(a_file_that_was_cut_gives_what_is_left_of_its_last_block)
{
	const struct oracle_event *last = &truth.events[truth.event_count - 1];

	store_put(test_dir(), &image);
	file_resize(test_path(SEGMENT), last->file_offset);
	read_salvaged();
	for (size_t i = 0; i + 1 < truth.event_count; i++)
		ck_assert_int_eq(outcomes[i],
				 truth.events[i].block == last->block ? MARKED : WHOLE);
	ck_assert_int_eq(outcomes[truth.event_count - 1], LEFT_OUT);
}
END_TEST

/*
 * A payload that holds a copy of the segment's own bytes: when the record around it is torn,
 * what is in it does not come out, though each of its checksums is right.
 */
START_TEST(records_within_a_payload_are_not_events)
{
	struct oracle_params params = test_params();
	uint8_t copy[560];
	uint64_t at;

	end();
	oracle_build(&image, &params);
	for (int i = 0; i < 10; i++)
		oracle_append(&image, TEST_TIME, 0, "an order\n", 9);
	memcpy(copy, image.bytes + WAL_HEADER_AREA + 64, sizeof(copy));
	at = oracle_append(&image, TEST_TIME, 0, copy, sizeof(copy));
	oracle_append(&image, TEST_TIME, 0, "the last\n", 9);
	oracle_seal(&image, TEST_TIME + 1, 0);
	note_truth();
	image.bytes[at + 4] ^= 0x10;
	read_changed();
	assert_outcomes("a torn header");
}
END_TEST

START_TEST(a_damaged_unsealed_segment_gives_what_is_behind_the_hole_in_its_block)
{
	const struct oracle_event *torn = &truth.events[20];

	image.bytes[torn->file_offset + 17] ^= 1;
	read_changed();
	for (size_t i = 0; i < truth.event_count; i++) {
		const struct oracle_event *event = &truth.events[i];
		enum outcome expected = i < 20 ? WHOLE : i == 20 ? LEFT_OUT : MARKED;

		if (event->block != torn->block) /* the last block has no header yet */
			expected = event->block + 1 < truth.block_count ? WHOLE : LEFT_OUT;
		ck_assert_msg(outcomes[i] == expected, "event %" PRIu64 " is %d, not %d", event->id,
			      outcomes[i], expected);
	}
	ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(a_sound_segment_has_nothing_to_salvage)
{
	read_changed();
	for (size_t i = 0; i < truth.event_count; i++)
		ck_assert_int_eq(outcomes[i], WHOLE);
	ck_assert_uint_eq(told, 0);
}
END_TEST

static Suite *segment_salvage_suite(void)
{
	Suite *suite = suite_create("segment_salvage");
	TCase *sealed = test_case(suite, "sealed", 120);
	TCase *unsealed = test_case(suite, "unsealed", 60);

	tcase_add_checked_fixture(sealed, begin_sealed, end);
	tcase_add_test(sealed, a_sound_segment_has_nothing_to_salvage);
	tcase_add_test(sealed, one_bad_byte_costs_the_event_that_it_is_in_and_no_other);
	tcase_add_test(sealed, bytes_that_are_zero_or_noise_cost_the_events_that_they_are_in);
	tcase_add_test(sealed, blocks_whose_headers_are_all_lost_give_all_their_events);
	tcase_add_test(sealed, a_file_that_was_cut_gives_what_is_left_of_its_last_block);
	tcase_add_test(sealed, records_within_a_payload_are_not_events);
	tcase_add_checked_fixture(unsealed, begin_unsealed, end);
	tcase_add_test(unsealed, a_sound_segment_has_nothing_to_salvage);
	tcase_add_test(unsealed,
		       a_damaged_unsealed_segment_gives_what_is_behind_the_hole_in_its_block);
	return suite;
}

int main(void)
{
	return test_main_in_memory(segment_salvage_suite());
}
