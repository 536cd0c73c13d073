/* SPDX-License-Identifier: MIT */
#include "core/segment/segment_pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint64_t block_offset(const struct wal_segment_writer *w)
{
	return wal_block_offset(w->header.block_size, w->start.index);
}

void wal_segment_pages_begin_block(struct wal_segment_writer *w, uint32_t index)
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

int wal_segment_pages_map(struct wal_segment_writer *w)
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

	if (from < to && !w->err)
		w->err = w->io->pwrite(w->io, w->fd, w->data - WAL_BLOCK_HEADER + from, to - from,
				       (off_t)(block_offset(w) + from));
	if (!w->err)
		w->written = w->at;
}

static void put_header(struct wal_segment_writer *w)
{
	if (!w->err)
		w->err = w->io->pwrite(w->io, w->fd, w->data - WAL_BLOCK_HEADER, WAL_BLOCK_HEADER,
				       (off_t)block_offset(w));
}

void wal_segment_writer_write_out(struct wal_segment_writer *w)
{
	if (w->gathered)
		put(w, (uint32_t)WAL_BLOCK_HEADER + w->written);
}

void wal_segment_pages_write_block(struct wal_segment_writer *w)
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

void wal_segment_pages_drop(struct wal_segment_writer *w)
{
	unmap_file(w);
	free(w->gathered);
	w->gathered = NULL;
}
