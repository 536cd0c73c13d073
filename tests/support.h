/* SPDX-License-Identifier: MIT */
/*
 * What the unit tests share: a scratch directory that is always removed, files,
 * stores built from images, a log opened with its notices kept.
 */
#ifndef WALFS_TESTS_SUPPORT_H
#define WALFS_TESTS_SUPPORT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <walfs/wal.h>

#include "tests/fault_io.h"
#include "tests/oracle.h"

#define TEST_BLOCK 4096u
#define TEST_TIME UINT64_C(1795341662000000017) /* 2026-11-22T10:01:02.000000017Z */
#define TEST_PATH_MAX 512

extern const uint8_t test_log[16];	 /* 00112233-4455-4677-8899-aabbccddeeff */
extern const uint8_t test_other_log[16]; /* the same with another last byte */

/*
 * Runs the suite; scratch directories are gone afterwards, whatever happened.
 * Return: the status for main().
 */
int test_main(Suite *suite);
/* The same with scratch directories in memory, where there are such: for very many small stores. */
int test_main_in_memory(Suite *suite);

/* A test case with the scratch fixture, added to suite. timeout in seconds. */
TCase *test_case(Suite *suite, const char *name, double timeout_s);

/* The running test's own empty directory, and a path in it. */
const char *test_dir(void);
/* Four static buffers in turn. */
const char *test_path(const char *name);
int test_dirfd(void);
/* wal_segment_reader_open() of a file in it. */
int test_reader_open(const char *name, uint32_t index, struct wal_segment_reader **reader,
		     struct wal_fault *fault);

/*
 * A file of the source tree: from the working directory, or above the program.
 * Two static buffers in turn. Fails the test if there is none.
 */
const char *source_path(const char *name);

/* --- waiting ------------------------------------------------------------------ */

/*
 * Until the condition holds, which is looked at each millisecond; fails the test, with the
 * condition's text, if that takes longer than any load explains.
 */
#define wait_until(condition) \
	do { \
		uint64_t wait_until_ns = 0; \
		while (!(condition)) \
			ck_assert_msg(wait_a_moment(&wait_until_ns), "waited %d s in vain: %s", \
				      WAIT_SECONDS, #condition); \
	} while (0)
#define WAIT_SECONDS 20
/* The first time, with 0, it sets the deadline. Return: whether it is still to come. */
bool wait_a_moment(uint64_t *deadline_ns);

/* --- files: each fails the test if it cannot do its work ------------------- */

struct bytes {
	uint8_t *data;
	size_t size;
};

struct bytes file_read(const char *path);
void bytes_free(struct bytes *bytes);
void file_write(const char *path, const void *data, size_t size);
/* Creates it if need be; the rest of it stays. */
void file_patch(const char *path, uint64_t offset, const void *data, size_t size);
/* Flips the bits of mask in one byte. */
void file_flip(const char *path, uint64_t offset, uint8_t mask);
void file_resize(const char *path, uint64_t size);
uint64_t file_size(const char *path);
uint64_t file_blocks(const char *path); /* st_blocks */
bool file_exists(const char *path);
void remove_tree(const char *path);
void copy_tree(const char *from, const char *to);

/* A directory's names and their bytes, to see whether anything changed. */
struct listing {
	size_t count;
	struct listed {
		char name[256];
		uint64_t size;
		uint64_t hash;
		uint64_t mtime_ns;
		bool regular;
	} files[64];
};
void list_dir(const char *path, struct listing *listing);
/* Fails the test, naming the file, if they differ (mtime included). */
void assert_same_listing(const struct listing *before, const struct listing *after);
/* The first name that has this part, or NULL; how many have it. */
const char *listing_find(const struct listing *listing, const char *part);
size_t listing_count(const struct listing *listing, const char *part);

/* --- stores ------------------------------------------------------------------- */

/* Segment 1 of test_log: four blocks of TEST_BLOCK, the first chain. */
struct oracle_params test_params(void);
/* The one that continues image: index, ids and chain follow; other fields as in image. */
struct oracle_params test_params_after(const struct oracle_image *image);
/* "event ID\n" events up to and with id last. */
void append_lines(struct oracle_image *image, uint64_t last);

const char *store_segment_path(const char *store, uint32_t index);
void store_put(const char *store, const struct oracle_image *image);
/* D at the end of image, with parameters of it; incarnation as in image. */
struct oracle_slot test_slot(const struct oracle_image *image);
/*
 * Writes the slot into wal.meta where its sequence goes (even: 0, odd: 1). A new wal.meta gets
 * the one before it too, with the same position and without CLEAN.
 */
void store_put_slot(const char *store, const struct oracle_slot *slot);
void store_put_slot_alone(const char *store, const struct oracle_slot *slot);
/* Fails the test if there is no valid slot. */
struct oracle_slot store_slot(const char *store);
/* Decodes segment index; free image (and segment) with store_decoded_free. */
struct store_decoded {
	struct bytes image;
	struct oracle_segment segment;
};
void store_decode(const char *store, uint32_t index, struct store_decoded *decoded);
void store_decoded_free(struct store_decoded *decoded);

/* --- a log under test ------------------------------------------------------------ */

struct notices {
	pthread_mutex_t lock;
	size_t count;
	size_t warnings; /* or worse */
	char text[32][512];
};

struct test_log_handle {
	struct wal_log *log;
	struct wal_error error;
	struct notices notices;
	struct wal_log_options options;
	char path[2 * TEST_PATH_MAX]; /* what options.path is */
};

/* Options for store with test sizes; the notices go to handle. */
void log_prepare(struct test_log_handle *handle, const char *store, const struct wal_io *io);
/* Return: of wal_log_open. */
int log_open(struct test_log_handle *handle);
/* Opens, or fails the test with the error's text. */
void log_open_ok(struct test_log_handle *handle, const char *store, const struct wal_io *io);
/* Return: of wal_log_close. */
int log_close(struct test_log_handle *handle);
/* Whether a notice has this part. */
bool log_noticed(struct test_log_handle *handle, const char *part);
/* Appends one record. Return: of wal_log_append. */
ssize_t log_put(struct test_log_handle *handle, const char *text);
/* "event ID\n" until id last is there; fails the test if one fails. */
void log_put_lines(struct test_log_handle *handle, uint64_t first, uint64_t last);

/*
 * ck_assert_msg() for what a test does thousands of times: Check's own writes the place to a
 * file each time that it holds, so that a crash can be located.
 */
#define ck_holds(condition, ...) \
	do { \
		if (!(condition)) \
			ck_abort_msg(__VA_ARGS__); \
	} while (0)
#define ck_ok(expr) \
	do { \
		long ck_ok_result = (long)(expr); \
		ck_holds(ck_ok_result == 0, "%s: %ld (%s)", #expr, ck_ok_result, \
			 strerror((int)-ck_ok_result)); \
	} while (0)
#define ck_fails(expr, expected) \
	do { \
		long ck_fails_result = (long)(expr); \
		ck_holds(ck_fails_result == (expected), "%s: %ld (%s), not %s", #expr, \
			 ck_fails_result, \
			 ck_fails_result < 0 ? strerror((int)-ck_fails_result) : "ok", #expected); \
	} while (0)
#define ck_kind(actual, expected) \
	ck_assert_msg((actual) == (expected), "%s: %s, not %s", #actual, \
		      wal_fault_kind_name(actual), wal_fault_kind_name(expected))

#endif
