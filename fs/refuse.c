/* SPDX-License-Identifier: MIT */
/*
 * The refusals. Each has its errno here; ENOSYS is none of them, because the kernel would
 * remember it for the life of the mount.
 */
#include <errno.h>
#include <linux/falloc.h>

#include "walfs.h"

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
	int err = wal_log_segment_known(log, wal_log_current(log), &info);

	(void)ino;
	(void)fi;
	if (err) {
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
