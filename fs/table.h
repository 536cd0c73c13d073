/* SPDX-License-Identifier: MIT */
/*
 * A hash table. Its nodes are members of what is in it, so adding needs no memory and
 * cannot fail (without memory for more buckets it gets slower, no more). Any number of
 * nodes may have one key: they cost no search for another key anything, and removing
 * one of them takes no longer than removing any other.
 *
 * Threads: the caller's care.
 */
#ifndef WALFS_FS_TABLE_H
#define WALFS_FS_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct walfs_table_node {
	uint64_t key;
	struct walfs_table_node *chain;	 /* of the first with its key: the next other key */
	struct walfs_table_node *before; /* a ring of those with one key, as they were added */
	struct walfs_table_node *after;
};

/* All zero is an empty one. */
struct walfs_table {
	struct walfs_table_node **buckets;
	struct walfs_table_node *only_bucket; /* until there is memory for more */
	size_t size;			      /* buckets, a power of two; 0: the only one */
	size_t keys;
	uint64_t steps; /* nodes looked at, ever */
};

void walfs_table_add(struct walfs_table *table, struct walfs_table_node *node, uint64_t key);
void walfs_table_remove(struct walfs_table *table, struct walfs_table_node *node);
/* Return: one with this key, the oldest; NULL: there is none. */
struct walfs_table_node *walfs_table_find(struct walfs_table *table, uint64_t key);
/* Return: the next one with the key of first, which find() returned; NULL: that was all. */
struct walfs_table_node *walfs_table_next(const struct walfs_table_node *first,
					  const struct walfs_table_node *node);
/* Hands out each node that is still in it (gone may be NULL: there is none), frees the rest. */
void walfs_table_destroy(struct walfs_table *table, void (*gone)(struct walfs_table_node *node));

/* Makes one key of two numbers. Different ones may get the same: compare. */
uint64_t walfs_table_mix(uint64_t a, uint64_t b);

#endif
