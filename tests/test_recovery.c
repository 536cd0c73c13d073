/* SPDX-License-Identifier: MIT */
/*
 * The decision table of docs/FORMAT.md 10.2, one store a row (tests/states.c): what recovery
 * makes of it, that appending goes on, that doing it twice gives the same log, and that a
 * read-only look changes nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fixture_recovery.h"

static struct bytes read_if_file(uint32_t index)
{
	const char *path = store_segment_path(test_path(STORE), index);
	struct bytes bytes = {NULL, 0};
	struct stat st;

	if (index && lstat(path, &st) == 0 && S_ISREG(st.st_mode))
		bytes = file_read(path);
	return bytes;
}

static void assert_untouched(uint32_t index, const struct bytes *before)
{
	struct bytes after = read_if_file(index);

	ck_state(after.size == before->size, "segment %u has another size", index);
	ck_state(before->size == 0 || memcmp(before->data, after.data, after.size) == 0,
		 "segment %u was changed", index);
	bytes_free(&after);
}

static void assert_damaged(uint32_t index)
{
	struct wal_segment_info info;

	if (index == 0)
		return;
	ck_ok(wal_log_segment_info(recovery_log.log, index, &info));
	ck_state(info.state == WAL_DAMAGED, "segment %u is %s", index, wal_state_name(info.state));
	ck_state(info.fault.kind != WAL_FAULT_NONE, "segment %u: no fault", index);
}

static void assert_notices(void)
{
	const struct notices *notices = &recovery_log.notices;

	if (!recovery_state->notice)
		ck_state(notices->warnings == 0, "an operator is warned: %s", notices->text[0]);
	else if (strcmp(recovery_state->notice, STATE_ANY_NOTICE) != 0)
		ck_state(notices->warnings > 0 &&
				 log_noticed(&recovery_log, recovery_state->notice),
			 "nobody is told of %s", recovery_state->notice);
}

static void assert_files(void)
{
	struct listing listing;

	recovery_disk_is_bad = false;
	list_dir(test_path(STORE), &listing);
	recovery_disk_is_bad = true;
	ck_state(listing_count(&listing, ".torn-") == recovery_state->torn,
		 "%zu .torn- files, not %u", listing_count(&listing, ".torn-"),
		 recovery_state->torn);
	/* Those above it are being prepared again. */
	for (size_t i = 0; i < listing.count; i++)
		ck_state(!strstr(listing.files[i].name, ".wal.new") || !listing.files[i].regular ||
				 strtoul(listing.files[i].name, NULL, 10) > recovery_state->current,
			 "%s is still there", listing.files[i].name);
}

/* The record that tells what recovery did: of a new segment the first, else RESUME. */
static void assert_recovery_bits(void)
{
	struct store_decoded decoded;
	uint32_t bits;

	store_decode(test_path(STORE), recovery_state->current, &decoded);
	ck_assert(decoded.segment.readable);
	if (!recovery_state->resumed)
		bits = decoded.segment.meta.recovery;
	else
		bits = decoded.segment.resumes ? decoded.segment.resume.recovery : 0;
	ck_state((decoded.segment.meta.dropped_bytes != 0) ==
			 ((decoded.segment.meta.recovery & 0x02 /* TAIL_DROPPED */) != 0),
		 "%llu bytes dropped", (unsigned long long)decoded.segment.meta.dropped_bytes);
	ck_state(bits == recovery_state->bits, "recovery bits %#x, not %#x", bits,
		 recovery_state->bits);
	store_decoded_free(&decoded);
}

START_TEST(recovery_makes_of_it_what_the_table_says)
{
	static const uint8_t no_log[16];
	struct listing before;
	struct listing after;
	struct bytes damaged;
	struct bytes other;
	struct bytes untouched;
	struct oracle_slot slot;
	int err;

	recovery_build(_i);
	list_dir(test_path(STORE), &before);
	damaged = read_if_file(recovery_state->damaged);
	other = read_if_file(recovery_state->damaged_too);
	untouched = read_if_file(recovery_state->untouched);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	err = recovery_open_log();
	ck_state(err == recovery_state->error, "%s (%s)", strerror(-err), recovery_log.error.text);
	if (err) {
		recovery_disk_is_bad = false;
		ck_state(recovery_log.error.text[0] != 0, "no word of it (%d)", err);
		list_dir(test_path(STORE), &after);
		assert_same_listing(&before, &after);
		return;
	}
	recovery_assert_position(recovery_log.log, 0);
	recovery_assert_contents(recovery_log.log, 0);
	assert_notices();
	assert_files();
	assert_damaged(recovery_state->damaged);
	assert_damaged(recovery_state->damaged_too);
	recovery_append_lines(1);
	assert_recovery_bits();
	ck_ok(recovery_close_log());
	assert_untouched(recovery_state->damaged, &damaged);
	assert_untouched(recovery_state->damaged_too, &other);
	assert_untouched(recovery_state->untouched, &untouched);
	slot = store_slot(test_path(STORE));
	ck_state(memcmp(slot.log, no_log, sizeof(no_log)) != 0, "the log has %s", "no UUID");
	ck_state(slot.flags == ORACLE_CLEAN, "flags %u", slot.flags);
	ck_state(slot.durable_segment == recovery_state->current, "D in segment %u",
		 slot.durable_segment);
	ck_state(slot.durable_event == recovery_state->next_event, "D at event %llu",
		 (unsigned long long)slot.durable_event);
	if (recovery_state->incarnation)
		ck_state(slot.incarnation == recovery_state->incarnation, "incarnation %llu",
			 (unsigned long long)slot.incarnation);
	bytes_free(&damaged);
	bytes_free(&other);
	bytes_free(&untouched);
}
END_TEST

static void note_segment(void *ctx, const char *name, const struct wal_fault *found)
{
	uint32_t *segments = ctx;

	(void)name;
	if (found->segment < 32)
		*segments |= UINT32_C(1) << found->segment;
}

/* What the log calls damaged, a check of the store does too. */
static void assert_verify_names_damage(void)
{
	uint32_t segments = 0;
	const struct wal_verify_options options = {.ctx = &segments, .fault = note_segment};
	struct wal_verify_result result;

	recovery_disk_is_bad = true;
	ck_ok(wal_verify_store(test_path(STORE), &options, &result, NULL));
	recovery_disk_is_bad = false;
	ck_state(segments & UINT32_C(1) << recovery_state->damaged,
		 "verify does not name segment %u", recovery_state->damaged);
	ck_state(!recovery_state->damaged_too || segments & UINT32_C(1)
								    << recovery_state->damaged_too,
		 "verify does not name segment %u", recovery_state->damaged_too);
}

/* Damage is not forgotten when the segments behind it are sealed, and none of them tells of it. */
START_TEST(damage_stays_damage_behind_sealed_segments)
{
	char name[32];

	recovery_build(_i);
	if (recovery_state->error || !recovery_state->damaged)
		return;
	recovery_open_state(test_path(STORE));
	recovery_append_lines(1);
	ck_ok(wal_log_rotate(recovery_log.log));
	ck_ok(recovery_close_log());
	recovery_open_state(test_path(STORE));
	recovery_assert_contents(recovery_log.log, 1);
	assert_damaged(recovery_state->damaged);
	assert_damaged(recovery_state->damaged_too);
	snprintf(name, sizeof(name), "%010u.wal: damaged", recovery_state->damaged);
	ck_state(log_noticed(&recovery_log, name), "nobody is told of %s again", name);
	ck_ok(recovery_close_log());
	assert_verify_names_damage();
}
END_TEST

START_TEST(what_is_set_aside_or_cut_is_kept_byte_for_byte)
{
	struct listing before;
	struct listing after;

	recovery_build(_i);
	if (recovery_state->error || recovery_state->torn == 0)
		return;
	list_dir(test_path(STORE), &before);
	recovery_open_state(test_path(STORE));
	ck_ok(recovery_close_log());
	list_dir(test_path(STORE), &after);
	for (size_t i = 0; i < after.count; i++) {
		const struct listed *torn = &after.files[i];
		bool found = false;

		if (!strstr(torn->name, ".torn-"))
			continue;
		for (size_t k = 0; k < before.count; k++) {
			size_t n = strlen(before.files[k].name);

			if (strncmp(torn->name, before.files[k].name, n) != 0)
				continue;
			/* A tail's copy has the size; a file set aside has the bytes too. */
			found = torn->size == before.files[k].size;
			if (file_exists(test_path(STORE)) &&
			    !listing_find(&after, before.files[k].name))
				found = found && torn->hash == before.files[k].hash;
		}
		ck_state(found, "%s is not what was there", torn->name);
	}
}
END_TEST

START_TEST(appending_goes_on_after_it)
{
	recovery_build(_i);
	if (recovery_state->error)
		return;
	recovery_open_state(test_path(STORE));
	recovery_append_lines(30);
	ck_ok(wal_log_sync(recovery_log.log));
	recovery_assert_contents(recovery_log.log, 30);
	ck_ok(recovery_close_log());
	recovery_open_state(test_path(STORE));
	recovery_assert_position(recovery_log.log, 30);
	recovery_assert_contents(recovery_log.log, 30);
	ck_state(recovery_log.notices.warnings == 0 || recovery_state->damaged ||
			 recovery_state->notice,
		 "warned again: %s", recovery_log.notices.text[0]);
	ck_ok(recovery_close_log());
}
END_TEST

/* Opens in a child that dies without closing; appends so many lines first. */
static void crash(const char *store, uint64_t appended)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		log_prepare(&recovery_log, store, &recovery_io.io);
		if (recovery_open_log())
			_exit(1);
		for (uint64_t i = 0; i < appended; i++) {
			char line[32];

			snprintf(line, sizeof(line), "event %llu\n",
				 (unsigned long long)(recovery_state->next_event + i));
			if (log_put(&recovery_log, line) != 1)
				_exit(2);
		}
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_state(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: status %#x", status);
}

START_TEST(recovering_twice_gives_the_same_log)
{
	struct listing listing;

	recovery_build(_i);
	if (recovery_state->error)
		return;
	crash(test_path(STORE), 0);
	crash(test_path(STORE), 0);
	list_dir(test_path(STORE), &listing);
	ck_state(listing_count(&listing, ".torn-") == recovery_state->torn,
		 "%zu .torn- files, not %u", listing_count(&listing, ".torn-"),
		 recovery_state->torn);
	recovery_open_state(test_path(STORE));
	recovery_assert_position(recovery_log.log, 0);
	recovery_assert_contents(recovery_log.log, 0);
	ck_ok(recovery_close_log());
}
END_TEST

START_TEST(nothing_old_comes_back_behind_what_was_appended_after_it)
{
	recovery_build(_i);
	if (recovery_state->error)
		return;
	crash(test_path(STORE), 1);
	recovery_open_state(test_path(STORE));
	recovery_assert_position(recovery_log.log, 1);
	recovery_assert_contents(recovery_log.log, 1);
	ck_ok(recovery_close_log());
}
END_TEST

START_TEST(a_read_only_look_shows_the_same_log_and_changes_nothing)
{
	struct listing before;
	struct listing after;
	int err;

	recovery_build(_i);
	list_dir(test_path(STORE), &before);
	recovery_prepare_read_only();
	err = recovery_open_log();
	if (!err && !recovery_state->error) {
		recovery_assert_contents(recovery_log.log, 0);
		ck_fails(log_put(&recovery_log, "no\n"), -EROFS);
	}
	if (!err)
		recovery_close_log();
	else
		ck_state(before.count == 0 || recovery_state->error ||
				 !recovery_state->kept[0].first,
			 "%s (%s)", strerror(-err), recovery_log.error.text);
	recovery_disk_is_bad = false;
	ck_state(recovery_io.calls == 0, "%llu persisting calls",
		 (unsigned long long)recovery_io.calls);
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}
END_TEST

static Suite *recovery_suite(void)
{
	Suite *suite = suite_create("recovery");
	TCase *t = test_case(suite, "recovery", 60);
	const int rows = (int)state_count;

	tcase_add_checked_fixture(t, recovery_begin, recovery_end);
	tcase_add_loop_test(t, recovery_makes_of_it_what_the_table_says, 0, rows);
	tcase_add_loop_test(t, damage_stays_damage_behind_sealed_segments, 0, rows);
	tcase_add_loop_test(t, what_is_set_aside_or_cut_is_kept_byte_for_byte, 0, rows);
	tcase_add_loop_test(t, appending_goes_on_after_it, 0, rows);
	tcase_add_loop_test(t, recovering_twice_gives_the_same_log, 0, rows);
	tcase_add_loop_test(t, nothing_old_comes_back_behind_what_was_appended_after_it, 0, rows);
	tcase_add_loop_test(t, a_read_only_look_shows_the_same_log_and_changes_nothing, 0, rows);
	return suite;
}

int main(void)
{
	return test_main_in_memory(recovery_suite());
}
