/* SPDX-License-Identifier: MIT */
/* Pieces of stores, and the states R1 to R14: the store itself, and unreadable headers. */
#include "tests/states_build.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- pieces -------------------------------------------------------------------- */

struct oracle_image state_one; /* segment 1 */
struct oracle_image state_two;
struct oracle_image state_three;

void state_begin(uint64_t last)
{
	struct oracle_params params = test_params();

	oracle_build(&state_one, &params);
	append_lines(&state_one, last);
}

void state_begin_after(struct oracle_image *image, const struct oracle_image *before, uint64_t last)
{
	struct oracle_params params = test_params_after(before);

	oracle_build(image, &params);
	append_lines(image, last);
}

void state_seal(struct oracle_image *image)
{
	oracle_seal(image, image->last_ns + 1, 0);
}

/* D at the end of image as it is now, written as the slot that counts. */
void state_set_durable(const char *store, const struct oracle_image *image)
{
	struct oracle_slot slot = test_slot(image);

	slot.sequence = 10;
	store_put_slot(store, &slot);
	slot.sequence = 9; /* the other slot is valid too, and older */
	slot.durable_segment = image->params.index;
	slot.durable_offset = 4248;
	slot.durable_event = image->params.first_event - 1;
	store_put_slot(store, &slot);
}

void state_set_clean(const char *store, const struct oracle_image *image)
{
	struct oracle_slot slot = test_slot(image);

	slot.sequence = 12;
	slot.flags = ORACLE_CLEAN;
	store_put_slot(store, &slot);
}

void state_put(const char *store, struct oracle_image *image)
{
	store_put(store, image);
	oracle_image_free(image);
}

const char *state_path(const char *store, const char *name)
{
	static char path[2 * TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", store, name);
	return path;
}

/* Segment 1 with events to `last`, sealed, D at its end, CLEAN not set. */
void state_put_sealed(const char *store, uint64_t last)
{
	state_begin(last);
	state_seal(&state_one);
	state_set_durable(store, &state_one);
	store_put(store, &state_one);
}

/* --- R1 to R11: the store ---------------------------------------------------------- */

void state_empty(const char *store)
{
	(void)store;
}

void state_not_empty(const char *store)
{
	file_write(state_path(store, "letter.txt"), "dear sir", 8);
}

void state_nearly_evidence(const char *store)
{
	file_write(state_path(store, "letter.wal.torn-of-mine"), "dear sir", 8);
}

void state_only_leftovers(const char *store)
{
	ck_assert_int_eq(mkdir(state_path(store, "lost+found"), 0700), 0);
	file_write(state_path(store, "0000000002.wal.new"), "half", 4);
	file_write(state_path(store, "0000000001.wal.torn-20261122T100102.000000017Z-2"), "tail",
		   4);
	file_write(state_path(store, "wal.meta.torn-20261122T100102.000000017Z"), "meta", 4);
}

void state_only_meta(const char *store)
{
	state_begin(0);
	state_set_durable(store, &state_one);
	oracle_image_free(&state_one);
}

void state_only_meta_with_events(const char *store)
{
	state_begin(40);
	state_one.params.index = 3;
	state_set_durable(store, &state_one);
	oracle_image_free(&state_one);
}

void state_prepared(const char *store)
{
	state_put_sealed(store, 20);
	state_begin_after(&state_two, &state_one, 30); /* whole, but it never got its name */
	file_write(state_path(store, "0000000002.wal.new"), state_two.bytes, state_two.size);
	file_write(state_path(store, "0000000003.wal.new"), "half", 4);
	file_write(state_path(store, "0000000002.wal.new-1"), "half", 4);
	file_write(state_path(store, "0000000002.wal.new-999"), "half", 4);
	oracle_image_free(&state_one);
	oracle_image_free(&state_two);
}

void state_prepared_directory(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	ck_assert_int_eq(mkdir(state_path(store, "0000000002.wal.new"), 0700), 0);
	ck_assert_int_eq(mkdir(state_path(store, "0000000009.wal.new"), 0700), 0);
}

/* What the newer slot of wal.meta has in its first bytes, with a checksum that is right. */
static void put_slot_with(const char *store, size_t at, uint8_t value)
{
	uint8_t bytes[ORACLE_SLOT_BYTES];
	struct oracle_slot slot;

	state_begin(5);
	slot = test_slot(&state_one);
	state_put(store, &state_one);
	slot.sequence = 30;
	store_put_slot(store, &slot);
	oracle_slot_encode(&slot, bytes);
	bytes[at] = value;
	oracle_put64(bytes + 88, oracle_xxh3(bytes, 88, 0));
	file_patch(state_path(store, "wal.meta"), 0, bytes, sizeof(bytes));
}

void state_newer_meta(const char *store)
{
	put_slot_with(store, 4, 2);
}

void state_cold(const char *store)
{
	put_slot_with(store, 5, 1); /* COLD */
}

/* Both slots say so. */
void state_copy(const char *store)
{
	struct bytes meta;

	put_slot_with(store, 5, 2); /* COPY */
	meta = file_read(state_path(store, "wal.meta"));
	oracle_put64(meta.data + 8, 29); /* sequence */
	oracle_put64(meta.data + 88, oracle_xxh3(meta.data, 88, 0));
	file_patch(state_path(store, "wal.meta"), ORACLE_SLOT_BYTES, meta.data, ORACLE_SLOT_BYTES);
	bytes_free(&meta);
}

/* Segment 2 of three is there in its compressed form alone; what that is does not matter. */
void state_compressed(const char *store)
{
	char plain[2 * TEST_PATH_MAX];

	state_begin(100);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 120);
	state_seal(&state_two);
	state_begin_after(&state_three, &state_two, 140);
	state_set_durable(store, &state_three);
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
	snprintf(plain, sizeof(plain), "%s", store_segment_path(store, 2));
	ck_assert_int_eq(rename(plain, state_path(store, "0000000002.wal.zst")), 0);
}

void state_compressed_without_meta(const char *store)
{
	state_compressed(store);
	ck_assert_int_eq(unlink(state_path(store, "wal.meta")), 0);
}

void state_newer_segment(const char *store)
{
	state_begin(5);
	state_set_durable(store, &state_one);
	state_one.bytes[4] = 2;
	oracle_fix_active_header(state_one.bytes);
	state_put(store, &state_one);
}

void state_unknown_feature(const char *store)
{
	state_begin(5);
	state_set_durable(store, &state_one);
	state_one.bytes[5] = 0x40;
	oracle_fix_active_header(state_one.bytes);
	state_put(store, &state_one);
}

void state_newer_slot_bad(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
	file_flip(state_path(store, "wal.meta"), 0 + 70, 1); /* sequence 10 is in slot 0 */
}

void state_older_slot_bad(const char *store)
{
	state_begin(20);
	state_set_durable(store, &state_one);
	state_put(store, &state_one);
	file_flip(state_path(store, "wal.meta"), 4096 + 70, 1);
}

void state_stale_clean(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_set_clean(store, &state_one);
	state_put(store, &state_one);
	file_flip(state_path(store, "wal.meta"), 4096 + 70, 1); /* sequence 12 is in slot 0 */
}

static void clean_in_the_first_slot(const char *store)
{
	state_begin(200);
	state_set_durable(store, &state_one);
	state_set_clean(store, &state_one); /* sequence 12 is in slot 0 */
	state_put(store, &state_one);
}

void state_slot_lost(const char *store)
{
	static const uint8_t zeros[ORACLE_SLOT_BYTES];

	clean_in_the_first_slot(store);
	file_patch(state_path(store, "wal.meta"), ORACLE_SLOT_BYTES, zeros, sizeof(zeros));
}

void state_meta_cut(const char *store)
{
	clean_in_the_first_slot(store);
	file_resize(state_path(store, "wal.meta"), ORACLE_SLOT_BYTES);
}

void state_last_event_id_durable(const char *store)
{
	struct oracle_slot slot;

	state_put_sealed(store, 100);
	slot = test_slot(&state_one);
	slot.sequence = 20;
	slot.durable_event = (UINT64_C(1) << 62) - 1;
	store_put_slot(store, &slot);
	oracle_image_free(&state_one);
}

void state_meta_missing_sealed(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	ck_assert_int_eq(unlink(state_path(store, "wal.meta")), 0);
}

void state_meta_missing_unsealed(const char *store)
{
	state_begin(20);
	state_put(store, &state_one);
}

void state_no_meta_and_an_empty_file(const char *store)
{
	file_write(store_segment_path(store, 1), "", 0);
}

void state_no_meta_and_zeros(const char *store)
{
	static const uint8_t zeros[STATE_FULL];

	file_write(store_segment_path(store, 1), zeros, sizeof(zeros));
}

void state_no_meta_and_noise(const char *store)
{
	static uint8_t noise[STATE_FULL];

	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)(i * 167 + i / 256 * 13 + 1);
	file_write(store_segment_path(store, 1), noise, sizeof(noise));
}

void state_meta_missing_torn(const char *store)
{
	state_begin(20);
	state_one.bytes[oracle_end(&state_one) - 1] ^= 1;
	state_put(store, &state_one);
}

void state_both_slots_bad(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	file_flip(state_path(store, "wal.meta"), 40, 1);
	file_flip(state_path(store, "wal.meta"), 4096 + 40, 1);
}

void state_meta_of_another_log(const char *store)
{
	struct oracle_slot slot;

	state_put_sealed(store, 20);
	slot = test_slot(&state_one);
	memcpy(slot.log, test_other_log, sizeof(slot.log));
	slot.sequence = 20;
	oracle_image_free(&state_one);
	ck_assert_int_eq(unlink(state_path(store, "wal.meta")), 0);
	store_put_slot(store, &slot);
}

void state_meta_behind(const char *store)
{
	state_begin(3);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_put(store, &state_one);
}

void state_meta_behind_a_segment(const char *store)
{
	state_begin(3);
	state_set_durable(store, &state_one);
	append_lines(&state_one, 200);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 300);
	state_put(store, &state_one);
	state_put(store, &state_two);
}

/* --- R12 to R14: headers --------------------------------------------------------------- */

void state_zero_segment_not_covered(const char *store)
{
	static const uint8_t zeros[STATE_FULL];

	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	file_write(store_segment_path(store, 2), zeros, sizeof(zeros));
}

void state_empty_file_not_covered(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	file_write(store_segment_path(store, 2), "", 0);
}

/* Segment 2 of 30 events, of which none is durable, with a byte of it flipped. */
static void second_flipped(const char *store, uint64_t offset)
{
	state_put_sealed(store, 20);
	state_begin_after(&state_two, &state_one, 30);
	state_two.bytes[offset] ^= 4;
	oracle_image_free(&state_one);
	state_put(store, &state_two);
}

void state_bad_header_not_covered(const char *store)
{
	second_flipped(store, 20);
}

void state_bad_magic_not_covered(const char *store)
{
	second_flipped(store, 1);
}

void state_bad_first_record_not_covered(const char *store)
{
	second_flipped(store, 4096 + 64 + 30);
}

void state_other_log_not_covered(const char *store)
{
	struct oracle_params params;

	state_put_sealed(store, 20);
	params = test_params_after(&state_one);
	memcpy(params.log, test_other_log, 16);
	oracle_build(&state_two, &params);
	append_lines(&state_two, 30);
	oracle_image_free(&state_one);
	state_put(store, &state_two);
}

/* A copy of segment 1 with the name of segment 2. */
void state_duplicated_not_covered(const char *store)
{
	state_put_sealed(store, 20);
	file_write(store_segment_path(store, 2), state_one.bytes, state_one.size);
	oracle_image_free(&state_one);
}

/* Segments 1 to 30 and 31 to 40; D is at event 40; both are sealed unless `active`. */
static void two_durable(const char *store, bool active)
{
	state_begin(30);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 40);
	if (!active)
		state_seal(&state_two);
	state_set_durable(store, &state_two);
	state_put(store, &state_one);
}

void state_bad_header_covered(const char *store)
{
	two_durable(store, true);
	state_two.bytes[20] ^= 1;
	state_put(store, &state_two);
}

void state_zero_segment_covered(const char *store)
{
	two_durable(store, true);
	memset(state_two.bytes, 0, state_two.size);
	state_put(store, &state_two);
}

void state_other_log_covered(const char *store)
{
	uint64_t end;

	two_durable(store, true);
	end = oracle_end(&state_two);
	memcpy(state_two.bytes + 4096 + 64 + 16 + 8, test_other_log, 16);
	oracle_fix_event(state_two.bytes + 4096 + 64, state_two.params.prev_chain, 31);
	ck_assert_uint_eq(end, oracle_end(&state_two));
	state_put(store, &state_two);
}

/* The files of segments 1 and 2 changed places. */
void state_swapped(const char *store)
{
	two_durable(store, false);
	state_put(store, &state_two);
	ck_assert_int_eq(rename(store_segment_path(store, 1), state_path(store, "swap")), 0);
	ck_assert_int_eq(rename(store_segment_path(store, 2), store_segment_path(store, 1)), 0);
	ck_assert_int_eq(rename(state_path(store, "swap"), store_segment_path(store, 2)), 0);
}

void state_a_directory_with_the_next_name(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	ck_assert_int_eq(mkdir(store_segment_path(store, 2), 0700), 0);
}

void state_a_directory_where_the_durable_position_is(const char *store)
{
	struct oracle_slot slot;

	state_a_directory_with_the_next_name(store);
	state_begin(30);
	slot = test_slot(&state_one);
	slot.sequence = 30;
	slot.durable_segment = 2;
	store_put_slot(store, &slot);
	oracle_image_free(&state_one);
}

/* --- without wal.meta, or with nothing else ---------------------------------------- */

/* The creation of a store was cut off behind the allocation of wal.meta. */
void state_empty_meta(const char *store)
{
	static const uint8_t zeros[2 * ORACLE_SLOT_BYTES];

	file_write(state_path(store, "wal.meta"), zeros, sizeof(zeros));
}

void state_only_meta_damaged(const char *store)
{
	state_only_meta_with_events(store);
	file_flip(state_path(store, "wal.meta"), 40, 1);
	file_flip(state_path(store, "wal.meta"), 4096 + 40, 1);
}

/* Events 1 to 20, 21 to 30, 31 to 40; the first two are sealed. */
static void build_three(void)
{
	state_begin(20);
	state_seal(&state_one);
	state_begin_after(&state_two, &state_one, 30);
	state_seal(&state_two);
	state_begin_after(&state_three, &state_two, 40);
}

static void put_three(const char *store)
{
	state_put(store, &state_one);
	state_put(store, &state_two);
	state_put(store, &state_three);
}

void state_meta_missing_bad_header_below_the_active_one(const char *store)
{
	build_three();
	memset(state_two.bytes, 0, 4096);
	put_three(store);
}

void state_meta_missing_bad_header_below_a_damaged_one(const char *store)
{
	build_three();
	state_seal(&state_three);
	memset(state_two.bytes, 0, 4096);
	state_three.bytes[4096 + 64 + 17] ^= 1;
	put_three(store);
}

void state_meta_missing_gap_below_the_active_one(const char *store)
{
	build_three();
	put_three(store);
	ck_assert_int_eq(unlink(store_segment_path(store, 2)), 0);
}

/*
 * D is still in segment 1, but segment 3 was sealed, so all before it was durable. (It is
 * damaged now: below one that is sealed and whole, recovery does not look.)
 */
void state_bad_header_below_a_sealed_one(const char *store)
{
	build_three();
	state_set_durable(store, &state_one);
	state_seal(&state_three);
	memset(state_two.bytes, 0, 4096);
	state_three.bytes[4096 + 64 + 17] ^= 1;
	put_three(store);
}

void state_second_durable(const char *store)
{
	two_durable(store, true);
	state_put(store, &state_two);
}

void state_second_not_durable(const char *store)
{
	state_put_sealed(store, 20);
	state_begin_after(&state_two, &state_one, 30);
	oracle_image_free(&state_one);
	state_put(store, &state_two);
}

void state_meta_is_a_directory(const char *store)
{
	state_begin(20);
	state_put(store, &state_one);
	ck_assert_int_eq(mkdir(state_path(store, "wal.meta"), 0700), 0);
}

void state_directory_with_the_last_name(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	ck_assert_int_eq(mkdir(state_path(store, "4294967294.wal"), 0700), 0);
}

/* --- R59 to R61: what somebody did to it ---------------------------------------------- */

static void put_mount_names(const char *store, const char *current)
{
	file_write(state_path(store, "current"), current, strlen(current));
	ck_assert_int_eq(mkdir(state_path(store, "events"), 0700), 0);
	ck_assert_int_eq(mkdir(state_path(store, ".walfs"), 0700), 0);
}

static void put_sealed_segment(const char *store)
{
	state_begin(20);
	state_seal(&state_one);
	state_put(store, &state_one);
}

void state_copy_of_a_mount(const char *store)
{
	put_sealed_segment(store);
	put_mount_names(store, "event 21\n");
}

void state_copy_of_a_new_mount(const char *store)
{
	put_mount_names(store, "event 1\n");
}

void state_copy_of_a_mount_with_an_empty_current(const char *store)
{
	put_sealed_segment(store);
	put_mount_names(store, "");
}

void state_stray_current(const char *store)
{
	state_put_sealed(store, 20);
	oracle_image_free(&state_one);
	file_write(state_path(store, "current"), "event 21\n", 9);
}
