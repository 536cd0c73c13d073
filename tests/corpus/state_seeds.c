/* SPDX-License-Identifier: MIT */
/*
 * Writes each state of the decision table (tests/states.c) as inputs of fuzz programs: its
 * store for fuzz_recovery, its segment 1 for fuzz_segment. Builders of states use Check, so
 * that this is one of its programs, too. The directories that are written to are there:
 *
 *   state_seeds DIRECTORY        writes to DIRECTORY/fuzz_recovery and DIRECTORY/fuzz_segment
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/fuzz_raw.h"
#include "tests/states.h"

#define STORE "store"

static const char *seeds;

static void write_seed(const char *program, int i, const uint8_t *bytes, size_t size)
{
	char path[2 * TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/state-%03d", seeds, program, i);
	file_write(path, bytes, size);
}

static void add_file(struct raw_seed *seed, const char *name)
{
	char path[2 * TEST_PATH_MAX];
	enum raw_kind kind = RAW_SEGMENT;
	struct bytes bytes = {0};
	struct stat st;
	int what;

	snprintf(path, sizeof(path), "%s/%s", test_path(STORE), name);
	ck_assert_int_eq(lstat(path, &st), 0);
	if (S_ISDIR(st.st_mode))
		kind = RAW_DIRECTORY;
	else if (strcmp(name, "wal.meta") == 0)
		kind = RAW_META;
	what = raw_what(kind, name);
	if (what < 0 && strstr(name, ".zst")) /* refused as soon as its name is seen */
		return;
	ck_assert_msg(what >= 0, "%s: of no use to fuzz_recovery, see tests/fuzz_raw.h", name);
	if (kind == RAW_DIRECTORY) {
		raw_put8(seed, (unsigned)what);
		return;
	}
	bytes = file_read(path);
	raw_put_file(seed, (unsigned)what, bytes.data, bytes.size);
	bytes_free(&bytes);
}

static void write_store(int i)
{
	static struct raw_seed seed;
	struct dirent **entries;
	int n = scandir(test_path(STORE), &entries, NULL, alphasort), files = 0;

	ck_assert_int_ge(n, 0);
	raw_begin(&seed);
	for (int k = 0; k < n; k++) {
		const char *name = entries[k]->d_name;

		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			add_file(&seed, name);
			files++;
		}
		free(entries[k]);
	}
	free(entries);
	ck_assert_int_le(files, RAW_FILES);
	ck_assert(!seed.overflow);
	write_seed("fuzz_recovery", i, seed.bytes, seed.size);
}

/* As it is: fuzz_segment knows it by its magic. */
static void write_segment(int i)
{
	const char *path = store_segment_path(test_path(STORE), 1);
	struct bytes segment;
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	segment = file_read(path);
	if (segment.size >= 4 && memcmp(segment.data, "WALS", 4) == 0)
		write_seed("fuzz_segment", i, segment.data, segment.size);
	bytes_free(&segment);
}

START_TEST(writes)
{
	ck_assert_int_eq(mkdir(test_path(STORE), 0700), 0);
	states[_i].build(test_path(STORE));
	write_store(_i);
	write_segment(_i);
}
END_TEST

int main(int argc, char **argv)
{
	Suite *suite = suite_create("state_seeds");

	if (argc != 2) {
		fputs("usage: state_seeds DIRECTORY\n", stderr);
		return 2;
	}
	seeds = argv[1];
	tcase_add_loop_test(test_case(suite, "state_seeds", 60), writes, 0, (int)state_count);
	return test_main_in_memory(suite);
}
