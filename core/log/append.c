/* SPDX-License-Identifier: MIT */
/* Appending and holding room: the hot path. */
#include <errno.h>

#include "core/log/closed.h"
#include "core/log/rotate.h"
#include "core/log/settle.h"
#include "core/log/start.h"

/* Lock held. Is there a segment to write to? */
static int get_ready(struct wal_log *log)
{
	if (log->read_only || log->failed)
		return -EROFS;
	if (log->pending.due)
		return wal_log_try_again(log);
	return log->writing_error ? wal_log_clear(log) : 0;
}

/* Room for it, and for all that is held besides, in this segment? */
static bool fits(const struct wal_log *log, uint32_t size, uint64_t held_bytes)
{
	struct wal_append_point point = wal_segment_writer_point(&log->writer);

	return wal_segment_writer_reckon(&log->writer, size, &point) &&
	       wal_segment_writer_room(&log->writer, &point) >= held_bytes;
}

/* own: what of all that is held is the caller's own. */
static int make_room(struct wal_log *log, uint32_t size, uint64_t own)
{
	int err;

	while (!fits(log, size, log->held_bytes - own)) {
		if (wal_log_is_empty(log))
			return -ENOSPC; /* a fresh one has no more */
		err = wal_log_rotate_once(log);
		if (err == -EAGAIN) /* others may have appended while it waited */
			err = log->writing_error ? wal_log_clear(log) : 0;
		if (err)
			return err;
	}
	return 0;
}

/* The first event after an unclean stop says so. */
static int append_resume(struct wal_log *log, uint64_t now)
{
	struct wal_meta_record meta;
	int err = make_room(log, sizeof(struct wal_disk_meta_record), 0);

	if (err || !log->resume_due) /* a rotation has said it already */
		return err;
	meta = wal_log_meta_record(log, now);
	meta.kind = WAL_META_RESUME;
	meta.recovery |= log->resume_bits;
	err = wal_segment_writer_append_meta(&log->writer, &meta, now);
	log->resume_due = err != 0;
	return err;
}

/* What wal_log_append() was given. */
struct batch {
	const struct wal_record *records;
	size_t count;
	uint64_t bytes;
};

/* Is there room for all of it, whatever is held, without reckoning record by record? */
static bool surely_fits(const struct wal_log *log, const struct batch *batch)
{
	struct wal_append_point point = wal_segment_writer_point(&log->writer);

	return wal_segment_writer_room(&log->writer, &point) >=
	       log->held_bytes + wal_segment_worst_batch_cost(batch->count, batch->bytes);
}

/* own: cost of a hold that this record is covered by. roomy: it surely fits. */
static int append_one(struct wal_log *log, const struct wal_record *record, uint64_t now,
		      uint64_t own, bool roomy)
{
	int err = roomy ? 0 : make_room(log, record->size, own);

	if (err)
		return err;
	err = wal_segment_writer_append(&log->writer, record->data, record->size, record->flags,
					now);
	if (!err)
		log->held_bytes -= own;
	return err;
}

static int check_records(const struct wal_log *log, struct batch *batch)
{
	size_t limit = log->record_limit, i;

	for (i = 0; i < batch->count; i++) {
		const struct wal_record *record = &batch->records[i];

		if (record->size == 0 || (record->flags & ~WAL_FLAG_PART))
			return -EINVAL;
		if (record->size > limit)
			return -EMSGSIZE;
		batch->bytes += record->size;
	}
	return batch->count ? 0 : -EINVAL;
}

/* Lock held. */
static void count_appended(struct wal_log *log, const struct batch *batch, size_t done)
{
	uint64_t bytes = batch->bytes;
	size_t i;

	for (i = done; i < batch->count; i++)
		bytes -= batch->records[i].size;
	wal_count_owned(&log->telemetry, WAL_COUNT_APPENDS, 1);
	wal_count_owned(&log->telemetry, WAL_COUNT_PAYLOAD_BYTES, bytes);
}

/* Where META(RESUME) would go, and what an append that fails goes back to. */
struct resume_mark {
	bool due;
	uint32_t segment;
	struct wal_append_point point;
	uint64_t incarnation;
};

static struct resume_mark mark_resume(const struct wal_log *log)
{
	return (struct resume_mark){
		.due = log->resume_due,
		.segment = log->writer.header.index,
		.point = wal_segment_writer_point(&log->writer),
		.incarnation = log->writer.incarnation,
	};
}

/* If the record did not get into the file, it is due again. */
static void settle_resume(struct wal_log *log, const struct resume_mark *mark)
{
	struct wal_append_point point = wal_segment_writer_point(&log->writer);

	if (!mark->due || log->resume_due || log->writer.header.index != mark->segment ||
	    point.block > mark->point.block ||
	    (point.block == mark->point.block && point.at > mark->point.at))
		return;
	log->resume_due = true;
	log->writer.incarnation = mark->incarnation;
}

/* Not all of the batch is in the file. done: how many records were appended, and are there. */
static int settle_batch(struct wal_log *log, const struct batch *batch,
			const struct resume_mark *mark, struct wal_hold *hold, size_t *done)
{
	bool had_first = *done > 0;
	uint64_t lost_bytes;
	int err = wal_log_settle(log, &lost_bytes);

	while (*done > 0 && lost_bytes > 0) {
		uint32_t size = batch->records[--*done].size;

		lost_bytes -= size < lost_bytes ? size : lost_bytes;
	}
	if (had_first && *done == 0 && hold)
		log->held_bytes += hold->cost_bytes;
	settle_resume(log, mark);
	return err;
}

/* Return: 0; the event goes into the segment that there is then. */
static int begin_after_step(struct wal_log *log)
{
	wal_log_rotate_after_step(log, true);
	return get_ready(log);
}

static ssize_t append_all(struct wal_log *log, const struct batch *batch, struct wal_hold *hold)
{
	uint64_t now = log->io->now_ns(log->io);
	uint64_t own = hold ? hold->cost_bytes : 0;
	struct resume_mark mark;
	size_t done = 0;
	int err = wal_log_has_stepped_back(log, now) ? begin_after_step(log) : 0;
	bool roomy, unsettled = false;

	mark = mark_resume(log);
	if (!err && log->resume_due)
		err = append_resume(log, now);
	roomy = !err && surely_fits(log, batch);
	while (!err && done < batch->count) {
		err = append_one(log, &batch->records[done], now, own, roomy);
		if (err)
			break;
		own = 0;
		done++;
	}
	wal_segment_writer_write_out(&log->writer);
	if (wal_segment_writer_has_failed(&log->writer)) {
		err = settle_batch(log, batch, &mark, hold, &done);
		unsettled = err == -EIO;
	} else if (log->writing_error && done > 0) {
		wal_log_note_writing(log, 0);
	}
	wal_segment_writer_acknowledge(&log->writer);
	if (done == 0)
		return err;
	if (hold)
		hold->cost_bytes = 0;
	/* (That the next segment has an error is no error of what is in this one.) */
	if (unsettled)
		return -EIO;
	count_appended(log, batch, done);
	return (ssize_t)done;
}

ssize_t wal_log_append(struct wal_log *log, const struct wal_record *records, size_t count,
		       struct wal_hold *hold)
{
	struct batch batch = {.records = records, .count = count};
	uint64_t start = wal_clock_quick_ns();
	ssize_t result = check_records(log, &batch);
	uint64_t first;

	if (result)
		return result;
	pthread_mutex_lock(&log->lock);
	result = get_ready(log);
	if (!result) {
		first = log->writer.next_event;
		result = append_all(log, &batch, hold);
		wal_count_owned(&log->telemetry, WAL_COUNT_EVENTS, log->writer.next_event - first);
	}
	if (result < 0)
		wal_count_owned(&log->telemetry, WAL_COUNT_APPEND_ERRORS, 1);
	else
		wal_latency_add_owned(&log->telemetry, WAL_LATENCY_APPEND,
				      wal_clock_quick_since(start));
	pthread_mutex_unlock(&log->lock);
	return result;
}

/* What the META(RESUME) record that is still due can take. */
static uint64_t resume_cost(const struct wal_log *log)
{
	if (!log->resume_due)
		return 0;
	return wal_segment_worst_cost(log->meta.block_size, sizeof(struct wal_disk_meta_record));
}

static int change_hold(struct wal_log *log, struct wal_hold *hold, uint64_t cost)
{
	uint64_t limit = wal_segment_hold_limit(log->meta.block_size, log->meta.segment_bytes);
	struct wal_append_point point;
	int err;

	while (cost > hold->cost_bytes) {
		uint64_t held = log->held_bytes - hold->cost_bytes + cost;

		err = get_ready(log);
		if (err)
			return err;
		if (held > limit)
			return -ENOBUFS;
		point = wal_segment_writer_point(&log->writer);
		if (wal_segment_writer_room(&log->writer, &point) >= held + resume_cost(log))
			break;
		err = wal_log_rotate_and_settle(log);
		if (err && err != -EAGAIN)
			return err;
	}
	log->held_bytes += cost - hold->cost_bytes;
	hold->cost_bytes = cost;
	return 0;
}

int wal_log_hold(struct wal_log *log, struct wal_hold *hold, size_t size)
{
	int err;

	if (size > wal_log_record_limit(log))
		return -EMSGSIZE;
	pthread_mutex_lock(&log->lock);
	err = change_hold(log, hold, wal_segment_worst_cost(log->meta.block_size, size));
	pthread_mutex_unlock(&log->lock);
	return err;
}

int wal_log_rotate(struct wal_log *log)
{
	uint32_t index;
	int err;

	pthread_mutex_lock(&log->lock);
	err = get_ready(log);
	index = log->writer.header.index;
	while (!err && log->writer.header.index == index && !wal_log_is_empty(log)) {
		err = wal_log_rotate_and_settle(log);
		if (err == -EAGAIN)
			err = 0;
	}
	if (!err)
		err = wal_closed_wait(log, index);
	if (!err && log->failed)
		err = -EIO;
	pthread_mutex_unlock(&log->lock);
	return err;
}
