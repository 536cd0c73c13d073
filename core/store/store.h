/* SPDX-License-Identifier: MIT */
/* A store directory: what is in it, who holds it, and the names it uses. */
#ifndef WALFS_CORE_STORE_H
#define WALFS_CORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <walfs/wal.h>

#include "core/base/error.h"
#include "core/base/io.h"

#define WAL_META_FILE "wal.meta"
#define WAL_CLOCK_FILE "wal.clock"
#define WAL_CURRENT_NAME "current" /* of a mount; in a store it is a stray */
#define WAL_PREPARED_SUFFIX ".new"
#define WAL_COMPRESSED_SUFFIX ".zst"
#define WAL_NAMES_TRIED 1000u /* NAME, NAME-1 ... NAME-999 */
#define WAL_TORN_INFIX ".torn-"

/* Room for a segment's name, ".torn-" and a time. */
#define WAL_STORE_NAME_MAX 96

struct wal_store_list {
	uint32_t *segments; /* sorted, without doubles */
	size_t count;
	size_t capacity;
	uint32_t *compressed; /* sorted: NNNNNNNNNN.wal.zst is there, NNNNNNNNNN.wal is not */
	size_t compressed_count;
	size_t compressed_capacity;
	char (*prepared)[WAL_NAME_MAX]; /* "NNNNNNNNNN.wal.new" */
	size_t prepared_count;
	size_t torn_count;
	bool has_meta;
	bool has_current; /* "current", the name that it has in a mount */
	bool has_others;  /* anything that is none of these, "current" too */
};

/* Return: 0 or -errno; on error there is nothing to destroy. */
int wal_store_list_read(int dirfd, struct wal_store_list *list);
void wal_store_list_destroy(struct wal_store_list *list);
void wal_store_list_remove(struct wal_store_list *list, uint32_t index);
/* Return: the largest index, 0 if there is none. */
uint32_t wal_store_list_last(const struct wal_store_list *list);
/* Return: the lowest compressed index from first on; 0 if there is none. */
uint32_t wal_store_list_compressed(const struct wal_store_list *list, uint32_t first);

/*
 * Opens the directory and takes flock on it, shared or exclusive. A missing
 * directory is made, with mode 0700, if not read_only.
 * Return: a descriptor; -EBUSY (the text names the holder) or another -errno.
 */
int wal_store_lock(const struct wal_io *io, const char *path, bool read_only,
		   struct wal_error *error);

/* Says why the directory cannot be opened, and what to do. Return: err. */
int wal_store_explain_open(const char *path, int err, struct wal_error *error);

/* "walfs (pid 17)" of who holds flock on the open directory, or "". */
void wal_store_holder(int dirfd, char *text, size_t size);
/* Does a process hold it exclusively, to write? One of another PID namespace is not seen. */
bool wal_store_is_held(int dirfd);
/* The same for sure, by taking a shared lock for an instant; a mount waits for longer than that. */
bool wal_store_is_locked(int dirfd);

/* Which file it is that has a name, for who opens it again. */
struct wal_file_id {
	dev_t dev;
	ino_t ino;
};

/*
 * Root in the store of another user writes to no file, and copies from none, that has a
 * second name or belongs to a third user: that user may have put a link to it there.
 * Return: 0; -EPERM, and why says the reason and the way out, without a path.
 */
int wal_store_check_file(int dirfd, const struct stat *file, struct wal_error *why);

/*
 * Opens a regular file of the store for reading and writing, after the check above, which is
 * of the descriptor. planned: it must be this file; NULL: any.
 * Return: the descriptor; -EUCLEAN no regular file; -EPERM, -ESTALE another file than was
 * looked at: why has words then; or another -errno, and why->code is 0.
 */
int wal_store_open_to_write(const struct wal_io *io, int dirfd, const char *name,
			    const struct wal_file_id *planned, struct wal_error *why);

/* again: 0, and the next number where that name is taken; below WAL_NAMES_TRIED. */
void wal_store_prepared_name(uint32_t index, unsigned again, char name[WAL_NAME_MAX]);
/* NAME.torn-TIME, with a number after it if that is taken. Return: 0 or -errno. */
int wal_store_torn_name(int dirfd, const char *name, uint64_t now_ns,
			char torn[WAL_STORE_NAME_MAX]);

/*
 * Lines that are in no segment: a file `current` with something in it, as a copy of a mount
 * has it. Return: whether it is there.
 */
bool wal_store_has_stray_current(int dirfd, const struct wal_store_list *list);
/* Neither a segment nor wal.meta is there. Return: -ENOTEMPTY, with error filled in. */
int wal_store_is_none(int dirfd, const char *path, const struct wal_store_list *list,
		      struct wal_error *error);
/* "i", "a", or NULL: the flag of chattr that keeps the daemon from changing what fd is. */
const char *wal_store_flag(int fd);

#endif
