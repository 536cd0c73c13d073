/* SPDX-License-Identifier: MIT */
/* A segment's beginning: a new file, or one that was not sealed and is gone on with. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/segment_pages.h"
#include "core/segment/segment_reader.h"
#include "core/segment/segment_writer.h"
#include "core/store/store.h"

/* --- a new one ------------------------------------------------------------------- */

static bool shape_is_possible(const struct wal_segment_shape *shape)
{
	uint32_t size = shape->block_size;

	return size >= UINT32_C(1) << WAL_BLOCK_SIZE_LOG2_MIN &&
	       size <= UINT32_C(1) << WAL_BLOCK_SIZE_LOG2_MAX && (size & (size - 1)) == 0 &&
	       shape->index >= WAL_FIRST_SEGMENT_INDEX && shape->index <= WAL_LAST_SEGMENT_INDEX &&
	       wal_segment_bytes_are_possible(shape->file_bytes, size);
}

/* What has a preparation's name and is no file is not ours, and must not stop us. */
static int create_prepared(struct wal_segment_writer *w)
{
	const int how = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
	unsigned again = 0;
	int fd;

	do {
		wal_store_prepared_name(w->header.index, again, w->name);
		fd = w->io->open(w->io, w->dirfd, w->name, how, 0600);
	} while (fd == -EEXIST && ++again < WAL_NAMES_TRIED);
	return fd;
}

int wal_segment_writer_open_new(struct wal_segment_writer *w, const struct wal_io *io, int dirfd,
				const struct wal_segment_shape *shape)
{
	char name[WAL_NAME_MAX];
	struct stat st;
	int err;

	memset(w, 0, sizeof(*w));
	w->fd = -1;
	if (!shape_is_possible(shape))
		return -EINVAL;
	wal_segment_name(shape->index, name);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	w->io = io;
	w->dirfd = dirfd;
	w->header.index = shape->index;
	w->header.block_size = shape->block_size;
	w->file_bytes = shape->file_bytes;
	w->fd = create_prepared(w);
	if (w->fd < 0)
		return w->fd;
	err = io->allocate(io, w->fd, 0, (off_t)shape->file_bytes);
	if (!err)
		err = wal_segment_pages_map(w);
	if (err) {
		wal_segment_writer_close(w, false);
		return err;
	}
	wal_segment_pages_begin_block(w, 0);
	return 0;
}

/* Before Linux 5.14: an atomic "or 0" makes the page writable and changes nothing. */
static void touch_pages(uint8_t *from, const uint8_t *to, size_t page)
{
	for (; from < to; from += page)
		__atomic_fetch_or(from, 0, __ATOMIC_RELAXED);
}

/* Over the zeros after the append point. */
static int write_zeros(struct wal_segment_writer *w)
{
	w->leftover_end = w->file_bytes;
	return wal_segment_writer_clear(w);
}

int wal_segment_writer_prefault(struct wal_segment_writer *w)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t from = (size_t)(w->data + w->at - w->map) & ~(page - 1);
	int err;

#ifdef MADV_HUGEPAGE
	/* Large folios: a store into a page that was synced then costs no fault of its own. */
	madvise(w->map + from, w->file_bytes - from, MADV_HUGEPAGE);
#endif
	err = w->io->populate(w->io, w->map + from, w->file_bytes - from);
	if (err == -EFAULT) /* what would be SIGBUS; a pwrite says why */
		return write_zeros(w);
	if (err != -EINVAL)
		return err;
	touch_pages(w->map + from, w->map + w->file_bytes, page);
	if (!wal_segment_writer_has_failed(w))
		return 0;
	/* A page is not the file's any more: the caller closes it, whatever the pwrite says. */
	err = write_zeros(w);
	return err ? err : -ENOSPC;
}

/* Header and segment record, at the start. */
static int put_beginning(struct wal_segment_writer *w)
{
	struct wal_disk_segment_header disk;
	int err;

	w->chain = w->header.prev_chain;
	w->next_event = w->header.first_event_id;
	w->last_ns = 0;
	w->err = 0;
	w->group_end = 0;
	wal_segment_pages_begin_block(w, 0);
	wal_segment_header_encode(&w->header, 0, &disk);
	err = w->io->pwrite(w->io, w->fd, &disk, sizeof(disk), WAL_ACTIVE_HEADER_OFFSET);
	if (err)
		return err;
	err = wal_segment_writer_append_meta(w, &w->meta, w->header.created_ns);
	wal_segment_writer_write_out(w);
	wal_segment_writer_acknowledge(w);
	return err ? err : w->err;
}

/* SIGBUS does not say why: a pwrite does, and nothing is lost yet. */
static int begin_again_gathered(struct wal_segment_writer *w)
{
	int err;

	wal_segment_pages_begin_block(w, 0);
	err = wal_segment_writer_gather(w);
	if (!err)
		err = wal_segment_writer_clear(w);
	return err ? err : put_beginning(w);
}

int wal_segment_writer_start(struct wal_segment_writer *w, uint64_t first_event,
			     uint64_t prev_chain, uint64_t created_ns,
			     const struct wal_meta_record *meta)
{
	int err;

	w->header.state = WAL_STATE_ACTIVE;
	w->header.first_event_id = first_event;
	w->header.created_ns = created_ns;
	w->header.prev_chain = prev_chain;
	w->meta = *meta;
	w->meta.kind = WAL_META_SEGMENT;
	err = put_beginning(w);
	if (!err && wal_guard_was_hit(w->guard))
		err = begin_again_gathered(w);
	return err;
}

int wal_segment_writer_publish(struct wal_segment_writer *w)
{
	char name[WAL_NAME_MAX];
	int err;

	if (wal_segment_writer_has_failed(w))
		return -EIO;
	wal_segment_name(w->header.index, name);
	err = w->io->rename(w->io, w->dirfd, w->name, name);
	if (err)
		return err;
	w->published = true;
	memcpy(w->name, name, sizeof(name));
	return 0;
}

/* --- one that is there ------------------------------------------------------------ */

static void restore(struct wal_segment_writer *w, const struct wal_tail *tail)
{
	w->next_event = tail->next_event;
	w->payload_bytes = tail->payload_bytes;
	w->last_ns = tail->last_ns;
	w->chain = tail->chain;
	wal_segment_pages_begin_block(w, tail->block);
	w->at = tail->at;
	w->start = tail->start;
	w->meta = tail->meta;
	w->incarnation = tail->incarnation;
	wal_segment_writer_acknowledge(w);
}

/* A crash can lose the header of a full block; readers of the live segment use them. */
static void restore_block_headers(struct wal_segment_writer *w, const struct wal_segment_reader *r)
{
	uint32_t i;

	for (i = 0; i < r->blocks_count && i < r->tail.block; i++) {
		uint8_t *block = w->map + wal_block_offset(w->header.block_size, i);
		struct wal_disk_block_header disk;

		wal_block_header_encode(&r->blocks[i], w->header.prev_chain, &disk);
		if (memcmp(block, &disk, sizeof(disk)) != 0)
			memcpy(block, &disk, sizeof(disk));
	}
}

/* Return: 0 if appending may go on in this segment. */
static int check_resumable(const struct wal_segment_reader *r)
{
	if (r->sealed || r->info.state != WAL_ACTIVE || r->tail.nonzero_end != r->tail.offset ||
	    (r->file_bytes - WAL_HEADER_AREA) % r->header.block_size != 0)
		return -EUCLEAN;
	return 0;
}

/* Return: 0 and a reader that has walked the file, or -errno. */
static int look_at_existing(const struct wal_segment_file *file, struct wal_segment_reader **r)
{
	int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? -errno : wal_segment_reader_open_live(fd, file->index, NULL, r, NULL);
}

int wal_segment_writer_open_existing(struct wal_segment_writer *w, const struct wal_io *io,
				     const struct wal_segment_file *file, struct wal_tail *tail)
{
	struct wal_segment_reader *r;
	int err;

	memset(w, 0, sizeof(*w));
	w->fd = file->fd;
	w->io = io;
	w->dirfd = file->dirfd;
	w->published = true;
	w->name_is_durable = false; /* a kill may have come before the directory's sync */
	wal_segment_name(file->index, w->name);
	err = look_at_existing(file, &r);
	if (err) {
		wal_segment_writer_close(w, false);
		return err;
	}
	if (tail)
		*tail = r->tail;
	err = check_resumable(r);
	if (!err) {
		w->header = r->header;
		w->file_bytes = r->file_bytes;
		/* A copy of a store may have become sparse. */
		err = io->allocate(io, w->fd, 0, (off_t)r->file_bytes);
	}
	if (!err)
		err = wal_segment_pages_map(w);
	if (!err) {
		restore(w, &r->tail);
		restore_block_headers(w, r);
	}
	wal_segment_reader_close(r);
	if (err)
		wal_segment_writer_close(w, false);
	return err;
}
