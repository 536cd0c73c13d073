/* SPDX-License-Identifier: MIT */
/*
 * walfs [options] STORE MOUNTPOINT: start-up, life in the background, the end.
 *
 * The process that stays is a child from the first moment, because it is the
 * one that holds the store's lock. Its parent waits until the mount works, so
 * that every error before that reaches the terminal and the exit status.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mounts.h"
#include "service.h"
#include "walfs.h"

#define EXIT_USAGE 2
#define HELD_WAIT_MS 10000 /* for a daemon that is just finishing */
#define HELD_STEP_MS 20
#define HELD_LOOK_MS 300 /* after that, where else may it be mounted? */
#define NOTICE_WAIT_MS 2000
#define FILES_MIN 64u
#define FILES_OF_LOG 44u /* its segments (prepare=8, eight being sealed), wal.meta, workers ... */

/* --- into the background ------------------------------------------------------------ */

/* So that no descriptor of ours gets a number that the daemon closes later. */
static void open_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR); /* NOLINT(android-cloexec-open): as those are */
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

/* Return: the status to exit with. */
static int wait_for_child(pid_t child, int ready_fd)
{
	ssize_t got;
	char byte;
	int status;

	do
		got = read(ready_fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got == 1)
		return EXIT_SUCCESS;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILURE;
	if (WIFSIGNALED(status))
		walfs_say(WAL_NOTICE_ERROR, "ended by signal %d (%s) before the mount was ready",
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
}

/* The mount works: lets the parent go, and leaves the terminal. */
static void leave_terminal(int ready_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t done;

	walfs_notice_to_syslog(NOTICE_WAIT_MS);
	setsid();
	if (chdir("/") < 0)
		walfs_say(WAL_NOTICE_WARNING, "/: %s", strerror(errno));
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		close(null);
	}
	do
		done = write(ready_fd, "", 1);
	while (done < 0 && errno == EINTR);
	close(ready_fd);
}

/* --- start --------------------------------------------------------------------------- */

/* Return: how many descriptors this process has already. */
static unsigned open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	if (!dir)
		return STDERR_FILENO + 1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and that of the directory itself */
}

/*
 * Each segment that is being read is a descriptor here. They are bounded, so that some are
 * left for the segments that the log begins, prepares and seals, and for what is looked
 * at for a moment. With about ten, libfuse follows a null pointer when fusermount3 hands
 * it one, and the mount stays behind, dead.
 */
static int raise_file_limit(struct walfs *fs)
{
	unsigned have = open_files();
	struct rlimit limit;
	rlim_t left;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	left = limit.rlim_max > have ? limit.rlim_max - have : 0;
	if (limit.rlim_max >= FILES_MIN && left > FILES_OF_LOG) {
		left -= FILES_OF_LOG;
		fs->read_files = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
		return 0;
	}
	walfs_say(WAL_NOTICE_ERROR,
		  "only %ju open files are allowed (ulimit -Hn), %u are open, %u are needed",
		  (uintmax_t)limit.rlim_max, have,
		  FILES_MIN > have + FILES_OF_LOG ? FILES_MIN : have + FILES_OF_LOG + 1);
	return -EMFILE;
}

/* Blocked before any thread starts, so that only the loop sees them. */
static int take_signals(struct walfs *fs)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fs->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fs->signal_fd < 0 ? -errno : 0;
}

/* "walfs (pid 17)" is 17. Return: the process that holds the store; 0: none that can be seen. */
static pid_t holder_of(const char *store)
{
	struct wal_store_info info;
	const char *pid;
	pid_t holder = 0;

	if (wal_store_info_read(store, &info, NULL))
		return 0;
	pid = strrchr(info.holder, '(');
	if (pid && strncmp(pid, "(pid ", 5) == 0)
		holder = (pid_t)strtol(pid + 5, NULL, 10);
	wal_store_info_destroy(&info);
	return holder;
}

/*
 * Return: whether the store is mounted somewhere; then says where. A service with a mount
 * namespace of its own keeps a mount, and so its daemon, when it is gone everywhere else. What
 * was seen at the start holds for the one that held the store then.
 */
static bool say_if_mounted(const struct walfs *fs)
{
	const char *store = fs->options.store;
	struct walfs_mount mount;

	if (walfs_mount_of_store(store, &mount)) {
		walfs_say(WAL_NOTICE_ERROR, "%s is mounted on %s", store, mount.point);
		walfs_mount_destroy(&mount);
		return true;
	}
	if (!fs->elsewhere_pid || holder_of(store) != fs->holder)
		return false;
	walfs_say(WAL_NOTICE_ERROR,
		  "%s is not mounted here, but still in the mount namespace of %s (pid %d), where "
		  "an unmount here does not reach; `kill %d` ends its daemon and loses nothing",
		  store, fs->elsewhere_name, (int)fs->elsewhere_pid, (int)fs->holder);
	return true;
}

/* Return: whether a signal came within a moment. */
static bool wait_a_moment(struct walfs *fs)
{
	struct pollfd signals = {.fd = fs->signal_fd, .events = POLLIN};

	return poll(&signals, 1, HELD_STEP_MS) > 0;
}

/* A holder whose mount is gone already is writing out its last bytes: that is waited for. */
static int open_log(struct walfs *fs)
{
	const struct walfs_options *options = &fs->options;
	const struct wal_log_options log_options = {
		.path = options->store,
		.read_only = options->read_only,
		.continue_copy = options->continue_copy,
		.block_size = options->block_size,
		.segment_size = options->segment_size,
		.framing = options->framing,
		.sync_interval_ms = options->sync_interval_ms,
		.io_method = options->io_method,
		.meta_strict = options->meta_strict,
		.prepare_segments = options->prepare,
		.rotate_age_s = options->rotate_age_s,
		.keep_segments = options->keep_segments,
		.keep_bytes = options->keep_bytes,
		.keep_age_s = options->keep_age_s,
		.read_files = fs->read_files,
		.notice = walfs_notice,
	};
	uint64_t started = walfs_clock_ns(CLOCK_MONOTONIC), waited_ms;
	struct wal_error error = {.code = 0};
	bool looked = false;
	int result;

	do {
		result = wal_log_open(&log_options, &fs->log, &error);
		waited_ms = (walfs_clock_ns(CLOCK_MONOTONIC) - started) / 1000000;
		if (result != -EBUSY || wait_a_moment(fs))
			break;
		if (!looked && waited_ms >= HELD_LOOK_MS) {
			looked = true;
			if (say_if_mounted(fs))
				break;
		}
	} while (waited_ms < HELD_WAIT_MS);
	if (result)
		walfs_say(WAL_NOTICE_ERROR, "%s", error.text);
	return result;
}

static void note_start(struct walfs *fs)
{
	fs->started_ns = walfs_clock_ns(CLOCK_REALTIME);
	fs->started_clock_ns = walfs_clock_ns(CLOCK_MONOTONIC);
}

static struct walfs *new_walfs(const struct walfs_options *options)
{
	struct walfs *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	fs->options = *options;
	fs->signal_fd = -1;
	fs->locks.table.granted = walfs_locks_granted;
	walfs_readers_init(&fs->readers);
	walfs_sequential_init(&fs->sequential);
	fs->frames.max_line = options->max_line;
	fs->frames.buffered_max =
		options->max_line > WALFS_BUFFERED_MAX ? options->max_line : WALFS_BUFFERED_MAX;
	note_start(fs);
	pthread_mutex_init(&fs->reading, NULL);
	pthread_mutex_init(&fs->checked.lock, NULL);
	walfs_probes_init(&fs->probes);
	pthread_mutex_init(&fs->sync_lock, NULL);
	pthread_cond_init(&fs->sync_done, NULL);
	return fs;
}

/*
 * Directories have the time of the last segment, and who asks for it does not wait for a
 * disk. Of a log that is written it is known; of a read-only one it is read once, here.
 */
static void learn_last_segment(struct walfs *fs)
{
	struct wal_segment_info info;

	if (fs->options.read_only)
		wal_log_segment_info(fs->log, wal_log_current(fs->log), &info);
}

/*
 * Who else has the store mounted can be seen with all of root's capabilities only, and the
 * log's threads are to have few: so this comes first, and is used if the store stays held.
 */
static void look_elsewhere(struct walfs *fs)
{
	fs->holder = holder_of(fs->options.store);
	if (fs->holder)
		fs->elsewhere_pid =
			walfs_mount_elsewhere(fs->options.store, fs->holder, fs->elsewhere_name,
					      sizeof(fs->elsewhere_name));
}

/* What holds for the process, and for all threads that it will have. */
static int prepare_process(struct walfs *fs)
{
	int err = take_signals(fs);

	if (!err)
		err = wal_fault_handler_install();
	if (err)
		walfs_say(WAL_NOTICE_ERROR, "signals: %s", strerror(-err));
	if (!err)
		err = raise_file_limit(fs);
	if (!err)
		err = walfs_check_places(&fs->options);
	if (err)
		return err;
	look_elsewhere(fs);
	err = walfs_privileges_drop(fs->options.store);
	if (err)
		walfs_say(WAL_NOTICE_ERROR, "capabilities: %s", strerror(-err));
	return err;
}

static int start(struct walfs *fs)
{
	int err = prepare_process(fs);

	if (err)
		return err;
	walfs_notice_queue();
	err = open_log(fs);
	if (err)
		return err;
	learn_last_segment(fs);
	err = walfs_session_mount(fs);
	if (err)
		return err;
	err = walfs_workers_start(&fs->workers, &fs->opstats, fs->log);
	if (err)
		walfs_say(WAL_NOTICE_ERROR, "threads: %s", strerror(-err));
	return err;
}

/* For the journal: a mount is otherwise silent. */
static void say_start(struct walfs *fs)
{
	struct wal_log_position position;

	wal_log_position(fs->log, &position);
	walfs_say(WAL_NOTICE_INFO, "%s: mounted on %s%s, segment %" PRIu32 ", next event %" PRIu64,
		  fs->options.store, fs->options.mountpoint, fs->options.read_only ? " (ro)" : "",
		  position.segment, position.next_event);
}

/* --- the end ---------------------------------------------------------------------------- */

/*
 * The log is closed before the mount goes away: whoever sees it gone finds the
 * store free. Return: 0, or the error that may have cost events.
 */
static int stop(struct walfs *fs)
{
	struct wal_log_position position = {.segment = 0};
	int err = 0, close_error = 0;

	atomic_store(&fs->stopping, true);
	if (fs->session)
		walfs_service_notify("STOPPING=1\nSTATUS=writing out what is left");
	if (fs->workers.count)
		walfs_workers_stop(&fs->workers);
	walfs_locks_end(fs);
	if (fs->log) {
		err = walfs_handles_end(fs);
		walfs_syncs_wait(fs);
		wal_log_position(fs->log, &position);
		close_error = wal_log_close(fs->log);
	}
	if (close_error)
		walfs_say(WAL_NOTICE_ERROR, "the last events may not be on stable storage: %s",
			  strerror(-close_error));
	else if (err)
		walfs_say(WAL_NOTICE_ERROR, "an unfinished record is lost: %s", strerror(-err));
	else if (fs->session)
		walfs_say(WAL_NOTICE_INFO, "%s: ended%s, next event %" PRIu64, fs->options.store,
			  fs->options.read_only ? "" : ", all is on stable storage",
			  position.next_event);
	if (fs->session) {
		fuse_session_unmount(fs->session);
		fuse_session_destroy(fs->session);
	}
	if (fs->signal_fd >= 0)
		close(fs->signal_fd);
	walfs_checked_destroy(&fs->checked);
	walfs_probes_destroy(&fs->probes);
	walfs_readers_destroy(&fs->readers);
	walfs_sequential_destroy(&fs->sequential);
	pthread_mutex_destroy(&fs->reading);
	pthread_mutex_destroy(&fs->sync_lock);
	pthread_cond_destroy(&fs->sync_done);
	walfs_options_destroy(&fs->options);
	free(fs);
	return close_error ? close_error : err;
}

/* ready_fd: -1 in the foreground. Frees what options own. Return: the status to exit with. */
static int run(const struct walfs_options *options, int ready_fd)
{
	struct walfs *fs = new_walfs(options);
	int err, stop_error;
	bool started;

	if (!fs) {
		walfs_say(WAL_NOTICE_ERROR, "%s", strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	err = start(fs);
	started = !err;
	if (started) {
		if (ready_fd >= 0)
			leave_terminal(ready_fd);
		say_start(fs);
		err = walfs_loop(fs);
		if (err)
			walfs_say(WAL_NOTICE_ERROR, "the FUSE device: %s", strerror(-err));
	}
	stop_error = stop(fs);
	/* what kept it from starting is always printed */
	walfs_notice_end(started ? NOTICE_WAIT_MS : -1);
	return err || stop_error ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int run_in_background(struct walfs_options *options)
{
	int ready[2], status;
	pid_t child;

	/* What the shell had open is not the daemon's to keep. */
	close_range(STDERR_FILENO + 1, ~0u, 0);
	if (pipe2(ready, O_CLOEXEC) < 0 || (child = fork()) < 0) {
		walfs_say(WAL_NOTICE_ERROR, "cannot go to the background: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (child == 0) {
		close(ready[0]);
		return run(options, ready[1]);
	}
	close(ready[1]);
	status = wait_for_child(child, ready[0]);
	close(ready[0]);
	walfs_options_destroy(options); /* the child has its own */
	return status;
}

int main(int argc, char **argv)
{
	struct walfs_options options;
	int status;

	open_standard_fds();
	walfs_notice_start();
	switch (walfs_options_parse(argc, argv, &options)) {
	case WALFS_PARSE_DONE:
		walfs_options_destroy(&options);
		return EXIT_SUCCESS;
	case WALFS_PARSE_BAD:
		walfs_options_destroy(&options);
		return EXIT_USAGE;
	default:
		break;
	}
	if (options.remount) {
		status = walfs_remount(&options) ? EXIT_FAILURE : EXIT_SUCCESS;
		walfs_options_destroy(&options);
		return status;
	}
	if (options.foreground)
		return run(&options, -1);
	return run_in_background(&options);
}
