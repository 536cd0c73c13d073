/* SPDX-License-Identifier: MIT */
#include "tests/crash/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One choice: which version of a unit, how far the journal came, whether a change did. */
struct state_digit {
	enum { DIGIT_UNIT, DIGIT_JOURNAL, DIGIT_CHANGE } kind;
	unsigned radix;
	unsigned value;
	unsigned file; /* UNIT */
	size_t at;     /* UNIT: offset; CHANGE: number of the change; JOURNAL: the first in doubt */
	size_t torn_at; /* UNIT: from here on, the newest version; 0: not torn */
};

/* --- points ------------------------------------------------------------------ */

static void ref_blobs(struct disk_file *files, unsigned count)
{
	unsigned i, v;

	for (i = 0; i < count; i++) {
		blob_ref(files[i].durable);
		blob_ref(files[i].stuck);
		for (v = 0; v < files[i].version_count; v++)
			blob_ref(files[i].versions[v]);
	}
}

struct crash_point *crash_point_new(const struct disk *disk, const char *label)
{
	struct crash_point *point = calloc(1, sizeof(*point));

	if (!point)
		crash_die("no memory");
	snprintf(point->label, sizeof(point->label), "%s", label);
	memcpy(point->files, disk->files, sizeof(point->files));
	point->file_count = disk->file_count;
	ref_blobs(point->files, point->file_count);
	point->change_count = disk->change_count;
	point->changes = malloc((disk->change_count + 1) * sizeof(*point->changes));
	if (!point->changes)
		crash_die("no memory");
	if (disk->change_count)
		memcpy(point->changes, disk->changes, disk->change_count * sizeof(*point->changes));
	point->promise.removed = disk->removed;
	return point;
}

void crash_point_free(struct crash_point *point)
{
	unsigned i, v;

	for (i = 0; i < point->file_count; i++) {
		blob_unref(point->files[i].durable);
		blob_unref(point->files[i].stuck);
		for (v = 0; v < point->files[i].version_count; v++)
			blob_unref(point->files[i].versions[v]);
	}
	free(point->changes);
	free(point);
}

/* Version 0 is the durable one. */
static const struct blob *version(const struct disk_file *file, unsigned number)
{
	return number ? file->versions[number - 1] : file->durable;
}

/* --- images ------------------------------------------------------------------ */

void image_destroy(struct image *image)
{
	unsigned i;

	for (i = 0; i < image->count; i++)
		free(image->files[i].data);
	image->count = 0;
}

static struct image_file *image_add(struct image *image, const char *name, size_t size)
{
	struct image_file *file = &image->files[image->count++];

	if (image->count > DISK_FILES_MAX)
		crash_die("too many files");
	memset(file->name, 0, sizeof(file->name));
	snprintf(file->name, sizeof(file->name), "%.95s", name);
	file->size = size;
	file->data = calloc(1, size + 1);
	if (!file->data)
		crash_die("no memory");
	return file;
}

struct image_file *image_find(const struct image *image, const char *name)
{
	unsigned i;

	for (i = 0; i < image->count; i++) {
		if (strcmp(image->files[i].name, name) == 0)
			return (struct image_file *)(uintptr_t)&image->files[i];
	}
	return NULL;
}

void image_copy(struct image *to, const struct image *from)
{
	unsigned i;

	to->count = 0;
	for (i = 0; i < from->count; i++) {
		const struct image_file *file = &from->files[i];

		memcpy(image_add(to, file->name, file->size)->data, file->data, file->size);
	}
}

void image_write(const struct image *image, const char *path)
{
	unsigned i;
	int dirfd, fd;

	crash_empty(path);
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; i < image->count; i++) {
		const struct image_file *file = &image->files[i];

		fd = openat(dirfd, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, file->data, file->size) != (ssize_t)file->size)
			crash_die("%s/%s: %s", path, file->name, strerror(errno));
		close(fd);
	}
	close(dirfd);
}

void image_read(struct image *image, const char *path)
{
	struct crash_point *point;
	struct disk disk;

	disk_init(&disk, path);
	point = crash_point_new(&disk, "read");
	state_killed(point, image);
	crash_point_free(point);
	disk_destroy(&disk);
}

/* --- applying the directory's changes ---------------------------------------- */

struct name {
	char name[WAL_STORE_NAME_MAX];
	unsigned file;
};

struct names {
	struct name list[DISK_FILES_MAX];
	unsigned count;
	uint64_t sizes[DISK_FILES_MAX];
};

static void unlink_name(struct names *names, const char *name)
{
	unsigned i;

	for (i = 0; i < names->count; i++) {
		if (strcmp(names->list[i].name, name) == 0) {
			names->list[i] = names->list[--names->count];
			return;
		}
	}
}

static void link_name(struct names *names, const char *name, unsigned file)
{
	unlink_name(names, name);
	memcpy(names->list[names->count].name, name, WAL_STORE_NAME_MAX);
	names->list[names->count++].file = file;
}

static void apply_change(struct names *names, const struct disk_change *change)
{
	switch (change->kind) {
	case DISK_LINK:
		link_name(names, change->name, change->file);
		break;
	case DISK_RENAME:
		unlink_name(names, change->name);
		link_name(names, change->to, change->file);
		break;
	case DISK_UNLINK:
		unlink_name(names, change->name);
		break;
	case DISK_SIZE:
		names->sizes[change->file] = change->size;
		break;
	}
}

/* --- spaces ------------------------------------------------------------------ */

static struct state_digit *add_digit(struct state_space *space, int kind, unsigned radix)
{
	struct state_digit *digit;

	space->digits = realloc(space->digits, (space->digit_count + 1) * sizeof(*digit));
	if (!space->digits)
		crash_die("no memory");
	digit = &space->digits[space->digit_count++];
	memset(digit, 0, sizeof(*digit));
	digit->kind = kind;
	digit->radix = radix;
	if (radix && space->states > UINT64_MAX / radix)
		space->states = UINT64_MAX;
	else
		space->states *= radix;
	return digit;
}

static bool units_differ(const struct blob *a, const struct blob *b, size_t at, size_t size)
{
	size_t i;

	for (i = at; i < at + size; i++) {
		uint8_t x = a && i < a->size ? a->data[i] : 0;
		uint8_t y = b && i < b->size ? b->data[i] : 0;

		if (x != y)
			return true;
	}
	return false;
}

static void add_units(struct state_space *space, unsigned index)
{
	const struct disk_file *file = &space->point->files[index];
	size_t most = file->durable ? file->durable->size : 0, at;
	unsigned v;

	if (file->version_count == 0)
		return;
	for (v = 0; v < file->version_count; v++)
		most = file->versions[v]->size > most ? file->versions[v]->size : most;
	for (at = 0; at < most; at += space->unit_bytes) {
		for (v = 1; v <= file->version_count; v++) {
			struct state_digit *digit;

			if (!units_differ(version(file, 0), version(file, v), at,
					  space->unit_bytes))
				continue;
			digit = add_digit(space, DIGIT_UNIT, file->version_count + 1);
			digit->file = index;
			digit->at = at;
			break;
		}
	}
}

static void add_changes(struct state_space *space)
{
	const struct crash_point *point = space->point;
	size_t first = 0, n;

	for (n = 0; n < point->change_count; n++) {
		if (point->changes[n].durable)
			first = n + 1;
		else if (space->order == STATE_ANY_ORDER)
			add_digit(space, DIGIT_CHANGE, 2)->at = n;
	}
	if (space->order == STATE_JOURNAL)
		add_digit(space, DIGIT_JOURNAL, (unsigned)(point->change_count - first) + 1)->at =
			first;
}

void state_space_init(struct state_space *space, const struct crash_point *point,
		      enum state_order order, uint32_t unit_bytes)
{
	unsigned i;

	*space = (struct state_space){
		.point = point, .order = order, .unit_bytes = unit_bytes, .states = 1};
	add_changes(space);
	for (i = 0; i < point->file_count; i++)
		add_units(space, i);
}

void state_space_destroy(struct state_space *space)
{
	free(space->digits);
	space->digits = NULL;
}

/* --- building a state -------------------------------------------------------- */

static void choose_names(const struct state_space *space, struct names *names)
{
	const struct crash_point *point = space->point;
	size_t n, d = 0, reached = 0;

	memset(names, 0, sizeof(*names));
	if (space->order == STATE_JOURNAL)
		reached = space->digits[0].at + space->digits[0].value;
	for (n = 0; n < point->change_count; n++) {
		bool happened =
			space->order == STATE_JOURNAL ? n < reached : point->changes[n].durable;

		if (space->order == STATE_ANY_ORDER && !happened)
			happened = space->digits[d++].value;
		if (happened)
			apply_change(names, &point->changes[n]);
	}
}

static void copy_part(struct image_file *to, const struct blob *from, size_t at, size_t end)
{
	end = end < to->size ? end : to->size;
	if (at >= end)
		return;
	memset(to->data + at, 0, end - at);
	if (!from || at >= from->size)
		return;
	memcpy(to->data + at, from->data + at, (end < from->size ? end : from->size) - at);
}

static void fill(const struct state_space *space, unsigned index, struct image_file *to)
{
	const struct disk_file *file = &space->point->files[index];
	size_t d;

	copy_part(to, file->durable, 0, to->size);
	for (d = 0; d < space->digit_count; d++) {
		const struct state_digit *digit = &space->digits[d];

		if (digit->kind != DIGIT_UNIT || digit->file != index)
			continue;
		copy_part(to, version(file, digit->value), digit->at,
			  digit->at + space->unit_bytes);
		if (digit->torn_at)
			copy_part(to, version(file, file->version_count), digit->torn_at,
				  digit->at + space->unit_bytes);
	}
}

static void build(const struct state_space *space, struct image *image)
{
	struct names names;
	unsigned i;

	choose_names(space, &names);
	image->count = 0;
	for (i = 0; i < names.count; i++) {
		unsigned file = names.list[i].file;

		fill(space, file, image_add(image, names.list[i].name, names.sizes[file]));
	}
}

void state_by_number(struct state_space *space, uint64_t number, struct image *image)
{
	size_t d;

	for (d = 0; d < space->digit_count; d++) {
		struct state_digit *digit = &space->digits[d];

		digit->value = (unsigned)(number % digit->radix);
		digit->torn_at = 0;
		number /= digit->radix;
	}
	build(space, image);
}

/*
 * Bytes of a header area and of wal.meta are written by one call within a sector
 * each: they are never torn inside. What is stored into a mapping can be.
 */
static bool can_be_torn(const struct state_space *space, const struct state_digit *digit)
{
	return digit->at >= STATE_PAGE && space->point->files[digit->file].version_count > 0;
}

static void choose(struct state_space *space, struct state_digit *digit, struct rng *rng,
		   unsigned newest_percent)
{
	uint64_t dice = rng_below(rng, 100);

	digit->torn_at = 0;
	if (dice < newest_percent)
		digit->value = digit->radix - 1;
	else if (rng_below(rng, 2) == 0)
		digit->value = 0;
	else
		digit->value = (unsigned)rng_below(rng, digit->radix);
	if (digit->kind == DIGIT_UNIT && can_be_torn(space, digit) && rng_below(rng, 16) == 0)
		digit->torn_at = digit->at + 4 * rng_below(rng, space->unit_bytes / 4);
}

void state_at_random(struct state_space *space, struct rng *rng, struct image *image)
{
	static const unsigned percents[] = {0, 5, 50, 80, 95, 100};
	unsigned data = percents[rng_below(rng, 6)], names = percents[rng_below(rng, 6)];
	size_t d;

	for (d = 0; d < space->digit_count; d++) {
		struct state_digit *digit = &space->digits[d];

		choose(space, digit, rng, digit->kind == DIGIT_UNIT ? data : names);
	}
	build(space, image);
}

void state_killed(const struct crash_point *point, struct image *image)
{
	struct names names = {.count = 0};
	size_t n;
	unsigned i;

	for (n = 0; n < point->change_count; n++)
		apply_change(&names, &point->changes[n]);
	image->count = 0;
	for (i = 0; i < names.count; i++) {
		const struct disk_file *file = &point->files[names.list[i].file];
		const struct blob *now = version(file, file->version_count);

		copy_part(image_add(image, names.list[i].name, now ? now->size : 0), now, 0,
			  now ? now->size : 0);
	}
}

/* The file as it is in the directory now, if the point still has a name for it. */
static void open_killed_file(const struct names *names, unsigned index, int dirfd,
			     struct disk_file *file)
{
	struct stat st;
	unsigned i;

	file->fd = -1;
	file->inode = 0;
	for (i = 0; i < names->count; i++) {
		if (names->list[i].file == index)
			file->fd = openat(dirfd, names->list[i].name, O_RDONLY | O_CLOEXEC);
	}
	if (file->fd >= 0 && fstat(file->fd, &st) == 0)
		file->inode = st.st_ino;
}

void state_killed_on_disk(const struct crash_point *point, const char *path, struct disk *disk)
{
	struct names names = {.count = 0};
	struct image image;
	size_t n;
	unsigned i;
	int dirfd;

	crash_empty(path);
	disk_init(disk, path);
	state_killed(point, &image);
	image_write(&image, path);
	image_destroy(&image);
	for (n = 0; n < point->change_count; n++)
		apply_change(&names, &point->changes[n]);
	memcpy(disk->files, point->files, sizeof(disk->files));
	disk->file_count = point->file_count;
	disk->changes = malloc((point->change_count + 1) * sizeof(*disk->changes));
	if (!disk->changes)
		crash_die("no memory");
	disk->change_count = disk->change_room = point->change_count;
	for (n = 0; n < point->change_count; n++)
		disk->changes[n] = point->changes[n];
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (i = 0; i < disk->file_count; i++)
		open_killed_file(&names, i, dirfd, &disk->files[i]);
	close(dirfd);
	ref_blobs(disk->files, disk->file_count);
}
