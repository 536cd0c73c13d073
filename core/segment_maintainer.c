/* SPDX-License-Identifier: MIT */
#include "core/segment_maintainer.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/thread.h"

/* How often age is looked at. */
#define TICK_MS 1000

static bool has_ages(const struct wal_log *log)
{
	return log->asked.rotate_age_s || log->asked.keep_age_s;
}

/* The oldest that is not synced; all before it are. */
static struct wal_closed *first_unsynced(struct wal_segment_maintainer *m)
{
	unsigned i;

	for (i = 0; i < m->count; i++) {
		if (!m->queue[i].synced)
			return &m->queue[i];
	}
	return NULL;
}

/* Lock held, dropped while the disk works. Whoever waits for a sync waits for this. */
static void sync_data(struct wal_log *log, struct wal_closed *closed)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	struct wal_segment_writer *w = &closed->writer;
	uint32_t index = w->header.index;
	struct wal_durable end = {index, closed->tail.offset, closed->tail.next_event - 1};
	uint64_t start = wal_clock_ns();
	int err;

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
	pthread_cond_broadcast(&m->moved);
}

/* Lock held, dropped while the disk works. */
static void seal_oldest(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	struct wal_closed *closed = &m->queue[0];
	uint32_t index = closed->info.index;
	int err;

	wal_committer_leave(log, index);
	pthread_mutex_unlock(&log->lock);
	err = wal_segment_writer_seal(&closed->writer, closed->closed_ns);
	pthread_mutex_lock(&log->lock);
	if (err) {
		wal_count(&log->telemetry, WAL_COUNT_SYNC_ERRORS, 1);
		wal_log_fail(log, index, "sealing", err);
	} else {
		wal_latency_since(&log->telemetry, WAL_LATENCY_SEAL, closed->since_ns);
		wal_count(&log->telemetry, WAL_COUNT_SEALED, 1);
	}
	m->count--;
	memmove(m->queue, m->queue + 1, m->count * sizeof(m->queue[0]));
	pthread_cond_broadcast(&m->moved);
}

/* A log that failed seals nothing: what is there is for recovery to judge. */
static void drop_all(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;

	while (m->count > 0) {
		wal_committer_leave(log, m->queue[m->count - 1].info.index);
		wal_segment_writer_close(&m->queue[--m->count].writer, false);
	}
	pthread_cond_broadcast(&m->moved);
}

/* Lock held. Return: whether there is something to do (or to look at: ages). */
static bool wait_for_work(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	struct timespec until;

	if (has_ages(log))
		wal_deadline(&until, TICK_MS);
	while (m->count == 0 && !m->stop) {
		if (!has_ages(log))
			pthread_cond_wait(&m->wake, &log->lock);
		else if (pthread_cond_timedwait(&m->wake, &log->lock, &until) == ETIMEDOUT)
			return true;
	}
	return m->count > 0 || !m->stop;
}

static void look_at_ages(struct wal_log *log)
{
	if (log->asked.rotate_age_s)
		wal_log_rotate_by_age(log);
	if (!log->asked.keep_age_s)
		return;
	pthread_mutex_unlock(&log->lock);
	wal_log_retain(log);
	pthread_mutex_lock(&log->lock);
}

static void *run(void *arg)
{
	struct wal_log *log = arg;
	struct wal_segment_maintainer *m = &log->maintainer;

	/* What a smaller limit than last time makes too much goes now, not at the next seal. */
	wal_log_retain(log);
	pthread_mutex_lock(&log->lock);
	while (wait_for_work(log)) {
		struct wal_closed *unsynced = first_unsynced(m);

		if (log->failed) {
			drop_all(log);
		} else if (unsynced) {
			sync_data(log, unsynced);
		} else if (m->count > 0) {
			seal_oldest(log);
			pthread_mutex_unlock(&log->lock);
			wal_log_retain(log);
			pthread_mutex_lock(&log->lock);
		} else {
			look_at_ages(log);
		}
	}
	pthread_mutex_unlock(&log->lock);
	return NULL;
}

int wal_segment_maintainer_start(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	int err;

	wal_cond_init(&m->wake);
	wal_cond_init(&m->moved);
	err = wal_thread_start(&m->thread, "walfs-maintain", run, log);
	m->running = err == 0;
	return err;
}

void wal_segment_maintainer_add(struct wal_log *log, const struct wal_segment_writer *writer,
				uint64_t closed_ns)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	struct wal_closed *closed = &m->queue[m->count++];

	*closed = (struct wal_closed){
		.writer = *writer, .closed_ns = closed_ns, .since_ns = wal_clock_ns()};
	wal_segment_writer_tail(writer, &closed->tail);
	wal_log_writer_info(writer, &closed->info);
	closed->info.state = WAL_SEALING;
	closed->info.chain = writer->start.chain;
	closed->info.closed_ns = closed_ns;
	/* What it will be cut to: nobody sees the rest go. */
	closed->info.file_bytes =
		wal_block_offset(writer->header.block_size, writer->start.index + 1);
	pthread_cond_signal(&m->wake);
}

const struct wal_closed *wal_segment_maintainer_find(const struct wal_log *log, uint32_t index)
{
	const struct wal_segment_maintainer *m = &log->maintainer;
	unsigned i;

	for (i = 0; i < m->count; i++) {
		if (m->queue[i].info.index == index)
			return &m->queue[i];
	}
	return NULL;
}

bool wal_segment_maintainer_owes(const struct wal_log *log, uint32_t index)
{
	const struct wal_segment_maintainer *m = &log->maintainer;
	unsigned i;

	for (i = 0; i < m->count; i++) {
		if (!m->queue[i].synced && m->queue[i].info.index <= index)
			return true;
	}
	return false;
}

void wal_segment_maintainer_stop(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;

	if (!m->running)
		return;
	pthread_mutex_lock(&log->lock);
	m->stop = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&log->lock);
	pthread_join(m->thread, NULL);
	pthread_mutex_lock(&log->lock);
	m->running = false; /* the coordinator's thread may still fail the log */
	pthread_mutex_unlock(&log->lock);
	pthread_cond_destroy(&m->moved);
	pthread_cond_destroy(&m->wake);
}
