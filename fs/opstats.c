/* SPDX-License-Identifier: MIT */
#include "opstats.h"

#include <linux/fuse.h>
#include <string.h>

static const char *const names[WALFS_OPERATIONS] = {
	[0] = "other",
	[FUSE_LOOKUP] = "lookup",
	[FUSE_FORGET] = "forget",
	[FUSE_GETATTR] = "getattr",
	[FUSE_SETATTR] = "setattr",
	[FUSE_READLINK] = "readlink",
	[FUSE_SYMLINK] = "symlink",
	[FUSE_MKNOD] = "mknod",
	[FUSE_MKDIR] = "mkdir",
	[FUSE_UNLINK] = "unlink",
	[FUSE_RMDIR] = "rmdir",
	[FUSE_RENAME] = "rename",
	[FUSE_LINK] = "link",
	[FUSE_OPEN] = "open",
	[FUSE_READ] = "read",
	[FUSE_WRITE] = "write",
	[FUSE_STATFS] = "statfs",
	[FUSE_RELEASE] = "release",
	[FUSE_FSYNC] = "fsync",
	[FUSE_SETXATTR] = "setxattr",
	[FUSE_GETXATTR] = "getxattr",
	[FUSE_LISTXATTR] = "listxattr",
	[FUSE_REMOVEXATTR] = "removexattr",
	[FUSE_FLUSH] = "flush",
	[FUSE_INIT] = "init",
	[FUSE_OPENDIR] = "opendir",
	[FUSE_READDIR] = "readdir",
	[FUSE_RELEASEDIR] = "releasedir",
	[FUSE_FSYNCDIR] = "fsyncdir",
	[FUSE_GETLK] = "getlk",
	[FUSE_SETLK] = "setlk",
	[FUSE_SETLKW] = "setlkw",
	[FUSE_ACCESS] = "access",
	[FUSE_CREATE] = "create",
	[FUSE_INTERRUPT] = "interrupt",
	[FUSE_BMAP] = "bmap",
	[FUSE_DESTROY] = "destroy",
	[FUSE_IOCTL] = "ioctl",
	[FUSE_POLL] = "poll",
	[FUSE_BATCH_FORGET] = "batch_forget",
	[FUSE_FALLOCATE] = "fallocate",
	[FUSE_READDIRPLUS] = "readdirplus",
	[FUSE_RENAME2] = "rename2",
	[FUSE_LSEEK] = "lseek",
	[FUSE_COPY_FILE_RANGE] = "copy_file_range",
};

const char *walfs_operation_name(unsigned operation)
{
	return operation < WALFS_OPERATIONS ? names[operation] : NULL;
}

/* As wal_latency_bucket_ns() has them: bucket i goes up to 2^(i + 7) ns. */
static unsigned bucket_of(uint64_t ns)
{
	unsigned bits = ns <= 128 ? 7 : 64 - (unsigned)__builtin_clzll(ns - 1);

	return bits - 7 < WAL_LATENCY_BUCKETS ? bits - 7 : WAL_LATENCY_BUCKETS - 1;
}

static void add(struct walfs_latency *latency, uint64_t ns)
{
	uint64_t max = atomic_load_explicit(&latency->max_ns, memory_order_relaxed);

	atomic_fetch_add_explicit(&latency->buckets[bucket_of(ns)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&latency->sum_ns, ns, memory_order_relaxed);
	while (ns > max &&
	       !atomic_compare_exchange_weak_explicit(&latency->max_ns, &max, ns,
						      memory_order_relaxed, memory_order_relaxed))
		;
}

void walfs_opstats_begin(struct walfs_opstats *stats, const void *request)
{
	struct fuse_in_header header;

	memcpy(&header, request, sizeof(header));
	stats->now.operation = walfs_operation_name(header.opcode) ? header.opcode : 0;
	stats->now.start_ns = walfs_clock_ns(CLOCK_MONOTONIC);
	stats->parked = false;
}

void walfs_opstats_end(struct walfs_opstats *stats)
{
	if (!stats->parked)
		walfs_opstats_answered(stats, &stats->now);
}

struct walfs_timer walfs_opstats_park(struct walfs_opstats *stats)
{
	stats->parked = true;
	return stats->now;
}

void walfs_opstats_taken(struct walfs_opstats *stats, const struct walfs_timer *timer)
{
	add(&stats->waits, walfs_clock_ns(CLOCK_MONOTONIC) - timer->start_ns);
}

void walfs_opstats_answered(struct walfs_opstats *stats, const struct walfs_timer *timer)
{
	add(&stats->operations[timer->operation],
	    walfs_clock_ns(CLOCK_MONOTONIC) - timer->start_ns);
}

void walfs_latency_read(const struct walfs_latency *latency, struct wal_histogram *histogram)
{
	unsigned i;

	histogram->count = 0;
	for (i = 0; i < WAL_LATENCY_BUCKETS; i++) {
		histogram->buckets[i] =
			atomic_load_explicit(&latency->buckets[i], memory_order_relaxed);
		histogram->count += histogram->buckets[i];
	}
	histogram->sum_ns = atomic_load_explicit(&latency->sum_ns, memory_order_relaxed);
	histogram->max_ns = atomic_load_explicit(&latency->max_ns, memory_order_relaxed);
}
