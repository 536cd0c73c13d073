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

#define ACTIVE_FILE ".walfs/active.wal"

void target_note_mount(const struct target *target)
{
	if (target->kind != TARGET_MOUNT)
		return;
	complain(target->path,
		 "a mounted log: only its sealed segments are looked at, the active one is "
		 "%s/" ACTIVE_FILE "; for all of it give walctl the store%s%s",
		 target->path, target->store ? ", " : "", target->store ? target->store : "");
}

static int open_listed(const struct target *target, size_t n, struct wal_segment_reader **reader,
		       struct wal_fault *fault)
{
	char name[WAL_NAME_MAX];
	const struct wal_segment_source source = {
		.dirfd = target->dirfd, .name = name, .index = target->info.segments[n]};

	wal_segment_name(source.index, name);
	return wal_segment_reader_open(&source, reader, fault);
}

/* Without wal.meta the first segment that says its log decides, as for verify. */
static void find_log(struct target *target)
{
	struct wal_segment_reader *reader;

	target->has_log = target->info.meta_valid;
	memcpy(target->log, target->info.log, sizeof(target->log));
	for (size_t n = 0; n < target->count && !target->has_log; n++) {
		if (open_listed(target, n, &reader, NULL))
			continue;
		memcpy(target->log, wal_segment_reader_info(reader)->log, sizeof(target->log));
		target->has_log = wal_segment_says_log(wal_segment_reader_info(reader));
		wal_segment_reader_close(reader);
	}
}

static enum status list_segments(struct target *target)
{
	struct wal_error error = {0};
	int result = wal_store_info_read(target->path, &target->info, &error);

	if (result == -ENOTEMPTY && target->kind == TARGET_MOUNT)
		return STATUS_SOUND; /* nothing was sealed yet */
	if (result) {
		if (error.text[0])
			complain(NULL, "%s", error.text);
		else
			complain_errno(target->path, -result);
		return STATUS_TROUBLE;
	}
	if (target->kind == TARGET_STORE)
		outlook_read(target);
	target->count = target->info.segment_count;
	find_log(target);
	return STATUS_SOUND;
}

static enum status open_directory(struct target *target)
{
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
	return list_segments(target);
}

static enum status open_file(struct target *target)
{
	const char *name = strrchr(target->real, '/') + 1;

	target->kind = TARGET_SEGMENT;
	target->count = 1;
	if (is_fuse(target->real) && !strcmp(name, "current") &&
	    getxattr(target->real, "user.wal.state", NULL, 0) >= 0) {
		complain(target->path,
			 "the payload of the active segment, not a segment file; "
			 "that is %.*s" ACTIVE_FILE,
			 (int)(name - target->real), target->real);
		return STATUS_TROUBLE;
	}
	if (wal_segment_is_none(AT_FDCWD, target->real, target_index(target))) {
		complain(target->path, "not a walfs segment; give walctl a segment file, or a "
				       "store's directory");
		return STATUS_TROUBLE;
	}
	return STATUS_SOUND;
}

/* Names that came since the active segment was opened are of a later moment. */
static void append_active(struct target *target)
{
	uint32_t index = wal_segment_reader_info(target->active)->index;
	struct wal_store_info *info = &target->info;

	while (target->count && info->segments[target->count - 1] >= index)
		target->count--;
	info->segments = reallocarray(info->segments, target->count + 1, sizeof(*info->segments));
	if (!info->segments)
		die_no_memory();
	info->segments[target->count++] = index;
	info->segment_count = target->count;
	info->last_segment = index;
	if (!info->first_segment || info->first_segment > index)
		info->first_segment = index;
}

/* `ro`, and the store has no segment. */
static bool is_empty(const struct target *target)
{
	struct stat st;
	int fd = openat(target->dirfd, ACTIVE_FILE, O_RDONLY | O_CLOEXEC);
	bool empty = fd >= 0 && !fstat(fd, &st) && st.st_size == 0;

	if (fd >= 0)
		close(fd);
	return empty;
}

enum status target_add_active(struct target *target)
{
	const struct wal_segment_source source = {.dirfd = target->dirfd, .name = ACTIVE_FILE};
	struct wal_fault fault;
	enum status status;
	char *file;
	int result;

	if (target->kind != TARGET_MOUNT)
		return STATUS_SOUND;
	result = wal_segment_reader_open(&source, &target->active, &fault);
	wal_store_info_destroy(&target->info); /* the list after it: nothing is between them */
	target->count = 0;
	status = list_segments(target);
	if (status != STATUS_SOUND)
		return status;
	if (!result) {
		append_active(target);
		find_log(target);
		return STATUS_SOUND;
	}
	if (result == -ENOENT)
		target_note_mount(target);
	if (result == -ENOENT || is_empty(target))
		return STATUS_SOUND;
	file = target_file(target, ACTIVE_FILE);
	status = complain_segment(file, result, &fault);
	free(file);
	return status;
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
	wal_segment_reader_close(target->active);
	target->active = NULL;
	wal_store_info_destroy(&target->info);
	wal_store_outlook_destroy(&target->outlook);
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

void target_reader_close(const struct target *target, struct wal_segment_reader *reader)
{
	if (reader != target->active)
		wal_segment_reader_close(reader);
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
		const struct wal_segment_source source = {
			.dirfd = AT_FDCWD, .name = target->real, .index = target_index(target)};

		*file = target_file(target, NULL);
		return wal_segment_reader_open(&source, reader, fault);
	}
	if (target->active && n + 1 == target->count) {
		*file = target_file(target, ACTIVE_FILE);
		*reader = target->active;
		return 0;
	}
	wal_segment_name(target->info.segments[n], name);
	*file = target_file(target, name);
	result = open_listed(target, n, reader, fault);
	if (!result && outlook_salvages(target, n))
		wal_segment_reader_salvage(*reader);
	return result;
}

static bool read_info(const struct target *target, size_t n, struct wal_segment_info *info)
{
	struct wal_segment_reader *reader;
	struct wal_fault fault;
	char *file;
	int result = target_reader(target, n, &reader, &file, &fault);

	free(file);
	if (result)
		return false;
	*info = *wal_segment_reader_info(reader);
	target_reader_close(target, reader);
	return true;
}

static bool is_of_log(const struct target *target, const struct wal_segment_info *info)
{
	return memcmp(target->log, info->log, sizeof(info->log)) == 0;
}

/*
 * Does the chain lead from the n-th segment, which does not say its log, to one of this log, or
 * to where a chain of it begins? In this direction, 1 or -1.
 */
static bool is_chained(const struct target *target, size_t n, struct wal_segment_info info,
		       int direction)
{
	struct wal_segment_info next;

	for (;;) {
		if (direction < 0 && wal_segment_begins_chain(target->log, &info))
			return true;
		n += (size_t)direction; /* before the first is after the last */
		if (n >= target->count || !read_info(target, n, &next))
			return false;
		if (direction < 0 ? next.index + 1 != info.index || next.chain != info.prev_chain
				  : next.index != info.index + 1 || next.prev_chain != info.chain)
			return false;
		if (wal_segment_says_log(&next))
			return is_of_log(target, &next);
		info = next;
	}
}

bool target_foreign_fault(const struct target *target, size_t n,
			  const struct wal_segment_info *info, struct wal_fault *fault)
{
	char uuid[WAL_UUID_TEXT];

	if (!target->has_log)
		return false;
	if (wal_segment_says_log(info)
		    ? is_of_log(target, info)
		    : is_chained(target, n, *info, -1) || is_chained(target, n, *info, 1))
		return false;
	*fault = (struct wal_fault){.kind = WAL_FAULT_SEQUENCE,
				    .segment = info->index,
				    .block = WAL_NO_BLOCK,
				    .detail = "and damage hides which log it is of; given alone, "
					      "the file can be looked at"};
	if (!wal_segment_says_log(info))
		return true;
	fault->kind = WAL_FAULT_OTHER_LOG;
	wal_uuid_format(info->log, uuid);
	snprintf(fault->detail, sizeof(fault->detail), "%s; given alone, the file can be looked at",
		 uuid);
	return true;
}
