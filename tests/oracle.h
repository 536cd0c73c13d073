/* SPDX-License-Identifier: MIT */
/*
 * A second implementation of the format, written from docs/FORMAT.md alone: it
 * shares no code with core/, works on whole images in memory, recomputes
 * everything and is as slow as that is. Tests compare the library with it, and
 * build with it the stores that a crash or damage could leave.
 *
 * Only enum wal_fault_kind comes from the library's header, to name faults.
 */
#ifndef WALFS_TESTS_ORACLE_H
#define WALFS_TESTS_ORACLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <walfs/wal.h>

/* --- little-endian, by hand ------------------------------------------------- */

uint32_t oracle_get16(const uint8_t *p);
uint32_t oracle_get32(const uint8_t *p);
uint64_t oracle_get64(const uint8_t *p);
void oracle_put16(uint8_t *p, uint32_t v);
void oracle_put32(uint8_t *p, uint32_t v);
void oracle_put64(uint8_t *p, uint64_t v);
uint64_t oracle_xxh3(const void *bytes, size_t size, uint64_t seed);
bool oracle_is_zero(const uint8_t *bytes, size_t size);

/* Section 2: where a chain starts, and starts again. */
uint64_t oracle_chain_start(const uint8_t log[16]);
uint64_t oracle_chain_restart(const uint8_t log[16], uint32_t index);

/* Seal bytes that a test changed, so that only the change itself is wrong. */
void oracle_fix_active_header(uint8_t *image);
void oracle_fix_seal_header(uint8_t *image);
void oracle_fix_event(uint8_t *record, uint64_t prev_chain, uint64_t id);
/* All checksums of block headers from block on (used_bytes as it stands), and the seal's. */
void oracle_fix_blocks(uint8_t *image, uint32_t from);

/* --- decoding (sections 3 to 9) --------------------------------------------- */

struct oracle_event {
	uint64_t id;
	uint64_t timestamp_ns;
	uint32_t flags;
	uint32_t block;
	const uint8_t *payload;
	uint32_t size;
	uint32_t span; /* header and padding included */
	uint64_t payload_offset;
	uint64_t file_offset;
};

struct oracle_meta_record {
	uint32_t kind;
	uint32_t writer_version;
	uint8_t log[16];
	uint64_t incarnation;
	uint64_t segment_bytes;
	uint32_t framing;
	uint32_t framing_size;
	uint32_t recovery;
	uint32_t dropped_segments;
	uint64_t dropped_bytes;
	uint64_t clock_step_ns;
};

struct oracle_segment {
	/* The first rule of section 8 that does not hold, or WAL_FAULT_NONE. */
	enum wal_fault_kind fault;
	uint32_t fault_block;
	uint64_t fault_offset;

	bool readable; /* active header and first record valid */
	bool sealed;
	uint32_t index;
	uint32_t block_size;
	uint32_t block_count; /* started blocks */
	uint32_t compat;
	uint64_t first_event;
	uint64_t next_event;
	uint64_t created_ns;
	uint64_t closed_ns;
	uint64_t prev_chain;
	uint64_t chain; /* recomputed over the started blocks */
	uint64_t header_checksum;
	struct oracle_meta_record meta;	  /* the first record */
	struct oracle_meta_record resume; /* the last RESUME record; kind 0: none */
	uint32_t resumes;
	uint64_t end; /* T of section 9.2 */
	uint64_t payload_bytes;
	struct oracle_event *events;
	size_t event_count;
	size_t event_room;
};

/*
 * Decodes an image of size bytes whose name says index. events point into it.
 * Stops at the first thing that is wrong, which it leaves in fault.
 */
void oracle_decode(const uint8_t *image, size_t size, uint32_t index,
		   struct oracle_segment *segment);
void oracle_segment_free(struct oracle_segment *segment);

/* One line a field, as in section 11 of the document. */
void oracle_dump(FILE *out, const uint8_t *image, size_t size);

/* --- building ----------------------------------------------------------------- */

struct oracle_params {
	uint32_t index;
	uint32_t block_size;
	uint32_t blocks; /* N while active */
	uint64_t first_event;
	uint64_t prev_chain;
	uint64_t created_ns;
	uint8_t log[16];
	uint64_t incarnation;
	uint32_t writer_version;
	uint32_t framing;
	uint32_t framing_size;
	uint32_t recovery;
};

struct oracle_image {
	struct oracle_params params;
	uint8_t *bytes;
	size_t size;
	uint32_t block; /* being filled */
	uint32_t at;	/* in its data area */
	uint64_t next_event;
	uint64_t last_ns;
};

/* An active segment with its first record. */
void oracle_build(struct oracle_image *image, const struct oracle_params *params);
void oracle_image_free(struct oracle_image *image);

/* One record where the image stands; goes to the next block if it must. Return: its offset. */
uint64_t oracle_append(struct oracle_image *image, uint64_t timestamp_ns, uint32_t flags,
		       const void *data, uint32_t size);
/* As many fragments as it takes, filling what is left of each block. */
void oracle_append_group(struct oracle_image *image, uint64_t timestamp_ns, uint32_t flags,
			 const void *data, uint32_t size);
void oracle_append_resume(struct oracle_image *image, uint64_t timestamp_ns, uint64_t incarnation);
void oracle_next_block(struct oracle_image *image);
/* Bytes that a record may still have in this block, or -1. */
int64_t oracle_room(const struct oracle_image *image);
/* The file offset behind the last record: T. */
uint64_t oracle_end(const struct oracle_image *image);

/* The header of block k as section 4 computes it; previous: the chain before. Return: its chain. */
uint64_t oracle_block_header(const struct oracle_image *image, uint32_t k, uint64_t previous,
			     uint8_t header[64]);
/* Writes the headers of blocks 0 to count - 1. Return: the chain behind them. */
uint64_t oracle_write_block_headers(struct oracle_image *image, uint32_t count);
/* The chain that the image leads to, without writing a header. */
uint64_t oracle_chain(const struct oracle_image *image);
/* Headers, cut, seal header. Return: the chain. */
uint64_t oracle_seal(struct oracle_image *image, uint64_t closed_ns, uint32_t compat);

/* --- wal.meta (section 7) ------------------------------------------------------- */

struct oracle_slot {
	uint64_t sequence;
	uint8_t log[16];
	uint32_t block_size;
	uint64_t segment_bytes;
	uint32_t framing;
	uint32_t framing_size;
	uint64_t incarnation;
	uint32_t durable_segment;
	uint32_t first_segment;
	uint64_t durable_offset;
	uint64_t durable_event;
	uint32_t flags;
};

#define ORACLE_SLOT_BYTES 4096
#define ORACLE_CLEAN 1u

void oracle_slot_encode(const struct oracle_slot *slot, uint8_t bytes[ORACLE_SLOT_BYTES]);
bool oracle_slot_decode(const uint8_t bytes[ORACLE_SLOT_BYTES], struct oracle_slot *slot);
/* Which slot counts: 0, 1, or -1. bytes: both. */
int oracle_slot_choose(const uint8_t *bytes, size_t size, struct oracle_slot *slot);

#endif
