/* SPDX-License-Identifier: MIT */
/*
 * A whole store: each segment, and what must hold between them. What a mount would decide
 * about the last ones is asked of recovery's own plan, so that the two never differ: what it
 * cuts or sets aside as the rest of a crash is a note here, what it calls damaged is a fault.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/recovery/recovery_given.h"
#include "core/segment/segment_reader.h"
#include "core/verify/verify.h"
#include "core/verify/verify_plan.h"

struct store_check {
	const struct wal_verify_options *options;
	struct wal_verify_result *result;
	struct wal_verify_progress progress;
	int dirfd;
	struct wal_store_plan plan;
	const struct wal_store_list *list;
	struct wal_durable durable; /* as wal.meta says */
	uint8_t log[16];
	bool has_meta;
	bool has_log;
	uint32_t looking_at;
	uint32_t last_sealed; /* the last valid sealed one, when the check began; 0: none */

	/* The segment before. */
	bool known;
	uint32_t index;
	uint64_t chain;
	uint64_t next_event;
	uint64_t created_ns;
	uint64_t closed_ns;
	bool ends_unsealed; /* it is not sealed, and nothing was found wrong in it */
	uint64_t end;	    /* its file's, or of its last event if it is not sealed */

	uint64_t given;	  /* ids below this one are of segments before */
	bool saw_durable; /* the segment that D is in was there, and reaches it */
};

/* Of a segment, what its neighbours have to fit. */
struct place {
	const struct wal_segment_info *info;
	const struct wal_tail *tail; /* NULL: it is sealed */
	uint64_t chain;
};

/* Where in the store, as opposed to in a block. */
struct spot {
	uint32_t segment;
	uint64_t offset;
};

static struct spot in_segment(uint32_t segment, uint64_t offset)
{
	return (struct spot){segment, offset};
}

__attribute__((format(printf, 4, 5))) static void
report(struct store_check *c, enum wal_fault_kind kind, struct spot spot, const char *format, ...)
{
	struct wal_fault fault = {.kind = kind,
				  .segment = spot.segment,
				  .block = WAL_NO_BLOCK,
				  .offset = spot.offset};
	char name[WAL_NAME_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(fault.detail, sizeof(fault.detail), format, args);
	va_end(args);
	wal_segment_name(spot.segment, name);
	wal_verify_report(c->options, c->result, name, &fault);
}

static void check_log(struct store_check *c, const struct wal_segment_info *info)
{
	char uuid[WAL_UUID_TEXT];

	if (!wal_segment_says_log(info))
		return;
	if (!c->has_log)
		memcpy(c->log, info->log, sizeof(c->log));
	c->has_log = true;
	if (memcmp(c->log, info->log, sizeof(c->log)) == 0)
		return;
	wal_uuid_format(info->log, uuid);
	report(c, WAL_FAULT_OTHER_LOG, in_segment(info->index, WAL_HEADER_AREA), "log %s", uuid);
}

/* R50: what was given is given again. Return: whether it is so. */
static bool check_given(struct store_check *c, const struct wal_segment_info *info)
{
	struct wal_fault fault;
	char name[WAL_NAME_MAX];

	if (info->first_event >= c->given)
		return false;
	fault = wal_plan_given_fault(info->index, info->first_event, c->given - 1);
	wal_segment_name(info->index, name);
	wal_verify_report(c->options, c->result, name, &fault);
	return true;
}

/*
 * A new chain after a segment with nothing wrong in it: recovery missed something there, if it
 * did not only go on above ids that had been given twice. It seals what it finds whole.
 */
static void check_restart(struct store_check *c, const struct wal_segment_info *info)
{
	if (check_given(c, info))
		return;
	if (c->index && info->first_event > c->given)
		report(c, WAL_FAULT_POSITION, in_segment(c->index, c->end),
		       "segment %" PRIu32 " begins with event %" PRIu64
		       ", the last one before it is %" PRIu64,
		       info->index, info->first_event, c->next_event - 1);
	else if (c->ends_unsealed)
		report(c, WAL_FAULT_POSITION, in_segment(c->index, c->end),
		       "it is not sealed, and segment %" PRIu32 " begins a new chain", info->index);
}

/* Chain and ids go on from the segment before; a new chain only where recovery began one. */
static void check_link(struct store_check *c, const struct wal_segment_info *info)
{
	if (info->index == WAL_FIRST_SEGMENT_INDEX && c->has_log) {
		c->known = true;
		c->index = 0;
		c->chain = wal_chain_start(c->log);
		c->next_event = WAL_FIRST_EVENT_ID;
	}
	if (!c->known || info->index != c->index + 1) {
		check_given(c, info);
		return;
	}
	if (wal_chain_is_restart(c->log, info->index, info->prev_chain, info->recovery)) {
		check_restart(c, info);
		return;
	}
	if (info->prev_chain != c->chain)
		report(c, WAL_FAULT_SEQUENCE,
		       in_segment(info->index,
				  offsetof(struct wal_disk_segment_header, prev_chained_checksum)),
		       "%s", "previous chained checksum is another");
	if (info->first_event != c->next_event)
		report(c, WAL_FAULT_SEQUENCE,
		       in_segment(info->index,
				  offsetof(struct wal_disk_segment_header, first_event_id)),
		       "begins with event %" PRIu64 ", expected %" PRIu64, info->first_event,
		       c->next_event);
}

/* Who looks for a time passes over segments because of it. */
static void check_time_run(struct store_check *c, const struct wal_segment_info *info)
{
	if (info->time_run < 2 || !c->known || info->index != c->index + 1)
		return;
	if (info->created_ns < c->created_ns || info->closed_ns < c->closed_ns)
		report(c, WAL_FAULT_SEQUENCE,
		       in_segment(info->index,
				  WAL_SEAL_HEADER_OFFSET +
					  offsetof(struct wal_disk_segment_header, compat)),
		       "%s", "says that its times are in order with those of the segment before");
}

/* R37: segments are sealed in order. Return: whether that was kept. */
static bool check_order(struct store_check *c, const struct place *place)
{
	if (!place->tail || place->info->fault.kind || place->info->index >= c->last_sealed)
		return true; /* (with a fault it is damaged anyway) */
	report(c, WAL_FAULT_POSITION, in_segment(place->info->index, place->tail->offset),
	       "it is not sealed, and segment %" PRIu32 " is", c->last_sealed);
	return false;
}

/* faults: that were found in it. */
static void remember(struct store_check *c, const struct place *place, uint64_t faults)
{
	const struct wal_segment_info *info = place->info;

	c->ends_unsealed = !faults && place->tail;
	c->known = check_order(c, place) && info->state != WAL_DAMAGED;
	c->index = info->index;
	c->next_event = info->last_event + 1;
	c->created_ns = info->created_ns;
	c->closed_ns = info->closed_ns;
	c->chain = place->chain;
	c->end = place->tail ? place->tail->offset : info->file_bytes;
	if (c->known && c->next_event > c->given)
		c->given = c->next_event;
	if (!c->has_meta || c->durable.segment != c->index)
		return;
	c->saw_durable = true;
	if (c->known && !faults && info->last_event < c->durable.event)
		report(c, WAL_FAULT_POSITION, in_segment(c->index, c->durable.offset),
		       "event %" PRIu64 " was durable, the last one is %" PRIu64, c->durable.event,
		       info->last_event);
}

/* Nothing of it is known, and so the next one has nothing to fit. */
static void pass_unknown(struct store_check *c, uint32_t index)
{
	c->known = false;
	c->index = index;
	c->saw_durable = c->saw_durable || c->durable.segment == index;
}

/* --- what recovery will do ------------------------------------------------------------------ */

/* What a crash leaves is a note. Return: whether it is one. */
static bool report_verdict(struct store_check *c, const char *name,
			   const struct wal_verdict *verdict)
{
	if (verdict->is_note)
		wal_verify_note(c->options, c->result, name, &verdict->fault);
	else
		wal_verify_report(c->options, c->result, name, &verdict->fault);
	return verdict->is_note;
}

/* R27: only of the last segment, and only if all that is too much is zero. */
static void note_excess(struct store_check *c, struct wal_segment_reader *r, const char *name)
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
static int check_walked(struct store_check *c, const struct wal_probe *probe, const char *name)
{
	const struct wal_tail *tail = &probe->tail;
	const struct place place = {.info = &probe->info, .tail = tail, .chain = probe->chain};
	struct wal_verify_result *result = c->result;
	struct wal_verdict verdict;
	bool has_verdict = wal_store_plan_verdict(&c->plan, probe, &verdict);
	bool damaged = has_verdict && verdict.fate == WAL_FATE_DAMAGED;
	uint64_t before;

	check_log(c, &probe->info);
	check_link(c, &probe->info);
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
	remember(c, &place, result->faults - before);
	c->known = c->known && !damaged;
	return wal_verify_progressed(c->options, &c->progress, probe->index,
				     probe->info.file_bytes);
}

/* --- each segment ---------------------------------------------------------------------------- */

static int check_opened(struct store_check *c, struct wal_segment_reader *r, const char *name)
{
	struct place place = {.info = &r->info, .tail = r->sealed ? NULL : &r->tail};
	uint64_t before;
	int err = 0;

	check_log(c, &r->info);
	check_link(c, &r->info);
	check_time_run(c, &r->info);
	before = c->result->faults;
	err = wal_verify_reader(r, name, c->options, c->result, &c->progress);
	place.chain = r->info.chain;
	if (!err && !r->sealed)
		err = wal_segment_reader_end_chain(r, &place.chain);
	if (!err)
		remember(c, &place, c->result->faults - before);
	return err;
}

static int check_segment(struct store_check *c, uint32_t index)
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
		pass_unknown(c, index);
	if (err)
		return err < 0 ? err : 0;
	note_excess(c, r, name);
	err = check_opened(c, r, name);
	wal_segment_reader_close(r);
	return err;
}

/* One of the last segments, which recovery examines. */
static int check_examined(struct store_check *c, const struct wal_probe *probe)
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

static int check_index(struct store_check *c, uint32_t index)
{
	const struct wal_probe *probe = wal_store_plan_probe(&c->plan, index);

	c->looking_at = index;
	return probe ? check_examined(c, probe) : check_segment(c, index);
}

static void report_run(struct store_check *c, enum wal_fault_kind kind, uint32_t from, uint32_t to)
{
	if (to - from == 1)
		report(c, kind, in_segment(from, 0), "%s", "");
	else
		report(c, kind, in_segment(from, 0), "and %" PRIu32 " more after it",
		       to - from - 1);
	c->known = false;
}

/* Where the run of compressed segments that begins with this one ends. */
static uint32_t end_of_compressed(const struct store_check *c, uint32_t index, uint32_t limit)
{
	while (index < limit && wal_store_list_compressed(c->list, index) == index)
		index++;
	return index;
}

/* Indexes between two that are there. */
static void report_missing(struct store_check *c, uint32_t from, uint32_t to)
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

static void check_end(struct store_check *c)
{
	const struct wal_durable *d = &c->durable;

	if (!c->has_meta || d->event == 0 || c->saw_durable || d->segment <= c->index ||
	    wal_store_list_compressed(c->list, d->segment) == d->segment)
		return;
	report(c, WAL_FAULT_MISSING, in_segment(d->segment, 0),
	       "event %" PRIu64 " in it was durable", d->event);
}

static void sum_sizes(struct store_check *c)
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

static uint32_t last_compressed(const struct store_check *c)
{
	size_t count = c->list->compressed_count;

	return count ? c->list->compressed[count - 1] : 0;
}

static int check_all(struct store_check *c)
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

static void check_meta(struct store_check *c)
{
	struct wal_verdict verdict;

	if (wal_store_plan_meta_verdict(&c->plan, &verdict))
		report_verdict(c, WAL_META_FILE, &verdict);
}

/* What the plan says of the store as a whole. */
static void take_plan(struct store_check *c)
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
static int list_mount(struct store_check *c, const char *path, struct wal_error *error)
{
	struct wal_store_plan *p = &c->plan;
	int err = wal_store_view_read(c->dirfd, &p->view);

	if (err)
		return wal_error_set(error, err, "%s: cannot be listed: %s", path, strerror(-err));
	p->rec.list = p->view.list;
	memset(&p->view.list, 0, sizeof(p->view.list));
	return 0;
}

static int check_store(struct store_check *c, const char *path, struct wal_error *error)
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
	struct store_check c = {.options = options, .result = result};
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
