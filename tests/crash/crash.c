/* SPDX-License-Identifier: MIT */
#include "tests/crash/crash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHOWN_FAILURES 5u
#define KEPT_STATES 3u

static struct {
	char scratch[256];
	const char *io;
	const char *sentence;
	struct timespec began;
	unsigned failures; /* of this case */
	unsigned passed;
	unsigned failed;
	unsigned kept;
} crash;

uint64_t rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *rng, uint64_t limit)
{
	return limit ? rng_next(rng) % limit : 0;
}

void crash_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(2);
}

/* --- scratch ----------------------------------------------------------------- */

static void make_scratch(void)
{
	const char *base = getenv("WALFS_CRASH_DIR");

	if (!base)
		base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : getenv("TMPDIR");
	snprintf(crash.scratch, sizeof(crash.scratch), "%s/walfs-crash.XXXXXX",
		 base ? base : "/tmp");
	if (!mkdtemp(crash.scratch))
		crash_die("%s: %s", crash.scratch, strerror(errno));
}

static void remove_entry(int dirfd, const char *name)
{
	DIR *dir;
	struct dirent *entry;
	int fd;

	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_entry(fd, entry->d_name);
	}
	if (dir)
		closedir(dir);
	unlinkat(dirfd, name, AT_REMOVEDIR);
}

const char *crash_path(const char *name)
{
	static char paths[8][512];
	static unsigned count;
	char path[512];
	unsigned i;

	snprintf(path, sizeof(path), "%s/%s", crash.scratch, name);
	for (i = 0; i < count; i++) {
		if (strcmp(paths[i], path) == 0)
			return paths[i];
	}
	if (count == sizeof(paths) / sizeof(paths[0]))
		crash_die("too many names in the scratch directory");
	return strcpy(paths[count++], path);
}

void crash_empty(const char *path)
{
	remove_entry(AT_FDCWD, path);
	if (mkdir(path, 0700))
		crash_die("%s: %s", path, strerror(errno));
}

const char *crash_fresh(const char *name)
{
	const char *path = crash_path(name);

	crash_empty(path);
	return path;
}

void crash_keep(const char *path)
{
	char command[1024];

	if (crash.kept >= KEPT_STATES)
		return;
	snprintf(command, sizeof(command), "cp -a '%s' '/tmp/walfs-crash-kept%u.%d'", path,
		 crash.kept, (int)getpid());
	if (system(command) == 0)
		printf("    kept as /tmp/walfs-crash-kept%u.%d\n", crash.kept, (int)getpid());
	crash.kept++;
}

/* --- cases ------------------------------------------------------------------- */

void crash_start(int argc, char **argv, struct crash_options *options)
{
	int i;

	*options = (struct crash_options){.seed = (uint64_t)time(NULL)};
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--long") == 0)
			options->long_run = true;
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			options->seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			options->only = argv[++i];
		else if (strcmp(argv[i], "--io") == 0 && i + 1 < argc)
			crash.io = argv[++i];
		else
			crash_die("usage: %s [--long] [--seed N] [--only PART] [--io mmap|pwrite]",
				  argv[0]);
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	make_scratch();
	printf("# %s --io %s --seed %" PRIu64 "%s\n",
	       strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0],
	       crash_pwrites() ? "pwrite" : "mmap", options->seed,
	       options->long_run ? " --long" : "");
}

bool crash_pwrites(void)
{
	return crash.io && strcmp(crash.io, "pwrite") == 0;
}

int crash_end(void)
{
	remove_entry(AT_FDCWD, crash.scratch);
	printf("%u passed, %u failed\n", crash.passed, crash.failed);
	return crash.failed || !crash.passed;
}

bool crash_case(const struct crash_options *options, const char *sentence)
{
	if (options->only && !strstr(sentence, options->only))
		return false;
	crash.sentence = sentence;
	crash.failures = 0;
	clock_gettime(CLOCK_MONOTONIC, &crash.began);
	return true;
}

void crash_fail(const char *format, ...)
{
	va_list args;

	if (crash.failures++ >= SHOWN_FAILURES)
		return;
	printf("    ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

void crash_failed_elsewhere(void)
{
	crash.failures++;
}

unsigned crash_failures(void)
{
	return crash.failures;
}

void crash_case_end(const char *format, ...)
{
	struct timespec now;
	char what[320];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("%s - %s (%s%s%.1f s)\n", crash.failures ? "not ok" : "ok", crash.sentence, what,
	       what[0] ? "; " : "",
	       (double)(now.tv_sec - crash.began.tv_sec) +
		       (double)(now.tv_nsec - crash.began.tv_nsec) / 1e9);
	if (crash.failures)
		printf("    failed %u times\n", crash.failures);
	if (crash.failures)
		crash.failed++;
	else
		crash.passed++;
}
