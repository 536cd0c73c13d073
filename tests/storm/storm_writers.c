/* SPDX-License-Identifier: MIT */
/*
 * storm_writers --walfs PROGRAM --walctl PROGRAM [--writes N] [--framing F] [--seed N]
 *               [--keep DIR] [--segment-size BYTES] [--block-size BYTES]
 *               [--keep-segments N]
 *
 * 64 processes append at once, in every way there is: write, writev, RWF_DSYNC,
 * O_DSYNC, O_SYNC, O_DIRECT, duplicated and inherited descriptors, records of a
 * byte and of more than an event; some are killed in the middle of one. Others read
 * what appears. Then it is unmounted, and each byte that a write(2) took is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storm.h"

#define WRITERS STORM_STREAMS
#define READERS 3
#define KILL_THEMSELVES 44 /* from this one on: in the middle of a record */
#define ARE_KILLED 56	   /* from this one on: at any time */
#define INHERIT 60	   /* from this one on: two share an open file */

struct run {
	const char *walctl;
	char current[600];
	struct storm_random random;
	struct storm_setup setup;
	struct storm_daemon daemon;
	struct storm_oracle oracle;
	struct storm_record *records;
	pid_t writers[WRITERS], readers[READERS];
	uint64_t writes;
	bool failed;
};

static void wrong(struct run *run, const char *what)
{
	fprintf(stderr, "%s\n", what);
	run->failed = true;
}

static int flags_of(unsigned number)
{
	static const int flags[] = {O_WRONLY,
				    O_WRONLY,
				    O_RDWR,
				    O_WRONLY | O_DIRECT,
				    O_WRONLY,
				    O_WRONLY | O_DSYNC,
				    O_RDWR | O_DIRECT,
				    O_WRONLY | O_SYNC};

	return flags[number % (sizeof(flags) / sizeof(flags[0]))];
}

static void start_writer(struct run *run, unsigned number, int inherited)
{
	const struct storm_writer writer = {
		.setup = &run->setup,
		.record = &run->records[number],
		.mountpoint = run->daemon.mountpoint,
		.path = run->current,
		.number = number,
		.open_flags = flags_of(number),
		.inherited = inherited,
		.stands_alone = true,
		.ops = run->writes,
		.die_at = number >= KILL_THEMSELVES && number < ARE_KILLED
				  ? 1 + storm_below(&run->random, run->writes)
				  : 0,
	};

	run->oracle.shared[number] = inherited >= 0;
	run->writers[number] = storm_writer_start(&writer);
}

static void start_all(struct run *run)
{
	struct storm_reader reader = {
		.mountpoint = run->daemon.mountpoint,
		.stands_alone = true,
		.retention = run->setup.keep_segments > 0,
	};
	unsigned i;
	int fd = -1;

	for (i = 0; i < READERS; i++) {
		reader.seed = storm_random(&run->random);
		run->readers[i] = storm_reader_start(&reader);
	}
	for (i = 0; i < WRITERS; i++) {
		if (i >= INHERIT && i % 2 == 0) {
			close(fd);
			fd = open(run->current, O_WRONLY | O_APPEND | O_CLOEXEC);
		}
		start_writer(run, i, i < INHERIT ? -1 : fd);
	}
	close(fd);
}

static void end_writers(struct run *run)
{
	const struct storm_record *record;
	unsigned i;
	int end;

	for (i = ARE_KILLED; i < INHERIT; i++) {
		storm_sleep_us(storm_below(&run->random, 300000));
		kill(run->writers[i], SIGKILL);
	}
	for (i = 0; i < WRITERS; i++)
		while (waitpid(run->writers[i], NULL, 0) < 0 && errno == EINTR)
			;
	for (i = 0; i < WRITERS; i++) {
		record = &run->records[i];
		end = atomic_load(&record->end);
		if (end == STORM_FAILED)
			wrong(run, record->failure);
		else if (i < KILL_THEMSELVES && end != STORM_DONE)
			wrong(run, "a writer did not end");
	}
}

static void end_readers(struct run *run)
{
	unsigned i;
	int status;

	for (i = 0; i < READERS; i++) {
		kill(run->readers[i], SIGKILL);
		if (waitpid(run->readers[i], &status, 0) < 0 || !WIFSIGNALED(status))
			wrong(run, "a reader failed");
	}
}

static void write_all(struct run *run)
{
	uint64_t began = storm_now_ms(), took, writes = 0;
	unsigned i;

	start_all(run);
	end_writers(run);
	took = storm_now_ms() - began + 1;
	end_readers(run);
	for (i = 0; i < WRITERS; i++)
		writes += atomic_load(&run->records[i].writes);
	printf("%u writers: %" PRIu64 " writes in %.1f s (%" PRIu64 " a second), the daemon's "
	       "memory at most %" PRIu64 " KiB\n",
	       WRITERS, writes, (double)took / 1000, writes * 1000 / took,
	       storm_daemon_memory_kb(&run->daemon));
}

/* The bytes before are gone: what is left is sound, and no more than was asked for. */
static void check_what_is_kept(struct run *run)
{
	struct wal_store_info info;
	struct wal_error error;

	if (wal_store_info_read(run->daemon.store, &info, &error)) {
		wrong(run, error.text);
		return;
	}
	run->oracle.segments = (uint32_t)info.segment_count;
	printf("segments %u to %u are left\n", info.first_segment, info.last_segment);
	if (info.first_segment < 2 || info.segment_count > run->setup.keep_segments + 2)
		wrong(run, "not what was to be kept");
	wal_store_info_destroy(&info);
}

static void check_all(struct run *run)
{
	struct storm_oracle *oracle = &run->oracle;

	if (!storm_daemon_unmount(&run->daemon))
		wrong(run, "it did not end well");
	if (run->setup.keep_segments)
		check_what_is_kept(run);
	else if (!storm_oracle_check(oracle, run->daemon.store, NULL, STORM_RETURNED))
		wrong(run, oracle->failure);
	if (!storm_daemon_store_is_sound(&run->daemon, run->walctl))
		wrong(run, "walctl verify found something");
	if (storm_daemon_complained(&run->daemon))
		wrong(run, "the daemon said so");
	printf("%" PRIu64 " events, %" PRIu64 " of them unfinished, of %" PRIu64
	       " bytes in %u segments\n",
	       oracle->events, oracle->parts, oracle->bytes, oracle->segments);
}

static void parse(struct run *run, int argc, char **argv, const char **walfs, const char **keep)
{
	static const struct option options[] = {
		{"walfs", 1, NULL, 'f'},	 {"walctl", 1, NULL, 'c'},
		{"writes", 1, NULL, 'w'},	 {"framing", 1, NULL, 'F'},
		{"seed", 1, NULL, 's'},		 {"keep", 1, NULL, 'k'},
		{"keep-segments", 1, NULL, 'K'}, {"segment-size", 1, NULL, 'S'},
		{"block-size", 1, NULL, 'B'},	 {NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'f')
			*walfs = optarg;
		else if (option == 'c')
			run->walctl = optarg;
		else if (option == 'k')
			*keep = optarg;
		else if (option == 'w')
			run->writes = strtoull(optarg, NULL, 10);
		else if (option == 's')
			run->random.state = strtoull(optarg, NULL, 10);
		else if (option == 'S')
			run->setup.segment_size = strtoull(optarg, NULL, 10);
		else if (option == 'K')
			run->setup.keep_segments = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'B')
			run->setup.block_size = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option != 'F' || wal_framing_parse(optarg, &run->setup.framing))
			exit(2);
	}
}

int main(int argc, char **argv)
{
	struct run run = {
		.walctl = "walctl",
		.random.state = storm_now_ms(),
		.writes = 500,
		.setup = {.framing = {WAL_FRAME_LINE, 0},
			  .block_size = 65536,
			  .segment_size = 8u << 20,
			  .sync_interval_ms = 100,
			  .largest_permille = 2},
	};
	const char *walfs = "walfs", *keep = ".";
	char directory[400], geometry[420];

	parse(&run, argc, argv, &walfs, &keep);
	printf("seed %" PRIu64 "\n", run.random.state);
	fflush(stdout); /* or each process that is started says it again */
	run.setup.seed = run.random.state;
	run.records = mmap(NULL, STORM_STREAMS * sizeof(*run.records), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.records == MAP_FAILED)
		storm_die("mmap");
	snprintf(directory, sizeof(directory), "%s/writers", keep);
	snprintf(geometry, sizeof(geometry), "%s/geometry", directory);
	storm_daemon_init(&run.daemon, walfs, directory);
	storm_setup_limits(&run.setup, geometry);
	snprintf(run.current, sizeof(run.current), "%s/current", run.daemon.mountpoint);
	storm_oracle_init(&run.oracle, &run.setup, run.records);
	storm_daemon_start(&run.daemon, &run.setup);
	if (storm_daemon_wait_ready(&run.daemon)) {
		write_all(&run);
		check_all(&run);
	} else {
		wrong(&run, "it does not mount");
	}
	storm_daemon_clean_up(&run.daemon);
	storm_oracle_destroy(&run.oracle);
	if (run.failed)
		printf("kept: %s\n", directory);
	return run.failed;
}
