/* SPDX-License-Identifier: MIT */
/*
 * The last records first, and where the last N begin. A segment can be read forwards only: so
 * it is taken in pieces of some events, the last piece first. A record of several events (a
 * group) stays in one piece.
 */
#include <string.h>

#include "cat.h"

#define PIECE_BYTES (UINT64_C(8) << 20)
#define PIECE_EVENTS 4096u

static bool take_held(struct cat *cat, const struct wal_event *event, bool damaged)
{
	held_add(&cat->held, event, damaged);
	return true;
}

/* By the size of its events on average. Of a damaged one nothing can be sought: all of it. */
static uint64_t piece_of(const struct wal_segment_info *info)
{
	uint64_t average = info->event_count ? info->payload_bytes / info->event_count + 1 : 1;
	uint64_t events = PIECE_BYTES / average;

	if (info->state == WAL_DAMAGED)
		return UINT64_MAX;
	return events < 1 ? 1 : events > PIECE_EVENTS ? PIECE_EVENTS : events;
}

/* Keeps the events of the n-th segment from one id to another that are wanted. */
static void hold(struct cat *cat, const struct target *target, size_t n, uint64_t first,
		 uint64_t last)
{
	uint64_t from = cat->from, to = cat->to;

	held_clear(&cat->held);
	if (cat->from < first)
		cat->from = first;
	if (cat->to > last)
		cat->to = last;
	sequence_begin_at(&cat->sequence, target, n);
	if (cat->from <= cat->to)
		cat_nth(cat, target, n);
	cat->from = from;
	cat->to = to;
}

/* Return: whether one more record of the piece is wanted. */
static bool take_record(struct cat *cat, size_t first, size_t end)
{
	size_t size;
	const uint8_t *payload = held_payload(&cat->held, first, end, &size);

	if (cat->grep && !cat_match(payload, size))
		return true;
	cat->last_id = cat->held.events[first].event.id;
	if (!cat->counting && !held_put(cat, first, end))
		return false;
	return !cat->limit || ++cat->taken < cat->limit;
}

/* Return: false when enough was taken. */
static bool take_piece(struct cat *cat)
{
	size_t end = cat->held.count;

	while (end > 0) {
		size_t first = held_record(&cat->held, end);

		if (!take_record(cat, first, end))
			return false;
		end = first;
	}
	return true;
}

static bool begins_inside(const struct cat *cat)
{
	return cat->held.count && (cat->held.events[0].event.flags & WAL_FLAG_CONT);
}

static bool reverse_segment(struct cat *cat, const struct target *target, size_t n,
			    const struct wal_segment_info *info)
{
	uint64_t last = info->last_event < cat->to ? info->last_event : cat->to;
	uint64_t lowest = info->first_event > cat->from ? info->first_event : cat->from;

	if (info->state == WAL_DAMAGED) { /* its counts may be wrong, too */
		hold(cat, target, n, cat->from, cat->to);
		return take_piece(cat);
	}
	while (last >= lowest && last > 0) {
		uint64_t piece = piece_of(info), first;

		do {
			first = last - lowest < piece ? lowest : last - piece + 1;
			hold(cat, target, n, first, last);
			piece *= 2;
		} while (first > lowest && begins_inside(cat));
		if (!take_piece(cat))
			return false;
		last = first - 1;
	}
	return true;
}

/* Is anything missing between the n-th segment and the one after it? */
static void report_gap_after(struct cat *cat, const struct target *target, size_t n,
			     const struct wal_segment_info *info)
{
	struct sequence *s = &cat->sequence;
	struct wal_segment_info next;
	struct gap gap;

	sequence_begin_at(s, target, n);
	sequence_file(s, target->info.segments[n]);
	sequence_ids(s, info->first_event, &gap);
	s->next_id = info->last_event + 1;
	if (n + 1 == target->count) {
		if (sequence_end(s, target, &gap))
			cat_report_gap(cat, target, gap);
		return;
	}
	sequence_file(s, target->info.segments[n + 1]);
	if (cat_read_info(target, n + 1, &next) && sequence_ids(s, next.first_event, &gap))
		cat_report_gap(cat, target, gap);
}

static void report_gap_before(struct cat *cat, const struct target *target,
			      const struct wal_segment_info *info)
{
	struct gap gap;

	sequence_begin(&cat->sequence, target);
	sequence_file(&cat->sequence, target->info.segments[0]);
	if (sequence_ids(&cat->sequence, info->first_event, &gap))
		cat_report_gap(cat, target, gap);
}

/* Return: false when enough was taken. */
static bool reverse_nth(struct cat *cat, const struct target *target, size_t n)
{
	struct wal_segment_info info = {.state = WAL_DAMAGED};
	bool known = cat_read_info(target, n, &info), on;

	if (known && target->kind != TARGET_SEGMENT)
		report_gap_after(cat, target, n, &info);
	on = reverse_segment(cat, target, n, &info);
	if (on && known && n == 0 && target->kind != TARGET_SEGMENT)
		report_gap_before(cat, target, &info);
	return on && !output_failed();
}

size_t cat_in_reverse(struct cat *cat, const struct target *target, const struct cat_ranges *ranges)
{
	size_t at = 0;

	cat->take = take_held;
	cat->taken = 0;
	for (size_t i = ranges->count; i-- > 0;) {
		for (at = ranges->list[i].end; at-- > ranges->list[i].first;)
			if (!reverse_nth(cat, target, at))
				goto out;
	}
	at = 0;
	cat->last_id = 0;
out:
	held_clear(&cat->held);
	return at;
}
