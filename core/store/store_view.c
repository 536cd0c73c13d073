/* SPDX-License-Identifier: MIT */
#include "core/store/store_view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/*
 * A slot can be read while it is written, and is no slot then. Writes are at least this
 * many times as long apart as the looks, so one of two looks is at a slot that is whole.
 */
#define META_LOOKS 6
#define META_PAUSE_NS 2000000

/* Names come and go while a directory is read; a list of which no name went stale is soon had. */
#define LIST_LOOKS 100

static void read_meta(struct wal_store_view *view)
{
	const struct timespec pause = {.tv_nsec = META_PAUSE_NS};
	int looks;

	for (looks = 0; looks < META_LOOKS; looks++) {
		if (looks > 0)
			nanosleep(&pause, NULL);
		view->meta_err = wal_meta_read(view->dirfd, &view->meta, &view->slots);
		if (wal_meta_slots_are_whole(&view->meta, &view->slots))
			return;
	}
}

/* first_segment as it is now: retention writes it before it removes a file. 0: not known. */
static uint32_t first_kept(int dirfd)
{
	struct wal_meta meta;

	return wal_meta_read(dirfd, &meta, NULL) ? 0 : meta.first_segment;
}

static bool is_there(int dirfd, uint32_t index)
{
	char name[WAL_NAME_MAX];
	struct stat st;

	wal_segment_name(index, name);
	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

/*
 * Is an index that the list does not have, and should, there after all? Then it came while
 * the directory was read. Of a longer gap the ends tell: names come and go in order.
 */
static bool gap_is_stale(const struct wal_store_view *view)
{
	const struct wal_store_list *list = &view->list;
	uint32_t first = view->meta_err ? 0 : view->meta.first_segment;
	size_t i;

	for (i = 1; i < list->count; i++) {
		uint32_t low = list->segments[i - 1] + 1, high = list->segments[i] - 1;

		if (low < first)
			low = first;
		if (low <= high && (is_there(view->dirfd, low) || is_there(view->dirfd, high)))
			return true;
	}
	return false;
}

/* Was one removed after wal.meta was read? Then a newer wal.meta says so. */
static bool meta_is_stale(const struct wal_store_view *view)
{
	return view->meta_err == 0 && first_kept(view->dirfd) > view->meta.first_segment;
}

static int look(struct wal_store_view *view)
{
	read_meta(view);
	return wal_store_list_read(view->dirfd, &view->list);
}

int wal_store_view_read(int dirfd, struct wal_store_view *view)
{
	int looks, err;

	*view = (struct wal_store_view){.dirfd = dirfd};
	view->held = wal_store_is_held(dirfd);
	err = look(view);
	for (looks = 1; !err && looks < LIST_LOOKS; looks++) {
		if (!gap_is_stale(view) && !meta_is_stale(view))
			break;
		wal_store_list_destroy(&view->list);
		err = look(view);
	}
	return err;
}

void wal_store_view_destroy(struct wal_store_view *view)
{
	wal_store_list_destroy(&view->list);
}

/* A mount goes on listing a name for a moment after its file is gone. */
#define GONE_LOOKS 40
#define GONE_PAUSE_NS 5000000

/* Return: 1 if all that is there is above index; 0; -EAGAIN if its name is still there. */
static int is_below_all(int dirfd, uint32_t index)
{
	struct wal_store_list list;
	int below = 0;

	if (wal_store_list_read(dirfd, &list))
		return 0;
	if (!list.has_meta && list.count)
		below = list.segments[0] == index ? -EAGAIN : list.segments[0] > index;
	wal_store_list_destroy(&list);
	return below;
}

bool wal_store_is_retired(int dirfd, uint32_t index)
{
	const struct timespec pause = {.tv_nsec = GONE_PAUSE_NS};
	int below = 0, looks;

	if (first_kept(dirfd) > index)
		return true;
	/* In a mount there is no wal.meta: there the names alone tell. */
	for (looks = 0; looks < GONE_LOOKS; looks++) {
		below = is_below_all(dirfd, index);
		if (below != -EAGAIN)
			break;
		nanosleep(&pause, NULL);
	}
	return below > 0;
}
