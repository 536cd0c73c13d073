/* SPDX-License-Identifier: MIT */
/*
 * storm_abuse MOUNTPOINT WHO: everything that a walfs mount does not offer, tried on
 * every kind of file. WHO is root, owner, other, or root-ro for a read-only mount.
 * Each attempt has the errno of docs/FILESYSTEM.md, and no effect: names, what
 * stat(2) says, attributes and contents are what they were.
 *
 * The mount has one finished segment, 0000000001.wal, and something in `current`.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "storm.h"

#define TOP 0x8u
#define EVENTS 0x1u
#define DIRECTORY (TOP | EVENTS)
#define CURRENT 0x2u
#define FINISHED 0x4u
#define FILES (CURRENT | FINISHED)
#define ALL (DIRECTORY | FILES)

/* NULL-terminated; the working directory is the mount point. */
static const struct {
	const char *path;
	unsigned kind;
} targets[] = {
	{".", TOP},
	{"events", EVENTS},
	{".walfs", EVENTS},
	{".walfs/status", FINISHED},
	{".walfs/metrics", FINISHED},
	{"current", CURRENT},
	{"0000000001.wal", FINISHED},
	{"events/0000000001.log", FINISHED},
};

enum who { ROOT, OWNER, OTHER, ROOT_RO, WHO };

/* --- one call each; negative and errno for a refusal ----------------------------------- */

typedef long attempt_fn(const char *path, int argument);

static long and_close(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

/* What a call on a descriptor gives; one that cannot be had gives its own error. */
static long with(int fd, long (*call)(int fd, int argument), int argument)
{
	long result;
	int error;

	if (fd < 0)
		return -1;
	result = call(fd, argument);
	error = errno;
	close(fd);
	errno = error;
	return result;
}

static int look(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int append(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

/* A name that is not there, in a directory. */
static const char *inside(const char *path)
{
	static char name[300];

	snprintf(name, sizeof(name), "%s/new", path);
	return name;
}

static long try_open(const char *path, int flags)
{
	return and_close(open(path, flags | O_CLOEXEC, 0644));
}

static long try_create(const char *path, int flags)
{
	return and_close(open(inside(path), flags | O_CREAT | O_CLOEXEC, 0644));
}

static long try_truncate(const char *path, int size)
{
	return truncate(path, size);
}

static long call_ftruncate(int fd, int size)
{
	return ftruncate(fd, size);
}

static long try_ftruncate(const char *path, int size)
{
	return with(append(path), call_ftruncate, size);
}

static long call_fallocate(int fd, int mode)
{
	return fallocate(fd, mode, 0, 8192);
}

static long try_fallocate(const char *path, int mode)
{
	return with(append(path), call_fallocate, mode);
}

static long call_write_anywhere(int fd, int flags)
{
	(void)flags;
	return fcntl(fd, F_SETFL, 0) < 0 ? -1 : pwrite(fd, "lost\n", 5, 0);
}

static long try_write_anywhere(const char *path, int unused)
{
	return with(append(path), call_write_anywhere, unused);
}

static long call_sendfile(int fd, int unused)
{
	int from = look("0000000001.wal");
	long result = sendfile(fd, from, NULL, 10);
	int error = errno;

	(void)unused;
	close(from);
	errno = error;
	return result;
}

static long try_sendfile(const char *path, int unused)
{
	return with(append(path), call_sendfile, unused);
}

static long call_copy(int fd, int unused)
{
	int from = look("0000000001.wal");
	long result = copy_file_range(from, NULL, fd, NULL, 10, 0);
	int error = errno;

	(void)unused;
	close(from);
	errno = error;
	return result;
}

static long try_copy_range(const char *path, int unused)
{
	return with(append(path), call_copy, unused);
}

static long call_write(int fd, int unused)
{
	(void)unused;
	return write(fd, "lost\n", 5);
}

static long try_write_to_reader(const char *path, int unused)
{
	return with(look(path), call_write, unused);
}

static long call_map(int fd, int protection)
{
	void *map = mmap(NULL, 4096, protection, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return -1;
	munmap(map, 4096);
	return 0;
}

static long try_map(const char *path, int protection)
{
	return with(open(path, O_RDWR | O_APPEND | O_CLOEXEC), call_map, protection);
}

static long try_map_for_writing(const char *path, int protection)
{
	return with(look(path), call_map, protection);
}

static long call_ioctl(int fd, int unused)
{
	int flags = FS_NODUMP_FL;

	(void)unused;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static long try_set_flags(const char *path, int unused)
{
	return with(look(path), call_ioctl, unused);
}

static long call_set_extended(int fd, int unused)
{
	struct fsxattr extended = {.fsx_xflags = FS_XFLAG_NODUMP};

	(void)unused;
	return ioctl(fd, FS_IOC_FSSETXATTR, &extended);
}

static long try_set_extended(const char *path, int unused)
{
	return with(look(path), call_set_extended, unused);
}

static long call_other_ioctl(int fd, int unused)
{
	int value = 0;

	(void)unused;
	return ioctl(fd, _IOWR('w', 77, int), &value);
}

static long try_other_ioctl(const char *path, int unused)
{
	return with(look(path), call_other_ioctl, unused);
}

static long try_rename(const char *path, int flags)
{
	return renameat2(AT_FDCWD, path, AT_FDCWD, "new", (unsigned)flags);
}

static long try_rename_into_events(const char *path, int flags)
{
	return renameat2(AT_FDCWD, path, AT_FDCWD, "events/new", (unsigned)flags);
}

static long try_exchange(const char *path, int flags)
{
	const char *other = strcmp(path, "current") ? "current" : "0000000001.wal";

	return renameat2(AT_FDCWD, path, AT_FDCWD, other, (unsigned)flags);
}

static long try_link(const char *path, int unused)
{
	(void)unused;
	return link(path, "new");
}

static long try_symlink(const char *path, int unused)
{
	(void)unused;
	return symlink("current", inside(path));
}

static long try_unlink(const char *path, int unused)
{
	(void)unused;
	return unlink(path);
}

static long try_rmdir(const char *path, int unused)
{
	(void)unused;
	return rmdir(path);
}

static long try_mkdir(const char *path, int unused)
{
	(void)unused;
	return mkdir(inside(path), 0755);
}

static long try_mknod(const char *path, int type)
{
	return mknod(inside(path), (mode_t)type | 0644, 0);
}

static long try_bind(const char *path, int unused)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	long result;
	int error;

	(void)unused;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/new", path);
	result = bind(fd, (const struct sockaddr *)&address, sizeof(address));
	error = errno;
	close(fd);
	errno = error;
	return result;
}

static long try_chmod(const char *path, int mode)
{
	return chmod(path, (mode_t)mode);
}

static long call_fchmod(int fd, int mode)
{
	return fchmod(fd, (mode_t)mode);
}

static long try_fchmod(const char *path, int mode)
{
	return with(look(path), call_fchmod, mode);
}

static long try_chown(const char *path, int uid)
{
	return lchown(path, uid < 0 ? getuid() : (uid_t)uid, getgid());
}

static long try_times(const char *path, int second)
{
	const struct timespec times[2] = {{.tv_sec = second}, {.tv_sec = second}};

	return utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW);
}

static long try_touch(const char *path, int unused)
{
	(void)unused;
	return utimensat(AT_FDCWD, path, NULL, 0);
}

static long try_set_state(const char *path, int flags)
{
	return setxattr(path, "user.wal.state", "sealed", 6, flags);
}

static long try_rotate(const char *path, int flags)
{
	return setxattr(path, "user.wal.rotate", "1", 1, flags);
}

static long try_set_own(const char *path, int flags)
{
	return setxattr(path, "user.mine", "1", 1, flags);
}

static long try_set_security(const char *path, int flags)
{
	return setxattr(path, "security.mine", "1", 1, flags);
}

static long try_set_trusted(const char *path, int flags)
{
	return setxattr(path, "trusted.mine", "1", 1, flags);
}

static long try_remove_state(const char *path, int unused)
{
	(void)unused;
	return removexattr(path, "user.wal.state");
}

static long try_remove_own(const char *path, int unused)
{
	(void)unused;
	return removexattr(path, "user.mine");
}

static long try_exec(const char *path, int unused)
{
	char *const argv[] = {NULL}, *const envp[] = {NULL};
	int status;

	(void)unused;
	if (fork() == 0) {
		execve(path, argv, envp);
		_exit(errno);
	}
	wait(&status);
	errno = WEXITSTATUS(status);
	return errno ? -1 : 0;
}

/* --- what is tried, and what comes of it -------------------------------------------------- */

/* With the errno for: root, owner, other, root on a read-only mount. 0: succeeds. */
struct attempt {
	const char *what;
	attempt_fn *run;
	int argument;
	unsigned kinds;
	int expected[WHO];
};

/* clang-format off */
#define NAMES	{EPERM, EACCES, EACCES, EROFS}
#define PERM	{EPERM, EPERM, EPERM, EROFS}
static const struct attempt attempts[] = {
	{"open O_WRONLY", try_open, O_WRONLY, DIRECTORY, {EISDIR, EISDIR, EISDIR, EISDIR}},
	{"open O_WRONLY", try_open, O_WRONLY, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"open O_WRONLY", try_open, O_WRONLY, FINISHED, NAMES},
	{"open O_RDWR", try_open, O_RDWR, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"open O_RDWR", try_open, O_RDWR, FINISHED, NAMES},
	{"open O_RDWR O_CREAT", try_open, O_RDWR | O_CREAT, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"open O_TRUNC", try_open, O_RDONLY | O_TRUNC, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"open O_TRUNC", try_open, O_RDONLY | O_TRUNC, FINISHED, NAMES},
	{"open O_APPEND O_TRUNC", try_open, O_WRONLY | O_APPEND | O_TRUNC, CURRENT,
	 {EPERM, EPERM, EACCES, EROFS}},
	{"open O_APPEND", try_open, O_WRONLY | O_APPEND, CURRENT, {0, 0, EACCES, EROFS}},
	{"open O_APPEND", try_open, O_WRONLY | O_APPEND, FINISHED, NAMES},
	{"open O_CREAT O_EXCL", try_open, O_WRONLY | O_CREAT | O_EXCL, FILES,
	 {EEXIST, EEXIST, EEXIST, EEXIST}},
	{"open O_DIRECTORY", try_open, O_DIRECTORY, FILES, {ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR}},
	{"open O_TMPFILE", try_open, O_TMPFILE | O_RDWR, DIRECTORY,
	 {EOPNOTSUPP, EACCES, EACCES, EROFS}},
	{"create", try_create, O_WRONLY, DIRECTORY, NAMES},
	{"create O_EXCL", try_create, O_WRONLY | O_EXCL, DIRECTORY, NAMES},
	{"create within a file", try_create, O_WRONLY, FILES, {ENOTDIR, ENOTDIR, ENOTDIR, ENOTDIR}},
	{"truncate to 0", try_truncate, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"truncate to 1M", try_truncate, 1 << 20, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"truncate to 0", try_truncate, 0, FINISHED, NAMES},
	{"truncate to 1M", try_truncate, 1 << 20, FINISHED, NAMES},
	{"truncate", try_truncate, 0, DIRECTORY, {EISDIR, EISDIR, EISDIR, EISDIR}},
	{"ftruncate", try_ftruncate, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"fallocate", try_fallocate, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"fallocate keep size", try_fallocate, 1, CURRENT, {0, 0, EACCES, EROFS}},
	{"fallocate punch hole", try_fallocate, 3, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"fallocate zero range", try_fallocate, 16, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"fallocate collapse", try_fallocate, 8, CURRENT, {EOPNOTSUPP, EOPNOTSUPP, EACCES, EROFS}},
	{"fallocate insert", try_fallocate, 32, CURRENT, {EOPNOTSUPP, EOPNOTSUPP, EACCES, EROFS}},
	{"pwrite without O_APPEND", try_write_anywhere, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"write to a reader's descriptor", try_write_to_reader, 0, ALL,
	 {EBADF, EBADF, EBADF, EBADF}},
	{"sendfile", try_sendfile, 0, CURRENT, {EINVAL, EINVAL, EACCES, EROFS}},
	{"copy_file_range", try_copy_range, 0, CURRENT, {EBADF, EBADF, EACCES, EROFS}},
	{"mmap shared", try_map, PROT_READ, CURRENT, {ENODEV, ENODEV, EACCES, EROFS}},
	{"mmap shared, writable", try_map, PROT_READ | PROT_WRITE, CURRENT,
	 {ENODEV, ENODEV, EACCES, EROFS}},
	{"mmap shared, writable", try_map_for_writing, PROT_READ | PROT_WRITE, FINISHED,
	 {EACCES, EACCES, EACCES, EACCES}},
	{"FS_IOC_SETFLAGS", try_set_flags, 0, ALL, PERM},
	{"FS_IOC_FSSETXATTR", try_set_extended, 0, ALL, PERM},
	{"another ioctl", try_other_ioctl, 0, ALL, {ENOTTY, ENOTTY, ENOTTY, ENOTTY}},
	{"rename", try_rename, 0, FILES | EVENTS, NAMES},
	{"rename", try_rename, 0, TOP, {EBUSY, EBUSY, EBUSY, EBUSY}},
	{"rename RENAME_NOREPLACE", try_rename, 1, FILES | EVENTS, NAMES},
	{"rename RENAME_NOREPLACE", try_rename, 1, TOP, {EBUSY, EBUSY, EBUSY, EBUSY}},
	{"rename RENAME_WHITEOUT", try_rename, 4, FILES | EVENTS, NAMES},
	{"rename RENAME_WHITEOUT", try_rename, 4, TOP, {EBUSY, EBUSY, EBUSY, EBUSY}},
	{"rename into events", try_rename_into_events, 0, FILES, NAMES},
	{"rename over another", try_exchange, 0, FILES, NAMES},
	{"rename RENAME_EXCHANGE", try_exchange, 2, FILES, NAMES},
	/* others are refused by fs.protected_hardlinks, where that is set, or else by the mode */
	{"link", try_link, 0, FILES, {EPERM, EACCES, -1, EROFS}},
	{"symlink", try_symlink, 0, DIRECTORY, NAMES},
	{"unlink", try_unlink, 0, FILES, NAMES},
	{"unlink", try_unlink, 0, TOP, {EISDIR, EISDIR, EISDIR, EISDIR}},
	{"unlink", try_unlink, 0, EVENTS, {EISDIR, EACCES, EACCES, EROFS}},
	{"rmdir", try_rmdir, 0, FILES, {ENOTDIR, EACCES, EACCES, EROFS}},
	{"rmdir", try_rmdir, 0, EVENTS, NAMES},
	{"rmdir", try_rmdir, 0, TOP, {EINVAL, EINVAL, EINVAL, EINVAL}},
	{"mkdir", try_mkdir, 0, DIRECTORY, NAMES},
	{"mknod FIFO", try_mknod, S_IFIFO, DIRECTORY, NAMES},
	{"mknod file", try_mknod, S_IFREG, DIRECTORY, NAMES},
	{"mknod device", try_mknod, S_IFCHR, DIRECTORY, NAMES},
	{"bind a socket", try_bind, 0, DIRECTORY, NAMES},
	{"chmod", try_chmod, 0777, ALL, PERM},
	{"chmod u+s", try_chmod, 04755, ALL, PERM},
	{"fchmod", try_fchmod, 0, ALL, PERM},
	{"chown to oneself", try_chown, -1, ALL, {EPERM, 0, EPERM, EROFS}},
	{"chown to root", try_chown, 0, ALL, PERM},
	{"utimensat to 1970", try_times, 1, ALL, PERM},
	{"touch", try_touch, 0, CURRENT, {0, 0, EACCES, EROFS}},
	{"touch", try_touch, 0, DIRECTORY | FINISHED, {EPERM, EPERM, EACCES, EROFS}},
	{"set user.wal.state", try_set_state, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"set user.wal.state", try_set_state, 0, DIRECTORY | FINISHED, NAMES},
	{"set user.wal.state XATTR_CREATE", try_set_state, XATTR_CREATE, CURRENT,
	 {EPERM, EPERM, EACCES, EROFS}},
	{"rotate", try_rotate, 0, DIRECTORY | FINISHED, NAMES},
	{"rotate", try_rotate, 0, CURRENT, {-1, -1, EACCES, EROFS}},
	{"set user.mine", try_set_own, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"set user.mine", try_set_own, 0, DIRECTORY | FINISHED, NAMES},
	{"set security.mine", try_set_security, 0, ALL, {EOPNOTSUPP, EPERM, EPERM, EROFS}},
	{"set trusted.mine", try_set_trusted, 0, ALL, PERM},
	{"remove user.wal.state", try_remove_state, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"remove user.wal.state", try_remove_state, 0, DIRECTORY | FINISHED, NAMES},
	{"remove user.mine", try_remove_own, 0, CURRENT, {EPERM, EPERM, EACCES, EROFS}},
	{"remove user.mine", try_remove_own, 0, DIRECTORY | FINISHED, NAMES},
	{"execute", try_exec, 0, ALL, {EACCES, EACCES, EACCES, EACCES}},
};
/* clang-format on */

#define ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

/* Return: whether it came out as it should. */
static bool attempt(const struct attempt *attempt, const char *path, enum who who)
{
	char *before = storm_snapshot(), *after;
	long result = attempt->run(path, attempt->argument);
	int error = result < 0 ? errno : 0;
	bool good;

	after = storm_snapshot();
	good = error == attempt->expected[who] && strcmp(before, after) == 0;
	if (!good)
		printf("not ok - %s %s: %s, expected %s%s\n", attempt->what, path,
		       error ? strerrorname_np(error) : "0",
		       attempt->expected[who] ? strerrorname_np(attempt->expected[who]) : "0",
		       strcmp(before, after) ? ", and it had an effect" : "");
	if (strcmp(before, after) != 0)
		printf("before:\n%safter:\n%s", before, after);
	free(before);
	free(after);
	return good;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"root", "owner", "other", "root-ro"};
	unsigned passed = 0, failed = 0;
	enum who who = ROOT;
	size_t i, j;

	while (argc == 3 && who < WHO && strcmp(argv[2], names[who]) != 0)
		who++;
	if (argc != 3 || who == WHO || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: storm_abuse MOUNTPOINT root|owner|other|root-ro\n");
		return 2;
	}
	for (i = 0; i < ATTEMPTS; i++)
		for (j = 0; j < TARGETS; j++) {
			if (!(targets[j].kind & attempts[i].kinds) || attempts[i].expected[who] < 0)
				continue;
			if (attempt(&attempts[i], targets[j].path, who))
				passed++;
			else
				failed++;
		}
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0;
}
