/* SPDX-License-Identifier: MIT */
/* What is in a store's directory, by its names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/store/store.h"

/* Return: how many of the sorted indexes are not above after. */
static size_t count_up_to(const uint32_t *indexes, size_t count, uint32_t after)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (indexes[mid] <= after)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint32_t wal_store_list_last(const struct wal_store_list *list)
{
	return list->count ? list->segments[list->count - 1] : 0;
}

static int add_index(uint32_t **indexes, size_t *count, size_t *capacity, uint32_t index)
{
	size_t grown = *capacity ? *capacity * 2 : 64;
	uint32_t *moved;

	if (*count == *capacity) {
		moved = realloc(*indexes, grown * sizeof(**indexes));
		if (!moved)
			return -ENOMEM;
		*indexes = moved;
		*capacity = grown;
	}
	(*indexes)[(*count)++] = index;
	return 0;
}

void wal_store_list_remove(struct wal_store_list *list, uint32_t index)
{
	size_t at = count_up_to(list->segments, list->count, index);

	if (at == 0 || list->segments[at - 1] != index)
		return;
	memmove(list->segments + at - 1, list->segments + at,
		(list->count - at) * sizeof(*list->segments));
	list->count--;
}

static int compare_index(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Does the name go on as the pattern says, # for a digit? Return: what is after it, or NULL. */
static const char *skip_pattern(const char *name, const char *pattern)
{
	for (; *pattern; pattern++, name++) {
		bool digit = *name >= '0' && *name <= '9';

		if (*pattern == '#' ? !digit : *name != *pattern)
			return NULL;
	}
	return name;
}

/* Nothing more, or the -1, -2 ... that follows where a name is taken. */
static bool is_end_or_number(const char *rest)
{
	if (*rest == '\0')
		return true;
	return *rest == '-' && rest[1] >= '1' && rest[1] <= '9' && strlen(rest) <= 4 &&
	       rest[1 + strspn(rest + 1, "0123456789")] == '\0';
}

/* Return: the index of the segment's name with which this one, a longer one, begins; or 0. */
static uint32_t parse_begin(const char *name)
{
	char base[WAL_NAME_MAX];

	memcpy(base, name, sizeof("0000000001.wal") - 1);
	base[sizeof("0000000001.wal") - 1] = '\0';
	return wal_segment_name_parse(base);
}

/* Exactly what wal_store_prepared_name() makes. */
static bool is_prepared_name(const char *name)
{
	const char *rest = skip_pattern(name, "##########.wal" WAL_PREPARED_SUFFIX);

	return rest && is_end_or_number(rest) && parse_begin(name) != 0;
}

/* Return: the index in "NNNNNNNNNN.wal.zst", or 0. */
static uint32_t parse_compressed(const char *name)
{
	const char *rest = skip_pattern(name, "##########.wal" WAL_COMPRESSED_SUFFIX);

	return rest && *rest == '\0' ? parse_begin(name) : 0;
}

/* Exactly what wal_store_torn_name() makes: with another name a directory is somebody else's. */
static bool is_torn_name(const char *name)
{
	const char *rest = skip_pattern(name, "##########.wal");

	if (!rest)
		rest = skip_pattern(name, WAL_META_FILE);
	if (rest)
		rest = skip_pattern(rest, WAL_TORN_INFIX "########T######.#########Z");
	return rest && is_end_or_number(rest);
}

static int list_add_prepared(struct wal_store_list *list, const char *name)
{
	void *grown = realloc(list->prepared, (list->prepared_count + 1) * sizeof(*list->prepared));

	if (!grown)
		return -ENOMEM;
	list->prepared = grown;
	/* Such a name is short, or it would not have been one. */
	memcpy(list->prepared[list->prepared_count++], name, strlen(name) + 1);
	return 0;
}

static int list_add_name(struct wal_store_list *list, const char *name)
{
	uint32_t index = wal_segment_name_parse(name), compressed = parse_compressed(name);

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return 0;
	if (index) {
		return add_index(&list->segments, &list->count, &list->capacity, index);
	} else if (compressed) {
		return add_index(&list->compressed, &list->compressed_count,
				 &list->compressed_capacity, compressed);
	} else if (is_prepared_name(name)) {
		return list_add_prepared(list, name);
	} else if (strcmp(name, WAL_META_FILE) == 0) {
		list->has_meta = true;
	} else if (strcmp(name, WAL_CLOCK_FILE) == 0) {
		return 0; /* says nothing without segments */
	} else if (is_torn_name(name)) {
		list->torn_count++;
	} else if (strcmp(name, "lost+found") != 0) {
		/* (A store may be a file system of its own.) */
		list->has_others = true;
	}
	list->has_current = list->has_current || strcmp(name, WAL_CURRENT_NAME) == 0;
	return 0;
}

static bool list_has(const struct wal_store_list *list, uint32_t index)
{
	size_t at = count_up_to(list->segments, list->count, index);

	return at > 0 && list->segments[at - 1] == index;
}

/* Where a segment is there in both ways, the one that is not compressed counts. */
static void list_sort(struct wal_store_list *list)
{
	size_t i, kept = 0;

	if (list->count)
		qsort(list->segments, list->count, sizeof(*list->segments), compare_index);
	if (list->compressed_count)
		qsort(list->compressed, list->compressed_count, sizeof(*list->compressed),
		      compare_index);
	for (i = 0; i < list->compressed_count; i++) {
		if (!list_has(list, list->compressed[i]))
			list->compressed[kept++] = list->compressed[i];
	}
	list->compressed_count = kept;
}

uint32_t wal_store_list_compressed(const struct wal_store_list *list, uint32_t first)
{
	size_t below = first ? count_up_to(list->compressed, list->compressed_count, first - 1) : 0;

	return below < list->compressed_count ? list->compressed[below] : 0;
}

int wal_store_list_read(int dirfd, struct wal_store_list *list)
{
	struct dirent *entry;
	DIR *dir;
	int fd, err = 0;

	memset(list, 0, sizeof(*list));
	fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		err = -errno;
		close(fd);
		return err;
	}
	while (!err) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			err = -errno;
			break;
		}
		err = list_add_name(list, entry->d_name);
	}
	closedir(dir);
	if (err) {
		wal_store_list_destroy(list);
		return err;
	}
	list_sort(list);
	return 0;
}

void wal_store_list_destroy(struct wal_store_list *list)
{
	free(list->segments);
	free(list->compressed);
	free(list->prepared);
	memset(list, 0, sizeof(*list));
}
