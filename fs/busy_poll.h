/* SPDX-License-Identifier: MIT */
/*
 * Whether to look for the next request again, or to sleep until there is one.
 *
 * A daemon that sleeps has to be woken, which costs more than a small write. One
 * that looks again and again for a while finds the next request of a busy writer
 * without that, and pays with the processor's time. So looking is given up for a
 * while where it does not pay: after a round that found nothing, some sleeps go
 * by without a round before them, each time twice as many; half as many after a
 * round that found a request. It settles at looking before each sleep if more
 * than half of the rounds find one, and at next to never (one round in 1,024
 * sleeps) if fewer do. An idle daemon is in its one sleep.
 *
 * The loop's thread only, but for the two counters.
 */
#ifndef WALFS_FS_BUSY_POLL_H
#define WALFS_FS_BUSY_POLL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WALFS_BUSY_POLL_SKIPS_MAX 1024

struct walfs_busy_poll {
	uint64_t limit_ns;		/* of a round; 0: always sleep */
	uint64_t until_ns;		/* the end of this round; 0: there is none */
	unsigned skips;			/* sleeps without a round before them, after the last one */
	unsigned skips_left;		/* of these */
	_Atomic uint64_t found, missed; /* rounds that found a request, and that did not */
};

void walfs_busy_poll_init(struct walfs_busy_poll *poll, uint32_t limit_us);

/* There is no request. Return: whether to look again at once, and not to sleep. */
bool walfs_busy_poll_again(struct walfs_busy_poll *poll, uint64_t now_ns);

/* There is one; ends the round, if this is one. */
void walfs_busy_poll_end(struct walfs_busy_poll *poll);

#endif
