/* SPDX-License-Identifier: MIT */
/*
 * `mount -o remount`, for which mount(8) runs walfs again with all options that the mount
 * has or fstab gives it. What the kernel keeps (ro, noexec, noatime, ...) it changes; any
 * other option that is not as in force is refused by its name.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "report.h"
#include "walfs.h"

/* What mount(8) does not name is not to be: it gives all that fstab, or the mount, has. */
static const struct {
	const char *set, *clear; /* options */
	unsigned long flag;
} flags[] = {
	{"nosuid", "suid", MS_NOSUID},
	{"nodev", "dev", MS_NODEV},
	{"noexec", "exec", MS_NOEXEC},
	{"noatime", "atime", MS_NOATIME},
};

/* The last one of a list counts. */
static bool is_asked_for(const char *options, const char *set, const char *clear)
{
	bool asked = false;
	size_t length;

	for (; options && *options; options += length + (options[length] == ',')) {
		length = strcspn(options, ",");
		if (strlen(set) == length && memcmp(options, set, length) == 0)
			asked = true;
		else if (strlen(clear) == length && memcmp(options, clear, length) == 0)
			asked = false;
	}
	return asked;
}

static int change_flags(const struct walfs_options *options)
{
	unsigned long to = MS_REMOUNT | (options->read_only ? MS_RDONLY : 0);

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (is_asked_for(options->mount_options, flags[i].set, flags[i].clear))
			to |= flags[i].flag;
	}
	return mount(NULL, options->mountpoint, NULL, to, NULL) ? -errno : 0;
}

/* Return: the options in force, to be given back; NULL: it does not say. */
static json_t *options_in_force(const char *mountpoint)
{
	char path[4096];
	json_t *status, *options;

	if ((size_t)snprintf(path, sizeof(path), "%s/.walfs/status", mountpoint) >= sizeof(path))
		return NULL;
	status = json_load_file(path, 0, NULL);
	options = json_incref(json_object_get(status, "options"));
	json_decref(status);
	return options;
}

/* Return: 0 if none differs that was given, else -EINVAL, and which was said. */
static int compare(const struct walfs_options *options, const json_t *in_force)
{
	struct walfs_options defaults;
	json_t *asked, *unasked, *value;
	const char *key;
	int err = 0;

	walfs_options_defaults(&defaults);
	asked = walfs_options_json(options);
	unasked = walfs_options_json(&defaults);
	json_object_foreach(asked, key, value)
	{
		if (json_equal(value, json_object_get(unasked, key)) ||
		    json_equal(value, json_object_get(in_force, key)))
			continue;
		walfs_say(
			WAL_NOTICE_ERROR,
			"remount: '%s' holds until the end of the mount, and is another one there; "
			"unmount it and mount it again (ro, rw and what the kernel keeps can be "
			"changed)",
			key);
		err = -EINVAL;
		break;
	}
	json_decref(asked);
	json_decref(unasked);
	return err;
}

static int check(const struct walfs_options *options)
{
	json_t *in_force = options_in_force(options->mountpoint);
	int err = 0;

	if (!in_force) {
		walfs_say(WAL_NOTICE_ERROR, "remount: %s is no mounted log, or its daemon is gone",
			  options->mountpoint);
		return -EINVAL;
	}
	err = compare(options, in_force);
	if (!err && !options->read_only && json_is_true(json_object_get(in_force, "ro"))) {
		walfs_say(WAL_NOTICE_ERROR,
			  "remount: it was mounted with ro, and opened its store so; unmount it "
			  "and mount it again");
		err = -EROFS;
	}
	json_decref(in_force);
	return err;
}

int walfs_remount(const struct walfs_options *options)
{
	int err = check(options);

	if (err)
		return err;
	err = change_flags(options);
	if (err)
		walfs_say(WAL_NOTICE_ERROR, "remount: %s: %s%s", options->mountpoint,
			  strerror(-err), err == -EBUSY ? ": a file is open for writing" : "");
	return err;
}
