/* SPDX-License-Identifier: MIT */
/* A log of its own for a measurement, and its removal. */
#ifndef WALFS_TESTS_BENCH_LOG_H
#define WALFS_TESTS_BENCH_LOG_H

#include <walfs/wal.h>

struct bench_log {
	struct wal_log *log;
	char *path;
};

/* Opens a new store in an empty or missing directory DIR/NAME; io: "mmap" or "pwrite". */
void bench_log_open(struct bench_log *b, const char *dir, const char *name, uint64_t segment_size,
		    const char *io);
/* Waits until the next segments are ready, so that making them is no part of what is timed. */
void bench_log_wait_ready(struct bench_log *b);
/* Closes it; its files stay. */
void bench_log_close(struct bench_log *b);
/* Removes the files of a store, and nothing else. */
void bench_log_remove(struct bench_log *b);

/* Appends count records; anything but all of them ends the program. */
void bench_log_append(struct bench_log *b, const struct wal_record *records, size_t count);

#endif
