/* SPDX-License-Identifier: MIT */
/*
 * The states of the decision table (docs/FORMAT.md 10.2), each as a store that
 * can be built, and what recovery must make of it. Events are "event ID\n".
 */
#ifndef WALFS_TESTS_STATES_H
#define WALFS_TESTS_STATES_H

#include "tests/support.h"

#define STATE_RANGES 4
#define STATE_ANY_NOTICE "?" /* told or not */

struct state {
	const char *row;  /* R1 ... */
	const char *name; /* the state, as a sentence */
	void (*build)(const char *store);

	int error;	     /* of wal_log_open: then nothing changes and nothing else is checked */
	uint32_t current;    /* the segment that is appended to afterwards */
	uint64_t next_event; /* the id of the next event */
	/* Events that can be read afterwards, in order; unused: 0. */
	struct {
		uint64_t first;
		uint64_t last;
	} kept[STATE_RANGES];
	uint32_t bits;	      /* recovery bits of current's first record, or of the RESUME record */
	bool resumed;	      /* current is a segment that was there */
	unsigned torn;	      /* .torn- files afterwards */
	uint32_t damaged;     /* a segment that is damaged and keeps every byte; 0: none */
	uint32_t damaged_too; /* another such segment */
	uint32_t untouched;   /* a segment that keeps every byte, whatever its state */
	const char *notice;   /* part of a warning; NULL: there is none at all */
	uint64_t incarnation; /* afterwards; 0: not checked */
	uint32_t bad_segment; /* a sector of it that the disk does not give back */
	uint64_t bad_offset;
};

extern const struct state states[];
extern const size_t state_count;

#endif
