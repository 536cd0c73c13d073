/* SPDX-License-Identifier: MIT */
/* The states R15 to R31, and R37: unsealed and sealed segments. */
#include "tests/states_build.h"

#include <string.h>
#include <unistd.h>

/* --- R15 to R19: the last segment is unsealed, and D is not above T ----------------------- */

void state_closed_in_order(const char *store)
{
	state_begin(200);
	oracle_write_block_headers(&state_one, state_one.block + 1);
	state_set_clean(store, &state_one);
	state_put(store, &state_one);
}

void state_killed(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	oracle_write_block_headers(&state_one, state_one.block); /* as the writer does */
	state_put(store, &state_one);
}

void state_block_headers_missing(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_put(store, &state_one);
}

void state_block_header_torn(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	oracle_write_block_headers(&state_one, 1);
	memset(state_one.bytes + 4096 + 32, 0, 32);
	state_put(store, &state_one);
}

/* Block 0 is full to its last byte, its header is not there, block 1 has not begun. */
void state_full_block_without_header(const char *store)
{
	static const char filler[TEST_BLOCK];

	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 120);
	oracle_append(&state_one, state_one.last_ns, 0, filler, (uint32_t)oracle_room(&state_one));
	ck_assert_uint_eq(oracle_end(&state_one), 4096 + TEST_BLOCK);
	state_put(store, &state_one);
}

void state_no_event_yet(const char *store)
{
	state_begin(0);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
}

void state_other_segment_size(const char *store)
{
	struct oracle_params params = test_params();

	params.blocks = 6;
	oracle_build(&state_one, &params);
	append_lines(&state_one, 20);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
}

void state_other_framing(const char *store)
{
	struct oracle_params params = test_params();

	params.framing = WAL_FRAME_WRITE;
	oracle_build(&state_one, &params);
	append_lines(&state_one, 20);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
}

void state_other_block_size(const char *store)
{
	struct oracle_params params = test_params();

	params.block_size = 2 * TEST_BLOCK;
	params.blocks = 2;
	oracle_build(&state_one, &params);
	append_lines(&state_one, 20);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
}

void state_other_writer_version(const char *store)
{
	struct oracle_params params = test_params();

	params.writer_version = 0x00ff0000;
	oracle_build(&state_one, &params);
	append_lines(&state_one, 20);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
}

/* Events to 200; D at event 20; from byte `keep` of event 150 on all is zero. */
static void torn_in_event_150(const char *store, uint32_t keep)
{
	uint64_t at;

	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 149);
	at = oracle_end(&state_one) + keep;
	append_lines(&state_one, 200);
	memset(state_one.bytes + at, 0, state_one.size - at);
	state_put(store, &state_one);
}

void state_torn_at_the_end_of_an_event(const char *store)
{
	torn_in_event_150(store, 0);
}

void state_torn_in_an_event_header(const char *store)
{
	torn_in_event_150(store, 7);
}

void state_torn_in_a_payload(const char *store)
{
	torn_in_event_150(store, 16 + 9);
}

void state_group_cut_in_half(const char *store)
{
	static const char line[6000];
	uint64_t at;

	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 149);
	oracle_append_group(&state_one, state_one.last_ns, 0, line, sizeof(line));
	at = 4096 + TEST_BLOCK + TEST_BLOCK; /* the second fragment did not get there */
	memset(state_one.bytes + at, 0, state_one.size - at);
	state_put(store, &state_one);
}

/* The first fragment is the first record of block 1. */
void state_group_cut_in_half_at_a_block_start(const char *store)
{
	static const char line[6000];
	uint64_t at = 4096 + TEST_BLOCK + TEST_BLOCK;

	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 119);
	oracle_append(&state_one, state_one.last_ns, 0, line, (uint32_t)oracle_room(&state_one));
	oracle_append_group(&state_one, state_one.last_ns, 0, line, sizeof(line));
	memset(state_one.bytes + at, 0, state_one.size - at);
	state_put(store, &state_one);
}

void state_whole_events_behind_a_hole(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	memset(state_one.bytes + 4096 + 2048, 0, 512); /* a sector that was not written */
	state_put(store, &state_one);
}

void state_whole_blocks_behind_a_hole(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 330);
	oracle_write_block_headers(&state_one, 3);
	memset(state_one.bytes + 4096 + TEST_BLOCK, 0, TEST_BLOCK);
	state_put(store, &state_one);
}

void state_junk_at_the_end_of_the_file(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	state_one.bytes[state_one.size - 1] = 1;
	state_put(store, &state_one);
}

void state_torn_header_of_the_next_block(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	memset(state_one.bytes + 4096 + TEST_BLOCK, 0x11, 32);
	state_put(store, &state_one);
}

/* Sealing stopped between the cut and the seal header. */
void state_cut_but_not_sealed(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_seal(&state_one);
	memset(state_one.bytes + 512, 0, 64);
	state_put(store, &state_one);
}

/* All of it is there, and it was sealed; then a bit of the seal header was lost. */
void state_seal_header_damaged(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_seal(&state_one);
	state_one.bytes[512 + 57] ^= 1;
	state_put(store, &state_one);
}

void state_seal_header_damaged_with_successor(const char *store)
{
	state_begin(200);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_set_durable(store, &state_two);
	state_one.bytes[512 + 57] ^= 1;
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* Of the area that is kept for a signature. The segment is not sealed. */
void state_reserved_byte(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_one.bytes[1024] = 1;
	state_put(store, &state_one);
}

/*
 * Segment 1 sealed, D at its event 20; then somebody gave the seal header another index, and the
 * checksum that fits it. Segment 2 goes on from 1.
 */
static void put_seal_of_another_index(const char *store, uint32_t index, bool successor)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_seal(&state_one);
	if (successor) {
		state_begin_after(&state_two, &state_one, 220);
		state_put(store, &state_two);
	}
	oracle_put32(state_one.bytes + 512 + 8, index);
	oracle_fix_seal_header(state_one.bytes);
	state_put(store, &state_one);
}

void state_seal_of_no_index(const char *store)
{
	put_seal_of_another_index(store, 0, false);
}

void state_seal_of_another_index(const char *store)
{
	put_seal_of_another_index(store, 7, false);
}

void state_seal_of_the_largest_index(const char *store)
{
	put_seal_of_another_index(store, UINT32_MAX, false);
}

void state_seal_of_no_index_with_successor(const char *store)
{
	put_seal_of_another_index(store, 0, true);
}

void state_seal_of_another_index_with_successor(const char *store)
{
	put_seal_of_another_index(store, 7, true);
}

void state_seal_of_the_largest_index_with_successor(const char *store)
{
	put_seal_of_another_index(store, UINT32_MAX, true);
}

/* --- R20 to R24: T below D; a successor ---------------------------------------------------- */

void state_hole_below_the_durable_position(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	memset(state_one.bytes + 4096 + 2048, 0, 512);
	state_put(store, &state_one);
}

/* The segment was copied, then the log went on, then wal.meta was copied. */
void state_copied_while_written(const char *store)
{
	state_begin(60);
	store_put(store, &state_one);
	append_lines(&state_one, 100);
	state_set_durable(store, &state_one);
	oracle_image_free(&state_one);
}

/* As before, and block 1 is whole with its header: ids to there are proved. */
void state_hole_with_whole_blocks_behind_it(const char *store)
{
	state_begin(150);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 330);
	oracle_write_block_headers(&state_one, 3);
	memset(state_one.bytes + 4096 + 2048, 0, 512);
	state_put(store, &state_one);
}

void state_flipped_bit_in_the_active_segment(const char *store)
{
	state_begin(100);
	state_set_durable(store, &state_one);
	state_one.bytes[4096 + 64 + 88 + 20] ^= 1; /* event 1 */
	state_put(store, &state_one);
}

void state_last_unsealed_but_durable_above_it(const char *store)
{
	state_begin(100);
	state_begin_after(&state_two, &state_one, 120);
	state_set_durable(store, &state_two);
	state_put(store, &state_one);
	oracle_image_free(&state_two);
}

/* Rotation stopped before segment 1 was completed: unsealed, but 2 goes on from it. */
void state_rotated_not_sealed(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

void state_rotated_cut_not_sealed(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_seal(&state_one);
	memset(state_one.bytes + 512, 0, 64);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* As if the tail had been cut off a segment that has a successor, and that one sealed, too. */
void state_rotated_with_junk_at_the_end_of_the_file(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_one.bytes[state_one.size - 1] = 1;
	state_seal(&state_two);
	memset(state_two.bytes + 512, 0, 64);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* Two were waiting to be sealed when the daemon died. */
void state_three_unsealed(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_begin_after(&state_three, &state_two, 240);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_three_unsealed_second_torn(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_begin_after(&state_three, &state_two, 240);
	memset(state_two.bytes + oracle_end(&state_two) - 24, 0, 24);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_rotated_without_an_event(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_begin_after(&state_two, &state_one, 200);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* Segment 1 lost its end; 2 does not go on from what is left. D as `d` says. */
static void rotated_and_torn(const char *store, bool second_durable)
{
	state_begin(50);
	if (!second_durable)
		state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_begin_after(&state_two, &state_one, 220);
	if (second_durable)
		state_set_durable(store, &state_two);
	memset(state_one.bytes + oracle_end(&state_one) - 24, 0, 24);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

void state_successor_behind_a_torn_tail(const char *store)
{
	rotated_and_torn(store, false);
}

void state_two_successors_behind_a_torn_tail(const char *store)
{
	state_begin(50);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_begin_after(&state_two, &state_one, 220);
	state_begin_after(&state_three, &state_two, 240);
	memset(state_one.bytes + oracle_end(&state_one) - 24, 0, 24);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_successor_and_damage_before_it(const char *store)
{
	rotated_and_torn(store, true);
}

/* D is at the very start of segment 2: only its event says that all of segment 1 was durable. */
void state_durable_at_the_start_of_the_successor(const char *store)
{
	struct oracle_slot slot;

	state_begin(200);
	state_begin_after(&state_two, &state_one, 220);
	slot = test_slot(&state_two);
	slot.durable_offset = 4248;
	slot.durable_event = 200;
	store_put_slot(store, &slot);
	memset(state_one.bytes + oracle_end(&state_one) - 24, 0, 24);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* Segment 1 with the lines to 200, and what recovery began behind it when it found that damaged. */
static void begin_behind_damage(void)
{
	struct oracle_params params;

	state_begin(200);
	params = test_params_after(&state_one);
	params.prev_chain = oracle_chain_restart(test_log, 2);
	params.recovery = 0x01 /* CHAIN_RESTART */;
	params.incarnation = 2;
	oracle_build(&state_two, &params);
	append_lines(&state_two, 220);
}

void state_declared_damaged_earlier(const char *store)
{
	begin_behind_damage();
	state_set_durable(store, &state_two);
	memset(state_one.bytes + 4096 + 2048, 0, 512);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* What was lost was no event, or the disk has given it back since: ids have no gap. */
void state_declared_damaged_earlier_without_a_gap(const char *store)
{
	begin_behind_damage();
	state_set_durable(store, &state_two);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* --- R37: below the segments that are examined --------------------------------------------- */

/* state_two sealed; an active segment 3 with the lines to 240 behind it, and D at its end. */
static void put_below_a_sealed_one(const char *store)
{
	state_seal(&state_two);
	state_begin_after(&state_three, &state_two, 240);
	state_set_durable(store, &state_three);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_damaged_earlier_below_a_sealed_one(const char *store)
{
	begin_behind_damage();
	memset(state_one.bytes + 4096 + 2048, 0, 512);
	put_below_a_sealed_one(store);
}

void state_damaged_earlier_below_a_sealed_one_without_a_gap(const char *store)
{
	begin_behind_damage();
	put_below_a_sealed_one(store);
}

/* A sector with a seal header that is all zeros again: the next segment continues this one. */
void state_seal_lost_below_a_sealed_one(const char *store)
{
	state_begin(200);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 220);
	memset(state_one.bytes + 512, 0, 64);
	put_below_a_sealed_one(store);
}

/* --- R25 to R31: sealed -------------------------------------------------------------- */

void state_sealed_last(const char *store)
{
	state_put_sealed(store, 200);
	oracle_image_free(&state_one);
}

void state_segments_above_are_missing(const char *store)
{
	state_begin(100);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 120);
	state_set_durable(store, &state_two);
	state_put(store, &state_one);
	oracle_image_free(&state_two);
}

void state_events_above_are_missing(const char *store)
{
	struct oracle_slot slot;

	state_put_sealed(store, 100);
	slot = test_slot(&state_one);
	slot.sequence = 20;
	slot.durable_event = 105;
	store_put_slot(store, &slot);
	oracle_image_free(&state_one);
}

void state_sealed_too_long_with_zeros(const char *store)
{
	state_sealed_last(store);
	file_resize(store_segment_path(store, 1), STATE_FULL);
}

void state_sealed_too_long_with_bytes(const char *store)
{
	state_sealed_last(store);
	file_resize(store_segment_path(store, 1), STATE_FULL);
	file_patch(store_segment_path(store, 1), STATE_FULL - 10, "x", 1);
}

void state_sealed_with_a_flipped_bit(const char *store)
{
	state_put_sealed(store, 200);
	state_one.bytes[4096 + TEST_BLOCK + 64 + 17] ^= 1;
	state_put(store, &state_one);
}

void state_sealed_and_shortened(const char *store)
{
	state_sealed_last(store);
	file_resize(store_segment_path(store, 1), 4096 + TEST_BLOCK + 100);
}

void state_foreign_successor(const char *store)
{
	struct oracle_params params;

	state_put_sealed(store, 100);
	params = test_params_after(&state_one);
	params.first_event = 151;
	oracle_build(&state_two, &params);
	append_lines(&state_two, 160);
	oracle_image_free(&state_one);
	state_put(store, &state_two);
}

/* A new chain after `before`, with the lines from first to last. */
static void begin_chain(struct oracle_image *image, const struct oracle_image *before,
			uint64_t first, uint64_t last)
{
	struct oracle_params params = test_params_after(before);

	params.prev_chain = oracle_chain_restart(test_log, params.index);
	params.recovery = 0x01 /* CHAIN_RESTART */;
	params.first_event = first;
	oracle_build(image, &params);
	append_lines(image, last);
}

/* Segment 1 sealed, with the lines to 200, and a segment 2 that has 101 to 150 again. */
static void begin_given_twice(void)
{
	state_begin(200);
	state_seal(&state_one);
	begin_chain(&state_two, &state_one, 101, 150);
}

void state_given_twice_active(const char *store)
{
	begin_given_twice();
	state_set_durable(store, &state_two);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

void state_given_twice_durable_below(const char *store)
{
	begin_given_twice();
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

void state_given_twice_sealed(const char *store)
{
	begin_given_twice();
	state_seal(&state_two);
	state_set_durable(store, &state_two);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* Segments 2 and 3 sealed, each with ids that the one before it has. */
void state_given_three_times(const char *store)
{
	begin_given_twice();
	state_seal(&state_two);
	begin_chain(&state_three, &state_two, 51, 60);
	state_seal(&state_three);
	state_set_durable(store, &state_three);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

/* Of segment 2 nothing can be read. */
void state_given_twice_above_a_damaged_one(const char *store)
{
	begin_given_twice();
	begin_chain(&state_three, &state_two, 151, 160);
	state_seal(&state_three);
	state_set_durable(store, &state_three);
	memset(state_two.bytes, 0, state_two.size);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

/* Segment 2 goes on from 1, and was cut short; 3 has ids of what is gone, as its seal says. */
void state_given_twice_of_a_damaged_one(const char *store)
{
	state_begin(200);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 330);
	state_seal(&state_two);
	begin_chain(&state_three, &state_two, 301, 310);
	state_seal(&state_three);
	state_set_durable(store, &state_three);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
	file_resize(store_segment_path(store, 2), 4096 + TEST_BLOCK + 100);
}

void state_given_twice_and_gone_on(const char *store)
{
	begin_given_twice();
	state_seal(&state_two);
	begin_chain(&state_three, &state_two, 201, 220);
	state_set_durable(store, &state_three);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_sealed_middle_missing(const char *store)
{
	state_begin(100);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 120);
	state_seal(&state_two);
	state_begin_after(&state_three, &state_two, 140);
	state_seal(&state_three);
	state_set_durable(store, &state_three);
	state_put(store, &state_one);
	oracle_image_free(&state_two);
	state_put(store, &state_three);
}

/* D is in segment 2, which is gone; segment 3 was being written, and nothing of it is durable. */
void state_durable_segment_missing_before_the_active_one(const char *store)
{
	state_begin(200);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 220);
	state_set_durable(store, &state_two);
	state_begin_after(&state_three, &state_two, 240);
	state_put(store, &state_one);
	oracle_image_free(&state_two);
	state_put(store, &state_three);
}

void state_sealed_middle_damaged(const char *store)
{
	state_begin(100);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 120);
	state_seal(&state_two);
	state_begin_after(&state_three, &state_two, 140);
	state_seal(&state_three);
	state_set_durable(store, &state_three);
	state_two.bytes[4096 + 64 + 17] ^= 1;
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

/* Segment 3 was sealed (and is damaged), so segment 1 was durable to its end, which is gone. */
void state_sealed_above_a_torn_tail(const char *store)
{
	state_begin(50);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_begin_after(&state_two, &state_one, 220);
	state_begin_after(&state_three, &state_two, 240);
	state_seal(&state_three);
	state_three.bytes[4096 + 64 + 17] ^= 1;
	memset(state_one.bytes + oracle_end(&state_one) - 24, 0, 24);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_durable_event_above_the_active_one(const char *store)
{
	struct oracle_slot slot;

	state_begin(20);
	slot = test_slot(&state_one);
	slot.durable_event = 25;
	store_put_slot(store, &slot);
	state_put(store, &state_one);
}

/* --- R33: whole, but for what the disk does not give back ------------------------------ */

void state_unsealed_of_330(const char *store)
{
	state_begin(150);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 330);
	oracle_write_block_headers(&state_one, 3);
	state_put(store, &state_one);
}

void state_unsealed_of_200(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_put(store, &state_one);
}
