/* SPDX-License-Identifier: MIT */
/* Users, spaces, holders, and the locks in them. */
#include "lock_space.h"

#include <fcntl.h>
#include <stdlib.h>

static const struct walfs_lock *of_space(const struct walfs_interval *node)
{
	return (const struct walfs_lock *)((const char *)node -
					   offsetof(struct walfs_lock, in_space));
}

static struct walfs_lock_user *find_user(struct walfs_lock_table *table, uid_t uid)
{
	struct walfs_table_node *node = walfs_table_find(&table->users, uid);

	return node ? container(node, struct walfs_lock_user, by_uid) : NULL;
}

struct walfs_lock_user *walfs_lock_make_user(struct walfs_lock_table *table, uid_t uid)
{
	struct walfs_lock_user *user = find_user(table, uid);

	if (user)
		return user;
	user = calloc(1, sizeof(*user));
	if (!user)
		return NULL;
	user->uid = uid;
	walfs_table_add(&table->users, &user->by_uid, uid);
	return user;
}

void walfs_lock_put_user(struct walfs_lock_table *table, struct walfs_lock_user *user)
{
	if (user->count)
		return;
	walfs_table_remove(&table->users, &user->by_uid);
	free(user);
}

struct walfs_lock_space *walfs_lock_find_space(struct walfs_lock_table *table,
					       const struct walfs_lock_wish *wish)
{
	uint64_t key = walfs_table_mix(wish->file, wish->flock);
	struct walfs_table_node *first = walfs_table_find(&table->spaces, key), *node;

	for (node = first; node; node = walfs_table_next(first, node)) {
		struct walfs_lock_space *space = container(node, struct walfs_lock_space, by_file);

		if (space->file == wish->file && space->flock == wish->flock)
			return space;
	}
	return NULL;
}

struct walfs_lock_space *walfs_lock_make_space(struct walfs_lock_table *table,
					       const struct walfs_lock_wish *wish)
{
	struct walfs_lock_space *space = walfs_lock_find_space(table, wish);

	if (space)
		return space;
	space = calloc(1, sizeof(*space));
	if (!space)
		return NULL;
	space->file = wish->file;
	space->flock = wish->flock;
	space->held[0].steps = space->held[1].steps = &table->steps;
	walfs_table_add(&table->spaces, &space->by_file, walfs_table_mix(wish->file, wish->flock));
	return space;
}

void walfs_lock_put_space(struct walfs_lock_table *table, struct walfs_lock_space *space)
{
	if (space->owners || space->first || space->stirred)
		return;
	walfs_table_remove(&table->spaces, &space->by_file);
	free(space);
}

static uint64_t holder_key(const struct walfs_lock_space *space, uint64_t owner)
{
	return walfs_table_mix((uint64_t)(uintptr_t)space, owner);
}

struct walfs_lock_holder *walfs_lock_find_holder(struct walfs_lock_table *table,
						 const struct walfs_lock_space *space,
						 uint64_t owner)
{
	struct walfs_table_node *first, *node;

	first = space ? walfs_table_find(&table->owners, holder_key(space, owner)) : NULL;
	for (node = first; node; node = walfs_table_next(first, node)) {
		struct walfs_lock_holder *holder =
			container(node, struct walfs_lock_holder, by_owner);

		if (holder->space == space && holder->owner == owner)
			return holder;
	}
	return NULL;
}

struct walfs_lock_holder *walfs_lock_make_holder(struct walfs_lock_table *table,
						 struct walfs_lock_space *space, uint64_t owner)
{
	struct walfs_lock_holder *holder = walfs_lock_find_holder(table, space, owner);

	if (holder)
		return holder;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return NULL;
	holder->space = space;
	holder->owner = owner;
	holder->locks.steps = &table->steps;
	walfs_table_add(&table->owners, &holder->by_owner, holder_key(space, owner));
	space->owners++;
	return holder;
}

void walfs_lock_put_holder(struct walfs_lock_table *table, struct walfs_lock_holder *holder)
{
	struct walfs_lock_space *space = holder->space;

	if (holder->count)
		return;
	walfs_table_remove(&table->owners, &holder->by_owner);
	space->owners--;
	free(holder);
	walfs_lock_put_space(table, space);
}

/* --- locks ------------------------------------------------------------------------------ */

static struct walfs_intervals *set_of(struct walfs_lock *lock)
{
	return &lock->holder->space->held[lock->type == F_WRLCK];
}

void walfs_lock_enter(struct walfs_lock *lock, uint64_t start, uint64_t end)
{
	lock->in_space.start = lock->in_holder.start = start;
	lock->in_space.end = lock->in_holder.end = end;
	walfs_intervals_add(set_of(lock), &lock->in_space);
	walfs_intervals_add(&lock->holder->locks, &lock->in_holder);
}

void walfs_lock_leave(struct walfs_lock *lock)
{
	walfs_intervals_remove(set_of(lock), &lock->in_space);
	walfs_intervals_remove(&lock->holder->locks, &lock->in_holder);
}

void walfs_lock_add(struct walfs_lock_table *table, struct walfs_lock *lock, uint64_t handle,
		    uint64_t start, uint64_t end)
{
	lock->holder->count++;
	lock->user->count++;
	walfs_table_add(&table->handles, &lock->by_handle, handle);
	walfs_lock_enter(lock, start, end);
}

void walfs_lock_drop(struct walfs_lock_table *table, struct walfs_lock *lock)
{
	walfs_lock_leave(lock);
	walfs_table_remove(&table->handles, &lock->by_handle);
	lock->holder->count--;
	lock->user->count--;
	walfs_lock_put_user(table, lock->user);
	free(lock);
}

static bool is_anothers(const struct walfs_interval *node, const void *ctx)
{
	const uint64_t *owner = ctx;

	return of_space(node)->holder->owner != *owner;
}

const struct walfs_lock *walfs_lock_find_conflict(const struct walfs_lock_space *space,
						  const struct walfs_lock_wish *wish)
{
	const struct walfs_interval *found;

	if (!space || wish->type == F_UNLCK)
		return NULL;
	found = walfs_intervals_find(&space->held[1], wish->start, wish->end, is_anothers,
				     &wish->owner);
	if (!found && wish->type == F_WRLCK)
		found = walfs_intervals_find(&space->held[0], wish->start, wish->end, is_anothers,
					     &wish->owner);
	return found ? of_space(found) : NULL;
}

void walfs_lock_stir(struct walfs_lock_table *table, struct walfs_lock_space *space)
{
	if (!space->first)
		return;
	if (space->stirred) {
		space->again = true;
		return;
	}
	space->stirred = true;
	space->tried = space->first;
	space->next_stirred = NULL;
	if (table->last_stirred)
		table->last_stirred->next_stirred = space;
	else
		table->stirred = space;
	table->last_stirred = space;
}
