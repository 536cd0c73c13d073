/* SPDX-License-Identifier: MIT */
/*
 * SQLite in WAL mode beside the core: one prepared INSERT of a blob an event, each a
 * transaction of its own.
 *
 * off, normal: synchronous=OFF and NORMAL; neither syncs at a commit, NORMAL does at a
 *              checkpoint (one each 1000 pages, SQLite's default, which stays).
 * full:        synchronous=FULL, a sync of the log at each commit.
 *
 * What is inserted first, untimed, lets SQLite's log grow to the size at which it is
 * written over: growing is no steady state.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/bench/bench.h"

static void check(sqlite3 *db, int status, int wanted)
{
	if (status == wanted)
		return;
	bench_die(sqlite3_errmsg(db), 0);
}

#define WARM_UP 3000

static void set_synchronous(sqlite3 *db, const char *mode)
{
	char pragma[64];

	snprintf(pragma, sizeof(pragma), "PRAGMA synchronous=%s", mode);
	check(db, sqlite3_exec(db, pragma, NULL, NULL, NULL), SQLITE_OK);
}

static sqlite3 *open_db(const char *path)
{
	sqlite3 *db;

	check(NULL, sqlite3_open(path, &db), SQLITE_OK);
	check(db, sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL), SQLITE_OK);
	check(db,
	      sqlite3_exec(db, "CREATE TABLE log (id INTEGER PRIMARY KEY, event BLOB)", NULL, NULL,
			   NULL),
	      SQLITE_OK);
	return db;
}

static void insert_all(sqlite3 *db, int size, uint64_t events)
{
	char *blob = bench_alloc((size_t)size);
	sqlite3_stmt *insert;
	uint64_t i;

	check(db, sqlite3_prepare_v2(db, "INSERT INTO log (event) VALUES (?)", -1, &insert, NULL),
	      SQLITE_OK);
	check(db, sqlite3_bind_blob(insert, 1, blob, size, SQLITE_STATIC), SQLITE_OK);
	for (i = 0; i < events; i++) {
		check(db, sqlite3_step(insert), SQLITE_DONE);
		sqlite3_reset(insert);
	}
	sqlite3_finalize(insert);
	free(blob);
}

static void remove_db(const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char name[4200];
	size_t i;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}

int main(int argc, char **argv)
{
	uint64_t events, start;
	sqlite3 *db;
	char *path;
	int size;

	if (argc < 5) {
		fputs("usage: bench_peer_sqlite DIR off|normal|full SIZE EVENTS\n", stderr);
		return 2;
	}
	path = bench_path(argv[1], "sqlite.db");
	size = (int)bench_number(argv[3]);
	events = bench_number(argv[4]);
	db = open_db(path);
	set_synchronous(db, "OFF");
	insert_all(db, size, WARM_UP);
	set_synchronous(db, argv[2]);
	start = bench_now_ns();
	insert_all(db, size, events);
	bench_json_begin("SQLite WAL insert", argv[2],
			 (double)(bench_now_ns() - start) / (double)events, "ns");
	bench_json_number("events", (double)events);
	bench_json_end();
	sqlite3_close(db);
	remove_db(path);
	free(path);
	return 0;
}
