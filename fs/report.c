/* SPDX-License-Identifier: MIT */
/* `.walfs/`: what the daemon says of itself, gathered at one moment. */
#include "report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static void gather(struct walfs *fs, struct walfs_view *view)
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

int walfs_report_make(struct walfs *fs, enum walfs_kind kind, struct walfs_report *report)
{
	struct walfs_view *view = malloc(sizeof(*view));
	FILE *out = view ? open_memstream(&report->text, &report->size) : NULL;
	int error = -ENOMEM;

	if (out) {
		gather(fs, view);
		if (view->store_label)
			error = kind == WALFS_METRICS ? walfs_report_metrics(view, out)
						      : walfs_report_status(view, out);
		free(view->store_label);
		if (fclose(out) && !error)
			error = -ENOMEM;
	}
	if (error)
		walfs_report_destroy(report);
	free(view);
	return error;
}

void walfs_report_destroy(struct walfs_report *report)
{
	free(report->text);
	*report = (struct walfs_report){.text = NULL};
}
