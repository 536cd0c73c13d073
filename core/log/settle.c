/* SPDX-License-Identifier: MIT */
#include "core/log/settle.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>

void wal_log_note_writing(struct wal_log *log, int err)
{
	wal_log_assert_locked(log);
	if (err && !log->writing_error)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%010" PRIu32 ".wal: no space to write into it: %s; writes fail "
			       "until there is",
			       log->path, log->writer.header.index, strerror(-err));
	else if (!err && log->writing_error)
		wal_log_notice(log, WAL_NOTICE_INFO, "%s: there is space again; writing goes on",
			       log->path);
	log->writing_error = err;
}

/* Return: 0, or what the callers of append() get. */
static int note_result(struct wal_log *log, const char *what, int err)
{
	if (!err || wal_is_no_space(err))
		return err;
	wal_log_fail(log, log->writer.header.index, what, err);
	return -EIO;
}

int wal_log_settle(struct wal_log *log, uint64_t *lost_bytes)
{
	struct wal_segment_writer *w = &log->writer;
	const char *what = w->err ? "writing" : "its mapping";
	int err = wal_segment_writer_settle(w, lost_bytes);

	wal_log_assert_locked(log);
	if (wal_is_no_space(err))
		wal_log_note_writing(log, err);
	return note_result(log, what, err);
}

/* ZFS is not in the kernel's headers. */
#define ZFS_MAGIC 0x2fc12fc1
#define BCACHEFS_MAGIC 0xca451a4e

/* Where what is written over goes elsewhere, and so needs space; NULL: nothing says so. */
static const char *copy_on_write_name(int dirfd)
{
	struct statfs st;
	int flags = 0;

	if (fstatfs(dirfd, &st))
		return NULL;
	switch ((uint32_t)st.f_type) {
	case BTRFS_SUPER_MAGIC:
		return ioctl(dirfd, FS_IOC_GETFLAGS, &flags) == 0 && flags & FS_NOCOW_FL ? NULL
											 : "btrfs";
	case BCACHEFS_MAGIC:
		return "bcachefs";
	case NILFS_SUPER_MAGIC:
		return "nilfs2";
	case ZFS_MAGIC:
		return "zfs";
	default:
		return NULL;
	}
}

void wal_log_tell_copy_on_write(struct wal_log *log)
{
	const char *name = copy_on_write_name(log->dirfd);

	if (name)
		wal_log_notice(log, WAL_NOTICE_INFO,
			       "%s: is on %s, which writes elsewhere what is written over: on a "
			       "full disk a write can fail though its segment has room",
			       log->path, name);
}

int wal_log_clear(struct wal_log *log)
{
	wal_log_assert_locked(log);
	return note_result(log, "writing", wal_segment_writer_clear(&log->writer));
}
