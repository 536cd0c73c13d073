/* SPDX-License-Identifier: MIT */
/*
 * A whole store: each segment, and what must hold between them. What a mount would decide
 * about the last ones is asked of recovery's own plan, so that the two never differ: what it
 * cuts or sets aside as the rest of a crash is a note here, what it calls damaged is a fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/segment/segment_reader.h"
#include "core/verify/verify_links.h"

/* --- what recovery will do ------------------------------------------------------------------ */

/* What a crash leaves is a note. Return: whether it is one. */
static bool report_verdict(struct wal_store_check *c, const char *name,
			   const struct wal_verdict *verdict)
{
	if (verdict->is_note)
		wal_verify_note(c->options, c->result, name, &verdict->fault);
	else
		wal_verify_report(c->options, c->result, name, &verdict->fault);
	return verdict->is_note;
}

/* R27: only of the last segment, and only if all that is too much is zero. */
static void note_excess(struct wal_store_check *c, struct wal_segment_reader *r, const char *name)
{
	const struct wal_probe *probe = wal_store_plan_probe(&c->plan, r->info.index);
	struct wal_verdict verdict;

	if (!probe || !wal_store_plan_verdict(&c->plan, probe, &verdict) ||
	    verdict.fault.kind != WAL_FAULT_TOO_LONG || verdict.fate != WAL_FATE_CUT)
		return;
	if (report_verdict(c, name, &verdict))
		r->file_bytes = r->info.file_bytes; /* so that it is no fault */
}

/* An unsealed one, of which recovery's walk is the word. */
static int check_walked(struct wal_store_check *c, const struct wal_probe *probe, const char *name)
{
	const struct wal_tail *tail = &probe->tail;
	const struct wal_store_place place = {
		.info = &probe->info, .tail = tail, .chain = probe->chain};
	struct wal_verify_result *result = c->result;
	struct wal_verdict verdict;
	bool has_verdict = wal_store_plan_verdict(&c->plan, probe, &verdict);
	bool damaged = has_verdict && verdict.fate == WAL_FATE_DAMAGED;
	uint64_t before;

	wal_store_check_links(c, &probe->info);
	before = result->faults;
	if (has_verdict)
		report_verdict(c, name, &verdict);
	if (damaged)
		wal_verify_tail(c->options, result, name, probe->index, tail);
	result->segments++;
	result->blocks += tail->block + 1;
	result->events += tail->event_count;
	result->payload_bytes += tail->payload_bytes;
	result->file_bytes += probe->info.file_bytes;
	result->direct = result->direct && probe->direct;
	if (c->options->segment)
		c->options->segment(c->options->ctx, name, &probe->info, result->faults - before);
	wal_store_check_remember(c, &place, result->faults - before);
	c->known = c->known && !damaged;
	return wal_verify_progressed(c->options, &c->progress, probe->index,
				     probe->info.file_bytes);
}

/* --- each segment ---------------------------------------------------------------------------- */

static int check_opened(struct wal_store_check *c, struct wal_segment_reader *r, const char *name)
{
	struct wal_store_place place = {.info = &r->info, .tail = r->sealed ? NULL : &r->tail};
	uint64_t before;
	int err = 0;

	wal_store_check_links(c, &r->info);
	before = c->result->faults;
	err = wal_verify_reader(r, name, c->options, c->result, &c->progress);
	place.chain = r->info.chain;
	if (!err && !r->sealed)
		err = wal_segment_reader_end_chain(r, &place.chain);
	if (!err)
		wal_store_check_remember(c, &place, c->result->faults - before);
	return err;
}

static int check_segment(struct wal_store_check *c, uint32_t index)
{
	struct wal_segment_reader *r;
	char name[WAL_NAME_MAX];
	const struct wal_segment_source source = {
		.dirfd = c->dirfd, .name = name, .index = index, .flags = c->options->flags};
	int err;

	wal_segment_name(index, name);
	err = wal_verify_open(&source, &r, c->options, c->result);
	if (err == -ENOENT && wal_store_is_retired(c->dirfd, index)) {
		c->known = false;
		return 0;
	}
	if (err > 0)
		wal_store_check_pass_unknown(c, index);
	if (err)
		return err < 0 ? err : 0;
	note_excess(c, r, name);
	err = check_opened(c, r, name);
	wal_segment_reader_close(r);
	return err;
}

/* One of the last segments, which recovery examines. */
static int check_examined(struct wal_store_check *c, const struct wal_probe *probe)
{
	struct wal_verdict verdict;
	char name[WAL_NAME_MAX];

	wal_segment_name(probe->index, name);
	if (wal_store_plan_verdict(&c->plan, probe, &verdict) &&
	    verdict.fate == WAL_FATE_SET_ASIDE) {
		c->result->segments++;
		report_verdict(c, name, &verdict);
		return 0;
	}
	if (probe->finding == FOUND_UNSEALED || probe->finding == FOUND_SEAL_LOST)
		return check_walked(c, probe, name);
	return check_segment(c, probe->index);
}

static int check_index(struct wal_store_check *c, uint32_t index)
{
	const struct wal_probe *probe = wal_store_plan_probe(&c->plan, index);

	c->looking_at = index;
	return probe ? check_examined(c, probe) : check_segment(c, index);
}

static void report_run(struct wal_store_check *c, enum wal_fault_kind kind, uint32_t from,
		       uint32_t to)
{
	if (to - from == 1)
		wal_store_report(c, kind, wal_store_spot(from, 0), "%s", "");
	else
		wal_store_report(c, kind, wal_store_spot(from, 0), "and %" PRIu32 " more after it",
				 to - from - 1);
	c->known = false;
}

/* Where the run of compressed segments that begins with this one ends. */
static uint32_t end_of_compressed(const struct wal_store_check *c, uint32_t index, uint32_t limit)
{
	while (index < limit && wal_store_list_compressed(c->list, index) == index)
		index++;
	return index;
}

/* Indexes between two that are there. */
static void report_missing(struct wal_store_check *c, uint32_t from, uint32_t to)
{
	/* Names may come back in any order from a crash; what is set aside is none of the log. */
	if (from >= to || wal_store_plan_sets_aside(&c->plan, to))
		return;
	while (from < to) {
		uint32_t compressed = wal_store_list_compressed(c->list, from), end;

		if (!compressed || compressed > to)
			compressed = to;
		if (from < compressed)
			report_run(c, WAL_FAULT_MISSING, from, compressed);
		end = end_of_compressed(c, compressed, to);
		if (compressed < end)
			report_run(c, WAL_FAULT_COMPRESSED, compressed, end);
		from = end;
	}
}

static void check_end(struct wal_store_check *c)
{
	const struct wal_durable *d = &c->durable;

	if (!c->has_meta || d->event == 0 || c->saw_durable || d->segment <= c->index ||
	    wal_store_list_compressed(c->list, d->segment) == d->segment)
		return;
	wal_store_report(c, WAL_FAULT_MISSING, wal_store_spot(d->segment, 0),
			 "event %" PRIu64 " in it was durable", d->event);
}

static void sum_sizes(struct wal_store_check *c)
{
	char name[WAL_NAME_MAX];
	struct stat st;
	size_t i;

	for (i = 0; i < c->list->count; i++) {
		wal_segment_name(c->list->segments[i], name);
		if (fstatat(c->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			c->progress.total_bytes += (uint64_t)st.st_size;
	}
}

static uint32_t last_compressed(const struct wal_store_check *c)
{
	size_t count = c->list->compressed_count;

	return count ? c->list->compressed[count - 1] : 0;
}

static int check_all(struct wal_store_check *c)
{
	uint32_t first = c->has_meta ? c->plan.view.meta.first_segment : 0, expected = first;
	uint32_t end = last_compressed(c) + 1;
	size_t i;
	int err = 0;

	if (!expected)
		expected = wal_store_list_compressed(c->list, 0);

	for (i = 0; i < c->list->count && !err; i++) {
		uint32_t index = c->list->segments[i];

		/* What lies below first_segment was removed by retention. */
		if (expected && expected < first)
			expected = first < index ? first : index;
		if (expected)
			report_missing(c, expected, index);
		expected = index + 1;
		err = check_index(c, index);
	}
	if (!err && expected && expected < end)
		report_missing(c, expected, end);
	if (!err)
		check_end(c);
	return err;
}

/* --- wal.meta ------------------------------------------------------------------------- */

static void check_meta(struct wal_store_check *c)
{
	struct wal_verdict verdict;

	if (wal_store_plan_meta_verdict(&c->plan, &verdict))
		report_verdict(c, WAL_META_FILE, &verdict);
}

/* What the plan says of the store as a whole. */
static void take_plan(struct wal_store_check *c)
{
	const struct wal_store_plan *p = &c->plan;

	c->list = &p->rec.list;
	c->has_meta = p->rec.has_meta;
	c->durable = p->view.meta.durable;
	memcpy(c->log, p->rec.meta.log, sizeof(c->log));
	c->has_log = c->has_meta || (c->list->count && !wal_is_zero(c->log, sizeof(c->log)));
	c->last_sealed = wal_store_plan_sealed_to(p);
	c->result->anchored = c->has_meta;
	c->result->anchor_event = c->has_meta ? c->durable.event : 0;
	c->result->start_anchored =
		(c->has_meta && p->view.meta.first_segment) ||
		(c->list->count && c->list->segments[0] == WAL_FIRST_SEGMENT_INDEX);
	if (!c->options->is_mount)
		c->result->hint = wal_store_plan_hint(p);
}

/* A mount shows its sealed segments, and neither wal.meta nor what recovery would look at. */
static int list_mount(struct wal_store_check *c, const char *path, struct wal_error *error)
{
	struct wal_store_plan *p = &c->plan;
	int err = wal_store_view_read(c->dirfd, &p->view);

	if (err)
		return wal_error_set(error, err, "%s: cannot be listed: %s", path, strerror(-err));
	p->rec.list = p->view.list;
	memset(&p->view.list, 0, sizeof(p->view.list));
	return 0;
}

static int check_store(struct wal_store_check *c, const char *path, struct wal_error *error)
{
	int err = c->options->is_mount
			  ? list_mount(c, path, error)
			  : wal_store_plan_make(&c->plan, c->dirfd, path, c->options->flags, error);

	if (err)
		return err;
	take_plan(c);
	if (!c->options->is_mount)
		check_meta(c);
	sum_sizes(c);
	err = check_all(c);
	if (err)
		return wal_error_set(error, err, "%s/%010" PRIu32 ".wal: cannot be checked: %s",
				     path, c->looking_at, strerror(-err));
	return 0;
}

int wal_verify_store(const char *path, const struct wal_verify_options *options,
		     struct wal_verify_result *result, struct wal_error *error)
{
	struct wal_store_check c = {.options = options, .result = result};
	struct wal_error unused;
	int err;

	error = error ? error : &unused;
	*result = (struct wal_verify_result){.direct = true};
	c.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c.dirfd < 0)
		return wal_error_set(error, -errno, "%s: cannot be opened: %s", path,
				     strerror(errno));
	err = check_store(&c, path, error);
	wal_store_plan_destroy(&c.plan);
	close(c.dirfd);
	return err;
}
