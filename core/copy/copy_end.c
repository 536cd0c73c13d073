/* SPDX-License-Identifier: MIT */
/* The end of a copy: what the store does not have, and how far the copy goes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/copy/copy.h"
#include "core/format/format.h"
#include "core/store/clock_steps.h"

/* Segments after the last that the store has were of a future that a power loss took back. */
static int set_aside_later(const struct wal_copy *copy, const struct wal_store_list *list,
			   uint32_t *count)
{
	size_t i;
	int err = 0;

	for (i = list->count; i > 0 && list->segments[i - 1] > copy->last && !err; i--) {
		err = wal_copy_set_aside(copy, list->segments[i - 1]);
		++*count;
	}
	return err;
}

/* Where the copy begins: with all that earlier runs brought and is continued by this one. */
static uint32_t first_of(const struct wal_store_list *list, uint32_t first,
			 struct wal_copy_end *end)
{
	size_t i = list->count;

	for (; i > 0 && list->segments[i - 1] + 1 >= first; i--) {
		if (list->segments[i - 1] + 1 == first)
			first--;
	}
	if (i > 0) {
		end->gap_first = list->segments[i - 1] + 1;
		end->gap_last = first - 1;
	}
	return first;
}

/* The end of the last segment, or what the store says, if that has lost it. */
static void settle_end(const struct wal_copy *copy, const struct wal_store_info *store,
		       struct wal_meta *meta)
{
	char name[WAL_NAME_MAX];
	const struct wal_segment_source place = {
		.dirfd = copy->dirfd, .name = name, .index = copy->last};
	struct wal_segment_reader *r = NULL;
	struct wal_block_header block;

	meta->durable = (struct wal_durable){store->durable_segment, store->durable_offset,
					     store->durable_event};
	wal_segment_name(copy->last, name);
	if (!copy->last || wal_segment_reader_open(&place, &r, NULL))
		return;
	if (!store->meta_valid) {
		meta->block_size = r->info.block_size;
		meta->framing = r->info.framing;
		meta->incarnation = r->info.incarnation;
		meta->segment_bytes = r->sealed ? r->info.file_bytes : r->tail.meta.segment_bytes;
	}
	if (r->info.state != WAL_DAMAGED && r->info.last_event >= store->durable_event) {
		meta->durable =
			(struct wal_durable){copy->last, r->tail.offset, r->info.last_event};
		if (r->sealed && !wal_reader_block_start(r, r->info.block_count - 1, &block))
			meta->durable.offset = wal_block_offset(r->info.block_size, block.index) +
					       WAL_BLOCK_HEADER + block.used_bytes;
	}
	wal_segment_reader_close(r);
}

/* Ages are reckoned with it. */
static int copy_clock_steps(const struct wal_copy *copy, int dirfd)
{
	struct wal_clock_steps steps = {0};

	if (wal_clock_steps_read(dirfd, &steps) || !steps.count)
		return 0;
	return wal_clock_steps_write(copy->io, copy->dirfd, &steps, NULL);
}

int wal_copy_finish(struct wal_copy *copy, int dirfd, const struct wal_store_info *store,
		    struct wal_copy_end *end, struct wal_error *error)
{
	uint32_t first = store->kept_from ? store->kept_from : store->first_segment;
	struct wal_store_list list;
	struct wal_meta meta;
	int err = wal_store_list_read(copy->dirfd, &list);

	*end = (struct wal_copy_end){0};
	if (err)
		return wal_error_set(error, err, "%s: %s", copy->path, strerror(-err));
	err = wal_meta_read(copy->dirfd, &meta, NULL);
	if (!err && store->meta_valid) {
		meta.block_size = store->block_size;
		meta.segment_bytes = store->segment_size;
		meta.framing = store->framing;
		meta.incarnation = store->incarnation;
	}
	if (!err)
		err = set_aside_later(copy, &list, &end->set_aside);
	if (!err)
		err = copy_clock_steps(copy, dirfd);
	if (!err) {
		settle_end(copy, store, &meta);
		meta.first_segment = first_of(&list, first, end);
		end->last_event = meta.durable.event;
		err = wal_copy_write_meta(copy, &meta, error);
	}
	wal_store_list_destroy(&list);
	return err && !error->code ? wal_error_set(error, err, "%s: %s", copy->path, strerror(-err))
				   : err;
}
