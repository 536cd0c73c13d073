/* SPDX-License-Identifier: MIT */
/*
 * Root opens the store of another user, who may put any file there, at any moment (R41, R42).
 * Who runs this is taken for root; the store is another user's.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/store/store.h"
#include "tests/states.h"
#include "tests/support.h"

#define STORE "store"
#define NOBODY 65534

uid_t geteuid(void);

uid_t geteuid(void)
{
	return 0;
}

static struct fault_io fault;
static struct test_log_handle handle;

static void begin(void)
{
	fault_io_init(&fault);
}

static void end(void)
{
	fault_io_destroy(&fault);
}

static int give_away(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return lchown(path, NOBODY, NOBODY);
}

/* Without root all files are of one user, who is not root, and that does. */
static void make_foreign(void)
{
	if (getuid() == 0)
		ck_ok(nftw(test_path(STORE), give_away, 4, FTW_PHYS));
}

static void build(const char *name)
{
	size_t i;

	for (i = 0; i < state_count && strcmp(states[i].name, name) != 0; i++)
		;
	ck_assert_msg(i < state_count, "no state \"%s\"", name);
	ck_ok(mkdir(test_path(STORE), 0700));
	states[i].build(test_path(STORE));
	make_foreign();
}

static const char *in_store(const char *name)
{
	char path[TEST_PATH_MAX];

	snprintf(path, sizeof(path), STORE "/%.200s", name);
	return test_path(path);
}

/* Opens as it is; an error must be this one, with these words, and nothing has changed. */
static void expect_refused(int expected, const char *file, const char *words)
{
	struct listing before, after;

	list_dir(test_path(STORE), &before);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_fails(log_open(&handle), expected);
	ck_assert_msg(strstr(handle.error.text, file) && strstr(handle.error.text, words), "%s",
		      handle.error.text);
	list_dir(test_path(STORE), &after);
	assert_same_listing(&before, &after);
}

static const struct {
	const char *state;
	const char *file;
} written_to[] = {
	{"the daemon was killed", "wal.meta"},
	{"the daemon was killed", "0000000001.wal"},		   /* resumed */
	{"closed in order", "0000000001.wal"},			   /* too */
	{"another framing is asked for", "0000000001.wal"},	   /* completed and sealed */
	{"torn inside a payload", "0000000001.wal"},		   /* and a tail copied */
	{"rotated, the old segment not sealed", "0000000001.wal"}, /* not the last one */
	{"sealed and too long, with zeros", "0000000001.wal"},	   /* cut */
};

START_TEST(R41_a_file_with_a_second_name_is_not_written_to)
{
	build(written_to[_i].state);
	ck_ok(link(in_store(written_to[_i].file), test_path("second")));
	expect_refused(-EPERM, written_to[_i].file, "has 2 names");
	handle.options.read_only = true;
	ck_ok(log_open(&handle));
	ck_ok(log_close(&handle));
	ck_ok(unlink(test_path("second")));
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(log_open(&handle));
	ck_ok(log_close(&handle));
}
END_TEST

/* Its owner's backup by hard links: what is sealed and on the disk is only read, and synced. */
START_TEST(a_sealed_segment_may_have_any_number_of_names)
{
	struct bytes before, after;

	build("the last segment sealed");
	ck_ok(link(in_store("0000000001.wal"), test_path("second")));
	before = file_read(test_path("second"));
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(log_open(&handle));
	ck_assert_uint_eq(wal_log_current(handle.log), 2);
	ck_ok(log_close(&handle));
	after = file_read(test_path("second"));
	ck_assert_uint_eq(before.size, after.size);
	ck_assert_int_eq(memcmp(before.data, after.data, before.size), 0);
	bytes_free(&before);
	bytes_free(&after);
}
END_TEST

/* What is moved away has any number of names, too: the file is not touched. */
START_TEST(a_bad_wal_meta_with_a_second_name_is_moved_away)
{
	build("both slots of wal.meta bad");
	ck_ok(link(in_store("wal.meta"), test_path("second")));
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_ok(log_open(&handle));
	ck_ok(log_close(&handle));
}
END_TEST

/* --- while it is looked at ------------------------------------------------------ */

#define SECRET "a secret of root's, that nobody may read\n"

static const char *swapped;   /* the name that gets another file when it is opened to write */
static bool link_is_the_same; /* a second name of the same file, not another file */
static int (*open_really)(const struct wal_io *io, int dirfd, const char *name, int flags,
			  mode_t mode);

static int open_after_swap(const struct wal_io *io, int dirfd, const char *name, int flags,
			   mode_t mode)
{
	if (swapped && strcmp(name, swapped) == 0 && (flags & O_ACCMODE) == O_RDWR &&
	    !(flags & O_CREAT)) {
		swapped = NULL;
		if (link_is_the_same) {
			ck_ok(link(in_store(name), test_path("second")));
		} else {
			ck_ok(unlink(in_store(name)));
			ck_ok(link(test_path("secret"), in_store(name)));
		}
	}
	return open_really(io, dirfd, name, flags, mode);
}

static void swap_when_opened(const char *name, bool same)
{
	char secret[3 * 4096];

	memset(secret, 'x', sizeof(secret));
	memcpy(secret, SECRET, sizeof(SECRET));
	file_write(test_path("secret"), secret, sizeof(secret));
	swapped = name;
	link_is_the_same = same;
	open_really = fault.io.open;
	fault.io.open = open_after_swap;
}

static void expect_the_secret_kept(void)
{
	struct listing listing;
	struct bytes secret = file_read(test_path("secret"));
	size_t i;

	ck_assert_uint_eq(secret.size, 3 * 4096);
	ck_assert_int_eq(memcmp(secret.data, SECRET, sizeof(SECRET)), 0);
	ck_assert_int_eq(secret.data[secret.size - 1], 'x');
	list_dir(test_path(STORE), &listing);
	for (i = 0; i < listing.count; i++) { /* no copy of it either */
		struct bytes file = file_read(in_store(listing.files[i].name));
		struct stat st;

		ck_ok(stat(in_store(listing.files[i].name), &st));
		if (st.st_nlink == 1)
			ck_assert_ptr_null(memmem(file.data, file.size, SECRET, strlen(SECRET)));
		bytes_free(&file);
	}
	bytes_free(&secret);
}

/* Those that are written to, and not at the look already: wal.meta comes below. */
#define RACES ((int)(sizeof(written_to) / sizeof(written_to[0])) - 1)

START_TEST(R42_a_segment_swapped_meanwhile_is_neither_changed_nor_copied)
{
	build(written_to[_i + 1].state);
	swap_when_opened(written_to[_i + 1].file, false);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_fails(log_open(&handle), -ESTALE);
	ck_assert_ptr_null(swapped);
	ck_assert_msg(strstr(handle.error.text, written_to[_i + 1].file) &&
			      strstr(handle.error.text, "was replaced"),
		      "%s", handle.error.text);
	expect_the_secret_kept();
}
END_TEST

START_TEST(a_segment_that_gets_a_second_name_meanwhile_is_refused)
{
	build(written_to[_i + 1].state);
	swap_when_opened(written_to[_i + 1].file, true);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_fails(log_open(&handle), -EPERM);
	ck_assert_ptr_null(swapped);
	ck_assert_msg(strstr(handle.error.text, "has 2 names"), "%s", handle.error.text);
}
END_TEST

START_TEST(a_wal_meta_that_is_swapped_meanwhile_is_not_changed)
{
	build("the daemon was killed");
	swap_when_opened("wal.meta", false);
	log_prepare(&handle, test_path(STORE), &fault.io);
	ck_fails(log_open(&handle), -EPERM);
	ck_assert_ptr_null(swapped);
	ck_assert_msg(strstr(handle.error.text, "wal.meta") &&
			      strstr(handle.error.text, "has 2 names"),
		      "%s", handle.error.text);
	expect_the_secret_kept();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("foreign_store");
	TCase *t = test_case(suite, "foreign_store", 20);

	tcase_add_checked_fixture(t, begin, end);
	tcase_add_loop_test(t, R41_a_file_with_a_second_name_is_not_written_to, 0, RACES + 1);
	tcase_add_test(t, a_sealed_segment_may_have_any_number_of_names);
	tcase_add_test(t, a_bad_wal_meta_with_a_second_name_is_moved_away);
	tcase_add_loop_test(t, R42_a_segment_swapped_meanwhile_is_neither_changed_nor_copied, 0,
			    RACES);
	tcase_add_loop_test(t, a_segment_that_gets_a_second_name_meanwhile_is_refused, 0, RACES);
	tcase_add_test(t, a_wal_meta_that_is_swapped_meanwhile_is_not_changed);
	return test_main(suite);
}
