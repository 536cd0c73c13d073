/* SPDX-License-Identifier: MIT */
/* Scratch directories and files. */
#include "tests/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"

/* Made by the parent; each test, a child of it, has a directory inside. */
static char root[TEST_PATH_MAX / 2];
static pid_t root_owner;
static char dir[TEST_PATH_MAX];
static int dirfd_open = -1;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void remove_tree(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_root(void)
{
	if (root[0] && getpid() == root_owner)
		remove_tree(root);
}

/* Also what a Ctrl-C leaves: the handler only uses what the kernel lets it. */
static void interrupted(int signal_number)
{
	remove_root();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void make_root(const char *where)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(root, sizeof(root), "%s/walfs-unit-XXXXXX", tmp && *tmp ? tmp : where);
	if (!mkdtemp(root)) {
		perror(root);
		exit(2);
	}
	root_owner = getpid();
	atexit(remove_root);
	signal(SIGINT, interrupted);
	signal(SIGTERM, interrupted);
}

static int run(Suite *suite, const char *where)
{
	SRunner *runner;
	int failed;

	make_root(where);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int test_main(Suite *suite)
{
	return run(suite, "/tmp");
}

int test_main_in_memory(Suite *suite)
{
	return run(suite, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
}

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "%s/XXXXXX", root);
	ck_assert_msg(mkdtemp(dir) != NULL, "%s: %s", dir, strerror(errno));
	dirfd_open = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(dirfd_open, 0);
}

static void drop_dir(void)
{
	close(dirfd_open);
	remove_tree(dir);
}

TCase *test_case(Suite *suite, const char *name, double timeout_s)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, make_dir, drop_dir);
	tcase_set_timeout(tcase, timeout_s);
	suite_add_tcase(suite, tcase);
	return tcase;
}

const char *test_dir(void)
{
	return dir;
}

int test_dirfd(void)
{
	return dirfd_open;
}

int test_reader_open(const char *name, uint32_t index, struct wal_segment_reader **reader,
		     struct wal_fault *fault)
{
	return wal_segment_reader_open(
		&(struct wal_segment_source){.dirfd = dirfd_open, .name = name, .index = index},
		reader, fault);
}

const char *test_path(const char *name)
{
	static char paths[4][TEST_PATH_MAX * 2];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", dir, name);
	return path;
}

const char *source_path(const char *name)
{
	static char paths[2][TEST_PATH_MAX * 2];
	static unsigned turn;
	char *path = paths[turn++ % 2];
	char program[TEST_PATH_MAX] = "";
	char *slash;

	snprintf(path, sizeof(paths[0]), "%s", name);
	if (file_exists(path))
		return path;
	ck_assert_int_gt(readlink("/proc/self/exe", program, sizeof(program) - 1), 0);
	while ((slash = strrchr(program, '/'))) {
		*slash = '\0';
		snprintf(path, sizeof(paths[0]), "%s/%s", program, name);
		if (file_exists(path))
			return path;
	}
	ck_abort_msg("%s: not found from here", name);
	return NULL;
}

bool wait_a_moment(uint64_t *deadline_ns)
{
	uint64_t now = wal_clock_ns();

	if (*deadline_ns == 0)
		*deadline_ns = now + WAIT_SECONDS * UINT64_C(1000000000);
	usleep(1000);
	return now < *deadline_ns;
}

static int open_or_fail(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	ck_holds(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static struct stat stat_or_fail(const char *path)
{
	struct stat st;

	ck_holds(lstat(path, &st) == 0, "%s: %s", path, strerror(errno));
	return st;
}

struct bytes file_read(const char *path)
{
	int fd = open_or_fail(path, O_RDONLY);
	struct stat st;
	struct bytes bytes;

	ck_holds(fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
	bytes.size = (size_t)st.st_size;
	bytes.data = malloc(bytes.size + 1);
	ck_holds(bytes.data, "%s: no memory", path);
	ck_holds(wal_pread_full(fd, bytes.data, bytes.size, 0) == (long)bytes.size,
		 "%s: not read whole", path);
	close(fd);
	return bytes;
}

void bytes_free(struct bytes *bytes)
{
	free(bytes->data);
	bytes->data = NULL;
	bytes->size = 0;
}

void file_write(const char *path, const void *data, size_t size)
{
	close(open_or_fail(path, O_WRONLY | O_CREAT | O_TRUNC));
	file_patch(path, 0, data, size);
}

void file_patch(const char *path, uint64_t offset, const void *data, size_t size)
{
	int fd = open_or_fail(path, O_WRONLY | O_CREAT);

	if (size > 0)
		ck_holds(pwrite(fd, data, size, (off_t)offset) == (long)size, "%s: %s", path,
			 strerror(errno));
	close(fd);
}

void file_flip(const char *path, uint64_t offset, uint8_t mask)
{
	int fd = open_or_fail(path, O_RDWR);
	uint8_t byte;

	ck_holds(pread(fd, &byte, 1, (off_t)offset) == 1, "%s: %s", path, strerror(errno));
	byte ^= mask;
	ck_holds(pwrite(fd, &byte, 1, (off_t)offset) == 1, "%s: %s", path, strerror(errno));
	close(fd);
}

void file_resize(const char *path, uint64_t size)
{
	ck_assert_msg(truncate(path, (off_t)size) == 0, "%s: %s", path, strerror(errno));
}

uint64_t file_size(const char *path)
{
	return (uint64_t)stat_or_fail(path).st_size;
}

uint64_t file_blocks(const char *path)
{
	return (uint64_t)stat_or_fail(path).st_blocks;
}

bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

void copy_tree(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *entry;

	ck_assert_msg(d != NULL, "%s: %s", from, strerror(errno));
	ck_assert_msg(mkdir(to, 0700) == 0, "%s: %s", to, strerror(errno));
	while ((entry = readdir(d))) {
		char source[2 * TEST_PATH_MAX];
		char target[2 * TEST_PATH_MAX];
		struct bytes bytes;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		snprintf(source, sizeof(source), "%s/%s", from, entry->d_name);
		snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);
		if (entry->d_type == DT_DIR)
			ck_assert_int_eq(mkdir(target, 0700), 0);
		if (entry->d_type != DT_REG)
			continue;
		bytes = file_read(source);
		file_write(target, bytes.data, bytes.size);
		bytes_free(&bytes);
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct listed *)a)->name, ((const struct listed *)b)->name);
}

void list_dir(const char *path, struct listing *listing)
{
	DIR *d = opendir(path);
	struct dirent *entry;

	memset(listing, 0, sizeof(*listing));
	ck_assert_msg(d != NULL, "%s: %s", path, strerror(errno));
	while ((entry = readdir(d))) {
		struct listed *file = &listing->files[listing->count];
		char full[2 * TEST_PATH_MAX];
		struct stat st;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		ck_holds(listing->count++ < 64, "%s: more than 64 files", path);
		snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
		snprintf(full, sizeof(full), "%s/%s", path, entry->d_name);
		st = stat_or_fail(full);
		file->size = (uint64_t)st.st_size;
		file->mtime_ns =
			(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
		file->regular = S_ISREG(st.st_mode);
		if (file->regular) {
			struct bytes bytes = file_read(full);

			file->hash = oracle_xxh3(bytes.data, bytes.size, 0);
			bytes_free(&bytes);
		}
	}
	closedir(d);
	qsort(listing->files, listing->count, sizeof(listing->files[0]), by_name);
}

void assert_same_listing(const struct listing *before, const struct listing *after)
{
	for (size_t i = 0; i < before->count && i < after->count; i++) {
		const struct listed *a = &before->files[i];
		const struct listed *b = &after->files[i];

		ck_assert_str_eq(a->name, b->name);
		ck_assert_msg(a->size == b->size, "%s: size %llu became %llu", a->name,
			      (unsigned long long)a->size, (unsigned long long)b->size);
		ck_assert_msg(a->hash == b->hash, "%s: other bytes", a->name);
		ck_assert_msg(a->mtime_ns == b->mtime_ns, "%s: was written", a->name);
	}
	ck_assert_uint_eq(before->count, after->count);
}

const char *listing_find(const struct listing *listing, const char *part)
{
	for (size_t i = 0; i < listing->count; i++) {
		if (strstr(listing->files[i].name, part))
			return listing->files[i].name;
	}
	return NULL;
}

size_t listing_count(const struct listing *listing, const char *part)
{
	size_t count = 0;

	for (size_t i = 0; i < listing->count; i++)
		count += strstr(listing->files[i].name, part) != NULL;
	return count;
}
