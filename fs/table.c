/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <stdlib.h>

#define SMALLEST 64u

/* The finisher of splitmix64: each bit of the key moves half of the result's. */
static uint64_t scatter(uint64_t key)
{
	key = (key ^ key >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	key = (key ^ key >> 27) * UINT64_C(0x94d049bb133111eb);
	return key ^ key >> 31;
}

uint64_t walfs_table_mix(uint64_t a, uint64_t b)
{
	return scatter(a + UINT64_C(0x9e3779b97f4a7c15)) ^ b;
}

static struct walfs_table_node **bucket_of(struct walfs_table *table, uint64_t key)
{
	if (!table->size)
		return &table->only_bucket;
	return &table->buckets[scatter(key) & (table->size - 1)];
}

/* Return: where the first node with this key hangs, or the end of its chain. */
static struct walfs_table_node **link_of(struct walfs_table *table, uint64_t key)
{
	struct walfs_table_node **link = bucket_of(table, key);

	while (*link && (*link)->key != key) {
		table->steps++;
		link = &(*link)->chain;
	}
	table->steps++;
	return link;
}

/* Twice as many buckets, or as it is without memory. */
static void grow(struct walfs_table *table)
{
	size_t size = table->size ? 2 * table->size : SMALLEST, i;
	struct walfs_table old = *table;
	struct walfs_table_node **buckets = calloc(size, sizeof(struct walfs_table_node *));
	struct walfs_table_node *node, *next, **to;

	if (!buckets)
		return;
	table->buckets = buckets;
	table->size = size;
	table->only_bucket = NULL;
	for (i = 0; i < (old.size ? old.size : 1); i++) {
		for (node = old.size ? old.buckets[i] : old.only_bucket; node; node = next) {
			next = node->chain;
			to = bucket_of(table, node->key);
			node->chain = *to;
			*to = node;
		}
	}
	free(old.buckets);
}

void walfs_table_add(struct walfs_table *table, struct walfs_table_node *node, uint64_t key)
{
	struct walfs_table_node **link, *first;

	if (table->keys >= table->size)
		grow(table);
	link = link_of(table, key);
	first = *link;
	node->key = key;
	node->chain = NULL;
	if (!first) {
		node->before = node->after = node;
		*link = node;
		table->keys++;
		return;
	}
	node->before = first->before;
	node->after = first;
	first->before->after = node;
	first->before = node;
}

void walfs_table_remove(struct walfs_table *table, struct walfs_table_node *node)
{
	struct walfs_table_node **link = link_of(table, node->key);

	if (*link == node) {
		if (node->after == node) {
			*link = node->chain;
			table->keys--;
			return;
		}
		node->after->chain = node->chain;
		*link = node->after;
	}
	node->before->after = node->after;
	node->after->before = node->before;
}

struct walfs_table_node *walfs_table_find(struct walfs_table *table, uint64_t key)
{
	return *link_of(table, key);
}

struct walfs_table_node *walfs_table_next(const struct walfs_table_node *first,
					  const struct walfs_table_node *node)
{
	return node->after == first ? NULL : node->after;
}

static void hand_out(struct walfs_table_node *first, void (*gone)(struct walfs_table_node *node))
{
	struct walfs_table_node *node, *next, *last = first->before;

	for (node = first; node; node = next) {
		next = node == last ? NULL : node->after;
		gone(node);
	}
}

void walfs_table_destroy(struct walfs_table *table, void (*gone)(struct walfs_table_node *node))
{
	struct walfs_table_node **buckets = table->size ? table->buckets : &table->only_bucket;
	struct walfs_table_node *first, *chain;
	size_t i;

	for (i = 0; gone && i < (table->size ? table->size : 1); i++) {
		for (first = buckets[i]; first; first = chain) {
			chain = first->chain;
			hand_out(first, gone);
		}
	}
	free(table->buckets);
	*table = (struct walfs_table){.buckets = NULL};
}
