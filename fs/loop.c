/* SPDX-License-Identifier: MIT */
/*
 * The request loop. One thread at a time reads requests, in the order in which the
 * kernel queued them, and handles each before the next is read: where several do, a
 * RELEASE is overtaken by the same process's next request now and then, and an
 * unfinished line would come too late.
 *
 * There are two such threads, and the right to read is a lock. The one that has read
 * a request to make the log durable, and found nobody at that, gives the right to the
 * other and does it itself: the disk works while the other wakes up.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "walfs.h"

#define TURNS_BETWEEN_SIGNALS 64

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
	.fallocate = walfs_fallocate,
	/* refused, every one of them */
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
static bool is_over(int err)
{
	return err == -ECONNABORTED || err == -ENODEV;
}

/* Return: whether a signal came that ends the daemon. */
static bool take_signal(struct walfs *fs)
{
	struct signalfd_siginfo info;

	if (read(fs->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	walfs_say(WAL_NOTICE_INFO, "ended by signal %u (%s)", info.ssi_signo,
		  strsignal((int)info.ssi_signo));
	return true;
}

/* Return: whether a signal came that ends the daemon. */
static bool wait_for_request(struct walfs *fs)
{
	struct pollfd fds[] = {
		{.fd = fuse_session_fd(fs->session), .events = POLLIN},
		{.fd = fs->signal_fd, .events = POLLIN},
	};

	return poll(fds, 2, -1) > 0 && fds[1].revents && take_signal(fs);
}

/* A hint to the processor that this is a loop that waits. */
static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb" ::: "memory");
#endif
}

/* Return: whether a signal came that ends the daemon. */
static bool poll_or_wait(struct walfs *fs)
{
	/* without the option there is no clock to read */
	if (fs->busy_poll.limit_ns &&
	    walfs_busy_poll_again(&fs->busy_poll, walfs_clock_ns(CLOCK_MONOTONIC))) {
		relax();
		return false;
	}
	return wait_for_request(fs);
}

/* Return: whether this thread is now the one that commits. */
static bool handle(struct walfs *fs, const struct fuse_buf *buffer)
{
	bool leads;

	walfs_busy_poll_end(&fs->busy_poll);
	/* in memory: nothing here asks libfuse for splice() */
	walfs_opstats_begin(&fs->opstats, buffer->mem);
	fuse_session_process_buf(fs->session, buffer);
	leads = walfs_sync_join(fs);
	walfs_opstats_end(&fs->opstats);
	(void)walfs_locks_reap(fs); /* what is left is done once there is no request */
	walfs_handles_reap(fs);
	return leads;
}

/* Is there a request that nobody has read? */
static bool has_request(struct walfs *fs)
{
	struct pollfd fd = {.fd = fuse_session_fd(fs->session), .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/*
 * Nothing is in hand. Whoever reads next is the other thread, or this one again. It
 * takes the other one a moment to wake up: a request that is there already would wait
 * for that, so then the log's thread is woken instead.
 */
static void commit(struct walfs *fs)
{
	if (has_request(fs)) {
		wal_log_sync_pass(fs->log);
		return;
	}
	pthread_mutex_unlock(&fs->reading);
	wal_log_sync_lead(fs->log);
	pthread_mutex_lock(&fs->reading);
}

/* Reads and handles a request, or waits for one. Return: whether it is over; error says why. */
static bool turn(struct walfs *fs, struct fuse_buf *buffer, int *err)
{
	int got = fuse_session_receive_buf(fs->session, buffer);
	bool stop = false;

	*err = 0;
	if (got > 0) {
		if (handle(fs, buffer))
			commit(fs);
	} else if (got == -EAGAIN) {
		stop = !walfs_locks_reap(fs) && poll_or_wait(fs);
	} else if (got < 0 && got != -EINTR) {
		*err = is_over(got) ? 0 : got;
		return true;
	}
	/* Requests, or rounds of polling, may follow each other without end. */
	return stop || (++fs->turns % TURNS_BETWEEN_SIGNALS == 0 && take_signal(fs));
}

/* Return: NULL. The first that sees the end says so, and why. */
static void *read_requests(void *arg)
{
	struct fuse_buf buffer = {.mem = NULL};
	struct walfs *fs = arg;
	bool over = false;
	int err = 0;

	pthread_mutex_lock(&fs->reading);
	while (!fs->over && !over) {
		over = fuse_session_exited(fs->session) || turn(fs, &buffer, &err);
		if (over && !fs->over)
			fs->loop_error = err;
	}
	fs->over = true;
	pthread_mutex_unlock(&fs->reading);
	free(buffer.mem);
	return NULL;
}

int walfs_loop(struct walfs *fs)
{
	pthread_t other;
	int err;

	walfs_busy_poll_init(&fs->busy_poll, fs->options.busy_poll_us);
	err = pthread_create(&other, NULL, read_requests, fs);
	if (err)
		return -err;
	read_requests(fs);
	pthread_join(other, NULL);
	return fs->loop_error;
}
