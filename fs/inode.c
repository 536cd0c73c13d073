/* SPDX-License-Identifier: MIT */
/*
 * Inodes: what the kernel calls them (nodeid), and what stat() does (st_ino).
 *
 * A nodeid is kind (4 bits) | segment (32 bits) | lookup (28 bits). `current`
 * gets a new one for every lookup: the kernel holds an inode's lock over each
 * append and over a whole fsync, so with one inode there would be no group
 * commit, and an fsync would stop every writer. They all show the same st_ino.
 *
 * Such a nodeid may be held for long (a bind mount of the one file, a descriptor,
 * a slow open), so the segment in it says nothing of what it shows: that is the
 * segment which is read through it by the file that was opened last, and the active
 * one if nobody reads. The kernel does not say which open file an fstat() is about.
 */
#include "walfs.h"

#define KIND_SHIFT 60
#define SEGMENT_SHIFT 28
#define LOOKUP_MASK ((UINT64_C(1) << SEGMENT_SHIFT) - 1)

enum walfs_kind walfs_ino_kind(fuse_ino_t ino)
{
	return (enum walfs_kind)(ino >> KIND_SHIFT);
}

uint32_t walfs_ino_segment(fuse_ino_t ino)
{
	return (uint32_t)(ino >> SEGMENT_SHIFT);
}

uint64_t walfs_ino_lookup(fuse_ino_t ino)
{
	return ino & LOOKUP_MASK;
}

fuse_ino_t walfs_ino(enum walfs_kind kind, uint32_t segment, uint64_t lookup)
{
	return (uint64_t)kind << KIND_SHIFT | (uint64_t)segment << SEGMENT_SHIFT |
	       (lookup & LOOKUP_MASK);
}

ino_t walfs_stat_ino(fuse_ino_t ino)
{
	if (ino == FUSE_ROOT_ID)
		return FUSE_ROOT_ID;
	return (uint64_t)walfs_ino_kind(ino) << 32 | walfs_ino_segment(ino);
}
