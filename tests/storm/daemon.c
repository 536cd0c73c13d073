/* SPDX-License-Identifier: MIT */
/* A real daemon in the foreground, as a child, so that its number is sure. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storm.h"

#ifndef FUSE_SUPER_MAGIC /* headers before those of Linux 5.16 or so */
#define FUSE_SUPER_MAGIC 0x65735546
#endif

#define READY_MS 60000
#define END_MS 60000

void storm_daemon_init(struct storm_daemon *daemon, const char *walfs, const char *directory)
{
	memset(daemon, 0, sizeof(*daemon));
	daemon->walfs = walfs;
	snprintf(daemon->store, sizeof(daemon->store), "%s/store", directory);
	snprintf(daemon->mountpoint, sizeof(daemon->mountpoint), "%s/mnt", directory);
	snprintf(daemon->log, sizeof(daemon->log), "%s/log", directory);
	if (mkdir(directory, 0700) < 0 || mkdir(daemon->mountpoint, 0700) < 0)
		storm_die(directory);
}

bool storm_is_cut_off(int error, const char *mountpoint)
{
	struct statfs fs;

	if (error == ENOENT) /* also the way an unmounted place is found */
		return statfs(mountpoint, &fs) < 0 || fs.f_type != FUSE_SUPER_MAGIC;
	return error == ENOTCONN || error == ECONNABORTED || error == ENODEV;
}

static pid_t start(const char *log, char *const argv[])
{
	pid_t pid = fork();
	int fd;

	if (pid < 0)
		storm_die("fork");
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		storm_die(log);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
	execvp(argv[0], argv);
	_exit(127);
}

int storm_run(const char *log, char *const argv[])
{
	pid_t pid = start(log, argv);
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void storm_daemon_start(struct storm_daemon *daemon, const struct storm_setup *setup)
{
	char framing[24], options[256], sync[32] = "none", keep[40] = "";
	char foreground[] = "-f", o[] = "-o", *walfs = strdup(daemon->walfs);
	char *argv[] = {walfs, foreground, daemon->store, daemon->mountpoint, o, options, NULL};

	wal_framing_format(setup->framing, framing, sizeof(framing));
	if (setup->sync_always)
		snprintf(sync, sizeof(sync), "always");
	else if (setup->sync_interval_ms)
		snprintf(sync, sizeof(sync), "interval:%u", setup->sync_interval_ms);
	if (setup->keep_segments)
		snprintf(keep, sizeof(keep), ",keep_segments=%u", setup->keep_segments);
	snprintf(options, sizeof(options), "framing=%s,block_size=%u,segment_size=%ju,sync=%s%s",
		 framing, setup->block_size, (uintmax_t)setup->segment_size, sync, keep);
	daemon->pid = start(daemon->log, argv);
	free(walfs);
}

bool storm_daemon_has_ended(struct storm_daemon *daemon)
{
	int status;

	if (waitpid(daemon->pid, &status, WNOHANG) == 0)
		return false;
	daemon->pid = 0;
	fprintf(stderr, "storm: the daemon ended by itself, status %#x\n", (unsigned)status);
	return true;
}

bool storm_daemon_wait_ready(struct storm_daemon *daemon)
{
	uint64_t until = storm_now_ms() + READY_MS;
	char current[600];

	snprintf(current, sizeof(current), "%s/current", daemon->mountpoint);
	while (storm_now_ms() < until) {
		if (access(current, F_OK) == 0)
			return true;
		if (storm_daemon_has_ended(daemon))
			return false;
		storm_sleep_us(1000);
	}
	fprintf(stderr, "storm: not mounted within a minute\n");
	return false;
}

int storm_daemon_kill(struct storm_daemon *daemon, int signal_number)
{
	int status = 0;

	if (!daemon->pid)
		return 0;
	kill(daemon->pid, signal_number);
	while (waitpid(daemon->pid, &status, 0) < 0 && errno == EINTR)
		;
	daemon->pid = 0;
	return status;
}

bool storm_daemon_unmount(struct storm_daemon *daemon)
{
	char umount[] = "fusermount3", u[] = "-u";
	char *argv[] = {umount, u, daemon->mountpoint, NULL};
	int status, tries;

	/* somebody's last close may still be under way */
	for (tries = 0; storm_run(daemon->log, argv) != 0; tries++) {
		if (tries == 100)
			return false;
		storm_sleep_us(20000);
	}
	/* a copy of the mount in somebody's namespace keeps it alive */
	for (tries = 0; waitpid(daemon->pid, &status, WNOHANG) == 0; tries++) {
		if (tries == END_MS / 20)
			kill(daemon->pid, SIGTERM);
		storm_sleep_us(20000);
	}
	daemon->pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void storm_daemon_clean_up(struct storm_daemon *daemon)
{
	char umount[] = "fusermount3", uz[] = "-uz", null[] = "/dev/null";
	char *argv[] = {umount, uz, daemon->mountpoint, NULL};

	storm_daemon_kill(daemon, SIGKILL);
	while (storm_run(null, argv) == 0)
		;
}

bool storm_daemon_store_is_sound(const struct storm_daemon *daemon, const char *walctl)
{
	char *argv[] = {strdup(walctl), strdup("verify"), strdup(daemon->store), NULL};
	int i, status = storm_run(daemon->log, argv);

	for (i = 0; argv[i]; i++)
		free(argv[i]);
	return status == 0;
}

bool storm_daemon_complained(const struct storm_daemon *daemon)
{
	static const char *const words[] = {"Sanitizer", "runtime error", "amage"};
	FILE *log = fopen(daemon->log, "r");
	bool complained = false;
	char line[1024];
	size_t i;

	while (log && fgets(line, sizeof(line), log)) {
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strstr(line, words[i])) {
				fprintf(stderr, "daemon: %s", line);
				complained = true;
			}
	}
	if (log)
		fclose(log);
	return complained;
}

uint64_t storm_daemon_memory_kb(const struct storm_daemon *daemon)
{
	char path[64], line[256];
	unsigned long kb = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", daemon->pid);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %lu kB", &kb) == 1)
			break;
	if (status)
		fclose(status);
	return kb;
}
