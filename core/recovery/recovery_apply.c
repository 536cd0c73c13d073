/* SPDX-License-Identifier: MIT */
/*
 * Carries a plan out. Each step leaves a store that plans to the same log again,
 * so it does not matter where this is cut off.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/direct.h"
#include "core/recovery/recovery.h"

/* --- preparations and names ------------------------------------------------------------- */

/* R5 */
static int remove_prepared(struct wal_recovery *rec)
{
	struct stat st;
	size_t i;
	int err;

	for (i = 0; i < rec->list.prepared_count; i++) {
		const char *name = rec->list.prepared[i];

		if (fstatat(rec->dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if (!S_ISREG(st.st_mode)) {
			wal_recovery_notice(rec, WAL_NOTICE_WARNING,
					    "%s/%s: not a regular file; left alone", rec->path,
					    name);
			continue;
		}
		err = rec->io->unlink(rec->io, rec->dirfd, name);
		if (err)
			return err;
	}
	return 0;
}

static int rename_aside(struct wal_recovery *rec, const char *name)
{
	char torn[WAL_STORE_NAME_MAX];
	int err = wal_store_torn_name(rec->dirfd, name, rec->io->now_ns(rec->io), torn);

	if (!err)
		err = rec->io->rename(rec->io, rec->dirfd, name, torn);
	if (!err)
		wal_recovery_notice(rec, WAL_NOTICE_WARNING, "%s/%s: set aside, kept as %s",
				    rec->path, name, torn);
	return err;
}

static int set_aside(struct wal_recovery *rec, const struct wal_step *step)
{
	char name[WAL_NAME_MAX];
	int err;

	wal_segment_name(step->index, name);
	err = rename_aside(rec, name);
	if (!err)
		wal_store_list_remove(&rec->list, step->index);
	return err;
}

/* --- the copy of a torn tail ------------------------------------------------------------- */

/* Copies what is not zero in from..to, at the same offsets. */
static int copy_bytes(struct wal_recovery *rec, int from_fd, int to_fd, uint64_t from, uint64_t to)
{
	enum { CHUNK = 4096 };
	uint8_t buf[CHUNK];

	while (from < to) {
		size_t size = CHUNK - (size_t)(from % CHUNK);
		ssize_t n;
		int err;

		if (size > to - from)
			size = (size_t)(to - from);
		n = wal_pread_full(from_fd, buf, size, (off_t)from);
		if (n < 0)
			return (int)n;
		if (n == 0)
			return 0;
		err = wal_is_zero(buf, (size_t)n)
			      ? 0
			      : rec->io->pwrite(rec->io, to_fd, buf, (size_t)n, (off_t)from);
		if (err)
			return err;
		from += (uint64_t)n;
	}
	return 0;
}

static int write_copy(struct wal_recovery *rec, const struct wal_step *step, int fd, int copy)
{
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return -errno;
	/* Sparse, and as long as the original: every byte stands at its own offset. */
	err = rec->io->truncate(rec->io, copy, st.st_size);
	if (!err)
		err = copy_bytes(rec, fd, copy, step->tail.offset, step->tail.nonzero_end);
	if (!err)
		err = rec->io->fdatasync(rec->io, copy);
	return err;
}

static int keep_tail(struct wal_recovery *rec, const struct wal_step *step, const char *name,
		     int fd)
{
	const struct wal_io *io = rec->io;
	char torn[WAL_STORE_NAME_MAX];
	int copy, err;

	if (step->tail.nonzero_end == step->tail.offset)
		return 0;
	err = wal_store_torn_name(rec->dirfd, name, io->now_ns(io), torn);
	if (err)
		return err;
	copy = io->open(io, rec->dirfd, torn, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (copy < 0)
		return copy;
	err = write_copy(rec, step, fd, copy);
	close(copy);
	if (err)
		io->unlink(io, rec->dirfd, torn);
	else
		err = io->fsync(io, rec->dirfd);
	if (!err)
		wal_recovery_notice(rec, WAL_NOTICE_WARNING,
				    "%s/%s: torn tail of %" PRIu64 " bytes after event %" PRIu64
				    " (%s); kept as %s",
				    rec->path, name, step->tail.nonzero_end - step->tail.offset,
				    step->tail.next_event - 1, wal_fault_kind_name(step->tail.stop),
				    torn);
	return err;
}

/* --- sealing -------------------------------------------------------------------------------- */

int wal_recovery_open_segment(const struct wal_recovery *rec, uint32_t index,
			      const struct wal_file_id *file, struct wal_error *error)
{
	char name[WAL_NAME_MAX];
	struct wal_error why;
	int fd;

	wal_segment_name(index, name);
	fd = wal_store_open_to_write(rec->io, rec->dirfd, name, file, &why);
	if (fd < 0 && why.code) /* R41, R42 */
		wal_error_set(error, fd, "%s/%s: %s", rec->path, name, why.text);
	return fd;
}

static uint64_t believed_up_to(const struct wal_recovery *rec, uint32_t index)
{
	const struct wal_durable *d = &rec->meta.durable;

	if (!rec->has_meta || d->segment < index)
		return 0;
	return d->segment > index ? UINT64_MAX : d->offset;
}

/*
 * What an earlier life could not sync reports its error once, to whoever asks first. What then
 * counts is read back from the disk, and the sync after that.
 */
static void take_old_error(const struct wal_recovery *rec, int fd)
{
	rec->io->fdatasync(rec->io, fd);
}

int wal_recovery_make_true(const struct wal_recovery *rec, int fd, uint32_t index,
			   const struct wal_tail *tail)
{
	take_old_error(rec, fd);
	return wal_direct_write_again(rec->io, fd, believed_up_to(rec, index), tail->offset);
}

/* Return: -ENOMEM, or 0 and the first page of the block with this header. */
static int write_block_header(const struct wal_recovery *rec, int fd, uint64_t offset,
			      const struct wal_disk_block_header *disk, const uint8_t *stored)
{
	uint8_t page[WAL_DIRECT_ALIGN] __attribute__((aligned(WAL_DIRECT_ALIGN)));

	memcpy(page, stored, sizeof(page));
	memcpy(page, disk, sizeof(*disk));
	return wal_direct_write(rec->io, fd, page, sizeof(page), (off_t)offset);
}

struct rewrite {
	const struct wal_recovery *rec;
	const struct wal_step *step;
	int fd;
};

static int rewrite_block(void *ctx, const struct wal_block_header *header,
			 const struct wal_disk_block_header *disk, const uint8_t *stored)
{
	const struct rewrite *rw = ctx;

	if (header->index >= rw->step->tail.block || memcmp(stored, disk, sizeof(*disk)) == 0)
		return 0;
	return write_block_header(rw->rec, rw->fd,
				  wal_block_offset(rw->step->header.block_size, header->index),
				  disk, stored);
}

/* The last block: its header, and zeros from the tail to its end. */
static int rewrite_last_block(const struct rewrite *rw, uint8_t *block, uint64_t *chain)
{
	const struct wal_tail *tail = &rw->step->tail;
	const struct wal_segment_header *header = &rw->step->header;
	uint64_t offset = wal_block_offset(header->block_size, tail->block);
	struct wal_block_header start = tail->start;
	struct wal_disk_block_header disk;
	ssize_t n = wal_pread_full(rw->fd, block, header->block_size, (off_t)offset);

	if (n < 0)
		return (int)n;
	if (n < (ssize_t)(WAL_BLOCK_HEADER + tail->at))
		return -EIO;
	memset(block + WAL_BLOCK_HEADER + tail->at, 0,
	       header->block_size - WAL_BLOCK_HEADER - tail->at);
	start.used_bytes = tail->at;
	wal_block_header_finalize(&start, block + WAL_BLOCK_HEADER, tail->chain, header->prev_chain,
				  &disk);
	memcpy(block, &disk, sizeof(disk));
	*chain = start.chain;
	return wal_direct_write(rw->rec->io, rw->fd, block, header->block_size, (off_t)offset);
}

/* Writes what the segment lacks. Return: 0, and the chain of its last block. */
static int complete(const struct rewrite *rw, uint64_t *chain)
{
	const struct wal_step *step = rw->step;
	struct wal_walk_source source = {.fd = rw->fd,
					 .header = &step->header,
					 .ctx = (void *)(uintptr_t)rw,
					 .block = rewrite_block};
	struct wal_tail again;
	struct stat st;
	void *block;
	int err;

	if (fstat(rw->fd, &st))
		return -errno;
	source.file_bytes = (uint64_t)st.st_size;
	err = wal_recovery_make_true(rw->rec, rw->fd, step->index, &step->tail);
	if (!err)
		err = wal_walk(&source, &again);
	if (!err && again.offset != step->tail.offset)
		err = -EUCLEAN; /* it is not what was planned for */
	if (err)
		return err;
	if (posix_memalign(&block, WAL_DIRECT_ALIGN, step->header.block_size))
		return -ENOMEM;
	err = rewrite_last_block(rw, block, chain);
	free(block);
	return err;
}

static int complete_and_seal(struct wal_recovery *rec, const struct wal_step *step, int fd)
{
	const struct rewrite rw = {.rec = rec, .step = step, .fd = fd};
	struct wal_segment_header header = step->header;
	uint64_t chain = 0;
	int err = complete(&rw, &chain);

	header.block_count = step->tail.block + 1;
	/*
	 * Cut before the sync: what is after the last block may be anything, and a seal
	 * header must not be on the disk while the old length still is.
	 */
	if (!err)
		err = rec->io->truncate(rec->io, fd,
					(off_t)wal_block_offset(header.block_size,
								header.block_count));
	if (!err)
		err = rec->io->fdatasync(rec->io, fd);
	if (err)
		return err;
	header.event_count = step->tail.event_count;
	header.closed_ns = step->tail.last_ns;
	header.compat |= WAL_COMPAT_SEALED_BY_RECOVERY;
	return wal_segment_seal_synced(rec->io, fd, &header, chain);
}

static int seal(struct wal_recovery *rec, const struct wal_step *step, struct wal_error *error)
{
	char name[WAL_NAME_MAX];
	int fd, err;

	fd = wal_recovery_open_segment(rec, step->index, &step->file, error);
	if (fd < 0)
		return fd;
	wal_segment_name(step->index, name);
	err = keep_tail(rec, step, name, fd);
	if (!err)
		err = complete_and_seal(rec, step, fd);
	close(fd);
	if (!err)
		wal_recovery_notice(rec, WAL_NOTICE_INFO,
				    "%s/%s: sealed by recovery after event %" PRIu64, rec->path,
				    name, step->tail.next_event - 1);
	return err;
}

/* R27, R28. Holes are not read: a file may have grown by any size. */
int wal_recovery_is_zero_from(int fd, uint64_t at)
{
	enum { CHUNK = 1 << 20 };
	uint8_t *buf = malloc(CHUNK);
	ssize_t n = 0;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);

		if (data < 0 && errno == ENXIO) { /* nothing but a hole, or the end */
			n = 0;
			break;
		}
		if (data > (off_t)at)
			at = (uint64_t)data;
		n = wal_pread_full(fd, buf, CHUNK, (off_t)at);
		if (n <= 0 || !wal_is_zero(buf, (size_t)n))
			break;
		at += (uint64_t)n;
	}
	free(buf);
	return n < 0 ? (int)n : n == 0;
}

/*
 * Does the disk give the seal header back, and is nothing to be cut? Then a sync is all that
 * is needed, and a backup that has this file by another name is not written to.
 */
static bool seal_is_on_the_disk(const struct wal_recovery *rec, const struct wal_step *step, int fd)
{
	uint8_t cached[WAL_HEADER_AREA] __attribute__((aligned(WAL_DIRECT_ALIGN)));
	uint8_t disk[WAL_HEADER_AREA] __attribute__((aligned(WAL_DIRECT_ALIGN)));
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_dev == step->file.dev && st.st_ino == step->file.ino &&
	       (uint64_t)st.st_size ==
		       wal_block_offset(step->header.block_size, step->header.block_count) &&
	       wal_pread_full(fd, cached, sizeof(cached), 0) == (ssize_t)sizeof(cached) &&
	       wal_direct_read_only(rec->io, fd, disk, sizeof(disk), 0) == (ssize_t)sizeof(disk) &&
	       memcmp(cached, disk, sizeof(disk)) == 0;
}

/* Return: 1 if there was no more to do than to sync it; 0; -errno. */
static int sync_seal(const struct wal_recovery *rec, const struct wal_step *step, const char *name)
{
	int fd = openat(rec->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	take_old_error(rec, fd);
	if (seal_is_on_the_disk(rec, step, fd)) {
		err = rec->io->fdatasync(rec->io, fd);
		err = err ? err : 1;
	}
	close(fd);
	return err;
}

/* The same bytes once more: the page cache is not believed to have brought them to the disk. */
static int write_seal_again(const struct wal_io *io, int fd)
{
	uint8_t area[WAL_HEADER_AREA] __attribute__((aligned(WAL_DIRECT_ALIGN)));
	ssize_t n = wal_pread_full(fd, area, sizeof(area), 0);
	int err;

	if (n < (ssize_t)sizeof(area))
		return n < 0 ? (int)n : -EIO;
	err = wal_direct_write(io, fd, area, sizeof(area), 0);
	return err ? err : io->fdatasync(io, fd);
}

static int reseal(struct wal_recovery *rec, const struct wal_step *step, struct wal_error *error)
{
	uint64_t end = wal_block_offset(step->header.block_size, step->header.block_count);
	char name[WAL_NAME_MAX];
	int fd, err;

	wal_segment_name(step->index, name);
	err = sync_seal(rec, step, name);
	if (err)
		return err < 0 ? err : 0;
	fd = wal_recovery_open_segment(rec, step->index, &step->file, error);
	if (fd < 0)
		return fd;
	err = wal_recovery_is_zero_from(fd, end);
	if (err == 0)
		wal_recovery_notice(rec, WAL_NOTICE_WARNING,
				    "%s/%s: has bytes after its last block; left as it is",
				    rec->path, name);
	if (err > 0)
		err = rec->io->truncate(rec->io, fd, (off_t)end);
	if (!err)
		err = write_seal_again(rec->io, fd);
	close(fd);
	return err;
}

/* --- all of it ------------------------------------------------------------------------------- */

static int apply_step(struct wal_recovery *rec, const struct wal_step *step,
		      struct wal_error *error)
{
	switch (step->kind) {
	case WAL_STEP_REMOVE_PREPARED:
		return remove_prepared(rec);
	case WAL_STEP_SET_ASIDE:
		return set_aside(rec, step);
	case WAL_STEP_SEAL:
		return seal(rec, step, error);
	default:
		return reseal(rec, step, error);
	}
}

/*
 * R1: an empty directory that becomes a store is its owner's alone from then on, like one
 * that is made; before anything is in it. If it is not ours to change, that is reported.
 */
static int close_to_others(struct wal_recovery *rec)
{
	struct stat st;
	int err;

	if (fstat(rec->dirfd, &st))
		return -errno;
	if (!rec->is_new || (st.st_mode & 07777) == 0700)
		return 0;
	err = rec->io->fchmod(rec->io, rec->dirfd, 0700);
	if (err != -EPERM)
		return err;
	wal_recovery_notice(rec, WAL_NOTICE_WARNING,
			    "%s: is another user's directory and keeps its mode %04o", rec->path,
			    (unsigned)(st.st_mode & 07777));
	return 0;
}

int wal_recovery_apply(struct wal_recovery *rec, struct wal_error *error)
{
	bool renamed = rec->meta_is_bad;
	size_t i;
	int err = close_to_others(rec);

	error->code = 0;
	if (!err && rec->meta_is_bad)
		err = rename_aside(rec, WAL_META_FILE);
	for (i = 0; i < rec->step_count && !err; i++) {
		const struct wal_step *step = &rec->steps[i];

		/* What was set aside must stay gone once a segment before it is sealed. */
		if (renamed && step->kind == WAL_STEP_SEAL)
			err = rec->io->fsync(rec->io, rec->dirfd);
		if (!err)
			err = apply_step(rec, step, error);
		renamed = renamed || step->kind == WAL_STEP_SET_ASIDE;
	}
	if (!err && renamed)
		err = rec->io->fsync(rec->io, rec->dirfd);
	if (err && error->code == 0)
		return wal_error_set(error, err, "%s: recovery failed: %s%s", rec->path,
				     strerror(-err),
				     err == -EROFS ? "; mount it with -o ro to read it" : "");
	return err;
}
