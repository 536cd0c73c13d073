/* SPDX-License-Identifier: MIT */
/* What the crash programs share: options, a seeded generator, results, scratch. */
#ifndef WALFS_TESTS_CRASH_H
#define WALFS_TESTS_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crash_options {
	bool long_run;
	uint64_t seed;
	const char *only; /* run cases whose sentence has this part; NULL: all */
};

/* splitmix64: the same numbers from the same seed, everywhere. */
struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *rng);
/* 0 .. limit - 1; 0 if limit is 0. */
uint64_t rng_below(struct rng *rng, uint64_t limit);

/*
 * Reads --long, --seed N, --only PART and --io METHOD, makes the scratch directory (in memory
 * where there is /dev/shm) and prints the seed.
 */
void crash_start(int argc, char **argv, struct crash_options *options);
/* Are events to be written by pwrite? Else by stores into a mapping. */
bool crash_pwrites(void);
/* Removes the scratch directory. Return: the status for main(). */
int crash_end(void);

/* A path in the scratch directory, the same as long as the program runs; eight names at most. */
const char *crash_path(const char *name);
/* Makes name in the scratch directory an empty directory. Return: its path. */
const char *crash_fresh(const char *name);
void crash_empty(const char *path);

/* One case: is it asked for? Then ends with crash_case_end(). */
bool crash_case(const struct crash_options *options, const char *sentence);
/* Notes a failure of the current case; the first few are printed. */
void crash_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same, where another process has printed why. */
void crash_failed_elsewhere(void);
/* How often crash_fail() was called in this case. */
unsigned crash_failures(void);
/* Prints "ok - sentence (...)" or "not ok"; the format says what was tried. */
void crash_case_end(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Copies the directory to where the user can look at it; a few times at most. */
void crash_keep(const char *path);

/* Ends the program: the harness itself cannot go on. */
void crash_die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
