/* SPDX-License-Identifier: MIT */
/* The texts of the files of `.walfs/`. */
#ifndef WALFS_FS_REPORT_H
#define WALFS_FS_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "view.h"

/* Each writes one file. Return: 0 or -errno; what out refuses is noticed by its owner. */
int walfs_report_metrics(const struct walfs_view *view, FILE *out);
int walfs_report_status(const struct walfs_view *view, FILE *out);

/* The options that are the daemon's own, as status has them. Return: a new object; or NULL. */
json_t *walfs_options_json(const struct walfs_options *options);

#endif
