/* SPDX-License-Identifier: MIT */
/*
 * Recovery at the edges of the decision table: what an opening for writing refuses can be looked
 * at, the last index, sizes that nobody reads through, modes, and a disk with errors.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fixture_recovery.h"

static void build_named(const char *name)
{
	int i = 0;

	while (strcmp(states[i].name, name) != 0)
		ck_assert_int_lt(++i, (int)state_count);
	recovery_build(i);
}

/* The state's own kept[] is for an opening for writing, which these refuse. */
static void assert_read_only_shows(uint64_t last, const char *notice)
{
	static struct recovery_contents contents;
	struct listing before;
	struct listing after;

	list_dir(test_path(STORE), &before);
	recovery_prepare_read_only();
	ck_ok(recovery_open_log());
	recovery_read_log(recovery_log.log, &contents);
	ck_assert_uint_eq(contents.count, last);
	for (uint64_t id = 1; id <= last; id++)
		ck_assert_uint_eq(contents.ids[id - 1], id);
	ck_assert_msg(!notice || log_noticed(&recovery_log, notice), "nobody is told of %s",
		      notice);
	ck_ok(recovery_close_log());
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
	ck_assert_uint_eq(recovery_io.calls, 0);
}

START_TEST(read_only_shows_a_store_with_the_meta_of_another_log)
{
	build_named("wal.meta of another log");
	assert_read_only_shows(20, "of another log");
}
END_TEST

START_TEST(read_only_shows_a_store_whose_meta_is_a_directory)
{
	build_named("wal.meta is a directory");
	assert_read_only_shows(20, "not a regular file");
}
END_TEST

START_TEST(read_only_shows_a_store_without_a_free_index)
{
	build_named("a directory with the last name there is");
	assert_read_only_shows(20, "4294967294.wal");
}
END_TEST

START_TEST(read_only_shows_a_store_whose_meta_may_not_be_opened)
{
	build_named("closed in order");
	recovery_meta_error = -EACCES;
	assert_read_only_shows(200, "cannot be read");
	recovery_meta_error = 0;
}
END_TEST

START_TEST(read_only_needs_no_framing_that_fits)
{
	build_named("closed in order");
	recovery_prepare_read_only();
	recovery_log.options.framing = (struct wal_framing){WAL_FRAME_FIXED, 1u << 30};
	ck_ok(recovery_open_log());
	ck_ok(recovery_close_log());
}
END_TEST

/* An index that is taken by what is no segment is named; "begin a new store" is no help. */
START_TEST(the_error_names_what_takes_the_last_index)
{
	build_named("a directory with the last name there is");
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	ck_fails(recovery_open_log(), -EOVERFLOW);
	ck_assert_ptr_nonnull(strstr(recovery_log.error.text, "4294967294.wal"));
	ck_assert_ptr_nonnull(strstr(recovery_log.error.text, "move it away"));
}
END_TEST

/* What a segment above took would never be found again. */
START_TEST(nothing_is_taken_behind_the_last_index)
{
	static struct recovery_contents contents;
	uint64_t taken = 0;
	ssize_t n = 1;

	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	log_open_ok(&recovery_log, test_path(STORE), &recovery_io.io);
	ck_ok(log_close(&recovery_log));
	ck_assert_int_eq(mkdir(store_segment_path(test_path(STORE), 4294967293u), 0700), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	recovery_log.options.segment_size = 8 * TEST_BLOCK; /* so that it goes on in a new one */
	ck_ok(recovery_open_log());
	ck_assert_uint_eq(wal_log_current(recovery_log.log), 4294967294u);
	while (n == 1) {
		char line[32];

		snprintf(line, sizeof(line), "event %llu\n", (unsigned long long)taken + 1);
		n = log_put(&recovery_log, line);
		taken += n == 1;
	}
	ck_assert_int_eq(n, -EOVERFLOW);
	ck_fails(wal_log_rotate(recovery_log.log), -EOVERFLOW);
	ck_ok(wal_log_sync(recovery_log.log));
	ck_ok(recovery_close_log());
	ck_assert_int_ne(access(store_segment_path(test_path(STORE), UINT32_MAX), F_OK), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	recovery_log.options.segment_size = 8 * TEST_BLOCK;
	ck_ok(recovery_open_log());
	recovery_read_log(recovery_log.log, &contents);
	ck_assert_uint_eq(contents.count, taken);
	ck_ok(recovery_close_log());
}
END_TEST

/* R27, at a size that nobody could read through. */
START_TEST(a_sealed_segment_grown_by_a_hole_of_any_size_is_cut_again)
{
	const char *path;
	struct stat before;
	struct stat st;

	build_named("the last segment sealed");
	path = store_segment_path(test_path(STORE), 1);
	ck_assert_int_eq(stat(path, &before), 0);
	ck_assert_int_eq(truncate(path, (off_t)1 << 40), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	ck_ok(recovery_open_log());
	ck_assert_uint_eq(recovery_log.notices.warnings, 0);
	path = store_segment_path(test_path(STORE), 1);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, before.st_size);
	recovery_assert_contents(recovery_log.log, 0);
	ck_ok(recovery_close_log());
}
END_TEST

/* R33: only the block with the bad sector is lost. */
START_TEST(whole_blocks_behind_a_bad_sector_can_be_read)
{
	struct wal_segment_reader *reader;
	struct wal_event event;
	uint64_t last = 0;

	build_named("a bad sector between whole blocks");
	recovery_open_state(test_path(STORE));
	ck_ok(wal_log_reader_open(recovery_log.log, 1, 0, &reader, NULL));
	ck_kind(wal_segment_reader_info(reader)->fault.kind, WAL_FAULT_IO);
	ck_assert_uint_eq(wal_segment_reader_info(reader)->last_event, 330);
	while (wal_segment_reader_next(reader, &event) == 1)
		ck_assert_uint_eq(event.id, ++last);
	ck_assert_uint_eq(last, 125);
	ck_fails(wal_segment_reader_next(reader, &event), -EIO);
	ck_assert_int_eq(wal_segment_reader_skip_block(reader), 1);
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
	ck_assert_uint_gt(event.id, 126);
	for (last = event.id; wal_segment_reader_next(reader, &event) == 1;)
		ck_assert_uint_eq(event.id, ++last);
	ck_assert_uint_eq(last, 330);
	wal_segment_reader_close(reader);
	ck_ok(recovery_close_log());
}
END_TEST

/* At such a size, too. */
START_TEST(R40_an_unsealed_segment_longer_than_any_is_damaged_and_its_events_count)
{
	const off_t size = (off_t)1 << 40;
	struct wal_segment_info info;
	struct stat st;

	build_named("the daemon was killed"); /* behind event 200, D at event 20 */
	ck_assert_int_eq(truncate(store_segment_path(test_path(STORE), 1), size), 0);
	for (int times = 0; times < 2; times++) {
		recovery_open_state(test_path(STORE));
		ck_assert_uint_eq(wal_log_current(recovery_log.log), 2);
		recovery_assert_contents(recovery_log.log, times ? 1 : 0);
		ck_ok(wal_log_segment_info(recovery_log.log, 1, &info));
		ck_assert_int_eq(info.state, WAL_DAMAGED);
		ck_kind(info.fault.kind, WAL_FAULT_TOO_LONG);
		ck_assert(log_noticed(&recovery_log, "no segment is that long"));
		ck_ok(wal_log_segment_info(recovery_log.log, 2, &info));
		ck_assert_uint_eq(info.recovery, 0); /* the chain goes on */
		if (!times)
			recovery_append_lines(1);
		ck_ok(recovery_close_log());
	}
	ck_assert_int_eq(stat(store_segment_path(test_path(STORE), 1), &st), 0);
	ck_assert_int_eq(st.st_size, size);
}
END_TEST

/* The framing is the store's, the sizes come later. */
START_TEST(R36_a_stored_framing_that_no_longer_fits_is_refused)
{
	struct listing before;
	struct listing after;

	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	recovery_log.options.framing = (struct wal_framing){WAL_FRAME_FIXED, 3000};
	ck_ok(recovery_open_log());
	ck_ok(recovery_close_log());
	list_dir(test_path(STORE), &before);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	recovery_log.options.framing.kind = WAL_FRAME_NONE;
	recovery_log.options.segment_size = TEST_BLOCK;
	ck_fails(recovery_open_log(), -EINVAL);
	ck_assert_ptr_nonnull(strstr(recovery_log.error.text, "records of 3000 bytes do not fit"));
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
	recovery_log.options.read_only = true;
	ck_ok(recovery_open_log());
	ck_ok(recovery_close_log());
}
END_TEST

static mode_t mode_of_store(void)
{
	struct stat st;

	ck_assert_int_eq(stat(test_path(STORE), &st), 0);
	return st.st_mode & 07777;
}

START_TEST(an_empty_directory_that_becomes_a_store_is_closed_to_others)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	ck_assert_int_eq(chmod(test_path(STORE), 0755), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	ck_ok(recovery_open_log());
	ck_assert_uint_eq(mode_of_store(), 0700);
	ck_assert_uint_eq(recovery_log.notices.warnings, 0);
	ck_ok(recovery_close_log());
}
END_TEST

START_TEST(a_store_keeps_its_mode_and_an_operator_is_told_if_everybody_may_look)
{
	build_named("closed in order");
	ck_assert_int_eq(chmod(test_path(STORE), 0755), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	ck_ok(recovery_open_log());
	ck_assert_uint_eq(mode_of_store(), 0755);
	ck_assert(log_noticed(&recovery_log, "mode 0755"));
	ck_ok(recovery_close_log());
	ck_assert_int_eq(chmod(test_path(STORE), 0750), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	ck_ok(recovery_open_log());
	ck_assert_uint_eq(mode_of_store(), 0750);
	ck_assert_uint_eq(recovery_log.notices.warnings, 0);
	ck_ok(recovery_close_log());
}
END_TEST

START_TEST(a_directory_of_another_user_becomes_a_store_with_its_mode)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	ck_assert_int_eq(chmod(test_path(STORE), 0770), 0);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	fault_io_fail_ops(&recovery_io, 1u << FAULT_OP_FCHMOD, -EPERM, 0);
	ck_ok(recovery_open_log());
	ck_assert_uint_eq(mode_of_store(), 0770);
	ck_assert(log_noticed(&recovery_log, "keeps its mode 0770"));
	ck_ok(recovery_close_log());
}
END_TEST

static const int open_errors[] = {-EACCES, -EPERM, -EMFILE, -ENFILE, -EIO};

/* R35. It is there, and D in it: it is neither missing nor damaged. */
START_TEST(wal_meta_that_cannot_be_opened_is_not_taken_for_damaged)
{
	struct listing before;
	struct listing after;

	build_named("the daemon was killed");
	list_dir(test_path(STORE), &before);
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	recovery_meta_error = open_errors[_i];
	ck_fails(recovery_open_log(), open_errors[_i]);
	recovery_meta_error = 0;
	ck_assert_ptr_nonnull(strstr(recovery_log.error.text, "wal.meta: cannot be read"));
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}
END_TEST

/* What the disk gives back of a segment's events above D, byte for byte but one. */
static ssize_t pread_direct_with_another_byte(const struct wal_io *io, int fd, void *buf,
					      size_t size, off_t offset)
{
	const off_t at = 9000; /* wal.meta ends before */
	ssize_t n = wal_io_system.pread_direct(io, fd, buf, size, offset);

	if (n > 0 && at >= offset && at < offset + n)
		((uint8_t *)buf)[at - offset] ^= 1;
	return n;
}

START_TEST(R43_where_the_disk_does_not_take_it_the_opening_ends)
{
	struct wal_store_info before, after;
	struct wal_error error;

	build_named("the daemon was killed"); /* after event 200, D at event 20 */
	ck_ok(wal_store_info_read(test_path(STORE), &before, &error));
	log_prepare(&recovery_log, test_path(STORE), &recovery_io.io);
	if (_i)
		recovery_io.io.pread_direct = pread_direct_with_another_byte;
	else
		fault_io_fail_ops(&recovery_io, 1u << FAULT_OP_PWRITE, -EIO, 0);
	ck_fails(recovery_open_log(), -EIO);
	ck_ok(wal_store_info_read(test_path(STORE), &after, &error));
	ck_assert_uint_eq(after.durable_event, before.durable_event);
	wal_store_info_destroy(&before);
	wal_store_info_destroy(&after);
	fault_io_destroy(&recovery_io);
	recovery_begin();
	recovery_open_state(test_path(STORE));
	recovery_assert_contents(recovery_log.log, 0);
	ck_ok(recovery_close_log());
}
END_TEST

static Suite *recovery_edges_suite(void)
{
	Suite *suite = suite_create("recovery_edges");
	TCase *t = test_case(suite, "edges", 60);

	tcase_add_checked_fixture(t, recovery_begin, recovery_end);
	tcase_add_test(t, read_only_shows_a_store_with_the_meta_of_another_log);
	tcase_add_test(t, read_only_shows_a_store_whose_meta_is_a_directory);
	tcase_add_test(t, read_only_shows_a_store_without_a_free_index);
	tcase_add_test(t, read_only_shows_a_store_whose_meta_may_not_be_opened);
	tcase_add_test(t, read_only_needs_no_framing_that_fits);
	tcase_add_test(t, R36_a_stored_framing_that_no_longer_fits_is_refused);
	tcase_add_test(t, an_empty_directory_that_becomes_a_store_is_closed_to_others);
	tcase_add_test(t, a_store_keeps_its_mode_and_an_operator_is_told_if_everybody_may_look);
	tcase_add_test(t, a_directory_of_another_user_becomes_a_store_with_its_mode);
	tcase_add_test(t, the_error_names_what_takes_the_last_index);
	tcase_add_test(t, a_sealed_segment_grown_by_a_hole_of_any_size_is_cut_again);
	tcase_add_test(t, R40_an_unsealed_segment_longer_than_any_is_damaged_and_its_events_count);
	tcase_add_loop_test(t, R43_where_the_disk_does_not_take_it_the_opening_ends, 0, 2);
	tcase_add_test(t, whole_blocks_behind_a_bad_sector_can_be_read);
	tcase_add_test(t, nothing_is_taken_behind_the_last_index);
	tcase_add_loop_test(t, wal_meta_that_cannot_be_opened_is_not_taken_for_damaged, 0,
			    (int)(sizeof(open_errors) / sizeof(open_errors[0])));
	return suite;
}

int main(void)
{
	return test_main_in_memory(recovery_edges_suite());
}
