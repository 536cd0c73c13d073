/* SPDX-License-Identifier: MIT */
/* /proc/self/mountinfo: what is mounted where, and of which file system. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mounts.h"

#define TYPE "fuse.walfs"

const char *walfs_proc = "/proc";

static void name_in_proc(char path[PATH_MAX], const char *process, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%.10s/%s", walfs_proc, process, name);
}

void walfs_mount_destroy(struct walfs_mount *mount)
{
	free(mount->root);
	free(mount->point);
	free(mount->type);
	free(mount->source);
	memset(mount, 0, sizeof(*mount));
}

static bool is_octal(const char *text)
{
	return text[0] >= '0' && text[0] <= '3' && text[1] >= '0' && text[1] <= '7' &&
	       text[2] >= '0' && text[2] <= '7';
}

/* The kernel writes blanks and backslashes as \ooo. */
static char *unescape(const char *text)
{
	char *copy = strdup(text), *to = copy;

	while (copy && *text) {
		if (*text == '\\' && is_octal(text + 1)) {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 |
				       (text[3] - '0'));
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	if (copy)
		*to = '\0';
	return copy;
}

/* "36 35 98:0 /root /point rw,noatime master:1 - type source rw,errors=continue" */
static bool parse_line(char *line, struct walfs_mount *mount)
{
	char *save, *root, *point, *type, *source;
	char *separator = strstr(line, " - ");
	int length = 0;

	memset(mount, 0, sizeof(*mount));
	if (!separator ||
	    sscanf(line, "%d %*d %u:%u %n", &mount->id, &mount->major, &mount->minor, &length) != 3)
		return false;
	*separator = '\0';
	root = strtok_r(line + length, " ", &save);
	point = root ? strtok_r(NULL, " ", &save) : NULL;
	type = strtok_r(separator + 3, " \n", &save);
	source = type ? strtok_r(NULL, " \n", &save) : NULL;
	if (!point || !source)
		return false;
	mount->root = unescape(root);
	mount->point = unescape(point);
	mount->type = unescape(type);
	mount->source = unescape(source);
	if (mount->root && mount->point && mount->type && mount->source)
		return true;
	walfs_mount_destroy(mount);
	return false;
}

/* The last line that matches: the topmost mount. process: "self", or its number. */
static bool find(const char *process,
		 bool (*match)(const struct walfs_mount *mount, const void *what), const void *what,
		 struct walfs_mount *found)
{
	char path[PATH_MAX];
	FILE *file;
	struct walfs_mount mount;
	bool is_found = false;
	char *line = NULL;
	size_t size = 0;

	name_in_proc(path, process, "mountinfo");
	file = fopen(path, "re");
	while (file && getline(&line, &size, file) >= 0) {
		if (!parse_line(line, &mount))
			continue;
		if (!match(&mount, what)) {
			walfs_mount_destroy(&mount);
			continue;
		}
		if (is_found)
			walfs_mount_destroy(found);
		*found = mount;
		is_found = true;
	}
	free(line);
	if (file)
		fclose(file);
	return is_found;
}

static bool match_id(const struct walfs_mount *mount, const void *what)
{
	return mount->id == *(const int *)what;
}

static bool match_store(const struct walfs_mount *mount, const void *what)
{
	return strcmp(mount->type, TYPE) == 0 && strcmp(mount->source, what) == 0;
}

bool walfs_mount_by_id(int id, struct walfs_mount *mount)
{
	return find("self", match_id, &id, mount);
}

bool walfs_mount_of_store(const char *store, struct walfs_mount *mount)
{
	return find("self", match_store, store, mount);
}

/* Return: whether the name in /proc is that of a process in another mount namespace than ours. */
static bool is_elsewhere(const char *process)
{
	char path[PATH_MAX], self[PATH_MAX];
	struct stat ours, theirs;

	name_in_proc(path, process, "ns/mnt");
	name_in_proc(self, "self", "ns/mnt");
	return process[strspn(process, "0123456789")] == '\0' && stat(path, &theirs) == 0 &&
	       stat(self, &ours) == 0 && theirs.st_ino != ours.st_ino;
}

static void read_comm(const char *process, char *name, size_t size)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(name, size, "a process");
	name_in_proc(path, process, "comm");
	file = fopen(path, "re");
	if (!file)
		return;
	if (fgets(name, (int)size, file))
		name[strcspn(name, "\n")] = '\0';
	fclose(file);
}

int walfs_fdinfo_number(const char *process, const char *fd, const char *key)
{
	size_t length = strlen(key);
	char path[PATH_MAX], name[32], line[128];
	int number = -1;
	FILE *file;

	snprintf(name, sizeof(name), "fdinfo/%.10s", fd);
	name_in_proc(path, process, name);
	file = fopen(path, "re");
	while (file && number < 0 && fgets(line, sizeof(line), file))
		if (strncmp(line, key, length) != 0 || sscanf(line + length, ": %d", &number) != 1)
			number = -1;
	if (file)
		fclose(file);
	return number;
}

/* Return: whether the process has a FUSE device open; then of which connection, if that is said. */
static bool serves_fuse(pid_t process, int *connection)
{
	static const char device[] = "/dev/fuse";
	const struct dirent *entry;
	char name[16], path[PATH_MAX], link[sizeof(device)];
	bool serves = false;
	DIR *fds;

	snprintf(name, sizeof(name), "%d", (int)process);
	name_in_proc(path, name, "fd");
	fds = opendir(path);
	while (fds && !serves && (entry = readdir(fds))) {
		if (readlinkat(dirfd(fds), entry->d_name, link, sizeof(link)) !=
			    sizeof(device) - 1 ||
		    memcmp(link, device, sizeof(device) - 1) != 0)
			continue;
		serves = true;
		*connection = walfs_fdinfo_number(name, entry->d_name, "fuse_connection");
	}
	if (fds)
		closedir(fds);
	return serves;
}

/* Return: whether the store's path leads the process to the same directory as this one. */
static bool is_same_there(const char *process, const char *store)
{
	char root[PATH_MAX], path[2 * PATH_MAX];
	struct stat ours, theirs;

	name_in_proc(root, process, "root");
	snprintf(path, sizeof(path), "%s/%s", root, store);
	return stat(store, &ours) == 0 && stat(path, &theirs) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static bool match_connection(const struct walfs_mount *mount, const void *what)
{
	return strcmp(mount->type, TYPE) == 0 && mount->minor == *(const unsigned *)what;
}

/* A path alone says little: in a container it is another store's, and a dead mount has it, too. */
static bool has_mounted(const char *process, const char *store, int connection)
{
	unsigned minor = (unsigned)connection;
	struct walfs_mount mount;
	bool has;

	if (connection >= 0)
		has = find(process, match_connection, &minor, &mount);
	else
		has = find(process, match_store, store, &mount);
	if (has)
		walfs_mount_destroy(&mount);
	return has && (connection >= 0 || is_same_there(process, store));
}

pid_t walfs_mount_elsewhere(const char *store, pid_t holder, char *who, size_t size)
{
	const struct dirent *entry;
	int connection = -1;
	DIR *proc = serves_fuse(holder, &connection) ? opendir(walfs_proc) : NULL;
	pid_t pid = 0;

	while (proc && !pid && (entry = readdir(proc))) {
		if (strlen(entry->d_name) > 10 || !is_elsewhere(entry->d_name) ||
		    !has_mounted(entry->d_name, store, connection))
			continue;
		read_comm(entry->d_name, who, size);
		pid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	if (proc)
		closedir(proc);
	return pid;
}

static int run_fusermount(const char *point)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		execlp("fusermount3", "fusermount3", "-u", "-z", "-q", "--", point, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int walfs_mount_detach(const char *point)
{
	if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(point) : -errno;
}
