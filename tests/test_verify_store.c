/* SPDX-License-Identifier: MIT */
/* Verifying a store: what is missing, what does not continue, wal.meta, notes and progress. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fixture_verify.h"

static void expect_fault(enum wal_fault_kind kind, uint32_t segment)
{
	for (size_t i = 0; i < verify_reported.count; i++) {
		if (verify_reported.faults[i].kind == kind &&
		    verify_reported.faults[i].segment == segment)
			return;
	}
	ck_abort_msg("%s of segment %u is not reported (%zu others, the first: %s of %u)",
		     wal_fault_kind_name(kind), segment, verify_reported.count,
		     wal_fault_kind_name(verify_reported.faults[0].kind),
		     verify_reported.faults[0].segment);
}

START_TEST(a_sound_store_has_no_fault)
{
	verify_store();
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_uint_eq(verify_result.segments, 3);
	ck_assert_uint_eq(verify_result.events, 150);
}
END_TEST

/* Segment 3 unsealed with 8 bytes that are not zero behind event 150; D at event `durable`. */
static void tear_third(uint64_t durable, uint32_t flags)
{
	struct oracle_params params = test_params_after(&verify_images[1]);
	struct oracle_slot slot;

	verify_noted = 0;
	oracle_image_free(&verify_images[2]);
	oracle_build(&verify_images[2], &params);
	append_lines(&verify_images[2], 150);
	slot = test_slot(&verify_images[2]);
	slot.sequence = 30;
	slot.durable_event = durable;
	slot.durable_offset += durable > 150 ? 32 : 0;
	slot.flags = flags;
	store_put_slot(test_dir(), &slot);
	store_put(test_dir(), &verify_images[2]);
	file_patch(store_segment_path(test_dir(), 3), oracle_end(&verify_images[2]) + 100, "torn",
		   4);
}

static void verify_noting(void)
{
	const struct wal_verify_options noting = {.note = verify_keep_note};

	ck_ok(wal_verify_store(test_dir(), &noting, &verify_result, NULL));
	ck_assert_uint_eq(verify_result.notes, verify_noted);
}

START_TEST(a_torn_tail_at_the_durable_position_is_a_note_and_no_fault)
{
	tear_third(150, 0);
	verify_noting();
	ck_assert_uint_eq(verify_noted, 1);
	ck_kind(verify_note_kinds[0], WAL_FAULT_TAIL);
	ck_assert_uint_eq(verify_result.faults, 0);
}
END_TEST

START_TEST(bytes_behind_the_last_event_are_a_fault_where_no_crash_explains_them)
{
	tear_third(_i == 0 ? 151 : 150, _i == 1 ? ORACLE_CLEAN : 0);
	verify_noting();
	ck_assert_uint_eq(verify_noted, 0);
	ck_kind(verify_result.first.kind, _i == 0 ? WAL_FAULT_POSITION : WAL_FAULT_TAIL);
	ck_assert_uint_eq(verify_result.faults, _i == 0 ? 2 : 1);
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
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_uint_eq(verify_noted, 2);
	ck_kind(verify_note_kinds[0], WAL_FAULT_META_FILE);
	ck_kind(verify_note_kinds[1], WAL_FAULT_TAIL);
}
END_TEST

/* The store was made, and its second slot is yet to be written. */
START_TEST(a_slot_that_was_never_written_is_not_missed)
{
	struct oracle_slot slot = test_slot(&verify_images[2]);

	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	slot.sequence = 1;
	store_put_slot(test_dir(), &slot);
	verify_noting();
	ck_assert_uint_eq(verify_result.faults + verify_result.notes, 0);
}
END_TEST

/* The name of a segment whose header did not come to the disk, and a torn tail below it. */
START_TEST(what_recovery_sets_aside_is_a_note)
{
	tear_third(150, 0);
	file_write(store_segment_path(test_dir(), 4), verify_images[2].bytes, _i == 0 ? 0 : 5000);
	if (_i == 2)
		file_write(store_segment_path(test_dir(), 6), "", 0); /* and 5 did not come */
	verify_noting();
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_uint_eq(verify_noted, _i == 2 ? 3 : 2);
}
END_TEST

START_TEST(a_missing_segment_is_named)
{
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 2)), 0);
	verify_store();
	expect_fault(WAL_FAULT_MISSING, 2);
	ck_assert_uint_eq(verify_reported.count, 1);
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
	struct oracle_slot slot = test_slot(&verify_images[2]);

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
		ck_assert_uint_eq(verify_reported.count, 0);
		return;
	}
	ck_assert_uint_eq(verify_reported.count, 1);
	expect_fault(WAL_FAULT_POSITION, (uint32_t)_i + 1);
	ck_assert_uint_eq(verify_reported.faults[0].offset, oracle_end(&verify_images[_i]));
	ck_assert_str_eq(verify_reported.faults[0].detail, "it is not sealed, and segment 3 is");
}
END_TEST

/* Torn, too: that is no reason to blame the one that continues what is lost of it. */
START_TEST(a_torn_segment_below_a_sealed_one_is_named_and_not_its_neighbour)
{
	static const uint8_t none[64];
	uint64_t last = oracle_end(&verify_images[1]) - 32;

	file_patch(store_segment_path(test_dir(), 2), 512, none, sizeof(none));
	file_flip(store_segment_path(test_dir(), 2), last + 20, 1);
	verify_store();
	expect_fault(WAL_FAULT_TAIL, 2);
	expect_fault(WAL_FAULT_POSITION, 2);
	ck_assert_uint_eq(verify_reported.count, 2);
	ck_assert_uint_eq(verify_reported.faults[1].offset, last);
}
END_TEST

/* Segment 2 sealed or not, and an active segment 3 that begins a new chain without a gap. */
START_TEST(a_new_chain_behind_a_segment_that_is_not_sealed_is_damage_of_that)
{
	static const uint8_t none[64];
	struct oracle_params params = test_params_after(&verify_images[1]);
	struct oracle_slot slot;

	params.prev_chain = oracle_chain_restart(test_log, 3);
	params.recovery = 0x01 /* CHAIN_RESTART */;
	oracle_image_free(&verify_images[2]);
	oracle_build(&verify_images[2], &params);
	append_lines(&verify_images[2], 150);
	store_put(test_dir(), &verify_images[2]);
	slot = test_slot(&verify_images[2]);
	slot.sequence = 30;
	store_put_slot(test_dir(), &slot);
	verify_store();
	ck_assert_uint_eq(verify_reported.count, 0);
	file_patch(store_segment_path(test_dir(), 2), 512, none, sizeof(none));
	verify_store();
	ck_assert_uint_eq(verify_reported.count, 1);
	expect_fault(WAL_FAULT_POSITION, 2);
	ck_assert_str_eq(verify_reported.faults[0].detail,
			 "it is not sealed, and segment 3 begins a new chain");
}
END_TEST

START_TEST(a_segment_that_does_not_continue_the_one_before_is_named)
{
	struct oracle_params params = verify_images[1].params;

	params.prev_chain ^= 1;
	oracle_image_free(&verify_images[1]);
	oracle_build(&verify_images[1], &params);
	append_lines(&verify_images[1], 100);
	oracle_seal(&verify_images[1], verify_images[1].last_ns + 1, 0);
	store_put(test_dir(), &verify_images[1]);
	verify_store();
	expect_fault(WAL_FAULT_SEQUENCE, 2);
	expect_fault(WAL_FAULT_SEQUENCE, 3); /* its chain is that of the old segment 2 */
	ck_assert_uint_eq(verify_reported.count, 2);
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
	struct oracle_params params = verify_images[2].params;
	struct oracle_slot slot;

	params.prev_chain = oracle_chain_restart(test_log, 3);
	params.recovery = 0x01 /* CHAIN_RESTART */;
	params.first_event = _i == 1 || _i == 2 ? 3 : 90;
	oracle_image_free(&verify_images[2]);
	oracle_build(&verify_images[2], &params);
	append_lines(&verify_images[2], _i == 3 ? 95 : 150);
	oracle_seal(&verify_images[2], verify_images[2].last_ns + 1, 0);
	store_put(test_dir(), &verify_images[2]);
	slot = test_slot(&verify_images[2]);
	slot.sequence = 30;
	store_put_slot(test_dir(), &slot);
	if (_i == 2) /* also where what is between is not known */
		ck_assert_int_eq(unlink(store_segment_path(test_dir(), 2)), 0);
	verify_store();
	expect_fault(WAL_FAULT_SEQUENCE, 3);
	ck_assert_uint_eq(verify_reported.count, _i == 2 ? 2 : 1);
	expect_told_and_gone_on(&verify_reported.faults[verify_reported.count - 1],
				_i == 3 ? 101 : 151);
	verify_store(); /* what the log began above them is right */
	expect_fault(WAL_FAULT_SEQUENCE, 3);
	ck_assert_uint_eq(verify_reported.count, _i == 2 ? 2 : 1);
}
END_TEST

START_TEST(without_wal_meta_the_end_is_not_anchored)
{
	verify_store();
	ck_assert(verify_result.anchored);
	ck_assert(verify_result.start_anchored);
	ck_assert_uint_eq(verify_result.anchor_event, 150);
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 3)), 0);
	verify_noting();
	ck_assert(!verify_result.anchored);
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_uint_eq(verify_noted, 1);
	ck_kind(verify_note_kinds[0], WAL_FAULT_META_FILE);
}
END_TEST

/* wal.meta knows of segment 1; without it that may have been removed by retention. */
START_TEST(without_wal_meta_a_start_behind_segment_1_is_not_anchored)
{
	ck_assert_int_eq(unlink(store_segment_path(test_dir(), 1)), 0);
	verify_store();
	ck_assert(verify_result.start_anchored);
	expect_fault(WAL_FAULT_MISSING, 1);
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	verify_store();
	ck_assert(!verify_result.start_anchored);
	ck_assert_uint_eq(verify_result.faults, 0);
}
END_TEST

/* Cut short, or other bytes: nothing that a crash leaves. */
START_TEST(a_wal_meta_that_holds_something_else_is_a_fault)
{
	file_write(test_path("wal.meta"), "not a slot", 10);
	if (_i == 0)
		file_resize(test_path("wal.meta"), 8192);
	verify_store();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_META_FILE);
	ck_assert_str_eq(verify_reported.names[0], "wal.meta");
	ck_assert_str_eq(verify_reported.faults[0].detail,
			 "damaged; it is rebuilt from the segments"); /* as the mount says */
	ck_assert(!verify_result.anchored);
}
END_TEST

START_TEST(a_wal_meta_that_is_no_file_is_a_fault_in_the_words_of_the_mount)
{
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	ck_assert_int_eq(mkdir(test_path("wal.meta"), 0700), 0);
	verify_store();
	ck_assert_uint_eq(verify_reported.count, 1);
	ck_kind(verify_reported.faults[0].kind, WAL_FAULT_META_FILE);
	ck_assert_str_eq(verify_reported.faults[0].detail,
			 "not a regular file; move it away and mount again");
}
END_TEST

/* D.offset beyond the end, D.event as it is: an event of the active segment is gone. */
START_TEST(a_durable_offset_beyond_the_end_is_named)
{
	struct oracle_slot slot;

	tear_third(150, 0);
	slot = test_slot(&verify_images[2]);
	slot.sequence = 40;
	slot.durable_offset = _i ? UINT64_C(1) << 40 : slot.durable_offset + 8;
	store_put_slot(test_dir(), &slot);
	verify_store();
	expect_fault(WAL_FAULT_POSITION, 3);
}
END_TEST

START_TEST(a_gap_in_the_ids_is_named)
{
	struct oracle_params params = verify_images[2].params;

	params.first_event += 1;
	oracle_image_free(&verify_images[2]);
	oracle_build(&verify_images[2], &params);
	append_lines(&verify_images[2], 151);
	oracle_seal(&verify_images[2], verify_images[2].last_ns + 1, 0);
	store_put(test_dir(), &verify_images[2]);
	verify_store();
	expect_fault(WAL_FAULT_SEQUENCE, 3);
}
END_TEST

START_TEST(a_segment_of_another_log_is_named)
{
	struct oracle_params params = verify_images[2].params;

	memcpy(params.log, test_other_log, 16);
	oracle_image_free(&verify_images[2]);
	oracle_build(&verify_images[2], &params);
	append_lines(&verify_images[2], 150);
	oracle_seal(&verify_images[2], verify_images[2].last_ns + 1, 0);
	store_put(test_dir(), &verify_images[2]);
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
	ck_assert_uint_eq(verify_result.faults, 1);
	ck_kind(verify_result.first.kind, WAL_FAULT_TOO_SHORT);
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
	ck_fails(wal_verify_store(test_path("other"), &verify_reporting, &verify_result, &error),
		 -ENOTEMPTY);
	ck_fails(wal_verify_store(test_path("nowhere"), &verify_reporting, &verify_result, &error),
		 -ENOENT);
	file_write(test_path("file"), "x", 1);
	ck_fails(wal_verify_store(test_path("file"), &verify_reporting, &verify_result, &error),
		 -ENOTDIR);
}
END_TEST

START_TEST(verifying_changes_nothing)
{
	struct listing before;
	struct listing after;

	file_flip(store_segment_path(test_dir(), 2), 5000, 1);
	list_dir(test_dir(), &before);
	verify_store();
	ck_assert_uint_gt(verify_reported.count, 0);
	list_dir(test_dir(), &after);
	assert_same_listing(&before, &after);
}
END_TEST

static Suite *verify_store_suite(void)
{
	Suite *suite = suite_create("verify_store");
	TCase *t = test_case(suite, "store", 30);

	tcase_add_checked_fixture(t, verify_build_store, verify_destroy_store);
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
	return suite;
}

int main(void)
{
	return test_main_in_memory(verify_store_suite());
}
