/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/direct.h"
#include "core/format/event_checksum.h"
#include "core/segment/segment_reader.h"
#include "core/store/store.h"

/* --- opening ------------------------------------------------------------------ */

static uint64_t block_offset(const struct wal_segment_writer *w)
{
	return wal_block_offset(w->header.block_size, w->start.index);
}

static void begin_block(struct wal_segment_writer *w, uint32_t index)
{
	uint64_t offset = wal_block_offset(w->header.block_size, index);

	w->data = (w->gathered ? w->gathered : w->map + offset) + WAL_BLOCK_HEADER;
	w->at = 0;
	w->written = 0;
	w->start = (struct wal_block_header){
		.first_event_id = w->next_event,
		.index = index,
		.payload_offset = w->payload_bytes,
	};
}

static int map_file(struct wal_segment_writer *w)
{
	void *map = mmap(NULL, w->file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);

	if (map == MAP_FAILED)
		return -errno;
	w->map = map;
	w->guard = wal_guard_add(map, w->file_bytes);
	w->data_size = wal_block_data_size(w->header.block_size);
	w->block_limit = (uint32_t)((w->file_bytes - WAL_HEADER_AREA) / w->header.block_size);
	return 0;
}

static void unmap_file(struct wal_segment_writer *w)
{
	if (!w->map)
		return;
	wal_guard_remove(w->guard);
	munmap(w->map, w->file_bytes);
	w->guard = NULL;
	w->map = NULL;
}

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
		err = map_file(w);
	if (err) {
		wal_segment_writer_close(w, false);
		return err;
	}
	begin_block(w, 0);
	return 0;
}

/* Before Linux 5.14: an atomic "or 0" makes the page writable and changes nothing. */
static void touch_pages(uint8_t *from, const uint8_t *to, size_t page)
{
	for (; from < to; from += page)
		__atomic_fetch_or(from, 0, __ATOMIC_RELAXED);
}

/* Over the zeros behind the append point. */
static int write_zeros(struct wal_segment_writer *w)
{
	w->leftover_end = w->file_bytes;
	return wal_segment_writer_clear(w);
}

int wal_segment_writer_touch(struct wal_segment_writer *w)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t from = (size_t)(w->data + w->at - w->map) & ~(page - 1);

#ifdef MADV_HUGEPAGE
	/* Large folios: a store into a page that was synced then costs no fault of its own. */
	madvise(w->map + from, w->file_bytes - from, MADV_HUGEPAGE);
#endif
#ifdef MADV_POPULATE_WRITE
	if (madvise(w->map + from, w->file_bytes - from, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno == EFAULT) /* what would be SIGBUS; a pwrite says why */
		return write_zeros(w);
	if (errno != EINVAL)
		return -errno;
#endif
	touch_pages(w->map + from, w->map + w->file_bytes, page);
	return wal_segment_writer_has_fault(w) ? -EIO : 0;
}

/* --- gathering ------------------------------------------------------------------ */

int wal_segment_writer_gather(struct wal_segment_writer *w)
{
	uint32_t size = (uint32_t)WAL_BLOCK_HEADER + w->at;
	uint8_t *block = calloc(1, w->header.block_size);

	if (!block)
		return -ENOMEM;
	memcpy(block, w->data - WAL_BLOCK_HEADER, size);
	unmap_file(w);
	w->gathered = block;
	w->data = block + WAL_BLOCK_HEADER;
	w->written = w->at;
	return 0;
}

/* From `from` bytes of the current block, its header included, to the append point. */
static void put(struct wal_segment_writer *w, uint32_t from)
{
	uint32_t to = (uint32_t)WAL_BLOCK_HEADER + w->at;

	if (from < to && !w->error)
		w->error = w->io->pwrite(w->io, w->fd, w->data - WAL_BLOCK_HEADER + from,
					 to - from, (off_t)(block_offset(w) + from));
	if (!w->error)
		w->written = w->at;
}

static void put_header(struct wal_segment_writer *w)
{
	if (!w->error)
		w->error = w->io->pwrite(w->io, w->fd, w->data - WAL_BLOCK_HEADER,
					 WAL_BLOCK_HEADER, (off_t)block_offset(w));
}

void wal_segment_writer_write_out(struct wal_segment_writer *w)
{
	if (w->gathered)
		put(w, (uint32_t)WAL_BLOCK_HEADER + w->written);
}

/* The same with the block's header, which was just made. */
static void write_out_with_header(struct wal_segment_writer *w)
{
	if (!w->gathered)
		return;
	if (w->written == 0) {
		put(w, 0);
		return;
	}
	put_header(w);
	wal_segment_writer_write_out(w);
}

static void forget_gathered(struct wal_segment_writer *w)
{
	free(w->gathered);
	w->gathered = NULL;
}

/* --- beginning, and going on ------------------------------------------------------- */

static int append_event(struct wal_segment_writer *w, const uint8_t *data, uint32_t length,
			uint32_t flags, uint64_t timestamp_ns);

/* Header and segment record, at the start. */
static int put_beginning(struct wal_segment_writer *w)
{
	struct wal_disk_segment_header disk;
	int err;

	w->chain = w->header.prev_chain;
	w->next_event = w->header.first_event_id;
	w->last_ns = 0;
	w->error = 0;
	w->group_end = 0;
	begin_block(w, 0);
	wal_segment_header_encode(&w->header, 0, &disk);
	err = w->io->pwrite(w->io, w->fd, &disk, sizeof(disk), WAL_ACTIVE_HEADER_OFFSET);
	if (err)
		return err;
	err = wal_segment_writer_append_meta(w, &w->meta, w->header.created_ns);
	wal_segment_writer_write_out(w);
	wal_segment_writer_acknowledge(w);
	return err ? err : w->error;
}

/* SIGBUS does not say why: a pwrite does, and nothing is lost yet. */
static int begin_again_gathered(struct wal_segment_writer *w)
{
	int err;

	begin_block(w, 0);
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

	if (wal_segment_writer_has_fault(w))
		return -EIO;
	wal_segment_name(w->header.index, name);
	err = w->io->rename(w->io, w->dirfd, w->name, name);
	if (err)
		return err;
	w->published = true;
	memcpy(w->name, name, sizeof(name));
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

static void restore(struct wal_segment_writer *w, const struct wal_tail *tail)
{
	w->next_event = tail->next_event;
	w->payload_bytes = tail->payload_bytes;
	w->last_ns = tail->last_ns;
	w->chain = tail->chain;
	begin_block(w, tail->block);
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
	if (r->sealed || r->info.state != WAL_ACTIVE || r->tail.behind_end != r->tail.offset ||
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
		err = map_file(w);
	if (!err) {
		restore(w, &r->tail);
		restore_block_headers(w, r);
	}
	wal_segment_reader_close(r);
	if (err)
		wal_segment_writer_close(w, false);
	return err;
}

/* --- reckoning ------------------------------------------------------------------- */

/* Less than this at the end of a block is left zero. */
#define SMALLEST_SPAN ((uint32_t)(WAL_EVENT_HEADER + WAL_EVENT_ALIGN))

bool wal_segment_writer_reckon(const struct wal_segment_writer *w, uint32_t size,
			       struct wal_append_point *point)
{
	uint32_t whole = w->data_size - (uint32_t)WAL_EVENT_HEADER;
	uint32_t rest = w->data_size - point->at;
	uint32_t blocks;

	if (size <= wal_segment_event_limit(w->header.block_size)) {
		uint32_t span = wal_event_span(size);

		if (span > rest) {
			if (point->block + 1 >= w->block_limit)
				return false;
			point->block++;
			point->at = 0;
		}
		point->at += span;
		return true;
	}
	/* A group: the rest of this block, whole blocks, and what is left in the last. */
	if (rest >= SMALLEST_SPAN)
		size -= rest - (uint32_t)WAL_EVENT_HEADER;
	blocks = (size + whole - 1) / whole;
	if (blocks >= w->block_limit - point->block)
		return false;
	point->block += blocks;
	point->at = wal_event_span(size - (blocks - 1) * whole);
	return true;
}

uint64_t wal_segment_writer_room(const struct wal_segment_writer *w,
				 const struct wal_append_point *point)
{
	return (w->data_size - point->at) +
	       (uint64_t)(w->block_limit - point->block - 1) * w->data_size;
}

uint64_t wal_segment_worst_cost(uint32_t block_size, size_t size)
{
	uint32_t whole = wal_block_data_size(block_size) - (uint32_t)WAL_EVENT_HEADER;

	if (size == 0)
		return 0;
	/* It may have to skip the rest of a block, which is then smaller than itself. */
	if (size <= whole)
		return 2 * (uint64_t)wal_event_span((uint32_t)size);
	/* A header and padding for each block it touches, and a rest too small to use. */
	return size + (size / whole + 2) * (uint64_t)(2 * SMALLEST_SPAN);
}

/* Twice the span is at most 2 (size + 23); a group adds 48 bytes for each 4,016. */
uint64_t wal_segment_worst_batch_cost(size_t count, uint64_t bytes)
{
	return 2 * bytes + (uint64_t)count * 4 * SMALLEST_SPAN;
}

size_t wal_segment_record_limit(uint32_t block_size, uint64_t file_bytes)
{
	const uint32_t whole = wal_block_data_size(block_size) - (uint32_t)WAL_EVENT_HEADER;
	uint64_t budget = wal_segment_hold_limit(block_size, file_bytes);
	uint64_t single = (budget / 2 & ~(uint64_t)(WAL_EVENT_ALIGN - 1)) - WAL_EVENT_HEADER;
	uint64_t group = budget / (whole + 2 * SMALLEST_SPAN) * whole;

	/* wal_segment_worst_cost() the other way round. */
	group = group ? group - 4 * SMALLEST_SPAN : 0;
	if (single > wal_segment_event_limit(block_size))
		single = wal_segment_event_limit(block_size);
	if (group > single)
		single = group;
	return (size_t)single; /* of 4 GiB at most: it fits in a record's 32 bits */
}

uint64_t wal_segment_hold_limit(uint32_t block_size, uint64_t file_bytes)
{
	uint64_t blocks = (file_bytes - WAL_HEADER_AREA) / block_size;

	return (blocks * wal_block_data_size(block_size) -
		2 * (uint64_t)wal_event_span(sizeof(struct wal_disk_meta_record))) /
	       2;
}

/* --- appending --------------------------------------------------------------------- */

/* Writes the header of the current block, and what was gathered. */
static void write_block_header(struct wal_segment_writer *w)
{
	struct wal_disk_block_header disk;

	w->start.used_bytes = w->at;
	wal_block_header_finalize(&w->start, w->data, w->chain, w->header.prev_chain, &disk);
	memcpy(w->data - WAL_BLOCK_HEADER, &disk, sizeof(disk));
	write_out_with_header(w);
}

static struct wal_append_state state_of(const struct wal_segment_writer *w)
{
	return (struct wal_append_state){
		.at = w->at,
		.next_event = w->next_event,
		.payload_bytes = w->payload_bytes,
		.chain = w->chain,
		.start = w->start,
	};
}

/* Return: 0; -EIO after a fault, for settle(): the block stays the current one. */
static int next_block(struct wal_segment_writer *w)
{
	uint64_t start = w->telemetry ? wal_clock_quick_ns() : 0;

	write_block_header(w);
	if (wal_segment_writer_has_fault(w))
		return -EIO;
	w->left = state_of(w);
	w->chain = w->start.chain;
	if (w->gathered) /* behind the append point all is zero, here too */
		memset(w->gathered, 0, WAL_BLOCK_HEADER + w->at);
	begin_block(w, w->start.index + 1);
	if (!w->telemetry)
		return 0;
	wal_latency_add(w->telemetry, WAL_LATENCY_FINALIZE, wal_clock_quick_since(start));
	wal_count(w->telemetry, WAL_COUNT_BLOCKS, 1);
	return 0;
}

/*
 * The processor fetches ahead by itself, but only within a page, and reads where it could
 * take the line over for writing: 8 against 5 ns for 64 bytes.
 */
#define PREFETCH_BYTES 2048

/*
 * The hot path: one event at the append point. Behind the append point all is zero,
 * so padding needs no store. Cut off at any store, the event fails its checksum.
 */
static inline void put_event(struct wal_segment_writer *w, const uint8_t *data, uint32_t length,
			     uint32_t flags, uint64_t timestamp_ns)
{
	struct wal_disk_event *event = (void *)(w->data + w->at);

	__builtin_prefetch((uint8_t *)event + PREFETCH_BYTES, 1);
	event->length_flags = wal_to_le32(length | flags << 24);
	event->timestamp_ns = wal_to_le64(timestamp_ns);
	memcpy(event + 1, data, length);
	event->event_checksum = wal_to_le32(wal_event_checksum_from(
		event, data, length, w->header.prev_chain, w->next_event));
	if (w->at == 0)
		w->start.first_timestamp_ns = timestamp_ns;
	w->at += wal_event_span(length);
	w->last_ns = timestamp_ns;
	if (flags & WAL_EVENT_META)
		return;
	w->next_event++;
	w->start.event_count++;
	w->payload_bytes += length;
}

/* One event, in the next block if this one has no room for it. */
static int append_event(struct wal_segment_writer *w, const uint8_t *data, uint32_t length,
			uint32_t flags, uint64_t timestamp_ns)
{
	if (wal_event_span(length) > w->data_size - w->at) {
		if (w->start.index + 1 >= w->block_limit)
			return -ENOSPC;
		if (next_block(w))
			return -EIO;
	}
	if (timestamp_ns < w->last_ns)
		timestamp_ns = w->last_ns;
	put_event(w, data, length, flags, timestamp_ns);
	return 0;
}

/* A record larger than an event can be: each piece fills what is left of its block. */
static int append_group(struct wal_segment_writer *w, const uint8_t *data, uint32_t size,
			uint32_t flags, uint64_t timestamp_ns)
{
	struct wal_append_point point = wal_segment_writer_point(w);
	uint32_t cont = 0;

	if (!wal_segment_writer_reckon(w, size, &point))
		return -ENOSPC;
	if (timestamp_ns < w->last_ns)
		timestamp_ns = w->last_ns;
	w->group = state_of(w);
	w->group_end = UINT64_MAX;
	while (size > 0) {
		uint32_t rest = w->data_size - w->at, length;

		if (rest < SMALLEST_SPAN) {
			if (next_block(w))
				return -EIO;
			continue;
		}
		length = rest - (uint32_t)WAL_EVENT_HEADER;
		if (length < size)
			put_event(w, data, length, WAL_EVENT_MORE | cont, timestamp_ns);
		else
			put_event(w, data, length = size, flags | cont, timestamp_ns);
		cont = WAL_EVENT_CONT;
		data += length;
		size -= length;
	}
	w->group_end = w->next_event;
	return 0;
}

int wal_segment_writer_append(struct wal_segment_writer *w, const void *data, uint32_t size,
			      uint32_t flags, uint64_t timestamp_ns)
{
	if (size > wal_segment_event_limit(w->header.block_size))
		return append_group(w, data, size, flags, timestamp_ns);
	return append_event(w, data, size, flags, timestamp_ns);
}

int wal_segment_writer_append_meta(struct wal_segment_writer *w, const struct wal_meta_record *meta,
				   uint64_t timestamp_ns)
{
	struct wal_disk_meta_record disk;
	int err;

	wal_meta_record_encode(meta, &disk);
	err = append_event(w, (const uint8_t *)&disk, sizeof(disk), WAL_EVENT_META, timestamp_ns);
	if (!err)
		w->incarnation = meta->incarnation;
	return err;
}

/* --- ending -------------------------------------------------------------------------- */

void wal_segment_writer_flush_partial(struct wal_segment_writer *w)
{
	if (w->at > 0 && !w->finished)
		write_block_header(w);
}

int wal_segment_writer_flush(struct wal_segment_writer *w, bool sync)
{
	if (wal_segment_writer_has_fault(w))
		return -EIO;
	if (sync)
		return w->io->fdatasync(w->io, w->fd);
	/* A hint only: msync(MS_ASYNC) does nothing on Linux. */
	sync_file_range(w->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	return 0;
}

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

int wal_segment_seal_file(const struct wal_io *io, int fd, struct wal_segment_header *header,
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

int wal_segment_writer_seal(struct wal_segment_writer *w, uint64_t closed_ns)
{
	int err;

	wal_segment_writer_finish(w);
	err = wal_sync_error(wal_segment_writer_flush(w, true));
	unmap_file(w);
	forget_gathered(w);
	w->header.block_count = w->start.index + 1;
	w->header.event_count = (uint32_t)(w->next_event - w->header.first_event_id);
	w->header.closed_ns = closed_ns;
	if (!err)
		err = wal_segment_seal_file(w->io, w->fd, &w->header, w->start.chain);
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
		if (wal_segment_writer_has_fault(w))
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
	unmap_file(w);
	forget_gathered(w);
	close(w->fd);
	w->fd = -1;
	if (!w->published)
		w->io->unlink(w->io, w->dirfd, w->name);
	return err;
}

void wal_segment_writer_tail(const struct wal_segment_writer *w, struct wal_tail *tail)
{
	*tail = (struct wal_tail){
		.block = w->start.index,
		.at = w->at,
		.offset = wal_block_offset(w->header.block_size, w->start.index) +
			  WAL_BLOCK_HEADER + w->at,
		.next_event = w->next_event,
		.payload_bytes = w->payload_bytes,
		.last_ns = w->last_ns,
		.event_count = (uint32_t)(w->next_event - w->header.first_event_id),
		.chain = w->chain,
		.start = w->start,
		.meta = w->meta,
		.incarnation = w->incarnation,
	};
	tail->behind_end = tail->offset;
}
