/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "core/recovery/recovery_place.h"

/*
 * Lines in `current` are in no segment: to go on without them would lose them silently. Where
 * wal.meta is, this is a store, and somebody wrote to the wrong directory.
 */
static int check_stray_current(struct wal_plan *plan)
{
	struct wal_recovery *rec = plan->rec;
	const char *hint = wal_hint_text(WAL_HINT_COPY_OF_A_MOUNT);

	if (!wal_store_has_stray_current(rec->dirfd, &rec->list))
		return 0;
	if (rec->list.has_meta)
		wal_recovery_notice(rec, WAL_NOTICE_WARNING, /* R61 */
				    "%s/" WAL_CURRENT_NAME ": is no part of the log and is left "
				    "alone; what belongs into it goes to MOUNTPOINT/current",
				    rec->path);
	else if (rec->list.count && !rec->read_only) /* R59 */
		return wal_error_set(plan->error, -ENOTEMPTY, "%s: %s", rec->path, hint);
	else if (rec->list.count)
		wal_recovery_notice(rec, WAL_NOTICE_WARNING, "%s: %s", rec->path, hint);
	return 0;
}

/* R60. name: NULL for the directory itself. Return: 0; -EPERM. */
static int check_flag(struct wal_plan *plan, const char *name)
{
	const struct wal_recovery *rec = plan->rec;
	int fd = openat(rec->dirfd, name ? name : ".",
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *flag;

	if (fd < 0)
		return 0; /* whoever needs it says so */
	flag = wal_store_flag(fd);
	close(fd);
	if (!flag)
		return 0;
	return wal_error_set(plan->error, -EPERM,
			     "%s%s%s: has the flag '%s' (lsattr), as what is restored from a copy "
			     "of a mount may have it, and cannot be changed; as root: "
			     "chattr -R -i -a %s",
			     rec->path, name ? "/" : "", name ? name : "", flag, rec->path);
}

int wal_plan_check_place(struct wal_plan *plan)
{
	int err = 0;

	if (!plan->rec->read_only)
		err = check_flag(plan, NULL);
	if (!err && !plan->rec->read_only)
		err = check_flag(plan, WAL_META_FILE);
	return err ? err : check_stray_current(plan);
}

static int check_segment_flag(struct wal_plan *plan, uint32_t index)
{
	char name[WAL_NAME_MAX];

	wal_segment_name(index, name);
	return check_flag(plan, name);
}

int wal_plan_check_steps(struct wal_plan *plan)
{
	const struct wal_recovery *rec = plan->rec;
	size_t i;
	int err = 0;

	if (rec->read_only)
		return 0;
	for (i = 0; i < rec->step_count && !err; i++) {
		if (rec->steps[i].index)
			err = check_segment_flag(plan, rec->steps[i].index);
	}
	return err || !rec->resume ? err : check_segment_flag(plan, rec->resume);
}
