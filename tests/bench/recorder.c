/* SPDX-License-Identifier: MIT */
/*
 * Measures the recorder: how a segment is best prepared, and what a rotation does to
 * the latency of appends. Prints figures, judges none.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <walfs/wal.h>

#include "core/telemetry.h"

#define EVENT_BYTES 64

static void die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(2);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Sorts. */
static void print_percentiles(const char *name, uint32_t *ns, size_t count)
{
	static const double parts[] = {0.5, 0.99, 0.999, 0.9999};
	size_t i;

	qsort(ns, count, sizeof(*ns), compare);
	printf("%-28s", name);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		printf(" p%-5g %9.2f us", parts[i] * 100,
		       ns[(size_t)((double)(count - 1) * parts[i])] / 1000.0);
	printf("  largest %9.2f us  (%zu)\n", ns[count - 1] / 1000.0, count);
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
			die("pwrite", errno);
	}
	free(zeros);
}

static uint8_t *make_ready(int fd, size_t size, enum method method)
{
	uint8_t *map;
	int err = 0;

	if (method == SPARSE && ftruncate(fd, (off_t)size))
		die("ftruncate", errno);
	if (method == FALLOCATE || method == POPULATE)
		err = posix_fallocate(fd, 0, (off_t)size);
	if (err)
		die("fallocate", err);
	if (method == PREFILL)
		prefill(fd, size);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		die("mmap", errno);
	if (method < POPULATE)
		return map;
	if (madvise(map, size, MADV_POPULATE_WRITE))
		die("madvise", errno);
	if (fdatasync(fd))
		die("fdatasync", errno);
	return map;
}

static void prefault_one(const char *dir, enum method method, int syncs)
{
	const size_t size = 64u << 20;
	uint32_t *ns = malloc((size_t)syncs * sizeof(*ns)), first_ns;
	char path[4096], event[80] = "x";
	uint64_t start, ready_ns;
	uint8_t *map;
	int fd, i;

	snprintf(path, sizeof(path), "%s/prefault", dir);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || !ns)
		die(path, errno);
	start = now_ns();
	map = make_ready(fd, size, method);
	ready_ns = now_ns() - start;
	for (i = 0; i < syncs; i++) {
		memcpy(map + 4096 + (size_t)i * sizeof(event), event, sizeof(event));
		start = now_ns();
		if (fdatasync(fd))
			die("fdatasync", errno);
		ns[i] = (uint32_t)(now_ns() - start);
	}
	first_ns = ns[0];
	printf("%-28s ready in %7.2f ms, first sync %9.2f us\n", method_names[method],
	       (double)ready_ns / 1e6, first_ns / 1000.0);
	print_percentiles("  each sync of an event", ns, (size_t)syncs);
	munmap(map, size);
	close(fd);
	unlink(path);
	free(ns);
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

/* --- latency: appends across rotations, and without ------------------------------- */

static struct wal_log *open_log(const char *dir, const char *name, uint64_t segment_size,
				char path[4096])
{
	struct wal_log_options options = {.path = path,
					  .segment_size = segment_size,
					  .sync_interval_ms = 1000,
					  .framing = {WAL_FRAME_LINE, 0}};
	struct wal_error error;
	struct wal_log *log;

	snprintf(path, 4096, "%s/%s", dir, name);
	if (wal_log_open(&options, &log, &error)) {
		fprintf(stderr, "bench: %s\n", error.text);
		exit(2);
	}
	return log;
}

static void remove_store(const char *path)
{
	struct wal_store_info info;
	char name[WAL_NAME_MAX], file[4200];
	struct wal_error error;
	size_t i;

	if (wal_store_info_read(path, &info, &error))
		return;
	for (i = 0; i < info.segment_count; i++) {
		wal_segment_name(info.segments[i], name);
		snprintf(file, sizeof(file), "%s/%s", path, name);
		unlink(file);
	}
	wal_store_info_destroy(&info);
	snprintf(file, sizeof(file), "%s/wal.meta", path);
	unlink(file);
	rmdir(path);
}

static void latency_run(const char *dir, const char *name, uint64_t segment_size, size_t events,
			uint64_t pace_ns)
{
	uint32_t *ns = malloc(events * sizeof(*ns));
	struct wal_record record = {.size = EVENT_BYTES};
	char payload[EVENT_BYTES] = "an event", path[4096];
	struct wal_log *log = open_log(dir, name, segment_size, path);
	uint64_t next = now_ns(), start;
	struct wal_stats stats;
	size_t i;

	if (!ns)
		die("malloc", ENOMEM);
	record.data = payload;
	for (i = 0; i < events; i++) {
		ssize_t n;

		while (now_ns() < next)
			;
		next += pace_ns;
		start = now_ns();
		n = wal_log_append(log, &record, 1, NULL);
		ns[i] = (uint32_t)(now_ns() - start);
		if (n != 1)
			die("append", (int)n);
	}
	wal_log_stats(log, &stats);
	print_percentiles(name, ns, events);
	printf("  rotations %" PRIu64 ", waits for a segment %" PRIu64 ", for a seal %" PRIu64
	       ", longest rotation %.2f us\n",
	       stats.counters[WAL_COUNT_ROTATIONS], stats.counters[WAL_COUNT_PREPARE_WAITS],
	       stats.counters[WAL_COUNT_SEAL_WAITS],
	       (double)stats.latencies[WAL_LATENCY_ROTATE].max_ns / 1000.0);
	wal_log_close(log);
	remove_store(path);
	free(ns);
}

static int run_latency(int argc, char **argv)
{
	size_t rotations = argc > 1 ? (size_t)atol(argv[1]) : 1000;
	uint64_t segment = argc > 2 ? strtoull(argv[2], NULL, 0) : 1u << 20;
	uint64_t pace_ns = argc > 3 ? strtoull(argv[3], NULL, 0) : 1000;
	size_t events = rotations * (size_t)(segment / (EVENT_BYTES + 16));
	int round;

	printf("%zu events of %d bytes, one each %" PRIu64 " ns\n", events, EVENT_BYTES, pace_ns);
	for (round = 0; round < 2; round++) {
		latency_run(argv[0], "with rotations", segment, events, pace_ns);
		latency_run(argv[0], "without", (uint64_t)events * 82 + (64u << 20), events,
			    pace_ns);
	}
	return 0;
}

/* --- telemetry: what an append pays for being counted ------------------------------- */

static int run_telemetry(int argc, char **argv)
{
	static struct wal_telemetry telemetry;
	const unsigned count = argc > 0 ? (unsigned)atol(argv[0]) : 10000000;
	uint64_t start = now_ns(), clocks_ns, counters_ns;
	unsigned i;

	for (i = 0; i < count; i++)
		wal_latency_since(&telemetry, WAL_LATENCY_APPEND, wal_clock_ns());
	clocks_ns = now_ns() - start;
	start = now_ns();
	for (i = 0; i < count; i++)
		wal_count(&telemetry, WAL_COUNT_APPENDS, 1);
	counters_ns = now_ns() - start;
	printf("a latency (two clocks, three adds) %.1f ns, a counter %.1f ns\n",
	       (double)clocks_ns / count, (double)counters_ns / count);
	return 0;
}

/* --- which --------------------------------------------------------------------------- */

static const char usage[] =
	"usage: bench_recorder prefault DIR [ROUNDS]\n"
	"       bench_recorder latency DIR [ROTATIONS [SEGMENT_BYTES [NS_PER_EVENT]]]\n"
	"       bench_recorder telemetry [TIMES]\n"
	"\n"
	"prefault: ways to make a 64 MiB segment ready, and what a sync costs afterwards\n"
	"latency:  of appends in the core, across rotations and without, in turn\n"
	"telemetry: what an append pays for being counted and timed\n";

int main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "prefault") == 0)
		return run_prefault(argc - 2, argv + 2);
	if (argc > 2 && strcmp(argv[1], "latency") == 0)
		return run_latency(argc - 2, argv + 2);
	if (argc > 1 && strcmp(argv[1], "telemetry") == 0)
		return run_telemetry(argc - 2, argv + 2);
	fputs(usage, stderr);
	return 2;
}
