/* SPDX-License-Identifier: MIT */
/*
 * Faults of the system that the seam does not show: calls that are interrupted or
 * write less than asked, no descriptors left, a clock that jumps, and a store whose
 * files are cut or removed under the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/crash/run.h"

static struct history history;

/* --- calls as a busy system answers them ------------------------------------- */

enum call { CALL_OPEN, CALL_ALLOCATE, CALL_PWRITE, CALL_PREAD, CALL_TRUNCATE, CALLS };
static const char *const call_names[CALLS] = {"open", "posix_fallocate", "pwrite", "pread",
					      "ftruncate"};

static atomic_bool interrupting;
static atomic_uint call_number[CALLS];
static atomic_uint interrupted[CALLS];

static bool is_interrupted(enum call call)
{
	if (!interrupting || atomic_fetch_add(&call_number[call], 1) % 3 != 0)
		return false;
	atomic_fetch_add(&interrupted[call], 1);
	errno = EINTR;
	return true;
}

/* In front of libc's, for this whole program. */
ssize_t pwrite64(int fd, const void *buf, size_t size, off64_t offset);
ssize_t pread64(int fd, void *buf, size_t size, off64_t offset);
int ftruncate64(int fd, off64_t size);
int posix_fallocate64(int fd, off64_t offset, off64_t size);
int openat64(int dirfd, const char *name, int flags, ...);

ssize_t pwrite64(int fd, const void *buf, size_t size, off64_t offset)
{
	if (is_interrupted(CALL_PWRITE))
		return -1;
	if (interrupting && size > 1)
		size = size / 2;
	return syscall(SYS_pwrite64, fd, buf, size, offset);
}

ssize_t pread64(int fd, void *buf, size_t size, off64_t offset)
{
	if (is_interrupted(CALL_PREAD))
		return -1;
	if (interrupting && size > 512)
		size = (size / 2 + 511) & ~(size_t)511;
	return syscall(SYS_pread64, fd, buf, size, offset);
}

int ftruncate64(int fd, off64_t size)
{
	return is_interrupted(CALL_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int posix_fallocate64(int fd, off64_t offset, off64_t size)
{
	if (is_interrupted(CALL_ALLOCATE))
		return EINTR;
	return syscall(SYS_fallocate, fd, 0, offset, size) ? errno : 0;
}

/* To write, that is what core/io opens; a file that is there is not waited for to read it. */
int openat64(int dirfd, const char *name, int flags, ...)
{
	mode_t mode = 0;
	va_list args;

	if (flags & O_CREAT) {
		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if ((flags & O_ACCMODE) != O_RDONLY && is_interrupted(CALL_OPEN))
		return -1;
	return (int)syscall(SYS_openat, dirfd, name, flags, mode);
}

/* --- what the cases share ---------------------------------------------------- */

static void prepare(struct run *run, uint64_t seed)
{
	memset(&history, 0, sizeof(history));
	history.salt = seed;
	run_init(run, crash_fresh("run"), &history, seed);
}

static bool log_is_whole(struct run *run, const char *what)
{
	struct promise promise = {0};
	struct judged judged;

	run_wait_idle(run);
	history_before(&history, &promise);
	history_after(&history, &promise);
	promise.removed = run->disk.removed;
	return history_judge(&history, run->log, &promise, CRASH_KILLED, what, &judged);
}

static void ends_well(struct run *run, const char *what)
{
	if (run->log)
		log_is_whole(run, what);
	if (run->log && run_close(run))
		crash_fail("%s: does not close", what);
	run_is_sound(run->path, what);
	run_destroy(run);
}

static void interrupted_calls(const struct crash_options *options)
{
	unsigned call, count = 0;
	struct run run;
	int err;

	if (!crash_case(options, "interrupted and short calls are gone on with"))
		return;
	prepare(&run, options->seed);
	interrupting = true;
	err = run_script(&run);
	if (err)
		crash_fail("the run: %s", strerror(-err));
	ends_well(&run, "after interrupted calls");
	interrupting = false;
	for (call = 0; call < CALLS; call++) {
		count += interrupted[call];
		if (interrupted[call] == 0)
			crash_fail("no %s was interrupted", call_names[call]);
	}
	crash_case_end("%u interrupted, each of %u calls", count, CALLS);
}

/* --- descriptors ------------------------------------------------------------- */

/* So many more descriptors than there are. */
static void allow_descriptors(int more)
{
	struct rlimit limit;
	int fd = more < 0 ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = more < 0 ? limit.rlim_max : (rlim_t)(fd + more);
	if (setrlimit(RLIMIT_NOFILE, &limit))
		crash_die("setrlimit: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
}

static bool is_out_of_descriptors(int err)
{
	return err == -EMFILE || err == -ENFILE;
}

static void few_descriptors_at_open(const struct crash_options *options)
{
	int more, err;
	unsigned refused = 0;
	struct run run;

	if (!crash_case(options, "too few descriptors to open a store, then enough"))
		return;
	for (more = 0; more < 14; more++) {
		prepare(&run, options->seed);
		run.options.io = NULL;
		if (run_open(&run) || run_append_some(&run, 3, 900) || run_sync(&run) ||
		    run_rotate(&run) || run_append(&run, 70) || run_close(&run))
			crash_fail("cannot make a store");
		allow_descriptors(more);
		err = run_open(&run);
		refused += err != 0;
		if (err && !is_out_of_descriptors(err))
			crash_fail("open with %d more: %s", more, strerror(-err));
		if (run.log) /* then it may have no prepared segment, and that is all */
			err = run_append(&run, 70);
		allow_descriptors(-1);
		if (!run.log && run_open(&run))
			crash_fail("does not open after %d more", more);
		ends_well(&run, "with enough descriptors");
	}
	crash_case_end("%u of 14 opens refused", refused);
}

/* Takes every descriptor that is left. */
static unsigned take_descriptors(int fds[64])
{
	unsigned count = 0;

	while (count < 64 && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		count++;
	return count;
}

/* A segment has its descriptor from its preparation on: only rotations need new ones. */
static void few_descriptors_at_work(const struct crash_options *options)
{
	struct wal_segment_reader *reader;
	unsigned count, i;
	int err, fds[64];
	struct run run;

	if (!crash_case(options, "no descriptors: syncs go on, readers and rotations may not"))
		return;
	prepare(&run, options->seed);
	run.options.io = NULL;
	if (run_open(&run))
		crash_fail("cannot make a store");
	run_wait_idle(&run);
	allow_descriptors(6);
	count = take_descriptors(fds);
	err = wal_log_reader_open(run.log, wal_log_current(run.log), 0, &reader, NULL);
	if (!is_out_of_descriptors(err))
		crash_fail("a reader: %s", strerror(-err));
	for (i = 0; i < 12; i++) {
		err = run_append_some(&run, 3, 300);
		if (run_sync(&run))
			crash_fail("sync %u failed", i);
		err = err ? err : run_rotate(&run);
		if (err && !is_out_of_descriptors(err))
			crash_fail("at work: %s", strerror(-err));
	}
	while (count > 0)
		close(fds[--count]);
	allow_descriptors(-1);
	err = run_append_some(&run, 3, 1200);
	err = err ? err : run_rotate(&run);
	if (err)
		crash_fail("with enough descriptors again: %s", strerror(-err));
	run.disk.removed = wal_log_current(run.log); /* by retention, unseen */
	ends_well(&run, "with enough descriptors");
	crash_case_end("%u syncs", i);
}

/* --- the clock --------------------------------------------------------------- */

static void jumping_clock(const struct crash_options *options)
{
	static const uint64_t times[] = {0,
					 1,
					 UINT64_C(1795341662000000000),
					 UINT64_C(253402300800000000),
					 UINT64_MAX - 100000000,
					 UINT64_C(1) << 63,
					 UINT64_C(999999999)};
	struct run run;
	unsigned i, lives = options->long_run ? 60 : 6;
	int err = 0;

	if (!crash_case(options, "a clock that jumps back and forth"))
		return;
	prepare(&run, options->seed);
	run.options.keep_segments = 3;
	run.options.keep_age_s = 1000000000;
	for (i = 0; i < 25 * lives && !err; i++) {
		run.disk.now_ns = times[rng_below(&run.rng, 7)] + rng_below(&run.rng, 1000000);
		if (!run.log)
			err = run_open(&run);
		else if (i % 25 == 24)
			err = run_close(&run);
		else if (i % 9 == 8)
			err = run_rotate(&run);
		else
			err = i % 4 ? run_append_some(&run, 2, 1100) : run_sync(&run);
	}
	if (err)
		crash_fail("step %u: %s", i, strerror(-err));
	run.options.keep_age_s = 0;
	ends_well(&run, "with a jumping clock");
	crash_case_end("%u steps", i);
}

/* --- a store that is taken away ---------------------------------------------- */

static void reopen_after_damage(struct run *run, uint64_t durable, const char *what)
{
	struct wal_log_position position;
	uint8_t buf[4096];
	uint32_t segment = 0;

	run->disk.removed = 0;
	if (run_open(run)) {
		crash_fail("%s: does not open again", what);
		return;
	}
	wal_log_position(run->log, &position);
	if (position.next_event <= durable)
		crash_fail("%s: event %" PRIu64 " is given again, %" PRIu64 " was durable", what,
			   position.next_event, durable);
	while (wal_log_segments(run->log, segment, &segment, 1)) {
		struct wal_segment_reader *reader;

		if (wal_log_reader_open(run->log, segment, 0, &reader, NULL))
			continue;
		wal_segment_reader_payload(reader, buf, sizeof(buf), 0);
		wal_segment_reader_close(reader);
	}
	if (run_append(run, 100) || run_sync(run))
		crash_fail("%s: does not go on", what);
	if (run_close(run))
		crash_fail("%s: does not close", what);
}

/* A sealed segment, and an active one with synced events. Return: the last durable event. */
static uint64_t make_victim(struct run *run, uint64_t seed, bool strict, char *active, size_t size)
{
	struct wal_log_position position;

	prepare(run, seed);
	run->options.io = NULL;
	run->options.keep_segments = 0;
	/* Either way wal.meta knows what was durable once the log is closed. */
	run->options.meta_strict = strict;
	if (run_open(run) || run_append_some(run, 3, 900) || run_rotate(run) ||
	    run_append_some(run, 5, 900) || run_sync(run))
		crash_fail("cannot make a store");
	wal_log_position(run->log, &position);
	snprintf(active, size, "%s/%010u.wal", run->path, position.segment);
	return position.next_event - 1;
}

/* Appends and syncs until one fails, or too long. Return: the first error of each. */
static void work_until_told(struct run *run, int *append_error, int *sync_error)
{
	int i;

	*append_error = *sync_error = 0;
	for (i = 0; i < 40 && !(*append_error && *sync_error); i++) {
		int err = run_append_some(run, 2, 1000);

		*append_error = *append_error ? *append_error : err;
		err = run_sync(run);
		*sync_error = *sync_error ? *sync_error : err;
	}
}

static void sealed_is_still_served(struct run *run, const char *what)
{
	struct wal_segment_reader *reader;
	struct wal_event event;

	if (wal_log_reader_open(run->log, 1, 0, &reader, NULL)) {
		crash_fail("%s: segment 1 is not served", what);
		return;
	}
	if (wal_segment_reader_next(reader, &event) != 1 || event.id != 1)
		crash_fail("%s: event 1 is not served", what);
	wal_segment_reader_close(reader);
}

static void cut_active_segment(const struct crash_options *options)
{
	static const off_t sizes[] = {0, 100, 4096, 4096 + 64, 8192, 12288, 4096 + 5 * 4096};
	size_t i;

	if (!crash_case(options, "the active file is cut under the log"))
		return;
	for (i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		off_t cut_to = sizes[i / 2];
		int append_error, sync_error;
		char active[600], what[64];
		struct run run;
		uint64_t durable = make_victim(&run, options->seed, i % 2, active, sizeof(active));

		snprintf(what, sizeof(what), "cut to %lld", (long long)cut_to);
		if (truncate(active, cut_to))
			crash_fail("%s: %s", what, strerror(errno));
		run_append(&run, 100);
		if (run_sync(&run) == 0)
			crash_fail("%s: the next sync succeeds", what);
		work_until_told(&run, &append_error, &sync_error);
		if (append_error != -EIO && append_error != -EROFS)
			crash_fail("%s: append: %s", what, strerror(-append_error));
		if (!sync_error)
			crash_fail("%s: each sync succeeded", what);
		sealed_is_still_served(&run, what);
		if (wal_log_close(run.log) == 0)
			crash_fail("%s: closed as if nothing had been", what);
		run.log = NULL;
		reopen_after_damage(&run, cut_to <= 8192 ? durable : 0, what);
		run_destroy(&run);
	}
	crash_case_end("%zu sizes", i / 2);
}

enum removal { REMOVE_ACTIVE, RENAME_ACTIVE, REPLACE_ACTIVE, REMOVE_STORE };

static void take_away(const char *active, const char *store, enum removal how)
{
	char other[640];
	int fd;

	snprintf(other, sizeof(other), "%s.gone", active);
	switch (how) {
	case REMOVE_ACTIVE:
		unlink(active);
		break;
	case RENAME_ACTIVE:
		rename(active, other);
		break;
	case REPLACE_ACTIVE:
		rename(active, other);
		fd = open(active, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		close(fd);
		break;
	case REMOVE_STORE:
		crash_empty(store);
		rmdir(store);
		break;
	}
}

/* Nothing may be called durable that no name leads to any more. */
static void take_away_once(uint64_t seed, const char *sentence, enum removal how, bool strict)
{
	int append_error, sync_error;
	char active[600];
	struct run run;
	uint64_t durable = make_victim(&run, seed, strict, active, sizeof(active));

	take_away(active, run.path, how);
	run_append(&run, 100);
	sync_error = run_sync(&run);
	if (!sync_error)
		crash_fail("%s: the next sync succeeds", sentence);
	work_until_told(&run, &append_error, &sync_error);
	if (!sync_error)
		crash_fail("%s: each sync succeeds", sentence);
	if (how != REMOVE_STORE)
		sealed_is_still_served(&run, sentence);
	wal_log_close(run.log);
	run.log = NULL;
	if (how == REMOVE_STORE)
		durable = 0;
	reopen_after_damage(&run, durable, sentence);
	run_destroy(&run);
}

static void taken_away(const struct crash_options *options, const char *sentence, enum removal how)
{
	if (!crash_case(options, sentence))
		return;
	take_away_once(options->seed, sentence, how, true);
	take_away_once(options->seed, sentence, how, false);
	crash_case_end("%s", "");
}

int main(int argc, char **argv)
{
	struct crash_options options;

	crash_start(argc, argv, &options);
	wal_fault_handler_install();
	interrupted_calls(&options);
	few_descriptors_at_open(&options);
	few_descriptors_at_work(&options);
	jumping_clock(&options);
	cut_active_segment(&options);
	taken_away(&options, "the active file is removed", REMOVE_ACTIVE);
	taken_away(&options, "the active file is renamed", RENAME_ACTIVE);
	taken_away(&options, "another file takes the active one's name", REPLACE_ACTIVE);
	taken_away(&options, "the store is removed", REMOVE_STORE);
	return crash_end();
}
