/* SPDX-License-Identifier: MIT */
/* Opening a log: options, lock, recovery, threads; and closing it in order. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log/committer.h"
#include "core/log/maintainer.h"
#include "core/log/settle.h"
#include "core/log/start.h"
#include "core/log/table.h"

/* The log as recovery would leave it, without what it would set aside. */
static int open_read_only(struct wal_log *log, struct wal_recovery *rec, struct wal_error *error)
{
	size_t i;

	if (rec->is_new)
		return wal_error_set(error, -ENOENT,
				     "%s: not a walfs store; without -o ro it becomes one",
				     log->path);
	for (i = 0; i < rec->step_count; i++) {
		if (rec->steps[i].kind == WAL_STEP_SET_ASIDE)
			wal_store_list_remove(&rec->list, rec->steps[i].index);
	}
	return wal_log_take_segments(log, rec);
}

static int open_for_writing(struct wal_log *log, struct wal_recovery *rec, struct wal_error *error)
{
	int err;

	pthread_mutex_lock(&log->lock); /* a thread that is started may fail the log at once */
	err = wal_log_go_on(log, rec, error);
	pthread_mutex_unlock(&log->lock);
	if (wal_is_no_space(err) && !rec->is_new) { /* R11 */
		wal_log_owe(log, rec);
		log->pending.due = true;
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s; appends fail until there is space, reading works", error->text);
		err = log->table.entries ? 0 : wal_log_take_segments(log, rec);
	}
	if (err)
		return err;
	return wal_committer_start(log, log->asked.sync_interval_ms);
}

static int recover_and_open(struct wal_log *log, struct wal_error *error)
{
	struct wal_recovery rec;
	int err;

	wal_log_init_recovery(log, &rec);
	err = wal_recovery_plan(&rec, error);
	log->meta = rec.meta;
	log->durable = rec.meta.durable;
	if (!err)
		log->record_limit =
			wal_segment_record_limit(rec.meta.block_size, rec.meta.segment_bytes);
	if (!err)
		err = log->read_only ? open_read_only(log, &rec, error)
				     : open_for_writing(log, &rec, error);
	wal_recovery_destroy(&rec);
	return err;
}

static bool options_are_possible(const struct wal_log_options *options, struct wal_error *error)
{
	uint32_t block = options->block_size;

	if (block && (block < UINT32_C(1) << WAL_BLOCK_SIZE_LOG2_MIN ||
		      block > UINT32_C(1) << WAL_BLOCK_SIZE_LOG2_MAX || (block & (block - 1)))) {
		wal_error_set(error, -EINVAL,
			      "block_size %" PRIu32 ": give a power of two from 4K to 16M", block);
		return false;
	}
	if (options->prepare_segments > WAL_PREPARE_MAX) {
		wal_error_set(error, -EINVAL, "prepare %" PRIu32 ": give 1 to %u",
			      options->prepare_segments, WAL_PREPARE_MAX);
		return false;
	}
	if (options->segment_size > WAL_SEGMENT_SIZE_MAX) {
		wal_error_set(error, -EINVAL, "segment_size %" PRIu64 ": at most 4G",
			      options->segment_size);
		return false;
	}
	return true;
}

static struct wal_log *new_log(const struct wal_log_options *options)
{
	struct wal_log *log = calloc(1, sizeof(*log));

	if (!log)
		return NULL;
	log->path = strdup(options->path);
	if (!log->path) {
		free(log);
		return NULL;
	}
	log->io = wal_io_or_system(options->io);
	log->asked = *options;
	log->asked.path = log->path;
	log->read_only = options->read_only;
	log->dirfd = -1;
	log->writer.fd = -1;
	log->committer.last = &log->committer.first;
	wal_mutex_init(&log->lock);
	wal_shared_files_init(&log->files, options->read_files);
	return log;
}

static void free_log(struct wal_log *log)
{
	wal_log_clear_entries(log);
	if (log->dirfd >= 0)
		close(log->dirfd); /* and with it the lock on the store */
	wal_shared_files_destroy(&log->files);
	pthread_mutex_destroy(&log->lock);
	free(log->path);
	free(log);
}

int wal_log_open(const struct wal_log_options *options, struct wal_log **result,
		 struct wal_error *error)
{
	struct wal_error unused;
	struct wal_log *log;
	int err;

	*result = NULL;
	error = error ? error : &unused;
	*error = (struct wal_error){0};
	if (!options_are_possible(options, error))
		return error->code;
	log = new_log(options);
	if (!log)
		return wal_error_set(error, -ENOMEM, "no memory");
	log->dirfd = wal_store_lock(log->io, log->path, log->read_only, error);
	err = log->dirfd < 0 ? log->dirfd : recover_and_open(log, error);
	if (err) {
		if (error->code == 0)
			wal_error_set(error, err, "%s: cannot be opened: %s", log->path,
				      strerror(-err));
		error->code = err;
		wal_maintainer_stop(log);
		wal_segment_preparer_stop(&log->preparer);
		if (log->writing)
			wal_segment_writer_close(&log->writer, false);
		if (log->coordinator_open)
			wal_meta_coordinator_stop(&log->coordinator, false, true);
		free_log(log);
		return err;
	}
	if (!log->read_only)
		wal_log_tell_copy_on_write(log);
	*result = log;
	return 0;
}

/* The end of the log is durable, and wal.meta says so. */
static int close_in_order(struct wal_log *log)
{
	struct wal_durable end;
	int err;

	pthread_mutex_lock(&log->lock);
	err = log->failed;
	pthread_mutex_unlock(&log->lock);
	if (log->writing) {
		int synced = wal_segment_writer_close(&log->writer, !err);

		err = err ? err : synced;
	}
	end = wal_log_end(log);
	if (!err && log->coordinator_open)
		wal_meta_coordinator_publish(&log->coordinator, &end);
	return err;
}

/* What found no space is for the next opening to do: after a clean close nothing is. */
static bool has_work_left(const struct wal_log *log)
{
	return log->pending.due || log->maintainer.left_unsealed || log->writer.leftover_end;
}

int wal_log_close(struct wal_log *log)
{
	int err = 0, written = 0;

	if (!log)
		return 0;
	wal_committer_stop(log);
	wal_maintainer_stop(log); /* seals what was closed */
	wal_segment_preparer_stop(&log->preparer);
	if (!log->read_only) {
		err = close_in_order(log);
		if (log->coordinator_open)
			written = wal_meta_coordinator_stop(&log->coordinator,
							    !err && !has_work_left(log), false);
	}
	free_log(log);
	return wal_public_error(err ? err : written);
}
