/* SPDX-License-Identifier: MIT */
/*
 * poke COMMAND ARGUMENTS: one system call, or a few, that a shell cannot say.
 * Prints "ok", a number, or the name of the errno.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <walfs/format.h>

static void die(const char *what)
{
	fprintf(stderr, "poke: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Prints the outcome of a call that returns -1 for an error. */
static int say(long result)
{
	if (result < 0)
		puts(strerrorname_np(errno));
	else if (result == 0)
		puts("ok");
	else
		printf("%ld\n", result);
	return 0;
}

static int flags_of(const char *text)
{
	static const struct {
		const char *name;
		int flag;
	} names[] = {
		{"rdonly", O_RDONLY}, {"wronly", O_WRONLY},   {"rdwr", O_RDWR},
		{"append", O_APPEND}, {"trunc", O_TRUNC},     {"creat", O_CREAT},
		{"excl", O_EXCL},     {"sync", O_SYNC},	      {"dsync", O_DSYNC},
		{"direct", O_DIRECT}, {"tmpfile", O_TMPFILE},
	};
	int flags = O_CLOEXEC;
	char *copy = strdup(text), *save, *word;
	size_t i;

	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save))
		for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (strcmp(word, names[i].name) == 0)
				flags |= names[i].flag;
	free(copy);
	return flags;
}

static int must_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd < 0)
		die(path);
	return fd;
}

/* Fresh pages, which are never given back. */
static char *pages(size_t size)
{
	char *bytes =
		mmap(NULL, size + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (bytes == MAP_FAILED)
		die("mmap");
	return bytes;
}

static int append_fd(const char *path)
{
	return must_open(path, O_WRONLY | O_APPEND);
}

/* --- single calls ----------------------------------------------------------------- */

static int cmd_open(char **arg)
{
	int fd = open(arg[0], flags_of(arg[1]), 0600);

	return say(fd < 0 ? -1 : 0);
}

static int cmd_write_without_append(char **arg)
{
	int fd = append_fd(arg[0]);

	if (fcntl(fd, F_SETFL, 0) < 0)
		die("F_SETFL");
	return say(write(fd, "x\n", 2));
}

static int cmd_truncate(char **arg)
{
	return say(truncate(arg[0], atol(arg[1])));
}

static int cmd_ftruncate(char **arg)
{
	return say(ftruncate(append_fd(arg[0]), 0));
}

/* fallocate PATH MODE END */
static int cmd_fallocate(char **arg)
{
	return say(fallocate(append_fd(arg[0]), atoi(arg[1]), 0, atol(arg[2])));
}

static int cmd_rename(char **arg)
{
	return say(rename(arg[0], arg[1]));
}

static int cmd_link(char **arg)
{
	return say(link(arg[0], arg[1]));
}

static int cmd_symlink(char **arg)
{
	return say(symlink("somewhere", arg[0]));
}

static int cmd_unlink(char **arg)
{
	return say(unlink(arg[0]));
}

static int cmd_mkdir(char **arg)
{
	return say(mkdir(arg[0], 0700));
}

static int cmd_rmdir(char **arg)
{
	return say(rmdir(arg[0]));
}

static int cmd_mknod(char **arg)
{
	return say(mknod(arg[0], S_IFIFO | 0600, 0));
}

static int cmd_chmod(char **arg)
{
	return say(chmod(arg[0], (mode_t)strtoul(arg[1], NULL, 8)));
}

static int cmd_chown(char **arg)
{
	return say(chown(arg[0], (uid_t)atol(arg[1]), (gid_t)atol(arg[2])));
}

static int cmd_utimes(char **arg)
{
	const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
	const struct timespec then[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	return say(utimensat(AT_FDCWD, arg[0], strcmp(arg[1], "now") == 0 ? now : then, 0));
}

static int cmd_setflags(char **arg)
{
	int fd = must_open(arg[0], O_RDONLY), flags = FS_NODUMP_FL;

	return say(ioctl(fd, FS_IOC_SETFLAGS, &flags));
}

static int cmd_getflags(char **arg)
{
	int fd = must_open(arg[0], O_RDONLY), flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return say(-1);
	printf("%s%s\n", flags & FS_IMMUTABLE_FL ? "i" : "", flags & FS_APPEND_FL ? "a" : "");
	return 0;
}

static int cmd_ioctl(char **arg)
{
	int fd = must_open(arg[0], O_RDONLY), value = 0;

	return say(ioctl(fd, _IOR('w', 77, int), &value));
}

static int cmd_mmap(char **arg)
{
	int fd = must_open(arg[0], O_RDONLY);
	const char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	return say(map == MAP_FAILED ? -1 : 0);
}

/* getxattr PATH NAME SIZE: prints the length. */
static int cmd_getxattr(char **arg)
{
	char value[4096];

	return say(getxattr(arg[0], arg[1], value, strtoul(arg[2], NULL, 10)));
}

static int cmd_setxattr(char **arg)
{
	return say(setxattr(arg[0], arg[1], "1", 1, 0));
}

static int cmd_removexattr(char **arg)
{
	return say(removexattr(arg[0], arg[1]));
}

static int cmd_fsync(char **arg)
{
	return say(fsync(must_open(arg[0], O_RDONLY)));
}

/* --- writes -------------------------------------------------------------------------- */

/* write PATH SIZE FLAGS: one write(2) of SIZE bytes 'x'. */
static int cmd_write(char **arg)
{
	size_t size = strtoul(arg[1], NULL, 10);
	char *bytes = pages(size);
	int fd = must_open(arg[0], O_WRONLY | O_APPEND | flags_of(arg[2]));

	memset(bytes, 'x', size);
	return say(write(fd, bytes, size));
}

/* writev PATH PARTS SIZE: PARTS parts of SIZE bytes each, each in a page of its own. */
static int cmd_writev(char **arg)
{
	int fd = append_fd(arg[0]), parts = atoi(arg[1]), i;
	size_t size = strtoul(arg[2], NULL, 10);
	struct iovec vector[1024];

	for (i = 0; i < parts; i++) {
		vector[i].iov_base = pages(size + 4095) + 4095;
		vector[i].iov_len = size;
		memset(vector[i].iov_base, 'v', size);
	}
	return say(writev(fd, vector, parts));
}

/* rwf-dsync PATH TEXT: one pwritev2 with RWF_DSYNC. */
static int cmd_rwf_dsync(char **arg)
{
	struct iovec part = {.iov_base = arg[1], .iov_len = strlen(arg[1])};

	return say(pwritev2(append_fd(arg[0]), &part, 1, -1, RWF_DSYNC));
}

/* step PATH WORD...: writes each; "@fsync" calls that, "@wait" waits for a line on stdin. */
static int cmd_step(char **arg)
{
	int fd = must_open(arg[0], O_RDWR | O_APPEND);
	char byte;

	for (arg++; *arg; arg++) {
		if (strcmp(*arg, "@fsync") == 0) {
			if (fsync(fd) < 0)
				die("fsync");
		} else if (strcmp(*arg, "@wait") == 0) {
			if (write(STDOUT_FILENO, ".", 1) != 1)
				die("stdout");
			while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
				;
		} else if (write(fd, *arg, strlen(*arg)) != (ssize_t)strlen(*arg)) {
			die(*arg);
		}
	}
	return 0;
}

/* hold PATH FILES SIZE: that many opens, each with an unfinished line, then closed. */
static int cmd_hold(char **arg)
{
	int files = atoi(arg[1]), *fds = malloc((size_t)files * sizeof(*fds)), i;
	size_t size = strtoul(arg[2], NULL, 10);
	char *bytes = pages(size);

	memset(bytes, 'h', size);
	for (i = 0; i < files; i++) {
		fds[i] = append_fd(arg[0]);
		if (write(fds[i], bytes, size) != (ssize_t)size)
			die("write");
	}
	for (i = 0; i < files; i++)
		close(fds[i]);
	free(fds);
	return 0;
}

/*
 * storm PATH WRITER ACKED: appends numbered lines until a write fails, and notes
 * in the file ACKED the number of each one that returned.
 */
static int cmd_storm(char **arg)
{
	int fd = append_fd(arg[0]), acked = must_open(arg[2], O_WRONLY | O_CREAT | O_TRUNC);
	char line[256];
	uint64_t number;
	int length;

	for (number = 1;; number++) {
		length = snprintf(line, sizeof(line), "%s %lu %.*s\n", arg[1], number,
				  (int)(number % 97),
				  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
				  "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
		if (write(fd, line, (size_t)length) != length)
			return 0;
		if (pwrite(acked, &number, sizeof(number), 0) != sizeof(number))
			die(arg[2]);
	}
}

/* acked FILE: prints the number that storm noted last. */
static int cmd_acked(char **arg)
{
	uint64_t number = 0;

	if (read(must_open(arg[0], O_RDONLY), &number, sizeof(number)) < 0)
		die(arg[0]);
	printf("%lu\n", number);
	return 0;
}

/* durable PATH WRITERS LINES: processes that fsync each line; prints lines per second. */
static int cmd_durable(char **arg)
{
	int writers = atoi(arg[1]), lines = atoi(arg[2]), i, n, fd, status;
	struct timespec from, to;
	double seconds;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (i = 0; i < writers; i++) {
		if (fork() != 0)
			continue;
		fd = append_fd(arg[0]);
		for (n = 0; n < lines; n++)
			if (write(fd, "durable\n", 8) != 8 || fsync(fd) < 0)
				_exit(1);
		_exit(0);
	}
	while (wait(&status) > 0)
		if (status)
			die("a writer");
	clock_gettime(CLOCK_MONOTONIC, &to);
	seconds = (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
	printf("%.0f\n", writers * lines / seconds);
	return 0;
}

/* --- locks ------------------------------------------------------------------------------ */

static int set_lock(int fd, int cmd, short type, off_t start, off_t length)
{
	struct flock lock = {.l_type = type, .l_start = start, .l_len = length};

	return fcntl(fd, cmd, &lock);
}

/* As set_lock(), of a lock that its holder is giving up. */
static int set_lock_once_free(int fd, int cmd, short type, off_t start, off_t length)
{
	int tries;

	for (tries = 0; tries < 6000; tries++) {
		if (set_lock(fd, cmd, type, start, length) == 0)
			return 0;
		if (errno != EAGAIN && errno != EACCES)
			break;
		usleep(10000); /* the poll interval */
	}
	return -1;
}

/* In a child, because a process does not get in its own way. Prints and exits. */
static void try_in_child(const char *path, off_t start, off_t length)
{
	struct flock lock = {.l_type = F_WRLCK, .l_start = start, .l_len = length};
	int fd, status;

	fflush(stdout);
	if (fork() == 0) {
		fd = append_fd(path);
		if (fcntl(fd, F_GETLK, &lock) < 0)
			die("F_GETLK");
		if (lock.l_type == F_UNLCK)
			printf("free ");
		else
			printf("%s[%ld+%ld]%s ", lock.l_type == F_WRLCK ? "write" : "read",
			       lock.l_start, lock.l_len, lock.l_pid == getppid() ? "" : "?");
		fflush(stdout);
		_exit(set_lock(fd, F_SETLK, F_WRLCK, start, length) < 0 ? errno : 0);
	}
	wait(&status);
	printf("%s\n", WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "ok");
}

/* posix-locks PATH: ranges, splitting, and what close() does. */
static int cmd_posix_locks(char **arg)
{
	int fd = must_open(arg[0], O_RDWR | O_APPEND), other;

	set_lock(fd, F_SETLK, F_WRLCK, 100, 100);
	try_in_child(arg[0], 0, 100);
	try_in_child(arg[0], 150, 1);
	set_lock(fd, F_SETLK, F_UNLCK, 140, 20); /* cuts it in two */
	try_in_child(arg[0], 140, 20);
	try_in_child(arg[0], 0, 0);
	set_lock(fd, F_SETLK, F_RDLCK, 100, 100); /* and one again */
	try_in_child(arg[0], 0, 0);
	other = append_fd(arg[0]);
	close(other); /* any close of the file drops a process's locks */
	try_in_child(arg[0], 0, 0);
	return 0;
}

/* ofd-locks PATH: belong to the open file description, and end with it. */
static int cmd_ofd_locks(char **arg)
{
	int one = append_fd(arg[0]), two = append_fd(arg[0]);

	say(set_lock(one, F_OFD_SETLK, F_WRLCK, 0, 0));
	say(set_lock(two, F_OFD_SETLK, F_WRLCK, 0, 0));
	close(one);
	/* the release is not waited for by close() */
	say(set_lock_once_free(two, F_OFD_SETLK, F_WRLCK, 0, 0));
	return 0;
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

/* interrupted-lock PATH: a wait ends with EINTR, and the lock can be had later. */
static int cmd_interrupted_lock(char **arg)
{
	const struct sigaction action = {.sa_handler = on_alarm};
	int holder = append_fd(arg[0]), waiter = append_fd(arg[0]);

	sigaction(SIGALRM, &action, NULL);
	say(flock(holder, LOCK_EX));
	say(flock(waiter, LOCK_EX | LOCK_NB));
	alarm(1);
	say(flock(waiter, LOCK_EX));
	say(flock(holder, LOCK_UN));
	say(flock(waiter, LOCK_EX));
	return 0;
}

/* deadlock PATH: two processes that wait for each other. */
static int cmd_deadlock(char **arg)
{
	int fd = append_fd(arg[0]), ready[2], status;
	char byte;

	if (pipe(ready) < 0)
		die("pipe");
	set_lock(fd, F_SETLK, F_WRLCK, 0, 1);
	if (fork() == 0) {
		set_lock(fd, F_SETLK, F_WRLCK, 1, 1);
		if (write(ready[1], "x", 1) != 1)
			die("pipe");
		_exit(set_lock(fd, F_SETLKW, F_WRLCK, 0, 1) < 0 ? 1 : 0);
	}
	if (read(ready[0], &byte, 1) != 1)
		die("pipe");
	usleep(200000); /* nothing shows that the daemon knows of the other's wait */
	say(set_lock(fd, F_SETLKW, F_WRLCK, 1, 1));
	set_lock(fd, F_SETLK, F_UNLCK, 0, 0);
	wait(&status);
	puts(status ? "the other failed" : "the other has it");
	return 0;
}

/* --- the rest ------------------------------------------------------------------------------ */

/* flip FILE OFFSET: turns one bit over. */
static int cmd_flip(char **arg)
{
	int fd = must_open(arg[0], O_RDWR);
	off_t offset = atol(arg[1]);
	unsigned char byte;

	if (pread(fd, &byte, 1, offset) != 1)
		die("pread");
	byte ^= 1;
	return say(pwrite(fd, &byte, 1, offset) == 1 && fsync(fd) == 0 ? 0 : -1);
}

/* newer-meta FILE: makes both slots of wal.meta those of a later format. */
static int cmd_newer_meta(char **arg)
{
	const size_t covered = offsetof(struct wal_disk_meta_slot, slot_checksum);
	struct wal_disk_meta_slot slot;
	int fd = must_open(arg[0], O_RDWR);
	off_t at;

	for (at = 0; at < WAL_META_SLOT_BYTES * WAL_META_SLOTS; at += WAL_META_SLOT_BYTES) {
		if (pread(fd, &slot, sizeof(slot), at) != sizeof(slot))
			die("pread");
		slot.version = WAL_FORMAT_VERSION + 1;
		slot.slot_checksum.raw = htole64(XXH3_64bits(&slot, covered));
		if (pwrite(fd, &slot, sizeof(slot), at) != sizeof(slot))
			die("pwrite");
	}
	return 0;
}

/* good-pages FILE: how many of its 4 KiB pages can be read, and how many give EIO. */
static int cmd_good_pages(char **arg)
{
	int fd = must_open(arg[0], O_RDONLY), good = 0, bad = 0;
	struct stat st;
	char page[4096];
	off_t offset;

	if (fstat(fd, &st) < 0)
		die("fstat");
	for (offset = 0; offset < st.st_size; offset += 4096) {
		if (pread(fd, page, sizeof(page), offset) > 0)
			good++;
		else if (errno == EIO)
			bad++;
	}
	printf("%d good, %d bad\n", good, bad);
	return 0;
}

/* Return: whether a thread of a process has this name. */
static bool is_thread_named(const char *pid, const char *tid, const char *name)
{
	char path[300], comm[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%s/task/%s/comm", pid, tid);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(comm, sizeof(comm), file))
		comm[0] = 0;
	fclose(file);
	return strncmp(comm, name, strlen(name)) == 0;
}

/*
 * stop-thread PID NAME: stops one thread of a process where it is; it goes on when poke is
 * killed. The thread should be one that waits, or what it holds stays locked.
 */
static int cmd_stop_thread(char **arg)
{
	char path[64];
	struct dirent *entry;
	pid_t tid = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/task", arg[0]);
	dir = opendir(path);
	while (dir && !tid && (entry = readdir(dir)))
		if (is_thread_named(arg[0], entry->d_name, arg[1]))
			tid = atoi(entry->d_name);
	if (!tid)
		die(arg[1]);
	closedir(dir);
	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) < 0 ||
	    waitpid(tid, NULL, __WALL) != tid)
		die("ptrace");
	puts("ok");
	fflush(stdout);
	pause();
	return 0;
}

struct command {
	const char *name;
	int arguments;
	int (*run)(char **arg);
};

static const struct command commands[] = {
	{"open", 2, cmd_open},
	{"write-without-append", 1, cmd_write_without_append},
	{"truncate", 2, cmd_truncate},
	{"ftruncate", 1, cmd_ftruncate},
	{"fallocate", 3, cmd_fallocate},
	{"rename", 2, cmd_rename},
	{"link", 2, cmd_link},
	{"symlink", 1, cmd_symlink},
	{"unlink", 1, cmd_unlink},
	{"mkdir", 1, cmd_mkdir},
	{"rmdir", 1, cmd_rmdir},
	{"mknod", 1, cmd_mknod},
	{"chmod", 2, cmd_chmod},
	{"chown", 3, cmd_chown},
	{"utimes", 2, cmd_utimes},
	{"setflags", 1, cmd_setflags},
	{"getflags", 1, cmd_getflags},
	{"ioctl", 1, cmd_ioctl},
	{"mmap", 1, cmd_mmap},
	{"getxattr", 3, cmd_getxattr},
	{"setxattr", 2, cmd_setxattr},
	{"removexattr", 2, cmd_removexattr},
	{"fsync", 1, cmd_fsync},
	{"write", 3, cmd_write},
	{"writev", 3, cmd_writev},
	{"rwf-dsync", 2, cmd_rwf_dsync},
	{"step", 2, cmd_step},
	{"hold", 3, cmd_hold},
	{"storm", 3, cmd_storm},
	{"acked", 1, cmd_acked},
	{"durable", 3, cmd_durable},
	{"posix-locks", 1, cmd_posix_locks},
	{"ofd-locks", 1, cmd_ofd_locks},
	{"interrupted-lock", 1, cmd_interrupted_lock},
	{"deadlock", 1, cmd_deadlock},
	{"flip", 2, cmd_flip},
	{"newer-meta", 1, cmd_newer_meta},
	{"good-pages", 1, cmd_good_pages},
	{"stop-thread", 2, cmd_stop_thread},
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0 && argc - 2 >= commands[i].arguments)
			return commands[i].run(argv + 2);
	fprintf(stderr, "poke: what is '%s' with %d arguments?\n", argc > 1 ? argv[1] : "",
		argc - 2);
	return 2;
}
