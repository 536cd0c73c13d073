/* SPDX-License-Identifier: MIT */
/*
 * The memory of readers. Each keeps the block it read last, so that a read that goes on
 * there does not check it again; but any number of files may be open, so only those that were
 * read last keep theirs. One that is being read is not in the list.
 */
#include "walfs.h"

void walfs_readers_init(struct walfs_readers *readers)
{
	pthread_mutex_init(&readers->lock, NULL);
}

void walfs_readers_destroy(struct walfs_readers *readers)
{
	pthread_mutex_destroy(&readers->lock);
}

static uint32_t block_size_of(const struct walfs_handle *handle)
{
	return wal_segment_reader_info(handle->reader)->block_size;
}

/* Lock held. */
static void take_out(struct walfs_readers *readers, struct walfs_handle *handle)
{
	if (!handle->keeps_block)
		return;
	handle->keeps_block = false;
	readers->bytes -= block_size_of(handle);
	if (handle->read_before)
		handle->read_before->read_after = handle->read_after;
	else
		readers->first = handle->read_after;
	if (handle->read_after)
		handle->read_after->read_before = handle->read_before;
	else
		readers->last = handle->read_before;
}

void walfs_reader_begin(struct walfs_handle *handle)
{
	struct walfs_readers *readers = &handle->fs->readers;

	pthread_mutex_lock(&readers->lock);
	take_out(readers, handle);
	pthread_mutex_unlock(&readers->lock);
}

/* Lock held. Those that were read longest ago give theirs back. */
static void keep_within_bound(struct walfs_readers *readers, uint32_t block_size)
{
	uint64_t least = (uint64_t)WALFS_WORKERS * block_size;
	struct walfs_handle *handle;

	while (readers->bytes > WALFS_READ_BLOCKS && readers->bytes > least) {
		handle = readers->first;
		take_out(readers, handle);
		wal_segment_reader_rest(handle->reader);
	}
}

void walfs_reader_end(struct walfs_handle *handle)
{
	struct walfs_readers *readers = &handle->fs->readers;

	if (!handle->reader)
		return;
	pthread_mutex_lock(&readers->lock);
	handle->keeps_block = true;
	handle->read_after = NULL;
	handle->read_before = readers->last;
	if (readers->last)
		readers->last->read_after = handle;
	else
		readers->first = handle;
	readers->last = handle;
	readers->bytes += block_size_of(handle);
	keep_within_bound(readers, block_size_of(handle));
	pthread_mutex_unlock(&readers->lock);
}
