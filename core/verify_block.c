/* SPDX-License-Identifier: MIT */
/*
 * The quick answer about one block: sound or not. It is what verifying costs, so each
 * event is looked at once, by code that is compiled into the loop.
 */
#include "core/verify_block.h"

#include "core/record.h"

bool wal_meta_fits(const struct wal_found *found, uint32_t block, uint32_t at, uint32_t block_size)
{
	struct wal_meta_record meta;
	bool first = block == 0 && at == 0;

	return wal_meta_record_decode(found->payload, found->size, block_size, &meta) ==
		       WAL_FAULT_NONE &&
	       first == (meta.kind == WAL_META_SEGMENT);
}

/* A MORE is followed by a CONT, and nothing else is; across blocks the caller looks. */
static bool group_goes_on(struct wal_block_sum *sum, uint32_t flags)
{
	bool continues = flags & WAL_EVENT_CONT;

	if (!sum->has_events)
		sum->continues = continues;
	else if (continues != sum->goes_on)
		return false;
	sum->goes_on = flags & WAL_EVENT_MORE;
	sum->has_events = true;
	return true;
}

static bool records_are_sound(const uint8_t *data, const struct wal_segment_header *segment,
			      uint32_t index, struct wal_block_sum *sum)
{
	const uint32_t used = sum->header.used_bytes;
	uint64_t id = sum->header.first_event_id;
	const uint64_t end = id + sum->header.event_count;
	uint64_t last_ns = sum->header.first_timestamp_ns, payload = 0;
	struct wal_found found;
	uint32_t at;

	for (at = 0; at < used; at += found.span) {
		if (!wal_record_locate(data, at, used, &found) ||
		    !wal_record_checksum_fits(&found, segment->prev_chain, id) ||
		    wal_record_examine(&found) || found.timestamp_ns < last_ns)
			return false;
		if (at == 0 && found.timestamp_ns != last_ns)
			return false;
		last_ns = found.timestamp_ns;
		if (found.flags & WAL_EVENT_META) {
			if (!wal_meta_fits(&found, index, at, segment->block_size))
				return false;
			continue;
		}
		if ((index == 0 && at == 0) || !group_goes_on(sum, found.flags))
			return false;
		id++;
		payload += found.size;
	}
	sum->payload_bytes = payload;
	sum->last_ns = last_ns;
	return id == end;
}

bool wal_block_is_sound(const uint8_t *block, const struct wal_segment_header *segment,
			uint32_t index, struct wal_block_sum *sum)
{
	uint32_t at;

	*sum = (struct wal_block_sum){0};
	return wal_block_check(block, segment->prev_chain, segment->block_size, index, &sum->header,
			       &at) == WAL_FAULT_NONE &&
	       records_are_sound(block + WAL_BLOCK_HEADER, segment, index, sum);
}
