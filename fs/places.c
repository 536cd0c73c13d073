/* SPDX-License-Identifier: MIT */
/*
 * Before anything is mounted: are the two places what they should be, and apart?
 *
 * A place has a path and, behind links and bind mounts, a directory of a file
 * system; both are compared, since either may make one lie inside the other.
 * Places are looked at through O_PATH descriptors, which works for the root of a
 * dead mount too, where stat() and realpath() fail.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mounts.h"
#include "walfs.h"

#define TYPE "fuse.walfs"
#define STALE_MAX 16 /* dead mounts on top of each other */

struct place {
	char path[PATH_MAX]; /* absolute, without links */
	bool has_mount;
	struct walfs_mount mount;
	char inner[2 * PATH_MAX]; /* path within the file system */
};

/* --- where a path leads --------------------------------------------------------- */

static int fd_path(int fd, const char *given, char path[PATH_MAX])
{
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, PATH_MAX - 1);
	if (length > 0 && path[0] == '/') {
		path[length] = '\0';
		return 0;
	}
	return realpath(given, path) ? 0 : -errno; /* without /proc */
}

/* "/a" and "b" to "/a/b", "/" and "b" to "/b". */
static void join(char *to, size_t size, const char *directory, const char *name)
{
	bool slash = directory[strlen(directory) - 1] != '/' && *name && *name != '/';

	snprintf(to, size, "%s%s%s", strcmp(directory, "/") || *name != '/' ? directory : "",
		 slash ? "/" : "", name);
}

static void find_inner(struct place *place)
{
	size_t length = strlen(place->mount.point);

	if (strcmp(place->mount.point, "/") == 0)
		length = 0;
	if (strncmp(place->path, place->mount.point, length) != 0) {
		walfs_mount_destroy(&place->mount);
		place->has_mount = false;
		return;
	}
	join(place->inner, sizeof(place->inner), place->mount.root, place->path + length);
}

static int place_open(const char *path, struct place *place)
{
	int fd = open(path, O_PATH | O_CLOEXEC);
	char number[16];
	int err;

	memset(place, 0, sizeof(*place));
	if (fd < 0)
		return -errno;
	snprintf(number, sizeof(number), "%d", fd);
	err = fd_path(fd, path, place->path);
	if (!err &&
	    walfs_mount_by_id(walfs_fdinfo_number("self", number, "mnt_id"), &place->mount)) {
		place->has_mount = true;
		find_inner(place);
	}
	close(fd);
	return err;
}

static void place_close(struct place *place)
{
	if (place->has_mount)
		walfs_mount_destroy(&place->mount);
}

/* A store may have to be made first; then its directory says where it will be. */
static int place_open_store(const char *path, struct place *place)
{
	char parent[PATH_MAX], name[PATH_MAX];
	int err = place_open(path, place);
	char *slash;

	if (err != -ENOENT || strlen(path) >= sizeof(parent))
		return err;
	strcpy(parent, path);
	slash = parent + strlen(parent);
	while (slash > parent + 1 && slash[-1] == '/')
		*--slash = '\0';
	slash = strrchr(parent, '/');
	snprintf(name, sizeof(name), "%s", slash ? slash + 1 : parent);
	if (slash)
		slash[slash == parent] = '\0';
	err = place_open(slash ? parent : ".", place);
	if (err)
		return err;
	if (strlen(place->path) + strlen(name) + 2 > sizeof(place->path)) {
		place_close(place);
		return -ENAMETOOLONG;
	}
	if (strcmp(place->path, "/") != 0)
		strcat(place->path, "/");
	strcat(place->path, name);
	if (place->has_mount)
		find_inner(place);
	return 0;
}

/* Return: whether path is directory or lies in it. */
static bool is_inside(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	if (strcmp(directory, "/") == 0)
		return true;
	return strncmp(path, directory, length) == 0 && (path[length] == '/' || !path[length]);
}

static bool place_inside(const struct place *place, const struct place *directory)
{
	if (is_inside(place->path, directory->path))
		return true;
	return place->has_mount && directory->has_mount &&
	       place->mount.major == directory->mount.major &&
	       place->mount.minor == directory->mount.minor &&
	       is_inside(place->inner, directory->inner);
}

/* --- the mount point --------------------------------------------------------------- */

/* A daemon that died left "Transport endpoint is not connected". Return: 0 if it was cleared. */
static int clear_stale(const char *path)
{
	struct place place;
	int err = place_open(path, &place);

	if (err)
		return err;
	if (!place.has_mount || strcmp(place.mount.type, TYPE) != 0 ||
	    strcmp(place.mount.point, place.path) != 0) {
		walfs_say(WAL_NOTICE_ERROR,
			  "%s: a dead mount (%s) is there, which is not walfs's; unmount it first: "
			  "fusermount3 -u %s",
			  path, place.has_mount ? place.mount.type : "unknown", path);
		err = -ENOTCONN;
	} else {
		err = walfs_mount_detach(place.path);
		if (err)
			walfs_say(WAL_NOTICE_ERROR,
				  "%s: a dead walfs mount is there and could not be cleared: %s; "
				  "try as the user who mounted it: fusermount3 -u %s",
				  path, strerror(-err), path);
		else
			walfs_say(WAL_NOTICE_WARNING,
				  "%s: cleared the mount of a walfs that had died", path);
	}
	place_close(&place);
	return err;
}

/*
 * Is the program of a FUSE mount gone? The last is of one that ended before the mount was ready;
 * a question that was on its way when it ended gets the second.
 */
static bool is_dead(int err)
{
	return err == ENOTCONN || err == ECONNABORTED || err == ECONNREFUSED;
}

/* A network file system whose server is gone, say. */
static void say_unusable(const char *path, int err)
{
	struct place place;

	if (place_open(path, &place)) {
		walfs_say(WAL_NOTICE_ERROR, "%s: %s", path, strerror(err));
		return;
	}
	if (place.has_mount && strcmp(place.mount.point, place.path) == 0)
		walfs_say(WAL_NOTICE_ERROR,
			  "%s: %s; a mount (%s, of %s) is there: unmount it first: umount %s", path,
			  strerror(err), place.mount.type, place.mount.source, path);
	else
		walfs_say(WAL_NOTICE_ERROR, "%s: %s", path, strerror(err));
	place_close(&place);
}

static int stat_mountpoint(const char *path, struct stat *st)
{
	struct statfs fs_st;
	int err, tries;

	for (tries = 0; tries < STALE_MAX; tries++) {
		/* the kernel may still know what stat() says; statfs() asks the daemon */
		if (stat(path, st) == 0 && statfs(path, &fs_st) == 0)
			return 0;
		if (errno == ENOENT) {
			walfs_say(WAL_NOTICE_ERROR,
				  "%s: there is no such mount point; make it: mkdir -p %s", path,
				  path);
			return -ENOENT;
		}
		err = errno;
		if (!is_dead(err)) {
			say_unusable(path, err);
			return -err;
		}
		err = clear_stale(path);
		if (err)
			return err;
	}
	return -ENOTCONN;
}

/* Lines that were written while nothing was mounted are not to be hidden, nor lost. */
static void say_not_empty(const char *path, bool has_current)
{
	if (has_current)
		walfs_say(WAL_NOTICE_ERROR,
			  "%s: the mount point is not empty: its file current was written while "
			  "nothing was mounted there; move it away, mount, and append it: "
			  "mv %s/current FILE; ...; cat FILE >> %s/current",
			  path, path, path);
	else
		walfs_say(WAL_NOTICE_ERROR,
			  "%s: the mount point is not empty, and a mount would hide what is there; "
			  "use an empty directory",
			  path);
}

int walfs_check_empty(const char *path)
{
	const struct dirent *entry;
	DIR *directory = opendir(path);
	bool has_current = false;
	int err = 0;

	if (!directory) {
		err = -errno;
		walfs_say(WAL_NOTICE_ERROR, "%s: %s", path, strerror(-err));
		return err;
	}
	while ((entry = readdir(directory))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = -ENOTEMPTY;
		has_current = has_current || strcmp(entry->d_name, "current") == 0;
	}
	closedir(directory);
	if (err)
		say_not_empty(path, has_current);
	return err;
}

static int check_mountpoint(const char *path)
{
	struct place place;
	struct stat st;
	int err = stat_mountpoint(path, &st);

	if (err)
		return err;
	if (!S_ISDIR(st.st_mode)) {
		walfs_say(WAL_NOTICE_ERROR, "%s: the mount point has to be a directory", path);
		return -ENOTDIR;
	}
	err = place_open(path, &place);
	if (err) {
		walfs_say(WAL_NOTICE_ERROR, "%s: %s", path, strerror(-err));
		return err;
	}
	if (place.has_mount && strcmp(place.mount.type, TYPE) == 0 &&
	    strcmp(place.mount.point, place.path) == 0) {
		walfs_say(WAL_NOTICE_ERROR,
			  "%s: the log %s is mounted there already; unmount it first: "
			  "fusermount3 -u %s",
			  path, place.mount.source, path);
		err = -EBUSY;
	}
	place_close(&place);
	return err;
}

/* --- both --------------------------------------------------------------------------- */

static int check_apart(const struct place *store, const struct place *point)
{
	if (place_inside(store, point)) {
		walfs_say(WAL_NOTICE_ERROR,
			  "the store %s is inside the mount point %s, which would hide it; "
			  "use a directory elsewhere as the mount point",
			  store->path, point->path);
		return -EINVAL;
	}
	if (place_inside(point, store)) {
		walfs_say(WAL_NOTICE_ERROR,
			  "the mount point %s is inside the store %s, whose files are walfs's own; "
			  "use a directory elsewhere as the mount point",
			  point->path, store->path);
		return -EINVAL;
	}
	return 0;
}

static int replace(char **text, const char *with)
{
	char *copy = strdup(with);

	if (!copy)
		return -ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

int walfs_check_places(struct walfs_options *options)
{
	struct place store, point;
	int err = check_mountpoint(options->mountpoint);

	if (err)
		return err;
	err = place_open(options->mountpoint, &point);
	if (err) {
		walfs_say(WAL_NOTICE_ERROR, "%s: %s", options->mountpoint, strerror(-err));
		return err;
	}
	err = place_open_store(options->store, &store);
	if (err) {
		walfs_say(WAL_NOTICE_ERROR, "%s: %s", options->store, strerror(-err));
		place_close(&point);
		return err;
	}
	err = check_apart(&store, &point);
	if (!err)
		err = walfs_check_empty(options->mountpoint);
	if (!err)
		err = replace(&options->store, store.path);
	if (!err)
		err = replace(&options->mountpoint, point.path);
	place_close(&store);
	place_close(&point);
	return err;
}
