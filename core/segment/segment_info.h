/* SPDX-License-Identifier: MIT */
/* What a reader says of its segment (struct wal_segment_info), from where each part stands. */
#ifndef WALFS_CORE_SEGMENT_INFO_H
#define WALFS_CORE_SEGMENT_INFO_H

#include "core/segment/segment_reader.h"

void wal_segment_info_from_header(struct wal_segment_reader *r);
/* Of an unsealed segment. */
void wal_segment_info_from_tail(struct wal_segment_reader *r);
/* The payload's size, the last time and the chain. Return: 0 or the fault's errno. */
int wal_segment_info_from_last_block(struct wal_segment_reader *r, uint32_t block);
/*
 * Of a sealed segment, all that its blocks say. Where the last one is bad, the last good one
 * says how much there is to read. Return: 0 or the errno of the first fault.
 */
int wal_segment_info_from_blocks(struct wal_segment_reader *r);

#endif
