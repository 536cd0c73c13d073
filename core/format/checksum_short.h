/* SPDX-License-Identifier: MIT */
/*
 * XXH3-64 of 17 to 128 bytes, which most events have, for loops that compute many: the
 * library's own makes gcc (12) write each product to memory and read it back. And its
 * steps, for who has the first bytes elsewhere (core/format/event_checksum.h). The sums are the
 * library's; tests compare all sizes.
 */
#ifndef WALFS_CORE_CHECKSUM_SHORT_H
#define WALFS_CORE_CHECKSUM_SHORT_H

#include "core/format/format.h"

#define WAL_CHECKSUM_17_TO_128_MIN 17u
#define WAL_CHECKSUM_17_TO_128_MAX 128u

/* It takes the library's secret; other versions may name it differently. */
#if defined(__SIZEOF_INT128__) && XXH_VERSION_NUMBER >= 801 && XXH_VERSION_NUMBER <= 803
#define WAL_CHECKSUM_HAS_STEPS 1

/* 16 bytes of input with 16 of the secret: both halves of a product, folded into one. */
static inline uint64_t wal_checksum_mix_words(uint64_t low, uint64_t high, const uint8_t *secret,
					      uint64_t seed)
{
	unsigned __int128 product = (unsigned __int128)(low ^ (XXH_readLE64(secret) + seed)) *
				    (high ^ (XXH_readLE64(secret + 8) - seed));

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t wal_checksum_mix(const uint8_t *in, const uint8_t *secret, uint64_t seed)
{
	return wal_checksum_mix_words(XXH_readLE64(in), XXH_readLE64(in + 8), secret, seed);
}

/*
 * Of 17 to 128 bytes, the first 16 of which are in sum, and the others between from and end:
 * from both ends towards the middle, where the two may overlap. Of fewer than 32 others, what
 * is before from is read, too.
 */
static inline uint64_t wal_checksum_rest_to_128(uint64_t sum, const uint8_t *from,
						const uint8_t *end, uint64_t seed)
{
	const uint8_t *const secret = XXH3_kSecret;
	const size_t size = 16 + (size_t)(end - from);

	sum += wal_checksum_mix(end - 16, secret + 16, seed);
	if (size > 32) {
		sum += wal_checksum_mix(from, secret + 32, seed);
		sum += wal_checksum_mix(end - 32, secret + 48, seed);
		if (size > 64) {
			sum += wal_checksum_mix(from + 16, secret + 64, seed);
			sum += wal_checksum_mix(end - 48, secret + 80, seed);
			if (size > 96) {
				sum += wal_checksum_mix(from + 32, secret + 96, seed);
				sum += wal_checksum_mix(end - 64, secret + 112, seed);
			}
		}
	}
	return XXH3_avalanche(sum);
}

static inline uint64_t wal_checksum_17_to_128(const uint8_t *in, size_t size, uint64_t seed)
{
	uint64_t sum = size * XXH_PRIME64_1 + wal_checksum_mix(in, XXH3_kSecret, seed);

	return wal_checksum_rest_to_128(sum, in + 16, in + size, seed);
}
#else
static inline uint64_t wal_checksum_17_to_128(const uint8_t *in, size_t size, uint64_t seed)
{
	return wal_checksum(in, size, seed);
}
#endif

#endif
