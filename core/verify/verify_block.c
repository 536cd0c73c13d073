/* SPDX-License-Identifier: MIT */
/*
 * The quick answer about one block: sound or not. It is what verifying costs, so each
 * event is looked at once, by code that is compiled into the loop.
 */
#include "core/verify/verify_block.h"

#include "core/format/checksum_short.h"
#include "core/format/record.h"

bool wal_meta_fits(const struct wal_found *found, uint32_t block, uint32_t at, uint32_t block_size)
{
	struct wal_meta_record meta;
	bool first = block == 0 && at == 0;

	return wal_meta_record_decode(found->payload, found->size, block_size, &meta) ==
		       WAL_FAULT_NONE &&
	       first == (meta.kind == WAL_META_SEGMENT);
}

/* A MORE is followed by a CONT, and nothing else is; across blocks the caller looks. */
static bool take_group_flags(struct wal_block_sum *sum, uint32_t flags)
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

/* No group goes on across it; whether one does that came before, the caller knows. */
static bool take_meta(const struct wal_found *found, struct wal_block_sum *sum, uint32_t block,
		      uint32_t at, uint32_t block_size)
{
	if (!sum->has_events)
		sum->begins_with_meta = true;
	return !sum->goes_on && wal_meta_fits(found, block, at, block_size);
}

/* Where the look at a block's records is. */
struct place {
	uint32_t at;
	uint64_t id; /* of the next event */
	uint64_t last_ns;
	uint64_t payload_bytes;
};

static bool take_record(const uint8_t *data, const struct wal_segment_header *segment,
			struct wal_block_sum *sum, struct place *place)
{
	const uint32_t at = place->at, index = sum->header.index;
	struct wal_found found;

	if (!wal_record_locate(data, at, sum->header.used_bytes, &found) ||
	    !wal_record_checksum_fits(&found, segment->prev_chain, place->id) ||
	    wal_record_examine(&found) || found.timestamp_ns < place->last_ns)
		return false;
	if (at == 0 && found.timestamp_ns != place->last_ns)
		return false;
	place->at += found.span;
	place->last_ns = found.timestamp_ns;
	if (found.flags & WAL_EVENT_META)
		return take_meta(&found, sum, index, at, segment->block_size);
	place->id++;
	place->payload_bytes += found.size;
	return (index > 0 || at > 0) && take_group_flags(sum, found.flags);
}

/* Out of line, so that the calls of other sizes cost the loop below no registers. */
__attribute__((noinline)) static uint64_t checksum_of_other_size(const uint8_t *data, size_t size,
								 uint64_t seed)
{
	return wal_checksum(data, size, seed);
}

static inline bool plain_checksum_fits(const struct wal_disk_event *event, size_t length,
				       uint64_t seed)
{
	const uint8_t *data = (const uint8_t *)event + 4;
	const size_t size = WAL_EVENT_HEADER - 4 + length;
	uint64_t checksum;

	if (size - WAL_CHECKSUM_17_TO_128_MIN <=
	    WAL_CHECKSUM_17_TO_128_MAX - WAL_CHECKSUM_17_TO_128_MIN)
		checksum = wal_checksum_17_to_128(data, size, seed);
	else
		checksum = checksum_of_other_size(data, size, seed);
	return (uint32_t)checksum == wal_from_le32(event->event_checksum);
}

/*
 * The events from place on, up to one that has a flag or does not lie within the block,
 * which take_record() has the word about. This is what that does for an event that
 * has none, is not the first record, and has no open group before it: nearly all events
 * of nearly all logs are such, so their loop has only what they need, in registers.
 */
static bool plain_events_are_sound(const uint8_t *data, uint32_t used, uint64_t prev_chain,
				   struct place *place)
{
	const uint8_t *const end = data + used;
	const uint8_t *const last = end - (WAL_EVENT_HEADER + WAL_EVENT_ALIGN);
	const uint8_t *p = data + place->at, *next;
	uint64_t seed = prev_chain + place->id, last_ns = place->last_ns;
	uint64_t payload_bytes = place->payload_bytes;

	for (; p <= last; p = next) {
		const struct wal_disk_event *event = (const void *)p;
		const size_t length = wal_from_le32(event->length_flags);
		const uint64_t timestamp_ns = wal_from_le64(event->timestamp_ns);

		if (length - 1 >= WAL_EVENT_LENGTH_MAX)
			break; /* flags, or no length */
		/* wal_event_span(), not cut to 32 bits on the way: this is the longest wait. */
		next = p + ((WAL_EVENT_HEADER + length + (WAL_EVENT_ALIGN - 1)) &
			    ~(size_t)(WAL_EVENT_ALIGN - 1));
		if (next > end)
			break;
		if (!plain_checksum_fits(event, length, seed) || timestamp_ns < last_ns ||
		    !wal_padding_is_zero(event, length, (size_t)(next - p)))
			return false;
		last_ns = timestamp_ns;
		payload_bytes += length;
		seed++;
	}
	*place = (struct place){.at = (uint32_t)(p - data),
				.id = seed - prev_chain,
				.last_ns = last_ns,
				.payload_bytes = payload_bytes};
	return true;
}

static bool take_records(const uint8_t *data, const struct wal_segment_header *segment,
			 struct wal_block_sum *sum)
{
	const struct wal_block_header *header = &sum->header;
	struct place place = {.id = header->first_event_id, .last_ns = header->first_timestamp_ns};

	while (place.at < header->used_bytes) {
		if (!take_record(data, segment, sum, &place))
			return false;
		if (sum->has_events && !sum->goes_on &&
		    !plain_events_are_sound(data, header->used_bytes, segment->prev_chain, &place))
			return false;
	}
	sum->payload_bytes = place.payload_bytes;
	sum->last_ns = place.last_ns;
	return place.id - header->first_event_id == header->event_count;
}

bool wal_block_sum_up(const uint8_t *block, const struct wal_segment_header *segment,
		      uint32_t index, struct wal_block_sum *sum)
{
	const struct wal_block_place place = {.segment_prev_chain = segment->prev_chain,
					      .block_size = segment->block_size,
					      .index = index};
	uint32_t at;

	*sum = (struct wal_block_sum){0};
	return wal_block_check(block, &place, &sum->header, &at) == WAL_FAULT_NONE &&
	       take_records(block + WAL_BLOCK_HEADER, segment, sum);
}
