/* SPDX-License-Identifier: MIT */
/* From one segment to the next: beginning one, closing the one before it. */
#include "core/log/rotate.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/log/closed.h"
#include "core/log/io_method.h"
#include "core/log/settle.h"
#include "core/log/table.h"

struct wal_meta_record wal_log_meta_record(const struct wal_log *log, uint64_t now)
{
	struct wal_meta_record meta = {
		.writer_version = WAL_WRITER_VERSION,
		.incarnation = log->meta.incarnation,
		.segment_bytes = log->meta.segment_bytes,
		.framing = log->meta.framing,
	};

	memcpy(meta.log, log->meta.log, sizeof(meta.log));
	if (log->writing && now < log->writer.last_ns) {
		meta.recovery = WAL_META_CLOCK_STEPPED;
		meta.clock_step_ns = log->writer.last_ns - now;
	}
	return meta;
}

static int start_and_publish(struct wal_log *log, struct wal_segment_writer *w,
			     const struct wal_beginning *beginning)
{
	uint64_t now = log->io->now_ns(log->io);
	struct wal_meta_record meta = wal_log_meta_record(log, now);
	int err;

	meta.recovery |= beginning->recovery;
	meta.dropped_segments = beginning->dropped_segments;
	meta.dropped_bytes = beginning->dropped_bytes;
	if (log->resume_due)
		meta.recovery |= log->resume_bits;
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

	wal_log_assert_locked(log);
	if (err)
		return err;
	err = wal_segment_writer_prefault(&w);
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

/* Reported once each way. */
static void note_starting(struct wal_log *log, uint32_t segment, int err)
{
	if (err && !log->next.starting_error)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%010" PRIu32 ".wal: cannot be started: %s; trying again",
			       log->path, segment, strerror(-err));
	else if (!err && log->next.starting_error)
		wal_log_notice(log, WAL_NOTICE_INFO, "%s: segments can be started again",
			       log->path);
	log->next.starting_error = err;
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
 * a sync of it waits for the old one's (docs/DESIGN.md, D9).
 * Return: 0; -ENOENT if the file of `next` was removed; -ENOSPC ... In the end `next` is still
 * the caller's, and if the log did not fail, nothing was done.
 */
static int switch_segment(struct wal_log *log, struct wal_segment_writer *next)
{
	struct wal_beginning beginning;
	int err;

	wal_segment_writer_finish(&log->writer);
	/* Once it is handed over, nobody looks whether its bytes got into the file. */
	if (wal_segment_writer_has_failed(&log->writer))
		return -EIO;
	beginning = (struct wal_beginning){.index = log->writer.header.index + 1,
					   .first_event = log->writer.next_event,
					   .prev_chain = log->writer.start.chain};
	if (log->io_method.asked_up_to.segment != log->writer.header.index)
		log->io_method.small_syncs = 0; /* nobody asked for one in all of that segment */
	wal_log_choose_io(log, next);
	err = wal_log_reserve_entry(log);
	if (!err)
		err = start_and_publish(log, next, &beginning);
	if (can_be_started_later(err)) {
		wal_segment_writer_go_on(&log->writer);
		note_starting(log, beginning.index, err);
		return wal_public_error(err);
	}
	if (err == -ENOENT && log->next.made_again != beginning.index) {
		wal_segment_writer_go_on(&log->writer);
		return err;
	}
	if (err) {
		wal_log_fail(log, beginning.index, "starting it", err);
		return log->failed;
	}
	note_starting(log, beginning.index, 0);
	wal_log_add_entry(log, beginning.index);
	wal_closed_add(log, &log->writer, closing_time(log));
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
	log->next.made_again = index;
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

int wal_log_rotate_once(struct wal_log *log)
{
	uint64_t start = wal_clock_ns();
	struct wal_segment_writer next;
	int err;

	wal_log_assert_locked(log);
	/* Nobody could find a segment above it. */
	if (log->writer.header.index == WAL_LAST_SEGMENT_INDEX)
		return -EOVERFLOW;
	/* Whoever comes while this one waits sees, and syncs, what was appended so far. */
	wal_segment_writer_write_out(&log->writer);
	if (wal_segment_writer_has_failed(&log->writer))
		return -EIO;
	wal_segment_writer_acknowledge(&log->writer);
	err = log->writing_error ? wal_log_clear(log) : 0;
	if (err)
		return err;
	if (log->closed.count == WAL_CLOSED_MAX) {
		if (log->closed.no_space)
			return log->closed.no_space;
		wal_count(&log->telemetry, WAL_COUNT_SEAL_WAITS, 1);
		pthread_cond_wait(&log->closed.moved, &log->lock);
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

int wal_log_rotate_and_settle(struct wal_log *log)
{
	uint64_t lost_bytes;
	int err = wal_log_rotate_once(log);

	if (err && wal_segment_writer_has_failed(&log->writer))
		err = wal_log_settle(log, &lost_bytes);
	return err;
}

/* What keeps it from rotating was reported when it began: preparing, or starting a segment. */
static bool can_rotate_at_once(struct wal_log *log)
{
	return !log->failed && log->writing && !log->writing_error &&
	       log->writer.header.index != WAL_LAST_SEGMENT_INDEX &&
	       log->closed.count < WAL_CLOSED_MAX &&
	       wal_segment_preparer_ready(&log->preparer, NULL) > 0;
}

/* How long no segment is begun again for that: twice as long each time, up to a day. */
#define STEP_PAUSE_MIN_NS (UINT64_C(60) * 1000000000)
#define STEP_PAUSE_MAX_NS (UINT64_C(86400) * 1000000000)

void wal_log_rotate_after_step(struct wal_log *log, bool may_wait)
{
	struct wal_log_next *next = &log->next;
	uint64_t now = wal_clock_ns();
	int err;

	wal_log_assert_locked(log);
	if (now < next->step_due_ns)
		return;
	do {
		err = wal_log_rotate_and_settle(log);
	} while (err == -EAGAIN && may_wait &&
		 wal_log_has_stepped_back(log, log->io->now_ns(log->io)));
	if (err) {
		next->step_due_ns = now + WAL_CLOCK_STEP_NS;
		return;
	}
	next->step_pause_ns = next->step_pause_ns ? 2 * next->step_pause_ns : STEP_PAUSE_MIN_NS;
	if (next->step_pause_ns > STEP_PAUSE_MAX_NS)
		next->step_pause_ns = STEP_PAUSE_MAX_NS;
	next->step_due_ns = now + next->step_pause_ns;
}

/* Of the maintainer, which is what a rotation may have to wait for: so it tries once. */
void wal_log_rotate_by_age(struct wal_log *log)
{
	uint64_t now = log->io->now_ns(log->io), created = log->writer.header.created_ns;
	uint64_t age_ns = log->asked.rotate_age_s * UINT64_C(1000000000);

	wal_log_assert_locked(log);
	if (!can_rotate_at_once(log) || wal_log_is_empty(log))
		return;
	if (now < created && wal_log_has_stepped_back(log, now))
		wal_log_rotate_after_step(log, false); /* how old it is nobody knows */
	else if (now >= created && now - created >= age_ns)
		wal_log_rotate_and_settle(log);
}
