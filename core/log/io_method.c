/* SPDX-License-Identifier: MIT */
/* By mapping or by pwrite: what suits the syncs that are asked for. */
#include "core/log/io_method.h"

/* Syncs nearer to each other than this are of small appends. */
#define SMALL_SYNC_BYTES 65536
/* So many of them, and a small append is for syncing. */
#define MANY_SMALL_SYNCS 16

static bool wants_pwrite(const struct wal_log *log)
{
	if (log->asked.io_method == WAL_IO_AUTO)
		return log->io_method.small_syncs >= MANY_SMALL_SYNCS;
	return log->asked.io_method == WAL_IO_PWRITE;
}

void wal_log_choose_io(struct wal_log *log, struct wal_segment_writer *w)
{
	bool by_pwrite = wants_pwrite(log);

	atomic_store_explicit(&log->preparer.by_pwrite, by_pwrite, memory_order_relaxed);
	if (by_pwrite && !w->gathered && !wal_segment_writer_has_failed(w))
		wal_segment_writer_gather(w);
}

void wal_log_note_sync(struct wal_log *log)
{
	struct wal_durable end = wal_log_end(log);
	const struct wal_durable *last = &log->io_method.asked_up_to;

	wal_log_assert_locked(log);
	if (!log->writing || log->asked.io_method != WAL_IO_AUTO)
		return;
	if (end.segment != last->segment || end.offset - last->offset > SMALL_SYNC_BYTES)
		log->io_method.small_syncs /= 2;
	else if (log->io_method.small_syncs < MANY_SMALL_SYNCS)
		log->io_method.small_syncs++;
	log->io_method.asked_up_to = end;
	wal_log_choose_io(log, &log->writer);
}
