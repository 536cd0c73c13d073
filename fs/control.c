/* SPDX-License-Identifier: MIT */
/*
 * The rest: what the connection can do, statfs, lsattr, and the refusals. Each
 * refusal has its errno here; ENOSYS is none of them, because the kernel would
 * remember it for the life of the mount.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

#include "walfs.h"

/* A RELEASE waits behind background reads if there are this many of them. */
#define MAX_BACKGROUND 4096

void walfs_init(void *userdata, struct fuse_conn_info *conn)
{
	(void)userdata;
	conn->max_write = WALFS_IO_MAX;
	conn->max_background = MAX_BACKGROUND;
	/* the parts of one large asynchronous write could be answered in any order */
	conn->want &= ~(unsigned)FUSE_CAP_ASYNC_DIO;
	/* sealed files never change; `current` is not cached */
	conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
}

void walfs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs st;

	(void)ino;
	if (fstatvfs(wal_log_dirfd(walfs_of(req)->log), &st) < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_statfs(req, &st);
}

/* --- lsattr ------------------------------------------------------------------------- */

static unsigned inode_flags(fuse_ino_t ino)
{
	switch (walfs_ino_kind(ino)) {
	case WALFS_CURRENT:
		return FS_APPEND_FL;
	default:
		return FS_IMMUTABLE_FL;
	}
}

static unsigned inode_xflags(fuse_ino_t ino)
{
	return inode_flags(ino) == FS_APPEND_FL ? FS_XFLAG_APPEND : FS_XFLAG_IMMUTABLE;
}

void walfs_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi,
		 unsigned flags, const void *in, size_t in_size, size_t out_size)
{
	const struct fsxattr extended = {.fsx_xflags = inode_xflags(ino)};
	unsigned long value = inode_flags(ino); /* the kernel asks for an int or a long */

	(void)arg;
	(void)fi;
	(void)flags;
	(void)in;
	(void)in_size;
	if (cmd == FS_IOC_GETFLAGS && out_size <= sizeof(value))
		fuse_reply_ioctl(req, 0, &value, out_size);
	else if (cmd == FS_IOC_FSGETXATTR && out_size <= sizeof(extended))
		fuse_reply_ioctl(req, 0, &extended, out_size);
	else if (cmd == FS_IOC_SETFLAGS || cmd == FS_IOC_FSSETXATTR)
		fuse_reply_err(req, EPERM);
	else
		fuse_reply_err(req, ENOTTY);
}

/* --- fallocate ------------------------------------------------------------------------ */

/*
 * An append-only file may be allocated ahead, and made longer with zeros. A segment is
 * allocated when it is prepared: so there is nothing to do as far as it goes. Zeros that
 * nobody wrote are no events.
 */
void walfs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
		     struct fuse_file_info *fi)
{
	struct wal_log *log = walfs_of(req)->log;
	struct wal_segment_info info;
	uint64_t end = (uint64_t)offset + (uint64_t)length, limit;
	int error = wal_log_segment_known(log, wal_log_current(log), &info);

	(void)ino;
	(void)fi;
	if (error) {
		fuse_reply_err(req, EIO);
		return;
	}
	limit = mode & FALLOC_FL_KEEP_SIZE ? info.file_bytes : info.payload_bytes;
	if (mode & ~FALLOC_FL_KEEP_SIZE || end > limit)
		fuse_reply_err(req, EPERM);
	else
		fuse_reply_err(req, 0);
}

/* --- refusals ------------------------------------------------------------------------- */

void walfs_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)rdev;
	fuse_reply_err(req, EPERM);
}

void walfs_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	(void)parent;
	(void)name;
	(void)mode;
	fuse_reply_err(req, EPERM);
}

void walfs_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

void walfs_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

void walfs_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	(void)target;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

void walfs_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		  const char *new_name, unsigned flags)
{
	(void)parent;
	(void)name;
	(void)new_parent;
	(void)new_name;
	(void)flags;
	fuse_reply_err(req, EPERM);
}

void walfs_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	(void)ino;
	(void)parent;
	(void)name;
	fuse_reply_err(req, EPERM);
}

void walfs_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  struct fuse_file_info *fi)
{
	(void)parent;
	(void)name;
	(void)mode;
	(void)fi;
	fuse_reply_err(req, EPERM);
}
