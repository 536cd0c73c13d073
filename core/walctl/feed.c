/* SPDX-License-Identifier: MIT */
/* The next event: in the segment that is open, or in the one after it. */
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "feed.h"

#define LOOK_SECONDS 2
#define TRIES 20 /* what is listed may be gone before it is opened */

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
		if (feed_is_gone(feed, -err))
			return feed_complain(feed, info->segments[n], err, &fault);
		feed_complain(feed, info->segments[n], err, &fault);
	}
	return FEED_WAIT;
}

/* Of a mount the active segment first: it is not in the list. */
static enum feed_result look_in_active(struct feed *feed, bool whatever)
{
	struct wal_fault fault;
	int err = feed_open_active(feed, &fault);

	if (feed_is_gone(feed, -err))
		feed_leave_mount(feed);
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
		return feed_complain(feed, feed->index, err, &(struct wal_fault){0});
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

	if (feed->dirfd < 0 && !feed_enter_mount(feed))
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

		if (feed_is_gone(feed, -err))
			return feed_complain(feed, index, err, &fault);
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
			feed_complain(feed, index, err, &fault);
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

	if (feed_is_gone(feed, -err))
		return feed_complain(feed, feed->index, err, NULL);
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
	const struct wal_segment_source source = feed_active_source(feed);
	const struct wal_segment_info *info = wal_segment_reader_info(feed->reader);
	uint64_t end = info->last_event;
	struct wal_fault fault;
	struct stat st;
	int err;

	if (fstatat(feed->dirfd, "current", &st, AT_SYMLINK_NOFOLLOW))
		return feed_is_gone(feed, errno) ? feed_complain(feed, 0, -errno, NULL) : FEED_WAIT;
	if (is_unchanged(feed, &st))
		return FEED_WAIT;
	err = wal_segment_reader_refresh(feed->reader, &source);
	if (feed_is_gone(feed, -err))
		return feed_complain(feed, 0, err, NULL);
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
		feed_complain(feed, feed->index, err, wal_segment_reader_fault(feed->reader));
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
