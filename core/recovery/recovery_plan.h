/* SPDX-License-Identifier: MIT */
/* Between the files of recovery's plan; nobody else's business. */
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
	uint64_t excess; /* sealed: bytes behind the last block */
	uint64_t chain;	 /* of its last block */
	uint64_t end;	 /* offset behind its last record, as far as that is known */
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

/*
 * The plan, with its probes, for the list in rec. Return: 0 or -errno; error may say more.
 * The probes are the caller's to free.
 */
int wal_plan_make(struct wal_plan *plan);

/* recovery_probe.c: fills plan->probes. Return: 0 or -errno, with plan->error set for users. */
int wal_plan_probe(struct wal_plan *plan);
typedef bool wal_plan_is_end(const struct wal_plan *plan, const struct wal_probe *probe);
/*
 * The segments below place i of the list, from the highest down to the first that is an end;
 * *probes, the caller's to free in any case, has them in ascending order. Return: as above.
 */
int wal_plan_probe_down(struct wal_plan *plan, size_t i, wal_plan_is_end *is_end,
			struct wal_probe **probes, size_t *count);
/* Whole blocks of a damaged segment prove that their ids were given. Return: 0 or -errno. */
int wal_plan_prove_by_blocks(struct wal_plan *plan, const struct wal_probe *probe);

/* recovery_place.c; first of all. A copy of a mount, the flags of chattr. Return: 0 or -errno. */
int wal_plan_check_place(struct wal_plan *plan);
/* recovery_place.c; last. May the segments be changed that have to be? Return: 0 or -errno. */
int wal_plan_check_steps(struct wal_plan *plan);

/* recovery_given.c, R50. In what words it is told that a segment begins with ids up to `given`. */
struct wal_fault wal_plan_given_fault(uint32_t index, uint64_t first_event, uint64_t given);
/* Tells it if the ids that a segment begins with are proved already. */
void wal_plan_check_given(struct wal_plan *plan, const struct wal_probe *probe);
/* If the lowest that is examined begins a new chain: what is below it proves ids, too. */
int wal_plan_prove_below(struct wal_plan *plan);

/* recovery_decide.c: from probes to steps, damage, and how to go on. */
int wal_plan_decide(struct wal_plan *plan);
/* Adds a step. Return: 0 or -ENOMEM. */
int wal_plan_add_step(struct wal_recovery *rec, enum wal_step_kind kind,
		      const struct wal_probe *probe);
/* Goes on above every index, behind every id, with a new chain. */
void wal_plan_begin_again(struct wal_plan *plan);
/* Its header can be read and is this log's. */
bool wal_probe_has_header(const struct wal_probe *probe);
/* It begins a new chain, and says so. */
bool wal_plan_restarts(const struct wal_plan *plan, const struct wal_probe *probe);
/* wal.meta is of no use: goes on without it, and says why, and what becomes of it. */
void wal_plan_forget_meta(struct wal_plan *plan, const char *why, const char *then);
void wal_plan_prove(struct wal_plan *plan, uint64_t event);

#endif
