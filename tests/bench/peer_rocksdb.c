/* SPDX-License-Identifier: MIT */
/*
 * RocksDB beside the core: one rocksdb_put an event, an 8-byte growing key and a value
 * of SIZE bytes, with its write-ahead log on. RocksDB's defaults; the memtable is made
 * large enough that no flush to a table falls into the measurement.
 *
 * nosync: as RocksDB is by default, one write(2) to its log a put; outlives the process.
 * sync:   WriteOptions.sync, fdatasync of the log each put.
 */
#include <endian.h>
#include <errno.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/bench.h"

static void check(const char *what, char *error)
{
	if (!error)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, error);
	exit(2);
}

static rocksdb_t *open_db(rocksdb_options_t *options, const char *path, uint64_t bytes)
{
	char *error = NULL;
	rocksdb_t *db;

	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_error_if_exists(options, 1);
	rocksdb_options_set_write_buffer_size(options, (size_t)bytes);
	db = rocksdb_open(options, path, &error);
	check(path, error);
	return db;
}

static void put_all(rocksdb_t *db, rocksdb_writeoptions_t *how, uint32_t size, uint64_t events)
{
	char *value = bench_alloc(size), *error = NULL;
	uint64_t i, key;

	for (i = 0; i < events && !error; i++) {
		key = htobe64(i);
		rocksdb_put(db, how, (const char *)&key, sizeof(key), value, size, &error);
	}
	check("put", error);
	free(value);
}

int main(int argc, char **argv)
{
	rocksdb_options_t *options = rocksdb_options_create();
	rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
	char *path, *error = NULL;
	uint64_t events, start;
	uint32_t size;
	rocksdb_t *db;

	if (argc < 5) {
		fputs("usage: bench_peer_rocksdb DIR sync|nosync SIZE EVENTS\n", stderr);
		return 2;
	}
	path = bench_path(argv[1], "rocksdb");
	size = (uint32_t)bench_number(argv[3]);
	events = bench_number(argv[4]);
	db = open_db(options, path, events * (size + 200u) + (64u << 20));
	rocksdb_writeoptions_set_sync(how, bench_is_sync(argv[2]));
	start = bench_now_ns();
	put_all(db, how, size, events);
	bench_json_begin("RocksDB put", argv[2], (double)(bench_now_ns() - start) / (double)events,
			 "ns");
	bench_json_number("events", (double)events);
	bench_json_end();
	rocksdb_close(db);
	rocksdb_destroy_db(options, path, &error);
	check(path, error);
	rocksdb_writeoptions_destroy(how);
	rocksdb_options_destroy(options);
	free(path);
	return 0;
}
