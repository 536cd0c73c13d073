/* SPDX-License-Identifier: MIT */
/* A store in short, for who looks at it from outside: struct wal_store_info of <walfs/wal.h>. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/store/meta_store.h"
#include "core/store/store.h"
#include "core/store/store_view.h"

static void info_add_meta(struct wal_store_info *info, const struct wal_meta *meta)
{
	info->meta_valid = true;
	info->kept_from = meta->first_segment;
	memcpy(info->log, meta->log, sizeof(info->log));
	info->incarnation = meta->incarnation;
	info->block_size = meta->block_size;
	info->segment_size = meta->segment_bytes;
	info->framing = meta->framing;
	info->durable_segment = meta->durable.segment;
	info->durable_offset = meta->durable.offset;
	info->durable_event = meta->durable.event;
	info->clean = meta->clean;
	info->copy = meta->copy;
}

static int info_fill(int dirfd, const char *path, struct wal_store_info *info,
		     struct wal_error *error)
{
	struct wal_store_view view;
	struct wal_store_list *list = &view.list;
	int err = wal_store_view_read(dirfd, &view);

	if (err)
		return wal_error_set(error, err, "%s: cannot be listed: %s", path, strerror(-err));
	if (!list->count && !list->compressed_count && !list->has_meta) {
		err = wal_store_is_none(dirfd, path, list, error);
		wal_store_view_destroy(&view);
		return err;
	}
	if (view.meta_err == 0)
		info_add_meta(info, &view.meta);
	info->segments = list->segments;
	info->segment_count = list->count;
	info->first_segment = list->count ? list->segments[0] : 0;
	info->last_segment = wal_store_list_last(list);
	info->torn_count = list->torn_count;
	info->prepared_count = list->prepared_count;
	info->compressed = list->compressed;
	info->compressed_count = list->compressed_count;
	list->segments = NULL;
	list->compressed = NULL;
	wal_store_view_destroy(&view);
	wal_store_holder(dirfd, info->holder, sizeof(info->holder));
	return 0;
}

int wal_store_info_read(const char *path, struct wal_store_info *info, struct wal_error *error)
{
	int fd, err;

	memset(info, 0, sizeof(*info));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return wal_store_explain_open(path, -errno, error);
	err = info_fill(fd, path, info, error);
	close(fd);
	return err;
}

void wal_store_info_destroy(struct wal_store_info *info)
{
	free(info->segments);
	free(info->compressed);
	info->segments = NULL;
	info->compressed = NULL;
	info->compressed_count = 0;
	info->segment_count = 0;
}
