/* SPDX-License-Identifier: MIT */
/*
 * walctl cat: what is wanted of a path, and how far it is. The events of a segment go to take(),
 * which prints them, or keeps them for who prints them in another order.
 */
#ifndef WALCTL_CAT_H
#define WALCTL_CAT_H

#include "walctl.h"

struct cat_ranges;

struct held_event {
	struct wal_event event; /* but for its payload */
	size_t at;		/* where that is */
	bool damaged;
};

/* Events one after the other, and their payloads. */
struct held {
	struct held_event *events;
	size_t count;
	size_t event_capacity;
	uint8_t *bytes;
	size_t size;
	size_t byte_capacity;
};

enum cat_format { CAT_RAW, CAT_SHORT, CAT_JSON, CAT_TEMPLATE };

struct cat {
	uint64_t from; /* ids, both included */
	uint64_t to;
	uint64_t since_ns; /* times, until is excluded */
	uint64_t until_ns;
	bool has_until;
	uint64_t limit; /* so many records, the last ones; 0: all */
	bool reverse;
	bool grep;
	enum cat_format format;
	const char *template;
	bool damaged;
	bool printed;  /* an event of this path */
	bool counting; /* nothing is printed or said: where do the last `limit` records begin? */
	uint64_t taken;
	uint64_t last_id;      /* of the record that was taken last */
	uint64_t first_id;     /* in the segment that comes next, what is below is not wanted */
	struct wal_fault said; /* the last fault that was */
	struct held held;
	/* An event that is wanted. Return: false if no more is. */
	bool (*take)(struct cat *cat, const struct wal_event *event, bool damaged);
	struct sequence sequence;
	enum status worst;
};

/* What the segment that was looked at means for the ones after it. */
enum next { NEXT_SEGMENT, NEXT_NONE };

/* --- cmd_cat.c ------------------------------------------------------------------------ */

/* Prints an event in the format that was asked for. Return: false if stdout takes no more. */
bool cat_put(struct cat *cat, const struct wal_event *event, bool damaged);

/* --- cat_segment.c ------------------------------------------------------------------- */

/* Takes what is wanted of the n-th segment, in order. */
enum next cat_nth(struct cat *cat, const struct target *target, size_t n);
/* Of missing events those that are wanted. */
void cat_report_gap(struct cat *cat, const struct target *target, struct gap gap);

/* --- cat_held.c ----------------------------------------------------------------------- */

void held_add(struct held *held, const struct wal_event *event, bool damaged);
/* Return: where the record begins that ends before `end`: its first event has no CONT. */
size_t held_record(const struct held *held, size_t end);
/* Of events next to each other. */
const uint8_t *held_payload(const struct held *held, size_t first, size_t end, size_t *size);
/* Prints these. Return: as cat_put(). */
bool held_put(struct cat *cat, size_t first, size_t end);
void held_clear(struct held *held);
void held_destroy(struct held *held);

/* --- cat_match.c ------------------------------------------------------------------------ */

#define MATCH_WHY 256
/* Return: whether the pattern is one; why says what is wrong with it. */
bool cat_match_compile(const char *pattern, bool ignore_case, char why[MATCH_WHY]);
/* A newline at the end is no part of what is matched. */
bool cat_match(const uint8_t *payload, size_t size);
void cat_match_free(void);

/* --- cat_reverse.c ---------------------------------------------------------------------- */

/*
 * The records of the ranges, the last first; `limit` of them. Return: the segment that the last
 * one taken was in, and last_id is where it begins; 0 and 0 if there were not enough.
 */
size_t cat_in_reverse(struct cat *cat, const struct target *target,
		      const struct cat_ranges *ranges);

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
/* Return: whether the n-th segment can be read, or that much of it. */
bool cat_read_info(const struct target *target, size_t n, struct wal_segment_info *info);

#endif
