/* SPDX-License-Identifier: MIT */
#include "core/store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

/* --- the lock --------------------------------------------------------------- */

/* One line of /proc/locks: "1: FLOCK  ADVISORY  WRITE 17 08:01:1234 0 EOF". */
static pid_t lock_line_holder(const char *line, const struct stat *st, bool *writes)
{
	unsigned int major_nr, minor_nr;
	unsigned long inode;
	char type[8];
	int pid;

	if (sscanf(line, "%*s FLOCK %*s %7s %d %x:%x:%lu", type, &pid, &major_nr, &minor_nr,
		   &inode) != 5)
		return 0;
	*writes = strcmp(type, "WRITE") == 0;
	if (inode != st->st_ino || major_nr != major(st->st_dev) || minor_nr != minor(st->st_dev))
		return 0;
	return pid;
}

/* Return: the process that has flock on the directory; 0 if there is none to be seen. */
static pid_t find_holder(int dirfd, bool *writes)
{
	char line[256];
	struct stat st;
	pid_t pid = 0;
	FILE *file;

	file = fstat(dirfd, &st) ? NULL : fopen("/proc/locks", "re");
	if (!file)
		return 0;
	while (pid == 0 && fgets(line, sizeof(line), file))
		pid = lock_line_holder(line, &st, writes);
	fclose(file);
	return pid;
}

bool wal_store_is_held(int dirfd)
{
	bool writes = false;

	return find_holder(dirfd, &writes) != 0 && writes;
}

bool wal_store_is_locked(int dirfd)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool locked = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return locked;
}

void wal_store_holder(int dirfd, char *text, size_t size)
{
	char path[64], name[64] = "a process";
	bool writes;
	pid_t pid = find_holder(dirfd, &writes);
	FILE *file;

	text[0] = '\0';
	if (pid == 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (file) {
		if (fgets(name, sizeof(name), file))
			name[strcspn(name, "\n")] = '\0';
		fclose(file);
	}
	snprintf(text, size, "%s (pid %d)", name, pid);
}

/* The name of a new store must outlive power loss like everything in it. */
static int sync_parent(const struct wal_io *io, int fd)
{
	int parent = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = parent < 0 ? -errno : io->fsync(io, parent);

	if (parent >= 0)
		close(parent);
	return err;
}

static int open_directory(const struct wal_io *io, const char *path, bool read_only)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd >= 0)
		return fd;
	if (errno != ENOENT || read_only)
		return -errno;
	err = io->mkdir(io, path, 0700);
	if (err)
		return err;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = sync_parent(io, fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

int wal_store_explain_open(const char *path, int err, struct wal_error *error)
{
	switch (err) {
	case -ENOENT:
		return wal_error_set(error, err,
				     "%s: no such directory; make it first: mkdir -p %s", path,
				     path);
	case -ENOTDIR:
		return wal_error_set(
			error, err, "%s: not a directory; a store is a directory of its own", path);
	default:
		return wal_error_set(error, err, "%s: cannot be opened: %s", path, strerror(-err));
	}
}

int wal_store_lock(const struct wal_io *io, const char *path, bool read_only,
		   struct wal_error *error)
{
	int fd = open_directory(io, path, read_only);
	char holder[128];

	if (fd < 0)
		return wal_store_explain_open(path, fd, error);
	if (flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
		return fd;
	if (errno != EWOULDBLOCK) {
		int err = -errno;

		close(fd);
		return wal_error_set(error, err, "%s: cannot be locked: %s", path, strerror(-err));
	}
	wal_store_holder(fd, holder, sizeof(holder));
	close(fd);
	return wal_error_set(error, -EBUSY, "%s: is held by %s; unmount it there first", path,
			     holder[0] ? holder : "another process");
}

/* --- what somebody did to it ---------------------------------------------------- */

bool wal_store_has_stray_current(int dirfd, const struct wal_store_list *list)
{
	struct stat st;

	return list->has_current &&
	       fstatat(dirfd, WAL_CURRENT_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && st.st_size > 0;
}

int wal_store_is_none(int dirfd, const char *path, const struct wal_store_list *list,
		      struct wal_error *error)
{
	bool copied = wal_store_has_stray_current(dirfd, list);

	return wal_error_set(error, -ENOTEMPTY,
			     "%s: not a walfs store (no segment, no " WAL_META_FILE ")%s%s", path,
			     copied ? "; it " : "",
			     copied ? wal_hint_text(WAL_HINT_COPY_OF_A_MOUNT) : "");
}

const char *wal_store_flag(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return NULL; /* a file system without them */
	return flags & FS_IMMUTABLE_FL ? "i" : flags & FS_APPEND_FL ? "a" : NULL;
}

/* --- files that are written to ------------------------------------------------ */

int wal_store_check_file(int dirfd, const struct stat *file, struct wal_error *why)
{
	struct stat dir;

	if (fstat(dirfd, &dir))
		return wal_error_set(why, -errno, "the store: %s", strerror(errno));
	if (geteuid() != 0 || dir.st_uid == 0)
		return 0;
	if (file->st_uid != dir.st_uid && file->st_uid != 0)
		return wal_error_set(why, -EPERM,
				     "belongs to user %u and the store to user %u, so root does "
				     "not write to it; give it to the store's owner with chown, "
				     "if it is what it should be",
				     (unsigned)file->st_uid, (unsigned)dir.st_uid);
	if (file->st_nlink != 1)
		return wal_error_set(why, -EPERM,
				     "has %lu names (hard links) and stands in the store of user "
				     "%u, so root does not write to it; mount as that user, or "
				     "copy it and move the copy into its place",
				     (unsigned long)file->st_nlink, (unsigned)dir.st_uid);
	return 0;
}

static int check_open_file(int dirfd, int fd, const struct wal_file_id *planned,
			   struct wal_error *why)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EUCLEAN;
	if (planned && (st.st_dev != planned->dev || st.st_ino != planned->ino))
		return wal_error_set(why, -ESTALE,
				     "was replaced while the store was looked at; mount again");
	return wal_store_check_file(dirfd, &st, why);
}

int wal_store_open_to_write(const struct wal_io *io, int dirfd, const char *name,
			    const struct wal_file_id *planned, struct wal_error *why)
{
	struct wal_error unused;
	int fd = io->open(io, dirfd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	int err;

	why = why ? why : &unused;
	why->code = 0;
	if (fd < 0)
		return fd == -ELOOP ? -EUCLEAN : fd;
	err = check_open_file(dirfd, fd, planned, why);
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* --- names ------------------------------------------------------------------ */

void wal_store_prepared_name(uint32_t index, unsigned again, char name[WAL_NAME_MAX])
{
	char number[8] = "";

	if (again > 0)
		snprintf(number, sizeof(number), "-%u", again % WAL_NAMES_TRIED);
	snprintf(name, WAL_NAME_MAX, "%010" PRIu32 ".wal" WAL_PREPARED_SUFFIX "%s", index, number);
}

int wal_store_torn_name(int dirfd, const char *name, uint64_t now_ns, char torn[WAL_STORE_NAME_MAX])
{
	time_t seconds = (time_t)(now_ns / 1000000000u);
	char when[32];
	struct stat st;
	struct tm tm;
	int i;

	gmtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%S", &tm);
	for (i = 0; i < (int)WAL_NAMES_TRIED; i++) {
		char again[8] = "";

		if (i > 0)
			snprintf(again, sizeof(again), "-%d", i);
		snprintf(torn, WAL_STORE_NAME_MAX, "%s" WAL_TORN_INFIX "%s.%09uZ%s", name, when,
			 (unsigned)(now_ns % 1000000000u), again);
		if (fstatat(dirfd, torn, &st, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
			return 0;
	}
	return -EEXIST;
}
