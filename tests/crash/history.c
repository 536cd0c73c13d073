/* SPDX-License-Identifier: MIT */
#include "tests/crash/history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void history_bytes(const struct history *history, size_t number, uint8_t *buf)
{
	const struct record *record = &history->records[number];
	struct rng rng = {record->salt * UINT64_C(1000003) + number};
	uint32_t i;

	for (i = 0; i < record->size; i += 8) {
		uint64_t word = rng_next(&rng);
		uint32_t left = record->size - i;

		memcpy(buf + i, &word, left < 8 ? left : 8);
	}
}

void history_before(const struct history *history, struct promise *promise)
{
	promise->synced = atomic_load(&history->synced);
	promise->returned = atomic_load(&history->returned);
}

void history_after(const struct history *history, struct promise *promise)
{
	promise->begun = atomic_load(&history->begun);
	promise->incarnation = atomic_load(&history->incarnation);
}

void history_cut(struct history *history, const struct judged *judged)
{
	history->begun = history->returned = history->synced = judged->records;
	history->incarnation = judged->incarnation;
}

/* --- reading a log back ------------------------------------------------------ */

struct reading {
	const struct history *history;
	const struct promise *promise;
	const char *what;
	size_t number;	     /* of the record that comes next */
	uint64_t next_event; /* the id that comes next; 0: the first decides */
	uint32_t got;	     /* bytes of an unfinished group */
	bool in_group;
	uint8_t expected[WAL_FIXED_FRAME_MAX];
};

static bool find_record(struct reading *r, uint64_t event)
{
	size_t i;

	for (i = 0; i < r->promise->begun; i++) {
		if (r->history->records[i].first_event == event) {
			r->number = i;
			return true;
		}
	}
	/* A log that ends exactly there, or before its first record. */
	r->number = r->promise->begun;
	return event == 1 || r->promise->begun > 0;
}

static bool take_event(struct reading *r, uint32_t segment, const struct wal_event *event)
{
	const struct record *record = &r->history->records[r->number];

	if (event->id != r->next_event) {
		crash_fail("%s: segment %u has event %" PRIu64 ", expected %" PRIu64, r->what,
			   segment, event->id, r->next_event);
		return false;
	}
	r->next_event++;
	if (r->number >= r->promise->begun) {
		crash_fail("%s: event %" PRIu64 " of %u bytes was never appended", r->what,
			   event->id, event->size);
		return false;
	}
	if (!r->in_group)
		history_bytes(r->history, r->number, r->expected);
	if (((event->flags & WAL_FLAG_CONT) != 0) != r->in_group ||
	    event->size > record->size - r->got ||
	    memcmp(event->payload, r->expected + r->got, event->size) != 0) {
		crash_fail("%s: event %" PRIu64 " is not record %zu as it was appended", r->what,
			   event->id, r->number);
		return false;
	}
	r->got += event->size;
	r->in_group = event->flags & WAL_FLAG_MORE;
	if (r->in_group)
		return true;
	if (r->got != record->size ||
	    (event->flags & WAL_FLAG_PART) != (record->flags & WAL_FLAG_PART)) {
		crash_fail("%s: record %zu has %u of %u bytes", r->what, r->number, r->got,
			   record->size);
		return false;
	}
	r->got = 0;
	r->number++;
	return true;
}

static bool read_segment(struct reading *r, struct wal_log *log, uint32_t segment)
{
	const struct wal_segment_info *info;
	struct wal_segment_reader *reader;
	struct wal_fault fault = {0};
	struct wal_event event;
	bool good = true;
	int n = 0, err;

	err = wal_log_reader_open(log, segment, 0, &reader, &fault);
	if (err) {
		crash_fail("%s: segment %u does not open: %s (%s %s)", r->what, segment,
			   strerror(-err), wal_fault_kind_name(fault.kind), fault.detail);
		return false;
	}
	info = wal_segment_reader_info(reader);
	if (info->state == WAL_DAMAGED) {
		crash_fail("%s: segment %u is damaged: %s %s", r->what, segment,
			   wal_fault_kind_name(info->fault.kind), info->fault.detail);
		good = false;
	}
	if (good && r->next_event == 0) {
		r->next_event = info->first_event;
		good = find_record(r, r->next_event);
	}
	if (good && info->first_event != r->next_event) {
		crash_fail("%s: segment %u begins with event %" PRIu64 ", expected %" PRIu64,
			   r->what, segment, info->first_event, r->next_event);
		good = false;
	}
	while (good && (n = wal_segment_reader_next(reader, &event)) == 1)
		good = take_event(r, segment, &event);
	if (good && n < 0) {
		crash_fail("%s: segment %u cannot be read: %s", r->what, segment, strerror(-n));
		good = false;
	}
	if (good && r->in_group) {
		crash_fail("%s: segment %u ends inside a group", r->what, segment);
		good = false;
	}
	wal_segment_reader_close(reader);
	return good;
}

/* Segments behind those that retention may have removed must all be there. */
static bool read_log(struct reading *r, struct wal_log *log, uint32_t current)
{
	uint32_t indexes[DISK_FILES_MAX], last = 0;
	size_t count = wal_log_segments(log, 0, indexes, DISK_FILES_MAX - 1), i;

	if (current)
		indexes[count++] = current;
	for (i = 0; i < count; i++) {
		if (indexes[i] != last + 1 && last < r->promise->removed)
			r->next_event = 0; /* a gap that retention made */
		else if (indexes[i] != last + 1) {
			crash_fail("%s: segment %u follows %u", r->what, indexes[i], last);
			return false;
		}
		if (indexes[i] > r->promise->removed + 1 && last < r->promise->removed) {
			crash_fail("%s: segments up to %u are gone, up to %u were removed", r->what,
				   indexes[i] - 1, r->promise->removed);
			return false;
		}
		if (!read_segment(r, log, indexes[i]))
			return false;
		last = indexes[i];
	}
	return true;
}

bool history_judge(const struct history *history, struct wal_log *log,
		   const struct promise *promise, enum crash_kind kind, const char *what,
		   struct judged *judged)
{
	static struct reading r;
	size_t least = kind == CRASH_KILLED ? promise->returned : promise->synced;
	struct wal_log_position position;
	struct wal_stats stats;

	r = (struct reading){.history = history,
			     .promise = promise,
			     .what = what,
			     .next_event = promise->removed ? 0 : 1};
	wal_log_position(log, &position);
	wal_log_stats(log, &stats);
	if (!read_log(&r, log, position.segment))
		return false;
	*judged = (struct judged){.records = r.number,
				  .next_event = r.next_event,
				  .incarnation = stats.incarnation,
				  .current = position.segment};
	/* (A full disk at the start: no segment is active.) */
	if (position.segment && r.next_event != position.next_event) {
		crash_fail("%s: the next event is %" PRIu64 ", but the log ends before %" PRIu64,
			   what, position.next_event, r.next_event);
		return false;
	}
	if (r.number < least) {
		crash_fail("%s: %zu records are there, %zu were promised (%zu begun)", what,
			   r.number, least, promise->begun);
		return false;
	}
	if (stats.damaged_segments) {
		crash_fail("%s: %u segments are marked damaged", what, stats.damaged_segments);
		return false;
	}
	return true;
}
