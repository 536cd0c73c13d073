/* SPDX-License-Identifier: MIT */
#include "core/store/meta_coordinator.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/base/thread.h"

/* A write waits this long for more to come; with the write itself D stays within a second. */
#define GATHER_MS 500

int wal_meta_coordinator_init(struct wal_meta_coordinator *mc, const struct wal_io *io, int dirfd,
			      const struct wal_meta *meta, struct wal_error *why)
{
	int err;

	memset(mc, 0, sizeof(*mc));
	mc->meta = *meta;
	mc->first_written = meta->first_segment;
	err = wal_meta_store_open(&mc->store, io, dirfd, why);
	if (err)
		return err;
	err = wal_meta_store_write(&mc->store, &mc->meta);
	if (err) {
		wal_meta_store_close(&mc->store);
		return err;
	}
	pthread_mutex_init(&mc->lock, NULL);
	wal_cond_init(&mc->wake);
	wal_cond_init(&mc->wrote);
	return 0;
}

/* Waits for something to write, then a while longer. Return: false to stop. */
static bool wait_for_work(struct wal_meta_coordinator *mc)
{
	struct timespec until;

	while (!mc->dirty && !mc->stop)
		pthread_cond_wait(&mc->wake, &mc->lock);
	wal_deadline(&until, GATHER_MS);
	while (!mc->stop && !mc->urgent &&
	       pthread_cond_timedwait(&mc->wake, &mc->lock, &until) != ETIMEDOUT)
		;
	return !mc->stop;
}

/* Lock held, dropped meanwhile: the log's comes before it. */
static void tell_space(struct wal_meta_coordinator *mc, int err)
{
	pthread_mutex_unlock(&mc->lock);
	mc->space_changed(mc->ctx, err);
	pthread_mutex_lock(&mc->lock);
}

/*
 * Lock held, dropped while the disk works. A write that found no space did nothing that
 * counts, and is due again. Return: the error that ends it all, or 0.
 */
static int write_once(struct wal_meta_coordinator *mc)
{
	struct wal_meta meta = mc->meta;
	uint64_t wanted = mc->wanted, start;
	bool changed;
	int err;

	mc->dirty = false;
	mc->urgent = false;
	pthread_mutex_unlock(&mc->lock);
	start = wal_clock_ns();
	err = wal_meta_store_write(&mc->store, &meta);
	if (mc->telemetry) {
		wal_latency_since(mc->telemetry, WAL_LATENCY_META, start);
		wal_count(mc->telemetry, WAL_COUNT_META_WRITES, 1);
	}
	pthread_mutex_lock(&mc->lock);
	mc->tried = wanted;
	if (!err) {
		mc->written = wanted;
		mc->first_written = meta.first_segment;
	} else if (wal_is_no_space(err)) {
		mc->dirty = true;
	} else {
		mc->err = err;
	}
	changed = !mc->err && (err != 0) != (mc->no_space != 0);
	mc->no_space = mc->err ? 0 : err;
	pthread_cond_broadcast(&mc->wrote);
	if (changed && mc->space_changed)
		tell_space(mc, err);
	return mc->err;
}

static void *run(void *arg)
{
	struct wal_meta_coordinator *mc = arg;
	int err = 0;

	pthread_mutex_lock(&mc->lock);
	while (!err && wait_for_work(mc))
		err = write_once(mc);
	pthread_mutex_unlock(&mc->lock);
	if (err && mc->failed)
		mc->failed(mc->ctx, err);
	return NULL;
}

int wal_meta_coordinator_start(struct wal_meta_coordinator *mc)
{
	int err = wal_thread_start(&mc->thread, "walfs-meta", run, mc);

	mc->running = err == 0;
	return err;
}

void wal_meta_coordinator_publish(struct wal_meta_coordinator *mc,
				  const struct wal_durable *durable)
{
	pthread_mutex_lock(&mc->lock);
	mc->meta.durable = *durable;
	if (!mc->dirty) {
		mc->dirty = true;
		pthread_cond_signal(&mc->wake);
	}
	pthread_mutex_unlock(&mc->lock);
}

/* Lock held. */
static int flush(struct wal_meta_coordinator *mc)
{
	uint64_t mine = ++mc->wanted;

	mc->dirty = mc->urgent = true;
	pthread_cond_signal(&mc->wake);
	while (!mc->err && !mc->stop && mc->tried < mine)
		pthread_cond_wait(&mc->wrote, &mc->lock);
	if (mc->err || mc->written >= mine)
		return mc->err;
	return mc->tried >= mine && mc->no_space ? mc->no_space : -EIO;
}

int wal_meta_coordinator_flush(struct wal_meta_coordinator *mc)
{
	int err;

	pthread_mutex_lock(&mc->lock);
	err = flush(mc);
	pthread_mutex_unlock(&mc->lock);
	return err;
}

int wal_meta_coordinator_set_first(struct wal_meta_coordinator *mc, uint32_t first_segment)
{
	int err;

	pthread_mutex_lock(&mc->lock);
	if (mc->meta.first_segment < first_segment)
		mc->meta.first_segment = first_segment;
	err = mc->first_written < first_segment ? flush(mc) : mc->err;
	pthread_mutex_unlock(&mc->lock);
	return err;
}

int wal_meta_coordinator_stop(struct wal_meta_coordinator *mc, bool clean, bool skip_write)
{
	int err;

	if (mc->running) {
		pthread_mutex_lock(&mc->lock);
		mc->stop = true;
		pthread_cond_signal(&mc->wake);
		pthread_cond_broadcast(&mc->wrote);
		pthread_mutex_unlock(&mc->lock);
		pthread_join(mc->thread, NULL);
		mc->running = false;
	}
	/*
	 * What was published was synced, also if the log failed afterwards: left unwritten,
	 * what was promised since the last write would be below no D. A failed write of
	 * wal.meta itself is not tried again.
	 */
	err = mc->err;
	if (!skip_write && !err) {
		mc->meta.clean = clean;
		err = wal_meta_store_write(&mc->store, &mc->meta);
	}
	wal_meta_store_close(&mc->store);
	pthread_cond_destroy(&mc->wrote);
	pthread_cond_destroy(&mc->wake);
	pthread_mutex_destroy(&mc->lock);
	return err;
}
