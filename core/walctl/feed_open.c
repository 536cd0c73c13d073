/* SPDX-License-Identifier: MIT */
/* A feed's directory or mount, and the segment that it has open. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "feed.h"

#define ACTIVE_FILE ".walfs/active.wal"
#ifndef FUSE_SUPER_MAGIC /* headers before those of Linux 5.16 or so */
#define FUSE_SUPER_MAGIC 0x65735546
#endif

struct wal_segment_source feed_active_source(const struct feed *feed)
{
	return (struct wal_segment_source){.dirfd = feed->dirfd, .name = ACTIVE_FILE};
}

void feed_let_go(struct feed *feed)
{
	wal_segment_reader_close(feed->reader);
	feed->reader = NULL;
	feed->at_fault = false;
	feed->has_pending = false;
}

/* --- the directory ---------------------------------------------------------------------- */

static void watch(struct feed *feed)
{
	const uint32_t what = IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_ONLYDIR;

	if (feed->watch < 0)
		feed->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (feed->watch >= 0)
		inotify_add_watch(feed->watch, feed->path, what);
}

/* The daemon of a mount ended, and another may come. */
bool feed_is_gone(const struct feed *feed, int err)
{
	return feed->is_mount && (err == ENOTCONN || err == ECONNABORTED || err == ENODEV);
}

void feed_leave_mount(struct feed *feed)
{
	feed_let_go(feed);
	if (feed->dirfd >= 0)
		close(feed->dirfd);
	feed->dirfd = -1;
	complain(feed->path, "note: its walfs has ended; waiting until it is mounted again");
}

/* Return: whether a walfs is mounted there. */
bool feed_enter_mount(struct feed *feed)
{
	struct statfs fs;
	int fd = open(feed->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (fstatfs(fd, &fs) || fs.f_type != FUSE_SUPER_MAGIC ||
	    faccessat(fd, "current", F_OK, 0)) {
		close(fd);
		return false;
	}
	feed->dirfd = fd;
	watch(feed);
	return true;
}

/* Sorted; of a mount the finished ones. Return: 0 or -errno. */
int feed_list(const struct feed *feed, struct wal_store_info *info)
{
	struct wal_error error = {0};
	int result = wal_store_info_read(feed->path, info, &error);

	return result == -ENOTEMPTY && feed->is_mount ? 0 : result;
}

enum status feed_open(struct feed *feed, const char *path)
{
	struct wal_store_info info = {0};
	struct wal_error error = {0};
	int result;

	*feed = (struct feed){.path = path, .dirfd = -1, .watch = -1};
	feed->is_mount = feed_enter_mount(feed) && faccessat(feed->dirfd, "wal.meta", F_OK, 0);
	result = wal_store_info_read(path, &info, &error);
	if (result && !(result == -ENOTEMPTY && feed->is_mount)) {
		if (error.text[0])
			complain(NULL, "%s", error.text);
		else
			complain_errno(path, -result);
		return STATUS_TROUBLE;
	}
	feed->has_log = info.meta_valid;
	memcpy(feed->log, info.log, sizeof(feed->log));
	wal_store_info_destroy(&info);
	if (feed->dirfd < 0)
		feed->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (feed->dirfd < 0) {
		complain_errno(path, errno);
		return STATUS_TROUBLE;
	}
	watch(feed);
	return STATUS_SOUND;
}

void feed_close(struct feed *feed)
{
	feed_let_go(feed);
	if (feed->dirfd >= 0)
		close(feed->dirfd);
	if (feed->watch >= 0)
		close(feed->watch);
}

/* --- a segment ---------------------------------------------------------------------------- */

/* Events of another log are never given out as this one's. */
static int check_log(struct feed *feed, const struct wal_segment_info *info,
		     struct wal_fault *fault)
{
	if (!wal_segment_says_log(info))
		return 0;
	if (!feed->has_log) {
		memcpy(feed->log, info->log, sizeof(feed->log));
		feed->has_log = true;
	}
	if (memcmp(feed->log, info->log, sizeof(feed->log)) == 0)
		return 0;
	*fault = (struct wal_fault){
		.kind = WAL_FAULT_OTHER_LOG, .segment = info->index, .block = WAL_NO_BLOCK};
	return wal_fault_errno(fault->kind);
}

/* In place of the one that is open, which stays if it fails. */
static int open_source(struct feed *feed, const struct wal_segment_source *source,
		       struct wal_fault *fault)
{
	const char *looked_at = source->index ? source->name : "current";
	struct wal_segment_reader *reader;
	struct stat seen;
	int result;

	memset(fault, 0, sizeof(*fault));
	if (fstatat(feed->dirfd, looked_at, &seen, AT_SYMLINK_NOFOLLOW))
		return -errno;
	result = wal_segment_reader_open(source, &reader, fault);
	if (!result)
		result = check_log(feed, wal_segment_reader_info(reader), fault);
	if (result) {
		wal_segment_reader_close(reader);
		return result;
	}
	feed_let_go(feed);
	feed->reader = reader;
	feed->seen = seen;
	feed->is_active = !source->index;
	return 0;
}

int feed_open_active(struct feed *feed, struct wal_fault *fault)
{
	const struct wal_segment_source source = feed_active_source(feed);

	return open_source(feed, &source, fault);
}

/* Of a mount: is this the segment that is active now? */
static bool is_current(const struct feed *feed, uint32_t index)
{
	char text[24] = "";
	uint64_t current;
	int fd = openat(feed->dirfd, "current", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : fgetxattr(fd, "user.wal.segment", text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	text[size > 0 ? size : 0] = '\0';
	return parse_number(text, &current) && current == index;
}

/* The file of a segment; of a mount that may be the active one. Return: 0; -ENOENT ... */
int feed_open_index(struct feed *feed, uint32_t index, struct wal_fault *fault)
{
	char name[WAL_NAME_MAX];
	const struct wal_segment_source source = {
		.dirfd = feed->dirfd, .name = name, .index = index};
	int result;

	wal_segment_name(index, name);
	result = open_source(feed, &source, fault);
	if (result == -ENOENT && feed->is_mount && is_current(feed, index))
		result = feed_open_active(feed, fault);
	return result;
}

/* What is wrong with it, but not what only is not there. */
enum feed_result feed_complain(struct feed *feed, uint32_t index, int err,
			       const struct wal_fault *fault)
{
	char name[WAL_NAME_MAX], *file;

	if (feed_is_gone(feed, -err)) {
		feed_leave_mount(feed);
		return FEED_WAIT;
	}
	wal_segment_name(index, name);
	if (asprintf(&file, "%s/%s", feed->path, name) < 0)
		die_no_memory();
	complain_segment(file, err, fault ? fault : &(struct wal_fault){0});
	free(file);
	return FEED_TROUBLE;
}
