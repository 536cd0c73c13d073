/* SPDX-License-Identifier: MIT */
/*
 * What a crash left, as the mount that comes next will have it: a segment that it sets aside
 * is no part of the log, so nothing of it is handed out as the store's. All of it is reported.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "walctl.h"

/* NULL: it is taken as it is, or lies below what a mount looks at. */
static const struct wal_verdict *find_verdict(const struct target *target, uint32_t index)
{
	const struct wal_store_outlook *outlook = &target->outlook;

	for (size_t i = 0; i < outlook->count; i++)
		if (outlook->verdicts[i].segment == index)
			return &outlook->verdicts[i];
	return NULL;
}

static bool is_set_aside(const struct target *target, uint32_t index)
{
	const struct wal_verdict *verdict = find_verdict(target, index);

	return verdict && verdict->fate == WAL_FATE_SET_ASIDE;
}

void outlook_read(struct target *target)
{
	struct wal_store_info *info = &target->info;
	struct wal_error error = {0};
	size_t kept = 0;

	if (wal_store_outlook_read(target->path, &target->outlook, &error))
		complain(NULL, "note: what the next mount does about the store is not known: %s",
			 error.text);
	for (size_t n = 0; n < info->segment_count; n++)
		if (!is_set_aside(target, info->segments[n]))
			info->segments[kept++] = info->segments[n];
	info->segment_count = kept;
	info->first_segment = kept ? info->segments[0] : 0;
	info->last_segment = kept ? info->segments[kept - 1] : 0;
}

bool outlook_salvages(const struct target *target, size_t n)
{
	const struct wal_store_outlook *outlook = &target->outlook;
	uint32_t index = target->info.segments[n];
	const struct wal_verdict *verdict = find_verdict(target, index);

	if (verdict)
		return verdict->fate == WAL_FATE_DAMAGED;
	return outlook->decided ? index < outlook->sealed_to : n + 1 < target->info.segment_count;
}

bool outlook_fault(const struct target *target, const struct wal_segment_info *info,
		   struct wal_fault *fault)
{
	const struct wal_verdict *verdict = find_verdict(target, info->index);

	if (info->fault.kind != WAL_FAULT_NONE)
		return false;
	if (verdict && verdict->fate == WAL_FATE_DAMAGED) {
		*fault = verdict->fault;
		return true;
	}
	if (verdict || info->state == WAL_SEALED || info->index >= target->outlook.sealed_to)
		return false;
	*fault = (struct wal_fault){/* R37 */
				    .kind = WAL_FAULT_POSITION,
				    .segment = info->index,
				    .block = WAL_NO_BLOCK};
	snprintf(fault->detail, sizeof(fault->detail),
		 "it is not sealed, and segment %" PRIu32 " is", target->outlook.sealed_to);
	return true;
}

/* The file of what is told of as a whole; of a damaged one that is told where it is read. */
static char *file_of(const struct target *target, const struct wal_verdict *verdict)
{
	char name[WAL_NAME_MAX];

	if (verdict->fate == WAL_FATE_DAMAGED)
		return NULL;
	if (verdict->fate == WAL_FATE_REBUILT)
		return target_file(target, "wal.meta");
	wal_segment_name(verdict->segment, name);
	return target_file(target, name);
}

static enum status status_of_verdict(const struct wal_verdict *verdict)
{
	return verdict->is_note ? STATUS_SOUND : STATUS_DAMAGED;
}

static enum status complain_verdict(const char *file, const struct wal_verdict *verdict)
{
	char text[320];

	wal_fault_format(&verdict->fault, text, sizeof(text));
	complain(file, "%s%s%s", verdict->is_note ? "note: " : "", text,
		 verdict->fate == WAL_FATE_SET_ASIDE ? "; given alone, the file can be looked at"
						     : "");
	return status_of_verdict(verdict);
}

static enum status complain_compressed(const struct target *target)
{
	const struct wal_store_info *info = &target->info;
	char name[WAL_NAME_MAX];

	if (!info->compressed_count)
		return STATUS_SOUND;
	wal_segment_name(info->compressed[0], name);
	complain(target->path,
		 "compressed segments, which this version cannot read, are left out: %zu, the "
		 "first is %s.zst; use the walctl that came with the walfs that made them",
		 info->compressed_count, name);
	return STATUS_TROUBLE;
}

enum status outlook_complain(const struct target *target)
{
	const struct wal_store_outlook *outlook = &target->outlook;
	enum status worst = complain_compressed(target);

	for (size_t i = 0; i < outlook->count; i++) {
		const struct wal_verdict *verdict = &outlook->verdicts[i];
		char *file = file_of(target, verdict);

		/* (To rebuild wal.meta changes nothing of what is handed out.) */
		if (file && !(verdict->fate == WAL_FATE_REBUILT && verdict->is_note))
			worst = worse(worst, complain_verdict(file, verdict));
		free(file);
	}
	if (outlook->hint)
		complain(target->path, "note: %s", wal_hint_text(outlook->hint));
	return worst;
}

enum status outlook_print(const struct target *target)
{
	const struct wal_store_outlook *outlook = &target->outlook;
	enum status worst = complain_compressed(target);
	char number[16];

	for (size_t i = 0; i < outlook->count; i++) {
		const struct wal_verdict *verdict = &outlook->verdicts[i];
		char *file = file_of(target, verdict);

		if (!file)
			continue;
		snprintf(number, sizeof(number), "%010" PRIu32, verdict->segment);
		printf("  %-10s  %-8s  ", verdict->segment ? number : "wal.meta",
		       verdict->is_note ? "NOTE" : "DAMAGED");
		put_fault(stdout, file, &verdict->fault);
		putchar('\n');
		free(file);
		worst = worse(worst, status_of_verdict(verdict));
	}
	return worst;
}

enum status outlook_json(const struct target *target, json_t *notes, json_t *faults)
{
	const struct wal_store_outlook *outlook = &target->outlook;
	enum status worst = complain_compressed(target);

	for (size_t i = 0; i < outlook->count; i++) {
		const struct wal_verdict *verdict = &outlook->verdicts[i];
		char *file = file_of(target, verdict);

		if (!file)
			continue;
		json_add(verdict->is_note ? notes : faults, json_fault(file, &verdict->fault));
		free(file);
		worst = worse(worst, status_of_verdict(verdict));
	}
	return worst;
}
