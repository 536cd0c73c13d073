/* SPDX-License-Identifier: MIT */
#include "intervals.h"

#include <stddef.h>

/* Depth is twice the logarithm of their number or so, and recursion as deep. */

static void count_step(const struct walfs_intervals *set)
{
	if (set->steps)
		++*set->steps;
}

/* xorshift32: the tree is balanced by chance, whatever the order of the ranges. */
static uint32_t next_random(struct walfs_intervals *set)
{
	uint32_t x = set->random ? set->random : 0x9e3779b9u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return set->random = x;
}

/* A total order, so that one of many equal ranges is found again. */
static bool is_before(const struct walfs_interval *a, const struct walfs_interval *b)
{
	return a->start != b->start ? a->start < b->start : a < b;
}

static void update(struct walfs_interval *node)
{
	node->reach = node->end;
	if (node->left && node->left->reach > node->reach)
		node->reach = node->left->reach;
	if (node->right && node->right->reach > node->reach)
		node->reach = node->right->reach;
}

/* Cuts a tree into what is before the node and what is after it. */
static void split(const struct walfs_intervals *set, struct walfs_interval *tree,
		  const struct walfs_interval *at, struct walfs_interval **before,
		  struct walfs_interval **behind)
{
	if (!tree) {
		*before = *behind = NULL;
		return;
	}
	count_step(set);
	if (is_before(tree, at)) {
		*before = tree;
		split(set, tree->right, at, &tree->right, behind);
	} else {
		*behind = tree;
		split(set, tree->left, at, before, &tree->left);
	}
	update(tree);
}

/* All of a is before all of b. */
static struct walfs_interval *join(const struct walfs_intervals *set, struct walfs_interval *a,
				   struct walfs_interval *b)
{
	if (!a || !b)
		return a ? a : b;
	count_step(set);
	if (a->priority > b->priority) {
		a->right = join(set, a->right, b);
		update(a);
		return a;
	}
	b->left = join(set, a, b->left);
	update(b);
	return b;
}

static void add_below(const struct walfs_intervals *set, struct walfs_interval **link,
		      struct walfs_interval *node)
{
	struct walfs_interval *tree = *link;

	count_step(set);
	if (!tree || node->priority > tree->priority) {
		split(set, tree, node, &node->left, &node->right);
		*link = node;
	} else {
		add_below(set, is_before(node, tree) ? &tree->left : &tree->right, node);
	}
	update(*link);
}

void walfs_intervals_add(struct walfs_intervals *set, struct walfs_interval *node)
{
	node->priority = next_random(set);
	add_below(set, &set->root, node);
}

static void remove_below(const struct walfs_intervals *set, struct walfs_interval **link,
			 struct walfs_interval *node)
{
	struct walfs_interval *tree = *link;

	count_step(set);
	if (tree == node) {
		*link = join(set, node->left, node->right);
		return;
	}
	remove_below(set, is_before(node, tree) ? &tree->left : &tree->right, node);
	update(tree);
}

void walfs_intervals_remove(struct walfs_intervals *set, struct walfs_interval *node)
{
	remove_below(set, &set->root, node);
}

struct query {
	const struct walfs_intervals *set;
	uint64_t start, end;
	bool (*wanted)(const struct walfs_interval *node, const void *ctx);
	const void *ctx;
};

static struct walfs_interval *find_below(const struct query *query, struct walfs_interval *tree)
{
	struct walfs_interval *found;

	if (!tree || tree->reach < query->start)
		return NULL;
	count_step(query->set);
	found = find_below(query, tree->left);
	if (found || tree->start > query->end)
		return found;
	if (tree->end >= query->start && (!query->wanted || query->wanted(tree, query->ctx)))
		return tree;
	return find_below(query, tree->right);
}

struct walfs_interval *
walfs_intervals_find(const struct walfs_intervals *set, uint64_t start, uint64_t end,
		     bool (*wanted)(const struct walfs_interval *node, const void *ctx),
		     const void *ctx)
{
	const struct query query = {set, start, end, wanted, ctx};

	return find_below(&query, set->root);
}
