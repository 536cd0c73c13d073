/* SPDX-License-Identifier: MIT */
/*
 * What the core costs: appends beside memcpy and pwrite of the same bytes, their latency
 * across rotations, and replay. Each run is one measurement, one line of JSON.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <walfs/wal.h>

#include "core/segment/segment_writer.h"
#include "tests/bench/bench.h"
#include "tests/bench/bench_log.h"

#define PIECE_BYTES (64u << 10) /* of one pwrite, and at most of one batch */
#define BATCH_MAX 64u

static const char usage[] =
	"usage: bench_core append DIR HOW SIZE EVENTS [SEGMENT_BYTES] [IO]\n"
	"       bench_core latency DIR HOW ROTATIONS SEGMENT_BYTES PACE_NS [IO]\n"
	"       bench_core fill DIR SIZE EVENTS SEGMENT_BYTES\n"
	"       bench_core replay DIR\n"
	"       bench_core remove DIR\n"
	"\n"
	"append:  EVENTS of SIZE bytes, ns an event. Without SEGMENT_BYTES, or with 0, nothing\n"
	"         rotates. IO of a log: mmap or pwrite. HOW:\n"
	"         clock     one read of it an event, and nothing else\n"
	"         memcpy    into a prefaulted mapping\n"
	"         writer    wal_segment_writer_append and a clock an event, prefaulted\n"
	"         prepared  the same in a segment as the preparer leaves it: synced\n"
	"         log       wal_log_append, one event a call\n"
	"         synced    the same and wal_log_sync, each event\n"
	"         batch     wal_log_append, 64 events or 64 KiB a call\n"
	"         durable   the same, and wal_log_sync at the end\n"
	"         pwrite    blocks of 64 KiB to one file\n"
	"         pwrite-durable  and fdatasync each SEGMENT_BYTES (64 MiB) and at the end\n"
	"latency: of 64-byte appends, one each PACE_NS. IO: mmap or pwrite. HOW:\n"
	"         rotating  with as many rotations\n"
	"         steady    with none\n"
	"         nothing   no append at all: what the machine does at that pace\n"
	"fill:    a store of sealed segments in DIR/store, for replay and walctl verify\n"
	"replay:  its events through the public reader, a callback each\n";

/* --- append: a number of ways ------------------------------------------------------ */

struct run {
	const char *dir;
	uint32_t size;
	uint64_t events;
	uint64_t segment_bytes;
	const char *io; /* of a log: mmap or pwrite */
	bool rotates;	/* more events than fit in a segment are meant to be */
	char *payload;	/* PIECE_BYTES, or size if that is more */
	/* What prepare() made. */
	struct wal_segment_writer writer;
	struct bench_log log;
	char *path;
	uint8_t *map;
	size_t map_bytes;
	int fd;
};

struct way {
	const char *name;
	void (*prepare)(struct run *r);
	void (*append)(struct run *r); /* the timed part */
	void (*finish)(struct run *r);
};

/* File bytes of one segment that takes them all: what ends a block unused counts too. */
static uint64_t room_for(uint64_t events, uint32_t size)
{
	const uint32_t data_size = wal_block_data_size(WAL_DEFAULT_BLOCK_SIZE);
	const uint32_t span = wal_event_span(size);
	uint64_t blocks =
		span <= data_size ? events / (data_size / span) : events * (span / data_size + 1);

	return WAL_HEADER_AREA + (blocks + 4) * WAL_DEFAULT_BLOCK_SIZE;
}

/* memcpy */

static void *map_shared(int fd, size_t size)
{
	int err = posix_fallocate(fd, 0, (off_t)size);
	void *map;

	if (err)
		bench_die("fallocate", err);
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		bench_die("mmap", errno);
	if (madvise(map, size, MADV_POPULATE_WRITE))
		bench_die("madvise", errno);
	return map;
}

static void open_file(struct run *r)
{
	r->path = bench_path(r->dir, "append.file");
	r->fd = open(r->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (r->fd < 0)
		bench_die(r->path, errno);
}

static void close_file(struct run *r)
{
	if (r->map)
		munmap(r->map, r->map_bytes);
	close(r->fd);
	unlink(r->path);
	free(r->path);
}

static void prepare_mapping(struct run *r)
{
	open_file(r);
	r->map_bytes = r->events * r->size;
	r->map = map_shared(r->fd, r->map_bytes);
}

static void append_memcpy(struct run *r)
{
	uint8_t *at = r->map;
	uint64_t i;

	for (i = 0; i < r->events; i++, at += r->size)
		memcpy(at, r->payload, r->size);
}

/* One clock an event and nothing else: no append with a timestamp of its own can be cheaper. */

static void prepare_nothing(struct run *r)
{
	(void)r;
}

static void read_clocks(struct run *r)
{
	uint64_t i, sum = 0;

	for (i = 0; i < r->events; i++)
		sum += wal_io_system.now_ns(&wal_io_system);
	if (sum == 0)
		bench_die("clock", 0);
}

/* wal_segment_writer_append */

static void prepare_writer(struct run *r)
{
	const struct wal_segment_shape shape = {1, WAL_DEFAULT_BLOCK_SIZE, r->segment_bytes};
	const struct wal_meta_record meta = {.framing = {WAL_FRAME_WRITE, 0}};
	const uint64_t now_ns = wal_io_system.now_ns(&wal_io_system);
	int err;

	r->fd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->fd < 0)
		bench_die(r->dir, errno);
	err = wal_segment_writer_open_new(&r->writer, &wal_io_system, r->fd, &shape);
	if (!err)
		err = wal_segment_writer_prefault(&r->writer);
	if (!err)
		err = wal_segment_writer_start(&r->writer, 1, 1, now_ns, &meta);
	if (err)
		bench_die("segment", err);
}

/* The preparer's sync leaves each page clean, so that the first store into it is a fault. */
static void prepare_writer_synced(struct run *r)
{
	int err;

	prepare_writer(r);
	err = wal_segment_writer_flush(&r->writer, true);
	if (err)
		bench_die("flush", err);
}

static void append_writer(struct run *r)
{
	struct wal_segment_writer *w = &r->writer;
	uint64_t i;
	int err = 0;

	for (i = 0; i < r->events && !err; i++)
		err = wal_segment_writer_append(w, r->payload, r->size, 0, w->io->now_ns(w->io));
	if (err)
		bench_die("append", err);
}

static void finish_writer(struct run *r)
{
	wal_segment_writer_close(&r->writer, false);
	close(r->fd);
}

/* wal_log_append */

static void prepare_log(struct run *r)
{
	bench_log_open(&r->log, r->dir, "append.store", r->segment_bytes, r->io);
	bench_log_wait_ready(&r->log);
}

static void append_log(struct run *r)
{
	const struct wal_record record = {.data = r->payload, .size = r->size};
	uint64_t i;

	for (i = 0; i < r->events; i++)
		bench_log_append(&r->log, &record, 1);
}

static void append_synced(struct run *r)
{
	const struct wal_record record = {.data = r->payload, .size = r->size};
	uint64_t i;
	int err = 0;

	for (i = 0; i < r->events && !err; i++) {
		bench_log_append(&r->log, &record, 1);
		err = wal_log_sync(r->log.log);
	}
	if (err)
		bench_die("sync", err);
}

static void append_batch(struct run *r)
{
	struct wal_record records[BATCH_MAX];
	size_t batch = PIECE_BYTES / r->size, i;
	uint64_t left;

	batch = batch < 1 ? 1 : batch > BATCH_MAX ? BATCH_MAX : batch;
	for (i = 0; i < batch; i++)
		records[i] = (struct wal_record){.data = r->payload, .size = r->size};
	for (left = r->events; left > 0; left -= batch) {
		batch = left < batch ? left : batch;
		bench_log_append(&r->log, records, batch);
	}
}

static void append_batch_durable(struct run *r)
{
	int err;

	append_batch(r);
	err = wal_log_sync(r->log.log);
	if (err)
		bench_die("sync", err);
}

static void finish_log(struct run *r)
{
	bench_log_close(&r->log);
	bench_log_remove(&r->log);
}

/* pwrite of as many bytes */

static void pwrite_all(struct run *r, uint64_t sync_bytes)
{
	const uint64_t total = r->events * r->size;
	uint64_t at, synced = 0;

	for (at = 0; at < total; at += PIECE_BYTES) {
		if (pwrite(r->fd, r->payload, PIECE_BYTES, (off_t)at) != (ssize_t)PIECE_BYTES)
			bench_die("pwrite", errno);
		if (!sync_bytes || at + PIECE_BYTES - synced < sync_bytes)
			continue;
		if (fdatasync(r->fd))
			bench_die("fdatasync", errno);
		synced = at + PIECE_BYTES;
	}
	if (sync_bytes && fdatasync(r->fd))
		bench_die("fdatasync", errno);
}

static void append_pwrite(struct run *r)
{
	pwrite_all(r, 0);
}

static void append_pwrite_durable(struct run *r)
{
	pwrite_all(r, r->rotates ? r->segment_bytes : WAL_DEFAULT_SEGMENT_SIZE);
}

static const struct way ways[] = {
	{"clock", prepare_nothing, read_clocks, prepare_nothing},
	{"memcpy", prepare_mapping, append_memcpy, close_file},
	{"writer", prepare_writer, append_writer, finish_writer},
	{"prepared", prepare_writer_synced, append_writer, finish_writer},
	{"log", prepare_log, append_log, finish_log},
	{"synced", prepare_log, append_synced, finish_log},
	{"batch", prepare_log, append_batch, finish_log},
	{"durable", prepare_log, append_batch_durable, finish_log},
	{"pwrite", open_file, append_pwrite, close_file},
	{"pwrite-durable", open_file, append_pwrite_durable, close_file},
};

static const struct way *find_way(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(ways[i].name, name) == 0)
			return &ways[i];
	}
	bench_die(name, EINVAL);
}

/* Of a log that was open until now. */
static void print_log_stats(struct bench_log *b)
{
	struct wal_stats stats;

	wal_log_stats(b->log, &stats);
	bench_json_number("rotations", (double)stats.counters[WAL_COUNT_ROTATIONS]);
	bench_json_number("prepare_waits", (double)stats.counters[WAL_COUNT_PREPARE_WAITS]);
	bench_json_number("seal_waits", (double)stats.counters[WAL_COUNT_SEAL_WAITS]);
	bench_json_number("longest_rotation_us",
			  (double)stats.latencies[WAL_LATENCY_ROTATE].max_ns / 1000.0);
}

static void print_append(struct run *r, const struct way *way, uint64_t ns, uint64_t cpu_ns)
{
	const double events = (double)r->events;
	char metric[64];

	snprintf(metric, sizeof(metric), "append %u B", r->size);
	bench_json_begin(way->name, metric, (double)ns / events, "ns");
	bench_json_number("gb_per_s", events * r->size / (double)ns);
	bench_json_number("cpu_ns", (double)cpu_ns / events);
	bench_json_number("events", events);
	if (r->log.log)
		print_log_stats(&r->log);
	bench_json_end();
}

static int run_append(int argc, char **argv)
{
	struct run r = {.dir = argv[0]};
	const struct way *way;
	uint64_t start, start_cpu;

	if (argc < 4)
		return 2;
	way = find_way(argv[1]);
	r.size = (uint32_t)bench_number(argv[2]);
	r.events = bench_number(argv[3]);
	r.segment_bytes = argc > 4 ? bench_number(argv[4]) : 0;
	r.rotates = r.segment_bytes != 0;
	if (!r.rotates)
		r.segment_bytes = room_for(r.events, r.size);
	r.io = argc > 5 ? argv[5] : "mmap";
	if (r.size == 0 || r.events == 0)
		bench_die("nothing to append", EINVAL);
	r.payload = bench_alloc(r.size > PIECE_BYTES ? r.size : PIECE_BYTES);
	way->prepare(&r);
	start_cpu = bench_cpu_ns();
	start = bench_now_ns();
	way->append(&r);
	start = bench_now_ns() - start;
	print_append(&r, way, start, bench_cpu_ns() - start_cpu);
	way->finish(&r);
	free(r.payload);
	return 0;
}

/* --- latency: appends across rotations, and without ------------------------------- */

#define LATENCY_BYTES 64

/* b: NULL for nothing at all. */
static void append_paced(struct bench_log *b, struct bench_samples *samples, uint64_t pace_ns)
{
	char payload[LATENCY_BYTES] = "an event";
	const struct wal_record record = {.data = payload, .size = sizeof(payload)};
	uint64_t next = bench_now_ns(), start;

	while (samples->count < samples->room) {
		bench_spin_until(next);
		next += pace_ns;
		start = bench_now_ns();
		if (b)
			bench_log_append(b, &record, 1);
		bench_samples_add(samples, bench_now_ns() - start);
	}
}

/* The appending thread spins between appends, so only the others' processor time says anything. */
static int run_latency(int argc, char **argv)
{
	struct bench_samples samples;
	uint64_t segment_bytes, pace_ns, cpu_ns, preemptions;
	struct bench_log log;
	bool rotating, nothing;

	if (argc < 5)
		return 2;
	rotating = strcmp(argv[1], "rotating") == 0;
	nothing = strcmp(argv[1], "nothing") == 0;
	segment_bytes = bench_number(argv[3]);
	pace_ns = bench_number(argv[4]);
	bench_samples_init(&samples, (size_t)(bench_number(argv[2]) *
					      (segment_bytes / wal_event_span(LATENCY_BYTES))));
	if (!rotating)
		segment_bytes = room_for(samples.room, LATENCY_BYTES);
	bench_log_open(&log, argv[0], "latency.store", segment_bytes, argc > 5 ? argv[5] : "mmap");
	bench_log_wait_ready(&log);
	cpu_ns = bench_cpu_ns() - bench_thread_cpu_ns();
	preemptions = bench_preemptions();
	append_paced(nothing ? NULL : &log, &samples, pace_ns);
	preemptions = bench_preemptions() - preemptions;
	cpu_ns = bench_cpu_ns() - bench_thread_cpu_ns() - cpu_ns;
	bench_json_begin(argv[1], "append 64 B", bench_samples_part(&samples, 0.9999), "us");
	bench_json_percentiles(&samples);
	bench_json_number("preemptions", (double)preemptions);
	bench_json_number("background_cpu_ns", (double)cpu_ns / (double)samples.count);
	print_log_stats(&log);
	bench_json_end();
	bench_log_close(&log);
	bench_log_remove(&log);
	bench_samples_destroy(&samples);
	return 0;
}

/* --- fill and replay ------------------------------------------------------------------ */

static int run_fill(int argc, char **argv)
{
	struct run r = {.dir = argv[0]};
	uint64_t start = bench_now_ns();
	int err;

	if (argc < 4)
		return 2;
	r.size = (uint32_t)bench_number(argv[1]);
	r.events = bench_number(argv[2]);
	r.segment_bytes = bench_number(argv[3]);
	r.payload = bench_alloc(r.size);
	bench_log_open(&r.log, r.dir, "store", r.segment_bytes, "mmap");
	append_batch(&r);
	err = wal_log_rotate(r.log.log);
	if (err)
		bench_die("rotate", err);
	bench_log_close(&r.log);
	bench_json_begin("walfs", "fill", (double)(bench_now_ns() - start) / 1e9, "s");
	bench_json_end();
	free(r.payload);
	free(r.log.path);
	return 0;
}

static int run_remove(int argc, char **argv)
{
	struct bench_log log = {.path = bench_path(argv[0], "store")};

	(void)argc;
	bench_log_remove(&log);
	bench_json_begin("walfs", "remove", 0, "s");
	bench_json_end();
	return 0;
}

struct replayed {
	uint64_t events;
	uint64_t payload_bytes;
	uint64_t sum; /* so that the payload is looked at */
};

/* What a program that replays a log does for each event. */
static __attribute__((noinline)) void take_event(void *ctx, const struct wal_event *event)
{
	struct replayed *replayed = ctx;

	replayed->events++;
	replayed->payload_bytes += event->size;
	replayed->sum += event->payload[0] + event->id;
}

typedef void event_fn(void *ctx, const struct wal_event *event);

/* Return: 0, or -errno. */
static int replay_each(struct wal_segment_reader *reader, event_fn *each, void *ctx)
{
	struct wal_event event;
	int n;

	while ((n = wal_segment_reader_next(reader, &event)) == 1)
		each(ctx, &event);
	return n;
}

static void replay_segment(const char *store, uint32_t index, struct replayed *replayed)
{
	struct wal_segment_reader *reader;
	char name[WAL_NAME_MAX];
	int dirfd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (dirfd < 0)
		bench_die(store, errno);
	wal_segment_name(index, name);
	err = wal_segment_reader_open(
		&(struct wal_segment_source){.dirfd = dirfd, .name = name, .index = index}, &reader,
		NULL);
	if (!err) {
		/* A pointer the compiler cannot see through: the library calls back like this. */
		event_fn *volatile each = take_event;

		err = replay_each(reader, each, replayed);
		wal_segment_reader_close(reader);
	}
	if (err)
		bench_die(name, err);
	close(dirfd);
}

static int run_replay(int argc, char **argv)
{
	struct replayed replayed = {.events = 0};
	char *store = bench_path(argv[0], "store");
	struct wal_store_info info;
	struct wal_error error;
	uint64_t start, ns;
	size_t i;

	if (argc > 1)
		return 2;
	if (wal_store_info_read(store, &info, &error))
		bench_die(error.text, 0);
	start = bench_now_ns();
	/* The last is what the next append would go to: unsealed, and empty. */
	for (i = 0; i + 1 < info.segment_count; i++)
		replay_segment(store, info.segments[i], &replayed);
	ns = bench_now_ns() - start;
	bench_json_begin("walfs", "replay", (double)replayed.events * 1000 / (double)ns,
			 "million/s");
	bench_json_number("gb_per_s", (double)replayed.payload_bytes / (double)ns);
	bench_json_number("events", (double)replayed.events);
	bench_json_number("sum", (double)replayed.sum);
	bench_json_end();
	wal_store_info_destroy(&info);
	free(store);
	return 0;
}

/* --- which ------------------------------------------------------------------------- */

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{"append", run_append}, {"latency", run_latency}, {"fill", run_fill},
	{"replay", run_replay}, {"remove", run_remove},
};

int main(int argc, char **argv)
{
	int status = 2;
	size_t i;

	for (i = 0; argc > 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			status = commands[i].run(argc - 2, argv + 2);
	}
	if (status == 2)
		fputs(usage, stderr);
	return status;
}
