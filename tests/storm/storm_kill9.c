/* SPDX-License-Identifier: MIT */
/*
 * storm_kill9 --walfs PROGRAM --walctl PROGRAM [--rounds N] [--seed N] [--keep DIR]
 *
 * A daemon is killed while many write and read, in rotation, in sealing, while it
 * starts and while it ends; then it is mounted again, and the store is held against
 * what the writers know. Prints what it did; status 1: something was not as it
 * should be, and the store is kept.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <poll.h>
#include <unistd.h>
#include <fcntl.h>
#include <sys/xattr.h>
#include <sys/stat.h>

#include "storm.h"

#define ROUNDS_A_STORE 7
#define WRITERS_MAX 12
#define READERS 2

struct run {
	const char *walctl;
	const char *top; /* directory of this run */
	struct storm_random random;
	struct storm_setup setup;
	struct storm_daemon daemon;
	struct storm_oracle oracle;
	struct storm_record *records;
	char current[600];
	pid_t children[WRITERS_MAX + READERS + 1];
	unsigned child_count, writers;
	bool failed;
	/* what was done */
	unsigned rounds, kills, start_kills, aimed, ends, stores;
	uint64_t events, bytes, segments, writes, syncs, torn, unkept;
};

static bool wrong(struct run *run, const char *what)
{
	fprintf(stderr, "round %u: %s\n", run->rounds, what);
	run->failed = true;
	return false;
}

/* --- a store -------------------------------------------------------------------------- */

static void choose_setup(struct run *run)
{
	static const uint32_t block_sizes[] = {4096, 4096, 16384, 65536, 262144};
	static const uint32_t blocks[] = {4, 16, 64};
	struct storm_random *random = &run->random;
	struct storm_setup *setup = &run->setup;

	memset(setup, 0, sizeof(*setup));
	setup->seed = storm_random(random);
	setup->block_size = block_sizes[storm_below(random, 5)];
	setup->segment_size = (uint64_t)setup->block_size * blocks[storm_below(random, 3)];
	setup->framing.kind = WAL_FRAME_LINE;
	if (storm_chance(random, 25))
		setup->framing.kind = WAL_FRAME_WRITE;
	else if (storm_chance(random, 33))
		setup->framing = (struct wal_framing){WAL_FRAME_FIXED,
						      1 + (uint32_t)storm_below(random, 300)};
	setup->sync_always = storm_chance(random, 10);
	setup->sync_interval_ms =
		storm_chance(random, 30) ? 0 : 1 + (uint32_t)storm_below(random, 100);
	setup->largest_permille = 20;
}

static void begin_store(struct run *run, const char *walfs)
{
	char directory[400], geometry[420], framing[24];

	choose_setup(run);
	snprintf(directory, sizeof(directory), "%s/%u", run->top, ++run->stores);
	snprintf(geometry, sizeof(geometry), "%s/geometry", directory);
	storm_daemon_init(&run->daemon, walfs, directory);
	storm_setup_limits(&run->setup, geometry);
	snprintf(run->current, sizeof(run->current), "%s/current", run->daemon.mountpoint);
	storm_oracle_init(&run->oracle, &run->setup, run->records);
	wal_framing_format(run->setup.framing, framing, sizeof(framing));
	printf("store %u: framing=%s block_size=%u segment_size=%ju sync=%s\n", run->stores,
	       framing, run->setup.block_size, (uintmax_t)run->setup.segment_size,
	       run->setup.sync_always	     ? "always"
	       : run->setup.sync_interval_ms ? "interval"
					     : "none");
	fflush(stdout);
}

/* --- those who write and read ----------------------------------------------------------- */

static void start_writer(struct run *run, unsigned number, int inherited)
{
	static const int flags[] = {O_WRONLY,
				    O_WRONLY,
				    O_WRONLY,
				    O_RDWR,
				    O_WRONLY,
				    O_RDWR,
				    O_WRONLY | O_DIRECT,
				    O_WRONLY | O_DSYNC};
	const struct storm_writer writer = {
		.setup = &run->setup,
		.record = &run->records[number],
		.mountpoint = run->daemon.mountpoint,
		.path = run->current,
		.round = run->rounds,
		.number = number,
		.open_flags = flags[storm_below(&run->random, 8)],
		.inherited = inherited,
	};

	run->oracle.shared[number] = inherited >= 0;
	run->children[run->child_count++] = storm_writer_start(&writer);
}

/* Two of them share one open file. */
static void start_writers(struct run *run)
{
	struct storm_reader reader = {.mountpoint = run->daemon.mountpoint};
	int fd = open(run->current, O_WRONLY | O_APPEND | O_CLOEXEC);
	unsigned i;

	memset(run->records, 0, STORM_STREAMS * sizeof(*run->records));
	run->writers = 8 + (unsigned)storm_below(&run->random, WRITERS_MAX - 7);
	for (i = 0; i < run->writers; i++)
		start_writer(run, i, i + 2 < run->writers ? -1 : fd);
	if (fd >= 0)
		close(fd);
	for (i = 0; i < READERS; i++) {
		reader.seed = storm_random(&run->random);
		run->children[run->child_count++] = storm_reader_start(&reader);
	}
}

/* Asks for rotations until the daemon is gone. */
static void start_rotator(struct run *run)
{
	struct storm_random random = {storm_random(&run->random)};
	pid_t parent = getpid(), pid = fork();

	if (pid < 0)
		storm_die("fork");
	if (pid > 0) {
		run->children[run->child_count++] = pid;
		return;
	}
	while (getppid() == parent && setxattr(run->current, "user.wal.rotate", "1", 1, 0) == 0)
		storm_sleep_us(storm_below(&random, 30000));
	_exit(0);
}

/* Return: whether each ended as it should. */
static bool end_children(struct run *run)
{
	const struct storm_record *record;
	char text[64];
	unsigned i;
	int status;

	for (i = 0; i < run->child_count; i++)
		if (waitpid(run->children[i], &status, 0) > 0 && status) {
			snprintf(text, sizeof(text), "a writer or reader ended with %#x",
				 (unsigned)status);
			wrong(run, text);
		}
	run->child_count = 0;
	for (i = 0; i < run->writers; i++) {
		record = &run->records[i];
		run->writes += atomic_load(&record->writes);
		run->syncs += atomic_load(&record->syncs);
		if (atomic_load(&record->end) == STORM_FAILED)
			wrong(run, record->failure);
	}
	return !run->failed;
}

/* --- the kill ------------------------------------------------------------------------------ */

/* Waits for the Nth thing that happens to a name or a size in the store. */
static void aim(struct run *run, unsigned count, unsigned timeout_ms)
{
	char buffer[4096] __attribute__((aligned(8)));
	uint64_t until = storm_now_ms() + timeout_ms, now;
	struct pollfd poll_fd = {.fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = POLLIN};
	const struct inotify_event *event;
	ssize_t got, at;

	if (inotify_add_watch(poll_fd.fd, run->daemon.store,
			      IN_CREATE | IN_MOVE | IN_DELETE | IN_MODIFY) >= 0)
		while (count && (now = storm_now_ms()) < until) {
			poll(&poll_fd, 1, (int)(until - now));
			got = read(poll_fd.fd, buffer, sizeof(buffer));
			for (at = 0; at < got && count; count--) {
				event = (const struct inotify_event *)(buffer + at);
				at += (ssize_t)(sizeof(*event) + event->len);
			}
		}
	close(poll_fd.fd);
}

static void wait_for_the_moment(struct run *run)
{
	if (storm_chance(&run->random, 50)) {
		storm_sleep_us(20000 + storm_below(&run->random, 500000));
		return;
	}
	run->aimed++;
	storm_sleep_us(20000 + storm_below(&run->random, 150000));
	aim(run, 1 + (unsigned)storm_below(&run->random, 40), 300);
	storm_sleep_us(storm_below(&run->random, 300));
}

/* Return: what the writers may rely on. */
static enum storm_required end_daemon(struct run *run)
{
	int status;

	if (storm_chance(&run->random, 75)) {
		run->kills++;
		storm_daemon_kill(&run->daemon, SIGKILL);
		return STORM_PROMISED;
	}
	if (storm_chance(&run->random, 60)) { /* while it ends */
		run->kills++;
		kill(run->daemon.pid, SIGTERM);
		storm_sleep_us(storm_below(&run->random, 15000));
		storm_daemon_kill(&run->daemon, SIGKILL);
		return STORM_PROMISED;
	}
	run->ends++;
	status = storm_daemon_kill(&run->daemon, SIGTERM);
	if (status)
		wrong(run, "the daemon did not end well");
	return STORM_RETURNED;
}

/* Started again, and killed while it starts: no harm may come of it. */
static bool kill_while_it_starts(struct run *run)
{
	while (storm_chance(&run->random, 40)) {
		storm_daemon_start(&run->daemon, &run->setup);
		if (storm_chance(&run->random, 50))
			aim(run, 1 + (unsigned)storm_below(&run->random, 8), 40);
		else
			storm_sleep_us(storm_below(&run->random, 30000));
		if (storm_daemon_has_ended(&run->daemon))
			return wrong(run, "it ended while it started");
		storm_daemon_kill(&run->daemon, SIGKILL);
		run->start_kills++;
	}
	return true;
}

/* --- a round ------------------------------------------------------------------------------- */

static bool verify(struct run *run)
{
	return storm_daemon_store_is_sound(&run->daemon, run->walctl) ||
	       wrong(run, "walctl verify found something");
}

static bool check_store(struct run *run, enum storm_required required)
{
	struct storm_oracle *oracle = &run->oracle;

	oracle->round = run->rounds;
	if (!storm_oracle_check(oracle, run->daemon.store, run->daemon.mountpoint, required))
		return wrong(run, oracle->failure);
	oracle->known_events = oracle->events;
	oracle->known_digest = oracle->digest;
	return verify(run);
}

static bool do_round(struct run *run)
{
	enum storm_required required;

	run->rounds++;
	start_writers(run);
	if (storm_chance(&run->random, 40))
		start_rotator(run);
	wait_for_the_moment(run);
	if (storm_daemon_has_ended(&run->daemon))
		wrong(run, "it ended by itself");
	required = end_daemon(run);
	if (!end_children(run) || !kill_while_it_starts(run))
		return false;
	storm_daemon_start(&run->daemon, &run->setup);
	if (!storm_daemon_wait_ready(&run->daemon))
		return wrong(run, "it does not mount again");
	return check_store(run, required);
}

static void count_store(struct run *run)
{
	struct wal_store_info info;
	struct wal_error error;

	run->events += run->oracle.events;
	run->bytes += run->oracle.bytes;
	run->segments += run->oracle.segments;
	if (wal_store_info_read(run->daemon.store, &info, &error) == 0) {
		run->torn += info.torn_count;
		wal_store_info_destroy(&info);
	}
}

static void do_store(struct run *run, const char *walfs, unsigned rounds)
{
	begin_store(run, walfs);
	storm_daemon_start(&run->daemon, &run->setup);
	if (!storm_daemon_wait_ready(&run->daemon))
		wrong(run, "it does not mount");
	while (rounds-- && !run->failed)
		do_round(run);
	if (!run->failed && !storm_daemon_unmount(&run->daemon))
		wrong(run, "it did not end well");
	if (!run->failed)
		verify(run);
	if (storm_daemon_complained(&run->daemon))
		wrong(run, "the daemon said so");
	storm_daemon_clean_up(&run->daemon);
	count_store(run);
	storm_oracle_destroy(&run->oracle);
	if (!run->failed) {
		char text[600];

		snprintf(text, sizeof(text), "rm -rf '%s/%u'", run->top, run->stores);
		run->unkept += system(text) == 0;
	}
}

static void say_what_was_done(const struct run *run)
{
	printf("%u rounds in %u stores: %u kills (%u aimed at a change in the store), "
	       "%u more while starting, %u clean ends\n",
	       run->rounds, run->stores, run->kills, run->aimed, run->start_kills, run->ends);
	printf("%" PRIu64 " writes, %" PRIu64 " fsyncs; %" PRIu64 " events of %" PRIu64
	       " bytes in %" PRIu64 " segments; %" PRIu64 " torn tails kept\n",
	       run->writes, run->syncs, run->events, run->bytes, run->segments, run->torn);
	if (run->failed)
		printf("kept: %s/%u\n", run->top, run->stores);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"walfs", 1, NULL, 'f'}, {"walctl", 1, NULL, 'c'}, {"rounds", 1, NULL, 'r'},
		{"seed", 1, NULL, 's'},	 {"keep", 1, NULL, 'k'},   {NULL, 0, NULL, 0},
	};
	struct run run = {.walctl = "walctl", .top = "."};
	const char *walfs = "walfs";
	unsigned rounds = 25, left;
	int option;

	run.random.state = (uint64_t)storm_now_ms();
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			walfs = optarg;
			break;
		case 'c':
			run.walctl = optarg;
			break;
		case 'r':
			rounds = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			run.random.state = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			run.top = optarg;
			break;
		default:
			return 2;
		}
	}
	printf("seed %" PRIu64 "\n", run.random.state);
	fflush(stdout); /* or each process that is started says it again */
	run.records = mmap(NULL, STORM_STREAMS * sizeof(*run.records), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.records == MAP_FAILED)
		storm_die("mmap");
	while (run.rounds < rounds && !run.failed) {
		left = rounds - run.rounds;
		do_store(&run, walfs, left < ROUNDS_A_STORE ? left : ROUNDS_A_STORE);
	}
	say_what_was_done(&run);
	return run.failed;
}
