/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/crash/crash.h"
#include "tests/crash/disk.h"

struct blob *blob_ref(struct blob *blob)
{
	if (blob)
		blob->refs++;
	return blob;
}

void blob_unref(struct blob *blob)
{
	if (blob && --blob->refs == 0)
		free(blob);
}

struct blob *blob_read(int fd)
{
	struct blob *blob;
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st))
		crash_die("fstat: %s", strerror(errno));
	blob = malloc(sizeof(*blob) + (size_t)st.st_size);
	if (!blob)
		crash_die("no memory");
	n = wal_pread_full(fd, blob->data, (size_t)st.st_size, 0);
	blob->refs = 1;
	blob->size = n < 0 ? 0 : (size_t)n;
	return blob;
}

bool blob_equal(const struct blob *a, const struct blob *b)
{
	return a && b && a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}
