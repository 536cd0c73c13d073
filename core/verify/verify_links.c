/* SPDX-License-Identifier: MIT */
#include "core/verify/verify_links.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/recovery/recovery_given.h"

void wal_store_report(struct wal_store_check *c, enum wal_fault_kind kind,
		      struct wal_store_spot spot, const char *format, ...)
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

static void check_log(struct wal_store_check *c, const struct wal_segment_info *info)
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
	wal_store_report(c, WAL_FAULT_OTHER_LOG, wal_store_spot(info->index, WAL_HEADER_AREA),
			 "log %s", uuid);
}

/* R50: what was given is given again. Return: whether it is so. */
static bool check_given(struct wal_store_check *c, const struct wal_segment_info *info)
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
static void check_restart(struct wal_store_check *c, const struct wal_segment_info *info)
{
	if (check_given(c, info))
		return;
	if (c->index && info->first_event > c->given)
		wal_store_report(c, WAL_FAULT_POSITION, wal_store_spot(c->index, c->end),
				 "segment %" PRIu32 " begins with event %" PRIu64
				 ", the last one before it is %" PRIu64,
				 info->index, info->first_event, c->next_event - 1);
	else if (c->ends_unsealed)
		wal_store_report(c, WAL_FAULT_POSITION, wal_store_spot(c->index, c->end),
				 "it is not sealed, and segment %" PRIu32 " begins a new chain",
				 info->index);
}

/* Chain and ids go on from the segment before; a new chain only where recovery began one. */
static void check_link(struct wal_store_check *c, const struct wal_segment_info *info)
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
		wal_store_report(c, WAL_FAULT_SEQUENCE,
				 wal_store_spot(info->index,
						offsetof(struct wal_disk_segment_header,
							 prev_chained_checksum)),
				 "%s", "previous chained checksum is another");
	if (info->first_event != c->next_event)
		wal_store_report(
			c, WAL_FAULT_SEQUENCE,
			wal_store_spot(info->index,
				       offsetof(struct wal_disk_segment_header, first_event_id)),
			"begins with event %" PRIu64 ", expected %" PRIu64, info->first_event,
			c->next_event);
}

/* Who looks for a time passes over segments because of it. */
static void check_time_run(struct wal_store_check *c, const struct wal_segment_info *info)
{
	if (info->time_run < 2 || !c->known || info->index != c->index + 1)
		return;
	if (info->created_ns < c->created_ns || info->closed_ns < c->closed_ns)
		wal_store_report(
			c, WAL_FAULT_SEQUENCE,
			wal_store_spot(info->index,
				       WAL_SEAL_HEADER_OFFSET +
					       offsetof(struct wal_disk_segment_header, compat)),
			"%s", "says that its times are in order with those of the segment before");
}

void wal_store_check_links(struct wal_store_check *c, const struct wal_segment_info *info)
{
	check_log(c, info);
	check_link(c, info);
	check_time_run(c, info);
}

/* R37: segments are sealed in order. Return: whether that was kept. */
static bool check_order(struct wal_store_check *c, const struct wal_store_place *place)
{
	if (!place->tail || place->info->fault.kind || place->info->index >= c->last_sealed)
		return true; /* (with a fault it is damaged anyway) */
	wal_store_report(c, WAL_FAULT_POSITION,
			 wal_store_spot(place->info->index, place->tail->offset),
			 "it is not sealed, and segment %" PRIu32 " is", c->last_sealed);
	return false;
}

void wal_store_check_remember(struct wal_store_check *c, const struct wal_store_place *place,
			      uint64_t faults)
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
		wal_store_report(c, WAL_FAULT_POSITION, wal_store_spot(c->index, c->durable.offset),
				 "event %" PRIu64 " was durable, the last one is %" PRIu64,
				 c->durable.event, info->last_event);
}

void wal_store_check_pass_unknown(struct wal_store_check *c, uint32_t index)
{
	c->known = false;
	c->index = index;
	c->saw_durable = c->saw_durable || c->durable.segment == index;
}
