/* SPDX-License-Identifier: MIT */
#include "busy_poll.h"

#include <string.h>

void walfs_busy_poll_init(struct walfs_busy_poll *poll, uint32_t limit_us)
{
	memset(poll, 0, sizeof(*poll));
	poll->limit_ns = limit_us * UINT64_C(1000);
}

static void give_up(struct walfs_busy_poll *poll)
{
	atomic_fetch_add_explicit(&poll->missed, 1, memory_order_relaxed);
	poll->skips = poll->skips ? poll->skips * 2 : 1;
	if (poll->skips > WALFS_BUSY_POLL_SKIPS_MAX)
		poll->skips = WALFS_BUSY_POLL_SKIPS_MAX;
	poll->skips_left = poll->skips;
	poll->until_ns = 0;
}

bool walfs_busy_poll_again(struct walfs_busy_poll *poll, uint64_t now_ns)
{
	if (!poll->limit_ns)
		return false;
	if (!poll->until_ns) {
		if (poll->skips_left) {
			poll->skips_left--;
			return false;
		}
		poll->until_ns = now_ns + poll->limit_ns;
	} else if (now_ns >= poll->until_ns) {
		give_up(poll);
		return false;
	}
	return true;
}

void walfs_busy_poll_end(struct walfs_busy_poll *poll)
{
	if (!poll->until_ns)
		return;
	atomic_fetch_add_explicit(&poll->found, 1, memory_order_relaxed);
	poll->skips /= 2;
	poll->until_ns = 0;
}
