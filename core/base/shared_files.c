/* SPDX-License-Identifier: MIT */
#include "core/base/shared_files.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void wal_shared_files_init(struct wal_shared_files *set, size_t count_max)
{
	memset(set, 0, sizeof(*set));
	pthread_mutex_init(&set->lock, NULL);
	set->count_max = count_max;
}

void wal_shared_files_destroy(struct wal_shared_files *set)
{
	pthread_mutex_destroy(&set->lock);
}

static struct wal_shared_file **bucket_of(struct wal_shared_files *set, ino_t ino)
{
	return &set->buckets[ino % WAL_SHARED_BUCKETS];
}

/* Lock held. Return: the file that is open already, or NULL. */
static struct wal_shared_file *find(struct wal_shared_files *set, const struct stat *st)
{
	struct wal_shared_file *file;

	for (file = *bucket_of(set, st->st_ino); file; file = file->next)
		if (file->ino == st->st_ino && file->dev == st->st_dev)
			return file;
	return NULL;
}

/* Lock held. */
static int add(struct wal_shared_files *set, int fd, const struct stat *st,
	       struct wal_shared_file **file)
{
	struct wal_shared_file **bucket = bucket_of(set, st->st_ino);

	if (set->count_max && set->count >= set->count_max)
		return -EMFILE;
	*file = malloc(sizeof(**file));
	if (!*file)
		return -ENOMEM;
	**file = (struct wal_shared_file){
		.fd = fd, .set = set, .next = *bucket, .dev = st->st_dev, .ino = st->st_ino};
	*bucket = *file;
	set->count++;
	return 0;
}

int wal_shared_file_get(struct wal_shared_files *set, int fd, struct wal_shared_file **file)
{
	struct stat st;
	int err = fstat(fd, &st) ? -errno : 0;

	*file = NULL;
	if (!err) {
		pthread_mutex_lock(&set->lock);
		*file = find(set, &st);
		if (!*file)
			err = add(set, fd, &st, file);
		if (!err)
			(*file)->users++;
		pthread_mutex_unlock(&set->lock);
	}
	if (err || (*file)->fd != fd)
		close(fd);
	return err;
}

/* Lock held. */
static void take_out(struct wal_shared_files *set, struct wal_shared_file *file)
{
	struct wal_shared_file **link = bucket_of(set, file->ino);

	while (*link != file)
		link = &(*link)->next;
	*link = file->next;
}

/* The last close of a removed file frees its space, which takes a while: not under the lock. */
static void end(struct wal_shared_files *set, struct wal_shared_file *file)
{
	close(file->fd);
	free(file);
	pthread_mutex_lock(&set->lock);
	set->count--; /* before, its descriptor was not free for another */
	pthread_mutex_unlock(&set->lock);
}

void wal_shared_file_put(struct wal_shared_file *file)
{
	struct wal_shared_files *set = file->set;
	bool is_last;

	pthread_mutex_lock(&set->lock);
	is_last = --file->users == 0;
	if (is_last)
		take_out(set, file);
	pthread_mutex_unlock(&set->lock);
	if (is_last)
		end(set, file);
}
