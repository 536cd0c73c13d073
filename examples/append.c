/* SPDX-License-Identifier: MIT */
/*
 * A program with a log of its own: appends one event and makes it durable.
 *
 *   cc append.c $(pkg-config --cflags --libs libwal)
 *   ./a.out STORE
 *
 * README.md shows the text from the first #include on; scripts/lint compares.
 */
#include <err.h>
#include <walfs/wal.h>

int main(int argc, char **argv)
{
	struct wal_log_options options = {
		.path = argc > 1 ? argv[1] : "/var/lib/orders",
		.framing = {WAL_FRAME_WRITE, 0},
	};
	struct wal_record record = {.data = "order 17 filled", .size = 15};
	struct wal_error error;
	struct wal_log *log;

	if (wal_log_open(&options, &log, &error))
		errx(1, "%s", error.text);
	if (wal_log_append(log, &record, 1, NULL) != 1 || wal_log_sync(log))
		errx(1, "not durable");
	if (wal_log_close(log))
		errx(1, "not closed cleanly");
	return 0;
}
