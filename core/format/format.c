/* SPDX-License-Identifier: MIT */
#include "core/format/format.h"

#include <string.h>

bool wal_is_zero(const void *buf, size_t size)
{
	const uint8_t *p = buf;

	while (size > 0 && ((uintptr_t)p & 7) != 0) {
		if (*p++)
			return false;
		size--;
	}
	for (; size >= 32; p += 32, size -= 32) {
		uint64_t v[4];

		memcpy(v, p, sizeof(v));
		if (v[0] | v[1] | v[2] | v[3])
			return false;
	}
	while (size-- > 0) {
		if (*p++)
			return false;
	}
	return true;
}

uint64_t wal_chain_start(const uint8_t log[16])
{
	return wal_checksum(log, 16, 0);
}

uint64_t wal_chain_restart(const uint8_t log[16], uint32_t segment_index)
{
	return wal_checksum(log, 16, segment_index);
}

bool wal_chain_is_restart(const uint8_t log[16], uint32_t segment_index, uint64_t prev_chain,
			  uint32_t recovery)
{
	return (recovery & WAL_META_CHAIN_RESTART) &&
	       prev_chain == wal_chain_restart(log, segment_index);
}

bool wal_segment_begins_chain(const uint8_t log[16], const struct wal_segment_info *info)
{
	return info->prev_chain == wal_chain_restart(log, info->index) ||
	       (info->index == WAL_FIRST_SEGMENT_INDEX && info->prev_chain == wal_chain_start(log));
}

static uint64_t segment_header_checksum(const struct wal_disk_segment_header *disk, uint64_t seed)
{
	return wal_checksum(disk, offsetof(struct wal_disk_segment_header, header_checksum), seed);
}

void wal_segment_header_encode(struct wal_segment_header *header, uint64_t chain,
			       struct wal_disk_segment_header *disk)
{
	bool sealed = header->state == WAL_STATE_SEALED;

	memset(disk, 0, sizeof(*disk));
	memcpy(disk->magic, WAL_SEGMENT_MAGIC, sizeof(disk->magic));
	disk->version = WAL_FORMAT_VERSION;
	disk->state = (uint8_t)header->state;
	disk->block_size_log2 = (uint8_t)__builtin_ctz(header->block_size);
	disk->segment_index = wal_to_le32(header->index);
	disk->block_count = wal_to_le32(header->block_count);
	disk->first_event_id = wal_to_le64(header->first_event_id);
	disk->event_count = wal_to_le32(header->event_count);
	disk->compat = wal_to_le32(header->compat);
	disk->created_ns = wal_to_le64(header->created_ns);
	disk->closed_ns = wal_to_le64(header->closed_ns);
	disk->prev_chained_checksum = wal_to_le64(header->prev_chain);
	header->checksum = segment_header_checksum(disk, sealed ? chain : 0);
	disk->header_checksum = wal_to_le64(header->checksum);
}

static bool segment_header_fields_possible(const struct wal_segment_header *h)
{
	uint64_t bytes = wal_block_offset(h->block_size, h->block_count);

	if (h->index < WAL_FIRST_SEGMENT_INDEX || h->first_event_id < WAL_FIRST_EVENT_ID)
		return false;
	if (h->first_event_id >= WAL_EVENT_ID_LIMIT)
		return false;
	if (h->state == WAL_STATE_ACTIVE)
		return h->block_count == 0 && h->event_count == 0 && h->closed_ns == 0;
	return h->block_count > 0 && bytes <= WAL_SEGMENT_SIZE_MAX;
}

enum wal_fault_kind wal_segment_header_decode(const struct wal_disk_segment_header *disk,
					      uint32_t state, struct wal_segment_header *header)
{
	if (memcmp(disk->magic, WAL_SEGMENT_MAGIC, sizeof(disk->magic)) != 0)
		return WAL_FAULT_MAGIC;
	if (disk->version != WAL_FORMAT_VERSION || disk->incompat != 0) {
		/* Believed only with a good checksum, or one flipped bit would hide the log. */
		if (segment_header_checksum(disk, 0) == wal_from_le64(disk->header_checksum))
			return WAL_FAULT_VERSION;
		return WAL_FAULT_HEADER_CHECKSUM;
	}
	*header = (struct wal_segment_header){
		.index = wal_from_le32(disk->segment_index),
		.state = disk->state,
		.block_count = wal_from_le32(disk->block_count),
		.first_event_id = wal_from_le64(disk->first_event_id),
		.event_count = wal_from_le32(disk->event_count),
		.compat = wal_from_le32(disk->compat),
		.created_ns = wal_from_le64(disk->created_ns),
		.closed_ns = wal_from_le64(disk->closed_ns),
		.prev_chain = wal_from_le64(disk->prev_chained_checksum),
		.checksum = wal_from_le64(disk->header_checksum),
	};
	if (state == WAL_STATE_ACTIVE && segment_header_checksum(disk, 0) != header->checksum)
		return WAL_FAULT_HEADER_CHECKSUM;
	if (disk->state != state || disk->block_size_log2 < WAL_BLOCK_SIZE_LOG2_MIN ||
	    disk->block_size_log2 > WAL_BLOCK_SIZE_LOG2_MAX)
		return WAL_FAULT_HEADER_FIELD;
	header->block_size = UINT32_C(1) << disk->block_size_log2;
	return segment_header_fields_possible(header) ? WAL_FAULT_NONE : WAL_FAULT_HEADER_FIELD;
}

bool wal_segment_header_check_seal(const struct wal_disk_segment_header *disk, uint64_t chain)
{
	return segment_header_checksum(disk, chain) == wal_from_le64(disk->header_checksum);
}

static uint32_t first_not_zero(const uint8_t *area, uint32_t from, uint32_t to)
{
	if (wal_is_zero(area + from, to - from))
		return 0;
	while (area[from] == 0)
		from++;
	return from;
}

uint32_t wal_header_area_reserved(const uint8_t *area)
{
	const uint32_t size = sizeof(struct wal_disk_segment_header);
	uint32_t at = first_not_zero(area, size, WAL_SEAL_HEADER_OFFSET);

	return at ? at : first_not_zero(area, WAL_SEAL_HEADER_OFFSET + size, WAL_HEADER_AREA);
}

bool wal_framing_is_possible(struct wal_framing framing)
{
	switch (framing.kind) {
	case WAL_FRAME_LINE:
	case WAL_FRAME_WRITE:
		return framing.size == 0;
	case WAL_FRAME_FIXED:
		return framing.size > 0;
	default:
		return false;
	}
}

bool wal_segment_bytes_are_possible(uint64_t segment_bytes, uint32_t block_size)
{
	return segment_bytes >= WAL_HEADER_AREA + (uint64_t)block_size &&
	       segment_bytes <= WAL_SEGMENT_SIZE_MAX &&
	       (segment_bytes - WAL_HEADER_AREA) % block_size == 0;
}

static uint64_t block_chain(const struct wal_disk_block_header *disk, uint64_t previous_chain)
{
	return wal_checksum(disk, offsetof(struct wal_disk_block_header, chained_checksum),
			    previous_chain);
}

static uint64_t block_header_checksum(const struct wal_disk_block_header *disk, uint64_t seed)
{
	return wal_checksum(disk, offsetof(struct wal_disk_block_header, header_checksum), seed);
}

void wal_block_header_encode(const struct wal_block_header *header, uint64_t segment_prev_chain,
			     struct wal_disk_block_header *disk)
{
	*disk = (struct wal_disk_block_header){
		.first_event_id = wal_to_le64(header->first_event_id),
		.event_count = wal_to_le32(header->event_count),
		.payload_offset = wal_to_le64(header->payload_offset),
		.block_index = wal_to_le32(header->index),
		.used_bytes = wal_to_le32(header->used_bytes),
		.first_timestamp_ns = wal_to_le64(header->first_timestamp_ns),
		.block_checksum = wal_to_le64(header->block_checksum),
		.chained_checksum = wal_to_le64(header->chain),
	};
	disk->header_checksum = wal_to_le64(block_header_checksum(disk, segment_prev_chain));
}

void wal_block_header_finalize(struct wal_block_header *header, const uint8_t *data,
			       uint64_t previous_chain, uint64_t segment_prev_chain,
			       struct wal_disk_block_header *disk)
{
	header->block_checksum = wal_checksum(data, header->used_bytes, 0);
	wal_block_header_encode(header, segment_prev_chain, disk);
	/* The chain covers the fields before it, and is itself covered by the header checksum. */
	header->chain = block_chain(disk, previous_chain);
	disk->chained_checksum = wal_to_le64(header->chain);
	disk->header_checksum = wal_to_le64(block_header_checksum(disk, segment_prev_chain));
}

enum wal_fault_kind wal_block_header_decode(const struct wal_disk_block_header *disk,
					    uint64_t segment_prev_chain, uint32_t block_size,
					    uint32_t index, struct wal_block_header *header)
{
	if (block_header_checksum(disk, segment_prev_chain) != wal_from_le64(disk->header_checksum))
		return WAL_FAULT_BLOCK_HEADER;
	*header = (struct wal_block_header){
		.first_event_id = wal_from_le64(disk->first_event_id),
		.event_count = wal_from_le32(disk->event_count),
		.index = wal_from_le32(disk->block_index),
		.used_bytes = wal_from_le32(disk->used_bytes),
		.payload_offset = wal_from_le64(disk->payload_offset),
		.first_timestamp_ns = wal_from_le64(disk->first_timestamp_ns),
		.block_checksum = wal_from_le64(disk->block_checksum),
		.chain = wal_from_le64(disk->chained_checksum),
	};
	if (header->index != index || wal_from_le32(disk->flags) != 0 ||
	    header->used_bytes < WAL_EVENT_HEADER + WAL_EVENT_ALIGN ||
	    header->used_bytes > wal_block_data_size(block_size) ||
	    header->used_bytes % WAL_EVENT_ALIGN != 0 ||
	    header->first_event_id < WAL_FIRST_EVENT_ID ||
	    header->first_event_id >= WAL_EVENT_ID_LIMIT)
		return WAL_FAULT_BLOCK_FIELD;
	if (header->event_count > header->used_bytes / (WAL_EVENT_HEADER + WAL_EVENT_ALIGN))
		return WAL_FAULT_COUNT; /* more than its records can be */
	return WAL_FAULT_NONE;
}

bool wal_block_header_check_chain(const struct wal_disk_block_header *disk, uint64_t previous_chain)
{
	return block_chain(disk, previous_chain) == wal_from_le64(disk->chained_checksum);
}

enum wal_fault_kind wal_block_check(const uint8_t *block, const struct wal_block_place *place,
				    struct wal_block_header *header, uint32_t *offset)
{
	const uint8_t *data = block + WAL_BLOCK_HEADER;
	enum wal_fault_kind kind;

	*offset = 0;
	kind = wal_block_header_decode((const void *)block, place->segment_prev_chain,
				       place->block_size, place->index, header);
	if (kind)
		return kind;
	*offset = (uint32_t)WAL_BLOCK_HEADER;
	if (wal_checksum(data, header->used_bytes, 0) != header->block_checksum)
		return WAL_FAULT_BLOCK_CHECKSUM;
	*offset += header->used_bytes;
	if (!wal_is_zero(data + header->used_bytes,
			 wal_block_data_size(place->block_size) - header->used_bytes))
		return WAL_FAULT_PADDING;
	return WAL_FAULT_NONE;
}
