/* SPDX-License-Identifier: MIT */
/*
 * Removing the oldest sealed segments, where an option says so and never otherwise.
 * A damaged segment is evidence and stays. wal.meta learns first from where on the
 * log is kept, so that a removed segment is never taken for a lost one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log.h"

/* How long after a segment could not be removed that is tried again. */
#define RETRY_S 10u
#define RETRY_NS (RETRY_S * UINT64_C(1000000000))

struct sealed {
	uint32_t index;
	uint64_t bytes; /* of its file; 0: not known */
};

struct retention {
	struct wal_log *log;
	struct sealed *sealed; /* ascending */
	size_t count;
	uint64_t bytes; /* of all of them; only if keep_bytes is set */
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
	r->sealed = malloc((log->entry_count + 1) * sizeof(*r->sealed));
	current = wal_log_current_index(log);
	for (i = 0; r->sealed && i < log->entry_count; i++) {
		const struct wal_log_entry *entry = &log->entries[i];

		if (entry->index == current || entry->damaged ||
		    wal_segment_maintainer_find(log, entry->index))
			continue;
		r->sealed[r->count++] = (struct sealed){entry->index, entry->bytes};
	}
	pthread_mutex_unlock(&log->lock);
	return r->sealed ? 0 : -ENOMEM;
}

/* So that the next time nobody has to look. */
static void keep_sizes(const struct retention *r)
{
	struct wal_log *log = r->log;
	size_t i, k = 0;

	pthread_mutex_lock(&log->lock);
	for (i = 0; i < log->entry_count; i++) {
		while (k < r->count && r->sealed[k].index < log->entries[i].index)
			k++;
		if (k < r->count && r->sealed[k].index == log->entries[i].index)
			log->entries[i].bytes = r->sealed[k].bytes;
	}
	pthread_mutex_unlock(&log->lock);
}

/* The first time it asks the disk for each of perhaps very many: appends do not wait for that. */
static void add_sizes(struct retention *r)
{
	bool asked = false;
	size_t i;

	for (i = 0; i < r->count; i++) {
		if (!r->sealed[i].bytes) {
			r->sealed[i].bytes = file_bytes(r->log, r->sealed[i].index);
			asked = true;
		}
		r->bytes += r->sealed[i].bytes;
	}
	if (asked)
		keep_sizes(r);
}

static bool is_too_old(const struct retention *r, const struct wal_segment_info *info)
{
	uint64_t now = r->log->io->now_ns(r->log->io);
	uint64_t age_ns = r->log->asked.keep_age_s * UINT64_C(1000000000);

	/* Whatever the clock does, the last sealed one stays. */
	return age_ns && r->count > 1 && now > info->closed_ns && now - info->closed_ns > age_ns;
}

/* Is the oldest of what is left one too many? */
static bool is_due(const struct retention *r, const struct wal_segment_info *info)
{
	const struct wal_log_options *asked = &r->log->asked;

	return (asked->keep_segments && r->count > asked->keep_segments) ||
	       (asked->keep_bytes && r->bytes > asked->keep_bytes) || is_too_old(r, info);
}

/* A file that is not there any more is as good as removed. Return: 0 or -errno. */
static int unlink_segment(struct wal_log *log, uint32_t index)
{
	char name[WAL_NAME_MAX];
	int err = wal_meta_coordinator_set_first(&log->coordinator, index + 1);

	wal_segment_name(index, name);
	if (!err)
		err = log->io->unlink(log->io, log->dirfd, name);
	return err == -ENOENT ? 0 : err;
}

/* What keeps it there is told once, and tried again in a while: it may take an admin. */
static void note_failure(struct wal_log *log, uint32_t index, int err)
{
	struct wal_retention_failure *failure = &log->retention_failure;
	char name[WAL_NAME_MAX];

	/* Space may come back at any time, and takes nobody. */
	failure->retry_ns = wal_is_no_space(err) ? 0 : wal_clock_ns() + RETRY_NS;
	if (failure->segment == index && failure->error == err)
		return;
	failure->segment = index;
	failure->error = err;
	wal_segment_name(index, name);
	wal_log_notice(log, WAL_NOTICE_WARNING,
		       "%s/%s: cannot be removed: %s; trying again every %u s", log->path, name,
		       strerror(-err), RETRY_S);
}

static int remove_segment(struct retention *r, const struct wal_segment_info *info)
{
	struct wal_log *log = r->log;
	char name[WAL_NAME_MAX];
	int err = unlink_segment(log, info->index);

	wal_segment_name(info->index, name);
	if (err) {
		note_failure(log, info->index, err);
		return err;
	}
	log->retention_failure = (struct wal_retention_failure){.segment = 0};
	pthread_mutex_lock(&log->lock);
	wal_log_remove_entry(log, info->index);
	pthread_mutex_unlock(&log->lock);
	wal_count(&log->telemetry, WAL_COUNT_REMOVED_SEGMENTS, 1);
	wal_count(&log->telemetry, WAL_COUNT_REMOVED_BYTES, info->file_bytes);
	wal_log_notice(log, WAL_NOTICE_INFO,
		       "%s/%s: removed, as the options to keep segments say (events %" PRIu64
		       " to %" PRIu64 ")",
		       log->path, name, info->first_event, info->last_event);
	return 0;
}

static bool remove_due(struct retention *r)
{
	struct wal_segment_info info;
	bool removed = false;
	size_t i;

	for (i = 0; r->count > 0; i++) {
		if (wal_log_segment_info(r->log, r->sealed[i].index, &info))
			memset(&info, 0, sizeof(info)); /* cannot be looked at: it stays */
		else if (info.state == WAL_SEALED) {
			if (!is_due(r, &info) || remove_segment(r, &info))
				break;
			removed = true;
		}
		r->count--;
		r->bytes -= info.file_bytes < r->bytes ? info.file_bytes : r->bytes;
	}
	if (removed)
		r->log->io->fsync(r->log->io, r->log->dirfd);
	return removed;
}

bool wal_log_retain(struct wal_log *log)
{
	const struct wal_log_options *asked = &log->asked;
	struct retention r = {.log = log};
	bool removed;

	if (!asked->keep_segments && !asked->keep_bytes && !asked->keep_age_s)
		return false;
	if (wal_clock_ns() < log->retention_failure.retry_ns)
		return false;
	if (list_sealed(&r))
		return false;
	if (asked->keep_bytes)
		add_sizes(&r);
	removed = remove_due(&r);
	free(r.sealed);
	return removed;
}
