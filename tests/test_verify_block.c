/* SPDX-License-Identifier: MIT */
/*
 * core/verify_block: the quick answer about one block, whose loop over plain events does
 * its own arithmetic. Each damage here is one that nothing but the check in question sees:
 * the checksums above it are made right again.
 */
#include "core/verify/verify_block.h"

#include <stdlib.h>
#include <string.h>

#include "core/format/checksum_short.h"
#include "tests/support.h"

#define BLOCK_SIZE 16384u
#define BLOCK 4096u /* where block 0 is in the image */
#define EVENTS 8u   /* of the loop over plain ones are all but the first */

static struct oracle_image image;
static uint8_t *events[EVENTS];
static struct wal_block_sum sum;

/* On both sides of where another way of hashing, or of padding, begins. */
static const uint32_t lengths[] = {1,  3,  4,  5,   8,	 16,  20,  21,	27,  52,  53,  64,
				   84, 85, 99, 116, 117, 160, 227, 228, 229, 300, 1500};

static void build(uint32_t length)
{
	struct oracle_params params = test_params();
	uint8_t payload[1500 + EVENTS];
	unsigned seed = length;

	params.block_size = BLOCK_SIZE;
	oracle_build(&image, &params);
	for (uint32_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)rand_r(&seed);
	for (uint32_t i = 0; i < EVENTS; i++)
		events[i] = image.bytes +
			    oracle_append(&image, image.last_ns + 3, 0, payload + i, length);
	oracle_seal(&image, image.last_ns + 1, 0);
}

static void destroy(void)
{
	oracle_image_free(&image);
}

static bool is_sound(void)
{
	struct wal_segment_header segment;

	oracle_fix_blocks(image.bytes, 0);
	ck_kind(wal_segment_header_decode((const void *)(image.bytes + 512), WAL_STATE_SEALED,
					  &segment),
		WAL_FAULT_NONE);
	return wal_block_sum_up(image.bytes + BLOCK, &segment, 0, &sum);
}

static void fix_event(uint32_t n)
{
	oracle_fix_event(events[n], image.params.prev_chain, image.params.first_event + n);
}

static uint64_t timestamp(uint32_t n)
{
	return oracle_get64(events[n] + 8);
}

static void set_timestamp(uint32_t n, uint64_t timestamp_ns)
{
	oracle_put64(events[n] + 8, timestamp_ns);
	fix_event(n);
}

START_TEST(checksums_of_17_to_128_bytes_are_those_of_the_library)
{
	uint8_t bytes[160];
	unsigned seed = (unsigned)_i;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand_r(&seed);
	for (size_t size = 17; size <= 128; size++) {
		for (size_t at = 0; at < 9; at++) {
			uint64_t from = (uint64_t)rand_r(&seed) << 40 ^ (uint64_t)rand_r(&seed);

			ck_assert_uint_eq(wal_checksum_17_to_128(bytes + at, size, from),
					  oracle_xxh3(bytes + at, size, from));
		}
	}
}
END_TEST

START_TEST(a_block_of_plain_events_is_sound_and_summed_up)
{
	build(lengths[_i]);
	ck_assert(is_sound());
	ck_assert_uint_eq(sum.header.event_count, EVENTS);
	ck_assert_uint_eq(sum.payload_bytes, EVENTS * lengths[_i]);
	ck_assert_uint_eq(sum.last_ns, timestamp(EVENTS - 1));
	ck_assert(sum.has_events && !sum.continues && !sum.goes_on);
}
END_TEST

START_TEST(each_flipped_byte_of_each_event_is_seen)
{
	build(lengths[_i]);
	for (uint32_t n = 0; n < EVENTS; n++) {
		for (uint32_t at = 0; at < 16 + lengths[_i]; at++) {
			events[n][at] ^= (uint8_t)(1u << at % 8);
			ck_assert_msg(!is_sound(), "event %u, byte %u", n, at);
			events[n][at] ^= (uint8_t)(1u << at % 8);
		}
	}
	ck_assert(is_sound());
}
END_TEST

START_TEST(each_byte_of_padding_is_looked_at)
{
	const uint32_t end = (16 + lengths[_i] + 7) / 8 * 8;

	build(lengths[_i]);
	for (uint32_t n = 0; n < EVENTS; n++) {
		for (uint32_t at = 16 + lengths[_i]; at < end; at++) {
			events[n][at] = 0x80;
			ck_assert_msg(!is_sound(), "event %u, byte %u", n, at);
			events[n][at] = 0;
		}
	}
	ck_assert(is_sound());
}
END_TEST

START_TEST(time_may_stand_still_but_not_go_back)
{
	build(lengths[_i]);
	for (uint32_t n = 1; n < EVENTS; n++) {
		uint64_t was = timestamp(n);

		set_timestamp(n, timestamp(n - 1));
		ck_assert(is_sound());
		set_timestamp(n, timestamp(n - 1) - 1);
		ck_assert_msg(!is_sound(), "event %u", n);
		set_timestamp(n, was);
	}
}
END_TEST

START_TEST(an_event_that_has_no_length_is_seen)
{
	build(lengths[_i]);
	for (uint32_t n = 0; n < EVENTS; n++) {
		oracle_put32(events[n] + 4, 0);
		fix_event(n);
		ck_assert_msg(!is_sound(), "event %u", n);
		oracle_put32(events[n] + 4, lengths[_i]);
		fix_event(n);
	}
	ck_assert(is_sound());
}
END_TEST

/* Two headers without payload where an event of 16 bytes was; all else fits. */
START_TEST(events_without_payload_are_none_though_all_else_fits)
{
	build(16);
	memcpy(events[3] + 16, events[3], 16);
	for (uint32_t half = 0; half < 2; half++) {
		oracle_put32(events[3] + 16 * half + 4, 0);
		oracle_fix_event(events[3] + 16 * half, image.params.prev_chain,
				 image.params.first_event + 3 + half);
	}
	for (uint32_t n = 4; n < EVENTS; n++)
		oracle_fix_event(events[n], image.params.prev_chain,
				 image.params.first_event + n + 1);
	oracle_put32(image.bytes + BLOCK + 8, EVENTS + 1);
	ck_assert(!is_sound());
}
END_TEST

/* The bytes behind it are zeros, its checksum and its padding are right. */
START_TEST(an_event_that_reaches_behind_the_used_bytes_is_seen)
{
	build(lengths[_i]);
	oracle_put32(events[EVENTS - 1] + 4, lengths[_i] + 8);
	fix_event(EVENTS - 1);
	ck_assert(!is_sound());
}
END_TEST

/* A header alone is no event: 24 bytes at least. */
START_TEST(used_bytes_that_no_event_fits_into_are_seen)
{
	uint8_t *used;

	build(lengths[_i]);
	used = image.bytes + BLOCK + 28;
	for (uint32_t more = 8; more <= 24; more += 8) {
		uint32_t was = oracle_get32(used);

		oracle_put32(used, was + more);
		ck_assert_msg(!is_sound(), "%u more", more);
		oracle_put32(used, was);
	}
	ck_assert(is_sound());
}
END_TEST

START_TEST(another_count_than_the_headers_is_seen)
{
	build(lengths[_i]);
	for (uint32_t count = EVENTS - 1; count <= EVENTS + 1; count += 2) {
		oracle_put32(image.bytes + BLOCK + 8, count);
		ck_assert(!is_sound());
	}
	oracle_put32(image.bytes + BLOCK + 8, EVENTS);
	ck_assert(is_sound());
}
END_TEST

START_TEST(another_first_time_than_the_headers_is_seen)
{
	build(lengths[_i]);
	image.bytes[BLOCK + 32] ^= 1;
	ck_assert(!is_sound());
}
END_TEST

/* Flags of an event between plain ones, alone; and whether that is sound. */
static const struct {
	uint32_t flags;
	bool sound;
} flags[] = {
	{WAL_EVENT_MORE, false}, {WAL_EVENT_CONT, false}, {WAL_EVENT_MORE | WAL_EVENT_CONT, false},
	{WAL_EVENT_PART, true},	 {0x08, false},		  {0x10, false},
	{0x20, false},		 {WAL_EVENT_META, false}, {WAL_EVENT_META | WAL_EVENT_PART, false},
};

START_TEST(an_event_with_flags_is_looked_at_like_any_other)
{
	build(64);
	/* (A block may begin with a CONT.) */
	for (uint32_t n = 1; n + 1 < EVENTS; n++) {
		events[n][7] = (uint8_t)flags[_i].flags;
		fix_event(n);
		ck_assert_msg(is_sound() == flags[_i].sound, "event %u", n);
		events[n][7] = 0;
		fix_event(n);
	}
	ck_assert(is_sound());
}
END_TEST

START_TEST(a_group_between_plain_events_is_sound_only_if_it_ends)
{
	build(64);
	events[3][7] = WAL_EVENT_MORE;
	fix_event(3);
	ck_assert(!is_sound());
	events[4][7] = WAL_EVENT_CONT;
	fix_event(4);
	ck_assert(is_sound());
	ck_assert(!sum.goes_on);
	events[EVENTS - 1][7] = WAL_EVENT_MORE;
	fix_event(EVENTS - 1);
	ck_assert(is_sound()); /* the next block says whether it goes on there */
	ck_assert(sum.goes_on);
}
END_TEST

/* --- against the oracle, at random --------------------------------------------------------- */

static void append_at_random(unsigned *seed)
{
	static const uint32_t some[] = {WAL_EVENT_PART, 0, 0, 0, 0, 0, 0, 0};
	static uint8_t payload[40000];
	uint32_t size = 1 + (uint32_t)rand_r(seed) % (rand_r(seed) % 4 ? 130 : 700);
	uint64_t now = image.last_ns + (unsigned)rand_r(seed) % 2;

	for (uint32_t i = 0; i < size; i++)
		payload[i] = (uint8_t)rand_r(seed);
	if (rand_r(seed) % 100 == 0)
		oracle_append_group(&image, now, 0, payload, sizeof(payload));
	else if (rand_r(seed) % 50 == 0)
		oracle_append_resume(&image, now, 2);
	else
		oracle_append(&image, now, some[rand_r(seed) % 8], payload, size);
}

/* One byte of a record, or behind it, under checksums that are right or not. */
static void damage_event(const struct oracle_event *event, unsigned *seed)
{
	const uint8_t masks[] = {0, 0, 0, 0x80, 1, (uint8_t)rand_r(seed)};
	uint32_t at = (uint32_t)rand_r(seed) % (rand_r(seed) % 2 ? 16 : event->span);

	image.bytes[event->file_offset + at] ^= masks[rand_r(seed) % 6];
	if (rand_r(seed) % 4 &&
	    (oracle_get32(image.bytes + event->file_offset + 4) & 0xffffff) < 1000)
		oracle_fix_event(image.bytes + event->file_offset, image.params.prev_chain,
				 event->id);
	oracle_fix_blocks(image.bytes, 0);
}

START_TEST(records_of_all_kinds_are_judged_as_the_oracle_does)
{
	const struct wal_verify_options options = {.threads = 1};
	struct oracle_params params = test_params();
	struct oracle_segment truth, now;
	struct wal_verify_result result;
	unsigned seed = (unsigned)_i + 1, unsound = 0;
	uint8_t *original;

	params.block_size = BLOCK_SIZE;
	params.blocks = 64;
	oracle_build(&image, &params);
	while (image.block < 8)
		append_at_random(&seed);
	oracle_seal(&image, image.last_ns, 0);
	original = malloc(image.size);
	memcpy(original, image.bytes, image.size);
	oracle_decode(original, image.size, 1, &truth);
	ck_kind(truth.fault, WAL_FAULT_NONE);
	for (int round = 0; round < 300; round++) {
		damage_event(&truth.events[(unsigned)rand_r(&seed) % truth.event_count], &seed);
		oracle_decode(image.bytes, image.size, 1, &now);
		store_put(test_dir(), &image);
		ck_ok(wal_verify_segment(test_dirfd(), "0000000001.wal", 1, &options, &result));
		ck_assert_msg((now.fault == WAL_FAULT_NONE) == (result.faults == 0),
			      "seed %d, round %d: %s, %s", _i, round,
			      wal_fault_kind_name(now.fault),
			      wal_fault_kind_name(result.first.kind));
		unsound += now.fault != WAL_FAULT_NONE;
		oracle_segment_free(&now);
		memcpy(image.bytes, original, image.size);
	}
	ck_assert_uint_gt(unsound, 60);
	ck_assert_uint_lt(unsound, 240);
	oracle_segment_free(&truth);
	free(original);
}
END_TEST

int main(void)
{
	const int count = (int)(sizeof(lengths) / sizeof(lengths[0]));
	Suite *suite = suite_create("verify_block");
	TCase *t = test_case(suite, "checksum", 30);

	tcase_add_loop_test(t, checksums_of_17_to_128_bytes_are_those_of_the_library, 0, 4);
	t = test_case(suite, "block", 60);
	tcase_add_checked_fixture(t, NULL, destroy);
	tcase_add_loop_test(t, a_block_of_plain_events_is_sound_and_summed_up, 0, count);
	tcase_add_loop_test(t, each_flipped_byte_of_each_event_is_seen, 0, count);
	tcase_add_loop_test(t, each_byte_of_padding_is_looked_at, 0, count);
	tcase_add_loop_test(t, time_may_stand_still_but_not_go_back, 0, count);
	tcase_add_loop_test(t, an_event_that_has_no_length_is_seen, 0, count);
	tcase_add_test(t, events_without_payload_are_none_though_all_else_fits);
	tcase_add_loop_test(t, an_event_that_reaches_behind_the_used_bytes_is_seen, 0, count);
	tcase_add_loop_test(t, used_bytes_that_no_event_fits_into_are_seen, 0, count);
	tcase_add_loop_test(t, another_count_than_the_headers_is_seen, 0, count);
	tcase_add_loop_test(t, another_first_time_than_the_headers_is_seen, 0, count);
	tcase_add_loop_test(t, an_event_with_flags_is_looked_at_like_any_other, 0,
			    (int)(sizeof(flags) / sizeof(flags[0])));
	tcase_add_test(t, a_group_between_plain_events_is_sound_only_if_it_ends);
	tcase_add_loop_test(t, records_of_all_kinds_are_judged_as_the_oracle_does, 0, 6);
	return test_main(suite);
}
