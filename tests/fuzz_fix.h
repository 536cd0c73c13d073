/* SPDX-License-Identifier: MIT */
/* Makes checksums of a segment of any bytes right, so that what is behind them is reached. */
#ifndef WALFS_TESTS_FUZZ_FIX_H
#define WALFS_TESTS_FUZZ_FIX_H

#include "tests/oracle.h"

/* Of each record that can be found in the blocks, in order. */
static inline void fuzz_fix_events(uint8_t *image, size_t size, uint64_t block_size)
{
	const uint64_t prev = oracle_get64(image + 48);
	uint64_t id = oracle_get64(image + 16);

	for (uint64_t block = 4096; block + block_size <= size; block += block_size) {
		uint64_t at = block + 64;

		while (block + block_size - at >= 24) {
			uint32_t length = oracle_get32(image + at + 4) & 0xffffff;
			uint64_t span = (16 + (uint64_t)length + 7) / 8 * 8;

			if (length == 0 || span > block + block_size - at)
				break;
			oracle_fix_event(image + at, prev, id);
			id += !(image[at + 7] & 0x80);
			at += span;
		}
	}
}

static inline void fuzz_fix(uint8_t *image, size_t size, unsigned control)
{
	uint64_t block_size;
	uint32_t count;

	if (size < 8192)
		return;
	if (control & 0x10) { /* a geometry that fits the file */
		image[7] = 12;
		image[512 + 7] = 12;
		oracle_put32(image + 512 + 12, (uint32_t)((size - 4096) / 4096));
	}
	if (control & 1)
		oracle_fix_active_header(image);
	block_size = UINT64_C(1) << (image[7] & 31);
	if (block_size < 4096)
		return;
	if (control & 2)
		fuzz_fix_events(image, size, block_size);
	count = oracle_get32(image + 512 + 12);
	if (image[512 + 7] != image[7] || count == 0 || (size - 4096) / block_size < count)
		return;
	for (uint32_t k = 0; k < count; k++) {
		if (oracle_get32(image + 4096 + k * block_size + 28) > block_size - 64)
			return;
	}
	if (control & 4)
		oracle_fix_blocks(image, 0);
	else if (control & 8)
		oracle_fix_seal_header(image);
}

#endif
