/* SPDX-License-Identifier: MIT */
/* A process that looks at everything a mount shows, while it changes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "storm.h"

#define BUFFER (1u << 18)

struct reading {
	const struct storm_reader *reader;
	int root;
	struct storm_random random;
	uint8_t *buffer;
	char names[4096][32];
	size_t count;
};

/* Ends here if a call failed; well, if that is because the daemon is gone. */
static void check(struct reading *reading, long result, const char *what, const char *name)
{
	if (result >= 0)
		return;
	if (!reading->reader->stands_alone && storm_is_cut_off(errno, reading->reader->mountpoint))
		_exit(0);
	fprintf(stderr, "reader: %s: %s: %s\n", name, what, strerror(errno));
	_exit(1);
}

/* Whether a call failed for that. What is open can be read and stat'ed all the same. */
static bool is_removed(const struct reading *reading)
{
	return reading->reader->retention && errno == ENOENT;
}

static void list(struct reading *reading, const char *directory)
{
	int fd = openat(reading->root, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	check(reading, fd, "open", directory);
	dir = fdopendir(fd);
	check(reading, dir ? 0 : -1, "fdopendir", directory);
	for (reading->count = 0; reading->count < 4096;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (strchr(entry->d_name, '0'))
			snprintf(reading->names[reading->count++], 32, "%.31s", entry->d_name);
	}
	check(reading, errno ? -1 : 0, "readdir", directory);
	closedir(dir);
}

/* Only bytes that some stream can have written. */
static void check_bytes(const uint8_t *bytes, size_t size, const char *name)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (bytes[i] == '\n' ||
		    (bytes[i] >= STORM_FIRST_BYTE &&
		     bytes[i] < STORM_FIRST_BYTE + STORM_STREAMS * STORM_SYMBOLS))
			continue;
		fprintf(stderr, "reader: %s: byte %u, which nobody wrote\n", name, bytes[i]);
		_exit(1);
	}
}

/* From its start or from somewhere in it. A finished file has exactly its size. */
static void read_file(struct reading *reading, const char *name, bool payload, bool finished)
{
	int fd = openat(reading->root, name, O_RDONLY | O_CLOEXEC);
	off_t at = 0;
	ssize_t got;
	struct stat st;

	if (fd < 0 && finished && is_removed(reading))
		return;
	check(reading, fd, "open", name);
	check(reading, fstat(fd, &st), "fstat", name);
	if (storm_chance(&reading->random, 50))
		at = (off_t)storm_below(&reading->random, (uint64_t)st.st_size + 1);
	do {
		got = pread(fd, reading->buffer, 1 + storm_below(&reading->random, BUFFER), at);
		check(reading, got, "read", name);
		at += got;
		if (payload)
			check_bytes(reading->buffer, (size_t)got, name);
	} while (got > 0);
	if (finished ? at != st.st_size : at < st.st_size) {
		fprintf(stderr, "reader: %s: %jd bytes read, size %jd\n", name, (intmax_t)at,
			(intmax_t)st.st_size);
		_exit(1);
	}
	close(fd);
}

static void read_attributes(struct reading *reading, const char *name)
{
	char names[4096], value[256], *one;
	int fd = openat(reading->root, name, O_RDONLY | O_CLOEXEC);
	ssize_t size;

	if (fd < 0 && is_removed(reading))
		return;
	check(reading, fd, "open", name);
	size = flistxattr(fd, names, sizeof(names));
	if (size < 0 && is_removed(reading))
		goto out;
	check(reading, size, "listxattr", name);
	for (one = names; one < names + size; one += strlen(one) + 1)
		if (fgetxattr(fd, one, value, sizeof(value)) < 0 && errno != ENODATA &&
		    !is_removed(reading))
			check(reading, -1, one, name);
out:
	close(fd);
}

static void read_report(struct reading *reading, const char *name)
{
	int fd = openat(reading->root, name, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	check(reading, fd, "open", name);
	got = read(fd, reading->buffer, BUFFER);
	check(reading, got > 0 ? 0 : -1, "read", name);
	close(fd);
}

static void read_one(struct reading *reading, const char *directory, bool payload)
{
	char name[64];

	list(reading, directory);
	if (!reading->count)
		return;
	snprintf(name, sizeof(name), "%s/%s", directory,
		 reading->names[storm_below(&reading->random, reading->count)]);
	read_file(reading, name, payload, true);
	read_attributes(reading, name);
}

static void look_around(const struct storm_reader *reader)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading || !(reading->buffer = malloc(BUFFER)))
		storm_die("memory");
	reading->reader = reader;
	reading->random.state = reader->seed;
	reading->root = open(reader->mountpoint, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	check(reading, reading->root, "open", reader->mountpoint);
	for (;;) {
		read_file(reading, "current", true, false);
		read_attributes(reading, "current");
		read_one(reading, "events", true);
		read_one(reading, ".", false);
		read_report(reading, ".walfs/status");
		read_report(reading, ".walfs/metrics");
		storm_sleep_us(storm_below(&reading->random, 20000));
	}
}

pid_t storm_reader_start(const struct storm_reader *reader)
{
	pid_t pid = fork();

	if (pid < 0)
		storm_die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	look_around(reader);
	_exit(0);
}
