/* SPDX-License-Identifier: MIT */
#include "core/log/maintainer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/thread.h"
#include "core/log/closed.h"
#include "core/log/retention.h"
#include "core/log/rotate.h"

/* How often age is looked at. */
#define TICK_MS 1000
/* How often a seal is tried that found no space. */
#define SEAL_RETRY_MS 200

static bool has_ages(const struct wal_log *log)
{
	return log->asked.rotate_age_s || log->asked.keep_age_s;
}

/* Lock held, dropped while the disk works. Whoever waits for a sync waits for this. */
static void sync_data(struct wal_log *log, struct wal_closed *closed)
{
	struct wal_closed_queue *q = &log->closed;
	struct wal_segment_writer *w = &closed->writer;
	uint32_t index = w->header.index;
	struct wal_durable end = {index, closed->tail.offset, closed->tail.next_event - 1};
	uint64_t start = wal_clock_ns();
	int err;

	wal_log_assert_locked(log);
	pthread_mutex_unlock(&log->lock);
	err = wal_segment_writer_make_durable(w);
	pthread_mutex_lock(&log->lock);
	wal_count(&log->telemetry, WAL_COUNT_CLOSED_SYNCS, 1);
	wal_latency_since(&log->telemetry, WAL_LATENCY_CLOSED_SYNC, start);
	if (err) {
		wal_count(&log->telemetry, WAL_COUNT_SYNC_ERRORS, 1);
		wal_log_fail(log, index, "sync", err);
	}
	closed->synced = true; /* only this thread moves what is queued */
	if (!log->failed)
		wal_log_set_durable(log, &end);
	pthread_cond_broadcast(&q->moved);
}

/* A log that failed seals nothing: what is there is for recovery to judge. */
static void drop_all(struct wal_log *log)
{
	struct wal_maintainer *m = &log->maintainer;
	struct wal_closed_queue *q = &log->closed;

	wal_log_assert_locked(log);
	while (q->count > 0) {
		wal_closed_leave(log, q->queue[q->count - 1].info.index);
		wal_segment_writer_close(&q->queue[--q->count].writer, false);
	}
	m->retaining = false;
	wal_closed_answer(log);
}

/* Reported once each way. */
static void note_space(struct wal_log *log, uint32_t segment, int err)
{
	struct wal_closed_queue *q = &log->closed;

	if (err && !q->no_space)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%010" PRIu32 ".wal: cannot be sealed now: %s; trying again",
			       log->path, segment, strerror(-err));
	else if (!err && q->no_space)
		wal_log_notice(log, WAL_NOTICE_INFO, "%s: segments can be sealed again", log->path);
	q->no_space = err;
}

/* The oldest has no space to be sealed: later, or, at the end, by the next recovery. */
static void seal_later(struct wal_log *log, uint32_t index, int err)
{
	struct wal_maintainer *m = &log->maintainer;

	note_space(log, index, err);
	if (m->stop) {
		m->left_unsealed = true;
		drop_all(log);
	}
	wal_closed_answer(log);
}

static uint32_t next_time_run(const struct wal_segment_info *before,
			      const struct wal_segment_info *info)
{
	if (before->index + 1 != info->index || before->created_ns > info->created_ns ||
	    before->closed_ns > info->closed_ns || before->time_run == 0)
		return 1;
	return before->time_run < WAL_TIME_RUN_MAX ? before->time_run + 1 : WAL_TIME_RUN_MAX;
}

/* Who looks for a time searches where times are in order, and reads each segment elsewhere. */
static void count_time_run(struct wal_log *log, struct wal_closed *closed)
{
	struct wal_segment_info *sealed = &log->maintainer.sealed;
	uint32_t run;

	if (sealed->index + 1 != closed->info.index &&
	    wal_log_segment_info(log, closed->info.index - 1, sealed))
		*sealed = (struct wal_segment_info){0};
	run = next_time_run(sealed, &closed->info);
	*sealed = closed->info;
	sealed->time_run = run;
	wal_segment_writer_set_time_run(&closed->writer, run);
}

/* Lock held, dropped while the disk works. */
static void seal_oldest(struct wal_log *log)
{
	struct wal_closed_queue *q = &log->closed;
	struct wal_closed *closed = &q->queue[0];
	uint32_t index = closed->info.index;
	int err;

	wal_log_assert_locked(log);
	wal_closed_leave(log, index);
	q->urgent = false;
	pthread_mutex_unlock(&log->lock);
	count_time_run(log, closed);
	err = wal_segment_writer_seal(&closed->writer, closed->closed_ns);
	pthread_mutex_lock(&log->lock);
	q->tried++;
	if (wal_is_no_space(err)) {
		seal_later(log, index, err);
		return;
	}
	if (err) {
		wal_count(&log->telemetry, WAL_COUNT_SYNC_ERRORS, 1);
		wal_log_fail(log, index, "sealing", err);
	} else {
		note_space(log, index, 0);
		wal_latency_since(&log->telemetry, WAL_LATENCY_SEAL, closed->since_ns);
		wal_count(&log->telemetry, WAL_COUNT_SEALED, 1);
	}
	wal_closed_remove_oldest(log);
	wal_closed_answer(log);
}

/* Lock held. Is there something to do at once? */
static bool has_work(struct wal_log *log)
{
	struct wal_maintainer *m = &log->maintainer;
	struct wal_closed_queue *q = &log->closed;

	return m->retaining || (q->count > 0 && (!q->no_space || q->urgent || log->failed ||
						 wal_closed_first_unsynced(q)));
}

/* Lock held. Return: whether there is something to do (or to look at: ages, space). */
static bool wait_for_work(struct wal_log *log)
{
	struct wal_maintainer *m = &log->maintainer;
	struct wal_closed_queue *q = &log->closed;
	bool timed = q->no_space || has_ages(log);
	struct timespec until;

	wal_deadline(&until, q->no_space ? SEAL_RETRY_MS : TICK_MS);
	while (!has_work(log) && !m->stop) {
		if (!timed)
			pthread_cond_wait(&q->wake, &log->lock);
		else if (pthread_cond_timedwait(&q->wake, &log->lock, &until) == ETIMEDOUT)
			return true;
	}
	return q->count > 0 || !m->stop;
}

/* Lock held, dropped meanwhile. One step: what is to be sealed does not wait for more. */
static void retain(struct wal_log *log)
{
	log->maintainer.retaining = wal_log_retain_unlocked(log) == WAL_RETAINED_MORE;
}

static void look_at_ages(struct wal_log *log)
{
	if (log->asked.rotate_age_s)
		wal_log_rotate_by_age(log);
	if (log->asked.keep_age_s)
		retain(log);
}

static void *run(void *arg)
{
	struct wal_log *log = arg;
	struct wal_maintainer *m = &log->maintainer;
	struct wal_closed_queue *q = &log->closed;

	pthread_mutex_lock(&log->lock);
	/* What a smaller limit than last time makes too much goes now, not at the next seal. */
	m->retaining = true;
	while (wait_for_work(log)) {
		struct wal_closed *unsynced = wal_closed_first_unsynced(q);

		if (log->failed) {
			drop_all(log);
		} else if (unsynced) {
			sync_data(log, unsynced);
		} else if (q->count > 0) {
			seal_oldest(log);
			retain(log);
		} else if (m->retaining) {
			retain(log);
		} else {
			look_at_ages(log);
		}
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

int wal_maintainer_start(struct wal_log *log)
{
	struct wal_maintainer *m = &log->maintainer;
	struct wal_closed_queue *q = &log->closed;
	int err;

	wal_cond_init(&q->wake);
	wal_cond_init(&q->moved);
	err = wal_thread_start(&m->thread, "walfs-maintain", run, log);
	m->running = err == 0;
	return err;
}

void wal_maintainer_stop(struct wal_log *log)
{
	struct wal_maintainer *m = &log->maintainer;
	struct wal_closed_queue *q = &log->closed;

	if (!m->running)
		return;
	pthread_mutex_lock(&log->lock);
	m->stop = true;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&log->lock);
	pthread_join(m->thread, NULL);
	pthread_mutex_lock(&log->lock);
	m->running = false; /* the coordinator's thread may still fail the log */
	pthread_mutex_unlock(&log->lock);
	pthread_cond_destroy(&q->moved);
	pthread_cond_destroy(&q->wake);
}
