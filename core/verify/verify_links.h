/* SPDX-License-Identifier: MIT */
/*
 * Inside core/verify: the check of a store, and what must hold between one of its segments and
 * those before it.
 */
#ifndef WALFS_CORE_VERIFY_LINKS_H
#define WALFS_CORE_VERIFY_LINKS_H

#include "core/segment/segment_reader.h"
#include "core/verify/verify.h"
#include "core/verify/verify_plan.h"

struct wal_store_check {
	const struct wal_verify_options *options;
	struct wal_verify_result *result;
	struct wal_verify_progress progress;
	int dirfd;
	struct wal_store_plan plan;
	const struct wal_store_list *list;
	struct wal_durable durable; /* as wal.meta says */
	uint8_t log[16];
	bool has_meta;
	bool has_log;
	uint32_t looking_at;
	uint32_t last_sealed; /* the last valid sealed one, when the check began; 0: none */

	/* The segment before. */
	bool known;
	uint32_t index;
	uint64_t chain;
	uint64_t next_event;
	uint64_t created_ns;
	uint64_t closed_ns;
	bool ends_unsealed; /* it is not sealed, and nothing was found wrong in it */
	uint64_t end;	    /* its file's, or of its last event if it is not sealed */

	uint64_t given;	  /* ids below this one are of segments before */
	bool saw_durable; /* the segment that D is in was there, and reaches it */
};

/* Of a segment, what its neighbours have to fit. */
struct wal_store_place {
	const struct wal_segment_info *info;
	const struct wal_tail *tail; /* NULL: it is sealed */
	uint64_t chain;
};

/* Where in the store, as opposed to in a block. */
struct wal_store_spot {
	uint32_t segment;
	uint64_t offset;
};

static inline struct wal_store_spot wal_store_spot(uint32_t segment, uint64_t offset)
{
	return (struct wal_store_spot){segment, offset};
}

void wal_store_report(struct wal_store_check *c, enum wal_fault_kind kind,
		      struct wal_store_spot spot, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Is it of this log, and does it continue what is before it? */
void wal_store_check_links(struct wal_store_check *c, const struct wal_segment_info *info);
/* It is what the next one has to fit. faults: that were found in it. */
void wal_store_check_remember(struct wal_store_check *c, const struct wal_store_place *place,
			      uint64_t faults);
/* Nothing of it is known, and so the next one has nothing to fit. */
void wal_store_check_pass_unknown(struct wal_store_check *c, uint32_t index);

#endif
