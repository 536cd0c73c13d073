/* SPDX-License-Identifier: MIT */
/*
 * Reading: sealed segments as they are on disk, and the payload bytes of any
 * segment, the active one too. Each read is a job of its handle's strand, so
 * that a handle's reader belongs to one worker at a time.
 *
 * No byte that fails its checksum is ever returned. A short reply to a read of
 * a cached file would be taken for its end; a request that touches a bad block
 * fails as a whole, and the kernel asks again page by page.
 */
#include <errno.h>
#include <stdlib.h>

#include "walfs.h"

struct read_job {
	struct walfs_job job; /* the first member */
	struct walfs_handle *handle;
	fuse_req_t req;
	size_t size;
	off_t offset;
};

/* What stat() says the file has. */
static uint64_t total_of(const struct walfs_handle *handle)
{
	const struct wal_segment_info *info = wal_segment_reader_info(handle->reader);

	if (handle->kind == WALFS_SNAPSHOT)
		return wal_segment_reader_image_bytes(handle->reader);
	return handle->kind == WALFS_SEALED ? info->file_bytes : info->payload_bytes;
}

/* What is known now outlives the segment's removal, for whoever has it open. */
static void note_size(struct walfs_handle *handle)
{
	const struct wal_segment_info *info = wal_segment_reader_info(handle->reader);
	bool closed = info->closed_ns && handle->kind != WALFS_CURRENT;

	atomic_store(&handle->size, total_of(handle));
	atomic_store(&handle->time_ns, closed ? info->closed_ns : info->last_ns);
}

int walfs_reader_ensure(struct walfs_handle *handle)
{
	struct wal_log *log = handle->fs->log;
	struct wal_fault fault = {.kind = WAL_FAULT_NONE};
	int err;

	if (handle->reader) {
		if (handle->kind != WALFS_CURRENT)
			return 0;
		err = wal_log_reader_refresh(log, handle->reader);
		fault = *wal_segment_reader_fault(handle->reader);
	} else {
		err = wal_log_reader_open(log, handle->segment, WAL_READ_NO_WAIT, &handle->reader,
					  &fault);
		if (err)
			handle->reader = NULL;
	}
	if (err)
		walfs_report_damage(handle->fs, handle->segment, err, &fault);
	else
		note_size(handle);
	return err;
}

static ssize_t read_at(struct walfs_handle *handle, void *buffer, size_t size, uint64_t offset)
{
	if (handle->kind == WALFS_SEALED)
		return wal_segment_reader_raw(handle->reader, buffer, size, offset);
	if (handle->kind == WALFS_SNAPSHOT)
		return wal_segment_reader_image(handle->reader, buffer, size, offset);
	return wal_segment_reader_payload(handle->reader, buffer, size, offset);
}

/* Then a short reply says nothing of where the file ends. */
static bool is_uncached(const struct walfs_handle *handle)
{
	return handle->kind == WALFS_CURRENT || handle->kind == WALFS_SNAPSHOT ||
	       handle->ends_in_error;
}

/* Return: bytes read; -errno also if there are fewer than the file has. */
static ssize_t read_checked(struct walfs_handle *handle, void *buffer, size_t size, uint64_t offset)
{
	uint64_t total;
	ssize_t got, more;
	int err;

	if (!handle->segment) /* `current` of a log without segments */
		return 0;
	err = walfs_reader_ensure(handle);
	if (err)
		return err;
	got = read_at(handle, buffer, size, offset);
	total = total_of(handle);
	if (offset >= total && handle->ends_in_error)
		return -EIO;
	if (offset >= total)
		size = 0;
	else if (size > total - offset)
		size = (size_t)(total - offset);
	if (got >= 0 && ((size_t)got >= size || (got && is_uncached(handle))))
		return got;
	/* Short before a bad block: asking there says what it is. */
	more = got < 0 ? got : read_at(handle, buffer, size - (size_t)got, offset + (uint64_t)got);
	if (more >= 0)
		return -EIO;
	walfs_report_damage(handle->fs, handle->segment, (int)more,
			    wal_segment_reader_fault(handle->reader));
	return more;
}

static bool run(struct walfs_job *job, void *buffer)
{
	struct read_job *read = (struct read_job *)job;
	size_t size = read->size < WALFS_IO_MAX ? read->size : WALFS_IO_MAX;
	ssize_t got;

	walfs_reader_begin(read->handle);
	got = read_checked(read->handle, buffer, size, (uint64_t)read->offset);
	walfs_reader_end(read->handle);
	if (got == -EAGAIN) {
		read->job.segment = read->handle->segment;
		return false;
	}
	if (got < 0)
		fuse_reply_err(read->req, walfs_read_errno((int)got));
	else
		fuse_reply_buf(read->req, buffer, (size_t)got);
	free(read);
	return true;
}

static void reply_part(fuse_req_t req, const struct walfs_report *report, size_t size, off_t offset)
{
	size_t at = (uint64_t)offset < report->size ? (size_t)offset : report->size;

	fuse_reply_buf(req, report->text + at, size < report->size - at ? size : report->size - at);
}

void walfs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		struct fuse_file_info *fi)
{
	struct walfs *fs = walfs_of(req);
	struct walfs_handle *handle = walfs_handle_get(fs, fi->fh);
	struct read_job *read;

	(void)ino;
	if (handle && handle->report.text) {
		reply_part(req, &handle->report, size, offset);
		return;
	}
	read = handle ? malloc(sizeof(*read)) : NULL;
	if (!read) {
		fuse_reply_err(req, handle ? ENOMEM : EBADF);
		return;
	}
	*read = (struct read_job){
		/* that of a finished one has its reader since the open */
		.job = {.run = run, .segment = handle->kind == WALFS_CURRENT ? handle->segment : 0},
		.handle = handle,
		.req = req,
		.size = size,
		.offset = offset,
	};
	walfs_workers_submit(&fs->workers, &read->job, &handle->strand);
}
