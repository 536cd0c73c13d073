/* SPDX-License-Identifier: MIT */
/* What the files of a copy share. */
#ifndef WALFS_CORE_COPY_H
#define WALFS_CORE_COPY_H

#include "core/base/io.h"
#include "core/segment/segment_reader.h"
#include "core/store/meta_store.h"
#include "core/store/store.h"

#define WAL_COPY_CHUNK (8u << 20)

struct wal_copy {
	const struct wal_io *io;
	char *path;
	int dirfd;
	uint8_t log[16];
	struct wal_meta meta; /* as it was found, or zero */
	/* The unsealed ends that this run and the one before brought; 0, 0: none. */
	uint32_t unsealed_first, unsealed_last;
	uint32_t last; /* the highest segment that this run has brought; 0: none */
	void *ctx;
	bool (*progress)(void *ctx, uint32_t segment, uint64_t bytes);
	uint8_t *chunk;
};

/* What is copied, and from where in it. */
struct wal_copy_source {
	const struct wal_segment_source *place;
	struct wal_segment_reader *reader; /* NULL: its headers cannot be read */
	int fd;				   /* raw: its file, byte for byte; otherwise -1 */
	uint64_t bytes;
	char name[WAL_STORE_NAME_MAX]; /* that the copy has until it is whole */
};

/* Both slots: a copy stays one if either is lost. */
int wal_copy_write_meta(struct wal_copy *copy, struct wal_meta *meta, struct wal_error *error);
/* A segment that the store has not, or has otherwise: it is kept under another name. */
int wal_copy_set_aside(const struct wal_copy *copy, uint32_t index);

/* The file under its other name, synced. Return: a descriptor or -errno. */
int wal_copy_make_file(const struct wal_copy *copy, const struct wal_copy_source *source);
/* As the disk has it. A fault that the source has, too, is copied. Return: 0 or -errno. */
int wal_copy_check_file(const struct wal_copy *copy, const struct wal_copy_source *source, int fd,
			struct wal_verify_result *found);
/* Return: 1 if the file has what the source has; 0; -errno. */
int wal_copy_has_bytes(const struct wal_copy *copy, const struct wal_copy_source *source, int fd);

#endif
