/* SPDX-License-Identifier: MIT */
/* Counters and positions of a log, in one look. */
#include <string.h>

#include "core/log/log.h"

static void stats_of_segments(const struct wal_log *log, struct wal_stats *stats)
{
	stats->damaged_segments = log->table.damaged;
	stats->sealing_segments = log->closed.count;
	stats->sealed_segments = (uint32_t)log->table.count - log->closed.count -
				 (log->writing || log->view_current ? 1 : 0);
}

void wal_log_stats(struct wal_log *log, struct wal_stats *stats)
{
	struct wal_append_point point;
	int err = 0;

	memset(stats, 0, sizeof(*stats));
	wal_telemetry_read(&log->telemetry, stats);
	pthread_mutex_lock(&log->lock);
	if (log->preparer.running)
		stats->ready_segments = wal_segment_preparer_ready(&log->preparer, &err);
	stats_of_segments(log, stats);
	stats->durable_event = log->durable.event;
	stats->incarnation = log->meta.incarnation;
	stats->held_bytes = log->held_bytes;
	stats->failed = log->failed;
	memcpy(stats->failure, log->failure, sizeof(stats->failure));
	stats->no_space = log->pending.due || wal_is_no_space(err) ||
			  wal_is_no_space(log->next.starting_error) || log->writing_error ||
			  log->closed.no_space || log->meta_no_space;
	stats->sync_waiters = log->committer.waiting;
	if (log->writing) {
		point = wal_segment_writer_point(&log->writer);
		stats->next_event = log->writer.next_event;
		stats->active_segment = log->writer.header.index;
		stats->active_payload_bytes = log->writer.payload_bytes;
		stats->active_room_bytes = wal_segment_writer_room(&log->writer, &point);
	}
	pthread_mutex_unlock(&log->lock);
}
