/* SPDX-License-Identifier: MIT */
/* What stat() says. */
#include <sys/stat.h>
#include <time.h>

#include "walfs.h"

#define BLOCK_SIZE 4096

static struct timespec to_timespec(uint64_t time_ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(time_ns / 1000000000),
		.tv_nsec = (long)(time_ns % 1000000000),
	};
}

mode_t walfs_stat_mode(const struct walfs *fs, fuse_ino_t ino)
{
	mode_t readable = fs->options.mode & 0444;

	switch (walfs_ino_kind(ino)) {
	case WALFS_ROOT:
	case WALFS_EVENTS_DIR:
	case WALFS_REPORT_DIR:
		return S_IFDIR | readable | readable >> 2;
	case WALFS_CURRENT:
		return S_IFREG | fs->options.mode;
	default:
		return S_IFREG | readable;
	}
}

static struct stat stat_base(const struct walfs *fs, fuse_ino_t ino, uint64_t time_ns)
{
	struct stat st = {
		.st_ino = walfs_stat_ino(ino),
		.st_mode = walfs_stat_mode(fs, ino),
		.st_nlink = 1,
		.st_uid = fs->options.uid,
		.st_gid = fs->options.gid,
		.st_blksize = BLOCK_SIZE,
	};

	st.st_mtim = st.st_atim = st.st_ctim = to_timespec(time_ns);
	return st;
}

struct stat walfs_stat_file(const struct walfs *fs, fuse_ino_t ino, uint64_t size, uint64_t time_ns)
{
	struct stat st = stat_base(fs, ino, time_ns);

	st.st_size = (off_t)size;
	/* events/ takes no space of its own */
	if (walfs_ino_kind(ino) != WALFS_EVENTS)
		st.st_blocks = (blkcnt_t)((size + 511) / 512);
	return st;
}

/* A directory's time is that of the last rotation. */
struct stat walfs_stat_directory(struct walfs *fs, fuse_ino_t ino)
{
	struct wal_segment_info info;
	struct stat st;

	if (wal_log_segment_known(fs->log, wal_log_current(fs->log), &info))
		info.created_ns = 0;
	st = stat_base(fs, ino, info.created_ns);
	st.st_nlink = ino == FUSE_ROOT_ID ? 4 : 2;
	return st;
}

/*
 * Metrics and status are made when they are opened, and only then have a size: the
 * one that the program will read. Each lookup is an inode of its own, so that two
 * programs that have them open each see the size of their own.
 */
struct stat walfs_stat_report(struct walfs *fs, fuse_ino_t ino)
{
	const struct walfs_handle *handle = walfs_handle_find(fs, ino);
	uint64_t size = handle ? atomic_load(&handle->size) : 0;
	uint64_t time_ns = handle ? atomic_load(&handle->time_ns) : 0;
	struct timespec now;

	if (!time_ns) {
		clock_gettime(CLOCK_REALTIME, &now);
		time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	}
	return walfs_stat_file(fs, ino, size, time_ns);
}

struct stat walfs_stat_segment(const struct walfs *fs, fuse_ino_t ino,
			       const struct wal_segment_info *info)
{
	bool raw = walfs_ino_kind(ino) == WALFS_SEALED;
	uint64_t time_ns = info->closed_ns ? info->closed_ns : info->last_ns;

	if (walfs_ino_kind(ino) == WALFS_CURRENT)
		time_ns = info->last_ns;
	return walfs_stat_file(fs, ino, raw ? info->file_bytes : info->payload_bytes, time_ns);
}

bool walfs_stat_active(const struct walfs *fs, fuse_ino_t *ino, struct stat *st)
{
	struct wal_log_position position;
	uint32_t segment;

	wal_log_position(fs->log, &position);
	/* of a read-only log there may be none, or one that cannot be looked at */
	segment = position.segment ? position.segment : wal_log_current(fs->log);
	*ino = walfs_ino(WALFS_CURRENT, segment, walfs_ino_lookup(*ino));
	if (segment != position.segment)
		return false;
	*st = walfs_stat_file(fs, *ino, position.payload_bytes, position.last_ns);
	return true;
}
