/* SPDX-License-Identifier: MIT */
/*
 * Measures what reads a whole segment: verifying it, and replaying its events.
 * Prints one JSON object a measurement, judges none.
 *
 *   segment make DIR EVENT_BYTES [SEGMENT_BYTES [BLOCK_BYTES]]   a store with one sealed segment
 *   segment verify FILE [THREADS [direct]]
 *   segment next FILE        each event by wal_segment_reader_next()
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <walfs/wal.h>

static void die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(2);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int make(int argc, char **argv)
{
	static uint8_t event[WAL_FIXED_FRAME_MAX];
	struct wal_log_options options = {.path = argv[2], .framing = {.kind = WAL_FRAME_WRITE}};
	struct wal_record record = {.data = event, .size = (uint32_t)strtoul(argv[3], NULL, 0)};
	struct wal_error error;
	struct wal_log *log;
	int err;

	options.segment_size = argc > 4 ? strtoull(argv[4], NULL, 0) : WAL_DEFAULT_SEGMENT_SIZE;
	options.block_size = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 0) : 0;
	err = wal_log_open(&options, &log, &error);
	if (err)
		die(error.text, err);
	for (uint32_t i = 0; !err && wal_log_current(log) == 1; i++) {
		memset(event, (int)(i % 251), record.size);
		if (wal_log_append(log, &record, 1, NULL) != 1)
			err = -EIO;
	}
	err = err ? err : wal_log_rotate(log);
	if (err)
		die("append", err);
	return wal_log_close(log) ? 2 : 0;
}

static double cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int verify(const char *file, unsigned threads, bool direct)
{
	const struct wal_verify_options options = {.flags = direct ? WAL_READ_DIRECT : 0,
						   .threads = threads};
	struct wal_verify_result result;
	double start = now_s(), seconds;
	int err = wal_verify_segment(AT_FDCWD, file, 0, &options, &result);

	seconds = now_s() - start;
	if (err)
		die(file, err);
	printf("{\"system\":\"walfs\",\"metric\":\"verify%s\",\"value\":%.3f,\"unit\":\"GB/s\","
	       "\"cpu_ms\":%.1f,\"events\":%" PRIu64 ",\"faults\":%" PRIu64 "}\n",
	       direct ? " direct" : "", (double)result.file_bytes / seconds / 1e9, cpu_s() * 1e3,
	       result.events, result.faults);
	return result.faults ? 1 : 0;
}

/* What a replay does least with an event: it has looked at it. */
struct seen {
	uint64_t events;
	uint64_t bytes;
	uint64_t sum;
};

static inline void look(struct seen *seen, const struct wal_event *event)
{
	seen->events++;
	seen->bytes += event->size;
	seen->sum += event->payload[0] + event->id + event->timestamp_ns;
}

static int replay_next(struct wal_segment_reader *reader, struct seen *seen)
{
	struct wal_event event;
	int found;

	while ((found = wal_segment_reader_next(reader, &event)) > 0)
		look(seen, &event);
	return found;
}

static int replay(const char *file, const char *how,
		  int (*run)(struct wal_segment_reader *, struct seen *))
{
	struct wal_segment_reader *reader;
	struct seen seen = {0};
	double start = now_s(), seconds;
	int err = wal_segment_reader_open(
		&(struct wal_segment_source){.dirfd = AT_FDCWD, .name = file}, &reader, NULL);

	err = err ? err : run(reader, &seen);
	seconds = now_s() - start;
	if (err)
		die(file, err);
	wal_segment_reader_close(reader);
	printf("{\"system\":\"walfs\",\"metric\":\"replay by %s\",\"value\":%.2f,"
	       "\"unit\":\"M events/s\",\"gb_s\":%.3f,"
	       "\"events\":%" PRIu64 ",\"sum\":%" PRIu64 "}\n",
	       how, (double)seen.events / seconds / 1e6, (double)seen.bytes / seconds / 1e9,
	       seen.events, seen.sum);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "make") && argc > 3)
		return make(argc, argv);
	if (!strcmp(what, "verify"))
		return verify(argv[2], argc > 3 ? (unsigned)strtoul(argv[3], NULL, 0) : 0,
			      argc > 4 && !strcmp(argv[4], "direct"));
	if (!strcmp(what, "next"))
		return replay(argv[2], what, replay_next);
	fprintf(stderr, "usage: segment make DIR EVENT_BYTES [SEGMENT_BYTES [BLOCK_BYTES]]\n"
			"       segment verify FILE [THREADS [direct]] | next FILE\n");
	return 2;
}
