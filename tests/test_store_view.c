/* SPDX-License-Identifier: MIT */
/* A store that is looked at while a daemon writes to it and removes segments. */
#include "core/store/store_view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "tests/support.h"

#define ROUNDS 400

/* --- what is gone --------------------------------------------------------------------- */

static void put_names(uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i <= last; i++)
		file_write(store_segment_path(test_dir(), i), "x", 1);
}

static void put_first_segment(uint64_t sequence, uint32_t first)
{
	struct oracle_params params = test_params();
	struct oracle_image image;
	struct oracle_slot slot;

	oracle_build(&image, &params);
	slot = test_slot(&image);
	slot.sequence = sequence;
	slot.first_segment = first;
	store_put_slot(test_dir(), &slot);
	oracle_image_free(&image);
}

START_TEST(what_is_below_first_segment_is_retired_once_it_is_gone)
{
	put_names(3, 6);
	put_first_segment(1, 1);
	ck_assert(!wal_store_is_retired(test_dirfd(), 2)); /* missing */
	put_first_segment(2, 4);
	ck_assert(wal_store_is_retired(test_dirfd(), 2));
	ck_assert(!wal_store_is_retired(test_dirfd(), 4));
	ck_assert(!wal_store_is_retired(test_dirfd(), 7));
}
END_TEST

/* A mount shows no wal.meta. */
START_TEST(without_wal_meta_the_names_tell_what_is_retired)
{
	put_names(3, 4);
	put_names(6, 6);
	ck_assert(wal_store_is_retired(test_dirfd(), 2));
	ck_assert(!wal_store_is_retired(test_dirfd(), 5));
	ck_assert(!wal_store_is_retired(test_dirfd(), 7));
}
END_TEST

START_TEST(the_info_says_from_where_on_the_log_is_kept)
{
	struct wal_store_info info;

	put_names(3, 6);
	put_first_segment(1, 2);
	ck_ok(wal_store_info_read(test_dir(), &info, NULL));
	ck_assert(info.meta_valid);
	ck_assert_uint_eq(info.kept_from, 2);
	ck_assert_uint_eq(info.first_segment, 3);
	wal_store_info_destroy(&info);
}
END_TEST

START_TEST(a_segment_that_is_compressed_is_not_missing)
{
	struct wal_store_info info;

	put_names(3, 4);
	put_names(7, 7);
	file_write(test_path("0000000004.wal.zst"), "x", 1); /* and as it was: that one counts */
	file_write(test_path("0000000006.wal.zst"), "x", 1);
	file_write(test_path("0000000005.wal.zst"), "x", 1);
	file_write(test_path("0000000008.wal.zst.new"), "x", 1);
	file_write(test_path("0000000000.wal.zst"), "x", 1); /* no segment's name */
	ck_ok(wal_store_info_read(test_dir(), &info, NULL));
	ck_assert_uint_eq(info.segment_count, 3);
	ck_assert_uint_eq(info.compressed_count, 2);
	ck_assert_uint_eq(info.compressed[0], 5);
	ck_assert_uint_eq(info.compressed[1], 6);
	wal_store_info_destroy(&info);
}
END_TEST

START_TEST(only_who_writes_holds_a_store)
{
	ck_assert(!wal_store_is_held(test_dirfd()) && !wal_store_is_locked(test_dirfd()));
	ck_assert_int_eq(flock(test_dirfd(), LOCK_SH), 0);
	ck_assert(!wal_store_is_held(test_dirfd()) && !wal_store_is_locked(test_dirfd()));
	ck_assert_int_eq(flock(test_dirfd(), LOCK_EX), 0);
	ck_assert(wal_store_is_held(test_dirfd()) && wal_store_is_locked(test_dirfd()));
	ck_assert_int_eq(flock(test_dirfd(), LOCK_UN), 0);
}
END_TEST

/* --- beside a writer ---------------------------------------------------------------------- */

static struct test_log_handle writer;
static atomic_bool stop;

/* As quick as it can: a segment is full after some twenty of these, and soon removed. */
static void *write_on(void *arg)
{
	static char line[700];
	struct wal_record record = {.data = line, .size = sizeof(line)};

	(void)arg;
	memset(line, 'a', sizeof(line));
	while (!stop)
		ck_assert_int_eq(wal_log_append(writer.log, &record, 1, NULL), 1);
	return NULL;
}

/* The store, and the active file by its name. */
static void verify_both(uint32_t active)
{
	static const struct wal_verify_options options = {.threads = 1};
	struct wal_verify_result result;
	struct wal_error error = {0};
	int err = wal_verify_store(test_dir(), &options, &result, &error);

	ck_assert_msg(err == 0, "%s", error.text);
	ck_assert_msg(result.faults == 0 && result.notes == 0, "%s: %s (%s), %u notes",
		      result.first_name, wal_fault_kind_name(result.first.kind),
		      result.first.detail, (unsigned)result.notes);
	err = wal_verify_segment(AT_FDCWD, store_segment_path(test_dir(), active), active, &options,
				 &result);
	ck_assert_msg(err == 0 || err == -ENOENT, "%s", strerror(-err));
	ck_assert_msg(result.faults == 0, "active: %s (%s)", wal_fault_kind_name(result.first.kind),
		      result.first.detail);
}

/* Each segment of the list is sound, or was removed since. Return: how many were. */
static unsigned look_at_each(const struct wal_store_info *info)
{
	unsigned retired = 0;

	for (size_t i = 0; i < info->segment_count; i++) {
		struct wal_segment_reader *reader;
		struct wal_fault fault;
		char name[WAL_NAME_MAX];
		int err;

		wal_segment_name(info->segments[i], name);
		err = test_reader_open(name, info->segments[i], &reader, &fault);
		if (err == -ENOENT && wal_store_is_retired(test_dirfd(), info->segments[i])) {
			retired++;
			continue;
		}
		ck_assert_msg(err == 0, "%s: %s", name, wal_fault_kind_name(fault.kind));
		fault = wal_segment_reader_info(reader)->fault;
		ck_assert_msg(fault.kind == WAL_FAULT_NONE, "%s: %s", name,
			      wal_fault_kind_name(fault.kind));
		wal_segment_reader_close(reader);
	}
	return retired;
}

START_TEST(beside_retention_nothing_is_missing_and_nothing_damaged)
{
	struct wal_store_info info;
	unsigned retired = 0, rounds;
	pthread_t thread;

	log_prepare(&writer, test_dir(), NULL);
	writer.options.keep_segments = 2;
	ck_ok(log_open(&writer));
	ck_assert_int_eq(pthread_create(&thread, NULL, write_on, NULL), 0);
	for (rounds = 0; rounds < ROUNDS || (retired == 0 && rounds < 100 * ROUNDS); rounds++) {
		ck_ok(wal_store_info_read(test_dir(), &info, NULL));
		ck_assert(info.meta_valid);
		for (size_t i = 1; i < info.segment_count; i++)
			ck_assert(info.segments[i] == info.segments[i - 1] + 1 ||
				  info.segments[i - 1] < info.kept_from);
		retired += look_at_each(&info);
		if (info.segment_count)
			verify_both(info.last_segment);
		wal_store_info_destroy(&info);
	}
	stop = true;
	pthread_join(thread, NULL);
	ck_ok(log_close(&writer));
	ck_assert_uint_gt(retired, 0); /* or the test has shown nothing */
}
END_TEST

static Suite *view_suite(void)
{
	Suite *suite = suite_create("store_view");
	TCase *t = test_case(suite, "gone", 30);

	tcase_add_test(t, what_is_below_first_segment_is_retired_once_it_is_gone);
	tcase_add_test(t, without_wal_meta_the_names_tell_what_is_retired);
	tcase_add_test(t, the_info_says_from_where_on_the_log_is_kept);
	tcase_add_test(t, a_segment_that_is_compressed_is_not_missing);
	tcase_add_test(t, only_who_writes_holds_a_store);
	t = test_case(suite, "beside a writer", 120);
	tcase_add_test(t, beside_retention_nothing_is_missing_and_nothing_damaged);
	return suite;
}

int main(void)
{
	return test_main(view_suite());
}
