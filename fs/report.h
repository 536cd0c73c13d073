/* SPDX-License-Identifier: MIT */
/* The texts of the files of `.walfs/`. */
#ifndef WALFS_FS_REPORT_H
#define WALFS_FS_REPORT_H

#include <stdio.h>

#include "view.h"

/* Each writes one file. Return: 0 or -errno; what out refuses is noticed by its owner. */
int walfs_report_metrics(const struct walfs_view *view, FILE *out);
int walfs_report_status(const struct walfs_view *view, FILE *out);

#endif
