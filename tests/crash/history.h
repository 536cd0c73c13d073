/* SPDX-License-Identifier: MIT */
/*
 * What was appended to a log and what was promised of it, and the judgement of
 * the log that a recovery makes of a crash: guarantees 2 to 5.
 */
#ifndef WALFS_TESTS_CRASH_HISTORY_H
#define WALFS_TESTS_CRASH_HISTORY_H

#include <stdatomic.h>
#include <walfs/wal.h>

#include "tests/crash/state.h"

struct record {
	uint64_t first_event; /* the id it was given, or would have been */
	uint64_t salt;	      /* its bytes follow from this and its number */
	uint32_t size;
	uint32_t flags;
};

#define HISTORY_MAX 4096u

struct history {
	struct record records[HISTORY_MAX];
	atomic_size_t begun;
	atomic_size_t returned;
	atomic_size_t synced;
	_Atomic uint64_t incarnation; /* of the last append */
	uint64_t salt;
};

/* The bytes of record number. buf of WAL_FIXED_FRAME_MAX. */
void history_bytes(const struct history *history, size_t number, uint8_t *buf);

/* The numbers that count before a moment's content is looked at ... */
void history_before(const struct history *history, struct promise *promise);
/* ... and those that count after it. */
void history_after(const struct history *history, struct promise *promise);

/* The log of the directory, as a reader sees it. */
struct judged {
	size_t records; /* whole records that it has, the removed ones included */
	uint64_t next_event;
	uint64_t incarnation;
	uint32_t current;
};

enum crash_kind { CRASH_KILLED, CRASH_POWER };

/*
 * Is the open log a prefix of the history with all that was promised, each byte
 * as it was appended, ids without a gap, nothing damaged?
 * Return: whether it is; if not, crash_fail() has said what is wrong.
 */
bool history_judge(const struct history *history, struct wal_log *log,
		   const struct promise *promise, enum crash_kind kind, const char *what,
		   struct judged *judged);

/* Goes on behind `judged`: the rest never happened, what is there is promised. */
void history_cut(struct history *history, const struct judged *judged);

#endif
