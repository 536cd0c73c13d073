/* SPDX-License-Identifier: MIT */
/*
 * Opening a file. Appending needs nothing but a number. What is opened for reading
 * is made ready by a worker before the open is answered: the reader of a segment
 * (so that an open file outlives the removal of its segment), or the text of a
 * file in `.walfs/`, which is what was true at this moment however long it is
 * read.
 *
 * The files in `.walfs/` are FOPEN_DIRECT_IO: no read is answered from a cache of
 * another open, or cut at a size that the kernel learned before this one was made.
 * They have a size all the same, for programs that trust fstat(): see tree.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "walfs.h"

struct open_job {
	struct walfs_job job; /* the first member */
	struct walfs_handle *handle;
	fuse_req_t req;
	struct fuse_file_info fi;
};

static int may_open(const struct walfs *fs, enum walfs_kind kind, int flags)
{
	bool writing = (flags & O_ACCMODE) != O_RDONLY;

	if ((writing || flags & O_TRUNC) && kind != WALFS_CURRENT)
		return -EPERM;
	if (flags & O_TRUNC)
		return -EPERM;
	if (writing && !(flags & O_APPEND) && !fs->options.append_sequential)
		return -EPERM;
	if (writing && wal_log_is_read_only(fs->log))
		return -EROFS;
	return 0;
}

/* --- what a worker does --------------------------------------------------------- */

static int make_report(struct walfs_handle *handle)
{
	int err = walfs_report_make(handle->fs, handle->kind, &handle->report);

	atomic_store(&handle->time_ns, walfs_clock_ns(CLOCK_REALTIME));
	atomic_store(&handle->size, handle->report.size);
	return err;
}

/* Return: whether `current` is another segment by now, where they are removed fast. */
static bool go_on(struct walfs_handle *handle)
{
	uint32_t segment = wal_log_current(handle->fs->log);

	if (handle->kind != WALFS_CURRENT || handle->segment == segment)
		return false;
	handle->segment = segment;
	return true;
}

/*
 * Damage is for the reads to report, each for its part; what else is amiss, for the open. But
 * that of `current`: it is opened to be synced or locked, too, which readers must not keep
 * anybody from.
 */
static int of_open(enum walfs_kind kind, int err)
{
	switch (err) {
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
		return kind == WALFS_CURRENT ? 0 : err;
	case -ENOENT:
	case -EAGAIN: /* later */
		return err;
	default:
		return 0;
	}
}

/* Its segment may be closed or retired by now: then another one is active. */
static int make_snapshot(struct walfs_handle *handle)
{
	int err;

	do {
		handle->segment = wal_log_current(handle->fs->log);
		err = handle->segment ? of_open(handle->kind, walfs_reader_ensure(handle)) : 0;
	} while ((err == -ENOENT || err == -EAGAIN) &&
		 handle->segment != wal_log_current(handle->fs->log));
	return err;
}

static int make_ready(struct walfs_handle *handle)
{
	int err;

	if (handle->kind == WALFS_SNAPSHOT)
		return make_snapshot(handle);
	if (handle->kind == WALFS_METRICS || handle->kind == WALFS_STATUS)
		return make_report(handle);
	if (!handle->segment) /* `current` of a log without segments */
		return 0;
	do
		err = of_open(handle->kind, walfs_reader_ensure(handle));
	while (err == -ENOENT && go_on(handle));
	return err;
}

/*
 * Sealed bytes never change: the kernel may keep what it has read of them. Where
 * a damaged segment's payload ends is not known for sure, and a reader should not
 * take its end for the end: that is EIO, which only an uncached file can give.
 */
static void set_caching(struct walfs_handle *handle, struct fuse_file_info *fi)
{
	struct wal_segment_info info;

	if (fi->direct_io || wal_log_segment_info(handle->fs->log, handle->segment, &info))
		return;
	fi->keep_cache = info.state == WAL_SEALED;
	handle->ends_in_error = handle->kind == WALFS_EVENTS && info.state == WAL_DAMAGED;
	fi->direct_io = handle->ends_in_error;
}

static bool run(struct walfs_job *job, void *buffer)
{
	struct open_job *open = (struct open_job *)job;
	struct walfs_handle *handle = open->handle;
	int err;

	(void)buffer;
	walfs_reader_begin(handle);
	err = make_ready(handle);
	walfs_reader_end(handle);
	if (err == -EAGAIN) {
		open->job.segment = handle->segment;
		return false;
	}
	set_caching(handle, &open->fi);
	if (err) {
		fuse_reply_err(open->req, -err);
		walfs_handle_reject(handle);
	} else if (fuse_reply_open(open->req, &open->fi) == -ENOENT) {
		walfs_handle_reject(handle); /* interrupted: there will be no RELEASE */
	}
	free(open);
	return true;
}

/* --- the request ------------------------------------------------------------------ */

/* A reader of `current` may meet the end of its segment's life only where there is one. */
static bool needs_worker(const struct walfs *fs, enum walfs_kind kind, int flags)
{
	if (kind != WALFS_CURRENT)
		return true;
	return (flags & O_ACCMODE) != O_WRONLY && walfs_are_removed(&fs->options);
}

static void open_later(fuse_req_t req, struct walfs_handle *handle, const struct fuse_file_info *fi)
{
	struct open_job *open = malloc(sizeof(*open));

	if (!open) {
		walfs_handle_put(handle);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*open = (struct open_job){.job = {.run = run, .segment = handle->segment},
				  .handle = handle,
				  .req = req,
				  .fi = *fi};
	walfs_workers_submit(&handle->fs->workers, &open->job, &handle->strand);
}

static void note_position(struct walfs_handle *handle)
{
	struct wal_log_position position;

	wal_log_position(handle->fs->log, &position);
	if (position.segment != handle->segment)
		return;
	atomic_store(&handle->size, position.payload_bytes);
	atomic_store(&handle->time_ns, position.last_ns);
}

/* Without O_APPEND it writes where it takes the end to be. Return: 0 or -ENOMEM. */
static int begin_sequential(struct walfs_handle *handle, int flags)
{
	struct walfs *fs = handle->fs;
	struct wal_log_position position;

	if (!handle->writable || flags & O_APPEND)
		return 0;
	wal_log_position(fs->log, &position);
	handle->sequential = walfs_sequential_add(&fs->sequential, handle->ino, handle->id,
						  position.payload_bytes);
	return handle->sequential ? 0 : -ENOMEM;
}

void walfs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	enum walfs_kind kind = walfs_ino_kind(ino);
	int err = may_open(fs, kind, fi->flags);
	struct walfs_handle *handle;

	if (err) {
		fuse_reply_err(req, -err);
		return;
	}
	handle = walfs_handle_new(fs, ino, fi->flags);
	if (handle && begin_sequential(handle, fi->flags)) {
		walfs_handle_put(handle);
		handle = NULL;
	}
	if (!handle) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	fi->fh = handle->id;
	fi->direct_io = kind != WALFS_SEALED && kind != WALFS_EVENTS;
	if (kind == WALFS_CURRENT && walfs_are_removed(&fs->options))
		note_position(handle);
	if (needs_worker(fs, kind, fi->flags))
		open_later(req, handle, fi);
	else if (fuse_reply_open(req, fi) == -ENOENT) /* interrupted: no RELEASE */
		walfs_handle_put(handle);
}
