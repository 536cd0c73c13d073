/* SPDX-License-Identifier: MIT */
/* What is mounted where, here and elsewhere. */
#ifndef WALFS_FS_MOUNTS_H
#define WALFS_FS_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A line of /proc/self/mountinfo. */
struct walfs_mount {
	int id;
	unsigned major, minor;
	char *root;  /* the directory of its file system that is mounted */
	char *point; /* where */
	char *type;
	char *source;
};

/* "/proc"; a test has one of its own. */
extern const char *walfs_proc;

/* Return: whether there is such a mount; then walfs_mount_destroy() it. */
bool walfs_mount_by_id(int id, struct walfs_mount *mount);
bool walfs_mount_of_store(const char *store, struct walfs_mount *mount);
/*
 * Return: a process in another mount namespace where the mount is that the store's holder
 * serves, and its name in who; 0: none that can be seen.
 */
pid_t walfs_mount_elsewhere(const char *store, pid_t holder, char *who, size_t size);
/*
 * What /proc/PROCESS/fdinfo/FD says of the descriptor: "mnt_id", "fuse_connection".
 * Return: the number; -1: not said.
 */
int walfs_fdinfo_number(const char *process, const char *fd, const char *key);
void walfs_mount_destroy(struct walfs_mount *mount);
/* Detaches a mount, by fusermount3 if that needs more rights. Return: 0 or -errno. */
int walfs_mount_detach(const char *point);

#endif
