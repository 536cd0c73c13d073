/* SPDX-License-Identifier: MIT */
/*
 * Measures parts of the recorder: how a segment is best prepared, and what counting
 * costs. Prints figures, judges none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/base/telemetry.h"
#include "tests/bench/bench.h"

/* --- prefault: how a segment is made ready ------------------------------------- */

#define SEGMENT_BYTES (64u << 20)
#define SYNCS 300
#define STORED_BYTES (4u << 20)
#define FIRST_SYNCS_AT (12u << 20) /* where nothing else is stored */

static const struct method {
	const char *name;
	bool allocate; /* fallocate, or else a hole */
	bool prefill;  /* large writes of zeros first */
	bool populate; /* MADV_POPULATE_WRITE and fdatasync */
	int advice;    /* madvise before that; 0: none */
	bool unmap;    /* and then written by pwrite */
	bool unsynced; /* no fdatasync */
} methods[] = {
	{"hole", false, false, false, 0, false, false},
	{"fallocate", true, false, false, 0, false, false},
	{"fallocate+populate+sync", true, false, true, 0, false, false},
	{"1 MiB pwrites+populate+sync", false, true, true, 0, false, false},
	{"MADV_RANDOM, as the third", true, false, true, MADV_RANDOM, false, false},
	{"MADV_HUGEPAGE, as the third", true, false, true, MADV_HUGEPAGE, false, false},
	{"the third, then pwrite", true, false, true, 0, true, false},
	{"MADV_HUGEPAGE, then pwrite", true, false, true, MADV_HUGEPAGE, true, false},
	{"MADV_HUGEPAGE, not synced", true, false, true, MADV_HUGEPAGE, false, true},
	{"that, then pwrite", true, false, true, MADV_HUGEPAGE, true, true},
};

static void prefill(int fd, size_t size)
{
	enum { CHUNK = 1 << 20 };
	char *zeros = calloc(1, CHUNK);
	size_t at;

	for (at = 0; zeros && at < size; at += CHUNK) {
		if (pwrite(fd, zeros, CHUNK, (off_t)at) != CHUNK)
			bench_die("pwrite", errno);
	}
	free(zeros);
}

static uint8_t *make_ready(int fd, const struct method *method)
{
	const size_t size = SEGMENT_BYTES;
	uint8_t *map;
	int err = 0;

	if (method->allocate)
		err = posix_fallocate(fd, 0, (off_t)size);
	else if (ftruncate(fd, (off_t)size))
		err = errno;
	if (err)
		bench_die("allocate", err);
	if (method->prefill)
		prefill(fd, size);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		bench_die("mmap", errno);
	if (method->advice && madvise(map, size, method->advice))
		bench_die("madvise", errno);
	if (!method->populate)
		return map;
	if (madvise(map, size, MADV_POPULATE_WRITE))
		bench_die("madvise", errno);
	if (!method->unsynced && fdatasync(fd))
		bench_die("fdatasync", errno);
	if (!method->unmap)
		return map;
	munmap(map, size);
	return NULL;
}

struct segment {
	int fd;
	uint8_t *map; /* NULL: written by pwrite */
};

static void put(const struct segment *segment, size_t offset, const void *data, size_t size)
{
	if (segment->map)
		memcpy(segment->map + offset, data, size);
	else if (pwrite(segment->fd, data, size, (off_t)offset) != (ssize_t)size)
		bench_die("pwrite", errno);
}

/* Sectors written to the disk that the file is on, by anybody; 0: not known. */
static uint64_t sectors_written(int fd)
{
	uint64_t sectors = 0;
	char path[64];
	struct stat st;
	FILE *file;

	if (fstat(fd, &st))
		return 0;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(st.st_dev),
		 minor(st.st_dev));
	file = fopen(path, "re");
	if (!file || fscanf(file, "%*u %*u %*u %*u %*u %*u %" SCNu64, &sectors) != 1)
		sectors = 0;
	if (file)
		fclose(file);
	return sectors;
}

/* What whoever is first to want an event durable pays for how it was made ready. */
static void time_first_syncs(const struct segment *segment)
{
	static const char event[80] = "x";
	size_t at = FIRST_SYNCS_AT;
	int i;

	for (i = 0; i < 3; i++) {
		uint64_t sectors = sectors_written(segment->fd), start;

		put(segment, at, event, sizeof(event));
		at += sizeof(event);
		start = bench_now_ns();
		if (fdatasync(segment->fd))
			bench_die("fdatasync", errno);
		printf("  sync %d of an event: %9.2f us, %" PRIu64 " sectors\n", i + 1,
		       (double)(bench_now_ns() - start) / 1e3,
		       sectors_written(segment->fd) - sectors);
	}
}

static void time_syncs(const struct segment *segment, size_t offset, struct bench_samples *samples)
{
	static const char event[80] = "x";
	uint64_t start;

	for (; samples->count < samples->room; offset += sizeof(event)) {
		put(segment, offset, event, sizeof(event));
		start = bench_now_ns();
		if (fdatasync(segment->fd))
			bench_die("fdatasync", errno);
		bench_samples_add(samples, bench_now_ns() - start);
	}
}

/* Return: ns a page for the first bytes that it gets, 64 KiB at a time. */
static double time_filling(const struct segment *segment, size_t offset)
{
	static const uint8_t piece[65536] = {1};
	uint64_t start = bench_now_ns();
	size_t at;

	for (at = 0; at < STORED_BYTES; at += sizeof(piece))
		put(segment, offset + at, piece, sizeof(piece));
	return (double)(bench_now_ns() - start) / (STORED_BYTES / 4096);
}

/* Read-ahead makes larger and larger folios along a file: one place says little. */
static void time_place(const struct segment *segment, size_t offset)
{
	struct bench_samples samples;
	double page_ns;

	bench_samples_init(&samples, SYNCS);
	page_ns = time_filling(segment, offset);
	time_syncs(segment, offset + STORED_BYTES, &samples);
	printf("  at %2zu MiB: a page filled for the first time %6.0f ns, "
	       "each sync of an event p50 %9.2f us, p99 %9.2f us\n",
	       offset >> 20, page_ns, bench_samples_part(&samples, 0.5),
	       bench_samples_part(&samples, 0.99));
	fflush(stdout);
	bench_samples_destroy(&samples);
}

static void prefault_one(const char *dir, const struct method *method)
{
	char *path = bench_path(dir, "prefault");
	struct segment segment;
	uint64_t ready_ns;
	size_t at;
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die(path, errno);
	ready_ns = bench_now_ns();
	segment = (struct segment){fd, make_ready(fd, method)};
	printf("%-28s ready in %7.2f ms\n", method->name,
	       (double)(bench_now_ns() - ready_ns) / 1e6);
	time_first_syncs(&segment);
	for (at = 0; at < SEGMENT_BYTES; at += SEGMENT_BYTES / 4)
		time_place(&segment, at);
	if (segment.map)
		munmap(segment.map, SEGMENT_BYTES);
	close(fd);
	unlink(path);
	free(path);
}

static int run_prefault(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? bench_number(argv[1]) : 3, round;
	size_t i;

	for (round = 0; round < rounds; round++) {
		for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
			prefault_one(argv[0], &methods[i]);
	}
	return 0;
}

/* --- telemetry: what an append pays for being counted ------------------------------- */

static int run_telemetry(int argc, char **argv)
{
	static struct wal_telemetry telemetry;
	const unsigned count = argc > 0 ? (unsigned)atol(argv[0]) : 10000000;
	uint64_t start = bench_now_ns(), clocks_ns, counters_ns;
	unsigned i;

	for (i = 0; i < count; i++)
		wal_latency_since(&telemetry, WAL_LATENCY_APPEND, wal_clock_ns());
	clocks_ns = bench_now_ns() - start;
	start = bench_now_ns();
	for (i = 0; i < count; i++)
		wal_count(&telemetry, WAL_COUNT_APPENDS, 1);
	counters_ns = bench_now_ns() - start;
	printf("a latency (two clocks, three adds) %.1f ns, a counter %.1f ns\n",
	       (double)clocks_ns / count, (double)counters_ns / count);
	return 0;
}

/* --- which --------------------------------------------------------------------------- */

static const char usage[] =
	"usage: bench_recorder prefault DIR [ROUNDS]\n"
	"       bench_recorder telemetry [TIMES]\n"
	"\n"
	"prefault:  ways to make a 64 MiB segment ready, and what stores and syncs cost then, at\n"
	"           four places of it\n"
	"telemetry: what an append pays for being counted and timed\n";

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "prefault") == 0)
		return run_prefault(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "telemetry") == 0)
		return run_telemetry(argc - 2, argv + 2);
	fputs(usage, stderr);
	return 2;
}
