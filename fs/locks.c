/* SPDX-License-Identifier: MIT */
/*
 * flock() and fcntl() locks. The kernel would keep them per inode, and each
 * lookup of `current` gives a new inode; so they are kept here, one table for
 * the log, in which every `current` is the same file.
 *
 * A lock remembers the handle it was taken through: open file description locks have
 * no other moment to end than that handle's release.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "walfs.h"

struct walfs_lock_request {
	struct walfs_lock_waiter waiter; /* the first member */
	fuse_req_t req;
	struct walfs_locks *locks;
	struct walfs_lock_request *before, *after; /* of all that wait */
	struct walfs_lock_request *next_interrupted;
};

static fuse_ino_t file_of(fuse_ino_t ino)
{
	return walfs_ino_kind(ino) >= WALFS_CURRENT ? (fuse_ino_t)walfs_ino_kind(ino) : ino;
}

/* --- waiting ---------------------------------------------------------------------- */

/* The table has given the waiter back. */
static void answer(struct walfs_lock_request *request, int err)
{
	if (request->before)
		request->before->after = request->after;
	else
		request->locks->waiting = request->after;
	if (request->after)
		request->after->before = request->before;
	fuse_req_interrupt_func(request->req, NULL, NULL);
	fuse_reply_err(request->req, -err);
	free(request);
}

void walfs_locks_granted(struct walfs_lock_waiter *waiter, int err)
{
	answer((struct walfs_lock_request *)waiter, err);
}

static void cancel(struct walfs_lock_request *request, int err)
{
	walfs_lock_table_cancel(&request->locks->table, &request->waiter);
	answer(request, err);
}

/* libfuse holds locks of its own here, so this only leaves a note. */
static void note_interrupt(fuse_req_t req, void *data)
{
	struct walfs_lock_request *request = data;

	(void)req;
	request->next_interrupted = request->locks->interrupted;
	request->locks->interrupted = request;
}

bool walfs_locks_reap(struct walfs *fs)
{
	struct walfs_lock_request *request, *next;

	/* before any of them can be granted what it waits for */
	for (request = fs->locks.interrupted; request; request = next) {
		next = request->next_interrupted;
		cancel(request, -EINTR);
	}
	fs->locks.interrupted = NULL;
	return walfs_lock_table_wake(&fs->locks.table);
}

static void wait_for(fuse_req_t req, struct walfs_locks *locks, const struct walfs_lock_wish *wish)
{
	struct walfs_lock_request *request = calloc(1, sizeof(*request));
	int err = request ? walfs_lock_table_wait(&locks->table, &request->waiter, wish) : -ENOLCK;

	if (!request || err) {
		free(request);
		fuse_reply_err(req, -err);
		return;
	}
	request->req = req;
	request->locks = locks;
	request->after = locks->waiting;
	if (request->after)
		request->after->before = request;
	locks->waiting = request;
	fuse_req_interrupt_func(req, note_interrupt, request);
}

static void set(fuse_req_t req, const struct walfs_lock_wish *wish, bool sleep)
{
	struct walfs_locks *locks = &walfs_of(req)->locks;
	int err = walfs_lock_table_set(&locks->table, wish);

	if (err == -EAGAIN && sleep)
		wait_for(req, locks, wish);
	else
		fuse_reply_err(req, -err);
}

/* --- requests ---------------------------------------------------------------------- */

static struct walfs_lock_wish from_flock(fuse_req_t req, fuse_ino_t ino,
					 const struct fuse_file_info *fi, const struct flock *lock)
{
	return (struct walfs_lock_wish){
		.file = file_of(ino),
		.type = lock->l_type,
		.owner = fi->lock_owner,
		.handle = fi->fh,
		.start = (uint64_t)lock->l_start,
		.end = lock->l_len ? (uint64_t)(lock->l_start + lock->l_len - 1)
				   : WALFS_LOCK_LAST_BYTE,
		.pid = lock->l_pid,
		.uid = fuse_req_ctx(req)->uid,
	};
}

void walfs_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
	struct walfs_lock_wish wish = from_flock(req, ino, fi, lock), held;

	lock->l_type = F_UNLCK;
	if (walfs_lock_table_test(&walfs_of(req)->locks.table, &wish, &held)) {
		lock->l_type = held.type;
		lock->l_whence = SEEK_SET;
		lock->l_start = (off_t)held.start;
		lock->l_len =
			held.end == WALFS_LOCK_LAST_BYTE ? 0 : (off_t)(held.end - held.start + 1);
		lock->l_pid = held.pid;
	}
	fuse_reply_lock(req, lock);
}

void walfs_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
		 int sleep)
{
	struct walfs_lock_wish wish = from_flock(req, ino, fi, lock);

	set(req, &wish, sleep);
}

void walfs_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
	struct walfs_lock_table *table = &walfs_of(req)->locks.table;
	struct walfs_lock_wish held;
	struct walfs_lock_wish wish = {
		.file = file_of(ino),
		.flock = true,
		.type = op & LOCK_EX   ? F_WRLCK
			: op & LOCK_SH ? F_RDLCK
				       : F_UNLCK,
		.owner = fi->lock_owner,
		.handle = fi->fh,
		.end = WALFS_LOCK_LAST_BYTE,
		.pid = fuse_req_ctx(req)->pid,
		.uid = fuse_req_ctx(req)->uid,
	};

	/* As Linux does: a conversion gives up the old lock first, or two would wait for ever. */
	if (walfs_lock_table_test(table, &wish, &held))
		walfs_lock_table_drop_owner(table, &wish);
	set(req, &wish, !(op & LOCK_NB));
}

void walfs_locks_flush(struct walfs *fs, const struct walfs_handle *handle, uint64_t owner)
{
	const struct walfs_lock_wish all = {.file = file_of(handle->ino), .owner = owner};

	walfs_lock_table_drop_owner(&fs->locks.table, &all);
}

void walfs_locks_release(struct walfs *fs, const struct walfs_handle *handle)
{
	walfs_lock_table_drop_handle(&fs->locks.table, handle->id);
}

void walfs_locks_end(struct walfs *fs)
{
	while (fs->locks.waiting)
		cancel(fs->locks.waiting, -ENOTCONN);
	walfs_lock_table_destroy(&fs->locks.table);
}
