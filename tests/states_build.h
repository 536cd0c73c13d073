/* SPDX-License-Identifier: MIT */
/* Inside tests/states*.c: the pieces that stores are built from, and a builder for each state. */
#ifndef WALFS_TESTS_STATES_BUILD_H
#define WALFS_TESTS_STATES_BUILD_H

#include "tests/states.h"

#define STATE_FULL (4096 + 4 * TEST_BLOCK) /* a segment's file while active */

/* Segments 1, 2 and 3 while they are built. */
extern struct oracle_image state_one;
extern struct oracle_image state_two;
extern struct oracle_image state_three;

/* state_one: segment 1 with the lines 1 to last. */
void state_begin(uint64_t last);
/* The segment that continues `before`, with lines to last. */
void state_begin_after(struct oracle_image *image, const struct oracle_image *before,
		       uint64_t last);
void state_seal(struct oracle_image *image);
/* D at the end of image as it is now; wal.meta has an older valid slot, too. */
void state_set_durable(const char *store, const struct oracle_image *image);
void state_set_clean(const char *store, const struct oracle_image *image);
/* Writes the file and frees the image. */
void state_put(const char *store, struct oracle_image *image);
/* A path in the store; one static buffer. */
const char *state_path(const char *store, const char *name);
/* Segment 1 sealed, with D at its end and CLEAN not set; state_one is kept. */
void state_put_sealed(const char *store, uint64_t last);

void state_empty(const char *store);
void state_not_empty(const char *store);
void state_nearly_evidence(const char *store);
void state_only_leftovers(const char *store);
void state_only_meta(const char *store);
void state_only_meta_with_events(const char *store);
void state_prepared(const char *store);
void state_prepared_directory(const char *store);
void state_newer_meta(const char *store);
void state_newer_segment(const char *store);
void state_unknown_feature(const char *store);
void state_cold(const char *store);
void state_copy(const char *store);
void state_compressed(const char *store);
void state_compressed_without_meta(const char *store);
void state_newer_slot_bad(const char *store);
void state_older_slot_bad(const char *store);
void state_stale_clean(const char *store);
void state_slot_lost(const char *store);
void state_meta_cut(const char *store);
void state_last_event_id_durable(const char *store);
void state_meta_missing_sealed(const char *store);
void state_meta_missing_unsealed(const char *store);
void state_meta_missing_torn(const char *store);
void state_no_meta_and_an_empty_file(const char *store);
void state_no_meta_and_zeros(const char *store);
void state_no_meta_and_noise(const char *store);
void state_both_slots_bad(const char *store);
void state_meta_of_another_log(const char *store);
void state_meta_behind(const char *store);
void state_meta_behind_a_segment(const char *store);
void state_zero_segment_not_covered(const char *store);
void state_empty_file_not_covered(const char *store);
void state_bad_header_not_covered(const char *store);
void state_bad_magic_not_covered(const char *store);
void state_bad_first_record_not_covered(const char *store);
void state_other_log_not_covered(const char *store);
void state_duplicated_not_covered(const char *store);
void state_bad_header_covered(const char *store);
void state_zero_segment_covered(const char *store);
void state_other_log_covered(const char *store);
void state_swapped(const char *store);
void state_a_directory_with_the_next_name(const char *store);
void state_closed_in_order(const char *store);
void state_killed(const char *store);
void state_block_headers_missing(const char *store);
void state_block_header_torn(const char *store);
void state_full_block_without_header(const char *store);
void state_no_event_yet(const char *store);
void state_other_segment_size(const char *store);
void state_other_framing(const char *store);
void state_other_block_size(const char *store);
void state_other_writer_version(const char *store);
void state_torn_at_the_end_of_an_event(const char *store);
void state_torn_in_an_event_header(const char *store);
void state_torn_in_a_payload(const char *store);
void state_group_cut_in_half(const char *store);
void state_group_cut_in_half_at_a_block_start(const char *store);
void state_whole_events_behind_a_hole(const char *store);
void state_whole_blocks_behind_a_hole(const char *store);
void state_junk_at_the_end_of_the_file(const char *store);
void state_torn_header_of_the_next_block(const char *store);
void state_cut_but_not_sealed(const char *store);
void state_seal_header_damaged(const char *store);
void state_seal_header_damaged_with_successor(const char *store);
void state_reserved_byte(const char *store);
void state_seal_of_no_index(const char *store);
void state_seal_of_another_index(const char *store);
void state_seal_of_the_largest_index(const char *store);
void state_seal_of_no_index_with_successor(const char *store);
void state_seal_of_another_index_with_successor(const char *store);
void state_seal_of_the_largest_index_with_successor(const char *store);
void state_hole_below_the_durable_position(const char *store);
void state_hole_with_whole_blocks_behind_it(const char *store);
void state_flipped_bit_in_the_active_segment(const char *store);
void state_last_unsealed_but_durable_above_it(const char *store);
void state_rotated_not_sealed(const char *store);
void state_rotated_cut_not_sealed(const char *store);
void state_rotated_with_junk_at_the_end_of_the_file(const char *store);
void state_three_unsealed(const char *store);
void state_three_unsealed_second_torn(const char *store);
void state_rotated_without_an_event(const char *store);
void state_successor_behind_a_torn_tail(const char *store);
void state_two_successors_behind_a_torn_tail(const char *store);
void state_successor_and_damage_before_it(const char *store);
void state_durable_at_the_start_of_the_successor(const char *store);
void state_durable_segment_missing_before_the_active_one(const char *store);
void state_a_directory_where_the_durable_position_is(const char *store);
void state_declared_damaged_earlier(const char *store);
void state_declared_damaged_earlier_without_a_gap(const char *store);
void state_damaged_earlier_below_a_sealed_one(const char *store);
void state_damaged_earlier_below_a_sealed_one_without_a_gap(const char *store);
void state_seal_lost_below_a_sealed_one(const char *store);
void state_sealed_last(const char *store);
void state_segments_above_are_missing(const char *store);
void state_events_above_are_missing(const char *store);
void state_sealed_too_long_with_zeros(const char *store);
void state_sealed_too_long_with_bytes(const char *store);
void state_sealed_with_a_flipped_bit(const char *store);
void state_sealed_and_shortened(const char *store);
void state_foreign_successor(const char *store);
void state_given_twice_active(const char *store);
void state_given_twice_durable_below(const char *store);
void state_given_twice_sealed(const char *store);
void state_given_three_times(const char *store);
void state_given_twice_above_a_damaged_one(const char *store);
void state_given_twice_of_a_damaged_one(const char *store);
void state_given_twice_and_gone_on(const char *store);
void state_sealed_middle_missing(const char *store);
void state_sealed_middle_damaged(const char *store);
void state_empty_meta(const char *store);
void state_only_meta_damaged(const char *store);
void state_meta_missing_bad_header_below_the_active_one(const char *store);
void state_meta_missing_bad_header_below_a_damaged_one(const char *store);
void state_meta_missing_gap_below_the_active_one(const char *store);
void state_bad_header_below_a_sealed_one(const char *store);
void state_sealed_above_a_torn_tail(const char *store);
void state_durable_event_above_the_active_one(const char *store);
void state_unsealed_of_330(const char *store);
void state_unsealed_of_200(const char *store);
void state_second_durable(const char *store);
void state_second_not_durable(const char *store);
void state_copied_while_written(const char *store);
void state_copy_of_a_mount(const char *store);
void state_copy_of_a_new_mount(const char *store);
void state_copy_of_a_mount_with_an_empty_current(const char *store);
void state_stray_current(const char *store);
void state_meta_is_a_directory(const char *store);
void state_directory_with_the_last_name(const char *store);

#endif
