/* SPDX-License-Identifier: MIT */
/* The daemon at one moment: what the files of `.walfs/` are made of. */
#ifndef WALFS_FS_VIEW_H
#define WALFS_FS_VIEW_H

#include <sys/statvfs.h>

#include "walfs.h"

/* The daemon as it is now. */
struct walfs_view {
	const struct walfs *fs;
	uint64_t now_ns; /* CLOCK_REALTIME */
	uint64_t uptime_ns;
	struct wal_stats stats;
	struct wal_log_position position;
	struct wal_segment_info current; /* index 0: there is none */
	uint32_t first_segment;		 /* the oldest finished one; 0: none */
	struct statvfs space;
	struct walfs_said warning, error;
	uint64_t dropped_messages;
	char *store_label; /* store="...", as a metric's label */
};

/* A worker's. It has no store_label without memory. */
void walfs_view_gather(struct walfs *fs, struct walfs_view *view);
void walfs_view_destroy(struct walfs_view *view);

enum walfs_health { WALFS_ACTIVE, WALFS_READ_ONLY, WALFS_NO_SPACE };

/* Return: the state; reason says why if it is not active, and is NULL if it is. */
enum walfs_health walfs_view_health(const struct walfs_view *view, const char **reason);

/* A path as UTF-8; one that is not has its odd bytes as \xNN. Return: to be freed; or NULL. */
char *walfs_path_text(const char *path);

#endif
