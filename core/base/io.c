/* SPDX-License-Identifier: MIT */
#include "core/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"

/*
 * Root may write to another user's store: that user is to be able to open what was made there.
 * Where it cannot be given away (root of a container, a network) it stays root's.
 */
static void give_to_owner(int dirfd, int fd)
{
	struct stat dir;

	if (geteuid() == 0 && fstat(dirfd, &dir) == 0 && dir.st_uid != 0 &&
	    fchown(fd, dir.st_uid, dir.st_gid))
		return;
}

/*
 * A umask may take away what the owner needs to read its own files. fd may be an O_PATH one.
 * Return: 0 or -errno.
 */
static int set_mode_of_new(int fd, mode_t mode)
{
	char link[64];
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if ((st.st_mode & S_IRWXU) == (mode & S_IRWXU))
		return 0;
	if (fchmod(fd, mode) == 0)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return errno == EBADF && chmod(link, mode) == 0 ? 0 : -errno;
}

static int io_open(const struct wal_io *io, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	(void)io;
	do {
		fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return -errno;
	/* Only what is new for sure: the user may have put a link to somebody's file there. */
	if (flags & O_CREAT && flags & O_EXCL) {
		int err = set_mode_of_new(fd, mode);

		if (err) {
			close(fd);
			return err;
		}
		give_to_owner(dirfd, fd);
	}
	return fd;
}

static int io_mkdir(const struct wal_io *io, const char *path, mode_t mode)
{
	int fd, err;

	(void)io;
	if (mkdir(path, mode))
		return -errno;
	/* Not by its name again: that may be a link by now. */
	fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = set_mode_of_new(fd, mode);
	close(fd);
	return err;
}

static int io_fchmod(const struct wal_io *io, int fd, mode_t mode)
{
	(void)io;
	return fchmod(fd, mode) ? -errno : 0;
}

static int io_allocate(const struct wal_io *io, int fd, off_t offset, off_t size)
{
	int err;

	(void)io;
	/* posix_fallocate writes zeros where the file system has no fallocate. */
	do {
		err = posix_fallocate(fd, offset, size);
	} while (err == EINTR);
	return -err;
}

static int io_pwrite(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset)
{
	const char *p = buf;

	(void)io;
	while (size > 0) {
		ssize_t n = pwrite(fd, p, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		p += n;
		size -= (size_t)n;
		offset += n;
	}
	return 0;
}

/*
 * A file system that knows says so: others take the flag and go through the page cache all
 * the same (ext4 with data=journal), or want more than our alignment.
 */
static bool cannot_be_direct(int fd)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) || !(stx.stx_mask & STATX_DIOALIGN))
		return false;
	return stx.stx_dio_offset_align == 0 || stx.stx_dio_offset_align > WAL_DIRECT_ALIGN ||
	       stx.stx_dio_mem_align > WAL_DIRECT_ALIGN;
#else
	(void)fd;
	return false;
#endif
}

/*
 * The one descriptor that was checked, and not another one of that name: so the flag comes
 * and goes. Nobody else uses a descriptor that this is done to. Return: its flags; -EOPNOTSUPP.
 */
static int begin_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || cannot_be_direct(fd) || fcntl(fd, F_SETFL, flags | O_DIRECT))
		return -EOPNOTSUPP;
	return flags;
}

static ssize_t end_direct(int fd, int flags, ssize_t result)
{
	if (!(flags & O_DIRECT))
		fcntl(fd, F_SETFL, flags);
	return result == -EINVAL ? -EOPNOTSUPP : result;
}

#define SMALLEST_SECTOR 512u

/*
 * A buffer that can be used past the page cache: the caller's, or one that stands for it (a
 * sanitizer's stack does not keep a variable's alignment). Return: NULL without memory.
 */
static void *direct_buffer(const void *buf, size_t size)
{
	void *aligned;

	if ((uintptr_t)buf % WAL_DIRECT_ALIGN == 0)
		return (void *)(uintptr_t)buf;
	return posix_memalign(&aligned, WAL_DIRECT_ALIGN, size) ? NULL : aligned;
}

/*
 * Goes on after a short read, which ends at a sector; where that cannot be, it was the end of
 * the file. Return: bytes, less at the end of the file; -errno.
 */
static ssize_t pread_all(int fd, void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size && done % SMALLEST_SECTOR == 0) {
		ssize_t n = pread(fd, (char *)buf + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && done > 0)
			break;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static ssize_t io_pread_direct(const struct wal_io *io, int fd, void *buf, size_t size,
			       off_t offset)
{
	void *aligned = direct_buffer(buf, size);
	int flags = aligned ? begin_direct(fd) : -ENOMEM;
	ssize_t n = flags;

	(void)io;
	if (flags >= 0) {
		n = pread_all(fd, aligned, size, offset);
		n = end_direct(fd, flags, n);
	}
	if (aligned != buf) {
		if (n > 0)
			memcpy(buf, aligned, (size_t)n);
		free(aligned);
	}
	return n;
}

static int io_pwrite_direct(const struct wal_io *io, int fd, const void *buf, size_t size,
			    off_t offset)
{
	void *aligned = direct_buffer(buf, size);
	int flags = aligned ? begin_direct(fd) : -ENOMEM;
	int err = flags;

	if (aligned && aligned != buf)
		memcpy(aligned, buf, size);
	if (flags >= 0)
		err = (int)end_direct(fd, flags, io_pwrite(io, fd, aligned, size, offset));
	if (aligned != buf)
		free(aligned);
	return err;
}

static int io_zero_range(const struct wal_io *io, int fd, off_t offset, off_t size)
{
	int err;

	(void)io;
	do {
		err = fallocate(fd, FALLOC_FL_ZERO_RANGE, offset, size) ? -errno : 0;
	} while (err == -EINTR);
	return err == -EINVAL || err == -ENOSYS ? -EOPNOTSUPP : err;
}

static int io_truncate(const struct wal_io *io, int fd, off_t size)
{
	(void)io;
	while (ftruncate(fd, size)) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Never called again after an error: the kernel may then report success. */
static int io_fdatasync(const struct wal_io *io, int fd)
{
	(void)io;
	return fdatasync(fd) ? -errno : 0;
}

static int io_fsync(const struct wal_io *io, int fd)
{
	(void)io;
	return fsync(fd) ? -errno : 0;
}

static int io_rename(const struct wal_io *io, int dirfd, const char *from, const char *to)
{
	(void)io;
	if (renameat2(dirfd, from, dirfd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without RENAME_NOREPLACE: link() does not replace either. */
	if (linkat(dirfd, from, dirfd, to, 0))
		return -errno;
	return unlinkat(dirfd, from, 0) ? -errno : 0;
}

static int io_replace(const struct wal_io *io, int dirfd, const char *from, const char *to)
{
	(void)io;
	return renameat(dirfd, from, dirfd, to) ? -errno : 0;
}

static ssize_t io_copy_range(const struct wal_io *io, int from, int to, off_t offset, size_t size)
{
	off_t at = offset;
	ssize_t n = copy_file_range(from, &offset, to, &at, size, 0);

	(void)io;
	return n < 0 ? -errno : n;
}

static int io_unlink(const struct wal_io *io, int dirfd, const char *name)
{
	(void)io;
	return unlinkat(dirfd, name, 0) ? -errno : 0;
}

static uint64_t io_now_ns(const struct wal_io *io)
{
	(void)io;
	return wal_clock_realtime_ns();
}

static int io_populate(const struct wal_io *io, void *start, size_t size)
{
	(void)io;
#ifdef MADV_POPULATE_WRITE
	return madvise(start, size, MADV_POPULATE_WRITE) ? -errno : 0;
#else
	(void)start;
	(void)size;
	return -EINVAL;
#endif
}

static uint64_t io_passed_ns(const struct wal_io *io)
{
	struct timespec now;

	(void)io;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A quota does not show here. Root may take what is reserved, others may not. */
static uint64_t io_free_bytes(const struct wal_io *io, int dirfd)
{
	struct statvfs st;

	(void)io;
	if (fstatvfs(dirfd, &st) || st.f_blocks == 0)
		return UINT64_MAX;
	return (uint64_t)st.f_frsize * (geteuid() == 0 ? st.f_bfree : st.f_bavail);
}

const struct wal_io wal_io_system = {
	.open = io_open,
	.mkdir = io_mkdir,
	.fchmod = io_fchmod,
	.allocate = io_allocate,
	.pwrite = io_pwrite,
	.pread_direct = io_pread_direct,
	.pwrite_direct = io_pwrite_direct,
	.zero_range = io_zero_range,
	.truncate = io_truncate,
	.fdatasync = io_fdatasync,
	.fsync = io_fsync,
	.rename = io_rename,
	.replace = io_replace,
	.copy_range = io_copy_range,
	.unlink = io_unlink,
	.now_ns = io_now_ns,
	.populate = io_populate,
	.passed_ns = io_passed_ns,
	.free_bytes = io_free_bytes,
};

ssize_t wal_pread_full(int fd, void *buf, size_t size, off_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pread(fd, (char *)buf + done, size - done, offset + (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}
