/* SPDX-License-Identifier: MIT */
/* fs/mounts: where a store's holder has mounted it, by what a /proc of our own says. */
#include "fs/mounts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support.h"

#define HOLDER 100
#define OTHER 200 /* a process in another mount namespace */

static char store[TEST_PATH_MAX], proc[TEST_PATH_MAX];
static char who[32];

static void put_text(const char *name, const char *said)
{
	char path[2 * TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	file_write(path, said, strlen(said));
}

static void put_directory(const char *name)
{
	char path[2 * TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	ck_assert_int_eq(mkdir(path, 0777), 0);
}

static void put_link(const char *name, const char *to)
{
	char path[2 * TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", proc, name);
	ck_assert_int_eq(symlink(to, path), 0);
}

static void put_namespace(const char *process)
{
	char name[64];

	put_directory(process);
	snprintf(name, sizeof(name), "%s/ns", process);
	put_directory(name);
	snprintf(name, sizeof(name), "%s/ns/mnt", process);
	put_text(name, "");
}

/* fdinfo: of the holder's /dev/fuse. root: where the other process has its root directory. */
static void make_proc(const char *fdinfo, const char *root)
{
	char mounts[2 * TEST_PATH_MAX];

	snprintf(store, sizeof(store), "%s", test_path("store"));
	snprintf(proc, sizeof(proc), "%s", test_path("proc"));
	ck_assert_int_eq(mkdir(store, 0777), 0);
	ck_assert_int_eq(mkdir(proc, 0777), 0);
	put_namespace("self");
	put_namespace("100");
	put_namespace("200");
	put_directory("100/fd");
	put_directory("100/fdinfo");
	put_link("100/fd/6", "/dev/null");
	put_link("100/fd/7", "/dev/fuse");
	put_text("100/fdinfo/7", fdinfo);
	put_text("200/comm", "container\n");
	snprintf(mounts, sizeof(mounts),
		 "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		 "36 21 0:42 / /logs rw - fuse.walfs %s rw\n",
		 store);
	put_text("200/mountinfo", mounts);
	put_link("200/root", root);
	walfs_proc = proc;
}

static pid_t find_mount(void)
{
	return walfs_mount_elsewhere(store, HOLDER, who, sizeof(who));
}

START_TEST(a_mount_is_found_by_the_connection_that_the_holder_serves)
{
	make_proc("pos:\t0\nmnt_id:\t15\nfuse_connection:\t42\n", "/nowhere");
	ck_assert_int_eq(find_mount(), OTHER);
	ck_assert_str_eq(who, "container");
}
END_TEST

START_TEST(a_mount_of_another_connection_is_not_the_holders)
{
	make_proc("mnt_id:\t15\nfuse_connection:\t43\n", "/");
	ck_assert_int_eq(find_mount(), 0);
}
END_TEST

/* A kernel that does not say the connection: the path counts, if it leads to the same store. */
START_TEST(without_the_connection_the_path_of_the_same_store_is_enough)
{
	make_proc("pos:\t0\nmnt_id:\t15\n", "/");
	ck_assert_int_eq(find_mount(), OTHER);
	ck_assert_str_eq(who, "container");
}
END_TEST

START_TEST(without_the_connection_the_same_path_of_another_store_is_not)
{
	make_proc("pos:\t0\nmnt_id:\t15\n", test_dir()); /* (there is no such path in it) */
	ck_assert_int_eq(find_mount(), 0);
}
END_TEST

START_TEST(a_holder_that_serves_nothing_has_no_mount)
{
	char device[2 * TEST_PATH_MAX];

	make_proc("fuse_connection:\t42\n", "/");
	snprintf(device, sizeof(device), "%s/100/fd/7", proc);
	ck_assert_int_eq(unlink(device), 0);
	ck_assert_int_eq(find_mount(), 0);
}
END_TEST

static Suite *mounts_suite(void)
{
	Suite *suite = suite_create("mounts");
	TCase *t = test_case(suite, "elsewhere", 30);

	tcase_add_test(t, a_mount_is_found_by_the_connection_that_the_holder_serves);
	tcase_add_test(t, a_mount_of_another_connection_is_not_the_holders);
	tcase_add_test(t, without_the_connection_the_path_of_the_same_store_is_enough);
	tcase_add_test(t, without_the_connection_the_same_path_of_another_store_is_not);
	tcase_add_test(t, a_holder_that_serves_nothing_has_no_mount);
	return suite;
}

int main(void)
{
	return test_main(mounts_suite());
}
