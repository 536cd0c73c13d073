/* SPDX-License-Identifier: MIT */
/* What every file of this room uses: notices, the end of the log, failing. */
#include "core/log/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/assert.h"

void wal_log_notice(struct wal_log *log, enum wal_notice_level level, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!log->asked.notice)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log->asked.notice(log->asked.notice_ctx, level, text);
}

void wal_log_fail(struct wal_log *log, uint32_t segment, const char *what, int err)
{
	wal_log_assert_locked(log);
	if (log->failed)
		return;
	log->failed = wal_sync_error(wal_public_error(err)); /* no space: not to be waited for */
	snprintf(log->failure, sizeof(log->failure), "%010" PRIu32 ".wal: %s failed: %s", segment,
		 what, strerror(-err));
	wal_log_notice(log, WAL_NOTICE_ERROR,
		       "%s/%s; the log is read-only until it is mounted again", log->path,
		       log->failure);
	if (!log->maintainer.running)
		return;
	/* It runs whenever the maintainer does. */
	wal_segment_preparer_give_up(&log->preparer);
	pthread_cond_broadcast(&log->closed.moved);
	pthread_cond_signal(&log->closed.wake);
}

struct wal_durable wal_log_end(const struct wal_log *log)
{
	struct wal_tail tail;

	if (!log->writing)
		return log->durable;
	wal_segment_writer_tail(&log->writer, &tail);
	return (struct wal_durable){log->writer.header.index, tail.offset, tail.next_event - 1};
}

void wal_log_set_durable(struct wal_log *log, const struct wal_durable *durable)
{
	wal_log_assert_locked(log);
	/* A rotation may have got further while this one was on its way. */
	if (durable->segment < log->durable.segment ||
	    (durable->segment == log->durable.segment && durable->offset <= log->durable.offset))
		return;
	WAL_ASSERT(durable->event >= log->durable.event);
	log->durable = *durable;
	if (log->coordinator_open)
		wal_meta_coordinator_publish(&log->coordinator, durable);
}

void wal_log_take_durable(struct wal_log *log)
{
	log->durable = wal_log_end(log);
	if (log->coordinator_open)
		wal_meta_coordinator_publish(&log->coordinator, &log->durable);
}

/* --- asking ----------------------------------------------------------------------- */

int wal_log_dirfd(const struct wal_log *log)
{
	return log->dirfd;
}

bool wal_log_is_read_only(const struct wal_log *log)
{
	return log->read_only;
}

void wal_log_uuid(const struct wal_log *log, uint8_t uuid[16])
{
	memcpy(uuid, log->meta.log, sizeof(log->meta.log));
}

struct wal_framing wal_log_framing(const struct wal_log *log)
{
	return log->meta.framing;
}

size_t wal_log_record_limit(const struct wal_log *log)
{
	return log->record_limit;
}

size_t wal_log_event_limit(const struct wal_log *log)
{
	size_t record = wal_log_record_limit(log);
	size_t event = wal_segment_event_limit(log->meta.block_size);

	return event < record ? event : record;
}
