/* SPDX-License-Identifier: MIT */
/* core/segment_refresh: a reader of a file goes on while another process writes it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/segment/segment_reader.h"
#include "tests/support.h"

#define SEGMENT "0000000001.wal"
#define COPY "copy.wal"
#define EVENT_MAX (TEST_BLOCK - 64u - 16u)
#define BLOCKS 48

static struct oracle_image image;
static struct wal_segment_reader *reader;
static uint8_t text[4 * TEST_BLOCK];
static uint64_t now;
static uint64_t seen; /* events that next() gave */

static void begin(void)
{
	struct oracle_params params = test_params();

	memset(text, 'x', sizeof(text));
	params.blocks = BLOCKS;
	oracle_build(&image, &params);
	now = TEST_TIME;
	seen = 0;
	oracle_append(&image, ++now, 0, text, 10);
	store_put(test_dir(), &image);
	ck_ok(test_reader_open(SEGMENT, 1, &reader, NULL));
}

static void end(void)
{
	wal_segment_reader_close(reader);
	reader = NULL;
	oracle_image_free(&image);
}

static void append(uint32_t size)
{
	oracle_append(&image, ++now, 0, text, size);
}

/* Gives all there is. Return: the id of the last. */
static uint64_t read_on(void)
{
	struct wal_event event;
	int found;

	while ((found = wal_segment_reader_next(reader, &event)) > 0)
		ck_assert_uint_eq(event.id, ++seen);
	ck_ok(found);
	return seen;
}

static int refresh(void)
{
	store_put(test_dir(), &image);
	return wal_segment_reader_refresh(reader, NULL);
}

START_TEST(refresh_sees_each_event_that_came_once)
{
	for (uint64_t last = 1; last < 60; last++) {
		ck_assert_uint_eq(read_on(), last);
		ck_assert_uint_eq(read_on(), last);
		append(1 + (uint32_t)last * 37 % EVENT_MAX);
		ck_ok(refresh());
		ck_assert_uint_eq(wal_segment_reader_info(reader)->last_event, last + 1);
		ck_assert_int_eq(wal_segment_reader_info(reader)->state, WAL_ACTIVE);
	}
	ck_assert_uint_gt(wal_segment_reader_info(reader)->block_count, 3);
	ck_assert_uint_eq(read_on(), 60);
}
END_TEST

START_TEST(refresh_is_what_an_open_would_be)
{
	struct wal_segment_reader *fresh;

	for (unsigned i = 0; i < 30; i++) {
		append(1 + i * 97 % EVENT_MAX);
		if (i % 5 == 0)
			oracle_append_group(&image, ++now, 0, text, 2 * EVENT_MAX);
		ck_ok(refresh());
		ck_ok(test_reader_open(SEGMENT, 1, &fresh, NULL));
		ck_assert_mem_eq(wal_segment_reader_info(reader), wal_segment_reader_info(fresh),
				 sizeof(struct wal_segment_info));
		wal_segment_reader_close(fresh);
	}
	read_on();
	ck_assert_uint_eq(seen, wal_segment_reader_info(reader)->last_event);
}
END_TEST

/* Of a group only the whole is an event, however many blocks it has. */
START_TEST(a_group_that_grows_is_seen_when_it_is_whole)
{
	static uint8_t before[4096 + BLOCKS * TEST_BLOCK];
	size_t size = image.size;

	ck_assert_uint_le(size, sizeof(before));
	read_on();
	append(100);
	memcpy(before, image.bytes, size);
	oracle_append_group(&image, ++now, 0, text, 3 * EVENT_MAX);
	for (size_t cut = 4096; cut < size; cut += 64) {
		memcpy(before, image.bytes, cut);
		file_write(store_segment_path(test_dir(), 1), before, size);
		ck_ok(wal_segment_reader_refresh(reader, NULL));
		read_on();
		ck_assert(seen == 1 || seen == 2 || seen > 4);
	}
	ck_ok(refresh());
	ck_assert_uint_gt(read_on(), 4);
	ck_assert_uint_eq(seen, wal_segment_reader_info(reader)->last_event);
}
END_TEST

START_TEST(refresh_sees_the_seal_and_all_that_came_before_it)
{
	for (unsigned i = 0; i < 10; i++)
		append(300);
	ck_ok(refresh());
	read_on();
	for (unsigned i = 0; i < 10; i++)
		append(300);
	oracle_seal(&image, ++now, 0);
	ck_ok(refresh());
	ck_assert_int_eq(wal_segment_reader_info(reader)->state, WAL_SEALED);
	ck_assert_uint_eq(read_on(), 21);
	ck_ok(refresh());
	ck_assert_uint_eq(read_on(), 21);
}
END_TEST

START_TEST(a_file_without_its_name_is_read_on)
{
	read_on();
	append(20);
	store_put(test_dir(), &image);
	ck_ok(unlink(store_segment_path(test_dir(), 1)));
	ck_ok(wal_segment_reader_refresh(reader, NULL));
	ck_assert_uint_eq(read_on(), 2);
}
END_TEST

/* What a mount shows at each open is another file. */
START_TEST(refresh_goes_on_with_a_later_copy)
{
	const struct wal_segment_source copy = {.dirfd = test_dirfd(), .name = COPY};
	const struct wal_segment_source none = {.dirfd = test_dirfd(), .name = "none.wal"};

	read_on();
	append(20);
	file_write(test_path(COPY), image.bytes, image.size);
	ck_assert_int_eq(wal_segment_reader_refresh(reader, &none), -ENOENT);
	ck_ok(wal_segment_reader_refresh(reader, &copy));
	ck_assert_uint_eq(read_on(), 2);
}
END_TEST

/* After the machine lost power, recovery cut what was not on the disk. */
START_TEST(events_that_are_gone_are_stale)
{
	struct oracle_params params = image.params;

	append(20);
	ck_ok(refresh());
	read_on();
	oracle_image_free(&image);
	oracle_build(&image, &params);
	oracle_append(&image, TEST_TIME + 1, 0, text, 10);
	ck_assert_int_eq(refresh(), -ESTALE);
	oracle_append(&image, TEST_TIME + 3, 0, text, 20); /* the id again, at another time */
	ck_assert_int_eq(refresh(), -ESTALE);
	oracle_seal(&image, TEST_TIME + 4, 0);
	ck_assert_int_eq(refresh(), -ESTALE);
}
END_TEST

START_TEST(another_segment_is_stale)
{
	struct oracle_params params = image.params;

	oracle_image_free(&image);
	params.first_event = 2;
	oracle_build(&image, &params);
	ck_assert_int_eq(refresh(), -ESTALE);
	file_write(store_segment_path(test_dir(), 1), "", 0);
	ck_assert_int_eq(wal_segment_reader_refresh(reader, NULL), -ESTALE);
}
END_TEST

static Suite *refresh_suite(void)
{
	Suite *s = suite_create("segment_refresh");
	TCase *t = test_case(s, "all", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, refresh_sees_each_event_that_came_once);
	tcase_add_test(t, refresh_is_what_an_open_would_be);
	tcase_add_test(t, a_group_that_grows_is_seen_when_it_is_whole);
	tcase_add_test(t, refresh_sees_the_seal_and_all_that_came_before_it);
	tcase_add_test(t, a_file_without_its_name_is_read_on);
	tcase_add_test(t, refresh_goes_on_with_a_later_copy);
	tcase_add_test(t, events_that_are_gone_are_stale);
	tcase_add_test(t, another_segment_is_stale);
	return s;
}

int main(void)
{
	return test_main(refresh_suite());
}
