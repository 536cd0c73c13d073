/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/recovery/recovery_given.h"
#include "core/recovery/recovery_probe.h"

struct wal_fault wal_plan_given_fault(uint32_t index, uint64_t first_event, uint64_t given)
{
	struct wal_fault fault = {.kind = WAL_FAULT_SEQUENCE,
				  .segment = index,
				  .block = WAL_NO_BLOCK,
				  .offset =
					  offsetof(struct wal_disk_segment_header, first_event_id)};

	snprintf(fault.detail, sizeof(fault.detail),
		 "begins with event %" PRIu64 ", and segments before it go to event %" PRIu64,
		 first_event, given);
	return fault;
}

void wal_plan_check_given(struct wal_plan *plan, const struct wal_probe *probe)
{
	struct wal_fault fault;
	char text[320];

	if (probe->header.first_event_id > plan->proved)
		return;
	fault = wal_plan_given_fault(probe->index, probe->header.first_event_id, plan->proved);
	wal_fault_format(&fault, text, sizeof(text));
	wal_recovery_notice(plan->rec, WAL_NOTICE_ERROR,
			    "%s/%010" PRIu32 ".wal: %s; left as it is, and the next event gets an "
			    "id above both",
			    plan->rec->path, probe->index, text);
}

/* What is below one that is sealed, whole, and no beginning of a chain, has ids below its own. */
static bool is_bottom(const struct wal_plan *plan, const struct wal_probe *probe)
{
	return probe->finding == FOUND_SEALED && !wal_plan_restarts(plan, probe);
}

static int prove_by_probe(struct wal_plan *plan, const struct wal_probe *probe)
{
	if (wal_probe_has_header(probe))
		wal_plan_check_given(plan, probe);
	/* (A damaged one's seal header says its ids.) */
	if ((wal_probe_has_header(probe) || probe->finding == FOUND_DAMAGED) &&
	    probe->next_event > 0 && probe->next_event < WAL_EVENT_ID_LIMIT)
		wal_plan_prove(plan, probe->next_event - 1);
	if (probe->finding == FOUND_SEALED || probe->finding == FOUND_UNREADABLE)
		return 0;
	return wal_plan_prove_by_blocks(plan, probe);
}

/*
 * One that was removed by retention meanwhile has no ids any more; who only looks gives none,
 * and whoever reads the segment is told what is wrong with it.
 */
static bool may_be_passed_over(const struct wal_plan *plan, int err)
{
	return err == -ENOENT || (err && plan->rec->read_only && err != -ENOMEM);
}

int wal_plan_prove_below(struct wal_plan *plan)
{
	const struct wal_store_list *list = &plan->rec->list;
	struct wal_probe *below = NULL;
	size_t count = 0, i = 0;
	int err;

	if (!plan->count || !wal_plan_restarts(plan, &plan->probes[0]))
		return 0;
	while (list->segments[i] != plan->probes[0].index)
		i++;
	err = wal_plan_probe_down(plan, i, is_bottom, &below, &count);
	if (may_be_passed_over(plan, err))
		err = plan->error->code = 0;
	for (i = 0; i < count && !err; i++)
		err = prove_by_probe(plan, &below[i]);
	free(below);
	if (!may_be_passed_over(plan, err))
		return err;
	return plan->error->code = 0;
}
