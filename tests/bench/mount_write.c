/* SPDX-License-Identifier: MIT */
/*
 * Measures appending to a file by write(2): `current` of a mount, or an ordinary one.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define WRITERS_MAX 256
#define EVENT_BYTES 64

static int open_to_append(const char *path, int flags)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | flags, 0600);

	if (fd < 0)
		bench_die(path, errno);
	return fd;
}

/* Aligned to pages: the kernel makes one request of it, not two. */
static char *new_lines(size_t size, size_t line_bytes)
{
	char *data = NULL;
	size_t at;

	if (line_bytes == 0 || size % line_bytes)
		bench_die("a write is a number of whole lines", 0);
	if (posix_memalign((void **)&data, 4096, size))
		bench_die("memory", ENOMEM);
	memset(data, 'x', size);
	for (at = line_bytes; at <= size; at += line_bytes)
		data[at - 1] = '\n';
	return data;
}

static void write_all(int fd, const char *data, size_t size)
{
	ssize_t n = write(fd, data, size);

	if (n != (ssize_t)size)
		bench_die("write", n < 0 ? errno : 0);
}

/* --- latency: one write after the other ------------------------------------------ */

static void latency(const char *path, size_t size, size_t count)
{
	char *line = new_lines(size, size);
	int fd = open_to_append(path, 0);
	struct bench_samples samples;
	uint64_t start, before;
	size_t i;

	bench_samples_init(&samples, count);
	for (i = 0; i < count / 10; i++)
		write_all(fd, line, size);
	start = bench_now_ns();
	for (i = 0; i < count; i++) {
		before = bench_now_ns();
		write_all(fd, line, size);
		bench_samples_add(&samples, bench_now_ns() - before);
	}
	bench_json_begin("file", "one write", (double)(bench_now_ns() - start) / (double)count,
			 "ns");
	bench_json_percentiles(&samples);
	bench_json_end();
	bench_samples_destroy(&samples);
	close(fd);
	free(line);
}

/* --- stream: large writes ---------------------------------------------------------- */

static void stream(const char *path, size_t size, size_t line_bytes, uint64_t total)
{
	char *lines = new_lines(size, line_bytes);
	int fd = open_to_append(path, 0);
	uint64_t start = bench_now_ns(), written;

	for (written = 0; written < total; written += size)
		write_all(fd, lines, size);
	bench_json_begin("file", "large writes", (double)written / (double)(bench_now_ns() - start),
			 "GB/s");
	bench_json_number("bytes", (double)written);
	bench_json_end();
	close(fd);
	free(lines);
}

/* --- durable: writers that wait for the disk ---------------------------------------- */

struct durable {
	const char *path;
	bool dsync; /* O_DSYNC; else write and fdatasync */
	uint64_t until_ns;
	_Atomic uint64_t done;
};

struct writer {
	pthread_t thread;
	struct durable *durable;
	struct bench_samples samples;
};

static void *write_until(void *arg)
{
	struct writer *w = arg;
	struct durable *d = w->durable;
	char *line = new_lines(EVENT_BYTES, EVENT_BYTES);
	int fd = open_to_append(d->path, d->dsync ? O_DSYNC : 0);
	uint64_t before;

	while ((before = bench_now_ns()) < d->until_ns) {
		write_all(fd, line, EVENT_BYTES);
		if (!d->dsync && fdatasync(fd))
			bench_die("fdatasync", errno);
		bench_samples_add(&w->samples, bench_now_ns() - before);
		atomic_fetch_add(&d->done, 1);
	}
	close(fd);
	free(line);
	return NULL;
}

/* All in one, for percentiles of all. */
static void gather(struct bench_samples *all, struct writer *writers, size_t count)
{
	size_t i, j, room = 0;

	for (i = 0; i < count; i++)
		room += writers[i].samples.count;
	bench_samples_init(all, room);
	for (i = 0; i < count; i++) {
		for (j = 0; j < writers[i].samples.count; j++)
			bench_samples_add(all, writers[i].samples.ns[j]);
		bench_samples_destroy(&writers[i].samples);
	}
}

static void durable(const char *path, size_t count, uint64_t length_ms, bool dsync)
{
	static struct writer writers[WRITERS_MAX];
	struct durable d = {.path = path, .dsync = dsync};
	struct bench_samples all;
	uint64_t start = bench_now_ns();
	size_t i;

	if (count == 0 || count > WRITERS_MAX)
		bench_die("1 to 256 writers", 0);
	d.until_ns = start + length_ms * 1000000;
	for (i = 0; i < count; i++) {
		writers[i].durable = &d;
		bench_samples_init(&writers[i].samples, (size_t)length_ms * 100);
		if (pthread_create(&writers[i].thread, NULL, write_until, &writers[i]))
			bench_die("threads", EAGAIN);
	}
	for (i = 0; i < count; i++)
		pthread_join(writers[i].thread, NULL);
	bench_json_begin("file", dsync ? "O_DSYNC" : "write and fdatasync",
			 (double)d.done * 1e9 / (double)(bench_now_ns() - start), "events/s");
	bench_json_number("events", (double)d.done);
	gather(&all, writers, count);
	bench_json_percentiles(&all);
	bench_json_end();
	bench_samples_destroy(&all);
}

/* --- which --------------------------------------------------------------------------- */

static const char usage[] =
	"usage: bench_mount_write latency FILE BYTES COUNT\n"
	"       bench_mount_write stream FILE BYTES LINE_BYTES TOTAL\n"
	"       bench_mount_write durable FILE WRITERS MS dsync|fdatasync\n"
	"\n"
	"latency: ns a write of one line of BYTES, one after the other\n"
	"stream:  GB/s of writes of BYTES, made of lines of LINE_BYTES\n"
	"durable: durable lines of 64 bytes a second, by so many threads; each opens FILE itself\n";

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "latency") == 0) {
		latency(argv[2], bench_number(argv[3]), bench_number(argv[4]));
	} else if (argc == 6 && strcmp(argv[1], "stream") == 0) {
		stream(argv[2], bench_number(argv[3]), bench_number(argv[4]),
		       bench_number(argv[5]));
	} else if (argc == 6 && strcmp(argv[1], "durable") == 0 &&
		   (strcmp(argv[5], "dsync") == 0 || strcmp(argv[5], "fdatasync") == 0)) {
		durable(argv[2], bench_number(argv[3]), bench_number(argv[4]),
			strcmp(argv[5], "dsync") == 0);
	} else {
		fputs(usage, stderr);
		return 2;
	}
	return 0;
}
