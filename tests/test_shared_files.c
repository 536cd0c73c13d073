/* SPDX-License-Identifier: MIT */
/* What readers cost: descriptors, which those of one segment share, and memory. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/segment/segment_reader.h"
#include "tests/support.h"

#define STORE "store"
#define SEGMENTS 8u
#define READERS 40u

static struct fault_io fault;
static struct test_log_handle handle;
static struct wal_segment_reader *readers[READERS];

/* SEGMENTS finished ones, and the active one. */
static void open_with(uint32_t read_files)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.read_files = read_files;
	ck_ok(log_open(&handle));
	for (uint32_t i = 0; i < SEGMENTS; i++) {
		log_put_lines(&handle, 1 + 20 * i, 20 + 20 * i);
		ck_ok(wal_log_rotate(handle.log));
	}
	log_put_lines(&handle, 1 + 20 * SEGMENTS, 20 + 20 * SEGMENTS);
}

static void begin(void)
{
	fault_io_init(&fault);
	fault.skip_sync = true;
	memset(readers, 0, sizeof(readers));
}

static void end(void)
{
	for (size_t i = 0; i < READERS; i++)
		wal_segment_reader_close(readers[i]);
	log_close(&handle);
	fault_io_destroy(&fault);
}

static int open_reader(size_t n, uint32_t segment)
{
	return wal_log_reader_open(handle.log, segment, 0, &readers[n], NULL);
}

static void close_reader(size_t n)
{
	wal_segment_reader_close(readers[n]);
	readers[n] = NULL;
}

/* Of files with events: what the log's own threads have open comes and goes. */
static unsigned segments_open(void)
{
	char path[64], target[512];
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned count = 0;
	ssize_t length;

	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/self/fd/%.20s", entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		count += strstr(target, "/000000000") && !strstr(target, ".new");
	}
	closedir(dir);
	return count;
}

START_TEST(readers_of_one_segment_have_one_descriptor)
{
	unsigned before;
	char buf[20];

	open_with(0);
	before = segments_open();
	for (size_t i = 0; i < READERS; i++)
		ck_ok(open_reader(i, i % 2 ? 3 : SEGMENTS + 1)); /* the active one, too */
	ck_assert_uint_eq(segments_open(), before + 2);
	for (size_t i = 0; i < READERS; i += 4)
		close_reader(i);
	for (size_t i = 0; i < READERS; i++)
		ck_assert(!readers[i] || wal_segment_reader_payload(readers[i], buf, sizeof(buf),
								    0) == sizeof(buf));
	ck_assert_uint_eq(segments_open(), before + 2);
	for (size_t i = 0; i < READERS; i++)
		close_reader(i);
	ck_assert_uint_eq(segments_open(), before);
}
END_TEST

START_TEST(more_segments_than_may_be_read_at_once_are_emfile_and_the_log_goes_on)
{
	open_with(3);
	for (size_t i = 0; i < 3; i++)
		ck_ok(open_reader(i, (uint32_t)i + 1));
	ck_fails(open_reader(3, 4), -EMFILE);
	ck_assert_ptr_null(readers[3]);
	ck_ok(open_reader(3, 2)); /* which is open already */
	for (unsigned i = SEGMENTS + 1; i < SEGMENTS + 5; i++) {
		log_put_lines(&handle, 1 + 20 * i, 20 + 20 * i);
		ck_ok(wal_log_rotate(handle.log));
	}
	close_reader(1);
	ck_fails(open_reader(1, 4), -EMFILE); /* another one has it still */
	close_reader(3);
	ck_ok(open_reader(1, 4));
}
END_TEST

START_TEST(a_file_that_took_the_place_of_one_that_is_open_is_a_file_of_its_own)
{
	char from[TEST_PATH_MAX], to[TEST_PATH_MAX];
	struct bytes bytes;

	open_with(0);
	ck_ok(open_reader(0, 2));
	snprintf(from, sizeof(from), "%s", store_segment_path(test_path(STORE), 2));
	snprintf(to, sizeof(to), "%s", test_path("copy"));
	bytes = file_read(from);
	file_write(to, bytes.data, bytes.size);
	bytes_free(&bytes);
	ck_assert_int_eq(rename(to, from), 0);
	ck_ok(open_reader(1, 2));
	ck_assert_int_ne(readers[0]->fd, readers[1]->fd);
}
END_TEST

START_TEST(a_reader_at_rest_has_no_block_and_goes_on_where_it_was)
{
	struct wal_event event;
	char one[100], other[100];
	uint64_t at = 0, id = 1;
	ssize_t got;

	open_with(0);
	for (size_t i = 0; i < 3; i++)
		ck_ok(open_reader(i, 1));
	wal_segment_reader_rest(readers[0]);
	ck_assert_ptr_null(readers[0]->block);
	while ((got = wal_segment_reader_payload(readers[1], other, sizeof(other), at)) > 0) {
		ck_assert_int_eq(wal_segment_reader_payload(readers[0], one, sizeof(one), at), got);
		ck_assert_mem_eq(one, other, (size_t)got);
		wal_segment_reader_rest(readers[0]);
		at += (uint64_t)got;
	}
	while (wal_segment_reader_next(readers[2], &event) == 1) {
		ck_assert_uint_eq(event.id, id++);
		wal_segment_reader_rest(readers[2]);
	}
	ck_assert_uint_eq(id, 21);
	ck_assert_int_eq(wal_segment_reader_raw(readers[0], one, 50, 5000), 50);
	ck_assert_int_eq(wal_segment_reader_raw(readers[1], other, 50, 5000), 50);
	ck_assert_mem_eq(one, other, 50);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shared_files");
	TCase *t = test_case(suite, "shared_files", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, readers_of_one_segment_have_one_descriptor);
	tcase_add_test(t, more_segments_than_may_be_read_at_once_are_emfile_and_the_log_goes_on);
	tcase_add_test(t, a_file_that_took_the_place_of_one_that_is_open_is_a_file_of_its_own);
	tcase_add_test(t, a_reader_at_rest_has_no_block_and_goes_on_where_it_was);
	return test_main(suite);
}
