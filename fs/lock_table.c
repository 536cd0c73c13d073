/* SPDX-License-Identifier: MIT */
/*
 * A space is what can be locked: one file, for one kind. In it the locks are two sets of
 * ranges, those for writing and those for reading, as a read lock is only in the way of
 * the former. What one owner has in a space is a set of its own, too: in that the ranges
 * never overlap, and touching ones of one type are one.
 */
#include "lock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#define DEADLOCK_DEPTH 64

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

struct holder {
	struct walfs_table_node by_owner;
	struct walfs_lock_space *space;
	uint64_t owner;
	struct walfs_intervals locks;
	size_t count;
};

struct lock {
	struct walfs_interval in_space;
	struct walfs_interval in_holder;
	struct walfs_table_node by_handle;
	struct holder *holder;
	struct walfs_lock_user *user;
	short type;
	pid_t pid;
};

#define container(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static const struct lock *of_space(const struct walfs_interval *node)
{
	return (const struct lock *)((const char *)node - offsetof(struct lock, in_space));
}

static struct lock *of_holder(struct walfs_interval *node)
{
	return node ? container(node, struct lock, in_holder) : NULL;
}

/* --- users, spaces, holders: made when needed, gone when empty ----------------------- */

static struct walfs_lock_user *find_user(struct walfs_lock_table *table, uid_t uid)
{
	struct walfs_table_node *node = walfs_table_find(&table->users, uid);

	return node ? container(node, struct walfs_lock_user, by_uid) : NULL;
}

static struct walfs_lock_user *make_user(struct walfs_lock_table *table, uid_t uid)
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

static void put_user(struct walfs_lock_table *table, struct walfs_lock_user *user)
{
	if (user->count)
		return;
	walfs_table_remove(&table->users, &user->by_uid);
	free(user);
}

static struct walfs_lock_space *find_space(struct walfs_lock_table *table,
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

static struct walfs_lock_space *make_space(struct walfs_lock_table *table,
					   const struct walfs_lock_wish *wish)
{
	struct walfs_lock_space *space = find_space(table, wish);

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

static void put_space(struct walfs_lock_table *table, struct walfs_lock_space *space)
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

static struct holder *find_holder(struct walfs_lock_table *table,
				  const struct walfs_lock_space *space, uint64_t owner)
{
	struct walfs_table_node *first, *node;

	first = space ? walfs_table_find(&table->owners, holder_key(space, owner)) : NULL;
	for (node = first; node; node = walfs_table_next(first, node)) {
		struct holder *holder = container(node, struct holder, by_owner);

		if (holder->space == space && holder->owner == owner)
			return holder;
	}
	return NULL;
}

static struct holder *make_holder(struct walfs_lock_table *table, struct walfs_lock_space *space,
				  uint64_t owner)
{
	struct holder *holder = find_holder(table, space, owner);

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

static void put_holder(struct walfs_lock_table *table, struct holder *holder)
{
	struct walfs_lock_space *space = holder->space;

	if (holder->count)
		return;
	walfs_table_remove(&table->owners, &holder->by_owner);
	space->owners--;
	free(holder);
	put_space(table, space);
}

/* --- locks ------------------------------------------------------------------------------ */

static struct walfs_intervals *set_of(struct lock *lock)
{
	return &lock->holder->space->held[lock->type == F_WRLCK];
}

static void enter(struct lock *lock, uint64_t start, uint64_t end)
{
	lock->in_space.start = lock->in_holder.start = start;
	lock->in_space.end = lock->in_holder.end = end;
	walfs_intervals_add(set_of(lock), &lock->in_space);
	walfs_intervals_add(&lock->holder->locks, &lock->in_holder);
}

static void leave(struct lock *lock)
{
	walfs_intervals_remove(set_of(lock), &lock->in_space);
	walfs_intervals_remove(&lock->holder->locks, &lock->in_holder);
}

static void add(struct walfs_lock_table *table, struct lock *lock, uint64_t handle,
		uint64_t start, uint64_t end)
{
	lock->holder->count++;
	lock->user->count++;
	walfs_table_add(&table->handles, &lock->by_handle, handle);
	enter(lock, start, end);
}

/* Its holder stays, even if it has nothing now. */
static void drop(struct walfs_lock_table *table, struct lock *lock)
{
	leave(lock);
	walfs_table_remove(&table->handles, &lock->by_handle);
	lock->holder->count--;
	lock->user->count--;
	put_user(table, lock->user);
	free(lock);
}

static bool is_anothers(const struct walfs_interval *node, const void *ctx)
{
	const uint64_t *owner = ctx;

	return of_space(node)->holder->owner != *owner;
}

/* Return: another owner's lock that is in the way, or NULL. */
static const struct lock *find_conflict(const struct walfs_lock_space *space,
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

/* Something there is free now: those who wait are to be tried, (once more) all of them. */
static void stir(struct walfs_lock_table *table, struct walfs_lock_space *space)
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

/* --- setting ----------------------------------------------------------------------------- */

/* A change to one owner's locks. */
struct change {
	const struct walfs_lock_wish *wish;
	struct holder *holder;
	uint64_t start, end; /* what the added one has in the end */
	struct lock *added, *spare;
};

/* Return: the owner's first lock from `from` on that the wish overlaps or touches. */
static struct lock *next_touched(const struct change *change, uint64_t from)
{
	const struct walfs_lock_wish *wish = change->wish;
	uint64_t first = wish->start ? wish->start - 1 : 0;

	if (from > wish->end + 1)
		return NULL;
	return of_holder(walfs_intervals_find(&change->holder->locks, from > first ? from : first,
					      wish->end + 1, NULL, NULL));
}

static bool is_overlapped(const struct change *change, const struct lock *lock)
{
	return lock->in_holder.start <= change->wish->end &&
	       lock->in_holder.end >= change->wish->start;
}

/* How many locks more (or less) the owner would have. */
static long growth(const struct change *change)
{
	const struct walfs_lock_wish *wish = change->wish;
	long more = wish->type != F_UNLCK;
	struct lock *lock;
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
static void carve(struct walfs_lock_table *table, struct change *change, struct lock *old)
{
	const struct walfs_lock_wish *wish = change->wish;
	uint64_t start = old->in_holder.start, end = old->in_holder.end;

	if (start >= wish->start && end <= wish->end) {
		drop(table, old);
		return;
	}
	leave(old);
	if (start < wish->start && end > wish->end) {
		struct lock *rest = change->spare;

		change->spare = NULL;
		rest->holder = old->holder;
		rest->user = old->user;
		rest->type = old->type;
		rest->pid = old->pid;
		add(table, rest, old->by_handle.key, wish->end + 1, end);
	}
	if (start < wish->start)
		enter(old, start, wish->start - 1);
	else
		enter(old, wish->end + 1, end);
}

/* A lock of the same type that touches the new one becomes part of it. */
static void absorb(struct walfs_lock_table *table, struct change *change, struct lock *old)
{
	if (old->in_holder.start < change->start)
		change->start = old->in_holder.start;
	if (old->in_holder.end > change->end)
		change->end = old->in_holder.end;
	drop(table, old);
}

static void make_change(struct walfs_lock_table *table, struct change *change)
{
	const struct walfs_lock_wish *wish = change->wish;
	struct lock *lock, *added = change->added;
	uint64_t from = 0;

	while ((lock = next_touched(change, from)) != NULL) {
		from = lock->in_holder.end + 1;
		if (lock->type == wish->type) {
			absorb(table, change, lock);
		} else if (is_overlapped(change, lock)) {
			carve(table, change, lock);
			stir(table, change->holder->space);
		}
	}
	if (wish->type == F_UNLCK)
		return;
	change->added = NULL;
	add(table, added, wish->handle, change->start, change->end);
}

/* Nothing is in the way. The holder may be left with nothing. */
static int apply(struct walfs_lock_table *table, const struct walfs_lock_wish *wish,
		 struct holder *holder)
{
	struct change change = {
		.wish = wish, .holder = holder, .start = wish->start, .end = wish->end};
	struct walfs_lock_user *user = make_user(table, wish->uid);
	int error = -ENOLCK;

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
		error = 0;
	}
	if (user)
		put_user(table, user);
	free(change.added);
	free(change.spare);
	return error;
}

/* Nothing is in the way. */
static int set_in(struct walfs_lock_table *table, struct walfs_lock_space *space,
		  const struct walfs_lock_wish *wish)
{
	struct holder *holder = make_holder(table, space, wish->owner);
	int error = holder ? apply(table, wish, holder) : -ENOLCK;

	if (holder)
		put_holder(table, holder);
	else
		put_space(table, space);
	return error;
}

int walfs_lock_table_set(struct walfs_lock_table *table, const struct walfs_lock_wish *wish)
{
	struct walfs_lock_space *space = find_space(table, wish);

	if (find_conflict(space, wish))
		return -EAGAIN;
	if (wish->type == F_UNLCK && !find_holder(table, space, wish->owner))
		return 0;
	space = make_space(table, wish);
	return space ? set_in(table, space, wish) : -ENOLCK;
}

bool walfs_lock_table_test(struct walfs_lock_table *table, const struct walfs_lock_wish *wish,
			   struct walfs_lock_wish *held)
{
	const struct lock *lock = find_conflict(find_space(table, wish), wish);

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
	struct holder *holder = find_holder(table, find_space(table, wish), wish->owner);
	struct walfs_interval *node;

	if (!holder)
		return;
	while ((node = holder->locks.root) != NULL)
		drop(table, of_holder(node));
	stir(table, holder->space);
	put_holder(table, holder);
}

void walfs_lock_table_drop_handle(struct walfs_lock_table *table, uint64_t handle)
{
	struct walfs_table_node *node;

	while ((node = walfs_table_find(&table->handles, handle)) != NULL) {
		struct lock *lock = container(node, struct lock, by_handle);
		struct holder *holder = lock->holder;

		drop(table, lock);
		stir(table, holder->space);
		put_holder(table, holder);
	}
}

/* --- waiting ------------------------------------------------------------------------------- */

/* Follows who waits for whom. Return: whether waiting would never end. */
static bool would_deadlock(struct walfs_lock_table *table, const struct walfs_lock_wish *wish)
{
	const struct walfs_lock_wish *next = wish;
	const struct lock *lock;
	struct walfs_table_node *node;
	int depth;

	if (wish->flock)
		return false;
	for (depth = 0; depth < DEADLOCK_DEPTH; depth++) {
		lock = find_conflict(find_space(table, next), next);
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
	struct walfs_lock_space *space = find_space(table, wish);
	struct walfs_lock_user *user;

	if (would_deadlock(table, wish))
		return -EDEADLK;
	user = make_user(table, wish->uid);
	if (!user)
		return -ENOLCK;
	if (user->count >= WALFS_LOCKS_OF_USER) {
		put_user(table, user);
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
	put_user(table, waiter->user);
}

void walfs_lock_table_cancel(struct walfs_lock_table *table, struct walfs_lock_waiter *waiter)
{
	unwait(table, waiter);
	put_space(table, waiter->space);
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
		stir(table, space);
	put_space(table, space);
}

static void try_next(struct walfs_lock_table *table, struct walfs_lock_space *space)
{
	struct walfs_lock_waiter *waiter = space->tried;

	table->steps++;
	if (find_conflict(space, &waiter->wish)) {
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
	table->granted(waiter, set_in(table, space, &waiter->wish));
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

/* --- the end -------------------------------------------------------------------------------- */

static void free_lock(struct walfs_table_node *node)
{
	free(container(node, struct lock, by_handle));
}

static void free_holder(struct walfs_table_node *node)
{
	free(container(node, struct holder, by_owner));
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
