/* SPDX-License-Identifier: MIT */
#include "core/log/segment_maintainer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/log/log.h"
#include "core/base/thread.h"

/* How often age is looked at. */
#define TICK_MS 1000
/* How often a seal is tried that found no space. */
#define SEAL_RETRY_MS 200

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

/* Lock held. A segment is not waiting to be sealed any more, or has no space for that. */
static void tell_sealed(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	struct wal_seal_wait **link = &m->waiting, *wait;

	pthread_cond_broadcast(&m->moved);
	while ((wait = *link)) {
		if (wal_segment_maintainer_sealing(log, wait->segment)) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		wait->done(wait);
	}
}

/* A log that failed seals nothing: what is there is for recovery to judge. */
static void drop_all(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;

	while (m->count > 0) {
		wal_committer_leave(log, m->queue[m->count - 1].info.index);
		wal_segment_writer_close(&m->queue[--m->count].writer, false);
	}
	m->retaining = false;
	tell_sealed(log);
}

/* Told once each way. */
static void note_space(struct wal_log *log, uint32_t segment, int err)
{
	struct wal_segment_maintainer *m = &log->maintainer;

	if (err && !m->no_space)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%010" PRIu32 ".wal: cannot be sealed now: %s; trying again",
			       log->path, segment, strerror(-err));
	else if (!err && m->no_space)
		wal_log_notice(log, WAL_NOTICE_INFO, "%s: segments can be sealed again", log->path);
	m->no_space = err;
}

/* The oldest has no space to be sealed: later, or, at the end, by the next recovery. */
static void seal_later(struct wal_log *log, uint32_t index, int err)
{
	struct wal_segment_maintainer *m = &log->maintainer;

	note_space(log, index, err);
	if (m->stop) {
		m->left_unsealed = true;
		drop_all(log);
	}
	tell_sealed(log);
}

/* Lock held, dropped while the disk works. */
static void seal_oldest(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	struct wal_closed *closed = &m->queue[0];
	uint32_t index = closed->info.index;
	int err;

	wal_committer_leave(log, index);
	m->urgent = false;
	pthread_mutex_unlock(&log->lock);
	err = wal_segment_writer_seal(&closed->writer, closed->closed_ns);
	pthread_mutex_lock(&log->lock);
	m->tried++;
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
	m->count--;
	memmove(m->queue, m->queue + 1, m->count * sizeof(m->queue[0]));
	tell_sealed(log);
}

/* Lock held. Is there something to do at once? */
static bool has_work(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;

	return m->retaining ||
	       (m->count > 0 &&
		(!m->no_space || m->urgent || log->failed || first_unsynced(m)));
}

/* Lock held. Return: whether there is something to do (or to look at: ages, space). */
static bool wait_for_work(struct wal_log *log)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	bool timed = m->no_space || has_ages(log);
	struct timespec until;

	wal_deadline(&until, m->no_space ? SEAL_RETRY_MS : TICK_MS);
	while (!has_work(log) && !m->stop) {
		if (!timed)
			pthread_cond_wait(&m->wake, &log->lock);
		else if (pthread_cond_timedwait(&m->wake, &log->lock, &until) == ETIMEDOUT)
			return true;
	}
	return m->count > 0 || !m->stop;
}

/* Lock held, dropped meanwhile. One step: what is to be sealed does not wait for more. */
static void retain(struct wal_log *log)
{
	bool more;

	pthread_mutex_unlock(&log->lock);
	more = wal_log_retain(log) == WAL_RETAINED_MORE;
	pthread_mutex_lock(&log->lock);
	log->maintainer.retaining = more;
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
	struct wal_segment_maintainer *m = &log->maintainer;

	pthread_mutex_lock(&log->lock);
	/* What a smaller limit than last time makes too much goes now, not at the next seal. */
	m->retaining = true;
	while (wait_for_work(log)) {
		struct wal_closed *unsynced = first_unsynced(m);

		if (log->failed) {
			drop_all(log);
		} else if (unsynced) {
			sync_data(log, unsynced);
		} else if (m->count > 0) {
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

const struct wal_closed *wal_segment_maintainer_sealing(const struct wal_log *log, uint32_t index)
{
	return log->maintainer.no_space ? NULL : wal_segment_maintainer_find(log, index);
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

int wal_segment_maintainer_wait(struct wal_log *log, uint32_t index)
{
	struct wal_segment_maintainer *m = &log->maintainer;
	uint64_t seen = m->tried;

	if (m->no_space) {
		m->urgent = true;
		pthread_cond_signal(&m->wake);
	}
	while (wal_segment_maintainer_find(log, index)) {
		if (m->no_space && m->tried != seen)
			return m->no_space;
		pthread_cond_wait(&m->moved, &log->lock);
	}
	return 0;
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
