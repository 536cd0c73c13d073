/* SPDX-License-Identifier: MIT */
/*
 * Checks that a user asks for (user.wal.verify, user.wal.xxh128), what they
 * said last (user.wal.verified), and damage that is met on the way.
 *
 * Checks read a whole segment, so they run one at a time, in a strand.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "walfs.h"

#define FRESH_SECONDS 5 /* a result this old is given again */

struct walfs_check_result {
	uint32_t segment;
	uint64_t time_ns;
	struct timespec monotonic;
	char text[WALFS_VALUE_MAX];
};

struct check_job {
	struct walfs_job job; /* the first member */
	fuse_req_t req;
	uint32_t segment;
	size_t size;
};

/* --- what is known ------------------------------------------------------------- */

/* Return: the index of the result, or where one would be put. Called with the lock. */
static size_t find(const struct walfs_checked *checked, uint32_t segment)
{
	size_t low = 0, high = checked->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (checked->results[middle]->segment < segment)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct walfs_check_result *result_of(struct walfs_checked *checked, uint32_t segment)
{
	size_t i = find(checked, segment);

	if (i == checked->count || checked->results[i]->segment != segment)
		return NULL;
	return checked->results[i];
}

static struct walfs_check_result *insert(struct walfs_checked *checked, uint32_t segment)
{
	size_t i = find(checked, segment);
	struct walfs_check_result **results, *result = malloc(sizeof(*result));

	if (!result)
		return NULL;
	results = reallocarray(checked->results, checked->count + 1, sizeof(*results));
	if (!results) {
		free(result);
		return NULL;
	}
	memmove(results + i + 1, results + i, (checked->count - i) * sizeof(*results));
	results[i] = result;
	result->segment = segment;
	checked->results = results;
	checked->count++;
	return result;
}

static void remember(struct walfs_checked *checked, uint32_t segment, const char *text)
{
	struct walfs_check_result *result;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	pthread_mutex_lock(&checked->lock);
	result = result_of(checked, segment);
	if (!result)
		result = insert(checked, segment);
	if (result) {
		snprintf(result->text, sizeof(result->text), "%s", text);
		result->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
		clock_gettime(CLOCK_MONOTONIC, &result->monotonic);
	}
	pthread_mutex_unlock(&checked->lock);
}

/* Return: whether there is a result of the last seconds. */
static bool recall(struct walfs_checked *checked, uint32_t segment, char text[WALFS_VALUE_MAX])
{
	const struct walfs_check_result *result;
	struct timespec now;
	bool fresh;

	clock_gettime(CLOCK_MONOTONIC, &now);
	pthread_mutex_lock(&checked->lock);
	result = result_of(checked, segment);
	fresh = result && now.tv_sec - result->monotonic.tv_sec < FRESH_SECONDS;
	if (fresh)
		memcpy(text, result->text, WALFS_VALUE_MAX);
	pthread_mutex_unlock(&checked->lock);
	return fresh;
}

void walfs_checked_text(struct walfs *fs, uint32_t segment, char text[WALFS_VALUE_MAX])
{
	const struct walfs_check_result *result;
	char time_text[WAL_TIME_TEXT];

	pthread_mutex_lock(&fs->checked.lock);
	result = result_of(&fs->checked, segment);
	if (result) {
		wal_time_format(result->time_ns, time_text);
		snprintf(text, WALFS_VALUE_MAX, "%.*s %s", WALFS_VALUE_MAX - WAL_TIME_TEXT - 1,
			 result->text, time_text);
	} else {
		snprintf(text, WALFS_VALUE_MAX, "never");
	}
	pthread_mutex_unlock(&fs->checked.lock);
}

void walfs_checked_destroy(struct walfs_checked *checked)
{
	size_t i;

	for (i = 0; i < checked->count; i++)
		free(checked->results[i]);
	free(checked->results);
	pthread_mutex_destroy(&checked->lock);
}

/* --- damage ---------------------------------------------------------------------- */

/* One message a bad block, however often and in whichever way it is read. */
static bool mark_damaged(struct walfs *fs, uint32_t segment, const struct wal_fault *fault)
{
	struct walfs_checked *checked = &fs->checked;
	bool news = wal_log_mark_damaged(fs->log, segment, fault);

	if (news || wal_log_has_segment(fs->log, segment))
		return news;
	/* Removed, and read through an open descriptor: the log has forgotten it. */
	pthread_mutex_lock(&checked->lock);
	news = checked->reported_removed != segment;
	checked->reported_removed = segment;
	pthread_mutex_unlock(&checked->lock);
	return news;
}

void walfs_report_damage(struct walfs *fs, uint32_t segment, int err, const struct wal_fault *fault)
{
	char text[256], name[WAL_NAME_MAX];

	/* want of memory or descriptors is no damage */
	if (walfs_read_errno(err) != EIO || fault->kind == WAL_FAULT_NONE ||
	    !mark_damaged(fs, segment, fault))
		return;
	wal_fault_format(fault, text, sizeof(text));
	wal_segment_name(segment, name);
	walfs_say(WAL_NOTICE_ERROR,
		  "%s is damaged: %s; reading that part fails with EIO, the rest stays readable",
		  name, text);
}

/* --- verify ------------------------------------------------------------------------ */

static bool should_stop(fuse_req_t req)
{
	return atomic_load(&walfs_of(req)->stopping) || fuse_req_interrupted(req);
}

struct verify_run {
	fuse_req_t req;
	struct wal_fault other_log; /* kind is NONE if it is of this one */
};

static bool go_on(void *ctx, const struct wal_verify_progress *progress)
{
	struct verify_run *run = ctx;

	(void)progress;
	return !should_stop(run->req);
}

/* A segment of another log may be as sound as can be: here it is damage. */
static void check_log(void *ctx, const char *name, const struct wal_segment_info *info,
		      uint64_t faults)
{
	struct verify_run *run = ctx;
	uint8_t log[16];

	(void)name;
	wal_log_uuid(walfs_of(run->req)->log, log);
	if (faults || memcmp(log, info->log, sizeof(log)) == 0)
		return;
	run->other_log = (struct wal_fault){
		.kind = WAL_FAULT_OTHER_LOG, .segment = info->index, .block = WAL_NO_BLOCK};
	wal_uuid_format(info->log, run->other_log.detail);
}

/* Return: 0 and text, or -errno if it could not be looked at. */
static int verify(struct check_job *check, char text[WALFS_VALUE_MAX])
{
	struct walfs *fs = walfs_of(check->req);
	struct verify_run run = {.req = check->req};
	const struct wal_verify_options options = {
		.flags = WAL_READ_DIRECT,
		.ctx = &run,
		.progress = go_on,
		.segment = check_log,
	};
	struct wal_verify_result result = {.faults = 0};
	const struct wal_fault *fault = &result.first;
	char name[WAL_NAME_MAX], what[WALFS_VALUE_MAX - 16];
	int err;

	wal_segment_name(check->segment, name);
	err = wal_verify_segment(wal_log_dirfd(fs->log), name, check->segment, &options, &result);
	if (err)
		return err;
	if (!result.faults)
		fault = &run.other_log;
	if (fault->kind) {
		wal_fault_format(fault, what, sizeof(what));
		snprintf(text, WALFS_VALUE_MAX, "damaged: %s", what);
		walfs_report_damage(fs, check->segment, -EIO, fault);
	} else {
		snprintf(text, WALFS_VALUE_MAX, "ok%s",
			 result.direct ? "" : " (through the page cache)");
	}
	remember(&fs->checked, check->segment, text);
	return 0;
}

static bool run_verify(struct walfs_job *job, void *buffer)
{
	struct check_job *check = (struct check_job *)job;
	char text[WALFS_VALUE_MAX];
	int err = 0;

	(void)buffer;
	if (!recall(&walfs_of(check->req)->checked, check->segment, text))
		err = verify(check, text);
	if (err == -ECANCELED)
		fuse_reply_err(check->req, EINTR);
	else if (err)
		fuse_reply_err(check->req, walfs_read_errno(err));
	else
		walfs_reply_value(check->req, text, strlen(text), check->size);
	free(check);
	return true;
}

/* --- xxh128 -------------------------------------------------------------------------- */

/* Return: 0; -errno, and fault says why. */
static int hash_all(struct check_job *check, struct wal_segment_reader *reader, void *buffer,
		    XXH3_state_t *state)
{
	uint64_t total = wal_segment_reader_info(reader)->file_bytes, offset = 0;
	ssize_t got;

	XXH3_128bits_reset(state);
	while (offset < total) {
		if (should_stop(check->req))
			return -EINTR;
		got = wal_segment_reader_raw(reader, buffer, WALFS_IO_MAX, offset);
		if (got <= 0)
			return got < 0 ? (int)got : -EIO;
		XXH3_128bits_update(state, buffer, (size_t)got);
		offset += (uint64_t)got;
	}
	return 0;
}

/* As xxhsum -H2 prints it. */
static void format_hash(XXH128_hash_t hash, char text[33])
{
	XXH128_canonical_t canonical;
	size_t i;

	XXH128_canonicalFromHash(&canonical, hash);
	for (i = 0; i < sizeof(canonical.digest); i++)
		snprintf(text + 2 * i, 3, "%02x", canonical.digest[i]);
}

static int hash_segment(struct check_job *check, void *buffer, char text[33])
{
	struct walfs *fs = walfs_of(check->req);
	struct wal_fault fault = {.kind = WAL_FAULT_NONE};
	struct wal_segment_reader *reader = NULL;
	XXH3_state_t *state = XXH3_createState();
	int err = state ? 0 : -ENOMEM;

	if (!err)
		err = wal_log_reader_open(fs->log, check->segment, WAL_READ_NO_WAIT, &reader,
					  &fault);
	if (!err) {
		err = hash_all(check, reader, buffer, state);
		fault = *wal_segment_reader_fault(reader);
		wal_segment_reader_close(reader);
	}
	if (!err)
		format_hash(XXH3_128bits_digest(state), text);
	else
		walfs_report_damage(fs, check->segment, err, &fault);
	XXH3_freeState(state);
	return err;
}

static bool run_xxh128(struct walfs_job *job, void *buffer)
{
	struct check_job *check = (struct check_job *)job;
	char text[33];
	int err = hash_segment(check, buffer, text);

	if (err == -EAGAIN)
		return false;
	if (err)
		fuse_reply_err(check->req, walfs_read_errno(err));
	else
		walfs_reply_value(check->req, text, strlen(text), check->size);
	free(check);
	return true;
}

/* --- requests ------------------------------------------------------------------------- */

static void start(fuse_req_t req, uint32_t segment, size_t size,
		  bool (*run)(struct walfs_job *job, void *buffer))
{
	struct walfs *fs = walfs_of(req);
	struct check_job *check;

	/* getfattr asks twice; asking for the size should not cost a check */
	if (!size) {
		fuse_reply_xattr(req, WALFS_VALUE_MAX);
		return;
	}
	check = calloc(1, sizeof(*check));
	if (!check) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	check->job.run = run;
	check->job.segment = segment;
	check->req = req;
	check->segment = segment;
	check->size = size;
	walfs_workers_submit(&fs->workers, &check->job, &fs->checked.strand);
}

void walfs_verify_start(fuse_req_t req, uint32_t segment, size_t size)
{
	start(req, segment, size, run_verify);
}

void walfs_xxh128_start(fuse_req_t req, uint32_t segment, size_t size)
{
	start(req, segment, size, run_xxh128);
}
