/* SPDX-License-Identifier: MIT */
/* What walctl diff finds, and how far it is. */
#ifndef WALCTL_DIFF_H
#define WALCTL_DIFF_H

#include "walctl.h"

enum { STORE, COPY, SIDES };

/* Of events that only one side has, or that differ: ids that follow each other are one row. */
enum finding { ONLY_IN_STORE, ONLY_IN_COPY, DIFFERS, FINDINGS };

struct side {
	struct stream stream;
	struct wal_event event;
	bool has_event;
	bool at_start; /* of its segment: nothing of that was read */
	bool began;    /* an event of it was met */
	uint64_t last; /* and the last of them */
	bool has_log;
	uint8_t log[16];
	struct diff *diff;
};

struct diff {
	struct side sides[SIDES];
	bool full;
	bool prefix;
	bool any_log;
	bool json;
	bool quiet;
	struct progress progress;
	struct wal_verify_progress done;
	uint64_t compared; /* events that both have */
	uint64_t skipped;  /* segments that were not read */
	enum finding finding;
	uint64_t first, last; /* the row that is not closed yet; 0: none */
	const char *what;     /* DIFFERS: payload ... */
	bool allowed;	      /* of it: --prefix does not mind */
	enum status worst;
	json_t *differences, *notes, *faults; /* --json */
};

/* A line, or one of the notes. */
void diff_note(struct diff *diff, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* All events of both. Return: whether it came to the end of them. */
bool diff_walk(struct diff *diff);

#endif
