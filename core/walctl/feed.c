/* SPDX-License-Identifier: MIT */
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

#define LOOK_SECONDS 2
#define TRIES 20 /* what is listed may be gone before it is opened */

static struct wal_segment_source active_source(const struct feed *feed)
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
static bool is_gone(const struct feed *feed, int err)
{
	return feed->is_mount && (err == ENOTCONN || err == ECONNABORTED || err == ENODEV);
}

static void leave_mount(struct feed *feed)
{
	feed_let_go(feed);
	if (feed->dirfd >= 0)
		close(feed->dirfd);
	feed->dirfd = -1;
	complain(feed->path, "note: its walfs has ended; waiting until it is mounted again");
}

/* Return: whether a walfs is mounted there. */
static bool enter_mount(struct feed *feed)
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
	feed->is_mount = enter_mount(feed) && faccessat(feed->dirfd, "wal.meta", F_OK, 0);
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
	const struct wal_segment_source source = active_source(feed);

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
static enum feed_result complain_feed(struct feed *feed, uint32_t index, int err,
				      const struct wal_fault *fault)
{
	char name[WAL_NAME_MAX], *file;

	if (is_gone(feed, -err)) {
		leave_mount(feed);
		return FEED_WAIT;
	}
	wal_segment_name(index, name);
	if (asprintf(&file, "%s/%s", feed->path, name) < 0)
		die_no_memory();
	complain_segment(file, err, fault ? fault : &(struct wal_fault){0});
	free(file);
	return FEED_TROUBLE;
}

/* --- looking for the next event ---------------------------------------------------------- */

/* From now on it gives what is from next_id on. Return: FEED_EVENT: it can be asked. */
static enum feed_result settle(struct feed *feed)
{
	const struct wal_segment_info *info = wal_segment_reader_info(feed->reader);

	feed->index = info->index;
	if (info->first_event > feed->next_id) {
		feed->gap = (struct gap){.first = feed->next_id, .last = info->first_event - 1};
		feed->next_id = info->first_event;
		return FEED_LOST;
	}
	if (wal_segment_reader_seek_event(feed->reader, feed->next_id)) /* damage on the way */
		wal_segment_reader_seek_event(feed->reader, 0);
	return FEED_EVENT;
}

static bool first_id(struct feed *feed, uint32_t index, uint64_t *id)
{
	struct wal_fault fault;

	if (feed_open_index(feed, index, &fault))
		return false;
	*id = wal_segment_reader_info(feed->reader)->first_event;
	return true;
}

/* The last of the list that begins at or before next_id; one that cannot say that is passed. */
static size_t find(struct feed *feed, const struct wal_store_info *info)
{
	size_t low = 0, high = info->segment_count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2, probe = middle;
		uint64_t first = UINT64_MAX;

		while (probe < high && !first_id(feed, info->segments[probe], &first))
			probe++;
		if (probe < high && first <= feed->next_id)
			low = probe;
		else
			high = middle;
	}
	return low;
}

/* The log ends before what was given out: it is another one's end, or it lost its own. */
static enum feed_result check_end(struct feed *feed, bool is_last)
{
	const struct wal_segment_info *info = wal_segment_reader_info(feed->reader);

	if (is_last && info->last_event < feed->given && info->state != WAL_DAMAGED)
		return FEED_AGAIN;
	return settle(feed);
}

static enum feed_result look_in_list(struct feed *feed, const struct wal_store_info *info,
				     bool *again)
{
	struct wal_fault fault;

	for (size_t n = find(feed, info); n < info->segment_count; n++) {
		bool is_last = n + 1 == info->segment_count;
		int err = feed_open_index(feed, info->segments[n], &fault);

		if (!err)
			return check_end(feed, is_last && !feed->is_mount);
		*again = err == -ENOENT; /* retention was here */
		if (*again || is_last)	 /* the last may have no header yet */
			return FEED_WAIT;
		if (is_gone(feed, -err))
			return complain_feed(feed, info->segments[n], err, &fault);
		complain_feed(feed, info->segments[n], err, &fault);
	}
	return FEED_WAIT;
}

/* Of a mount the active segment first: it is not in the list. */
static enum feed_result look_in_active(struct feed *feed, bool whatever)
{
	struct wal_fault fault;
	int err = feed_open_active(feed, &fault);

	if (is_gone(feed, -err))
		leave_mount(feed);
	if (err)
		return FEED_WAIT;
	if (!whatever && wal_segment_reader_info(feed->reader)->first_event > feed->next_id) {
		feed_let_go(feed);
		return FEED_WAIT;
	}
	return check_end(feed, true);
}

static enum feed_result look_once(struct feed *feed, bool *again)
{
	struct wal_store_info info;
	enum feed_result result = FEED_WAIT;
	int err;

	if (feed->is_mount)
		result = look_in_active(feed, false);
	if (result != FEED_WAIT || feed->dirfd < 0)
		return result;
	err = feed_list(feed, &info);
	if (err)
		return complain_feed(feed, feed->index, err, &(struct wal_fault){0});
	if (info.segment_count)
		result = look_in_list(feed, &info, again);
	else if (feed->is_mount)
		result = look_in_active(feed, true);
	wal_store_info_destroy(&info);
	return result;
}

static enum feed_result look_for_next(struct feed *feed)
{
	enum feed_result result = FEED_WAIT;
	bool again = true;

	if (feed->dirfd < 0 && !enter_mount(feed))
		return FEED_WAIT;
	for (int i = 0; i < TRIES && again; i++) {
		again = false;
		result = look_once(feed, &again);
	}
	return result;
}

/* --- from one segment to the next ----------------------------------------------------------- */

/* Were names made or removed since this was asked? (Times are coarse: a new one is yes.) */
static bool has_new_names(struct feed *feed)
{
	struct timespec now;
	struct stat st;
	bool is_new;

	if (fstat(feed->dirfd, &st))
		return true;
	clock_gettime(CLOCK_REALTIME, &now);
	is_new = st.st_mtim.tv_sec != feed->listed.tv_sec ||
		 st.st_mtim.tv_nsec != feed->listed.tv_nsec || now.tv_sec - st.st_mtim.tv_sec < 2;
	feed->listed = st.st_mtim;
	return is_new;
}

/* Return: the lowest index above this one in the directory; 0: none. */
static uint32_t next_listed(const struct feed *feed, uint32_t after)
{
	struct wal_store_info info;
	uint32_t found = 0;

	if (feed_list(feed, &info))
		return 0;
	for (size_t n = info.segment_count; n > 0 && info.segments[n - 1] > after; n--)
		found = info.segments[n - 1];
	wal_store_info_destroy(&info);
	return found;
}

/* One was opened after the one that was at its end. */
static enum feed_result begin_successor(struct feed *feed, bool damaged)
{
	enum feed_result result;

	if (wal_segment_reader_info(feed->reader)->first_event <= feed->given)
		return FEED_AGAIN;
	result = settle(feed);
	return result == FEED_LOST && damaged ? FEED_DAMAGED : result;
}

static enum feed_result take_successor(struct feed *feed)
{
	bool damaged = feed->at_fault || wal_segment_reader_info(feed->reader)->state != WAL_SEALED;
	uint32_t index = feed->index + 1;
	struct wal_fault fault;
	int err = feed_open_index(feed, index, &fault);

	for (int i = 0; err && i < TRIES; i++) {
		uint32_t next;

		if (is_gone(feed, -err))
			return complain_feed(feed, index, err, &fault);
		if (err == -ENOENT && !has_new_names(feed))
			return FEED_WAIT;
		next = next_listed(feed, err == -ENOENT ? feed->index : index);
		if (!next && feed->is_mount && !feed_open_active(feed, &fault) &&
		    wal_segment_reader_info(feed->reader)->index > feed->index) {
			err = 0;
			break;
		}
		if (!next) /* it comes, or its header does */
			return FEED_WAIT;
		if (err != -ENOENT) {
			complain_feed(feed, index, err, &fault);
			damaged = true;
		}
		index = next;
		err = feed_open_index(feed, index, &fault);
	}
	return err ? FEED_WAIT : begin_successor(feed, damaged);
}

static bool has_name(const struct feed *feed, uint32_t index)
{
	char name[WAL_NAME_MAX];

	wal_segment_name(index, name);
	return faccessat(feed->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Recovery may have set the file aside, and begun another under its name. */
static bool is_same_file(const struct feed *feed)
{
	char name[WAL_NAME_MAX];
	struct stat st;

	wal_segment_name(feed->index, name);
	return fstatat(feed->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_ino == feed->seen.st_ino && st.st_dev == feed->seen.st_dev;
}

static enum feed_result look_again(struct feed *feed)
{
	feed_let_go(feed);
	return FEED_WAIT;
}

/* Is there one after it? Where the very next one is gone, too, that is found a bit later. */
static bool is_followed(struct feed *feed, const struct wal_segment_info *info)
{
	double now = seconds_now();

	if (has_name(feed, feed->index + 1))
		return true;
	if (info->state != WAL_ACTIVE || now - feed->looked < LOOK_SECONDS)
		return false;
	feed->looked = now;
	return next_listed(feed, feed->index) != 0;
}

/* The end of what the reader knows. Return: FEED_EVENT if there may be more. */
static enum feed_result advance_file(struct feed *feed)
{
	const struct wal_segment_info *info = wal_segment_reader_info(feed->reader);
	bool followed = is_followed(feed, info); /* then nothing comes to this one any more */
	uint64_t end = info->last_event;
	int err = wal_segment_reader_refresh(feed->reader, NULL);

	if (is_gone(feed, -err))
		return complain_feed(feed, feed->index, err, NULL);
	if (err)
		return look_again(feed);
	if (info->last_event > end)
		return FEED_EVENT;
	if (followed || info->state != WAL_ACTIVE)
		return take_successor(feed);
	return is_same_file(feed) ? FEED_WAIT : look_again(feed);
}

static bool is_unchanged(const struct feed *feed, const struct stat *st)
{
	return st->st_size == feed->seen.st_size && st->st_ino == feed->seen.st_ino &&
	       st->st_mtim.tv_sec == feed->seen.st_mtim.tv_sec &&
	       st->st_mtim.tv_nsec == feed->seen.st_mtim.tv_nsec;
}

static enum feed_result advance_active(struct feed *feed)
{
	const struct wal_segment_source source = active_source(feed);
	const struct wal_segment_info *info = wal_segment_reader_info(feed->reader);
	uint64_t end = info->last_event;
	struct wal_fault fault;
	struct stat st;
	int err;

	if (fstatat(feed->dirfd, "current", &st, AT_SYMLINK_NOFOLLOW))
		return is_gone(feed, errno) ? complain_feed(feed, 0, -errno, NULL) : FEED_WAIT;
	if (is_unchanged(feed, &st))
		return FEED_WAIT;
	err = wal_segment_reader_refresh(feed->reader, &source);
	if (is_gone(feed, -err))
		return complain_feed(feed, 0, err, NULL);
	if (!err) {
		feed->seen = st;
		return info->last_event > end ? FEED_EVENT : FEED_WAIT;
	}
	if (feed_open_index(feed, feed->index, &fault)) /* it was rotated */
		return look_again(feed);
	return settle(feed);
}

/* --- events ------------------------------------------------------------------------------ */

static enum feed_result give(struct feed *feed, const struct wal_event *event)
{
	if (event->id > feed->next_id) {
		feed->gap = (struct gap){.first = feed->next_id, .last = event->id - 1};
		feed->next_id = event->id;
		feed->pending = *event;
		feed->has_pending = true;
		return FEED_DAMAGED;
	}
	feed->given = event->id;
	feed->next_id = event->id + 1;
	return FEED_EVENT;
}

/* Return: whether there is anything after it in this segment. */
static bool pass_damage(struct feed *feed, int err)
{
	if (!feed->at_fault)
		complain_feed(feed, feed->index, err, wal_segment_reader_fault(feed->reader));
	feed->at_fault = feed->reader != NULL;
	return feed->reader && wal_segment_reader_skip_block(feed->reader);
}

enum feed_result feed_next(struct feed *feed, struct wal_event *event)
{
	enum feed_result result = FEED_EVENT;
	int found;

	if (feed->has_pending) {
		*event = feed->pending;
		feed->has_pending = false;
		return give(feed, event);
	}
	for (;;) {
		if (!feed->reader)
			result = look_for_next(feed);
		if (result != FEED_EVENT)
			return result;
		found = wal_segment_reader_next(feed->reader, event);
		if (found > 0 && event->id < feed->next_id)
			continue;
		if (found > 0)
			return give(feed, event);
		if (found < 0 && pass_damage(feed, found))
			continue;
		if (!feed->reader)
			return FEED_WAIT;
		result = feed->is_active ? advance_active(feed) : advance_file(feed);
	}
}
