/* SPDX-License-Identifier: MIT */
/* What verifying a store and verifying a segment share. */
#ifndef WALFS_CORE_VERIFY_H
#define WALFS_CORE_VERIFY_H

#include <walfs/wal.h>

#include "core/segment/walk.h"

/* Counts a fault and reports it to the caller. */
void wal_verify_report(const struct wal_verify_options *options, struct wal_verify_result *result,
		       const char *name, const struct wal_fault *fault);
/* Counts a note and reports it to the caller. */
void wal_verify_note(const struct wal_verify_options *options, struct wal_verify_result *result,
		     const char *name, const struct wal_fault *note);
/* Return: 0; 1 if the segment cannot be opened, which was reported as its fault; -errno. */
int wal_verify_open(const struct wal_segment_source *source, struct wal_segment_reader **reader,
		    const struct wal_verify_options *options, struct wal_verify_result *result);
/* Adds to result. Return: 0, -EIO or -ECANCELED. */
int wal_verify_reader(struct wal_segment_reader *reader, const char *name,
		      const struct wal_verify_options *options, struct wal_verify_result *result,
		      struct wal_verify_progress *progress);

/* Bytes after the last event of an unsealed segment, as its fault. Return: whether any are. */
bool wal_verify_tail(const struct wal_verify_options *options, struct wal_verify_result *result,
		     const char *name, uint32_t index, const struct wal_tail *tail);
/* Counts bytes that are done with. Return: 0; -ECANCELED if the caller does not go on. */
int wal_verify_progressed(const struct wal_verify_options *options,
			  struct wal_verify_progress *progress, uint32_t segment, uint64_t bytes);

#endif
