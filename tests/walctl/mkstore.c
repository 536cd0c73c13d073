/* SPDX-License-Identifier: MIT */
/*
 * Makes a store without a mount: what walfs would do with the lines of standard
 * input, by <walfs/wal.h>; only the clock can be another one.
 *
 *   mkstore [-b BLOCK] [-s SEGMENT] [-f FRAMING] [-k KEEP] [-u] STORE
 *
 * Each line is one record; a last line without its newline is flagged PART. Lines
 * that begin with "@@" are orders: "@@rotate"; "@@sync", which is answered with "synced" on
 * standard output; "@@clock SECONDS", from which on the clock goes on by a millisecond each time
 * that it is read. -k: keep that many finished segments.
 * -u: end as a killed daemon would, without closing.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <walfs/wal.h>

#include "core/base/io.h"

static _Atomic uint64_t clock_ns; /* 0: the real one */

static uint64_t now_ns(const struct wal_io *io)
{
	(void)io;
	if (!clock_ns)
		return wal_io_system.now_ns(&wal_io_system);
	clock_ns += 1000000;
	return clock_ns;
}

static int fail(const char *what, int error)
{
	fprintf(stderr, "mkstore: %s: %s\n", what, strerror(-error));
	return 1;
}

static void on_notice(void *ctx, enum wal_notice_level level, const char *text)
{
	(void)ctx;
	(void)level;
	fprintf(stderr, "mkstore: %s\n", text);
}

static int append_line(struct wal_log *log, const char *line, size_t length)
{
	const struct wal_record record = {
		.data = line,
		.size = (uint32_t)length,
		.flags = line[length - 1] == '\n' ? 0 : WAL_FLAG_PART,
	};
	ssize_t appended = wal_log_append(log, &record, 1, NULL);

	return appended == 1 ? 0 : (int)appended;
}

static int obey(struct wal_log *log, const char *order)
{
	int result;

	if (!strcmp(order, "@@rotate\n"))
		return wal_log_rotate(log);
	if (!strncmp(order, "@@clock ", 8)) {
		clock_ns = strtoull(order + 8, NULL, 10) * 1000000000u;
		return 0;
	}
	if (strcmp(order, "@@sync\n") != 0)
		return -EINVAL;
	result = wal_log_sync(log);
	if (!result) {
		puts("synced");
		fflush(stdout);
	}
	return result;
}

static int copy_lines(struct wal_log *log)
{
	char *line = NULL;
	size_t capacity = 0;
	ssize_t length;
	int result = 0;

	while (!result && (length = getline(&line, &capacity, stdin)) > 0)
		result = strncmp(line, "@@", 2) ? append_line(log, line, (size_t)length)
						: obey(log, line);
	free(line);
	return result;
}

static bool parse(int argc, char **argv, struct wal_log_options *options, bool *unclean)
{
	int option;

	while ((option = getopt(argc, argv, "b:s:f:k:u")) != -1) {
		switch (option) {
		case 'b':
			options->block_size = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 's':
			options->segment_size = strtoull(optarg, NULL, 0);
			break;
		case 'f':
			if (wal_framing_parse(optarg, &options->framing))
				return false;
			break;
		case 'k':
			options->keep_segments = (uint32_t)strtoul(optarg, NULL, 0);
			break;
		case 'u':
			*unclean = true;
			break;
		default:
			return false;
		}
	}
	options->path = argv[optind];
	return optind + 1 == argc;
}

int main(int argc, char **argv)
{
	struct wal_io io = wal_io_system;
	struct wal_log_options options = {
		.io = &io,
		.framing = {.kind = WAL_FRAME_LINE},
		.notice = on_notice,
	};
	struct wal_error error = {0};
	struct wal_log *log;
	bool unclean = false;
	int result;

	io.now_ns = now_ns;
	if (!parse(argc, argv, &options, &unclean)) {
		fprintf(stderr, "usage: mkstore [-b BLOCK] [-s SEGMENT] [-f FRAMING] [-k KEEP] "
				"[-u] STORE\n");
		return 2;
	}
	if (wal_log_open(&options, &log, &error)) {
		fprintf(stderr, "mkstore: %s\n", error.text);
		return 1;
	}
	result = copy_lines(log);
	if (result)
		fail("append", result);
	if (unclean)
		_exit(result ? 1 : 0);
	if (wal_log_close(log))
		result = -EIO;
	return result ? 1 : 0;
}
