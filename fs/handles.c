/* SPDX-License-Identifier: MIT */
/* Open file descriptions, by number. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "walfs.h"

static struct walfs_handle_slot *free_slot(struct walfs_handles *handles)
{
	size_t i, grown = handles->count ? handles->count * 2 : 64;
	struct walfs_handle_slot *slots;

	for (i = handles->next_free; i < handles->count; i++)
		if (!handles->slots[i].handle)
			goto found;
	slots = reallocarray(handles->slots, grown, sizeof(*slots));
	if (!slots)
		return NULL;
	memset(slots + handles->count, 0, (grown - handles->count) * sizeof(*slots));
	i = handles->count;
	handles->slots = slots;
	handles->count = grown;
found:
	handles->next_free = i + 1; /* no free one below */
	return &handles->slots[i];
}

struct walfs_handle *walfs_handle_new(struct walfs *fs, fuse_ino_t ino, bool writable)
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
	handle->segment = walfs_ino_segment(ino);
	handle->writable = writable;
	walfs_frame_init(&handle->frame, fs->log);
	return handle;
}

struct walfs_handle *walfs_handle_get(struct walfs *fs, uint64_t id)
{
	size_t i = (uint32_t)id;

	if (i >= fs->handles.count || fs->handles.slots[i].generation != id >> 32)
		return NULL;
	return fs->handles.slots[i].handle;
}

static void destroy(struct walfs_handle *handle)
{
	if (handle->reader)
		wal_segment_reader_close(handle->reader);
	walfs_report_destroy(&handle->report);
	/* What could not be appended at the end needs no room any more. */
	wal_log_hold(handle->fs->log, &handle->frame.hold, 0);
	walfs_frame_destroy(&handle->frame);
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
	if (i < fs->handles.next_free)
		fs->handles.next_free = i;
	walfs_strand_end(&fs->workers, &handle->strand, strand_idle);
}

struct walfs_handle *walfs_handle_find(struct walfs *fs, fuse_ino_t ino)
{
	struct walfs_handle *handle;
	size_t i;

	for (i = 0; i < fs->handles.count; i++) {
		handle = fs->handles.slots[i].handle;
		if (handle && handle->ino == ino)
			return handle;
	}
	return NULL;
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
	int error, first = 0;
	size_t i;

	for (i = 0; i < fs->handles.count; i++) {
		handle = fs->handles.slots[i].handle;
		if (!handle)
			continue;
		error = walfs_frame_finish(&handle->frame, fs->log);
		if (error && !first)
			first = error;
		destroy(handle);
	}
	free(fs->handles.slots);
	memset(&fs->handles, 0, sizeof(fs->handles));
	return first;
}
