/* SPDX-License-Identifier: MIT */
/* One finished block, looked at alone: nothing of the blocks around it is needed. */
#ifndef WALFS_CORE_VERIFY_BLOCK_H
#define WALFS_CORE_VERIFY_BLOCK_H

#include "core/format/record.h"

/* What a sound block says; the block before it and the one after must fit this. */
struct wal_block_sum {
	struct wal_block_header header;
	uint64_t payload_bytes;
	uint64_t last_ns;      /* of its last record */
	bool begins_with_meta; /* before its events, if any */
	bool has_events;       /* or META alone */
	bool continues;	       /* its first event is CONT */
	bool goes_on;	       /* its last event is MORE */
};

/*
 * Does the block pass every check that needs no other block: header, block checksum,
 * each record, counts, zeros after them? It does not say what is wrong: for that the
 * block is looked at again, in order. Touches no state: any thread.
 */
bool wal_block_sum_up(const uint8_t *block, const struct wal_segment_header *segment,
		      uint32_t index, struct wal_block_sum *sum);

/* Is the META record, found at this place, one that can be there? */
bool wal_meta_fits(const struct wal_found *found, uint32_t block, uint32_t at, uint32_t block_size);

#endif
