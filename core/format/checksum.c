/* SPDX-License-Identifier: MIT */
/*
 * XXH3-64 of long inputs. The compiled-in version of a short input is the quickest
 * there is; for a long one the width of the vectors counts, and the shared library
 * picks that by the processor it finds itself on (AVX2, AVX-512). The results are
 * the same everywhere.
 */
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h> /* XXH3_64bits_withSeed becomes the one that chooses */
#endif

#include "core/format/checksum.h"

uint64_t wal_checksum_long(const void *data, size_t size, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, size, seed);
}
