/* SPDX-License-Identifier: MIT */
/*
 * The states of the decision table once more: recovery that is cut off at any call, and errors
 * of writes that an earlier life did not see.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fixture_recovery.h"

/* After a cut the log is the same; it may go on in the segment below, if its tail is zero now. */
static void assert_position_after_cut(struct wal_log *log)
{
	struct wal_log_position position;

	wal_log_position(log, &position);
	if (position.segment + 1 == recovery_state->current && !recovery_state->resumed &&
	    recovery_state->bits)
		ck_state(position.next_event == recovery_state->next_event,
			 "next event %llu, not %llu", (unsigned long long)position.next_event,
			 (unsigned long long)recovery_state->next_event);
	else
		recovery_assert_position(log, 0);
}

static void copy_store(void *ctx)
{
	bool bad = recovery_disk_is_bad;

	recovery_disk_is_bad = false;
	copy_tree(ctx, test_path("after"));
	recovery_disk_is_bad = bad;
}

/* Return: whether there was a call with this number; then "after" is what was left. */
static bool open_and_cut_at(uint64_t call)
{
	bool cut;

	copy_tree(test_path(STORE), test_path("work"));
	fault_io_reset(&recovery_io);
	recovery_io.cut_at = call;
	recovery_io.at_cut = copy_store;
	recovery_io.at_cut_ctx = strdup(test_path("work"));
	log_prepare(&recovery_log, test_path("work"), &recovery_io.io);
	if (recovery_open_log() == 0)
		recovery_close_log();
	recovery_disk_is_bad = false;
	cut = recovery_io.cut;
	fault_io_reset(&recovery_io);
	free(recovery_io.at_cut_ctx);
	remove_tree(test_path("work"));
	return cut;
}

static bool cut_at(uint64_t call)
{
	if (!open_and_cut_at(call))
		return false;
	recovery_open_state(test_path("after"));
	assert_position_after_cut(recovery_log.log);
	recovery_assert_contents(recovery_log.log, 0);
	ck_ok(recovery_close_log());
	remove_tree(test_path("after"));
	return true;
}

/* For each state: with a way past the page cache, and without one. */
START_TEST(recovery_cut_off_at_any_call_gives_the_same_log)
{
	uint64_t call = 1;

	recovery_io.no_direct = _i % 2;
	recovery_build(_i / 2);
	if (recovery_state->error)
		return;
	while (cut_at(call))
		call++;
	ck_state(call > 2, "only %llu calls", (unsigned long long)call);
}
END_TEST

#define PROMISED 200

static void append_sync_and_die(void)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
		if (recovery_open_log())
			_exit(1);
		for (unsigned id = 1; id <= PROMISED; id++) {
			char line[32];

			snprintf(line, sizeof(line), "event %u\n", id);
			if (log_put(&recovery_log, line) != 1)
				_exit(2);
		}
		_exit(wal_log_sync(recovery_log.log) ? 3 : 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

static void assert_promised(uint64_t call)
{
	static struct recovery_contents contents;

	log_open_ok(&recovery_log, test_path("after"), &recovery_io.io);
	recovery_read_log(recovery_log.log, &contents);
	ck_assert_msg(contents.count == PROMISED, "cut at call %llu: %zu events",
		      (unsigned long long)call, contents.count);
	for (size_t i = 0; i < PROMISED; i++)
		ck_assert_uint_eq(contents.ids[i], i + 1);
	ck_ok(recovery_close_log());
	remove_tree(test_path("after"));
}

/* D is behind what was synced, or gone with wal.meta (2): with O_DIRECT, and without it (1). */
START_TEST(recovery_cut_off_at_any_call_keeps_what_was_synced_above_d)
{
	uint64_t call;

	recovery_io.no_direct = _i & 1;
	append_sync_and_die();
	if (_i & 2)
		ck_ok(unlink(test_path(STORE "/wal.meta")));
	for (call = 1; open_and_cut_at(call); call++)
		assert_promised(call);
	ck_assert_uint_gt(call, 2);
}
END_TEST

/* --- errors of write-backs that an earlier life did not see -------------------------- */

static ino_t old_errors[64];
static atomic_size_t old_error_count;

static void each_segment_has_an_old_error(void)
{
	struct listing listing;
	struct stat st;
	size_t i;

	list_dir(test_path(STORE), &listing);
	old_error_count = 0;
	for (i = 0; i < listing.count; i++) {
		char path[2 * TEST_PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", test_path(STORE), listing.files[i].name);
		if (!listing.files[i].regular || strcmp(listing.files[i].name, "wal.meta") == 0)
			continue;
		ck_ok(stat(path, &st));
		old_errors[old_error_count++] = st.st_ino;
	}
}

static int (*real_fdatasync)(const struct wal_io *io, int fd);

/* As the kernel does: the first who asks is told, and nobody afterwards. */
static int fdatasync_tells_once(const struct wal_io *io, int fd)
{
	struct stat st;
	size_t i;

	for (i = 0; fstat(fd, &st) == 0 && i < old_error_count; i++) {
		if (old_errors[i] != st.st_ino)
			continue;
		old_errors[i] = old_errors[--old_error_count];
		return -EIO;
	}
	return real_fdatasync(io, fd);
}

/* For each state: with a way past the page cache, and without one. */
START_TEST(an_error_of_an_earlier_life_fails_no_opening)
{
	recovery_io.no_direct = _i % 2;
	recovery_build(_i / 2);
	/* A clean end has synced it all: nothing is looked at again then. */
	if (recovery_state->error || strcmp(recovery_state->name, "closed in order") == 0)
		return;
	each_segment_has_an_old_error();
	real_fdatasync = recovery_io.io.fdatasync;
	recovery_io.io.fdatasync = fdatasync_tells_once;
	recovery_open_state(test_path(STORE));
	recovery_assert_position(recovery_log.log, 0);
	recovery_assert_contents(recovery_log.log, 0);
	ck_ok(recovery_close_log());
}
END_TEST

static Suite *recovery_cut_suite(void)
{
	Suite *suite = suite_create("recovery_cut");
	TCase *t = test_case(suite, "cut", 120);
	const int rows = (int)state_count;

	tcase_add_checked_fixture(t, recovery_begin, recovery_end);
	tcase_add_loop_test(t, recovery_cut_off_at_any_call_gives_the_same_log, 0, 2 * rows);
	tcase_add_loop_test(t, recovery_cut_off_at_any_call_keeps_what_was_synced_above_d, 0, 4);
	tcase_add_loop_test(t, an_error_of_an_earlier_life_fails_no_opening, 0, 2 * rows);
	return suite;
}

int main(void)
{
	return test_main_in_memory(recovery_cut_suite());
}
