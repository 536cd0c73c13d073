/* SPDX-License-Identifier: MIT */
/* The events of one segment that are wanted, and what is wrong with it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "cat.h"

static bool was_said(const struct cat *cat, const struct wal_fault *fault)
{
	return cat->said.kind == fault->kind && cat->said.segment == fault->segment &&
	       cat->said.block == fault->block && cat->said.offset == fault->offset;
}

/* A piece may begin in a block of which was told. */
static void report(struct cat *cat, const char *file, int err, const struct wal_fault *fault)
{
	if (cat->counting || (cat->reverse && was_said(cat, fault)))
		return;
	cat->said = *fault;
	cat->worst = worse(cat->worst, complain_segment(file, err, fault));
}

/* Of missing events only those that are wanted. */
static bool clip(const struct cat *cat, struct gap *gap)
{
	if (!gap->last) /* ids are not known */
		return true;
	if (gap->last < cat->from || gap->first > cat->to)
		return false;
	if (gap->first < cat->from)
		gap->first = cat->from > 1 ? cat->from : gap->first;
	if (gap->last > cat->to)
		gap->last = cat->to;
	return true;
}

void cat_report_gap(struct cat *cat, const struct target *target, struct gap gap)
{
	char text[GAP_TEXT];

	if (cat->counting || !clip(cat, &gap))
		return;
	gap_format(&gap, text);
	complain(target->path, "%s; see walctl verify", text);
	cat->worst = worse(cat->worst, STATUS_DAMAGED);
}

/* Events of a segment that is there, up to the one before next_id. */
static void report_left_out(struct cat *cat, const char *file, uint64_t next_id)
{
	struct gap gap = {.first = cat->sequence.next_id, .last = next_id - 1};
	char events[GAP_EVENTS_TEXT];

	if (cat->counting || !gap.first || gap.first >= next_id || !clip(cat, &gap))
		return;
	complain(file, "%s damaged and left out%s", gap_events(&gap, events),
		 cat->damaged ? "" : "; cat --damaged shows what is whole");
	cat->worst = worse(cat->worst, STATUS_DAMAGED);
}

/* --- one segment ------------------------------------------------------------------- */

/* A segment that is looked at, and what it is called. */
struct source {
	const struct target *target;
	struct wal_segment_reader *reader;
	const struct wal_segment_info *info;
	char *file;
};

static uint64_t lowest_id(const struct cat *cat)
{
	return cat->first_id > cat->from ? cat->first_id : cat->from;
}

/* Ids and times both grow within a segment: the first event is the later of two. */
static int seek(const struct cat *cat, struct wal_segment_reader *reader, struct wal_event *event)
{
	int result = wal_segment_reader_seek_event(reader, lowest_id(cat));

	if (!result)
		result = wal_segment_reader_next(reader, event);
	if (result != 1 || event->timestamp_ns >= cat->since_ns)
		return result;
	result = wal_segment_reader_seek_time(reader, cat->since_ns);
	return result ? result : wal_segment_reader_next(reader, event);
}

static int next_event(const struct cat *cat, struct wal_segment_reader *reader,
		      struct wal_event *event, bool *damaged)
{
	*damaged = false;
	if (cat->damaged)
		return wal_segment_reader_next_salvaged(reader, event, damaged);
	return wal_segment_reader_next(reader, event);
}

/* With damage on the way there is no seeking: then from the segment's first event on. */
static int first_event(struct cat *cat, const struct source *source, struct wal_event *event,
		       bool *damaged)
{
	bool seeks = !cat->damaged || source->info->state != WAL_DAMAGED;
	int result = seeks ? seek(cat, source->reader, event) : -EUCLEAN;

	*damaged = false;
	if (result >= 0) {
		cat->sequence.next_id = result ? event->id : source->info->last_event + 1;
		return result;
	}
	wal_segment_reader_seek_event(source->reader, 0);
	return next_event(cat, source->reader, event, damaged);
}

/* Reports what is wrong. Return: whether there is anything after it. */
static bool pass_damage(struct cat *cat, const struct source *source, int err)
{
	const struct wal_segment_info *info = source->info;
	const struct wal_fault *fault = wal_segment_reader_fault(source->reader);
	bool cut = fault->kind == WAL_FAULT_TOO_SHORT;
	bool said = info->fault.kind == fault->kind &&
		    (cut || (info->fault.block == WAL_NO_BLOCK &&
			     info->fault.offset == fault->offset)); /* at the start */

	if (!said)
		report(cat, source->file, err, fault);
	if (cat->damaged)
		return status_of(err) == STATUS_DAMAGED;
	return !cut && wal_segment_reader_skip_block(source->reader);
}

enum step { STEP_ON, STEP_NEXT_SEGMENT, STEP_END };

static enum step take_event(struct cat *cat, const struct source *source,
			    const struct wal_event *event, bool damaged)
{
	if (event->id > cat->to) {
		report_left_out(cat, source->file, event->id);
		return STEP_END;
	}
	if (cat->has_until && event->timestamp_ns >= cat->until_ns)
		return STEP_NEXT_SEGMENT; /* later ones may have an earlier clock */
	if (event->timestamp_ns >= cat->since_ns)
		report_left_out(cat, source->file, event->id);
	cat->sequence.next_id = event->id + 1;
	if (event->id < lowest_id(cat) || event->timestamp_ns < cat->since_ns)
		return STEP_ON;
	if (!cat->take(cat, event, damaged))
		return STEP_END;
	return event->id == cat->to ? STEP_END : STEP_ON; /* what is after it is not wanted */
}

static enum step cat_events(struct cat *cat, const struct source *source)
{
	struct wal_event event;
	bool damaged;
	int result = first_event(cat, source, &event, &damaged);

	while (result) {
		if (result > 0) {
			enum step step = take_event(cat, source, &event, damaged);

			if (step != STEP_ON)
				return step;
		} else if (!pass_damage(cat, source, result)) {
			break;
		}
		result = next_event(cat, source->reader, &event, &damaged);
	}
	report_left_out(cat, source->file, source->info->last_event + 1);
	return STEP_NEXT_SEGMENT;
}

/*
 * After its end the last segment has events of the log only if it is damaged, as the next
 * mount will find; for a file that is given alone nothing tells.
 */
static void salvage_end(const struct cat *cat, const struct source *source)
{
	if (cat->damaged && source->target->kind == TARGET_SEGMENT)
		wal_segment_reader_salvage(source->reader);
}

/* What is wrong with it as a whole. In a block it is met where that is, if that is wanted. */
static void report_damage(struct cat *cat, const struct source *source)
{
	const struct wal_fault *own = &source->info->fault;
	struct wal_fault fault;

	if (outlook_fault(source->target, source->info, &fault))
		own = &fault;
	else if (own->kind == WAL_FAULT_NONE || own->block != WAL_NO_BLOCK)
		return;
	report(cat, source->file, wal_fault_errno(own->kind), own);
}

static enum next cat_segment(struct cat *cat, const struct source *source)
{
	const struct wal_segment_info *info = source->info;
	enum step step = STEP_NEXT_SEGMENT;
	char repeat[REPEAT_TEXT];
	struct gap gap;

	if (!cat->counting && sequence_repeats(&cat->sequence, info->first_event, repeat)) {
		complain(source->file, "%s; see walctl verify", repeat);
		cat->worst = worse(cat->worst, STATUS_DAMAGED);
	}
	if (sequence_ids(&cat->sequence, info->first_event, &gap))
		cat_report_gap(cat, source->target, gap);
	if (info->first_event > cat->to)
		return NEXT_NONE;
	if (info->state == WAL_DAMAGED || info->last_event >= cat->from) {
		report_damage(cat, source);
		step = cat_events(cat, source);
	}
	if (cat->sequence.next_id <= info->last_event)
		cat->sequence.next_id = info->last_event + 1;
	return step == STEP_END ? NEXT_NONE : NEXT_SEGMENT;
}

/* Removed by retention since the store was listed. After what was printed, ids jump. */
static void note_retired(struct cat *cat, const struct target *target)
{
	if (!cat->counting && cat->printed && cat->sequence.next_id)
		complain(target->path,
			 "note: segments with events from %" PRIu64
			 " on were removed by retention before cat got there",
			 cat->sequence.next_id);
	sequence_lost(&cat->sequence);
}

enum next cat_nth(struct cat *cat, const struct target *target, size_t n)
{
	struct source source = {.target = target};
	struct wal_fault fault;
	enum next next = NEXT_SEGMENT;
	int result = target_reader(target, n, &source.reader, &source.file, &fault);

	if (target->kind != TARGET_SEGMENT)
		sequence_file(&cat->sequence, target->info.segments[n]);
	if (!result)
		source.info = wal_segment_reader_info(source.reader);
	if (result == -ENOENT && target_is_retired(target, n)) {
		note_retired(cat, target);
	} else if (result) {
		report(cat, source.file, result, &fault);
	} else if (target_foreign_fault(target, n, source.info, &fault)) {
		report(cat, source.file, wal_fault_errno(fault.kind), &fault);
	} else {
		salvage_end(cat, &source);
		next = cat_segment(cat, &source);
	}
	cat->first_id = 0;
	target_reader_close(target, source.reader);
	free(source.file);
	return next;
}
