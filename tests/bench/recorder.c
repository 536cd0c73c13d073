/* SPDX-License-Identifier: MIT */
/*
 * Measures parts of the recorder: how a segment is best prepared, and what counting
 * costs. Prints figures, judges none.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/telemetry.h"
#include "tests/bench/bench.h"

static void print_percentiles(const char *name, struct bench_samples *s)
{
	static const double parts[] = {0.5, 0.99, 0.999, 0.9999};
	size_t i;

	printf("%-28s", name);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		printf(" p%-5g %9.2f us", parts[i] * 100, bench_samples_part(s, parts[i]));
	printf("  largest %9.2f us  (%zu)\n", bench_samples_part(s, 1), s->count);
	fflush(stdout);
}

/* --- prefault: how a segment is made ready ------------------------------------- */

enum method { SPARSE, FALLOCATE, POPULATE, PREFILL, METHODS };

static const char *const method_names[] = {"hole", "fallocate", "fallocate+populate+sync",
					   "1 MiB pwrites+populate+sync"};

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

static uint8_t *make_ready(int fd, size_t size, enum method method)
{
	uint8_t *map;
	int err = 0;

	if (method == SPARSE && ftruncate(fd, (off_t)size))
		bench_die("ftruncate", errno);
	if (method == FALLOCATE || method == POPULATE)
		err = posix_fallocate(fd, 0, (off_t)size);
	if (err)
		bench_die("fallocate", err);
	if (method == PREFILL)
		prefill(fd, size);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		bench_die("mmap", errno);
	if (method < POPULATE)
		return map;
	if (madvise(map, size, MADV_POPULATE_WRITE))
		bench_die("madvise", errno);
	if (fdatasync(fd))
		bench_die("fdatasync", errno);
	return map;
}

static void time_syncs(int fd, uint8_t *map, struct bench_samples *samples)
{
	static const char event[80] = "x";
	uint64_t start;

	for (; samples->count < samples->room; map += sizeof(event)) {
		memcpy(map, event, sizeof(event));
		start = bench_now_ns();
		if (fdatasync(fd))
			bench_die("fdatasync", errno);
		bench_samples_add(samples, bench_now_ns() - start);
	}
}

static void prefault_one(const char *dir, enum method method, size_t syncs)
{
	const size_t size = 64u << 20;
	char *path = bench_path(dir, "prefault");
	struct bench_samples samples;
	uint64_t ready_ns;
	uint8_t *map;
	int fd;

	bench_samples_init(&samples, syncs);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		bench_die(path, errno);
	ready_ns = bench_now_ns();
	map = make_ready(fd, size, method);
	ready_ns = bench_now_ns() - ready_ns;
	time_syncs(fd, map + 4096, &samples);
	printf("%-28s ready in %7.2f ms, first sync %9.2f us\n", method_names[method],
	       (double)ready_ns / 1e6, samples.ns[0] / 1000.0);
	print_percentiles("  each sync of an event", &samples);
	munmap(map, size);
	close(fd);
	unlink(path);
	free(path);
	bench_samples_destroy(&samples);
}

static int run_prefault(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3, round;
	unsigned method;

	for (round = 0; round < rounds; round++) {
		for (method = 0; method < METHODS; method++)
			prefault_one(argv[0], method, 1000);
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
	"prefault:  ways to make a 64 MiB segment ready, and what a sync costs afterwards\n"
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
