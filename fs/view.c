/* SPDX-License-Identifier: MIT */
/* The daemon at one moment. */
#include "view.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

char *walfs_path_text(const char *path)
{
	json_t *value = json_string(path); /* refuses what is not UTF-8 */
	char *text = value ? strdup(path) : malloc(4 * strlen(path) + 1), *end = text;

	for (; text && !value && *path; path++) {
		if (*path >= ' ' && *path <= '~')
			*end++ = *path;
		else
			end += sprintf(end, "\\x%02x", (unsigned char)*path);
	}
	if (text && !value)
		*end = '\0';
	json_decref(value);
	return text;
}

/* name="value", escaped as a label of a metric has to be. Return: to be freed; or NULL. */
static char *label_of(const char *name, const char *value)
{
	char *text = walfs_path_text(value);
	char *label = text ? malloc(strlen(name) + 2 * strlen(text) + 4) : NULL, *end = label;
	const char *from = text;

	if (label)
		end += sprintf(end, "%s=\"", name);
	for (; label && *from; from++) {
		if (*from == '\\' || *from == '"' || *from == '\n')
			*end++ = '\\';
		*end++ = *from == '\n' ? 'n' : *from;
	}
	if (label)
		strcpy(end, "\"");
	free(text);
	return label;
}

void walfs_view_gather(struct walfs *fs, struct walfs_view *view)
{
	*view = (struct walfs_view){
		.fs = fs,
		.now_ns = walfs_clock_ns(CLOCK_REALTIME),
		.uptime_ns = walfs_clock_ns(CLOCK_MONOTONIC) - fs->started_clock_ns,
	};
	wal_log_stats(fs->log, &view->stats);
	wal_log_position(fs->log, &view->position);
	if (view->position.segment &&
	    wal_log_segment_info(fs->log, view->position.segment, &view->current))
		view->current.index = 0;
	wal_log_segments(fs->log, 0, &view->first_segment, 1);
	if (fstatvfs(wal_log_dirfd(fs->log), &view->space))
		memset(&view->space, 0, sizeof(view->space));
	walfs_last_said(&view->warning, &view->error);
	view->dropped_messages = walfs_notices_dropped();
	view->store_label = label_of("store", fs->options.store);
}

void walfs_view_destroy(struct walfs_view *view)
{
	free(view->store_label);
}

enum walfs_health walfs_view_health(const struct walfs_view *view, const char **reason)
{
	*reason = NULL;
	if (view->stats.failed) {
		*reason = view->stats.failure;
		return WALFS_READ_ONLY;
	}
	if (wal_log_is_read_only(view->fs->log)) {
		*reason = "mounted with the option ro";
		return WALFS_READ_ONLY;
	}
	if (view->stats.no_space) {
		*reason = strerror(ENOSPC);
		return WALFS_NO_SPACE;
	}
	return WALFS_ACTIVE;
}
