/* SPDX-License-Identifier: MIT */
/*
 * What the tests of core/log share: one log on a store in the test's directory, over a system
 * that can be made to fail. Linked into these tests alone.
 */
#ifndef WALFS_TESTS_FIXTURE_LOG_H
#define WALFS_TESTS_FIXTURE_LOG_H

#include "tests/support.h"

#define STORE "store"
#define FILE_BYTES (4096 + 4 * TEST_BLOCK)
#define OP(name) (1u << FAULT_OP_##name)
#define SECOND UINT64_C(1000000000)

extern struct fault_io fault;
extern struct test_log_handle handle; /* prepared for STORE, and not open, when a test begins */
extern struct wal_log *wal;	      /* of handle */
extern char big[64 * TEST_BLOCK];     /* of one letter */

/* Adds a case with all of this fixture to suite. */
TCase *log_case(Suite *suite, const char *name, double timeout_s);

/* With the options of a test, whatever is in handle; and waits until it is ready. */
void open_log(void);
/* Where the preparer shall fail at once. */
void open_log_unsettled(void);
/* With the options of handle as they are. */
void open_as_prepared(void);
/* Keeps the options. */
void close_log(void);
/* Until the next segment is ready, so that no thread makes a call that a test counts. */
void wait_until_ready(void);

struct wal_log_position position(void);
struct wal_stats stats_now(void);

/* One record. Return: of wal_log_append. */
ssize_t put_size(uint32_t size);
/* Appends lines until one fails, as expected. Return: the last id. */
uint64_t fill_until(int expected);
/* Segments of ten lines each, until `count` are finished. */
void make_segments(uint32_t count);
/* Until retention has left exactly these finished segments. */
void wait_for_segments(size_t count);

/* Reads the whole log; the lines are event 1 to last. */
void assert_log_lines(uint64_t last);
void expect_sound_store(void);

#endif
