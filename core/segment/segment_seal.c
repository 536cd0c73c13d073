/* SPDX-License-Identifier: MIT */
/* A segment's end: from the page cache to the disk, sealed or left for later. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/direct.h"
#include "core/segment/segment_pages.h"
#include "core/segment/segment_writer.h"

/* --- on the disk -------------------------------------------------------------------- */

int wal_segment_writer_flush(struct wal_segment_writer *w, bool sync)
{
	if (wal_segment_writer_has_failed(w))
		return -EIO;
	if (sync)
		return w->io->fdatasync(w->io, w->fd);
	/* A hint only: msync(MS_ASYNC) does nothing on Linux. */
	sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

int wal_segment_writer_check_name(const struct wal_segment_writer *w)
{
	/*
	 * Not the times: where they are fine-grained, whoever looks at them makes the next
	 * write change them, and the sync after it write the inode, too: 125 us and not 87.
	 */
	const unsigned mask = STATX_INO | STATX_SIZE;
	struct statx file, named;

	if (statx(w->fd, "", AT_EMPTY_PATH, mask, &file))
		return -errno;
	if (statx(w->dirfd, w->name, AT_SYMLINK_NOFOLLOW, mask, &named) ||
	    file.stx_ino != named.stx_ino || file.stx_dev_major != named.stx_dev_major ||
	    file.stx_dev_minor != named.stx_dev_minor || file.stx_size != w->file_bytes)
		return -EIO;
	return 0;
}

int wal_segment_writer_make_durable(struct wal_segment_writer *w)
{
	int err = wal_segment_writer_flush(w, true);

	if (!err && !w->name_is_durable) {
		err = w->io->fsync(w->io, w->dirfd);
		w->name_is_durable = err == 0;
	}
	return err ? err : wal_segment_writer_check_name(w);
}

/* --- the end -------------------------------------------------------------------------- */

/* Past the page cache, like all that must not be lost to an error that came before. */
static int write_seal(const struct wal_io *io, int fd, const struct wal_disk_segment_header *disk)
{
	uint8_t area[WAL_HEADER_AREA] __attribute__((aligned(WAL_DIRECT_ALIGN)));
	ssize_t n = wal_pread_full(fd, area, sizeof(area), 0);

	if (n < (ssize_t)sizeof(area))
		return n < 0 ? (int)n : -EIO;
	memcpy(area + WAL_SEAL_HEADER_OFFSET, disk, sizeof(*disk));
	return wal_direct_write(io, fd, area, sizeof(area), 0);
}

int wal_segment_seal_synced(const struct wal_io *io, int fd, struct wal_segment_header *header,
			    uint64_t chain)
{
	uint64_t size = wal_block_offset(header->block_size, header->block_count);
	struct wal_disk_segment_header disk;
	int err = io->truncate(io, fd, (off_t)size);

	header->state = WAL_STATE_SEALED;
	wal_segment_header_encode(header, chain, &disk);
	if (!err)
		err = write_seal(io, fd, &disk);
	if (!err)
		err = wal_sync_error(io->fdatasync(io, fd));
	return err;
}

void wal_segment_writer_finish(struct wal_segment_writer *w)
{
	if (!w->finished)
		wal_segment_writer_flush_partial(w);
	w->finished = true;
}

void wal_segment_writer_go_on(struct wal_segment_writer *w)
{
	w->finished = false;
}

void wal_segment_writer_set_time_run(struct wal_segment_writer *w, uint32_t time_run)
{
	w->header.compat = time_run << WAL_COMPAT_TIME_RUN_SHIFT;
}

int wal_segment_writer_seal(struct wal_segment_writer *w, uint64_t closed_ns)
{
	int err;

	wal_segment_writer_finish(w);
	err = wal_sync_error(wal_segment_writer_flush(w, true));
	wal_segment_pages_drop(w);
	w->header.block_count = w->start.index + 1;
	w->header.event_count = (uint32_t)(w->next_event - w->header.first_event_id);
	w->header.closed_ns = closed_ns;
	if (!err)
		err = wal_segment_seal_synced(w->io, w->fd, &w->header, w->start.chain);
	if (wal_is_no_space(err))
		return err;
	/* Its pages were written once and are rarely read soon. */
	posix_fadvise(w->fd, 0, 0, POSIX_FADV_DONTNEED);
	wal_segment_writer_close(w, false);
	return err;
}

/* It is a hint, and so not missed where there is no space for it. */
static int flush_last_header(struct wal_segment_writer *w)
{
	int err = w->leftover_end ? wal_segment_writer_clear(w) : 0;
	uint64_t lost_bytes;

	if (!err) {
		wal_segment_writer_flush_partial(w);
		if (wal_segment_writer_has_failed(w))
			err = wal_segment_writer_settle(w, &lost_bytes);
	}
	return wal_is_no_space(err) ? 0 : err;
}

int wal_segment_writer_close(struct wal_segment_writer *w, bool sync)
{
	int err = 0;

	if (w->fd < 0)
		return 0;
	if ((w->map || w->gathered) && w->published && sync) {
		err = flush_last_header(w);
		if (!err)
			err = wal_segment_writer_make_durable(w);
	}
	wal_segment_pages_drop(w);
	close(w->fd);
	w->fd = -1;
	if (!w->published)
		w->io->unlink(w->io, w->dirfd, w->name);
	return err;
}
