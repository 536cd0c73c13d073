/* SPDX-License-Identifier: MIT */
/*
 * Makes a store of very many, very small sealed segments, as the log would, but for the
 * syncs: each segment would wait for the disk several times. For measuring, not for keeping.
 */
#include <stdio.h>
#include <unistd.h>
#include <walfs/wal.h>

#include "core/base/io.h"
#include "tests/bench/bench.h"

#define BLOCK_BYTES 4096 /* the smallest */

static int no_sync(const struct wal_io *io, int fd)
{
	(void)io;
	(void)fd;
	return 0;
}

int main(int argc, char **argv)
{
	const struct wal_record record = {.data = "an event\n", .size = 9};
	struct wal_log_options options = {.block_size = BLOCK_BYTES,
					  .segment_size = 4096 + BLOCK_BYTES,
					  .prepare_segments = 8,
					  .framing = {.kind = WAL_FRAME_LINE}};
	struct wal_io io = wal_io_system;
	struct wal_error error;
	struct wal_log *log;
	uint64_t count, i;
	int result = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: bench_many_segments STORE COUNT\n");
		return 2;
	}
	io.fdatasync = no_sync;
	io.fsync = no_sync;
	options.io = &io;
	options.path = argv[1];
	count = bench_number(argv[2]);
	if (wal_log_open(&options, &log, &error))
		bench_die(error.text, 0);
	for (i = 0; i < count && !result; i++) {
		if (wal_log_append(log, &record, 1, NULL) != 1)
			bench_die("append", 0);
		result = wal_log_rotate(log);
	}
	if (result)
		bench_die("rotate", result);
	result = wal_log_close(log);
	if (result)
		bench_die("close", result);
	sync();
	printf("{\"system\":\"walfs\",\"metric\":\"segments made\",\"value\":%llu,\"unit\":\"\"}\n",
	       (unsigned long long)count);
	return 0;
}
