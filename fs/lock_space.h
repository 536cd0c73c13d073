/* SPDX-License-Identifier: MIT */
/*
 * What the table of locks is made of, for lock_set.c and lock_waits.c only.
 *
 * A space is what can be locked: one file, for one kind. In it the locks are two sets of
 * ranges, those for writing and those for reading, as a read lock is only in the way of
 * the former. What one owner has in a space is a set of its own, too: in that the ranges
 * never overlap, and touching ones of one type are one.
 */
#ifndef WALFS_FS_LOCK_SPACE_H
#define WALFS_FS_LOCK_SPACE_H

#include <stddef.h>

#include "lock_table.h"

struct walfs_lock_user {
	struct walfs_table_node by_uid;
	uid_t uid;
	size_t count; /* of its locks and waits */
};

struct walfs_lock_space {
	struct walfs_table_node by_file;
	uint64_t file;
	bool flock;
	struct walfs_intervals held[2]; /* for reading, for writing */
	size_t owners;
	struct walfs_lock_waiter *first, *last; /* waiting, in order of arrival */
	/* Something was unlocked: a round, which is at tried, tries all; and then again. */
	bool stirred, again;
	struct walfs_lock_waiter *tried;
	struct walfs_lock_space *next_stirred;
};

struct walfs_lock_holder {
	struct walfs_table_node by_owner;
	struct walfs_lock_space *space;
	uint64_t owner;
	struct walfs_intervals locks;
	size_t count;
};

struct walfs_lock {
	struct walfs_interval in_space;
	struct walfs_interval in_holder;
	struct walfs_table_node by_handle;
	struct walfs_lock_holder *holder;
	struct walfs_lock_user *user;
	short type;
	pid_t pid;
};

#define container(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* --- users, spaces, holders: made when needed (NULL: no memory), gone when empty ------- */

struct walfs_lock_user *walfs_lock_make_user(struct walfs_lock_table *table, uid_t uid);
void walfs_lock_put_user(struct walfs_lock_table *table, struct walfs_lock_user *user);
struct walfs_lock_space *walfs_lock_find_space(struct walfs_lock_table *table,
					       const struct walfs_lock_wish *wish);
struct walfs_lock_space *walfs_lock_make_space(struct walfs_lock_table *table,
					       const struct walfs_lock_wish *wish);
void walfs_lock_put_space(struct walfs_lock_table *table, struct walfs_lock_space *space);
/* space may be NULL. */
struct walfs_lock_holder *walfs_lock_find_holder(struct walfs_lock_table *table,
						 const struct walfs_lock_space *space,
						 uint64_t owner);
struct walfs_lock_holder *walfs_lock_make_holder(struct walfs_lock_table *table,
						 struct walfs_lock_space *space, uint64_t owner);
void walfs_lock_put_holder(struct walfs_lock_table *table, struct walfs_lock_holder *holder);

/* --- locks ------------------------------------------------------------------------------ */

/* Into the sets of its space and its holder, and out of them. */
void walfs_lock_enter(struct walfs_lock *lock, uint64_t start, uint64_t end);
void walfs_lock_leave(struct walfs_lock *lock);
void walfs_lock_add(struct walfs_lock_table *table, struct walfs_lock *lock, uint64_t handle,
		    uint64_t start, uint64_t end);
/* Its holder stays, even if it has nothing now. */
void walfs_lock_drop(struct walfs_lock_table *table, struct walfs_lock *lock);
/* space may be NULL. Return: another owner's lock that is in the way, or NULL. */
const struct walfs_lock *walfs_lock_find_conflict(const struct walfs_lock_space *space,
						  const struct walfs_lock_wish *wish);
/* Something there is free now: those who wait are to be tried, (once more) all of them. */
void walfs_lock_stir(struct walfs_lock_table *table, struct walfs_lock_space *space);

/* lock_set.c: sets it, as nothing is in the way. Return: 0 or -ENOLCK. */
int walfs_lock_set_in(struct walfs_lock_table *table, struct walfs_lock_space *space,
		      const struct walfs_lock_wish *wish);

#endif
