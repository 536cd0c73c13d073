/* SPDX-License-Identifier: MIT */
/* Open file descriptions, by number. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "walfs.h"

#define NO_SLOT UINT32_MAX

/* Slots that are free are a list, in which the first free is the one that became so last. */
static int more_slots(struct walfs_handles *handles)
{
	size_t grown = handles->count ? handles->count * 2 : 64, i;
	struct walfs_handle_slot *slots;

	if (grown > NO_SLOT)
		return -ENOMEM;
	slots = reallocarray(handles->slots, grown, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (i = handles->count; i < grown; i++)
		slots[i] = (struct walfs_handle_slot){.next_free = (uint32_t)i + 1};
	slots[grown - 1].next_free = NO_SLOT;
	handles->first_free = (uint32_t)handles->count;
	handles->slots = slots;
	handles->count = grown;
	return 0;
}

static struct walfs_handle_slot *free_slot(struct walfs_handles *handles)
{
	struct walfs_handle_slot *slot;

	if ((!handles->count || handles->first_free == NO_SLOT) && more_slots(handles))
		return NULL;
	slot = &handles->slots[handles->first_free];
	handles->first_free = slot->next_free;
	return slot;
}

struct walfs_handle *walfs_handle_new(struct walfs *fs, fuse_ino_t ino, int flags)
{
	struct walfs_handle *handle = calloc(1, sizeof(*handle));
	struct walfs_handle_slot *slot;

	if (!handle)
		return NULL;
	slot = free_slot(&fs->handles);
	if (!slot) {
		free(handle);
		return NULL;
	}
	slot->handle = handle;
	slot->generation++;
	handle->fs = fs;
	handle->id = (uint64_t)slot->generation << 32 | (uint64_t)(slot - fs->handles.slots);
	handle->ino = ino;
	handle->kind = walfs_ino_kind(ino);
	handle->segment =
		handle->kind == WALFS_CURRENT ? wal_log_current(fs->log) : walfs_ino_segment(ino);
	handle->readable = (flags & O_ACCMODE) != O_WRONLY;
	handle->writable = (flags & O_ACCMODE) != O_RDONLY;
	if (handle->readable)
		walfs_table_add(&fs->handles.by_ino, &handle->by_ino, ino);
	walfs_frame_init(&handle->frame, fs->log, &fs->frames);
	return handle;
}

struct walfs_handle *walfs_handle_get(struct walfs *fs, uint64_t id)
{
	size_t i = (uint32_t)id;

	if (i >= fs->handles.count || fs->handles.slots[i].generation != id >> 32)
		return NULL;
	return fs->handles.slots[i].handle;
}

/* The loop's, as what all frames hold is counted without a lock. */
static void end_writing(struct walfs_handle *handle)
{
	if (handle->sequential)
		walfs_sequential_remove(&handle->fs->sequential, handle->sequential);
	/* What could not be appended at the end needs no room any more. */
	wal_log_hold(handle->fs->log, &handle->frame.hold, 0);
	walfs_frame_destroy(&handle->frame);
}

static void destroy(struct walfs_handle *handle)
{
	walfs_reader_begin(handle);
	if (handle->reader)
		wal_segment_reader_close(handle->reader);
	walfs_report_destroy(&handle->report);
	free(handle);
}

static void strand_idle(struct walfs_strand *strand)
{
	destroy((struct walfs_handle *)((char *)strand - offsetof(struct walfs_handle, strand)));
}

void walfs_handle_put(struct walfs_handle *handle)
{
	struct walfs *fs = handle->fs;
	size_t i = (uint32_t)handle->id;

	fs->handles.slots[i].handle = NULL;
	fs->handles.slots[i].next_free = fs->handles.first_free;
	fs->handles.first_free = (uint32_t)i;
	if (handle->readable)
		walfs_table_remove(&fs->handles.by_ino, &handle->by_ino);
	end_writing(handle);
	/* The last close of a segment that was removed takes as long as to free its space. */
	if (handle->readable)
		walfs_strand_end(&fs->workers, &handle->strand, strand_idle);
	else
		destroy(handle);
}

struct walfs_handle *walfs_handle_find(struct walfs *fs, fuse_ino_t ino)
{
	struct walfs_table_node *node = walfs_table_find(&fs->handles.by_ino, ino);

	if (!node)
		return NULL;
	node = node->before; /* of a ring: the one that was added last */
	return (struct walfs_handle *)((char *)node - offsetof(struct walfs_handle, by_ino));
}

void walfs_handle_reject(struct walfs_handle *handle)
{
	_Atomic(struct walfs_handle *) *first = &handle->fs->handles.unopened;

	handle->next_unopened = atomic_load(first);
	while (!atomic_compare_exchange_weak(first, &handle->next_unopened, handle))
		;
}

void walfs_handles_reap(struct walfs *fs)
{
	struct walfs_handle *handle, *next;

	if (!atomic_load_explicit(&fs->handles.unopened, memory_order_relaxed))
		return;
	for (handle = atomic_exchange(&fs->handles.unopened, NULL); handle; handle = next) {
		next = handle->next_unopened;
		walfs_handle_put(handle);
	}
}

int walfs_handles_end(struct walfs *fs)
{
	struct walfs_handle *handle;
	int err, first = 0;
	size_t i;

	for (i = 0; i < fs->handles.count; i++) {
		handle = fs->handles.slots[i].handle;
		if (!handle)
			continue;
		err = walfs_frame_finish(&handle->frame, fs->log);
		if (err && !first)
			first = err;
		end_writing(handle);
		destroy(handle);
	}
	walfs_table_destroy(&fs->handles.by_ino, NULL);
	free(fs->handles.slots);
	memset(&fs->handles, 0, sizeof(fs->handles));
	return first;
}
