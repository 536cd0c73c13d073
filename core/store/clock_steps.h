/* SPDX-License-Identifier: MIT */
/*
 * wal.clock: when the clock was set forward while a log was mounted, and by how much, so that
 * the age of a segment is the time that went by since it was closed. Only retention asks; a
 * store without this file has no such step. Not for more than one thread at a time.
 */
#ifndef WALFS_CORE_CLOCK_STEPS_H
#define WALFS_CORE_CLOCK_STEPS_H

#include <stdint.h>
#include <walfs/format.h>
#include <walfs/wal.h>

#include "core/base/io.h"

struct wal_clock_step {
	uint32_t segment; /* the active one at the time, or the last if there was none */
	/* What the clock said before and after, and the difference; ns. */
	uint64_t before_ns, after_ns, step_ns;
};

/* The oldest first. */
struct wal_clock_steps {
	struct wal_clock_step steps[WAL_CLOCK_STEPS_MAX];
	unsigned count;
};

/* Where there is no room, the two oldest become one, which makes no segment older. */
void wal_clock_steps_add(struct wal_clock_steps *steps, const struct wal_clock_step *step);
/* The clock was set back: what it was set forward by, last of all, was wrong. */
void wal_clock_steps_take_back(struct wal_clock_steps *steps, uint64_t back_ns);
/* Forgets those that are of no segment from this one on. */
void wal_clock_steps_forget(struct wal_clock_steps *steps, uint32_t first_segment);
/* Return: when the segment was closed, by the clock as it is set now. */
uint64_t wal_clock_steps_apply(const struct wal_clock_steps *steps, uint32_t segment,
			       uint64_t closed_ns);

/* Return: 0, also without such a file; -EUCLEAN: it is damaged; another -errno. */
int wal_clock_steps_read(int dirfd, struct wal_clock_steps *steps);
/* Durable when it returns. Return: 0; -errno, with words in why if why->code is set. */
int wal_clock_steps_write(const struct wal_io *io, int dirfd, const struct wal_clock_steps *steps,
			  struct wal_error *why);

#endif
