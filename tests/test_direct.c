/* SPDX-License-Identifier: MIT */
/* core/direct: what it says is on the disk, the disk has given back. */
#include "core/base/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support.h"

#define FILE_NAME "file"
#define FILE_BYTES (3u << 20)
#define PAGE WAL_DIRECT_ALIGN

static struct fault_io fault;
static uint8_t *content;
static int fd;

static void setup(void)
{
	size_t i;

	fault_io_init(&fault);
	ck_assert_int_eq(posix_memalign((void **)&content, PAGE, FILE_BYTES), 0);
	for (i = 0; i < FILE_BYTES; i++)
		content[i] = (uint8_t)(i * 31 + i / PAGE + 1);
	file_write(test_path(FILE_NAME), content, FILE_BYTES);
	fd = open(test_path(FILE_NAME), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void teardown(void)
{
	close(fd);
	free(content);
	fault_io_destroy(&fault);
}

static void assert_content(void)
{
	struct bytes now = file_read(test_path(FILE_NAME));

	ck_assert_uint_eq(now.size, FILE_BYTES);
	ck_assert_int_eq(memcmp(now.data, content, FILE_BYTES), 0);
	bytes_free(&now);
}

/* _i: with a way past the page cache, without one. */
START_TEST(writing_again_changes_no_byte)
{
	fault.no_direct = _i;
	ck_ok(wal_direct_write_again(&fault.io, fd, 0, FILE_BYTES));
	assert_content();
	ck_ok(wal_direct_write_again(&fault.io, fd, 5 * PAGE + 17, FILE_BYTES - 3 * PAGE - 100));
	assert_content();
	ck_ok(wal_direct_write_again(&fault.io, fd, PAGE + 1, PAGE + 2));
	assert_content();
	fault_io_reset(&fault);
	ck_ok(wal_direct_write_again(&fault.io, fd, UINT64_MAX, PAGE)); /* nothing to do */
	ck_assert_uint_eq(fault.calls, 0);
}
END_TEST

/* Wherever it is cut off: what is written again may be promised. */
START_TEST(what_is_written_again_is_there_at_each_moment)
{
	uint64_t calls;

	fault.no_direct = _i;
	ck_ok(wal_direct_write_again(&fault.io, fd, 17, FILE_BYTES));
	calls = fault.calls;
	ck_assert_uint_gt(calls, 1);
	for (uint64_t call = 1; call <= calls; call++) {
		fault_io_reset(&fault);
		fault.cut_at = call;
		ck_fails(wal_direct_write_again(&fault.io, fd, 17, FILE_BYTES), -EIO);
		assert_content();
	}
	fault_io_reset(&fault);
	ck_ok(wal_direct_write(&fault.io, fd, content, PAGE, 0));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_ZERO), 0);
}
END_TEST

/* Where there is no way past the page cache, each part is synced before it is read back. */
START_TEST(without_direct_io_what_is_written_is_synced)
{
	fault.no_direct = true;
	ck_ok(wal_direct_write(&fault.io, fd, content, PAGE, PAGE));
	ck_assert_uint_eq(fault_io_count(&fault, FAULT_OP_FDATASYNC), 1);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_FDATASYNC, -ENOSPC, 0);
	ck_fails(wal_direct_write(&fault.io, fd, content, PAGE, PAGE), -EIO);
}
END_TEST

START_TEST(zeros_reach_to_the_last_byte_and_no_further)
{
	fault.no_direct = _i & 1;
	if (_i & 2) /* no such call, or no room for what it does to the extents */
		fault_io_fail_ops(&fault, 1u << FAULT_OP_ZERO, _i & 4 ? -ENOSPC : -EOPNOTSUPP, 0);
	ck_ok(wal_direct_zero(&fault.io, fd, 2 * PAGE, FILE_BYTES - PAGE));
	memset(content + 2 * PAGE, 0, FILE_BYTES - 3 * PAGE);
	assert_content();
	ck_ok(wal_direct_zero(&fault.io, fd, PAGE, PAGE));
	assert_content();
}
END_TEST

/* A disk that took the bytes and gives others back. */
static ssize_t read_zeros(const struct wal_io *io, int from, void *buf, size_t size, off_t offset)
{
	(void)io;
	(void)from;
	(void)offset;
	memset(buf, 0, size);
	return (ssize_t)size;
}

START_TEST(what_does_not_come_back_is_an_error)
{
	fault.io.pread_direct = read_zeros;
	ck_fails(wal_direct_write(&fault.io, fd, content, PAGE, 0), -EIO);
	ck_fails(wal_direct_write_again(&fault.io, fd, 0, PAGE), -EIO);
	fault_io_fail_ops(&fault, 1u << FAULT_OP_ZERO, -EOPNOTSUPP, 0);
	ck_ok(wal_direct_zero(&fault.io, fd, 0, PAGE)); /* zeros do */
}
END_TEST

static unsigned reads;

/* The error of a write-back that failed before we came: whoever looks next is told. */
static ssize_t read_fails_once(const struct wal_io *io, int from, void *buf, size_t size,
			       off_t offset)
{
	return reads++ == 0 ? -EIO : wal_io_system.pread_direct(io, from, buf, size, offset);
}

START_TEST(an_old_error_is_not_taken_for_one_of_now)
{
	reads = 0;
	fault.io.pread_direct = read_fails_once;
	ck_assert_int_eq(wal_direct_read(&fault.io, fd, content, PAGE, 0), PAGE);
	ck_assert_uint_eq(reads, 2);
}
END_TEST

START_TEST(a_read_ends_with_the_file)
{
	void *buf;

	fault.no_direct = _i;
	ck_assert_int_eq(posix_memalign(&buf, PAGE, 2 * PAGE), 0);
	file_resize(test_path(FILE_NAME), PAGE + 100);
	ck_assert_int_eq(wal_direct_read(&fault.io, fd, buf, 2 * PAGE, 0), PAGE + 100);
	ck_assert_int_eq(memcmp(buf, content, PAGE + 100), 0);
	ck_assert_int_eq(wal_direct_read(&fault.io, fd, buf, PAGE, 4 * PAGE), 0);
	ck_fails(wal_direct_write_again(&fault.io, fd, 0, 2 * PAGE), -EIO); /* it was longer */
	free(buf);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("direct");
	TCase *t = test_case(suite, "direct", 20);

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, writing_again_changes_no_byte, 0, 2);
	tcase_add_loop_test(t, what_is_written_again_is_there_at_each_moment, 0, 2);
	tcase_add_test(t, without_direct_io_what_is_written_is_synced);
	tcase_add_loop_test(t, zeros_reach_to_the_last_byte_and_no_further, 0, 8);
	tcase_add_test(t, what_does_not_come_back_is_an_error);
	tcase_add_test(t, an_old_error_is_not_taken_for_one_of_now);
	tcase_add_loop_test(t, a_read_ends_with_the_file, 0, 2);
	return test_main(suite);
}
