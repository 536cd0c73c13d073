/* SPDX-License-Identifier: MIT */
/*
 * `current`: what is written to it becomes events. It behaves as a file with
 * chattr +a does. Appending is done here and now, in the order of arrival;
 * only what has to be durable is parked until the log says that it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "walfs.h"

/* --- durable replies ------------------------------------------------------------ */

struct walfs_parked_sync {
	struct wal_sync sync; /* the first member */
	struct walfs *fs;
	fuse_req_t req;
	struct walfs_timer timer;
	size_t written; /* 0: the request was not a write */
};

/* In the thread that commits. */
static void sync_done(struct wal_sync *sync, int err)
{
	struct walfs_parked_sync *parked = (struct walfs_parked_sync *)sync;
	struct walfs *fs = parked->fs;

	if (err)
		fuse_reply_err(parked->req, -err);
	else if (parked->written)
		fuse_reply_write(parked->req, parked->written);
	else
		fuse_reply_err(parked->req, 0);
	walfs_opstats_answered(&fs->opstats, &parked->timer);
	free(parked);
	pthread_mutex_lock(&fs->sync_lock);
	fs->syncs--;
	pthread_cond_signal(&fs->sync_done);
	pthread_mutex_unlock(&fs->sync_lock);
}

static void reply_when_durable(fuse_req_t req, size_t written)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_parked_sync *parked = calloc(1, sizeof(*parked));

	if (!parked) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	parked->sync.done = sync_done;
	parked->sync.of_append = written > 0;
	parked->fs = fs;
	parked->req = req;
	parked->written = written;
	parked->timer = walfs_opstats_park(&fs->opstats);
	pthread_mutex_lock(&fs->sync_lock);
	fs->syncs++;
	pthread_mutex_unlock(&fs->sync_lock);
	fs->to_join = parked;
}

bool walfs_sync_join(struct walfs *fs)
{
	struct walfs_parked_sync *parked = fs->to_join;

	fs->to_join = NULL;
	return parked && wal_log_sync_join(fs->log, &parked->sync);
}

void walfs_syncs_wait(struct walfs *fs)
{
	pthread_mutex_lock(&fs->sync_lock);
	while (fs->syncs)
		pthread_cond_wait(&fs->sync_done, &fs->sync_lock);
	pthread_mutex_unlock(&fs->sync_lock);
}

/* --- close ----------------------------------------------------------------------- */

/* The last close of an open file: what it began is an event now, as it is. */
void walfs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_handle *handle = walfs_handle_get(fs, fi->fh);
	int err;

	(void)ino;
	if (!handle) {
		fuse_reply_err(req, EBADF);
		return;
	}
	err = walfs_frame_finish(&handle->frame, fs->log);
	if (err)
		walfs_say(WAL_NOTICE_ERROR, "%zu bytes of an unfinished record are lost: %s",
			  handle->frame.held, strerror(-err));
	walfs_locks_release(fs, handle);
	walfs_handle_put(handle);
	fuse_reply_err(req, -err);
}

/*
 * A close() of one of perhaps many descriptors, or the exit of a child that
 * inherited one: not the end of a record.
 */
void walfs_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_handle *handle = walfs_handle_get(fs, fi->fh);

	(void)ino;
	if (handle)
		walfs_locks_flush(fs, handle, fi->lock_owner);
	fuse_reply_err(req, handle ? 0 : EBADF);
}

/* --- write and sync --------------------------------------------------------------- */

/* Of a write without O_APPEND, which fcntl can clear after the open. */
static bool goes_on(const struct walfs_handle *handle, off_t offset)
{
	return handle->sequential && walfs_sequential_goes_on(&handle->fs->sequential,
							      handle->sequential, (uint64_t)offset);
}

void walfs_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		 struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_handle *handle = walfs_handle_get(fs, fi->fh);
	bool durable = fs->options.sync == WALFS_SYNC_ALWAYS || fi->flags & O_DSYNC;
	ssize_t taken;

	(void)ino;
	if (!handle || !handle->writable) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (!(fi->flags & O_APPEND) && !goes_on(handle, offset)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	taken = walfs_frame_write(&handle->frame, fs->log, data, size, durable);
	if (taken > 0 && handle->sequential)
		walfs_sequential_wrote(&fs->sequential, handle->sequential,
				       (uint64_t)(offset + taken));
	if (taken < 0)
		fuse_reply_err(req, (int)-taken);
	else if (durable && taken > 0)
		reply_when_durable(req, (size_t)taken);
	else
		fuse_reply_write(req, (size_t)taken);
}

void walfs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_handle *handle = walfs_handle_get(fs, fi->fh);
	int err;

	(void)ino;
	(void)datasync;
	if (!handle) {
		fuse_reply_err(req, EBADF);
		return;
	}
	if (wal_log_is_read_only(fs->log)) {
		fuse_reply_err(req, 0);
		return;
	}
	/* A finished segment may still be on its way to the disk: that is waited for, too. */
	err = walfs_frame_finish(&handle->frame, fs->log);
	if (err)
		fuse_reply_err(req, -err);
	else
		reply_when_durable(req, 0);
}

/* Makes names durable; a log's names become durable with its events. */
void walfs_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	if (wal_log_is_read_only(walfs_of(req)->log))
		fuse_reply_err(req, 0);
	else
		reply_when_durable(req, 0);
}

/* --- setattr ------------------------------------------------------------------------ */

#define SET_TIMES (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)

/* Scripts that start containers chown and chmod all there is, to what it has already. */
static bool changes_owner_or_mode(const struct walfs *fs, fuse_ino_t ino, const struct stat *attr,
				  int to_set)
{
	mode_t mode = walfs_stat_mode(fs, ino);

	return (to_set & FUSE_SET_ATTR_MODE && (attr->st_mode ^ mode) & 07777) ||
	       (to_set & FUSE_SET_ATTR_UID && attr->st_uid != fs->options.uid) ||
	       (to_set & FUSE_SET_ATTR_GID && attr->st_gid != fs->options.gid);
}

/* A plain touch(1) is allowed on an append-only file; a log's times are its events'. */
static bool is_touch(int to_set)
{
	if (to_set & FUSE_SET_ATTR_ATIME && !(to_set & FUSE_SET_ATTR_ATIME_NOW))
		return false;
	return !(to_set & FUSE_SET_ATTR_MTIME) || to_set & FUSE_SET_ATTR_MTIME_NOW;
}

void walfs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		   struct fuse_file_info *fi)
{
	if (to_set & FUSE_SET_ATTR_SIZE ||
	    changes_owner_or_mode(walfs_of(req), ino, attr, to_set) ||
	    (to_set & SET_TIMES && !(walfs_ino_kind(ino) == WALFS_CURRENT && is_touch(to_set))))
		fuse_reply_err(req, EPERM);
	else
		walfs_getattr(req, ino, fi);
}
