/* SPDX-License-Identifier: MIT */
#include "tests/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void bench_die(const char *what, int err)
{
	fprintf(stderr, "bench: %s%s%s\n", what, err ? ": " : "",
		err ? strerror(err < 0 ? -err : err) : "");
	exit(2);
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t bench_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_thread_cpu_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t bench_cpu_ns(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t bench_preemptions(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_nivcsw;
}

void bench_spin_until(uint64_t until_ns)
{
	while (bench_now_ns() < until_ns)
		;
}

void *bench_alloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		bench_die("malloc", ENOMEM);
	memset(p, 'x', size);
	return p;
}

uint64_t bench_number(const char *text)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || end == text || *end)
		bench_die(text, EINVAL);
	return v;
}

bool bench_is_sync(const char *word)
{
	if (strcmp(word, "sync") != 0 && strcmp(word, "nosync") != 0)
		bench_die(word, EINVAL);
	return word[0] == 's';
}

char *bench_path(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		bench_die("asprintf", ENOMEM);
	return path;
}

/* --- latencies ---------------------------------------------------------------- */

void bench_samples_init(struct bench_samples *s, size_t room)
{
	s->ns = bench_alloc((room ? room : 1) * sizeof(*s->ns));
	s->room = room;
	s->count = 0;
}

void bench_samples_destroy(struct bench_samples *s)
{
	free(s->ns);
	s->ns = NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void sort(struct bench_samples *s)
{
	size_t i;

	for (i = 1; i < s->count; i++) {
		if (s->ns[i - 1] > s->ns[i]) {
			qsort(s->ns, s->count, sizeof(*s->ns), compare);
			return;
		}
	}
}

double bench_samples_part(struct bench_samples *s, double part)
{
	if (s->count == 0)
		bench_die("no samples", 0);
	sort(s);
	return s->ns[(size_t)((double)(s->count - 1) * part)] / 1000.0;
}

/* --- the result ----------------------------------------------------------------- */

/* Keys and texts are ours: they hold nothing that JSON would want escaped. */
void bench_json_begin(const char *system, const char *metric, double value, const char *unit)
{
	printf("{\"system\":\"%s\",\"metric\":\"%s\",\"value\":%.6g,\"unit\":\"%s\"", system,
	       metric, value, unit);
}

void bench_json_number(const char *key, double value)
{
	printf(",\"%s\":%.6g", key, value);
}

void bench_json_text(const char *key, const char *text)
{
	printf(",\"%s\":\"%s\"", key, text);
}

void bench_json_percentiles(struct bench_samples *s)
{
	static const struct {
		const char *key;
		double part;
	} parts[] = {{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}, {"max", 1}};
	size_t i;

	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		bench_json_number(parts[i].key, bench_samples_part(s, parts[i].part));
	bench_json_number("samples", (double)s->count);
}

void bench_json_end(void)
{
	puts("}");
	if (fflush(stdout))
		bench_die("stdout", errno);
}
