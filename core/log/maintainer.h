/* SPDX-License-Identifier: MIT */
/*
 * The thread that takes a segment from rotation to the end of its life: syncs its
 * data, seals it, and, where a retention option says so, removes it. It also
 * rotates by age.
 */
#ifndef WALFS_CORE_LOG_MAINTAINER_H
#define WALFS_CORE_LOG_MAINTAINER_H

#include "core/log/log.h"

/* Return: 0 or -errno. */
int wal_maintainer_start(struct wal_log *log);
/* Seals what is left (unless the log failed or has no space), then ends the thread. */
void wal_maintainer_stop(struct wal_log *log);

#endif
