/* SPDX-License-Identifier: MIT */
/* The segments of a log: which there are, what is known of them, readers. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log/log.h"
#include "core/segment/segment_reader.h"

/* --- the table ---------------------------------------------------------------------------- */

/* The position of the first entry with an index larger than after. */
static size_t position_above(const struct wal_log *log, uint32_t after)
{
	size_t low = 0, high = log->entry_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (log->entries[mid].index <= after)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct wal_log_entry *wal_log_find_entry(struct wal_log *log, uint32_t index)
{
	size_t at = position_above(log, index);

	return at > 0 && log->entries[at - 1].index == index ? &log->entries[at - 1] : NULL;
}

int wal_log_reserve_entry(struct wal_log *log)
{
	size_t room = log->entry_room ? log->entry_room * 2 : 64;
	void *grown;

	if (log->entry_count < log->entry_room)
		return 0;
	grown = realloc(log->entries, room * sizeof(*log->entries));
	if (!grown)
		return -ENOMEM;
	log->entries = grown;
	log->entry_room = room;
	return 0;
}

/* Indexes only grow, so the end is the place. */
int wal_log_add_entry(struct wal_log *log, uint32_t index)
{
	int err = wal_log_reserve_entry(log);

	if (err)
		return err;
	log->entries[log->entry_count++] = (struct wal_log_entry){.index = index};
	return 0;
}

/* The most blocks that a segment can have. */
#define TOLD_BLOCKS_MAX (WAL_SEGMENT_SIZE_MAX >> WAL_BLOCK_SIZE_LOG2_MIN)

/* Blocks of a segment that were found bad, a bit for each, and faults that are in no block. */
struct wal_told_blocks {
	bool elsewhere;
	uint32_t bytes;
	uint8_t bits[];
};

/* Return: false without memory; then nothing changed. */
static bool make_room_for_block(struct wal_log_entry *entry, uint32_t block)
{
	struct wal_told_blocks *told = entry->told;
	uint32_t had = told ? told->bytes : 0, need = block / 8 + 1;

	if (told && had >= need)
		return true;
	told = realloc(told, sizeof(*told) + need);
	if (!told)
		return false;
	if (!entry->told)
		told->elsewhere = false;
	memset(told->bits + had, 0, need - had);
	told->bytes = need;
	entry->told = told;
	return true;
}

/* Return: whether it was not told before. Without memory it is not told. */
static bool is_told_first(struct wal_log_entry *entry, uint32_t block)
{
	bool elsewhere = block >= TOLD_BLOCKS_MAX, before;
	uint8_t bit = (uint8_t)(1u << block % 8);

	if (!make_room_for_block(entry, elsewhere ? 0 : block))
		return false;
	if (elsewhere) {
		before = entry->told->elsewhere;
		entry->told->elsewhere = true;
	} else {
		before = entry->told->bits[block / 8] & bit;
		entry->told->bits[block / 8] |= bit;
	}
	return !before;
}

bool wal_log_damage_entry(struct wal_log *log, struct wal_log_entry *entry,
			  const struct wal_fault *fault)
{
	bool told_first = is_told_first(entry, fault->block);

	if (entry->damaged)
		return told_first;
	entry->damaged = true;
	log->damaged_count++;
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
	free(entry->told);
}

void wal_log_remove_entries(struct wal_log *log, const uint32_t *indexes, size_t count)
{
	size_t from, to = 0, k = 0;

	for (from = 0; from < log->entry_count; from++) {
		struct wal_log_entry *entry = &log->entries[from];

		while (k < count && indexes[k] < entry->index)
			k++;
		if (k >= count || indexes[k] != entry->index) {
			log->entries[to++] = *entry;
			continue;
		}
		log->damaged_count -= entry->damaged;
		free_known(entry);
	}
	log->entry_count = to;
}

void wal_log_clear_entries(struct wal_log *log)
{
	size_t i;

	for (i = 0; i < log->entry_count; i++)
		free_known(&log->entries[i]);
	free(log->entries);
	log->entries = NULL;
	log->entry_count = log->entry_room = log->damaged_count = 0;
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
	for (i = position_above(log, after); i < log->entry_count && count < max; i++) {
		if (log->entries[i].index != current)
			indexes[count++] = log->entries[i].index;
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

/* --- what is known ---------------------------------------------------------------------------- */

void wal_log_writer_info(const struct wal_segment_writer *w, struct wal_segment_info *info)
{
	*info = (struct wal_segment_info){
		.index = w->header.index,
		.state = WAL_ACTIVE,
		.first_event = w->header.first_event_id,
		.last_event = w->next_event - 1,
		.event_count = (uint32_t)(w->next_event - w->header.first_event_id),
		.block_count = w->start.index + 1,
		.block_size = w->header.block_size,
		.payload_bytes = w->payload_bytes,
		.file_bytes = w->file_bytes,
		.created_ns = w->header.created_ns,
		.prev_chain = w->header.prev_chain,
		.chain = w->chain,
		.header_checksum = w->header.checksum,
		.incarnation = w->meta.incarnation,
		.recovery = w->meta.recovery,
		.dropped_bytes = w->meta.dropped_bytes,
		.framing = w->meta.framing,
	};
	info->last_ns = info->event_count ? w->last_ns : w->header.created_ns;
	memcpy(info->log, w->meta.log, sizeof(info->log));
}

/* A segment that cannot even be opened: damaged, with the size that its file has. */
static void unreadable_info(const struct wal_log *log, uint32_t index,
			    const struct wal_fault *fault, struct wal_segment_info *info)
{
	char name[WAL_NAME_MAX];
	struct stat st;

	*info = (struct wal_segment_info){.index = index, .state = WAL_DAMAGED, .fault = *fault};
	wal_segment_name(index, name);
	if (fstatat(log->dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return;
	info->file_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	info->created_ns = info->closed_ns = info->last_ns =
		(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

/* A segment whose first block is damaged does not say whose it is. */
static bool is_of_another_log(const struct wal_log *log, const struct wal_segment_info *info)
{
	static const uint8_t unknown[16];

	return memcmp(info->log, log->meta.log, sizeof(info->log)) != 0 &&
	       memcmp(info->log, unknown, sizeof(info->log)) != 0;
}

static struct wal_fault other_log_fault(uint32_t index)
{
	return (struct wal_fault){
		.kind = WAL_FAULT_OTHER_LOG, .segment = index, .block = WAL_NO_BLOCK};
}

/* Headers and last block are looked at first: damage there is news like any other. */
static void tell_damage(struct wal_log *log, uint32_t index, const struct wal_fault *fault)
{
	char text[256];

	if (!wal_log_mark_damaged(log, index, fault))
		return;
	wal_fault_format(fault, text, sizeof(text));
	wal_log_notice(log, WAL_NOTICE_ERROR, "%s/%010" PRIu32 ".wal: damaged: %s", log->path,
		       index, text);
}

/*
 * R20, R22 or R24 in an opening before this one: recovery seals all that is whole, so what it
 * went past and is not sealed is damaged, though the segments behind it do not tell any more.
 */
static void find_earlier_damage(struct wal_log *log, const struct wal_segment_reader *r)
{
	struct wal_fault fault = {.kind = WAL_FAULT_POSITION,
				  .segment = r->info.index,
				  .block = r->tail.block,
				  .offset = r->tail.offset};

	snprintf(fault.detail, sizeof(fault.detail), "%s at offset %" PRIu64 ", found earlier",
		 wal_fault_kind_name(r->tail.stop), r->tail.offset);
	tell_damage(log, r->info.index, &fault);
}

/* Return: whether the segment is damaged. */
static bool look_for_damage(struct wal_log *log, const struct wal_segment_reader *r)
{
	const struct wal_log_entry *entry;
	bool damaged, settled;

	pthread_mutex_lock(&log->lock);
	entry = wal_log_find_entry(log, r->info.index);
	damaged = entry && entry->damaged;
	settled = entry && entry->settled;
	pthread_mutex_unlock(&log->lock);
	if (damaged || !settled || r->sealed || r->info.state == WAL_DAMAGED)
		return damaged;
	find_earlier_damage(log, r);
	return true;
}

/* Of a damaged one all that is whole can be read. */
static int open_finished(struct wal_log *log, uint32_t index, unsigned flags,
			 struct wal_segment_reader **r, struct wal_fault *fault)
{
	char name[WAL_NAME_MAX];
	int err;

	wal_segment_name(index, name);
	err = wal_segment_reader_open(log->io, log->dirfd, name, index, flags, r, fault);
	if (!err && look_for_damage(log, *r))
		wal_segment_reader_salvage(*r);
	return err;
}

static int read_info(struct wal_log *log, uint32_t index, struct wal_segment_info *info)
{
	struct wal_segment_reader *r;
	struct wal_fault fault;
	int err = open_finished(log, index, 0, &r, &fault);

	if (err == -ENOMEM || err == -ENOENT || err == -EMFILE || err == -ENFILE)
		return err;
	if (err) {
		unreadable_info(log, index, &fault, info);
		return 0;
	}
	*info = *wal_segment_reader_info(r);
	wal_segment_reader_close(r);
	if (info->state == WAL_ACTIVE)
		info->state = WAL_SEALING;
	if (is_of_another_log(log, info)) {
		info->state = WAL_DAMAGED;
		info->fault = other_log_fault(index);
	}
	return 0;
}

static void add_damage(const struct wal_log_entry *entry, struct wal_segment_info *info)
{
	if (!entry->damaged || info->fault.kind != WAL_FAULT_NONE)
		return;
	info->state = WAL_DAMAGED;
	info->fault = (struct wal_fault){
		.kind = entry->fault,
		.segment = entry->index,
		.block = entry->fault_block,
		.offset = entry->fault_offset,
	};
	if (entry->fault_detail)
		snprintf(info->fault.detail, sizeof(info->fault.detail), "%s", entry->fault_detail);
}

/*
 * What was read of a segment: all of struct wal_segment_info, but that a fault takes
 * no room where there is none. More than half of that struct is the fault.
 */
struct wal_known_info {
	bool has_fault;
	unsigned char info[]; /* without its last member, the fault, or with it */
};

static_assert(offsetof(struct wal_segment_info, fault) + sizeof(struct wal_fault) ==
		      sizeof(struct wal_segment_info),
	      "the fault is the last member");

static size_t known_size(bool has_fault)
{
	return has_fault ? sizeof(struct wal_segment_info)
			 : offsetof(struct wal_segment_info, fault);
}

/* Return: NULL without memory. */
static struct wal_known_info *new_known(const struct wal_segment_info *info)
{
	bool has_fault = info->fault.kind != WAL_FAULT_NONE;
	struct wal_known_info *known = malloc(sizeof(*known) + known_size(has_fault));

	if (!known)
		return NULL;
	known->has_fault = has_fault;
	memcpy(known->info, info, known_size(has_fault));
	return known;
}

/* Lock held. What a read, a check or recovery found counts for more than the headers. */
static void copy_info(const struct wal_log *log, const struct wal_log_entry *entry,
		      struct wal_segment_info *info)
{
	memset(info, 0, sizeof(*info));
	memcpy(info, entry->info->info, known_size(entry->info->has_fault));
	add_damage(entry, info);
	if (info->state == WAL_SEALING && entry->index == log->view_current) {
		info->state = WAL_ACTIVE;
	}
}

static int keep_info(struct wal_log *log, uint32_t index, struct wal_segment_info *info)
{
	struct wal_known_info *known = new_known(info);
	struct wal_log_entry *entry;
	bool found = false;

	if (!known)
		return -ENOMEM;
	pthread_mutex_lock(&log->lock);
	entry = wal_log_find_entry(log, index);
	if (entry) {
		free(entry->info);
		entry->info = known;
		copy_info(log, entry, info);
		found = info->state == WAL_DAMAGED && !entry->damaged;
	}
	pthread_mutex_unlock(&log->lock);
	if (!entry) {
		free(known);
		return -ENOENT;
	}
	if (found)
		tell_damage(log, info->index, &info->fault);
	return 0;
}

int wal_log_segment_known(struct wal_log *log, uint32_t index, struct wal_segment_info *info)
{
	const struct wal_closed *closed;
	struct wal_log_entry *entry;
	int err = -EAGAIN;

	pthread_mutex_lock(&log->lock);
	entry = wal_log_find_entry(log, index);
	closed = wal_segment_maintainer_find(log, index);
	if (log->writing && index == log->writer.header.index) {
		wal_log_writer_info(&log->writer, info);
		if (entry)
			add_damage(entry, info);
		err = 0;
	} else if (closed) {
		*info = closed->info;
		err = 0;
	} else if (!entry) {
		err = -ENOENT;
	} else if (entry->info) {
		copy_info(log, entry, info);
		err = 0;
	}
	pthread_mutex_unlock(&log->lock);
	return err;
}

int wal_log_segment_info(struct wal_log *log, uint32_t index, struct wal_segment_info *info)
{
	int err = wal_log_segment_known(log, index, info);

	if (err != -EAGAIN)
		return err;
	err = read_info(log, index, info);
	return err ? err : keep_info(log, index, info);
}

static void view_position(struct wal_log *log, struct wal_log_position *position)
{
	struct wal_segment_info info;
	uint32_t index = wal_log_current(log);

	if (!index || wal_log_segment_info(log, index, &info))
		return;
	position->segment = index;
	position->payload_bytes = info.payload_bytes;
	position->next_event = info.last_event + 1;
	position->last_ns = info.last_ns;
}

void wal_log_position(struct wal_log *log, struct wal_log_position *position)
{
	const struct wal_segment_writer *w = &log->writer;
	bool writing;

	*position = (struct wal_log_position){0};
	pthread_mutex_lock(&log->lock);
	position->durable_event = log->durable.event;
	writing = log->writing;
	if (writing) {
		position->segment = w->header.index;
		position->payload_bytes = w->payload_bytes;
		position->next_event = w->next_event;
		position->last_ns = w->next_event == w->header.first_event_id ? w->header.created_ns
									      : w->last_ns;
	}
	pthread_mutex_unlock(&log->lock);
	if (!writing)
		view_position(log, position);
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

/* --- readers ---------------------------------------------------------------------------------- */

/* Where a segment ends that is active, or closed and not sealed yet. */
static bool unsealed_tail(struct wal_log *log, uint32_t index, struct wal_tail *tail)
{
	const struct wal_closed *closed;
	bool active;

	pthread_mutex_lock(&log->lock);
	active = log->writing && index == log->writer.header.index;
	closed = wal_segment_maintainer_find(log, index);
	if (active)
		wal_segment_writer_tail(&log->writer, tail);
	else if (closed)
		*tail = closed->tail;
	pthread_mutex_unlock(&log->lock);
	return active || closed;
}

static int open_by_name(const struct wal_log *log, uint32_t index)
{
	char name[WAL_NAME_MAX];
	int fd;

	wal_segment_name(index, name);
	fd = openat(log->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/*
 * What is being written is read through the writer's file, also when somebody took its
 * name away. Return: a descriptor to read from, or -errno.
 */
static int open_writers_file(const struct wal_log *log)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", log->writer.fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 ? fd : open_by_name(log, log->writer.header.index); /* no /proc */
}

/*
 * A file that is about to be cut and sealed is not for reading: the wait is short, unless
 * that has no space; then it is read up to the end that it has.
 * Return: whether the segment is unsealed, with its tail and its file opened.
 */
static bool wait_until_sealed(struct wal_log *log, uint32_t index, struct wal_tail *tail, int *fd)
{
	const struct wal_closed *closed;
	bool active;

	pthread_mutex_lock(&log->lock);
	while (wal_segment_maintainer_sealing(log, index))
		pthread_cond_wait(&log->maintainer.moved, &log->lock);
	closed = wal_segment_maintainer_find(log, index);
	if (closed) {
		*tail = closed->tail;
		*fd = open_by_name(log, index); /* the writer is the maintainer's */
	}
	active = log->writing && index == log->writer.header.index;
	if (active) {
		wal_segment_writer_tail(&log->writer, tail);
		*fd = open_writers_file(log);
	}
	pthread_mutex_unlock(&log->lock);
	return active || closed;
}

bool wal_log_seal_join(struct wal_log *log, uint32_t index, struct wal_seal_wait *wait)
{
	bool sealing;

	pthread_mutex_lock(&log->lock);
	sealing = wal_segment_maintainer_sealing(log, index) != NULL;
	if (sealing) {
		wait->segment = index;
		wait->next = log->maintainer.waiting;
		log->maintainer.waiting = wait;
	}
	pthread_mutex_unlock(&log->lock);
	return sealing;
}

static int open_live(int fd, uint32_t index, const struct wal_tail *tail,
		     struct wal_segment_reader **reader, struct wal_fault *fault)
{
	if (fd >= 0)
		return wal_segment_reader_open_live(fd, index, tail, reader, fault);
	*reader = NULL;
	if (fault)
		*fault = (struct wal_fault){
			.kind = WAL_FAULT_IO, .segment = index, .block = WAL_NO_BLOCK};
	return fd;
}

static int open_any(struct wal_log *log, uint32_t index, unsigned flags,
		    struct wal_segment_reader **reader, struct wal_fault *fault)
{
	struct wal_tail tail;
	int err, fd;

	if (wait_until_sealed(log, index, &tail, &fd))
		return open_live(fd, index, &tail, reader, fault);
	err = open_finished(log, index, flags, reader, fault);
	if (err || !is_of_another_log(log, wal_segment_reader_info(*reader)))
		return err;
	/* Events of another log are never given out as this one's. */
	wal_segment_reader_close(*reader);
	*reader = NULL;
	if (fault)
		*fault = other_log_fault(index);
	return -EUCLEAN;
}

int wal_log_reader_open(struct wal_log *log, uint32_t index, unsigned flags,
			struct wal_segment_reader **reader, struct wal_fault *fault)
{
	int err = open_any(log, index, flags, reader, fault);

	/* O_DIRECT is the descriptor's: who reads so has one of its own */
	if (err || wal_segment_reader_is_direct(*reader))
		return err;
	err = wal_segment_reader_share(*reader, &log->files);
	if (!err)
		return 0;
	wal_segment_reader_close(*reader);
	*reader = NULL;
	if (fault)
		*fault = (struct wal_fault){
			.kind = WAL_FAULT_IO, .segment = index, .block = WAL_NO_BLOCK};
	return err;
}

int wal_log_reader_refresh(struct wal_log *log, struct wal_segment_reader *reader)
{
	struct wal_tail tail;

	if (reader->sealed || reader->info.state == WAL_DAMAGED)
		return 0;
	if (unsealed_tail(log, reader->info.index, &tail)) {
		wal_segment_reader_set_tail(reader, &tail);
		return 0;
	}
	return reader->live ? wal_segment_reader_reload(reader) : 0;
}

/* --- statistics ------------------------------------------------------------------------------- */

static void stats_of_segments(const struct wal_log *log, struct wal_stats *stats)
{
	stats->damaged_segments = log->damaged_count;
	stats->sealing_segments = log->maintainer.count;
	stats->sealed_segments = (uint32_t)log->entry_count - log->maintainer.count -
				 (log->writing || log->view_current ? 1 : 0);
}

void wal_log_stats(struct wal_log *log, struct wal_stats *stats)
{
	struct wal_append_point point;
	int error = 0;

	memset(stats, 0, sizeof(*stats));
	wal_telemetry_read(&log->telemetry, stats);
	pthread_mutex_lock(&log->lock);
	if (log->preparer.running)
		stats->ready_segments = wal_segment_preparer_ready(&log->preparer, &error);
	stats_of_segments(log, stats);
	stats->durable_event = log->durable.event;
	stats->incarnation = log->meta.incarnation;
	stats->held_bytes = log->held_bytes;
	stats->failed = log->failed;
	memcpy(stats->failure, log->failure, sizeof(stats->failure));
	stats->no_space = log->pending || wal_is_no_space(error) ||
			  wal_is_no_space(log->starting_error) || log->writing_error ||
			  log->maintainer.no_space ||
			  log->meta_no_space;
	stats->sync_waiters = log->committer.waiting;
	if (log->writing) {
		point = wal_segment_writer_point(&log->writer);
		stats->next_event = log->writer.next_event;
		stats->active_segment = log->writer.header.index;
		stats->active_payload_bytes = log->writer.payload_bytes;
		stats->active_room_bytes = wal_segment_writer_room(&log->writer, &point);
	}
	pthread_mutex_unlock(&log->lock);
}
