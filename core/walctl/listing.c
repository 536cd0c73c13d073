/* SPDX-License-Identifier: MIT */
/* The segments of a store in order, as info and ls show them, with what is missing between. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "walctl.h"

static uint64_t size_of(const struct target *target, const char *file)
{
	struct stat st;
	bool alone = target->kind == TARGET_SEGMENT;

	return !fstatat(AT_FDCWD, file, &st, alone ? 0 : AT_SYMLINK_NOFOLLOW) ? (uint64_t)st.st_size
									      : 0;
}

/* What the segment alone does not say: it is of another log, or recovery finds it damaged. */
static void add_fault(const struct target *target, size_t n, struct wal_segment_info *info)
{
	struct wal_fault fault;

	if (target_foreign_fault(target, n, info, &fault) || outlook_fault(target, info, &fault))
		info->fault = fault;
	if (info->fault.kind != WAL_FAULT_NONE)
		info->state = WAL_DAMAGED;
}

/* Return: the time of its first event; 0: it has none, or that cannot be read. */
static uint64_t first_time(struct wal_segment_reader *reader)
{
	struct wal_event event;

	return wal_segment_reader_next(reader, &event) > 0 ? event.timestamp_ns : 0;
}

enum status listing_read(const struct target *target, size_t n, struct listed *listed,
			 bool *retired)
{
	struct wal_segment_info *info = &listed->info;
	struct wal_segment_reader *reader;
	struct wal_fault fault;
	int result = target_reader(target, n, &reader, &listed->file, &fault);

	*retired = false;
	listed->first_ns = 0;
	if (!result) {
		*info = *wal_segment_reader_info(reader);
		if (listed->wants_first)
			listed->first_ns = first_time(reader);
		target_reader_close(target, reader);
		add_fault(target, n, info);
		return info->fault.kind == WAL_FAULT_NONE ? STATUS_SOUND : STATUS_DAMAGED;
	}
	memset(info, 0, sizeof(*info));
	*retired = result == -ENOENT && target_is_retired(target, n);
	if (*retired)
		return STATUS_SOUND;
	info->state = WAL_DAMAGED;
	info->index =
		target->kind == TARGET_SEGMENT ? target_index(target) : target->info.segments[n];
	info->fault = fault;
	info->file_bytes = size_of(target, listed->file);
	if (status_of(result) == STATUS_TROUBLE)
		return complain_segment(listed->file, result, &fault);
	return STATUS_DAMAGED;
}

static void list_gap(struct listing *listing, const struct gap *gap)
{
	listing->worst = worse(listing->worst, STATUS_DAMAGED);
	listing->gap(listing->ctx, gap);
}

/* R50: ids that were given before; reported where nothing else is wrong with the segment. */
static void list_repeat(struct listing *listing, struct wal_segment_info *info)
{
	char text[REPEAT_TEXT];

	if (!sequence_repeats(&listing->sequence, info->first_event, text))
		return;
	listing->worst = worse(listing->worst, STATUS_DAMAGED);
	if (info->fault.kind != WAL_FAULT_NONE)
		return;
	info->fault = (struct wal_fault){
		.kind = WAL_FAULT_SEQUENCE, .segment = info->index, .block = WAL_NO_BLOCK};
	snprintf(info->fault.detail, sizeof(info->fault.detail), "%s", text);
}

/* What the segment says of its place in the log, if it says that. */
static void list_place(struct listing *listing, struct wal_segment_info *info)
{
	struct gap gap;

	sequence_file(&listing->sequence, info->index);
	if (info->fault.kind == WAL_FAULT_OTHER_LOG || info->fault.kind == WAL_FAULT_SEQUENCE)
		return;		 /* it is not of this log, or nothing says that it is */
	if (!info->block_size) { /* what it has is not known, and its row says so */
		sequence_lost(&listing->sequence);
		return;
	}
	list_repeat(listing, info);
	if (sequence_ids(&listing->sequence, info->first_event, &gap))
		list_gap(listing, &gap);
	listing->sequence.next_id = info->last_event + 1;
}

static void list_nth(const struct target *target, size_t n, struct listing *listing)
{
	struct listed listed = {.wants_first = listing->wants_first};
	bool retired;
	enum status status = listing_read(target, n, &listed, &retired);

	listing->worst = worse(listing->worst, status);
	if (retired) {
		sequence_file(&listing->sequence, target->info.segments[n]);
		sequence_lost(&listing->sequence);
	} else {
		list_place(listing, &listed.info);
	}
	if (!retired && status != STATUS_TROUBLE)
		listing->segment(listing->ctx, &listed);
	free(listed.file);
}

enum status listing_run(struct listing *listing, const struct target *target)
{
	struct gap gap;

	listing->worst = STATUS_SOUND;
	sequence_begin(&listing->sequence, target);
	for (size_t n = 0; n < target->count; n++)
		list_nth(target, n, listing);
	if (sequence_end(&listing->sequence, target, &gap))
		list_gap(listing, &gap);
	return listing->worst;
}

static json_t *known_number(uint64_t number)
{
	return number ? json_number(number) : json_null();
}

json_t *json_gap(const struct gap *gap)
{
	json_t *object = json_object();

	json_put(object, "first_event", known_number(gap->first));
	json_put(object, "last_event", known_number(gap->last));
	json_put(object, "first_segment", known_number(gap->first_segment));
	json_put(object, "last_segment", known_number(gap->last_segment));
	return object;
}
