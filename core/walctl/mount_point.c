/* SPDX-License-Identifier: MIT */
/* Where a store is mounted. */
#include <mntent.h>
#include <stdlib.h>
#include <string.h>

#include "walctl.h"

#define MOUNT_TYPE "fuse.walfs"

char *mount_point_of(const char *store)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *entry;
	char *point = NULL;

	if (!mounts)
		return NULL;
	while ((entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_type, MOUNT_TYPE) || strcmp(entry->mnt_fsname, store))
			continue;
		free(point);
		point = strdup(entry->mnt_dir);
	}
	endmntent(mounts);
	return point;
}
