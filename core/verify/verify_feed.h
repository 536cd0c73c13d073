/* SPDX-License-Identifier: MIT */
/*
 * The blocks of a sealed segment in order, each with the quick answer about it; several
 * threads read and check ahead of the one that asks.
 */
#ifndef WALFS_CORE_VERIFY_FEED_H
#define WALFS_CORE_VERIFY_FEED_H

#include <sys/types.h>

#include "core/segment/segment_reader.h"
#include "core/verify/verify_block.h"

struct wal_block_feed;

/* A block that was read. All of it is the feed's, until the next call. */
struct wal_fed_block {
	const uint8_t *block;
	ssize_t read; /* bytes, fewer than a block at the end of a cut file; or -errno */
	bool sound;   /* sum is set; otherwise it is not known what is wrong */
	struct wal_block_sum sum;
};

/*
 * threads: how many look at blocks, the one that asks included; 0: as many as there are
 * processors, at most 4. Threads that cannot be had are done without.
 * Return: 0 or -ENOMEM.
 */
int wal_block_feed_start(const struct wal_segment_reader *reader, unsigned threads,
			 struct wal_block_feed **started);
/* The next block, at most block_count times. It is checked here if no thread got to it. */
const struct wal_fed_block *wal_block_feed_next(struct wal_block_feed *feed);
/* Ends the threads, wherever they are. NULL is nothing. */
void wal_block_feed_stop(struct wal_block_feed *feed);

#endif
