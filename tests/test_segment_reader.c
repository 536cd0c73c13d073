/* SPDX-License-Identifier: MIT */
/* core/segment_reader: what it gives back is what the oracle finds in the same image. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/segment_reader.h"
#include "tests/support.h"

#define SEGMENT "0000000001.wal"
#define EVENT_MAX (TEST_BLOCK - 64u - 16u)

static struct oracle_image image;
static struct oracle_segment truth;
static struct wal_segment_reader *reader;
static struct wal_fault fault;
static uint8_t *naive; /* the payload, one event's after the other */

/* Events of many sizes with equal, near and far times, a group, PART, EXT and RESUME. */
static void fill_image(void)
{
	static uint8_t text[3 * TEST_BLOCK];
	struct oracle_params params = test_params();
	uint64_t now = TEST_TIME;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)('a' + i % 23);
	params.blocks = 8;
	params.first_event = 100;
	oracle_build(&image, &params);
	for (unsigned i = 0; i < 60; i++) {
		now += i % 3 == 0 ? 0 : i * 1000;
		oracle_append(&image, now, i % 7 == 0 ? WAL_FLAG_PART : 0, text + i, 1 + i * 3);
	}
	oracle_append(&image, now, 0x40, "\3\0extpayload", 12);
	oracle_append_group(&image, now + 5, 0, text, 2 * EVENT_MAX);
	oracle_append_resume(&image, now + 6, 2);
	oracle_append(&image, now + 7, 0, text, EVENT_MAX);
	oracle_append(&image, now + 8, 0, "last\n", 5);
}

static void note_truth(void)
{
	oracle_decode(image.bytes, image.size, 1, &truth);
	ck_kind(truth.fault, WAL_FAULT_NONE);
	ck_assert_uint_ge(truth.block_count, 5);
	naive = malloc(truth.payload_bytes);
	for (size_t i = 0; i < truth.event_count; i++)
		memcpy(naive + truth.events[i].payload_offset, truth.events[i].payload,
		       truth.events[i].size);
	store_put(test_dir(), &image);
}

static void open_reader(void)
{
	ck_ok(test_reader_open(SEGMENT, 1, &reader, &fault));
}

static void begin_sealed(void)
{
	fill_image();
	oracle_seal(&image, TEST_TIME + UINT64_C(1000000000), 0);
	note_truth();
}

/* As a crash leaves it: only some block headers are there. */
static void begin_unsealed(void)
{
	fill_image();
	oracle_write_block_headers(&image, 2);
	note_truth();
}

static void end(void)
{
	wal_segment_reader_close(reader);
	reader = NULL;
	oracle_segment_free(&truth);
	oracle_image_free(&image);
	free(naive);
}

static void assert_event(const struct wal_event *event, size_t i)
{
	const struct oracle_event *expected = &truth.events[i];

	ck_assert_uint_eq(event->id, expected->id);
	ck_assert_uint_eq(event->timestamp_ns, expected->timestamp_ns);
	ck_assert_uint_eq(event->flags, expected->flags & 0x07);
	ck_assert_uint_eq(event->payload_offset, expected->payload_offset);
	ck_assert_uint_eq(event->file_offset, expected->file_offset);
	ck_assert_uint_eq(event->size, expected->size);
	ck_assert_mem_eq(event->payload, expected->payload, expected->size);
}

/* The next events are those of the oracle from i on, to the end. */
static void assert_rest(size_t i)
{
	struct wal_event event;

	for (; i < truth.event_count; i++) {
		ck_assert_int_eq(wal_segment_reader_next(reader, &event), 1);
		assert_event(&event, i);
	}
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 0);
	ck_assert_int_eq(wal_segment_reader_next(reader, &event), 0);
}

/* Only the next one. Return: whether there is one. */
static void assert_next(size_t i)
{
	struct wal_event event;
	int found = wal_segment_reader_next(reader, &event);

	ck_assert_int_eq(found, i < truth.event_count);
	if (found)
		assert_event(&event, i);
}

START_TEST(next_gives_every_event_in_order_and_then_the_end)
{
	open_reader();
	assert_rest(0);
}
END_TEST

START_TEST(info_says_what_the_segment_says)
{
	const struct wal_segment_info *info;

	open_reader();
	info = wal_segment_reader_info(reader);
	ck_assert_uint_eq(info->index, 1);
	ck_assert_int_eq(info->state, truth.sealed ? WAL_SEALED : WAL_ACTIVE);
	ck_kind(info->fault.kind, WAL_FAULT_NONE);
	ck_assert_mem_eq(info->log, test_log, 16);
	ck_assert_uint_eq(info->first_event, 100);
	ck_assert_uint_eq(info->last_event, truth.next_event - 1);
	ck_assert_uint_eq(info->event_count, truth.event_count);
	ck_assert_uint_eq(info->block_count, truth.block_count);
	ck_assert_uint_eq(info->block_size, TEST_BLOCK);
	ck_assert_uint_eq(info->payload_bytes, truth.payload_bytes);
	ck_assert_uint_eq(info->file_bytes, image.size);
	ck_assert_uint_eq(info->created_ns, truth.created_ns);
	ck_assert_uint_eq(info->closed_ns, truth.closed_ns);
	ck_assert_uint_eq(info->last_ns, truth.events[truth.event_count - 1].timestamp_ns);
	ck_assert_uint_eq(info->prev_chain, truth.prev_chain);
	ck_assert_uint_eq(info->header_checksum, truth.header_checksum);
	if (truth.sealed)
		ck_assert_uint_eq(info->chain, truth.chain);
	ck_assert_uint_eq(info->incarnation, 1); /* whatever RESUME says */
	ck_assert_int_eq(info->framing.kind, WAL_FRAME_LINE);
	ck_assert(!info->sealed_by_recovery);
}
END_TEST

START_TEST(seek_event_finds_each_id_and_the_edges)
{
	open_reader();
	for (size_t i = truth.event_count; i-- > 0;) {
		ck_ok(wal_segment_reader_seek_event(reader, 100 + i));
		assert_next(i);
	}
	ck_ok(wal_segment_reader_seek_event(reader, 0));
	assert_rest(0);
	ck_ok(wal_segment_reader_seek_event(reader, 99));
	assert_next(0);
	ck_ok(wal_segment_reader_seek_event(reader, truth.next_event));
	assert_next(truth.event_count);
	ck_ok(wal_segment_reader_seek_event(reader, UINT64_MAX));
	assert_next(truth.event_count);
}
END_TEST

static size_t first_at(uint64_t time_ns)
{
	size_t i = 0;

	while (i < truth.event_count && truth.events[i].timestamp_ns < time_ns)
		i++;
	return i;
}

START_TEST(seek_time_finds_the_first_event_at_or_after_it)
{
	open_reader();
	for (size_t i = 0; i < truth.event_count; i++) {
		for (int64_t d = -1; d <= 1; d++) {
			uint64_t time_ns = truth.events[i].timestamp_ns + (uint64_t)d;

			ck_ok(wal_segment_reader_seek_time(reader, time_ns));
			assert_next(first_at(time_ns));
		}
	}
	ck_ok(wal_segment_reader_seek_time(reader, 0));
	assert_rest(0);
	ck_ok(wal_segment_reader_seek_time(reader, UINT64_MAX));
	assert_next(truth.event_count);
}
END_TEST

START_TEST(seek_payload_finds_the_event_that_holds_each_byte)
{
	open_reader();
	for (size_t i = 0; i < truth.event_count; i++) {
		const struct oracle_event *event = &truth.events[i];

		ck_ok(wal_segment_reader_seek_payload(reader, event->payload_offset));
		assert_next(i);
		ck_ok(wal_segment_reader_seek_payload(reader,
						      event->payload_offset + event->size - 1));
		assert_next(i);
	}
	ck_ok(wal_segment_reader_seek_payload(reader, truth.payload_bytes));
	assert_next(truth.event_count);
	ck_ok(wal_segment_reader_seek_payload(reader, UINT64_MAX));
	assert_next(truth.event_count);
}
END_TEST

static void assert_payload(uint64_t offset, size_t size)
{
	static uint8_t buf[9 * TEST_BLOCK];
	size_t expected = 0;
	ssize_t n;

	if (offset < truth.payload_bytes)
		expected =
			truth.payload_bytes - offset < size ? truth.payload_bytes - offset : size;
	memset(buf, 0xee, sizeof(buf));
	n = wal_segment_reader_payload(reader, buf, size, offset);
	ck_assert_msg(n == (ssize_t)expected, "%zu bytes at %llu: %zd, not %zu", size,
		      (unsigned long long)offset, n, expected);
	ck_assert_mem_eq(buf, naive + offset, expected);
	ck_assert_uint_eq(buf[expected], 0xee);
}

START_TEST(payload_at_any_place_is_the_naive_payload)
{
	unsigned seed = 1;
	uint64_t offset = 0;

	open_reader();
	assert_payload(0, truth.payload_bytes);
	assert_payload(0, truth.payload_bytes + 1);
	assert_payload(truth.payload_bytes, 1);
	assert_payload(truth.payload_bytes + 1, 100);
	assert_payload(UINT64_MAX, 100);
	assert_payload(5, 0);
	for (int i = 0; i < 3000; i++)
		assert_payload((unsigned)rand_r(&seed) % (truth.payload_bytes + 10),
			       (unsigned)rand_r(&seed) % 6000);
	for (size_t step = 1; offset < truth.payload_bytes; offset += step, step = step % 97 + 1)
		assert_payload(offset, step);
}
END_TEST

START_TEST(payload_leaves_next_where_it_was)
{
	open_reader();
	ck_ok(wal_segment_reader_seek_event(reader, 105));
	assert_payload(3, 17);
	assert_next(5);
	assert_payload(truth.payload_bytes - 10, 10);
	assert_next(6);
	assert_payload(20, 4000);
	assert_rest(7);
}
END_TEST

START_TEST(raw_is_the_file)
{
	static uint8_t buf[10 * TEST_BLOCK];
	unsigned seed = 2;

	open_reader();
	ck_assert_int_eq(wal_segment_reader_raw(reader, buf, sizeof(buf), 0), (long)image.size);
	ck_assert_mem_eq(buf, image.bytes, image.size);
	ck_assert_int_eq(wal_segment_reader_raw(reader, buf, 1, image.size), 0);
	ck_assert_int_eq(wal_segment_reader_raw(reader, buf, 1, UINT64_MAX), 0);
	for (int i = 0; i < 500; i++) {
		size_t offset = (unsigned)rand_r(&seed) % image.size;
		size_t size = (unsigned)rand_r(&seed) % 9000;
		size_t expected = image.size - offset < size ? image.size - offset : size;

		ck_assert_int_eq(wal_segment_reader_raw(reader, buf, size, offset), (long)expected);
		ck_assert_mem_eq(buf, image.bytes + offset, expected);
	}
}
END_TEST

START_TEST(an_image_is_the_segment_up_to_its_last_event)
{
	static uint8_t whole[10 * TEST_BLOCK], part[sizeof(whole)];
	size_t size = truth.sealed ? image.size : WAL_HEADER_AREA + truth.block_count * TEST_BLOCK;
	unsigned seed = 3;

	file_patch(test_path(SEGMENT), truth.sealed ? image.size : truth.end, "torn", 4);
	open_reader();
	ck_assert_uint_eq(wal_segment_reader_image_bytes(reader), size);
	ck_assert_int_eq(wal_segment_reader_image(reader, whole, sizeof(whole), 0), (long)size);
	ck_assert_mem_eq(whole, image.bytes, size);
	ck_assert_int_eq(wal_segment_reader_image(reader, part, 1, size), 0);
	for (int i = 0; i < 500; i++) {
		size_t offset = (unsigned)rand_r(&seed) % size;
		size_t wanted = (unsigned)rand_r(&seed) % 9000;
		ssize_t n = wal_segment_reader_image(reader, part, wanted, offset);

		ck_assert_int_eq(n, (long)(size - offset < wanted ? size - offset : wanted));
		ck_assert_mem_eq(part, whole + offset, (size_t)n);
	}
}
END_TEST

START_TEST(reading_past_the_page_cache_gives_the_same)
{
	ck_ok(wal_segment_reader_open(&(struct wal_segment_source){.dirfd = test_dirfd(),
								   .name = SEGMENT,
								   .index = 1,
								   .flags = WAL_READ_DIRECT},
				      &reader, &fault));
	assert_rest(0);
	assert_payload(10, 5000);
	ck_ok(wal_segment_reader_seek_event(reader, 150));
	assert_next(50);
}
END_TEST

/* Opens what is at SEGMENT now; reads all that can be read. Return: open's result. */
static int read_all(uint64_t *events, enum wal_fault_kind *kind)
{
	struct wal_event event;
	uint8_t buf[512];
	int err = test_reader_open(SEGMENT, 1, &reader, &fault);
	int found;

	*events = 0;
	*kind = fault.kind;
	if (err)
		return err;
	*kind = wal_segment_reader_info(reader)->fault.kind;
	while ((found = wal_segment_reader_next(reader, &event)) == 1) {
		ck_assert_uint_lt(*events, truth.event_count);
		assert_event(&event, *events);
		++*events;
	}
	if (found < 0 && *kind == WAL_FAULT_NONE)
		*kind = wal_segment_reader_fault(reader)->kind;
	for (uint64_t at = 0; at < truth.payload_bytes; at += sizeof(buf))
		wal_segment_reader_payload(reader, buf, sizeof(buf), at);
	for (uint64_t at = 0; at < image.size; at += sizeof(buf))
		wal_segment_reader_raw(reader, buf, sizeof(buf), at);
	wal_segment_reader_close(reader);
	reader = NULL;
	return 0;
}

START_TEST(a_sealed_segment_cut_at_any_length_never_gives_a_wrong_byte)
{
	for (size_t size = image.size; size-- > 0;) {
		const uint64_t whole = size < 4096 ? 0 : (size - 4096) / TEST_BLOCK;
		enum wal_fault_kind kind;
		uint64_t events;
		int err;

		if (size > 4200 && size % 256 != 0 && size % 256 != 255)
			continue;
		file_resize(test_path(SEGMENT), size);
		err = read_all(&events, &kind);
		if (size < 4096)
			ck_assert_int_eq(err, -EUCLEAN);
		if (size >= 4096 + TEST_BLOCK)
			ck_ok(err);
		ck_kind(kind, WAL_FAULT_TOO_SHORT);
		for (uint64_t i = 0; i < truth.event_count && !err; i++) {
			if (truth.events[i].block < whole)
				ck_assert_uint_gt(events, i);
			else
				ck_assert_uint_le(events, i);
		}
	}
}
END_TEST

START_TEST(an_unsealed_segment_cut_at_any_length_has_the_whole_events_of_its_whole_blocks)
{
	for (size_t size = image.size; size-- > 0;) {
		struct oracle_segment cut;
		enum wal_fault_kind kind;
		uint64_t events;
		int err;

		if (size > 4200 && size % 256 != 0 && size % 256 != 255)
			continue;
		file_resize(test_path(SEGMENT), size);
		err = read_all(&events, &kind);
		oracle_decode(image.bytes, size, 1, &cut);
		ck_assert_msg((err == 0) == cut.readable, "size %zu: %d", size, err);
		if (!err)
			ck_assert_msg(events == cut.event_count, "size %zu: %llu events, not %zu",
				      size, (unsigned long long)events, cut.event_count);
		oracle_segment_free(&cut);
	}
}
END_TEST

START_TEST(a_file_cut_under_an_open_reader_is_an_error_and_no_signal)
{
	struct wal_event event;
	uint8_t byte;
	int found;

	open_reader();
	assert_next(0);
	file_resize(test_path(SEGMENT), 4096 + TEST_BLOCK);
	do {
		found = wal_segment_reader_next(reader, &event);
	} while (found == 1);
	ck_assert_int_eq(found, -EUCLEAN);
	ck_kind(wal_segment_reader_fault(reader)->kind, WAL_FAULT_TOO_SHORT);
	ck_assert_int_lt(wal_segment_reader_raw(reader, &byte, 1, 4096 + 2 * TEST_BLOCK), 0);
}
END_TEST

START_TEST(a_flipped_bit_costs_its_block_and_no_other)
{
	for (uint32_t k = 0; k < truth.block_count; k++) {
		const uint64_t offset = 4096 + (uint64_t)k * TEST_BLOCK + 64 + 17;
		struct wal_event event;
		uint8_t buf[TEST_BLOCK];
		int found;

		file_flip(test_path(SEGMENT), offset, 4);
		ck_ok(test_reader_open(SEGMENT, 1, &reader, &fault));
		for (size_t i = 0; i < truth.event_count; i++) {
			const struct oracle_event *expected = &truth.events[i];

			found = wal_segment_reader_seek_event(reader, expected->id);
			if (!found)
				found = wal_segment_reader_next(reader, &event);
			if (expected->block == k) {
				ck_assert_int_eq(found, -EBADMSG);
				ck_kind(wal_segment_reader_fault(reader)->kind,
					WAL_FAULT_BLOCK_CHECKSUM);
				ck_assert_uint_eq(wal_segment_reader_fault(reader)->block, k);
			} else {
				ck_assert_int_eq(found, 1);
				assert_event(&event, i);
			}
		}
		ck_assert_int_eq(wal_segment_reader_raw(reader, buf, 1, offset - 7), -EBADMSG);
		if (k > 0) {
			ck_assert_int_eq(
				wal_segment_reader_raw(reader, buf, sizeof(buf),
						       4096 + (k - 1) * (uint64_t)TEST_BLOCK),
				TEST_BLOCK);
			ck_assert_mem_eq(buf, image.bytes + 4096 + (k - 1) * TEST_BLOCK,
					 TEST_BLOCK);
		}
		wal_segment_reader_close(reader);
		reader = NULL;
		file_flip(test_path(SEGMENT), offset, 4);
	}
}
END_TEST

START_TEST(payload_stops_in_front_of_a_bad_block)
{
	static uint8_t buf[9 * TEST_BLOCK];
	size_t whole = 0;

	while (truth.events[whole].block < 2)
		whole++;
	file_flip(test_path(SEGMENT), 4096 + 2 * TEST_BLOCK + 200, 1);
	open_reader();
	ck_assert_int_eq(wal_segment_reader_payload(reader, buf, sizeof(buf), 0),
			 (long)truth.events[whole].payload_offset);
	ck_assert_int_eq(wal_segment_reader_payload(reader, buf, sizeof(buf),
						    truth.events[whole].payload_offset),
			 -EBADMSG);
	while (truth.events[whole].block < 3)
		whole++;
	ck_assert_int_eq(wal_segment_reader_payload(reader, buf, 10,
						    truth.events[whole].payload_offset),
			 10);
	ck_assert_mem_eq(buf, truth.events[whole].payload, 10);
}
END_TEST

START_TEST(the_index_must_be_the_one_asked_for)
{
	ck_fails(test_reader_open(SEGMENT, 2, &reader, &fault), -EUCLEAN);
	ck_kind(fault.kind, WAL_FAULT_INDEX);
	ck_assert_ptr_null(reader);
	ck_ok(test_reader_open(SEGMENT, 0, &reader, &fault));
	ck_assert_uint_eq(wal_segment_reader_info(reader)->index, 1);
}
END_TEST

static void expect_open(int err, enum wal_fault_kind kind)
{
	fault.kind = WAL_FAULT_NONE;
	ck_fails(test_reader_open(SEGMENT, 1, &reader, &fault), err);
	ck_kind(fault.kind, kind);
	ck_assert_ptr_null(reader);
}

START_TEST(what_is_no_segment_file_is_refused_with_its_reason)
{
	const char *path = test_path(SEGMENT);

	ck_assert_int_eq(unlink(path), 0);
	ck_fails(test_reader_open(SEGMENT, 1, &reader, &fault), -ENOENT);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	expect_open(-EUCLEAN, WAL_FAULT_NOT_A_FILE);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/dev/zero", path), 0);
	expect_open(-EUCLEAN, WAL_FAULT_NOT_A_FILE);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	expect_open(-EUCLEAN, WAL_FAULT_NOT_A_FILE);
	ck_assert_int_eq(rmdir(path), 0);
	file_write(path, "", 0);
	expect_open(-EUCLEAN, WAL_FAULT_TOO_SHORT);
	file_resize(path, 65536);
	expect_open(-EUCLEAN, WAL_FAULT_MAGIC);
}
END_TEST

START_TEST(a_newer_version_is_refused_as_such_and_a_flipped_version_as_damage)
{
	image.bytes[4] = 2;
	store_put(test_dir(), &image);
	memset(image.bytes + 512, 0, 64);
	store_put(test_dir(), &image);
	expect_open(-EBADMSG, WAL_FAULT_HEADER_CHECKSUM);
	oracle_fix_active_header(image.bytes);
	store_put(test_dir(), &image);
	expect_open(-EPROTONOSUPPORT, WAL_FAULT_VERSION);
}
END_TEST

START_TEST(a_bad_seal_header_is_named_and_the_events_stay_readable)
{
	for (uint32_t byte = 0; byte < 64; byte++) {
		enum wal_fault_kind kind;
		uint64_t events;

		file_flip(test_path(SEGMENT), 512 + byte, 0x20);
		ck_assert_msg(read_all(&events, &kind) == 0, "byte %u: not opened", byte);
		ck_assert_msg(kind != WAL_FAULT_NONE, "byte %u", byte);
		ck_assert_msg(events == truth.event_count, "byte %u: %llu of %zu events", byte,
			      (unsigned long long)events, truth.event_count);
		file_flip(test_path(SEGMENT), 512 + byte, 0x20);
	}
}
END_TEST

START_TEST(a_bad_active_header_does_not_hide_a_sealed_segment)
{
	for (uint32_t byte = 0; byte < 64; byte++) {
		enum wal_fault_kind kind;
		uint64_t events;

		file_flip(test_path(SEGMENT), byte, 0x20);
		ck_assert_msg(read_all(&events, &kind) == 0, "byte %u: not opened", byte);
		ck_assert_msg(kind != WAL_FAULT_NONE, "byte %u", byte);
		ck_assert_msg(events == truth.event_count, "byte %u: %llu of %zu events", byte,
			      (unsigned long long)events, truth.event_count);
		file_flip(test_path(SEGMENT), byte, 0x20);
	}
}
END_TEST

/* --- the walk of section 9.2 on torn images ------------------------------------- */

/* The library's walk and the oracle's must end at the same place. */
static void assert_same_walk(const char *what)
{
	struct oracle_segment torn;
	struct wal_event event;
	size_t events = 0;
	int err;

	store_put(test_dir(), &image);
	oracle_decode(image.bytes, image.size, 1, &torn);
	err = test_reader_open(SEGMENT, 1, &reader, &fault);
	ck_assert_msg((err == 0) == torn.readable, "%s: %d (%s)", what, err,
		      wal_fault_kind_name(fault.kind));
	if (!err) {
		const struct wal_segment_info *info = wal_segment_reader_info(reader);

		while (wal_segment_reader_next(reader, &event) == 1)
			ck_assert_uint_eq(event.id, torn.events[events++].id);
		ck_assert_msg(events == torn.event_count, "%s: %zu events, not %zu", what, events,
			      torn.event_count);
		ck_assert_uint_eq(info->event_count, torn.event_count);
		ck_assert_uint_eq(info->payload_bytes, torn.payload_bytes);
		ck_assert_uint_eq(info->block_count, torn.block_count);
	}
	wal_segment_reader_close(reader);
	reader = NULL;
	oracle_segment_free(&torn);
}

START_TEST(any_byte_of_an_unsealed_segment_torn_ends_the_walk_where_the_document_says)
{
	for (size_t at = 4096; at < oracle_end(&image); at += at % 512 < 100 ? 3 : 61) {
		char what[32];

		snprintf(what, sizeof(what), "byte %zu", at);
		image.bytes[at] ^= 0x08;
		assert_same_walk(what);
		image.bytes[at] ^= 0x08;
	}
}
END_TEST

START_TEST(any_lost_page_or_sector_ends_the_walk_where_the_document_says)
{
	static const size_t sizes[] = {512, 4096};
	uint8_t kept[4096];

	for (size_t s = 0; s < 2; s++) {
		for (size_t at = 4096; at < image.size; at += sizes[s]) {
			char what[32];

			snprintf(what, sizeof(what), "%zu bytes at %zu", sizes[s], at);
			memcpy(kept, image.bytes + at, sizes[s]);
			memset(image.bytes + at, 0, sizes[s]);
			assert_same_walk(what);
			memcpy(image.bytes + at, kept, sizes[s]);
		}
	}
}
END_TEST

START_TEST(the_walk_ends_at_any_prefix_where_the_document_says)
{
	/* Only the first n bytes got there; the rest of the file is zero. */
	uint8_t *kept = malloc(image.size);
	size_t end_of_data = oracle_end(&image);

	memcpy(kept, image.bytes, image.size);
	for (size_t n = end_of_data; n > 4096; n -= n % 29 + 1) {
		char what[32];

		snprintf(what, sizeof(what), "%zu bytes", n);
		memset(image.bytes + n, 0, image.size - n);
		assert_same_walk(what);
	}
	free(kept);
}
END_TEST

/* Bytes that this process has asked read(2) and pread(2) for and got, as the kernel counts them. */
static uint64_t bytes_read(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	uint64_t bytes;

	ck_assert_msg(file && fscanf(file, "rchar: %" SCNu64, &bytes) == 1, "/proc/self/io");
	fclose(file);
	return bytes;
}

/* Where the walk sees the last byte behind the events. */
static uint64_t find_nonzero_end(void)
{
	uint64_t end;

	open_reader();
	ck_assert_uint_eq(reader->info.event_count, truth.event_count);
	end = reader->tail.nonzero_end;
	wal_segment_reader_close(reader);
	reader = NULL;
	return end;
}

/* Where in a file of the largest size a byte stands; the last one of its block, the first ... */
static const uint64_t far_bytes[] = {
	4096 + 100 * TEST_BLOCK - 1,   4096 + 100 * TEST_BLOCK,
	4096 + 1000 * TEST_BLOCK + 17, WAL_SEGMENT_SIZE_MAX - TEST_BLOCK - 1,
	WAL_SEGMENT_SIZE_MAX - 1,
};

START_TEST(a_hole_behind_the_events_is_not_read_and_what_is_behind_it_is_found)
{
	uint64_t before = bytes_read();

	file_resize(test_path(SEGMENT), WAL_SEGMENT_SIZE_MAX);
	ck_assert_uint_eq(find_nonzero_end(), oracle_end(&image));
	for (size_t i = 0; i < sizeof(far_bytes) / sizeof(far_bytes[0]); i++) {
		file_patch(test_path(SEGMENT), far_bytes[i], "x", 1);
		ck_assert_uint_eq(find_nonzero_end(), far_bytes[i] + 1);
	}
	ck_assert_uint_lt(bytes_read() - before, 8 << 20);
}
END_TEST

/* What is in memory and not on the disk is in a hole as the disk knows it. */
START_TEST(bytes_that_were_stored_into_preallocated_space_and_not_synced_are_found)
{
	const size_t size = 4096 + 1024 * TEST_BLOCK, at = 4096 + 700 * TEST_BLOCK + 5;
	int fd = open(test_path(SEGMENT), O_RDWR | O_CLOEXEC);
	char *map;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(posix_fallocate(fd, 0, (off_t)size), 0);
	ck_assert_uint_eq(find_nonzero_end(), oracle_end(&image));
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	map[at] = 'x';
	ck_assert_uint_eq(find_nonzero_end(), at + 1);
	map[size - 1] = 'x';
	ck_assert_uint_eq(find_nonzero_end(), size);
	munmap(map, size);
	ck_assert_uint_eq(find_nonzero_end(), size);
	close(fd);
}
END_TEST

static void add_reading(TCase *t)
{
	tcase_add_test(t, next_gives_every_event_in_order_and_then_the_end);
	tcase_add_test(t, info_says_what_the_segment_says);
	tcase_add_test(t, seek_event_finds_each_id_and_the_edges);
	tcase_add_test(t, seek_time_finds_the_first_event_at_or_after_it);
	tcase_add_test(t, seek_payload_finds_the_event_that_holds_each_byte);
	tcase_add_test(t, payload_at_any_place_is_the_naive_payload);
	tcase_add_test(t, payload_leaves_next_where_it_was);
	tcase_add_test(t, raw_is_the_file);
	tcase_add_test(t, an_image_is_the_segment_up_to_its_last_event);
	tcase_add_test(t, reading_past_the_page_cache_gives_the_same);
}

static Suite *segment_reader_suite(void)
{
	Suite *suite = suite_create("segment_reader");
	TCase *sealed = test_case(suite, "sealed", 60);
	TCase *unsealed = test_case(suite, "unsealed", 120);

	tcase_add_checked_fixture(sealed, begin_sealed, end);
	add_reading(sealed);
	tcase_add_test(sealed, a_sealed_segment_cut_at_any_length_never_gives_a_wrong_byte);
	tcase_add_test(sealed, a_file_cut_under_an_open_reader_is_an_error_and_no_signal);
	tcase_add_test(sealed, a_flipped_bit_costs_its_block_and_no_other);
	tcase_add_test(sealed, payload_stops_in_front_of_a_bad_block);
	tcase_add_test(sealed, the_index_must_be_the_one_asked_for);
	tcase_add_test(sealed, what_is_no_segment_file_is_refused_with_its_reason);
	tcase_add_test(sealed, a_newer_version_is_refused_as_such_and_a_flipped_version_as_damage);
	tcase_add_test(sealed, a_bad_seal_header_is_named_and_the_events_stay_readable);
	tcase_add_test(sealed, a_bad_active_header_does_not_hide_a_sealed_segment);
	tcase_add_checked_fixture(unsealed, begin_unsealed, end);
	add_reading(unsealed);
	tcase_add_test(
		unsealed,
		an_unsealed_segment_cut_at_any_length_has_the_whole_events_of_its_whole_blocks);
	tcase_add_test(unsealed,
		       any_byte_of_an_unsealed_segment_torn_ends_the_walk_where_the_document_says);
	tcase_add_test(unsealed, any_lost_page_or_sector_ends_the_walk_where_the_document_says);
	tcase_add_test(unsealed, the_walk_ends_at_any_prefix_where_the_document_says);
	tcase_add_test(unsealed,
		       a_hole_behind_the_events_is_not_read_and_what_is_behind_it_is_found);
	tcase_add_test(unsealed,
		       bytes_that_were_stored_into_preallocated_space_and_not_synced_are_found);
	return suite;
}

int main(void)
{
	return test_main(segment_reader_suite());
}
