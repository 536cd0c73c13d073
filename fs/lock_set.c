/* SPDX-License-Identifier: MIT */
/* Setting and dropping locks. */
#include "lock_space.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static struct walfs_lock *of_holder(struct walfs_interval *node)
{
	return node ? container(node, struct walfs_lock, in_holder) : NULL;
}

/* A change to one owner's locks. */
struct change {
	const struct walfs_lock_wish *wish;
	struct walfs_lock_holder *holder;
	uint64_t start, end; /* what the added one has in the end */
	struct walfs_lock *added, *spare;
};

/* Return: the owner's first lock from `from` on that the wish overlaps or touches. */
static struct walfs_lock *next_touched(const struct change *change, uint64_t from)
{
	const struct walfs_lock_wish *wish = change->wish;
	uint64_t first = wish->start ? wish->start - 1 : 0;

	if (from > wish->end + 1)
		return NULL;
	return of_holder(walfs_intervals_find(&change->holder->locks, from > first ? from : first,
					      wish->end + 1, NULL, NULL));
}

static bool is_overlapped(const struct change *change, const struct walfs_lock *lock)
{
	return lock->in_holder.start <= change->wish->end &&
	       lock->in_holder.end >= change->wish->start;
}

/* How many locks more (or less) the owner would have. */
static long growth(const struct change *change)
{
	const struct walfs_lock_wish *wish = change->wish;
	long more = wish->type != F_UNLCK;
	struct walfs_lock *lock;
	uint64_t from = 0;

	while ((lock = next_touched(change, from)) != NULL) {
		bool left = lock->in_holder.start < wish->start;
		bool right = lock->in_holder.end > wish->end;

		from = lock->in_holder.end + 1;
		if (lock->type == wish->type)
			more--;
		else if (is_overlapped(change, lock))
			more += left + right - 1;
	}
	return more;
}

static bool is_too_many(const struct change *change, const struct walfs_lock_user *user)
{
	long more = growth(change);

	return more > 0 && (change->holder->count + (size_t)more > WALFS_LOCKS_OF_OWNER ||
			    user->count + (size_t)more > WALFS_LOCKS_OF_USER);
}

/* Takes the wish's range out of an older lock of another type. */
static void carve(struct walfs_lock_table *table, struct change *change, struct walfs_lock *old)
{
	const struct walfs_lock_wish *wish = change->wish;
	uint64_t start = old->in_holder.start, end = old->in_holder.end;

	if (start >= wish->start && end <= wish->end) {
		walfs_lock_drop(table, old);
		return;
	}
	walfs_lock_leave(old);
	if (start < wish->start && end > wish->end) {
		struct walfs_lock *rest = change->spare;

		change->spare = NULL;
		rest->holder = old->holder;
		rest->user = old->user;
		rest->type = old->type;
		rest->pid = old->pid;
		walfs_lock_add(table, rest, old->by_handle.key, wish->end + 1, end);
	}
	if (start < wish->start)
		walfs_lock_enter(old, start, wish->start - 1);
	else
		walfs_lock_enter(old, wish->end + 1, end);
}

/* A lock of the same type that touches the new one becomes part of it. */
static void absorb(struct walfs_lock_table *table, struct change *change, struct walfs_lock *old)
{
	if (old->in_holder.start < change->start)
		change->start = old->in_holder.start;
	if (old->in_holder.end > change->end)
		change->end = old->in_holder.end;
	walfs_lock_drop(table, old);
}

static void make_change(struct walfs_lock_table *table, struct change *change)
{
	const struct walfs_lock_wish *wish = change->wish;
	struct walfs_lock *lock, *added = change->added;
	uint64_t from = 0;

	while ((lock = next_touched(change, from)) != NULL) {
		from = lock->in_holder.end + 1;
		if (lock->type == wish->type) {
			absorb(table, change, lock);
		} else if (is_overlapped(change, lock)) {
			carve(table, change, lock);
			walfs_lock_stir(table, change->holder->space);
		}
	}
	if (wish->type == F_UNLCK)
		return;
	change->added = NULL;
	walfs_lock_add(table, added, wish->handle, change->start, change->end);
}

/* Nothing is in the way. The holder may be left with nothing. */
static int apply(struct walfs_lock_table *table, const struct walfs_lock_wish *wish,
		 struct walfs_lock_holder *holder)
{
	struct change change = {
		.wish = wish, .holder = holder, .start = wish->start, .end = wish->end};
	struct walfs_lock_user *user = walfs_lock_make_user(table, wish->uid);
	int err = -ENOLCK;

	change.added = malloc(sizeof(*change.added));
	change.spare = malloc(sizeof(*change.spare));
	if (user && change.added && change.spare && !is_too_many(&change, user)) {
		change.added->holder = holder;
		change.added->user = user;
		change.added->type = wish->type;
		change.added->pid = wish->pid;
		user->count++; /* so that it stays, if all of its locks are replaced */
		make_change(table, &change);
		user->count--;
		err = 0;
	}
	if (user)
		walfs_lock_put_user(table, user);
	free(change.added);
	free(change.spare);
	return err;
}

/* Nothing is in the way. */
int walfs_lock_set_in(struct walfs_lock_table *table, struct walfs_lock_space *space,
		      const struct walfs_lock_wish *wish)
{
	struct walfs_lock_holder *holder = walfs_lock_make_holder(table, space, wish->owner);
	int err = holder ? apply(table, wish, holder) : -ENOLCK;

	if (holder)
		walfs_lock_put_holder(table, holder);
	else
		walfs_lock_put_space(table, space);
	return err;
}

int walfs_lock_table_set(struct walfs_lock_table *table, const struct walfs_lock_wish *wish)
{
	struct walfs_lock_space *space = walfs_lock_find_space(table, wish);

	if (walfs_lock_find_conflict(space, wish))
		return -EAGAIN;
	if (wish->type == F_UNLCK && !walfs_lock_find_holder(table, space, wish->owner))
		return 0;
	space = walfs_lock_make_space(table, wish);
	return space ? walfs_lock_set_in(table, space, wish) : -ENOLCK;
}

bool walfs_lock_table_test(struct walfs_lock_table *table, const struct walfs_lock_wish *wish,
			   struct walfs_lock_wish *held)
{
	const struct walfs_lock_space *space = walfs_lock_find_space(table, wish);
	const struct walfs_lock *lock = walfs_lock_find_conflict(space, wish);

	if (!lock)
		return false;
	*held = *wish;
	held->type = lock->type;
	held->owner = lock->holder->owner;
	held->handle = lock->by_handle.key;
	held->start = lock->in_space.start;
	held->end = lock->in_space.end;
	held->pid = lock->pid;
	held->uid = lock->user->uid;
	return true;
}

void walfs_lock_table_drop_owner(struct walfs_lock_table *table, const struct walfs_lock_wish *wish)
{
	const struct walfs_lock_space *space = walfs_lock_find_space(table, wish);
	struct walfs_lock_holder *holder = walfs_lock_find_holder(table, space, wish->owner);
	struct walfs_interval *node;

	if (!holder)
		return;
	while ((node = holder->locks.root) != NULL)
		walfs_lock_drop(table, of_holder(node));
	walfs_lock_stir(table, holder->space);
	walfs_lock_put_holder(table, holder);
}

void walfs_lock_table_drop_handle(struct walfs_lock_table *table, uint64_t handle)
{
	struct walfs_table_node *node;

	while ((node = walfs_table_find(&table->handles, handle)) != NULL) {
		struct walfs_lock *lock = container(node, struct walfs_lock, by_handle);
		struct walfs_lock_holder *holder = lock->holder;

		walfs_lock_drop(table, lock);
		walfs_lock_stir(table, holder->space);
		walfs_lock_put_holder(table, holder);
	}
}

/* --- the end -------------------------------------------------------------------------------- */

static void free_lock(struct walfs_table_node *node)
{
	free(container(node, struct walfs_lock, by_handle));
}

static void free_holder(struct walfs_table_node *node)
{
	free(container(node, struct walfs_lock_holder, by_owner));
}

static void free_space(struct walfs_table_node *node)
{
	free(container(node, struct walfs_lock_space, by_file));
}

static void free_user(struct walfs_table_node *node)
{
	free(container(node, struct walfs_lock_user, by_uid));
}

void walfs_lock_table_destroy(struct walfs_lock_table *table)
{
	walfs_table_destroy(&table->handles, free_lock);
	walfs_table_destroy(&table->owners, free_holder);
	walfs_table_destroy(&table->spaces, free_space);
	walfs_table_destroy(&table->users, free_user);
	walfs_table_destroy(&table->waiting, NULL);
	table->stirred = table->last_stirred = NULL;
}
