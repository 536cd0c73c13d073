/* SPDX-License-Identifier: MIT */
#include "core/base/direct.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)1 << 20)

static int get_buffer(size_t size, void **buf)
{
	return posix_memalign(buf, WAL_DIRECT_ALIGN, size) ? -ENOMEM : 0;
}

ssize_t wal_direct_read_only(const struct wal_io *io, int fd, void *buf, size_t size, off_t offset)
{
	ssize_t n = io->pread_direct(io, fd, buf, size, offset);

	/* Dirty pages are written back first: an error may be of an earlier time, reported once. */
	return n < 0 && n != -EOPNOTSUPP ? io->pread_direct(io, fd, buf, size, offset) : n;
}

ssize_t wal_direct_read(const struct wal_io *io, int fd, void *buf, size_t size, off_t offset)
{
	ssize_t n = wal_direct_read_only(io, fd, buf, size, offset);

	if (n != -EOPNOTSUPP)
		return n;
	posix_fadvise(fd, offset, (off_t)size, POSIX_FADV_DONTNEED);
	return wal_pread_full(fd, buf, size, offset);
}

static int read_back(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset)
{
	void *back;
	int err = get_buffer(size, &back);
	ssize_t n;

	if (err)
		return err;
	n = wal_direct_read(io, fd, back, size, offset);
	if (n < 0)
		err = (int)n;
	else if (n != (ssize_t)size || memcmp(back, buf, size) != 0)
		err = -EIO;
	free(back);
	return err;
}

/*
 * Never zeros first, though that would drop what the file system believes of the extent: the
 * bytes may be promised, and a cut after the zeros would leave them in our memory alone.
 */
static int write_through_the_cache(const struct wal_io *io, int fd, const void *buf, size_t size,
				   off_t offset)
{
	int err = io->pwrite(io, fd, buf, size, offset);

	return err ? err : wal_sync_error(io->fdatasync(io, fd));
}

int wal_direct_write(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset)
{
	int err = io->pwrite_direct(io, fd, buf, size, offset);

	if (err == -EOPNOTSUPP)
		err = write_through_the_cache(io, fd, buf, size, offset);
	return err ? err : read_back(io, fd, buf, size, offset);
}

int wal_direct_write_again(const struct wal_io *io, int fd, uint64_t from, uint64_t to)
{
	uint64_t at = from - from % WAL_DIRECT_ALIGN;
	void *buf;
	int err = get_buffer(CHUNK_BYTES, &buf);

	if (err)
		return err;
	while (at < to && !err) {
		size_t size = CHUNK_BYTES;
		ssize_t n;

		if (size > to - at)
			size = (to - at + WAL_DIRECT_ALIGN - 1) / WAL_DIRECT_ALIGN *
			       WAL_DIRECT_ALIGN;
		n = wal_pread_full(fd, buf, size, (off_t)at);
		if (n < 0)
			err = (int)n;
		else if (n < (ssize_t)size)
			err = -EIO; /* it was whole when it was looked at */
		else
			err = wal_direct_write(io, fd, buf, size, (off_t)at);
		at += size;
	}
	free(buf);
	return err;
}

static int write_zeros(const struct wal_io *io, int fd, uint64_t from, uint64_t to)
{
	void *buf;
	int err = get_buffer(CHUNK_BYTES, &buf);

	if (err)
		return err;
	memset(buf, 0, CHUNK_BYTES);
	while (from < to && !err) {
		size_t size = to - from < CHUNK_BYTES ? (size_t)(to - from) : CHUNK_BYTES;

		err = wal_direct_write(io, fd, buf, size, (off_t)from);
		from += size;
	}
	free(buf);
	return err;
}

int wal_direct_zero(const struct wal_io *io, int fd, uint64_t from, uint64_t to)
{
	int err;

	if (from >= to)
		return 0;
	err = io->zero_range(io, fd, (off_t)from, (off_t)(to - from));
	/* No room for the change that this is to the extents: the blocks are there. */
	return err == -EOPNOTSUPP || wal_is_no_space(err) ? write_zeros(io, fd, from, to) : err;
}
