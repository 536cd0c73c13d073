/* SPDX-License-Identifier: MIT */
/*
 * walctl cat: what is wanted of a path, and how far it is. The events of a segment go to take(),
 * which prints them, or keeps them for who prints them in another order.
 */
#ifndef WALCTL_CAT_H
#define WALCTL_CAT_H

#include "walctl.h"

struct cat {
	uint64_t from; /* ids, both included */
	uint64_t to;
	uint64_t since_ns; /* times, until is excluded */
	uint64_t until_ns;
	bool has_until;
	bool json;
	bool damaged;
	bool printed; /* an event of this path */
	/* An event that is wanted. Return: false if no more is. */
	bool (*take)(struct cat *cat, const struct wal_event *event, bool damaged);
	struct sequence sequence;
	enum status worst;
};

/* What the segment that was looked at means for the ones after it. */
enum next { NEXT_SEGMENT, NEXT_NONE };

/* --- cat_segment.c ------------------------------------------------------------------- */

/* Takes what is wanted of the n-th segment, in order. */
enum next cat_nth(struct cat *cat, const struct target *target, size_t n);
/* Of missing events those that are wanted. */
void cat_report_gap(struct cat *cat, const struct target *target, struct gap gap);

/* --- cat_place.c --------------------------------------------------------------------- */

/* Segments next to each other: from the first on, and before end. */
struct cat_range {
	size_t first;
	size_t end;
};

struct cat_ranges {
	struct cat_range *list; /* in order */
	size_t count;
};

/*
 * In which segments the ids and times are that are wanted; no other has any. Those whose times
 * are in order (wal_segment_info.time_run) are searched, others are all taken.
 */
void cat_ranges_find(const struct cat *cat, const struct target *target, struct cat_ranges *ranges);
void cat_ranges_destroy(struct cat_ranges *ranges);

#endif
