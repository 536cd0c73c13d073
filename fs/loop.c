/* SPDX-License-Identifier: MIT */
/*
 * The request loop. One thread reads requests in the order in which the kernel
 * queued them: with several, a RELEASE is overtaken by the same process's next
 * request now and then, and an unfinished line would come too late.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "walfs.h"

#define REQUESTS_BETWEEN_SIGNALS 64

const struct fuse_lowlevel_ops walfs_operations = {
	.init = walfs_init,
	.lookup = walfs_lookup,
	.forget = walfs_forget,
	.getattr = walfs_getattr,
	.setattr = walfs_setattr,
	.readdir = walfs_readdir,
	.readdirplus = walfs_readdirplus,
	.fsyncdir = walfs_fsyncdir,
	.open = walfs_open,
	.read = walfs_read,
	.write = walfs_write,
	.flush = walfs_flush,
	.fsync = walfs_fsync,
	.release = walfs_release,
	.getxattr = walfs_getxattr,
	.listxattr = walfs_listxattr,
	.setxattr = walfs_setxattr,
	.removexattr = walfs_removexattr,
	.getlk = walfs_getlk,
	.setlk = walfs_setlk,
	.flock = walfs_flock,
	.statfs = walfs_statfs,
	.ioctl = walfs_ioctl,
	/* refused, every one of them */
	.fallocate = walfs_fallocate,
	.mknod = walfs_mknod,
	.mkdir = walfs_mkdir,
	.unlink = walfs_unlink,
	.rmdir = walfs_rmdir,
	.symlink = walfs_symlink,
	.rename = walfs_rename,
	.link = walfs_link,
	.create = walfs_create,
};

/* Nothing more will come: unmounted by force, or the connection was cut. */
static bool is_over(int error)
{
	return error == -ECONNABORTED || error == -ENODEV;
}

/* Return: whether a signal came that ends the daemon. */
static bool told_to_stop(struct walfs *fs)
{
	struct signalfd_siginfo info;

	if (read(fs->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	walfs_say(WAL_NOTICE_INFO, "ended by signal %u (%s)", info.ssi_signo,
		  strsignal((int)info.ssi_signo));
	return true;
}

static void wait_for_request(struct walfs *fs)
{
	struct pollfd fds[] = {
		{.fd = fuse_session_fd(fs->session), .events = POLLIN},
		{.fd = fs->signal_fd, .events = POLLIN},
	};

	poll(fds, 2, -1);
}

int walfs_loop(struct walfs *fs)
{
	struct fuse_buf buffer = {.mem = NULL};
	unsigned requests = 0;
	int got = 0;

	while (!fuse_session_exited(fs->session)) {
		got = fuse_session_receive_buf(fs->session, &buffer);
		if (got > 0) {
			/* in memory: nothing here asks libfuse for splice() */
			walfs_opstats_begin(&fs->opstats, buffer.mem);
			fuse_session_process_buf(fs->session, &buffer);
			walfs_opstats_end(&fs->opstats);
			walfs_locks_reap(fs);
			walfs_handles_reap(fs);
			if (++requests % REQUESTS_BETWEEN_SIGNALS)
				continue;
		} else if (got == -EAGAIN) {
			wait_for_request(fs);
		} else if (got < 0 && got != -EINTR) {
			break;
		}
		if (told_to_stop(fs)) {
			got = 0;
			break;
		}
	}
	free(buffer.mem);
	return got < 0 && got != -EAGAIN && got != -EINTR && !is_over(got) ? got : 0;
}
