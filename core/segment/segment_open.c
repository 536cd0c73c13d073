/* SPDX-License-Identifier: MIT */
/* Opening a segment: what is it, is it sealed, is it whole as far as its headers say? */
#include "core/segment/segment_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/io.h"
#include "core/segment/segment_headers.h"
#include "core/segment/segment_info.h"

/* --- opening -------------------------------------------------------------------- */

/* After its header area was read: a file is cut before it is sealed, never after. */
static int look_at_file(struct wal_segment_reader *r)
{
	struct stat st;

	if (fstat(r->fd, &st))
		return wal_reader_io_fault(r, 0, -errno);
	if (!S_ISREG(st.st_mode))
		return wal_reader_fault(r, WAL_FAULT_NOT_A_FILE, wal_in_file(0), "%s", "");
	r->file_bytes = (uint64_t)st.st_size;
	return 0;
}

int wal_reader_open_file(struct wal_segment_reader *r, const struct wal_segment_source *source)
{
	const int how = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	struct stat st;

	/* Looked at before it is opened: opening a device can have effects. */
	if (fstatat(source->dirfd, source->name, &st, AT_SYMLINK_NOFOLLOW))
		return wal_reader_io_fault(r, 0, -errno);
	if (!S_ISREG(st.st_mode))
		return wal_reader_fault(r, WAL_FAULT_NOT_A_FILE, wal_in_file(0), "%s", "");
	if (source->flags & WAL_READ_DIRECT)
		r->fd = openat(source->dirfd, source->name, how | O_DIRECT);
	r->direct = r->fd >= 0;
	if (r->fd < 0)
		r->fd = openat(source->dirfd, source->name, how);
	return r->fd < 0 ? wal_reader_io_fault(r, 0, -errno) : 0;
}

static int read_header_area(struct wal_segment_reader *r)
{
	ssize_t n = wal_pread_full(r->fd, r->area, WAL_HEADER_AREA, 0);

	if (n < 0)
		return wal_reader_io_fault(r, 0, (int)n);
	if (n < (ssize_t)WAL_HEADER_AREA)
		return wal_reader_fault(r, WAL_FAULT_TOO_SHORT, wal_in_file((uint64_t)n),
					"%zd bytes, not even a header area", n);
	return 0;
}

/* Marks the segment damaged and keeps the fault; what is whole stays readable. */
static void mark_damaged(struct wal_segment_reader *r)
{
	r->info.state = WAL_DAMAGED;
	r->info.fault = r->fault;
}

int wal_reader_keep_block(void *ctx, const struct wal_block_header *header,
			  const struct wal_disk_block_header *disk, const uint8_t *stored)
{
	struct wal_segment_reader *r = ctx;
	void *grown;

	(void)disk;
	(void)stored;
	if ((r->blocks_count & (r->blocks_count + 1)) == 0) { /* 0, 1, 3, 7 ...: full */
		grown = realloc(r->blocks, (2 * (size_t)r->blocks_count + 1) * sizeof(*r->blocks));
		if (!grown)
			return -ENOMEM;
		r->blocks = grown;
	}
	r->blocks[r->blocks_count++] = *header;
	return 0;
}

/* R40: what no segment can have is not looked at, so that it takes no time, however much it is. */
static void cut_to_limit(struct wal_segment_reader *r)
{
	uint64_t bytes = r->file_bytes;

	if (bytes <= WAL_SEGMENT_SIZE_MAX)
		return;
	r->file_bytes = WAL_SEGMENT_SIZE_MAX;
	if (r->live)
		return;
	wal_reader_fault(r, WAL_FAULT_TOO_LONG, wal_in_file(WAL_SEGMENT_SIZE_MAX),
			 "%" PRIu64 " bytes, no segment is that long", bytes);
	mark_damaged(r);
}

static int walk_to(struct wal_segment_reader *r, uint64_t file_bytes)
{
	const struct wal_walk_source source = {.fd = r->fd,
					       .file_bytes = file_bytes,
					       .header = &r->header,
					       .ctx = r,
					       .block = wal_reader_keep_block};

	r->blocks_count = 0;
	return wal_walk(&source, &r->tail);
}

/* R33: the disk does not give a block back. The events before that are there all the same. */
static int walk(struct wal_segment_reader *r)
{
	int err = walk_to(r, r->file_bytes);
	uint64_t bad = wal_block_offset(r->header.block_size, r->tail.block);

	if (err == -EUCLEAN || !wal_is_media_error(err) || walk_to(r, bad))
		return err;
	wal_reader_io_fault(r, bad, err);
	mark_damaged(r);
	return 0;
}

static int open_unsealed(struct wal_segment_reader *r, const struct wal_tail *tail)
{
	int err = 0;

	r->sealed = false;
	r->live = tail != NULL;
	r->info.state = WAL_ACTIVE;
	cut_to_limit(r);
	wal_segment_info_from_header(r);
	if (tail)
		r->tail = *tail;
	else
		err = walk(r);
	if (err == -EUCLEAN)
		return wal_reader_fault(
			r,
			r->tail.stop == WAL_FAULT_TOO_SHORT ? WAL_FAULT_TOO_SHORT : WAL_FAULT_META,
			wal_in_block(0, WAL_HEADER_AREA), "%s", wal_fault_kind_name(r->tail.stop));
	if (err)
		return err == -ENOMEM ? err : wal_reader_io_fault(r, WAL_HEADER_AREA, err);
	wal_segment_info_from_tail(r);
	if (wal_segment_headers_check_reserved(r))
		mark_damaged(r);
	return 0;
}

/* A seal header that is not one may be half written at this moment: it changes soon then. */
#define SEAL_LOOKS 3

static bool seal_changes(struct wal_segment_reader *r)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint8_t seen[sizeof(struct wal_disk_segment_header)];
	uint8_t *seal = r->area + WAL_SEAL_HEADER_OFFSET;
	int i;

	memcpy(seen, seal, sizeof(seen));
	for (i = 0; i < SEAL_LOOKS; i++) {
		nanosleep(&pause, NULL);
		if (read_header_area(r))
			return false;
		if (memcmp(seen, seal, sizeof(seen)) != 0)
			return true;
	}
	return false;
}

static int open_sealed(struct wal_segment_reader *r, const struct wal_segment_headers *h)
{
	wal_segment_info_from_header(r);
	r->info.state = WAL_SEALED;
	r->sealed = true;
	if (wal_segment_headers_check_seal(r, h))
		mark_damaged(r);
	return 0;
}

/* A seal header that cannot be believed: what the walk reaches is still there. */
static int open_seal_lost(struct wal_segment_reader *r, enum wal_fault_kind kind)
{
	int err = open_unsealed(r, NULL);

	if (err)
		return err;
	wal_reader_fault(r, kind, wal_in_file(WAL_SEAL_HEADER_OFFSET), "seal header");
	mark_damaged(r);
	return 0;
}

void wal_segment_reader_salvage(struct wal_segment_reader *r)
{
	uint32_t size = r->header.block_size, block, last = 0;

	if (r->sealed || r->live || r->salvaged ||
	    (r->tail.nonzero_end == r->tail.offset && r->info.fault.kind != WAL_FAULT_IO))
		return;
	for (block = r->tail.block + 1; wal_block_offset(size, block) + size <= r->file_bytes;
	     block++) {
		if (!wal_reader_load_block(r, block))
			last = block;
	}
	r->info.state = WAL_DAMAGED;
	if (!last)
		return;
	r->salvaged = last + 1;
	r->info.block_count = r->salvaged;
	if (wal_segment_info_from_last_block(r, last) == 0)
		r->info.last_event = r->start.first_event_id + r->start.event_count - 1;
	r->info.event_count = (uint32_t)(r->info.last_event - r->info.first_event + 1);
}

static int check_index(struct wal_segment_reader *r, uint32_t index)
{
	if (!index || r->header.index == index)
		return 0;
	r->info.index = index;
	return wal_reader_fault(
		r, WAL_FAULT_INDEX,
		wal_in_file(offsetof(struct wal_disk_segment_header, segment_index)),
		"segment %" PRIu32, r->header.index);
}

static int version_fault(struct wal_segment_reader *r)
{
	const struct wal_disk_segment_header *disk = (const void *)r->area;

	return wal_reader_fault(r, WAL_FAULT_VERSION,
				wal_in_file(offsetof(struct wal_disk_segment_header, version)),
				"version %u, features %#x", disk->version, disk->incompat);
}

/* tail: where an active segment ends, or NULL: find out. */
static int parse_header_area(struct wal_segment_reader *r, uint32_t index,
			     const struct wal_tail *tail)
{
	struct wal_segment_headers h;
	bool sealed;
	int err;

	wal_segment_headers_decode(r, &h);
	if (h.has_seal && h.seal_kind && !tail && seal_changes(r))
		wal_segment_headers_decode(r, &h);
	if (h.active_kind == WAL_FAULT_VERSION)
		return version_fault(r);
	sealed = h.has_seal && !h.seal_kind;
	if (h.active_kind && !sealed)
		return wal_reader_fault(r, h.active_kind, wal_in_file(0), "%s", "active header");
	r->header = sealed ? wal_segment_headers_sealed(&h) : h.active;
	err = check_index(r, index);
	if (!err) {
		wal_segment_reader_rest(r); /* the block it has may be of another size */
		err = wal_reader_make_block(r);
	}
	if (err)
		return err;
	if (!h.has_seal || (tail && !sealed)) /* with a tail: what is half written, if anything */
		return open_unsealed(r, tail);
	return sealed ? open_sealed(r, &h) : open_seal_lost(r, h.seal_kind);
}

static void reset_cursors(struct wal_segment_reader *r)
{
	r->cursor = (struct wal_cursor){0};
	r->payload_cursor = (struct wal_cursor){0};
	r->payload_at = 0;
}

static struct wal_segment_reader *new_reader(uint32_t index)
{
	struct wal_segment_reader *r = calloc(1, sizeof(*r));
	void *area;

	if (!r)
		return NULL;
	if (posix_memalign(&area, WAL_DIRECT_ALIGN, WAL_HEADER_AREA)) {
		free(r);
		return NULL;
	}
	r->area = area;
	r->fd = -1;
	r->loaded = WAL_NO_BLOCK;
	r->info.index = index;
	return r;
}

/* err: of opening its file. The reader is the caller's, or gone. */
static int begin_reading(struct wal_segment_reader *r, const struct wal_tail *tail, int err,
			 struct wal_segment_reader **reader, struct wal_fault *fault)
{
	if (!err)
		err = read_header_area(r);
	if (!err)
		err = look_at_file(r);
	if (!err)
		err = parse_header_area(r, r->info.index, tail);
	if (err) {
		if (fault)
			*fault = r->fault;
		wal_segment_reader_close(r);
		return err;
	}
	reset_cursors(r);
	*reader = r;
	return 0;
}

static void no_fault_yet(uint32_t index, struct wal_fault *fault)
{
	if (fault)
		*fault = (struct wal_fault){.segment = index, .block = WAL_NO_BLOCK};
}

int wal_segment_reader_open(const struct wal_segment_source *source,
			    struct wal_segment_reader **reader, struct wal_fault *fault)
{
	struct wal_segment_reader *r = new_reader(source->index);

	*reader = NULL;
	no_fault_yet(source->index, fault);
	if (!r)
		return -ENOMEM;
	return begin_reading(r, NULL, wal_reader_open_file(r, source), reader, fault);
}

int wal_segment_reader_open_live(int fd, uint32_t index, const struct wal_tail *tail,
				 struct wal_segment_reader **reader, struct wal_fault *fault)
{
	struct wal_segment_reader *r = new_reader(index);

	*reader = NULL;
	no_fault_yet(index, fault);
	if (!r) {
		close(fd);
		return -ENOMEM;
	}
	r->fd = fd;
	return begin_reading(r, tail, 0, reader, fault);
}

void wal_segment_reader_close(struct wal_segment_reader *r)
{
	if (!r)
		return;
	if (r->shared)
		wal_shared_file_put(r->shared);
	else if (r->fd >= 0)
		close(r->fd);
	free(r->area);
	free(r->block);
	free(r->blocks);
	free(r);
}

int wal_segment_reader_share(struct wal_segment_reader *r, struct wal_shared_files *files)
{
	int err = wal_shared_file_get(files, r->fd, &r->shared);

	r->fd = err ? -1 : r->shared->fd;
	return err;
}

void wal_segment_reader_rest(struct wal_segment_reader *r)
{
	free(r->block);
	r->block = NULL;
	r->loaded = WAL_NO_BLOCK;
}

const struct wal_segment_info *wal_segment_reader_info(const struct wal_segment_reader *r)
{
	return &r->info;
}

const struct wal_fault *wal_segment_reader_fault(const struct wal_segment_reader *r)
{
	return &r->fault;
}

bool wal_segment_reader_is_direct(const struct wal_segment_reader *r)
{
	return r->direct;
}

void wal_segment_reader_set_tail(struct wal_segment_reader *r, const struct wal_tail *tail)
{
	/* Blocks from the old tail on have more in them now. */
	if (r->loaded != WAL_NO_BLOCK && r->loaded >= r->tail.block)
		r->loaded = WAL_NO_BLOCK;
	r->tail = *tail;
	wal_segment_info_from_tail(r);
}

int wal_segment_reader_reload(struct wal_segment_reader *r)
{
	int err = read_header_area(r);

	if (!err)
		err = look_at_file(r);
	return err ? err : parse_header_area(r, r->info.index, NULL);
}
