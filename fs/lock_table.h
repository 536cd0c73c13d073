/* SPDX-License-Identifier: MIT */
/*
 * flock() and fcntl() locks: who holds what, and who waits for it. Nothing here knows of
 * FUSE. As on Linux file systems the two kinds do not see each other.
 *
 * What a call costs grows with the logarithm of the locks there are, and with how many
 * of the caller's own it touches, which are bounded; never with what others hold or wait
 * for. Those who wait are tried a few at a time (walfs_lock_table_wake()).
 *
 * Threads: the caller's care.
 */
#ifndef WALFS_FS_LOCK_TABLE_H
#define WALFS_FS_LOCK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "intervals.h"
#include "table.h"

#define WALFS_LOCK_LAST_BYTE UINT64_C(0x7fffffffffffffff)
/* Locks of one owner (a process, or an open file) on one file. */
#define WALFS_LOCKS_OF_OWNER 1024u
/* Locks and waits of one user, on all files. */
#define WALFS_LOCKS_OF_USER 65536u
/* So many of those who wait are tried at a time: that holds up everybody's requests. */
#define WALFS_LOCKS_TRIED 16u

/* What somebody asks for, or has. */
struct walfs_lock_wish {
	uint64_t file;
	bool flock; /* or POSIX */
	short type; /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t owner;
	uint64_t handle;     /* through which: it ends with that one at the latest */
	uint64_t start, end; /* inclusive */
	pid_t pid;
	uid_t uid;
};

struct walfs_lock_user;
struct walfs_lock_space;

/* Who waits for a lock. All but wish is the table's. */
struct walfs_lock_waiter {
	struct walfs_lock_wish wish; /* constant while it waits */
	struct walfs_table_node by_owner;
	struct walfs_lock_space *space;
	struct walfs_lock_user *user;
	struct walfs_lock_waiter *before, *after; /* in order of arrival, of one space */
};

/* All zero but for granted is an empty one. */
struct walfs_lock_table {
	/* A wait is over: 0, -EDEADLK or -ENOLCK. The waiter is the caller's again. */
	void (*granted)(struct walfs_lock_waiter *waiter, int err);
	/* The table's: */
	struct walfs_table spaces;  /* by file and kind */
	struct walfs_table owners;  /* by space and owner: those that hold something */
	struct walfs_table users;   /* by uid */
	struct walfs_table handles; /* locks, by the handle */
	struct walfs_table waiting; /* waiters, by owner; POSIX only */
	struct walfs_lock_space *stirred, *last_stirred; /* something was unlocked there */
	uint64_t steps; /* of all searches but those in the tables */
};

/*
 * Sets or clears a lock. Return: 0; -EAGAIN: another owner has what is in the way; -ENOLCK:
 * no memory, or too many (clearing the middle of a lock makes two of it).
 */
int walfs_lock_table_set(struct walfs_lock_table *table, const struct walfs_lock_wish *wish);
/* Return: whether another owner's lock is in the way; then held is that one. */
bool walfs_lock_table_test(struct walfs_lock_table *table, const struct walfs_lock_wish *wish,
			   struct walfs_lock_wish *held);
/* After set() gave -EAGAIN. Return: 0, and granted() will be called; -EDEADLK; -ENOLCK. */
int walfs_lock_table_wait(struct walfs_lock_table *table, struct walfs_lock_waiter *waiter,
			  const struct walfs_lock_wish *wish);
/* It waits no longer; granted() is not called. */
void walfs_lock_table_cancel(struct walfs_lock_table *table, struct walfs_lock_waiter *waiter);
/* Drops what the wish's owner has of this kind on its file. */
void walfs_lock_table_drop_owner(struct walfs_lock_table *table,
				 const struct walfs_lock_wish *wish);
/* Drops all that was taken through the handle. */
void walfs_lock_table_drop_handle(struct walfs_lock_table *table, uint64_t handle);
/*
 * Tries some of those who wait for what was unlocked, first come first served, and grants
 * what can be. Return: whether more are to be tried.
 */
bool walfs_lock_table_wake(struct walfs_lock_table *table);
/* Frees all. Nobody may wait any more. */
void walfs_lock_table_destroy(struct walfs_lock_table *table);

#endif
