/* SPDX-License-Identifier: MIT */
/* All that can be seen in the working directory, the top of a mount, as text. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "storm.h"

static void add_attributes(FILE *text, int fd)
{
	char names[4096], value[256], *name;
	ssize_t size = flistxattr(fd, names, sizeof(names)), length;

	for (name = names; name < names + size; name += strlen(name) + 1) {
		if (strcmp(name, "user.wal.durable_event") == 0)
			continue; /* grows by itself */
		length = fgetxattr(fd, name, value, sizeof(value));
		fprintf(text, " %s=%.*s", name, length < 0 ? 0 : (int)length, value);
	}
}

static void add_contents(FILE *text, int fd)
{
	static XXH3_state_t state; /* aligned even under the address sanitizer */
	char buffer[8192];
	ssize_t got;

	XXH3_64bits_reset(&state);
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
		XXH3_64bits_update(&state, buffer, (size_t)got);
	fprintf(text, " %016" PRIx64 "%s", XXH3_64bits_digest(&state),
		got < 0 ? strerrorname_np(errno) : "");
}

static void add(FILE *text, const char *directory, const char *name)
{
	char path[600];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		fprintf(text, "%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	fprintf(text, "%s %ju %o %u %u %ju %jd %jd.%09ld %jd.%09ld %jd", path, (uintmax_t)st.st_ino,
		st.st_mode, st.st_uid, st.st_gid, (uintmax_t)st.st_nlink, (intmax_t)st.st_size,
		(intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, (intmax_t)st.st_ctim.tv_sec,
		st.st_ctim.tv_nsec, (intmax_t)st.st_blocks);
	if (S_ISREG(st.st_mode)) {
		add_attributes(text, fd);
		add_contents(text, fd);
	}
	fputc('\n', text);
	close(fd);
}

static void add_all(FILE *text, const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	if (!dir) {
		fprintf(text, "%s: %s\n", directory, strerrorname_np(errno));
		return;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, "..") != 0)
			add(text, directory, entry->d_name);
	closedir(dir);
}

char *storm_snapshot(void)
{
	char *bytes = NULL;
	size_t size;
	FILE *text = open_memstream(&bytes, &size);

	if (!text)
		storm_die("memory");
	add_all(text, ".");
	add_all(text, "events");
	fclose(text);
	return bytes;
}
