/* SPDX-License-Identifier: MIT */
/* Verifying the states of the recovery table, before recovery and after it; copies; progress. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fixture_verify.h"

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
	ck_assert_msg(verify_result.faults == 0, "%s, %s: %s: %s", state->row, state->name,
		      verify_result.first_name, wal_fault_kind_name(verify_result.first.kind));
}
END_TEST

START_TEST(what_looks_like_a_copy_is_told_as_one)
{
	state_copied_while_written(test_dir());
	verify_store();
	ck_kind(verify_result.first.kind, WAL_FAULT_POSITION);
	ck_assert_int_eq(verify_result.hint, WAL_HINT_COPIED_WHILE_WRITTEN);
	/* A bit that flipped is no such thing. */
	remove_tree(test_dir());
	ck_assert_int_eq(mkdir(test_dir(), 0700), 0);
	state_flipped_bit_in_the_active_segment(test_dir());
	verify_store();
	ck_assert_uint_gt(verify_result.faults, 0);
	ck_assert_int_eq(verify_result.hint, WAL_HINT_NONE);
}
END_TEST

START_TEST(a_copy_without_the_last_segments_is_told_as_one)
{
	state_segments_above_are_missing(test_dir());
	verify_store();
	ck_kind(verify_result.first.kind, WAL_FAULT_MISSING);
	ck_assert_int_eq(verify_result.hint, WAL_HINT_COPIED_WHILE_WRITTEN);
}
END_TEST

START_TEST(a_copy_of_a_mount_is_told_as_one)
{
	state_copy_of_a_mount(test_dir());
	verify_store();
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_int_eq(verify_result.hint, WAL_HINT_COPY_OF_A_MOUNT);
}
END_TEST

/* That looks so by its nature. */
START_TEST(a_mount_is_no_copy_of_a_mount)
{
	const struct wal_verify_options of_mount = {.is_mount = true};

	state_copy_of_a_mount(test_dir());
	ck_ok(wal_verify_store(test_dir(), &of_mount, &verify_result, NULL));
	ck_assert_uint_eq(verify_result.faults, 0);
	ck_assert_uint_gt(verify_result.segments, 0);
	ck_assert_int_eq(verify_result.hint, WAL_HINT_NONE);
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
		return; /* that takes a disk which fails: test_recovery */
	state->build(test_dir());
	memset(&verify_reported, 0, sizeof(verify_reported));
	verify_noted = 0;
	err = wal_verify_store(test_dir(), &verify_telling, &verify_result, &error);
	if (is_row(state, " R1 R2 R6 R59 R62 ") && err) {
		ck_assert(err == -ENOTEMPTY || err == -EPROTONOSUPPORT);
		return;
	}
	ck_assert_msg(err == 0, "%s (%s)", strerror(-err), error.text);
	ck_assert_msg(is_damage(state) == (verify_result.faults > 0),
		      "%s, %s: %llu faults, %s: %s (%s)", state->row, state->name,
		      (unsigned long long)verify_result.faults, verify_result.first_name,
		      wal_fault_kind_name(verify_result.first.kind), verify_result.first.detail);
	if (!is_damage(state))
		ck_assert_msg(is_told(state) == (verify_result.notes > 0), "%s, %s: %llu notes",
			      state->row, state->name, (unsigned long long)verify_result.notes);
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
		ck_assert_msg(verify_result.faults == 0, "round %d: %s: %s", round,
			      verify_result.first_name,
			      wal_fault_kind_name(verify_result.first.kind));
		ck_assert_uint_eq(verify_result.events, id + 19);
	}
	ck_ok(log_close(&handle));
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
	ck_ok(wal_verify_store(test_dir(), &told, &verify_result, NULL));
	ck_assert_uint_eq(seen.segments, 3);
	ck_assert_uint_eq(seen.faults, verify_result.faults);
	/* A segment that is large enough to be told of. */
	params.blocks = 1024;
	oracle_build(&verify_image, &params);
	while (verify_image.block < 1000)
		oracle_append(&verify_image, verify_image.last_ns, 0, verify_images[0].bytes, 4000);
	oracle_seal(&verify_image, verify_image.last_ns, 0);
	store_put(test_dir(), &verify_image);
	ck_ok(wal_verify_segment(test_dirfd(), SEGMENT, 1, &told, &verify_result));
	ck_assert_uint_ge(seen.calls, 2);
	memset(&seen, 0, sizeof(seen));
	seen.stop = true;
	ck_fails(wal_verify_segment(test_dirfd(), SEGMENT, 1, &told, &verify_result), -ECANCELED);
	ck_assert_uint_eq(seen.calls, 1);
	oracle_image_free(&verify_image);
}
END_TEST

static Suite *verify_states_suite(void)
{
	Suite *suite = suite_create("verify_states");
	TCase *t = test_case(suite, "states", 30);

	tcase_add_test(t, what_looks_like_a_copy_is_told_as_one);
	tcase_add_test(t, a_copy_without_the_last_segments_is_told_as_one);
	tcase_add_test(t, a_copy_of_a_mount_is_told_as_one);
	tcase_add_test(t, a_mount_is_no_copy_of_a_mount);
	tcase_add_loop_test(t, a_recovered_store_is_sound_unless_it_was_damaged, 0,
			    (int)state_count);
	tcase_add_loop_test(t, verify_says_before_what_recovery_does, 0, (int)state_count);
	tcase_add_test(t, a_store_that_is_being_written_is_sound);
	t = test_case(suite, "progress", 30);
	tcase_add_checked_fixture(t, verify_build_store, verify_destroy_store);
	tcase_add_test(t, progress_and_segments_are_told_and_it_can_be_stopped);
	return suite;
}

int main(void)
{
	return test_main_in_memory(verify_states_suite());
}
