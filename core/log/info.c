/* SPDX-License-Identifier: MIT */
/* What is known of a segment: read from it once, and then kept. */
#include "core/log/info.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/log/closed.h"
#include "core/log/table.h"
#include "core/segment/segment_writer_info.h"

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

bool wal_log_is_foreign(const struct wal_log *log, const struct wal_segment_info *info)
{
	static const uint8_t unknown[16];

	return memcmp(info->log, log->meta.log, sizeof(info->log)) != 0 &&
	       memcmp(info->log, unknown, sizeof(info->log)) != 0;
}

struct wal_fault wal_log_foreign_fault(uint32_t index)
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
 * went past and is not sealed is damaged, though the segments after it do not tell any more.
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

int wal_log_open_finished(struct wal_log *log, uint32_t index, unsigned flags,
			  struct wal_segment_reader **r, struct wal_fault *fault)
{
	char name[WAL_NAME_MAX];
	const struct wal_segment_source source = {
		.dirfd = log->dirfd, .name = name, .index = index, .flags = flags};
	int err;

	wal_segment_name(index, name);
	err = wal_segment_reader_open(&source, r, fault);
	if (!err && look_for_damage(log, *r))
		wal_segment_reader_salvage(*r);
	return err;
}

static int read_info(struct wal_log *log, uint32_t index, struct wal_segment_info *info)
{
	struct wal_segment_reader *r;
	struct wal_fault fault;
	int err = wal_log_open_finished(log, index, 0, &r, &fault);

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
	if (wal_log_is_foreign(log, info)) {
		info->state = WAL_DAMAGED;
		info->fault = wal_log_foreign_fault(index);
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
	closed = wal_closed_find(log, index);
	if (log->writing && index == log->writer.header.index) {
		wal_segment_writer_info(&log->writer, info);
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
