/* SPDX-License-Identifier: MIT */
/*
 * fs/handles.c: that many open files do not slow each other down. What a handle is made
 * of is elsewhere; here it is nothing.
 */
#include "fs/walfs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define MANY 100000u

static struct walfs fs;
static struct fault_io io;
static struct test_log_handle opened;
static unsigned destroyed;

/* --- in place of the rest of the daemon ------------------------------------------------ */

enum walfs_kind walfs_ino_kind(fuse_ino_t ino)
{
	(void)ino;
	return WALFS_CURRENT;
}

uint32_t walfs_ino_segment(fuse_ino_t ino)
{
	return (uint32_t)ino;
}

void walfs_frame_init(struct walfs_frame *frame, struct wal_log *log, struct walfs_frames *all)
{
	(void)frame;
	(void)log;
	(void)all;
}

int walfs_frame_finish(struct walfs_frame *frame, struct wal_log *log)
{
	(void)frame;
	(void)log;
	return 0;
}

void walfs_frame_destroy(struct walfs_frame *frame)
{
	(void)frame;
	destroyed++;
}

void walfs_reader_begin(struct walfs_handle *handle)
{
	(void)handle;
}

void walfs_report_destroy(struct walfs_report *report)
{
	(void)report;
}

void walfs_strand_end(struct walfs_workers *workers, struct walfs_strand *strand,
		      void (*idle)(struct walfs_strand *strand))
{
	(void)workers;
	idle(strand);
}

/* --- tests -------------------------------------------------------------------------------- */

static struct walfs_handle **handles;

static void begin(void)
{
	memset(&fs, 0, sizeof(fs));
	fault_io_init(&io);
	log_prepare(&opened, test_path("store"), &io.io);
	ck_ok(log_open(&opened));
	fs.log = opened.log;
	handles = calloc(MANY, sizeof(struct walfs_handle *));
}

static void end(void)
{
	walfs_handles_end(&fs);
	log_close(&opened);
	fault_io_destroy(&io);
	free(handles);
}

START_TEST(many_handles_of_one_file_and_of_others_are_found_opened_and_closed_at_once)
{
	uint64_t before;
	size_t i;

	for (i = 0; i < MANY; i++) /* every other one is of file 7 */
		handles[i] = walfs_handle_new(&fs, i % 2 ? 7 : 1000 + i, O_RDONLY);
	before = fs.handles.by_ino.steps;
	for (i = 0; i < MANY; i += 2)
		ck_assert_ptr_eq(walfs_handle_find(&fs, 1000 + i), handles[i]);
	ck_assert_ptr_eq(walfs_handle_find(&fs, 7), handles[MANY - 1]);
	ck_assert_ptr_null(walfs_handle_find(&fs, 8));
	ck_assert_uint_lt(fs.handles.by_ino.steps - before, 3 * MANY);
	for (i = 0; i < MANY; i++) {
		uint64_t id = handles[i]->id;

		ck_assert_ptr_eq(walfs_handle_get(&fs, id), handles[i]);
		walfs_handle_put(handles[i]);
		ck_assert_ptr_null(walfs_handle_get(&fs, id));
	}
	ck_assert_uint_lt(fs.handles.by_ino.steps - before, 6 * MANY);
	ck_assert_ptr_null(walfs_handle_find(&fs, 7));
	ck_assert_uint_eq(destroyed, MANY);
}
END_TEST

START_TEST(the_one_that_is_found_was_opened_last_and_can_be_read)
{
	struct walfs_handle *writer = walfs_handle_new(&fs, 5, O_WRONLY | O_APPEND), *old, *last;

	ck_assert_ptr_null(walfs_handle_find(&fs, 5));
	old = walfs_handle_new(&fs, 5, O_RDONLY);
	ck_assert_ptr_eq(walfs_handle_find(&fs, 5), old);
	last = walfs_handle_new(&fs, 5, O_RDWR | O_APPEND);
	walfs_handle_new(&fs, 5, O_WRONLY | O_APPEND);
	ck_assert_ptr_eq(walfs_handle_find(&fs, 5), last);
	walfs_handle_put(writer);
	ck_assert_ptr_eq(walfs_handle_find(&fs, 5), last);
	walfs_handle_put(last);
	ck_assert_ptr_eq(walfs_handle_find(&fs, 5), old);
	walfs_handle_put(old);
	ck_assert_ptr_null(walfs_handle_find(&fs, 5));
}
END_TEST

START_TEST(the_slot_of_a_closed_handle_is_used_again_and_its_old_number_is_not)
{
	struct walfs_handle *one, *two;
	uint64_t old;

	for (size_t i = 0; i < 200; i++)
		handles[i] = walfs_handle_new(&fs, 5, O_RDONLY);
	one = handles[17];
	old = one->id;
	walfs_handle_put(one);
	two = walfs_handle_new(&fs, 6, O_RDWR | O_APPEND);
	ck_assert_uint_eq((uint32_t)two->id, (uint32_t)old);
	ck_assert_uint_ne(two->id, old);
	ck_assert_ptr_null(walfs_handle_get(&fs, old));
	ck_assert_ptr_eq(walfs_handle_find(&fs, 6), two);
	ck_assert_uint_eq(fs.handles.count, 256);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("handles");
	TCase *tests = test_case(suite, "handles", 60);

	tcase_add_checked_fixture(tests, begin, end);
	tcase_add_test(tests,
		       many_handles_of_one_file_and_of_others_are_found_opened_and_closed_at_once);
	tcase_add_test(tests, the_one_that_is_found_was_opened_last_and_can_be_read);
	tcase_add_test(tests, the_slot_of_a_closed_handle_is_used_again_and_its_old_number_is_not);
	return test_main(suite);
}
