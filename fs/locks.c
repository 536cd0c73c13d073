/* SPDX-License-Identifier: MIT */
/*
 * flock() and fcntl() locks. The kernel would keep them per inode, and each
 * lookup of `current` gives a new inode; so they are kept here, one table for
 * the log, in which every `current` is the same file.
 *
 * As on other Linux file systems the two kinds do not see each other. A lock
 * remembers the handle it was taken through: open file description locks have
 * no other moment to end than that handle's release.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "walfs.h"

#define LAST_BYTE UINT64_C(0x7fffffffffffffff)

struct walfs_lock {
	struct walfs_lock *next;
	fuse_ino_t file;
	bool flock; /* or POSIX */
	short type; /* F_RDLCK, F_WRLCK, F_UNLCK */
	uint64_t owner;
	uint64_t handle;
	uint64_t start, end; /* inclusive */
	pid_t pid;
};

struct walfs_lock_waiter {
	struct walfs_lock_waiter *next;
	struct walfs_locks *locks;
	struct walfs_lock wanted;
	fuse_req_t req;
	bool interrupted;
};

/* --- the table ------------------------------------------------------------------ */

static fuse_ino_t file_of(fuse_ino_t ino)
{
	return walfs_ino_kind(ino) >= WALFS_CURRENT ? (fuse_ino_t)walfs_ino_kind(ino) : ino;
}

static bool same_owner(const struct walfs_lock *a, const struct walfs_lock *b)
{
	return a->file == b->file && a->flock == b->flock && a->owner == b->owner;
}

static bool overlap(const struct walfs_lock *a, const struct walfs_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

static bool conflict(const struct walfs_lock *a, const struct walfs_lock *b)
{
	return a->file == b->file && a->flock == b->flock && a->owner != b->owner &&
	       overlap(a, b) && (a->type == F_WRLCK || b->type == F_WRLCK);
}

static struct walfs_lock *find_conflict(struct walfs_locks *locks, const struct walfs_lock *wanted)
{
	struct walfs_lock *lock;

	for (lock = locks->held; lock; lock = lock->next)
		if (wanted->type != F_UNLCK && conflict(lock, wanted))
			return lock;
	return NULL;
}

static void drop(struct walfs_lock **link)
{
	struct walfs_lock *lock = *link;

	*link = lock->next;
	free(lock);
}

static void insert(struct walfs_locks *locks, struct walfs_lock *lock)
{
	lock->next = locks->held;
	locks->held = lock;
}

/* A lock of the same type that touches the new one becomes part of it. */
static bool absorb(struct walfs_lock *new, const struct walfs_lock *old)
{
	if (old->type != new->type || old->start > new->end + 1 || new->start > old->end + 1)
		return false;
	if (old->start < new->start)
		new->start = old->start;
	if (old->end > new->end)
		new->end = old->end;
	return true;
}

/*
 * Takes the new lock's range out of an older one of its owner, which it
 * overlaps. Return: whether nothing is left of that; spare is used if it is
 * cut in two.
 */
static bool carve(struct walfs_locks *locks, struct walfs_lock *old, const struct walfs_lock *new,
		  struct walfs_lock **spare)
{
	bool left = old->start<new->start, right = old->end> new->end;

	if (left && right) {
		**spare = *old;
		(*spare)->start = new->end + 1;
		insert(locks, *spare);
		*spare = NULL;
	}
	if (left)
		old->end = new->start - 1;
	else if (right)
		old->start = new->end + 1;
	return !left && !right;
}

/* Sets or clears what wanted says; the caller knows that nothing conflicts. */
static int apply(struct walfs_locks *locks, const struct walfs_lock *wanted)
{
	struct walfs_lock *new = malloc(sizeof(*new)), *spare = malloc(sizeof(*spare));
	struct walfs_lock **link = &locks->held;
	int error = new &&spare ? 0 : -ENOLCK;

	if (error)
		goto out;
	*new = *wanted;
	while (*link) {
		if (same_owner(*link, new) &&
		    (absorb(new, *link) ||
		     (overlap(*link, new) && carve(locks, *link, new, &spare))))
			drop(link);
		else
			link = &(*link)->next;
	}
	if (new->type != F_UNLCK) {
		insert(locks, new);
		new = NULL;
	}
out:
	free(new);
	free(spare);
	return error;
}

/* --- waiting ---------------------------------------------------------------------- */

static void answer_waiter(struct walfs_lock_waiter **link, int error)
{
	struct walfs_lock_waiter *waiter = *link;

	*link = waiter->next;
	fuse_req_interrupt_func(waiter->req, NULL, NULL);
	fuse_reply_err(waiter->req, -error);
	free(waiter);
}

/* Something was unlocked: whoever can go on does, first come first served. */
static void wake(struct walfs_locks *locks)
{
	struct walfs_lock_waiter **link = &locks->waiting;

	while (*link) {
		if (find_conflict(locks, &(*link)->wanted))
			link = &(*link)->next;
		else
			answer_waiter(link, apply(locks, &(*link)->wanted));
	}
}

/* libfuse holds locks of its own here, so this only leaves a note. */
static void note_interrupt(fuse_req_t req, void *data)
{
	struct walfs_lock_waiter *waiter = data;

	(void)req;
	waiter->interrupted = true;
	waiter->locks->interrupted = true;
}

void walfs_locks_reap(struct walfs *fs)
{
	struct walfs_lock_waiter **link = &fs->locks.waiting;

	if (!fs->locks.interrupted)
		return;
	fs->locks.interrupted = false;
	while (*link) {
		if ((*link)->interrupted)
			answer_waiter(link, -EINTR);
		else
			link = &(*link)->next;
	}
}

/* Follows who waits for whom. Return: whether waiting would never end. */
static bool would_deadlock(struct walfs_locks *locks, const struct walfs_lock *wanted)
{
	const struct walfs_lock *next = wanted;
	const struct walfs_lock_waiter *waiter;
	int depth;

	if (wanted->flock)
		return false;
	for (depth = 0; depth < 64; depth++) {
		next = find_conflict(locks, next);
		if (!next)
			return false;
		if (next->owner == wanted->owner)
			return true;
		for (waiter = locks->waiting; waiter; waiter = waiter->next)
			if (!waiter->wanted.flock && waiter->wanted.owner == next->owner)
				break;
		if (!waiter)
			return false;
		next = &waiter->wanted;
	}
	return false;
}

static void wait_for(fuse_req_t req, struct walfs_locks *locks, const struct walfs_lock *wanted)
{
	struct walfs_lock_waiter *waiter, **link = &locks->waiting;

	if (would_deadlock(locks, wanted)) {
		fuse_reply_err(req, EDEADLK);
		return;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter) {
		fuse_reply_err(req, ENOLCK);
		return;
	}
	waiter->locks = locks;
	waiter->wanted = *wanted;
	waiter->req = req;
	while (*link)
		link = &(*link)->next;
	*link = waiter;
	fuse_req_interrupt_func(req, note_interrupt, waiter);
}

static void drop_owner(struct walfs_locks *locks, const struct walfs_lock *owner)
{
	struct walfs_lock **link = &locks->held;
	bool dropped = false;

	while (*link) {
		if (same_owner(*link, owner)) {
			drop(link);
			dropped = true;
		} else {
			link = &(*link)->next;
		}
	}
	if (dropped)
		wake(locks);
}

static void set(fuse_req_t req, const struct walfs_lock *wanted, bool sleep)
{
	struct walfs_locks *locks = &walfs_of(req)->locks;

	if (!find_conflict(locks, wanted)) {
		fuse_reply_err(req, -apply(locks, wanted));
		wake(locks); /* it may have been an unlock, or a weaker lock than before */
	} else if (sleep) {
		wait_for(req, locks, wanted);
	} else {
		fuse_reply_err(req, EAGAIN);
	}
}

/* --- requests ---------------------------------------------------------------------- */

static struct walfs_lock from_flock(fuse_ino_t ino, const struct fuse_file_info *fi,
				    const struct flock *lock)
{
	return (struct walfs_lock){
		.file = file_of(ino),
		.type = lock->l_type,
		.owner = fi->lock_owner,
		.handle = fi->fh,
		.start = (uint64_t)lock->l_start,
		.end = lock->l_len ? (uint64_t)(lock->l_start + lock->l_len - 1) : LAST_BYTE,
		.pid = lock->l_pid,
	};
}

void walfs_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct walfs_lock wanted = from_flock(ino, fi, lock);
	const struct walfs_lock *held = find_conflict(&walfs_of(req)->locks, &wanted);

	lock->l_type = F_UNLCK;
	if (held) {
		lock->l_type = held->type;
		lock->l_whence = SEEK_SET;
		lock->l_start = (off_t)held->start;
		lock->l_len = held->end == LAST_BYTE ? 0 : (off_t)(held->end - held->start + 1);
		lock->l_pid = held->pid;
	}
	fuse_reply_lock(req, lock);
}

void walfs_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
		 int sleep)
{
	struct walfs_lock wanted = from_flock(ino, fi, lock);

	set(req, &wanted, sleep);
}

void walfs_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct walfs_locks *locks = &walfs_of(req)->locks;
	struct walfs_lock wanted = {
		.file = file_of(ino),
		.flock = true,
		.type = op & LOCK_EX   ? F_WRLCK
			: op & LOCK_SH ? F_RDLCK
				       : F_UNLCK,
		.owner = fi->lock_owner,
		.handle = fi->fh,
		.end = LAST_BYTE,
		.pid = fuse_req_ctx(req)->pid,
	};

	/* As Linux does: a conversion gives up the old lock first, or two would wait for ever. */
	if (find_conflict(locks, &wanted))
		drop_owner(locks, &wanted);
	set(req, &wanted, !(op & LOCK_NB));
}

void walfs_locks_flush(struct walfs *fs, const struct walfs_handle *handle, uint64_t owner)
{
	const struct walfs_lock all = {.file = file_of(handle->ino), .owner = owner};

	drop_owner(&fs->locks, &all);
}

void walfs_locks_release(struct walfs *fs, const struct walfs_handle *handle)
{
	struct walfs_lock **link = &fs->locks.held;
	bool dropped = false;

	while (*link) {
		if ((*link)->handle == handle->id) {
			drop(link);
			dropped = true;
		} else {
			link = &(*link)->next;
		}
	}
	if (dropped)
		wake(&fs->locks);
}

void walfs_locks_end(struct walfs *fs)
{
	while (fs->locks.waiting)
		answer_waiter(&fs->locks.waiting, -ENOTCONN);
	while (fs->locks.held)
		drop(&fs->locks.held);
}
