/* SPDX-License-Identifier: MIT */
/* Where those that write without O_APPEND may go on. */
#include "sequential.h"

#include <stdlib.h>

#define NONE UINT64_MAX
#define ENDS (WALFS_ENDS_FIRST + WALFS_ENDS_LAST)

void walfs_sequential_init(struct walfs_sequential *all)
{
	pthread_mutex_init(&all->lock, NULL);
	all->by_ino = (struct walfs_table){.buckets = NULL};
}

void walfs_sequential_destroy(struct walfs_sequential *all)
{
	walfs_table_destroy(&all->by_ino, NULL);
	pthread_mutex_destroy(&all->lock);
}

struct walfs_writer *walfs_sequential_add(struct walfs_sequential *all, uint64_t ino, uint64_t id,
					  uint64_t end)
{
	struct walfs_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->id = id;
	writer->written = NONE;
	writer->sought = NONE;
	writer->ends[writer->count++] = end;
	pthread_mutex_lock(&all->lock);
	walfs_table_add(&all->by_ino, &writer->by_ino, ino);
	pthread_mutex_unlock(&all->lock);
	return writer;
}

void walfs_sequential_remove(struct walfs_sequential *all, struct walfs_writer *writer)
{
	pthread_mutex_lock(&all->lock);
	walfs_table_remove(&all->by_ino, &writer->by_ino);
	pthread_mutex_unlock(&all->lock);
	free(writer);
}

/* Lock held. */
static bool was_told(const struct walfs_writer *writer, uint64_t end)
{
	size_t kept = writer->count < ENDS ? writer->count : ENDS;

	for (size_t i = 0; i < kept; i++) {
		if (writer->ends[i] == end)
			return true;
	}
	return false;
}

/* Lock held. The first stay; of the others the oldest makes room. */
static void keep_end(struct walfs_writer *writer, uint64_t end)
{
	size_t at = writer->count;

	if (was_told(writer, end))
		return;
	if (at >= WALFS_ENDS_FIRST)
		at = WALFS_ENDS_FIRST + (at - WALFS_ENDS_FIRST) % WALFS_ENDS_LAST;
	writer->ends[at] = end;
	writer->count++;
}

void walfs_sequential_tell(struct walfs_sequential *all, uint64_t ino, uint64_t id, uint64_t size)
{
	struct walfs_table_node *first, *node;
	struct walfs_writer *writer;

	pthread_mutex_lock(&all->lock);
	first = walfs_table_find(&all->by_ino, ino);
	for (node = first; node; node = walfs_table_next(first, node)) {
		writer = (struct walfs_writer *)node; /* its first member */
		if (writer->id == id)
			writer->sought = size;
		else if (!id)
			keep_end(writer, size);
	}
	pthread_mutex_unlock(&all->lock);
}

bool walfs_sequential_goes_on(struct walfs_sequential *all, const struct walfs_writer *writer,
			      uint64_t offset)
{
	bool goes_on;

	pthread_mutex_lock(&all->lock);
	goes_on = offset == writer->written || offset == writer->sought || was_told(writer, offset);
	pthread_mutex_unlock(&all->lock);
	return goes_on;
}

void walfs_sequential_wrote(struct walfs_sequential *all, struct walfs_writer *writer, uint64_t end)
{
	pthread_mutex_lock(&all->lock);
	writer->written = end;
	writer->sought = NONE;
	writer->count = 0;
	pthread_mutex_unlock(&all->lock);
}
