/* SPDX-License-Identifier: MIT */
/*
 * A struct wal_io over a real directory that keeps, beside it, what a disk must
 * have and what it may have: of each file the bytes at its last completed sync
 * and the versions seen since; of the directory each change, and whether a sync
 * of the directory came behind it. From that every state can be built in which
 * a power cut may leave the disk (state.h).
 *
 * Stores into a mapping are seen when the next call comes, or at disk_observe().
 */
#ifndef WALFS_TESTS_CRASH_DISK_H
#define WALFS_TESTS_CRASH_DISK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/io.h"
#include "core/store/store.h"

#define DISK_PAGE 4096u
#define DISK_FILES_MAX 256u
#define DISK_VERSIONS_MAX 6u

/* Bytes that never change; shared by all who refer to them. */
struct blob {
	unsigned refs;
	size_t size;
	uint8_t data[];
};

struct disk_file {
	uint64_t inode;
	int fd;					  /* the recorder's own */
	struct blob *durable;			  /* at the last completed sync; NULL: never */
	struct blob *versions[DISK_VERSIONS_MAX]; /* since then; the last is what is there now */
	unsigned version_count;
	/*
	 * A byte for each page: 1 if it was dirty when a sync failed. The page cache takes it for
	 * clean, and whatever is written to it later, and synced with success, the disk never
	 * gets it (ext4, in an extent that was not converted): but what goes past the page cache.
	 */
	struct blob *stuck;
};

enum disk_change_kind { DISK_LINK, DISK_RENAME, DISK_UNLINK, DISK_SIZE };

struct disk_change {
	enum disk_change_kind kind;
	unsigned file;
	bool durable;
	uint64_t size; /* SIZE */
	char name[WAL_STORE_NAME_MAX];
	char to[WAL_STORE_NAME_MAX]; /* RENAME */
};

enum disk_call {
	DISK_CREATE,
	DISK_ALLOCATE,
	DISK_PWRITE, /* past the page cache, too */
	DISK_ZERO,
	DISK_TRUNCATE,
	DISK_FDATASYNC,
	DISK_FSYNC,
	DISK_RENAMES,
	DISK_UNLINKS,
	DISK_OTHER,
	DISK_CALLS
};

struct disk {
	struct wal_io io; /* first: the table is handed out, and cast back */
	pthread_mutex_t lock;
	struct disk_file files[DISK_FILES_MAX];
	unsigned file_count;
	struct disk_change *changes;
	size_t change_count;
	size_t change_room;
	uint32_t removed; /* highest segment index that was unlinked */
	uint64_t calls;
	uint64_t now_ns; /* the clock; a microsecond later at each look */
	unsigned version_turn;
	unsigned delay_us; /* calls are held up by up to this, at random, so that threads race */
	/* Before each persisting call, under the lock. Return: 0, or the call's error. */
	int (*before)(void *ctx, struct disk *disk, enum disk_call call, const char *name);
	void *before_ctx;
};

/* Takes over what is in the directory, as durable. */
void disk_init(struct disk *disk, const char *path);
void disk_destroy(struct disk *disk);
/* Looks at what mappings stored since. Lock held. */
void disk_observe(struct disk *disk);

const char *disk_call_name(enum disk_call call);

/* All that is in the file. */
struct blob *blob_read(int fd);
bool blob_equal(const struct blob *a, const struct blob *b);
struct blob *blob_ref(struct blob *blob);
void blob_unref(struct blob *blob);

#endif
