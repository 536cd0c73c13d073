/* SPDX-License-Identifier: MIT */
/* Of the file system: statfs, and the flags that lsattr shows. */
#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

#include "walfs.h"

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
