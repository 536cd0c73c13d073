/* SPDX-License-Identifier: MIT */
/*
 * A set of ranges of numbers, in which those that overlap a given one are found without
 * looking at the others: a treap by start, in which each node knows how far the ranges
 * below it go. Any ranges may overlap each other, or be equal. Nodes are members of what
 * is in it, so adding needs no memory and cannot fail.
 *
 * Threads: the caller's care.
 */
#ifndef WALFS_FS_INTERVALS_H
#define WALFS_FS_INTERVALS_H

#include <stdbool.h>
#include <stdint.h>

struct walfs_interval {
	uint64_t start, end; /* inclusive; constant while it is in a set */
	uint64_t reach;	     /* the largest end here and below */
	uint32_t priority;
	struct walfs_interval *left, *right;
};

/* All zero is an empty one. */
struct walfs_intervals {
	struct walfs_interval *root;
	uint32_t random;
	uint64_t *steps; /* counts nodes looked at; may be NULL */
};

/* start and end are set by the caller. */
void walfs_intervals_add(struct walfs_intervals *set, struct walfs_interval *node);
void walfs_intervals_remove(struct walfs_intervals *set, struct walfs_interval *node);
/*
 * Return: of those that overlap start..end, and that wanted() (NULL: all) says yes to, the one
 * that starts first; NULL: there is none.
 */
struct walfs_interval *
walfs_intervals_find(const struct walfs_intervals *set, uint64_t start, uint64_t end,
		     bool (*wanted)(const struct walfs_interval *node, const void *ctx),
		     const void *ctx);

#endif
