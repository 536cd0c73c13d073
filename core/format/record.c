/* SPDX-License-Identifier: MIT */
#include "core/format/record.h"

/* What the library says is what is on the disk: one fact, in the words of two headers. */
#define SAME(mine, disk) static_assert((mine) == (disk), #mine " is not " #disk)

SAME(WAL_FLAG_MORE, WAL_EVENT_MORE);
SAME(WAL_FLAG_CONT, WAL_EVENT_CONT);
SAME(WAL_FLAG_PART, WAL_EVENT_PART);
SAME((uint32_t)WAL_FRAME_LINE, WAL_FRAMING_LINE);
SAME((uint32_t)WAL_FRAME_WRITE, WAL_FRAMING_WRITE);
SAME((uint32_t)WAL_FRAME_FIXED, WAL_FRAMING_FIXED);
SAME(WAL_RECOVERY_CHAIN_RESTART, WAL_META_CHAIN_RESTART);
SAME(WAL_RECOVERY_TAIL_DROPPED, WAL_META_TAIL_DROPPED);
SAME(WAL_RECOVERY_CLOCK_STEPPED, WAL_META_CLOCK_STEPPED);
SAME(WAL_RECOVERY_POSITION_LOST, WAL_META_POSITION_LOST);
SAME(WAL_RECOVERY_SEGMENTS_DROPPED, WAL_META_SEGMENTS_DROPPED);
static_assert(WAL_WRITE_FRAME_MAX <= WAL_EVENT_LENGTH_MAX &&
		      WAL_FIXED_FRAME_MAX <= WAL_EVENT_LENGTH_MAX,
	      "a record of the largest frame can be one event");

static bool flags_possible(uint32_t flags)
{
	if (flags & ~WAL_EVENT_FLAGS_KNOWN)
		return false;
	if (flags & WAL_EVENT_META)
		return flags == WAL_EVENT_META;
	return !((flags & WAL_EVENT_PART) && (flags & WAL_EVENT_MORE));
}

/* Payload after the EXT flag's extension: u16 length, then that many bytes of TLVs. */
static bool skip_extension(struct wal_found *found)
{
	wal_le16 length;

	if (!(found->flags & WAL_EVENT_EXT))
		return true;
	if (found->size < sizeof(length))
		return false;
	memcpy(&length, found->payload, sizeof(length));
	if (found->size - sizeof(length) <= wal_from_le16(length))
		return false;
	found->payload += sizeof(length) + wal_from_le16(length);
	found->size -= (uint32_t)sizeof(length) + wal_from_le16(length);
	return true;
}

enum wal_fault_kind wal_record_examine_flags(struct wal_found *found)
{
	if (!flags_possible(found->flags))
		return WAL_FAULT_EVENT_FIELD;
	if (!wal_record_padding_is_zero(found))
		return WAL_FAULT_PADDING;
	return skip_extension(found) ? WAL_FAULT_NONE : WAL_FAULT_EVENT_FIELD;
}

enum wal_fault_kind wal_record_parse(const struct wal_record_query *query, struct wal_found *found)
{
	enum wal_fault_kind kind;

	if (!wal_record_locate(query->data, query->at, query->limit, found))
		return WAL_FAULT_EVENT_FIELD;
	if (!query->unchecked && !wal_record_checksum_fits(found, query->prev_chain, query->id))
		return WAL_FAULT_EVENT_CHECKSUM;
	kind = wal_record_examine(found);
	if (kind)
		return kind;
	return found->timestamp_ns < query->not_before_ns ? WAL_FAULT_EVENT_TIME : WAL_FAULT_NONE;
}

void wal_meta_record_encode(const struct wal_meta_record *meta, struct wal_disk_meta_record *disk)
{
	*disk = (struct wal_disk_meta_record){
		.head =
			{
				.kind = wal_to_le16(meta->kind),
				.length = wal_to_le16(sizeof(*disk) - sizeof(disk->head)),
			},
		.writer_version = wal_to_le32(meta->writer_version),
		.incarnation = wal_to_le64(meta->incarnation),
		.segment_bytes = wal_to_le64(meta->segment_bytes),
		.framing = wal_to_le32(meta->framing.kind),
		.framing_size = wal_to_le32(meta->framing.size),
		.recovery = wal_to_le32(meta->recovery),
		.dropped_segments = wal_to_le32(meta->dropped_segments),
		.dropped_bytes = wal_to_le64(meta->dropped_bytes),
		.clock_step_ns = wal_to_le64(meta->clock_step_ns),
	};
	memcpy(disk->log, meta->log, sizeof(disk->log));
}

enum wal_fault_kind wal_meta_record_decode(const uint8_t *data, uint32_t size, uint32_t block_size,
					   struct wal_meta_record *meta)
{
	struct wal_disk_meta_record disk;

	memset(meta, 0, sizeof(*meta));
	if (size < sizeof(disk.head))
		return WAL_FAULT_META;
	memcpy(&disk.head, data, sizeof(disk.head));
	if (wal_from_le16(disk.head.length) != size - sizeof(disk.head))
		return WAL_FAULT_META;
	meta->kind = wal_from_le16(disk.head.kind);
	if (meta->kind != WAL_META_SEGMENT && meta->kind != WAL_META_RESUME)
		return WAL_FAULT_NONE;
	if (size != sizeof(disk))
		return WAL_FAULT_META;
	memcpy(&disk, data, sizeof(disk));
	meta->writer_version = wal_from_le32(disk.writer_version);
	memcpy(meta->log, disk.log, sizeof(meta->log));
	meta->incarnation = wal_from_le64(disk.incarnation);
	meta->segment_bytes = wal_from_le64(disk.segment_bytes);
	meta->framing.kind = wal_from_le32(disk.framing);
	meta->framing.size = wal_from_le32(disk.framing_size);
	meta->recovery = wal_from_le32(disk.recovery);
	meta->dropped_segments = wal_from_le32(disk.dropped_segments);
	meta->dropped_bytes = wal_from_le64(disk.dropped_bytes);
	meta->clock_step_ns = wal_from_le64(disk.clock_step_ns);
	return wal_framing_is_possible(meta->framing) &&
			       wal_segment_bytes_are_possible(meta->segment_bytes, block_size)
		       ? WAL_FAULT_NONE
		       : WAL_FAULT_META;
}
