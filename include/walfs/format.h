/* SPDX-License-Identifier: MIT */
/*
 * The on-disk format of walfs, version 1. docs/FORMAT.md is normative; this
 * file is the same in C: the structures and their constants, nothing else.
 *
 * Every integer is little-endian and wrapped in a struct, so that code which
 * forgets to convert one does not compile (the idea is systemd's le64_t).
 * Conversions and checksums are in core/format/format.h.
 */
#ifndef WALFS_FORMAT_H
#define WALFS_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
	uint16_t raw;
} wal_le16;
typedef struct {
	uint32_t raw;
} wal_le32;
typedef struct {
	uint64_t raw;
} wal_le64;

#define WAL_FORMAT_VERSION 1

/* Bytes before block 0: active header, seal header, signature, zeros. */
#define WAL_HEADER_AREA 4096u
#define WAL_ACTIVE_HEADER_OFFSET 0u
#define WAL_SEAL_HEADER_OFFSET 512u
/* 1024..2047: reserved for a signature; all other bytes of the area are zero. */

#define WAL_BLOCK_SIZE_LOG2_MIN 12u /* 4 KiB */
#define WAL_BLOCK_SIZE_LOG2_MAX 24u /* 16 MiB */
#define WAL_SEGMENT_SIZE_MAX (UINT64_C(1) << 32)
#define WAL_FIRST_EVENT_ID UINT64_C(1)
#define WAL_FIRST_SEGMENT_INDEX 1u
#define WAL_LAST_SEGMENT_INDEX 4294967294u /* there is one after each */

#define WAL_SEGMENT_MAGIC "WALS"
#define WAL_STATE_ACTIVE 1u
#define WAL_STATE_SEALED 2u
/* Compatible features: a reader that does not know one may ignore it. */
#define WAL_COMPAT_SEALED_BY_RECOVERY 0x00000001u
#define WAL_COMPAT_TIME_RUN_SHIFT 8u /* bits 8 to 31 */
#define WAL_TIME_RUN_MAX 0x00ffffffu

struct wal_disk_segment_header {
	uint8_t magic[4];
	uint8_t version;
	uint8_t incompat;
	uint8_t state;
	uint8_t block_size_log2;
	wal_le32 segment_index;
	wal_le32 block_count;
	wal_le64 first_event_id;
	wal_le32 event_count;
	wal_le32 compat;
	wal_le64 created_ns;
	wal_le64 closed_ns;
	wal_le64 prev_chained_checksum;
	wal_le64 header_checksum;
};

struct wal_disk_block_header {
	wal_le64 first_event_id;
	wal_le32 event_count;
	wal_le32 flags;
	wal_le64 payload_offset;
	wal_le32 block_index;
	wal_le32 used_bytes;
	wal_le64 first_timestamp_ns;
	wal_le64 block_checksum;
	wal_le64 chained_checksum;
	wal_le64 header_checksum;
};

struct wal_disk_event {
	wal_le32 event_checksum;
	wal_le32 length_flags; /* length in the low 24 bits, flags above */
	wal_le64 timestamp_ns;
};

#define WAL_EVENT_ALIGN 8u
#define WAL_EVENT_LENGTH_MAX 0x00ffffffu

#define WAL_EVENT_MORE 0x01u /* goes on in the next event */
#define WAL_EVENT_CONT 0x02u /* continues the event before */
#define WAL_EVENT_PART 0x04u /* ends without its newline, or short of N bytes */
#define WAL_EVENT_EXT 0x40u  /* u16 length and a list of items before the payload */
#define WAL_EVENT_META 0x80u /* no id, no payload: a wal_disk_meta_head */
#define WAL_EVENT_FLAGS_KNOWN \
	(WAL_EVENT_MORE | WAL_EVENT_CONT | WAL_EVENT_PART | WAL_EVENT_EXT | WAL_EVENT_META)

/* Items of an extension: u8 type, u8 length, bytes. 128 to 255 are private. */
#define WAL_EXT_ORIGIN 1u /* le32 number of the WRITER record of who appended */

/* What a META record starts with. length counts the bytes after this head. */
struct wal_disk_meta_head {
	wal_le16 kind;
	wal_le16 length;
};

#define WAL_META_SEGMENT 1u /* the first record of every segment */
#define WAL_META_RESUME 2u  /* before the first event after an unclean stop */
#define WAL_META_WRITER 3u  /* who appended; reserved, as 4 and 5. 32768 and above are private */

#define WAL_META_CHAIN_RESTART 0x01u	/* the segment before is damaged: a new chain starts */
#define WAL_META_TAIL_DROPPED 0x02u	/* recovery cut a torn tail off the segment before */
#define WAL_META_CLOCK_STEPPED 0x04u	/* the clock went back in the segment before */
#define WAL_META_POSITION_LOST 0x08u	/* wal.meta was missing or unreadable */
#define WAL_META_SEGMENTS_DROPPED 0x10u /* whole segments after a hole were set aside */

/* The data of both kinds, head included. */
struct wal_disk_meta_record {
	struct wal_disk_meta_head head;
	wal_le32 writer_version; /* major << 16 | minor << 8 | patch */
	uint8_t log[16];
	wal_le64 incarnation;
	wal_le64 segment_bytes; /* the whole file while active */
	wal_le32 framing;
	wal_le32 framing_size;
	wal_le32 recovery; /* WAL_META_* bits above */
	wal_le32 dropped_segments;
	wal_le64 dropped_bytes;
	wal_le64 clock_step_ns;
};

#define WAL_FRAMING_LINE 1u
#define WAL_FRAMING_WRITE 2u
#define WAL_FRAMING_FIXED 3u

/* wal.meta: two of these, each in a 4 KiB slot of its own, written in turn. */
#define WAL_META_SLOT_BYTES 4096u
#define WAL_META_SLOTS 2u
#define WAL_META_MAGIC "WALM"
#define WAL_META_COLD 0x01u	   /* incompat: some segments are compressed */
#define WAL_META_COPY 0x02u	   /* incompat: a copy, not to be written to */
#define WAL_META_CLEAN 0x00000001u /* closed in order; nothing to recover */

struct wal_disk_meta_slot {
	uint8_t magic[4];
	uint8_t version;
	uint8_t incompat;
	uint8_t block_size_log2;
	uint8_t reserved;
	wal_le64 sequence; /* the valid slot with the larger one counts */
	uint8_t log[16];
	wal_le64 segment_bytes;
	wal_le32 framing;
	wal_le32 framing_size;
	wal_le64 incarnation;
	wal_le32 durable_segment;
	wal_le32 first_segment; /* the first that is kept */
	wal_le64 durable_offset;
	wal_le64 durable_event_id;
	wal_le32 flags;
	wal_le32 reserved2;
	wal_le64 slot_checksum; /* XXH3-64 of the bytes before it; the rest of the slot is zero */
};

/* wal.clock: how often and by how much the clock was set forward while the log was mounted. */
#define WAL_CLOCK_MAGIC "WALC"
#define WAL_CLOCK_STEPS_MAX 8u

struct wal_disk_clock_step {
	wal_le32 segment; /* the active one then */
	wal_le32 reserved;
	wal_le64 before_ns; /* what the clock said, */
	wal_le64 after_ns;  /* and says from then on */
	wal_le64 step_ns;   /* the difference, less what it was set back by later */
};

struct wal_disk_clock {
	uint8_t magic[4];
	uint8_t version;
	uint8_t count; /* of steps; the oldest first */
	uint8_t reserved[2];
	struct wal_disk_clock_step steps[WAL_CLOCK_STEPS_MAX];
	wal_le64 checksum; /* XXH3-64 of the bytes before it */
};

#define WAL_ASSERT_OFFSET(type, member, offset) \
	static_assert(offsetof(struct type, member) == (offset), #type "." #member " moved")
#define WAL_ASSERT_SIZE(type, size) \
	static_assert(sizeof(struct type) == (size), #type " changed its size")

WAL_ASSERT_SIZE(wal_disk_segment_header, 64);
WAL_ASSERT_OFFSET(wal_disk_segment_header, version, 4);
WAL_ASSERT_OFFSET(wal_disk_segment_header, incompat, 5);
WAL_ASSERT_OFFSET(wal_disk_segment_header, state, 6);
WAL_ASSERT_OFFSET(wal_disk_segment_header, block_size_log2, 7);
WAL_ASSERT_OFFSET(wal_disk_segment_header, segment_index, 8);
WAL_ASSERT_OFFSET(wal_disk_segment_header, block_count, 12);
WAL_ASSERT_OFFSET(wal_disk_segment_header, first_event_id, 16);
WAL_ASSERT_OFFSET(wal_disk_segment_header, event_count, 24);
WAL_ASSERT_OFFSET(wal_disk_segment_header, compat, 28);
WAL_ASSERT_OFFSET(wal_disk_segment_header, created_ns, 32);
WAL_ASSERT_OFFSET(wal_disk_segment_header, closed_ns, 40);
WAL_ASSERT_OFFSET(wal_disk_segment_header, prev_chained_checksum, 48);
WAL_ASSERT_OFFSET(wal_disk_segment_header, header_checksum, 56);

WAL_ASSERT_SIZE(wal_disk_block_header, 64);
WAL_ASSERT_OFFSET(wal_disk_block_header, first_event_id, 0);
WAL_ASSERT_OFFSET(wal_disk_block_header, event_count, 8);
WAL_ASSERT_OFFSET(wal_disk_block_header, flags, 12);
WAL_ASSERT_OFFSET(wal_disk_block_header, payload_offset, 16);
WAL_ASSERT_OFFSET(wal_disk_block_header, block_index, 24);
WAL_ASSERT_OFFSET(wal_disk_block_header, used_bytes, 28);
WAL_ASSERT_OFFSET(wal_disk_block_header, first_timestamp_ns, 32);
WAL_ASSERT_OFFSET(wal_disk_block_header, block_checksum, 40);
WAL_ASSERT_OFFSET(wal_disk_block_header, chained_checksum, 48);
WAL_ASSERT_OFFSET(wal_disk_block_header, header_checksum, 56);

WAL_ASSERT_SIZE(wal_disk_event, 16);
WAL_ASSERT_OFFSET(wal_disk_event, event_checksum, 0);
WAL_ASSERT_OFFSET(wal_disk_event, length_flags, 4);
WAL_ASSERT_OFFSET(wal_disk_event, timestamp_ns, 8);

WAL_ASSERT_SIZE(wal_disk_meta_head, 4);
WAL_ASSERT_OFFSET(wal_disk_meta_head, kind, 0);
WAL_ASSERT_OFFSET(wal_disk_meta_head, length, 2);

WAL_ASSERT_SIZE(wal_disk_meta_record, 72);
WAL_ASSERT_OFFSET(wal_disk_meta_record, writer_version, 4);
WAL_ASSERT_OFFSET(wal_disk_meta_record, log, 8);
WAL_ASSERT_OFFSET(wal_disk_meta_record, incarnation, 24);
WAL_ASSERT_OFFSET(wal_disk_meta_record, segment_bytes, 32);
WAL_ASSERT_OFFSET(wal_disk_meta_record, framing, 40);
WAL_ASSERT_OFFSET(wal_disk_meta_record, framing_size, 44);
WAL_ASSERT_OFFSET(wal_disk_meta_record, recovery, 48);
WAL_ASSERT_OFFSET(wal_disk_meta_record, dropped_segments, 52);
WAL_ASSERT_OFFSET(wal_disk_meta_record, dropped_bytes, 56);
WAL_ASSERT_OFFSET(wal_disk_meta_record, clock_step_ns, 64);

WAL_ASSERT_SIZE(wal_disk_meta_slot, 96);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, version, 4);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, incompat, 5);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, block_size_log2, 6);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, reserved, 7);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, sequence, 8);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, log, 16);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, segment_bytes, 32);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, framing, 40);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, framing_size, 44);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, incarnation, 48);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, durable_segment, 56);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, first_segment, 60);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, durable_offset, 64);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, durable_event_id, 72);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, flags, 80);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, reserved2, 84);
WAL_ASSERT_OFFSET(wal_disk_meta_slot, slot_checksum, 88);

WAL_ASSERT_SIZE(wal_disk_clock_step, 32);
WAL_ASSERT_OFFSET(wal_disk_clock_step, before_ns, 8);
WAL_ASSERT_OFFSET(wal_disk_clock_step, after_ns, 16);
WAL_ASSERT_OFFSET(wal_disk_clock_step, step_ns, 24);

WAL_ASSERT_SIZE(wal_disk_clock, 272);
WAL_ASSERT_OFFSET(wal_disk_clock, version, 4);
WAL_ASSERT_OFFSET(wal_disk_clock, count, 5);
WAL_ASSERT_OFFSET(wal_disk_clock, reserved, 6);
WAL_ASSERT_OFFSET(wal_disk_clock, steps, 8);
WAL_ASSERT_OFFSET(wal_disk_clock, checksum, 264);

#undef WAL_ASSERT_OFFSET
#undef WAL_ASSERT_SIZE

#ifdef __cplusplus
}
#endif

#endif
