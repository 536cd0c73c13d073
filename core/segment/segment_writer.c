/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_writer.h"

#include <errno.h>
#include <string.h>

#include "core/base/assert.h"
#include "core/format/event_checksum.h"
#include "core/segment/segment_pages.h"

/* --- reckoning ------------------------------------------------------------------- */

/* Less than this at the end of a block is left zero. */
#define SMALLEST_SPAN ((uint32_t)(WAL_EVENT_HEADER + WAL_EVENT_ALIGN))

bool wal_segment_writer_reckon(const struct wal_segment_writer *w, uint32_t size,
			       struct wal_append_point *point)
{
	uint32_t whole = w->data_size - (uint32_t)WAL_EVENT_HEADER;
	uint32_t rest = w->data_size - point->at;
	uint32_t blocks;

	if (size <= wal_segment_event_limit(w->header.block_size)) {
		uint32_t span = wal_event_span(size);

		if (span > rest) {
			if (point->block + 1 >= w->block_limit)
				return false;
			point->block++;
			point->at = 0;
		}
		point->at += span;
		return true;
	}
	/* A group: the rest of this block, whole blocks, and what is left in the last. */
	if (rest >= SMALLEST_SPAN)
		size -= rest - (uint32_t)WAL_EVENT_HEADER;
	blocks = (size + whole - 1) / whole;
	if (blocks >= w->block_limit - point->block)
		return false;
	point->block += blocks;
	point->at = wal_event_span(size - (blocks - 1) * whole);
	return true;
}

uint64_t wal_segment_writer_room(const struct wal_segment_writer *w,
				 const struct wal_append_point *point)
{
	return (w->data_size - point->at) +
	       (uint64_t)(w->block_limit - point->block - 1) * w->data_size;
}

uint64_t wal_segment_worst_cost(uint32_t block_size, size_t size)
{
	uint32_t whole = wal_block_data_size(block_size) - (uint32_t)WAL_EVENT_HEADER;

	if (size == 0)
		return 0;
	/* It may have to skip the rest of a block, which is then smaller than itself. */
	if (size <= whole)
		return 2 * (uint64_t)wal_event_span((uint32_t)size);
	/* A header and padding for each block it touches, and a rest too small to use. */
	return size + (size / whole + 2) * (uint64_t)(2 * SMALLEST_SPAN);
}

/* Twice the span is at most 2 (size + 23); a group adds 48 bytes for each 4,016. */
uint64_t wal_segment_worst_batch_cost(size_t count, uint64_t bytes)
{
	return 2 * bytes + (uint64_t)count * 4 * SMALLEST_SPAN;
}

size_t wal_segment_record_limit(uint32_t block_size, uint64_t file_bytes)
{
	const uint32_t whole = wal_block_data_size(block_size) - (uint32_t)WAL_EVENT_HEADER;
	uint64_t budget = wal_segment_hold_limit(block_size, file_bytes);
	uint64_t single = (budget / 2 & ~(uint64_t)(WAL_EVENT_ALIGN - 1)) - WAL_EVENT_HEADER;
	uint64_t group = budget / (whole + 2 * SMALLEST_SPAN) * whole;

	/* wal_segment_worst_cost() the other way round. */
	group = group ? group - 4 * SMALLEST_SPAN : 0;
	if (single > wal_segment_event_limit(block_size))
		single = wal_segment_event_limit(block_size);
	if (group > single)
		single = group;
	return (size_t)single; /* of 4 GiB at most: it fits in a record's 32 bits */
}

uint64_t wal_segment_hold_limit(uint32_t block_size, uint64_t file_bytes)
{
	uint64_t blocks = (file_bytes - WAL_HEADER_AREA) / block_size;

	return (blocks * wal_block_data_size(block_size) -
		2 * (uint64_t)wal_event_span(sizeof(struct wal_disk_meta_record))) /
	       2;
}

/* --- appending --------------------------------------------------------------------- */

/* Writes the header of the current block, and what was gathered. */
static void write_block_header(struct wal_segment_writer *w)
{
	struct wal_disk_block_header disk;

	w->start.used_bytes = w->at;
	wal_block_header_finalize(&w->start, w->data, w->chain, w->header.prev_chain, &disk);
	memcpy(w->data - WAL_BLOCK_HEADER, &disk, sizeof(disk));
	wal_segment_pages_write_block(w);
}

static struct wal_append_state state_of(const struct wal_segment_writer *w)
{
	return (struct wal_append_state){
		.at = w->at,
		.next_event = w->next_event,
		.payload_bytes = w->payload_bytes,
		.chain = w->chain,
		.start = w->start,
	};
}

/* Return: 0; -EIO after a fault, for settle(): the block stays the current one. */
static int next_block(struct wal_segment_writer *w)
{
	uint64_t start = w->telemetry ? wal_clock_quick_ns() : 0;

	write_block_header(w);
	if (wal_segment_writer_has_failed(w))
		return -EIO;
	w->left = state_of(w);
	w->chain = w->start.chain;
	if (w->gathered) /* after the append point all is zero, here too */
		memset(w->gathered, 0, WAL_BLOCK_HEADER + w->at);
	wal_segment_pages_begin_block(w, w->start.index + 1);
	if (!w->telemetry)
		return 0;
	wal_latency_add(w->telemetry, WAL_LATENCY_FINALIZE, wal_clock_quick_since(start));
	wal_count(w->telemetry, WAL_COUNT_BLOCKS, 1);
	return 0;
}

/*
 * The processor fetches ahead by itself, but only within a page, and reads where it could
 * take the line over for writing: 8 against 5 ns for 64 bytes.
 */
#define PREFETCH_BYTES 2048

/*
 * The hot path: one event at the append point. After the append point all is zero,
 * so padding needs no store. Cut off at any store, the event fails its checksum.
 */
static inline void put_event(struct wal_segment_writer *w, const uint8_t *data, uint32_t length,
			     uint32_t flags, uint64_t timestamp_ns)
{
	struct wal_disk_event *event = (void *)(w->data + w->at);

	WAL_ASSERT(w->at <= w->data_size && wal_event_span(length) <= w->data_size - w->at);
	WAL_ASSERT(w->start.index < w->block_limit && !w->finished);
	__builtin_prefetch((uint8_t *)event + PREFETCH_BYTES, 1);
	event->length_flags = wal_to_le32(length | flags << 24);
	event->timestamp_ns = wal_to_le64(timestamp_ns);
	memcpy(event + 1, data, length);
	event->event_checksum = wal_to_le32(
		wal_event_checksum_from(event, data, length, w->header.prev_chain, w->next_event));
	if (w->at == 0)
		w->start.first_timestamp_ns = timestamp_ns;
	w->at += wal_event_span(length);
	w->last_ns = timestamp_ns;
	if (flags & WAL_EVENT_META)
		return;
	w->next_event++;
	w->start.event_count++;
	w->payload_bytes += length;
}

/* One event, in the next block if this one has no room for it. */
static int append_event(struct wal_segment_writer *w, const uint8_t *data, uint32_t length,
			uint32_t flags, uint64_t timestamp_ns)
{
	if (wal_event_span(length) > w->data_size - w->at) {
		if (w->start.index + 1 >= w->block_limit)
			return -ENOSPC;
		if (next_block(w))
			return -EIO;
	}
	if (timestamp_ns < w->last_ns)
		timestamp_ns = w->last_ns;
	put_event(w, data, length, flags, timestamp_ns);
	return 0;
}

/* A record larger than an event can be: each piece fills what is left of its block. */
static int append_group(struct wal_segment_writer *w, const uint8_t *data, uint32_t size,
			uint32_t flags, uint64_t timestamp_ns)
{
	struct wal_append_point point = wal_segment_writer_point(w);
	uint32_t cont = 0;

	if (!wal_segment_writer_reckon(w, size, &point))
		return -ENOSPC;
	if (timestamp_ns < w->last_ns)
		timestamp_ns = w->last_ns;
	w->group = state_of(w);
	w->group_end = UINT64_MAX;
	while (size > 0) {
		uint32_t rest = w->data_size - w->at, length;

		if (rest < SMALLEST_SPAN) {
			if (next_block(w))
				return -EIO;
			continue;
		}
		length = rest - (uint32_t)WAL_EVENT_HEADER;
		if (length < size)
			put_event(w, data, length, WAL_EVENT_MORE | cont, timestamp_ns);
		else
			put_event(w, data, length = size, flags | cont, timestamp_ns);
		cont = WAL_EVENT_CONT;
		data += length;
		size -= length;
	}
	w->group_end = w->next_event;
	return 0;
}

int wal_segment_writer_append(struct wal_segment_writer *w, const void *data, uint32_t size,
			      uint32_t flags, uint64_t timestamp_ns)
{
	if (size > wal_segment_event_limit(w->header.block_size))
		return append_group(w, data, size, flags, timestamp_ns);
	return append_event(w, data, size, flags, timestamp_ns);
}

int wal_segment_writer_append_meta(struct wal_segment_writer *w, const struct wal_meta_record *meta,
				   uint64_t timestamp_ns)
{
	struct wal_disk_meta_record disk;
	int err;

	wal_meta_record_encode(meta, &disk);
	err = append_event(w, (const uint8_t *)&disk, sizeof(disk), WAL_EVENT_META, timestamp_ns);
	if (!err)
		w->incarnation = meta->incarnation;
	return err;
}

void wal_segment_writer_flush_partial(struct wal_segment_writer *w)
{
	if (w->at > 0 && !w->finished)
		write_block_header(w);
}

void wal_segment_writer_tail(const struct wal_segment_writer *w, struct wal_tail *tail)
{
	*tail = (struct wal_tail){
		.block = w->start.index,
		.at = w->at,
		.offset = wal_block_offset(w->header.block_size, w->start.index) +
			  WAL_BLOCK_HEADER + w->at,
		.next_event = w->next_event,
		.payload_bytes = w->payload_bytes,
		.last_ns = w->last_ns,
		.event_count = (uint32_t)(w->next_event - w->header.first_event_id),
		.chain = w->chain,
		.start = w->start,
		.meta = w->meta,
		.incarnation = w->incarnation,
	};
	tail->nonzero_end = tail->offset;
}
