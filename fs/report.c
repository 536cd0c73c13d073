/* SPDX-License-Identifier: MIT */
/* The files of `.walfs/`: what the daemon says of itself. */
#include "report.h"

#include <errno.h>
#include <stdlib.h>

int walfs_report_make(struct walfs *fs, enum walfs_kind kind, struct walfs_report *report)
{
	struct walfs_view *view = malloc(sizeof(*view));
	FILE *out = view ? open_memstream(&report->text, &report->size) : NULL;
	int err = -ENOMEM;

	if (out) {
		walfs_view_gather(fs, view);
		if (view->store_label)
			err = kind == WALFS_METRICS ? walfs_report_metrics(view, out)
						    : walfs_report_status(view, out);
		walfs_view_destroy(view);
		if (fclose(out) && !err)
			err = -ENOMEM;
	}
	if (err)
		walfs_report_destroy(report);
	free(view);
	return err;
}

void walfs_report_destroy(struct walfs_report *report)
{
	free(report->text);
	*report = (struct walfs_report){.text = NULL};
}
