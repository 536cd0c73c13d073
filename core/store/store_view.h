/* SPDX-License-Identifier: MIT */
/*
 * A store as it is now, looked at without its lock: a daemon may be writing to it, and
 * remove segments by retention. What a view has fits together, and tells what is missing
 * from what was removed.
 */
#ifndef WALFS_CORE_STORE_VIEW_H
#define WALFS_CORE_STORE_VIEW_H

#include "core/store/meta_store.h"
#include "core/store/store.h"

struct wal_store_view {
	int dirfd; /* the caller's */
	/*
	 * wal.meta was read before the list: D is behind the segments, and whatever is not in
	 * the list and not below first_segment was not there.
	 */
	int meta_err; /* of reading wal.meta; 0: meta is set */
	struct wal_meta meta;
	struct wal_meta_slots slots;
	struct wal_store_list list;
	bool held; /* a process has it open for writing, as far as can be seen from here */
};

/* Return: 0 or -errno of listing; on error there is nothing to destroy. */
int wal_store_view_read(int dirfd, struct wal_store_view *view);
void wal_store_view_destroy(struct wal_store_view *view);

#endif
