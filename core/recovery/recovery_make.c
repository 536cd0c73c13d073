/* SPDX-License-Identifier: MIT */
/* What the store as a whole says; reads, decides, changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/recovery/recovery_decide.h"
#include "core/recovery/recovery_make.h"
#include "core/recovery/recovery_place.h"
#include "core/recovery/recovery_probe.h"

static const char not_a_file[] = "not a regular file";
static const char move_and_mount[] = "move it away and mount again";

/*
 * wal.meta is there and says nothing, which is not to say that nothing is in it: what
 * cannot be opened now (permissions, descriptors) must not be taken for damaged. R35.
 */
static int refuse_meta(struct wal_plan *plan, int err)
{
	const struct wal_recovery *rec = plan->rec;

	if (err == -EPROTONOSUPPORT)
		return wal_error_set(
			plan->error, err,
			"%s: written by a newer walfs; use that one, or a newer, to mount it",
			rec->path);
	if (err == -EUCLEAN)
		return wal_error_set(plan->error, err, "%s/%s: %s; %s", rec->path, WAL_META_FILE,
				     not_a_file, move_and_mount);
	return wal_error_set(plan->error, err, "%s/%s: cannot be read: %s", rec->path,
			     WAL_META_FILE, strerror(-err));
}

/*
 * CLEAN is in the newest slot. Where the other one cannot be read, that may have been the
 * newest, and say that the store was opened and written to since.
 */
static void take_meta(struct wal_recovery *rec, const struct wal_meta *meta,
		      const struct wal_meta_slots *slots)
{
	unsigned other = slots->newest ^ 1;
	bool whole = wal_meta_slots_are_whole(meta, slots);

	rec->meta = *meta;
	rec->clean = meta->clean && whole;
	if (whole)
		return;
	wal_plan_doubt_meta(rec, WAL_NOTICE_WARNING, /* R7 */
			    slots->zero[other] ? "one of its two slots was written and is gone"
					       : "one of its two slots is damaged",
			    "the other is used");
	rec->meta_fault.offset = (uint64_t)other * WAL_META_SLOT_BYTES;
}

/* Who only looks goes on without it. */
static void pass_over_meta(struct wal_plan *plan, int err)
{
	char why[128];

	if (err == -EUCLEAN) {
		wal_plan_forget_meta(plan, not_a_file, move_and_mount);
		return;
	}
	snprintf(why, sizeof(why), "cannot be read: %s", strerror(-err));
	wal_plan_forget_meta(plan, why, "move it away, and it is rebuilt from the segments");
}

static int look_at_meta(const struct wal_recovery *rec, struct wal_meta *meta,
			struct wal_meta_slots *slots)
{
	if (!rec->view)
		return wal_meta_read_by(rec->io, rec->dirfd, meta, slots);
	*meta = rec->view->meta;
	*slots = rec->view->slots;
	return rec->view->meta_err;
}

static int read_meta(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	struct wal_meta_slots slots;
	struct wal_meta meta;
	int err = look_at_meta(rec, &meta, &slots);
	bool lost = err == -ENOENT || err == -EBADMSG;

	if (err && !lost &&
	    !(rec->read_only && err != -EPROTONOSUPPORT && !wal_is_out_of_resources(err)))
		return refuse_meta(plan, err);
	rec->has_meta = err == 0;
	if (rec->has_meta) {
		take_meta(rec, &meta, &slots);
		return 0;
	}
	rec->meta_is_bad = err == -EBADMSG && !(slots.zero[0] && slots.zero[1]);
	if (lost)
		wal_plan_forget_meta(plan, err == -ENOENT ? "missing" : "damaged",
				     "it is rebuilt from the segments");
	else
		pass_over_meta(plan, err);
	return 0;
}

/*
 * R62: segments that this version cannot read are no reason to take the log for damaged. (Below
 * first_segment retention was about to remove them.)
 */
static int refuse_compressed(struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;
	uint32_t index = wal_store_list_compressed(&rec->list, rec->meta.first_segment);

	if (!index)
		return 0;
	return wal_error_set(plan->error, -EPROTONOSUPPORT,
			     "%s/%010" PRIu32 ".wal" WAL_COMPRESSED_SUFFIX
			     ": a compressed segment, which this version cannot read; use the "
			     "walfs that made it, or a newer, or decompress it with zstd -d",
			     rec->path, index);
}

/* R63: what is written to a copy and to its original gets the same ids. */
static int refuse_copy(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;

	if (!rec->meta.copy || rec->read_only || rec->continue_copy)
		return 0;
	return wal_error_set(plan->error, -EROFS,
			     "%s: a copy, made by walctl backup: written to beside its original it "
			     "would give the same ids to other events. If the original is gone, "
			     "mount it with -o continue; to look at it, with -o ro; for a new log, "
			     "append what walctl cat prints to one",
			     rec->path);
}

static void make_uuid(uint8_t uuid[16])
{
	while (getrandom(uuid, 16, 0) != 16)
		;
	uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40);
	uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

/* R1 to R4: no segment at all. */
static int decide_without_segments(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	const struct wal_durable *d = &rec->meta.durable;

	if (rec->has_meta && d->event > 0) {
		wal_recovery_notice(rec, WAL_NOTICE_ERROR,
				    "%s: all segments are missing; events up to %" PRIu64
				    " were durable",
				    rec->path, d->event);
		wal_plan_begin_again(plan);
		return 0;
	}
	if (rec->list.has_others && !rec->list.has_meta)
		return wal_error_set(
			plan->error, -ENOTEMPTY, "%s: %s%s", rec->path,
			"not a walfs store and not empty; give an empty directory, or one that "
			"does not exist yet",
			rec->list.has_current ? " (\"" WAL_CURRENT_NAME "\" in it: a copy of a "
						"mount is no store)"
					      : "");
	if (rec->meta_is_bad) /* R34 */
		wal_plan_doubt_meta(
			rec, WAL_NOTICE_ERROR, "damaged, and there is no segment",
			"if there were events, they are missing, and their ids are given again");
	if (!rec->has_meta) {
		rec->is_new = true;
		make_uuid(rec->meta.log);
	}
	rec->next = (struct wal_beginning){.index = WAL_FIRST_SEGMENT_INDEX,
					   .first_event = WAL_FIRST_EVENT_ID,
					   .prev_chain = wal_chain_start(rec->meta.log)};
	return 0;
}

/* The parameters to go on with: as asked, as the store has them, or the defaults. */
static int settle_parameters(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	const struct wal_meta_record *last = NULL;
	uint32_t block = rec->block_size;
	uint64_t segment = rec->segment_size;
	size_t limit;

	if (plan->count && plan->probes[plan->count - 1].finding == FOUND_UNSEALED)
		last = &plan->probes[plan->count - 1].tail.meta;
	if (!block)
		block = rec->has_meta ? rec->meta.block_size
			: last	      ? plan->probes[plan->count - 1].header.block_size
				      : WAL_DEFAULT_BLOCK_SIZE;
	if (!segment)
		segment = rec->has_meta ? rec->meta.segment_bytes - WAL_HEADER_AREA
			  : last	? last->segment_bytes - WAL_HEADER_AREA
					: WAL_DEFAULT_SEGMENT_SIZE;
	if (segment > WAL_SEGMENT_SIZE_MAX - WAL_HEADER_AREA)
		segment = WAL_SEGMENT_SIZE_MAX - WAL_HEADER_AREA;
	if (segment < block && !rec->read_only)
		return wal_error_set(plan->error, -EINVAL,
				     "a segment of %" PRIu64
				     " bytes cannot hold a block of %" PRIu32
				     "; make the segment larger or the block smaller",
				     segment, block);
	if (rec->framing.kind != WAL_FRAME_NONE)
		rec->meta.framing = rec->framing;
	else if (!rec->has_meta && last)
		rec->meta.framing = last->framing;
	if (rec->meta.framing.kind == WAL_FRAME_NONE)
		rec->meta.framing = (struct wal_framing){WAL_FRAME_LINE, 0};
	rec->meta.block_size = block;
	rec->meta.segment_bytes = WAL_HEADER_AREA + segment / block * block;
	if (rec->read_only)
		return 0;
	/* Of the store's framing too: the sizes may have been asked for later. */
	limit = wal_segment_record_limit(block, rec->meta.segment_bytes);
	if (rec->meta.framing.kind == WAL_FRAME_FIXED && rec->meta.framing.size > limit)
		return wal_error_set(plan->error, -EINVAL,
				     "records of %" PRIu32
				     " bytes do not fit: at most %zu with this "
				     "segment_size; make it larger",
				     rec->meta.framing.size, limit);
	return 0;
}

/* One more than any that was used, unless the log was closed in order. */
static void settle_incarnation(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	size_t i;

	for (i = 0; i < plan->count; i++) {
		const struct wal_probe *probe = &plan->probes[i];
		uint64_t used = probe->tail.incarnation > probe->info.incarnation
					? probe->tail.incarnation
					: probe->info.incarnation;

		if (wal_probe_has_header(probe) && used > rec->meta.incarnation)
			rec->meta.incarnation = used;
	}
	if (!rec->clean)
		rec->meta.incarnation++;
}

static void settle_link(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;

	if (plan->count && plan->probes[0].index == WAL_FIRST_SEGMENT_INDEX)
		plan->link =
			(struct wal_link){true, wal_chain_start(rec->meta.log), WAL_FIRST_EVENT_ID};
}

/* No index is left above the highest; R14 if that is not even a segment. */
static int refuse_last_index(struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;
	const struct wal_probe *last = plan->count ? &plan->probes[plan->count - 1] : NULL;

	if (last && last->finding == FOUND_NOT_A_FILE)
		return wal_error_set(plan->error, -EOVERFLOW,
				     "%s/%010" PRIu32
				     ".wal: not a regular file, and takes the last segment index; "
				     "move it away and mount again",
				     rec->path, last->index);
	return wal_error_set(plan->error, -EOVERFLOW,
			     "%s: no segment index is left; begin a new store", rec->path);
}

/* Can a new segment begin where the plan says? */
static int check_next(struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;

	if (rec->next.index == UINT32_MAX)
		return refuse_last_index(plan);
	if (rec->next.first_event >= WAL_EVENT_ID_LIMIT) /* R39 */
		return wal_error_set(plan->error, -EOVERFLOW,
				     "%s: no event id is left after %" PRIu64 "; begin a new store",
				     rec->path, rec->next.first_event - 1);
	return 0;
}

/* R41. Return: 0; -EPERM with plan->error set. */
static int check_file(const struct wal_plan *plan, const char *name, const struct stat *st)
{
	struct wal_error why;
	int err = wal_store_check_file(plan->rec->dirfd, st, &why);

	return err ? wal_error_set(plan->error, err, "%s/%s: %s", plan->rec->path, name, why.text)
		   : 0;
}

/* A seal that is there is written again only if the disk does not have it, which is rare. */
static bool is_written_to(const struct wal_recovery *rec, const struct wal_probe *probe)
{
	size_t i;

	for (i = 0; i < rec->step_count; i++) {
		const struct wal_step *step = &rec->steps[i];

		if (step->index == probe->index &&
		    (step->kind == WAL_STEP_SEAL ||
		     (step->kind == WAL_STEP_RESEAL && probe->excess)))
			return true;
	}
	return probe->index == rec->resume;
}

/* R41: all files that will be written to, before anything is changed. */
static int check_files(const struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;
	char name[WAL_NAME_MAX];
	struct stat st;
	size_t i;
	int err = 0;

	if (!rec->meta_is_bad && fstatat(rec->dirfd, WAL_META_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		err = check_file(plan, WAL_META_FILE, &st);
	for (i = 0; i < plan->count && !err; i++) {
		wal_segment_name(plan->probes[i].index, name);
		if (is_written_to(rec, &plan->probes[i]))
			err = check_file(plan, name, &plan->probes[i].stat);
	}
	return err;
}

/* A store keeps the owner and mode that somebody gave it, but not without a word. */
static void look_at_owner_and_mode(struct wal_recovery *rec)
{
	struct stat st;

	if (fstat(rec->dirfd, &st))
		return;
	if (!rec->read_only && geteuid() == 0 && st.st_uid != 0)
		wal_recovery_notice(rec, WAL_NOTICE_INFO,
				    "%s: belongs to user %u, and so does what root makes in it",
				    rec->path, (unsigned)st.st_uid);
	if (!rec->is_new && (st.st_mode & S_IRWXO))
		wal_recovery_notice(rec, WAL_NOTICE_WARNING,
				    "%s: mode %04o lets every user into the store; chmod 700 it",
				    rec->path, (unsigned)(st.st_mode & 07777));
}

int wal_plan_make(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	int err = wal_plan_check_place(plan);

	if (!err)
		err = read_meta(plan);
	if (!err)
		err = refuse_compressed(plan);
	if (!err)
		err = refuse_copy(plan);
	if (!err)
		err = wal_plan_probe(plan);
	if (!err)
		err = settle_parameters(plan);
	if (!err && rec->list.prepared_count)
		err = wal_plan_add_step(rec, WAL_STEP_REMOVE_PREPARED, NULL); /* R5 */
	if (err)
		return err;
	/* No segment says whose log it is, nor does wal.meta: it becomes a log of its own. */
	if (rec->list.count && !rec->read_only && wal_is_zero(rec->meta.log, sizeof(rec->meta.log)))
		make_uuid(rec->meta.log);
	settle_link(plan);
	err = rec->list.count ? wal_plan_decide(plan) : decide_without_segments(plan);
	settle_incarnation(plan);
	if (!err && !rec->read_only)
		err = check_files(plan);
	if (!err)
		err = wal_plan_check_steps(plan);
	if (!err)
		look_at_owner_and_mode(rec);
	return err || rec->read_only || rec->resume ? err : check_next(plan);
}

int wal_recovery_plan(struct wal_recovery *rec, struct wal_error *error)
{
	struct wal_plan plan = {.rec = rec, .error = error};
	int err = wal_store_list_read(rec->dirfd, &rec->list);

	if (err)
		return wal_error_set(error, err, "%s: cannot be listed: %s", rec->path,
				     strerror(-err));
	error->code = 0;
	err = wal_plan_make(&plan);
	free(plan.probes);
	if (err && error->code == 0)
		wal_error_set(error, err, "%s: cannot be recovered: %s", rec->path, strerror(-err));
	return err;
}

void wal_recovery_destroy(struct wal_recovery *rec)
{
	wal_store_list_destroy(&rec->list);
	free(rec->steps);
	free(rec->damaged);
	rec->steps = NULL;
	rec->damaged = NULL;
	rec->step_count = rec->damaged_count = 0;
}
