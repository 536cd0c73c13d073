/* SPDX-License-Identifier: MIT */
/* From options to a mount. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "walfs.h"

static int add_arguments(struct fuse_args *args, const struct walfs_options *options)
{
	char *all = NULL;
	char fsname[8 + 4096];
	int err;

	snprintf(fsname, sizeof(fsname), "fsname=%s", options->store);
	err = fuse_opt_add_opt(&all, "default_permissions,subtype=walfs") ||
	      fuse_opt_add_opt_escaped(&all, fsname) ||
	      (options->mount_options && fuse_opt_add_opt(&all, options->mount_options)) ||
	      (options->read_only && fuse_opt_add_opt(&all, "ro")) ||
	      fuse_opt_add_arg(args, "walfs") || fuse_opt_add_arg(args, "-o") ||
	      fuse_opt_add_arg(args, all) || (options->debug && fuse_opt_add_arg(args, "-d"));
	free(all);
	return err ? -ENOMEM : 0;
}

/* libfuse has said what is wrong; this says what to do, where that is known. */
static void explain_mount_failure(const struct walfs_options *options)
{
	if (access("/dev/fuse", F_OK) < 0)
		walfs_say(WAL_NOTICE_ERROR,
			  "there is no /dev/fuse: as root, modprobe fuse; a container "
			  "needs --device /dev/fuse --cap-add SYS_ADMIN");
	else if (access("/dev/fuse", R_OK | W_OK) < 0)
		walfs_say(WAL_NOTICE_ERROR,
			  "you may not open /dev/fuse; root lets everybody: chmod 666 "
			  "/dev/fuse");
	else if (geteuid() != 0 && options->allow_other)
		walfs_say(WAL_NOTICE_ERROR,
			  "only root may use allow_other, unless /etc/fuse.conf has a "
			  "line user_allow_other");
	else if (geteuid() != 0)
		walfs_say(WAL_NOTICE_ERROR,
			  "an ordinary user needs fusermount3 (package fuse3) and a "
			  "mount point of their own");
	walfs_say(WAL_NOTICE_ERROR, "%s could not be mounted", options->mountpoint);
}

int walfs_session_mount(struct walfs *fs)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	/* Opening the log may have taken a while, in which somebody wrote to the bare directory. */
	int err = walfs_check_empty(fs->options.mountpoint);
	int fd;

	if (!err)
		err = add_arguments(&args, &fs->options);
	if (err)
		goto out;
	err = -EIO;
	fs->session = fuse_session_new(&args, &walfs_operations, sizeof(walfs_operations), fs);
	if (!fs->session)
		goto out;
	if (fuse_session_mount(fs->session, fs->options.mountpoint)) {
		explain_mount_failure(&fs->options);
		fuse_session_destroy(fs->session);
		fs->session = NULL;
		goto out;
	}
	fd = fuse_session_fd(fs->session);
	err = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : 0;
out:
	fuse_opt_free_args(&args);
	return err;
}
