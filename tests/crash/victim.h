/* SPDX-License-Identifier: MIT */
/*
 * A store whose every event is known, and the judgement of what is left of it after
 * somebody changed its bytes: in a process of its own, with little memory.
 */
#ifndef WALFS_TESTS_CRASH_VICTIM_H
#define WALFS_TESTS_CRASH_VICTIM_H

#include "tests/crash/run.h"

#define VICTIM_EVENTS_MAX 512u

struct victim_event {
	uint32_t segment;
	uint32_t block;
	uint64_t start; /* file offset */
	uint64_t end;	/* behind its padding */
};

/* Events are 1, 2, 3 ...; event i is record i - 1 of the history. */
struct victim {
	struct history history;
	struct image image;
	struct victim_event events[VICTIM_EVENTS_MAX];
	size_t count;
	uint32_t segments;
	uint32_t sealed;     /* the first so many of them */
	bool durable_at_end; /* D is, at the last event's end */
};

enum victim_end {
	VICTIM_CLOSED,	/* in order: D is at the end */
	VICTIM_SEALED,	/* the last segment is sealed, the next one is not there */
	VICTIM_DURABLE, /* killed, D at the end */
	VICTIM_BEHIND,	/* killed, D at the start of the last segment */
	VICTIM_SMALL,	/* closed in order, a block a segment */
};

void victim_make(struct victim *victim, enum victim_end end, uint64_t seed);
void victim_destroy(struct victim *victim);

/* What of the victim must still be readable: one flag an event. */
struct demand {
	bool must[VICTIM_EVENTS_MAX];
	bool report;	     /* verify finds a fault, before the log is opened and after */
	uint32_t unreadable; /* reading all of this segment meets an error; 0: none */
};

void demand_all(const struct victim *victim, struct demand *demand);
void demand_nothing_of(const struct victim *victim, uint32_t segment, struct demand *demand);
/* Nor of this segment from the offset on. by_block: a block is there as a whole or not. */
void demand_nothing_behind(const struct victim *victim, uint32_t segment, uint64_t offset,
			   bool by_block, struct demand *demand);

/* A report if a sealed segment is not what it was, or an event below D. */
void demand_report(const struct victim *victim, const struct image *changed, struct demand *demand);

/*
 * Verifies the changed store, opens it read-only and to write, reads all of it, appends,
 * closes, opens it again, verifies. It may be refused, with words. Never: a crash, a hang,
 * bytes that were not appended, an event lost that the demand names, damage that is not
 * reported, a sealed segment written to, more than 256 MiB of memory.
 */
void victim_judge(const struct victim *victim, const struct image *changed,
		  const struct demand *demand, const char *what);

#endif
