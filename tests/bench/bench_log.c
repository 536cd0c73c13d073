/* SPDX-License-Identifier: MIT */
#include "tests/bench/bench_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"

/* As a log has it that is told nothing. */
#define PREPARED 2

static void set_io(struct wal_log_options *options, const char *io)
{
	if (strcmp(io, "pwrite") == 0)
		options->io_method = WAL_IO_PWRITE;
	else if (strcmp(io, "mmap") != 0)
		bench_die(io, EINVAL);
}

void bench_log_open(struct bench_log *b, const char *dir, const char *name, uint64_t segment_size,
		    const char *io)
{
	struct wal_log_options options = {.segment_size = segment_size,
					  .sync_interval_ms = 1000,
					  .prepare_segments = PREPARED,
					  .framing = {WAL_FRAME_LINE, 0}};
	struct wal_error error;

	b->path = bench_path(dir, name);
	options.path = b->path;
	set_io(&options, io);
	if (wal_log_open(&options, &b->log, &error))
		bench_die(error.text, 0);
}

void bench_log_wait_ready(struct bench_log *b)
{
	struct wal_stats stats;

	for (;;) {
		wal_log_stats(b->log, &stats);
		if (stats.ready_segments >= PREPARED)
			return;
		if (stats.no_space)
			bench_die("segments to come", ENOSPC);
		usleep(1000);
	}
}

void bench_log_close(struct bench_log *b)
{
	int err = wal_log_close(b->log);

	if (err)
		bench_die("close", err);
	b->log = NULL;
}

void bench_log_remove(struct bench_log *b)
{
	struct wal_store_info info;
	char name[WAL_NAME_MAX], file[4200];
	struct wal_error error;
	size_t i;

	if (wal_store_info_read(b->path, &info, &error))
		bench_die(error.text, 0);
	for (i = 0; i < info.segment_count; i++) {
		wal_segment_name(info.segments[i], name);
		snprintf(file, sizeof(file), "%s/%s", b->path, name);
		unlink(file);
	}
	wal_store_info_destroy(&info);
	snprintf(file, sizeof(file), "%s/wal.meta", b->path);
	unlink(file);
	rmdir(b->path);
	free(b->path);
	b->path = NULL;
}

void bench_log_append(struct bench_log *b, const struct wal_record *records, size_t count)
{
	ssize_t n = wal_log_append(b->log, records, count, NULL);

	if (n < 0)
		bench_die("append", (int)n);
	if ((size_t)n != count)
		bench_die("append", ENOSPC);
}
