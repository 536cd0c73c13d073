/* SPDX-License-Identifier: MIT */
/* What is known of a segment that is being written. */
#ifndef WALFS_CORE_SEGMENT_WRITER_INFO_H
#define WALFS_CORE_SEGMENT_WRITER_INFO_H

#include "core/segment/segment_writer.h"

void wal_segment_writer_info(const struct wal_segment_writer *w, struct wal_segment_info *info);

#endif
