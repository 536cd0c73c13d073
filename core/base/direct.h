/* SPDX-License-Identifier: MIT */
/*
 * What has to be on the disk, whatever the page cache says.
 *
 * After a write-back that failed, the page cache holds bytes that the disk does not, and takes
 * them for clean. ext4 even takes them again, answers fdatasync with 0, and the disk goes on
 * reading zeros (a page of a preallocated extent that was not converted). So what may have met
 * such a failure is written past the page cache, and read back from the disk.
 *
 * Where a file system has no such way (docs/DESIGN.md, D35), they are written through the page
 * cache, synced, dropped from it and read back as far as it lets go of them.
 */
#ifndef WALFS_CORE_DIRECT_H
#define WALFS_CORE_DIRECT_H

#include "core/base/io.h"

/*
 * Reads what the disk has; buf, size and offset as io->pread_direct() wants them.
 * Return: bytes (less at the end of the file) or -errno.
 */
ssize_t wal_direct_read(const struct wal_io *io, int fd, void *buf, size_t size, off_t offset);

/* The same, but -EOPNOTSUPP where there is no such way: then the page cache keeps its bytes. */
ssize_t wal_direct_read_only(const struct wal_io *io, int fd, void *buf, size_t size, off_t offset);

/*
 * Writes and reads back; the caller syncs. What of the range is there already and stays the
 * same is there at each moment: nothing is zeroed first. buf, size, offset as above.
 * Return: 0; -EIO if other bytes came back; -ENOSPC, -EDQUOT, -ENOMEM ...
 */
int wal_direct_write(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset);

/* Writes what the file has in from..to once more, from the start of from's page on. */
int wal_direct_write_again(const struct wal_io *io, int fd, uint64_t from, uint64_t to);

/* Makes from..to zero, of which nothing was promised; from and to as offsets above. */
int wal_direct_zero(const struct wal_io *io, int fd, uint64_t from, uint64_t to);

#endif
