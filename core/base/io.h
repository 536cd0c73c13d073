/* SPDX-License-Identifier: MIT */
/*
 * The one seam between libwal and the system: every call that changes what is
 * on disk, and the clock. A test gives its own table, to fail call N or to cut
 * the power there (the idea is littlefs's emulated block device). Reads do not
 * go through it, but for those past the page cache; stores into a mapping cannot.
 *
 * Each function returns 0 (or a descriptor) or a negative errno, and restarts
 * after EINTR where that is safe.
 */
#ifndef WALFS_CORE_IO_H
#define WALFS_CORE_IO_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Of offsets and sizes past the page cache; a buffer that is not aligned so is copied. */
#define WAL_DIRECT_ALIGN 4096u

struct wal_io {
	/*
	 * Made with O_EXCL by root, it belongs to whom the directory belongs to. The mode of what
	 * is new is the one given, whatever the umask.
	 */
	int (*open)(const struct wal_io *io, int dirfd, const char *name, int flags, mode_t mode);
	int (*mkdir)(const struct wal_io *io, const char *path, mode_t mode);
	int (*fchmod)(const struct wal_io *io, int fd, mode_t mode);
	/* Real blocks for all of offset..offset+size, never a hole. */
	int (*allocate)(const struct wal_io *io, int fd, off_t offset, off_t size);
	/* All size bytes, or an error. */
	int (*pwrite)(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset);
	/*
	 * Past the page cache: what the disk has, and what reaches it. All is a multiple of
	 * WAL_DIRECT_ALIGN. Return: bytes, less at the end of the file; 0 for all of them;
	 * -EOPNOTSUPP where the file system cannot: nothing was done. See core/base/direct.h.
	 */
	ssize_t (*pread_direct)(const struct wal_io *io, int fd, void *buf, size_t size,
				off_t offset);
	int (*pwrite_direct)(const struct wal_io *io, int fd, const void *buf, size_t size,
			     off_t offset);
	/*
	 * Zeros, in real blocks, whatever the page cache or the disk had there.
	 * Return: 0; -EOPNOTSUPP; -ENOSPC ...
	 */
	int (*zero_range)(const struct wal_io *io, int fd, off_t offset, off_t size);
	int (*truncate)(const struct wal_io *io, int fd, off_t size);
	/*
	 * Makes all pages of a mapping present and writable; their bytes stay. Return: 0;
	 * -EFAULT where a store would raise SIGBUS; -EINVAL: Linux before 5.14 cannot.
	 */
	int (*populate)(const struct wal_io *io, void *start, size_t size);
	int (*fdatasync)(const struct wal_io *io, int fd);
	int (*fsync)(const struct wal_io *io, int fd); /* directories */
	/* Never replaces an existing name. */
	int (*rename)(const struct wal_io *io, int dirfd, const char *from, const char *to);
	/* Gives a file the name of another, which is gone then: at each moment one has it. */
	int (*replace)(const struct wal_io *io, int dirfd, const char *from, const char *to);
	/*
	 * Some of the bytes of a file to the same place of another, by what the file systems have
	 * for that. Return: how many; 0, -errno: as well as nothing was done.
	 */
	ssize_t (*copy_range)(const struct wal_io *io, int from, int to, off_t offset, size_t size);
	int (*unlink)(const struct wal_io *io, int dirfd, const char *name);
	uint64_t (*now_ns)(const struct wal_io *io); /* Unix time */
	/* Since some moment, while the machine sleeps, too, and whatever the clock is set to. */
	uint64_t (*passed_ns)(const struct wal_io *io);
	/* What this process may still allocate there, at most; UINT64_MAX: not known. */
	uint64_t (*free_bytes)(const struct wal_io *io, int dirfd);
};

extern const struct wal_io wal_io_system;

static inline const struct wal_io *wal_io_or_system(const struct wal_io *io)
{
	return io ? io : &wal_io_system;
}

/* An error that goes away when somebody makes room. */
static inline bool wal_is_no_space(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

/*
 * As <walfs/wal.h> promises it: what the caller can do something about, or EIO. The
 * system's own error says where and why: it goes into a notice.
 */
static inline int wal_public_error(int err)
{
	switch (err) {
	case 0:
	case -ENOSPC:
	case -EDQUOT:
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EROFS:
	case -EOVERFLOW:
		return err;
	default:
		return -EIO;
	}
}

/*
 * Of a sync that failed, whatever for: what it should have taken to the disk may be gone
 * from memory, too. It must never look like something to be tried again.
 */
static inline int wal_sync_error(int err)
{
	return wal_is_no_space(err) ? -EIO : err;
}

/* An error of the process or the machine, which says nothing about the file. */
static inline bool wal_is_out_of_resources(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EINTR;
}

/* The disk or its file system does not give the bytes back. */
static inline bool wal_is_media_error(int err)
{
	return err == -EIO || err == -ENODATA || err == -EUCLEAN || err == -EBADMSG;
}

/* pread that restarts and goes on until size or the end. Return: bytes or -errno. */
ssize_t wal_pread_full(int fd, void *buf, size_t size, off_t offset);

#endif
