/* SPDX-License-Identifier: MIT */
/*
 * One segment file: begun, written, sealed, walked and read; it knows no other segment. Here is
 * what the files that write one share, and nobody else changes: see segment_writer.h.
 */
#ifndef WALFS_CORE_SEGMENT_H
#define WALFS_CORE_SEGMENT_H

#include "core/base/guard.h"
#include "core/base/io.h"
#include "core/base/telemetry.h"
#include "core/format/record.h"

/* A position within the segment, for reckoning ahead. */
struct wal_append_point {
	uint32_t block;
	uint32_t at;
};

/* An append point that can be gone back to. */
struct wal_append_state {
	uint32_t at;
	uint64_t next_event;
	uint64_t payload_bytes;
	uint64_t chain;
	struct wal_block_header start;
};

struct wal_segment_writer {
	const struct wal_io *io;
	int dirfd;
	int fd; /* one descriptor from creation to seal: it gets the sync errors */
	char name[WAL_NAME_MAX];
	bool published;			 /* it has its final name */
	bool name_is_durable;		 /* and keeps it over power loss */
	bool finished;			 /* the last block's header is written */
	struct wal_telemetry *telemetry; /* NULL: not wanted */
	struct wal_segment_header header;
	uint64_t file_bytes;
	uint32_t data_size;
	uint32_t block_limit;
	uint8_t *map; /* of the file; NULL after gather() */
	struct wal_guard *guard;
	uint8_t *gathered; /* the current block, after gather(); NULL before */
	uint32_t written;  /* of its data area: how much the file has */
	int err;	   /* of a pwrite that failed: the file lacks what was appended */

	/* The append point. */
	uint8_t *data; /* of the current block */
	uint32_t at;
	uint64_t next_event;
	uint64_t payload_bytes;
	uint64_t last_ns;
	uint64_t chain;		       /* of the finished blocks */
	struct wal_block_header start; /* the current block so far */
	struct wal_meta_record meta;
	uint64_t incarnation;

	/* For settle(): */
	struct wal_append_state left;  /* the end of the block before the current one */
	struct wal_append_state group; /* before the last MORE/CONT group, */
	uint64_t group_end;	       /* whose events are below this id; 0: there was none */
	struct wal_append_point floor; /* see acknowledge() */
	uint64_t leftover_end;	       /* up to this offset of the file there may be bytes
					* after the append point; 0: there are none */
};

struct wal_segment_shape {
	uint32_t index;
	uint32_t block_size;
	uint64_t file_bytes; /* WAL_HEADER_AREA + whole blocks */
};

#endif
