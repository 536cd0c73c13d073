/* SPDX-License-Identifier: MIT */
/*
 * The checksum of an event that is being written, taken from its payload's source. Reading
 * back what was just stored is slow: the checksum's words straddle those stores, so each
 * waits until the stores before it have reached the cache, which is a miss on a segment's
 * fresh page (30 against 22 ns an event of 64 bytes; docs/PERFORMANCE.md has the command).
 *
 * tests/test_format.c compares all lengths with the library's sums.
 */
#ifndef WALFS_CORE_EVENT_CHECKSUM_H
#define WALFS_CORE_EVENT_CHECKSUM_H

#include "core/format/checksum_short.h"

#ifdef WAL_CHECKSUM_HAS_STEPS

/* What is hashed of an event's header: all but the checksum. */
#define WAL_HASHED_HEADER ((uint32_t)WAL_EVENT_HEADER - 4)
/* Payloads so long that only the first 16 bytes have any of the header, and no longer. */
#define WAL_SPLIT_MIN 32u
#define WAL_SPLIT_MAX (WAL_CHECKSUM_SHORT_MAX - WAL_HASHED_HEADER)

static inline uint64_t wal_mix_first(const struct wal_disk_event *event, const uint8_t *payload,
				     uint64_t seed)
{
	uint64_t timestamp_ns = wal_from_le64(event->timestamp_ns);
	uint64_t low = wal_from_le32(event->length_flags) | timestamp_ns << 32;
	uint64_t high = timestamp_ns >> 32 | (uint64_t)XXH_readLE32(payload) << 32;

	return wal_checksum_mix_words(low, high, XXH3_kSecret, seed);
}

/* As the library's for 129 to 240 bytes; from: after the first 16, which are in acc. */
static inline uint64_t wal_mix_middle(uint64_t acc, const uint8_t *from, const uint8_t *end,
				      uint64_t seed)
{
	const unsigned rounds = (unsigned)(end - from) / 16;
	unsigned i;

	for (i = 0; i < 7; i++)
		acc += wal_checksum_mix(from + 16 * i, XXH3_kSecret + 16 * (i + 1), seed);
	acc = XXH3_avalanche(acc);
	for (; i < rounds; i++)
		acc += wal_checksum_mix(from + 16 * i, XXH3_kSecret + 16 * (i - 7) + 3, seed);
	acc += wal_checksum_mix(end - 16, XXH3_kSecret + XXH3_SECRET_SIZE_MIN - 17, seed);
	return XXH3_avalanche(acc);
}

/*
 * wal_event_checksum() of an event whose header, but for its checksum, is at event, and
 * whose payload is there and, unchanged, at its source.
 */
static inline uint32_t wal_event_checksum_from(const struct wal_disk_event *event,
					       const uint8_t *source, uint32_t length,
					       uint64_t prev_chain, uint64_t id)
{
	const uint8_t *from = source + 16 - WAL_HASHED_HEADER, *end = source + length;
	uint64_t seed = prev_chain + id, acc;

	if (length < WAL_SPLIT_MIN || length > WAL_SPLIT_MAX)
		return wal_event_checksum(event, length, prev_chain, id);
	acc = (WAL_HASHED_HEADER + length) * XXH_PRIME64_1 + wal_mix_first(event, source, seed);
	if (WAL_HASHED_HEADER + length <= WAL_CHECKSUM_17_TO_128_MAX)
		return (uint32_t)wal_checksum_rest_to_128(acc, from, end, seed);
	return (uint32_t)wal_mix_middle(acc, from, end, seed);
}

#else

static inline uint32_t wal_event_checksum_from(const struct wal_disk_event *event,
					       const uint8_t *source, uint32_t length,
					       uint64_t prev_chain, uint64_t id)
{
	(void)source;
	return wal_event_checksum(event, length, prev_chain, id);
}

#endif

#endif
