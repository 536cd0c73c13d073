/* SPDX-License-Identifier: MIT */
/*
 * From recovery's plan to a log that can be written: what it found is taken over, the active
 * segment is begun or resumed, the threads around the writer start. Tried again where it had
 * no space.
 */
#include "core/log/start.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/direct.h"
#include "core/log/io_method.h"
#include "core/log/maintainer.h"
#include "core/log/retention.h"
#include "core/log/rotate.h"
#include "core/log/table.h"

/* How long an append waits before it has the recovery tried again that had no space. */
#define RETRY_NS UINT64_C(200000000)

#define DEFAULT_PREPARED 2u

void wal_log_init_recovery(const struct wal_log *log, struct wal_recovery *rec)
{
	*rec = (struct wal_recovery){
		.io = log->io,
		.dirfd = log->dirfd,
		.path = log->path,
		.read_only = log->read_only,
		.continue_copy = log->asked.continue_copy,
		.block_size = log->asked.block_size,
		.segment_size = log->asked.segment_size,
		.framing = log->asked.framing,
		.notice = log->asked.notice,
		.notice_ctx = log->asked.notice_ctx,
	};
}

/* Is it sealed by now, as far as recovery is concerned, or known as damaged? */
static bool is_settled(const struct wal_recovery *rec, uint32_t index)
{
	size_t i;

	for (i = 0; i < rec->step_count; i++) {
		if (rec->steps[i].kind == WAL_STEP_SEAL && rec->steps[i].index == index)
			return false;
	}
	return index != rec->resume;
}

int wal_log_take_segments(struct wal_log *log, const struct wal_recovery *rec)
{
	struct wal_log_entry *entry;
	size_t i;
	int err = 0;

	wal_log_clear_entries(log);
	for (i = 0; i < rec->list.count && !err; i++) {
		err = wal_log_add_entry(log, rec->list.segments[i]);
		if (!err)
			log->table.entries[i].settled = is_settled(rec, rec->list.segments[i]);
	}
	for (i = 0; i < rec->damaged_count && !err; i++) {
		entry = wal_log_find_entry(log, rec->damaged[i].index);
		if (entry)
			wal_log_damage_entry(log, entry, &rec->damaged[i].fault);
	}
	log->view_current = rec->last_unsealed;
	return err;
}

static void meta_failed(void *ctx, int err)
{
	struct wal_log *log = ctx;

	pthread_mutex_lock(&log->lock);
	wal_log_fail(log, log->durable.segment, "writing wal.meta in the background", err);
	pthread_mutex_unlock(&log->lock);
}

static void meta_space_changed(void *ctx, int err)
{
	struct wal_log *log = ctx;

	pthread_mutex_lock(&log->lock);
	log->meta_no_space = err != 0;
	pthread_mutex_unlock(&log->lock);
	if (err)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%s: cannot be written now: %s; trying again", log->path,
			       WAL_META_FILE, strerror(-err));
	else
		wal_log_notice(log, WAL_NOTICE_INFO, "%s/%s: can be written again", log->path,
			       WAL_META_FILE);
}

/* wal.meta says that the log is open, and which incarnation, before anything is appended. */
static int open_coordinator(struct wal_log *log, struct wal_error *error)
{
	struct wal_meta meta = log->meta;
	struct wal_error why = {0};
	int err;

	if (log->coordinator_open)
		return 0;
	meta.clean = false;
	meta.copy = false; /* R63 */
	err = wal_meta_coordinator_init(&log->coordinator, log->io, log->dirfd, &meta, &why);
	if (err && why.code) /* R41: put there since the plan looked */
		wal_error_set(error, err, "%s/%s: %s", log->path, WAL_META_FILE, why.text);
	if (err)
		return err;
	if (log->meta.copy) /* and the other slot does not say it either */
		err = wal_meta_store_write(&log->coordinator.store, &log->coordinator.meta);
	if (err) {
		wal_meta_coordinator_stop(&log->coordinator, false, true);
		return err;
	}
	log->coordinator.telemetry = &log->telemetry;
	log->coordinator.failed = meta_failed;
	log->coordinator.space_changed = meta_space_changed;
	log->coordinator.ctx = log;
	err = wal_meta_coordinator_start(&log->coordinator);
	if (err)
		wal_meta_coordinator_stop(&log->coordinator, false, true);
	log->coordinator_open = err == 0;
	return err;
}

/*
 * R15: what is above D may be in the page cache alone, zeros after the end included: if a
 * recovery before this one could not sync what it wrote there, the disk has other bytes.
 */
static int make_true(const struct wal_recovery *rec, int fd)
{
	const struct wal_tail *tail = &rec->resume_tail;
	const struct wal_durable *d = &rec->meta.durable;
	bool covered = rec->has_meta && d->segment == rec->resume;
	uint64_t zeros = (tail->offset + WAL_DIRECT_ALIGN - 1) / WAL_DIRECT_ALIGN;
	int err;

	if (rec->clean && covered && d->offset >= tail->offset)
		return 0;
	err = wal_recovery_make_true(rec, fd, rec->resume, tail);
	return err ? err
		   : wal_direct_zero(rec->io, fd, zeros * WAL_DIRECT_ALIGN,
				     tail->meta.segment_bytes);
}

/* Return: 0 and a writer on the segment, whose descriptor was checked; or -errno. */
static int open_to_resume(struct wal_log *log, const struct wal_recovery *rec,
			  struct wal_segment_writer *w, struct wal_error *error)
{
	struct wal_segment_file file = {.dirfd = log->dirfd, .index = rec->resume};
	struct wal_tail tail;
	int err;

	file.fd = wal_recovery_open_segment(rec, rec->resume, &rec->resume_file, error);
	if (file.fd < 0)
		return file.fd;
	err = make_true(rec, file.fd);
	if (err) {
		close(file.fd);
		return err;
	}
	err = wal_segment_writer_open_existing(w, log->io, &file, &tail);
	if (!err && tail.offset != rec->resume_tail.offset) { /* not what was planned for */
		wal_segment_writer_close(w, false);
		err = -EUCLEAN;
	}
	return err;
}

static int resume(struct wal_log *log, const struct wal_recovery *rec, struct wal_error *error)
{
	struct wal_segment_writer w;
	uint64_t lost_bytes; /* none: nothing was appended */
	int err = open_to_resume(log, rec, &w, error);

	if (err)
		return err;
	err = wal_segment_writer_has_failed(&w) ? wal_segment_writer_settle(&w, &lost_bytes)
						: wal_segment_writer_prefault(&w);
	if (!err)
		err = wal_segment_writer_make_durable(&w);
	if (err) {
		wal_segment_writer_close(&w, false);
		return err;
	}
	w.telemetry = &log->telemetry;
	wal_log_choose_io(log, &w);
	log->writer = w;
	log->writing = true;
	log->resume_due = !rec->clean;
	log->resume_bits = rec->bits;
	wal_log_take_durable(log);
	return 0;
}

static void count_recovery(struct wal_log *log, const struct wal_recovery *rec)
{
	size_t i;

	wal_count(&log->telemetry, WAL_COUNT_DROPPED_BYTES, rec->next.dropped_bytes);
	wal_count(&log->telemetry, WAL_COUNT_DROPPED_SEGMENTS, rec->next.dropped_segments);
	for (i = 0; i < rec->damaged_count; i++)
		wal_count_fault(&log->telemetry, rec->damaged[i].fault.kind);
}

static void preparing_changed(void *ctx, uint32_t segment, int err)
{
	struct wal_log *log = ctx;

	if (err == -EEXIST)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s/%010" PRIu32 ".wal: is in the way of the next segment and is "
			       "left alone; writing goes on when it was moved away",
			       log->path, segment);
	else if (err)
		wal_log_notice(log, WAL_NOTICE_ERROR,
			       "%s: the next segment cannot be prepared: %s; trying again",
			       log->path, strerror(-err));
	else
		wal_log_notice(log, WAL_NOTICE_INFO, "%s: segments can be prepared again",
			       log->path);
}

/*
 * What root makes in another user's store is that user's, but who began in root's own may have
 * no right to give files away (any more), or the file system refuses it.
 */
static void look_at_owner(void *ctx, int fd)
{
	struct wal_log *log = ctx;
	struct stat dir, made;

	if (log->owner_said || geteuid() != 0 || fstat(log->dirfd, &dir) || fstat(fd, &made) ||
	    dir.st_uid == made.st_uid)
		return;
	log->owner_said = true;
	wal_log_notice(log, WAL_NOTICE_WARNING,
		       "%s: belongs to user %u by now, but segments that are made cannot be given "
		       "to that user: once the log is closed, chown -R them, or the user cannot "
		       "open the log",
		       log->path, (unsigned)dir.st_uid);
}

/*
 * Lock held: others may look at what is started here. The threads around the writer.
 * Return: 0 or -errno.
 */
static int start_workers(struct wal_log *log)
{
	struct wal_segment_preparer *p = &log->preparer;
	struct wal_segment_shape shape = {.index = log->writer.header.index + 1,
					  .block_size = log->meta.block_size,
					  .file_bytes = log->meta.segment_bytes};
	unsigned depth =
		log->asked.prepare_segments ? log->asked.prepare_segments : DEFAULT_PREPARED;
	int err;

	p->io = log->io;
	p->dirfd = log->dirfd;
	p->telemetry = &log->telemetry;
	p->changed = preparing_changed;
	p->made = look_at_owner;
	p->changed_ctx = log;
	err = wal_segment_preparer_start(p, &shape, depth);
	return err ? err : wal_maintainer_start(log);
}

/*
 * Only retention moves it: a removed segment that a power loss brought back does not make
 * those after it missing, and one that is missing stays so for who verifies.
 */
static uint32_t first_kept(const struct wal_recovery *rec)
{
	uint32_t first = rec->list.count ? rec->list.segments[0] : rec->next.index;
	uint32_t last = rec->list.count ? wal_store_list_last(&rec->list) : rec->next.index;
	uint32_t known = rec->has_meta ? rec->meta.first_segment : 0;

	return known && known <= last ? known : first;
}

static int begin_or_resume(struct wal_log *log, const struct wal_recovery *rec,
			   struct wal_error *error)
{
	return rec->resume ? resume(log, rec, error) : wal_log_begin_segment(log, &rec->next);
}

/*
 * Lock held; dropped while segments are removed that need not be kept: what they free
 * may be the space that is missing.
 */
static int begin_with_retention(struct wal_log *log, const struct wal_recovery *rec,
				struct wal_error *error)
{
	enum wal_retained retained = WAL_RETAINED_MORE;
	int err = begin_or_resume(log, rec, error);

	if (wal_is_no_space(err)) /* what a segment that is there lacks is not known */
		log->pending.needed_bytes = rec->resume ? 0 : log->meta.segment_bytes;
	while (wal_is_no_space(err) && retained == WAL_RETAINED_MORE) {
		retained = wal_log_retain_unlocked(log);
		if (retained != WAL_RETAINED_ALL)
			err = begin_or_resume(log, rec, error);
	}
	return err;
}

int wal_log_go_on(struct wal_log *log, struct wal_recovery *rec, struct wal_error *error)
{
	int err;

	wal_log_assert_locked(log);
	err = wal_recovery_apply(rec, error);
	if (err)
		return err;
	err = wal_log_take_segments(log, rec);
	log->meta.first_segment = first_kept(rec);
	if (!err)
		err = open_coordinator(log, error);
	if (err && error->code)
		return err;
	if (err)
		return wal_error_set(error, err, "%s/%s: cannot be written: %s%s", log->path,
				     WAL_META_FILE, strerror(-err),
				     err == -EROFS ? "; mount it with -o ro to read it" : "");
	err = begin_with_retention(log, rec, error);
	if (err && error->code)
		return err;
	if (err)
		return wal_error_set(error, err, "%s: segment %" PRIu32 " cannot be %s: %s",
				     log->path, rec->resume ? rec->resume : rec->next.index,
				     rec->resume ? "gone on with" : "started", strerror(-err));
	count_recovery(log, rec);
	err = start_workers(log);
	return err ? wal_error_set(error, err, "%s: no threads: %s", log->path, strerror(-err)) : 0;
}

/* Each plan knows all that is still to do, so the largest number is the whole of it. */
void wal_log_owe(struct wal_log *log, const struct wal_recovery *rec)
{
	struct wal_owed *owed = &log->pending.owed;

	owed->bits |= rec->bits;
	if (rec->next.dropped_segments > owed->dropped_segments)
		owed->dropped_segments = rec->next.dropped_segments;
	if (rec->next.dropped_bytes > owed->dropped_bytes)
		owed->dropped_bytes = rec->next.dropped_bytes;
}

static void say_what_is_owed(const struct wal_log *log, struct wal_recovery *rec)
{
	rec->bits |= log->pending.owed.bits;
	rec->next.recovery |= log->pending.owed.bits;
	rec->next.dropped_segments = log->pending.owed.dropped_segments;
	rec->next.dropped_bytes = log->pending.owed.dropped_bytes;
}

/*
 * Looking for what is to be done can read a whole segment, in the thread that serves all
 * others: not while it is known that there is no space for the result.
 */
static bool is_still_full(const struct wal_log *log)
{
	return log->io->free_bytes(log->io, log->dirfd) < log->pending.needed_bytes;
}

/* Lock held; dropped while segments are removed that need not be kept. */
static bool may_have_space(struct wal_log *log)
{
	enum wal_retained retained = WAL_RETAINED_MORE;
	bool full = is_still_full(log);

	while (full && retained == WAL_RETAINED_MORE) {
		retained = wal_log_retain_unlocked(log);
		full = retained == WAL_RETAINED_ALL || is_still_full(log);
	}
	return !full;
}

static int plan_and_go_on(struct wal_log *log)
{
	struct wal_recovery rec;
	struct wal_error error;
	int err;

	if (!may_have_space(log))
		return -ENOSPC;
	wal_log_init_recovery(log, &rec);
	rec.notice = NULL; /* the plan was reported at the start */
	err = wal_recovery_plan(&rec, &error);
	rec.notice = log->asked.notice;
	if (!err) {
		wal_log_owe(log, &rec);
		say_what_is_owed(log, &rec);
		err = wal_log_go_on(log, &rec, &error);
	}
	wal_recovery_destroy(&rec);
	return err;
}

/* An append came while there was no segment to append to. */
int wal_log_try_again(struct wal_log *log)
{
	struct wal_log_pending *pending = &log->pending;
	uint64_t now = log->io->now_ns(log->io);
	int err;

	wal_log_assert_locked(log);
	if (pending->retrying || (now < pending->retry_ns && pending->retry_ns - now <= RETRY_NS))
		return -ENOSPC;
	pending->retrying = true;
	err = plan_and_go_on(log);
	pending->retrying = false;
	pending->retry_ns = log->io->now_ns(log->io) + RETRY_NS;
	if (err && !wal_is_no_space(err))
		wal_log_fail(log, log->durable.segment, "recovery", err);
	if (err)
		return wal_is_no_space(err) ? err : -EROFS;
	pending->due = false;
	wal_log_notice(log, WAL_NOTICE_INFO, "%s: there is space again; writing goes on",
		       log->path);
	return log->failed ? -EROFS : 0; /* meanwhile, when the lock was not held */
}
