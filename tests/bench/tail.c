/* SPDX-License-Identifier: MIT */
/*
 * The tail under sync: how long an append of 80 bytes takes, one each 20 us, while
 * another thread (or, through a mount, another process) syncs in a loop, and while
 * none does. A store into a page that is being written back may have to wait for it.
 *
 * file: a segment-like file without any log, to see what the kernel does: a store
 *       into the mapping, or pwrite. log: wal_log_append. write: a path such as
 *       MOUNT/current. Each run is one measurement.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <walfs/wal.h>

#include "tests/bench/bench.h"
#include "tests/bench/bench_log.h"

#define EVENT_BYTES 80
#define PACE_NS 20000
#define FILE_BYTES (256u << 20)

static char event[EVENT_BYTES];

/* Who appends and who syncs; each way of doing it fills in the two functions. */
struct target {
	void (*append)(struct target *t);
	int (*sync)(struct target *t);
	int fd;
	uint8_t *map;
	off_t at;
	struct bench_log log;
};

/* --- the other thread ------------------------------------------------------------ */

struct syncer {
	struct target *target;
	pthread_t thread;
	_Atomic bool stop;
	uint64_t syncs;
};

static void *sync_loop(void *arg)
{
	struct syncer *s = arg;
	int err = 0;

	while (!err && !atomic_load(&s->stop)) {
		err = s->target->sync(s->target);
		s->syncs++;
	}
	if (err)
		bench_die("sync", err);
	return NULL;
}

static void syncer_start(struct syncer *s, struct target *target)
{
	s->target = target;
	s->syncs = 0;
	atomic_init(&s->stop, false);
	if (pthread_create(&s->thread, NULL, sync_loop, s))
		bench_die("thread", EAGAIN);
}

static void syncer_stop(struct syncer *s)
{
	atomic_store(&s->stop, true);
	pthread_join(s->thread, NULL);
}

/* --- appending at a pace --------------------------------------------------------- */

/*
 * A late append does not make the next ones late in the figures: each is timed from
 * its own call. Return: how often others had the core.
 */
static uint64_t append_paced(struct target *t, struct bench_samples *samples)
{
	uint64_t next = bench_now_ns(), before = bench_preemptions();

	while (samples->count < samples->room) {
		uint64_t start;

		bench_spin_until(next);
		next += PACE_NS;
		start = bench_now_ns();
		t->append(t);
		bench_samples_add(samples, bench_now_ns() - start);
	}
	return bench_preemptions() - before;
}

static void measure(struct target *t, const char *name, bool syncing, size_t events)
{
	struct bench_samples samples;
	struct syncer syncer = {.syncs = 0};
	uint64_t start, took_ns, preemptions;

	bench_samples_init(&samples, events);
	start = bench_now_ns();
	if (syncing)
		syncer_start(&syncer, t);
	preemptions = append_paced(t, &samples);
	if (syncing)
		syncer_stop(&syncer);
	took_ns = bench_now_ns() - start;
	bench_json_begin(name, syncing ? "append 80 B beside syncs" : "append 80 B, no sync",
			 bench_samples_part(&samples, 0.999), "us");
	bench_json_percentiles(&samples);
	bench_json_number("preemptions", (double)preemptions);
	bench_json_number("syncs_per_second", (double)syncer.syncs * 1e9 / (double)took_ns);
	bench_json_end();
	bench_samples_destroy(&samples);
}

/* --- a file without a log ------------------------------------------------------- */

static void store_event(struct target *t)
{
	memcpy(t->map + t->at, event, sizeof(event));
	t->at += EVENT_BYTES;
}

static void pwrite_event(struct target *t)
{
	if (pwrite(t->fd, event, sizeof(event), t->at) != (ssize_t)sizeof(event))
		bench_die("pwrite", errno);
	t->at += EVENT_BYTES;
}

static int sync_file(struct target *t)
{
	return fdatasync(t->fd) ? -errno : 0;
}

/* The control: the append touches no file, so what it waits for is the machine's. */
static void store_elsewhere(struct target *t)
{
	static char memory[1 << 20];

	memcpy(memory + t->at % (off_t)(sizeof(memory) - EVENT_BYTES), event, sizeof(event));
	t->at += EVENT_BYTES;
}

static int dirty_and_sync_file(struct target *t)
{
	if (pwrite(t->fd, event, sizeof(event), 0) != (ssize_t)sizeof(event))
		return -errno;
	return sync_file(t);
}

static const struct {
	const char *name;
	struct target how;
} file_ways[] = {
	{"mmap", {.append = store_event, .sync = sync_file}},
	{"pwrite", {.append = pwrite_event, .sync = sync_file}},
	{"none", {.append = store_elsewhere, .sync = dirty_and_sync_file}},
};

static struct target file_way(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(file_ways) / sizeof(file_ways[0]); i++) {
		if (strcmp(name, file_ways[i].name) == 0)
			return file_ways[i].how;
	}
	bench_die(name, EINVAL);
}

/* As the preparer makes a segment ready: real blocks, every page there and clean. */
static void make_ready(struct target *t, const char *path)
{
	int err;

	t->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (t->fd < 0)
		bench_die(path, errno);
	err = posix_fallocate(t->fd, 0, FILE_BYTES);
	if (err)
		bench_die("fallocate", err);
	t->map = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	if (t->map == MAP_FAILED)
		bench_die("mmap", errno);
	if (madvise(t->map, FILE_BYTES, MADV_POPULATE_WRITE))
		bench_die("madvise", errno);
	if (fdatasync(t->fd))
		bench_die("fdatasync", errno);
}

static void run_file(const char *dir, const char *io, bool syncing, size_t events)
{
	struct target t = file_way(io);
	char *path = bench_path(dir, "tail.file");

	if (events * EVENT_BYTES > FILE_BYTES)
		bench_die("more events than the file has room for", EINVAL);
	make_ready(&t, path);
	measure(&t, io, syncing, events);
	munmap(t.map, FILE_BYTES);
	close(t.fd);
	unlink(path);
	free(path);
}

/* --- the log --------------------------------------------------------------------- */

static void log_event(struct target *t)
{
	const struct wal_record record = {.data = event, .size = sizeof(event)};

	bench_log_append(&t->log, &record, 1);
}

static int sync_log(struct target *t)
{
	return wal_log_sync(t->log.log);
}

static void run_log(const char *dir, const char *io, bool syncing, size_t events)
{
	struct target t = {.append = log_event, .sync = sync_log};

	bench_log_open(&t.log, dir, "tail.store", WAL_DEFAULT_SEGMENT_SIZE, io);
	measure(&t, io, syncing, events);
	bench_log_close(&t.log);
	bench_log_remove(&t.log);
}

/* --- a path: MOUNT/current, or an ordinary file ------------------------------------ */

static int open_append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		bench_die(path, errno);
	return fd;
}

static void write_event(struct target *t)
{
	if (write(t->fd, event, sizeof(event)) != (ssize_t)sizeof(event))
		bench_die("write", errno);
}

/* Another process with an open file of its own, as another program would be. */
static pid_t start_durable_writer(const char *path)
{
	pid_t parent = getpid(), pid = fork();
	struct target t;

	if (pid < 0)
		bench_die("fork", errno);
	if (pid > 0)
		return pid;
	t.fd = open_append(path);
	while (getppid() == parent) {
		write_event(&t);
		if (fdatasync(t.fd))
			bench_die("fdatasync", errno);
	}
	_exit(0);
}

static void stop_durable_writer(pid_t pid)
{
	int status;

	kill(pid, SIGTERM);
	if (waitpid(pid, &status, 0) != pid)
		bench_die("waitpid", errno);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)
		bench_die("the writer that syncs ended by itself", 0);
}

static void run_path(const char *path, const char *name, bool syncing, size_t events)
{
	struct target t = {.append = write_event, .fd = open_append(path)};
	struct bench_samples samples;
	uint64_t preemptions;
	pid_t pid = 0;

	bench_samples_init(&samples, events);
	if (syncing)
		pid = start_durable_writer(path);
	preemptions = append_paced(&t, &samples);
	if (syncing)
		stop_durable_writer(pid);
	bench_json_begin(name,
			 syncing ? "write 80 B beside write+fdatasync" : "write 80 B, no sync",
			 bench_samples_part(&samples, 0.999), "us");
	bench_json_percentiles(&samples);
	bench_json_number("preemptions", (double)preemptions);
	bench_json_end();
	bench_samples_destroy(&samples);
	close(t.fd);
}

/* --- which ------------------------------------------------------------------------- */

static const char usage[] =
	"usage: bench_tail file DIR mmap|pwrite|none sync|nosync [EVENTS]\n"
	"       bench_tail log DIR mmap|pwrite sync|nosync [EVENTS]\n"
	"       bench_tail write PATH NAME sync|nosync [EVENTS]\n"
	"\n"
	"Latency of an 80-byte append each 20 us (EVENTS of them, 250000 unless told) beside a\n"
	"loop of syncs, or without. file: no log, only a prepared file in DIR; log: libwal with a\n"
	"store in DIR; write: write(2) to PATH, beside a process that does write and fdatasync\n"
	"(NAME: what the result calls it).\n";

int main(int argc, char **argv)
{
	size_t events = 250000;

	if (argc < 5) {
		fputs(usage, stderr);
		return 2;
	}
	memset(event, 'x', sizeof(event));
	event[sizeof(event) - 1] = '\n';
	if (argc > 5)
		events = bench_number(argv[5]);
	if (strcmp(argv[1], "file") == 0)
		run_file(argv[2], argv[3], bench_is_sync(argv[4]), events);
	else if (strcmp(argv[1], "log") == 0)
		run_log(argv[2], argv[3], bench_is_sync(argv[4]), events);
	else if (strcmp(argv[1], "write") == 0)
		run_path(argv[2], argv[3], bench_is_sync(argv[4]), events);
	else
		bench_die(argv[1], EINVAL);
	return 0;
}
