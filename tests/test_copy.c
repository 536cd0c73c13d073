/* SPDX-License-Identifier: MIT */
/* core/copy: a copy of a store is whole, or a copy of less, whatever cuts it off. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support.h"

#define STORE "store"
#define COPY "copy"

static struct fault_io fault;
static struct test_log_handle handle;

/* Three sealed segments and one that is not; the log stays open. */
static void make_store(void)
{
	fault_io_init(&fault);
	log_open_ok(&handle, test_path(STORE), NULL);
	for (uint64_t id = 1; id <= 60; id += 20) {
		log_put_lines(&handle, id, id + 19);
		ck_ok(wal_log_rotate(handle.log));
	}
	log_put_lines(&handle, 61, 80);
}

static void end_store(void)
{
	ck_ok(log_close(&handle));
	fault_io_destroy(&fault);
}

/* What walctl backup does. Return: 0 or the first error. */
static int copy_store(const struct wal_io *io, uint64_t *bytes)
{
	struct wal_copy_options options = {.io = io, .path = test_path(COPY)};
	struct wal_store_info info;
	struct wal_error error = {0};
	struct wal_copied copied;
	struct wal_copy_end end;
	struct wal_copy *copy;
	int dirfd = wal_log_dirfd(handle.log);
	int err = wal_store_info_read(test_path(STORE), &info, &error);

	*bytes = 0;
	ck_ok(err);
	wal_log_uuid(handle.log, options.log);
	err = wal_copy_open(&options, &copy, &error);
	for (size_t i = 0; !err && i < info.segment_count; i++) {
		char name[WAL_NAME_MAX];
		const struct wal_segment_source source = {dirfd, name, info.segments[i], 0};

		wal_segment_name(info.segments[i], name);
		err = wal_copy_segment(copy, &source, false, &copied);
		ck_assert_uint_eq(copied.verified.faults, 0);
		*bytes += copied.bytes;
	}
	if (!err)
		err = wal_copy_finish(copy, dirfd, &info, &end, &error);
	wal_copy_close(copy);
	wal_store_info_destroy(&info);
	return err;
}

/* Return: its events, or 0 if there is nothing to be looked at yet. */
static uint64_t verify_copy(void)
{
	const struct wal_verify_options options = {0};
	struct wal_verify_result result;
	int err = wal_verify_store(test_path(COPY), &options, &result, NULL);

	if (err == -ENOTEMPTY || err == -ENOENT)
		return 0;
	ck_ok(err);
	ck_assert_msg(result.faults == 0, "%s: %s: %s", result.first_name,
		      wal_fault_kind_name(result.first.kind), result.first.detail);
	return result.events;
}

static int open_for_writing(bool go_on)
{
	struct test_log_handle other;
	int err;

	log_prepare(&other, test_path(COPY), NULL);
	other.options.continue_copy = go_on;
	err = log_open(&other);
	if (err)
		ck_assert_msg(!go_on && strstr(other.error.text, "-o continue"), "%s",
			      other.error.text);
	if (!err)
		log_put_lines(&other, 81, 82);
	log_close(&other);
	return err;
}

START_TEST(a_copy_of_a_live_store_is_sound_and_incremental)
{
	uint64_t bytes, again;
	struct wal_store_info info;

	ck_ok(copy_store(NULL, &bytes));
	ck_assert_uint_eq(verify_copy(), 80);
	log_put_lines(&handle, 81, 90);
	ck_ok(copy_store(NULL, &again));
	ck_assert_uint_eq(verify_copy(), 90);
	ck_assert_uint_lt(again, bytes); /* the unsealed one alone */
	ck_ok(wal_store_info_read(test_path(COPY), &info, NULL));
	ck_assert(info.copy && !info.clean);
	ck_assert_uint_eq(info.durable_event, 90);
	ck_assert_uint_eq(info.kept_from, 1);
	wal_store_info_destroy(&info);
}
END_TEST

START_TEST(a_copy_is_written_to_only_if_it_is_the_store_from_now_on)
{
	struct wal_store_info info;
	uint64_t bytes, incarnation;

	ck_ok(copy_store(NULL, &bytes));
	ck_assert_int_eq(open_for_writing(false), -EROFS);
	ck_ok(wal_store_info_read(test_path(COPY), &info, NULL));
	incarnation = info.incarnation;
	ck_assert(info.copy);
	wal_store_info_destroy(&info);
	ck_ok(open_for_writing(true));
	ck_ok(wal_store_info_read(test_path(COPY), &info, NULL));
	ck_assert(!info.copy);
	ck_assert_uint_gt(info.incarnation, incarnation);
	wal_store_info_destroy(&info);
	ck_ok(open_for_writing(false));
	/* It is a store of its own: nothing is copied into it any more. */
	ck_assert_int_eq(copy_store(NULL, &bytes), -ENOTEMPTY);
}
END_TEST

/* Both slots have lost the mark: one that is damaged later does not bring it back. */
START_TEST(a_copy_that_was_continued_stays_a_store_without_its_newest_slot)
{
	struct test_log_handle other;
	uint64_t bytes;

	ck_ok(copy_store(NULL, &bytes));
	log_prepare(&other, test_path(COPY), NULL);
	other.options.continue_copy = true;
	ck_ok(log_open(&other));
	for (int slot = 0; slot < 2; slot++) {
		uint8_t incompat = 0xff;
		int fd = open(test_path(COPY "/wal.meta"), O_RDONLY);

		ck_assert_int_eq(pread(fd, &incompat, 1, slot * 4096 + 5), 1);
		ck_assert_uint_eq(incompat, 0);
		close(fd);
	}
	ck_ok(log_close(&other));
}
END_TEST

START_TEST(a_copy_that_is_cut_off_anywhere_is_a_copy_of_less_and_gone_on_with)
{
	uint64_t bytes, calls;

	ck_ok(copy_store(&fault.io, &bytes)); /* how many calls it takes */
	calls = fault.calls;
	ck_assert_uint_gt(calls, 20);
	for (uint64_t at = 1; at <= calls; at++) {
		remove_tree(test_path(COPY));
		fault_io_reset(&fault);
		fault.cut_at = at;
		ck_assert_int_ne(copy_store(&fault.io, &bytes), 0);
		if (verify_copy())
			ck_assert_int_eq(open_for_writing(false), -EROFS);
		fault_io_reset(&fault);
		ck_ok(copy_store(NULL, &bytes));
		ck_assert_uint_eq(verify_copy(), 80);
		ck_assert_int_eq(open_for_writing(false), -EROFS);
	}
}
END_TEST

/* The second run replaces what was not sealed: at each moment one of the two is there. */
START_TEST(a_copy_that_is_brought_up_to_date_is_sound_at_each_moment)
{
	uint64_t bytes, calls;

	ck_ok(copy_store(NULL, &bytes));
	copy_tree(test_path(COPY), test_path("before"));
	log_put_lines(&handle, 81, 90);
	ck_ok(wal_log_rotate(handle.log));
	log_put_lines(&handle, 91, 100);
	fault_io_reset(&fault);
	ck_ok(copy_store(&fault.io, &bytes));
	calls = fault.calls;
	for (uint64_t at = 1; at <= calls; at++) {
		remove_tree(test_path(COPY));
		copy_tree(test_path("before"), test_path(COPY));
		fault_io_reset(&fault);
		fault.cut_at = at;
		ck_assert_int_ne(copy_store(&fault.io, &bytes), 0);
		ck_assert_uint_ge(verify_copy(), 80);
		fault_io_reset(&fault);
		ck_ok(copy_store(NULL, &bytes));
		ck_assert_uint_eq(verify_copy(), 100);
	}
}
END_TEST

START_TEST(what_is_no_copy_of_this_log_is_left_alone)
{
	struct test_log_handle other;
	struct listing before, after;
	uint64_t bytes;

	log_open_ok(&other, test_path(COPY), NULL);
	log_put_lines(&other, 1, 3);
	ck_ok(log_close(&other));
	list_dir(test_path(COPY), &before);
	ck_assert_int_eq(copy_store(NULL, &bytes), -ENOTEMPTY);
	list_dir(test_path(COPY), &after);
	assert_same_listing(&before, &after);
	remove_tree(test_path(COPY));
	ck_assert_int_eq(mkdir(test_path(COPY), 0700), 0);
	file_write(test_path(COPY "/letter"), "dear", 4);
	ck_assert_int_eq(copy_store(NULL, &bytes), -ENOTEMPTY);
}
END_TEST

/* A store that lost its end to a power cut gives the ids again: the copy keeps what it had. */
START_TEST(what_the_store_has_not_any_more_is_set_aside)
{
	struct listing files;
	uint64_t bytes;

	ck_ok(copy_store(NULL, &bytes));
	ck_assert_int_eq(
		rename(test_path(COPY "/0000000002.wal"), test_path(COPY "/0000000009.wal")), 0);
	file_flip(test_path(COPY "/0000000001.wal"), 512 + 56, 1);
	ck_ok(copy_store(NULL, &bytes));
	ck_assert_uint_eq(verify_copy(), 80);
	list_dir(test_path(COPY), &files);
	ck_assert_uint_eq(listing_count(&files, ".torn-"), 2);
}
END_TEST

static Suite *copy_suite(void)
{
	Suite *suite = suite_create("copy");
	TCase *t = test_case(suite, "copy", 120);

	tcase_add_checked_fixture(t, make_store, end_store);
	tcase_add_test(t, a_copy_of_a_live_store_is_sound_and_incremental);
	tcase_add_test(t, a_copy_is_written_to_only_if_it_is_the_store_from_now_on);
	tcase_add_test(t, a_copy_that_was_continued_stays_a_store_without_its_newest_slot);
	tcase_add_test(t, a_copy_that_is_cut_off_anywhere_is_a_copy_of_less_and_gone_on_with);
	tcase_add_test(t, a_copy_that_is_brought_up_to_date_is_sound_at_each_moment);
	tcase_add_test(t, what_is_no_copy_of_this_log_is_left_alone);
	tcase_add_test(t, what_the_store_has_not_any_more_is_set_aside);
	return suite;
}

int main(void)
{
	return test_main_in_memory(copy_suite());
}
