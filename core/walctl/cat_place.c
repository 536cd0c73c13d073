/* SPDX-License-Identifier: MIT */
/* Where in a store the events are that are wanted, without opening each segment. */
#include <stdlib.h>
#include <string.h>

#include "cat.h"

/* Return: whether the n-th segment can say its first id. */
static bool first_id(const struct target *target, size_t n, uint64_t *id)
{
	struct wal_segment_reader *reader;
	struct wal_fault fault;
	char *file;
	int result = target_reader(target, n, &reader, &file, &fault);

	free(file);
	if (result)
		return false;
	*id = wal_segment_reader_info(reader)->first_event;
	result = target_foreign_fault(target, n, wal_segment_reader_info(reader), &fault);
	target_reader_close(target, reader);
	return !result;
}

/* The last segment that starts at or before an id; those between that and the
 * event, if any, are damaged. */
static size_t find_segment(const struct target *target, uint64_t id)
{
	size_t low = 0, high = target->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		size_t probe = middle;
		uint64_t first = UINT64_MAX;

		while (probe < high && !first_id(target, probe, &first))
			probe++;
		if (probe < high && first <= id)
			low = probe;
		else
			high = middle;
	}
	return low;
}

/* --- by time ---------------------------------------------------------------------------- */

bool cat_read_info(const struct target *target, size_t n, struct wal_segment_info *info)
{
	struct wal_segment_reader *reader;
	struct wal_fault fault;
	char *file;
	int err = target_reader(target, n, &reader, &file, &fault);

	free(file);
	if (err)
		return false;
	*info = *wal_segment_reader_info(reader);
	target_reader_close(target, reader);
	return true;
}

/* Of a sealed segment of this log that shows no damage. */
static bool read_times(const struct target *target, size_t n, struct wal_segment_info *info)
{
	return cat_read_info(target, n, info) && info->state == WAL_SEALED && target->has_log &&
	       wal_segment_says_log(info) && !memcmp(info->log, target->log, sizeof(info->log));
}

/* The first segment with this index or a larger one. */
static size_t find_index(const struct target *target, uint32_t index)
{
	size_t low = 0, high = target->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (target->info.segments[middle] < index)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first of those up to the n-th that are in order by time; n where nothing says so. */
static size_t run_begin(const struct target *target, size_t n, bool *in_order)
{
	struct wal_segment_info info;

	*in_order = target->kind != TARGET_SEGMENT && read_times(target, n, &info) && info.time_run;
	if (!*in_order || info.time_run >= info.index)
		return *in_order ? 0 : n;
	return find_index(target, info.index - info.time_run + 1);
}

/* In a run: the first segment that has something at this time or later. */
static size_t find_since(const struct target *target, struct cat_range run, uint64_t since_ns)
{
	struct wal_segment_info info;

	while (run.first < run.end) {
		size_t middle = run.first + (run.end - run.first) / 2, probe = middle;

		while (probe < run.end && !read_times(target, probe, &info))
			probe++;
		if (probe < run.end && info.closed_ns < since_ns)
			run.first = probe + 1;
		else
			run.end = middle; /* with those that do not say their times */
	}
	return run.first;
}

/* In a run: the first segment that has nothing before this time, nor has any after it. */
static size_t find_until(const struct target *target, struct cat_range run, uint64_t until_ns)
{
	struct wal_segment_info info;

	while (run.first < run.end) {
		size_t middle = run.first + (run.end - run.first) / 2, probe = middle;

		while (probe < run.end && !read_times(target, probe, &info))
			probe++;
		if (probe < run.end && info.created_ns >= until_ns)
			run.end = probe;
		else
			run.first = probe < run.end ? probe + 1 : middle + 1;
	}
	return run.first;
}

static void add_range(struct cat_ranges *ranges, struct cat_range range)
{
	struct cat_range *last = ranges->count ? &ranges->list[ranges->count - 1] : NULL;

	if (range.first >= range.end)
		return;
	if (last && range.end >= last->first) { /* they come from the end */
		last->first = range.first;
		return;
	}
	ranges->list = reallocarray(ranges->list, ranges->count + 1, sizeof(*ranges->list));
	if (!ranges->list)
		die_no_memory();
	ranges->list[ranges->count++] = range;
}

static bool is_next(const struct target *target, size_t n)
{
	return target->info.segments[n - 1] + 1 == target->info.segments[n];
}

/* What is wanted may be in a segment that is missing: its neighbours tell. */
static struct cat_range with_gaps(const struct target *target, struct cat_range range)
{
	if (range.first > 0 && range.first < target->count && !is_next(target, range.first))
		range.first--;
	if (range.end > 0 && range.end < target->count && !is_next(target, range.end))
		range.end++;
	return range;
}

static struct cat_range wanted_of_run(const struct cat *cat, const struct target *target,
				      struct cat_range run)
{
	struct cat_range wanted = run;

	if (cat->since_ns)
		wanted.first = find_since(target, run, cat->since_ns);
	if (cat->has_until)
		wanted.end = find_until(target, wanted, cat->until_ns);
	return with_gaps(target, wanted);
}

static void put_in_order(struct cat_ranges *ranges)
{
	for (size_t i = 0; i < ranges->count / 2; i++) {
		struct cat_range *other = &ranges->list[ranges->count - 1 - i];
		struct cat_range swap = ranges->list[i];

		ranges->list[i] = *other;
		*other = swap;
	}
}

void cat_ranges_find(const struct cat *cat, const struct target *target, struct cat_ranges *ranges)
{
	struct cat_range all = {.end = target->count};
	bool by_time = (cat->since_ns || cat->has_until) && target->kind != TARGET_SEGMENT;

	*ranges = (struct cat_ranges){0};
	if (cat->from > 1)
		all.first = find_segment(target, cat->from);
	if (!by_time)
		add_range(ranges, all);
	while (by_time && all.first < all.end) {
		bool in_order;
		struct cat_range run = {.end = all.end};

		run.first = run_begin(target, all.end - 1, &in_order);
		if (run.first < all.first)
			run.first = all.first;
		add_range(ranges, in_order ? wanted_of_run(cat, target, run) : run);
		all.end = run.first;
	}
	put_in_order(ranges);
}

void cat_ranges_destroy(struct cat_ranges *ranges)
{
	free(ranges->list);
	*ranges = (struct cat_ranges){0};
}
