/* SPDX-License-Identifier: MIT */
/* What the tests of verifying share: a sound segment, and what is reported of it or of a store. */
#ifndef WALFS_TESTS_FIXTURE_VERIFY_H
#define WALFS_TESTS_FIXTURE_VERIFY_H

#include "tests/states_build.h"

#define SEGMENT "0000000001.wal"
#define DATA(k) (4096 + (k)*TEST_BLOCK + 64)
#define BLOCK_AT(k) (4096 + (k)*TEST_BLOCK)

/* 130 lines, a PART, a group and a last line in three blocks, sealed. */
extern struct oracle_image verify_image;
void verify_build_segment(void);
void verify_destroy_segment(void);
/* Where its event n begins, from 0. */
uint64_t verify_event_offset(size_t n);

/* A store in test_dir(): three sealed segments and D at their end, after event 150. */
extern struct oracle_image verify_images[3];
void verify_build_store(void);
void verify_destroy_store(void);

/* What was reported, in order. */
extern struct verify_reported {
	size_t count;
	struct wal_fault faults[64];
	char names[64][64];
} verify_reported;
extern struct wal_verify_result verify_result;
/* Of notes the count and the first kinds: it is for the test to make the count 0. */
extern unsigned verify_noted;
extern enum wal_fault_kind verify_note_kinds[16];

void verify_keep_note(void *ctx, const char *name, const struct wal_fault *note);
extern const struct wal_verify_options verify_reporting; /* faults go to verify_reported */
extern const struct wal_verify_options verify_telling;	 /* and notes are counted */

/* The file SEGMENT as it is; verify_image as SEGMENT; the store that test_dir() is. */
void verify_segment_file(void);
void verify_segment_image(void);
void verify_store(void);

#endif
