/* SPDX-License-Identifier: MIT */
/*
 * walfs without a log: what a mount costs, however little is done with what is written.
 *
 * It is the daemon itself but for main.c and the operations: the same loop (linked in,
 * not copied), the same requests wanted of the kernel, a fresh node id for every lookup
 * of `current`, which is FOPEN_DIRECT_IO. Its write only replies. `1` to `4` are files of
 * zeros that the kernel caches, as it does finished segments. Stays in the foreground
 * until it is unmounted or gets SIGTERM or SIGINT.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/walfs.h"

#define SEALED 2 /* to 5 */
#define SEALED_BYTES (64 << 20)
#define CURRENT 6 /* and all node ids above */
#define CACHED_S 60

static const char zeros[WALFS_IO_MAX];

static bool is_sealed(fuse_ino_t ino)
{
	return ino >= SEALED && ino < CURRENT;
}

static struct stat stat_of(fuse_ino_t ino)
{
	struct stat st = {.st_ino = ino < CURRENT ? ino : CURRENT, .st_nlink = 1};

	st.st_uid = getuid();
	st.st_gid = getgid();
	st.st_mode = ino < SEALED ? S_IFDIR | 0550 : S_IFREG | 0640;
	st.st_size = is_sealed(ino) ? SEALED_BYTES : 0;
	return st;
}

static void noop_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct walfs *fs = walfs_of(req);
	struct fuse_entry_param entry = {.generation = 1};

	if (parent == FUSE_ROOT_ID && strcmp(name, "current") == 0) {
		entry.ino = CURRENT + fs->lookups++;
	} else if (parent == FUSE_ROOT_ID && name[0] >= '1' && name[0] <= '4' && !name[1]) {
		entry.ino = SEALED + (fuse_ino_t)(name[0] - '1');
		entry.attr_timeout = entry.entry_timeout = CACHED_S;
	} else {
		fuse_reply_err(req, ENOENT);
		return;
	}
	entry.attr = stat_of(entry.ino);
	fuse_reply_entry(req, &entry);
}

static void noop_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	(void)ino;
	(void)count;
	fuse_reply_none(req);
}

static void noop_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = stat_of(ino);

	(void)fi;
	fuse_reply_attr(req, &st, is_sealed(ino) ? CACHED_S : 0);
}

static void noop_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = !is_sealed(ino);
	fi->keep_cache = is_sealed(ino);
	fuse_reply_open(req, fi);
}

static void noop_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		      struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	if (offset >= SEALED_BYTES)
		size = 0;
	else if (size > (size_t)(SEALED_BYTES - offset))
		size = (size_t)(SEALED_BYTES - offset);
	fuse_reply_buf(req, zeros, size < sizeof(zeros) ? size : sizeof(zeros));
}

static void noop_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	(void)ino;
	(void)data;
	(void)offset;
	(void)fi;
	fuse_reply_write(req, size);
}

static void noop_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void noop_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void noop_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENODATA);
}

static const struct fuse_lowlevel_ops operations = {
	.init = walfs_init,
	.lookup = noop_lookup,
	.forget = noop_forget,
	.getattr = noop_getattr,
	.open = noop_open,
	.read = noop_read,
	.write = noop_write,
	.flush = noop_flush,
	.fsync = noop_fsync,
	.release = noop_flush,
	.getxattr = noop_getxattr,
};

static int take_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	char *arguments[] = {(char[]){"noop"}, (char[]){"-o"},
			     (char[]){"default_permissions,fsname=noop,subtype=noop"}, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, arguments);
	struct walfs *fs = calloc(1, sizeof(*fs));
	int fd, error;

	if (argc != 2 || !fs) {
		fprintf(stderr, "usage: bench_noop_fs MOUNTPOINT\n");
		return 2;
	}
	fs->signal_fd = take_signals();
	fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
	if (fs->signal_fd < 0 || !fs->session || fuse_session_mount(fs->session, argv[1]))
		return 1;
	fd = fuse_session_fd(fs->session);
	error = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : walfs_loop(fs);
	if (error)
		fprintf(stderr, "noop: %s\n", strerror(-error));
	fuse_session_unmount(fs->session);
	fuse_session_destroy(fs->session);
	free(fs);
	return error ? 1 : 0;
}
