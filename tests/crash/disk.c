/* SPDX-License-Identifier: MIT */
#include "tests/crash/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/crash/crash.h"

#define START_NS UINT64_C(1795341662000000000) /* 2026-11-22T10:01:02Z */

/* --- files ------------------------------------------------------------------- */

static struct blob *newest(const struct disk_file *file)
{
	return file->version_count ? file->versions[file->version_count - 1] : file->durable;
}

/* Full: an older one is forgotten, now this and now that. */
static void make_room(struct disk *disk, struct disk_file *file)
{
	unsigned i = disk->version_turn++ % (DISK_VERSIONS_MAX - 1);

	blob_unref(file->versions[i]);
	file->version_count--;
	memmove(file->versions + i, file->versions + i + 1,
		(file->version_count - i) * sizeof(file->versions[0]));
}

static void observe_file(struct disk *disk, struct disk_file *file)
{
	struct blob *now;

	if (file->fd < 0) /* it had no name left when the process was killed */
		return;
	now = blob_read(file->fd);
	if (blob_equal(now, newest(file))) {
		blob_unref(now);
		return;
	}
	if (file->version_count == DISK_VERSIONS_MAX)
		make_room(disk, file);
	file->versions[file->version_count++] = now;
}

void disk_observe(struct disk *disk)
{
	unsigned i;

	for (i = 0; i < disk->file_count; i++)
		observe_file(disk, &disk->files[i]);
}

static unsigned add_file(struct disk *disk, int fd, uint64_t inode)
{
	if (disk->file_count == DISK_FILES_MAX)
		crash_die("more than %u files in one run", DISK_FILES_MAX);
	disk->files[disk->file_count] = (struct disk_file){.inode = inode, .fd = dup(fd)};
	return disk->file_count++;
}

static struct disk_file *file_of(struct disk *disk, int fd, unsigned *index)
{
	struct stat st;
	unsigned i;

	if (fstat(fd, &st))
		return NULL;
	for (i = 0; i < disk->file_count; i++) {
		if (disk->files[i].inode != st.st_ino)
			continue;
		if (index)
			*index = i;
		return &disk->files[i];
	}
	return NULL;
}

static unsigned file_by_name(struct disk *disk, int dirfd, const char *name)
{
	struct stat st;
	unsigned i;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW))
		return DISK_FILES_MAX;
	for (i = 0; i < disk->file_count; i++) {
		if (disk->files[i].inode == st.st_ino)
			return i;
	}
	return DISK_FILES_MAX;
}

/* --- changes ----------------------------------------------------------------- */

static struct disk_change *add_change(struct disk *disk, enum disk_change_kind kind, unsigned file)
{
	struct disk_change *change;

	if (disk->change_count == disk->change_room) {
		disk->change_room = disk->change_room ? disk->change_room * 2 : 64;
		disk->changes = realloc(disk->changes, disk->change_room * sizeof(*disk->changes));
		if (!disk->changes)
			crash_die("no memory");
	}
	change = &disk->changes[disk->change_count++];
	*change = (struct disk_change){.kind = kind, .file = file};
	return change;
}

static void name_change(struct disk *disk, enum disk_change_kind kind, unsigned file,
			const char *name, const char *to)
{
	struct disk_change *change = add_change(disk, kind, file);

	snprintf(change->name, sizeof(change->name), "%.95s", name);
	if (to)
		snprintf(change->to, sizeof(change->to), "%.95s", to);
}

static void size_change(struct disk *disk, int fd)
{
	struct stat st;
	unsigned index;

	if (!file_of(disk, fd, &index) || fstat(fd, &st))
		return;
	add_change(disk, DISK_SIZE, index)->size = (uint64_t)st.st_size;
}

static void sizes_are_durable(struct disk *disk, unsigned file)
{
	size_t n;

	for (n = 0; n < disk->change_count; n++) {
		if (disk->changes[n].kind == DISK_SIZE && disk->changes[n].file == file)
			disk->changes[n].durable = true;
	}
}

static bool is_stuck(const struct disk_file *file, size_t page)
{
	return file->stuck && page < file->stuck->size && file->stuck->data[page];
}

static struct blob *blob_new(size_t size)
{
	struct blob *blob = calloc(1, sizeof(*blob) + size);

	if (!blob)
		crash_die("no memory");
	blob->refs = 1;
	blob->size = size;
	return blob;
}

/* The page of a blob as the disk had it: zeros where there was nothing. */
static void copy_page(struct blob *to, const struct blob *from, size_t page)
{
	size_t at = page * DISK_PAGE, size = to->size - at < DISK_PAGE ? to->size - at : DISK_PAGE;

	memset(to->data + at, 0, size);
	if (from && at < from->size)
		memcpy(to->data + at, from->data + at,
		       from->size - at < size ? from->size - at : size);
}

/* What the disk gives back: the newest bytes, but of pages that never got there. */
static struct blob *as_the_disk_has_it(const struct disk_file *file)
{
	const struct blob *now = newest(file);
	struct blob *disk = blob_new(now->size);
	size_t page;

	memcpy(disk->data, now->data, now->size);
	for (page = 0; page * DISK_PAGE < now->size; page++) {
		if (is_stuck(file, page))
			copy_page(disk, file->durable, page);
	}
	return disk;
}

/* Points share what was stuck before. */
static void set_stuck(struct disk_file *file, size_t from, size_t to, bool stuck)
{
	size_t had = file->stuck ? file->stuck->size : 0;
	struct blob *pages = blob_new(to > had ? to : had);

	if (had)
		memcpy(pages->data, file->stuck->data, had);
	memset(pages->data + from, stuck, to - from);
	blob_unref(file->stuck);
	file->stuck = pages;
}

static void file_is_durable(struct disk *disk, int fd)
{
	unsigned index, i;
	struct disk_file *file = file_of(disk, fd, &index);
	struct blob *was;

	if (!file)
		return;
	sizes_are_durable(disk, index);
	observe_file(disk, file);
	if (file->version_count == 0)
		return;
	was = file->durable;
	file->durable = as_the_disk_has_it(file);
	blob_unref(was);
	if (!blob_equal(file->durable, newest(file))) /* more may have got there all the same */
		return;
	for (i = 0; i < file->version_count; i++)
		blob_unref(file->versions[i]);
	file->version_count = 0;
}

static bool page_is_dirty(const struct disk_file *file, size_t page)
{
	const struct blob *now = newest(file), *old = file->durable;
	size_t at = page * DISK_PAGE, rest = now->size - at;
	size_t size = rest < DISK_PAGE ? rest : DISK_PAGE;

	return !old || at + size > old->size || memcmp(now->data + at, old->data + at, size) != 0;
}

static void sync_has_failed(struct disk *disk, int fd)
{
	struct disk_file *file = file_of(disk, fd, NULL);
	size_t page;

	if (!file)
		return;
	observe_file(disk, file);
	for (page = 0; newest(file) && page * DISK_PAGE < newest(file)->size; page++) {
		if (page_is_dirty(file, page))
			set_stuck(file, page, page + 1, true);
	}
}

/* These go past the page cache, or out of it. */
static void is_past_the_cache(struct disk *disk, int fd, off_t offset, size_t size)
{
	struct disk_file *file = file_of(disk, fd, NULL);
	size_t from = (size_t)offset / DISK_PAGE;

	if (!file)
		return;
	set_stuck(file, from, from + (size + DISK_PAGE - 1) / DISK_PAGE, false);
}

/* Pages behind the end leave the page cache. */
static void is_cut(struct disk *disk, int fd, off_t size)
{
	struct disk_file *file = file_of(disk, fd, NULL);
	size_t from = ((size_t)size + DISK_PAGE - 1) / DISK_PAGE;

	if (file && file->stuck && from < file->stuck->size)
		set_stuck(file, from, file->stuck->size, false);
}

static void directory_is_durable(struct disk *disk)
{
	size_t n;

	for (n = 0; n < disk->change_count; n++) {
		if (disk->changes[n].kind != DISK_SIZE)
			disk->changes[n].durable = true;
	}
}

/* --- the calls --------------------------------------------------------------- */

static const char *const call_names[DISK_CALLS] = {
	"create",    "allocate", "pwrite", "zero",   "truncate",
	"fdatasync", "fsync",	 "rename", "unlink", "other",
};

const char *disk_call_name(enum disk_call call)
{
	return call_names[call];
}

static struct disk *disk_of(const struct wal_io *io)
{
	return (struct disk *)(uintptr_t)io;
}

static uint64_t disk_free_bytes(const struct wal_io *io, int dirfd)
{
	(void)io;
	(void)dirfd;
	return UINT64_MAX; /* not known: what fails, fails in allocate */
}

static void hold_up(struct disk *disk)
{
	struct rng rng;
	uint64_t us;

	if (!disk->delay_us)
		return;
	rng.state = wal_io_system.now_ns(&wal_io_system);
	us = rng_below(&rng, 2 * disk->delay_us);
	if (us > disk->delay_us)
		/* the delay of a slow disk */
		usleep((useconds_t)(us - disk->delay_us));
}

/* Takes the lock. Return: 0, or the error that the call shall have. */
static int enter(const struct wal_io *io, enum disk_call call, const char *name)
{
	struct disk *disk = disk_of(io);

	hold_up(disk);
	pthread_mutex_lock(&disk->lock);
	disk->calls++;
	return disk->before ? disk->before(disk->before_ctx, disk, call, name) : 0;
}

static int leave(const struct wal_io *io, int result)
{
	pthread_mutex_unlock(&disk_of(io)->lock);
	return result;
}

static int disk_open(const struct wal_io *io, int dirfd, const char *name, int flags, mode_t mode)
{
	struct disk *disk = disk_of(io);
	struct stat st;
	int fd;

	if (!(flags & O_CREAT))
		return wal_io_system.open(&wal_io_system, dirfd, name, flags, mode);
	fd = enter(io, DISK_CREATE, name);
	if (fd)
		return leave(io, fd);
	fd = wal_io_system.open(&wal_io_system, dirfd, name, flags, mode);
	if (fd >= 0 && !file_of(disk, fd, NULL) && fstat(fd, &st) == 0)
		name_change(disk, DISK_LINK, add_file(disk, fd, st.st_ino), name, NULL);
	return leave(io, fd);
}

static int disk_mkdir(const struct wal_io *io, const char *path, mode_t mode)
{
	int err = enter(io, DISK_OTHER, path);

	return leave(io, err ? err : wal_io_system.mkdir(&wal_io_system, path, mode));
}

static int disk_fchmod(const struct wal_io *io, int fd, mode_t mode)
{
	int err = enter(io, DISK_OTHER, "");

	return leave(io, err ? err : wal_io_system.fchmod(&wal_io_system, fd, mode));
}

static int disk_allocate(const struct wal_io *io, int fd, off_t offset, off_t size)
{
	int err = enter(io, DISK_ALLOCATE, "");

	if (!err)
		err = wal_io_system.allocate(&wal_io_system, fd, offset, size);
	if (!err)
		size_change(disk_of(io), fd);
	return leave(io, err);
}

static int disk_pwrite(const struct wal_io *io, int fd, const void *buf, size_t size, off_t offset)
{
	int err = enter(io, DISK_PWRITE, "");
	struct stat before, after;

	/* Where space runs out, whole sectors may have been written. */
	if (wal_is_no_space(err))
		wal_io_system.pwrite(&wal_io_system, fd, buf, size / 2 & ~(size_t)511, offset);
	if (err)
		return leave(io, err);
	fstat(fd, &before);
	err = wal_io_system.pwrite(&wal_io_system, fd, buf, size, offset);
	fstat(fd, &after);
	if (before.st_size != after.st_size)
		size_change(disk_of(io), fd);
	return leave(io, err);
}

static ssize_t disk_pread_direct(const struct wal_io *io, int fd, void *buf, size_t size,
				 off_t offset)
{
	struct disk *disk = disk_of(io);
	struct disk_file *file;
	struct blob *bytes;
	size_t at = (size_t)offset, n = 0;

	pthread_mutex_lock(&disk->lock);
	file = file_of(disk, fd, NULL);
	if (!file)
		crash_die("a read past the page cache of a file that nobody knows");
	observe_file(disk, file);
	if (newest(file)) {
		bytes = as_the_disk_has_it(file);
		n = at < bytes->size ? bytes->size - at : 0;
		n = n < size ? n : size;
		memcpy(buf, bytes->data + at, n);
		blob_unref(bytes);
	}
	pthread_mutex_unlock(&disk->lock);
	return (ssize_t)n;
}

static int disk_pwrite_direct(const struct wal_io *io, int fd, const void *buf, size_t size,
			      off_t offset)
{
	int err = enter(io, DISK_PWRITE, "");

	if (!err)
		err = wal_io_system.pwrite(&wal_io_system, fd, buf, size, offset);
	if (!err)
		is_past_the_cache(disk_of(io), fd, offset, size);
	return leave(io, err);
}

/* The directory may be in memory, where there is no such call. */
static int disk_zero_range(const struct wal_io *io, int fd, off_t offset, off_t size)
{
	int err = enter(io, DISK_ZERO, "");
	void *zeros = calloc(1, (size_t)size);

	if (!zeros)
		crash_die("no memory");
	if (!err)
		err = wal_io_system.pwrite(&wal_io_system, fd, zeros, (size_t)size, offset);
	if (!err)
		is_past_the_cache(disk_of(io), fd, offset, (size_t)size);
	free(zeros);
	return leave(io, err);
}

static int disk_truncate(const struct wal_io *io, int fd, off_t size)
{
	int err = enter(io, DISK_TRUNCATE, "");

	if (!err)
		err = wal_io_system.truncate(&wal_io_system, fd, size);
	if (!err)
		is_cut(disk_of(io), fd, size);
	if (!err)
		size_change(disk_of(io), fd);
	return leave(io, err);
}

/* What is stored while a real sync runs may or may not be on the disk: here it is not. */
static int disk_fdatasync(const struct wal_io *io, int fd)
{
	int err = enter(io, DISK_FDATASYNC, "");

	if (err)
		sync_has_failed(disk_of(io), fd);
	else
		file_is_durable(disk_of(io), fd);
	return leave(io, err);
}

static int disk_fsync(const struct wal_io *io, int fd)
{
	int err = enter(io, DISK_FSYNC, "");
	struct stat st;

	if (err)
		return leave(io, err);
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		directory_is_durable(disk_of(io));
	else
		file_is_durable(disk_of(io), fd);
	return leave(io, 0);
}

static int disk_rename(const struct wal_io *io, int dirfd, const char *from, const char *to)
{
	struct disk *disk = disk_of(io);
	int err = enter(io, DISK_RENAMES, from);
	unsigned file;

	if (err)
		return leave(io, err);
	file = file_by_name(disk, dirfd, from);
	err = wal_io_system.rename(&wal_io_system, dirfd, from, to);
	if (!err && file < DISK_FILES_MAX)
		name_change(disk, DISK_RENAME, file, from, to);
	return leave(io, err);
}

static int disk_unlink(const struct wal_io *io, int dirfd, const char *name)
{
	struct disk *disk = disk_of(io);
	int err = enter(io, DISK_UNLINKS, name);
	unsigned file;

	if (err)
		return leave(io, err);
	file = file_by_name(disk, dirfd, name);
	if (wal_segment_name_parse(name) > disk->removed)
		disk->removed = wal_segment_name_parse(name);
	err = wal_io_system.unlink(&wal_io_system, dirfd, name);
	if (!err && file < DISK_FILES_MAX)
		name_change(disk, DISK_UNLINK, file, name, NULL);
	return leave(io, err);
}

static uint64_t disk_now_ns(const struct wal_io *io)
{
	struct disk *disk = disk_of(io);
	uint64_t now;

	pthread_mutex_lock(&disk->lock);
	now = disk->now_ns += 1000;
	pthread_mutex_unlock(&disk->lock);
	return now;
}

/* --- from a directory, and away ---------------------------------------------- */

static void load_file(struct disk *disk, int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct disk_file *file;
	struct stat st;
	unsigned index;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return;
	}
	index = add_file(disk, fd, st.st_ino);
	file = &disk->files[index];
	file->durable = blob_read(fd);
	close(fd);
	name_change(disk, DISK_LINK, index, name, NULL);
	add_change(disk, DISK_SIZE, index)->size = (uint64_t)st.st_size;
	disk->changes[disk->change_count - 2].durable = true;
	disk->changes[disk->change_count - 1].durable = true;
}

void disk_init(struct disk *disk, const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		crash_die("%s: %s", path, strerror(errno));
	memset(disk, 0, sizeof(*disk));
	disk->io = (struct wal_io){
		.open = disk_open,
		.mkdir = disk_mkdir,
		.fchmod = disk_fchmod,
		.allocate = disk_allocate,
		.pwrite = disk_pwrite,
		.pread_direct = disk_pread_direct,
		.pwrite_direct = disk_pwrite_direct,
		.zero_range = disk_zero_range,
		.truncate = disk_truncate,
		.fdatasync = disk_fdatasync,
		.fsync = disk_fsync,
		.rename = disk_rename,
		.unlink = disk_unlink,
		.now_ns = disk_now_ns,
		.populate = wal_io_system.populate,
		.passed_ns = wal_io_system.passed_ns,
		.free_bytes = disk_free_bytes,
	};
	pthread_mutex_init(&disk->lock, NULL);
	disk->now_ns = START_NS;
	while ((entry = readdir(dir)))
		load_file(disk, dirfd(dir), entry->d_name);
	closedir(dir);
}

void disk_destroy(struct disk *disk)
{
	unsigned i, v;

	for (i = 0; i < disk->file_count; i++) {
		if (disk->files[i].fd >= 0)
			close(disk->files[i].fd);
		blob_unref(disk->files[i].durable);
		blob_unref(disk->files[i].stuck);
		for (v = 0; v < disk->files[i].version_count; v++)
			blob_unref(disk->files[i].versions[v]);
	}
	free(disk->changes);
	pthread_mutex_destroy(&disk->lock);
}
