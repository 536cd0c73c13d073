/* SPDX-License-Identifier: MIT */
/*
 * What the tests of a segment's writer share: one writer in the test's directory, and the
 * image that the oracle makes of the same calls. Linked into these tests alone.
 */
#ifndef WALFS_TESTS_FIXTURE_SEGMENT_WRITER_H
#define WALFS_TESTS_FIXTURE_SEGMENT_WRITER_H

#include "core/segment/segment_writer.h"
#include "tests/support.h"

#define BLOCKS 4u
#define FILE_BYTES (4096 + BLOCKS * TEST_BLOCK)
#define SPACE (TEST_BLOCK - 64u)  /* a block's data area */
#define FIRST_SPACE (SPACE - 88u) /* of block 0, after the segment record */
#define EVENT_MAX (SPACE - 16u)
#define SEGMENT "0000000001.wal"
#define PREPARED "0000000001.wal.new"

extern struct fault_io fault;
extern struct wal_segment_writer writer;
extern uint8_t text[FILE_BYTES]; /* what records are made of */

/*
 * Most is done twice: in a mapped segment, and in one that is written by pwrite. Each of these
 * adds the case to suite, with all of this fixture.
 */
TCase *mapped_case(Suite *suite);
TCase *gathered_case(Suite *suite);
extern bool gathers; /* it is the second */

/* Return: as the writer's functions do. */
int open_shape(uint32_t index, uint32_t block_size, uint64_t bytes);
int try_existing(uint32_t index, struct wal_tail *tail);
int try_start(void);
int put(uint32_t size, uint32_t flags, uint64_t time_ns);

/* These fail the test if they cannot do it. */
void open_existing(struct wal_tail *tail);
void start(void);
void open_started(void);
void append(uint32_t size, uint32_t flags);

/* The image that the oracle makes of the same calls; compared with the file. */
extern struct oracle_image expected;
void expect(void);
/* The same record for both. */
void append_both(uint32_t size, uint32_t flags, uint64_t time_ns);
void assert_file_is(const char *name, const uint8_t *bytes, size_t size);
/* Block headers of an unsealed segment are hints: those of the image are those of the file. */
void assert_same_records(void);
void seal_and_compare(void);

#endif
