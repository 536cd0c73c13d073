/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_info.h"

#include <string.h>

void wal_segment_info_from_header(struct wal_segment_reader *r)
{
	struct wal_segment_info *info = &r->info;

	info->index = r->header.index;
	info->first_event = r->header.first_event_id;
	info->block_size = r->header.block_size;
	info->file_bytes = r->file_bytes;
	info->created_ns = r->header.created_ns;
	info->closed_ns = r->header.closed_ns;
	info->prev_chain = r->header.prev_chain;
	info->header_checksum = r->header.checksum;
	info->sealed_by_recovery = r->header.compat & WAL_COMPAT_SEALED_BY_RECOVERY;
	info->time_run = r->header.compat >> WAL_COMPAT_TIME_RUN_SHIFT;
	info->event_count = r->header.event_count;
	info->last_event = info->first_event + info->event_count - 1;
	info->block_count = r->header.block_count;
}

static void info_from_meta(struct wal_segment_reader *r, const struct wal_meta_record *meta)
{
	memcpy(r->info.log, meta->log, sizeof(r->info.log));
	r->info.incarnation = meta->incarnation;
	r->info.recovery = meta->recovery;
	r->info.dropped_bytes = meta->dropped_bytes;
	r->info.framing = meta->framing;
}

void wal_segment_info_from_tail(struct wal_segment_reader *r)
{
	const struct wal_tail *tail = &r->tail;

	r->info.event_count = tail->event_count;
	r->info.last_event = tail->next_event - 1;
	r->info.block_count = tail->block + 1;
	r->info.payload_bytes = tail->payload_bytes;
	r->info.last_ns = tail->event_count ? tail->last_ns : r->header.created_ns;
	r->info.chain = tail->chain;
	info_from_meta(r, &tail->meta);
}

/* Block 0 begins with the segment record. */
static int info_from_first_block(struct wal_segment_reader *r)
{
	struct wal_meta_record meta;
	struct wal_record_query query;
	struct wal_found found;
	int err = wal_reader_load_block(r, 0);

	if (err)
		return err;
	query = (struct wal_record_query){.data = r->block + WAL_BLOCK_HEADER,
					  .limit = r->start.used_bytes,
					  .prev_chain = r->header.prev_chain,
					  .id = r->header.first_event_id};
	if (wal_record_parse(&query, &found) || !(found.flags & WAL_EVENT_META) ||
	    wal_meta_record_decode(found.payload, found.size, r->header.block_size, &meta) ||
	    meta.kind != WAL_META_SEGMENT)
		return wal_reader_fault(r, WAL_FAULT_META,
					wal_in_block(0, WAL_HEADER_AREA + WAL_BLOCK_HEADER), "%s",
					"");
	info_from_meta(r, &meta);
	return 0;
}

/* The last block gives the payload's size, the last time and the chain. */
int wal_segment_info_from_last_block(struct wal_segment_reader *r, uint32_t block)
{
	struct wal_record_query query;
	struct wal_found found;
	int err = wal_reader_load_block(r, block);

	if (err)
		return err;
	r->info.payload_bytes = r->start.payload_offset;
	r->info.last_ns = r->start.first_timestamp_ns;
	r->info.chain = r->start.chain;
	query = (struct wal_record_query){.data = r->block + WAL_BLOCK_HEADER,
					  .limit = r->start.used_bytes,
					  .unchecked = true};
	for (; query.at < r->start.used_bytes; query.at += found.span) {
		query.not_before_ns = r->info.last_ns;
		if (wal_record_parse(&query, &found))
			return wal_reader_fault(
				r, WAL_FAULT_EVENT_FIELD,
				wal_in_block(block, wal_block_offset(r->header.block_size, block) +
							    WAL_BLOCK_HEADER + query.at),
				"%s", "");
		r->info.last_ns = found.timestamp_ns;
		if (!(found.flags & WAL_EVENT_META))
			r->info.payload_bytes += found.size;
	}
	return 0;
}

/* Where the last block is bad, the last good one says how much there is to read. */
int wal_segment_info_from_blocks(struct wal_segment_reader *r)
{
	uint32_t block = r->header.block_count - 1;
	struct wal_fault first = {0};
	int err, worse;

	err = info_from_first_block(r);
	first = r->fault;
	worse = wal_segment_info_from_last_block(r, block);
	if (worse && !err) {
		err = worse;
		first = r->fault;
	}
	while (worse && block > 0)
		worse = wal_segment_info_from_last_block(r, --block);
	r->fault = first;
	return err;
}
