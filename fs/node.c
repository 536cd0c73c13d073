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

#define QUARTER_SHIFT 30
#define FIRST_ONLY_ONCE 16 /* of the inodes of directories and reports */

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

/*
 * Below 2^32 for every index below 2^30, or a 32-bit program without large files gets
 * EOVERFLOW from stat() and readdir(). The first quarter has what is there only once.
 */
ino_t walfs_stat_ino(fuse_ino_t ino)
{
	enum walfs_kind kind = walfs_ino_kind(ino);
	uint32_t segment = walfs_ino_segment(ino);
	uint64_t quarter;

	switch (kind) {
	case WALFS_SEALED:
		quarter = 1;
		break;
	case WALFS_EVENTS:
		quarter = 2;
		break;
	case WALFS_CURRENT:
		quarter = 3;
		break;
	default:
		return ino == FUSE_ROOT_ID ? FUSE_ROOT_ID : FIRST_ONLY_ONCE + kind;
	}
	return quarter << (segment < 1u << QUARTER_SHIFT ? QUARTER_SHIFT : 32) | segment;
}
