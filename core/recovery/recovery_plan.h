/* SPDX-License-Identifier: MIT */
/*
 * The plan that recovery's files fill together, and the little that all of them do to it. It
 * is nobody else's business, but verify's, which tells what a mount would decide.
 */
#ifndef WALFS_CORE_RECOVERY_PLAN_H
#define WALFS_CORE_RECOVERY_PLAN_H

#include "core/recovery/recovery.h"

/* What one segment file turned out to be. */
enum wal_finding {
	FOUND_SEALED,	  /* whole as far as its headers and last block say */
	FOUND_UNSEALED,	  /* to be judged by its walk */
	FOUND_SEAL_LOST,  /* sealed, its seal header damaged; the walk still counts */
	FOUND_DAMAGED,	  /* ours, sealed, and bad */
	FOUND_UNREADABLE, /* header unreadable, another index, another log */
	FOUND_NOT_A_FILE,
	FOUND_IO, /* the disk does not give it back */
};

struct wal_probe {
	uint32_t index;
	enum wal_finding finding;
	struct wal_fault fault;
	struct stat stat; /* where it could be opened */
	struct wal_segment_header header;
	struct wal_tail tail; /* unsealed */
	struct wal_segment_info info;
	bool direct;	 /* it was read past the page cache */
	uint64_t excess; /* sealed: bytes after the last block */
	uint64_t chain;	 /* of its last block */
	uint64_t end;	 /* offset after its last record, as far as that is known */
	uint64_t next_event;
};

/* Where the segment that is looked at next should go on. */
struct wal_link {
	bool known;
	uint64_t chain;
	uint64_t next_event;
};

struct wal_plan {
	struct wal_recovery *rec;
	struct wal_error *error;
	struct wal_probe *probes; /* the tail run, ascending */
	size_t count;
	struct wal_link link;
	uint64_t proved; /* highest event id that is certain to have been given */
	uint32_t floor;	 /* highest index that is taken */
	bool told_copy;	 /* that this may be a copy of a log that was being written */
};

/* Its header can be read and is this log's. */
bool wal_probe_has_header(const struct wal_probe *probe);
/* It begins a new chain, and says so. */
bool wal_plan_restarts(const struct wal_plan *plan, const struct wal_probe *probe);

/* Ids up to this event were given. */
void wal_plan_prove(struct wal_plan *plan, uint64_t event);
/* Adds a step. Return: 0 or -ENOMEM. */
int wal_plan_add_step(struct wal_recovery *rec, enum wal_step_kind kind,
		      const struct wal_probe *probe);
/* The segment stays as it is, and this is wrong with it; says so. Return: 0 or -ENOMEM. */
int wal_plan_add_damage(struct wal_plan *plan, const struct wal_probe *probe,
			const struct wal_fault *fault);
/* Goes on above every index, after every id, with a new chain. */
void wal_plan_begin_again(struct wal_plan *plan);
/* What is to be said of wal.meta, by the mount and by verify: why, and what becomes of it. */
void wal_plan_doubt_meta(struct wal_recovery *rec, enum wal_notice_level level, const char *why,
			 const char *then);
/* wal.meta is of no use: goes on without it, and says why, and what becomes of it. */
void wal_plan_forget_meta(struct wal_plan *plan, const char *why, const char *then);

#endif
