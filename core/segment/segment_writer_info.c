/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_writer_info.h"

#include <string.h>

void wal_segment_writer_info(const struct wal_segment_writer *w, struct wal_segment_info *info)
{
	*info = (struct wal_segment_info){
		.index = w->header.index,
		.state = WAL_ACTIVE,
		.first_event = w->header.first_event_id,
		.last_event = w->next_event - 1,
		.event_count = (uint32_t)(w->next_event - w->header.first_event_id),
		.block_count = w->start.index + 1,
		.block_size = w->header.block_size,
		.payload_bytes = w->payload_bytes,
		.file_bytes = w->file_bytes,
		.created_ns = w->header.created_ns,
		.prev_chain = w->header.prev_chain,
		.chain = w->chain,
		.header_checksum = w->header.checksum,
		.incarnation = w->meta.incarnation,
		.recovery = w->meta.recovery,
		.dropped_bytes = w->meta.dropped_bytes,
		.framing = w->meta.framing,
	};
	info->last_ns = info->event_count ? w->last_ns : w->header.created_ns;
	memcpy(info->log, w->meta.log, sizeof(info->log));
}
