/* SPDX-License-Identifier: MIT */
/* Appending, holding, rotating: what happens at the end of the log. */
#include "core/log/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- what the rest of the log uses ------------------------------------------------------ */

void wal_log_notice(struct wal_log *log, enum wal_notice_level level, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!log->asked.notice)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log->asked.notice(log->asked.notice_ctx, level, text);
}

void wal_log_fail(struct wal_log *log, uint32_t segment, const char *what, int error)
{
	if (log->failed)
		return;
	log->failed = wal_sync_error(wal_public_error(error)); /* no space: not to be waited for */
	snprintf(log->failure, sizeof(log->failure), "%010" PRIu32 ".wal: %s failed: %s", segment,
		 what, strerror(-error));
	wal_log_notice(log, WAL_NOTICE_ERROR,
		       "%s/%s; the log is read-only until it is mounted again", log->path,
		       log->failure);
	if (!log->maintainer.running)
		return;
	/* It runs whenever the maintainer does. */
	wal_segment_preparer_give_up(&log->preparer);
	pthread_cond_broadcast(&log->maintainer.moved);
	pthread_cond_signal(&log->maintainer.wake);
}

struct wal_durable wal_log_end(const struct wal_log *log)
{
	struct wal_tail tail;

	if (!log->writing)
		return log->durable;
	wal_segment_writer_tail(&log->writer, &tail);
	return (struct wal_durable){log->writer.header.index, tail.offset, tail.next_event - 1};
}

void wal_log_set_durable(struct wal_log *log, const struct wal_durable *durable)
{
	/* A rotation may have got further while this one was on its way. */
	if (durable->segment < log->durable.segment ||
	    (durable->segment == log->durable.segment && durable->offset <= log->durable.offset))
		return;
	log->durable = *durable;
	if (log->coordinator_open)
		wal_meta_coordinator_publish(&log->coordinator, durable);
}

void wal_log_take_durable(struct wal_log *log)
{
	log->durable = wal_log_end(log);
	if (log->coordinator_open)
		wal_meta_coordinator_publish(&log->coordinator, &log->durable);
}

/* --- by mapping or by pwrite ------------------------------------------------------------ */

/* Syncs nearer to each other than this are of small appends. */
#define SMALL_SYNC_BYTES 65536
/* So many of them, and a small append is for syncing. */
#define MANY_SMALL_SYNCS 16

static bool wants_pwrite(const struct wal_log *log)
{
	if (log->asked.io_method == WAL_IO_AUTO)
		return log->small_syncs >= MANY_SMALL_SYNCS;
	return log->asked.io_method == WAL_IO_PWRITE;
}

void wal_log_choose_io(struct wal_log *log, struct wal_segment_writer *w)
{
	bool by_pwrite = wants_pwrite(log);

	atomic_store_explicit(&log->preparer.by_pwrite, by_pwrite, memory_order_relaxed);
	if (by_pwrite && !w->gathered && !wal_segment_writer_has_fault(w))
		wal_segment_writer_gather(w);
}

void wal_log_note_sync(struct wal_log *log)
{
	struct wal_durable end = wal_log_end(log);
	const struct wal_durable *last = &log->asked_up_to;

	if (!log->writing || log->asked.io_method != WAL_IO_AUTO)
		return;
	if (end.segment != last->segment || end.offset - last->offset > SMALL_SYNC_BYTES)
		log->small_syncs /= 2;
	else if (log->small_syncs < MANY_SMALL_SYNCS)
		log->small_syncs++;
	log->asked_up_to = end;
	wal_log_choose_io(log, &log->writer);
}

/* --- beginning a segment -------------------------------------------------------------------- */

static struct wal_meta_record meta_record(const struct wal_log *log)
{
	struct wal_meta_record meta = {
		.writer_version = WAL_WRITER_VERSION,
		.incarnation = log->meta.incarnation,
		.segment_bytes = log->meta.segment_bytes,
		.framing = log->meta.framing,
	};

	memcpy(meta.log, log->meta.log, sizeof(meta.log));
	return meta;
}

static int start_and_publish(struct wal_log *log, struct wal_segment_writer *w,
			     const struct wal_beginning *beginning)
{
	struct wal_meta_record meta = meta_record(log);
	uint64_t now = log->io->now_ns(log->io);
	int err;

	meta.recovery = beginning->recovery;
	meta.dropped_segments = beginning->dropped_segments;
	meta.dropped_bytes = beginning->dropped_bytes;
	if (log->resume_due)
		meta.recovery |= log->resume_bits;
	if (log->writing && now < log->writer.last_ns) {
		meta.recovery |= WAL_META_CLOCK_STEPPED;
		meta.clock_step_ns = log->writer.last_ns - now;
	}
	w->telemetry = &log->telemetry;
	err = wal_segment_writer_start(w, beginning->first_event, beginning->prev_chain, now,
				       &meta);
	return err ? err : wal_segment_writer_publish(w);
}

static void take_writer(struct wal_log *log, const struct wal_segment_writer *w)
{
	log->writer = *w;
	log->writing = true;
	log->resume_due = false;
}

int wal_log_begin_segment(struct wal_log *log, const struct wal_beginning *beginning)
{
	struct wal_segment_shape shape = {.index = beginning->index,
					  .block_size = log->meta.block_size,
					  .file_bytes = log->meta.segment_bytes};
	struct wal_segment_writer w;
	int err = wal_segment_writer_open_new(&w, log->io, log->dirfd, &shape);

	if (err)
		return err;
	err = wal_segment_writer_touch(&w);
	if (!err) /* on the disk before it has its name: no header of zeros is ever found there */
		err = wal_segment_writer_flush(&w, true);
	if (!err) {
		wal_log_choose_io(log, &w);
		err = start_and_publish(log, &w, beginning);
	}
	if (!err)
		err = wal_segment_writer_make_durable(&w);
	if (!err)
		err = wal_log_add_entry(log, beginning->index);
	if (err) {
		wal_segment_writer_close(&w, false);
		return err;
	}
	take_writer(log, &w);
	wal_log_take_durable(log);
	return 0;
}

/* Told once each way. */
static void note_starting(struct wal_log *log, uint32_t segment, int err)
{
	if (err && !log->starting_error)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%010" PRIu32 ".wal: cannot be started: %s; trying again",
			       log->path, segment, strerror(-err));
	else if (!err && log->starting_error)
		wal_log_notice(log, WAL_NOTICE_INFO, "%s: segments can be started again",
			       log->path);
	log->starting_error = err;
}

/*
 * Is it as if nobody had tried, once the segment before it goes on? A file that has the
 * name is not ours: it is left alone, and goes only if somebody moves it.
 */
static bool can_be_started_later(int err)
{
	return wal_is_no_space(err) || err == -ENOMEM || err == -EEXIST;
}

/* A clock that went back meanwhile does not close a segment before its last record. */
static uint64_t closing_time(const struct wal_log *log)
{
	uint64_t now = log->io->now_ns(log->io);

	return now > log->writer.last_ns ? now : log->writer.last_ns;
}

/*
 * No sync here: what the new segment takes outlives the process by its name, and
 * a sync of it waits for the old one's (docs/DESIGN.md has the order and why).
 * Return: 0; -ENOENT if the file of `next` was removed; -ENOSPC ... In the end `next` is still
 * the caller's, and if the log did not fail, nothing was done.
 */
static int switch_segment(struct wal_log *log, struct wal_segment_writer *next)
{
	struct wal_beginning beginning;
	int err;

	wal_segment_writer_finish(&log->writer);
	/* Once it is handed over, nobody looks whether its bytes got into the file. */
	if (wal_segment_writer_has_fault(&log->writer))
		return -EIO;
	beginning = (struct wal_beginning){.index = log->writer.header.index + 1,
					   .first_event = log->writer.next_event,
					   .prev_chain = log->writer.start.chain};
	if (log->asked_up_to.segment != log->writer.header.index)
		log->small_syncs = 0; /* nobody asked for one in all of that segment */
	wal_log_choose_io(log, next);
	err = wal_log_reserve_entry(log);
	if (!err)
		err = start_and_publish(log, next, &beginning);
	if (can_be_started_later(err)) {
		wal_segment_writer_go_on(&log->writer);
		note_starting(log, beginning.index, err);
		return wal_public_error(err);
	}
	if (err == -ENOENT && log->made_again != beginning.index) {
		wal_segment_writer_go_on(&log->writer);
		return err;
	}
	if (err) {
		wal_log_fail(log, beginning.index, "starting it", err);
		return log->failed;
	}
	note_starting(log, beginning.index, 0);
	wal_log_add_entry(log, beginning.index);
	wal_segment_maintainer_add(log, &log->writer, closing_time(log));
	take_writer(log, next);
	return 0;
}

/* Return: what rotate() says. */
static int give_up_next(struct wal_log *log, struct wal_segment_writer *next, int err)
{
	uint32_t index = next->header.index;

	if (!log->failed && err != -ENOENT) {
		wal_segment_preparer_give_back(&log->preparer, next);
		return err;
	}
	wal_segment_writer_close(next, false);
	if (log->failed)
		return err;
	wal_log_notice(log, WAL_NOTICE_WARNING,
		       "%s/%010" PRIu32 ".wal" WAL_PREPARED_SUFFIX
		       ": somebody removed it; it is made again",
		       log->path, index);
	log->made_again = index;
	wal_segment_preparer_make_again(&log->preparer, index);
	return -EAGAIN;
}

/* Nothing can be made in a directory that was removed. */
static int preparing_failed(struct wal_log *log, int err)
{
	if (log->failed)
		return -EROFS;
	if (err == -ENOENT) {
		wal_log_fail(log, log->writer.header.index + 1, "preparing it", err);
		return log->failed;
	}
	return err ? wal_public_error(err) : -EAGAIN;
}

/*
 * Lock held; dropped where it has to wait, and then nothing was done.
 * Return: 0; -EAGAIN after waiting: look again; -ENOSPC, -EDQUOT, -EROFS, -EIO ...; the writer
 * may then have a fault that is to be settled.
 */
static int rotate(struct wal_log *log)
{
	uint64_t start = wal_clock_ns();
	struct wal_segment_writer next;
	int err;

	/* Nobody could find a segment above it. */
	if (log->writer.header.index == WAL_LAST_SEGMENT_INDEX)
		return -EOVERFLOW;
	/* Whoever comes while this one waits sees, and syncs, what was appended so far. */
	wal_segment_writer_write_out(&log->writer);
	if (wal_segment_writer_has_fault(&log->writer))
		return -EIO;
	wal_segment_writer_acknowledge(&log->writer);
	err = log->writing_error ? wal_log_clear(log) : 0;
	if (err)
		return err;
	if (log->maintainer.count == WAL_CLOSED_MAX) {
		if (log->maintainer.no_space)
			return log->maintainer.no_space;
		wal_count(&log->telemetry, WAL_COUNT_SEAL_WAITS, 1);
		pthread_cond_wait(&log->maintainer.moved, &log->lock);
		wal_latency_since(&log->telemetry, WAL_LATENCY_SEAL_WAIT, start);
		return log->failed ? -EROFS : -EAGAIN;
	}
	err = wal_segment_preparer_take(&log->preparer, &next);
	if (err == -EAGAIN) {
		wal_count(&log->telemetry, WAL_COUNT_PREPARE_WAITS, 1);
		pthread_mutex_unlock(&log->lock);
		err = wal_segment_preparer_wait(&log->preparer);
		wal_latency_since(&log->telemetry, WAL_LATENCY_PREPARE_WAIT, start);
		pthread_mutex_lock(&log->lock);
		return preparing_failed(log, err);
	}
	if (err)
		return err;
	err = switch_segment(log, &next);
	if (err)
		return give_up_next(log, &next, err);
	wal_count(&log->telemetry, WAL_COUNT_ROTATIONS, 1);
	wal_latency_since(&log->telemetry, WAL_LATENCY_ROTATE, start);
	return 0;
}

/* The same where nobody is appending. */
static int rotate_and_settle(struct wal_log *log)
{
	uint64_t lost_bytes;
	int err = rotate(log);

	if (err && wal_segment_writer_has_fault(&log->writer))
		err = wal_log_settle(log, &lost_bytes);
	return err;
}

static bool is_empty(const struct wal_log *log)
{
	return log->writer.next_event == log->writer.header.first_event_id;
}

/* What keeps it from rotating was told when it began: preparing, or starting a segment. */
static bool can_rotate_at_once(struct wal_log *log)
{
	return !log->failed && log->writing && !log->writing_error &&
	       log->writer.header.index != WAL_LAST_SEGMENT_INDEX &&
	       log->maintainer.count < WAL_CLOSED_MAX &&
	       wal_segment_preparer_ready(&log->preparer, NULL) > 0;
}

/* A clock this much behind the last record was set back: later ones would have a time to come. */
#define STEP_NS UINT64_C(1000000000)
/* How long no segment is begun again for that: twice as long each time, up to a day. */
#define STEP_PAUSE_MIN_NS (UINT64_C(60) * 1000000000)
#define STEP_PAUSE_MAX_NS (UINT64_C(86400) * 1000000000)

static bool has_stepped_back(const struct wal_log *log, uint64_t now)
{
	return now < log->writer.last_ns && log->writer.last_ns - now > STEP_NS;
}

/*
 * Lock held; dropped where it has to wait. Times are in order within a segment only, so
 * another one has the right time again. A clock that goes to and fro begins a few, and no more.
 * If that is not possible now, the time is held in the old one.
 */
static void rotate_after_step(struct wal_log *log, bool may_wait)
{
	uint64_t now = wal_clock_ns();
	int err;

	if (now < log->step_due_ns)
		return;
	do {
		err = rotate_and_settle(log);
	} while (err == -EAGAIN && may_wait && has_stepped_back(log, log->io->now_ns(log->io)));
	if (err) {
		log->step_due_ns = now + STEP_NS;
		return;
	}
	log->step_pause_ns = log->step_pause_ns ? 2 * log->step_pause_ns : STEP_PAUSE_MIN_NS;
	if (log->step_pause_ns > STEP_PAUSE_MAX_NS)
		log->step_pause_ns = STEP_PAUSE_MAX_NS;
	log->step_due_ns = now + log->step_pause_ns;
}

/* Of the maintainer, which is what a rotation may have to wait for: so it tries once. */
void wal_log_rotate_by_age(struct wal_log *log)
{
	uint64_t now = log->io->now_ns(log->io), created = log->writer.header.created_ns;
	uint64_t age_ns = log->asked.rotate_age_s * UINT64_C(1000000000);

	if (!can_rotate_at_once(log) || is_empty(log))
		return;
	if (now < created && has_stepped_back(log, now))
		rotate_after_step(log, false); /* how old it is nobody knows */
	else if (now >= created && now - created >= age_ns)
		rotate_and_settle(log);
}

/* --- appending -------------------------------------------------------------------------------- */

/* Lock held. Is there a segment to write to? */
static int get_ready(struct wal_log *log)
{
	if (log->read_only || log->failed)
		return -EROFS;
	if (log->pending)
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
		if (is_empty(log))
			return -ENOSPC; /* a fresh one has no more */
		err = rotate(log);
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
	meta = meta_record(log);
	meta.kind = WAL_META_RESUME;
	meta.recovery = log->resume_bits;
	if (now < log->writer.last_ns) {
		meta.recovery |= WAL_META_CLOCK_STEPPED;
		meta.clock_step_ns = log->writer.last_ns - now;
	}
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
	size_t limit = wal_log_record_limit(log), i;

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
	rotate_after_step(log, true);
	return get_ready(log);
}

static ssize_t append_all(struct wal_log *log, const struct batch *batch, struct wal_hold *hold)
{
	uint64_t now = log->io->now_ns(log->io);
	uint64_t own = hold ? hold->cost_bytes : 0;
	struct resume_mark mark;
	size_t done = 0;
	int err = has_stepped_back(log, now) ? begin_after_step(log) : 0;
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
	if (wal_segment_writer_has_fault(&log->writer)) {
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
		err = rotate_and_settle(log);
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
	while (!err && log->writer.header.index == index && !is_empty(log)) {
		err = rotate_and_settle(log);
		if (err == -EAGAIN)
			err = 0;
	}
	if (!err)
		err = wal_segment_maintainer_wait(log, index);
	if (!err && log->failed)
		err = -EIO;
	pthread_mutex_unlock(&log->lock);
	return err;
}

/* --- asking ----------------------------------------------------------------------- */

int wal_log_dirfd(const struct wal_log *log)
{
	return log->dirfd;
}

bool wal_log_is_read_only(const struct wal_log *log)
{
	return log->read_only;
}

void wal_log_uuid(const struct wal_log *log, uint8_t uuid[16])
{
	memcpy(uuid, log->meta.log, sizeof(log->meta.log));
}

struct wal_framing wal_log_framing(const struct wal_log *log)
{
	return log->meta.framing;
}

size_t wal_log_record_limit(const struct wal_log *log)
{
	return log->record_limit;
}

size_t wal_log_event_limit(const struct wal_log *log)
{
	size_t record = wal_log_record_limit(log);
	size_t event = wal_segment_event_limit(log->meta.block_size);

	return event < record ? event : record;
}
