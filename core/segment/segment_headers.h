/* SPDX-License-Identifier: MIT */
/* The two headers of a segment: which of them is believed, and does the rest agree with it? */
#ifndef WALFS_CORE_SEGMENT_HEADERS_H
#define WALFS_CORE_SEGMENT_HEADERS_H

#include "core/segment/segment_reader.h"

/* The two headers of a segment, and what is wrong with each. */
struct wal_segment_headers {
	struct wal_segment_header active;
	struct wal_segment_header seal;
	enum wal_fault_kind active_kind;
	enum wal_fault_kind seal_kind; /* of what is not all zero */
	bool has_seal;
};

/* From r->area, which was read, with the file's size. */
void wal_segment_headers_decode(struct wal_segment_reader *r, struct wal_segment_headers *h);
/* What a believed seal header adds; the rest is the active header's, if that holds. */
struct wal_segment_header wal_segment_headers_sealed(const struct wal_segment_headers *h);
/* A believed seal header: does everything else agree with it? Return: 0 or the fault's errno. */
int wal_segment_headers_check_seal(struct wal_segment_reader *r,
				   const struct wal_segment_headers *h);
/* The header area's reserved bytes. Return: 0 or the fault's errno. */
int wal_segment_headers_check_reserved(struct wal_segment_reader *r);

#endif
