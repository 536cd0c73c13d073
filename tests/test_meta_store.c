/* SPDX-License-Identifier: MIT */
/*
 * wal.meta: two slots written in turn, of which a torn write never costs the one that counts;
 * and the thread that writes them.
 */
#include "core/store/meta_coordinator.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support.h"

#define SLOT ORACLE_SLOT_BYTES

static struct fault_io fault;
static struct wal_meta_store store;

static void begin(void)
{
	fault_io_init(&fault);
	store.fd = -1;
}

static void end(void)
{
	wal_meta_store_close(&store);
	fault_io_destroy(&fault);
}

static void open_store(void)
{
	ck_ok(wal_meta_store_open(&store, &fault.io, test_dirfd(), NULL));
}

static struct wal_meta some_meta(uint64_t event)
{
	struct wal_meta meta = {
		.block_size = TEST_BLOCK,
		.segment_bytes = 4096 + 4 * TEST_BLOCK,
		.framing = {WAL_FRAME_FIXED, 64},
		.incarnation = 3,
		.durable = {.segment = 2, .offset = 8192 + event, .event = event},
		.first_segment = 1,
	};

	memcpy(meta.log, test_log, 16);
	return meta;
}

static void write_event(uint64_t event)
{
	struct wal_meta meta = some_meta(event);

	ck_ok(wal_meta_store_write(&store, &meta));
}

static struct oracle_slot some_slot(uint64_t sequence)
{
	struct oracle_slot slot = {
		.sequence = sequence,
		.block_size = TEST_BLOCK,
		.segment_bytes = 4096 + 4 * TEST_BLOCK,
		.framing = WAL_FRAME_LINE,
		.incarnation = 3,
		.durable_segment = 2,
		.first_segment = 1,
		.durable_offset = 8192,
		.durable_event = sequence * 10,
	};

	memcpy(slot.log, test_log, 16);
	return slot;
}

START_TEST(a_missing_file_is_made_whole_and_not_sparse)
{
	struct wal_meta meta;

	ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), -ENOENT);
	open_store();
	ck_assert_uint_eq(file_size(test_path("wal.meta")), 2 * SLOT);
	ck_assert_uint_ge(file_blocks(test_path("wal.meta")), 2 * SLOT / 512);
	ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), -EBADMSG);
	ck_assert_uint_ge(fault_io_count(&fault, FAULT_OP_FSYNC), 2); /* itself, its directory */
}
END_TEST

START_TEST(the_file_is_readable_by_its_owner_only)
{
	struct stat st;

	open_store();
	ck_assert_int_eq(stat(test_path("wal.meta"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
}
END_TEST

START_TEST(what_is_written_is_what_the_document_says_and_read_back)
{
	struct wal_meta meta = some_meta(17);
	struct wal_meta back;
	struct oracle_slot slot;

	meta.clean = true;
	open_store();
	ck_ok(wal_meta_store_write(&store, &meta));
	ck_ok(wal_meta_read(test_dirfd(), &back, NULL));
	ck_assert_uint_eq(back.sequence, meta.sequence);
	ck_assert_mem_eq(back.log, meta.log, sizeof(back.log));
	ck_assert_uint_eq(back.segment_bytes, meta.segment_bytes);
	ck_assert_int_eq(back.framing.kind, meta.framing.kind);
	ck_assert_uint_eq(back.incarnation, meta.incarnation);
	ck_assert_uint_eq(back.durable.offset, meta.durable.offset);
	ck_assert_uint_eq(back.durable.event, meta.durable.event);
	ck_assert(back.clean);
	slot = store_slot(test_dir());
	ck_assert_uint_eq(slot.sequence, meta.sequence);
	ck_assert_mem_eq(slot.log, test_log, 16);
	ck_assert_uint_eq(slot.block_size, TEST_BLOCK);
	ck_assert_uint_eq(slot.segment_bytes, meta.segment_bytes);
	ck_assert_uint_eq(slot.framing, WAL_FRAME_FIXED);
	ck_assert_uint_eq(slot.framing_size, 64);
	ck_assert_uint_eq(slot.incarnation, 3);
	ck_assert_uint_eq(slot.durable_segment, 2);
	ck_assert_uint_eq(slot.durable_offset, 8192 + 17);
	ck_assert_uint_eq(slot.durable_event, 17);
	ck_assert_uint_eq(slot.first_segment, 1);
	ck_assert_uint_eq(slot.flags, ORACLE_CLEAN);
}
END_TEST

START_TEST(slots_are_written_in_turn_each_with_the_next_sequence)
{
	uint64_t last = 0;

	open_store();
	for (uint64_t event = 1; event <= 6; event++) {
		struct bytes before = file_read(test_path("wal.meta"));
		struct wal_meta_slots slots;
		struct bytes after;
		struct wal_meta meta;
		size_t kept;

		write_event(event);
		after = file_read(test_path("wal.meta"));
		ck_ok(wal_meta_read(test_dirfd(), &meta, &slots));
		ck_assert_uint_eq(meta.durable.event, event);
		if (event > 1)
			ck_assert_uint_eq(meta.sequence, last + 1);
		last = meta.sequence;
		kept = (slots.newest ^ 1) * (size_t)SLOT;
		ck_assert_mem_eq(before.data + kept, after.data + kept, SLOT);
		bytes_free(&before);
		bytes_free(&after);
	}
}
END_TEST

START_TEST(a_store_opened_again_goes_on_with_the_older_slot)
{
	struct wal_meta_slots slots;
	struct wal_meta meta;

	open_store();
	write_event(1);
	write_event(2);
	wal_meta_store_close(&store);
	open_store();
	write_event(3);
	ck_ok(wal_meta_read(test_dirfd(), &meta, &slots));
	ck_assert_uint_eq(meta.durable.event, 3);
	file_flip(test_path("wal.meta"), slots.newest * SLOT + 20, 1);
	ck_ok(wal_meta_read(test_dirfd(), &meta, NULL));
	ck_assert_uint_eq(meta.durable.event, 2);
}
END_TEST

START_TEST(the_valid_slot_with_the_larger_sequence_counts)
{
	struct oracle_slot slot = some_slot(9);
	struct wal_meta_slots slots;
	struct wal_meta meta;

	store_put_slot_alone(test_dir(), &slot); /* slot 1 */
	slot = some_slot(8);
	store_put_slot_alone(test_dir(), &slot); /* slot 0 */
	ck_ok(wal_meta_read(test_dirfd(), &meta, &slots));
	ck_assert_uint_eq(meta.durable.event, 90);
	ck_assert(slots.valid[0] && slots.valid[1]);
	ck_assert_uint_eq(slots.newest, 1);
	slot = some_slot(10);
	store_put_slot_alone(test_dir(), &slot);
	ck_ok(wal_meta_read(test_dirfd(), &meta, &slots));
	ck_assert_uint_eq(meta.durable.event, 100);
	ck_assert_uint_eq(slots.newest, 0);
}
END_TEST

START_TEST(a_write_torn_at_any_byte_costs_at_most_the_new_slot)
{
	struct wal_meta meta;
	struct bytes before;
	struct bytes after;
	size_t at;

	open_store();
	write_event(1);
	write_event(2);
	before = file_read(test_path("wal.meta"));
	write_event(3);
	after = file_read(test_path("wal.meta"));
	at = memcmp(before.data, after.data, SLOT) != 0 ? 0 : SLOT;
	for (size_t n = 0; n <= 128; n++) {
		/* The first n bytes of the new slot got there; then the other way round. */
		file_patch(test_path("wal.meta"), 0, before.data, before.size);
		file_patch(test_path("wal.meta"), at, after.data + at, n);
		ck_ok(wal_meta_read(test_dirfd(), &meta, NULL));
		ck_assert_uint_eq(meta.durable.event, n < 96 ? 2 : 3);
		file_patch(test_path("wal.meta"), 0, after.data, after.size);
		file_patch(test_path("wal.meta"), at, before.data + at, n);
		ck_ok(wal_meta_read(test_dirfd(), &meta, NULL));
		ck_assert_uint_ge(meta.durable.event, 2);
		ck_assert_uint_le(meta.durable.event, 3);
	}
	bytes_free(&before);
	bytes_free(&after);
}
END_TEST

START_TEST(every_flipped_bit_of_a_slot_makes_it_invalid)
{
	struct oracle_slot slot = some_slot(9);
	struct wal_meta_slots slots;
	struct wal_meta meta;

	store_put_slot_alone(test_dir(), &slot);
	slot = some_slot(8);
	store_put_slot_alone(test_dir(), &slot);
	for (uint32_t bit = 0; bit < 8 * 96; bit++) {
		file_flip(test_path("wal.meta"), SLOT + bit / 8, (uint8_t)(1u << bit % 8));
		ck_ok(wal_meta_read(test_dirfd(), &meta, &slots));
		ck_assert_msg(meta.sequence == 8 && !slots.valid[1], "bit %u", bit);
		file_flip(test_path("wal.meta"), SLOT + bit / 8, (uint8_t)(1u << bit % 8));
	}
	for (uint32_t byte = 96; byte < SLOT; byte++) { /* reserved */
		file_flip(test_path("wal.meta"), SLOT + byte, 0x40);
		ck_ok(wal_meta_read(test_dirfd(), &meta, &slots));
		ck_assert_msg(meta.sequence == 8 && !slots.valid[1], "byte %u", byte);
		file_flip(test_path("wal.meta"), SLOT + byte, 0x40);
	}
}
END_TEST

static const struct {
	const char *name;
	uint32_t offset;
	uint32_t size;
	uint64_t value;
	int expected;
} slot_fields[] = {
	{"nothing changed", 40, 4, 1, 0},
	{"newer version", 4, 1, 2, -EPROTONOSUPPORT},
	{"version 0", 4, 1, 0, -EPROTONOSUPPORT},
	{"incompat bit", 5, 1, 1, -EPROTONOSUPPORT},
	{"block size too small", 6, 1, 11, -EBADMSG},
	{"block size too large", 6, 1, 25, -EBADMSG},
	{"reserved byte", 7, 1, 1, -EBADMSG},
	{"sequence 0", 8, 8, 0, -EBADMSG},
	{"segment_bytes of no whole block", 32, 8, 4096 + 4095, -EBADMSG},
	{"segment_bytes without a block", 32, 8, 4096, -EBADMSG},
	{"segment_bytes 0", 32, 8, 0, -EBADMSG},
	{"segment_bytes beyond 4 GiB", 32, 8, (UINT64_C(1) << 32) + 4096, -EBADMSG},
	{"framing 0", 40, 4, 0, -EBADMSG},
	{"framing 4", 40, 4, 4, -EBADMSG},
	{"fixed framing of 0 bytes", 40, 4, 3, -EBADMSG},
	{"line framing with a size", 44, 4, 64, -EBADMSG},
	{"unknown flag", 80, 4, 2, -EBADMSG},
	{"reserved2", 84, 4, 1, -EBADMSG},
};

START_TEST(a_slot_with_an_impossible_field_does_not_count)
{
	struct oracle_slot slot = some_slot(9);
	uint8_t bytes[SLOT];
	uint8_t value[8];
	struct wal_meta meta;
	int err;

	oracle_slot_encode(&slot, bytes);
	oracle_put64(value, slot_fields[_i].value);
	memcpy(bytes + slot_fields[_i].offset, value, slot_fields[_i].size);
	oracle_put64(bytes + 88, oracle_xxh3(bytes, 88, 0));
	store_put_slot_alone(test_dir(), &slot);
	file_patch(test_path("wal.meta"), SLOT, bytes, sizeof(bytes));
	err = wal_meta_read(test_dirfd(), &meta, NULL);
	ck_assert_msg(err == slot_fields[_i].expected, "%s: %d", slot_fields[_i].name, err);
}
END_TEST

START_TEST(a_newer_version_is_believed_only_under_a_right_checksum)
{
	struct oracle_slot slot = some_slot(9);
	struct wal_meta meta;

	store_put_slot_alone(test_dir(), &slot);
	file_flip(test_path("wal.meta"), SLOT + 4, 2);
	ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), -EBADMSG);
}
END_TEST

START_TEST(a_file_cut_at_any_length_is_no_more_than_a_lost_slot)
{
	struct oracle_slot slot = some_slot(8); /* slot 0 */
	struct wal_meta meta;

	store_put_slot_alone(test_dir(), &slot);
	for (uint64_t size = 2 * SLOT; size > 0; size -= 512) {
		file_resize(test_path("wal.meta"), size);
		ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), size >= SLOT ? 0 : -EBADMSG);
	}
	file_resize(test_path("wal.meta"), 0);
	ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), -EBADMSG);
	open_store();
	write_event(5);
	ck_ok(wal_meta_read(test_dirfd(), &meta, NULL));
	ck_assert_uint_eq(meta.durable.event, 5);
	ck_assert_uint_eq(file_size(test_path("wal.meta")), 2 * SLOT);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused_and_left_alone)
{
	struct wal_meta meta;
	struct stat st;

	ck_assert_int_eq(mkfifo(test_path("wal.meta"), 0600), 0);
	ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), -EUCLEAN);
	ck_fails(wal_meta_store_open(&store, &fault.io, test_dirfd(), NULL), -EUCLEAN);
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	ck_assert_int_eq(symlink("elsewhere", test_path("wal.meta")), 0);
	ck_fails(wal_meta_read(test_dirfd(), &meta, NULL), -EUCLEAN);
	ck_fails(wal_meta_store_open(&store, &fault.io, test_dirfd(), NULL), -EUCLEAN);
	ck_assert(!file_exists(test_path("elsewhere")));
	ck_assert_int_eq(unlink(test_path("wal.meta")), 0);
	ck_assert_int_eq(mkdir(test_path("wal.meta"), 0700), 0);
	ck_assert_int_lt(wal_meta_store_open(&store, &fault.io, test_dirfd(), NULL), 0);
	ck_assert_int_eq(lstat(test_path("wal.meta"), &st), 0);
	ck_assert(S_ISDIR(st.st_mode));
	store.fd = -1;
}
END_TEST

/* The file as the disk has it: what was written since is in the page cache alone. */
static struct bytes on_the_disk;

static ssize_t read_the_disk(const struct wal_io *io, int fd, void *buf, size_t size, off_t offset)
{
	(void)io;
	(void)fd;
	ck_assert_uint_le((size_t)offset + size, on_the_disk.size);
	memcpy(buf, on_the_disk.data + offset, size);
	return (ssize_t)size;
}

/* A slot of the page cache alone does not count, and is the one to be written next. */
START_TEST(the_slot_that_counts_is_one_that_the_disk_has)
{
	struct wal_meta_slots slots;
	struct wal_meta meta;

	open_store();
	write_event(1);
	on_the_disk = file_read(test_path("wal.meta"));
	write_event(2);
	wal_meta_store_close(&store);
	fault.io.pread_direct = read_the_disk;
	ck_ok(wal_meta_read_by(&fault.io, test_dirfd(), &meta, &slots));
	ck_assert_uint_eq(meta.durable.event, 1);
	open_store();
	ck_assert_uint_eq(store.slot, slots.newest ^ 1);
	meta = some_meta(3);
	ck_fails(wal_meta_store_write(&store, &meta), -EIO); /* it is read back, and is not there */
	fault.io.pread_direct = wal_io_system.pread_direct;
	write_event(3);
	ck_ok(wal_meta_read_by(&fault.io, test_dirfd(), &meta, NULL));
	ck_assert_uint_eq(meta.durable.event, 3);
	bytes_free(&on_the_disk);
}
END_TEST

START_TEST(a_write_is_synced_before_it_counts)
{
	struct wal_meta meta = some_meta(2);

	open_store();
	write_event(1);
	fault_io_reset(&fault);
	write_event(2);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_PWRITE), 1);
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	ck_assert_uint_eq(fault.calls, 2); /* nothing that needs space */
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FDATASYNC, -EIO, 1);
	ck_fails(wal_meta_store_write(&store, &meta), -EIO);
}
END_TEST

START_TEST(a_failed_write_leaves_the_slot_that_counts_and_is_tried_in_the_same_place)
{
	struct wal_meta meta = some_meta(3);
	struct wal_meta back;

	open_store();
	write_event(1);
	write_event(2);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -EIO, 1);
	fault.fail_half = true;
	ck_fails(wal_meta_store_write(&store, &meta), -EIO);
	ck_ok(wal_meta_read(test_dirfd(), &back, NULL));
	ck_assert_uint_ge(back.durable.event, 2);
	ck_ok(wal_meta_store_write(&store, &meta));
	ck_ok(wal_meta_read(test_dirfd(), &back, NULL));
	ck_assert_uint_eq(back.durable.event, 3);
}
END_TEST

START_TEST(no_space_to_make_the_file_is_an_error_and_no_half_file_is_believed)
{
	struct wal_meta meta;

	fault_io_fail_ops(&fault, 1u << FAULT_OP_ALLOCATE, -ENOSPC, 1);
	ck_fails(wal_meta_store_open(&store, &fault.io, test_dirfd(), NULL), -ENOSPC);
	store.fd = -1;
	ck_assert_int_lt(wal_meta_read(test_dirfd(), &meta, NULL), 0);
	open_store(); /* and with space it works */
	write_event(1);
}
END_TEST

/* --- the coordinator ---------------------------------------------------------- */

static struct wal_meta_coordinator coordinator;
static int told[8];
static unsigned told_count;

static void tell(void *ctx, int error)
{
	(void)ctx;
	if (told_count < 8)
		told[told_count++] = error;
}

static void start_coordinator(void)
{
	struct wal_meta meta = some_meta(1);

	told_count = 0;
	ck_ok(wal_meta_coordinator_init(&coordinator, &fault.io, test_dirfd(), &meta, NULL));
	coordinator.failed = tell;
	coordinator.space_changed = tell;
	ck_ok(wal_meta_coordinator_start(&coordinator));
}

static void publish(uint64_t event)
{
	struct wal_meta meta = some_meta(event);

	wal_meta_coordinator_publish(&coordinator, &meta.durable);
}

static struct wal_meta meta_on_disk(void)
{
	struct wal_meta meta;

	ck_ok(wal_meta_read(test_dirfd(), &meta, NULL));
	return meta;
}

START_TEST(what_was_published_is_written_at_the_end)
{
	start_coordinator();
	publish(7);
	ck_ok(wal_meta_coordinator_stop(&coordinator, true, false));
	ck_assert_uint_eq(meta_on_disk().durable.event, 7);
	ck_assert(meta_on_disk().clean);
}
END_TEST

/* Whoever stops it may not have heard of it. */
START_TEST(after_a_failed_write_stopping_writes_nothing_and_fails)
{
	const enum fault_op op = _i == 0 ? FAULT_OP_PWRITE : FAULT_OP_FDATASYNC;

	start_coordinator();
	publish(7);
	fault_io_fail_ops(&fault, 1u << op, -EIO, 1);
	ck_fails(wal_meta_coordinator_flush(&coordinator), -EIO);
	fault_io_reset(&fault);
	ck_fails(wal_meta_coordinator_stop(&coordinator, true, false), -EIO);
	ck_assert_uint_eq(fault.calls, 0);
	ck_assert(!meta_on_disk().clean);
	ck_assert_uint_eq(told_count, 1);
	ck_assert_int_eq(told[0], -EIO);
}
END_TEST

START_TEST(a_write_without_space_is_told_once_and_tried_again)
{
	const int error = _i == 0 ? -ENOSPC : -EDQUOT;

	start_coordinator();
	publish(7);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, error, 0);
	for (int i = 0; i < 3; i++)
		ck_fails(wal_meta_coordinator_flush(&coordinator), error);
	ck_assert_uint_eq(meta_on_disk().durable.event, 1);
	publish(8);
	fault_io_reset(&fault);
	wait_until(meta_on_disk().durable.event == 8); /* though nobody asks */
	ck_ok(wal_meta_coordinator_flush(&coordinator));
	ck_ok(wal_meta_coordinator_stop(&coordinator, true, false));
	ck_assert(meta_on_disk().clean);
	ck_assert_uint_eq(told_count, 2);
	ck_assert_int_eq(told[0], error);
	ck_assert_int_eq(told[1], 0);
}
END_TEST

/* Whatever a sync says: what it should have taken to the disk may be gone. */
START_TEST(a_sync_that_found_no_space_is_never_tried_again)
{
	start_coordinator();
	publish(7);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FDATASYNC, -ENOSPC, 1);
	ck_fails(wal_meta_coordinator_flush(&coordinator), -EIO);
	fault_io_reset(&fault);
	ck_fails(wal_meta_coordinator_flush(&coordinator), -EIO);
	ck_fails(wal_meta_coordinator_stop(&coordinator, true, false), -EIO);
	ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

START_TEST(where_the_log_begins_is_written_once_and_not_again_while_it_stands)
{
	struct wal_meta meta = some_meta(1);

	meta.first_segment = 1;
	ck_ok(wal_meta_coordinator_init(&coordinator, &fault.io, test_dirfd(), &meta, NULL));
	ck_ok(wal_meta_coordinator_start(&coordinator));
	fault_io_reset(&fault);
	ck_ok(wal_meta_coordinator_set_first(&coordinator, 4));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_PWRITE), 1);
	ck_ok(wal_meta_read(test_dirfd(), &meta, NULL));
	ck_assert_uint_eq(meta.first_segment, 4);
	for (uint32_t first = 1; first <= 4; first++)
		ck_ok(wal_meta_coordinator_set_first(&coordinator, first));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_PWRITE), 1);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_PWRITE, -EIO, 1);
	ck_fails(wal_meta_coordinator_set_first(&coordinator, 5), -EIO);
	ck_fails(wal_meta_coordinator_set_first(&coordinator, 5), -EIO); /* it is not written */
	wal_meta_coordinator_stop(&coordinator, false, true);
}
END_TEST

static Suite *meta_store_suite(void)
{
	Suite *suite = suite_create("meta_store");
	TCase *t = test_case(suite, "meta_store", 20);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_test(t, a_missing_file_is_made_whole_and_not_sparse);
	tcase_add_test(t, the_file_is_readable_by_its_owner_only);
	tcase_add_test(t, what_is_written_is_what_the_document_says_and_read_back);
	tcase_add_test(t, slots_are_written_in_turn_each_with_the_next_sequence);
	tcase_add_test(t, a_store_opened_again_goes_on_with_the_older_slot);
	tcase_add_test(t, the_valid_slot_with_the_larger_sequence_counts);
	tcase_add_test(t, a_write_torn_at_any_byte_costs_at_most_the_new_slot);
	tcase_add_test(t, every_flipped_bit_of_a_slot_makes_it_invalid);
	tcase_add_loop_test(t, a_slot_with_an_impossible_field_does_not_count, 0,
			    (int)(sizeof(slot_fields) / sizeof(slot_fields[0])));
	tcase_add_test(t, a_newer_version_is_believed_only_under_a_right_checksum);
	tcase_add_test(t, a_file_cut_at_any_length_is_no_more_than_a_lost_slot);
	tcase_add_test(t, what_is_no_regular_file_is_refused_and_left_alone);
	tcase_add_test(t, the_slot_that_counts_is_one_that_the_disk_has);
	tcase_add_test(t, a_write_is_synced_before_it_counts);
	tcase_add_test(t, where_the_log_begins_is_written_once_and_not_again_while_it_stands);
	tcase_add_test(t,
		       a_failed_write_leaves_the_slot_that_counts_and_is_tried_in_the_same_place);
	tcase_add_test(t, no_space_to_make_the_file_is_an_error_and_no_half_file_is_believed);
	tcase_add_test(t, what_was_published_is_written_at_the_end);
	tcase_add_loop_test(t, after_a_failed_write_stopping_writes_nothing_and_fails, 0, 2);
	tcase_add_loop_test(t, a_write_without_space_is_told_once_and_tried_again, 0, 2);
	tcase_add_test(t, a_sync_that_found_no_space_is_never_tried_again);
	return suite;
}

int main(void)
{
	return test_main(meta_store_suite());
}
