/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that readers share: one for each file, however many read it. There is a
 * bound to how many files are open at once, so that readers leave descriptors for what
 * the log itself needs.
 *
 * Threads: any.
 */
#ifndef WALFS_CORE_SHARED_FILES_H
#define WALFS_CORE_SHARED_FILES_H

#include <pthread.h>
#include <stddef.h>
#include <sys/types.h>

#define WAL_SHARED_BUCKETS 256u

struct wal_shared_files;

struct wal_shared_file {
	int fd;
	/* The set's: */
	struct wal_shared_files *set;
	struct wal_shared_file *next;
	dev_t dev;
	ino_t ino;
	size_t users;
};

struct wal_shared_files {
	pthread_mutex_t lock;
	size_t count, count_max; /* 0: no bound */
	struct wal_shared_file *buckets[WAL_SHARED_BUCKETS];
};

void wal_shared_files_init(struct wal_shared_files *set, size_t count_max);
/* Everybody has put theirs. */
void wal_shared_files_destroy(struct wal_shared_files *set);
/*
 * Takes an open descriptor, and gives the file's shared one; it may be another. On error
 * the one that was given is closed, too. Return: 0; -EMFILE: so many are open; -ENOMEM, -errno.
 */
int wal_shared_file_get(struct wal_shared_files *set, int fd, struct wal_shared_file **file);
void wal_shared_file_put(struct wal_shared_file *file);

#endif
