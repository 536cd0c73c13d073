/* SPDX-License-Identifier: MIT */
/*
 * The files of a store as an input of fuzz_recovery: RAW, then file after file. Each begins
 * with a byte of what it is (below) and which one; of a file that has bytes there follow
 * which checksums are made right, its size, how many runs of bytes it has, and each of these:
 * its place in 8 bytes, its length, its bytes. Numbers are of 16 bits, little-endian.
 */
#ifndef WALFS_TESTS_FUZZ_RAW_H
#define WALFS_TESTS_FUZZ_RAW_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <walfs/wal.h>

#define RAW 0xff /* as a script's first step it would do nothing */
#define RAW_FILES 8
#define RAW_BYTES (64u << 10)
#define RAW_NAME_MAX 64

enum raw_kind { RAW_META, RAW_SEGMENT, RAW_LINK, RAW_DIRECTORY, RAW_FIFO, RAW_KINDS };

#define RAW_BESIDE 8 /* one of these names instead of a segment's */

static const char *const raw_beside[16] = {
	"0000000002.wal.new",
	"0000000003.wal.new",
	"0000000009.wal.new",
	"0000000002.wal.new-1",
	"0000000002.wal.new-999",
	"0000000001.wal.torn-20261122T100102.000000017Z-2",
	"wal.meta.torn-20261122T100102.000000017Z",
	"letter.wal.torn-of-mine",
	"letter.txt",
	"lost+found",
	"current",
	"events",
	".walfs",
	"4294967294.wal",
	"4294967295.wal",
	"0000000000.wal",
};

/* Segments 1 to 15 by number; 15 is wal.meta. */
static inline void raw_name(unsigned what, char name[RAW_NAME_MAX])
{
	unsigned number = what / 16;

	if (what % 8 % RAW_KINDS == RAW_META)
		snprintf(name, RAW_NAME_MAX, "wal.meta");
	else if (what & RAW_BESIDE)
		snprintf(name, RAW_NAME_MAX, "%s", raw_beside[number % 16]);
	else if (number == 15)
		snprintf(name, RAW_NAME_MAX, "wal.meta");
	else
		snprintf(name, RAW_NAME_MAX, "%010u.wal", 1 + number);
}

/* Return: how a file of this kind and name begins; -1: it has no place in an input. */
static inline int raw_what(enum raw_kind kind, const char *name)
{
	char other[RAW_NAME_MAX];

	for (unsigned what = kind; what < 256; what += RAW_BESIDE) {
		raw_name(what, other);
		if (strcmp(name, other) == 0)
			return (int)what;
	}
	return -1;
}

/* --- writing one ---------------------------------------------------------------------- */

struct raw_seed {
	uint8_t bytes[2 * RAW_BYTES];
	size_t size;
	bool overflow; /* it did not fit */
};

static inline void raw_put8(struct raw_seed *seed, unsigned value)
{
	if (seed->size < sizeof(seed->bytes))
		seed->bytes[seed->size++] = (uint8_t)value;
	else
		seed->overflow = true;
}

static inline void raw_put16(struct raw_seed *seed, size_t value)
{
	seed->overflow = seed->overflow || value > 0xffff;
	raw_put8(seed, value & 0xff);
	raw_put8(seed, value >> 8 & 0xff);
}

static inline void raw_begin(struct raw_seed *seed)
{
	seed->size = 0;
	seed->overflow = false;
	raw_put8(seed, RAW);
}

/* Return: where the run of bytes from at on ends: before 8 bytes of zeros. */
static inline size_t raw_run_end(const uint8_t *bytes, size_t at, size_t size)
{
	static const uint8_t zeros[8];

	while (at < size && memcmp(bytes + at, zeros, size - at < 8 ? size - at : 8) != 0)
		at += 8;
	return at < size ? at : size;
}

/* A file with these bytes, as they are. */
static inline void raw_put_file(struct raw_seed *seed, unsigned what, const uint8_t *bytes,
				size_t size)
{
	size_t runs_at, runs = 0;

	raw_put8(seed, what);
	raw_put8(seed, 0);
	raw_put16(seed, size);
	runs_at = seed->size;
	raw_put16(seed, 0);
	for (size_t at = 0; at < size && !seed->overflow; at += 8) {
		size_t end = raw_run_end(bytes, at, size);

		if (end == at)
			continue;
		raw_put16(seed, at / 8);
		raw_put16(seed, end - at);
		while (at < end)
			raw_put8(seed, bytes[at++]);
		at = end / 8 * 8;
		runs++;
	}
	if (seed->overflow)
		return;
	seed->bytes[runs_at] = (uint8_t)runs;
	seed->bytes[runs_at + 1] = (uint8_t)(runs >> 8);
}

#endif
