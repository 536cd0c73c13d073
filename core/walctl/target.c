/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "walctl.h"

#ifndef FUSE_SUPER_MAGIC /* headers before those of Linux 5.16 or so */
#define FUSE_SUPER_MAGIC 0x65735546
#endif

const char *target_kind_name(enum target_kind kind)
{
	static const char *const names[] = {
		[TARGET_SEGMENT] = "segment",
		[TARGET_STORE] = "store",
		[TARGET_MOUNT] = "mount",
	};

	return names[kind];
}

static bool is_fuse(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && fs.f_type == FUSE_SUPER_MAGIC;
}

/* A mounted walfs has `current`, and a store on some other FUSE has wal.meta. */
static bool is_mount(const struct target *target)
{
	return is_fuse(target->real) && !faccessat(target->dirfd, "current", F_OK, 0) &&
	       faccessat(target->dirfd, "wal.meta", F_OK, 0);
}

/* walfs gives its store as the name of what is mounted. */
static char *find_store(const char *mount_point)
{
	FILE *mounts = setmntent("/proc/self/mounts", "r");
	struct mntent *entry;
	char *store = NULL;

	if (!mounts)
		return NULL;
	while ((entry = getmntent(mounts))) {
		if (strcmp(entry->mnt_dir, mount_point) || entry->mnt_fsname[0] != '/')
			continue;
		free(store);
		store = strdup(entry->mnt_fsname);
	}
	endmntent(mounts);
	return store;
}

void target_note_mount(const struct target *target)
{
	if (target->kind != TARGET_MOUNT)
		return;
	complain(target->path,
		 "a mounted log: only its sealed segments are looked at, 'current' is not; "
		 "for all of it give walctl the store%s%s",
		 target->store ? ", " : "", target->store ? target->store : "");
}

static bool knows_log(const struct wal_segment_info *info)
{
	static const uint8_t unknown[16]; /* its first block is damaged */

	return memcmp(info->log, unknown, sizeof(unknown)) != 0;
}

/* Without wal.meta the first segment that says its log decides, as for verify. */
static void find_log(struct target *target)
{
	struct wal_segment_reader *reader;

	target->has_log = target->info.meta_valid;
	memcpy(target->log, target->info.log, sizeof(target->log));
	for (size_t n = 0; n < target->count && !target->has_log; n++) {
		char name[WAL_NAME_MAX];

		wal_segment_name(target->info.segments[n], name);
		if (wal_segment_reader_open(NULL, target->dirfd, name, target->info.segments[n], 0,
					    &reader, NULL))
			continue;
		memcpy(target->log, wal_segment_reader_info(reader)->log, sizeof(target->log));
		target->has_log = knows_log(wal_segment_reader_info(reader));
		wal_segment_reader_close(reader);
	}
}

static enum status open_directory(struct target *target)
{
	struct wal_error error = {0};
	int result;

	target->kind = TARGET_STORE;
	target->dirfd = open(target->real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (target->dirfd < 0) {
		complain_errno(target->path, errno);
		return STATUS_TROUBLE;
	}
	if (is_mount(target)) {
		target->kind = TARGET_MOUNT;
		target->store = find_store(target->real);
	}
	result = wal_store_info_read(target->path, &target->info, &error);
	if (result == -ENOTEMPTY && target->kind == TARGET_MOUNT)
		return STATUS_SOUND; /* nothing was sealed yet */
	if (result) {
		if (error.text[0])
			complain(NULL, "%s", error.text);
		else
			complain_errno(target->path, -result);
		return STATUS_TROUBLE;
	}
	target->count = target->info.segment_count;
	find_log(target);
	return STATUS_SOUND;
}

static enum status open_file(struct target *target)
{
	const char *name = strrchr(target->real, '/') + 1;

	target->kind = TARGET_SEGMENT;
	target->count = 1;
	if (is_fuse(target->real) && !strcmp(name, "current") &&
	    getxattr(target->real, "user.wal.state", NULL, 0) >= 0) {
		complain(target->path, "the payload of the active segment, not a segment file; "
				       "give walctl the store, or wait for the sealed file");
		return STATUS_TROUBLE;
	}
	return STATUS_SOUND;
}

enum status target_open(struct target *target, const char *path)
{
	struct stat st;
	enum status status = STATUS_TROUBLE;

	memset(target, 0, sizeof(*target));
	target->path = path;
	target->dirfd = AT_FDCWD;
	target->real = realpath(path, NULL);
	if (!target->real || stat(target->real, &st)) {
		complain_errno(path, errno);
	} else if (S_ISDIR(st.st_mode)) {
		status = open_directory(target);
	} else if (S_ISREG(st.st_mode)) {
		status = open_file(target);
	} else {
		complain(path, "neither a file nor a directory; give walctl a segment file, "
			       "or a store's directory");
	}
	if (status != STATUS_SOUND)
		target_close(target);
	return status;
}

void target_close(struct target *target)
{
	wal_store_info_destroy(&target->info);
	if (target->dirfd >= 0)
		close(target->dirfd);
	target->dirfd = AT_FDCWD;
	free(target->store);
	free(target->real);
	target->store = NULL;
	target->real = NULL;
}

uint32_t target_index(const struct target *target)
{
	const char *given = strrchr(target->path, '/');
	uint32_t index = wal_segment_name_parse(given ? given + 1 : target->path);

	/* A link may have a name of its own: then what it leads to counts. */
	return index ? index : wal_segment_name_parse(strrchr(target->real, '/') + 1);
}

char *target_file(const struct target *target, const char *name)
{
	size_t length = strlen(target->path);
	const char *slash = length && target->path[length - 1] == '/' ? "" : "/";
	char *file;

	if (target->kind == TARGET_SEGMENT)
		file = strdup(target->path);
	else if (asprintf(&file, "%s%s%s", target->path, slash, name) < 0)
		file = NULL;
	if (!file)
		die_no_memory();
	return file;
}

bool target_is_foreign(const struct target *target, const struct wal_segment_info *info,
		       struct wal_fault *fault)
{
	char uuid[WAL_UUID_TEXT];

	if (!target->has_log || !knows_log(info) ||
	    memcmp(target->log, info->log, sizeof(info->log)) == 0)
		return false;
	*fault = (struct wal_fault){
		.kind = WAL_FAULT_OTHER_LOG, .segment = info->index, .block = WAL_NO_BLOCK};
	wal_uuid_format(info->log, uuid);
	snprintf(fault->detail, sizeof(fault->detail), "%s; given alone, the file can be looked at",
		 uuid);
	return true;
}

bool target_is_retired(const struct target *target, size_t n)
{
	return target->kind != TARGET_SEGMENT &&
	       wal_store_is_retired(target->dirfd, target->info.segments[n]);
}

int target_reader(const struct target *target, size_t n, struct wal_segment_reader **reader,
		  char **file, struct wal_fault *fault)
{
	char name[WAL_NAME_MAX];
	int result;

	memset(fault, 0, sizeof(*fault));
	if (target->kind == TARGET_SEGMENT) {
		*file = target_file(target, NULL);
		return wal_segment_reader_open(NULL, AT_FDCWD, target->real, target_index(target),
					       0, reader, fault);
	}
	wal_segment_name(target->info.segments[n], name);
	*file = target_file(target, name);
	result = wal_segment_reader_open(NULL, target->dirfd, name, target->info.segments[n], 0,
					 reader, fault);
	/* Unsealed with another behind it: damaged, if anything is behind its end at all. */
	if (!result && n + 1 < target->info.segment_count)
		wal_segment_reader_salvage(*reader);
	return result;
}
