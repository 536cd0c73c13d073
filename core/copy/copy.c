/* SPDX-License-Identifier: MIT */
/*
 * A copy of a store, by whole segments: each is written under another name, synced, read back
 * from the disk and verified, and then gets its own. wal.meta says from the first moment on
 * that this is a copy, and in the end how far it goes. Cut off anywhere, it is a copy of less.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/copy/copy.h"
#include "core/format/format.h"

/* --- the directory ---------------------------------------------------------------- */

static int refuse(const struct wal_copy *copy, struct wal_error *error, int err, const char *text)
{
	return wal_error_set(error, err, "%s: %s", copy->path, text);
}

/* May segments be put here? */
static int check_place(struct wal_copy *copy, const struct wal_store_list *list,
		       struct wal_error *error)
{
	struct wal_meta_slots slots;
	int err = wal_meta_read(copy->dirfd, &copy->meta, &slots);

	if (err == -ENOENT || (err == -EBADMSG && slots.zero[0] && slots.zero[1])) {
		copy->meta = (struct wal_meta){0};
		if (list->count || list->has_others)
			return refuse(copy, error, -ENOTEMPTY,
				      "not empty, and no copy that was made before; give an empty "
				      "directory, or one that does not exist yet");
		return 0;
	}
	if (err)
		return wal_error_set(error, err, "%s/" WAL_META_FILE ": cannot be read: %s",
				     copy->path, strerror(-err));
	if (!copy->meta.copy)
		return refuse(copy, error, -ENOTEMPTY,
			      "a store of its own, and no copy: nothing is written into it");
	if (memcmp(copy->meta.log, copy->log, sizeof(copy->log)) != 0)
		return refuse(copy, error, -ENOTEMPTY,
			      "a copy of another log; give each log a directory of its own");
	return 0;
}

int wal_copy_write_meta(struct wal_copy *copy, struct wal_meta *meta, struct wal_error *error)
{
	struct wal_meta_store store;
	struct wal_error why = {0};
	int err = wal_meta_store_open(&store, copy->io, copy->dirfd, &why);
	int i;

	for (i = 0; i < 2 && !err; i++)
		err = wal_meta_store_write(&store, meta);
	if (err)
		wal_error_set(error, err, "%s/" WAL_META_FILE ": cannot be written: %s", copy->path,
			      why.code ? why.text : strerror(-err));
	wal_meta_store_close(&store);
	return err;
}

/* Of a run that was cut off. */
static int remove_prepared(const struct wal_copy *copy, const struct wal_store_list *list)
{
	int err = 0;
	size_t i;

	for (i = 0; i < list->prepared_count && !err; i++)
		err = copy->io->unlink(copy->io, copy->dirfd, list->prepared[i]);
	return err;
}

/* What is said until the end: a copy of this log, nobody knows how far. */
static int begin(struct wal_copy *copy, struct wal_error *error)
{
	struct wal_meta meta = copy->meta;

	if (!meta.sequence) {
		memcpy(meta.log, copy->log, sizeof(meta.log));
		meta.block_size = WAL_DEFAULT_BLOCK_SIZE;
		meta.segment_bytes = WAL_HEADER_AREA + WAL_DEFAULT_SEGMENT_SIZE;
		meta.framing = (struct wal_framing){WAL_FRAME_LINE, 0};
	}
	meta.copy = true;
	meta.clean = false;
	meta.durable = (struct wal_durable){0};
	return wal_copy_write_meta(copy, &meta, error);
}

static bool is_sealed(const struct wal_copy *copy, uint32_t index)
{
	char name[WAL_NAME_MAX];
	const struct wal_segment_source place = {
		.dirfd = copy->dirfd, .name = name, .index = index};
	struct wal_segment_reader *r;
	bool sealed;

	wal_segment_name(index, name);
	if (wal_segment_reader_open(&place, &r, NULL))
		return true; /* damaged, or not there */
	sealed = r->info.state != WAL_ACTIVE;
	wal_segment_reader_close(r);
	return sealed;
}

/* The ends that an earlier run left. */
static void find_unsealed(struct wal_copy *copy, const struct wal_store_list *list)
{
	size_t i = list->count;

	while (i > 0 && !is_sealed(copy, list->segments[i - 1])) {
		copy->unsealed_first = list->segments[--i];
		if (!copy->unsealed_last)
			copy->unsealed_last = copy->unsealed_first;
	}
}

int wal_copy_open(const struct wal_copy_options *options, struct wal_copy **copy,
		  struct wal_error *error)
{
	struct wal_copy *c = calloc(1, sizeof(*c));
	struct wal_store_list list;
	int err = -ENOMEM;

	*copy = NULL;
	*error = (struct wal_error){0};
	if (!c)
		return wal_error_set(error, err, "no memory");
	c->io = wal_io_or_system(options->io);
	c->ctx = options->ctx;
	c->progress = options->progress;
	memcpy(c->log, options->log, sizeof(c->log));
	c->path = strdup(options->path);
	c->chunk = malloc(WAL_COPY_CHUNK);
	c->dirfd = -1;
	if (c->path && c->chunk)
		err = c->dirfd = wal_store_lock(c->io, c->path, false, error);
	if (err >= 0)
		err = wal_store_list_read(c->dirfd, &list);
	if (!err) {
		err = check_place(c, &list, error);
		if (!err)
			err = remove_prepared(c, &list);
		if (!err)
			find_unsealed(c, &list);
		wal_store_list_destroy(&list);
	}
	if (!err)
		err = begin(c, error);
	if (err) {
		if (!error->code)
			wal_error_set(error, err, "%s: %s", options->path, strerror(-err));
		wal_copy_close(c);
		return err;
	}
	*copy = c;
	return 0;
}

void wal_copy_close(struct wal_copy *copy)
{
	if (!copy)
		return;
	if (copy->dirfd >= 0)
		close(copy->dirfd);
	free(copy->path);
	free(copy->chunk);
	free(copy);
}

/* --- one segment -------------------------------------------------------------------- */

/* To be copied byte for byte. */
static int open_file(struct wal_copy_source *source)
{
	const struct wal_segment_source *place = source->place;
	struct stat st;

	source->fd =
		openat(place->dirfd, place->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (source->fd < 0 || fstat(source->fd, &st))
		return -errno;
	source->bytes = (uint64_t)st.st_size;
	return S_ISREG(st.st_mode) ? 0 : -EUCLEAN;
}

static int open_source(struct wal_copy_source *source, bool raw)
{
	const struct wal_segment_source *place = source->place;
	struct wal_fault fault;
	int err = wal_segment_reader_open(place, &source->reader, &fault);

	source->fd = -1;
	if (err && !wal_segment_name_parse(place->name))
		return err; /* `active.wal`, which may be another one by now */
	if (err == -ENOENT || wal_is_out_of_resources(err) || err == -EPROTONOSUPPORT)
		return err;
	if (!err && source->reader->info.state == WAL_ACTIVE && !raw) {
		source->bytes = wal_segment_reader_image_bytes(source->reader);
		return 0;
	}
	return open_file(source);
}

static void close_source(struct wal_copy_source *source)
{
	wal_segment_reader_close(source->reader);
	if (source->fd >= 0)
		close(source->fd);
}

/* Sealed, and the same as far as header and chained checksum say. */
static bool agrees(const struct wal_segment_info *a, const struct wal_segment_info *b)
{
	return a->state == WAL_SEALED && b->state == WAL_SEALED &&
	       memcmp(a->log, b->log, sizeof(a->log)) == 0 && a->first_event == b->first_event &&
	       a->last_event == b->last_event && a->file_bytes == b->file_bytes &&
	       a->prev_chain == b->prev_chain && a->chain == b->chain &&
	       a->header_checksum == b->header_checksum;
}

/* Of one that is damaged nothing but its bytes says what it is. */
static bool is_same_file(const struct wal_copy *copy, const struct wal_copy_source *source,
			 const char *name)
{
	struct stat st;
	bool same = false;
	int fd;

	if (source->fd < 0 || (source->reader && source->reader->info.state == WAL_SEALED))
		return false;
	fd = openat(copy->dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && (uint64_t)st.st_size == source->bytes)
		same = wal_copy_has_bytes(copy, source, fd) > 0;
	close(fd);
	return same;
}

enum found { FOUND_NONE, FOUND_SAME, FOUND_OLDER, FOUND_OTHER };

/* What the copy has of this segment. */
static enum found look_at_copied(const struct wal_copy *copy, const struct wal_copy_source *source)
{
	char name[WAL_NAME_MAX];
	const struct wal_segment_source place = {
		.dirfd = copy->dirfd, .name = name, .index = source->place->index};
	struct wal_segment_reader *reader;
	enum found found = FOUND_OTHER;
	int err;

	wal_segment_name(place.index, name);
	if (is_same_file(copy, source, name))
		return FOUND_SAME;
	err = wal_segment_reader_open(&place, &reader, NULL);
	if (err)
		return err == -ENOENT ? FOUND_NONE : FOUND_OTHER;
	if (source->reader && agrees(&source->reader->info, &reader->info))
		found = FOUND_SAME;
	else if (source->reader && reader->info.state == WAL_ACTIVE &&
		 reader->info.last_event <= source->reader->info.last_event)
		found = FOUND_OLDER;
	wal_segment_reader_close(reader);
	return found;
}

/* Renames what is in the way: it is no part of this log, and may be all that is left of it. */
int wal_copy_set_aside(const struct wal_copy *copy, uint32_t index)
{
	char name[WAL_NAME_MAX], torn[WAL_STORE_NAME_MAX];
	int err;

	wal_segment_name(index, name);
	err = wal_store_torn_name(copy->dirfd, name, copy->io->now_ns(copy->io), torn);
	if (!err)
		err = copy->io->rename(copy->io, copy->dirfd, name, torn);
	return err;
}

/* Gives the file its name. What had it before: nothing, a part of the same, or something else. */
static int put_file(const struct wal_copy *copy, const struct wal_copy_source *source,
		    enum found before)
{
	char name[WAL_NAME_MAX];
	int err = before == FOUND_OTHER ? wal_copy_set_aside(copy, source->place->index) : 0;

	wal_segment_name(source->place->index, name);
	if (!err)
		err = copy->io->replace(copy->io, copy->dirfd, source->name, name);
	return err ? err : wal_sync_error(copy->io->fsync(copy->io, copy->dirfd));
}

/*
 * An unsealed end is brought up to date no more, since retention removed the segment: what there
 * is of it cannot stay below a sealed one. Return: 0; -EAGAIN: it is still there; -errno.
 */
static int give_up_unsealed(struct wal_copy *copy, const struct wal_segment_source *place)
{
	uint32_t index = copy->unsealed_first;
	char name[WAL_NAME_MAX];
	struct stat st;
	int err = 0;

	wal_segment_name(index, name);
	if (fstatat(place->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return -EAGAIN;
	if (!is_sealed(copy, index))
		err = wal_copy_set_aside(copy, index);
	copy->unsealed_first++;
	return err;
}

/*
 * Segments are sealed in order, and so they are in the copy: one that was waiting for its seal
 * is copied again before a sealed one comes after it (R37). Return: 0; -EAGAIN: from the list on.
 */
static int keep_order(struct wal_copy *copy, const struct wal_copy_source *source)
{
	uint32_t index = source->place->index;
	int err = 0;

	if (source->fd < 0) {
		if (!copy->unsealed_first || copy->unsealed_first > index)
			copy->unsealed_first = index;
		if (copy->unsealed_last < index)
			copy->unsealed_last = index;
		return 0;
	}
	while (!err && copy->unsealed_first && copy->unsealed_first < index &&
	       copy->unsealed_first <= copy->unsealed_last)
		err = give_up_unsealed(copy, source->place);
	if (!err && copy->unsealed_first == index)
		copy->unsealed_first++;
	if (copy->unsealed_first > copy->unsealed_last)
		copy->unsealed_first = copy->unsealed_last = 0;
	return err;
}

int wal_copy_segment(struct wal_copy *copy, const struct wal_segment_source *place, bool raw,
		     struct wal_copied *copied)
{
	struct wal_copy_source source = {.place = place};
	enum found before;
	int err = open_source(&source, raw), fd;

	wal_store_prepared_name(place->index, 0, source.name);
	*copied = (struct wal_copied){0};
	if (!err)
		err = keep_order(copy, &source);
	before = err ? FOUND_NONE : look_at_copied(copy, &source);
	if (!err && before != FOUND_SAME) {
		fd = wal_copy_make_file(copy, &source);
		err = fd < 0 ? fd : wal_copy_check_file(copy, &source, fd, &copied->verified);
		if (fd >= 0)
			close(fd);
		if (!err)
			err = put_file(copy, &source, before);
		copied->bytes = source.bytes;
		copied->set_aside = before == FOUND_OTHER;
	}
	close_source(&source);
	if (!err)
		copy->last = place->index;
	return err;
}

int wal_copy_evidence(struct wal_copy *copy, int dirfd, const char *name)
{
	const struct wal_segment_source place = {.dirfd = dirfd, .name = name};
	struct wal_copy_source source = {.place = &place};
	struct stat st;
	int err, fd;

	if (!strstr(name, WAL_TORN_INFIX) || strchr(name, '/') ||
	    strlen(name) + sizeof(WAL_PREPARED_SUFFIX) > sizeof(source.name))
		return -EINVAL;
	if (fstatat(copy->dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0; /* its name is whole, and so is it */
	snprintf(source.name, sizeof(source.name), "%s%s", name, WAL_PREPARED_SUFFIX);
	err = open_file(&source);
	fd = err ? err : wal_copy_make_file(copy, &source);
	if (fd >= 0) {
		err = wal_copy_has_bytes(copy, &source, fd) == 1 ? 0 : -EIO;
		close(fd);
	} else {
		err = fd;
	}
	close_source(&source);
	if (!err)
		err = copy->io->replace(copy->io, copy->dirfd, source.name, name);
	return err ? err : wal_sync_error(copy->io->fsync(copy->io, copy->dirfd));
}
