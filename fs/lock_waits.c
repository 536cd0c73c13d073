/* SPDX-License-Identifier: MIT */
/* Who waits for a lock, and who gets it next. */
#include "lock_space.h"

#include <errno.h>

#define DEADLOCK_DEPTH 64

/* Follows who waits for whom. Return: whether waiting would never end. */
static bool would_deadlock(struct walfs_lock_table *table, const struct walfs_lock_wish *wish)
{
	const struct walfs_lock_wish *next = wish;
	const struct walfs_lock *lock;
	struct walfs_table_node *node;
	int depth;

	if (wish->flock)
		return false;
	for (depth = 0; depth < DEADLOCK_DEPTH; depth++) {
		lock = walfs_lock_find_conflict(walfs_lock_find_space(table, next), next);
		if (!lock)
			return false;
		if (lock->holder->owner == wish->owner)
			return true;
		node = walfs_table_find(&table->waiting, lock->holder->owner);
		if (!node)
			return false;
		next = &container(node, struct walfs_lock_waiter, by_owner)->wish;
	}
	return false;
}

int walfs_lock_table_wait(struct walfs_lock_table *table, struct walfs_lock_waiter *waiter,
			  const struct walfs_lock_wish *wish)
{
	struct walfs_lock_space *space = walfs_lock_find_space(table, wish);
	struct walfs_lock_user *user;

	if (would_deadlock(table, wish))
		return -EDEADLK;
	user = walfs_lock_make_user(table, wish->uid);
	if (!user)
		return -ENOLCK;
	if (user->count >= WALFS_LOCKS_OF_USER) {
		walfs_lock_put_user(table, user);
		return -ENOLCK;
	}
	user->count++;
	*waiter = (struct walfs_lock_waiter){
		.wish = *wish, .space = space, .user = user, .before = space->last};
	if (space->last)
		space->last->after = waiter;
	else
		space->first = waiter;
	space->last = waiter;
	if (!wish->flock)
		walfs_table_add(&table->waiting, &waiter->by_owner, wish->owner);
	return 0;
}

/* Takes it out; its space stays. */
static void unwait(struct walfs_lock_table *table, struct walfs_lock_waiter *waiter)
{
	struct walfs_lock_space *space = waiter->space;

	if (space->tried == waiter)
		space->tried = waiter->after;
	if (waiter->before)
		waiter->before->after = waiter->after;
	else
		space->first = waiter->after;
	if (waiter->after)
		waiter->after->before = waiter->before;
	else
		space->last = waiter->before;
	if (!waiter->wish.flock)
		walfs_table_remove(&table->waiting, &waiter->by_owner);
	waiter->user->count--;
	walfs_lock_put_user(table, waiter->user);
}

void walfs_lock_table_cancel(struct walfs_lock_table *table, struct walfs_lock_waiter *waiter)
{
	unwait(table, waiter);
	walfs_lock_put_space(table, waiter->space);
}

/* In the first stirred space all were tried. The others come first if it was stirred again. */
static void end_round(struct walfs_lock_table *table)
{
	struct walfs_lock_space *space = table->stirred;
	bool again = space->again;

	table->stirred = space->next_stirred;
	if (!table->stirred)
		table->last_stirred = NULL;
	space->stirred = false;
	space->again = false;
	if (again)
		walfs_lock_stir(table, space);
	walfs_lock_put_space(table, space);
}

static void try_next(struct walfs_lock_table *table, struct walfs_lock_space *space)
{
	struct walfs_lock_waiter *waiter = space->tried;

	table->steps++;
	if (walfs_lock_find_conflict(space, &waiter->wish)) {
		/* Another one is in the way now, and may wait for this one. */
		if (would_deadlock(table, &waiter->wish)) {
			unwait(table, waiter);
			table->granted(waiter, -EDEADLK);
		} else {
			space->tried = waiter->after;
		}
		return;
	}
	unwait(table, waiter);
	table->granted(waiter, walfs_lock_set_in(table, space, &waiter->wish));
}

bool walfs_lock_table_wake(struct walfs_lock_table *table)
{
	struct walfs_lock_space *space;
	unsigned n = 0;

	while (n < WALFS_LOCKS_TRIED && (space = table->stirred) != NULL) {
		if (!space->tried) {
			end_round(table);
			continue;
		}
		try_next(table, space);
		n++;
	}
	return table->stirred != NULL;
}
