/* SPDX-License-Identifier: MIT */
#include "core/recovery/recovery_plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void wal_recovery_notice(struct wal_recovery *rec, enum wal_notice_level level, const char *format,
			 ...)
{
	char text[1024];
	va_list args;

	if (!rec->notice)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	rec->notice(rec->notice_ctx, level, text);
}

void wal_plan_doubt_meta(struct wal_recovery *rec, enum wal_notice_level level, const char *why,
			 const char *then)
{
	rec->meta_fault = (struct wal_fault){.kind = WAL_FAULT_META_FILE, .block = WAL_NO_BLOCK};
	snprintf(rec->meta_fault.detail, sizeof(rec->meta_fault.detail), "%s; %s", why, then);
	wal_recovery_notice(rec, level, "%s/%s: %s", rec->path, WAL_META_FILE,
			    rec->meta_fault.detail);
}

void wal_plan_forget_meta(struct wal_plan *plan, const char *why, const char *then)
{
	struct wal_recovery *rec = plan->rec;

	rec->has_meta = rec->clean = false;
	rec->meta = (struct wal_meta){0};
	if (!rec->list.count)
		return;
	rec->bits |= WAL_META_POSITION_LOST; /* R8 */
	wal_plan_doubt_meta(rec, WAL_NOTICE_WARNING, why, then);
}

bool wal_probe_has_header(const struct wal_probe *probe)
{
	return probe->finding == FOUND_SEALED || probe->finding == FOUND_UNSEALED ||
	       probe->finding == FOUND_SEAL_LOST;
}

bool wal_plan_restarts(const struct wal_plan *plan, const struct wal_probe *probe)
{
	return wal_probe_has_header(probe) &&
	       wal_chain_is_restart(plan->rec->meta.log, probe->index, probe->header.prev_chain,
				    probe->info.recovery);
}

int wal_plan_add_step(struct wal_recovery *rec, enum wal_step_kind kind,
		      const struct wal_probe *probe)
{
	struct wal_step *grown = realloc(rec->steps, (rec->step_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	rec->steps = grown;
	grown += rec->step_count++;
	*grown = (struct wal_step){.kind = kind};
	if (probe) {
		grown->index = probe->index;
		grown->file = (struct wal_file_id){probe->stat.st_dev, probe->stat.st_ino};
		grown->tail = probe->tail;
		grown->header = probe->header;
	}
	return 0;
}

int wal_plan_add_damage(struct wal_plan *plan, const struct wal_probe *probe,
			const struct wal_fault *fault)
{
	struct wal_recovery *rec = plan->rec;
	struct wal_damage *grown = realloc(rec->damaged, (rec->damaged_count + 1) * sizeof(*grown));
	char text[320];

	if (!grown)
		return -ENOMEM;
	rec->damaged = grown;
	grown += rec->damaged_count++;
	*grown = (struct wal_damage){probe->index, *fault};
	wal_fault_format(fault, text, sizeof(text));
	wal_recovery_notice(rec, WAL_NOTICE_ERROR,
			    "%s/%010" PRIu32 ".wal: damaged: %s; left as it is", rec->path,
			    probe->index, text);
	return 0;
}

void wal_plan_prove(struct wal_plan *plan, uint64_t event)
{
	if (event > plan->proved)
		plan->proved = event;
}

/* A new segment after damage: above every index, ids above every id, a new chain. */
void wal_plan_begin_again(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	uint32_t index = plan->floor;

	if (rec->meta.durable.segment > index)
		index = rec->meta.durable.segment;
	wal_plan_prove(plan, rec->meta.durable.event);
	rec->next = (struct wal_beginning){
		.index = index + 1,
		.first_event = plan->proved + 1,
		.prev_chain = wal_chain_restart(rec->meta.log, index + 1),
		.recovery = plan->rec->bits | WAL_META_CHAIN_RESTART,
		.dropped_segments = rec->next.dropped_segments,
		.dropped_bytes = rec->next.dropped_bytes,
	};
}
