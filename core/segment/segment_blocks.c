/* SPDX-License-Identifier: MIT */
/* Blocks of a segment: read with pread, and checked before anything in them is used. */
#include "core/segment/segment_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/io.h"

/* Notes a fault and returns its errno. */
int wal_reader_fault(struct wal_segment_reader *r, enum wal_fault_kind kind,
		     struct wal_fault_place place, const char *format, ...)
{
	va_list args;

	r->fault = (struct wal_fault){.kind = kind,
				      .segment = r->info.index,
				      .block = place.block,
				      .offset = place.offset};
	va_start(args, format);
	vsnprintf(r->fault.detail, sizeof(r->fault.detail), format, args);
	va_end(args);
	return wal_fault_errno(kind);
}

int wal_reader_io_fault(struct wal_segment_reader *r, uint64_t offset, int err)
{
	wal_reader_fault(r, WAL_FAULT_IO, wal_in_file(offset), "%s", strerror(-err));
	return err;
}

/* --- blocks ------------------------------------------------------------------------ */

/* Blocks that can hold something: all of a sealed segment, those to the tail of another. */
uint32_t wal_reader_block_limit(const struct wal_segment_reader *r)
{
	if (r->sealed)
		return r->header.block_count;
	return r->salvaged ? r->salvaged : r->tail.block + 1;
}

/* What a block starts with, without reading the block. Return: 0 or the fault's errno. */
int wal_reader_block_start(struct wal_segment_reader *r, uint32_t index,
			   struct wal_block_header *start)
{
	uint64_t offset = wal_block_offset(r->header.block_size, index);
	uint8_t bytes[WAL_DIRECT_ALIGN] __attribute__((aligned(WAL_DIRECT_ALIGN)));
	const size_t size = r->direct ? sizeof(bytes) : WAL_BLOCK_HEADER;
	enum wal_fault_kind kind;
	ssize_t n;

	if (!r->sealed && index == r->tail.block) {
		*start = r->tail.start;
		start->used_bytes = r->tail.at;
		return 0;
	}
	if (!r->sealed && index < r->blocks_count) {
		*start = r->blocks[index];
		return 0;
	}
	n = wal_pread_full(r->fd, bytes, size, (off_t)offset);
	if (n < 0)
		return wal_reader_io_fault(r, offset, (int)n);
	if (n < (ssize_t)WAL_BLOCK_HEADER)
		return wal_reader_fault(r, WAL_FAULT_TOO_SHORT, wal_in_block(index, offset), "%s",
					"");
	kind = wal_block_header_decode((const void *)bytes, r->header.prev_chain,
				       r->header.block_size, index, start);
	return kind ? wal_reader_fault(r, kind, wal_in_block(index, offset), "%s", "") : 0;
}

int wal_reader_make_block(struct wal_segment_reader *r)
{
	void *block;

	if (r->block)
		return 0;
	if (posix_memalign(&block, WAL_DIRECT_ALIGN, r->header.block_size))
		return -ENOMEM;
	r->block = block;
	return 0;
}

static int read_block(struct wal_segment_reader *r, uint32_t index, size_t size)
{
	uint64_t offset = wal_block_offset(r->header.block_size, index);
	int err = wal_reader_make_block(r);
	ssize_t n;

	if (err)
		return wal_reader_io_fault(r, offset, err);
	n = wal_pread_full(r->fd, r->block, size, (off_t)offset);
	r->loaded = WAL_NO_BLOCK;
	if (n < 0)
		return wal_reader_io_fault(r, offset, (int)n);
	if ((size_t)n < size)
		return wal_reader_fault(r, WAL_FAULT_TOO_SHORT,
					wal_in_block(index, offset + (uint64_t)n),
					"the file was cut");
	return 0;
}

/* A block of a sealed segment: whole, or an error. */
static int load_sealed(struct wal_segment_reader *r, uint32_t index)
{
	uint64_t offset = wal_block_offset(r->header.block_size, index);
	enum wal_fault_kind kind;
	uint32_t at;
	int err = read_block(r, index, r->header.block_size);

	if (err)
		return err;
	kind = wal_block_check(r->block,
			       &(struct wal_block_place){.segment_prev_chain = r->header.prev_chain,
							 .block_size = r->header.block_size,
							 .index = index},
			       &r->start, &at);
	return kind ? wal_reader_fault(r, kind, wal_in_block(index, offset + at), "%s", "") : 0;
}

static int load_unsealed(struct wal_segment_reader *r, uint32_t index)
{
	size_t size = r->header.block_size;
	int err = wal_reader_block_start(r, index, &r->start);

	if (!err && !r->direct && r->start.used_bytes <= wal_block_data_size(r->header.block_size))
		size = WAL_BLOCK_HEADER + r->start.used_bytes;
	return err ? err : read_block(r, index, size);
}

int wal_reader_load_block(struct wal_segment_reader *r, uint32_t index)
{
	int err;

	if (r->loaded == index)
		return 0;
	err = r->sealed || index > r->tail.block ? load_sealed(r, index) : load_unsealed(r, index);
	if (!err)
		r->loaded = index;
	return err;
}

/* May the block's bytes be handed out as they are in the file? */
int wal_reader_load_raw(struct wal_segment_reader *r, uint32_t index)
{
	int err;

	if (r->sealed)
		return wal_reader_load_block(r, index);
	err = read_block(r, index, r->header.block_size);
	if (err || r->info.state != WAL_DAMAGED || index < r->tail.block ||
	    wal_is_zero(r->block, r->header.block_size))
		return err;
	return load_sealed(r, index);
}

int wal_segment_reader_end_chain(const struct wal_segment_reader *r, uint64_t *chain)
{
	struct wal_block_header start = r->tail.start;
	struct wal_disk_block_header disk;
	size_t size = r->header.block_size;
	void *block;
	ssize_t n;

	if (posix_memalign(&block, WAL_DIRECT_ALIGN, size))
		return -ENOMEM;
	n = wal_pread_full(r->fd, block, size,
			   (off_t)wal_block_offset(r->header.block_size, r->tail.block));
	if (n == (ssize_t)size) {
		start.used_bytes = r->tail.at;
		wal_block_header_finalize(&start, (const uint8_t *)block + WAL_BLOCK_HEADER,
					  r->tail.chain, r->header.prev_chain, &disk);
		*chain = start.chain;
	}
	free(block);
	return n < 0 ? (int)n : n < (ssize_t)size ? -EIO : 0;
}
