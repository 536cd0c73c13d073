/* SPDX-License-Identifier: MIT */
/*
 * wal.meta: the log's parameters and D, the durable position, in two slots that
 * are written in turn, so that a torn write loses at most the newer one and a
 * full disk cannot stop it. It can be rebuilt from the segments.
 */
#ifndef WALFS_CORE_META_STORE_H
#define WALFS_CORE_META_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <walfs/wal.h>

#include "core/base/io.h"

/* Everything before it is durable; a lower bound, never ahead. */
struct wal_durable {
	uint32_t segment;
	uint64_t offset; /* in the segment's file: where the next record went */
	uint64_t event;	 /* the last durable id; 0: none */
};

struct wal_meta {
	uint64_t sequence;
	uint8_t log[16];
	uint32_t block_size;
	uint64_t segment_bytes; /* the whole file while active */
	struct wal_framing framing;
	uint64_t incarnation;
	struct wal_durable durable;
	uint32_t first_segment;
	bool clean;
	bool copy; /* of a store that may live on: not to be written to */
};

/* What wal_meta_read found of the slots. */
struct wal_meta_slots {
	bool valid[2];
	bool zero[2];	 /* all zero, or not there */
	bool cut;	 /* the file ends before its second slot does */
	unsigned newest; /* of the valid ones */
};

/*
 * Is each slot valid, or was it never written? The file is made in full, and the slots are
 * written in turn: of a slot that is alone only sequence 1 is not the sign of a loss (R7).
 * meta: the newest, if there is one.
 */
bool wal_meta_slots_are_whole(const struct wal_meta *meta, const struct wal_meta_slots *slots);

/*
 * Reads wal.meta through the directory, as the disk has it. slots may be NULL.
 * Return: 0; -EBADMSG no valid slot; -EPROTONOSUPPORT newer format; -ENOENT; -EUCLEAN
 * not a regular file; -EIO.
 */
int wal_meta_read(int dirfd, struct wal_meta *meta, struct wal_meta_slots *slots);
int wal_meta_read_by(const struct wal_io *io, int dirfd, struct wal_meta *meta,
		     struct wal_meta_slots *slots);

/* Slots are written past the page cache: what it says of them is never asked. */
struct wal_meta_store {
	const struct wal_io *io;
	int fd;
	bool read_back;	   /* after the next write: once after each opening */
	uint64_t sequence; /* of the newest slot */
	unsigned slot;	   /* the one to write next */
};

/*
 * Opens wal.meta for writing; creates and preallocates it if need be (synced,
 * its directory too). Not thread-safe. Return: 0; -EPERM: not a file that this user writes
 * to in this store, as why says (wal_store_open_to_write(); may be NULL); or another -errno.
 */
int wal_meta_store_open(struct wal_meta_store *store, const struct wal_io *io, int dirfd,
			struct wal_error *why);
/*
 * Writes the older slot and syncs it. meta->sequence is set.
 * Return: 0; -ENOSPC, -EDQUOT: it was not written, and may be tried again; -EIO ...
 */
int wal_meta_store_write(struct wal_meta_store *store, struct wal_meta *meta);
void wal_meta_store_close(struct wal_meta_store *store);

#endif
