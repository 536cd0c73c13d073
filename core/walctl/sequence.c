/* SPDX-License-Identifier: MIT */
/*
 * What is missing: segments by their indexes, events by their ids. Both go on without
 * a gap over a log; where they begin and end, wal.meta says.
 */
#include <inttypes.h>
#include <string.h>

#include "walctl.h"

void sequence_begin_at(struct sequence *sequence, const struct target *target, size_t n)
{
	*sequence = (struct sequence){.store = &target->info};
	if (target->kind != TARGET_SEGMENT)
		sequence->next_index = target->info.segments[n];
}

void sequence_begin(struct sequence *sequence, const struct target *target)
{
	memset(sequence, 0, sizeof(*sequence));
	sequence->store = &target->info;
	if (!target->info.meta_valid)
		return;
	sequence->next_index = target->info.kept_from;
	if (target->info.kept_from == 1)
		sequence->next_id = 1;
	if (!target->info.kept_from && !target->count) /* not even the first is known */
		sequence->next_index = target->info.durable_segment;
}

static void pass_file(struct sequence *sequence, uint32_t index)
{
	if (sequence->next_index && index > sequence->next_index) {
		if (!sequence->missing.first_segment)
			sequence->missing.first_segment = sequence->next_index;
		sequence->missing.last_segment = index - 1;
	}
	sequence->next_index = index + 1;
}

/* Compressed segments before this one are there, but what events they hold is not known. */
void sequence_file(struct sequence *sequence, uint32_t index)
{
	const struct wal_store_info *store = sequence->store;

	while (sequence->compressed < store->compressed_count) {
		uint32_t compressed = store->compressed[sequence->compressed];

		if (compressed >= index)
			break;
		sequence->compressed++;
		if (compressed < sequence->next_index)
			continue;
		pass_file(sequence, compressed);
		sequence_lost(sequence);
	}
	pass_file(sequence, index);
}

/* Files that are missing, and ids from the one expected to last. */
static bool take_missing(struct sequence *sequence, uint64_t last, struct gap *gap)
{
	*gap = sequence->missing;
	sequence->missing = (struct gap){0};
	gap->first = sequence->next_id;
	gap->last = last;
	if (gap->first && gap->first < sequence->given) /* the log went on above ids given twice */
		gap->first = sequence->given;
	if (last < gap->first || (!gap->first && sequence->began)) /* none, or not known */
		gap->first = gap->last = 0;
	return gap->first || gap->first_segment;
}

bool sequence_ids(struct sequence *sequence, uint64_t first_event, struct gap *gap)
{
	bool found = take_missing(sequence, first_event - 1, gap);

	if (sequence->next_id > sequence->given)
		sequence->given = sequence->next_id;
	sequence->next_id = first_event;
	sequence->began = true;
	return found;
}

bool sequence_repeats(const struct sequence *sequence, uint64_t first_event, char text[REPEAT_TEXT])
{
	uint64_t given = sequence->given;

	if (given < sequence->next_id)
		given = sequence->next_id;
	if (first_event >= given || first_event == sequence->next_id) /* new, or it goes on */
		return false;
	snprintf(text, REPEAT_TEXT,
		 "begins with event %" PRIu64 ", events up to %" PRIu64 " are before it",
		 first_event, given - 1);
	return true;
}

void sequence_lost(struct sequence *sequence)
{
	if (sequence->next_id > sequence->given)
		sequence->given = sequence->next_id;
	sequence->next_id = 0;
	sequence->began = true;
}

bool sequence_end(struct sequence *sequence, const struct target *target, struct gap *gap)
{
	const struct wal_store_info *info = &target->info;

	if (!info->meta_valid || !info->durable_event)
		return false;
	if (sequence->next_index && info->durable_segment >= sequence->next_index)
		sequence_file(sequence, info->durable_segment + 1);
	return take_missing(sequence, info->durable_event, gap);
}

const char *gap_events(const struct gap *gap, char text[GAP_EVENTS_TEXT])
{
	if (gap->first == gap->last)
		snprintf(text, GAP_EVENTS_TEXT, "event %" PRIu64 " is", gap->first);
	else
		snprintf(text, GAP_EVENTS_TEXT, "events %" PRIu64 " to %" PRIu64 " are", gap->first,
			 gap->last);
	return text;
}

static void format_segments(const struct gap *gap, char *text, size_t size)
{
	if (gap->first_segment == gap->last_segment)
		snprintf(text, size, "segment %" PRIu32, gap->first_segment);
	else
		snprintf(text, size, "segments %" PRIu32 " to %" PRIu32, gap->first_segment,
			 gap->last_segment);
}

/* "events 201 to 400 are missing", or nothing where they are not known. */
static void format_missing(const struct gap *gap, char *text, size_t size)
{
	char ids[GAP_EVENTS_TEXT];

	text[0] = '\0';
	if (gap->first)
		snprintf(text, size, "%s missing", gap_events(gap, ids));
	else if (gap->last)
		snprintf(text, size, "events up to %" PRIu64 " are missing", gap->last);
}

void gap_format(const struct gap *gap, char text[GAP_TEXT])
{
	bool several = gap->first_segment != gap->last_segment;
	char segments[GAP_EVENTS_TEXT], events[GAP_EVENTS_TEXT + 16];

	format_missing(gap, events, sizeof(events));
	if (gap->first_segment)
		format_segments(gap, segments, sizeof(segments));
	if (!gap->first_segment)
		snprintf(text, GAP_TEXT, "%s", events);
	else if (events[0])
		snprintf(text, GAP_TEXT, "%s, with %s", events, segments);
	else
		snprintf(text, GAP_TEXT, "%s %s missing", segments, several ? "are" : "is");
}
