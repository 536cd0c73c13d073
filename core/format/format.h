/* SPDX-License-Identifier: MIT */
/*
 * Format version 1 in memory: conversions, checksums, and the checks of one
 * header or block at a time; core/format/record.h has the records in a block.
 * No I/O, no allocation. docs/FORMAT.md says what each of these is; section
 * names below are its own.
 */
#ifndef WALFS_CORE_FORMAT_H
#define WALFS_CORE_FORMAT_H

#include <endian.h>
#include <stdbool.h>
#include <walfs/format.h>
#include <walfs/wal.h>

#include "core/format/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Where XXH3 goes over to its algorithm for long inputs. */
#define WAL_CHECKSUM_SHORT_MAX 240u

/* The one checksum of the format: XXH3-64, with a seed or 0. */
static inline uint64_t wal_checksum(const void *data, size_t size, uint64_t seed)
{
	if (size <= WAL_CHECKSUM_SHORT_MAX)
		return XXH3_64bits_withSeed(data, size, seed);
	return wal_checksum_long(data, size, seed);
}

static inline wal_le16 wal_to_le16(uint16_t v)
{
	return (wal_le16){htole16(v)};
}
static inline wal_le32 wal_to_le32(uint32_t v)
{
	return (wal_le32){htole32(v)};
}
static inline wal_le64 wal_to_le64(uint64_t v)
{
	return (wal_le64){htole64(v)};
}
static inline uint16_t wal_from_le16(wal_le16 v)
{
	return le16toh(v.raw);
}
static inline uint32_t wal_from_le32(wal_le32 v)
{
	return le32toh(v.raw);
}
static inline uint64_t wal_from_le64(wal_le64 v)
{
	return le64toh(v.raw);
}

#define WAL_WRITER_VERSION \
	((uint32_t)WAL_VERSION_MAJOR << 16 | WAL_VERSION_MINOR << 8 | WAL_VERSION_PATCH)

#define WAL_EVENT_HEADER sizeof(struct wal_disk_event)
#define WAL_BLOCK_HEADER sizeof(struct wal_disk_block_header)

/* No log gets there; a larger id in a file is damage, and would leave no room after it. */
#define WAL_EVENT_ID_LIMIT (UINT64_C(1) << 62)

static inline uint32_t wal_block_data_size(uint32_t block_size)
{
	return block_size - (uint32_t)WAL_BLOCK_HEADER;
}

static inline uint64_t wal_block_offset(uint32_t block_size, uint32_t block)
{
	return WAL_HEADER_AREA + (uint64_t)block * block_size;
}

/* Bytes that an event with this payload takes in its block, padding included. */
static inline uint32_t wal_event_span(uint32_t length)
{
	return (uint32_t)((WAL_EVENT_HEADER + length + (WAL_EVENT_ALIGN - 1)) &
			  ~(size_t)(WAL_EVENT_ALIGN - 1));
}

static inline uint32_t wal_event_length(const struct wal_disk_event *event)
{
	return wal_from_le32(event->length_flags) & WAL_EVENT_LENGTH_MAX;
}

static inline uint32_t wal_event_flags(const struct wal_disk_event *event)
{
	return wal_from_le32(event->length_flags) >> 24;
}

/* event points at header and payload in one piece. */
static inline uint32_t wal_event_checksum(const struct wal_disk_event *event, uint32_t length,
					  uint64_t prev_chain, uint64_t id)
{
	return (uint32_t)wal_checksum((const uint8_t *)event + 4, WAL_EVENT_HEADER - 4 + length,
				      prev_chain + id);
}

bool wal_is_zero(const void *buf, size_t size);

/* The chain that a log starts with, or starts again with after damage. */
uint64_t wal_chain_start(const uint8_t log[16]);
uint64_t wal_chain_restart(const uint8_t log[16], uint32_t segment_index);
/* Does a segment with this header and META say that it begins a new chain after damage? */
bool wal_chain_is_restart(const uint8_t log[16], uint32_t segment_index, uint64_t prev_chain,
			  uint32_t recovery);

/* --- segment header ------------------------------------------------------ */

/* A segment header in the machine's own integers. */
struct wal_segment_header {
	uint32_t index;
	uint32_t block_size;
	uint32_t state; /* WAL_STATE_* */
	uint32_t block_count;
	uint64_t first_event_id;
	uint32_t event_count;
	uint32_t compat;
	uint64_t created_ns;
	uint64_t closed_ns;
	uint64_t prev_chain;
	uint64_t checksum; /* set by decode and encode */
};

/* chain: the last block's chained checksum, for a seal header; unused otherwise. */
void wal_segment_header_encode(struct wal_segment_header *header, uint64_t chain,
			       struct wal_disk_segment_header *disk);

/*
 * Fields and, of an active header, the checksum. A seal header's checksum needs
 * the last block's chain: wal_segment_header_check_seal().
 * Return: WAL_FAULT_NONE or what is wrong (VERSION only if the magic is right).
 */
enum wal_fault_kind wal_segment_header_decode(const struct wal_disk_segment_header *disk,
					      uint32_t state, struct wal_segment_header *header);
bool wal_segment_header_check_seal(const struct wal_disk_segment_header *disk, uint64_t chain);

/* Return: the offset of the first reserved byte that is not zero; 0 if all are. */
uint32_t wal_header_area_reserved(const uint8_t *area);

bool wal_framing_is_possible(struct wal_framing framing);
/* 4096 + N blocks, N >= 1, within the largest segment. */
bool wal_segment_bytes_are_possible(uint64_t segment_bytes, uint32_t block_size);

/* --- block header ---------------------------------------------------------- */

struct wal_block_header {
	uint64_t first_event_id;
	uint32_t event_count;
	uint32_t index;
	uint32_t used_bytes;
	uint64_t payload_offset;
	uint64_t first_timestamp_ns;
	uint64_t block_checksum; /* set by finalize and decode */
	uint64_t chain;		 /* likewise */
};

/* Computes the three checksums over data (used_bytes of it) and writes the header. */
void wal_block_header_finalize(struct wal_block_header *header, const uint8_t *data,
			       uint64_t previous_chain, uint64_t segment_prev_chain,
			       struct wal_disk_block_header *disk);
/* The same from a header whose checksum and chain are known already. */
void wal_block_header_encode(const struct wal_block_header *header, uint64_t segment_prev_chain,
			     struct wal_disk_block_header *disk);
/* Return: WAL_FAULT_NONE, BLOCK_HEADER or BLOCK_FIELD. */
enum wal_fault_kind wal_block_header_decode(const struct wal_disk_block_header *disk,
					    uint64_t segment_prev_chain, uint32_t block_size,
					    uint32_t index, struct wal_block_header *header);
bool wal_block_header_check_chain(const struct wal_disk_block_header *disk,
				  uint64_t previous_chain);

/* Which block of which segment it should be. */
struct wal_block_place {
	uint64_t segment_prev_chain;
	uint32_t block_size;
	uint32_t index;
};

/*
 * A whole finished block: header, block checksum, zeros after the used data; not
 * its events and not the chain. offset: of the fault within the block.
 * Return: NONE, BLOCK_HEADER, BLOCK_FIELD, BLOCK_CHECKSUM or PADDING.
 */
enum wal_fault_kind wal_block_check(const uint8_t *block, const struct wal_block_place *place,
				    struct wal_block_header *header, uint32_t *offset);

#endif
