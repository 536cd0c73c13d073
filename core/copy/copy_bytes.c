/* SPDX-License-Identifier: MIT */
/* The bytes of one file: to the disk, and back from there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/copy/copy.h"

static ssize_t read_source(const struct wal_copy *copy, const struct wal_copy_source *source,
			   uint64_t at)
{
	uint64_t left = source->bytes - at;
	size_t size = left < WAL_COPY_CHUNK ? (size_t)left : WAL_COPY_CHUNK;
	ssize_t n = source->fd >= 0
			    ? wal_pread_full(source->fd, copy->chunk, size, (off_t)at)
			    : wal_segment_reader_image(source->reader, copy->chunk, size, at);

	return n == 0 ? -EUCLEAN : n; /* it is shorter by now */
}

/* Return: bytes; -errno. */
static ssize_t copy_some(const struct wal_copy *copy, const struct wal_copy_source *source, int fd,
			 uint64_t at)
{
	uint64_t left = source->bytes - at;
	ssize_t n = 0;
	int err;

	if (source->fd >= 0)
		n = copy->io->copy_range(copy->io, source->fd, fd, (off_t)at,
					 left < WAL_COPY_CHUNK ? (size_t)left : WAL_COPY_CHUNK);
	if (n > 0 || wal_is_no_space((int)n))
		return n;
	n = read_source(copy, source, at);
	if (n < 0)
		return n;
	err = copy->io->pwrite(copy->io, fd, copy->chunk, (size_t)n, (off_t)at);
	return err ? err : n;
}

static int copy_bytes(const struct wal_copy *copy, const struct wal_copy_source *source, int fd)
{
	uint64_t at = 0;

	while (at < source->bytes) {
		ssize_t n = copy_some(copy, source, fd, at);

		if (n < 0)
			return (int)n;
		at += (uint64_t)n;
		if (copy->progress && !copy->progress(copy->ctx, source->place->index, (uint64_t)n))
			return -ECANCELED;
	}
	return 0;
}

int wal_copy_has_bytes(const struct wal_copy *copy, const struct wal_copy_source *source, int fd)
{
	uint8_t *other = malloc(WAL_COPY_CHUNK);
	uint64_t at = 0;
	int same = other ? 1 : -ENOMEM;

	while (same > 0 && at < source->bytes) {
		ssize_t n = read_source(copy, source, at);

		if (n < 0)
			same = (int)n;
		else
			same = wal_pread_full(fd, other, (size_t)n, (off_t)at) == n &&
			       memcmp(other, copy->chunk, (size_t)n) == 0;
		at += n > 0 ? (uint64_t)n : 0;
	}
	free(other);
	return same;
}

int wal_copy_make_file(const struct wal_copy *copy, const struct wal_copy_source *source)
{
	const struct wal_io *io = copy->io;
	int err = io->unlink(io, copy->dirfd, source->name); /* of a run that was cut off */
	int fd;

	if (err && err != -ENOENT)
		return err;
	fd = io->open(io, copy->dirfd, source->name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	/* What may be appended to has real blocks. */
	err = source->fd < 0 ? io->allocate(io, fd, 0, (off_t)source->bytes) : 0;
	if (!err)
		err = copy_bytes(copy, source, fd);
	if (!err)
		err = wal_sync_error(io->fdatasync(io, fd));
	if (!err)
		return fd;
	close(fd);
	io->unlink(io, copy->dirfd, source->name);
	return err;
}

int wal_copy_check_file(const struct wal_copy *copy, const struct wal_copy_source *source, int fd,
			struct wal_verify_result *found)
{
	const struct wal_verify_options options = {.flags = WAL_READ_DIRECT};
	int err = wal_verify_segment(copy->dirfd, source->name, source->place->index, &options,
				     found);
	int same;

	if (err || !found->faults)
		return err;
	same = wal_copy_has_bytes(copy, source, fd);
	return same > 0 ? 0 : same < 0 ? same : -EIO;
}
