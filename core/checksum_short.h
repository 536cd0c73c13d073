/* SPDX-License-Identifier: MIT */
/*
 * XXH3-64 of 17 to 128 bytes, which most events have, for loops that compute many: the
 * library's own makes gcc (12) write each product to memory and read it back. The sums
 * are the same; a test compares all sizes.
 */
#ifndef WALFS_CORE_CHECKSUM_SHORT_H
#define WALFS_CORE_CHECKSUM_SHORT_H

#include "core/format.h"

#define WAL_CHECKSUM_17_TO_128_MIN 17u
#define WAL_CHECKSUM_17_TO_128_MAX 128u

#ifdef __SIZEOF_INT128__
/* 16 bytes of input with 16 of the secret: both halves of a product, folded into one. */
static inline uint64_t wal_checksum_mix(const uint8_t *in, const uint8_t *secret, uint64_t seed)
{
	uint64_t low = XXH_readLE64(in) ^ (XXH_readLE64(secret) + seed);
	uint64_t high = XXH_readLE64(in + 8) ^ (XXH_readLE64(secret + 8) - seed);
	unsigned __int128 product = (unsigned __int128)low * high;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* From both ends towards the middle, where they may overlap. */
static inline uint64_t wal_checksum_17_to_128(const uint8_t *in, size_t size, uint64_t seed)
{
	const uint8_t *const secret = XXH3_kSecret, *const end = in + size;
	uint64_t sum = size * XXH_PRIME64_1;

	sum += wal_checksum_mix(in, secret, seed);
	sum += wal_checksum_mix(end - 16, secret + 16, seed);
	if (size > 32) {
		sum += wal_checksum_mix(in + 16, secret + 32, seed);
		sum += wal_checksum_mix(end - 32, secret + 48, seed);
		if (size > 64) {
			sum += wal_checksum_mix(in + 32, secret + 64, seed);
			sum += wal_checksum_mix(end - 48, secret + 80, seed);
			if (size > 96) {
				sum += wal_checksum_mix(in + 48, secret + 96, seed);
				sum += wal_checksum_mix(end - 64, secret + 112, seed);
			}
		}
	}
	return XXH3_avalanche(sum);
}
#else
static inline uint64_t wal_checksum_17_to_128(const uint8_t *in, size_t size, uint64_t seed)
{
	return wal_checksum(in, size, seed);
}
#endif

#endif
