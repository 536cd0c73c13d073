/* SPDX-License-Identifier: MIT */
/*
 * What the measuring programs share. A run of one is one measurement: it prints
 * one JSON object on one line of stdout, which tests/bench/bench.py reads.
 */
#ifndef WALFS_TESTS_BENCH_H
#define WALFS_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Says what failed on stderr and ends with 2. err: an errno of either sign; 0: none. */
_Noreturn void bench_die(const char *what, int err);

uint64_t bench_now_ns(void);
/* Processor time of this thread, and of the whole process. */
uint64_t bench_thread_cpu_ns(void);
uint64_t bench_cpu_ns(void);

/* How often this thread was made to wait for others on its core: their noise. */
uint64_t bench_preemptions(void);

/* Waits without sleeping: a sleep's wake-up would be part of what is measured. */
void bench_spin_until(uint64_t until_ns);

void *bench_alloc(size_t size);
/* Numbers, for the arguments: 4096, 0x1000; anything else ends the program. */
uint64_t bench_number(const char *text);
/* "sync" or "nosync"; anything else ends the program. */
bool bench_is_sync(const char *word);
/* DIR/NAME; free() it. */
char *bench_path(const char *dir, const char *name);

/* --- latencies ---------------------------------------------------------------- */

struct bench_samples {
	uint32_t *ns;
	size_t count;
	size_t room;
};

/* Faults the memory in, so that adding costs a store. */
void bench_samples_init(struct bench_samples *s, size_t room);
void bench_samples_destroy(struct bench_samples *s);

/* Beyond 4.29 s: that. Beyond room: dropped. */
static inline void bench_samples_add(struct bench_samples *s, uint64_t ns)
{
	if (s->count < s->room)
		s->ns[s->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

/* In microseconds; sorts. part: 0.5 is the median, 1 the largest. */
double bench_samples_part(struct bench_samples *s, double part);

/* --- the result ----------------------------------------------------------------- */

/* value in unit: {"system":..,"metric":..,"value":..,"unit":.. */
void bench_json_begin(const char *system, const char *metric, double value, const char *unit);
void bench_json_number(const char *key, double value);
void bench_json_text(const char *key, const char *text);
/* p50 p99 p999 p9999 max, all in microseconds, and samples. */
void bench_json_percentiles(struct bench_samples *s);
void bench_json_end(void);

#endif
