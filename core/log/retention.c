/* SPDX-License-Identifier: MIT */
/*
 * Removing the oldest sealed segments, where an option says so and never otherwise.
 * A damaged segment is evidence and stays. wal.meta learns first from where on the
 * log is kept, so that a removed segment is never taken for a lost one.
 */
#include "core/log/retention.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log/closed.h"
#include "core/log/info.h"
#include "core/log/table.h"

/*
 * In one step, so that the maintainer gets to seal in between: this many are removed, after
 * one write of wal.meta, or the sizes of this many are asked for.
 */
#define STEP_SEGMENTS WAL_RETAIN_STEP
#define STEP_SIZES 1024u

#define NS_IN_S UINT64_C(1000000000)

/*
 * Nothing was written to a log of this format before 2025: a clock that says so starts at some
 * fixed time at each boot, and is set later.
 */
#define BELIEVED_FROM_NS (UINT64_C(1735689600) * NS_IN_S)

/* How long after a segment could not be removed that is tried again. */
#define RETRY_S 10u
#define RETRY_NS (RETRY_S * NS_IN_S)

struct sealed {
	uint32_t index;
	bool sized;
	uint64_t bytes; /* of its file, once sized */
};

struct retention {
	struct wal_log *log;
	struct sealed *sealed; /* ascending */
	size_t listed;
	size_t count;	/* of those that would be left */
	uint64_t bytes; /* of them; only if keep_bytes is set */
	uint64_t now;
	size_t seen;	  /* sealed[seen]: the first whose time */
	uint64_t seen_ns; /* can be believed, and which; 0: not looked for */
	bool more;	  /* left for another step */
};

/* What a step removes. */
struct due {
	struct wal_segment_info info[STEP_SEGMENTS];
	size_t count;
};

static uint64_t file_bytes(const struct wal_log *log, uint32_t index)
{
	char name[WAL_NAME_MAX];
	struct stat st;

	wal_segment_name(index, name);
	return fstatat(log->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) ? 0 : (uint64_t)st.st_size;
}

/* Finished segments that are not waiting to be sealed, and their sizes where they are known. */
static int list_sealed(struct retention *r)
{
	struct wal_log *log = r->log;
	uint32_t current;
	size_t i;

	pthread_mutex_lock(&log->lock);
	r->sealed = malloc((log->table.count + 1) * sizeof(*r->sealed));
	current = wal_log_current_index(log);
	for (i = 0; r->sealed && i < log->table.count; i++) {
		const struct wal_log_entry *entry = &log->table.entries[i];

		if (entry->index == current || entry->damaged || wal_closed_find(log, entry->index))
			continue;
		r->sealed[r->listed++] = (struct sealed){
			.index = entry->index, .sized = entry->sized, .bytes = entry->bytes};
	}
	pthread_mutex_unlock(&log->lock);
	r->count = r->listed;
	return r->sealed ? 0 : -ENOMEM;
}

/* So that the next time nobody has to look. */
static void keep_sizes(const struct retention *r)
{
	struct wal_log *log = r->log;
	size_t i, k = 0;

	pthread_mutex_lock(&log->lock);
	for (i = 0; i < log->table.count; i++) {
		while (k < r->listed && r->sealed[k].index < log->table.entries[i].index)
			k++;
		if (k < r->listed && r->sealed[k].index == log->table.entries[i].index) {
			log->table.entries[i].sized = r->sealed[k].sized;
			log->table.entries[i].bytes = r->sealed[k].bytes;
		}
	}
	pthread_mutex_unlock(&log->lock);
}

/*
 * The first time it asks the disk for each of perhaps very many: appends do not wait for that.
 * It asks once only: each step gets further, also among files that are empty or gone.
 * Return: whether all were asked for.
 */
static bool add_sizes(struct retention *r)
{
	size_t asked = 0, i;

	for (i = 0; i < r->listed && asked < STEP_SIZES; i++) {
		if (!r->sealed[i].sized) {
			r->sealed[i].sized = true;
			r->sealed[i].bytes = file_bytes(r->log, r->sealed[i].index);
			asked++;
		}
		r->bytes += r->sealed[i].bytes;
	}
	if (asked)
		keep_sizes(r);
	return i == r->listed;
}

/* --- age ------------------------------------------------------------------------------- */

static bool is_believed(const struct retention *r, uint64_t ns)
{
	return ns >= BELIEVED_FROM_NS && ns <= r->now;
}

/*
 * When sealed[i] was closed, at the latest. If the clock was wrong then, that was before the first
 * one after it was closed whose time can be right; if there is none, nobody knows: now.
 */
static uint64_t closed_at_the_latest(struct retention *r, size_t i,
				     const struct wal_segment_info *info)
{
	struct wal_segment_info later;

	if (is_believed(r, info->closed_ns))
		return info->closed_ns;
	if (r->seen_ns && r->seen > i)
		return r->seen_ns;
	r->seen_ns = r->now;
	for (r->seen = i + 1; r->seen < r->listed; r->seen++) {
		if (wal_log_segment_info(r->log, r->sealed[r->seen].index, &later) ||
		    later.state != WAL_SEALED || !is_believed(r, later.closed_ns))
			continue;
		r->seen_ns = later.closed_ns;
		break;
	}
	return r->seen_ns;
}

static bool is_too_old(struct retention *r, size_t i, const struct wal_segment_info *info)
{
	uint64_t age_ns = r->log->asked.keep_age_s * UINT64_C(1000000000), closed;

	/* Whatever the clock does, the last sealed one stays. */
	if (!age_ns || r->count <= 1)
		return false;
	closed = wal_clock_steps_apply(&r->log->clock_steps, info->index,
				       closed_at_the_latest(r, i, info));
	return r->now > closed && r->now - closed > age_ns;
}

/* Whatever it said, no age is counted from before now. */
static void forget_ages(struct wal_log *log, uint64_t now, int err)
{
	struct wal_clock_step all = {wal_log_current(log), now, now, now};

	wal_clock_steps_add(&log->clock_steps, &all);
	log->clock_unsaved = err == -EUCLEAN; /* what cannot be read is not written over */
	wal_log_notice(log, WAL_NOTICE_WARNING,
		       "%s/%s: cannot be read: %s; to keep_age, what is there was closed now",
		       log->path, WAL_CLOCK_FILE, err == -EUCLEAN ? "damaged" : strerror(-err));
}

static void set_forward(struct wal_log *log, uint64_t expected, uint64_t now)
{
	struct wal_clock_step step = {wal_log_current(log), expected, now, now - expected};

	wal_clock_steps_add(&log->clock_steps, &step);
	log->clock_unsaved = true;
	wal_log_notice(log, WAL_NOTICE_WARNING,
		       "%s: the clock was set forward by %" PRIu64 " s; to keep_age, what was "
		       "closed before is no older for that",
		       log->path, step.step_ns / NS_IN_S);
}

/* Tried again at each look, until it is there: there is one warning. */
static void save_steps(struct wal_log *log)
{
	struct wal_error why = {0};
	int err = wal_clock_steps_write(log->io, log->dirfd, &log->clock_steps, &why);

	if (err && err != log->clock_error)
		wal_log_notice(log, WAL_NOTICE_WARNING,
			       "%s/%s: cannot be written: %s; that the clock was set is forgotten "
			       "at the unmount",
			       log->path, WAL_CLOCK_FILE, why.code ? why.text : strerror(-err));
	log->clock_error = err;
	log->clock_unsaved = err != 0;
}

/* Seen from one look to the next; time that the machine slept is no step. */
static void look_for_step(struct wal_log *log, uint64_t now)
{
	uint64_t passed = log->io->passed_ns(log->io) - log->age_looked_ns;
	uint64_t expected = log->age_real_ns + passed;
	int err;

	if (!log->age_looked_ns) {
		err = wal_clock_steps_read(log->dirfd, &log->clock_steps);
		if (err)
			forget_ages(log, now, err);
	} else if (now > expected + WAL_CLOCK_STEP_NS) {
		set_forward(log, expected, now);
	} else if (now + WAL_CLOCK_STEP_NS < expected && log->clock_steps.count) {
		wal_clock_steps_take_back(&log->clock_steps, expected - now);
		log->clock_unsaved = true;
	}
	log->age_looked_ns += passed;
	log->age_real_ns = now;
	if (log->clock_unsaved)
		save_steps(log);
}

/* --- removing -------------------------------------------------------------------------- */

/* Is the oldest of what is left one too many? */
static bool is_due(struct retention *r, size_t i, const struct wal_segment_info *info)
{
	const struct wal_log_options *asked = &r->log->asked;

	return (asked->keep_segments && r->count > asked->keep_segments) ||
	       (asked->keep_bytes && r->bytes > asked->keep_bytes) || is_too_old(r, i, info);
}

/* The oldest that are due, as many as a step removes. */
static void find_due(struct retention *r, struct due *due)
{
	struct wal_segment_info *info;
	size_t i;

	for (i = 0; r->count > 0; i++) {
		if (due->count == STEP_SEGMENTS) {
			r->more = true;
			return;
		}
		info = &due->info[due->count];
		if (wal_log_segment_info(r->log, r->sealed[i].index, info))
			memset(info, 0, sizeof(*info)); /* cannot be looked at: it stays */
		else if (info->state == WAL_SEALED) {
			if (!is_due(r, i, info))
				return;
			due->count++;
		}
		r->count--;
		r->bytes -= info->file_bytes < r->bytes ? info->file_bytes : r->bytes;
	}
}

/* A file that is not there any more is as good as removed. Return: 0 or -errno. */
static int unlink_segment(struct wal_log *log, uint32_t index)
{
	char name[WAL_NAME_MAX];
	int err;

	wal_segment_name(index, name);
	err = log->io->unlink(log->io, log->dirfd, name);
	return err == -ENOENT ? 0 : err;
}

/* What keeps it there is reported once, and tried again in a while: it may take an admin. */
static void note_failure(struct wal_log *log, uint32_t index, int err)
{
	struct wal_retention_failure *failure = &log->retention_failure;
	char name[WAL_NAME_MAX];

	/* Space may come back at any time, and takes nobody. */
	failure->retry_ns = wal_is_no_space(err) ? 0 : wal_clock_ns() + RETRY_NS;
	if (failure->segment == index && failure->err == err)
		return;
	failure->segment = index;
	failure->err = err;
	wal_segment_name(index, name);
	wal_log_notice(log, WAL_NOTICE_WARNING,
		       "%s/%s: cannot be removed: %s; trying again every %u s", log->path, name,
		       strerror(-err), RETRY_S);
}

static void note_removed(struct wal_log *log, const struct wal_segment_info *info)
{
	char name[WAL_NAME_MAX];

	wal_segment_name(info->index, name);
	wal_count(&log->telemetry, WAL_COUNT_REMOVED_SEGMENTS, 1);
	wal_count(&log->telemetry, WAL_COUNT_REMOVED_BYTES, info->file_bytes);
	wal_log_notice(log, WAL_NOTICE_INFO,
		       "%s/%s: removed, as the options to keep segments say (events %" PRIu64
		       " to %" PRIu64 ")",
		       log->path, name, info->first_event, info->last_event);
}

/*
 * wal.meta says first, for all of them at once, from where on the log is kept. One that cannot
 * be removed keeps those after it. Return: how many were removed.
 */
static size_t remove_due(struct wal_log *log, const struct due *due)
{
	uint32_t removed[STEP_SEGMENTS];
	size_t done = 0, i;
	int err;

	if (due->count == 0)
		return 0;
	err = wal_meta_coordinator_set_first(&log->coordinator,
					     due->info[due->count - 1].index + 1);
	while (!err && done < due->count) {
		err = unlink_segment(log, due->info[done].index);
		if (!err) {
			removed[done] = due->info[done].index;
			done++;
		}
	}
	if (err)
		note_failure(log, due->info[done].index, err);
	if (done == 0)
		return 0;
	if (!err)
		log->retention_failure = (struct wal_retention_failure){.segment = 0};
	pthread_mutex_lock(&log->lock);
	wal_log_remove_entries(log, removed, done);
	pthread_mutex_unlock(&log->lock);
	wal_clock_steps_forget(&log->clock_steps, removed[done - 1] + 1);
	for (i = 0; i < done; i++)
		note_removed(log, &due->info[i]);
	log->io->fsync(log->io, log->dirfd);
	return done;
}

enum wal_retained wal_log_retain(struct wal_log *log)
{
	const struct wal_log_options *asked = &log->asked;
	struct retention r = {.log = log};
	struct due *due;
	size_t removed = 0;

	if (!asked->keep_segments && !asked->keep_bytes && !asked->keep_age_s)
		return WAL_RETAINED_ALL;
	r.now = log->io->now_ns(log->io);
	if (asked->keep_age_s)
		look_for_step(log, r.now);
	if (wal_clock_ns() < log->retention_failure.retry_ns)
		return WAL_RETAINED_ALL;
	due = calloc(1, sizeof(*due));
	if (due && list_sealed(&r) == 0) {
		if (!asked->keep_bytes || add_sizes(&r)) {
			find_due(&r, due);
			removed = remove_due(log, due);
			r.more = r.more && removed == due->count;
		} else {
			r.more = true;
		}
	}
	free(r.sealed);
	free(due);
	return r.more ? WAL_RETAINED_MORE : removed ? WAL_RETAINED_SOME : WAL_RETAINED_ALL;
}

enum wal_retained wal_log_retain_unlocked(struct wal_log *log)
{
	enum wal_retained retained;

	wal_log_assert_locked(log);
	pthread_mutex_unlock(&log->lock);
	retained = wal_log_retain(log);
	pthread_mutex_lock(&log->lock);
	return retained;
}
