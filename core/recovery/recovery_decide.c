/* SPDX-License-Identifier: MIT */
/* The decision table of docs/FORMAT.md; R1, R2 ... are its rows. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "core/recovery/recovery_decide.h"
#include "core/recovery/recovery_given.h"
#include "core/recovery/recovery_probe.h"

static bool is_sealed(const struct wal_probe *probe)
{
	return probe->finding == FOUND_SEALED || probe->finding == FOUND_SEAL_LOST ||
	       probe->finding == FOUND_DAMAGED;
}

static uint64_t first_record_end(void)
{
	return WAL_HEADER_AREA + WAL_BLOCK_HEADER +
	       wal_event_span(sizeof(struct wal_disk_meta_record));
}

/*
 * Was any event of this segment promised? A sealed one was synced, whatever D says;
 * of one that cannot be read, who knows.
 */
static bool covers(const struct wal_plan *plan, const struct wal_probe *probe)
{
	const struct wal_durable *d = &plan->rec->meta.durable;

	if (is_sealed(probe) || probe->finding == FOUND_IO)
		return true;
	return d->segment > probe->index ||
	       (d->segment == probe->index && d->offset > first_record_end());
}

/*
 * Does the durable position lie after a segment that ends with this event, so that
 * what comes next is not simply a torn end? D at the very start of the next one says
 * so only by its event: nothing in that one was durable, but all before it.
 */
static bool reaches_past(const struct wal_plan *plan, uint64_t last_event,
			 const struct wal_probe *next)
{
	return covers(plan, next) || plan->rec->meta.durable.event > last_event;
}

static bool follows(const struct wal_plan *plan, const struct wal_probe *probe)
{
	return plan->link.known && probe->header.prev_chain == plan->link.chain &&
	       probe->header.first_event_id == plan->link.next_event;
}

static void link_to(struct wal_plan *plan, const struct wal_probe *probe)
{
	plan->link = (struct wal_link){true, probe->chain, probe->next_event};
	wal_plan_prove(plan, probe->next_event - 1);
}

/*
 * D is ahead of what is there: events are lost, or wal.meta was copied after the segments
 * while the log went on. Nothing tells the two apart, but who knows of a copy.
 */
static void tell_of_copies(struct wal_plan *plan)
{
	if (!plan->told_copy && plan->rec->has_meta)
		wal_recovery_notice(plan->rec, WAL_NOTICE_WARNING, "%s: %s", plan->rec->path,
				    wal_hint_text(WAL_HINT_COPIED_WHILE_WRITTEN));
	plan->told_copy = true;
}

/* Are events that were durable in none of the segments, the last of which goes to next_event? */
static bool lacks_durable(const struct wal_plan *plan, uint64_t next_event)
{
	uint64_t durable = plan->rec->meta.durable.event;

	return durable >= next_event && durable > plan->proved;
}

/* A new segment that continues the one before it, if no id is given again by that (R26, R50). */
static void begin_next(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	bool lost = plan->link.known && lacks_durable(plan, plan->link.next_event);

	if (lost)
		wal_recovery_notice(rec, WAL_NOTICE_ERROR,
				    "%s: events up to %" PRIu64 " were durable; those from %" PRIu64
				    " on are missing",
				    rec->path, rec->meta.durable.event, plan->link.next_event);
	if (lost)
		tell_of_copies(plan);
	if (lost || !plan->link.known || plan->proved >= plan->link.next_event) {
		wal_plan_begin_again(plan);
		return;
	}
	rec->next.index = plan->floor + 1;
	rec->next.first_event = plan->link.next_event;
	rec->next.prev_chain = plan->link.chain;
	rec->next.recovery = plan->rec->bits;
}

/* Segments from here on lie after a hole, and none of them was promised. */
static int set_aside_from(struct wal_plan *plan, size_t i)
{
	struct wal_recovery *rec = plan->rec;
	int err = 0;

	plan->floor = i > 0 ? plan->probes[i - 1].index : plan->probes[0].index - 1;
	plan->rec->bits |= WAL_META_SEGMENTS_DROPPED;
	for (; i < plan->count && !err; i++) {
		const struct wal_probe *probe = &plan->probes[i];

		/* (Sealed: the durable position is not below it, so this is for safety.) */
		if (probe->finding == FOUND_NOT_A_FILE || probe->finding == FOUND_IO ||
		    is_sealed(probe)) {
			plan->floor = probe->index;
			continue;
		}
		err = wal_plan_add_step(rec, WAL_STEP_SET_ASIDE, probe);
		rec->next.dropped_segments++;
	}
	return err;
}

/* R20: events below the durable position are missing here. */
static int decide_damaged_unsealed(struct wal_plan *plan, size_t i)
{
	const struct wal_probe *probe = &plan->probes[i];
	struct wal_fault fault = {.kind = WAL_FAULT_POSITION,
				  .segment = probe->index,
				  .block = probe->tail.block,
				  .offset = probe->tail.offset};
	int err;

	snprintf(fault.detail, sizeof(fault.detail), "%s at offset %" PRIu64,
		 wal_fault_kind_name(probe->tail.stop), probe->tail.offset);
	err = wal_plan_add_damage(plan, probe, &fault);
	if (wal_tail_is_copied(&probe->tail))
		tell_of_copies(plan);
	wal_plan_prove(plan, probe->next_event - 1);
	plan->link.known = false;
	return err ? err : wal_plan_prove_by_blocks(plan, probe);
}

/* The torn tail is cut off, a copy of it kept, and the segment sealed at its last whole event. */
static int cut_and_seal(struct wal_plan *plan, const struct wal_probe *probe)
{
	struct wal_recovery *rec = plan->rec;
	uint64_t after = probe->tail.nonzero_end - probe->tail.offset;

	if (after) {
		plan->rec->bits |= WAL_META_TAIL_DROPPED;
		rec->next.dropped_bytes = after;
	}
	link_to(plan, probe);
	return wal_plan_add_step(rec, WAL_STEP_SEAL, probe);
}

static bool framing_equal(struct wal_framing a, struct wal_framing b)
{
	return a.kind == b.kind && a.size == b.size;
}

/* R15: can the last segment be gone on with in place? */
static bool is_resumable(const struct wal_plan *plan, const struct wal_probe *probe)
{
	const struct wal_recovery *rec = plan->rec;
	const struct wal_meta_record *meta = &probe->tail.meta;

	return probe->tail.nonzero_end == probe->tail.offset &&
	       probe->info.file_bytes == meta->segment_bytes &&
	       meta->writer_version == WAL_WRITER_VERSION &&
	       probe->header.block_size == rec->meta.block_size &&
	       meta->segment_bytes == rec->meta.segment_bytes &&
	       framing_equal(meta->framing, rec->meta.framing);
}

static int decide_last_unsealed(struct wal_plan *plan, size_t i)
{
	struct wal_recovery *rec = plan->rec;
	const struct wal_probe *probe = &plan->probes[i];
	int err;

	rec->last_unsealed = probe->index;
	if (lacks_durable(plan, probe->next_event)) {
		/*
		 * Events that were durable are neither in it nor after it: the segment that D
		 * is in is gone, or this is not what it was.
		 */
		err = decide_damaged_unsealed(plan, i);
		wal_plan_begin_again(plan);
		return err;
	}
	if (is_resumable(plan, probe) && rec->meta.durable.segment <= probe->index &&
	    plan->proved < probe->next_event) {
		rec->resume = probe->index;
		rec->resume_file = (struct wal_file_id){probe->stat.st_dev, probe->stat.st_ino};
		rec->resume_tail = probe->tail;
		return 0;
	}
	err = cut_and_seal(plan, probe);
	begin_next(plan);
	return err;
}

/* R22, R24: what comes next says that this one is not all there. */
static int add_cut_off(struct wal_plan *plan, const struct wal_probe *probe,
		       const struct wal_probe *next)
{
	struct wal_fault fault = {.kind = WAL_FAULT_POSITION,
				  .segment = probe->index,
				  .block = probe->tail.block,
				  .offset = probe->tail.offset};

	if (!wal_plan_restarts(plan, next))
		snprintf(fault.detail, sizeof(fault.detail), "%s",
			 "the next segment does not continue it");
	else if (next->header.first_event_id > probe->next_event)
		snprintf(fault.detail, sizeof(fault.detail),
			 "segment %" PRIu32 " begins with event %" PRIu64
			 ", the last one before it is %" PRIu64,
			 next->index, next->header.first_event_id, probe->next_event - 1);
	else
		snprintf(fault.detail, sizeof(fault.detail),
			 "it is not sealed, and segment %" PRIu32 " begins a new chain",
			 next->index);
	return wal_plan_add_damage(plan, probe, &fault);
}

/*
 * An unsealed segment with another after it.
 * Return: 1 to go on with that one, 0 if all is decided, -errno.
 */
static int decide_with_successor(struct wal_plan *plan, size_t i)
{
	const struct wal_probe *probe = &plan->probes[i], *next = &plan->probes[i + 1];
	int err;

	plan->link = (struct wal_link){true, probe->chain, probe->next_event};
	if ((wal_probe_has_header(next) || is_sealed(next)) && follows(plan, next)) { /* R21 */
		err = cut_and_seal(plan, probe);
		plan->rec->bits &= ~WAL_META_TAIL_DROPPED;
		plan->rec->next.dropped_bytes = 0; /* it is of a segment that has a successor */
		return err ? err : 1;
	}
	if (!wal_plan_restarts(plan, next) &&
	    !reaches_past(plan, probe->next_event - 1, next)) { /* R23 */
		err = set_aside_from(plan, i + 1);
		if (!err)
			err = cut_and_seal(plan, probe);
		begin_next(plan);
		return err;
	}
	/* R22, R24 */
	wal_plan_prove(plan, probe->next_event - 1);
	plan->link.known = false;
	err = add_cut_off(plan, probe, next);
	return err ? err : 1;
}

static int decide_unsealed(struct wal_plan *plan, size_t i)
{
	const struct wal_durable *d = &plan->rec->meta.durable;
	const struct wal_probe *probe = &plan->probes[i];
	bool last = i + 1 == plan->count;
	int err;

	if (!last && wal_plan_restarts(plan, &plan->probes[i + 1]))
		return decide_with_successor(plan, i);
	if (d->segment == probe->index && probe->tail.offset < d->offset) {
		err = decide_damaged_unsealed(plan, i);
		if (!err && !last && covers(plan, &plan->probes[i + 1]))
			return 1;
		if (!err && !last)
			err = set_aside_from(plan, i + 1);
		wal_plan_begin_again(plan);
		return err;
	}
	return last ? decide_last_unsealed(plan, i) : decide_with_successor(plan, i);
}

/* R19: the walk says what is in it; nobody writes to it again. */
static int decide_seal_lost(struct wal_plan *plan, size_t i)
{
	const struct wal_durable *d = &plan->rec->meta.durable;
	const struct wal_probe *probe = &plan->probes[i];
	int err = wal_plan_add_damage(plan, probe, &probe->fault);

	if (err)
		return err;
	link_to(plan, probe);
	if ((d->segment == probe->index && probe->tail.offset < d->offset) ||
	    probe->tail.nonzero_end != probe->tail.offset) {
		plan->link.known = false;
		err = wal_plan_prove_by_blocks(plan, probe);
	}
	if (err || i + 1 < plan->count)
		return err ? err : 1;
	begin_next(plan);
	return 0;
}

static int decide_sealed(struct wal_plan *plan, size_t i)
{
	const struct wal_probe *probe = &plan->probes[i];
	int err = 0;

	/*
	 * Seals are synced one after the other, so all before the last one are on the disk.
	 * That one may be in the page cache only, if a kill came before its sync.
	 */
	if (probe->excess || !plan->rec->clean) /* R25, R27, R28 */
		err = wal_plan_add_step(plan->rec, WAL_STEP_RESEAL, probe);
	link_to(plan, probe);
	if (err || i + 1 < plan->count)
		return err ? err : 1;
	begin_next(plan); /* R25, R26 */
	return 0;
}

static int decide_bad(struct wal_plan *plan, size_t i)
{
	const struct wal_probe *probe = &plan->probes[i];
	bool last = i + 1 == plan->count;
	int err;

	if (probe->finding == FOUND_UNREADABLE && !covers(plan, probe)) { /* R12 */
		err = set_aside_from(plan, i);
		begin_next(plan);
		return err;
	}
	err = wal_plan_add_damage(plan, probe, &probe->fault); /* R13, R14, R29, R33 */
	if (!err && (probe->finding == FOUND_DAMAGED || probe->finding == FOUND_IO))
		err = wal_plan_prove_by_blocks(plan, probe);
	if (probe->finding != FOUND_NOT_A_FILE)
		plan->link.known = false;
	if (err || !last)
		return err ? err : 1;
	begin_next(plan);
	return 0;
}

/* Does a segment that is looked at continue the one before, as it should? Return: as decide. */
static int check_link(struct wal_plan *plan, size_t i)
{
	const struct wal_probe *probe = &plan->probes[i];
	int err;

	if (follows(plan, probe))
		return 1;
	if (!plan->link.known || wal_plan_restarts(plan, probe)) {
		wal_plan_check_given(plan, probe); /* R50 */
		return 1;
	}
	if (probe->finding == FOUND_UNSEALED &&
	    !reaches_past(plan, plan->link.next_event - 1, probe)) { /* R30 */
		err = set_aside_from(plan, i);
		begin_next(plan);
		return err;
	}
	wal_recovery_notice(plan->rec, WAL_NOTICE_ERROR, /* R31 */
			    "%s/%010" PRIu32
			    ".wal: does not continue the segment before it; left as it is",
			    plan->rec->path, probe->index);
	return 1;
}

/* Is what should be before this segment gone, or not to be made out? */
static bool stands_after_a_hole(const struct wal_plan *plan, size_t i)
{
	const struct wal_probe *before;

	if (i == 0)
		return false;
	before = &plan->probes[i - 1];
	return before->index + 1 != plan->probes[i].index ||
	       (!wal_probe_has_header(before) && !is_sealed(before));
}

static void raise_durable(struct wal_durable *d, const struct wal_durable *to)
{
	if (to->segment < d->segment || (to->segment == d->segment && to->offset <= d->offset))
		return;
	d->segment = to->segment;
	d->offset = to->offset;
	if (to->event > d->event && to->event < WAL_EVENT_ID_LIMIT)
		d->event = to->event;
}

/*
 * What the segments themselves say of the durable position. A segment is sealed after
 * its sync and after all before it, so D is not below its end. With wal.meta lost, a
 * hole before a segment that is this log's counts as damage, not as torn: there is
 * nothing left to tell the two apart by, and what is set aside is lost to its readers.
 * This goes into the new wal.meta, so that another recovery finds the same.
 */
static void settle_durable(struct wal_plan *plan)
{
	struct wal_durable *d = &plan->rec->meta.durable;
	size_t i;

	for (i = 0; i < plan->count; i++) {
		const struct wal_probe *probe = &plan->probes[i];
		const struct wal_durable end = {probe->index, probe->end, probe->next_event - 1};
		const struct wal_durable start = {probe->index, first_record_end(),
						  probe->header.first_event_id - 1};

		if (is_sealed(probe))
			raise_durable(d, &end);
		else if (!plan->rec->has_meta && stands_after_a_hole(plan, i) &&
			 (wal_probe_has_header(probe) || probe->finding == FOUND_IO))
			raise_durable(d, &start);
	}
}

int wal_plan_decide(struct wal_plan *plan)
{
	size_t i;
	int err = wal_plan_prove_below(plan), go_on = 1;

	if (err)
		return err;
	settle_durable(plan);
	for (i = 0; i < plan->count && go_on > 0; i++) {
		const struct wal_probe *probe = &plan->probes[i];

		plan->floor = plan->probes[plan->count - 1].index;
		if (wal_probe_has_header(probe))
			go_on = check_link(plan, i);
		if (go_on <= 0)
			break;
		switch (probe->finding) {
		case FOUND_SEALED:
			go_on = decide_sealed(plan, i);
			break;
		case FOUND_UNSEALED:
			go_on = decide_unsealed(plan, i);
			break;
		case FOUND_SEAL_LOST:
			go_on = decide_seal_lost(plan, i);
			break;
		default:
			go_on = decide_bad(plan, i);
		}
	}
	return go_on < 0 ? go_on : 0;
}
