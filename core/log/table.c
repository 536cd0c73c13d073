/* SPDX-License-Identifier: MIT */
/* Which segments there are, and which of them are damaged. */
#include "core/log/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The position of the first entry with an index larger than after. */
static size_t position_above(const struct wal_log *log, uint32_t after)
{
	size_t low = 0, high = log->table.count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (log->table.entries[mid].index <= after)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct wal_log_entry *wal_log_find_entry(struct wal_log *log, uint32_t index)
{
	struct wal_log_entry *entries = log->table.entries;
	size_t at = position_above(log, index);

	return at > 0 && entries[at - 1].index == index ? &entries[at - 1] : NULL;
}

int wal_log_reserve_entry(struct wal_log *log)
{
	size_t room = log->table.room ? log->table.room * 2 : 64;
	void *grown;

	if (log->table.count < log->table.room)
		return 0;
	grown = realloc(log->table.entries, room * sizeof(*log->table.entries));
	if (!grown)
		return -ENOMEM;
	log->table.entries = grown;
	log->table.room = room;
	return 0;
}

/* Indexes only grow, so the end is the place. */
int wal_log_add_entry(struct wal_log *log, uint32_t index)
{
	int err = wal_log_reserve_entry(log);

	if (err)
		return err;
	log->table.entries[log->table.count++] = (struct wal_log_entry){.index = index};
	return 0;
}

/* The most blocks that a segment can have. */
#define TOLD_BLOCKS_MAX (WAL_SEGMENT_SIZE_MAX >> WAL_BLOCK_SIZE_LOG2_MIN)

/* Blocks of a segment that were found bad, a bit for each, and faults that are in no block. */
struct wal_reported_blocks {
	bool elsewhere;
	uint32_t bytes;
	uint8_t bits[];
};

/* Return: false without memory; then nothing changed. */
static bool make_room_for_block(struct wal_log_entry *entry, uint32_t block)
{
	struct wal_reported_blocks *reported = entry->reported;
	uint32_t had = reported ? reported->bytes : 0, need = block / 8 + 1;

	if (reported && had >= need)
		return true;
	reported = realloc(entry->reported, sizeof(*reported) + need);
	if (!reported)
		return false;
	if (!entry->reported)
		reported->elsewhere = false;
	memset(reported->bits + had, 0, need - had);
	reported->bytes = need;
	entry->reported = reported;
	return true;
}

/* Return: whether it is noted now for the first time. Without memory: no. */
static bool note_block(struct wal_log_entry *entry, uint32_t block)
{
	bool elsewhere = block >= TOLD_BLOCKS_MAX, before;
	uint8_t bit = (uint8_t)(1u << block % 8);

	if (!make_room_for_block(entry, elsewhere ? 0 : block))
		return false;
	if (elsewhere) {
		before = entry->reported->elsewhere;
		entry->reported->elsewhere = true;
	} else {
		before = entry->reported->bits[block / 8] & bit;
		entry->reported->bits[block / 8] |= bit;
	}
	return !before;
}

bool wal_log_damage_entry(struct wal_log *log, struct wal_log_entry *entry,
			  const struct wal_fault *fault)
{
	bool is_first = note_block(entry, fault->block);

	if (entry->damaged)
		return is_first;
	entry->damaged = true;
	log->table.damaged++;
	entry->fault = fault->kind;
	entry->fault_block = fault->block;
	entry->fault_offset = fault->offset;
	entry->fault_detail = fault->detail[0] ? strdup(fault->detail) : NULL;
	return true;
}

static void free_known(struct wal_log_entry *entry)
{
	free(entry->info);
	free(entry->fault_detail);
	free(entry->reported);
}

void wal_log_remove_entries(struct wal_log *log, const uint32_t *indexes, size_t count)
{
	size_t from, to = 0, k = 0;

	for (from = 0; from < log->table.count; from++) {
		struct wal_log_entry *entry = &log->table.entries[from];

		while (k < count && indexes[k] < entry->index)
			k++;
		if (k >= count || indexes[k] != entry->index) {
			log->table.entries[to++] = *entry;
			continue;
		}
		log->table.damaged -= entry->damaged;
		free_known(entry);
	}
	log->table.count = to;
}

void wal_log_clear_entries(struct wal_log *log)
{
	size_t i;

	for (i = 0; i < log->table.count; i++)
		free_known(&log->table.entries[i]);
	free(log->table.entries);
	log->table.entries = NULL;
	log->table.count = log->table.room = log->table.damaged = 0;
}

uint32_t wal_log_current_index(const struct wal_log *log)
{
	return log->writing ? log->writer.header.index : log->view_current;
}

uint32_t wal_log_current(const struct wal_log *log)
{
	struct wal_log *mutable = (struct wal_log *)(uintptr_t)log;
	uint32_t index;

	pthread_mutex_lock(&mutable->lock);
	index = wal_log_current_index(log);
	pthread_mutex_unlock(&mutable->lock);
	return index;
}

size_t wal_log_segments(struct wal_log *log, uint32_t after, uint32_t *indexes, size_t max)
{
	size_t count = 0, i;
	uint32_t current;

	pthread_mutex_lock(&log->lock);
	current = wal_log_current_index(log);
	for (i = position_above(log, after); i < log->table.count && count < max; i++) {
		if (log->table.entries[i].index != current)
			indexes[count++] = log->table.entries[i].index;
	}
	pthread_mutex_unlock(&log->lock);
	return count;
}

bool wal_log_has_segment(struct wal_log *log, uint32_t index)
{
	bool found;

	pthread_mutex_lock(&log->lock);
	found = wal_log_find_entry(log, index) != NULL;
	pthread_mutex_unlock(&log->lock);
	return found;
}

bool wal_log_mark_damaged(struct wal_log *log, uint32_t index, const struct wal_fault *fault)
{
	struct wal_log_entry *entry;
	bool news;

	pthread_mutex_lock(&log->lock);
	entry = wal_log_find_entry(log, index);
	news = entry && wal_log_damage_entry(log, entry, fault);
	pthread_mutex_unlock(&log->lock);
	if (news)
		wal_count_fault(&log->telemetry, fault->kind);
	return news;
}
