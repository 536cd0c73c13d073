/* SPDX-License-Identifier: MIT */
/* The events of a path in order, for who does something else with them than to print them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "walctl.h"

static void report(struct stream *stream, int err, const struct wal_fault *fault)
{
	enum status status = status_of(err);

	if (stream->fault && status == STATUS_DAMAGED && fault->kind != WAL_FAULT_NONE)
		stream->fault(stream->ctx, stream->file, fault);
	else
		status = complain_segment(stream->file, err, fault);
	stream->worst = worse(stream->worst, status);
}

enum status stream_open(struct stream *stream, const char *path)
{
	enum status status = target_open(&stream->target, path);

	if (status != STATUS_SOUND)
		return status;
	stream->worst = target_add_active(&stream->target);
	stream->worst = worse(stream->worst, outlook_complain(&stream->target));
	return STATUS_SOUND;
}

static void leave_segment(struct stream *stream)
{
	target_reader_close(&stream->target, stream->reader);
	free(stream->file);
	stream->reader = NULL;
	stream->info = NULL;
	stream->file = NULL;
}

void stream_close(struct stream *stream)
{
	leave_segment(stream);
	target_close(&stream->target);
}

/* What is wrong with it as a whole. In a block it is met where that is. */
static void report_whole(struct stream *stream)
{
	const struct wal_fault *own = &stream->info->fault;
	struct wal_fault fault;

	if (outlook_fault(&stream->target, stream->info, &fault))
		own = &fault;
	else if (own->kind == WAL_FAULT_NONE || own->block != WAL_NO_BLOCK)
		return;
	report(stream, wal_fault_errno(own->kind), own);
}

bool stream_next_segment(struct stream *stream)
{
	const struct target *target = &stream->target;
	struct wal_fault fault;
	int err;

	leave_segment(stream);
	while (stream->next < target->count) {
		size_t n = stream->next++;

		err = target_reader(target, n, &stream->reader, &stream->file, &fault);
		if (!err && target_foreign_fault(target, n, wal_segment_reader_info(stream->reader),
						 &fault))
			err = wal_fault_errno(fault.kind);
		if (!err) {
			stream->info = wal_segment_reader_info(stream->reader);
			report_whole(stream);
			if (stream->salvage && target->kind == TARGET_SEGMENT)
				wal_segment_reader_salvage(stream->reader);
			return true;
		}
		if (err != -ENOENT || !target_is_retired(target, n))
			report(stream, err, &fault);
		leave_segment(stream);
	}
	return false;
}

static int next(struct stream *stream, struct wal_event *event, bool *damaged)
{
	*damaged = false;
	if (stream->salvage)
		return wal_segment_reader_next_salvaged(stream->reader, event, damaged);
	return wal_segment_reader_next(stream->reader, event);
}

/* Reports what is wrong here. Return: whether there is anything after it. */
static bool pass_damage(struct stream *stream, int err)
{
	const struct wal_fault *fault = wal_segment_reader_fault(stream->reader);
	const struct wal_fault *own = &stream->info->fault;
	bool cut = fault->kind == WAL_FAULT_TOO_SHORT;

	if (own->kind != fault->kind || own->block != WAL_NO_BLOCK ||
	    (!cut && own->offset != fault->offset)) /* else it was reported as a whole */
		report(stream, err, fault);
	if (stream->salvage)
		return status_of(err) == STATUS_DAMAGED;
	return !cut && wal_segment_reader_skip_block(stream->reader);
}

bool stream_next_event(struct stream *stream, struct wal_event *event, bool *damaged)
{
	int result = next(stream, event, damaged);

	while (result < 0 && pass_damage(stream, result))
		result = next(stream, event, damaged);
	return result > 0;
}
