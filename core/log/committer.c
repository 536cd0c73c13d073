/* SPDX-License-Identifier: MIT */
#include "core/log/committer.h"

#include <errno.h>

#include "core/log/closed.h"
#include "core/log/io_method.h"
#include "core/base/thread.h"

static bool reaches(const struct wal_durable *a, const struct wal_durable *b)
{
	return a->segment > b->segment || (a->segment == b->segment && a->offset >= b->offset);
}

static bool is_dirty(const struct wal_log *log)
{
	struct wal_durable end = wal_log_end(log);

	return log->writing && !log->failed && !reaches(&log->durable, &end);
}

static struct wal_sync *take_waiting(struct wal_committer *c)
{
	struct wal_sync *first = c->first;

	c->first = NULL;
	c->last = &c->first;
	c->waiting = 0;
	return first;
}

/* Lock held. With meta=strict there is more to do than to sync. */
static bool is_durable(const struct wal_log *log, const struct wal_sync *sync)
{
	return !log->failed && !log->pending.due && !log->asked.meta_strict &&
	       log->durable.event >= sync->event;
}

/*
 * Lock held. Those that asked while a sync ran which covers them: the first of the queue,
 * since all asked in order.
 */
static struct wal_sync *take_durable(struct wal_log *log)
{
	struct wal_committer *c = &log->committer;
	struct wal_sync *first = c->first, **end = &first;

	for (; *end && is_durable(log, *end); end = &(*end)->next)
		c->waiting--;
	c->first = *end;
	if (!c->first)
		c->last = &c->first;
	*end = NULL;
	return first;
}

static void answer(struct wal_log *log, struct wal_sync *sync, int err)
{
	while (sync) {
		struct wal_sync *next = sync->next;

		wal_latency_since(&log->telemetry, WAL_LATENCY_SYNC_WAIT, sync->start_ns);
		wal_count(&log->telemetry, err ? WAL_COUNT_SYNC_REFUSALS : WAL_COUNT_SYNC_REQUESTS,
			  1);
		sync->done(sync, sync->of_append ? wal_sync_error(err) : err);
		sync = next;
	}
}

/*
 * Lock held; dropped while the disk works. Meanwhile the maintainer may sync the
 * same segment, and it has the same descriptor, whose error is reported once: to it
 * alone, perhaps. Then its word counts, not this one's.
 */
static int sync_active(struct wal_log *log)
{
	struct wal_committer *c = &log->committer;
	struct wal_durable end = wal_log_end(log);
	uint32_t index = log->writer.header.index;
	bool name_too = !log->writer.name_is_durable, still_active;
	uint64_t start = wal_clock_ns();
	int fd = log->writer.fd, err;

	wal_log_assert_locked(log);
	c->syncing = index; /* it is not closed before this is done */
	pthread_mutex_unlock(&log->lock);
	err = log->io->fdatasync(log->io, fd);
	if (!err && name_too)
		err = log->io->fsync(log->io, log->dirfd);
	pthread_mutex_lock(&log->lock);
	c->syncing = 0;
	wal_count(&log->telemetry, WAL_COUNT_SYNCS, 1);
	wal_latency_since(&log->telemetry, WAL_LATENCY_SYNC, start);
	still_active = log->writer.header.index == index;
	if (!still_active)
		pthread_cond_broadcast(&log->closed.moved);
	if (!err && still_active && wal_segment_writer_has_failed(&log->writer))
		err = -EIO;
	if (!err && still_active)
		err = wal_segment_writer_check_name(&log->writer);
	if (err) {
		wal_count(&log->telemetry, WAL_COUNT_SYNC_ERRORS, 1);
		wal_log_fail(log, index, "sync", err);
	}
	if (!log->failed && still_active) {
		log->writer.name_is_durable = true;
		wal_log_set_durable(log, &end);
	}
	return log->failed;
}

/*
 * A promise about the end is one about everything before it: segments that were
 * closed go first. Lock held, dropped while it waits.
 */
static int sync_to_end(struct wal_log *log)
{
	struct wal_durable end = wal_log_end(log);
	int err = 0;

	wal_log_assert_locked(log);
	/* What a life before left above D waits for the recovery that had no space. */
	if (log->pending.due)
		return -ENOSPC;
	while (!err && !log->failed && !reaches(&log->durable, &end)) {
		if (wal_closed_owes(log, end.segment))
			pthread_cond_wait(&log->closed.moved, &log->lock);
		else
			err = sync_active(log);
	}
	return err ? err : log->failed;
}

/* With meta=strict, wal.meta has the new position before anybody is answered. */
static int commit(struct wal_log *log, bool asked)
{
	int err;

	if (asked)
		wal_log_note_sync(log);
	err = sync_to_end(log);

	if (err || !log->asked.meta_strict || !log->coordinator_open)
		return err;
	pthread_mutex_unlock(&log->lock);
	err = wal_meta_coordinator_flush(&log->coordinator);
	pthread_mutex_lock(&log->lock);
	return wal_public_error(err);
}

/* Lock held; dropped for it. */
static void answer_unlocked(struct wal_log *log, struct wal_sync *sync, int err)
{
	pthread_mutex_unlock(&log->lock);
	answer(log, sync, err);
	pthread_mutex_lock(&log->lock);
}

/* Lock held, dropped while the disk works. One commit: all who wait are answered. */
static void commit_once(struct wal_log *log)
{
	struct wal_sync *durable = take_durable(log), *waiting;
	int err;

	wal_log_assert_locked(log);
	if (durable) {
		wal_log_note_sync(log);
		answer_unlocked(log, durable, 0);
		if (!log->committer.first)
			return;
	}
	waiting = take_waiting(&log->committer);
	err = waiting || is_dirty(log) ? commit(log, waiting != NULL) : 0;
	answer_unlocked(log, waiting, err);
}

/* Lock held. The next one may commit: the thread, if somebody waits for it. */
static void give_up_lead(struct wal_committer *c)
{
	c->busy = false;
	if (c->first || c->stop)
		pthread_cond_broadcast(&c->wake);
}

/* Lock held. Return: false to stop; else the thread has the lead. */
static bool wait_for_work(struct wal_log *log)
{
	struct wal_committer *c = &log->committer;
	struct timespec until;
	bool due = false;

	wal_deadline(&until, c->interval_ms);
	while (c->busy || (!c->first && !c->stop && !due)) {
		if (!c->interval_ms) {
			pthread_cond_wait(&c->wake, &log->lock);
		} else if (pthread_cond_timedwait(&c->wake, &log->lock, &until) == ETIMEDOUT) {
			due = !c->busy && is_dirty(log);
			wal_deadline(&until, c->interval_ms);
		}
	}
	if (!c->first && c->stop)
		return false;
	c->busy = true;
	return true;
}

static void *run(void *arg)
{
	struct wal_log *log = arg;

	pthread_mutex_lock(&log->lock);
	while (wait_for_work(log)) {
		commit_once(log);
		give_up_lead(&log->committer);
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

int wal_committer_start(struct wal_log *log, unsigned interval_ms)
{
	struct wal_committer *c = &log->committer;
	int err;

	c->interval_ms = interval_ms;
	c->last = &c->first;
	wal_cond_init(&c->wake);
	err = wal_thread_start(&c->thread, "walfs-commit", run, log);
	if (err)
		pthread_cond_destroy(&c->wake);
	c->running = err == 0;
	return err;
}

void wal_committer_stop(struct wal_log *log)
{
	struct wal_committer *c = &log->committer;

	if (!c->running)
		return;
	pthread_mutex_lock(&log->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->wake);
	pthread_mutex_unlock(&log->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->wake);
	c->running = false;
}

/* --- asking for a sync ------------------------------------------------------------- */

/*
 * Takes the log's lock and leaves it held, unless there is nothing to wait for: then the
 * sync is answered. Return: whether it waits.
 */
static bool enqueue(struct wal_log *log, struct wal_sync *sync)
{
	struct wal_committer *c = &log->committer;

	sync->start_ns = wal_clock_ns();
	sync->next = NULL;
	if (!c->running) { /* read-only: nothing was appended */
		sync->done(sync, 0);
		return false;
	}
	pthread_mutex_lock(&log->lock);
	sync->event = wal_log_end(log).event;
	if (is_durable(log, sync)) {
		wal_log_note_sync(log);
		pthread_mutex_unlock(&log->lock);
		answer(log, sync, 0);
		return false;
	}
	*c->last = sync;
	c->last = &sync->next;
	c->waiting++;
	return true;
}

void wal_log_sync_start(struct wal_log *log, struct wal_sync *sync)
{
	if (!enqueue(log, sync))
		return;
	if (!log->committer.busy)
		pthread_cond_signal(&log->committer.wake);
	pthread_mutex_unlock(&log->lock);
}

bool wal_log_sync_join(struct wal_log *log, struct wal_sync *sync)
{
	bool lead;

	if (!enqueue(log, sync))
		return false;
	lead = !log->committer.busy;
	log->committer.busy = true;
	pthread_mutex_unlock(&log->lock);
	return lead;
}

void wal_log_sync_lead(struct wal_log *log)
{
	pthread_mutex_lock(&log->lock);
	do {
		commit_once(log);
	} while (log->committer.first);
	give_up_lead(&log->committer);
	pthread_mutex_unlock(&log->lock);
}

void wal_log_sync_pass(struct wal_log *log)
{
	pthread_mutex_lock(&log->lock);
	give_up_lead(&log->committer);
	pthread_mutex_unlock(&log->lock);
}

struct waiter {
	struct wal_sync sync;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool done;
	int err;
};

static void wake_waiter(struct wal_sync *sync, int err)
{
	struct waiter *w = (struct waiter *)sync;

	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->err = err;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

int wal_log_sync(struct wal_log *log)
{
	struct waiter w = {.sync.done = wake_waiter};

	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.wake, NULL);
	if (wal_log_sync_join(log, &w.sync)) {
		/* Once answered, the caller does no more for others: the thread goes on. */
		pthread_mutex_lock(&log->lock);
		commit_once(log);
		give_up_lead(&log->committer);
		pthread_mutex_unlock(&log->lock);
	}
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.wake, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.wake);
	pthread_mutex_destroy(&w.lock);
	return w.err;
}
