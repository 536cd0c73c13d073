/* SPDX-License-Identifier: MIT */
/* What core itself needs of a reader beyond <walfs/wal.h>. */
#ifndef WALFS_CORE_SEGMENT_READER_H
#define WALFS_CORE_SEGMENT_READER_H

#include "core/format/format.h"
#include "core/base/io.h"
#include "core/base/shared_files.h"
#include "core/segment/walk.h"

struct wal_cursor {
	uint32_t block;
	uint32_t at;	  /* in its data area */
	bool entered;	  /* id and payload below are those of this block */
	uint64_t id;	  /* of the next event */
	uint64_t payload; /* its payload's offset */
};

/* Where wal_segment_reader_next_salvaged() is in a block that does not hold. */
struct wal_salvage {
	bool in_block;
	uint32_t at;	       /* in its data area */
	uint32_t limit;	       /* records end there at the latest */
	uint32_t next_block;   /* all before it was looked at */
	uint32_t upper_block;  /* the next whose header holds; 0: not looked for */
	uint64_t next_id;      /* the lowest that the next event can have */
	uint64_t block_end_id; /* those of this block are below */
	uint64_t end_id;       /* those before upper_block are below */
	uint64_t last_ns;
	uint64_t until_ns;
	uint64_t lost_bytes; /* since the last that proved itself */
	uint64_t hashed;     /* bytes, in this block */
};

struct wal_segment_reader {
	int fd;
	struct wal_shared_file *shared; /* whose descriptor that is; NULL: the reader's own */
	bool direct;
	uint64_t file_bytes;
	uint8_t *area;		       /* the header area */
	uint8_t *block;		       /* one block, checked; NULL: at rest */
	uint32_t loaded;	       /* which, or WAL_NO_BLOCK */
	struct wal_block_header start; /* of the loaded block */

	bool live;   /* opened on a segment that was being written */
	bool sealed; /* block headers count; else the walk's result does */
	struct wal_segment_header header;
	struct wal_tail tail;		 /* unsealed: how far it goes */
	struct wal_block_header *blocks; /* unsealed: blocks before tail.block, or NULL */
	uint32_t blocks_count;
	uint32_t salvaged; /* blocks up to here can be asked for, after the tail's; 0: none */

	struct wal_cursor cursor;
	struct wal_salvage salvage;
	struct wal_cursor payload_cursor; /* where the last payload() ended */
	uint64_t payload_at;
	struct wal_segment_info info;
	struct wal_fault fault;
};

/*
 * Goes on with the descriptor that all readers of the file share, in place of its own.
 * Return: 0; -EMFILE, -ENOMEM: it can only be closed then.
 */
int wal_segment_reader_share(struct wal_segment_reader *reader, struct wal_shared_files *files);

/* The unsealed segment goes to this tail now; NULL: no change. Same thread as the reader. */
void wal_segment_reader_set_tail(struct wal_segment_reader *reader, const struct wal_tail *tail);
/* Reads the header area again: the segment may have been sealed. Return: 0 or -errno. */
int wal_segment_reader_reload(struct wal_segment_reader *reader);
/* Reads an open file, without walking if the tail is given. The descriptor is the reader's. */
int wal_segment_reader_open_live(int fd, uint32_t index, const struct wal_tail *tail,
				 struct wal_segment_reader **reader, struct wal_fault *fault);

/* The chained checksum that sealing at the tail would give. Return: 0; -EIO, -ENOMEM. */
int wal_segment_reader_end_chain(const struct wal_segment_reader *reader, uint64_t *chain);

/* --- between the reader's files --------------------------------------------------- */

/* Where in the file of a segment. */
struct wal_fault_place {
	uint32_t block; /* or WAL_NO_BLOCK */
	uint64_t offset;
};

static inline struct wal_fault_place wal_in_block(uint32_t block, uint64_t offset)
{
	return (struct wal_fault_place){block, offset};
}

static inline struct wal_fault_place wal_in_file(uint64_t offset)
{
	return (struct wal_fault_place){WAL_NO_BLOCK, offset};
}

/* Notes a fault. Return: its errno. */
int wal_reader_fault(struct wal_segment_reader *r, enum wal_fault_kind kind,
		     struct wal_fault_place place, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int wal_reader_io_fault(struct wal_segment_reader *r, uint64_t offset, int err);
/* Makes it r->fd. Return: 0 or the fault's errno. */
int wal_reader_open_file(struct wal_segment_reader *r, const struct wal_segment_source *source);
/* For wal_walk_source.block: r->blocks, of which there are r->blocks_count. Return: 0; -ENOMEM. */
int wal_reader_keep_block(void *ctx, const struct wal_block_header *header,
			  const struct wal_disk_block_header *disk, const uint8_t *stored);
/* Blocks that can hold something: all of a sealed segment, those to the tail of another. */
uint32_t wal_reader_block_limit(const struct wal_segment_reader *r);
/* What a block starts with, without reading the block. Return: 0 or the fault's errno. */
int wal_reader_block_start(struct wal_segment_reader *r, uint32_t index,
			   struct wal_block_header *start);
/* Makes room for r->block, if there is none. Return: 0; -ENOMEM. */
int wal_reader_make_block(struct wal_segment_reader *r);
/* Makes it r->block, checked, and r->start. Return: 0 or the fault's errno. */
int wal_reader_load_block(struct wal_segment_reader *r, uint32_t index);
/* The same for bytes that are handed out as they are in the file. */
int wal_reader_load_raw(struct wal_segment_reader *r, uint32_t index);

#endif
