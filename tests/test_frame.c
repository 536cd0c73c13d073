/* SPDX-License-Identifier: MIT */
/* fs/frame.c: what one open file is sent, cut into events. No mount is needed for it. */
#include "fs/walfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support.h"

#define STORE "store"

static struct fault_io fault;
static struct test_log_handle handle;
static struct wal_log *wal;
static struct walfs_frame frame;
static struct walfs_frames frames;

static void begin(void)
{
	fault_io_init(&fault);
	fault.skip_sync = true;
	wal = NULL;
}

static void end(void)
{
	walfs_frame_destroy(&frame);
	if (handle.log)
		log_close(&handle);
	fault_io_destroy(&fault);
}

static void open_framed(enum wal_framing_kind kind, uint32_t size, uint32_t blocks)
{
	log_prepare(&handle, test_path(STORE), &fault.io);
	handle.options.framing = (struct wal_framing){kind, size};
	handle.options.segment_size = (uint64_t)blocks * TEST_BLOCK;
	ck_ok(log_open(&handle));
	wal = handle.log;
	frames = (struct walfs_frames){WALFS_LINE_DEFAULT, WALFS_BUFFERED_MAX, 0};
	walfs_frame_init(&frame, wal, &frames);
}

/* All events of the log as text: "<...>", PART as "<...|", a group joined. */
static const char *events(void)
{
	static char text[1 << 20];
	size_t at = 0;

	for (uint32_t s = 1; s <= wal_log_current(wal); s++) {
		struct wal_segment_reader *reader;
		struct wal_event event;

		ck_ok(wal_log_reader_open(wal, s, 0, &reader, NULL));
		while (wal_segment_reader_next(reader, &event) == 1) {
			if (!(event.flags & WAL_FLAG_CONT))
				text[at++] = '<';
			memcpy(text + at, event.payload, event.size);
			at += event.size;
			if (!(event.flags & WAL_FLAG_MORE))
				text[at++] = event.flags & WAL_FLAG_PART ? '|' : '>';
			ck_assert_uint_lt(at, sizeof(text) - 8192);
		}
		wal_segment_reader_close(reader);
	}
	text[at] = '\0';
	return text;
}

static void put(struct walfs_frame *to, const char *text, bool finish)
{
	size_t size = strlen(text);

	ck_assert_int_eq(walfs_frame_write(to, wal, text, size, finish), (ssize_t)size);
}

/* --- line --------------------------------------------------------------------- */

START_TEST(a_line_is_an_event_with_its_newline)
{
	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "one\n", false);
	ck_assert_str_eq(events(), "<one\n>");
	put(&frame, "two\nthree\n\nfour\n", false);
	ck_assert_str_eq(events(), "<one\n><two\n><three\n><\n><four\n>");
}
END_TEST

START_TEST(an_unfinished_line_waits_for_its_newline)
{
	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "order ", false);
	put(&frame, "17", false);
	ck_assert_str_eq(events(), "");
	put(&frame, " filled\nnext", false);
	ck_assert_str_eq(events(), "<order 17 filled\n>");
	put(&frame, "\n", false);
	ck_assert_str_eq(events(), "<order 17 filled\n><next\n>");
}
END_TEST

START_TEST(an_unfinished_line_is_a_part_when_it_must_be_finished)
{
	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "a\nhalf", false);
	ck_ok(walfs_frame_finish(&frame, wal));
	ck_assert_str_eq(events(), "<a\n><half|");
	ck_ok(walfs_frame_finish(&frame, wal)); /* nothing is held: nothing happens */
	put(&frame, "other half\n", false);
	ck_assert_str_eq(events(), "<a\n><half|<other half\n>");
	ck_assert_uint_eq(frame.hold.cost_bytes, 0);
}
END_TEST

START_TEST(a_write_that_finishes_leaves_nothing_held)
{
	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "a\nhalf", true);
	ck_assert_str_eq(events(), "<a\n><half|");
	ck_assert_uint_eq(frame.held, 0);
	put(&frame, "b", false);
	put(&frame, "c", true);
	put(&frame, "d\n", true);
	ck_assert_str_eq(events(), "<a\n><half|<bc|<d\n>");
}
END_TEST

START_TEST(lines_of_two_open_files_never_mix)
{
	struct walfs_frame other;

	open_framed(WAL_FRAME_LINE, 0, 4);
	walfs_frame_init(&other, wal, &frames);
	put(&frame, "aaa ", false);
	put(&other, "bbb ", false);
	put(&frame, "aaa\n", false);
	put(&other, "bbb\n", false);
	ck_assert_str_eq(events(), "<aaa aaa\n><bbb bbb\n>");
	walfs_frame_destroy(&other);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_lines_too)
{
	static const char bytes[] = "\0\xff\0\n\n\0\n";

	open_framed(WAL_FRAME_LINE, 0, 4);
	ck_assert_int_eq(walfs_frame_write(&frame, wal, bytes, 7, false), 7);
	ck_assert_mem_eq(events(), "<\0\xff\0\n><\n><\0\n>", 13);
}
END_TEST

START_TEST(nothing_asked_is_nothing_done)
{
	open_framed(WAL_FRAME_LINE, 0, 4);
	ck_assert_int_eq(walfs_frame_write(&frame, wal, "x", 0, true), 0);
	ck_assert_str_eq(events(), "");
}
END_TEST

/* Any stream, cut into writes anywhere, comes out as the same bytes in the same lines. */
START_TEST(writes_cut_anywhere_give_the_same_lines)
{
	static char stream[200000];
	static char expected[400000];
	unsigned seed = (unsigned)_i + 1;
	size_t at = 0;
	size_t out = 0;
	size_t begun = 0;

	open_framed(WAL_FRAME_LINE, 0, 16);
	for (size_t i = 0; i < sizeof(stream); i++)
		stream[i] = rand_r(&seed) % 61 == 0 ? '\n' : (char)('a' + rand_r(&seed) % 26);
	for (size_t i = 0; i < sizeof(stream); i++) {
		if (i == begun)
			expected[out++] = '<';
		expected[out++] = stream[i];
		if (stream[i] == '\n') {
			expected[out++] = '>';
			begun = i + 1;
		}
	}
	if (begun < sizeof(stream))
		expected[out++] = '|';
	while (at < sizeof(stream)) {
		size_t n = (size_t)rand_r(&seed) % (_i % 2 ? 40 : 9000) + 1;
		ssize_t taken;

		n = n < sizeof(stream) - at ? n : sizeof(stream) - at;
		taken = walfs_frame_write(&frame, wal, stream + at, n, false);
		ck_assert_int_gt(taken, 0);
		at += (size_t)taken;
	}
	ck_ok(walfs_frame_finish(&frame, wal));
	ck_assert_uint_eq(strlen(events()), out);
	ck_assert_mem_eq(events(), expected, out);
}
END_TEST

START_TEST(a_line_at_the_length_limit_is_cut_into_parts)
{
	static char line[300000];
	const char *text;
	size_t limit;

	open_framed(WAL_FRAME_LINE, 0, 64);
	limit = wal_log_record_limit(wal);
	ck_assert_uint_lt(2 * limit + 10, sizeof(line));
	memset(line, 'x', sizeof(line));
	line[2 * limit + 9] = '\n';
	put(&frame, "x", false); /* begun in another write */
	ck_assert_int_eq(walfs_frame_write(&frame, wal, line + 1, 2 * limit + 9, false),
			 (ssize_t)(2 * limit + 9));
	text = events();
	ck_assert_int_eq(text[1 + limit], '|');
	ck_assert_int_eq(text[3 + 2 * limit], '|');
	ck_assert_str_eq(text + 4 + 2 * limit, "<xxxxxxxxx\n>");
}
END_TEST

/* --- write and fixed --------------------------------------------------------------- */

START_TEST(with_framing_write_each_write_is_an_event)
{
	size_t limit;
	static char data[TEST_BLOCK * 2];

	open_framed(WAL_FRAME_WRITE, 0, 16);
	put(&frame, "one\ntwo", false);
	put(&frame, "three", true);
	ck_assert_str_eq(events(), "<one\ntwo><three>");
	memset(data, 'w', sizeof(data));
	limit = wal_log_event_limit(wal);
	ck_assert_int_eq(walfs_frame_write(&frame, wal, data, limit, false), (ssize_t)limit);
	ck_fails(walfs_frame_write(&frame, wal, data, limit + 1, false), -EMSGSIZE);
	ck_ok(walfs_frame_finish(&frame, wal));
	ck_assert_uint_eq(strlen(events()), strlen("<one\ntwo><three>") + limit + 2);
}
END_TEST

START_TEST(with_framing_fixed_every_n_bytes_are_an_event)
{
	open_framed(WAL_FRAME_FIXED, 4, 4);
	put(&frame, "ab", false);
	ck_assert_str_eq(events(), "");
	put(&frame, "cdefg", false);
	ck_assert_str_eq(events(), "<abcd>");
	put(&frame, "h\n\n\n\n\n", false);
	ck_assert_str_eq(events(), "<abcd><efgh><\n\n\n\n>");
	ck_ok(walfs_frame_finish(&frame, wal));
	ck_assert_str_eq(events(), "<abcd><efgh><\n\n\n\n><\n|");
}
END_TEST

/* --- when the log refuses -------------------------------------------------------------- */

/* Fills the log until there is no room for another line of 64 bytes, and the disk is full. */
static void fill_disk(void)
{
	char line[65];
	struct wal_record record = {line, 64, 0};

	memset(line, 'f', sizeof(line));
	fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -ENOSPC, 0);
	while (wal_log_append(wal, &record, 1, NULL) == 1)
		;
}

START_TEST(a_held_line_can_be_finished_on_a_full_disk)
{
	const char *text;

	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "begun before the disk was full, ", false);
	fill_disk();
	ck_ok(walfs_frame_finish(&frame, wal));
	text = events();
	ck_assert_ptr_nonnull(strstr(text, "<begun before the disk was full, |"));
}
END_TEST

START_TEST(a_line_that_does_not_fit_is_refused_and_what_was_held_is_held_still)
{
	static char longer[2000];
	const char *text;
	ssize_t taken;

	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "held ", false);
	fill_disk();
	memset(longer, 'l', sizeof(longer));
	longer[sizeof(longer) - 1] = '\n';
	taken = walfs_frame_write(&frame, wal, longer, sizeof(longer), false);
	ck_assert_int_eq(taken, -ENOSPC);
	ck_assert_uint_eq(frame.held, 5);
	ck_assert_uint_le(frame.capacity, 512); /* no memory is kept for what was refused */
	fault_io_reset(&fault);
	wait_until((taken = walfs_frame_write(&frame, wal, longer, sizeof(longer), false)) !=
		   -ENOSPC);
	ck_assert_int_eq(taken, (ssize_t)sizeof(longer));
	text = events();
	ck_assert_ptr_nonnull(strstr(text, "<held lll"));
	ck_assert_ptr_null(strstr(text + 1, "<lll")); /* not without its beginning, and once */
}
END_TEST

START_TEST(a_write_is_short_at_the_end_of_the_last_line_that_fitted)
{
	static char lines[2 * 4 * TEST_BLOCK];
	ssize_t taken;
	size_t before;

	open_framed(WAL_FRAME_LINE, 0, 4);
	fill_disk();
	before = strlen(events());
	fault_io_reset(&fault);
	ck_ok(wal_log_rotate(wal));
	fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -ENOSPC, 0);
	for (size_t i = 0; i < sizeof(lines); i++)
		lines[i] = i % 100 == 99 ? '\n' : 's';
	taken = 0;
	for (int i = 0; i < 8 && taken >= 0; i++) {
		taken = walfs_frame_write(&frame, wal, lines, sizeof(lines) / 100 * 100, false);
		if (taken > 0)
			ck_assert_int_eq(taken % 100, 0);
	}
	ck_assert_int_eq(taken, -ENOSPC);
	ck_assert_uint_gt(strlen(events()), before);
	ck_assert_uint_eq(frame.held, 0);
}
END_TEST

START_TEST(more_unfinished_lines_than_may_be_held_become_parts)
{
	static struct walfs_frame many[200];
	char text[100];
	size_t parts = 0;

	open_framed(WAL_FRAME_LINE, 0, 4);
	memset(text, 'u', sizeof(text));
	for (size_t i = 0; i < 200; i++) {
		walfs_frame_init(&many[i], wal, &frames);
		ck_assert_int_eq(walfs_frame_write(&many[i], wal, text, sizeof(text), false),
				 (ssize_t)sizeof(text));
		parts += many[i].held == 0;
	}
	ck_assert_uint_gt(parts, 0);
	ck_assert_uint_lt(parts, 200);
	for (size_t i = 0; i < 200; i++) {
		ck_ok(walfs_frame_finish(&many[i], wal));
		walfs_frame_destroy(&many[i]);
	}
	ck_assert_uint_eq(strlen(events()), 200 * 102); /* each once, whole */
}
END_TEST

START_TEST(all_buffers_together_are_bounded_and_given_back_once_their_line_ends)
{
	static struct walfs_frame many[20];
	char text[3000];
	size_t parts = 0;

	open_framed(WAL_FRAME_LINE, 0, 64);
	frames.buffered_max = 20000;
	memset(text, 'b', sizeof(text));
	for (size_t i = 0; i < 20; i++) {
		walfs_frame_init(&many[i], wal, &frames);
		ck_assert_int_eq(walfs_frame_write(&many[i], wal, text, sizeof(text), false),
				 (ssize_t)sizeof(text));
		parts += many[i].held == 0;
		ck_assert_uint_le(frames.buffered, frames.buffered_max);
	}
	ck_assert_uint_gt(parts, 10);
	ck_assert_uint_lt(parts, 20);
	put(&frame, "short ", false); /* is in nobody's way, and nobody in its */
	ck_assert_uint_eq(frame.held, 6);
	for (size_t i = 0; i < 20; i++) {
		put(&many[i], "\n", false);
		ck_assert_uint_le(many[i].capacity, 512);
	}
	ck_assert_uint_eq(frames.buffered, 0);
	for (size_t i = 0; i < 20; i++)
		walfs_frame_destroy(&many[i]);
	walfs_frame_destroy(&frame);
	ck_assert_uint_eq(frames.buffered, 0);
}
END_TEST

START_TEST(a_line_may_be_as_long_as_the_option_says)
{
	static char line[9000];

	open_framed(WAL_FRAME_LINE, 0, 64);
	frames.max_line = 4096;
	walfs_frame_init(&frame, wal, &frames);
	memset(line, 'm', sizeof(line));
	line[4095] = line[8999] = '\n';
	ck_assert_int_eq(walfs_frame_write(&frame, wal, line, sizeof(line), false), sizeof(line));
	ck_assert_uint_eq(strlen(events()), sizeof(line) + 3 * 2);
	ck_assert_int_eq(events()[4097], '>');
	ck_assert_int_eq(events()[2 * 4098 - 1], '|');
}
END_TEST

START_TEST(a_log_that_failed_takes_nothing)
{
	open_framed(WAL_FRAME_LINE, 0, 4);
	put(&frame, "held", false);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FDATASYNC, -EIO, 0);
	ck_ok(wal_log_append(wal, &(struct wal_record){"x\n", 2, 0}, 1, NULL) == 1 ? 0 : -1);
	ck_fails(wal_log_sync(wal), -EIO);
	ck_fails(walfs_frame_write(&frame, wal, "more\n", 5, false), -EROFS);
	ck_fails(walfs_frame_finish(&frame, wal), -EROFS);
	ck_assert_uint_eq(frame.held, 4);
}
END_TEST

static Suite *frame_suite(void)
{
	Suite *suite = suite_create("frame");
	TCase *t = test_case(suite, "frame", 60);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_line_is_an_event_with_its_newline);
	tcase_add_test(t, an_unfinished_line_waits_for_its_newline);
	tcase_add_test(t, an_unfinished_line_is_a_part_when_it_must_be_finished);
	tcase_add_test(t, a_write_that_finishes_leaves_nothing_held);
	tcase_add_test(t, lines_of_two_open_files_never_mix);
	tcase_add_test(t, bytes_that_are_no_text_are_lines_too);
	tcase_add_test(t, nothing_asked_is_nothing_done);
	tcase_add_loop_test(t, writes_cut_anywhere_give_the_same_lines, 0, 6);
	tcase_add_test(t, a_line_at_the_length_limit_is_cut_into_parts);
	tcase_add_test(t, with_framing_write_each_write_is_an_event);
	tcase_add_test(t, with_framing_fixed_every_n_bytes_are_an_event);
	tcase_add_test(t, a_held_line_can_be_finished_on_a_full_disk);
	tcase_add_test(t, a_line_that_does_not_fit_is_refused_and_what_was_held_is_held_still);
	tcase_add_test(t, a_write_is_short_at_the_end_of_the_last_line_that_fitted);
	tcase_add_test(t, more_unfinished_lines_than_may_be_held_become_parts);
	tcase_add_test(t, all_buffers_together_are_bounded_and_given_back_once_their_line_ends);
	tcase_add_test(t, a_line_may_be_as_long_as_the_option_says);
	tcase_add_test(t, a_log_that_failed_takes_nothing);
	return suite;
}

int main(void)
{
	return test_main(frame_suite());
}
