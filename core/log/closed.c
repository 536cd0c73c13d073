/* SPDX-License-Identifier: MIT */
/* The queue of closed segments between rotation and the maintainer. */
#include "core/log/closed.h"

#include <string.h>

#include "core/base/assert.h"
#include "core/segment/segment_writer_info.h"

struct wal_closed *wal_closed_first_unsynced(struct wal_closed_queue *q)
{
	unsigned i;

	for (i = 0; i < q->count; i++) {
		if (!q->queue[i].synced)
			return &q->queue[i];
	}
	return NULL;
}

void wal_closed_answer(struct wal_log *log)
{
	struct wal_closed_queue *q = &log->closed;
	struct wal_seal_wait **link = &q->waiting, *wait;

	wal_log_assert_locked(log);
	pthread_cond_broadcast(&q->moved);
	while ((wait = *link)) {
		if (wal_closed_sealing(log, wait->segment)) {
			link = &wait->next;
			continue;
		}
		*link = wait->next;
		wait->done(wait);
	}
}

void wal_closed_add(struct wal_log *log, const struct wal_segment_writer *writer,
		    uint64_t closed_ns)
{
	struct wal_closed_queue *q = &log->closed;
	struct wal_closed *closed = &q->queue[q->count];

	wal_log_assert_locked(log);
	WAL_ASSERT(q->count < WAL_CLOSED_MAX);
	WAL_ASSERT(q->count == 0 || closed[-1].info.index < writer->header.index);
	q->count++;
	*closed = (struct wal_closed){
		.writer = *writer, .closed_ns = closed_ns, .since_ns = wal_clock_ns()};
	wal_segment_writer_tail(writer, &closed->tail);
	wal_segment_writer_info(writer, &closed->info);
	closed->info.state = WAL_SEALING;
	closed->info.chain = writer->start.chain;
	closed->info.closed_ns = closed_ns;
	/* What it will be cut to: nobody sees the rest go. */
	closed->info.file_bytes =
		wal_block_offset(writer->header.block_size, writer->start.index + 1);
	pthread_cond_signal(&q->wake);
}

void wal_closed_remove_oldest(struct wal_log *log)
{
	struct wal_closed_queue *q = &log->closed;

	wal_log_assert_locked(log);
	WAL_ASSERT(q->count > 0);
	q->count--;
	memmove(q->queue, q->queue + 1, q->count * sizeof(q->queue[0]));
}

const struct wal_closed *wal_closed_find(const struct wal_log *log, uint32_t index)
{
	const struct wal_closed_queue *q = &log->closed;
	unsigned i;

	wal_log_assert_locked(log);
	for (i = 0; i < q->count; i++) {
		if (q->queue[i].info.index == index)
			return &q->queue[i];
	}
	return NULL;
}

const struct wal_closed *wal_closed_sealing(const struct wal_log *log, uint32_t index)
{
	return log->closed.no_space ? NULL : wal_closed_find(log, index);
}

bool wal_closed_owes(const struct wal_log *log, uint32_t index)
{
	const struct wal_closed_queue *q = &log->closed;
	unsigned i;

	wal_log_assert_locked(log);
	for (i = 0; i < q->count; i++) {
		if (!q->queue[i].synced && q->queue[i].info.index <= index)
			return true;
	}
	return false;
}

int wal_closed_wait(struct wal_log *log, uint32_t index)
{
	struct wal_closed_queue *q = &log->closed;
	uint64_t seen = q->tried;

	wal_log_assert_locked(log);
	if (q->no_space) {
		q->urgent = true;
		pthread_cond_signal(&q->wake);
	}
	while (wal_closed_find(log, index)) {
		if (q->no_space && q->tried != seen)
			return q->no_space;
		pthread_cond_wait(&q->moved, &log->lock);
	}
	return 0;
}

void wal_closed_leave(struct wal_log *log, uint32_t segment)
{
	wal_log_assert_locked(log);
	while (log->committer.syncing == segment)
		pthread_cond_wait(&log->closed.moved, &log->lock);
}
