/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_preparer.h"

#include <errno.h>
#include <string.h>

#include "core/base/thread.h"

/* After a failure it is tried again at once if somebody waits, else this often. */
#define RETRY_MS 1000
/* While there is no space for one, who waits gets the answer of an attempt as young as this. */
#define YOUNG_NS UINT64_C(20000000)

/* A log that fills a segment in less than this is being filled in bulk. */
#define BULK_NS UINT64_C(1000000000)

/*
 * Prefaulting dirties every page, so the sync here keeps the first sync after a
 * rotation from writing the whole segment; and it turns the extents into written
 * ones, so that later syncs need no journal commit.
 *
 * But it writes each byte of the segment once more. Where a log is filled in bulk that
 * time is the appends': only the file's size and blocks are made durable then, and what
 * is prefaulted is written once, with the events in it.
 */
static int make_ready(struct wal_segment_writer *w, bool by_pwrite, bool for_bulk)
{
	int err;

	if (!for_bulk) {
		err = wal_segment_writer_prefault(w);
		return err ? err : wal_segment_writer_flush(w, true);
	}
	err = wal_segment_writer_flush(w, true);
	return err || by_pwrite ? err : wal_segment_writer_prefault(w);
}

/*
 * Looked at first: an allocation that fails half-way has taken, for that while, the last
 * of what others need too.
 */
static bool has_space(const struct wal_segment_preparer *p, const struct wal_segment_shape *shape)
{
	return p->io->free_bytes(p->io, p->dirfd) >= shape->file_bytes;
}

static int prepare(const struct wal_segment_preparer *p, const struct wal_segment_shape *shape,
		   bool for_bulk, struct wal_segment_writer *w)
{
	bool by_pwrite = atomic_load_explicit(&p->by_pwrite, memory_order_relaxed);
	uint64_t start = wal_clock_ns();
	int err;

	if (!has_space(p, shape))
		return -ENOSPC;
	err = wal_segment_writer_open_new(w, p->io, p->dirfd, shape);
	if (err)
		return err;
	err = make_ready(w, by_pwrite, for_bulk);
	if (!err && by_pwrite)
		err = wal_segment_writer_gather(w);
	if (err) {
		wal_segment_writer_close(w, false);
		return err;
	}
	wal_latency_since(p->telemetry, WAL_LATENCY_PREPARE, start);
	wal_count(p->telemetry, WAL_COUNT_PREPARED, 1);
	return 0;
}

/* Lock held, dropped while it works. */
static void prepare_one(struct wal_segment_preparer *p)
{
	struct wal_segment_shape shape = p->shape;
	struct wal_segment_writer w;
	int before = p->err, err;
	bool for_bulk = p->in_bulk && (p->needed || wal_clock_ns() - p->taken_ns < BULK_NS);

	p->needed = false;
	pthread_mutex_unlock(&p->lock);
	err = prepare(p, &shape, for_bulk, &w);
	if (err)
		wal_count(p->telemetry, WAL_COUNT_PREPARE_ERRORS, 1);
	if (p->changed && (err != 0) != (before != 0))
		p->changed(p->changed_ctx, shape.index, err);
	if (!err && p->made)
		p->made(p->changed_ctx, w.fd);
	pthread_mutex_lock(&p->lock);
	p->err = err;
	p->attempts++;
	p->tried_ns = p->io->now_ns(p->io);
	if (!err && shape.index != p->shape.index) {
		wal_segment_writer_close(&w, false);
	} else if (!err) {
		p->queue[p->count++] = w;
		p->shape.index++;
	}
	pthread_cond_broadcast(&p->ready);
}

static void wait_to_retry(struct wal_segment_preparer *p)
{
	struct timespec until;

	wal_deadline(&until, RETRY_MS);
	while (!p->stop && !p->needed && !p->given_up &&
	       pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT)
		;
}

static bool has_more(const struct wal_segment_preparer *p)
{
	return !p->given_up && p->count < p->depth && p->shape.index <= WAL_LAST_SEGMENT_INDEX;
}

static void *run(void *arg)
{
	struct wal_segment_preparer *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!p->stop) {
		if (!has_more(p))
			pthread_cond_wait(&p->wake, &p->lock);
		else if (p->err)
			wait_to_retry(p);
		if (!p->stop && has_more(p))
			prepare_one(p);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int wal_segment_preparer_start(struct wal_segment_preparer *p,
			       const struct wal_segment_shape *shape, unsigned depth)
{
	int err;

	p->shape = *shape;
	p->depth = depth < WAL_PREPARE_MAX ? depth : WAL_PREPARE_MAX;
	p->count = 0;
	p->err = 0;
	p->stop = p->given_up = false;
	pthread_mutex_init(&p->lock, NULL);
	wal_cond_init(&p->wake);
	wal_cond_init(&p->ready);
	err = wal_thread_start(&p->thread, "walfs-prepare", run, p);
	p->running = err == 0;
	return err;
}

/* Lock held. The one taken before was filled meanwhile. */
static void note_taken(struct wal_segment_preparer *p)
{
	uint64_t now = wal_clock_ns();

	p->in_bulk = p->taken_ns && now - p->taken_ns < BULK_NS;
	p->taken_ns = now;
}

int wal_segment_preparer_take(struct wal_segment_preparer *p, struct wal_segment_writer *w)
{
	int err = 0;

	pthread_mutex_lock(&p->lock);
	if (p->count > 0) {
		*w = p->queue[0];
		p->count--;
		memmove(p->queue, p->queue + 1, p->count * sizeof(p->queue[0]));
		note_taken(p);
	} else {
		err = -EAGAIN;
	}
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	return err;
}

void wal_segment_preparer_give_back(struct wal_segment_preparer *p,
				    const struct wal_segment_writer *w)
{
	pthread_mutex_lock(&p->lock);
	memmove(p->queue + 1, p->queue, p->count * sizeof(p->queue[0]));
	p->queue[0] = *w;
	p->count++;
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->lock);
}

/* What is being prepared meanwhile has a larger index, and is dropped when it is ready. */
void wal_segment_preparer_make_again(struct wal_segment_preparer *p, uint32_t index)
{
	pthread_mutex_lock(&p->lock);
	while (p->count > 0)
		wal_segment_writer_close(&p->queue[--p->count], false);
	p->shape.index = index;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
}

/* Lock held. Whether a quota has room again cannot be asked: that answer is repeated. */
static bool is_still_full(const struct wal_segment_preparer *p)
{
	uint64_t now = p->io->now_ns(p->io);

	return p->count == 0 && wal_is_no_space(p->err) && now >= p->tried_ns &&
	       now - p->tried_ns < YOUNG_NS && (p->err == -EDQUOT || !has_space(p, &p->shape));
}

int wal_segment_preparer_wait(struct wal_segment_preparer *p)
{
	uint64_t seen;
	int err;

	pthread_mutex_lock(&p->lock);
	if (is_still_full(p)) {
		err = p->err;
		pthread_mutex_unlock(&p->lock);
		return err;
	}
	seen = p->attempts;
	p->needed = true;
	pthread_cond_signal(&p->wake);
	while (p->count == 0 && p->attempts == seen && !p->stop && !p->given_up)
		pthread_cond_wait(&p->ready, &p->lock);
	err = p->count ? 0 : p->given_up ? -EROFS : p->err;
	pthread_mutex_unlock(&p->lock);
	return err;
}

unsigned wal_segment_preparer_ready(struct wal_segment_preparer *p, int *err)
{
	unsigned count;

	pthread_mutex_lock(&p->lock);
	count = p->count;
	if (err)
		*err = p->err;
	pthread_mutex_unlock(&p->lock);
	return count;
}

void wal_segment_preparer_give_up(struct wal_segment_preparer *p)
{
	pthread_mutex_lock(&p->lock);
	p->given_up = true;
	pthread_cond_signal(&p->wake);
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->lock);
}

void wal_segment_preparer_stop(struct wal_segment_preparer *p)
{
	unsigned i;

	if (!p->running)
		return;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->wake);
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	for (i = 0; i < p->count; i++)
		wal_segment_writer_close(&p->queue[i], false);
	pthread_cond_destroy(&p->ready);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	p->running = false;
}
