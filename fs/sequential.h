/* SPDX-License-Identifier: MIT */
/*
 * append=sequential: open files that write without O_APPEND, each where it takes the end to
 * be. The offsets at which one may write are those that it was given as an end: by its last
 * write, by lseek() to the end, by fstat(), at its open. They are kept one by one, because
 * `current` has no end that all could mean: it is shorter after a rotation, and others append.
 *
 * What a size was told for is not always known: fstat() names an inode, and several files may
 * be open through that; and who asked may have asked for something else. So each open file
 * keeps several: the first four since its last write (a runtime that asks once, and counts
 * from there) and the last four (a program that asks before each write).
 */
#ifndef WALFS_FS_SEQUENTIAL_H
#define WALFS_FS_SEQUENTIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "table.h"

#define WALFS_ENDS_FIRST 4u
#define WALFS_ENDS_LAST 4u

/* All open files of one mount that write so. */
struct walfs_sequential {
	pthread_mutex_t lock; /* protects all below, and what is in it */
	struct walfs_table by_ino;
};

/* One of them. */
struct walfs_writer {
	struct walfs_table_node by_ino;
	uint64_t id;	  /* of the open file */
	uint64_t written; /* where its last write ended; UINT64_MAX: none yet */
	uint64_t sought;  /* what lseek() to the end was told since then; UINT64_MAX */
	uint64_t ends[WALFS_ENDS_FIRST + WALFS_ENDS_LAST]; /* other ends it was told since then */
	size_t count;					   /* of those, ever */
};

void walfs_sequential_init(struct walfs_sequential *all);
/* Each was removed before. */
void walfs_sequential_destroy(struct walfs_sequential *all);

/* end: at its open. Return: to be removed; NULL: no memory. */
struct walfs_writer *walfs_sequential_add(struct walfs_sequential *all, uint64_t ino, uint64_t id,
					  uint64_t end);
void walfs_sequential_remove(struct walfs_sequential *all, struct walfs_writer *writer);

/*
 * An inode's size is about to be told: to the open file with this id, or to whoever has the
 * inode open (0). Any thread.
 */
void walfs_sequential_tell(struct walfs_sequential *all, uint64_t ino, uint64_t id, uint64_t size);
/* Return: whether a write at this offset goes on where the file may take the end to be. */
bool walfs_sequential_goes_on(struct walfs_sequential *all, const struct walfs_writer *writer,
			      uint64_t offset);
/* It was written up to there. */
void walfs_sequential_wrote(struct walfs_sequential *all, struct walfs_writer *writer,
			    uint64_t end);

#endif
