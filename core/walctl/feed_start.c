/* SPDX-License-Identifier: MIT */
/* Where a feed can begin: the log's first and last event, and a time. */
#include <errno.h>
#include <string.h>

#include "feed.h"

bool feed_end(struct feed *feed, uint64_t *next_id)
{
	struct wal_store_info info = {0};
	struct wal_fault fault = {0};
	int err = feed->is_mount ? feed_open_active(feed, &fault) : feed_list(feed, &info);

	*next_id = 1;
	if (err && !feed->is_mount) {
		complain_errno(feed->path, -err);
		return false;
	}
	if (!feed->is_mount)
		feed_let_go(feed);
	for (size_t n = info.segment_count; n > 0 && !feed->reader; n--)
		feed_open_index(feed, info.segments[n - 1], &fault);
	if (feed->reader)
		*next_id = wal_segment_reader_info(feed->reader)->last_event + 1;
	wal_store_info_destroy(&info);
	return true;
}

bool feed_first(struct feed *feed, uint64_t *id)
{
	struct wal_store_info info;
	struct wal_fault fault;
	int err = feed_list(feed, &info);

	*id = 1;
	if (err) {
		complain_errno(feed->path, -err);
		return false;
	}
	feed_let_go(feed);
	for (size_t n = 0; n < info.segment_count && !feed->reader; n++)
		feed_open_index(feed, info.segments[n], &fault);
	if (!feed->reader && feed->is_mount)
		feed_open_active(feed, &fault);
	if (feed->reader)
		*id = wal_segment_reader_info(feed->reader)->first_event;
	wal_store_info_destroy(&info);
	feed_let_go(feed);
	return true;
}

/* Of the n-th segment of the list. Return: whether that can be said; info is its own then. */
static bool info_of(struct feed *feed, const struct wal_store_info *list, size_t n,
		    struct wal_segment_info *info)
{
	struct wal_fault fault;

	if (feed_open_index(feed, list->segments[n], &fault))
		return false;
	*info = *wal_segment_reader_info(feed->reader);
	return true;
}

/* Times are in order from low on. Return: the first that ends at or after it; high: none. */
static size_t bisect(struct feed *feed, const struct wal_store_info *list, size_t low, size_t high)
{
	struct wal_segment_info info;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (info_of(feed, list, middle, &info) && info.last_ns < feed->since_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Where the segments begin that are in order by time up to the n-th. */
static size_t run_begin(const struct wal_store_info *list, size_t n, uint32_t run)
{
	uint32_t index = list->segments[n];

	if (run <= 1)
		return n;
	while (n > 0 && list->segments[n - 1] > index - run)
		n--;
	return n;
}

/* The first segment with an event at or after the time, also before a step of the clock. */
static size_t find_segment(struct feed *feed, const struct wal_store_info *list)
{
	size_t n = list->segment_count, best = n;
	struct wal_segment_info info;

	while (n > 0) {
		size_t low = n - 1, found;

		if (info_of(feed, list, n - 1, &info))
			low = run_begin(list, n - 1, info.time_run);
		found = bisect(feed, list, low, n);
		if (found < n)
			best = found;
		n = low;
	}
	return best;
}

bool feed_since(struct feed *feed, uint64_t since_ns, uint64_t *id)
{
	struct wal_store_info list;
	struct wal_event event;
	struct wal_fault fault;
	size_t n;
	int err = feed_list(feed, &list);

	if (err) {
		complain_errno(feed->path, -err);
		return false;
	}
	feed->since_ns = since_ns;
	n = find_segment(feed, &list);
	feed_let_go(feed);
	if (n < list.segment_count)
		feed_open_index(feed, list.segments[n], &fault);
	else if (feed->is_mount)
		feed_open_active(feed, &fault);
	wal_store_info_destroy(&list);
	if (feed->reader && !wal_segment_reader_seek_time(feed->reader, since_ns) &&
	    wal_segment_reader_next(feed->reader, &event) > 0)
		*id = event.id;
	else if (!feed_end(feed, id))
		return false;
	feed_let_go(feed);
	return true;
}
